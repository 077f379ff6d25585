//! What the fields of an object are, and how two writers' versions of them merge.
//!
//! The kinds of Kubernetes come from `data/types.txt`, custom kinds from their definition's schema. A shape knows
//! types and merging; it validates no values and sets no defaults.
//!
//! Notation of the table: `Name field:type ..`. A type is `s`, `n`, `b` (string, number, boolean), `*` (anything),
//! `@Name`, `[T]` (a list that is one value), `[T=]` (a set), `[T|a,b]` (a list whose items are known by `a` and `b`),
//! `{T}` (a map). `!` after a definition, a reference or a map says that it is one value; after a field, that the
//! field is written even when it is empty; `#` says the same of a structure. `=X` is the value of a key left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use serde_json::Value;
use serde_json::json;

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// Whatever it is: maps merge, everything else is one value.
    Anything,
    /// A list.
    List {
        /// What its items are.
        items: Arc<Shape>,
        /// How two of them merge.
        merge: Merge,
    },
    /// A map with arbitrary keys.
    Map {
        /// What its values are.
        values: Arc<Shape>,
        /// Whether it has one owner.
        whole: bool,
    },
    /// A structure with named fields.
    Fields(Structure),
}

/// A structure.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Structure {
    /// The definition's name, as messages show it.
    pub(crate) name: String,
    /// The fields.
    pub(crate) fields: BTreeMap<String, Field>,
    /// Whether it has one owner.
    pub(crate) whole: bool,
    /// Whether fields that it does not name are kept.
    pub(crate) open: bool,
}

/// A named field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// What it holds.
    pub(crate) shape: Arc<Shape>,
    /// Whether it is there even when it is empty.
    pub(crate) presence: Presence,
    /// What it is when it is left out of a key.
    pub(crate) default: Option<Value>,
}

/// Whether a field is there when nobody gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is absent.
    Optional,
    /// It is there as null, or as the empty text, number or truth.
    Written,
    /// It is there as a structure without fields.
    Structure,
}

/// How two versions of a list merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merge {
    /// The list has one owner.
    Whole,
    /// Its items are its keys.
    Set,
    /// Items with equal values of these fields are the same item.
    By(Vec<String>),
}

static TYPES: LazyLock<BTreeMap<&'static str, Arc<Shape>>> = LazyLock::new(read_types);

/// The shape of a definition of `data/types.txt`.
pub(crate) fn defined(name: &str) -> Option<&'static Arc<Shape>> {
    TYPES.get(name)
}

impl Shape {
    /// The shape of a field of a map or structure; none if there is no such field.
    pub(crate) fn field(&self, name: &str) -> Option<&Shape> {
        match self {
            Self::Fields(structure) => match structure.fields.get(name) {
                Some(field) => Some(&field.shape),
                None => structure.open.then_some(&Shape::Anything),
            },
            Self::Map { values, .. } => Some(values),
            Self::Anything => Some(&Shape::Anything),
            _ => None,
        }
    }

    /// Whether the shape names this field itself.
    pub(crate) fn names(&self, field: &str) -> bool {
        matches!(self, Self::Fields(structure) if structure.fields.contains_key(field))
    }

    /// The value that a field without content has when it is written.
    pub(crate) fn empty(&self, presence: Presence) -> Value {
        match (presence, self) {
            (Presence::Structure, Self::Fields(structure)) => structure
                .always()
                .map(|(name, field)| (name.clone(), field.shape.empty(field.presence)))
                .collect(),
            (Presence::Structure, _) => json!({}),
            (_, Self::Text) => json!(""),
            (_, Self::Number) => json!(0),
            (_, Self::Truth) => json!(false),
            _ => Value::Null,
        }
    }
}

impl Structure {
    /// The fields that are there even when nobody gave them.
    pub(crate) fn always(&self) -> impl Iterator<Item = (&String, &Field)> {
        self.fields
            .iter()
            .filter(|(_, field)| field.presence != Presence::Optional)
    }
}

/// The shape that a custom kind's schema describes, with the metadata that every object has.
pub(crate) fn of_schema(schema: &Value) -> Shape {
    let mut shape = match from_schema(schema) {
        Shape::Fields(structure) => structure,
        _ => Structure {
            open: true,
            ..Structure::default()
        },
    };
    for (name, field) in object_fields() {
        shape.fields.insert(name, field);
    }
    Shape::Fields(shape)
}

fn object_fields() -> [(String, Field); 3] {
    let metadata = defined("ObjectMeta.meta").expect("the table has it").clone();
    let field = |shape| Field {
        shape,
        presence: Presence::Optional,
        default: None,
    };
    [
        ("apiVersion".to_owned(), field(Arc::new(Shape::Text))),
        ("kind".to_owned(), field(Arc::new(Shape::Text))),
        ("metadata".to_owned(), field(metadata)),
    ]
}

fn from_schema(schema: &Value) -> Shape {
    let flag = |name: &str| schema[name].as_bool().unwrap_or(false);
    if flag("x-kubernetes-int-or-string") {
        return Shape::Anything;
    }
    match schema["type"].as_str() {
        Some("string") => Shape::Text,
        Some("integer" | "number") => Shape::Number,
        Some("boolean") => Shape::Truth,
        Some("array") => Shape::List {
            items: Arc::new(from_schema(&schema["items"])),
            merge: merge_of(schema),
        },
        Some("object") => structure_of(schema),
        _ => Shape::Anything,
    }
}

fn merge_of(schema: &Value) -> Merge {
    let keys = || {
        let keys = schema["x-kubernetes-list-map-keys"].as_array();
        keys.into_iter()
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect()
    };
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => Merge::By(keys()),
        Some("set") => Merge::Set,
        _ => Merge::Whole,
    }
}

fn structure_of(schema: &Value) -> Shape {
    let whole = schema["x-kubernetes-map-type"] == "atomic";
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    if let Some(values) = schema.get("additionalProperties").filter(|values| !values.is_boolean()) {
        return Shape::Map {
            values: Arc::new(from_schema(values)),
            whole,
        };
    }
    let any = schema["additionalProperties"] == true;
    let Some(properties) = schema["properties"].as_object() else {
        if (open || any) && !embedded {
            return Shape::Map {
                values: Arc::new(Shape::Anything),
                whole,
            };
        }
        return Shape::Fields(Structure {
            fields: if embedded {
                object_fields().into()
            } else {
                BTreeMap::new()
            },
            whole,
            open,
            ..Structure::default()
        });
    };
    let field = |schema: &Value| Field {
        shape: Arc::new(from_schema(schema)),
        presence: Presence::Optional,
        default: schema.get("default").cloned(),
    };
    let mut fields: BTreeMap<String, Field> = properties
        .iter()
        .map(|(name, schema)| (name.clone(), field(schema)))
        .collect();
    if embedded {
        fields.extend(object_fields());
    }
    Shape::Fields(Structure {
        name: String::new(),
        fields,
        whole,
        open,
    })
}

fn read_types() -> BTreeMap<&'static str, Arc<Shape>> {
    let lines: BTreeMap<&str, &str> = include_str!("data/types.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let mut reader = Reader {
        lines: &lines,
        done: BTreeMap::new(),
    };
    for name in lines.keys() {
        reader.definition(name.trim_end_matches('!'));
    }
    reader.done
}

/// Resolves the definitions of the table, each once.
struct Reader<'a> {
    lines: &'a BTreeMap<&'static str, &'static str>,
    done: BTreeMap<&'static str, Arc<Shape>>,
}

impl Reader<'_> {
    fn definition(&mut self, name: &str) -> Arc<Shape> {
        if let Some(shape) = self.done.get(name) {
            return shape.clone();
        }
        let whole = format!("{name}!");
        let found = self
            .lines
            .get_key_value(name)
            .or_else(|| self.lines.get_key_value(whole.as_str()));
        let (key, text) = found.unwrap_or_else(|| panic!("data/types.txt does not define `{name}`"));
        let fields = text
            .split(' ')
            .filter(|field| !field.is_empty())
            .map(|field| self.field(field))
            .collect();
        let shape = Arc::new(Shape::Fields(Structure {
            name: name.split('.').next().unwrap_or_default().to_owned(),
            fields,
            whole: key.ends_with('!'),
            open: false,
        }));
        self.done.insert(key.trim_end_matches('!'), shape.clone());
        shape
    }

    fn field(&mut self, text: &str) -> (String, Field) {
        let (name, rest) = text.split_once(':').expect("a field of the table has a type");
        // The default follows the type; a set's `=` is inside of its brackets.
        let (kind, default) = match rest.rfind('=') {
            Some(at) if !rest[at..].contains(']') => (&rest[..at], Some(json!(&rest[at + 1..]))),
            _ => (rest, None),
        };
        let presence = match name.chars().last() {
            Some('!') => Presence::Written,
            Some('#') => Presence::Structure,
            _ => Presence::Optional,
        };
        let field = Field {
            shape: self.kind(kind),
            presence,
            default,
        };
        (name.trim_end_matches(['!', '#']).to_owned(), field)
    }

    fn kind(&mut self, text: &str) -> Arc<Shape> {
        let shape = match text.as_bytes().first() {
            Some(b's') => Shape::Text,
            Some(b'n') => Shape::Number,
            Some(b'b') => Shape::Truth,
            Some(b'@') => return self.reference(&text[1..]),
            Some(b'[') => self.list(&text[1..text.len() - 1]),
            Some(b'{') => {
                let end = text.rfind('}').expect("a map of the table is closed");
                Shape::Map {
                    values: self.kind(&text[1..end]),
                    whole: text.ends_with('!'),
                }
            }
            _ => Shape::Anything,
        };
        Arc::new(shape)
    }

    fn reference(&mut self, name: &str) -> Arc<Shape> {
        let shape = self.definition(name.trim_end_matches('!'));
        match (&*shape, name.ends_with('!')) {
            (Shape::Fields(structure), true) => Arc::new(Shape::Fields(Structure {
                whole: true,
                ..structure.clone()
            })),
            _ => shape,
        }
    }

    fn list(&mut self, inside: &str) -> Shape {
        let (kind, merge) = match inside.rsplit_once('|') {
            Some((kind, keys)) => (kind, Merge::By(keys.split(',').map(str::to_owned).collect())),
            None => match inside.strip_suffix('=') {
                Some(kind) => (kind, Merge::Set),
                None => (inside, Merge::Whole),
            },
        };
        Shape::List {
            items: self.kind(kind),
            merge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(shape: &'a Shape, path: &str) -> &'a Shape {
        path.split('.').fold(shape, |shape, name| match shape {
            Shape::List { items, .. } => items.field(name).unwrap(),
            shape => shape.field(name).unwrap(),
        })
    }

    #[test]
    fn every_definition_of_the_table_can_be_read() {
        assert!(TYPES.len() > 400);
    }

    #[test]
    fn containers_are_known_by_their_name_and_ports_by_number_and_protocol() {
        let deployment = defined("Deployment.apps").unwrap();
        let containers = at(deployment, "spec.template.spec.containers");
        assert!(matches!(containers, Shape::List { merge: Merge::By(keys), .. } if keys == &["name"]));
        let ports = at(containers, "ports");
        assert!(matches!(ports, Shape::List { merge: Merge::By(keys), .. } if keys == &["containerPort", "protocol"]));
    }

    #[test]
    fn a_schema_that_preserves_unknown_fields_takes_any() {
        let schema = json!({"type": "object", "properties": {"free": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
        assert_eq!(at(&of_schema(&schema), "free.any"), &Shape::Anything);
    }
}
