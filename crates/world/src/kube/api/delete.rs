//! Deleting: at once, after a grace period, or when finalizers and dependents are gone.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::call::Call;
use crate::kube::api::decode;
use crate::kube::api::object_response;
use crate::kube::api::read;
use crate::kube::api::status;
use crate::kube::api::status::Failure;
use crate::kube::api::upkeep;
use crate::kube::api::view;
use crate::kube::api::view::Paging;
use crate::kube::store::Deletion;
use crate::kube::store::marked;
use crate::kube::store::seconds;

/// Kinds whose deletion answers with the object even when it is gone.
const GIVE_OBJECT: [&str; 7] = [
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ResourceQuota",
    "Service",
    "ServiceAccount",
];

/// How a client wants something deleted.
#[derive(Debug, Default)]
pub(crate) struct Options {
    grace: Option<u64>,
    propagation: String,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

impl Options {
    /// Reads the options of a call: from its body, or from its query.
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let body = if call.request.body().is_empty() {
            Value::Null
        } else {
            decode::parse_yaml(call.request.body())?
        };
        Ok(Self::of(&body, call))
    }

    /// Reads the options in an object.
    pub(crate) fn of(body: &Value, call: &Call<'_>) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let orphans = body["orphanDependents"].as_bool();
        let propagation = text(&body["propagationPolicy"])
            .or_else(|| orphans.map(|orphans| if orphans { "Orphan" } else { "Background" }.to_owned()))
            .unwrap_or_else(|| call.parameter("propagationPolicy").to_owned());
        let grace = body["gracePeriodSeconds"].as_u64();
        let dry = body["dryRun"].as_array().is_some_and(|list| !list.is_empty());
        Self {
            grace: grace.or_else(|| call.parameter("gracePeriodSeconds").parse().ok()),
            propagation,
            uid: text(&body["preconditions"]["uid"]),
            revision: text(&body["preconditions"]["resourceVersion"]),
            dry_run: dry || call.dry_run(),
        }
    }
}

/// Answers the deletion of one object.
pub(crate) fn one(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let options = Options::read(call)?;
    let object = read::named(&scene.cluster.store, call)?;
    let left = delete(scene, call, &object, &options)?;
    if let Some(left) = left {
        return Ok(object_response(StatusCode::OK, call, &left, scene.now));
    }
    if GIVE_OBJECT.contains(&call.resource.kind.as_str()) && call.resource.group.is_empty() {
        return Ok(object_response(StatusCode::OK, call, &object, scene.now));
    }
    let mut details = call.resource.details(&call.name, &call.resource.plural);
    details["uid"] = object["metadata"]["uid"].clone();
    Ok(status::success(StatusCode::OK, Some(details)))
}

/// Answers the deletion of a collection: with what it held.
pub(crate) fn many(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let options = Options::read(call)?;
    let store = &scene.cluster.store;
    let selection = read::selection(call)?;
    let paging = Paging::default();
    let namespaced = !call.namespace.is_empty();
    let page = view::page(
        read::objects(store, call),
        &selection,
        &paging,
        namespaced,
        store.revision(),
    )?;
    let bytes = view::list(&call.resource, &page, call.form, scene.now);
    let objects: Vec<Arc<Value>> = page.objects.into_iter().cloned().collect();
    for object in objects {
        delete(scene, call, &object, &options)?;
    }
    let mut response = Response::new(bytes.into());
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Deletes an object or marks it; gives the object while something holds it.
pub(crate) fn delete(
    scene: &mut Scene<'_>,
    call: &Call<'_>,
    object: &Arc<Value>,
    options: &Options,
) -> Result<Option<Arc<Value>>, Failure> {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace").to_owned(), text("name").to_owned());
    check_preconditions(call, &name, options, text("uid"), text("resourceVersion"))?;
    if options.dry_run {
        return Ok(None);
    }
    let now = seconds(scene.now);
    match call.resource.kind.as_str() {
        "Namespace" if call.resource.group.is_empty() => return Ok(Some(end_namespace(scene, object, &now))),
        "CustomResourceDefinition" => return Ok(Some(upkeep::end_definition(scene, object, &now))),
        _ => {}
    }
    propagate(scene, call, object, options);
    let kind = &call.resource.stored_as;
    let grace = grace(call, object, options);
    let store = &mut scene.cluster.store;
    match store.delete(kind, &namespace, &name, scene.now, grace) {
        Deletion::Absent | Deletion::Done => Ok(None),
        Deletion::Pending => Ok(store.get(kind, &namespace, &name).cloned()),
    }
}

fn check_preconditions(
    call: &Call<'_>,
    name: &str,
    options: &Options,
    uid: &str,
    revision: &str,
) -> Result<(), Failure> {
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        );
        return Err(Failure::precondition(&call.resource, name, &why));
    }
    if let Some(wanted) = options.revision.as_deref().filter(|wanted| *wanted != revision) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        );
        return Err(Failure::precondition(&call.resource, name, &why));
    }
    Ok(())
}

/// How long an object may take to end. Only pods take time, and only where they run.
fn grace(call: &Call<'_>, object: &Value, options: &Options) -> u64 {
    if call.resource.kind != "Pod" || !call.resource.group.is_empty() {
        return 0;
    }
    let running = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty())
        && !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let own = object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    if running { options.grace.unwrap_or(own) } else { 0 }
}

/// Adds the finalizer that makes the garbage collector deal with the dependents first.
fn propagate(scene: &mut Scene<'_>, call: &Call<'_>, object: &Value, options: &Options) {
    let job = call.resource.kind == "Job";
    let finalizer = match options.propagation.as_str() {
        "Foreground" => "foregroundDeletion",
        "Orphan" => "orphan",
        "" if job && !marked(object) => {
            call.warn(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
            );
            "orphan"
        }
        _ => return,
    };
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let kind = &call.resource.stored_as;
    scene
        .cluster
        .store
        .change(kind, text("namespace"), text("name"), |object| {
            let finalizers = &mut object["metadata"]["finalizers"];
            if finalizers.is_null() {
                *finalizers = json!([]);
            }
            if let Some(list) = finalizers.as_array_mut()
                && !list.iter().any(|known| known == finalizer)
            {
                list.push(json!(finalizer));
            }
        });
}

/// Marks a namespace; it ends when everything in it has.
fn end_namespace(scene: &mut Scene<'_>, object: &Value, now: &str) -> Arc<Value> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = crate::kube::store::GroupKind::of("Namespace");
    let ended = scene.cluster.store.change(&kind, "", name, |namespace| {
        if !marked(namespace) {
            namespace["metadata"]["deletionTimestamp"] = json!(now);
        }
        namespace["status"]["phase"] = json!("Terminating");
    });
    ended.expect("the namespace was just read")
}
