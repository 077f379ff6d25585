//! The verbs, one a file: arguments with their help, then the steps by name. Commands compose the rooms; rooms do not
//! compose each other.

pub mod args;
pub mod connect;
pub mod context;
pub mod down;
pub mod live;
pub mod session;

pub mod gateway;

pub mod forecast;
mod perform;

pub mod offline;
pub mod place;
pub mod stands;

pub mod check;
pub mod completions;
pub mod cue;
pub mod demo;
pub mod graph;
pub mod plan;
pub mod rehearse;
pub mod render;
pub mod schema;
pub mod stack;
pub mod state;
pub mod status;
pub mod unlock;
pub mod up;
pub mod world;
