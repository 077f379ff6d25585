//! The controllers: each file is one actor, a reconcile function over the store.
//!
//! An actor runs when a kind that it watches changed, or when the time came that it asked for. What it must remember
//! between two runs is in [`Memory`], so that a stored world goes on where it was. Actors never call the API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::core::Scene;
use crate::core::Ticket;
use crate::kube::store::GroupKind;

/// One actor: what wakes it and what it does.
struct Actor {
    name: &'static str,
    /// It runs when one of these kinds changed.
    watches: &'static [GroupKind],
    /// Does what can be done now, and says when it wants to run again although nothing changed.
    reconcile: fn(&mut Scene<'_>) -> Option<Timestamp>,
}

/// The actors in the order in which they run within one round.
const ACTORS: &[Actor] = &[];

/// A round is one run of every actor that has a reason to run. A chain of actors that wake each other is a few rounds
/// long; far more than that is two actors undoing each other's work.
const ROUNDS: usize = 1000;

/// What the actors of one cluster remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    wakes: BTreeMap<String, Wake>,
}

/// When an actor last ran, and when it wants to run again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Wake {
    seen: u64,
    at: Option<Timestamp>,
}

impl Memory {
    /// When the next actor wants to run although nothing changed.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.values().filter_map(|wake| wake.at).min()
    }

    /// Forgets a ticket whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        let _ = ticket;
    }
}

/// Runs the actors until none has a reason to run.
pub(crate) fn advance(scene: &mut Scene<'_>) {
    for _ in 0..ROUNDS {
        let mut ran = false;
        for actor in ACTORS {
            ran |= run(actor, scene);
        }
        if !ran {
            return;
        }
    }
    tracing::error!(cluster = scene.cluster.name, "actors undo each other's work");
}

fn run(actor: &Actor, scene: &mut Scene<'_>) -> bool {
    let store = &scene.cluster.store;
    let changed = actor
        .watches
        .iter()
        .map(|kind| store.revision_of(kind))
        .max()
        .unwrap_or(0);
    let wake = scene.cluster.actors.wakes.entry(actor.name.to_owned()).or_default();
    let due = wake.at.is_some_and(|at| at <= scene.now);
    if changed <= wake.seen && !due {
        return false;
    }
    let seen = store.revision();
    let at = (actor.reconcile)(scene);
    scene
        .cluster
        .actors
        .wakes
        .insert(actor.name.to_owned(), Wake { seen, at });
    true
}
