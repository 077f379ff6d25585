//! APIs that a server behind a service answers: metrics, mostly.
//!
//! An `APIService` that names a service makes its group appear in discovery, and its paths unavailable until a ready
//! pod stands behind the service. What such a server says comes from the actor that plays it.

use serde_json::Value;
use serde_json::json;

use crate::core::Request;
use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::resources::condition;
use crate::kube::api::status::Failure;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

/// The kind that announces an aggregated API.
pub(crate) const API_SERVICE: GroupKind = GroupKind::of("APIService.apiregistration.k8s.io");
const SERVICE: GroupKind = GroupKind::of("Service");
const POD: GroupKind = GroupKind::of("Pod");

/// Answers one request to an aggregated API whose server is available.
pub(crate) type Answer = fn(&mut Scene<'_>, &Request) -> Response;

/// The servers that actors play, by the group that they answer for.
const SERVERS: &[(&str, Answer)] = &[];

/// Answers a path under a group that an `APIService` announces; none if none does.
pub(crate) fn answer(scene: &mut Scene<'_>, request: &Request) -> Option<Response> {
    let mut parts = request.uri().path().split('/').filter(|part| !part.is_empty());
    let (Some("apis"), Some(group), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let announced = announcement(&scene.cluster.store, group, version)?;
    if condition(announced, "Available") != Some("True") {
        return Some(Failure::unavailable().response());
    }
    let server = SERVERS.iter().find(|(served, _)| *served == group);
    Some(match server {
        Some((_, answer)) => answer(scene, request),
        None => Failure::unavailable().response(),
    })
}

/// The resource list of an aggregated version that cannot be asked.
pub(crate) fn resources(store: &Store, group: &str, version: &str) -> Option<Response> {
    let announced = announcement(store, group, version)?;
    let available = condition(announced, "Available") == Some("True");
    (!available).then(|| Failure::unavailable().response())
}

/// The aggregated groups, as the list of groups shows them.
pub(crate) fn groups(store: &Store) -> impl Iterator<Item = Value> {
    announced(store).map(|(group, version, _)| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"name": group, "versions": [version], "preferredVersion": version})
    })
}

/// The aggregated groups in the aggregated form. Their servers do not speak it, so they are marked as stale, and
/// clients ask each the old way.
pub(crate) fn discovery(store: &Store) -> impl Iterator<Item = Value> {
    announced(store).map(|(group, version, _)| {
        json!({"metadata": {"name": group}, "versions": [{"version": version, "freshness": "Stale"}]})
    })
}

/// Whether the server behind an `APIService` can be reached, as its condition says: status, reason, message.
pub(crate) fn availability(store: &Store, announced: &Value) -> (&'static str, &'static str, String) {
    let service = &announced["spec"]["service"];
    if service.is_null() {
        let message = "Local APIServices are always available";
        return ("True", "Local", message.to_owned());
    }
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let Some(found) = store.get(&SERVICE, namespace, name) else {
        let message = format!("service/{name} in \"{namespace}\" is not present");
        return ("False", "ServiceNotFound", message);
    };
    if !has_endpoint(store, found) {
        let message = format!("endpoints for service/{name} in \"{namespace}\" have no addresses");
        return ("False", "MissingEndpoints", message);
    }
    ("True", "Passed", "all checks passed".to_owned())
}

/// Whether a ready pod stands behind a service.
pub(crate) fn has_endpoint(store: &Store, service: &Value) -> bool {
    let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
    let Some(selector) = service["spec"]["selector"]
        .as_object()
        .filter(|selector| !selector.is_empty())
    else {
        return false;
    };
    store.list_in(&POD, namespace).any(|pod| {
        let labels = &pod["metadata"]["labels"];
        condition(pod, "Ready") == Some("True") && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn announcement<'a>(store: &'a Store, group: &str, version: &str) -> Option<&'a Value> {
    announced(store)
        .find(|(found, of, _)| *found == group && *of == version)
        .map(|(_, _, object)| object)
}

fn announced(store: &Store) -> impl Iterator<Item = (&str, &str, &Value)> {
    store.list(&API_SERVICE).filter_map(|object| {
        let spec = &object["spec"];
        spec.get("service").filter(|service| !service.is_null())?;
        Some((spec["group"].as_str()?, spec["version"].as_str()?, &**object))
    })
}
