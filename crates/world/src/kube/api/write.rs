//! Writing whole objects: create and update, and the steps that patches share with them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::admission;
use crate::kube::api::begin;
use crate::kube::api::call::Call;
use crate::kube::api::custom;
use crate::kube::api::decode;
use crate::kube::api::defaults;
use crate::kube::api::manage;
use crate::kube::api::manage::Operation;
use crate::kube::api::manage::Owner;
use crate::kube::api::object_response;
use crate::kube::api::read;
use crate::kube::api::resources::Scope;
use crate::kube::api::status::Cause;
use crate::kube::api::status::Failure;
use crate::kube::api::validate;
use crate::kube::api::versions;
use crate::kube::store::seconds;

/// Which part of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but its status, where status has a path of its own.
    Main,
    /// Its status.
    Status,
}

/// Whether owners of fields are still to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// They follow from what changed.
    Follow,
    /// An apply has written them.
    Written,
}

/// Answers a create.
pub(crate) fn create(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let mut object = decode::body(call)?;
    place(call, &mut object)?;
    if !call.resource.verbs.iter().any(|verb| verb == "get") {
        return super::subresource::review(scene, call, object);
    }
    let created = add(scene, call, object, Owners::Follow)?;
    Ok(object_response(StatusCode::CREATED, call, &created, scene.now))
}

/// Answers an update.
pub(crate) fn update(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let mut object = decode::body(call)?;
    place(call, &mut object)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        )));
    }
    // A lease may be taken by writing it.
    let absent = read::named(&scene.cluster.store, call).is_err();
    if absent && call.resource.kind == "Lease" {
        let created = add(scene, call, object, Owners::Follow)?;
        return Ok(object_response(StatusCode::CREATED, call, &created, scene.now));
    }
    let old = read::named(&scene.cluster.store, call)?;
    let unversioned = object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty);
    if unversioned && (call.resource.custom.is_some() || call.resource.kind == "CustomResourceDefinition") {
        let why = Cause::new(
            "FieldValueInvalid",
            "metadata.resourceVersion",
            "Invalid value: 0: must be specified for an update",
        );
        let resource = &call.resource;
        return Err(Failure::invalid_kind(
            &resource.group,
            &resource.plural,
            &call.name,
            &[why],
        ));
    }
    let part = part_of(call);
    let new = change(scene, call, &old, object, part, Owners::Follow)?;
    Ok(object_response(StatusCode::OK, call, &new, scene.now))
}

/// The part that a call's path writes.
pub(crate) fn part_of(call: &Call<'_>) -> Part {
    match call.subresource.as_deref() {
        Some("status") => Part::Status,
        _ => Part::Main,
    }
}

/// Puts an object where the path says, or refuses one that is elsewhere.
fn place(call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if !namespace.is_empty() && namespace != call.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(message));
    }
    if call.resource.scope == Scope::Namespaced {
        object["metadata"]["namespace"] = json!(call.namespace);
    }
    Ok(())
}

/// The owner that a call's fields have.
pub(crate) fn owner(call: &Call<'_>) -> Owner {
    Owner {
        operation: Operation::Update,
        manager: call.manager(),
        api_version: call.resource.api_version(),
        subresource: call.subresource.clone().unwrap_or_default(),
    }
}

/// Stores a new object, as the kind's rules make it.
pub(crate) fn add(
    scene: &mut Scene<'_>,
    call: &Call<'_>,
    object: Value,
    owners: Owners,
) -> Result<Arc<Value>, Failure> {
    let resource = call.resource.clone();
    if resource.scope == Scope::Namespaced {
        admission::check_namespace_exists(scene, call)?;
    }
    let mut object = decode::fit(call, object)?;
    defaults::set(&resource, &mut object);
    if resource.has_status() && resource.kind != "Namespace" {
        begin::reset_status(&resource, &mut object);
    }
    let now = seconds(scene.now);
    if owners == Owners::Follow {
        manage::updated(
            &json!({"metadata": {}}),
            &mut object,
            &resource.shape,
            owner(call),
            &now,
        );
    }
    for field in ["uid", "creationTimestamp", "generation", "resourceVersion", "selfLink"] {
        remove(&mut object["metadata"], field);
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        remove(&mut object["metadata"], field);
    }
    name(scene, call, &mut object);
    admission::on_create(scene, call, &mut object)?;
    begin::begin(scene, &resource, &mut object);
    validate::created(&resource, &object)?;
    custom::validate(&resource, &object, None)?;
    let mut object = versions::stored(&resource, object);
    object["kind"] = json!(resource.kind);
    if object["apiVersion"].is_null() {
        object["apiVersion"] = json!(resource.api_version());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let taken = scene
        .cluster
        .store
        .get(&resource.stored_as, &call.namespace, &name)
        .is_some();
    if taken {
        return Err(Failure::already_exists(&resource, &name));
    }
    if call.dry_run() {
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(scene.random.uuid());
        }
        object["metadata"]["creationTimestamp"] = json!(now);
        return Ok(Arc::new(object));
    }
    let stored = scene
        .cluster
        .store
        .create(&resource.stored_as, object, scene.now, scene.random);
    stored.ok_or_else(|| Failure::already_exists(&resource, &name))
}

/// Draws a name for an object that asks for one.
fn name(scene: &mut Scene<'_>, call: &Call<'_>, object: &mut Value) {
    let metadata = &mut object["metadata"];
    let unnamed = metadata["name"].as_str().is_none_or(str::is_empty);
    let prefix = metadata["generateName"].as_str().unwrap_or_default().to_owned();
    if !unnamed || prefix.is_empty() {
        return;
    }
    // A name that is taken is drawn again; with five characters this ends soon.
    loop {
        let drawn = format!("{prefix}{}", scene.random.suffix(5));
        let kind = &call.resource.stored_as;
        if scene.cluster.store.get(kind, &call.namespace, &drawn).is_none() {
            metadata["name"] = json!(drawn);
            return;
        }
    }
}

/// Stores a changed object, as the kind's rules make it.
pub(crate) fn change(
    scene: &mut Scene<'_>,
    call: &Call<'_>,
    old: &Arc<Value>,
    new: Value,
    part: Part,
    owners: Owners,
) -> Result<Arc<Value>, Failure> {
    let resource = call.resource.clone();
    let shown = versions::shown(&resource, old).into_owned();
    let mut new = decode::fit(call, new)?;
    if !new["metadata"].is_object() {
        new["metadata"] = json!({});
    }
    defaults::set(&resource, &mut new);
    check_same(call, &shown, &new)?;
    keep_identity(&shown, &mut new);
    match part {
        Part::Main if resource.has_status() => copy(&shown, &mut new, "status"),
        Part::Main => {}
        Part::Status => only_status(&resource, &shown, &mut new),
    }
    if owners == Owners::Follow {
        manage::updated(&shown, &mut new, &resource.shape, owner(call), &seconds(scene.now));
    }
    admission::on_update(scene, call, &shown, &mut new)?;
    if part == Part::Main {
        begin::carry(&resource, &shown, &mut new);
        validate::updated(&resource, &shown, &new)?;
    }
    custom::validate(&resource, &new, Some(&shown))?;
    let mut new = versions::stored(&resource, new);
    new["kind"] = json!(resource.kind);
    if new["apiVersion"].is_null() {
        new["apiVersion"] = json!(resource.api_version());
    }
    if call.dry_run() {
        new["metadata"]["resourceVersion"] = shown["metadata"]["resourceVersion"].clone();
        return Ok(Arc::new(new));
    }
    let stored = scene.cluster.store.update(&resource.stored_as, new);
    stored.ok_or_else(|| Failure::not_found(&resource, &call.name))
}

/// Refuses a change of an object that is another one or has changed meanwhile.
fn check_same(call: &Call<'_>, old: &Value, new: &Value) -> Result<(), Failure> {
    let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (uid, revision) = (text(new, "uid"), text(new, "resourceVersion"));
    if !uid.is_empty() && uid != text(old, "uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            text(old, "uid")
        );
        return Err(Failure::conflict(&call.resource, &call.name, &why));
    }
    if !revision.is_empty() && revision != text(old, "resourceVersion") {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Failure::conflict(&call.resource, &call.name, why));
    }
    Ok(())
}

/// Keeps what only the server writes.
fn keep_identity(old: &Value, new: &mut Value) {
    for field in [
        "name",
        "namespace",
        "generateName",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => remove(&mut new["metadata"], field),
        }
    }
}

/// Keeps everything but status, and the metadata that may travel with it.
fn only_status(resource: &crate::kube::api::resources::Resource, old: &Value, new: &mut Value) {
    let mut kept = old.clone();
    copy(new, &mut kept, "status");
    if resource.custom.is_none() {
        let mut metadata = new["metadata"].clone();
        match old["metadata"].get("labels") {
            Some(labels) => metadata["labels"] = labels.clone(),
            None => remove(&mut metadata, "labels"),
        }
        kept["metadata"] = metadata;
    } else if let Some(owners) = new["metadata"].get("managedFields") {
        kept["metadata"]["managedFields"] = owners.clone();
    }
    *new = kept;
}

/// Copies a field, or its absence.
fn copy(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => remove(to, field),
    }
}

/// Removes a field of an object.
pub(crate) fn remove(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}
