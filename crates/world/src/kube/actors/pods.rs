//! Where the pods are: by controller, by node, not yet bound, and what each node has left.
//!
//! It follows from the store alone and catches up change by change, so that no actor has to look at every pod.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::Amounts;
use crate::kube::store::Name;
use crate::kube::store::Store;

/// An index over the pods of one cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    seen: u64,
    by_controller: BTreeMap<String, BTreeSet<Name>>,
    by_node: BTreeMap<String, BTreeSet<Name>>,
    used: BTreeMap<String, Amounts>,
    unbound: BTreeSet<Name>,
}

impl Pods {
    /// Catches up with the store.
    pub(crate) fn follow(&mut self, store: &Store) {
        if store.revision_of(&kinds::POD) > self.seen {
            let changes = store.changes_since(self.seen).filter(|_| self.seen > 0);
            if let Some(changes) = changes {
                for change in changes.filter(|change| change.kind == kinds::POD) {
                    if let Some(before) = &change.before {
                        self.forget(before);
                    }
                    if let Some(after) = &change.after {
                        self.learn(after);
                    }
                }
            } else {
                *self = Self::default();
                for pod in store.list(&kinds::POD) {
                    self.learn(pod);
                }
            }
        }
        self.seen = store.revision();
    }

    /// The pods that an owner controls.
    pub(crate) fn of_controller(&self, uid: &str) -> impl Iterator<Item = &Name> {
        self.by_controller.get(uid).into_iter().flatten()
    }

    /// The pods that are bound to a node.
    pub(crate) fn on_node(&self, node: &str) -> impl Iterator<Item = &Name> {
        self.by_node.get(node).into_iter().flatten()
    }

    /// What the pods of a node request together.
    pub(crate) fn used(&self, node: &str) -> Amounts {
        self.used.get(node).cloned().unwrap_or_default()
    }

    /// The pods that no node has yet.
    pub(crate) fn unbound(&self) -> impl Iterator<Item = &Name> {
        self.unbound.iter()
    }

    fn learn(&mut self, object: &Value) {
        let name = Name::of(object);
        if let Some(uid) = owner::controller_uid(object) {
            self.by_controller
                .entry(uid.to_owned())
                .or_default()
                .insert(name.clone());
        }
        match pod::node(object) {
            None => {
                self.unbound.insert(name);
            }
            Some(node) => {
                if !pod::over(object) {
                    self.used
                        .entry(node.to_owned())
                        .or_default()
                        .add(&pod::requests(object));
                }
                self.by_node.entry(node.to_owned()).or_default().insert(name);
            }
        }
    }

    fn forget(&mut self, object: &Value) {
        let name = Name::of(object);
        if let Some(uid) = owner::controller_uid(object) {
            take(&mut self.by_controller, uid, &name);
        }
        self.unbound.remove(&name);
        if let Some(node) = pod::node(object) {
            take(&mut self.by_node, node, &name);
            if !self.by_node.contains_key(node) {
                self.used.remove(node);
            } else if let Some(used) = self.used.get_mut(node).filter(|_| !pod::over(object)) {
                used.subtract(&pod::requests(object));
            }
        }
    }
}

fn take(sets: &mut BTreeMap<String, BTreeSet<Name>>, key: &str, name: &Name) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(name);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
