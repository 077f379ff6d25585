//! What the API server itself keeps up to date: definitions of kinds, aggregated APIs, the roles that always are.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::api::aggregated;
use crate::kube::api::aggregated::API_SERVICE;
use crate::kube::api::custom;
use crate::kube::api::manage;
use crate::kube::api::manage::Operation;
use crate::kube::api::manage::Owner;
use crate::kube::api::resources;
use crate::kube::api::resources::CRD;
use crate::kube::api::resources::condition;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::kube::store::seconds;

/// The finalizer that keeps a definition until its last object is gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

const CLUSTER_ROLE: GroupKind = GroupKind::of("ClusterRole.rbac.authorization.k8s.io");

/// Does what is to be done; true if something changed.
pub(crate) fn run(scene: &mut Scene<'_>) -> bool {
    let before = scene.cluster.store.revision();
    if scene.cluster.api.upkept == before {
        return false;
    }
    if scene.cluster.store.revision_of(&CLUSTER_ROLE) == 0 {
        found_roles(scene);
    }
    let definitions: Vec<Arc<Value>> = scene.cluster.store.list(&CRD).cloned().collect();
    for definition in definitions {
        if marked(&definition) {
            clean_up(scene, &definition);
        } else if condition(&definition, "Established").is_none() {
            establish(scene, &definition);
        }
    }
    let announced: Vec<Arc<Value>> = scene.cluster.store.list(&API_SERVICE).cloned().collect();
    for object in announced {
        check_available(scene, &object);
    }
    scene.cluster.api.upkept = scene.cluster.store.revision();
    scene.cluster.store.revision() != before
}

/// Writes a status, as the API server owns it.
fn write_status(scene: &mut Scene<'_>, kind: &GroupKind, object: &Value, change: impl FnOnce(&mut Value)) {
    let mut after = object.clone();
    change(&mut after);
    let owner = Owner {
        operation: Operation::Update,
        manager: "kube-apiserver".to_owned(),
        api_version: after["apiVersion"].as_str().unwrap_or_default().to_owned(),
        subresource: "status".to_owned(),
    };
    if let Some(resource) = resources::of_kind(kind) {
        manage::updated(object, &mut after, &resource.shape, owner, &seconds(scene.now));
    }
    scene.cluster.store.update(kind, after);
}

fn establish(scene: &mut Scene<'_>, definition: &Value) {
    let now = seconds(scene.now);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
    let mut conditions = vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ];
    let unreadable = custom::unreadable_rules(&definition["spec"]["versions"]);
    if !unreadable.is_empty() {
        let message = format!("these validation rules are not checked: {}", unreadable.join("; "));
        conditions.push(condition("RulesNotChecked", "NotUnderstood", &message));
    }
    write_status(scene, &CRD, definition, |definition| {
        definition["status"]["conditions"] = json!(conditions);
        definition["status"]["acceptedNames"] = definition["spec"]["names"].clone();
    });
}

/// Marks a definition for deletion.
pub(crate) fn end_definition(scene: &mut Scene<'_>, definition: &Value, now: &str) -> Arc<Value> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let ended = scene.cluster.store.change(&CRD, "", name, |definition| {
        if marked(definition) {
            return;
        }
        definition["metadata"]["deletionTimestamp"] = json!(now);
        definition["metadata"]["finalizers"] = json!([CLEANUP]);
        let terminating = json!({"type": "Terminating", "status": "True", "lastTransitionTime": now,
            "reason": "InstanceDeletionPending", "message": message});
        match definition["status"]["conditions"].as_array_mut() {
            Some(conditions) => conditions.push(terminating),
            None => definition["status"]["conditions"] = json!([terminating]),
        }
    });
    ended.expect("the definition was just read")
}

/// Deletes the objects of a kind whose definition goes, and the definition with the last of them.
fn clean_up(scene: &mut Scene<'_>, definition: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &definition["spec"];
    let kind = GroupKind::new(&text(&spec["group"]), &text(&spec["names"]["kind"]));
    let names: Vec<Name> = scene
        .cluster
        .store
        .list(&kind)
        .filter(|object| !marked(object))
        .map(|object| Name::of(object))
        .collect();
    for name in names {
        let store = &mut scene.cluster.store;
        store.delete(&kind, &name.namespace, &name.name, scene.now, 0);
    }
    if scene.cluster.store.list(&kind).next().is_none() {
        let name = text(&definition["metadata"]["name"]);
        scene.cluster.store.remove(&CRD, &Name::new("", &name));
    }
}

fn check_available(scene: &mut Scene<'_>, object: &Value) {
    let (status, reason, message) = aggregated::availability(&scene.cluster.store, object);
    let conditions = object["status"]["conditions"].as_array();
    let known = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Available");
    if known.is_some_and(|known| known["status"] == status && known["reason"] == reason) {
        return;
    }
    let now = seconds(scene.now);
    write_status(scene, &API_SERVICE, object, |object| {
        object["status"] = json!({"conditions": [{"type": "Available", "status": status,
            "lastTransitionTime": now, "reason": reason, "message": message}]});
    });
}

/// The roles that every cluster has from its first moment, as far as bindings name them.
fn found_roles(scene: &mut Scene<'_>) {
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let reads = ["get", "list", "watch"];
    let writes = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
    ];
    let groups = [
        "",
        "apps",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "policy",
        "discovery.k8s.io",
    ];
    let delegates = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]);
    let roles = [
        ("cluster-admin", all),
        (
            "admin",
            json!([{"apiGroups": groups, "resources": ["*"], "verbs": writes}]),
        ),
        (
            "edit",
            json!([{"apiGroups": groups, "resources": ["*"], "verbs": writes}]),
        ),
        (
            "view",
            json!([{"apiGroups": groups, "resources": ["*"], "verbs": reads}]),
        ),
        ("system:auth-delegator", delegates),
    ];
    for (name, rules) in roles {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
            "rules": rules,
        });
        let store = &mut scene.cluster.store;
        store.create(&CLUSTER_ROLE, role, scene.now, scene.random);
    }
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "extension-apiserver-authentication-reader", "namespace": "kube-system",
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": reads,
            "resourceNames": ["extension-apiserver-authentication"]}],
    });
    let kind = GroupKind::of("Role.rbac.authorization.k8s.io");
    let store = &mut scene.cluster.store;
    store.create(&kind, reader, scene.now, scene.random);
}
