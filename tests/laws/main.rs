//! The laws of the engine, played by the very functions of the commands in virtual time: doing it again changes nothing,
//! undoing it leaves nothing, and what is refused stops no more than it must.

mod stage;
mod tube;
mod watch;

mod changes;
mod crash;
mod drift;
mod ends;
mod faults;
mod regions;
mod rehearsal;
mod repetition;
mod scaling;
mod secrets;
mod show;
