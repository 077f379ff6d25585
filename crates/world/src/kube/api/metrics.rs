//! The metrics server: what pods and nodes use, as `kubectl top` asks for it.
//!
//! Nothing runs in this world's containers, so what they use is a steady share of what they ask for; it follows no load
//! and no autoscaler reads it.

use http::Method;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Request;
use crate::core::Response;
use crate::core::Scene;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::Amounts;
use crate::kube::actors::selector::list;
use crate::kube::api::select::Selection;
use crate::kube::api::status::Failure;
use crate::kube::api::status::json_response;
use crate::kube::store::seconds;

/// The group that it answers for.
pub(crate) const GROUP: &str = "metrics.k8s.io";

const VERSION: &str = "metrics.k8s.io/v1beta1";

/// The CPU of a container, in percent of its request, and of one that asks for none, in thousandths.
const CPU: (i64, i64) = (30, 5);
/// The same of its memory, in percent and bytes.
const MEMORY: (i64, i64) = (60, 20 << 20);
/// What a node's own services use: thousandths of a CPU and bytes.
const SYSTEM: (i64, i64) = (60, 350 << 20);

/// The resources that it serves, as discovery shows them.
pub(crate) fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    json!([
        resource("nodes", "NodeMetrics", false),
        resource("pods", "PodMetrics", true)
    ])
}

/// Answers one request.
pub(crate) fn answer(scene: &Scene<'_>, request: &Request) -> Response {
    reply(scene, request).unwrap_or_else(|failure| failure.response())
}

fn reply(scene: &Scene<'_>, request: &Request) -> Result<Response, Failure> {
    if request.method() != Method::GET {
        return Err(Failure::method_not_allowed());
    }
    let path: Vec<&str> = request.uri().path().split('/').skip(4).collect();
    let found = match path.as_slice() {
        ["nodes"] => of_many("NodeMetricsList", &nodes(scene, &selection(request)?, None)),
        ["nodes", name] => one(nodes(scene, &Selection::default(), Some(name)), "nodemetrics", name)?,
        ["pods"] => of_many("PodMetricsList", &pods(scene, &selection(request)?, None, None)),
        ["namespaces", namespace, "pods"] => {
            let found = pods(scene, &selection(request)?, Some(namespace), None);
            of_many("PodMetricsList", &found)
        }
        ["namespaces", namespace, "pods", name] => {
            let found = pods(scene, &Selection::default(), Some(namespace), Some(name));
            one(found, "podmetrics", name)?
        }
        _ => return Err(Failure::no_such_resource()),
    };
    Ok(json_response(StatusCode::OK, &found))
}

fn selection(request: &Request) -> Result<Selection, Failure> {
    let query = request.uri().query().unwrap_or_default();
    let wanted = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "labelSelector");
    Selection::by_labels(&wanted.map(|(_, value)| value).unwrap_or_default())
}

fn of_many(kind: &str, items: &[Value]) -> Value {
    json!({"kind": kind, "apiVersion": VERSION, "metadata": {}, "items": items})
}

fn one(found: Vec<Value>, resource: &str, name: &str) -> Result<Value, Failure> {
    let found = found.into_iter().next();
    found.ok_or_else(|| Failure::no_such(&format!("{resource}.{GROUP}"), name))
}

/// What one container uses: thousandths of a CPU and bytes.
fn used(container: &Value) -> (i64, i64) {
    let asked = Amounts::of(&container["resources"]["requests"]);
    let share = |(percent, least): (i64, i64), asked: i64| if asked == 0 { least } else { asked / 100 * percent };
    (share(CPU, asked.get("cpu")), share(MEMORY, asked.get("memory") / 1000))
}

fn usage((cpu, memory): (i64, i64)) -> Value {
    json!({"cpu": format!("{cpu}m"), "memory": format!("{}Ki", memory / 1024)})
}

/// What everything of it has: its kind, whose it is, and when it was measured.
fn measured(scene: &Scene<'_>, kind: &str, of: &Value) -> Value {
    let mut metadata = json!({"name": of["metadata"]["name"], "creationTimestamp": seconds(scene.now)});
    for field in ["namespace", "labels"] {
        if let Some(value) = of["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    json!({"kind": kind, "apiVersion": VERSION, "metadata": metadata, "timestamp": seconds(scene.now), "window": "15s"})
}

fn pods(scene: &Scene<'_>, selection: &Selection, namespace: Option<&str>, name: Option<&str>) -> Vec<Value> {
    let all = scene.cluster.store.list(&kinds::POD);
    let wanted = all.filter(|pod| {
        let metadata = &pod["metadata"];
        pod["status"]["phase"] == "Running"
            && namespace.is_none_or(|namespace| metadata["namespace"] == namespace)
            && name.is_none_or(|name| metadata["name"] == name)
            && selection.matches(pod)
    });
    wanted
        .map(|pod| {
            let containers = list(&pod["spec"]["containers"]).iter();
            let mut metrics = measured(scene, "PodMetrics", pod);
            metrics["containers"] = containers
                .map(|container| json!({"name": container["name"], "usage": usage(used(container))}))
                .collect();
            metrics
        })
        .collect()
}

fn nodes(scene: &Scene<'_>, selection: &Selection, name: Option<&str>) -> Vec<Value> {
    let all = scene.cluster.store.list(&kinds::NODE);
    let wanted = all.filter(|node| name.is_none_or(|name| node["metadata"]["name"] == name) && selection.matches(node));
    wanted
        .map(|node| {
            let mut metrics = measured(scene, "NodeMetrics", node);
            metrics["usage"] = usage(used_on(scene, &node["metadata"]["name"]));
            metrics
        })
        .collect()
}

/// What a node's own services and its pods use.
fn used_on(scene: &Scene<'_>, node: &Value) -> (i64, i64) {
    let pods = scene.cluster.store.list(&kinds::POD);
    pods.filter(|pod| pod["spec"]["nodeName"] == *node && !pod::over(pod))
        .flat_map(|pod| list(&pod["spec"]["containers"]))
        .map(used)
        .fold(SYSTEM, |(cpu, memory), (more, bytes)| (cpu + more, memory + bytes))
}
