//! IAM: roles, policies, instance profiles and identity providers. It exists once for the account, in no region.

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

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

const OPERATIONS: &[Operation<Run>] = &[];

/// IAM's part of the account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Iam {}

impl Iam {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut site = scene.site(&call.scope.region);
    query::answer(call, OPERATIONS, NAMESPACE, |run, form| run(&mut site, form))
}
