//! Owner references: whose an object is.

use serde_json::Value;
use serde_json::json;

use crate::kube::store::GroupKind;
use crate::kube::store::Name;

/// The references of an object to its owners.
pub(crate) fn references(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

/// The reference to the owner that controls an object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    references(object).iter().find(|owner| owner["controller"] == true)
}

/// The uid of the owner that controls an object.
pub(crate) fn controller_uid(object: &Value) -> Option<&str> {
    controller(object)?["uid"].as_str()
}

/// The place of the controlling owner, if it is of the given kind.
pub(crate) fn controller_name(object: &Value, kind: &GroupKind) -> Option<Name> {
    let owner = controller(object)?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    (kind_of(owner) == *kind).then(|| Name::new(namespace, owner["name"].as_str().unwrap_or_default()))
}

/// The kind that a reference names.
pub(crate) fn kind_of(reference: &Value) -> GroupKind {
    let version = reference["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    GroupKind::new(group, reference["kind"].as_str().unwrap_or_default())
}

/// A reference that makes `owner` the controller.
pub(crate) fn controlled_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}
