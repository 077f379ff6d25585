//! Server-side apply: what we say of an object is ours, what others say stays theirs, conflicts are named.

use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Value;

use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::ready::readiness;
use crate::provider::kube::refused;
use crate::resource::observed::Readiness;

/// Helm's own field manager: Helm can take over what we applied.
pub const MANAGER: &str = "helm";

/// The show's field manager: what a cue wrote is the show's until the stack is taken down.
pub const SHOW: &str = "tubectl-show";

/// What becomes of fields that somebody else wrote and we want otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// They stay, and the apply is refused.
    Respect,
    /// They become ours: a plan named them, and was agreed to.
    Overrule,
}

impl Kube {
    /// Applies an object; gives it as it now is. What the show wrote stays the show's.
    pub async fn apply(&self, object: &Value, strangers: Strangers) -> Result<Value, ProviderError> {
        let name = ObjectName::of(object);
        let api = self.api(&name).await?;
        let mut parameters = PatchParams::apply(MANAGER);
        let applied: Result<DynamicObject, _> = api.patch(&name.name, &parameters, &Patch::Apply(object)).await;
        let status = match applied {
            Ok(applied) => return Ok(whole(applied)),
            Err(kube::Error::Api(status)) if status.reason == "Conflict" => status,
            Err(error) => return Err(refused(&format!("apply {name}"), error)),
        };
        let causes = || status.details.iter().flat_map(|details| &details.causes);
        let mut rest = object.clone();
        for cause in causes().filter(|cause| cause.message.contains(SHOW)) {
            let pointer = cause.field.replace('.', "/");
            let Some((above, field)) = pointer.rsplit_once('/') else {
                continue;
            };
            if let Some(fields) = rest.pointer_mut(above).and_then(Value::as_object_mut) {
                fields.remove(field);
            }
        }
        if causes().next().is_none() || causes().any(|cause| !cause.message.contains(SHOW)) {
            if strangers == Strangers::Respect {
                return Err(conflict(&name, &status));
            }
            parameters = parameters.force();
        }
        let applied: Result<DynamicObject, _> = api.patch(&name.name, &parameters, &Patch::Apply(&rest)).await;
        applied
            .map(whole)
            .map_err(|error| refused(&format!("apply {name}"), error))
    }

    /// Writes a few fields as the show, whoever they belong to.
    pub async fn apply_as_show(&self, object: &Value) -> Result<(), ProviderError> {
        let name = ObjectName::of(object);
        let parameters = PatchParams::apply(SHOW).force();
        let applied = self
            .api(&name)
            .await?
            .patch(&name.name, &parameters, &Patch::Apply(object))
            .await;
        applied
            .map(drop)
            .map_err(|error| refused(&format!("apply {name}"), error))
    }

    /// How far an object is, and what stands behind it that must be there as well.
    pub async fn readiness(&self, name: &ObjectName) -> Result<Readiness, ProviderError> {
        let Some(object) = self.get(name).await? else {
            return Ok(Readiness::Waiting("not there yet".to_owned()));
        };
        match readiness(&object) {
            Readiness::Ready if name.kind.ends_with("WebhookConfiguration") => self.webhook_readiness(&object).await,
            readiness => Ok(readiness),
        }
    }

    /// A webhook admits nothing until its service has endpoints.
    async fn webhook_readiness(&self, configuration: &Value) -> Result<Readiness, ProviderError> {
        for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
            let service = &webhook["clientConfig"]["service"];
            let (Some(namespace), Some(name)) = (service["namespace"].as_str(), service["name"].as_str()) else {
                continue;
            };
            let selector = format!("kubernetes.io/service-name={name}");
            let slices = self.list("discovery.k8s.io/v1", "EndpointSlice", &selector).await?;
            let serves = slices
                .iter()
                .filter(|slice| slice["metadata"]["namespace"] == namespace)
                .any(|slice| {
                    let endpoints = slice["endpoints"].as_array();
                    endpoints
                        .into_iter()
                        .flatten()
                        .any(|endpoint| endpoint["conditions"]["ready"] != false)
                });
            if !serves {
                return Ok(Readiness::Waiting(format!(
                    "no endpoints of service {namespace}/{name} yet"
                )));
            }
        }
        Ok(Readiness::Ready)
    }
}

fn whole(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object came as JSON")
}

/// A conflict, field by field: whose they are, and what to do.
fn conflict(name: &ObjectName, status: &kube::core::Status) -> ProviderError {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<String> = causes
        .map(|cause| format!("{} ({})", cause.field, cause.message))
        .collect();
    let words = if fields.is_empty() {
        status.message.clone()
    } else {
        fields.join("; ")
    };
    ProviderError {
        what: format!("apply {name}"),
        code: "Conflict".to_owned(),
        class: Class::Other,
        source: words.into(),
    }
}
