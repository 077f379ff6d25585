//! Custom objects against their schema: defaults, types, values and rules.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::resources::Resource;
use crate::kube::api::rules;
use crate::kube::api::rules::Verdict;
use crate::kube::api::status::Cause;
use crate::kube::api::status::Failure;

/// What stands in the causes when rules could not be looked at.
const RULES_NOT_CHECKED: &str = "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// Fills in the defaults of a schema, from the outside in.
pub(crate) fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                let nothing = match map.get(name) {
                    None => true,
                    Some(value) => value.is_null() && inner["nullable"] != true,
                };
                if nothing && let Some(default) = inner.get("default") {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    set_defaults(inner, value);
                }
            }
            let others = &schema["additionalProperties"];
            if others.is_object() {
                map.values_mut().for_each(|value| set_defaults(others, value));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| set_defaults(&schema["items"], item)),
        _ => {}
    }
}

/// Refuses a custom object that its schema does not allow.
pub(crate) fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
    let Some(own) = &resource.custom else {
        return Ok(());
    };
    let mut found = Found::default();
    let shown = without_metadata(object);
    check(&own.schema, &shown, "", &mut found);
    let mut causes = found.types;
    causes.append(&mut found.values);
    if causes.is_empty() {
        let before = old.map(without_metadata);
        check_rules(&own.schema, &shown, before.as_ref(), "", &mut causes);
    } else if has_rules(&own.schema) {
        causes.push(Cause::new("FieldValueInvalid", "<nil>", RULES_NOT_CHECKED));
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Failure::invalid(resource, name, &causes))
}

/// The schema says nothing about metadata that the server does not check elsewhere.
fn without_metadata(object: &Value) -> Value {
    let mut shown = object.clone();
    for field in ["apiVersion", "kind", "metadata"] {
        super::write::remove(&mut shown, field);
    }
    if let Some(name) = object["metadata"].get("name") {
        shown["metadata"] = json!({"name": name});
    }
    shown
}

/// What is wrong with an object: wrong types are told first.
#[derive(Default)]
struct Found {
    types: Vec<Cause>,
    values: Vec<Cause>,
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Found) {
    if value.is_null() && (schema["nullable"] == true || schema.is_null()) {
        return;
    }
    if !has_type(schema, value) {
        let wanted = schema["type"].as_str().unwrap_or("integer,string");
        let kind = json!(kind_of(value));
        let why = format!("{at} in body must be of type {wanted}: {kind}");
        let message = format!("Invalid value: {kind}: {why}");
        found.types.push(Cause::new("FieldValueTypeInvalid", at, message));
        return;
    }
    check_value(schema, value, at, found);
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match value {
        Value::Object(map) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap_or_default();
                if !map.contains_key(name) && !matches!((at, name), ("", "apiVersion" | "kind" | "metadata")) {
                    found.types.push(Cause::required(below(name), ""));
                }
            }
            for (name, inner) in map {
                let properties = schema["properties"].get(name);
                let others = Some(&schema["additionalProperties"]).filter(|others| others.is_object());
                if let Some(schema) = properties.or(others) {
                    check(schema, inner, &below(name), found);
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                check(&schema["items"], item, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_i64() || value.is_u64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_value(schema: &Value, value: &Value, at: &str, found: &mut Found) {
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let supported: Vec<String> = allowed
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        found.values.push(Cause::unsupported(at, value, &supported));
    }
    let mut wrong = |why: String| {
        found
            .values
            .push(Cause::invalid(at, value, &format!("{at} in body {why}")));
    };
    if let Some(number) = value.as_f64() {
        if let Some(least) = schema["minimum"].as_f64() {
            let exclusive = schema["exclusiveMinimum"] == true;
            if number < least || exclusive && number <= least {
                let word = if exclusive {
                    "greater than"
                } else {
                    "greater than or equal to"
                };
                wrong(format!("should be {word} {}", schema["minimum"]));
            }
        }
        if let Some(most) = schema["maximum"].as_f64() {
            let exclusive = schema["exclusiveMaximum"] == true;
            if number > most || exclusive && number >= most {
                let word = if exclusive {
                    "less than"
                } else {
                    "less than or equal to"
                };
                wrong(format!("should be {word} {}", schema["maximum"]));
            }
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            wrong(format!("should be at least {least} chars long"));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            wrong(format!("should match '{pattern}'"));
        }
        if let Some(format) = schema["format"].as_str()
            && !fits_format(format, text)
        {
            wrong(format!("must be of type {format}: \"{text}\""));
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            let message = format!("Too long: may not be more than {most} bytes");
            found.values.push(Cause::new("FieldValueTooLong", at, message));
        }
    }
    let size = value
        .as_array()
        .map(Vec::len)
        .or_else(|| value.as_object().map(serde_json::Map::len));
    for (least, most, word) in [
        ("minItems", "maxItems", "items"),
        ("minProperties", "maxProperties", "properties"),
    ] {
        let right = value.is_array() == (word == "items");
        let Some(size) = size.filter(|_| right) else { continue };
        if let Some(least) = schema[least].as_u64().filter(|least| (size as u64) < *least) {
            let why = format!("{at} in body should have at least {least} {word}");
            found.values.push(Cause::invalid(at, value, &why));
        }
        if let Some(most) = schema[most].as_u64().filter(|most| size as u64 > *most) {
            let message = format!("Too many: {size}: must have at most {most} items");
            found.values.push(Cause::new("FieldValueTooMany", at, message));
        }
    }
    check_keys(schema, value, at, found);
}

/// Items that are known by keys are there once.
fn check_keys(schema: &Value, value: &Value, at: &str, found: &mut Found) {
    let Some(list) = value.as_array() else { return };
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            keys.filter_map(Value::as_str).collect()
        }
        Some("set") => Vec::new(),
        _ => return,
    };
    let mut seen = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let known = if keys.is_empty() {
            item.clone()
        } else {
            keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect()
        };
        if seen.contains(&known) {
            let message = format!("Duplicate value: {known}");
            found
                .values
                .push(Cause::new("FieldValueDuplicate", format!("{at}[{index}]"), message));
        }
        seen.push(known);
    }
}

fn fits_format(format: &str, text: &str) -> bool {
    static DURATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w))+$|^0$").expect("a valid expression"));
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "duration" => DURATION.is_match(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(has_rules),
        Value::Array(list) => list.iter().any(has_rules),
        _ => false,
    }
}

fn check_rules(schema: &Value, value: &Value, old: Option<&Value>, at: &str, causes: &mut Vec<Cause>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap_or_default();
        if rules::holds(text, value, old) == Verdict::Broken {
            let message = rule["message"]
                .as_str()
                .map_or_else(|| format!("failed rule: {text}"), str::to_owned);
            let field = if at.is_empty() { "<nil>" } else { at };
            causes.push(Cause::new(
                "FieldValueInvalid",
                field,
                format!("Invalid value: {message}"),
            ));
        }
    }
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let properties = schema["properties"].get(name);
                let others = Some(&schema["additionalProperties"]).filter(|others| others.is_object());
                if let Some(schema) = properties.or(others) {
                    let old = old.and_then(|old| old.get(name));
                    check_rules(schema, inner, old, &below(name), causes);
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                check_rules(&schema["items"], item, None, &format!("{at}[{index}]"), causes);
            }
        }
        _ => {}
    }
}

/// The rules of a schema that this server cannot read.
pub(crate) fn unreadable_rules(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_unreadable(schema, &mut found);
    found
}

fn collect_unreadable(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
            let texts = rules.filter_map(|rule| rule["rule"].as_str());
            found.extend(texts.filter(|text| !rules::can_read(text)).map(str::to_owned));
            map.values().for_each(|inner| collect_unreadable(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_unreadable(inner, found)),
        _ => {}
    }
}
