//! How IAM documents are put together: trust, statements, conditions.

use serde_json::Value;
use serde_json::json;

/// A policy document of these statements.
pub(crate) fn document(statements: Vec<Value>) -> Value {
    object([
        ("Version", Value::from("2012-10-17")),
        ("Statement", Value::Array(statements)),
    ])
}

/// A statement that allows actions on resources, under conditions where there are any.
pub(crate) fn allow(sid: &str, actions: &[&str], resources: Value, conditions: Option<Value>) -> Value {
    let parts = [
        ("Sid", Value::from(sid)),
        ("Effect", Value::from("Allow")),
        ("Action", json!(actions)),
        ("Resource", resources),
    ];
    object(
        parts
            .into_iter()
            .chain(conditions.map(|conditions| ("Condition", conditions))),
    )
}

/// The document that lets an AWS service take a role on.
pub(crate) fn trust_service(service: &str) -> Value {
    let principal = json!({"Service": service});
    document(vec![
        json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}),
    ])
}

/// The document that lets pods take a role on, through EKS's pod identities.
pub(crate) fn trust_pods() -> Value {
    let principal = json!({"Service": "pods.eks.amazonaws.com"});
    let actions = ["sts:AssumeRole", "sts:TagSession"];
    document(vec![
        json!({"Effect": "Allow", "Principal": principal, "Action": actions}),
    ])
}

fn object<'a>(parts: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
}
