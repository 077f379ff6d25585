//! What looks at a write before it is stored: namespaces that end, webhooks, and what every pod is given.

use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::api::aggregated;
use crate::kube::api::call::Call;
use crate::kube::api::resources::Scope;
use crate::kube::api::select::selector_matches;
use crate::kube::api::status::Failure;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;
use crate::kube::store::marked;

const NAMESPACE: GroupKind = GroupKind::of("Namespace");
const SERVICE: GroupKind = GroupKind::of("Service");
const SERVICE_ACCOUNT: GroupKind = GroupKind::of("ServiceAccount");
const PRIORITY_CLASS: GroupKind = GroupKind::of("PriorityClass.scheduling.k8s.io");
const STORAGE_CLASS: GroupKind = GroupKind::of("StorageClass.storage.k8s.io");
const WEBHOOKS: [GroupKind; 2] = [
    GroupKind::of("MutatingWebhookConfiguration.admissionregistration.k8s.io"),
    GroupKind::of("ValidatingWebhookConfiguration.admissionregistration.k8s.io"),
];

/// The annotation that marks the storage class of claims that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Refuses an object whose namespace is not there.
pub(crate) fn check_namespace_exists(scene: &Scene<'_>, call: &Call<'_>) -> Result<(), Failure> {
    let known = scene.cluster.store.get(&NAMESPACE, "", &call.namespace);
    if known.is_some() {
        return Ok(());
    }
    let customs = &scene.cluster.api.customs;
    let namespaces = customs
        .find("", "v1", "namespaces")
        .expect("every cluster has namespaces");
    Err(Failure::not_found(&namespaces, &call.namespace))
}

/// Admits a new object, or refuses it.
pub(crate) fn on_create(scene: &mut Scene<'_>, call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    check_namespace_lives(&scene.cluster.store, call, object)?;
    if call.resource.group.is_empty() {
        match call.resource.kind.as_str() {
            "Pod" => pod(scene, call, object)?,
            "PersistentVolumeClaim" => claim(&scene.cluster.store, object),
            "PersistentVolume" => protect(object, "kubernetes.io/pv-protection"),
            _ => {}
        }
    }
    ask_webhooks(&scene.cluster.store, call, object, "CREATE")
}

/// Admits a changed object, or refuses it.
pub(crate) fn on_update(scene: &mut Scene<'_>, call: &Call<'_>, old: &Value, new: &mut Value) -> Result<(), Failure> {
    if marked(old) && old["spec"] == new["spec"] {
        // Webhooks are not asked when finalizers come off; a server that is gone must not keep what it guarded.
        return Ok(());
    }
    ask_webhooks(&scene.cluster.store, call, new, "UPDATE")
}

fn check_namespace_lives(store: &Store, call: &Call<'_>, object: &Value) -> Result<(), Failure> {
    if call.resource.scope != Scope::Namespaced {
        return Ok(());
    }
    let namespace = store.get(&NAMESPACE, "", &call.namespace);
    if !namespace.is_some_and(|namespace| marked(namespace)) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = &call.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = format!("namespace {namespace} is being terminated");
    let refusal = Failure::forbidden(&call.resource, name, &why);
    Err(refusal.because("NamespaceTerminating", &cause, "metadata.namespace"))
}

fn protect(object: &mut Value, finalizer: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    if finalizers.is_null() {
        *finalizers = json!([]);
    }
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|known| known == finalizer)
    {
        list.push(json!(finalizer));
    }
}

fn claim(store: &Store, object: &mut Value) {
    protect(object, "kubernetes.io/pvc-protection");
    if !object["spec"]["storageClassName"].is_null() {
        return;
    }
    let mut classes = store.list(&STORAGE_CLASS);
    let default = classes.find(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true");
    if let Some(class) = default {
        object["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}

/// Gives a pod its account, its token, its priority and what it tolerates.
fn pod(scene: &mut Scene<'_>, call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    let spec = &mut object["spec"];
    let account = spec["serviceAccountName"].as_str().unwrap_or_default();
    let account = if account.is_empty() { "default" } else { account }.to_owned();
    let known = scene
        .cluster
        .store
        .get(&SERVICE_ACCOUNT, &call.namespace, &account)
        .cloned();
    if known.is_none() && account != "default" {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let why = format!(
            "error looking up service account {}/{account}: serviceaccount \"{account}\" not found",
            call.namespace
        );
        return Err(Failure::forbidden(&call.resource, name, &why));
    }
    spec["serviceAccountName"] = json!(account);
    spec["serviceAccount"] = json!(account);
    let mounts = spec["automountServiceAccountToken"].as_bool();
    let mounts = mounts.or_else(|| known.and_then(|account| account["automountServiceAccountToken"].as_bool()));
    if mounts != Some(false) {
        mount_token(scene, spec);
    }
    tolerate(spec);
    prioritize(&scene.cluster.store, call, object)
}

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn mount_token(scene: &mut Scene<'_>, spec: &mut Value) {
    let volume = format!("kube-api-access-{}", scene.random.suffix(5));
    let mut used = false;
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = &mut container["volumeMounts"];
            if mounts.is_null() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if !mounts.iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH}));
                used = true;
            }
        }
    }
    if !used {
        return;
    }
    let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    let projected = json!({"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]});
    let volumes = &mut spec["volumes"];
    if volumes.is_null() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(json!({"name": volume, "projected": projected}));
    }
}

/// Every pod stays five minutes on a node that does not answer.
fn tolerate(spec: &mut Value) {
    let tolerations = &mut spec["tolerations"];
    if tolerations.is_null() {
        *tolerations = json!([]);
    }
    let Some(list) = tolerations.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let known = list.iter().any(|toleration| {
            let any = toleration["key"].as_str().is_none_or(str::is_empty) && toleration["operator"] == "Exists";
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (any || toleration["key"] == key) && (effect.is_empty() || effect == "NoExecute")
        });
        if !known {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

fn prioritize(store: &Store, call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let spec = &mut object["spec"];
    let class = spec["priorityClassName"].as_str().unwrap_or_default();
    let found = match class {
        "system-node-critical" => Some((json!(2_000_001_000), Value::Null, None)),
        "system-cluster-critical" => Some((json!(2_000_000_000), Value::Null, None)),
        "" => store
            .list(&PRIORITY_CLASS)
            .find(|class| class["globalDefault"] == true)
            .map(|class| {
                (
                    class["value"].clone(),
                    class["preemptionPolicy"].clone(),
                    class["metadata"]["name"].as_str(),
                )
            }),
        named => {
            let found = store.get(&PRIORITY_CLASS, "", named).ok_or_else(|| {
                let why = format!("no PriorityClass with name {named} was found");
                Failure::forbidden(&call.resource, &name, &why)
            })?;
            Some((found["value"].clone(), found["preemptionPolicy"].clone(), None))
        }
    };
    let (value, policy, class) = found.unwrap_or((json!(0), Value::Null, None));
    spec["priority"] = value;
    let policy = policy.as_str().unwrap_or("PreemptLowerPriority");
    spec["preemptionPolicy"] = json!(policy);
    if let Some(class) = class {
        spec["priorityClassName"] = json!(class);
    }
    Ok(())
}

/// Asks the webhooks that a write concerns. They are never really called: one whose service has no pod fails, and
/// every other agrees.
fn ask_webhooks(store: &Store, call: &Call<'_>, object: &Value, operation: &str) -> Result<(), Failure> {
    for kind in &WEBHOOKS {
        for configuration in store.list(kind) {
            for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
                if webhook["failurePolicy"] == "Fail" && concerns(store, webhook, call, object, operation) {
                    reach(store, webhook)?;
                }
            }
        }
    }
    Ok(())
}

fn concerns(store: &Store, webhook: &Value, call: &Call<'_>, object: &Value, operation: &str) -> bool {
    let resource = &call.resource;
    let path = match &call.subresource {
        Some(part) => format!("{}/{part}", resource.plural),
        None => resource.plural.clone(),
    };
    let has = |list: &Value, wanted: &str| {
        let list = list.as_array().into_iter().flatten();
        list.into_iter()
            .any(|item| item == "*" || item == wanted || item == "*/*")
    };
    let rules = webhook["rules"].as_array().into_iter().flatten();
    let matched = rules.into_iter().any(|rule| {
        let scope = match rule["scope"].as_str() {
            Some("Namespaced") => resource.scope == Scope::Namespaced,
            Some("Cluster") => resource.scope == Scope::Cluster,
            _ => true,
        };
        let whole = call.subresource.is_none() || !has(&rule["resources"], "*") || has(&rule["resources"], &path);
        scope
            && whole
            && has(&rule["operations"], operation)
            && has(&rule["apiGroups"], &resource.group)
            && has(&rule["apiVersions"], &resource.version)
            && has(&rule["resources"], &path)
    });
    // Configurations of webhooks are never guarded by webhooks: nobody could mend a broken one.
    let guard = resource.kind.ends_with("WebhookConfiguration");
    matched
        && !guard
        && selector_matches(&webhook["objectSelector"], &object["metadata"]["labels"])
        && selector_matches(&webhook["namespaceSelector"], &namespace_labels(store, call, object))
}

fn namespace_labels(store: &Store, call: &Call<'_>, object: &Value) -> Value {
    if call.resource.kind == "Namespace" {
        return object["metadata"]["labels"].clone();
    }
    let found = store.get(&NAMESPACE, "", &call.namespace);
    found
        .map(|found| found["metadata"]["labels"].clone())
        .unwrap_or_default()
}

fn reach(store: &Store, webhook: &Value) -> Result<(), Failure> {
    let service = &webhook["clientConfig"]["service"];
    if service.is_null() {
        return Ok(());
    }
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let why = match store.get(&SERVICE, namespace, name) {
        None => format!("service \"{name}\" not found"),
        Some(found) if !aggregated::has_endpoint(store, found) => {
            format!("no endpoints available for service \"{name}\"")
        }
        Some(_) => return Ok(()),
    };
    let (port, path) = (service["port"].as_u64().unwrap_or(443), text("path"));
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    let hook = webhook["name"].as_str().unwrap_or_default();
    Err(Failure::internal(&format!(
        "failed calling webhook \"{hook}\": failed to call webhook: Post \"https://{name}.{namespace}.svc:{port}{path}?timeout={seconds}s\": {why}"
    )))
}
