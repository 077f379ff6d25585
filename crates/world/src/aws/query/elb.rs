//! Elastic Load Balancing v2: load balancers, listeners and target groups of one region.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::query;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::core::Response;

const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

const OPERATIONS: &[Operation<Run>] = &[];

/// Load balancing's part of a region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Elb {}

impl Elb {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut site = scene.site(&call.scope.region);
    query::answer(call, OPERATIONS, NAMESPACE, |run, form| run(&mut site, form))
}
