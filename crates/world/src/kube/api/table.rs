//! The cells that `kubectl get` prints.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::age::age;
use crate::kube::api::cells;
use crate::kube::api::path;
use crate::kube::api::resources::Resource;
use crate::kube::api::view::Included;
use crate::kube::api::view::MetadataOnly;

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

static COLUMNS: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let lines = include_str!("data/columns.txt").lines();
    lines.filter_map(|line| line.split_once('|')).collect()
});

static DESCRIPTIONS: LazyLock<BTreeMap<(&'static str, &'static str), &'static str>> = LazyLock::new(|| {
    let lines = include_str!("data/descriptions.txt").lines();
    lines
        .filter_map(|line| {
            let (plural, rest) = line.split_once('|')?;
            let (column, text) = rest.split_once('|')?;
            Some(((plural, column), text))
        })
        .collect()
});

/// A table of these objects.
pub(crate) fn of<'a>(
    resource: &Resource,
    objects: impl Iterator<Item = &'a Value>,
    metadata: &Value,
    included: Included,
    now: Timestamp,
) -> Value {
    let columns = columns(resource);
    let rows: Vec<Value> = objects
        .map(|object| {
            let cells: Vec<Value> = columns
                .iter()
                .map(|column| cell(resource, object, column, now))
                .collect();
            let mut row = json!({"cells": cells});
            match included {
                Included::Nothing => {}
                Included::Metadata => row["object"] = json!(MetadataOnly::of(object)),
                Included::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    let definitions: Vec<Value> = columns.into_iter().map(|column| column.definition).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

struct Column {
    name: String,
    /// Where a custom column finds its value.
    path: Option<String>,
    definition: Value,
}

fn columns(resource: &Resource) -> Vec<Column> {
    if let Some(custom) = &resource.custom {
        let own = custom.columns.iter().map(custom_column);
        let age = || column(resource, "Age,date,,0");
        let mut found = vec![column(resource, "Name,string,name,0")];
        found.extend(own);
        if custom.columns.is_empty() {
            found.push(age());
        }
        return found;
    }
    let prefix = if resource.group.is_empty() { "/api/" } else { "/apis/" };
    let path = format!("{prefix}{}/{}", resource.api_version(), resource.plural);
    let text = COLUMNS
        .get(path.as_str())
        .copied()
        .unwrap_or("Name,string,name,0|Age,string,,0");
    text.split('|').map(|text| column(resource, text)).collect()
}

fn column(resource: &Resource, text: &str) -> Column {
    let mut parts = text.split(',');
    let mut part = || parts.next().unwrap_or_default();
    let (name, kind, format, priority) = (part(), part(), part(), part());
    let description = match name {
        "Name" => NAME,
        "Age" => AGE,
        _ => DESCRIPTIONS
            .get(&(resource.plural.as_str(), name))
            .copied()
            .unwrap_or_default(),
    };
    Column {
        name: name.to_owned(),
        path: None,
        definition: json!({
            "name": name,
            "type": kind,
            "format": format,
            "description": description,
            "priority": priority.parse().unwrap_or(0),
        }),
    }
}

fn custom_column(given: &Value) -> Column {
    let text = |name: &str| given[name].as_str().unwrap_or_default();
    let path = text("jsonPath");
    let description = match text("description") {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        own => own.to_owned(),
    };
    Column {
        name: text("name").to_owned(),
        path: Some(path.to_owned()),
        definition: json!({
            "name": text("name"),
            "type": text("type"),
            "format": text("format"),
            "description": description,
            "priority": given["priority"].as_i64().unwrap_or(0),
        }),
    }
}

fn cell(resource: &Resource, object: &Value, column: &Column, now: Timestamp) -> Value {
    if let Some(path) = &column.path {
        return custom_cell(object, path, &column.definition["type"], now);
    }
    match column.name.as_str() {
        "Name" => object["metadata"]["name"].clone(),
        "Age" | "Created At" if resource.custom.is_none() && column.name == "Age" => {
            json!(age(&object["metadata"]["creationTimestamp"], now))
        }
        "Age" => json!(age(&object["metadata"]["creationTimestamp"], now)),
        "Created At" => object["metadata"]["creationTimestamp"].clone(),
        name => cells::built_in(resource, object, name, now),
    }
}

fn custom_cell(object: &Value, path: &str, kind: &Value, now: Timestamp) -> Value {
    let Some(found) = path::first(object, path) else {
        return Value::Null;
    };
    match kind.as_str() {
        Some("date") => json!(age(found, now)),
        Some("string") if !found.is_string() => json!(found.to_string()),
        _ => found.clone(),
    }
}
