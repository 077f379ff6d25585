//! EKS: clusters, their node groups, add-ons and access.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::core::Request;
use crate::core::Response;

/// Clusters of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Eks {}

impl Eks {
    /// When something of it next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        None
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(_scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    Err(Refusal::unknown_operation(call))
}

/// The operation that method and path name.
pub(crate) fn operation_of(request: &Request) -> Option<String> {
    Some(format!("{} {}", request.method(), request.uri().path()))
}

/// Lets it act on what is due in one region.
pub(crate) fn advance(scene: &mut Scene<'_>, region: &str) {
    let _ = (scene, region);
}
