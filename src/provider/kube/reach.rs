//! Into a cluster: objects of one namespace, and what pods say, read through the API server.
//!
//! Pods are reached as `kubectl get --raw` reaches them, so that nothing has to be opened to the outside.

use serde_json::Value;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::refused;

impl Kube {
    /// All objects of a kind in one namespace.
    pub async fn list_in(
        &self,
        namespace: &str,
        api_version: &str,
        kind: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ProviderError> {
        let name = ObjectName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        let api = self.api(&name).await?;
        self.objects(&api, &format!("list {kind} in {namespace}"), selector)
            .await
    }

    /// What a pod answers at a path of its first port.
    pub async fn ask_pod(&self, namespace: &str, pod: &str, path: &str) -> Result<String, ProviderError> {
        let what = format!("ask pod {namespace}/{pod} for {path}");
        let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}/proxy{path}");
        let request = http::Request::get(uri).body(Vec::new());
        let request = request.map_err(|error| ProviderError::found(&what, error.to_string()))?;
        self.client
            .request_text(request)
            .await
            .map_err(|error| refused(&what, error))
    }
}
