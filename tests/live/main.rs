//! The live commands: the program as it is typed, against the daemon that is the local world.
//!
//! Every test has a home of its own and ends the daemon that it started.

mod amended;
mod aws;
mod interrupted;
mod killed;
mod shared;
mod show;
mod stage;
mod told;
mod world;
