//! The audience's app: one page and its API.
