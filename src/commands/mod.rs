//! The verbs, one a file: arguments with their help, then the steps by name. Commands compose the rooms; rooms do not
//! compose each other.

pub mod context;
pub mod down;
pub mod session;

mod perform;

pub mod plan;
pub mod rehearse;
pub mod up;
