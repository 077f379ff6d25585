//! Kubernetes through the kube client: server-side apply, reads by the list, waits, bounded deletes.

pub mod apply;
pub mod observe;
pub mod reach;
pub mod ready;
pub mod release;
mod remove;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::api::GetParams;
use kube::api::ListParams;
use kube::core::GroupVersionKind;
use kube::core::Request;
use kube::discovery::Scope;
use serde_json::Value;
use tokio::sync::Mutex;
use tubectl_clock::Clock;

use crate::provider::error::Class;
use crate::provider::error::ProviderError;

/// One cluster.
#[derive(Clone)]
pub struct Kube {
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    // What the API server serves, as far as it was asked for. Only what exists is remembered: a kind may still come.
    kinds: Arc<Mutex<BTreeMap<(String, String), Served>>>,
}

/// A kind as the API server serves it.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    resource: ApiResource,
    namespaced: bool,
}

/// What names an object in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// Group and version, as in `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// What an object calls itself.
    pub fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
        }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl Kube {
    /// The cluster behind a client.
    pub fn new(client: kube::Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            kinds: Arc::default(),
        }
    }

    /// The client itself, for watches.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The object as it is; none when there is none, or no such kind.
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Value>, ProviderError> {
        let api = match self.api(name).await {
            Ok(api) => api,
            Err(error) if error.class == Class::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let request = Request::new(api.resource_url()).get(&name.name, &GetParams::default());
        match self.ask(&format!("get {name}"), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.class == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a kind, in one LIST; none when there is no such kind.
    pub async fn list(&self, api_version: &str, kind: &str, selector: &str) -> Result<Vec<Value>, ProviderError> {
        let name = ObjectName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: String::new(),
            name: String::new(),
        };
        let served = match self.served(&name).await {
            Ok(served) => served,
            Err(error) if error.class == Class::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let api: kube::Api<DynamicObject> = kube::Api::all_with(self.client.clone(), &served.resource);
        let mut objects = self.objects(&api, &format!("list {kind}"), selector).await?;
        for object in &mut objects {
            // The items of a list do not repeat what the list is of.
            object["apiVersion"] = Value::String(api_version.to_owned());
            object["kind"] = Value::String(kind.to_owned());
        }
        Ok(objects)
    }

    async fn objects(
        &self,
        api: &kube::Api<DynamicObject>,
        what: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ProviderError> {
        let request = Request::new(api.resource_url()).list(&ListParams::default().labels(selector));
        let mut list = self.ask(what, request).await?;
        match list["items"].take() {
            Value::Array(objects) => Ok(objects),
            _ => Ok(Vec::new()),
        }
    }

    /// Sends a request and takes the answer as it is: thousands of objects are not to be read twice.
    async fn ask(
        &self,
        what: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, ProviderError> {
        let request = request.map_err(|error| refused(what, kube::Error::BuildRequest(error)))?;
        self.client.request(request).await.map_err(|error| refused(what, error))
    }

    /// Deletes an object; gives whether there was one.
    pub async fn delete(&self, name: &ObjectName) -> Result<bool, ProviderError> {
        let api = match self.api(name).await {
            Ok(api) => api,
            Err(error) if error.class == Class::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let deleted = api.delete(&name.name, &kube::api::DeleteParams::background()).await;
        match deleted.map_err(|error| refused(&format!("delete {name}"), error)) {
            Ok(_) => Ok(true),
            Err(error) if error.class == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object and waits until it is gone; when it does not go, the error names the finalizers that hold it.
    pub async fn delete_and_wait(&self, name: &ObjectName, within: Duration) -> Result<(), ProviderError> {
        self.delete(name).await?;
        let begun = self.clock.now();
        while let Some(object) = self.get(name).await? {
            if self.clock.since(begun) >= within {
                let held = object["metadata"]["finalizers"].as_array().into_iter().flatten();
                let held: Vec<&str> = held.filter_map(Value::as_str).collect();
                let words = match held.as_slice() {
                    [] => "it is still there".to_owned(),
                    held => format!("its finalizers are still there: {}", held.join(", ")),
                };
                return Err(ProviderError::found(format!("deleting {name}"), words));
            }
            self.clock.sleep(Duration::from_secs(2)).await;
        }
        Ok(())
    }

    pub(crate) async fn api(&self, name: &ObjectName) -> Result<kube::Api<DynamicObject>, ProviderError> {
        let served = self.served(name).await?;
        Ok(if served.namespaced {
            let namespace = if name.namespace.is_empty() {
                "default"
            } else {
                &name.namespace
            };
            kube::Api::namespaced_with(self.client.clone(), namespace, &served.resource)
        } else {
            kube::Api::all_with(self.client.clone(), &served.resource)
        })
    }

    async fn served(&self, name: &ObjectName) -> Result<Served, ProviderError> {
        let key = (name.api_version.clone(), name.kind.clone());
        if let Some(served) = self.kinds.lock().await.get(&key) {
            return Ok(served.clone());
        }
        let (group, version) = name.api_version.split_once('/').unwrap_or(("", &name.api_version));
        let kind = GroupVersionKind::gvk(group, version, &name.kind);
        let what = format!("find kind {} of {}", name.kind, name.api_version);
        let found = kube::discovery::oneshot::pinned_kind(&self.client, &kind).await;
        let (resource, capabilities) = found.map_err(|error| refused(&what, error))?;
        let served = Served {
            resource,
            namespaced: capabilities.scope == Scope::Namespaced,
        };
        self.kinds.lock().await.insert(key, served.clone());
        Ok(served)
    }
}

/// The kube client's error in our words.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands in `map_err`, which hands errors over"
)]
pub(crate) fn refused(what: &str, error: kube::Error) -> ProviderError {
    let (code, class, words) = match &error {
        kube::Error::Api(status) => (status.reason.clone(), classify(status), status.message.clone()),
        kube::Error::Discovery(_) => (String::new(), Class::NotFound, error.to_string()),
        _ => (String::new(), Class::Unanswered, crate::error::with_causes(&error)),
    };
    ProviderError {
        what: what.to_owned(),
        code,
        class,
        source: words.into(),
    }
}

/// What a Status means. The only place that knows its codes.
fn classify(status: &kube::core::Status) -> Class {
    // A webhook whose pods are not there yet, and an aggregated API on its way, pass.
    let on_its_way =
        status.message.contains("failed calling webhook") || status.message.contains("no endpoints available");
    match status.code {
        _ if on_its_way => Class::Propagating,
        404 => Class::NotFound,
        // A fresh access entry is not known everywhere for seconds.
        401 => Class::Propagating,
        403 if status.reason == "Forbidden" && status.message.contains("cannot") => Class::Propagating,
        403 => Class::Denied,
        409 if status.reason == "AlreadyExists" => Class::Exists,
        409 => Class::InUse,
        429 => Class::Throttled,
        500..=599 => Class::Unanswered,
        _ => Class::Other,
    }
}
