//! What the kinds look like, in `OpenAPI` 3: enough for `kubectl explain`, and for `kubectl apply` to learn that the
//! server validates fields itself. It describes no operation's answer.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::kube::api::resources::Customs;
use crate::kube::api::resources::Resource;
use crate::kube::api::resources::Scope;
use crate::kube::api::shape::Shape;

/// Where the documents of the groups are.
pub(crate) fn paths(customs: &Customs) -> Value {
    let mut paths = BTreeMap::new();
    for resource in customs.every() {
        let path = place(&resource.group, &resource.version);
        let url = format!("/openapi/v3{path}?hash=0");
        paths.insert(
            path.trim_start_matches('/').to_owned(),
            json!({"serverRelativeURL": url}),
        );
    }
    json!({"paths": paths})
}

/// The document of one group in one version.
pub(crate) fn document(customs: &Customs, group: &str, version: &str) -> Value {
    let mut paths = BTreeMap::new();
    let mut schemas = BTreeMap::new();
    let all = customs.every();
    for resource in all.filter(|resource| resource.group == group && resource.version == version) {
        let namespace = match resource.scope {
            Scope::Namespaced => "/namespaces/{namespace}",
            Scope::Cluster => "",
        };
        let collection = format!("{}{namespace}/{}", place(group, version), resource.plural);
        let one = json!({"get": operation(resource, "get"), "patch": operation(resource, "patch"),
            "put": operation(resource, "put")});
        paths.insert(format!("{collection}/{{name}}"), one);
        let many = json!({"get": operation(resource, "list"), "post": operation(resource, "post")});
        paths.insert(collection, many);
        let name = format!("{}.{}", resource.api_version().replace('/', "."), resource.kind);
        schemas.insert(name, schema(resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "local"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

fn identity(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn operation(resource: &Resource, action: &str) -> Value {
    json!({
        "operationId": format!("{action}{}", resource.kind),
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "responses": {},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": identity(resource),
    })
}

/// A resource's schema: a custom one's own, with the fields that every object has.
fn schema(resource: &Resource) -> Value {
    let mut schema = of_shape(&resource.shape);
    if let Some(custom) = &resource.custom {
        let common = schema["properties"].take();
        schema = custom.schema.clone();
        for field in ["apiVersion", "kind", "metadata"] {
            schema["properties"][field] = common[field].clone();
        }
    }
    schema["x-kubernetes-group-version-kind"] = json!([identity(resource)]);
    schema
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Number => json!({"type": "integer"}),
        Shape::Truth => json!({"type": "boolean"}),
        Shape::Anything => json!({}),
        Shape::List { items, .. } => json!({"type": "array", "items": of_shape(items)}),
        Shape::Map { values, .. } => json!({"type": "object", "additionalProperties": of_shape(values)}),
        Shape::Fields(structure) => {
            let fields = structure.fields.iter();
            let properties: BTreeMap<&String, Value> =
                fields.map(|(name, field)| (name, of_shape(&field.shape))).collect();
            json!({"type": "object", "properties": properties})
        }
    }
}
