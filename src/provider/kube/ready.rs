//! When an object is usable, read from the object alone: the rules of kstatus, and those of the kinds that it leaves open.

use serde_json::Value;

use crate::resource::observed::Readiness;

/// How far an object is.
pub fn readiness(object: &Value) -> Readiness {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Readiness::Leaving;
    }
    if let Some(waiting) = behind(object) {
        return waiting;
    }
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(object),
        "StatefulSet" => counted(object, "readyReplicas", "pods ready"),
        "DaemonSet" => daemon_set(object),
        "ReplicaSet" => counted(object, "availableReplicas", "pods available"),
        "Job" => job(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => phase(object, "Bound"),
        "Namespace" => phase(object, "Active"),
        "CustomResourceDefinition" => condition(object, "Established"),
        "APIService" => condition(object, "Available"),
        "Ingress" => ingress(object),
        "Service" if object["spec"]["type"] == "LoadBalancer" => address(object),
        "ScaledObject" | "ScaledJob" | "NodePool" | "EC2NodeClass" | "NodeClaim" => condition(object, "Ready"),
        _ => generic(object),
    }
}

/// Waiting, while the controller has not seen the newest specification.
fn behind(object: &Value) -> Option<Readiness> {
    let observed = object["status"]["observedGeneration"].as_u64()?;
    let generation = object["metadata"]["generation"].as_u64()?;
    (observed < generation).then(|| Readiness::Waiting("not seen by its controller yet".to_owned()))
}

fn deployment(object: &Value) -> Readiness {
    let status = &object["status"];
    if let Some(why) = find(object, "Progressing").filter(|found| found["reason"] == "ProgressDeadlineExceeded") {
        return Readiness::Failed(text(why, "message", "its pods did not become ready in time"));
    }
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let count = |field: &str| status[field].as_u64().unwrap_or(0);
    if count("updatedReplicas") < wanted {
        return Readiness::Waiting(format!("{} of {wanted} pods updated", count("updatedReplicas")));
    }
    if count("replicas") > count("updatedReplicas") {
        return Readiness::Waiting("old pods still there".to_owned());
    }
    if count("availableReplicas") < wanted {
        return Readiness::Waiting(format!("{} of {wanted} pods available", count("availableReplicas")));
    }
    Readiness::Ready
}

fn daemon_set(object: &Value) -> Readiness {
    let count = |field: &str| object["status"][field].as_u64();
    let Some(wanted) = count("desiredNumberScheduled") else {
        return Readiness::Waiting("not scheduled yet".to_owned());
    };
    let ready = count("numberAvailable")
        .unwrap_or(0)
        .min(count("updatedNumberScheduled").unwrap_or(0));
    if ready < wanted {
        Readiness::Waiting(format!("{ready} of {wanted} pods available"))
    } else {
        Readiness::Ready
    }
}

fn counted(object: &Value, field: &str, what: &str) -> Readiness {
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let ready = object["status"][field].as_u64().unwrap_or(0);
    if ready < wanted {
        Readiness::Waiting(format!("{ready} of {wanted} {what}"))
    } else {
        Readiness::Ready
    }
}

fn job(object: &Value) -> Readiness {
    if let Some(failed) = find(object, "Failed").filter(|found| found["status"] == "True") {
        return Readiness::Failed(text(failed, "message", "the job failed"));
    }
    match find(object, "Complete") {
        Some(found) if found["status"] == "True" => Readiness::Ready,
        _ => Readiness::Waiting("running".to_owned()),
    }
}

fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Readiness::Ready,
        Some("Failed") => Readiness::Failed(text(&object["status"], "message", "the pod failed")),
        _ => condition(object, "Ready"),
    }
}

fn phase(object: &Value, wanted: &str) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some(phase) if phase == wanted => Readiness::Ready,
        phase => Readiness::Waiting(phase.unwrap_or("pending").to_lowercase()),
    }
}

/// An Ingress that a controller of ours serves is usable when it has an address.
fn ingress(object: &Value) -> Readiness {
    if object["spec"]["ingressClassName"].is_string() {
        address(object)
    } else {
        Readiness::Ready
    }
}

fn address(object: &Value) -> Readiness {
    match object["status"]["loadBalancer"]["ingress"].as_array() {
        Some(addresses) if !addresses.is_empty() => Readiness::Ready,
        _ => Readiness::Waiting("no load balancer yet".to_owned()),
    }
}

fn condition(object: &Value, wanted: &str) -> Readiness {
    match find(object, wanted) {
        Some(found) if found["status"] == "True" => Readiness::Ready,
        Some(found) => Readiness::Waiting(text(found, "message", &format!("{wanted} is {}", found["status"]))),
        None => Readiness::Waiting(format!("not {wanted} yet")),
    }
}

/// Kinds without rules of their own: their conditions, where they follow the conventions.
fn generic(object: &Value) -> Readiness {
    if let Some(found) = find(object, "Stalled").filter(|found| found["status"] == "True") {
        return Readiness::Failed(text(found, "message", "stalled"));
    }
    match find(object, "Ready") {
        Some(found) if found["status"] == "False" => Readiness::Waiting(text(found, "message", "not ready")),
        _ => Readiness::Ready,
    }
}

fn find<'a>(object: &'a Value, condition: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|found| found["type"] == condition)
}

fn text(value: &Value, field: &str, otherwise: &str) -> String {
    value[field]
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or(otherwise)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tables read better with plain literals")]
    fn check(object: Value, expected: &str) {
        let said = match readiness(&object) {
            Readiness::Ready => "ready".to_owned(),
            Readiness::Waiting(what) => what,
            Readiness::Failed(why) => format!("failed: {why}"),
            Readiness::Leaving => "leaving".to_owned(),
        };
        assert_eq!(said, expected, "{object}");
    }

    #[test]
    fn a_deployment_is_ready_when_its_pods_are_new_and_available() {
        let deployment = |status: Value| json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        check(deployment(json!({})), "0 of 2 pods updated");
        check(
            deployment(json!({"observedGeneration": 1, "updatedReplicas": 2})),
            "not seen by its controller yet",
        );
        check(
            deployment(json!({"updatedReplicas": 2, "replicas": 3})),
            "old pods still there",
        );
        check(
            deployment(json!({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 1})),
            "1 of 2 pods available",
        );
        check(
            deployment(json!({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2})),
            "ready",
        );
        let late = json!({"conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]});
        check(deployment(late), "failed: too slow");
    }

    #[test]
    fn a_daemon_set_without_nodes_is_ready_once_its_controller_said_so() {
        check(json!({"kind": "DaemonSet"}), "not scheduled yet");
        check(
            json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 0}}),
            "ready",
        );
    }

    #[test]
    fn definitions_and_apis_wait_for_their_condition() {
        check(json!({"kind": "CustomResourceDefinition"}), "not Established yet");
        let established = json!({"conditions": [{"type": "Established", "status": "True"}]});
        check(
            json!({"kind": "CustomResourceDefinition", "status": established}),
            "ready",
        );
        let missing = json!({"conditions": [{"type": "Available", "status": "False", "message": "no endpoints"}]});
        check(json!({"kind": "APIService", "status": missing}), "no endpoints");
    }

    #[test]
    fn what_has_no_conditions_is_ready_and_what_goes_is_leaving() {
        check(json!({"kind": "ConfigMap"}), "ready");
        check(
            json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            "leaving",
        );
    }

    #[test]
    fn an_ingress_of_a_class_waits_for_its_address() {
        check(
            json!({"kind": "Ingress", "spec": {"ingressClassName": "alb"}}),
            "no load balancer yet",
        );
        let address = json!({"loadBalancer": {"ingress": [{"hostname": "x"}]}});
        check(
            json!({"kind": "Ingress", "spec": {"ingressClassName": "alb"}, "status": address}),
            "ready",
        );
    }

    #[test]
    fn a_job_that_failed_says_why() {
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "message": "three tries"}]});
        check(json!({"kind": "Job", "status": failed}), "failed: three tries");
    }
}
