//! The files of a stack as a tree that knows where everything stands, so that every mistake can be shown in its place.
//!
//! The only part of tubectl that names serde-saphyr. It knows YAML and nothing of what a stack means.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Number;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;
use serde_saphyr::Location;
use serde_saphyr::Spanned;

use crate::stack::problem::Problem;

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How it is called in messages.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, in characters from 1.
    pub column: usize,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub at: Span,
    /// What it is.
    pub content: Content,
    /// Whether its text came out of a reference, and so may stand for a number.
    pub referred: bool,
}

/// The key of a value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it stands.
    pub at: Span,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by key, in the order of the file.
    Map(Vec<(Key, Node)>),
    /// A value with a mistake that was reported already.
    Broken,
}

impl File {
    /// A file of these bytes; what is not UTF-8 is a problem.
    pub fn new(path: impl Into<String>, bytes: &[u8]) -> (Self, Vec<Problem>) {
        let file = Self {
            path: path.into(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        };
        let problems = match std::str::from_utf8(bytes) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let at = file.span_of_byte(error.valid_up_to());
                let hint = "save the file as UTF-8".to_owned();
                vec![Problem::new(&file, at, "this is not UTF-8", Some(hint))]
            }
        };
        (file, problems)
    }

    /// The file's values, with a problem for each key that stands twice; a file that is no YAML has no values.
    pub fn tree(&self) -> (Option<Node>, Vec<Problem>) {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Node>(&self.text, options) {
            Ok(node) => {
                let mut problems = Vec::new();
                self.find_twice(&node, &mut problems);
                (Some(node), problems)
            }
            Err(error) => {
                let at = error
                    .location()
                    .map_or(Span::BEGIN, |location| self.span_of_location(location));
                let message = format!(
                    "this is not YAML: {}",
                    without_place(&error.without_snippet().to_string())
                );
                let hint =
                    "mend the line above; indentation is made of spaces, and text with `: ` or ` #` needs quotes";
                (None, vec![Problem::new(self, at, message, Some(hint.to_owned()))])
            }
        }
    }

    /// The whole of the file's first line, for mistakes that stand nowhere else.
    pub fn beginning(&self) -> Span {
        Span {
            end: self.text.lines().next().unwrap_or_default().len(),
            ..Span::BEGIN
        }
    }

    /// A reader's error knows line and column, and not always the byte.
    fn span_of_location(&self, location: Location) -> Span {
        let place = Span::from(location);
        let before = self.text.split_inclusive('\n').take(place.line - 1).map(str::len);
        let line_start = before.sum::<usize>();
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let into_line = line
            .char_indices()
            .nth(place.column - 1)
            .map_or(line.len(), |(byte, _)| byte);
        self.span_of_byte(line_start + into_line)
    }

    fn span_of_byte(&self, start: usize) -> Span {
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let width = self.text[start..].chars().next().map_or(0, char::len_utf8);
        Span {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            start,
            end: start + width,
        }
    }

    fn find_twice(&self, node: &Node, problems: &mut Vec<Problem>) {
        match &node.content {
            Content::List(items) => items.iter().for_each(|item| self.find_twice(item, problems)),
            Content::Map(entries) => {
                for (place, (key, value)) in entries.iter().enumerate() {
                    if let Some((first, _)) = entries[..place].iter().find(|(other, _)| other.text == key.text) {
                        let message = format!("`{}` stands here twice, first in line {}", key.text, first.at.line);
                        let hint = "keep one of the two".to_owned();
                        problems.push(Problem::new(self, key.at, message, Some(hint)));
                    }
                    self.find_twice(value, problems);
                }
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::Broken => {}
        }
    }
}

impl Node {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value under a key, with the key.
    pub fn entry(&self, key: &str) -> Option<&(Key, Self)> {
        self.entries().iter().find(|(found, _)| found.text == key)
    }

    /// The value at the end of a path of keys, with its last key.
    pub fn at_path(&self, path: &[&str]) -> Option<&(Key, Self)> {
        let (last, before) = path.split_last()?;
        before.iter().try_fold(self, |node, key| node.get(key))?.entry(last)
    }

    /// The values by key; none where it is no map.
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text, where it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Number(number) => format!("the number {number}"),
            Content::Text(text) => format!("the text `{text}`"),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
            Content::Broken => "broken".to_owned(),
        }
    }

    /// The value without its places.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Null | Content::Broken => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Map(entries) => {
                let entry = |(key, value): &(Key, Self)| (key.text.clone(), value.to_value());
                Value::Object(entries.iter().map(entry).collect())
            }
        }
    }
}

impl Span {
    const BEGIN: Self = Self {
        line: 1,
        column: 1,
        start: 0,
        end: 0,
    };
}

impl From<Location> for Span {
    fn from(location: Location) -> Self {
        let number = |count: u64| usize::try_from(count).expect("a file in memory has no more bytes than memory");
        let start = number(location.span().byte_offset().unwrap_or_default());
        Self {
            line: number(location.line().max(1)),
            column: number(location.column().max(1)),
            start,
            end: start + number(location.span().byte_len().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.referenced.into(),
            content: spanned.value,
            referred: false,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("this number is not finite"))?;
        Ok(Content::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key {
                text: key.value,
                at: key.referenced.into(),
            };
            entries.push((key, map.next_value()?));
        }
        Ok(Content::Map(entries))
    }
}

/// The reader's message without the place that it names: the report shows the place itself.
fn without_place(message: &str) -> &str {
    let first = message.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first)
}
