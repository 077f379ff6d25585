//! How what is differs from what should be.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where the field is, as in `tags.Name` or `ingress[0].port`.
    pub path: String,
    /// What it is; none when it is missing.
    pub before: Option<Value>,
    /// What it should be.
    pub after: Value,
}

/// The fields of `desired` that `live` does not have so. What `live` has beyond them is not ours to judge.
///
/// A value that is not known yet differs from any: it comes from something that is made or changed first.
pub fn diff(desired: &Value, live: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", desired, Some(live), &mut changes);
    changes
}

fn compare(path: &str, desired: &Value, live: Option<&Value>, changes: &mut Vec<Change>) {
    match (desired, live) {
        (Value::Object(desired), Some(Value::Object(live))) => {
            for (name, value) in desired {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                compare(&path, value, live.get(name), changes);
            }
        }
        (Value::Array(desired), Some(Value::Array(live))) if same_ids(desired, live) => {}
        (Value::Array(desired), Some(Value::Array(live))) if desired.len() == live.len() => {
            for (place, (desired, live)) in desired.iter().zip(live).enumerate() {
                compare(&format!("{path}[{place}]"), desired, Some(live), changes);
            }
        }
        // Nothing and an empty collection mean the same in every API that we call.
        (desired, None | Some(Value::Null)) if is_empty(desired) => {}
        (desired, live) if live == Some(desired) => {}
        (desired, live) => changes.push(Change {
            path: path.to_owned(),
            before: live.cloned(),
            after: desired.clone(),
        }),
    }
}

/// Whether these are the same subnets or security groups: AWS gives them in an order of its own, and none means more.
fn same_ids(desired: &[Value], live: &[Value]) -> bool {
    let ids = |list: &[Value]| -> Option<BTreeSet<String>> {
        list.iter()
            .map(|item| item.as_str().map(str::to_owned))
            .map(|id| id.filter(|id| id.starts_with("subnet-") || id.starts_with("sg-")))
            .collect()
    };
    desired.len() == live.len() && ids(desired).is_some_and(|desired| ids(live) == Some(desired))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tables read better with plain literals")]
    fn check(desired: Value, live: Value, expected: &[&str]) {
        let paths: Vec<String> = diff(&desired, &live).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, expected, "{desired} against {live}");
    }

    #[test]
    fn subnets_and_security_groups_are_sets() {
        check(
            json!({"s": ["subnet-1", "subnet-2"]}),
            json!({"s": ["subnet-2", "subnet-1"]}),
            &[],
        );
        check(json!({"s": ["subnet-1"]}), json!({"s": ["subnet-2"]}), &["s[0]"]);
        check(json!({"t": ["a", "b"]}), json!({"t": ["b", "a"]}), &["t[0]", "t[1]"]);
    }

    #[test]
    fn fields_that_nobody_asked_for_do_not_differ() {
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), &[]);
    }

    #[test]
    fn a_changed_and_a_missing_field_are_named_by_their_path() {
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3}}), &["a.b", "a.c"]);
    }

    #[test]
    fn a_list_of_the_same_length_differs_by_element_and_another_as_a_whole() {
        check(json!({"a": [1, 2]}), json!({"a": [1, 3]}), &["a[1]"]);
        check(json!({"a": [1, 2]}), json!({"a": [1]}), &["a"]);
    }

    #[test]
    fn nothing_and_empty_are_the_same() {
        check(json!({"a": [], "b": {}, "c": null}), json!({}), &[]);
    }

    #[test]
    fn what_is_not_known_yet_differs_from_what_is() {
        check(
            json!({"vpc": "unknown(vpc/main#id)"}),
            json!({"vpc": "vpc-1"}),
            &["vpc"],
        );
    }
}
