//! Services: their addresses, and which pods are behind them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::store::Change;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Writes Endpoints and `EndpointSlices` of services with a selector.
pub(super) const ACTOR: Actor = Actor {
    name: "endpoints",
    watches: &[kinds::SERVICE, kinds::POD],
    work: Work::Each { concerns, reconcile },
};

/// The label of a slice that names its service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

fn concerns(store: &Store, change: &Change) -> Vec<Name> {
    let name = Name::of(change.object());
    if change.kind == kinds::SERVICE {
        return vec![name];
    }
    let facts = |pod: &Value| (pod::ready(pod), marked(pod), pod["status"]["podIP"].clone());
    if let (Some(before), Some(after)) = (&change.before, &change.after)
        && facts(before) == facts(after)
        && selector::labels(before) == selector::labels(after)
    {
        return Vec::new();
    }
    let services = store.list_in(&kinds::SERVICE, &name.namespace);
    let sides = [change.before.as_deref(), change.after.as_deref()];
    let meant = services.filter(|service| sides.iter().flatten().any(|pod| chooses(service, pod)));
    meant.map(|service| Name::of(service)).collect()
}

/// Whether a service's selector chooses a pod.
fn chooses(service: &Value, pod: &Value) -> bool {
    let wanted = &service["spec"]["selector"];
    wanted.as_object().is_some_and(|wanted| !wanted.is_empty()) && selector::has_all(wanted, selector::labels(pod))
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let store = &mut scene.cluster.store;
    let Some(service) = store.get(&kinds::SERVICE, &name.namespace, &name.name).cloned() else {
        store.delete(&kinds::ENDPOINTS, &name.namespace, &name.name, scene.now, 0);
        return None;
    };
    if service["spec"]["clusterIP"].is_null() && service["spec"]["type"] != "ExternalName" {
        give_address(scene, name);
    }
    if service["spec"]["selector"].is_null() {
        return None;
    }
    let pods: Vec<Arc<Value>> = scene
        .cluster
        .store
        .list_in(&kinds::POD, &name.namespace)
        .filter(|pod| chooses(&service, pod) && !pod::over(pod) && pod["status"]["podIP"].is_string())
        .cloned()
        .collect();
    write_slice(scene, name, &service, &pods);
    write_endpoints(scene, name, &service, &pods);
    None
}

/// Gives a service an address from the cluster's range.
fn give_address(scene: &mut Scene<'_>, name: &Name) {
    let address = loop {
        let address = format!("172.20.{}.{}", scene.random.below(256), 1 + scene.random.below(254));
        let mut services = scene.cluster.store.list(&kinds::SERVICE);
        if !services.any(|service| service["spec"]["clusterIP"] == *address) {
            break address;
        }
    };
    let store = &mut scene.cluster.store;
    store.change(&kinds::SERVICE, &name.namespace, &name.name, |service| {
        service["spec"]["clusterIP"] = json!(address);
        service["spec"]["clusterIPs"] = json!([address]);
    });
}

fn write_slice(scene: &mut Scene<'_>, name: &Name, service: &Value, pods: &[Arc<Value>]) {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let ready = pod::ready(pod) || service["spec"]["publishNotReadyAddresses"] == true;
            json!({
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": ready, "serving": ready, "terminating": marked(pod)},
                "nodeName": pod["spec"]["nodeName"],
                "targetRef": reference(pod),
            })
        })
        .collect();
    let ports: Vec<Value> = list(&service["spec"]["ports"])
        .iter()
        .map(|port| {
            json!({
                "name": port["name"].as_str().unwrap_or_default(),
                "port": target_port(port, pods),
                "protocol": port["protocol"].as_str().unwrap_or("TCP"),
            })
        })
        .collect();
    let existing = scene
        .cluster
        .store
        .list_in(&kinds::ENDPOINT_SLICE, &name.namespace)
        .find(|slice| slice["metadata"]["labels"][SERVICE_NAME] == *name.name)
        .map(|slice| Name::of(slice));
    if let Some(slice) = existing {
        let store = &mut scene.cluster.store;
        store.change(&kinds::ENDPOINT_SLICE, &slice.namespace, &slice.name, |slice| {
            slice["endpoints"] = json!(endpoints);
            slice["ports"] = json!(ports);
        });
        return;
    }
    let suffix = scene.random.suffix(5);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{suffix}", name.name),
            "generateName": format!("{}-", name.name),
            "namespace": name.namespace,
            "labels": {
                SERVICE_NAME: name.name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": owner::controlled_by(service),
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    });
    let store = &mut scene.cluster.store;
    store.create(&kinds::ENDPOINT_SLICE, slice, scene.now, scene.random);
}

fn write_endpoints(scene: &mut Scene<'_>, name: &Name, service: &Value, pods: &[Arc<Value>]) {
    let address = |pod: &Arc<Value>| {
        json!({
            "ip": pod["status"]["podIP"],
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": reference(pod),
        })
    };
    let (ready, other): (Vec<_>, Vec<_>) = pods
        .iter()
        .filter(|pod| !marked(pod))
        .partition(|pod| pod::ready(pod) || service["spec"]["publishNotReadyAddresses"] == true);
    let ports: Vec<Value> = list(&service["spec"]["ports"])
        .iter()
        .map(|port| {
            let mut entry = json!({
                "port": target_port(port, pods),
                "protocol": port["protocol"].as_str().unwrap_or("TCP"),
            });
            if let Some(name) = port["name"].as_str() {
                entry["name"] = json!(name);
            }
            entry
        })
        .collect();
    let mut subset = json!({"ports": ports});
    if !ready.is_empty() {
        subset["addresses"] = ready.into_iter().map(address).collect();
    }
    if !other.is_empty() {
        subset["notReadyAddresses"] = other.into_iter().map(address).collect();
    }
    let empty = subset.as_object().is_some_and(|subset| subset.len() == 1);
    let subsets = if empty { json!([]) } else { json!([subset]) };
    let store = &mut scene.cluster.store;
    let known = store.change(&kinds::ENDPOINTS, &name.namespace, &name.name, |endpoints| {
        endpoints["subsets"] = subsets.clone();
    });
    if known.is_none() {
        let endpoints = json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {
                "name": name.name,
                "namespace": name.namespace,
                "labels": service["metadata"]["labels"],
            },
            "subsets": subsets,
        });
        store.create(&kinds::ENDPOINTS, endpoints, scene.now, scene.random);
    }
}

fn reference(pod: &Value) -> Value {
    json!({
        "kind": "Pod",
        "name": pod["metadata"]["name"],
        "namespace": pod["metadata"]["namespace"],
        "uid": pod["metadata"]["uid"],
    })
}

/// The port number behind a service's port: a named one is looked up in the first pod that has it.
fn target_port(port: &Value, pods: &[Arc<Value>]) -> Value {
    let target = &port["targetPort"];
    let Some(name) = target.as_str() else {
        return if target.is_null() {
            port["port"].clone()
        } else {
            target.clone()
        };
    };
    let named = pods.iter().find_map(|pod| pod_port(pod, name));
    named
        .or_else(|| name.parse().ok())
        .map_or(Value::Null, |number: u64| json!(number))
}

/// The number of a pod's named port.
pub(crate) fn pod_port(pod: &Value, name: &str) -> Option<u64> {
    let containers = list(&pod["spec"]["containers"]).iter();
    containers
        .flat_map(|container| list(&container["ports"]))
        .find(|port| port["name"] == name)?["containerPort"]
        .as_u64()
}

/// Whether a service has an endpoint that is ready.
pub(crate) fn has_ready(store: &Store, namespace: &str, service: &str) -> bool {
    store
        .list_in(&kinds::ENDPOINT_SLICE, namespace)
        .filter(|slice| slice["metadata"]["labels"][SERVICE_NAME] == service)
        .flat_map(|slice| list(&slice["endpoints"]))
        .any(|endpoint| endpoint["conditions"]["ready"] == true)
}
