//! Parts of objects with paths of their own: status, scale, binding, eviction, tokens; and reviews, which are no
//! objects at all.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::call::Call;
use crate::kube::api::decode;
use crate::kube::api::delete;
use crate::kube::api::delete::Options;
use crate::kube::api::identity;
use crate::kube::api::identity::Action;
use crate::kube::api::identity::User;
use crate::kube::api::manage;
use crate::kube::api::object_response;
use crate::kube::api::patch;
use crate::kube::api::path;
use crate::kube::api::read;
use crate::kube::api::resources::Resource;
use crate::kube::api::select::selector_matches;
use crate::kube::api::select::selector_text;
use crate::kube::api::status;
use crate::kube::api::status::Failure;
use crate::kube::api::status::json_response;
use crate::kube::api::write;
use crate::kube::api::write::Owners;
use crate::kube::api::write::Part;
use crate::kube::store::GroupKind;
use crate::kube::store::marked;
use crate::kube::store::seconds;

const BUDGET: GroupKind = GroupKind::of("PodDisruptionBudget.policy");

/// Answers a call for a part of an object.
pub(crate) fn answer(scene: &mut Scene<'_>, call: &Call<'_>, name: &str) -> Result<Response, Failure> {
    match (name, call.verb()) {
        ("status" | "resize" | "ephemeralcontainers" | "approval", "get") => read::get(scene, call),
        ("status", "update") => write::update(scene, call),
        ("status", "patch") => patch::answer(scene, call),
        ("scale", verb) => scale(scene, call, verb),
        ("binding", "create") => bind(scene, call),
        ("eviction", "create") => evict(scene, call),
        ("token", "create") => token(scene, call),
        ("finalize", "update") => finalize(scene, call),
        ("log", "get") => {
            read::named(&scene.cluster.store, call)?;
            let instead = "`kubectl describe` and `kubectl events` tell what happened to a pod";
            Err(Failure::not_simulated(&format!(
                "keeps no logs of its containers: {instead}"
            )))
        }
        ("exec" | "attach" | "portforward", _) => {
            read::named(&scene.cluster.store, call)?;
            let instead = "`kubectl get --raw` reaches a pod's HTTP through its `proxy` path";
            let why = format!("runs no processes in its containers that streams could reach: {instead}");
            Err(Failure::not_simulated(&why))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

/// The scale of an object.
fn scale_of(resource: &Resource, object: &Value) -> Value {
    let spec = path::first(object, &scale_path(resource, "specReplicasPath", ".spec.replicas"));
    let status = path::first(object, &scale_path(resource, "statusReplicasPath", ".status.replicas"));
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {},
        "spec": {},
        "status": {"replicas": status.and_then(Value::as_i64).unwrap_or(0)},
    });
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            scale["metadata"][field] = value.clone();
        }
    }
    if let Some(replicas) = spec.and_then(Value::as_i64).filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = json!(replicas);
    }
    let selector = if resource.custom.is_none() {
        selector_text(&object["spec"]["selector"])
    } else {
        let at = scale_path(resource, "labelSelectorPath", "");
        let found = (!at.is_empty()).then(|| path::first(object, &at)).flatten();
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = json!(selector);
    }
    scale
}

fn scale_path(resource: &Resource, name: &str, default: &str) -> String {
    let own = resource.custom.as_ref().and_then(|custom| custom.scale.as_ref());
    let given = own.and_then(|scale| scale[name].as_str());
    given.unwrap_or(default).to_owned()
}

fn scale(scene: &mut Scene<'_>, call: &Call<'_>, verb: &str) -> Result<Response, Failure> {
    let old = read::named(&scene.cluster.store, call)?;
    let before = scale_of(&call.resource, &old);
    if verb == "get" {
        return Ok(json_response(StatusCode::OK, &before));
    }
    let wanted = match verb {
        "patch" if call.content_type() == "application/apply-patch+yaml" => decode::parse_yaml(call.request.body())?,
        "patch" => patch::patched_part(call, &before)?,
        _ => decode::parse_yaml(call.request.body())?,
    };
    let revision = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !revision.is_empty() && old["metadata"]["resourceVersion"] != revision {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Failure::conflict(&call.resource, &call.name, why));
    }
    let replicas = wanted["spec"].get("replicas").cloned().unwrap_or(json!(0));
    let Some(count) = replicas.as_i64().filter(|count| *count >= 0) else {
        let cause = status::Cause::invalid("spec.replicas", &replicas, "must be greater than or equal to 0");
        return Err(Failure::invalid_kind("autoscaling", "Scale", &call.name, &[cause]));
    };
    let mut new = Value::clone(&old);
    let at = scale_path(&call.resource, "specReplicasPath", ".spec.replicas");
    path::set(&mut new, &at, json!(count));
    let owners = scale_owners(scene, call, &old, &new, &at);
    manage::write(&mut new, &owners);
    let stored = write::change(scene, call, &old, new, Part::Main, Owners::Written)?;
    Ok(json_response(StatusCode::OK, &scale_of(&call.resource, &stored)))
}

/// The owners of an object's fields after it was scaled: a scale of zero has no replicas, so nobody owns them then.
fn scale_owners(scene: &Scene<'_>, call: &Call<'_>, old: &Value, new: &Value, at: &str) -> manage::Owners {
    let as_scaled = |object: &Value| {
        let mut object = object.clone();
        if path::first(&object, at) == Some(&json!(0)) {
            path::remove(&mut object, at);
        }
        object
    };
    let mut scaled = as_scaled(new);
    let (owner, now) = (write::owner(call), seconds(scene.now));
    manage::updated(&as_scaled(old), &mut scaled, &call.resource.shape, owner, &now);
    manage::owners(&scaled)
}

/// Puts a pod on a node, as schedulers do.
fn bind(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let binding = decode::parse_yaml(call.request.body())?;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    let pod = read::named(&scene.cluster.store, call)?;
    if let Some(bound) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        let why = format!("pod {} is already assigned to node \"{bound}\"", call.name);
        return Err(Failure::conflict(&call.resource, &call.name, &why));
    }
    if marked(&pod) {
        let why = format!("pod {} is being deleted, cannot be assigned to a host", call.name);
        return Err(Failure::conflict(&call.resource, &call.name, &why));
    }
    let now = seconds(scene.now);
    change(scene, call, |pod| {
        pod["spec"]["nodeName"] = json!(node);
        set_condition(
            pod,
            json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
        );
    });
    Ok(status::success(StatusCode::CREATED, None))
}

/// Changes the named pod, unless nothing shall be stored.
fn change(scene: &mut Scene<'_>, call: &Call<'_>, change: impl FnOnce(&mut Value)) {
    if !call.dry_run() {
        let kind = &call.resource.stored_as;
        scene.cluster.store.change(kind, &call.namespace, &call.name, change);
    }
}

fn set_condition(object: &mut Value, condition: Value) {
    let conditions = &mut object["status"]["conditions"];
    if conditions.is_null() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    match list.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => list.push(condition),
    }
}

/// Deletes a pod if the budgets that cover it allow one more disruption.
fn evict(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let eviction = decode::parse_yaml(call.request.body())?;
    let options = Options::of(&eviction["deleteOptions"], call);
    let pod = read::named(&scene.cluster.store, call)?;
    let over = matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed" | "Pending")
    ) || marked(&pod);
    if !over {
        spend_budget(scene, call, &pod)?;
    }
    let now = seconds(scene.now);
    change(scene, call, |pod| {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": now, "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"});
        set_condition(pod, condition);
    });
    let pod = read::named(&scene.cluster.store, call)?;
    delete::delete(scene, call, &pod, &options)?;
    Ok(status::success(StatusCode::CREATED, None))
}

fn spend_budget(scene: &mut Scene<'_>, call: &Call<'_>, pod: &Value) -> Result<(), Failure> {
    let covering: Vec<Arc<Value>> = scene
        .cluster
        .store
        .list_in(&BUDGET, &call.namespace)
        .filter(|budget| selector_matches(&budget["spec"]["selector"], &pod["metadata"]["labels"]))
        .cloned()
        .collect();
    let [budget] = covering.as_slice() else {
        return match covering.len() {
            0 => Ok(()),
            _ => Err(Failure::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )),
        };
    };
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    if number("disruptionsAllowed") < 1 {
        let why = format!(
            "needs {} healthy pods and has {} currently",
            number("desiredHealthy"),
            number("currentHealthy")
        );
        return Err(Failure::disruption_budget(name, &why));
    }
    let now = seconds(scene.now);
    if !call.dry_run() {
        let store = &mut scene.cluster.store;
        store.change(&BUDGET, &call.namespace, name, |budget| {
            let left = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(1) - 1;
            budget["status"]["disruptionsAllowed"] = json!(left);
            budget["status"]["disruptedPods"] = json!({});
            budget["status"]["disruptedPods"][&call.name] = json!(now);
        });
    }
    Ok(())
}

/// Makes a token for a service account.
fn token(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    read::named(&scene.cluster.store, call)?;
    let mut request = decode::parse_yaml(call.request.body())?;
    if !request.is_object() {
        request = json!({});
    }
    let seconds_left = request["spec"]["expirationSeconds"].as_u64().unwrap_or(3600);
    let expires = crate::aws::later(scene.now, std::time::Duration::from_secs(seconds_left));
    request["apiVersion"] = json!("authentication.k8s.io/v1");
    request["kind"] = json!("TokenRequest");
    request["metadata"] = json!({"name": call.name, "namespace": call.namespace});
    request["status"] = json!({
        "token": identity::pod_token(&call.namespace, &call.name),
        "expirationTimestamp": seconds(expires),
    });
    Ok(json_response(StatusCode::CREATED, &request))
}

/// Takes the finalizers of a namespace's specification off.
fn finalize(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let wanted = decode::body(call)?;
    read::named(&scene.cluster.store, call)?;
    let finalizers = wanted["spec"].get("finalizers").cloned().unwrap_or(json!([]));
    let kind = &call.resource.stored_as;
    let changed = scene.cluster.store.change(kind, "", &call.name, |namespace| {
        namespace["spec"]["finalizers"] = finalizers;
    });
    let changed = changed.ok_or_else(|| Failure::not_found(&call.resource, &call.name))?;
    Ok(object_response(StatusCode::OK, call, &changed, scene.now))
}

/// Answers a question about rights or identity: what is posted comes back with a status.
pub(crate) fn review(scene: &mut Scene<'_>, call: &Call<'_>, mut object: Value) -> Result<Response, Failure> {
    let store = &scene.cluster.store;
    let spec = object["spec"].clone();
    let texts = |value: &Value| {
        let values = value.as_array().into_iter().flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    object["status"] = match call.resource.kind.as_str() {
        "SelfSubjectAccessReview" => json!({"allowed": may(scene, &call.user, &spec)}),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let user = User {
                name: spec["user"].as_str().unwrap_or_default().to_owned(),
                groups: texts(&spec["groups"]),
            };
            json!({"allowed": may(scene, &user, &spec)})
        }
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}})
        }
        "SelfSubjectRulesReview" => {
            let namespace = spec["namespace"].as_str().unwrap_or_default();
            let rules = identity::rules(store, &call.user, namespace);
            json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": false})
        }
        "TokenReview" => match identity::of_token(scene, spec["token"].as_str().unwrap_or_default()) {
            Some(user) => json!({"authenticated": true,
                "user": {"username": user.name, "groups": user.groups}}),
            None => json!({"authenticated": false}),
        },
        _ => return Err(Failure::method_not_allowed()),
    };
    let now = seconds(scene.now);
    let shape = &call.resource.shape;
    let mut asked = object.clone();
    write::remove(&mut asked, "status");
    manage::updated(
        &json!({"metadata": {}, "spec": {}}),
        &mut asked,
        shape,
        write::owner(call),
        &now,
    );
    object["metadata"] = asked["metadata"].clone();
    Ok(object_response(StatusCode::CREATED, call, &object, scene.now))
}

fn may(scene: &Scene<'_>, user: &User, spec: &Value) -> bool {
    let asked = &spec["resourceAttributes"];
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        part => format!("{}/{part}", text("resource")),
    };
    let action = Action {
        verb: text("verb"),
        group: text("group"),
        resource: &resource,
        namespace: text("namespace"),
        name: text("name"),
    };
    identity::allows(&scene.cluster.store, user, &action)
}
