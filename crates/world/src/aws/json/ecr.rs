//! ECR: the account's own image repositories.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::core::Response;

/// Repositories of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ecr {}

impl Ecr {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(_scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    Err(Refusal::unknown_operation(call))
}
