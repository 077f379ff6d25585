//! Nodes: what becomes of the pods of a node that is gone, and of names that a node lease keeps.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::itself;
use crate::kube::actors::kinds;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Removes pods whose node is gone; keeps each node's lease.
pub(super) const ACTOR: Actor = Actor {
    name: "node",
    watches: &[kinds::NODE],
    work: Work::Each {
        concerns: itself,
        reconcile,
    },
};

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let store = &mut scene.cluster.store;
    let Some(node) = store.get(&kinds::NODE, "", &name.name).cloned() else {
        store.delete(&kinds::LEASE, "kube-node-lease", &name.name, scene.now, 0);
        scene.cluster.actors.kubelet.forget_node(&name.name);
        remove_pods(scene, &name.name);
        return None;
    };
    if store.get(&kinds::LEASE, "kube-node-lease", &name.name).is_none() && !marked(&node) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name.name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name.name, "leaseDurationSeconds": 40},
        });
        store.create(&kinds::LEASE, lease, scene.now, scene.random);
    }
    None
}

fn remove_pods(scene: &mut Scene<'_>, node: &str) {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let names: Vec<Name> = cluster.actors.pods.on_node(node).cloned().collect();
    for name in names {
        cluster.store.remove(&kinds::POD, &name);
    }
}

/// Sets or takes off a taint.
pub(crate) fn set_taint(node: &mut Value, key: &str, effect: &str, present: bool) {
    let mut taints = list(&node["spec"]["taints"]).to_vec();
    taints.retain(|taint| !(taint["key"] == key && taint["effect"] == effect));
    if present {
        taints.push(json!({"key": key, "effect": effect}));
    }
    if taints.is_empty() {
        if let Some(spec) = node["spec"].as_object_mut() {
            spec.remove("taints");
        }
    } else {
        node["spec"]["taints"] = json!(taints);
    }
}
