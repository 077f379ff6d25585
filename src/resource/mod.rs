//! The vocabulary: what a resource is called, what it should be, what it is, and how the two differ.

pub mod desired;
pub mod diff;
pub mod id;
pub mod kind;
pub mod observed;
pub(crate) mod secret;
pub mod spec;
pub mod unknown;
