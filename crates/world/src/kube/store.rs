//! The objects of one cluster, every change numbered.
//!
//! It keeps what the API server keeps in etcd and no more: identity, revisions, generations, deletion marks and
//! finalizers. It validates nothing and knows no kind; the API does that for clients, actors are trusted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::random::Random;

/// The kinds that have no generations.
const UNCOUNTED: [&str; 36] = [
    "APIService.apiregistration.k8s.io",
    "CSIDriver.storage.k8s.io",
    "CSINode.storage.k8s.io",
    "CSIStorageCapacity.storage.k8s.io",
    "CertificateSigningRequest.certificates.k8s.io",
    "ClusterRole.rbac.authorization.k8s.io",
    "ClusterRoleBinding.rbac.authorization.k8s.io",
    "ComponentStatus",
    "ConfigMap",
    "ControllerRevision.apps",
    "DeviceClass.resource.k8s.io",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler.autoscaling",
    "IPAddress.networking.k8s.io",
    "Lease.coordination.k8s.io",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodTemplate",
    "ResourceClaim.resource.k8s.io",
    "ResourceClaimTemplate.resource.k8s.io",
    "ResourceQuota",
    "ResourceSlice.resource.k8s.io",
    "Role.rbac.authorization.k8s.io",
    "RoleBinding.rbac.authorization.k8s.io",
    "RuntimeClass.node.k8s.io",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceCIDR.networking.k8s.io",
    "StorageClass.storage.k8s.io",
    "VolumeAttachment.storage.k8s.io",
    "VolumeAttributesClass.storage.k8s.io",
];

/// How many changes a watch may lag behind before it is told that it is too old, and lists again. A snapshot has all of
/// them, with the objects before and after: more would make it larger than what it is about.
const REMEMBERED_CHANGES: usize = 5_000;

/// A kind within its group, as in `Deployment.apps` or `Pod`; versions of one kind share their objects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct GroupKind(Cow<'static, str>);

impl GroupKind {
    /// A kind that the code knows by name.
    pub(crate) const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// A kind of a group; the core group is the empty one.
    pub(crate) fn new(group: &str, kind: &str) -> Self {
        let text = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        Self(Cow::Owned(text))
    }

    /// The kind's own name.
    pub(crate) fn kind(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The kind's group; empty for the core group.
    pub(crate) fn group(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, group)| group)
    }
}

impl fmt::Debug for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object's place within its kind; the namespace is empty for cluster-wide objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The place that an object's own metadata names.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        Self::new(text("namespace"), text("name"))
    }
}

/// One numbered change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) kind: GroupKind,
    /// The object before; none when it was created.
    pub(crate) before: Option<Arc<Value>>,
    /// The object after; none when it is gone.
    pub(crate) after: Option<Arc<Value>>,
}

impl Change {
    /// The object as the change left it; when it is gone, as it last was.
    pub(crate) fn object(&self) -> &Arc<Value> {
        self.after
            .as_ref()
            .or(self.before.as_ref())
            .expect("a change has an object before it or after it")
    }
}

/// What a deletion came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// There was nothing of that name.
    Absent,
    /// Finalizers or a grace period hold it; it is marked.
    Pending,
    /// It is gone.
    Done,
}

/// The objects of one cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Store {
    #[serde(with = "as_list")]
    objects: BTreeMap<GroupKind, BTreeMap<Name, Arc<Value>>>,
    revision: u64,
    // The revision of each kind's latest change.
    latest: BTreeMap<GroupKind, u64>,
    changes: VecDeque<Change>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            revision: 1,
            latest: BTreeMap::new(),
            changes: VecDeque::new(),
        }
    }
}

impl Store {
    /// The number of the latest change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The number of the kind's latest change; zero if there was none.
    pub(crate) fn revision_of(&self, kind: &GroupKind) -> u64 {
        self.latest.get(kind).copied().unwrap_or(0)
    }

    /// One object.
    pub(crate) fn get(&self, kind: &GroupKind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(kind)?.get(&Name::new(namespace, name))
    }

    /// All objects of a kind, in order of namespace and name.
    pub(crate) fn list<'a>(&'a self, kind: &GroupKind) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        self.objects.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// The objects of a kind in one namespace, in order of name.
    pub(crate) fn list_in<'a>(
        &'a self,
        kind: &GroupKind,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let objects = self.objects.get(kind);
        objects.into_iter().flat_map(move |objects| {
            objects
                .range(Name::new(namespace, "")..)
                .take_while(move |(name, _)| name.namespace == namespace)
                .map(|(_, object)| object)
        })
    }

    /// The kinds that have objects.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &GroupKind> {
        self.objects
            .iter()
            .filter(|(_, objects)| !objects.is_empty())
            .map(|(kind, _)| kind)
    }

    /// The changes after `revision`, oldest first; none if they are no longer all remembered.
    pub(crate) fn changes_since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        let oldest = self.changes.front().map_or(self.revision + 1, |change| change.revision);
        let start = self.changes.partition_point(|change| change.revision <= revision);
        (revision + 1 >= oldest).then(|| self.changes.iter().skip(start))
    }

    /// Stores a new object under the name that its metadata gives, with uid, time, generation and revision.
    ///
    /// Returns none, and stores nothing, when the name is taken.
    pub(crate) fn create(
        &mut self,
        kind: &GroupKind,
        mut object: Value,
        now: Timestamp,
        random: &mut Random,
    ) -> Option<Arc<Value>> {
        let name = Name::of(&object);
        if self
            .objects
            .get(kind)
            .is_some_and(|objects| objects.contains_key(&name))
        {
            return None;
        }
        let metadata = &mut object["metadata"];
        // A job's labels carry its uid before it is stored.
        if metadata["uid"].as_str().is_none_or(str::is_empty) {
            metadata["uid"] = json!(random.uuid());
        }
        metadata["creationTimestamp"] = json!(seconds(now));
        if !UNCOUNTED.contains(&kind.0.as_ref()) {
            metadata["generation"] = json!(1);
        }
        Some(self.put(kind, name, object))
    }

    /// Replaces an object; a changed specification raises its generation.
    ///
    /// An object that is marked for deletion and has lost its last finalizer goes. Returns the object as it now is or
    /// last was; none if there is nothing of that name. A replacement that changes nothing is no change.
    pub(crate) fn update(&mut self, kind: &GroupKind, mut object: Value) -> Option<Arc<Value>> {
        let name = Name::of(&object);
        let before = self.objects.get(kind)?.get(&name)?.clone();
        for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
            match (before["metadata"].get(field), object["metadata"].as_object_mut()) {
                (Some(value), _) => object["metadata"][field] = value.clone(),
                (None, Some(metadata)) => drop(metadata.remove(field)),
                (None, None) => {}
            }
        }
        if object == *before {
            return Some(before);
        }
        // A deletion that waits is a new generation too: whoever follows generations must look again.
        let ends =
            marked(&object) && !marked(&before) && object["metadata"].get("deletionGracePeriodSeconds").is_some();
        if let Some(generation) = before["metadata"]["generation"].as_u64()
            && (ends || !want_the_same(&before, &object))
        {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if marked(&object) && !held(&object) && !lingers(&object) {
            self.remove(kind, &name);
            return Some(Arc::new(object));
        }
        Some(self.put(kind, name, object))
    }

    /// Changes an object in place; the same rules as for [`Store::update`].
    pub(crate) fn change(
        &mut self,
        kind: &GroupKind,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<Arc<Value>> {
        let mut object = Value::clone(self.get(kind, namespace, name)?);
        change(&mut object);
        self.update(kind, object)
    }

    /// Deletes an object, or marks it when finalizers or a grace period hold it.
    ///
    /// `grace` is what the object may take to end by itself; zero removes an object without finalizers at once.
    pub(crate) fn delete(
        &mut self,
        kind: &GroupKind,
        namespace: &str,
        name: &str,
        now: Timestamp,
        grace: u64,
    ) -> Deletion {
        let Some(object) = self.get(kind, namespace, name) else {
            return Deletion::Absent;
        };
        if !held(object) && grace == 0 {
            self.remove(kind, &Name::new(namespace, name));
            return Deletion::Done;
        }
        if !marked(object) || object["metadata"]["deletionGracePeriodSeconds"].as_u64() > Some(grace) {
            let at = crate::aws::later(now, std::time::Duration::from_secs(grace));
            self.change(kind, namespace, name, |object| {
                object["metadata"]["deletionTimestamp"] = json!(seconds(at));
                object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            });
        }
        Deletion::Pending
    }

    /// Removes an object whatever holds it: what a kubelet does when a pod's grace period is over.
    pub(crate) fn remove(&mut self, kind: &GroupKind, name: &Name) {
        let Some(before) = self.objects.get_mut(kind).and_then(|objects| objects.remove(name)) else {
            return;
        };
        let revision = self.next_revision(kind);
        let mut last = Value::clone(&before);
        last["metadata"]["resourceVersion"] = json!(revision.to_string());
        self.record(Change {
            revision,
            kind: kind.clone(),
            before: Some(Arc::new(last)),
            after: None,
        });
    }

    fn put(&mut self, kind: &GroupKind, name: Name, mut object: Value) -> Arc<Value> {
        let revision = self.next_revision(kind);
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        let after = Arc::new(object);
        let before = self
            .objects
            .entry(kind.clone())
            .or_default()
            .insert(name, after.clone());
        self.record(Change {
            revision,
            kind: kind.clone(),
            before,
            after: Some(after.clone()),
        });
        after
    }

    fn next_revision(&mut self, kind: &GroupKind) -> u64 {
        self.revision += 1;
        self.latest.insert(kind.clone(), self.revision);
        self.revision
    }

    fn record(&mut self, change: Change) {
        if self.changes.len() == REMEMBERED_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }
}

/// Whether the object is marked for deletion.
pub(crate) fn marked(object: &Value) -> bool {
    object["metadata"]
        .get("deletionTimestamp")
        .is_some_and(|time| !time.is_null())
}

/// A point in time as Kubernetes writes it in metadata: whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether the object may still take its grace period to end.
fn lingers(object: &Value) -> bool {
    object["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) > 0
}

/// Whether finalizers hold the object; a namespace has some in its specification too.
fn held(object: &Value) -> bool {
    let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    some(&object["metadata"]["finalizers"]) || some(&object["spec"]["finalizers"])
}

/// Whether two versions of an object want the same, so that they are one generation. Binding a pod to a node makes none.
fn want_the_same(before: &Value, after: &Value) -> bool {
    let not_wanted: &[&str] = if after["kind"] == "Pod" { &["nodeName"] } else { &[] };
    let same = |before: &Value, after: &Value, but: &[&str]| fields(before, but).eq(fields(after, but));
    same(before, after, &["metadata", "status", "spec"]) && same(&before["spec"], &after["spec"], not_wanted)
}

/// The fields of an object but these.
fn fields<'a>(object: &'a Value, but: &'a [&'a str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let all = object.as_object().into_iter().flatten();
    all.filter(|(name, _)| !but.contains(&name.as_str()))
}

/// JSON has no maps with structured keys, so a stored map is a list of its objects; their names are in their metadata.
mod as_list {
    use serde::Deserializer;
    use serde::Serializer;

    use super::Arc;
    use super::BTreeMap;
    use super::Deserialize;
    use super::GroupKind;
    use super::Name;
    use super::Serialize;
    use super::Value;

    type Objects = BTreeMap<GroupKind, BTreeMap<Name, Arc<Value>>>;

    pub(super) fn serialize<S: Serializer>(objects: &Objects, serializer: S) -> Result<S::Ok, S::Error> {
        let lists: BTreeMap<&GroupKind, Vec<&Arc<Value>>> = objects
            .iter()
            .map(|(kind, objects)| (kind, objects.values().collect()))
            .collect();
        lists.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Objects, D::Error> {
        let lists = BTreeMap::<GroupKind, Vec<Arc<Value>>>::deserialize(deserializer)?;
        let named = |objects: Vec<Arc<Value>>| objects.into_iter().map(|object| (Name::of(&object), object)).collect();
        Ok(lists
            .into_iter()
            .map(|(kind, objects)| (kind, named(objects)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THING: GroupKind = GroupKind::of("Thing.example.org");

    fn store_with(object: Value) -> Store {
        let mut store = Store::default();
        store
            .create(&THING, object, Timestamp::UNIX_EPOCH, &mut Random::new(1))
            .unwrap();
        store
    }

    fn thing(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"size": 1}})
    }

    #[test]
    fn a_name_is_given_once() {
        let mut store = store_with(thing("a"));
        let again = store.create(&THING, thing("a"), Timestamp::UNIX_EPOCH, &mut Random::new(1));
        assert_eq!(again, None);
    }

    #[test]
    fn a_changed_specification_is_a_new_generation_and_a_changed_status_is_not() {
        let mut store = store_with(thing("a"));
        let status = store
            .change(&THING, "default", "a", |object| {
                object["status"] = json!({"ready": true});
            })
            .unwrap();
        assert_eq!(status["metadata"]["generation"], 1);
        let spec = store
            .change(&THING, "default", "a", |object| object["spec"]["size"] = json!(2))
            .unwrap();
        assert_eq!(spec["metadata"]["generation"], 2);
    }

    #[test]
    fn changing_nothing_is_no_change() {
        let mut store = store_with(thing("a"));
        let revision = store.revision();
        store.change(&THING, "default", "a", |object| object["spec"]["size"] = json!(1));
        assert_eq!(store.revision(), revision);
    }

    #[test]
    fn a_finalizer_holds_an_object_until_it_is_taken_off() {
        let mut object = thing("a");
        object["metadata"]["finalizers"] = json!(["example.org/guard"]);
        let mut store = store_with(object);
        assert_eq!(
            store.delete(&THING, "default", "a", Timestamp::UNIX_EPOCH, 0),
            Deletion::Pending
        );
        assert!(marked(store.get(&THING, "default", "a").unwrap()));
        store.change(&THING, "default", "a", |object| {
            object["metadata"]["finalizers"] = json!([]);
        });
        assert_eq!(store.get(&THING, "default", "a"), None);
    }

    #[test]
    fn every_change_is_told_once_and_in_order() {
        let mut store = store_with(thing("a"));
        let start = store.revision();
        store.change(&THING, "default", "a", |object| object["spec"]["size"] = json!(2));
        store.delete(&THING, "default", "a", Timestamp::UNIX_EPOCH, 0);
        let told: Vec<bool> = store
            .changes_since(start)
            .unwrap()
            .map(|change| change.after.is_some())
            .collect();
        assert_eq!(told, [true, false]);
    }

    #[test]
    fn a_stored_store_is_the_same_store() {
        let store = store_with(thing("a"));
        let stored = serde_json::to_string(&store).unwrap();
        let restored: Store = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored.get(&THING, "default", "a"), store.get(&THING, "default", "a"));
        assert_eq!(restored.revision(), store.revision());
    }

    #[test]
    fn a_namespace_lists_its_own_objects_only() {
        let mut store = store_with(thing("a"));
        let mut other = thing("a");
        other["metadata"]["namespace"] = json!("default-2");
        store
            .create(&THING, other, Timestamp::UNIX_EPOCH, &mut Random::new(2))
            .unwrap();
        assert_eq!(store.list_in(&THING, "default").count(), 1);
        assert_eq!(store.list(&THING).count(), 2);
    }
}
