//! Values that only exist once something else does: AWS invents ids, endpoints and certificates.
//!
//! Such a value stands in a specification, and in a rendered chart, as a sentinel: `unknown(vpc/main#id)`. The plan
//! shows it as `(known after vpc/main)`; before a step runs, every sentinel in it is replaced.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::resource::id::ResourceId;

const OPEN: &str = "unknown(";
const CLOSE: char = ')';

/// What resources gave once they existed, such as the `id` of `vpc/main`.
pub type Outputs = BTreeMap<ResourceId, BTreeMap<String, String>>;

/// A value of another resource that is known once that one exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unknown {
    /// The resource that gives the value.
    pub resource: ResourceId,
    /// Which of its outputs.
    pub output: String,
}

impl Unknown {
    /// The sentinel for `output` of `resource`.
    pub fn sentinel(resource: &ResourceId, output: &str) -> String {
        format!("{OPEN}{resource}#{output}{CLOSE}")
    }

    /// Every unknown that `text` holds, with its place in bytes.
    fn find(text: &str) -> Vec<(std::ops::Range<usize>, Self)> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(start) = text[from..].find(OPEN).map(|at| at + from) {
            let inner = start + OPEN.len();
            let Some(end) = text[inner..].find(CLOSE).map(|at| at + inner) else {
                break;
            };
            if let Some((resource, output)) = text[inner..end].split_once('#') {
                let unknown = Self {
                    resource: ResourceId::from_text(resource),
                    output: output.to_owned(),
                };
                found.push((start..end + 1, unknown));
            }
            from = end + 1;
        }
        found
    }
}

/// The unknowns that a text holds.
pub fn in_text(text: &str) -> BTreeSet<Unknown> {
    Unknown::find(text).into_iter().map(|(_, unknown)| unknown).collect()
}

/// The unknowns that a specification holds, at any depth.
pub fn in_value(value: &Value) -> BTreeSet<Unknown> {
    match value {
        Value::String(text) => in_text(text),
        Value::Array(items) => items.iter().flat_map(in_value).collect(),
        Value::Object(fields) => fields.values().flat_map(in_value).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => BTreeSet::new(),
    }
}

/// The text with every unknown replaced whose value is known; the others stay.
pub fn resolve_text(text: &str, outputs: &Outputs) -> String {
    let mut resolved = text.to_owned();
    for (place, unknown) in Unknown::find(text).into_iter().rev() {
        if let Some(value) = outputs.get(&unknown.resource).and_then(|of| of.get(&unknown.output)) {
            resolved.replace_range(place, value);
        }
    }
    resolved
}

/// The specification with every unknown replaced whose value is known; the others stay.
pub fn resolve(value: &Value, outputs: &Outputs) -> Value {
    match value {
        Value::String(text) => Value::String(resolve_text(text, outputs)),
        Value::Array(items) => items.iter().map(|item| resolve(item, outputs)).collect(),
        Value::Object(fields) => {
            let resolved = |(name, value): (&String, &Value)| (name.clone(), resolve(value, outputs));
            Value::Object(fields.iter().map(resolved).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The text as people read it: `(known after vpc/main)`.
pub fn describe(text: &str) -> String {
    let mut described = text.to_owned();
    for (place, unknown) in Unknown::find(text).into_iter().rev() {
        described.replace_range(place, &format!("(known after {})", unknown.resource));
    }
    described
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs() -> Outputs {
        let vpc = BTreeMap::from([("id".to_owned(), "vpc-1".to_owned())]);
        Outputs::from([(ResourceId::new("vpc", "main"), vpc)])
    }

    #[test]
    fn a_known_value_takes_the_place_of_its_sentinel() {
        let id = Unknown::sentinel(&ResourceId::new("vpc", "main"), "id");
        let spec = json!({"vpc": id, "names": [format!("in {id}!"), "plain"]});
        assert_eq!(
            resolve(&spec, &outputs()),
            json!({"vpc": "vpc-1", "names": ["in vpc-1!", "plain"]})
        );
    }

    #[test]
    fn what_is_not_known_yet_stays_and_is_described() {
        let text = format!(
            "a {} b",
            Unknown::sentinel(&ResourceId::new("cluster", "main"), "endpoint")
        );
        assert_eq!(resolve_text(&text, &outputs()), text);
        assert_eq!(describe(&text), "a (known after cluster/main) b");
    }

    #[test]
    fn text_that_only_looks_like_a_sentinel_is_left_alone() {
        for text in ["unknown(", "unknown(x)", "f(unknown)", "unknown(vpc/main#id"] {
            assert_eq!(resolve_text(text, &outputs()), text);
            assert_eq!(in_text(text), BTreeSet::new(), "{text}");
        }
    }
}
