//! Doing what was planned: in parallel, in order of need, with a journal, stoppable at any instant.

pub mod cancel;
pub mod wait;
pub mod walk;
