//! What the server fills in: the defaults of each kind.

use base64::Engine;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::custom;
use crate::kube::api::resources::Resource;

/// Sets a field if it is absent, null or the empty text.
pub(crate) fn put(object: &mut Value, field: &str, default: Value) {
    let Some(map) = object.as_object_mut() else { return };
    let missing = match map.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing {
        map.insert(field.to_owned(), default);
    }
}

/// Each item of a list.
pub(crate) fn each<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Does something to a field if it is there.
fn within(object: &mut Value, field: &str, change: impl FnOnce(&mut Value)) {
    if let Some(value) = object.get_mut(field).filter(|value| value.is_object()) {
        change(value);
    }
}

/// Sets the defaults of a kind.
pub(crate) fn set(resource: &Resource, object: &mut Value) {
    if let Some(own) = &resource.custom {
        custom::set_defaults(&own.schema, object);
        return;
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => namespace(object),
        ("", "Pod") => {
            within(object, "spec", |spec| {
                pod(spec);
                put(spec, "enableServiceLinks", json!(true));
            });
        }
        ("", "Service") => within(object, "spec", service),
        ("", "Secret") => secret(object),
        ("", "PersistentVolumeClaim") => within(object, "spec", |spec| put(spec, "volumeMode", json!("Filesystem"))),
        ("", "PersistentVolume") => within(object, "spec", |spec| {
            put(spec, "volumeMode", json!("Filesystem"));
            put(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        }),
        ("", "ReplicationController") => within(object, "spec", |spec| {
            put(spec, "replicas", json!(1));
            template(spec);
        }),
        ("apps", "Deployment") => within(object, "spec", deployment),
        ("apps", "ReplicaSet") => within(object, "spec", |spec| {
            put(spec, "replicas", json!(1));
            template(spec);
        }),
        ("apps", "StatefulSet") => within(object, "spec", stateful_set),
        ("apps", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => within(object, "spec", job),
        ("batch", "CronJob") => within(object, "spec", cron_job),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(resource, object),
        ("storage.k8s.io", "StorageClass") => {
            put(object, "reclaimPolicy", json!("Delete"));
            put(object, "volumeBindingMode", json!("Immediate"));
        }
        ("storage.k8s.io", "CSIDriver") => within(object, "spec", csi_driver),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            let reinvokes = resource.kind == "MutatingWebhookConfiguration";
            each(object, "webhooks").for_each(|webhook| self::webhook(webhook, reinvokes));
        }
        ("apiextensions.k8s.io", _) => definition(object),
        ("apiregistration.k8s.io", _) => {
            within(object, "spec", |spec| {
                within(spec, "service", |service| put(service, "port", json!(443)));
            });
        }
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => binding(object),
        ("networking.k8s.io", "NetworkPolicy") => within(object, "spec", network_policy),
        ("scheduling.k8s.io", "PriorityClass") => put(object, "preemptionPolicy", json!("PreemptLowerPriority")),
        _ => {}
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if object["metadata"]["labels"].is_null() {
        object["metadata"]["labels"] = json!({});
    }
    if name.is_string() {
        put(&mut object["metadata"]["labels"], "kubernetes.io/metadata.name", name);
    }
}

/// Applies the defaults of a pod's specification.
fn pod(spec: &mut Value) {
    put(spec, "dnsPolicy", json!("ClusterFirst"));
    put(spec, "restartPolicy", json!("Always"));
    put(spec, "securityContext", json!({}));
    put(spec, "terminationGracePeriodSeconds", json!(30));
    put(spec, "schedulerName", json!("default-scheduler"));
    // The old name of the account follows the new one.
    let account = spec["serviceAccountName"]
        .as_str()
        .or_else(|| spec["serviceAccount"].as_str());
    if let Some(account) = account.map(str::to_owned).filter(|account| !account.is_empty()) {
        spec["serviceAccountName"] = json!(account);
        spec["serviceAccount"] = json!(account);
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list).for_each(|container| self::container(container, host_network));
    }
    each(spec, "volumes").for_each(volume);
    each(spec, "topologySpreadConstraints").for_each(|constraint| {
        put(constraint, "whenUnsatisfiable", json!("DoNotSchedule"));
    });
}

fn container(container: &mut Value, host_network: bool) {
    put(container, "terminationMessagePath", json!("/dev/termination-log"));
    put(container, "terminationMessagePolicy", json!("File"));
    put(container, "resources", json!({}));
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (tag.ends_with(":latest") || !tag.contains(':'));
    let policy = if latest { "Always" } else { "IfNotPresent" };
    if !image.is_empty() {
        put(container, "imagePullPolicy", json!(policy));
    }
    each(container, "ports").for_each(|port| {
        put(port, "protocol", json!("TCP"));
        if host_network {
            let own = port["containerPort"].clone();
            put(port, "hostPort", own);
        }
    });
    each(container, "env").for_each(|variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", |field| put(field, "apiVersion", json!("v1")));
        });
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, name, probe);
    }
    within(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            within(lifecycle, hook, |hook| within(hook, "httpGet", http_get));
        }
    });
    within(container, "resources", |resources| {
        // What is limited is requested, if nothing else is said.
        let limits = resources["limits"].as_object().cloned().unwrap_or_default();
        if !limits.is_empty() {
            put(resources, "requests", json!({}));
            for (name, amount) in limits {
                put(&mut resources["requests"], &name, amount);
            }
        }
    });
}

fn http_get(action: &mut Value) {
    put(action, "path", json!("/"));
    put(action, "scheme", json!("HTTP"));
}

fn probe(probe: &mut Value) {
    for (field, seconds) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        // Zero means that nobody said anything.
        if probe[field] == 0 {
            probe[field] = Value::Null;
        }
        put(probe, field, json!(seconds));
    }
    within(probe, "httpGet", http_get);
    within(probe, "grpc", |grpc| put(grpc, "service", json!("")));
}

fn volume(volume: &mut Value) {
    for source in ["secret", "configMap", "projected", "downwardAPI"] {
        within(volume, source, |source| put(source, "defaultMode", json!(420)));
    }
    within(volume, "hostPath", |path| put(path, "type", json!("")));
    within(volume, "projected", |projected| {
        each(projected, "sources").for_each(|source| {
            within(source, "serviceAccountToken", |token| {
                put(token, "expirationSeconds", json!(3600));
            });
            within(source, "downwardAPI", downward_items);
        });
    });
    within(volume, "downwardAPI", downward_items);
    within(volume, "ephemeral", |ephemeral| {
        within(ephemeral, "volumeClaimTemplate", |template| {
            within(template, "spec", |spec| put(spec, "volumeMode", json!("Filesystem")));
        });
    });
}

fn downward_items(api: &mut Value) {
    each(api, "items").for_each(|item| {
        within(item, "fieldRef", |field| put(field, "apiVersion", json!("v1")));
    });
}

fn template(spec: &mut Value) {
    within(spec, "template", |template| within(template, "spec", pod));
}

fn deployment(spec: &mut Value) {
    put(spec, "replicas", json!(1));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "progressDeadlineSeconds", json!(600));
    put(spec, "strategy", json!({}));
    within(spec, "strategy", |strategy| {
        put(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            put(strategy, "rollingUpdate", json!({}));
            within(strategy, "rollingUpdate", |rolling| {
                put(rolling, "maxUnavailable", json!("25%"));
                put(rolling, "maxSurge", json!("25%"));
            });
        }
    });
    template(spec);
}

fn stateful_set(spec: &mut Value) {
    put(spec, "replicas", json!(1));
    put(spec, "podManagementPolicy", json!("OrderedReady"));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "updateStrategy", json!({}));
    within(spec, "updateStrategy", |strategy| {
        put(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            put(strategy, "rollingUpdate", json!({}));
            within(strategy, "rollingUpdate", |rolling| put(rolling, "partition", json!(0)));
        }
    });
    put(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    within(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
        put(policy, "whenDeleted", json!("Retain"));
        put(policy, "whenScaled", json!("Retain"));
    });
    each(spec, "volumeClaimTemplates").for_each(|claim| {
        put(claim, "apiVersion", json!("v1"));
        put(claim, "kind", json!("PersistentVolumeClaim"));
        within(claim, "spec", |spec| put(spec, "volumeMode", json!("Filesystem")));
        put(claim, "status", json!({}));
        within(claim, "status", |status| put(status, "phase", json!("Pending")));
    });
    template(spec);
}

fn daemon_set(object: &mut Value) {
    within(object, "spec", |spec| {
        put(spec, "revisionHistoryLimit", json!(10));
        put(spec, "updateStrategy", json!({}));
        within(spec, "updateStrategy", |strategy| {
            put(strategy, "type", json!("RollingUpdate"));
            if strategy["type"] == "RollingUpdate" {
                put(strategy, "rollingUpdate", json!({}));
                within(strategy, "rollingUpdate", |rolling| {
                    put(rolling, "maxUnavailable", json!(1));
                    put(rolling, "maxSurge", json!(0));
                });
            }
        });
        template(spec);
    });
    let metadata = &mut object["metadata"];
    put(metadata, "annotations", json!({}));
    put(
        &mut metadata["annotations"],
        "deprecated.daemonset.template.generation",
        json!("1"),
    );
}

fn job(spec: &mut Value) {
    put(spec, "parallelism", json!(1));
    if spec.get("completions").is_none() {
        put(spec, "completions", json!(1));
    }
    let limit = if spec.get("backoffLimitPerIndex").is_some() {
        i32::MAX
    } else {
        6
    };
    put(spec, "backoffLimit", json!(limit));
    put(spec, "completionMode", json!("NonIndexed"));
    put(spec, "suspend", json!(false));
    put(spec, "manualSelector", json!(false));
    let policy = if spec.get("podFailurePolicy").is_some() {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    put(spec, "podReplacementPolicy", json!(policy));
    template(spec);
}

fn cron_job(spec: &mut Value) {
    put(spec, "concurrencyPolicy", json!("Allow"));
    put(spec, "suspend", json!(false));
    put(spec, "successfulJobsHistoryLimit", json!(3));
    put(spec, "failedJobsHistoryLimit", json!(1));
    within(spec, "jobTemplate", |job| within(job, "spec", template));
}

fn autoscaler(resource: &Resource, object: &mut Value) {
    let old = resource.version == "v1";
    within(object, "spec", |spec| {
        put(spec, "minReplicas", json!(1));
        if old {
            return;
        }
        let none = spec["metrics"].as_array().is_none_or(Vec::is_empty);
        if none {
            let target = json!({"type": "Utilization", "averageUtilization": 80});
            spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        }
        if spec.get("behavior").is_some_and(Value::is_object) {
            behavior(&mut spec["behavior"]);
        }
    });
}

fn behavior(behavior: &mut Value) {
    let rules = [
        (
            "scaleUp",
            json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]}),
        ),
        (
            "scaleDown",
            json!({"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}),
        ),
    ];
    for (direction, defaults) in rules {
        put(behavior, direction, json!({}));
        for (field, value) in defaults.as_object().into_iter().flatten() {
            put(&mut behavior[direction], field, value.clone());
        }
    }
}

fn service(spec: &mut Value) {
    put(spec, "sessionAffinity", json!("None"));
    put(spec, "type", json!("ClusterIP"));
    each(spec, "ports").for_each(|port| {
        put(port, "protocol", json!("TCP"));
        let own = port["port"].clone();
        put(port, "targetPort", own);
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        put(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") {
        put(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn secret(object: &mut Value) {
    put(object, "type", json!("Opaque"));
    let Some(plain) = object.as_object_mut().and_then(|object| object.remove("stringData")) else {
        return;
    };
    put(object, "data", json!({}));
    for (name, text) in plain.as_object().into_iter().flatten() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        object["data"][name] = json!(encoded);
    }
}

fn csi_driver(spec: &mut Value) {
    put(spec, "attachRequired", json!(true));
    put(spec, "podInfoOnMount", json!(false));
    put(spec, "storageCapacity", json!(false));
    put(spec, "fsGroupPolicy", json!("ReadWriteOnceWithFSType"));
    put(spec, "volumeLifecycleModes", json!(["Persistent"]));
    put(spec, "requiresRepublish", json!(false));
    put(spec, "seLinuxMount", json!(false));
}

fn webhook(webhook: &mut Value, reinvokes: bool) {
    put(webhook, "failurePolicy", json!("Fail"));
    put(webhook, "matchPolicy", json!("Equivalent"));
    put(webhook, "namespaceSelector", json!({}));
    put(webhook, "objectSelector", json!({}));
    put(webhook, "timeoutSeconds", json!(10));
    if reinvokes {
        put(webhook, "reinvocationPolicy", json!("Never"));
    }
    within(webhook, "clientConfig", |client| {
        within(client, "service", |service| put(service, "port", json!(443)));
    });
    each(webhook, "rules").for_each(|rule| put(rule, "scope", json!("*")));
}

fn definition(object: &mut Value) {
    within(object, "spec", |spec| {
        put(spec, "conversion", json!({"strategy": "None"}));
        within(spec, "names", |names| {
            let kind = names["kind"].as_str().unwrap_or_default().to_owned();
            put(names, "singular", json!(kind.to_lowercase()));
            put(names, "listKind", json!(format!("{kind}List")));
        });
    });
}

fn binding(object: &mut Value) {
    within(object, "roleRef", |role| {
        put(role, "apiGroup", json!("rbac.authorization.k8s.io"));
    });
    each(object, "subjects").for_each(|subject| {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            put(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    });
}

fn network_policy(spec: &mut Value) {
    let mut types = vec!["Ingress"];
    if spec["egress"].as_array().is_some_and(|rules| !rules.is_empty()) {
        types.push("Egress");
    }
    put(spec, "policyTypes", json!(types));
    for direction in ["ingress", "egress"] {
        each(spec, direction).for_each(|rule| {
            each(rule, "ports").for_each(|port| put(port, "protocol", json!("TCP")));
        });
    }
}
