//! The controllers: each file is one actor, a reconcile function over the store.
//!
//! An actor runs when a kind that it watches changed, or when the time came that it asked for. What it must remember
//! between two runs is in [`Memory`], so that a stored world goes on where it was. Actors never call the API.

pub(crate) mod condition;
pub(crate) mod event;
pub(crate) mod kinds;
pub(crate) mod owner;
pub(crate) mod pod;
pub(crate) mod pods;
pub(crate) mod quantity;
mod queue;
pub(crate) mod selector;

mod api_service;
mod autoscaler;
mod collector;
pub(crate) mod component;
mod daemon_set;
mod deployment;
mod disruption_budget;
mod eks;
pub(crate) mod endpoints;
mod garbage;
mod job;
mod karpenter;
#[cfg(test)]
mod karpenter_tests;
mod keda;
pub(crate) mod kubelet;
mod load_balancer;
mod namespace;
pub(crate) mod node;
mod otel_scaler;
mod replica_set;
#[cfg(test)]
mod scaling_tests;
mod scheduler;
#[cfg(test)]
mod stage;
mod stateful_set;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::core::Scene;
use crate::core::Ticket;
use crate::kube::actors::pods::Pods;
use crate::kube::actors::queue::Queue;
use crate::kube::network;
use crate::kube::store::Change;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::Store;

/// One actor: what wakes it and what it does.
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    /// It runs when an object of one of these kinds changed.
    pub(crate) watches: &'static [GroupKind],
    pub(crate) work: Work,
}

/// What an actor does when it runs: whatever can be done now. It says when it wants to run again although nothing
/// changed.
pub(crate) enum Work {
    /// Looks at everything at once; it also runs once when the cluster begins.
    Whole(fn(&mut Scene<'_>) -> Option<Timestamp>),
    /// Follows every change by itself, and says whether it found something to do.
    Always(fn(&mut Scene<'_>) -> bool),
    /// Looks at one object at a time.
    Each {
        /// The objects that a change concerns.
        concerns: fn(&Store, &Change) -> Vec<Name>,
        reconcile: fn(&mut Scene<'_>, &Name) -> Option<Timestamp>,
    },
}

/// The actors in the order in which they run within one round.
const ACTORS: &[Actor] = &[
    namespace::DEFAULTS,
    namespace::ACTOR,
    eks::NODES,
    eks::ADDONS,
    garbage::ACTOR,
    deployment::ACTOR,
    replica_set::ACTOR,
    stateful_set::ACTOR,
    daemon_set::ACTOR,
    job::ACTOR,
    scheduler::ACTOR,
    kubelet::ACTOR,
    node::ACTOR,
    network::MODEL_SERVERS,
    disruption_budget::ACTOR,
    endpoints::ACTOR,
    api_service::CUSTOM_RESOURCES,
    api_service::ACTOR,
    collector::ACTOR,
    keda::ACTOR,
    autoscaler::ACTOR,
    load_balancer::ACTOR,
    karpenter::ACTOR,
    volume::ACTOR,
];

/// A round is one run of every actor that has a reason to run. A chain of actors that wake each other is a few rounds
/// long; far more than that is two actors undoing each other's work.
const ROUNDS: usize = 1000;

/// What the actors of one cluster remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    queues: BTreeMap<String, Queue>,
    // The revision at which no actor had a reason to run.
    rested: u64,
    /// Where the pods are; follows from the store.
    #[serde(skip)]
    pub(crate) pods: Pods,
    #[serde(skip)]
    owners: garbage::Owners,
    pub(crate) kubelet: kubelet::Memory,
    pub(crate) traffic: network::Traffic,
    collectors: collector::Memory,
    scalers: otel_scaler::Memory,
    scaled_objects: keda::Memory,
    autoscalers: autoscaler::Memory,
    karpenter: karpenter::Memory,
}

impl Memory {
    /// When the next actor wants to run although nothing changed.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let actors = self.queues.values().filter_map(Queue::next);
        actors.chain(self.traffic.next_wake()).min()
    }

    /// Forgets a ticket whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.traffic.abandon(ticket);
    }
}

/// Runs the actors until none has a reason to run.
pub(crate) fn advance(scene: &mut Scene<'_>) {
    network::traffic::advance(scene);
    let resting = scene.cluster.actors.rested == scene.cluster.store.revision();
    if resting && scene.cluster.actors.next_wake().is_none_or(|at| at > scene.now) {
        return;
    }
    for _ in 0..ROUNDS {
        let mut ran = false;
        for actor in ACTORS {
            scene.cluster.actors.pods.follow(&scene.cluster.store);
            ran |= run(actor, scene);
        }
        if !ran {
            scene.cluster.actors.pods.follow(&scene.cluster.store);
            scene.cluster.actors.rested = scene.cluster.store.revision();
            return;
        }
    }
    tracing::error!(cluster = scene.cluster.name, "actors undo each other's work");
}

/// Runs one actor on what changed since it last ran and on what is due; says whether it had a reason to run.
fn run(actor: &Actor, scene: &mut Scene<'_>) -> bool {
    if let Work::Always(collect) = actor.work {
        return collect(scene);
    }
    let known = scene.cluster.actors.queues.remove(actor.name);
    let first = known.is_none();
    let mut queue = known.unwrap_or_default();
    let store = &scene.cluster.store;
    let mut names = match actor.work {
        Work::Whole(_) | Work::Always(_) => queue.changed(store, actor.watches, |_, _| vec![Name::new("", "")]),
        Work::Each { concerns, .. } => queue.changed(store, actor.watches, concerns),
    };
    if first && matches!(actor.work, Work::Whole(_)) {
        names.insert(Name::new("", ""));
    }
    names.extend(queue.due(scene.now));
    for name in &names {
        let at = match actor.work {
            Work::Always(_) => None,
            Work::Whole(reconcile) => reconcile(scene),
            Work::Each { reconcile, .. } => {
                scene.cluster.actors.pods.follow(&scene.cluster.store);
                reconcile(scene, name)
            }
        };
        queue.set(name, at);
    }
    scene.cluster.actors.queues.insert(actor.name.to_owned(), queue);
    !names.is_empty()
}

/// The cluster's region of the account.
pub(crate) fn site<'a>(scene: &'a mut Scene<'_>) -> crate::aws::Site<'a> {
    crate::aws::Site {
        now: scene.now,
        random: scene.random,
        account: scene.aws,
        region: &scene.cluster.region,
    }
}

/// A change concerns the changed object itself.
pub(crate) fn itself(_: &Store, change: &Change) -> Vec<Name> {
    vec![Name::of(change.object())]
}

/// A change of a pod concerns its controller of the given kind; any other change the changed object itself.
fn itself_or_controller(change: &Change, kind: &GroupKind) -> Vec<Name> {
    if change.kind == *kind {
        return vec![Name::of(change.object())];
    }
    let sides = [change.before.as_deref(), change.after.as_deref()];
    let owners = sides.into_iter().flatten();
    let mut names: Vec<Name> = owners
        .filter_map(|object| owner::controller_name(object, kind))
        .collect();
    names.dedup();
    names
}
