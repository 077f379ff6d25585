//! What an actor has to do: the objects that changed since it last ran, and those that it wanted to see again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::kube::store::Change;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::Store;

/// One actor's queue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queue {
    // The revision up to which it saw the changes; zero before its first run.
    seen: u64,
    // Written as `namespace/name`. Invariant: an entry of one is an entry of the other.
    by_time: BTreeMap<Timestamp, BTreeSet<String>>,
    by_name: BTreeMap<String, Timestamp>,
}

impl Queue {
    /// When the next object is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.keys().next().copied()
    }

    /// The objects that the changes since the last run concern.
    pub(crate) fn changed(
        &mut self,
        store: &Store,
        watches: &[GroupKind],
        concerns: fn(&Store, &Change) -> Vec<Name>,
    ) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        let first = self.seen == 0;
        let latest = watches.iter().map(|kind| store.revision_of(kind)).max();
        if !first && latest.unwrap_or(0) <= self.seen {
            return names;
        }
        match store.changes_since(self.seen).filter(|_| !first) {
            Some(changes) => {
                for change in changes.filter(|change| watches.contains(&change.kind)) {
                    names.extend(concerns(store, change));
                }
            }
            None => {
                for kind in watches {
                    for object in store.list(kind) {
                        names.extend(concerns(store, &unknown_before(kind, object)));
                    }
                }
            }
        }
        self.seen = store.revision();
        names
    }

    /// Takes the objects that are due.
    pub(crate) fn due(&mut self, now: Timestamp) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        while let Some(entry) = self.by_time.first_entry().filter(|entry| *entry.key() <= now) {
            for key in entry.remove() {
                self.by_name.remove(&key);
                let (namespace, name) = key.split_once('/').unwrap_or_default();
                names.insert(Name::new(namespace, name));
            }
        }
        names
    }

    /// Sets when an object is due again.
    pub(crate) fn set(&mut self, name: &Name, at: Option<Timestamp>) {
        let key = format!("{}/{}", name.namespace, name.name);
        if let Some(old) = self.by_name.remove(&key)
            && let Some(keys) = self.by_time.get_mut(&old)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_time.remove(&old);
            }
        }
        if let Some(at) = at {
            self.by_name.insert(key.clone(), at);
            self.by_time.entry(at).or_default().insert(key);
        }
    }
}

/// An object as it is, for an actor that missed how it became so.
fn unknown_before(kind: &GroupKind, object: &std::sync::Arc<serde_json::Value>) -> Change {
    Change {
        revision: 0,
        kind: kind.clone(),
        before: None,
        after: Some(object.clone()),
    }
}
