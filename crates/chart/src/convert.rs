//! Between the values of templates and YAML trees.

use std::collections::BTreeMap;
use std::rc::Rc;

use tubectl_yaml::Value as Yaml;

use crate::value::Entries;
use crate::value::Map;
use crate::value::Value;

/// Values nested deeper than this are taken for endless: a map can be put into itself.
const DEPTH: usize = 500;

/// What YAML becomes in Go after its detour through JSON: every number is a float.
pub(crate) fn from_yaml(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Nil,
        Yaml::Bool(truth) => Value::Bool(*truth),
        #[expect(clippy::cast_precision_loss, reason = "Go decodes every JSON number as a float64")]
        Yaml::Int(number) => Value::Float(*number as f64),
        #[expect(clippy::cast_precision_loss, reason = "Go decodes every JSON number as a float64")]
        Yaml::Uint(number) => Value::Float(*number as f64),
        Yaml::Float(number) => Value::Float(*number),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::List(items) => Value::list(items.iter().map(from_yaml).collect()),
        Yaml::Map(entries) => Value::Map(map_from_yaml(entries)),
    }
}

pub(crate) fn map_from_yaml(entries: &BTreeMap<String, Yaml>) -> Map {
    Map::new(
        entries
            .iter()
            .map(|(key, value)| (Rc::from(key.as_str()), from_yaml(value)))
            .collect(),
    )
}

/// Values given by the user: whole numbers of `--set` stay integers.
pub(crate) fn from_user(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Int(number) => Value::Int64(*number),
        Yaml::List(items) => Value::list(items.iter().map(from_user).collect()),
        Yaml::Map(entries) => {
            let entries: Entries = entries
                .iter()
                .map(|(key, value)| (Rc::from(key.as_str()), from_user(value)))
                .collect();
            Value::map(entries)
        }
        _ => from_yaml(yaml),
    }
}

/// What a value is as YAML.
///
/// # Errors
/// If the value contains itself, or a number that JSON does not know.
pub(crate) fn to_yaml(value: &Value) -> Result<Yaml, String> {
    plain(value, 0)
}

fn plain(value: &Value, depth: usize) -> Result<Yaml, String> {
    if depth > DEPTH {
        return Err("json: unsupported value: encountered a cycle".to_owned());
    }
    Ok(match value {
        Value::Absent | Value::Nil => Yaml::Null,
        Value::Bool(truth) => Yaml::Bool(*truth),
        Value::Int(number) | Value::Int64(number) => Yaml::Int(*number),
        Value::Float(number) if !number.is_finite() => {
            return Err(format!(
                "json: unsupported value: {}",
                tubectl_yaml::format_float(*number)
            ));
        }
        Value::Float(number) => Yaml::Float(*number),
        Value::String(text) => Yaml::String(text.to_string()),
        Value::Raw(raw) => Yaml::String(raw.shown.clone()),
        Value::Bytes(bytes) => Yaml::String(crate::funcs::base64(bytes)),
        Value::List(list) => Yaml::List(
            list.items
                .iter()
                .map(|item| plain(item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        Value::Map(map) => map.read(|entries| {
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((key.to_string(), plain(value, depth + 1)?)));
            Ok::<_, String>(Yaml::Map(entries.collect::<Result<_, String>>()?))
        })?,
        Value::Object(object) => plain(&object.plain(), depth + 1)?,
    })
}

/// A copy that shares nothing with the original.
pub(crate) fn deep_copy(value: &Value) -> Value {
    copy(value, 0)
}

fn copy(value: &Value, depth: usize) -> Value {
    if depth > DEPTH {
        return Value::Nil;
    }
    match value {
        Value::List(list) => {
            let items = list.items.iter().map(|item| copy(item, depth + 1)).collect();
            Value::List(crate::value::List {
                element: list.element,
                items: Rc::new(items),
            })
        }
        Value::Map(map) => Value::Map(Map::of(
            map.sort(),
            map.read(|entries| {
                entries
                    .iter()
                    .map(|(key, value)| (Rc::clone(key), copy(value, depth + 1)))
                    .collect()
            }),
        )),
        _ => value.clone(),
    }
}
