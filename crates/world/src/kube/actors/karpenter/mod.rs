//! Karpenter: node classes become ready, pods that fit nowhere become claims, claims become machines and nodes, and
//! nodes that nobody needs go.
//!
//! What is planned and disrupted is [`crate::models::karpenter`]'s. It acts only while its Deployment is Available:
//! without it nothing takes its finalizers off.

mod claims;
mod classes;
mod interruption;
mod view;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::component;
use crate::kube::actors::condition;
use crate::kube::actors::event;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::models::karpenter;

/// Runs Karpenter's controllers.
pub(super) const ACTOR: Actor = Actor {
    name: "karpenter",
    watches: &[
        kinds::NODE_CLASS,
        kinds::NODE_POOL,
        kinds::NODE_CLAIM,
        kinds::NODE,
        kinds::POD,
        kinds::DEPLOYMENT,
    ],
    work: Work::Whole(reconcile),
};

pub(super) const TERMINATION: &str = "karpenter.sh/termination";
pub(super) const NODE_POOL: &str = "karpenter.sh/nodepool";

/// How soon what waits for a machine or a drain is looked at again.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// What Karpenter remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    batch: karpenter::Batch,
    // The pods that opened the window or kept it open, by uid.
    seen: BTreeMap<String, Timestamp>,
    unavailable: karpenter::Unavailable,
    disruption: Option<karpenter::Disruption>,
    claims: BTreeMap<String, claims::Progress>,
    // When a pod last came to or left a node.
    pod_events: BTreeMap<String, (Timestamp, usize)>,
}

fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let karpenter = component::available(&scene.cluster.store, component::is_karpenter)?;
    let mut wakes = Vec::new();
    if let Some(queue) = component::variable(&karpenter.container, "INTERRUPTION_QUEUE") {
        interruption::heed(scene, queue);
    }
    wakes.extend(classes::reconcile(scene));
    adopt_pools(scene);
    wakes.extend(claims::reconcile(scene));
    follow_pod_events(scene);
    wakes.extend(provision(scene));
    wakes.extend(disrupt(scene));
    wakes.into_iter().min()
}

/// Puts a finalizer on an object, or takes it off.
pub(super) fn set_finalizer(scene: &mut Scene<'_>, kind: &GroupKind, name: &str, finalizer: &str, present: bool) {
    scene.cluster.store.change(kind, "", name, |object| {
        let mut finalizers = list(&object["metadata"]["finalizers"]).to_vec();
        let has = finalizers.iter().any(|one| one == finalizer);
        if present && !has {
            finalizers.push(json!(finalizer));
        }
        finalizers.retain(|one| present || one != finalizer);
        if has != present {
            object["metadata"]["finalizers"] = json!(finalizers);
        }
    });
}

/// Says whether each pool can be used: when its class is ready.
fn adopt_pools(scene: &mut Scene<'_>) {
    let pools: Vec<_> = scene.cluster.store.list(&kinds::NODE_POOL).cloned().collect();
    for pool in pools {
        let name = Name::of(&pool).name;
        let class = pool["spec"]["template"]["spec"]["nodeClassRef"]["name"]
            .as_str()
            .unwrap_or_default();
        let class = scene.cluster.store.get(&kinds::NODE_CLASS, "", class);
        let ready = class.is_some_and(|class| condition::holds(class, "Ready"));
        let claims = scene.cluster.store.list(&kinds::NODE_CLAIM);
        let own = claims
            .filter(|claim| selector::labels(claim)[NODE_POOL] == *name)
            .count();
        let now = scene.now;
        scene.cluster.store.change(&kinds::NODE_POOL, "", &name, |pool| {
            let reason = if ready { "NodeClassReady" } else { "NodeClassNotReady" };
            for kind in ["ValidationSucceeded", "NodeClassReady", "Ready"] {
                let holds = ready || kind == "ValidationSucceeded";
                condition::set(pool, now, &condition::Condition::new(kind, holds, reason, ""));
            }
            pool["status"]["nodes"] = json!(own);
            pool["status"]["resources"]["nodes"] = json!(own.to_string());
        });
    }
}

/// Notes when the pods of each node last changed.
fn follow_pod_events(scene: &mut Scene<'_>) {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    for node in cluster
        .store
        .list(&kinds::NODE)
        .filter(|node| selector::labels(node)[NODE_POOL].is_string())
    {
        let name = Name::of(node).name;
        let count = cluster.actors.pods.on_node(&name).count();
        let events = &mut cluster.actors.karpenter.pod_events;
        if events.get(&name).is_none_or(|(_, known)| *known != count) {
            events.insert(name, (scene.now, count));
        }
    }
}

/// Plans nodes for the pods that fit nowhere, once no new one came for a while.
fn provision(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let waiting = view::waiting(scene);
    let now = scene.now;
    let memory = &mut scene.cluster.actors.karpenter;
    memory.unavailable.forget(now);
    memory
        .seen
        .retain(|uid, _| waiting.iter().any(|pod| pod::uid(pod) == uid));
    for pod in &waiting {
        let again = |at: &Timestamp| later(*at, std::time::Duration::from_secs(20)) <= now;
        let uid = pod::uid(pod);
        // A pod waits for the node that was planned for it before it is looked at again.
        if memory.seen.get(uid).is_none_or(again) {
            memory.seen.insert(uid.to_owned(), now);
            memory.batch.see(now);
        }
    }
    if !memory.batch.take(now) {
        let retry = (!waiting.is_empty()).then(|| later(now, std::time::Duration::from_secs(10)));
        return memory.batch.closes().into_iter().chain(retry).min();
    }
    let pods: Vec<karpenter::Pod> = waiting.iter().map(|pod| view::pod(pod)).collect();
    let (pools, types, nodes) = (view::pools(scene), view::types(scene), view::nodes(scene));
    let plan = karpenter::plan(
        &pods,
        &nodes,
        &pools,
        &types,
        &scene.cluster.actors.karpenter.unavailable,
    );
    for claim in &plan.claims {
        claims::create(scene, claim, &types);
    }
    for (name, why) in &plan.unschedulable {
        let found = waiting.iter().find(|pod| view::key(pod) == *name);
        if let Some(pod) = found {
            let kind = event::Kind::Warning;
            event::record(scene, pod, "karpenter", kind, "FailedScheduling", why);
        }
    }
    Some(later(now, LOOK))
}

/// Takes away what nobody needs.
fn disrupt(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let now = scene.now;
    let any = scene.cluster.store.list(&kinds::NODE_CLAIM).next().is_some();
    if !any {
        scene.cluster.actors.karpenter.disruption = None;
        return None;
    }
    let known = scene.cluster.actors.karpenter.disruption.take();
    let mut disruption = known.unwrap_or_else(|| karpenter::Disruption::new(now));
    if disruption.next_wake() <= now {
        let (pools, types) = (view::pools(scene), view::types(scene));
        while disruption.next_wake() <= now {
            let nodes = view::nodes(scene);
            let unavailable = scene.cluster.actors.karpenter.unavailable.clone();
            let Some(command) = disruption.advance(&pools, &types, &nodes, &unavailable, now) else {
                continue;
            };
            for node in &command.nodes {
                remove(scene, node, &format!("{:?}", command.reason));
            }
        }
    }
    let next = disruption.next_wake();
    scene.cluster.actors.karpenter.disruption = Some(disruption);
    Some(next)
}

/// Deletes the claim of a node that is to go.
fn remove(scene: &mut Scene<'_>, node: &str, reason: &str) {
    let claims = scene.cluster.store.list(&kinds::NODE_CLAIM);
    let claim = claims
        .filter(|claim| !marked(claim))
        .find(|claim| claim["status"]["nodeName"] == node)
        .cloned();
    let Some(claim) = claim else { return };
    let message = format!("Disrupting NodeClaim: {reason}");
    event::record(
        scene,
        &claim,
        "karpenter",
        event::Kind::Normal,
        "DisruptionTerminating",
        &message,
    );
    let name = Name::of(&claim).name;
    scene.cluster.store.delete(&kinds::NODE_CLAIM, "", &name, scene.now, 0);
}

/// The cluster's name in the tags of what Karpenter makes.
pub(super) fn tags(scene: &Scene<'_>, class: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            format!("kubernetes.io/cluster/{}", scene.cluster.name),
            "owned".to_owned(),
        ),
        ("eks:eks-cluster-name".to_owned(), scene.cluster.name.clone()),
        ("karpenter.k8s.aws/ec2nodeclass".to_owned(), class.to_owned()),
    ])
}

/// The text of a string.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
