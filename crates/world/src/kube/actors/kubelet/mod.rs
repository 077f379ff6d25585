//! The kubelets: what happens to a pod on its node, from the image pull to the last grace second.
//!
//! A container's life is planned ahead from chance and its specification ([`life`]); the pod's status is written from
//! it ([`status`]). What the container's program answers is not decided here: see [`crate::kube::network`].

pub(crate) mod environment;
pub(crate) mod image;
mod life;
pub(crate) mod program;
mod status;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::event;
use crate::kube::actors::itself;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::life::Life;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Runs the pods of every node.
pub(super) const ACTOR: Actor = Actor {
    name: "kubelet",
    watches: &[kinds::POD],
    work: Work::Each {
        concerns: itself,
        reconcile,
    },
};

/// Kubelets notice changes of containers in steps, as the real one does when it relists them; it also lets the pods
/// of a large rollout change together.
const STEP: i64 = 200;

/// How often a pod that lacks a `ConfigMap`, a Secret or an image looks again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// What the kubelets remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    // By uid of the pod.
    lives: BTreeMap<String, Life>,
    // The images that each node has.
    images: BTreeMap<String, BTreeSet<String>>,
    // How many addresses of each block of 4096 were given to pods so far.
    addresses: BTreeMap<String, usize>,
}

impl Memory {
    /// Forgets a node that is gone.
    pub(super) fn forget_node(&mut self, node: &str) {
        self.images.remove(node);
    }

    /// Forgets a pod that is gone.
    pub(super) fn forget_pod(&mut self, uid: &str) {
        self.lives.remove(uid);
    }
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let pod = scene
        .cluster
        .store
        .get(&kinds::POD, &name.namespace, &name.name)?
        .clone();
    let uid = pod::uid(&pod).to_owned();
    let Some(node) = pod::node(&pod).map(str::to_owned) else {
        if marked(&pod) {
            scene.cluster.store.remove(&kinds::POD, name);
        }
        return None;
    };
    let at = if marked(&pod) {
        terminate(scene, name, &pod)
    } else {
        run(scene, name, &pod, &node)
    };
    if at.is_none()
        && scene
            .cluster
            .store
            .get(&kinds::POD, &name.namespace, &name.name)
            .is_none()
    {
        scene.cluster.actors.kubelet.forget_pod(&uid);
    }
    at.map(|at| stepped(at, scene.now))
}

/// The next step at or after `at`.
fn stepped(at: Timestamp, now: Timestamp) -> Timestamp {
    let milliseconds = at.as_millisecond();
    let rounded = milliseconds + (STEP - milliseconds.rem_euclid(STEP)) % STEP;
    let rounded = Timestamp::from_millisecond(rounded).unwrap_or(at);
    if rounded > now {
        rounded
    } else {
        later(now, std::time::Duration::from_millis(STEP.unsigned_abs()))
    }
}

/// Moves a pod that should run as far as it is by now.
fn run(scene: &mut Scene<'_>, name: &Name, pod: &Value, node: &str) -> Option<Timestamp> {
    if pod::over(pod) {
        return None;
    }
    scene.cluster.store.get(&kinds::NODE, "", node)?;
    if let Some((container, message)) = environment::missing(scene, pod) {
        let reason = "CreateContainerConfigError";
        status::write_waiting(scene, name, &container, reason, &message);
        return Some(later(scene.now, RETRY));
    }
    let uid = pod::uid(pod).to_owned();
    let mut life = match scene.cluster.actors.kubelet.lives.remove(&uid) {
        Some(life) => life,
        None => match begin(scene, name, pod, node) {
            Ok(life) => life,
            Err(at) => return Some(at),
        },
    };
    let happenings = life.advance(scene, pod);
    status::write(scene, name, &life);
    for happening in happenings {
        event::record(
            scene,
            pod,
            "kubelet",
            happening.kind,
            happening.reason,
            &happening.message,
        );
    }
    let at = life.next();
    scene.cluster.actors.kubelet.lives.insert(uid, life);
    at
}

/// Plans a new pod's life: what it must pull, an address.
fn begin(scene: &mut Scene<'_>, name: &Name, pod: &Value, node: &str) -> Result<Life, Timestamp> {
    for container in list(&pod["spec"]["initContainers"])
        .iter()
        .chain(list(&pod["spec"]["containers"]))
    {
        if let Some(message) = image::unavailable(scene, container) {
            let container = container["name"].as_str().unwrap_or_default();
            status::write_waiting(scene, name, container, "ImagePullBackOff", &message);
            return Err(later(scene.now, RETRY));
        }
    }
    let address = address(scene, pod, node);
    Ok(Life::begin(scene, pod, node, address))
}

/// The pod's address: its node's own on the host network, else one of the node's range.
fn address(scene: &mut Scene<'_>, pod: &Value, node: &str) -> String {
    let addresses = scene.cluster.store.get(&kinds::NODE, "", node).cloned();
    let host = addresses
        .as_ref()
        .map_or("10.0.0.10", |node| node_address(node))
        .to_owned();
    if pod["spec"]["hostNetwork"] == true {
        return host;
    }
    let mut parts = host.split('.').filter_map(|part| part.parse::<usize>().ok());
    let mut part = || parts.next().unwrap_or(10);
    let (a, b, c) = (part(), part(), part());
    // Machines and load balancers take a subnet's addresses from its lower end, so pods get those from its upper end.
    let block = c & 0xf0;
    let given = &mut scene.cluster.actors.kubelet.addresses;
    let given = given.entry(format!("{a}.{b}.{block}")).or_default();
    *given += 1;
    let offset = 4095 - *given % 3800;
    format!("{a}.{b}.{}.{}", block + offset / 256, offset % 256)
}

/// The internal address of a node.
pub(crate) fn node_address(node: &Value) -> &str {
    let addresses = list(&node["status"]["addresses"]).iter();
    let internal = addresses.clone().find(|address| address["type"] == "InternalIP");
    internal
        .and_then(|address| address["address"].as_str())
        .unwrap_or("10.0.0.10")
}

/// Ends a pod: it may take as long as its program does, and no longer than its grace period.
fn terminate(scene: &mut Scene<'_>, name: &Name, pod: &Value) -> Option<Timestamp> {
    let uid = pod::uid(pod).to_owned();
    let deadline = pod::time(&pod["metadata"]["deletionTimestamp"]).unwrap_or(scene.now);
    let node = pod::node(pod).and_then(|node| scene.cluster.store.get(&kinds::NODE, "", node));
    let end = match scene.cluster.actors.kubelet.lives.remove(&uid) {
        Some(mut life) if node.is_some() && !pod::over(pod) => {
            let end = life.ends(scene, pod).min(deadline);
            status::write_terminating(scene, name);
            scene.cluster.actors.kubelet.lives.insert(uid.clone(), life);
            end
        }
        _ => scene.now,
    };
    if end > scene.now {
        return Some(end);
    }
    scene.cluster.store.remove(&kinds::POD, name);
    scene.cluster.actors.kubelet.forget_pod(&uid);
    None
}
