//! Status conditions: what a controller says about an object, and since when.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::kube::actors::kinds;
use crate::kube::store::Store;
use crate::kube::store::seconds;

/// One condition to set.
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl<'a> Condition<'a> {
    /// A condition that holds or not, or of which nobody knows.
    pub(crate) fn new(kind: &'a str, holds: impl Into<Option<bool>>, reason: &'a str, message: &'a str) -> Self {
        Self {
            kind,
            status: word(holds.into()),
            reason,
            message,
        }
    }
}

/// How Kubernetes writes whether a condition holds.
pub(crate) fn word(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

/// The status of a condition: `True`, `False` or `Unknown`; none if the object does not have it.
pub(crate) fn status<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    find(object, kind)?["status"].as_str()
}

/// Whether a condition is there and `True`.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    status(object, kind) == Some("True")
}

/// The condition of a kind.
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let list = object["status"]["conditions"].as_array()?;
    list.iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition; its transition time changes only with its status.
pub(crate) fn set(object: &mut Value, now: Timestamp, condition: &Condition<'_>) {
    let since = find(object, condition.kind)
        .filter(|old| old["status"] == condition.status)
        .map_or_else(|| json!(seconds(now)), |old| old["lastTransitionTime"].clone());
    let mut entry = json!({
        "type": condition.kind,
        "status": condition.status,
        "lastTransitionTime": since,
    });
    if !condition.reason.is_empty() {
        entry["reason"] = json!(condition.reason);
    }
    // Custom kinds share one type of condition, in which the message is never left out.
    if !condition.message.is_empty() || is_custom(object) {
        entry["message"] = json!(condition.message);
    }
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let list = conditions.as_array_mut().expect("it was made a list above");
    match list.iter_mut().find(|old| old["type"] == condition.kind) {
        Some(old) => {
            for field in ["lastUpdateTime", "lastProbeTime", "observedGeneration"] {
                if let Some(value) = old.get(field) {
                    entry[field] = value.clone();
                }
            }
            *old = entry;
        }
        None => list.push(entry),
    }
}

/// Whether an object is of a kind that a definition added.
fn is_custom(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    group.contains('.') && !group.ends_with("k8s.io")
}

/// Whether a Deployment says that it is Available.
pub(crate) fn is_available(store: &Store, namespace: &str, deployment: &str) -> bool {
    store
        .get(&kinds::DEPLOYMENT, namespace, deployment)
        .is_some_and(|deployment| holds(deployment, "Available"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_kinds_have_a_message_even_if_it_is_empty() {
        for (version, expected) in [("karpenter.sh/v1", Some("")), ("apps/v1", None), ("v1", None)] {
            let mut object = json!({"apiVersion": version});
            set(
                &mut object,
                Timestamp::UNIX_EPOCH,
                &Condition::new("Ready", true, "Ready", ""),
            );
            let found = find(&object, "Ready").and_then(|condition| condition["message"].as_str());
            assert_eq!(found, expected, "{version}");
        }
    }
}
