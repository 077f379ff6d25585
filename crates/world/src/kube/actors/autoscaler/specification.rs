//! `HorizontalPodAutoscalers` as JSON, and as the model reads them.

use jiff::SignedDuration;
use serde_json::Value;
use serde_json::json;

use crate::kube::actors::keda::NAME_LABEL;
use crate::kube::actors::quantity::milli;
use crate::kube::actors::selector::list;
use crate::kube::store::seconds;
use crate::models::hpa;
use crate::models::hpa::Milli;

/// Reads an object's `spec`.
pub(in crate::kube::actors) fn read(spec: &Value) -> hpa::Spec {
    hpa::Spec {
        min: number(&spec["minReplicas"]).unwrap_or(1),
        max: number(&spec["maxReplicas"]).unwrap_or(1),
        metrics: list(&spec["metrics"]).iter().filter_map(metric).collect(),
        behavior: behavior(&spec["behavior"]),
    }
}

/// Reads `behavior`.
pub(in crate::kube::actors) fn behavior(behavior: &Value) -> Option<hpa::Behavior> {
    behavior.is_object().then(|| hpa::Behavior {
        scale_up: rules(&behavior["scaleUp"]),
        scale_down: rules(&behavior["scaleDown"]),
    })
}

fn number(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}

fn metric(metric: &Value) -> Option<hpa::Metric> {
    if metric["type"] == "Resource" {
        let target = &metric["resource"]["target"];
        return Some(hpa::Metric::Resource {
            name: metric["resource"]["name"].as_str()?.to_owned(),
            target: match number(&target["averageUtilization"]) {
                Some(percent) => hpa::ResourceTarget::Utilization(percent),
                None => hpa::ResourceTarget::AverageValue(Milli(milli(&target["averageValue"]))),
            },
        });
    }
    let external = &metric["external"];
    let pairs = external["metric"]["selector"]["matchLabels"]
        .as_object()
        .into_iter()
        .flatten();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()))
        .collect();
    Some(hpa::Metric::External {
        name: external["metric"]["name"].as_str()?.to_owned(),
        selector: format!(
            "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}",
            pairs.join("")
        ),
        target: match &external["target"]["averageValue"] {
            Value::Null => hpa::ExternalTarget::Value(Milli(milli(&external["target"]["value"]))),
            average => hpa::ExternalTarget::AverageValue(Milli(milli(average))),
        },
    })
}

fn rules(rules: &Value) -> Option<hpa::Rules> {
    let span = |value: &Value| value.as_i64().map(SignedDuration::from_secs);
    rules.is_object().then(|| hpa::Rules {
        stabilization_window: span(&rules["stabilizationWindowSeconds"]),
        select: match rules["selectPolicy"].as_str() {
            Some("Min") => Some(hpa::Select::Min),
            Some("Disabled") => Some(hpa::Select::Disabled),
            Some(_) => Some(hpa::Select::Max),
            None => None,
        },
        policies: rules["policies"]
            .as_array()
            .map(|policies| policies.iter().filter_map(policy).collect()),
        tolerance: rules.get("tolerance").map(|_| thousandths(milli(&rules["tolerance"]))),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a tolerance is a small number")]
fn thousandths(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

fn policy(policy: &Value) -> Option<hpa::Policy> {
    let value = number(&policy["value"])?;
    Some(hpa::Policy {
        limit: if policy["type"] == "Percent" {
            hpa::Limit::Percent(value)
        } else {
            hpa::Limit::Pods(value)
        },
        period: SignedDuration::from_secs(policy["periodSeconds"].as_i64()?),
    })
}

/// Writes the `spec` of the object that KEDA makes for a target.
pub(in crate::kube::actors) fn write(spec: &hpa::Spec, target: &Value, scaled: &str, behavior: &Value) -> Value {
    let mut written = json!({
        "scaleTargetRef": target,
        "minReplicas": spec.min,
        "maxReplicas": spec.max,
        "metrics": spec.metrics.iter().map(|metric| write_metric(metric, scaled)).collect::<Vec<_>>(),
    });
    if spec.behavior.is_some() {
        written["behavior"] = behavior.clone();
    }
    written
}

fn write_metric(metric: &hpa::Metric, scaled: &str) -> Value {
    match metric {
        hpa::Metric::External { name, target, .. } => {
            let target = match target {
                hpa::ExternalTarget::AverageValue(value) => {
                    json!({"type": "AverageValue", "averageValue": quantity(*value)})
                }
                hpa::ExternalTarget::Value(value) => json!({"type": "Value", "value": quantity(*value)}),
            };
            let selector = json!({"matchLabels": {NAME_LABEL: scaled}});
            json!({"type": "External", "external": {"metric": {"name": name, "selector": selector}, "target": target}})
        }
        hpa::Metric::Resource { name, target } => {
            let target = match target {
                hpa::ResourceTarget::Utilization(percent) => {
                    json!({"type": "Utilization", "averageUtilization": percent})
                }
                hpa::ResourceTarget::AverageValue(value) => {
                    json!({"type": "AverageValue", "averageValue": quantity(*value)})
                }
            };
            json!({"type": "Resource", "resource": {"name": name, "target": target}})
        }
    }
}

/// A quantity as Kubernetes writes it.
fn quantity(value: Milli) -> String {
    if value.0 % 1000 == 0 {
        (value.0 / 1000).to_string()
    } else {
        format!("{}m", value.0)
    }
}

/// The current value of a metric, as a status shows it.
pub(super) fn current(metric: &Value, current: hpa::Current) -> Value {
    let current = match current {
        hpa::Current::AverageValue(value) => json!({"averageValue": quantity(value)}),
        hpa::Current::Value(value) => json!({"value": quantity(value)}),
        hpa::Current::Utilization(percent, value) => {
            json!({"averageUtilization": percent, "averageValue": quantity(value)})
        }
    };
    if metric["type"] == "Resource" {
        let name = &metric["resource"]["name"];
        return json!({"type": "Resource", "resource": {"name": name, "current": current}});
    }
    let name = &metric["external"]["metric"];
    json!({"type": "External", "external": {"metric": name, "current": current}})
}

/// A condition of a status.
pub(super) fn condition(kind: &str, condition: &hpa::Condition) -> Value {
    json!({
        "type": kind,
        "status": word(condition.holds),
        "lastTransitionTime": seconds(condition.since),
        "reason": condition.reason,
        "message": condition.message,
    })
}

/// The status of a condition that holds, does not, or of which nobody knows.
pub(in crate::kube::actors) fn word(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}
