//! The cells of built-in kinds: what `kubectl get` prints of an object in each column.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::age::age;
use crate::kube::api::age::age_or;
use crate::kube::api::age::duration;
use crate::kube::api::resources::Resource;
use crate::kube::api::resources::condition;
use crate::kube::api::select::selector_text;

/// What an empty cell shows.
const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";

/// The cell of a column that is neither the name nor the age.
pub(crate) fn built_in(resource: &Resource, object: &Value, column: &str, now: Timestamp) -> Value {
    let spec = &object["spec"];
    let status = &object["status"];
    let count = |value: &Value| json!(value.as_i64().unwrap_or(0));
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => json!(text),
        Value::Number(number) => json!(number.to_string()),
        Value::Bool(truth) => json!(truth),
        _ => json!(NONE),
    };
    let kind = resource.kind.as_str();
    match (kind, column) {
        ("ConfigMap", "Data") => json!(entries(&object["data"]) + entries(&object["binaryData"])),
        ("Secret", "Data") => json!(entries(&object["data"])),
        ("Secret", "Type") => object["type"].clone(),
        ("Namespace" | "PersistentVolume" | "PersistentVolumeClaim", "Status") => status["phase"].clone(),
        ("Pod", _) => pod(object, column, now),
        ("Node", _) => node(object, column),
        ("Service", _) => service(object, column),
        ("Event", _) => event(object, column, now),
        ("Deployment" | "StatefulSet", "Ready") => {
            let wanted = spec["replicas"].as_i64().unwrap_or(0);
            json!(format!("{}/{wanted}", status["readyReplicas"].as_i64().unwrap_or(0)))
        }
        ("Deployment", "Up-to-date") => count(&status["updatedReplicas"]),
        ("Deployment", "Available") => count(&status["availableReplicas"]),
        ("ReplicaSet" | "ReplicationController", "Desired") => count(&spec["replicas"]),
        ("ReplicaSet" | "ReplicationController", "Current") => count(&status["replicas"]),
        ("ReplicaSet" | "ReplicationController", "Ready") => count(&status["readyReplicas"]),
        ("DaemonSet", "Desired") => count(&status["desiredNumberScheduled"]),
        ("DaemonSet", "Current") => count(&status["currentNumberScheduled"]),
        ("DaemonSet", "Ready") => count(&status["numberReady"]),
        ("DaemonSet", "Up-to-date") => count(&status["updatedNumberScheduled"]),
        ("DaemonSet", "Available") => count(&status["numberAvailable"]),
        ("DaemonSet", "Node Selector") => json!(labels_text(&spec["template"]["spec"]["nodeSelector"])),
        (_, "Containers") => json!(containers(&pod_spec(object), "name")),
        (_, "Images") => json!(containers(&pod_spec(object), "image")),
        (_, "Selector") => json!(match selector_text(&spec["selector"]).as_str() {
            "" => NONE.to_owned(),
            selector => selector.to_owned(),
        }),
        ("Job", "Status") => json!(job_status(object)),
        ("Job", "Completions") => {
            let wanted = spec["completions"].as_i64().map_or(1, |wanted| wanted);
            json!(format!("{}/{wanted}", status["succeeded"].as_i64().unwrap_or(0)))
        }
        ("Job", "Duration") => json!(duration(&status["startTime"], &status["completionTime"], now)),
        ("CronJob", "Schedule") => spec["schedule"].clone(),
        ("CronJob", "Suspend") => json!(if spec["suspend"] == true { "True" } else { "False" }),
        ("CronJob", "Active") => json!(status["active"].as_array().map_or(0, Vec::len)),
        ("CronJob", "Last Schedule") => json!(age_or(&status["lastScheduleTime"], now, NONE)),
        ("CronJob", "Timezone") => text(&spec["timeZone"]),
        ("HorizontalPodAutoscaler", _) => autoscaler(object, column),
        ("Ingress", "Class") => text(&spec["ingressClassName"]),
        ("Ingress", "Hosts") => json!(ingress_hosts(spec)),
        ("Ingress", "Address") => json!(balancer_address(status)),
        ("Ingress", "Ports") => json!(if spec["tls"].as_array().is_some_and(|tls| !tls.is_empty()) {
            "80, 443"
        } else {
            "80"
        }),
        ("IngressClass", "Controller") => spec["controller"].clone(),
        ("PodDisruptionBudget", "Min Available") => not_applicable(&spec["minAvailable"]),
        ("PodDisruptionBudget", "Max Unavailable") => not_applicable(&spec["maxUnavailable"]),
        ("PodDisruptionBudget", "Allowed Disruptions") => count(&status["disruptionsAllowed"]),
        ("PersistentVolumeClaim", "Volume") => json!(spec["volumeName"].as_str().unwrap_or_default()),
        ("PersistentVolumeClaim", "Capacity") => {
            json!(status["capacity"]["storage"].as_str().unwrap_or_default())
        }
        ("PersistentVolumeClaim", "Access Modes") => json!(access_modes(&status["accessModes"])),
        ("PersistentVolumeClaim", "StorageClass") => {
            json!(spec["storageClassName"].as_str().unwrap_or_default())
        }
        ("PersistentVolume", "Capacity") => spec["capacity"]["storage"].clone(),
        ("PersistentVolume", "Access Modes") => json!(access_modes(&spec["accessModes"])),
        ("PersistentVolume", "Reclaim Policy") => spec["persistentVolumeReclaimPolicy"].clone(),
        ("PersistentVolume", "Claim") => {
            let claim = &spec["claimRef"];
            let name = |field: &str| claim[field].as_str().unwrap_or_default();
            json!(if claim.is_null() {
                String::new()
            } else {
                format!("{}/{}", name("namespace"), name("name"))
            })
        }
        ("PersistentVolume", "StorageClass") => json!(spec["storageClassName"].as_str().unwrap_or_default()),
        ("PersistentVolume" | "PersistentVolumeClaim", "VolumeMode") => text(&spec["volumeMode"]),
        ("PersistentVolume" | "PersistentVolumeClaim", "VolumeAttributesClass") => json!("<unset>"),
        ("StorageClass", "Provisioner") => object["provisioner"].clone(),
        ("StorageClass", "ReclaimPolicy") => text(&object["reclaimPolicy"]),
        ("StorageClass", "VolumeBindingMode") => text(&object["volumeBindingMode"]),
        ("StorageClass", "AllowVolumeExpansion") => json!(object["allowVolumeExpansion"] == true),
        ("ServiceAccount", _) => Value::Null,
        ("APIService", "Service") => {
            let service = &spec["service"];
            let name = |field: &str| service[field].as_str().unwrap_or_default();
            json!(if service.is_null() {
                "Local".to_owned()
            } else {
                format!("{}/{}", name("namespace"), name("name"))
            })
        }
        ("APIService", "Available") => json!(availability(object)),
        ("ClusterRoleBinding" | "RoleBinding", "Role") => {
            let name = |field: &str| object["roleRef"][field].as_str().unwrap_or_default();
            json!(format!("{}/{}", name("kind"), name("name")))
        }
        ("ClusterRoleBinding" | "RoleBinding", _) => json!(subjects(object, column)),
        ("ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration", "Webhooks") => {
            json!(object["webhooks"].as_array().map_or(0, Vec::len))
        }
        ("PriorityClass", "Value") => object["value"].clone(),
        ("PriorityClass", "Global-Default") => json!(object["globalDefault"] == true),
        ("PriorityClass", "PreemptionPolicy") => text(&object["preemptionPolicy"]),
        ("Lease", "Holder") => text(&spec["holderIdentity"]),
        ("Endpoints", "Endpoints") => json!(endpoints(&object["subsets"])),
        ("EndpointSlice", "AddressType") => object["addressType"].clone(),
        ("EndpointSlice", "Ports") => json!(joined(&object["ports"], |port| port["port"].to_string(), "<unset>")),
        ("EndpointSlice", "Endpoints") => json!(joined(
            &object["endpoints"],
            |endpoint| endpoint["addresses"][0].as_str().unwrap_or_default().to_owned(),
            "<unset>"
        )),
        ("CSINode", "Drivers") => json!(spec["drivers"].as_array().map_or(0, Vec::len)),
        ("CSIDriver", "AttachRequired") => json!(spec["attachRequired"] == true),
        ("CSIDriver", "PodInfoOnMount") => json!(spec["podInfoOnMount"] == true),
        ("CSIDriver", "StorageCapacity") => json!(spec["storageCapacity"] == true),
        ("VolumeAttachment", "Attacher") => spec["attacher"].clone(),
        ("VolumeAttachment", "PV") => text(&spec["source"]["persistentVolumeName"]),
        ("VolumeAttachment", "Node") => text(&spec["nodeName"]),
        ("VolumeAttachment", "Attached") => json!(status["attached"] == true),
        ("ControllerRevision", "Revision") => object["revision"].clone(),
        ("RuntimeClass", "Handler") => object["handler"].clone(),
        ("NetworkPolicy", "Pod-Selector") => json!(match selector_text(&spec["podSelector"]).as_str() {
            "" => NONE.to_owned(),
            selector => selector.to_owned(),
        }),
        _ => json!(NONE),
    }
}

fn entries(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

fn pod_spec(object: &Value) -> Value {
    let job = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let template = &object["spec"]["template"]["spec"];
    if job.is_null() { template } else { job }.clone()
}

fn containers(spec: &Value, field: &str) -> String {
    joined(
        &spec["containers"],
        |container| container[field].as_str().unwrap_or_default().to_owned(),
        NONE,
    )
}

fn joined(list: &Value, text: impl Fn(&Value) -> String, empty: &str) -> String {
    let texts: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
    if texts.is_empty() {
        empty.to_owned()
    } else {
        texts.join(",")
    }
}

/// The first three addresses of subsets with their ports, and how many more there are.
fn endpoints(subsets: &Value) -> String {
    let mut all = Vec::new();
    for subset in subsets.as_array().into_iter().flatten() {
        let ports = subset["ports"].as_array().cloned().unwrap_or_default();
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let ip = address["ip"].as_str().unwrap_or_default();
            all.extend(ports.iter().map(|port| format!("{ip}:{}", port["port"])));
        }
    }
    let shown = all[..all.len().min(3)].join(",");
    match all.len() {
        0 => NONE.to_owned(),
        1..=3 => shown,
        more => format!("{shown} + {} more...", more - 3),
    }
}

fn labels_text(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let parts: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if parts.is_empty() {
        NONE.to_owned()
    } else {
        parts.join(",")
    }
}

fn pod(object: &Value, column: &str, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let statuses = || status["containerStatuses"].as_array().into_iter().flatten();
    let text = |value: &Value| json!(value.as_str().filter(|text| !text.is_empty()).unwrap_or(NONE));
    match column {
        "Ready" => {
            let ready = statuses().filter(|container| container["ready"] == true).count();
            json!(format!("{ready}/{}", spec["containers"].as_array().map_or(0, Vec::len)))
        }
        "Status" => json!(pod_status(object)),
        "Restarts" => {
            let restarts: i64 = statuses()
                .filter_map(|container| container["restartCount"].as_i64())
                .sum();
            let last = statuses()
                .filter_map(|container| container["lastState"]["terminated"]["finishedAt"].as_str())
                .max();
            json!(match last {
                Some(last) if restarts > 0 => format!("{restarts} ({} ago)", age(&json!(last), now)),
                _ => restarts.to_string(),
            })
        }
        "IP" => text(&status["podIP"]),
        "Node" => text(&spec["nodeName"]),
        "Nominated Node" => text(&status["nominatedNodeName"]),
        _ => json!(NONE),
    }
}

/// The word that says what a pod is doing.
fn pod_status(object: &Value) -> String {
    let status = &object["status"];
    let phase = status["phase"].as_str().unwrap_or("Unknown");
    let mut word = status["reason"].as_str().unwrap_or(phase).to_owned();
    for container in status["containerStatuses"].as_array().into_iter().flatten() {
        let state = &container["state"];
        for (kind, fallback) in [("waiting", None), ("terminated", Some("Completed"))] {
            if let Some(reason) = state[kind]["reason"].as_str().filter(|reason| !reason.is_empty()) {
                reason.clone_into(&mut word);
            } else if let (Some(_), Some(fallback)) = (state.get(kind), fallback) {
                let code = state[kind]["exitCode"].as_i64().unwrap_or(0);
                word = if code == 0 {
                    fallback.to_owned()
                } else {
                    format!("ExitCode:{code}")
                };
            }
        }
    }
    let gated = object["spec"]["schedulingGates"]
        .as_array()
        .is_some_and(|gates| !gates.is_empty());
    if gated && phase == "Pending" {
        "SchedulingGated".clone_into(&mut word);
    }
    if crate::kube::store::marked(object) {
        "Terminating".clone_into(&mut word);
    }
    word
}

fn node(object: &Value, column: &str) -> Value {
    let status = &object["status"];
    let named = &status["nodeInfo"];
    let address = |kind: &str| {
        let addresses = status["addresses"].as_array().into_iter().flatten();
        let found = addresses.into_iter().find(|address| address["type"] == kind);
        json!(found.and_then(|address| address["address"].as_str()).unwrap_or(NONE))
    };
    let text = |value: &Value| json!(value.as_str().unwrap_or(UNKNOWN));
    match column {
        "Status" => {
            let ready = match condition(object, "Ready") {
                Some("True") => "Ready",
                Some(_) => "NotReady",
                None => "Unknown",
            };
            let cordoned = object["spec"]["unschedulable"] == true;
            json!(if cordoned {
                format!("{ready},SchedulingDisabled")
            } else {
                ready.to_owned()
            })
        }
        "Roles" => {
            let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
            let roles: Vec<&str> = labels
                .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
                .collect();
            json!(if roles.is_empty() {
                NONE.to_owned()
            } else {
                roles.join(",")
            })
        }
        "Version" => text(&named["kubeletVersion"]),
        "Internal-IP" => address("InternalIP"),
        "External-IP" => address("ExternalIP"),
        "OS-Image" => text(&named["osImage"]),
        "Kernel-Version" => text(&named["kernelVersion"]),
        "Container-Runtime" => text(&named["containerRuntimeVersion"]),
        _ => json!(NONE),
    }
}

fn service(object: &Value, column: &str) -> Value {
    let spec = &object["spec"];
    let text = |value: &Value| json!(value.as_str().filter(|text| !text.is_empty()).unwrap_or(NONE));
    match column {
        "Type" => spec["type"].clone(),
        "Cluster-IP" => text(&spec["clusterIP"]),
        "External-IP" => match spec["type"].as_str() {
            Some("LoadBalancer") => json!(match balancer_address(&object["status"]).as_str() {
                "" => "<pending>".to_owned(),
                address => address.to_owned(),
            }),
            Some("ExternalName") => text(&spec["externalName"]),
            _ => json!(NONE),
        },
        "Port(s)" => json!(joined(
            &spec["ports"],
            |port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                match port["nodePort"].as_i64() {
                    Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
                    _ => format!("{}/{protocol}", port["port"]),
                }
            },
            NONE
        )),
        _ => json!(labels_text(&spec["selector"])),
    }
}

fn event(object: &Value, column: &str, now: Timestamp) -> Value {
    let about = &object["involvedObject"];
    let text = |value: &Value| json!(value.as_str().unwrap_or_default());
    match column {
        "Last Seen" => {
            let last = &object["lastTimestamp"];
            let last = if last.is_null() { &object["eventTime"] } else { last };
            json!(age(last, now))
        }
        "First Seen" => json!(age(&object["firstTimestamp"], now)),
        "Type" => text(&object["type"]),
        "Reason" => text(&object["reason"]),
        "Object" => {
            let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
            json!(format!("{kind}/{}", about["name"].as_str().unwrap_or_default()))
        }
        "Subobject" => text(&about["fieldPath"]),
        "Source" => {
            let own = &object["source"]["component"];
            text(if own.is_null() {
                &object["reportingComponent"]
            } else {
                own
            })
        }
        "Message" => text(&object["message"]),
        "Count" => json!(object["count"].as_i64().unwrap_or(1)),
        _ => json!(NONE),
    }
}

fn autoscaler(object: &Value, column: &str) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    match column {
        "Reference" => {
            let target = &spec["scaleTargetRef"];
            let name = |field: &str| target[field].as_str().unwrap_or_default();
            json!(format!("{}/{}", name("kind"), name("name")))
        }
        "Targets" => json!(targets(&spec["metrics"], &status["currentMetrics"])),
        "MinPods" => json!(
            spec["minReplicas"]
                .as_i64()
                .map_or("<unset>".to_owned(), |pods| pods.to_string())
        ),
        "MaxPods" => spec["maxReplicas"].clone(),
        _ => json!(status["currentReplicas"].as_i64().unwrap_or(0)),
    }
}

/// Each metric of an autoscaler as `current/wanted`.
fn targets(metrics: &Value, current: &Value) -> String {
    let sources = ["resource", "external", "pods", "object", "containerResource"];
    let shown = |target: &Value| {
        let percent = target["averageUtilization"]
            .as_i64()
            .map(|percent| format!("{percent}%"));
        let average = target["averageValue"].as_str().map(|value| format!("{value} (avg)"));
        let value = target["value"].as_str().map(str::to_owned);
        percent.or(average).or(value)
    };
    let mut parts = Vec::new();
    for (at, metric) in metrics.as_array().into_iter().flatten().enumerate() {
        let source = sources.iter().find(|source| metric.get(**source).is_some());
        let Some(source) = source else { continue };
        let wanted = shown(&metric[*source]["target"]).unwrap_or_else(|| "<auto>".to_owned());
        let now = shown(&current[at][*source]["current"]).unwrap_or_else(|| UNKNOWN.to_owned());
        let now = now.trim_end_matches(" (avg)").to_owned();
        let name = metric[*source]["name"].as_str().filter(|_| *source == "resource");
        parts.push(match name {
            Some(name) => format!("{name}: {now}/{wanted}"),
            None => format!("{now}/{wanted}"),
        });
    }
    if parts.is_empty() {
        NONE.to_owned()
    } else {
        parts.join(", ")
    }
}

fn job_status(object: &Value) -> &'static str {
    let is = |name: &str| condition(object, name) == Some("True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if crate::kube::store::marked(object) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn ingress_hosts(spec: &Value) -> String {
    let rules = spec["rules"].as_array().into_iter().flatten();
    let hosts: Vec<&str> = rules
        .filter_map(|rule| rule["host"].as_str())
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() {
        "*".to_owned()
    } else {
        hosts.join(",")
    }
}

fn balancer_address(status: &Value) -> String {
    joined(
        &status["loadBalancer"]["ingress"],
        |ingress| {
            let ip = ingress["ip"].as_str();
            ip.or_else(|| ingress["hostname"].as_str())
                .unwrap_or_default()
                .to_owned()
        },
        "",
    )
}

fn access_modes(modes: &Value) -> String {
    joined(
        modes,
        |mode| match mode.as_str() {
            Some("ReadWriteOnce") => "RWO".to_owned(),
            Some("ReadOnlyMany") => "ROX".to_owned(),
            Some("ReadWriteMany") => "RWX".to_owned(),
            Some("ReadWriteOncePod") => "RWOP".to_owned(),
            _ => String::new(),
        },
        "",
    )
}

fn not_applicable(value: &Value) -> Value {
    match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

fn availability(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions
        .into_iter()
        .find(|condition| condition["type"] == "Available");
    match found {
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("False ({})", condition["reason"].as_str().unwrap_or_default()),
        None => "Unknown".to_owned(),
    }
}

fn subjects(object: &Value, column: &str) -> String {
    let kind = match column {
        "Users" => "User",
        "Groups" => "Group",
        "ServiceAccounts" => "ServiceAccount",
        _ => return NONE.to_owned(),
    };
    let subjects = object["subjects"].as_array().into_iter().flatten();
    let names: Vec<String> = subjects
        .filter(|subject| subject["kind"] == kind)
        .map(|subject| {
            let name = subject["name"].as_str().unwrap_or_default();
            match subject["namespace"].as_str() {
                Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{name}"),
                _ => name.to_owned(),
            }
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_waits_says_for_what() {
        let pod = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        assert_eq!(pod_status(&pod), "ContainerCreating");
    }
}
