//! Sets of fields, and what they are: who owns what, what differs between two objects.
//!
//! The form is that of `fieldsV1`: `f:name` is a field, `k:{..}` an item of a list by its keys, `v:..` an item of a
//! set. The rules are those of structured merge: a structure's node belongs to nobody until somebody added it, an item
//! of a list belongs to whoever lists it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::shape::Field;
use crate::kube::api::shape::Merge;
use crate::kube::api::shape::Shape;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, Node>);

/// One step: whether it is in the set itself, and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: Fields,
}

/// What differs between two objects.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) added: Fields,
    pub(crate) modified: Fields,
    pub(crate) removed: Fields,
}

impl Fields {
    /// Whether nothing is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.values().all(|node| !node.member && node.below.is_empty())
    }

    /// Whether the step itself is in the set.
    pub(crate) fn has(&self, step: &str) -> bool {
        self.0.get(step).is_some_and(|node| node.member)
    }

    /// What is below a step.
    pub(crate) fn below(&self, step: &str) -> Option<&Fields> {
        self.0
            .get(step)
            .map(|node| &node.below)
            .filter(|below| !below.is_empty())
    }

    /// Puts a path in.
    pub(crate) fn insert(&mut self, path: &[String]) {
        let Some((last, steps)) = path.split_last() else {
            return;
        };
        let mut at = self;
        for step in steps {
            at = &mut at.0.entry(step.clone()).or_default().below;
        }
        at.0.entry(last.clone()).or_default().member = true;
    }

    /// Takes out what is at these paths and all below it.
    pub(crate) fn take_out(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [last] => {
                self.0.remove(*last);
            }
            [step, rest @ ..] => {
                if let Some(node) = self.0.get_mut(*step) {
                    node.below.take_out(rest);
                }
            }
        }
    }

    /// Takes out one step itself, and leaves what is below it.
    pub(crate) fn take_step(&mut self, step: &str) {
        if let Some(node) = self.0.get_mut(step) {
            node.member = false;
        }
    }

    /// What is in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (step, node) in &other.0 {
            let entry = all.0.entry(step.clone()).or_default();
            entry.member |= node.member;
            entry.below = entry.below.union(&node.below);
        }
        all
    }

    /// What is in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let both = self.0.iter().filter_map(|(step, node)| {
            let theirs = other.0.get(step)?;
            let node = Node {
                member: node.member && theirs.member,
                below: node.below.intersection(&theirs.below),
            };
            Some((step.clone(), node))
        });
        Self(both.collect()).trimmed()
    }

    /// What is in this set and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let rest = self.0.iter().map(|(step, node)| {
            let node = match other.0.get(step) {
                None => node.clone(),
                Some(theirs) => Node {
                    member: node.member && !theirs.member,
                    below: node.below.difference(&theirs.below),
                },
            };
            (step.clone(), node)
        });
        Self(rest.collect()).trimmed()
    }

    fn trimmed(mut self) -> Self {
        self.0.retain(|_, node| node.member || !node.below.is_empty());
        self
    }

    /// The set with every structure's field on the way to a member.
    pub(crate) fn with_named(&self, shape: &Shape) -> Self {
        let all = self.0.iter().map(|(step, node)| {
            let name = step.strip_prefix("f:");
            let named = name.is_some_and(|name| shape.names(name)) && !node.below.is_empty();
            let below = match below_shape(shape, step) {
                Some(inner) => node.below.with_named(inner),
                None => node.below.clone(),
            };
            let node = Node {
                member: node.member || named,
                below,
            };
            (step.clone(), node)
        });
        Self(all.collect())
    }

    /// The paths in the set, as messages show them, such as `.spec.containers[name="c"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, at: &str, paths: &mut Vec<String>) {
        for (step, node) in &self.0 {
            let path = format!("{at}{}", step_text(step));
            if node.member {
                paths.push(path.clone());
            }
            node.below.collect_paths(&path, paths);
        }
    }

    /// The set as `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (step, node) in &self.0 {
            if !node.member && node.below.is_empty() {
                continue;
            }
            let mut below = node.below.to_json();
            if node.member && !node.below.is_empty() {
                below["."] = json!({});
            }
            map.insert(step.clone(), below);
        }
        Value::Object(map)
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let map = value.as_object().into_iter().flatten();
        let nodes = map.filter(|(step, _)| *step != ".").map(|(step, inner)| {
            let empty = inner.as_object().is_none_or(Map::is_empty);
            let node = Node {
                member: empty || inner.get(".").is_some(),
                below: Self::from_json(inner),
            };
            (step.clone(), node)
        });
        Self(nodes.collect())
    }
}

/// The shape below a step.
fn below_shape<'a>(shape: &'a Shape, step: &str) -> Option<&'a Shape> {
    match (step.strip_prefix("f:"), shape) {
        (Some(name), shape) => shape.field(name),
        (None, Shape::List { items, .. }) => Some(items),
        (None, _) => None,
    }
}

fn step_text(step: &str) -> String {
    let parsed = || serde_json::from_str::<Value>(&step[2..]).unwrap_or_default();
    match &step[..2.min(step.len())] {
        "f:" => format!(".{}", &step[2..]),
        "k:" => {
            let keys = parsed();
            let keys = keys.as_object().into_iter().flatten();
            let keys: Vec<String> = keys.map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[={}]", parsed()),
    }
}

/// How an item of a list is known within it; none if it lacks its keys.
pub(crate) fn item_step(shape: &Shape, item: &Value) -> Option<String> {
    let Shape::List { items, merge } = shape else {
        return None;
    };
    match merge {
        Merge::Whole => None,
        Merge::Set => Some(format!("v:{item}")),
        Merge::By(keys) => {
            let mut known = BTreeMap::new();
            for key in keys {
                let given = item.get(key).filter(|value| !value.is_null());
                let value = given.cloned().or_else(|| default_of(items, key));
                if let Some(value) = value {
                    known.insert(key, value);
                }
            }
            let text = serde_json::to_string(&known).expect("keys are text");
            (!known.is_empty()).then(|| format!("k:{text}"))
        }
    }
}

fn default_of(items: &Shape, key: &str) -> Option<Value> {
    match items {
        Shape::Fields(structure) => structure.fields.get(key)?.default.clone(),
        _ => None,
    }
}

/// Whether the value is one field, whatever is in it.
fn is_leaf(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Text | Shape::Number | Shape::Truth => true,
        Shape::Anything => !value.is_object(),
        Shape::List { merge, .. } => *merge == Merge::Whole,
        Shape::Map { whole, .. } => *whole,
        Shape::Fields(structure) => structure.whole,
    }
}

/// Every field that an applied object sets.
pub(crate) fn of(object: &Value, shape: &Shape) -> Fields {
    let mut found = Fields::default();
    collect(object, shape, &mut Vec::new(), &mut found);
    found
}

fn collect(value: &Value, shape: &Shape, path: &mut Vec<String>, found: &mut Fields) {
    if is_leaf(shape, value) {
        found.insert(path);
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let Some(below) = shape.field(name) else { continue };
                path.push(format!("f:{name}"));
                collect(inner, below, path, found);
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                if empty || !shape.names(name) {
                    found.insert(path);
                }
                path.pop();
            }
        }
        Value::Array(list) => {
            let Shape::List { items, .. } = shape else { return };
            for item in list {
                let Some(step) = item_step(shape, item) else { continue };
                path.push(step);
                collect(item, items, path, found);
                found.insert(path);
                path.pop();
            }
        }
        _ => {}
    }
}

/// What differs between an object as it was and as it is.
pub(crate) fn compare(before: &Value, after: &Value, shape: &Shape) -> Difference {
    let mut difference = Difference::default();
    difference.visit(Some(before), Some(after), shape, &mut Vec::new());
    difference
}

impl Difference {
    fn visit(&mut self, before: Option<&Value>, after: Option<&Value>, shape: &Shape, path: &mut Vec<String>) {
        let Some(any) = after.or(before) else { return };
        match (before, after) {
            (None, _) => self.added.insert(path),
            (_, None) => self.removed.insert(path),
            _ => {}
        }
        let leaf = is_leaf(shape, any) && before.is_none_or(|before| is_leaf(shape, before));
        if leaf || nothing_inside(before, shape) && nothing_inside(after, shape) {
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                self.modified.insert(path);
            }
            return;
        }
        match shape {
            Shape::List { items, .. } => self.visit_items(before, after, shape, items, path),
            _ => self.visit_fields(before, after, shape, path),
        }
    }

    fn visit_fields(&mut self, before: Option<&Value>, after: Option<&Value>, shape: &Shape, path: &mut Vec<String>) {
        let mut names: BTreeSet<&String> = BTreeSet::new();
        let mut written: BTreeMap<&String, &Field> = BTreeMap::new();
        for side in [before, after] {
            names.extend(side.and_then(Value::as_object).into_iter().flat_map(Map::keys));
        }
        if let Shape::Fields(structure) = shape {
            written.extend(structure.always());
            names.extend(written.keys().copied());
        }
        for name in names {
            let Some(below) = shape.field(name) else { continue };
            // What is always written is there on either side that is there at all.
            let empty = written.get(name).map(|field| field.shape.empty(field.presence));
            let inner = |side: Option<&'_ Value>| -> Option<Value> {
                let map = side?.as_object()?;
                map.get(name).cloned().or_else(|| empty.clone())
            };
            let (old, new) = (inner(before), inner(after));
            path.push(format!("f:{name}"));
            self.visit(old.as_ref(), new.as_ref(), below, path);
            path.pop();
        }
    }

    fn visit_items(
        &mut self,
        before: Option<&Value>,
        after: Option<&Value>,
        shape: &Shape,
        items: &Shape,
        path: &mut Vec<String>,
    ) {
        let mut steps: BTreeMap<String, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
        let listed = |side: Option<&'_ Value>| {
            side.and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
                .to_vec()
        };
        let (old, new) = (listed(before), listed(after));
        for item in &old {
            if let Some(step) = item_step(shape, item) {
                steps.entry(step).or_default().0 = Some(item);
            }
        }
        for item in &new {
            if let Some(step) = item_step(shape, item) {
                steps.entry(step).or_default().1 = Some(item);
            }
        }
        for (step, (old, new)) in steps {
            path.push(step);
            self.visit(old, new, items, path);
            path.pop();
        }
    }
}

/// Whether a list or a map is absent, null or empty; a structure that writes fields always has some.
fn nothing_inside(value: Option<&Value>, shape: &Shape) -> bool {
    let writes = matches!(shape, Shape::Fields(structure) if structure.always().next().is_some());
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty() && !writes,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::api::shape::defined;

    fn deployment(containers: &Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn an_applied_object_owns_its_leaves_and_its_items() {
        let object = deployment(&json!([{"name": "c", "ports": [{"containerPort": 80}]}]));
        let fields = of(&object, defined("Deployment.apps").unwrap());
        let container = json!({"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:ports": {
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}});
        let expected = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}});
        assert_eq!(fields.to_json(), expected);
        assert_eq!(Fields::from_json(&expected), fields);
    }

    #[test]
    fn a_structure_that_is_always_written_is_never_added() {
        let shape = defined("Deployment.apps").unwrap();
        let after = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}});
        let added = compare(&json!({}), &after, shape).added;
        let expected = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:replicas": {}}});
        assert_eq!(added.to_json(), expected);
    }

    #[test]
    fn paths_read_as_conflicts_show_them() {
        let object = deployment(&json!([{"name": "c", "image": "i"}]));
        let paths = of(&object, defined("Deployment.apps").unwrap()).paths();
        assert!(paths.contains(&".spec.template.spec.containers[name=\"c\"].image".to_owned()));
    }
}
