//! Simulators of the controllers and engines whose dynamics a show lives on.
//!
//! Each is a plain state and functions that move it: given the same calls at the same times they decide the same,
//! and they can be copied and written down between any two calls. They know no store and no wire: what they read is
//! an argument, and what they decide is a value that an actor of the world carries out. Their decisions are held to
//! recordings of the real controllers in `tests/recorded`.

pub mod hpa;
pub mod karpenter;
pub mod keda;
pub mod otel;
pub mod vllm;
