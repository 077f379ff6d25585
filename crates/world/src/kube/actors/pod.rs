//! What actors ask of a pod: what it requests, whether it is over, ready, being deleted.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::kube::actors::condition;
use crate::kube::actors::quantity::Amounts;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// The node that a pod is bound to.
pub(crate) fn node(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

/// The uid of an object.
pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// Whether all its containers ended.
pub(crate) fn over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether it lives and is not being deleted.
pub(crate) fn active(pod: &Value) -> bool {
    !over(pod) && !marked(pod)
}

/// Whether it is Ready; a pod that is being deleted is not.
pub(crate) fn ready(pod: &Value) -> bool {
    !marked(pod) && condition::holds(pod, "Ready")
}

/// Since when it is Ready.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let condition = condition::find(pod, "Ready").filter(|condition| condition["status"] == "True")?;
    condition["lastTransitionTime"].as_str()?.parse().ok()
}

/// A point in time in an object's metadata or status.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// What the scheduler counts for it: the sum of its containers, at least the largest init container, one pod.
pub(crate) fn requests(pod: &Value) -> Amounts {
    let mut sum = Amounts::default();
    for container in list(&pod["spec"]["containers"]) {
        sum.add(&requests_of(container));
    }
    for container in list(&pod["spec"]["initContainers"]) {
        let wanted = requests_of(container);
        if container["restartPolicy"] == "Always" {
            sum.add(&wanted);
        } else {
            sum.at_least(&wanted);
        }
    }
    sum.add(&Amounts::of(&pod["spec"]["overhead"]));
    sum.add_one("pods", 1000);
    sum
}

/// A container's requests; a limit without a request is one.
fn requests_of(container: &Value) -> Amounts {
    let mut amounts = Amounts::of(&container["resources"]["limits"]);
    let requests = Amounts::of(&container["resources"]["requests"]);
    for (name, amount) in requests.iter() {
        let difference = amount - amounts.get(name);
        amounts.add_one(name, difference);
    }
    amounts
}

/// A new pod from a template.
pub(crate) fn from_template(template: &Value, name: &str, namespace: &str, owners: &Value) -> Value {
    let mut metadata = json!({"name": name, "namespace": namespace, "ownerReferences": owners});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut spec = template["spec"].clone();
    fill(&mut spec, "restartPolicy", "Always");
    fill(&mut spec, "dnsPolicy", "ClusterFirst");
    fill(&mut spec, "schedulerName", "default-scheduler");
    fill(&mut spec, "serviceAccountName", "default");
    fill(&mut spec, "terminationGracePeriodSeconds", 30);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Pending", "qosClass": quality(&template["spec"])},
    })
}

fn fill(spec: &mut Value, field: &str, value: impl Into<Value>) {
    if spec.get(field).is_none_or(Value::is_null) {
        spec[field] = value.into();
    }
}

/// The quality-of-service class, as the API server computes it.
fn quality(spec: &Value) -> &'static str {
    let containers = list(&spec["containers"]);
    let none = |container: &Value| {
        let resources = &container["resources"];
        Amounts::of(&resources["requests"]) == Amounts::default()
            && Amounts::of(&resources["limits"]) == Amounts::default()
    };
    let guaranteed = |container: &Value| {
        let limits = Amounts::of(&container["resources"]["limits"]);
        let requests = requests_of(container);
        ["cpu", "memory"]
            .iter()
            .all(|name| limits.get(name) > 0 && limits.get(name) == requests.get(name))
    };
    if containers.iter().all(none) {
        "BestEffort"
    } else if containers.iter().all(guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Deletes a pod with its own grace period; one that no node runs goes at once.
pub(crate) fn delete(store: &mut Store, name: &Name, now: Timestamp) {
    let Some(pod) = store.get(&super::kinds::POD, &name.namespace, &name.name) else {
        return;
    };
    if marked(pod) {
        return;
    }
    let grace = if node(pod).is_none() || over(pod) {
        0
    } else {
        grace(pod)
    };
    store.delete(&super::kinds::POD, &name.namespace, &name.name, now, grace);
}

/// The seconds that it may take to end.
pub(crate) fn grace(pod: &Value) -> u64 {
    pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30)
}
