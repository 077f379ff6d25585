//! The garbage collector: what has lost all its owners goes, and an owner that is deleted in the foreground waits for
//! what it owns.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Collects whatever lost its owners.
pub(super) const ACTOR: Actor = Actor {
    name: "garbage",
    watches: &[],
    work: Work::Always(collect),
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Who owns whom, by uid; follows from the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    seen: u64,
    // The dependents of each uid that was ever named as an owner and still has dependents.
    dependents: BTreeMap<String, std::collections::BTreeSet<(GroupKind, String, String)>>,
    // Objects to look at: those whose owner went, and owners that are being deleted.
    suspects: std::collections::BTreeSet<(GroupKind, String, String)>,
}

impl Owners {
    fn follow(&mut self, store: &Store) {
        if store.revision() == self.seen {
            return;
        }
        let changes = store.changes_since(self.seen).filter(|_| self.seen > 0);
        if let Some(changes) = changes {
            for change in changes {
                self.learn(&change.kind, change.before.as_deref(), change.after.as_deref());
            }
        } else {
            *self = Self::default();
            for kind in store.kinds() {
                for object in store.list(kind) {
                    self.learn(kind, None, Some(object));
                    self.suspect(kind, object);
                }
            }
        }
        self.seen = store.revision();
    }

    fn learn(&mut self, kind: &GroupKind, before: Option<&Value>, after: Option<&Value>) {
        let unowned = |object: Option<&Value>| object.is_none_or(|object| owner::references(object).is_empty());
        if !(unowned(before) && unowned(after)) {
            for (object, owned) in [(before, false), (after, true)] {
                for reference in object.into_iter().flat_map(owner::references) {
                    let object = object.expect("it has a reference");
                    self.depend(kind, object, reference["uid"].as_str().unwrap_or_default(), owned);
                }
            }
        }
        let object = after.or(before).expect("a change has an object before it or after it");
        match after {
            None => self.suspect_dependents(pod::uid(object)),
            Some(after) => {
                let old = before.map(owner::references);
                if !unowned(Some(after)) && old != Some(owner::references(after)) {
                    self.suspect(kind, after);
                }
                if marked(after) {
                    self.suspect(kind, after);
                }
            }
        }
        if after.is_none_or(marked) {
            for reference in owner::references(object) {
                self.suspect_owner(reference, object);
            }
        }
    }

    fn depend(&mut self, kind: &GroupKind, object: &Value, owner: &str, holds: bool) {
        let place = place(kind, object);
        let dependents = self.dependents.entry(owner.to_owned()).or_default();
        if holds {
            dependents.insert(place);
        } else {
            dependents.remove(&place);
        }
        if dependents.is_empty() {
            self.dependents.remove(owner);
        }
    }

    fn suspect(&mut self, kind: &GroupKind, object: &Value) {
        self.suspects.insert(place(kind, object));
    }

    fn suspect_owner(&mut self, reference: &Value, dependent: &Value) {
        let name = reference["name"].as_str().unwrap_or_default().to_owned();
        let namespace = Name::of(dependent).namespace;
        let kind = owner::kind_of(reference);
        self.suspects.insert((kind.clone(), namespace, name.clone()));
        self.suspects.insert((kind, String::new(), name));
    }

    fn suspect_dependents(&mut self, uid: &str) {
        if let Some(dependents) = self.dependents.get(uid) {
            self.suspects.extend(dependents.iter().cloned());
        }
    }
}

fn place(kind: &GroupKind, object: &Value) -> (GroupKind, String, String) {
    let name = Name::of(object);
    (kind.clone(), name.namespace, name.name)
}

/// Looks at every suspect; says whether there was one.
fn collect(scene: &mut Scene<'_>) -> bool {
    let cluster = &mut *scene.cluster;
    cluster.actors.owners.follow(&cluster.store);
    let suspects = std::mem::take(&mut cluster.actors.owners.suspects);
    for (kind, namespace, name) in &suspects {
        if let Some(object) = scene.cluster.store.get(kind, namespace, name).cloned() {
            look(scene, kind, &object);
        }
    }
    !suspects.is_empty()
}

/// Deletes an object whose owners are all gone; lets an owner in foreground deletion go when nothing waits for it.
fn look(scene: &mut Scene<'_>, kind: &GroupKind, object: &Value) {
    let name = Name::of(object);
    if marked(object) {
        finalize(scene, kind, object);
        return;
    }
    let references = owner::references(object);
    let store = &scene.cluster.store;
    let lives = |reference: &Value| exists(store, reference, &name.namespace);
    if references.is_empty() || references.iter().any(lives) {
        return;
    }
    delete(scene, kind, &name);
}

fn finalize(scene: &mut Scene<'_>, kind: &GroupKind, object: &Value) {
    let held_by = |finalizer: &str| {
        list(&object["metadata"]["finalizers"])
            .iter()
            .any(|one| one == finalizer)
    };
    let name = Name::of(object);
    let uid = pod::uid(object);
    let dependents = scene
        .cluster
        .actors
        .owners
        .dependents
        .get(uid)
        .cloned()
        .unwrap_or_default();
    if held_by(FOREGROUND) {
        let mut waits = false;
        for (kind, namespace, name) in dependents {
            let Some(dependent) = scene.cluster.store.get(&kind, &namespace, &name).cloned() else {
                continue;
            };
            let blocks = |reference: &Value| reference["uid"] == uid && reference["blockOwnerDeletion"] == true;
            let place = Name::new(&namespace, &name);
            if scene
                .cluster
                .actors
                .owners
                .dependents
                .contains_key(pod::uid(&dependent))
                && !marked(&dependent)
            {
                hold(scene, &kind, &place);
            }
            delete(scene, &kind, &place);
            let remains = scene.cluster.store.get(&kind, &namespace, &name).is_some();
            waits |= remains && owner::references(&dependent).iter().any(blocks);
        }
        if !waits {
            release(scene, kind, &name, FOREGROUND);
        }
    } else if held_by(ORPHAN) {
        for (kind, namespace, name) in dependents {
            scene.cluster.store.change(&kind, &namespace, &name, |dependent| {
                if let Some(references) = dependent["metadata"]["ownerReferences"].as_array_mut() {
                    references.retain(|reference| reference["uid"] != uid);
                }
            });
        }
        release(scene, kind, &name, ORPHAN);
    }
}

/// Lets a dependent that has dependents of its own wait for them too.
fn hold(scene: &mut Scene<'_>, kind: &GroupKind, name: &Name) {
    scene.cluster.store.change(kind, &name.namespace, &name.name, |object| {
        let mut finalizers = list(&object["metadata"]["finalizers"]).to_vec();
        finalizers.push(FOREGROUND.into());
        object["metadata"]["finalizers"] = finalizers.into();
    });
}

fn release(scene: &mut Scene<'_>, kind: &GroupKind, name: &Name, finalizer: &str) {
    scene.cluster.store.change(kind, &name.namespace, &name.name, |object| {
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|one| one != finalizer);
        }
    });
}

fn delete(scene: &mut Scene<'_>, kind: &GroupKind, name: &Name) {
    let store = &mut scene.cluster.store;
    if *kind == kinds::POD {
        pod::delete(store, name, scene.now);
    } else if store
        .get(kind, &name.namespace, &name.name)
        .is_some_and(|object| !marked(object))
    {
        store.delete(kind, &name.namespace, &name.name, scene.now, 0);
    }
}

/// Whether the owner that a reference means is there: the same name with another uid is not.
fn exists(store: &Store, reference: &Value, namespace: &str) -> bool {
    let kind = owner::kind_of(reference);
    let name = reference["name"].as_str().unwrap_or_default();
    let found = store.get(&kind, namespace, name).or_else(|| store.get(&kind, "", name));
    found.is_some_and(|owner| owner["metadata"]["uid"] == reference["uid"])
}
