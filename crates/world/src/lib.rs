//! A local AWS and Kubernetes that answer the real clients' HTTP.
//!
//! The [`Core`] is synchronous, cloneable and serializable: a request and a point in time go in, an answer or a promise
//! of one comes out. It opens no socket, starts no task and reads no clock. [`connect`] stands it behind a connector
//! in the same process, `serve` behind a socket; both only move bytes and time.
//!
//! It never meets the code that calls it but as HTTP: that is what makes it evidence.

mod arrivals;
pub mod connect;
mod content;
mod core;
mod random;
mod remote;
pub mod serve;
pub mod snapshot;

mod aws;
mod kube;
mod registry;

pub mod models;

pub use crate::aws::BadFault;
pub use crate::aws::Fault;
pub use crate::aws::Mutation;
pub use crate::aws::Trouble;
pub use crate::core::Container;
pub use crate::core::Core;
pub use crate::core::Origin;
pub use crate::core::Output;
pub use crate::core::PodName;
pub use crate::core::ProgramCall;
pub use crate::core::Reply;
pub use crate::core::Request;
pub use crate::core::Response;
pub use crate::core::Settings;
pub use crate::core::Ticket;
pub use crate::kube::ControlPlane;
pub use crate::kube::network::Served;
