//! How each kind is read, made, changed and taken away: AWS through its SDKs, Kubernetes through the kube client.

pub mod aws;
pub mod error;
pub mod kube;
