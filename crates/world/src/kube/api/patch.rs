//! The four kinds of patch: JSON patch, merge patch, strategic merge patch, apply.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Map;
use serde_json::Value;

use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::apply;
use crate::kube::api::call::Call;
use crate::kube::api::call::FieldValidation;
use crate::kube::api::object_response;
use crate::kube::api::read;
use crate::kube::api::status::Failure;
use crate::kube::api::strategic;
use crate::kube::api::versions;
use crate::kube::api::write;
use crate::kube::api::write::Owners;
use crate::kube::store::seconds;

/// Answers a patch.
pub(crate) fn answer(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    if matches!(
        call.content_type(),
        "application/apply-patch+yaml" | "application/apply-patch+cbor"
    ) {
        return applied(scene, call);
    }
    let old = read::named(&scene.cluster.store, call)?;
    let shown = versions::shown(&call.resource, &old);
    let patched = patched(call, &shown)?;
    let new = write::change(scene, call, &old, patched, write::part_of(call), Owners::Follow)?;
    Ok(object_response(StatusCode::OK, call, &new, scene.now))
}

/// An object with the call's patch on it.
pub(crate) fn patched(call: &Call<'_>, object: &Value) -> Result<Value, Failure> {
    let strategic = call.resource.custom.is_none();
    let accepted = if strategic {
        "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
    } else {
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    };
    call.field_validation().map(|_: FieldValidation| ())?;
    let body: Value = serde_json::from_slice(call.request.body())
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let mut patched = object.clone();
    match call.content_type() {
        "application/json-patch+json" => json_patch(&mut patched, &body)?,
        "application/merge-patch+json" if body.is_object() => merge_patch(&mut patched, &body),
        "application/strategic-merge-patch+json" if strategic && body.is_object() => {
            patched = strategic::patched(&patched, &body, &call.resource.shape)?;
        }
        "application/merge-patch+json" | "application/strategic-merge-patch+json" if strategic || !body.is_object() => {
            return Err(Failure::bad_request("error decoding patch: it is no object"));
        }
        _ => return Err(Failure::unsupported_media_type(accepted)),
    }
    if !patched.is_object() {
        return Err(Failure::patch_does_not_fit());
    }
    Ok(patched)
}

/// A part of an object with the call's patch on it; such parts have no lists, so that strategic and plain merging agree.
pub(crate) fn patched_part(call: &Call<'_>, part: &Value) -> Result<Value, Failure> {
    let body: Value = serde_json::from_slice(call.request.body())
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let mut patched = part.clone();
    if call.content_type() == "application/json-patch+json" {
        json_patch(&mut patched, &body)?;
    } else {
        merge_patch(&mut patched, &body);
    }
    Ok(patched)
}

fn applied(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let wanted = apply::read(call)?;
    let now = seconds(scene.now);
    let Ok(old) = read::named(&scene.cluster.store, call) else {
        if call.subresource.is_some() {
            return Err(Failure::not_found(&call.resource, &call.name));
        }
        let uid = wanted["metadata"]["uid"].as_str().unwrap_or_default();
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Failure::conflict(&call.resource, &call.name, &why));
        }
        let new = apply::onto(None, &wanted, call, &now)?;
        let created = write::add(scene, call, new.object, Owners::Written)?;
        return Ok(object_response(StatusCode::CREATED, call, &created, scene.now));
    };
    let shown = versions::shown(&call.resource, &old).into_owned();
    let new = apply::onto(Some(&shown), &wanted, call, &now)?;
    let stored = if new.changed {
        write::change(scene, call, &old, new.object, write::part_of(call), Owners::Written)?
    } else {
        only_owners(scene, call, &old, new.object)?
    };
    Ok(object_response(StatusCode::OK, call, &stored, scene.now))
}

/// Stores who owns what, where nothing else changed.
fn only_owners(
    scene: &mut Scene<'_>,
    call: &Call<'_>,
    old: &Arc<Value>,
    mut new: Value,
) -> Result<Arc<Value>, Failure> {
    if call.dry_run() || new["metadata"]["managedFields"] == old["metadata"]["managedFields"] {
        return Ok(old.clone());
    }
    let mut object = Value::clone(old);
    object["metadata"]["managedFields"] = new["metadata"]["managedFields"].take();
    let stored = scene.cluster.store.update(&call.resource.stored_as, object);
    stored.ok_or_else(|| Failure::not_found(&call.resource, &call.name))
}

/// Merges as RFC 7386 says: null removes.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            merge_patch(map.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Carries out the operations of RFC 6902, all or none.
fn json_patch(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch.as_array().ok_or_else(|| {
        Failure::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch",
        )
    })?;
    for operation in operations {
        operate(target, operation).ok_or_else(Failure::patch_does_not_fit)?;
    }
    Ok(())
}

fn operate(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    match operation["op"].as_str()? {
        "add" => insert(target, path, operation.get("value")?.clone()),
        "remove" => take(target, path).map(drop),
        "replace" => {
            let value = operation.get("value")?.clone();
            *target.pointer_mut(path)? = value;
            Some(())
        }
        "move" => {
            let moved = take(target, operation["from"].as_str()?)?;
            insert(target, path, moved)
        }
        "copy" => {
            let copied = target.pointer(operation["from"].as_str()?)?.clone();
            insert(target, path, copied)
        }
        "test" => {
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            let found = target.pointer(path).unwrap_or(&Value::Null);
            (found == wanted).then_some(())
        }
        _ => None,
    }
}

/// The parent of a pointer's target, and the target's own name.
fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((target.pointer_mut(parent)?, name))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
        }
        (Value::Array(list), name) => {
            let index = if name == "-" { list.len() } else { name.parse().ok()? };
            if index > list.len() {
                return None;
            }
            list.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(list), name) => {
            let index: usize = name.parse().ok()?;
            (index < list.len()).then(|| list.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_json_patch_adds_moves_and_removes() {
        let mut target = json!({"a": [1, 2], "b": {"c~d": 1}});
        let patch = json!([
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "add", "path": "/a/0", "value": 0},
            {"op": "move", "from": "/b/c~0d", "path": "/e"},
            {"op": "replace", "path": "/b", "value": []},
            {"op": "test", "path": "/e", "value": 1},
        ]);
        json_patch(&mut target, &patch).unwrap();
        assert_eq!(target, json!({"a": [0, 1, 2, 3], "b": [], "e": 1}));
        assert!(json_patch(&mut target, &json!([{"op": "remove", "path": "/none"}])).is_err());
    }

    #[test]
    fn null_in_a_merge_patch_removes() {
        let mut target = json!({"a": 1, "b": {"c": 2}});
        merge_patch(&mut target, &json!({"a": null, "b": {"d": 3}}));
        assert_eq!(target, json!({"b": {"c": 2, "d": 3}}));
    }
}
