//! `ReplicaSets`: as many pods as they should have, and which of them go first.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::event;
use crate::kube::actors::itself_or_controller;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Creates and deletes the pods of `ReplicaSets`.
pub(super) const ACTOR: Actor = Actor {
    name: "replicaset",
    watches: &[kinds::REPLICA_SET, kinds::POD],
    work: Work::Each {
        concerns: |_, change| itself_or_controller(change, &kinds::REPLICA_SET),
        reconcile,
    },
};

/// How many pods one run creates or deletes at most; the next run goes on.
const BURST: usize = 500;

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let set = scene
        .cluster
        .store
        .get(&kinds::REPLICA_SET, &name.namespace, &name.name)?
        .clone();
    if marked(&set) {
        return None;
    }
    let pods = pods_of(scene, pod::uid(&set));
    let active: Vec<Arc<Value>> = pods.into_iter().filter(|pod| pod::active(pod)).collect();
    let wanted = replicas(&set);
    if active.len() < wanted {
        for _ in 0..(wanted - active.len()).min(BURST) {
            create(scene, &set);
        }
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        for pod in ranked(scene, active.clone()).into_iter().take(surplus.min(BURST)) {
            let victim = Name::of(&pod);
            pod::delete(&mut scene.cluster.store, &victim, scene.now);
            event::record(
                scene,
                &set,
                "replicaset-controller",
                event::Kind::Normal,
                "SuccessfulDelete",
                &format!("Deleted pod: {}", victim.name),
            );
        }
    }
    write_status(scene, name, &set);
    None
}

/// The replicas that a workload asks for; one if it does not say.
pub(super) fn replicas(workload: &Value) -> usize {
    let replicas = workload["spec"]["replicas"].as_u64().unwrap_or(1);
    usize::try_from(replicas).unwrap_or(usize::MAX)
}

/// The pods that an owner controls.
pub(super) fn pods_of(scene: &mut Scene<'_>, uid: &str) -> Vec<Arc<Value>> {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let names = cluster.actors.pods.of_controller(uid);
    let pods = names.filter_map(|name| cluster.store.get(&kinds::POD, &name.namespace, &name.name));
    pods.cloned().collect()
}

fn create(scene: &mut Scene<'_>, set: &Value) {
    let name = Name::of(set);
    let prefix = &name.name[..name.name.len().min(58)];
    let pod_name = format!("{prefix}-{}", scene.random.suffix(5));
    let mut pod = pod::from_template(
        &set["spec"]["template"],
        &pod_name,
        &name.namespace,
        &owner::controlled_by(set),
    );
    pod["metadata"]["generateName"] = json!(format!("{prefix}-"));
    scene.cluster.store.create(&kinds::POD, pod, scene.now, scene.random);
    event::record(
        scene,
        set,
        "replicaset-controller",
        event::Kind::Normal,
        "SuccessfulCreate",
        &format!("Created pod: {pod_name}"),
    );
}

/// The pods in the order in which they go: not bound before bound, Pending before Running, not ready before ready,
/// a low deletion cost before a high one, from a node with many of them before one with few, young before old.
fn ranked(scene: &Scene<'_>, mut pods: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    let mut on_node = std::collections::BTreeMap::<String, usize>::new();
    for node in pods.iter().filter_map(|pod| pod::node(pod)) {
        *on_node.entry(node.to_owned()).or_default() += 1;
    }
    let phase = |pod: &Value| match pod["status"]["phase"].as_str() {
        Some("Pending") => 0,
        Some("Running") => 2,
        _ => 1,
    };
    let cost = |pod: &Value| {
        let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str();
        cost.and_then(|cost| cost.parse::<i64>().ok()).unwrap_or(0)
    };
    let age = |since: Option<Timestamp>| {
        let seconds = since.map_or(0, |since| scene.now.as_second() - since.as_second());
        seconds.max(0).checked_ilog2().map_or(0, |power| power + 1)
    };
    pods.sort_by_cached_key(|pod| {
        (
            pod::node(pod).is_some(),
            phase(pod),
            pod::ready(pod),
            cost(pod),
            Reverse(pod::node(pod).and_then(|node| on_node.get(node)).copied().unwrap_or(0)),
            age(pod::ready_since(pod)),
            age(pod::time(&pod["metadata"]["creationTimestamp"])),
            pod::uid(pod).to_owned(),
        )
    });
    pods
}

fn write_status(scene: &mut Scene<'_>, name: &Name, set: &Value) {
    let pods = pods_of(scene, pod::uid(set));
    let active: Vec<&Arc<Value>> = pods.iter().filter(|pod| pod::active(pod)).collect();
    let template = selector::labels(&set["spec"]["template"]);
    let labeled = active
        .iter()
        .filter(|pod| selector::has_all(template, selector::labels(pod)));
    let labeled = labeled.count();
    let ready = active.iter().filter(|pod| pod::ready(pod)).count();
    let least = set["spec"]["minReadySeconds"].as_i64().unwrap_or(0);
    let now = scene.now.as_second();
    let settled = |pod: &Value| pod::ready_since(pod).is_some_and(|since| now - since.as_second() >= least);
    let available = active.iter().filter(|pod| pod::ready(pod) && settled(pod)).count();
    scene
        .cluster
        .store
        .change(&kinds::REPLICA_SET, &name.namespace, &name.name, |set| {
            let generation = set["metadata"]["generation"].clone();
            let status = &mut set["status"];
            status["replicas"] = json!(active.len());
            status["observedGeneration"] = generation;
            for (field, count) in [
                ("fullyLabeledReplicas", labeled),
                ("readyReplicas", ready),
                ("availableReplicas", available),
            ] {
                set_count(status, field, count);
            }
        });
}

/// Sets a count; Kubernetes leaves out those that are zero.
pub(super) fn set_count(status: &mut Value, field: &str, count: usize) {
    if count > 0 {
        status[field] = json!(count);
    } else if let Some(fields) = status.as_object_mut() {
        fields.remove(field);
    }
}
