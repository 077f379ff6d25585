//! Deployments: one `ReplicaSet` for each template, and the replicas moved from the old ones to the new.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::core::Scene;
use crate::kube::Cluster;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::event;
use crate::kube::actors::itself_or_controller;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::replica_set::replicas;
use crate::kube::actors::replica_set::set_count;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Rolls Deployments out.
pub(super) const ACTOR: Actor = Actor {
    name: "deployment",
    watches: &[kinds::DEPLOYMENT, kinds::REPLICA_SET],
    work: Work::Each {
        concerns: |_, change| itself_or_controller(change, &kinds::DEPLOYMENT),
        reconcile,
    },
};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// How long a rollout may make no progress, if the Deployment does not say.
const PROGRESS_DEADLINE: u64 = 600;

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let deployment = scene
        .cluster
        .store
        .get(&kinds::DEPLOYMENT, &name.namespace, &name.name)?
        .clone();
    if marked(&deployment) {
        return None;
    }
    let mut sets = sets_of(scene, &deployment);
    if sets.is_empty() {
        scene.aws.arrivals.made(known_as(scene.cluster, name), scene.now);
    }
    let hash = template_hash(&deployment["spec"]["template"]);
    let paused = deployment["spec"]["paused"] == true;
    if !paused && !sets.iter().any(|set| is_current(set, &hash)) {
        create_set(scene, &deployment, &hash, &sets);
        sets = sets_of(scene, &deployment);
    }
    let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| is_current(set, &hash));
    if let Some(new) = new.first() {
        renew(scene, &deployment, new, &old);
        roll(scene, &deployment, new, &old, paused);
    }
    clean_up(scene, &deployment, old);
    let sets = sets_of(scene, &deployment);
    write_status(scene, &deployment, &sets, &hash);
    progress_deadline(scene, name)
}

/// What a Deployment's arrival is noted under.
fn known_as(cluster: &Cluster, name: &Name) -> String {
    format!("{}/Deployment/{}/{}", cluster.name, name.namespace, name.name)
}

fn sets_of(scene: &Scene<'_>, deployment: &Value) -> Vec<Arc<Value>> {
    let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
    let uid = pod::uid(deployment);
    let sets = scene.cluster.store.list_in(&kinds::REPLICA_SET, namespace);
    sets.filter(|set| owner::controller_uid(set) == Some(uid) && !marked(set))
        .cloned()
        .collect()
}

fn is_current(set: &Value, hash: &str) -> bool {
    set["metadata"]["labels"][HASH] == hash
}

/// A short name for a template: the same template has the same one.
fn template_hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Sha256::digest(template.to_string().as_bytes());
    let letters = digest.iter().take(10);
    letters
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

fn create_set(scene: &mut Scene<'_>, deployment: &Value, hash: &str, others: &[Arc<Value>]) {
    let name = Name::of(deployment);
    let revision = others.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    let mut annotations = Value::Object(handed_on(deployment));
    annotations[REVISION] = json!(revision.to_string());
    annotations["deployment.kubernetes.io/desired-replicas"] = json!(replicas(deployment).to_string());
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name.name),
            "namespace": name.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": owner::controlled_by(deployment),
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": deployment["spec"]["minReadySeconds"].as_u64().unwrap_or(0),
            "selector": selector,
            "template": template,
        },
        "status": {"replicas": 0},
    });
    scene
        .cluster
        .store
        .create(&kinds::REPLICA_SET, set, scene.now, scene.random);
    let message = format!("Created new replica set \"{}-{hash}\"", name.name);
    let now = scene.now;
    scene
        .cluster
        .store
        .change(&kinds::DEPLOYMENT, &name.namespace, &name.name, |deployment| {
            deployment["metadata"]["annotations"][REVISION] = json!(revision.to_string());
            let progressing = Condition::new("Progressing", true, "NewReplicaSetCreated", &message);
            set_updated(deployment, now, &progressing);
        });
}

/// The annotations of a Deployment that its sets have as well.
fn handed_on(deployment: &Value) -> Map<String, Value> {
    let annotations = deployment["metadata"]["annotations"].as_object().cloned();
    let mut annotations = annotations.unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations.remove(REVISION);
    annotations
}

/// Gives the current set what the Deployment hands on, and the newest revision: its template may have come back.
fn renew(scene: &mut Scene<'_>, deployment: &Value, new: &Value, old: &[Arc<Value>]) {
    let before = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    let newest = json!(revision(new).max(before + 1).to_string());
    let handed_on = handed_on(deployment);
    let (set, name) = (Name::of(new), Name::of(deployment));
    let store = &mut scene.cluster.store;
    store.change(&kinds::REPLICA_SET, &set.namespace, &set.name, |set| {
        for (annotation, value) in handed_on {
            set["metadata"]["annotations"][annotation] = value;
        }
        set["metadata"]["annotations"][REVISION] = newest.clone();
    });
    store.change(&kinds::DEPLOYMENT, &name.namespace, &name.name, |deployment| {
        deployment["metadata"]["annotations"][REVISION] = newest;
    });
}

fn revision(set: &Value) -> u64 {
    let revision = set["metadata"]["annotations"][REVISION].as_str();
    revision.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// Moves replicas from the old sets to the new one, as far as the strategy allows now.
fn roll(scene: &mut Scene<'_>, deployment: &Value, new: &Value, old: &[Arc<Value>], paused: bool) {
    let wanted = replicas(deployment);
    let strategy = &deployment["spec"]["strategy"];
    let old_total: usize = old.iter().map(|set| replicas(set)).sum();
    if paused || old_total == 0 {
        scale(scene, deployment, new, wanted);
        return;
    }
    if strategy["type"] == "Recreate" {
        for set in old {
            scale(scene, deployment, set, 0);
        }
        let alive = old.iter().any(|set| status_count(set, "replicas") > 0);
        scale(scene, deployment, new, if alive { replicas(new) } else { wanted });
        return;
    }
    let surge = share(&strategy["rollingUpdate"]["maxSurge"], wanted, Rounding::Up);
    let mut unavailable = share(&strategy["rollingUpdate"]["maxUnavailable"], wanted, Rounding::Down);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    let room = (wanted + surge).saturating_sub(old_total + replicas(new));
    let grown = (replicas(new) + room).min(wanted).max(replicas(new).min(wanted));
    scale(scene, deployment, new, grown);
    shrink_old(scene, deployment, (new, grown), old, wanted.saturating_sub(unavailable));
}

/// Takes old replicas away as long as `least` stay available; unhealthy ones first.
fn shrink_old(
    scene: &mut Scene<'_>,
    deployment: &Value,
    (new, grown): (&Value, usize),
    old: &[Arc<Value>],
    least: usize,
) {
    let old_total: usize = old.iter().map(|set| replicas(set)).sum();
    let missing_new = grown.saturating_sub(status_count(new, "availableReplicas"));
    let mut may_go = (old_total + grown).saturating_sub(least + missing_new);
    let mut left: Vec<usize> = old.iter().map(|set| replicas(set)).collect();
    for (set, left) in old.iter().zip(&mut left) {
        let unhealthy = left.saturating_sub(status_count(set, "availableReplicas"));
        let gone = unhealthy.min(may_go);
        *left -= gone;
        may_go -= gone;
    }
    let healthy: usize = old.iter().map(|set| status_count(set, "availableReplicas")).sum();
    let mut spare = (healthy + status_count(new, "availableReplicas")).saturating_sub(least);
    for left in &mut left {
        let gone = (*left).min(spare).min(may_go);
        *left -= gone;
        spare -= gone;
        may_go -= gone;
    }
    for (set, left) in old.iter().zip(left) {
        scale(scene, deployment, set, left);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Up,
    Down,
}

/// A number or a percentage of `total`; a quarter if nothing is said.
fn share(value: &Value, total: usize, rounding: Rounding) -> usize {
    if let Some(number) = value.as_u64() {
        return usize::try_from(number).unwrap_or(usize::MAX);
    }
    let percent = value
        .as_str()
        .and_then(|text| text.trim_end_matches('%').parse::<usize>().ok());
    let hundredths = percent.unwrap_or(25) * total;
    match rounding {
        Rounding::Up => hundredths.div_ceil(100),
        Rounding::Down => hundredths / 100,
    }
}

fn status_count(object: &Value, field: &str) -> usize {
    usize::try_from(object["status"][field].as_u64().unwrap_or(0)).unwrap_or(usize::MAX)
}

fn scale(scene: &mut Scene<'_>, deployment: &Value, set: &Value, to: usize) {
    let from = replicas(set);
    let name = Name::of(set);
    let desired = json!(replicas(deployment).to_string());
    scene
        .cluster
        .store
        .change(&kinds::REPLICA_SET, &name.namespace, &name.name, |set| {
            set["spec"]["replicas"] = json!(to);
            set["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = desired;
        });
    if from != to {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {to}", name.name);
        event::record(
            scene,
            deployment,
            "deployment-controller",
            event::Kind::Normal,
            "ScalingReplicaSet",
            &message,
        );
    }
}

/// Deletes empty old sets beyond the history limit.
fn clean_up(scene: &mut Scene<'_>, deployment: &Value, mut old: Vec<Arc<Value>>) {
    let limit = deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    old.retain(|set| replicas(set) == 0 && status_count(set, "replicas") == 0);
    old.sort_by_key(|set| revision(set));
    for set in old.iter().take(old.len().saturating_sub(limit)) {
        let name = Name::of(set);
        let store = &mut scene.cluster.store;
        store.delete(&kinds::REPLICA_SET, &name.namespace, &name.name, scene.now, 0);
    }
}

fn write_status(scene: &mut Scene<'_>, deployment: &Value, sets: &[Arc<Value>], hash: &str) {
    let total = |field: &str| sets.iter().map(|set| status_count(set, field)).sum::<usize>();
    let (created, ready, available) = (total("replicas"), total("readyReplicas"), total("availableReplicas"));
    let new = sets.iter().find(|set| is_current(set, hash));
    let updated = new.map_or(0, |set| status_count(set, "replicas"));
    let updated_available = new.map_or(0, |set| status_count(set, "availableReplicas"));
    let wanted = replicas(deployment);
    let strategy = &deployment["spec"]["strategy"];
    let may_miss = match strategy["type"].as_str() {
        Some("Recreate") => 0,
        _ => share(&strategy["rollingUpdate"]["maxUnavailable"], wanted, Rounding::Down),
    };
    let enough = available + may_miss >= wanted;
    let complete = updated == wanted && created == wanted && updated_available == wanted;
    let set_name = new.map_or_else(String::new, |set| Name::of(set).name);
    let name = Name::of(deployment);
    let now = scene.now;
    if complete {
        scene.aws.arrivals.usable(&known_as(scene.cluster, &name), now);
    }
    scene
        .cluster
        .store
        .change(&kinds::DEPLOYMENT, &name.namespace, &name.name, |deployment| {
            let before = deployment["status"].clone();
            deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
            for (field, count) in [
                ("replicas", created),
                ("updatedReplicas", updated),
                ("readyReplicas", ready),
                ("availableReplicas", available),
                ("unavailableReplicas", wanted.max(created).saturating_sub(available)),
            ] {
                set_count(&mut deployment["status"], field, count);
            }
            let availability = if enough {
                Condition::new(
                    "Available",
                    true,
                    "MinimumReplicasAvailable",
                    "Deployment has minimum availability.",
                )
            } else {
                Condition::new(
                    "Available",
                    false,
                    "MinimumReplicasUnavailable",
                    "Deployment does not have minimum availability.",
                )
            };
            if condition::status(deployment, "Available") != Some(availability.status) {
                set_updated(deployment, now, &availability);
            }
            write_progress(deployment, now, &before, complete, &set_name);
        });
}

/// Says whether the rollout is complete, moves, or has not moved for too long.
fn write_progress(deployment: &mut Value, now: Timestamp, before: &Value, complete: bool, set: &str) {
    let counts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    let moved = counts.iter().any(|field| before[field] != deployment["status"][field]);
    let old_reason = condition::find(deployment, "Progressing").map(|condition| condition["reason"].clone());
    if complete {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        if old_reason != Some(json!("NewReplicaSetAvailable")) {
            let done = Condition::new("Progressing", true, "NewReplicaSetAvailable", &message);
            set_updated(deployment, now, &done);
        }
        return;
    }
    let finished = old_reason == Some(json!("NewReplicaSetAvailable"));
    let replaced = finished
        && condition::find(deployment, "Progressing")
            .and_then(|condition| condition["message"].as_str())
            .is_none_or(|message| !message.contains(set));
    if old_reason.is_none() || replaced || (moved && !finished) {
        let message = format!("ReplicaSet \"{set}\" is progressing.");
        let progressing = Condition::new("Progressing", true, "ReplicaSetUpdated", &message);
        set_updated(deployment, now, &progressing);
    } else if !finished && overdue(deployment, now) && old_reason != Some(json!("ProgressDeadlineExceeded")) {
        let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
        let stuck = Condition::new("Progressing", false, "ProgressDeadlineExceeded", &message);
        set_updated(deployment, now, &stuck);
    }
}

/// Sets a condition; those of Deployments also say when they were last written.
fn set_updated(deployment: &mut Value, now: Timestamp, condition: &Condition<'_>) {
    condition::set(deployment, now, condition);
    if let Some(list) = deployment["status"]["conditions"].as_array_mut() {
        for entry in list.iter_mut().filter(|entry| entry["type"] == condition.kind) {
            entry["lastUpdateTime"] = json!(crate::kube::store::seconds(now));
        }
    }
}

fn deadline(deployment: &Value) -> Option<Timestamp> {
    let progressing = condition::find(deployment, "Progressing")?;
    let waiting = matches!(
        progressing["reason"].as_str(),
        Some("NewReplicaSetCreated" | "ReplicaSetUpdated")
    );
    let since = pod::time(&progressing["lastUpdateTime"]).filter(|_| waiting)?;
    let seconds = deployment["spec"]["progressDeadlineSeconds"]
        .as_u64()
        .unwrap_or(PROGRESS_DEADLINE);
    Some(crate::aws::later(since, std::time::Duration::from_secs(seconds)))
}

fn overdue(deployment: &Value, now: Timestamp) -> bool {
    deadline(deployment).is_some_and(|at| at <= now)
}

fn progress_deadline(scene: &Scene<'_>, name: &Name) -> Option<Timestamp> {
    let deployment = scene
        .cluster
        .store
        .get(&kinds::DEPLOYMENT, &name.namespace, &name.name)?;
    deadline(deployment)
}
