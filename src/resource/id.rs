//! What a resource is called within its stack, the same in every run.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// The identity of a resource within its stack: `kind/name` for AWS, `release/kind/namespace/name` for Kubernetes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(String);

impl ResourceId {
    /// The identity `kind/name`.
    pub fn new(kind: &str, name: &str) -> Self {
        Self(format!("{kind}/{name}"))
    }

    /// The identity that is written as `text`.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The identity as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
