//! Jobs: pods until enough of them succeeded or too many failed.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::itself_or_controller;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::replica_set::pods_of;
use crate::kube::actors::replica_set::set_count;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::kube::store::seconds;

/// Runs Jobs to their end.
pub(super) const ACTOR: Actor = Actor {
    name: "job",
    watches: &[kinds::JOB, kinds::POD],
    work: Work::Each {
        concerns: |_, change| itself_or_controller(change, &kinds::JOB),
        reconcile,
    },
};

/// What the pods of a job came to.
struct Tally {
    active: usize,
    ready: usize,
    succeeded: usize,
    failed: usize,
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let job = scene
        .cluster
        .store
        .get(&kinds::JOB, &name.namespace, &name.name)?
        .clone();
    if marked(&job) {
        return None;
    }
    if let Some(ended) = ended(&job) {
        return expire(scene, name, &job, ended);
    }
    let tally = tally(scene, &job);
    let count = |field: &str, default: u64| job["spec"][field].as_u64().unwrap_or(default);
    let completions = usize::try_from(count("completions", 1)).unwrap_or(usize::MAX);
    let parallelism = usize::try_from(count("parallelism", 1)).unwrap_or(usize::MAX);
    let limit = usize::try_from(count("backoffLimit", 6)).unwrap_or(usize::MAX);
    let failed = tally.failed > limit;
    let complete = tally.succeeded >= completions;
    if !failed && !complete && job["spec"]["suspend"] != true {
        let missing = (completions - tally.succeeded).min(parallelism);
        for index in tally.active..missing {
            create(scene, &job, tally.succeeded + index);
        }
    }
    if failed {
        for pod in pods_of(scene, pod::uid(&job)).iter().filter(|pod| pod::active(pod)) {
            pod::delete(&mut scene.cluster.store, &Name::of(pod), scene.now);
        }
    }
    let tally = self::tally(scene, &job);
    write_status(scene, name, &tally, complete, failed);
    None
}

fn tally(scene: &mut Scene<'_>, job: &Value) -> Tally {
    let pods = pods_of(scene, pod::uid(job));
    let phase = |wanted: &str| pods.iter().filter(|pod| pod["status"]["phase"] == wanted).count();
    Tally {
        active: pods.iter().filter(|pod| pod::active(pod)).count(),
        ready: pods.iter().filter(|pod| pod::ready(pod)).count(),
        succeeded: phase("Succeeded"),
        failed: phase("Failed"),
    }
}

fn create(scene: &mut Scene<'_>, job: &Value, index: usize) {
    let name = Name::of(job);
    let pod_name = format!("{}-{}", name.name, scene.random.suffix(5));
    let owners = owner::controlled_by(job);
    let mut pod = pod::from_template(&job["spec"]["template"], &pod_name, &name.namespace, &owners);
    for prefix in ["batch.kubernetes.io/", ""] {
        pod["metadata"]["labels"][format!("{prefix}job-name")] = json!(name.name);
        pod["metadata"]["labels"][format!("{prefix}controller-uid")] = json!(pod::uid(job));
    }
    if job["spec"]["completionMode"] == "Indexed" {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = json!(index.to_string());
    }
    scene.cluster.store.create(&kinds::POD, pod, scene.now, scene.random);
}

fn write_status(scene: &mut Scene<'_>, name: &Name, tally: &Tally, complete: bool, failed: bool) {
    let now = scene.now;
    scene
        .cluster
        .store
        .change(&kinds::JOB, &name.namespace, &name.name, |job| {
            if job["status"]["startTime"].is_null() {
                job["status"]["startTime"] = json!(seconds(now));
            }
            for (field, count) in [
                ("active", tally.active),
                ("ready", tally.ready),
                ("succeeded", tally.succeeded),
                ("failed", tally.failed),
            ] {
                set_count(&mut job["status"], field, count);
            }
            if complete {
                job["status"]["completionTime"] = json!(seconds(now));
                for kind in ["SuccessCriteriaMet", "Complete"] {
                    let message = "Reached expected number of succeeded pods";
                    condition::set(job, now, &Condition::new(kind, true, "CompletionsReached", message));
                }
            } else if failed {
                for kind in ["FailureTarget", "Failed"] {
                    let message = "Job has reached the specified backoff limit";
                    condition::set(job, now, &Condition::new(kind, true, "BackoffLimitExceeded", message));
                }
            }
        });
}

/// When a job ended, if it did.
fn ended(job: &Value) -> Option<Timestamp> {
    let end = ["Complete", "Failed"]
        .iter()
        .find_map(|kind| condition::find(job, kind))?;
    pod::time(&end["lastTransitionTime"])
}

/// Deletes a job that ended when its time to live is over.
fn expire(scene: &mut Scene<'_>, name: &Name, job: &Value, ended: Timestamp) -> Option<Timestamp> {
    let seconds = job["spec"]["ttlSecondsAfterFinished"].as_u64()?;
    let at = later(ended, std::time::Duration::from_secs(seconds));
    if at > scene.now {
        return Some(at);
    }
    let store = &mut scene.cluster.store;
    store.delete(&kinds::JOB, &name.namespace, &name.name, scene.now, 0);
    None
}
