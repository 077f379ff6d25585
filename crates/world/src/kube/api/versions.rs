//! One stored object, several versions of it: what a client sees under the version that it asked for.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::json;

use crate::kube::api::resources::Resource;

/// The annotation that keeps what autoscaling/v1 has no field for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// The object as the resource's version shows it.
pub(crate) fn shown<'a>(resource: &Resource, object: &'a Value) -> Cow<'a, Value> {
    match (
        resource.group.as_str(),
        resource.version.as_str(),
        resource.kind.as_str(),
    ) {
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => Cow::Owned(autoscaler_v1(object)),
        ("events.k8s.io", ..) if object.get("involvedObject").is_some() => Cow::Owned(new_event(object)),
        ("", _, "Event") if object.get("regarding").is_some() => Cow::Owned(core_event(object)),
        _ => Cow::Borrowed(object),
    }
}

/// The object that a client sent under the resource's version, as it is stored.
pub(crate) fn stored(resource: &Resource, object: Value) -> Value {
    match (
        resource.group.as_str(),
        resource.version.as_str(),
        resource.kind.as_str(),
    ) {
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => autoscaler_v2(object),
        ("events.k8s.io", ..) => core_event(&object),
        _ => object,
    }
}

fn autoscaler_v1(object: &Value) -> Value {
    let mut shown = object.clone();
    let Some(spec) = shown["spec"].as_object_mut() else {
        return shown;
    };
    let metrics = spec.remove("metrics");
    spec.remove("behavior");
    let metrics = metrics.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let mut others = Vec::new();
    for metric in metrics {
        let target = &metric["resource"]["target"];
        if metric["resource"]["name"] == "cpu" && target["averageUtilization"].is_number() {
            spec.insert(
                "targetCPUUtilizationPercentage".to_owned(),
                target["averageUtilization"].clone(),
            );
        } else {
            others.push(metric);
        }
    }
    if !others.is_empty() {
        shown["metadata"]["annotations"][METRICS] = json!(json!(others).to_string());
    }
    let status = &object["status"];
    let mut old = json!({"currentReplicas": status.get("currentReplicas").cloned().unwrap_or(json!(0)),
        "desiredReplicas": status.get("desiredReplicas").cloned().unwrap_or(json!(0))});
    for field in ["observedGeneration", "lastScaleTime"] {
        if let Some(value) = status.get(field) {
            old[field] = value.clone();
        }
    }
    shown["status"] = old;
    shown
}

fn autoscaler_v2(mut object: Value) -> Value {
    let mut metrics: Vec<Value> = object["metadata"]["annotations"][METRICS]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove(METRICS);
    }
    if object["metadata"]["annotations"].is_null()
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("annotations");
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            metrics.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !metrics.is_empty() {
            spec.insert("metrics".to_owned(), json!(metrics));
        }
    }
    object["apiVersion"] = json!("autoscaling/v2");
    object
}

/// The names that one event's fields have in the core group and in `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn new_event(object: &Value) -> Value {
    renamed(object, |name| {
        EVENT_FIELDS.iter().find(|(core, _)| *core == name).map(|(_, new)| *new)
    })
}

fn core_event(object: &Value) -> Value {
    let mut event = renamed(object, |name| {
        EVENT_FIELDS.iter().find(|(_, new)| *new == name).map(|(core, _)| *core)
    });
    event["apiVersion"] = json!("v1");
    event
}

fn renamed(object: &Value, name_of: impl Fn(&str) -> Option<&'static str>) -> Value {
    let fields = object.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name_of(name).unwrap_or(name).to_owned(), value.clone()))
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_survives_its_old_version() {
        let object = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}});
        let old = autoscaler_v1(&object);
        assert_eq!(old["spec"]["targetCPUUtilizationPercentage"], 80);
        assert_eq!(autoscaler_v2(old)["spec"], object["spec"]);
    }
}
