//! What the kinds of Kubernetes refuse, as far as clients of this world run into it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::resources::Resource;
use crate::kube::api::resources::Scope;
use crate::kube::api::select::selector_matches;
use crate::kube::api::status::Cause;
use crate::kube::api::status::Failure;

static SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").expect("a valid expression")
});
static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").expect("a valid expression"));

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// How names of a kind are made.
enum Naming {
    Subdomain,
    Label,
    /// Anything that can stand in a path.
    Segment,
}

fn naming(resource: &Resource) -> Naming {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace" | "Service") => Naming::Label,
        ("rbac.authorization.k8s.io", _) => Naming::Segment,
        _ => Naming::Subdomain,
    }
}

/// Refuses a new object that is wrong.
pub(crate) fn created(resource: &Resource, object: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    metadata(resource, object, &mut causes);
    kind(resource, object, None, &mut causes);
    finish(resource, object, &causes)
}

/// Refuses a changed object that is wrong, or whose change is.
pub(crate) fn updated(resource: &Resource, old: &Value, new: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    marks(new, &mut causes);
    owner_references(new, &mut causes);
    added_finalizers(old, new, &mut causes);
    kind(resource, new, Some(old), &mut causes);
    finish(resource, new, &causes)
}

fn finish(resource: &Resource, object: &Value, causes: &[Cause]) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Failure::invalid(resource, name, causes))
}

fn metadata(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(rule) = broken_rule(&naming(resource), name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), rule));
    }
    if resource.scope == Scope::Cluster && metadata["namespace"].as_str().is_some_and(|text| !text.is_empty()) {
        let why = "not allowed on this type";
        causes.push(Cause::new(
            "FieldValueForbidden",
            "metadata.namespace",
            format!("Forbidden: {why}"),
        ));
    }
    marks(object, causes);
    owner_references(object, causes);
}

fn broken_rule(naming: &Naming, name: &str) -> Option<&'static str> {
    match naming {
        Naming::Subdomain if name.len() > 253 => Some("must be no more than 253 bytes"),
        Naming::Subdomain => (!SUBDOMAIN.is_match(name)).then_some(SUBDOMAIN_RULE),
        Naming::Label if name.len() > 63 => Some("must be no more than 63 bytes"),
        Naming::Label => (!LABEL.is_match(name)).then_some(LABEL_RULE),
        Naming::Segment if name == "." || name == ".." => Some("may not be '.' or '..'"),
        Naming::Segment => (name.contains('/') || name.contains('%')).then_some("may not contain '/' or '%'"),
    }
}

fn labels(labels: &Value, field: &str, causes: &mut Vec<Cause>) {
    static VALUE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$").expect("a valid expression"));
    for (key, value) in labels.as_object().into_iter().flatten() {
        qualified_name(key, field, causes);
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(field, value, "must be no more than 63 bytes"));
        } else if !VALUE.is_match(text) {
            let why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            causes.push(Cause::invalid(field, value, why));
        }
    }
}

/// Refuses a key of labels or annotations that is no name with an optional domain before it.
fn qualified_name(key: &str, field: &str, causes: &mut Vec<Cause>) {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$").expect("a valid expression"));
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    if !NAME.is_match(name) {
        let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        causes.push(Cause::invalid(field, &json!(key), why));
    } else if name.len() > 63 {
        let why = "name part must be no more than 63 bytes";
        causes.push(Cause::invalid(field, &json!(key), why));
    } else if !prefix.is_empty() && !SUBDOMAIN.is_match(prefix) {
        let why = format!("prefix part {SUBDOMAIN_RULE}");
        causes.push(Cause::invalid(field, &json!(key), &why));
    }
}

/// Refuses labels and annotations that cannot be.
fn marks(object: &Value, causes: &mut Vec<Cause>) {
    labels(&object["metadata"]["labels"], "metadata.labels", causes);
    for (key, _) in object["metadata"]["annotations"].as_object().into_iter().flatten() {
        qualified_name(&key.to_lowercase(), "metadata.annotations", causes);
    }
}

fn owner_references(object: &Value, causes: &mut Vec<Cause>) {
    let references = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    for (index, reference) in references.enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            let value = &reference[field];
            if value.as_str().is_none_or(str::is_empty) {
                let field = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::invalid(field, &json!(""), "must not be empty"));
            }
        }
    }
}

/// An object that is going takes no new finalizers.
fn added_finalizers(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if !crate::kube::store::marked(old) {
        return;
    }
    let known = old["metadata"]["finalizers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let listed = new["metadata"]["finalizers"].as_array().into_iter().flatten();
    let added: Vec<&Value> = listed.filter(|finalizer| !known.contains(finalizer)).collect();
    if !added.is_empty() {
        let names: Vec<&str> = added.iter().filter_map(|name| name.as_str()).collect();
        let why = format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{}\"}}",
            names.join("\", \"")
        );
        causes.push(Cause::new("FieldValueForbidden", "metadata.finalizers", why));
    }
}

fn kind(resource: &Resource, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => workload(spec, old, causes),
        ("", "Pod") => pod(object, old, causes),
        ("batch", "Job") => job(spec, old, causes),
        ("", "Service") => service(spec, old, causes),
        ("", "ConfigMap" | "Secret") => immutable(object, old, causes),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(spec, causes),
        ("apiextensions.k8s.io", _) => definition(object, causes),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding")
            if old.is_some_and(|old| old["roleRef"] != object["roleRef"]) =>
        {
            causes.push(Cause::invalid("roleRef", &object["roleRef"], "cannot change roleRef"));
        }
        ("storage.k8s.io", "StorageClass") => {
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                if old.is_some_and(|old| old[field] != object[field]) {
                    let why = "Forbidden: updates to parameters are forbidden.".replace("parameters", field);
                    causes.push(Cause::new("FieldValueForbidden", field, why));
                }
            }
        }
        _ => {}
    }
}

fn workload(spec: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    let template = &spec["template"];
    let empty = selector.is_null() || selector.as_object().is_some_and(serde_json::Map::is_empty);
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], why));
    }
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if empty {
        causes.push(Cause::invalid(
            "spec.selector",
            selector,
            "empty selector is invalid for deployment",
        ));
    }
    let labels = template["metadata"].get("labels").cloned().unwrap_or_default();
    if empty || !selector_matches(selector, &labels) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &labels, why));
    }
    pod_spec(&template["spec"], "spec.template.spec", causes);
    if old.is_some_and(|old| old["spec"]["selector"] != *selector) {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
    let restart = &template["spec"]["restartPolicy"];
    if restart.as_str().is_some_and(|policy| policy != "Always") {
        let supported = ["Always".to_owned()];
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            restart,
            &supported,
        ));
    }
}

/// The containers of a pod: named, each name once, with an image, mounting volumes that there are.
fn pod_spec(spec: &Value, at: &str, causes: &mut Vec<Cause>) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required(format!("{at}.containers"), ""));
    }
    let volumes: Vec<&str> = spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|volume| volume["name"].as_str())
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}.{list}[{index}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                causes.push(Cause::required(format!("{at}.name"), ""));
            } else if !LABEL.is_match(name) {
                causes.push(Cause::invalid(format!("{at}.name"), &json!(name), LABEL_RULE));
            } else if !names.insert(name) {
                let text = format!("Duplicate value: \"{name}\"");
                causes.push(Cause::new("FieldValueDuplicate", format!("{at}.name"), text));
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(format!("{at}.image"), ""));
            }
            for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
                let volume = mount["name"].as_str().unwrap_or_default();
                if !volumes.contains(&volume) {
                    let text = format!("Not found: \"{volume}\"");
                    let field = format!("{at}.volumeMounts[{index}].name");
                    causes.push(Cause::new("FieldValueNotFound", field, text));
                }
            }
        }
    }
}

fn pod(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    pod_spec(&object["spec"], "spec", causes);
    let Some(old) = old else { return };
    if settled(&old["spec"]) != settled(&object["spec"]) {
        let why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::new("FieldValueForbidden", "spec", why));
    }
}

/// The part of a pod's specification that never changes.
fn settled(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            super::write::remove(container, "image");
        }
    }
    for field in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
    ] {
        super::write::remove(&mut spec, field);
    }
    spec
}

fn job(spec: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let template = &spec["template"]["spec"];
    pod_spec(template, "spec.template.spec", causes);
    let restart = &template["restartPolicy"];
    if !matches!(restart.as_str(), Some("OnFailure" | "Never")) {
        let supported = ["OnFailure".to_owned(), "Never".to_owned()];
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            restart,
            &supported,
        ));
    }
    let Some(old) = old else { return };
    for field in ["completions", "selector", "template", "completionMode"] {
        let suspended = old["spec"]["suspend"] == true && field == "template";
        if old["spec"][field] != spec[field] && !suspended {
            let path = format!("spec.{field}");
            causes.push(Cause::invalid(path, &spec[field], "field is immutable"));
        }
    }
}

fn service(spec: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headless = spec["clusterIP"] == "None";
    if ports.is_empty() && !headless && spec["type"] != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let number = port["port"].as_i64().unwrap_or(0);
        if !(1..=65_535).contains(&number) {
            let field = format!("spec.ports[{index}].port");
            causes.push(Cause::invalid(
                field,
                &json!(number),
                "must be between 1 and 65535, inclusive",
            ));
        }
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
    }
    let changed = old.is_some_and(|old| {
        let (before, after) = (&old["spec"]["clusterIP"], &spec["clusterIP"]);
        before.is_string() && before != after && old["spec"]["type"] != "ExternalName"
    });
    if changed && spec["type"] != "ExternalName" {
        let field = "spec.clusterIPs[0]";
        causes.push(Cause::invalid(
            field,
            &json!([spec["clusterIP"]]),
            "may not change once set",
        ));
    }
}

fn immutable(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return;
    };
    for field in ["data", "binaryData"] {
        if old[field] != object[field] {
            let why = "Forbidden: field is immutable when `immutable` is set";
            causes.push(Cause::new("FieldValueForbidden", field, why));
        }
    }
}

fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
    let number = |field: &str| spec[field].as_i64().unwrap_or(0);
    let (least, most) = (number("minReplicas"), number("maxReplicas"));
    if most < 1 {
        let why = "must be greater than 0";
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), why));
    } else if most < least {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), why));
    }
    for field in ["kind", "name"] {
        if spec["scaleTargetRef"][field].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
}

fn definition(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (plural, group) = (text(&spec["names"]["plural"]), text(&spec["group"]));
    let expected = format!("{plural}.{group}");
    let name = &object["metadata"]["name"];
    if *name != expected.as_str() {
        causes.push(Cause::invalid(
            "metadata.name",
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        let supported = ["Cluster".to_owned(), "Namespaced".to_owned()];
        causes.push(Cause::unsupported("spec.scope", &spec["scope"], &supported));
    }
}
