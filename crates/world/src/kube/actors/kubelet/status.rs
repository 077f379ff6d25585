//! What a kubelet writes into a pod's status.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::life::Container;
use crate::kube::actors::kubelet::life::Exit;
use crate::kube::actors::kubelet::life::Life;
use crate::kube::actors::kubelet::life::Stage;
use crate::kube::actors::kubelet::node_address;
use crate::kube::actors::pod;
use crate::kube::store::Name;
use crate::kube::store::seconds;

/// Writes where the containers of a pod are.
pub(super) fn write(scene: &mut Scene<'_>, name: &Name, life: &Life) {
    let now = scene.now;
    let store = &mut scene.cluster.store;
    let node = store
        .get(&kinds::POD, &name.namespace, &name.name)
        .and_then(|pod| pod::node(pod))
        .and_then(|node| store.get(&kinds::NODE, "", node));
    let host = node.map_or("10.0.0.10", |node| node_address(node)).to_owned();
    store.change(&kinds::POD, &name.namespace, &name.name, |pod| {
        let begun = life
            .containers
            .iter()
            .any(|one| !matches!(one.stage, Stage::Pulling { .. }));
        let restart = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always").to_owned();
        let status = &mut pod["status"];
        status["startTime"] = json!(seconds(life.began));
        status["hostIP"] = json!(host);
        status["hostIPs"] = json!([{"ip": host}]);
        status["podIP"] = json!(life.address);
        status["podIPs"] = json!([{"ip": life.address}]);
        status["phase"] = json!(phase(life, &restart));
        for (field, init) in [("initContainerStatuses", true), ("containerStatuses", false)] {
            let own = life.containers.iter().filter(|one| one.init == init);
            let entries: Vec<Value> = own.map(entry).collect();
            if !entries.is_empty() {
                status[field] = json!(entries);
            }
        }
        write_conditions(pod, now, life, begun);
    });
}

fn write_conditions(pod: &mut Value, now: Timestamp, life: &Life, begun: bool) {
    let initialized = life.containers.iter().filter(|one| one.init).all(is_done);
    let names: Vec<&str> = life
        .containers
        .iter()
        .filter(|one| !one.init && !is_ready(one))
        .map(|one| one.name.as_str())
        .collect();
    let ready = initialized && names.is_empty();
    let finished = pod["status"]["phase"] == "Succeeded";
    let message = format!("containers with unready status: [{}]", names.join(" "));
    let unready = if finished { "PodCompleted" } else { "ContainersNotReady" };
    let (reason, message) = if ready { ("", "") } else { (unready, message.as_str()) };
    let uninitialized = if initialized { "" } else { "ContainersNotInitialized" };
    for entry in [
        Condition::new("PodReadyToStartContainers", begun, "", ""),
        Condition::new("Initialized", initialized, uninitialized, ""),
        Condition::new("Ready", ready, reason, message),
        Condition::new("ContainersReady", ready, reason, message),
        Condition::new("PodScheduled", true, "", ""),
    ] {
        condition::set(pod, now, &entry);
    }
}

fn is_done(container: &Container) -> bool {
    match &container.stage {
        Stage::Exited(exit) => exit.code == 0,
        Stage::Running(run) => run.is_started,
        _ => false,
    }
}

fn is_ready(container: &Container) -> bool {
    matches!(&container.stage, Stage::Running(run) if run.is_ready)
}

fn phase(life: &Life, restart: &str) -> &'static str {
    let init_failed = life
        .containers
        .iter()
        .any(|one| one.init && matches!(&one.stage, Stage::Exited(exit) if exit.code != 0));
    if init_failed {
        return "Failed";
    }
    let mut usual = life.containers.iter().filter(|one| !one.init);
    if restart != "Always" && usual.clone().all(|one| matches!(one.stage, Stage::Exited(_))) {
        let failed = usual.any(|one| matches!(&one.stage, Stage::Exited(exit) if exit.code != 0));
        return if failed { "Failed" } else { "Succeeded" };
    }
    let started = |one: &Container| {
        !matches!(
            one.stage,
            Stage::Waiting | Stage::Pulling { .. } | Stage::Creating { .. }
        )
    };
    if usual.any(started) { "Running" } else { "Pending" }
}

fn entry(container: &Container) -> Value {
    let started = matches!(&container.stage, Stage::Running(run) if run.is_started);
    let begun = matches!(
        container.stage,
        Stage::Running(_) | Stage::BackingOff { .. } | Stage::Exited(_)
    );
    let mut entry = json!({
        "name": container.name,
        "image": container.image,
        "imageID": if begun { container.image.as_str() } else { "" },
        "ready": is_ready(container) || (container.init && is_done(container)),
        "started": started,
        "restartCount": container.restarts,
        "state": state(container),
        "lastState": {},
    });
    if let Some(exit) = &container.last {
        entry["lastState"] = json!({"terminated": terminated(exit)});
    }
    entry
}

fn state(container: &Container) -> Value {
    match &container.stage {
        Stage::Waiting => json!({"waiting": {"reason": "PodInitializing"}}),
        Stage::Pulling { .. } | Stage::Creating { .. } => json!({"waiting": {"reason": "ContainerCreating"}}),
        Stage::Running(run) => json!({"running": {"startedAt": seconds(run.since)}}),
        Stage::BackingOff { .. } => json!({"waiting": {
            "reason": "CrashLoopBackOff",
            "message": format!("back-off restarting failed container={}", container.name),
        }}),
        Stage::Exited(exit) => json!({"terminated": terminated(exit)}),
    }
}

fn terminated(exit: &Exit) -> Value {
    json!({
        "exitCode": exit.code,
        "reason": if exit.code == 0 { "Completed" } else { "Error" },
        "startedAt": seconds(exit.since),
        "finishedAt": seconds(exit.at),
    })
}

/// Says that a container cannot start, and why.
pub(super) fn write_waiting(scene: &mut Scene<'_>, name: &Name, container: &str, reason: &str, message: &str) {
    let now = scene.now;
    let store = &mut scene.cluster.store;
    store.change(&kinds::POD, &name.namespace, &name.name, |pod| {
        pod["status"]["phase"] = json!("Pending");
        pod["status"]["containerStatuses"] = json!([{
            "name": container,
            "ready": false,
            "started": false,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {},
        }]);
        let unready = format!("containers with unready status: [{container}]");
        condition::set(
            pod,
            now,
            &Condition::new("Ready", false, "ContainersNotReady", &unready),
        );
    });
}

/// Says that a pod that is being deleted serves no longer.
pub(super) fn write_terminating(scene: &mut Scene<'_>, name: &Name) {
    let now = scene.now;
    let store = &mut scene.cluster.store;
    store.change(&kinds::POD, &name.namespace, &name.name, |pod| {
        for kind in ["Ready", "ContainersReady"] {
            condition::set(pod, now, &Condition::new(kind, false, "PodTerminating", ""));
        }
    });
}
