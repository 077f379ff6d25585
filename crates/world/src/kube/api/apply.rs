//! Server-side apply: a client says what it wants, and what it no longer says leaves, unless others want it.

use serde_json::Value;
use serde_json::json;

use crate::kube::api::call::Call;
use crate::kube::api::decode;
use crate::kube::api::fields;
use crate::kube::api::manage;
use crate::kube::api::manage::Conflicts;
use crate::kube::api::manage::Operation;
use crate::kube::api::manage::Owned;
use crate::kube::api::manage::Owner;
use crate::kube::api::manage::Owners;
use crate::kube::api::merge;
use crate::kube::api::shape::Merge;
use crate::kube::api::shape::Shape;
use crate::kube::api::status::Cause;
use crate::kube::api::status::Failure;

/// What an apply makes of an object, with its owners written in.
pub(crate) struct Applied {
    pub(crate) object: Value,
    /// Whether more changed than who owns what.
    pub(crate) changed: bool,
}

/// Reads the applied object and refuses what can never be applied.
pub(crate) fn read(call: &Call<'_>) -> Result<Value, Failure> {
    if call.parameter("fieldManager").is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid_kind("meta.k8s.io", "PatchOptions", "", &[cause]));
    }
    let mut applied = decode::parse_yaml(call.request.body())?;
    decode::check_kind(call, &applied)?;
    let metadata = &applied["metadata"];
    if !metadata["managedFields"].is_null() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    if !name.is_empty() && name != call.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        )));
    }
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    if !namespace.is_empty() && namespace != call.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if let Err(why) = check_types(&applied, &call.resource.shape, "") {
        return Err(Failure::not_typed(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
            namespace,
            call.name,
            call.resource.api_version(),
            call.resource.kind
        )));
    }
    if applied["metadata"].is_null() {
        applied["metadata"] = json!({});
    }
    applied["metadata"]["name"] = json!(call.name);
    if !call.namespace.is_empty() {
        applied["metadata"]["namespace"] = json!(call.namespace);
    }
    Ok(applied)
}

/// Applies an object to a live one, or to the kind's empty object.
pub(crate) fn onto(live: Option<&Value>, applied: &Value, call: &Call<'_>, now: &str) -> Result<Applied, Failure> {
    let shape = &*call.resource.shape;
    let empty = json!({"metadata": {}});
    let before = live.unwrap_or(&empty);
    let mut owners = manage::owners(before);
    if live.is_some() && owners.is_empty() {
        owners = manage::adopt(before, shape, &call.resource.api_version(), now);
    }
    let by = own(&owners, call);
    let last = owners.get(&by).cloned();
    let before = manage::without_owners(before);
    let merged = merge::merged(Some(&before), Some(applied), shape);
    let mut fields = manage::applied(applied, shape);
    keep_to_part(&mut fields, call);
    let time = last.as_ref().and_then(|last| last.time.clone());
    owners.insert(by.clone(), Owned { fields, time });
    let mut after = match &last {
        Some(last) => pruned(&merged, last, &owners, shape),
        None => merged,
    };
    let conflicts = manage::settle(&before, &after, shape, &mut owners, &by);
    if !conflicts.is_empty() && !call.flag("force") {
        return Err(refusal(&conflicts));
    }
    let changed = live.is_none() || after != before;
    if changed && let Some(own) = owners.get_mut(&by) {
        own.time = Some(now.to_owned());
    }
    manage::write(&mut after, &owners);
    Ok(Applied { object: after, changed })
}

/// The applier as an owner: the version in which it applied before does not make it another.
fn own(owners: &Owners, call: &Call<'_>) -> Owner {
    let own = Owner {
        operation: Operation::Apply,
        manager: call.manager(),
        api_version: call.resource.api_version(),
        subresource: call.subresource.clone().unwrap_or_default(),
    };
    let same = |owner: &&Owner| {
        owner.operation == Operation::Apply && owner.manager == own.manager && owner.subresource == own.subresource
    };
    owners.keys().find(same).cloned().unwrap_or(own)
}

/// Takes out what this path does not write: status through the object, everything else through its status.
fn keep_to_part(fields: &mut fields::Fields, call: &Call<'_>) {
    match call.subresource.as_deref() {
        None if call.resource.has_status() => fields.take_out(&["f:status"]),
        Some("status") => fields.take_out(&["f:spec"]),
        _ => {}
    }
}

/// Takes out what the applier applied last time and neither it nor anybody else wants now.
fn pruned(merged: &Value, last: &Owned, owners: &Owners, shape: &Shape) -> Value {
    let unwanted = last.fields.with_named(shape);
    let Some(without) = merge::without(merged, &unwanted, shape) else {
        return merged.clone();
    };
    let everyone = owners
        .values()
        .fold(fields::Fields::default(), |all, owned| all.union(&owned.fields));
    let present = fields::of(merged, shape).with_named(shape);
    let left = fields::of(&without, shape).with_named(shape);
    let kept = left.union(&everyone.with_named(shape));
    // Only what the applier itself had may go.
    let goes = present.difference(&kept).intersection(&unwanted);
    merge::without(merged, &goes, shape).unwrap_or_else(|| merged.clone())
}

fn refusal(conflicts: &Conflicts) -> Failure {
    let named: Vec<(String, Vec<String>)> = conflicts
        .iter()
        .map(|(owner, fields)| (owner_text(owner), fields.paths()))
        .collect();
    let causes: Vec<(String, String)> = named
        .iter()
        .flat_map(|(owner, paths)| {
            paths
                .iter()
                .map(move |path| (format!("conflict with {owner}"), path.clone()))
        })
        .collect();
    let message = if let [(cause, path)] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {cause}: {path}")
    } else {
        let lines: Vec<String> = named
            .iter()
            .map(|(owner, paths)| format!("conflicts with {owner}:\n- {}", paths.join("\n- ")))
            .collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
    };
    Failure::apply_conflict(message, &causes)
}

fn owner_text(owner: &Owner) -> String {
    let mut text = format!("\"{}\"", owner.manager);
    if !owner.subresource.is_empty() {
        text = format!("{text} with subresource \"{}\"", owner.subresource);
    }
    match owner.operation {
        Operation::Apply => text,
        Operation::Update => format!("{text} using {}", owner.api_version),
    }
}

/// Refuses an applied object with fields or types that its kind does not have.
fn check_types(value: &Value, shape: &Shape, at: &str) -> Result<(), String> {
    let mismatch = |wanted: &str| Err(format!("{at}: expected {wanted}, got {value}"));
    match (shape, value) {
        (_, Value::Null) | (Shape::Anything, _) => Ok(()),
        (Shape::Fields(_) | Shape::Map { .. }, Value::Object(map)) => {
            for (name, inner) in map {
                let path = format!("{at}.{name}");
                let Some(below) = shape.field(name) else {
                    return Err(format!("{path}: field not declared in schema"));
                };
                check_types(inner, below, &path)?;
            }
            Ok(())
        }
        (Shape::List { items, merge }, Value::Array(list)) => {
            let mut seen = std::collections::BTreeSet::new();
            for (index, item) in list.iter().enumerate() {
                let step = fields::item_step(shape, item);
                let path = format!(
                    "{at}[{}]",
                    step.as_deref().map_or(index.to_string(), |step| step[2..].to_owned())
                );
                if *merge != Merge::Whole && step.is_none() {
                    return Err(format!(
                        "{at}: element {index}: associative list with keys has an element that omits key field"
                    ));
                }
                if step.is_some() && !seen.insert(step) {
                    return Err(format!("{at}: duplicate entries for key {path}"));
                }
                check_types(item, items, &path)?;
            }
            Ok(())
        }
        (Shape::Fields(_) | Shape::Map { .. }, _) => mismatch("map"),
        (Shape::List { .. }, _) => mismatch("list"),
        (Shape::Text, other) if !other.is_string() => mismatch("string"),
        (Shape::Number, other) if !other.is_number() => mismatch("numeric (int or float)"),
        (Shape::Truth, other) if !other.is_boolean() => mismatch("boolean"),
        _ => Ok(()),
    }
}
