//! What people and scripts see. Only this room writes: data to stdout, narration to stderr.

pub mod confirm;
pub mod lines;
pub mod output;
