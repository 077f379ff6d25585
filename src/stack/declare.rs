//! What a file of a stack may say: each type knows how to read itself from a tree and how to describe itself as a
//! JSON Schema, so that the two cannot drift apart.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tubectl_load::Threshold;
use tubectl_load::parse_duration;

use crate::error::closest;
use crate::stack::file::Content;
use crate::stack::file::File;
use crate::stack::file::Key;
use crate::stack::file::Node;
use crate::stack::file::Span;
use crate::stack::problem::Problem;

/// Something that a file of a stack may say.
pub trait Declared: Sized {
    /// Reads it from the value under `key`; where it cannot, it reports why.
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self>;

    /// Its JSON Schema.
    fn schema() -> Value;
}

/// Reads one file and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a File,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    /// A reader of a file.
    pub fn new(file: &'a File) -> Self {
        Self {
            file,
            problems: RefCell::default(),
        }
    }

    /// Takes down a mistake.
    pub fn report(&self, at: Span, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem::new(self.file, at, message, hint);
        self.problems.borrow_mut().push(problem);
    }

    /// Takes down that a value is not of its type.
    pub fn mismatch<T>(&self, key: &Key, node: &Node, takes: &str, hint: Option<String>) -> Option<T> {
        if node.content != Content::Broken {
            let message = format!("`{}` takes {takes}, and this is {}", key.text, node.describe());
            self.report(node.at, message, hint);
        }
        None
    }

    /// Whether anything is wrong so far.
    pub fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// What is wrong.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// The fields of one map.
#[derive(Debug)]
pub struct Fields<'a> {
    reader: &'a Reader<'a>,
    key: &'a Key,
    node: &'a Node,
    /// Keys that mean nothing.
    strangers: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of a map that may have these keys and no others.
    pub fn of(reader: &'a Reader<'a>, key: &'a Key, node: &'a Node, known: &[&str]) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            let hint = format!("it has {}", listed(known));
            return reader.mismatch(key, node, "a map", Some(hint));
        };
        let mut strangers = Vec::new();
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                strangers.push(key.text.as_str());
                let hint = match closest(&key.text, known.iter().copied()) {
                    Some(closest) => format!("did you mean `{closest}`?"),
                    None => format!("known are {}", listed(known)),
                };
                reader.report(key.at, format!("nothing here is called `{}`", key.text), Some(hint));
            }
        }
        Some(Self {
            reader,
            key,
            node,
            strangers,
        })
    }

    /// The field of that name; it is a mistake if it is missing.
    pub fn required<T: Declared>(&self, name: &str) -> Option<T> {
        if let Some((key, value)) = self.node.entry(name) {
            return T::read(self.reader, key, value);
        }
        if self
            .strangers
            .iter()
            .any(|stranger| closest(stranger, [name].into_iter()).is_some())
        {
            // It is there, misspelt, and was reported so.
            return None;
        }
        let message = format!("`{}` has no `{name}`", self.key.text);
        self.reader
            .report(self.key.at, message, Some(format!("add `{name}:` to it")));
        None
    }

    /// The field of that name, or what it is without it.
    pub fn optional<T: Declared>(&self, name: &str, default: impl FnOnce() -> T) -> Option<T> {
        match self.node.entry(name) {
            Some((_, value)) if value.content == Content::Null => Some(default()),
            Some((key, value)) => T::read(self.reader, key, value),
            None => Some(default()),
        }
    }
}

/// Names, as they stand in a sentence.
pub fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The schema of a map with known fields.
pub fn object_schema(about: &str, fields: Vec<(&str, &str, Value, bool)>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.3).map(|field| field.0).collect();
    let property = |(name, about, mut schema, _): (&str, &str, Value, bool)| {
        schema["description"] = Value::from(about.trim());
        (name.to_owned(), schema)
    };
    let properties: serde_json::Map<String, Value> = fields.into_iter().map(property).collect();
    json!({
        "type": "object",
        "description": about.trim(),
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// Declares a map of a stack's file: a field with a default may be left out.
macro_rules! declared {
    (@read $fields:ident, $field:ident, $type:ty) => {
        $fields.required::<$type>(stringify!($field))
    };
    (@read $fields:ident, $field:ident, $type:ty, $default:expr) => {
        $fields.optional::<$type>(stringify!($field), || $default)
    };
    (@required) => {
        true
    };
    (@required $default:expr) => {
        false
    };
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident {
            $($(#[doc = $doc:literal])+ pub $field:ident: $type:ty $(= $default:expr)?,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $crate::stack::declare::Declared for $name {
            fn read(
                reader: &$crate::stack::declare::Reader<'_>,
                key: &$crate::stack::file::Key,
                node: &$crate::stack::file::Node,
            ) -> Option<Self> {
                let known = [$(stringify!($field)),+];
                let fields = $crate::stack::declare::Fields::of(reader, key, node, &known)?;
                $(let $field = $crate::stack::declare::declared!(@read fields, $field, $type $(, $default)?);)+
                Some(Self { $($field: $field?),+ })
            }

            fn schema() -> serde_json::Value {
                $crate::stack::declare::object_schema(
                    concat!($($about),+),
                    vec![$((
                        stringify!($field),
                        concat!($($doc),+),
                        <$type as $crate::stack::declare::Declared>::schema(),
                        $crate::stack::declare::declared!(@required $($default)?),
                    )),+],
                )
            }
        }
    };
}
pub(crate) use declared;

/// Declares a value that is one of a few words.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident {
            $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// The word for it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::stack::declare::Declared for $name {
            fn read(
                reader: &$crate::stack::declare::Reader<'_>,
                key: &$crate::stack::file::Key,
                node: &$crate::stack::file::Node,
            ) -> Option<Self> {
                let words = [$($word),+];
                match node.text() {
                    $(Some($word) => Some(Self::$variant),)+
                    text => {
                        let near = text.and_then(|text| $crate::error::closest(text, words.into_iter()));
                        let hint = near.map(|word| format!("did you mean `{word}`?"));
                        let takes = format!("one of {}", $crate::stack::declare::listed(&words));
                        reader.mismatch(key, node, &takes, hint)
                    }
                }
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({"enum": [$($word),+]})
            }
        }
    };
}
pub(crate) use choice;

impl Declared for String {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        match &node.content {
            Content::Text(text) => Some(text.clone()),
            Content::Number(_) | Content::Bool(_) => {
                reader.mismatch(key, node, "text", Some("put it in quotes".to_owned()))
            }
            _ => reader.mismatch(key, node, "text", None),
        }
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

impl Declared for bool {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        match &node.content {
            Content::Bool(value) => Some(*value),
            Content::Text(text) if node.referred && text == "true" => Some(true),
            Content::Text(text) if node.referred && text == "false" => Some(false),
            _ => reader.mismatch(key, node, "`true` or `false`", None),
        }
    }

    fn schema() -> Value {
        or_reference(json!({"type": "boolean"}))
    }
}

impl Declared for u32 {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        whole(reader, key, node)
    }

    fn schema() -> Value {
        or_reference(json!({"type": "integer", "minimum": 0}))
    }
}

/// A whole number between two others, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32>(pub u32);

impl<const LEAST: u32, const MOST: u32> Declared for Within<LEAST, MOST> {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let number = u32::read(reader, key, node)?;
        if (LEAST..=MOST).contains(&number) {
            return Some(Self(number));
        }
        let message = format!("`{}` is {number}", key.text);
        reader.report(
            node.at,
            message,
            Some(format!("give it a number from {LEAST} to {MOST}")),
        );
        None
    }

    fn schema() -> Value {
        or_reference(json!({"type": "integer", "minimum": LEAST, "maximum": MOST}))
    }
}

impl Declared for u64 {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        whole(reader, key, node)
    }

    fn schema() -> Value {
        u32::schema()
    }
}

fn whole<T: TryFrom<u64>>(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<T> {
    let number = match &node.content {
        Content::Number(number) => number.as_u64(),
        Content::Text(text) if node.referred => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.or_else(|| reader.mismatch(key, node, "a whole number", None))
}

impl Declared for Duration {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let hint = "write it like `90s`, `2m` or `1m30s`".to_owned();
        match node.text().map(parse_duration) {
            Some(Ok(duration)) => Some(duration),
            Some(Err(error)) => {
                reader.report(node.at, error.to_string(), Some(hint));
                None
            }
            None => reader.mismatch(key, node, "a duration", Some(hint)),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^([0-9.]+(ms|us|s|m|h))+$"})
    }
}

impl Declared for Threshold {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let hint = "write it like `p95<20s` or `failed<15%`".to_owned();
        match node.text().map(str::parse) {
            Some(Ok(threshold)) => Some(threshold),
            Some(Err(_)) | None => reader.mismatch(key, node, "a threshold", Some(hint)),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(p[0-9.]+<[0-9.]+(ms|s|m)|failed<[0-9.]+%)$"})
    }
}

/// A share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl Declared for Share {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let number = match &node.content {
            Content::Number(number) => number.as_f64(),
            _ => None,
        };
        match number {
            Some(share) if (0.0..=1.0).contains(&share) => Some(Self(share)),
            _ => reader.mismatch(key, node, "a share from 0 to 1", None),
        }
    }

    fn schema() -> Value {
        json!({"type": "number", "minimum": 0, "maximum": 1})
    }
}

/// The name of a Kubernetes object in its namespace, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Declared for ObjectName {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let parts = node.text().and_then(|text| text.split_once('/'));
        match parts {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Some(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => reader.mismatch(key, node, "`namespace/name`", None),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[^/]+/[^/]+$"})
    }
}

impl<T: Declared> Declared for Option<T> {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        T::read(reader, key, node).map(Some)
    }

    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Declared> Declared for Vec<T> {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let Content::List(items) = &node.content else {
            return reader.mismatch(key, node, "a list", None);
        };
        let read = |item: &Node| {
            let key = Key {
                text: key.text.clone(),
                at: item.at,
            };
            T::read(reader, &key, item)
        };
        // Every item is read before any failure counts, so that each mistake is reported.
        let read: Vec<Option<T>> = items.iter().map(read).collect();
        read.into_iter().collect()
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

impl<T: Declared> Declared for BTreeMap<String, T> {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            return reader.mismatch(key, node, "a map", None);
        };
        let read = |(key, value): &(Key, Node)| Some((key.text.clone(), T::read(reader, key, value)?));
        let read: Vec<Option<(String, T)>> = entries.iter().map(read).collect();
        read.into_iter().collect()
    }

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }
}

/// A value with its place, for what can only be checked once everything is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Span,
}

impl<T: Declared> Declared for Placed<T> {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let value = T::read(reader, key, node)?;
        Some(Self { value, at: node.at })
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// Anything: what a chart understands, the chart knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(pub Vec<(Key, Node)>);

impl Declared for Values {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => Some(Self(entries.clone())),
            _ => reader.mismatch(key, node, "a map", None),
        }
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }
}

fn or_reference(schema: Value) -> Value {
    let reference = json!({"type": "string", "pattern": r"^\$\{var\.[A-Za-z0-9_-]+\}$"});
    let either = Value::Array(vec![schema, reference]);
    json!({"anyOf": either})
}
