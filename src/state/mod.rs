//! What tubectl remembers of a stack: what it intended, what came of it, and who may change it now.
//!
//! Losing it loses nothing: ownership tags in the account say the same.

pub mod journal;
pub mod lock;
pub mod store;
