//! Prometheus' relabeling: rules that keep, drop and rewrite what was discovered.

use regex::Regex;
use serde_json::Value;

use crate::kube::actors::collector::pattern::pattern as compiled;
use crate::kube::actors::selector::list;
use crate::models::otel::Labels;

/// Applies the rules in order; none if one of them drops the target.
pub(super) fn apply(rules: &[Value], mut labels: Labels) -> Option<Labels> {
    for rule in rules {
        let separator = rule["separator"].as_str().unwrap_or(";");
        let sources = list(&rule["source_labels"]).iter().filter_map(Value::as_str);
        let values: Vec<&str> = sources
            .map(|name| labels.get(name).map_or("", String::as_str))
            .collect();
        let value = values.join(separator);
        let pattern = match &rule["regex"] {
            Value::String(text) => text.clone(),
            Value::Null => "(.*)".to_owned(),
            other => other.to_string(),
        };
        // The whole value must fit.
        let regex = compiled(&format!("^(?:{pattern})$"))?;
        match rule["action"].as_str().unwrap_or("replace") {
            "keep" if !regex.is_match(&value) => return None,
            "drop" if regex.is_match(&value) => return None,
            "replace" => replace(rule, &regex, &value, &mut labels),
            "labelmap" => {
                let replacement = rule["replacement"].as_str().unwrap_or("$1");
                let mapped = labels.iter().filter(|(name, _)| regex.is_match(name));
                let mapped = mapped.map(|(name, value)| (regex.replace(name, replacement).into_owned(), value.clone()));
                let mapped: Vec<(String, String)> = mapped.collect();
                labels.extend(mapped);
            }
            "labeldrop" => labels.retain(|name, _| !regex.is_match(name)),
            "labelkeep" => labels.retain(|name, _| regex.is_match(name)),
            _ => {}
        }
    }
    Some(labels)
}

fn replace(rule: &Value, regex: &Regex, value: &str, labels: &mut Labels) {
    let Some(captures) = regex.captures(value) else {
        return;
    };
    let Some(target) = rule["target_label"].as_str() else {
        return;
    };
    // `$1:8000` names group one; the colon ends the name as in Go.
    let replacement = rule["replacement"].as_str().unwrap_or("$1");
    let mut text = String::new();
    captures.expand(replacement, &mut text);
    if text.is_empty() {
        labels.remove(target);
    } else {
        labels.insert(target.to_owned(), text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: &Value, expected: Option<&str>) {
        let labels = Labels::from([
            ("ip".to_owned(), "10.0.0.1".to_owned()),
            ("app".to_owned(), "vllm".to_owned()),
        ]);
        let applied = apply(std::slice::from_ref(rule), labels);
        let address = applied
            .as_ref()
            .map(|labels| labels.get("address").map_or("", String::as_str));
        assert_eq!(address, expected, "{rule}");
    }

    #[test]
    fn rules_keep_drop_and_rewrite() {
        check(
            &json!({"source_labels": ["app"], "regex": "vllm", "action": "keep"}),
            Some(""),
        );
        check(
            &json!({"source_labels": ["app"], "regex": "vll", "action": "keep"}),
            None,
        );
        check(
            &json!({"source_labels": ["app"], "regex": "v.*", "action": "drop"}),
            None,
        );
        let address = json!({
            "source_labels": ["ip"], "regex": "(.+)", "replacement": "$1:8000", "target_label": "address",
        });
        check(&address, Some("10.0.0.1:8000"));
        check(
            &json!({"regex": "(.*)", "replacement": "x", "target_label": "address"}),
            Some("x"),
        );
    }
}
