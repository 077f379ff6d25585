//! Which objects a list or a watch is about: label selectors and field selectors.

use serde_json::Value;

use crate::kube::api::resources::Resource;
use crate::kube::api::resources::Scope;
use crate::kube::api::status::Failure;

/// What a list or a watch selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Above(String, i64),
    Below(String, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl Selection {
    /// Reads both selectors as they stand in a query.
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self {
            labels: parse_labels(labels).map_err(Failure::bad_request)?,
            fields: parse_fields(resource, fields)?,
        })
    }

    /// Reads a selector of labels alone.
    pub(crate) fn by_labels(labels: &str) -> Result<Self, Failure> {
        Ok(Self {
            labels: parse_labels(labels).map_err(Failure::bad_request)?,
            fields: Vec::new(),
        })
    }

    /// Whether everything is selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is selected.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.holds(labels))
            && self.fields.iter().all(|field| field.holds(object))
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => label(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(key, values) => !label(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
            Self::Above(key, bound) => number(label(key)).is_some_and(|number| number > *bound),
            Self::Below(key, bound) => number(label(key)).is_some_and(|number| number < *bound),
        }
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}

impl FieldRequirement {
    fn holds(&self, object: &Value) -> bool {
        let found = self.path.split('.').fold(object, |value, name| &value[name]);
        let equal = match found {
            Value::String(text) => *text == self.value,
            Value::Null => self.value.is_empty() || self.value == "false",
            other => *other == self.value,
        };
        equal == self.equal
    }
}

/// Whether a `LabelSelector` of an object selects these labels; an empty one selects everything.
pub(crate) fn selector_matches(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    equal
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().flatten().all(|expression| {
            let label = labels.get(expression["key"].as_str().unwrap_or_default());
            let listed = || {
                let values = expression["values"].as_array().into_iter().flatten();
                values.into_iter().any(|value| Some(value) == label)
            };
            match expression["operator"].as_str() {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => label.is_some(),
                Some("DoesNotExist") => label.is_none(),
                _ => false,
            }
        })
}

/// A `LabelSelector` as text, as scale and tables show it.
pub(crate) fn selector_text(selector: &Value) -> String {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> = equal
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<FieldRequirement>, Failure> {
    let mut found = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = part.split_once("==") {
            (path, value, true)
        } else if let Some((path, value)) = part.split_once('=') {
            (path, value, true)
        } else {
            let message = format!("invalid selector: '{text}'; can't understand '{part}'");
            return Err(Failure::bad_request(message));
        };
        known(resource, path)?;
        found.push(FieldRequirement {
            path: path.to_owned(),
            value: value.to_owned(),
            equal,
        });
    }
    Ok(found)
}

/// The fields that can be selected, beyond name and namespace.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "events") | ("events.k8s.io", _) => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("batch", "jobs") => &["status.successful"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        _ => &[],
    }
}

fn known(resource: &Resource, path: &str) -> Result<(), Failure> {
    let namespaced = resource.scope == Scope::Namespaced;
    if path == "metadata.name" || path == "metadata.namespace" || selectable(resource).contains(&path) {
        return Ok(());
    }
    let message = match (&resource.custom, namespaced) {
        (None, true) => {
            format!("\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        _ => format!("field label not supported: {path}"),
    };
    Err(Failure::bad_request(message))
}

/// Reads a label selector: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let mut found = Vec::new();
    if reader.peek().is_empty() {
        return Ok(found);
    }
    loop {
        found.push(reader.requirement()?);
        match reader.take() {
            "," if !reader.peek().is_empty() => {}
            "" | "," => return Ok(found),
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let operators = ["==", "!=", "=", "!", ",", "(", ")", "<", ">"];
        let length = match operators.iter().find(|operator| rest.starts_with(*operator)) {
            Some(operator) => operator.len(),
            None => rest
                .find(|c: char| c.is_whitespace() || "=!,()<>".contains(c))
                .unwrap_or(rest.len()),
        };
        found.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    found
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn take(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn word(&mut self, expected: &str) -> Result<String, String> {
        let token = self.take();
        if token.is_empty() || "=!==!=,()<>".contains(token) {
            return Err(format!("found '{token}', expected: {expected}"));
        }
        Ok(token.to_owned())
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if self.peek() == "!" {
            self.take();
            return self.word("identifier").map(Requirement::Absent);
        }
        let key = self.word("!, identifier, or 'end of string'")?;
        match self.peek() {
            "" | "," => Ok(Requirement::Exists(key)),
            "=" | "==" => {
                self.take();
                Ok(Requirement::In(key, vec![self.value()?]))
            }
            "!=" => {
                self.take();
                Ok(Requirement::NotIn(key, vec![self.value()?]))
            }
            "in" => {
                self.take();
                Ok(Requirement::In(key, self.values()?))
            }
            "notin" => {
                self.take();
                Ok(Requirement::NotIn(key, self.values()?))
            }
            ">" => {
                self.take();
                Ok(Requirement::Above(key, self.bound()?))
            }
            "<" => {
                self.take();
                Ok(Requirement::Below(key, self.bound()?))
            }
            other => Err(format!(
                "found '{other}', expected: in, notin, =, ==, !=, gt, lt, or 'end of string'"
            )),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            "" | "," => Ok(String::new()),
            _ => self.word("identifier"),
        }
    }

    fn bound(&mut self) -> Result<i64, String> {
        let word = self.word("identifier")?;
        word.parse()
            .map_err(|_| format!("for 'Gt', 'Lt' operators, the value must be an integer: {word}"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != "(" {
            return Err(format!("found '{open}', expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.take() {
                ")" => return Ok(values),
                "," => {}
                other => return Err(format!("found '{other}', expected: ',' or ')'")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(selector: &str, labels: &Value, expected: bool) {
        let selection = Selection {
            labels: parse_labels(selector).unwrap(),
            fields: Vec::new(),
        };
        let object = json!({"metadata": {"labels": labels}});
        assert_eq!(selection.matches(&object), expected, "{selector} on {object}");
    }

    #[test]
    fn label_selectors_select_by_value_set_and_presence() {
        check("a=b", &json!({"a": "b"}), true);
        check("a==b,c", &json!({"a": "b"}), false);
        check("a!=b", &json!({}), true);
        check("a in (x, y),!gone", &json!({"a": "y"}), true);
        check("a notin (x)", &json!({"a": "x"}), false);
        check("n>3", &json!({"n": "4"}), true);
        check("", &json!({}), true);
    }

    #[test]
    fn a_selector_that_cannot_be_read_says_where() {
        assert_eq!(
            parse_labels("==").unwrap_err(),
            "found '==', expected: !, identifier, or 'end of string'"
        );
    }
}
