//! `StatefulSets`: numbered pods, one after the other, each with its volume claims.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::itself_or_controller;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::replica_set::pods_of;
use crate::kube::actors::replica_set::replicas;
use crate::kube::actors::replica_set::set_count;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Creates and deletes the pods of `StatefulSets`.
pub(super) const ACTOR: Actor = Actor {
    name: "statefulset",
    watches: &[kinds::STATEFUL_SET, kinds::POD],
    work: Work::Each {
        concerns: |_, change| itself_or_controller(change, &kinds::STATEFUL_SET),
        reconcile,
    },
};

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let set = scene
        .cluster
        .store
        .get(&kinds::STATEFUL_SET, &name.namespace, &name.name)?
        .clone();
    if marked(&set) {
        return None;
    }
    let wanted = replicas(&set);
    let one_by_one = set["spec"]["podManagementPolicy"] != "Parallel";
    for ordinal in 0..wanted {
        let pod_name = format!("{}-{ordinal}", name.name);
        match scene.cluster.store.get(&kinds::POD, &name.namespace, &pod_name) {
            None => create(scene, &set, ordinal),
            Some(pod) if pod::ready(pod) => continue,
            Some(_) => {}
        }
        if one_by_one {
            break;
        }
    }
    let pods = pods_of(scene, pod::uid(&set));
    let surplus = pods.iter().filter(|pod| ordinal(pod) >= Some(wanted) && !marked(pod));
    if let Some(last) = surplus.max_by_key(|pod| ordinal(pod)) {
        pod::delete(&mut scene.cluster.store, &Name::of(last), scene.now);
    }
    write_status(scene, name, pod::uid(&set));
    None
}

fn ordinal(pod: &Value) -> Option<usize> {
    let name = pod["metadata"]["name"].as_str()?;
    name.rsplit_once('-')?.1.parse().ok()
}

fn create(scene: &mut Scene<'_>, set: &Value, ordinal: usize) {
    let name = Name::of(set);
    let pod_name = format!("{}-{ordinal}", name.name);
    let owners = owner::controlled_by(set);
    let mut pod = pod::from_template(&set["spec"]["template"], &pod_name, &name.namespace, &owners);
    pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(pod_name);
    pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    pod["spec"]["hostname"] = json!(pod_name);
    pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    let mut volumes = list(&pod["spec"]["volumes"]).to_vec();
    for template in list(&set["spec"]["volumeClaimTemplates"]) {
        let volume = template["metadata"]["name"].as_str().unwrap_or_default();
        let claim = format!("{volume}-{pod_name}");
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}));
        let object = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": name.namespace, "labels": set["spec"]["selector"]["matchLabels"]},
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        });
        let store = &mut scene.cluster.store;
        store.create(&kinds::PERSISTENT_VOLUME_CLAIM, object, scene.now, scene.random);
    }
    pod["spec"]["volumes"] = json!(volumes);
    scene.cluster.store.create(&kinds::POD, pod, scene.now, scene.random);
}

fn write_status(scene: &mut Scene<'_>, name: &Name, uid: &str) {
    let pods = pods_of(scene, uid);
    let ready = pods.iter().filter(|pod| pod::ready(pod)).count();
    let store = &mut scene.cluster.store;
    store.change(&kinds::STATEFUL_SET, &name.namespace, &name.name, |set| {
        let generation = set["metadata"]["generation"].clone();
        let status = &mut set["status"];
        status["observedGeneration"] = generation;
        status["replicas"] = json!(pods.len());
        for field in ["readyReplicas", "availableReplicas"] {
            set_count(status, field, ready);
        }
        for field in ["currentReplicas", "updatedReplicas"] {
            set_count(status, field, pods.len());
        }
    });
}
