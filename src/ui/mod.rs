//! What people and scripts see. Only this room writes: data to stdout, narration to stderr.

pub mod lines;
pub mod output;
