//! What a resource is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::secret;

/// One resource as it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// What the stack calls it: its ownership tag says so.
    pub id: ResourceId,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Its fields, in the shape of a desired specification; it may have more.
    #[serde(serialize_with = "secret::hidden")]
    pub spec: Value,
    /// What it gives to others, such as its `id`.
    pub outputs: BTreeMap<String, String>,
    /// How far it is.
    pub readiness: Readiness,
}

/// How far a resource is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// Others may use it.
    Ready,
    /// It comes; the text says what it is doing.
    Waiting(String),
    /// It will not come by itself; the text says why.
    Failed(String),
    /// It is going away.
    Leaving,
}
