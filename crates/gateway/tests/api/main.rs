//! The API as a phone, a load generator and an operator see it, in virtual time.

#![expect(clippy::unwrap_used, reason = "what a test relies on is the test")]

mod app;
mod questions;
mod service;
mod survey;
