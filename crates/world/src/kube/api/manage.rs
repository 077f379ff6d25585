//! Who owns which fields: `managedFields`, kept with every write.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::kube::api::fields;
use crate::kube::api::fields::Difference;
use crate::kube::api::fields::Fields;
use crate::kube::api::shape::Shape;

/// The owner of what was there before anybody applied anything.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// How an owner came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// An owner of fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) operation: Operation,
    pub(crate) manager: String,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

/// What an owner owns, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) fields: Fields,
    pub(crate) time: Option<String>,
}

/// All owners of an object.
pub(crate) type Owners = BTreeMap<Owner, Owned>;

/// Reads the owners of an object.
pub(crate) fn owners(object: &Value) -> Owners {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .filter_map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str()? {
                "Apply" => Operation::Apply,
                _ => Operation::Update,
            };
            let owner = Owner {
                operation,
                manager: text("manager"),
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let share = Owned {
                fields: Fields::from_json(&entry["fieldsV1"]),
                time: entry["time"].as_str().map(str::to_owned),
            };
            Some((owner, share))
        })
        .collect()
}

/// Writes the owners into an object: those who apply first, then by time and name.
pub(crate) fn write(object: &mut Value, owners: &Owners) {
    let mut sorted: Vec<(&Owner, &Owned)> = owners.iter().filter(|(_, owned)| !owned.fields.is_empty()).collect();
    sorted.sort_by(|(owner, share), (other, theirs)| {
        let key = |owner: &Owner, share: &Owned| (owner.operation, share.time.clone(), owner.manager.clone());
        key(owner, share)
            .cmp(&key(other, theirs))
            .then_with(|| owner.api_version.cmp(&other.api_version))
            .then_with(|| owner.subresource.cmp(&other.subresource))
    });
    let entries: Vec<Value> = sorted.into_iter().map(|(owner, share)| entry(owner, share)).collect();
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

fn entry(owner: &Owner, share: &Owned) -> Value {
    let mut entry = json!({
        "manager": owner.manager,
        "operation": match owner.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
        "apiVersion": owner.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": share.fields.to_json(),
    });
    if let Some(time) = &share.time {
        entry["time"] = json!(time);
    }
    if !owner.subresource.is_empty() {
        entry["subresource"] = json!(owner.subresource);
    }
    entry
}

/// An object without the owners of its fields.
pub(crate) fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}

/// What nobody owns: identity and bookkeeping.
fn stripped(mut fields: Fields) -> Fields {
    for path in [&["f:apiVersion"][..], &["f:kind"]] {
        fields.take_out(path);
    }
    for name in [
        "f:name",
        "f:namespace",
        "f:creationTimestamp",
        "f:selfLink",
        "f:uid",
        "f:generation",
        "f:managedFields",
        "f:resourceVersion",
    ] {
        fields.take_out(&["f:metadata", name]);
    }
    fields.take_step("f:metadata");
    fields.difference(&Fields::default())
}

/// What an applied object sets, as far as it can be owned.
pub(crate) fn applied(object: &Value, shape: &Shape) -> Fields {
    stripped(fields::of(object, shape))
}

/// What differs between two objects, as far as it can be owned.
fn difference(before: &Value, after: &Value, shape: &Shape) -> Difference {
    let found = fields::compare(&without_owners(before), &without_owners(after), shape);
    Difference {
        added: stripped(found.added),
        modified: stripped(found.modified),
        removed: stripped(found.removed),
    }
}

/// Keeps the owners of an object that somebody replaced or patched: who changes a field owns it alone.
///
/// `before` is the object as it was, or the kind's empty object.
pub(crate) fn updated(before: &Value, after: &mut Value, shape: &Shape, owner: Owner, now: &str) {
    let reset = after["metadata"]["managedFields"]
        .as_array()
        .is_some_and(|list| list.len() == 1 && list[0].as_object().is_some_and(serde_json::Map::is_empty));
    let given = owners(after);
    let mut all = match () {
        () if reset => Owners::new(),
        () if given.is_empty() || !owner.subresource.is_empty() => owners(before),
        () => given,
    };
    let changed = difference(before, after, shape);
    let taken = changed.modified.union(&changed.added);
    for owned in all.values_mut() {
        owned.fields = owned.fields.difference(&taken).difference(&changed.removed);
    }
    if !taken.is_empty() {
        let own = all.entry(owner).or_default();
        own.fields = own.fields.union(&taken);
        own.time = Some(now.to_owned());
    }
    write(after, &all);
}

/// Owners whose fields an apply would take, each with what it would take.
pub(crate) type Conflicts = Vec<(Owner, Fields)>;

/// Settles the owners after an apply: what changed is no longer others', or is why the apply fails.
pub(crate) fn settle(before: &Value, after: &Value, shape: &Shape, owners: &mut Owners, applier: &Owner) -> Conflicts {
    let changed = difference(before, after, shape);
    let taken = changed.modified.union(&changed.added);
    let mut conflicts = Conflicts::new();
    for (owner, owned) in owners.iter_mut().filter(|(owner, _)| *owner != applier) {
        let conflict = owned.fields.intersection(&taken);
        if !conflict.is_empty() {
            conflicts.push((owner.clone(), conflict));
        }
        owned.fields = owned.fields.difference(&taken).difference(&changed.removed);
    }
    conflicts
}

/// Gives an object that nobody owns an owner, so that an apply that changes it says so.
pub(crate) fn adopt(object: &Value, shape: &Shape, api_version: &str, now: &str) -> Owners {
    let fields = difference(&json!({}), object, shape).added;
    let owner = Owner {
        operation: Operation::Update,
        manager: BEFORE_FIRST_APPLY.to_owned(),
        api_version: api_version.to_owned(),
        subresource: String::new(),
    };
    let claim = Owned {
        fields,
        time: Some(now.to_owned()),
    };
    Owners::from([(owner, claim)])
}
