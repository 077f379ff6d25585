//! A body, read: the object in it, as its resource's shape has it.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;

use crate::kube::api::call::Call;
use crate::kube::api::call::FieldValidation;
use crate::kube::api::resources::Resource;
use crate::kube::api::shape::Presence;
use crate::kube::api::shape::Shape;
use crate::kube::api::shape::Structure;
use crate::kube::api::status::Failure;

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The object in a call's body, before its fields are looked at.
pub(crate) fn body(call: &Call<'_>) -> Result<Value, Failure> {
    let bytes = call.request.body();
    let parsed = match call.content_type() {
        "" | "application/json" => parse_json(&call.resource.kind, bytes)?,
        "application/yaml" => parse_yaml(bytes)?,
        _ => return Err(Failure::unsupported_media_type(ACCEPTED)),
    };
    check_kind(call, &parsed)?;
    Ok(parsed)
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn parse_yaml(bytes: &[u8]) -> Result<Value, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::bad_request(format!("error decoding YAML: {error}"));
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
    let value = tubectl_yaml::parse(text).map_err(|error| wrong(&error))?;
    Ok(value.into())
}

fn parse_json(kind: &str, bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        let found = text.chars().nth(error.column().saturating_sub(1)).unwrap_or(' ');
        let why = match error.classify() {
            serde_json::error::Category::Eof => "unexpected end of JSON input".to_owned(),
            _ if text.starts_with('{') && error.column() == 2 => {
                format!("invalid character '{found}' looking for beginning of object key string")
            }
            _ => format!("invalid character '{found}' looking for beginning of value"),
        };
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({text})"
        ))
    })
}

/// Refuses what is not an object of the kind that the path serves.
pub(crate) fn check_kind(call: &Call<'_>, object: &Value) -> Result<(), Failure> {
    let resource = &call.resource;
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if !object.is_object() || kind.is_empty() || version.is_empty() {
        let missing = if kind.is_empty() { "Kind" } else { "apiVersion" };
        return Err(Failure::bad_request(format!(
            "Object '{missing}' is missing in '{object}'"
        )));
    }
    let metadata = &object["metadata"];
    if !metadata.is_object() && !metadata.is_null() {
        return Err(cannot_handle(
            resource,
            version,
            "json: cannot unmarshal into Go struct field .metadata",
        ));
    }
    if version == resource.api_version() && kind == resource.kind {
        return Ok(());
    }
    if resource.custom.is_some() {
        return Err(Failure::bad_request(format!(
            "{} in version \"{version}\" cannot be handled as a {}: strict decoding error: does not match the expected {}",
            kind,
            resource.kind,
            resource.api_version()
        )));
    }
    let inner = if resource.group.is_empty() {
        "core"
    } else {
        resource.group.split('.').next().unwrap_or_default()
    };
    let group_version = version.replace('/', ".");
    let short = version.rsplit('/').next().unwrap_or(version);
    if version == resource.api_version() {
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{group_version}\" cannot be handled as a {}: converting ({short}.{kind}) to ({inner}.{}): unknown conversion",
            resource.kind, resource.kind
        )));
    }
    Err(Failure::bad_request(format!(
        "the API version in the data ({version}) does not match the expected API version ({})",
        resource.api_version()
    )))
}

fn cannot_handle(resource: &Resource, version: &str, why: &str) -> Failure {
    Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: {why}",
        resource.kind,
        version.rsplit('/').next().unwrap_or(version),
        resource.kind
    ))
}

/// Gives an object the fields that its shape has, and takes the others away, as the call wants it.
pub(crate) fn fit(call: &Call<'_>, object: Value) -> Result<Value, Failure> {
    let resource = &call.resource;
    let validation = call.field_validation()?;
    let mut unknown = BTreeSet::new();
    let fitted = if resource.custom.is_some() {
        let mut object = pruned(object, &resource.shape, "", &mut unknown);
        let at = Place {
            structure: "ObjectMeta",
            path: "metadata".to_owned(),
        };
        let metadata = object["metadata"].take();
        let shape = resource.shape.field("metadata").unwrap_or(&Shape::Anything);
        let read = typed(metadata, shape, &at, &mut unknown);
        object["metadata"] = read.map_err(|why| cannot_handle(resource, &resource.version, &why))?;
        object
    } else {
        let at = Place {
            structure: "",
            path: String::new(),
        };
        let read = typed(object, &resource.shape, &at, &mut unknown);
        read.map_err(|why| cannot_handle(resource, &resource.version, &why))?
    };
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => {
            for field in &unknown {
                call.warn(format!("unknown field \"{field}\""));
            }
        }
        FieldValidation::Strict if unknown.is_empty() => {}
        FieldValidation::Strict => {
            let errors: Vec<String> = unknown
                .iter()
                .map(|field| format!("unknown field \"{field}\""))
                .collect();
            let why = format!("strict decoding error: {}", errors.join(", "));
            return Err(cannot_handle(resource, &resource.version, &why));
        }
    }
    Ok(fitted)
}

/// Where in an object something stands, as messages about types name it.
struct Place<'a> {
    structure: &'a str,
    path: String,
}

impl Place<'_> {
    fn below(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn mismatch(&self, value: &Value, wanted: &str) -> String {
        let found = match value {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Null => "null",
        };
        format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
            self.structure, self.path
        )
    }
}

/// A value as a Go structure would hold it: unknown fields and nulls left out, what is always written put in.
fn typed(value: Value, shape: &Shape, at: &Place<'_>, unknown: &mut BTreeSet<String>) -> Result<Value, String> {
    match (shape, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Shape::Fields(structure), Value::Object(map)) => typed_fields(map, structure, at, unknown).map(Value::Object),
        (Shape::Fields(structure), other) => Err(at.mismatch(&other, &structure.name)),
        (Shape::List { items, .. }, Value::Array(list)) => {
            let mut read = Vec::with_capacity(list.len());
            for (index, item) in list.into_iter().enumerate() {
                let inside = Place {
                    structure: at.structure,
                    path: format!("{}[{index}]", at.path),
                };
                read.push(typed(item, items, &inside, unknown)?);
            }
            Ok(Value::Array(read))
        }
        (Shape::List { .. }, other) => Err(at.mismatch(&other, "[]")),
        (Shape::Map { values, .. }, Value::Object(map)) => {
            let mut read = Map::new();
            for (key, value) in map {
                let inside = Place {
                    structure: at.structure,
                    path: at.below(&key),
                };
                read.insert(key, typed(value, values, &inside, unknown)?);
            }
            Ok(Value::Object(read))
        }
        (Shape::Map { .. }, other) => Err(at.mismatch(&other, "map[string]")),
        (Shape::Text, other) if !other.is_string() => Err(at.mismatch(&other, "string")),
        (Shape::Number, other) if !other.is_number() => Err(at.mismatch(&other, "int32")),
        (Shape::Truth, other) if !other.is_boolean() => Err(at.mismatch(&other, "bool")),
        (_, other) => Ok(other),
    }
}

fn typed_fields(
    map: Map<String, Value>,
    structure: &Structure,
    at: &Place<'_>,
    unknown: &mut BTreeSet<String>,
) -> Result<Map<String, Value>, String> {
    let mut read = Map::new();
    for (name, value) in map {
        let Some(field) = structure.fields.get(&name) else {
            unknown.insert(at.below(&name));
            continue;
        };
        if value.is_null() && field.presence == Presence::Optional {
            continue;
        }
        let inside = Place {
            structure: &structure.name,
            path: at.below(&name),
        };
        let value = if value.is_null() {
            field.shape.empty(field.presence)
        } else {
            value
        };
        let value = typed(value, &field.shape, &inside, unknown)?;
        if field.presence == Presence::Optional && is_left_out(&field.shape, &value) {
            continue;
        }
        read.insert(name, value);
    }
    write_always(&mut read, structure);
    Ok(read)
}

/// Whether a Go structure is written without such a value: an empty list or map.
fn is_left_out(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::List { .. }, Value::Array(list)) => list.is_empty(),
        (Shape::Map { .. }, Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// Puts in what is written even when nobody gave it.
fn write_always(map: &mut Map<String, Value>, structure: &Structure) {
    for (name, field) in structure.always() {
        // The metadata of a template is left out when it is empty.
        if name == "metadata" {
            continue;
        }
        let value = map
            .entry(name.clone())
            .or_insert_with(|| field.shape.empty(field.presence));
        if let (Shape::Fields(inner), Value::Object(map)) = (&*field.shape, value) {
            write_always(map, inner);
        }
    }
}

/// A custom object without the fields that its schema does not have.
pub(crate) fn pruned(value: Value, shape: &Shape, at: &str, unknown: &mut BTreeSet<String>) -> Value {
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match (shape, value) {
        (Shape::Fields(_) | Shape::Map { .. }, Value::Object(map)) => {
            let mut kept = Map::new();
            for (name, value) in map {
                match shape.field(&name) {
                    Some(inner) => {
                        let value = pruned(value, inner, &below(&name), unknown);
                        kept.insert(name, value);
                    }
                    None => {
                        unknown.insert(below(&name));
                    }
                }
            }
            Value::Object(kept)
        }
        (Shape::List { items, .. }, Value::Array(list)) => {
            let items = list
                .into_iter()
                .enumerate()
                .map(|(index, item)| pruned(item, items, &format!("{at}[{index}]"), unknown));
            Value::Array(items.collect())
        }
        (_, other) => other,
    }
}
