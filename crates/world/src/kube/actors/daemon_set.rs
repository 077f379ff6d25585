//! `DaemonSets`: one pod on every node that takes it.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::replica_set::pods_of;
use crate::kube::actors::scheduler;
use crate::kube::actors::selector::list;
use crate::kube::store::Change;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Creates the pods of `DaemonSets`.
pub(super) const ACTOR: Actor = Actor {
    name: "daemonset",
    watches: &[kinds::DAEMON_SET, kinds::POD, kinds::NODE],
    work: Work::Each { concerns, reconcile },
};

const HASH: &str = "controller-revision-hash";

fn concerns(store: &Store, change: &Change) -> Vec<Name> {
    if change.kind == kinds::NODE {
        if !placement_changed(change) {
            return Vec::new();
        }
        return store.list(&kinds::DAEMON_SET).map(|set| Name::of(set)).collect();
    }
    super::itself_or_controller(change, &kinds::DAEMON_SET)
}

/// Whether a node came, went, or changed what decides who may run there.
fn placement_changed(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return true;
    };
    before["spec"] != after["spec"] || before["metadata"]["labels"] != after["metadata"]["labels"]
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let set = scene
        .cluster
        .store
        .get(&kinds::DAEMON_SET, &name.namespace, &name.name)?
        .clone();
    if marked(&set) {
        return None;
    }
    let hash = hash(&set["spec"]["template"]);
    let template = tolerant(&set["spec"]["template"], &hash);
    let wanted: Vec<String> = scene
        .cluster
        .store
        .list(&kinds::NODE)
        .filter(|node| !marked(node) && scheduler::admits(&template, node))
        .map(|node| Name::of(node).name)
        .collect();
    let pods = pods_of(scene, pod::uid(&set));
    for node in &wanted {
        if !pods.iter().any(|pod| target(pod) == Some(node) && !pod::over(pod)) {
            create(scene, &set, &template, node);
        }
    }
    let stray = |pod: &Value| target(pod).is_none_or(|node| !wanted.iter().any(|wanted| wanted == node));
    for pod in pods.iter().filter(|pod| stray(pod) || pod::over(pod)) {
        pod::delete(&mut scene.cluster.store, &Name::of(pod), scene.now);
    }
    let outdated = |pod: &Value| pod["metadata"]["labels"][HASH] != *hash;
    let all_ready = pods
        .iter()
        .filter(|pod| !stray(pod))
        .all(|pod| pod::ready(pod) || outdated(pod));
    if all_ready && let Some(old) = pods.iter().find(|pod| outdated(pod) && !marked(pod)) {
        pod::delete(&mut scene.cluster.store, &Name::of(old), scene.now);
    }
    write_status(scene, name, &set, wanted.len(), &hash);
    None
}

fn hash(template: &Value) -> String {
    let digest = Sha256::digest(template.to_string().as_bytes());
    let number = digest
        .iter()
        .take(5)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:010x}")
}

/// The template with the tolerations that every daemon has.
fn tolerant(template: &Value, hash: &str) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut tolerations = list(&template["spec"]["tolerations"]).to_vec();
    for (key, effect) in [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoSchedule"),
    ] {
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
    }
    if template["spec"]["hostNetwork"] == true {
        let key = "node.kubernetes.io/network-unavailable";
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoSchedule"}));
    }
    template["spec"]["tolerations"] = json!(tolerations);
    template
}

/// The node that a daemon's pod is meant for.
pub(super) fn target(pod: &Value) -> Option<&str> {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str()
}

fn create(scene: &mut Scene<'_>, set: &Value, template: &Value, node: &str) {
    let name = Name::of(set);
    let pod_name = format!("{}-{}", name.name, scene.random.suffix(5));
    let owners = owner::controlled_by(set);
    let mut pod = pod::from_template(template, &pod_name, &name.namespace, &owners);
    pod["metadata"]["generateName"] = json!(format!("{}-", name.name));
    let affinity = &mut pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    *affinity = json!({"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    ]});
    scene.cluster.store.create(&kinds::POD, pod, scene.now, scene.random);
}

fn write_status(scene: &mut Scene<'_>, name: &Name, set: &Value, desired: usize, hash: &str) {
    let pods = pods_of(scene, pod::uid(set));
    let active = pods.iter().filter(|pod| pod::active(pod));
    let ready = active.clone().filter(|pod| pod::ready(pod)).count();
    let updated = active.clone().filter(|pod| pod["metadata"]["labels"][HASH] == *hash);
    let (current, updated) = (active.count(), updated.count());
    let store = &mut scene.cluster.store;
    store.change(&kinds::DAEMON_SET, &name.namespace, &name.name, |set| {
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"],
            "currentNumberScheduled": current.min(desired),
            "desiredNumberScheduled": desired,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberUnavailable": desired.saturating_sub(ready),
            "updatedNumberScheduled": updated,
        });
    });
}
