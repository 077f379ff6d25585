//! What people and scripts see. Only this room writes: data to stdout, narration to stderr.

pub mod output;

pub mod confirm;
pub mod view;

pub mod json;
pub mod lines;

pub mod progress;
pub mod show;

pub mod qr;
pub mod screen;

pub(crate) mod text;
