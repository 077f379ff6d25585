//! Elastic Load Balancing v2: load balancers, listeners and target groups of one region.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::query;
use crate::aws::query::Operation;
use crate::core::Response;

const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

const OPERATIONS: &[Operation] = &[];

/// Load balancing's part of a region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Elb {}

impl Elb {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    query::answer(scene, call, OPERATIONS, NAMESPACE)
}
