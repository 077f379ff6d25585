//! What a resource should be.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::secret;
use crate::resource::unknown;

/// One resource as the stack wants it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Desired {
    /// What the stack calls it.
    pub id: ResourceId,
    /// What sort of thing it is.
    pub kind: Kind,
    /// What it is called where it lives.
    pub name: String,
    /// Its fields; what is not known yet stands in it as a sentinel.
    #[serde(serialize_with = "secret::hidden")]
    pub spec: Value,
    /// What must be usable before it, beyond what its fields refer to.
    pub needs: BTreeSet<ResourceId>,
}

impl Desired {
    /// A resource with no order but what its fields show.
    pub fn new(kind: Kind, id: &str, name: impl Into<String>, spec: Value) -> Self {
        Self {
            id: ResourceId::new(kind.name(), id),
            kind,
            name: name.into(),
            spec,
            needs: BTreeSet::new(),
        }
    }

    /// The same, after `needs`.
    #[must_use]
    pub fn after(mut self, needs: impl IntoIterator<Item = ResourceId>) -> Self {
        self.needs.extend(needs);
        self
    }

    /// Everything that must be usable before it: what it was told and what its fields refer to.
    pub fn dependencies(&self) -> BTreeSet<ResourceId> {
        let referred = unknown::in_value(&self.spec)
            .into_iter()
            .map(|unknown| unknown.resource);
        self.needs
            .iter()
            .cloned()
            .chain(referred)
            .filter(|id| *id != self.id)
            .collect()
    }
}
