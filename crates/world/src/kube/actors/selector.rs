//! Label selectors: which objects a controller or a service means.

use serde_json::Value;

/// The labels of an object.
pub(crate) fn labels(object: &Value) -> &Value {
    &object["metadata"]["labels"]
}

/// Whether a `LabelSelector` (`matchLabels`, `matchExpressions`) chooses these labels; an empty one chooses all.
pub(crate) fn chooses(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    has_all(&selector["matchLabels"], labels)
        && list(&selector["matchExpressions"])
            .iter()
            .all(|expression| holds(expression, labels))
}

/// Whether the labels contain every pair of `wanted`.
pub(crate) fn has_all(wanted: &Value, labels: &Value) -> bool {
    let mut pairs = wanted.as_object().into_iter().flatten();
    pairs.all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether one requirement (`key`, `operator`, `values`) holds for these labels.
pub(crate) fn holds(requirement: &Value, labels: &Value) -> bool {
    let key = requirement["key"].as_str().unwrap_or_default();
    let label = labels.get(key).and_then(Value::as_str);
    let values = list(&requirement["values"]);
    let among = |label: &str| values.iter().any(|value| value == label);
    let compared = || {
        let number = |value: &str| value.parse::<i64>().ok();
        let bound = values.first().and_then(Value::as_str).and_then(number)?;
        Some(label.and_then(number)?.cmp(&bound))
    };
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" => label.is_some_and(among),
        "NotIn" => !label.is_some_and(among),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

/// The elements of a list; none for anything else.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(selector: &Value, expected: bool) {
        let labels = json!({"app": "vllm", "size": "4"});
        assert_eq!(chooses(selector, &labels), expected, "{selector}");
    }

    #[test]
    fn a_selector_chooses_by_labels_and_by_expressions() {
        check(&json!({}), true);
        check(&json!(null), false);
        check(&json!({"matchLabels": {"app": "vllm"}}), true);
        check(&json!({"matchLabels": {"app": "other"}}), false);
        for (operator, values, expected) in [
            ("In", json!(["vllm", "x"]), true),
            ("NotIn", json!(["vllm"]), false),
            ("Exists", json!(null), true),
            ("DoesNotExist", json!(null), false),
        ] {
            let expression = json!({"key": "app", "operator": operator, "values": values});
            check(&json!({"matchExpressions": [expression]}), expected);
        }
        let larger = json!({"key": "size", "operator": "Gt", "values": ["3"]});
        check(&json!({"matchExpressions": [larger]}), true);
    }
}
