//! What a Kubernetes Secret holds is applied and never shown: not in a plan, not in an event.

use serde::Serialize;
use serde::Serializer;
use serde_json::Value;

use crate::resource::diff::Change;

/// What stands in the place of a secret's value.
const HIDDEN: &str = "(secret)";

/// The fields that hold a secret's values.
const VALUES: [&str; 2] = ["data", "stringData"];

/// Serializes a specification without the values of a secret.
pub(crate) fn hidden<S: Serializer>(spec: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    if !is_secret(spec) {
        return spec.serialize(serializer);
    }
    let mut spec = spec.clone();
    for field in VALUES {
        let values = spec.get_mut(field).and_then(Value::as_object_mut);
        for value in values.into_iter().flat_map(|values| values.values_mut()) {
            *value = Value::from(HIDDEN);
        }
    }
    spec.serialize(serializer)
}

/// The changes of a resource, without the values of a secret.
pub(crate) fn hide(spec: &Value, mut changes: Vec<Change>) -> Vec<Change> {
    let holds = |path: &str| VALUES.iter().any(|field| path.split('.').next() == Some(field));
    for change in changes
        .iter_mut()
        .filter(|change| is_secret(spec) && holds(&change.path))
    {
        change.before = change.before.as_ref().map(|_| Value::from(HIDDEN));
        change.after = Value::from(HIDDEN);
    }
    changes
}

fn is_secret(spec: &Value) -> bool {
    spec["kind"] == "Secret" && spec["apiVersion"] == "v1"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::diff::diff;

    fn shown(spec: &Value) -> Value {
        hidden(spec, serde_json::value::Serializer).unwrap()
    }

    #[test]
    fn a_secret_is_shown_without_its_values() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"password": "aHVudGVyMg=="}});
        let mut expected = secret.clone();
        expected["data"]["password"] = json!("(secret)");
        assert_eq!(shown(&secret), expected);
    }

    #[test]
    fn a_secret_that_changes_says_so_and_not_to_what() {
        let secret = |value: &str, label: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {"app": label}}, "stringData": {"password": value}});
        let (wanted, live) = (secret("new", "b"), secret("old", "a"));
        let changes = hide(&wanted, diff(&wanted, &live));
        let told: Vec<String> = changes
            .iter()
            .map(|change| format!("{} {}", change.path, change.after))
            .collect();
        assert_eq!(
            told,
            [r#"metadata.labels.app "b""#, r#"stringData.password "(secret)""#]
        );
        assert!(!format!("{changes:?}").contains("old"));
    }

    #[test]
    fn what_is_no_secret_is_shown_whole() {
        for spec in [
            json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "b"}}),
            json!({"data": 1}),
        ] {
            assert_eq!(shown(&spec), spec);
        }
    }
}
