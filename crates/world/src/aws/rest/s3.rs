//! S3: buckets and their objects, once for the account.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::core::Request;
use crate::core::Response;

/// Buckets of the account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct S3 {}

impl S3 {
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
