//! APIs that a server behind a service answers: metrics, mostly.
//!
//! An `APIService` that names a service makes its group appear in discovery, and its paths unavailable until a ready
//! pod stands behind the service. What such a server says comes from the actor that plays it; the values of external
//! metrics are told to the autoscaler alone, because asking KEDA for one changes what it does next.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Request;
use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::metrics;
use crate::kube::api::resources::condition;
use crate::kube::api::status::Failure;
use crate::kube::api::status::json_response;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

/// The kind that announces an aggregated API.
pub(crate) const API_SERVICE: GroupKind = GroupKind::of("APIService.apiregistration.k8s.io");
const SERVICE: GroupKind = GroupKind::of("Service");
const POD: GroupKind = GroupKind::of("Pod");

/// A server that an actor plays.
struct Server {
    group: &'static str,
    /// Its resources, as discovery shows them.
    resources: fn() -> Value,
    answer: fn(&Scene<'_>, &Request) -> Response,
}

const SERVERS: &[Server] = &[
    Server {
        group: metrics::GROUP,
        resources: metrics::resources,
        answer: metrics::answer,
    },
    Server {
        group: "external.metrics.k8s.io",
        resources: || {
            json!([{"name": "externalmetrics", "singularName": "", "namespaced": true,
                "kind": "ExternalMetricValueList", "verbs": ["get"]}])
        },
        answer: |_, _| Failure::not_simulated("tells external metrics to its autoscaler alone").response(),
    },
];

/// Answers a path under a group that an `APIService` announces; none if none does.
pub(crate) fn answer(scene: &Scene<'_>, request: &Request) -> Option<Response> {
    let mut parts = request.uri().path().split('/').filter(|part| !part.is_empty());
    let (Some("apis"), Some(group), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let announced = announcement(&scene.cluster.store, group, version)?;
    if condition(announced, "Available") != Some("True") {
        return Some(Failure::unavailable().response());
    }
    Some(match server_of(announced) {
        Some(server) => (server.answer)(scene, request),
        None => Failure::unavailable().response(),
    })
}

/// The server that answers for a group; none if nobody plays it or it is not available.
fn server_of(announced: &Value) -> Option<&'static Server> {
    let available = condition(announced, "Available") == Some("True");
    let server = SERVERS.iter().find(|server| announced["spec"]["group"] == server.group);
    server.filter(|_| available)
}

/// The resource list of an aggregated version.
pub(crate) fn resources(store: &Store, group: &str, version: &str) -> Option<Response> {
    let announced = announcement(store, group, version)?;
    let Some(server) = server_of(announced) else {
        return Some(Failure::unavailable().response());
    };
    let list = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{group}/{version}"),
        "resources": (server.resources)(),
    });
    Some(json_response(StatusCode::OK, &list))
}

/// The aggregated groups, as the list of groups shows them.
pub(crate) fn groups(store: &Store) -> impl Iterator<Item = Value> {
    announced(store).map(|(group, version, _)| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"name": group, "versions": [version], "preferredVersion": version})
    })
}

/// The aggregated groups in the aggregated form; those whose server does not answer are stale.
pub(crate) fn discovery(store: &Store) -> impl Iterator<Item = Value> {
    announced(store).map(|(group, version, object)| {
        let version = match server_of(object) {
            None => json!({"version": version, "freshness": "Stale"}),
            Some(server) => {
                let resources = (server.resources)();
                let resources: Vec<Value> = resources
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|resource| discovered(resource, group, version))
                    .collect();
                json!({"version": version, "resources": resources, "freshness": "Current"})
            }
        };
        json!({"metadata": {"name": group}, "versions": [version]})
    })
}

/// A resource of the old form in the aggregated one.
fn discovered(resource: &Value, group: &str, version: &str) -> Value {
    json!({
        "resource": resource["name"],
        "responseKind": {"group": group, "version": version, "kind": resource["kind"]},
        "scope": if resource["namespaced"] == true { "Namespaced" } else { "Cluster" },
        "singularResource": resource["singularName"],
        "verbs": resource["verbs"],
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
