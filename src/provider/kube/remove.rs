//! What taking things away needs beyond a delete.

use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Value;

use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::refused;

impl Kube {
    /// Whether the API server answers, and lets us in.
    pub async fn is_reachable(&self) -> bool {
        self.client.apiserver_version().await.is_ok() && self.list("v1", "Namespace", "").await.is_ok()
    }

    /// Merges fields into an object; one that is gone needs none.
    pub async fn merge(&self, name: &ObjectName, fields: &Value) -> Result<(), ProviderError> {
        let merged = async {
            let api = self.api(name).await?;
            let patched: Result<DynamicObject, _> = api
                .patch(&name.name, &PatchParams::default(), &Patch::Merge(fields))
                .await;
            patched
                .map(drop)
                .map_err(|error| refused(&format!("patch {name}"), error))
        };
        match merged.await {
            Err(error) if error.class == Class::NotFound => Ok(()),
            other => other,
        }
    }
}
