//! From text to trees: events become values, aliases are copied, merge keys merge, the last of equal keys wins.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::Event;
use granit_parser::Parser;
use granit_parser::ScalarStyle;
use granit_parser::Span;
use granit_parser::Tag;
use thiserror::Error;

use crate::number::format_float;
use crate::resolve::Scalar;
use crate::resolve::resolve;
use crate::value::Value;

/// A document nested deeper than this is refused: Kubernetes objects stay below 50, and trees are walked recursively.
const DEPTH: usize = 500;

/// Values that aliases may copy. Real files stay below a thousand; a few lines of nested aliases ask for billions.
const COPIES: usize = 1_000_000;

/// Why a text is no YAML.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}, column {column}: {message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

impl Error {
    fn at(span: Span, message: impl Into<String>) -> Self {
        Error {
            message: message.into(),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// Reads the first document of a text; no document is null.
///
/// # Errors
/// If the text is not YAML, or holds what JSON cannot (a list as a key, a null key).
pub fn parse(text: &str) -> Result<Value, Error> {
    Ok(Reader::new(text).document()?.unwrap_or_default())
}

/// Reads all documents of a text.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(text: &str) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::new(text);
    let mut documents = Vec::new();
    while let Some(document) = reader.document()? {
        documents.push(document);
    }
    Ok(documents)
}

struct Reader<'a> {
    parser: Box<dyn Iterator<Item = Result<(Event<'a>, Span), granit_parser::ScanError>> + 'a>,
    anchors: BTreeMap<usize, Value>,
    copies: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    shape: Shape,
}

enum Shape {
    List(Vec<Value>),
    Map {
        entries: BTreeMap<String, Value>,
        key: Option<Key>,
    },
}

/// A key that waits for its value.
enum Key {
    Name(String),
    Merge,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let options = granit_parser::options! { emit_comments: false, block_scalar_eof_without_line_feed: true };
        Reader {
            parser: Box::new(Parser::new_from_str_with_options(text, options)),
            anchors: BTreeMap::new(),
            copies: 0,
        }
    }

    /// Reads up to the end of the next document.
    fn document(&mut self) -> Result<Option<Value>, Error> {
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        while let Some(next) = self.parser.next() {
            let (event, span) = next.map_err(|error| Error {
                message: error.info(),
                line: error.marker().line(),
                column: error.marker().col() + 1,
            })?;
            let complete = match event {
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    continue;
                }
                Event::DocumentEnd => return Ok(Some(root.unwrap_or_default())),
                Event::Scalar(text, style, anchor, tag) => {
                    let value = scalar(&text, style, tag.as_deref(), span, open.last())?;
                    self.remember(anchor, &value);
                    value
                }
                Event::SequenceStart(_, anchor, _) => {
                    push(
                        &mut open,
                        Open {
                            anchor,
                            shape: Shape::List(Vec::new()),
                        },
                        span,
                    )?;
                    continue;
                }
                Event::MappingStart(_, anchor, _) => {
                    let shape = Shape::Map {
                        entries: BTreeMap::new(),
                        key: None,
                    };
                    push(&mut open, Open { anchor, shape }, span)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(closed) = open.pop() else { continue };
                    let value = match closed.shape {
                        Shape::List(items) => Node::Value(Value::List(items)),
                        Shape::Map { entries, .. } => Node::Value(Value::Map(entries)),
                    };
                    self.remember(closed.anchor, &value);
                    value
                }
                Event::Alias(anchor) => self.copy(anchor, span)?,
                _ => continue,
            };
            match open.last_mut() {
                None => root = Some(complete.into_value()),
                Some(parent) => parent.add(complete, span)?,
            }
        }
        Ok(None)
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0
            && let Node::Value(value) = node
        {
            self.anchors.insert(anchor, value.clone());
        }
    }

    fn copy(&mut self, anchor: usize, span: Span) -> Result<Node, Error> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(Error::at(span, "the alias stands inside the value that it names"));
        };
        self.copies += count(value);
        if self.copies > COPIES {
            return Err(Error::at(
                span,
                "the aliases of this document expand to an excessive size",
            ));
        }
        Ok(Node::Value(value.clone()))
    }
}

/// A scalar, whose meaning depends on its quotes, its tag, and on whether a key is due.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span, parent: Option<&Open>) -> Result<Node, Error> {
    let plain = style == ScalarStyle::Plain;
    let Some(tag) = tag.filter(|tag| tag.core_suffix().is_some() || tag.is_yaml_core_schema_tag("binary")) else {
        if let Some(tag) = tag {
            return tagged(text, tag.suffix(), span).map(Node::Value);
        }
        if !plain {
            return Ok(Node::Value(Value::String(text.to_owned())));
        }
        return Ok(match resolve(text) {
            Scalar::Merge if parent.is_some_and(Open::expects_key) => Node::Merge,
            scalar => Node::Value(value_of(scalar, text)),
        });
    };
    tagged(text, tag.suffix(), span).map(Node::Value)
}

/// What one complete node is to its parent.
enum Node {
    Value(Value),
    Merge,
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Node::Value(value) => value,
            Node::Merge => Value::from("<<"),
        }
    }
}

impl Open {
    fn expects_key(&self) -> bool {
        matches!(self.shape, Shape::Map { key: None, .. })
    }

    fn add(&mut self, node: Node, span: Span) -> Result<(), Error> {
        match (&mut self.shape, node) {
            (Shape::List(items), node) => items.push(node.into_value()),
            (Shape::Map { key: key @ None, .. }, Node::Merge) => *key = Some(Key::Merge),
            (Shape::Map { key: key @ None, .. }, Node::Value(value)) => *key = Some(Key::Name(name(value, span)?)),
            (Shape::Map { entries, key }, node) => {
                let value = node.into_value();
                match key.take() {
                    Some(Key::Name(name)) => {
                        entries.insert(name, value);
                    }
                    _ => merge(entries, value, span)?,
                }
            }
        }
        Ok(())
    }
}

fn push(open: &mut Vec<Open>, next: Open, span: Span) -> Result<(), Error> {
    if open.len() >= DEPTH {
        return Err(Error::at(span, format!("nested deeper than {DEPTH} levels")));
    }
    open.push(next);
    Ok(())
}

/// Merges at the place where the merge key stands: keys before it lose, keys after it win.
fn merge(entries: &mut BTreeMap<String, Value>, value: Value, span: Span) -> Result<(), Error> {
    match value {
        Value::Map(merged) => entries.extend(merged),
        Value::List(items) => {
            for item in items.into_iter().rev() {
                let Value::Map(merged) = item else {
                    return Err(Error::at(
                        span,
                        "map merge requires map or sequence of maps as the value",
                    ));
                };
                entries.extend(merged);
            }
        }
        _ => {
            return Err(Error::at(
                span,
                "map merge requires map or sequence of maps as the value",
            ));
        }
    }
    Ok(())
}

/// The text that a key becomes in JSON.
fn name(key: Value, span: Span) -> Result<String, Error> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Uint(number) => Ok(number.to_string()),
        Value::Float(number) if number.is_nan() => Ok(".nan".to_owned()),
        Value::Float(number) if number.is_infinite() => Ok(if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()),
        Value::Float(number) => Ok(format_key(number)),
        Value::Null => Err(Error::at(span, "a key is null; quote it if it is meant as text")),
        Value::List(_) | Value::Map(_) => Err(Error::at(span, "a key is a list or a map; a key must be text")),
    }
}

/// Go prints keys that are numbers in single precision.
fn format_key(number: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "sigs.k8s.io/yaml formats keys as float32"
    )]
    let single = number as f32;
    let shortest: f64 = single.to_string().parse().unwrap_or(number);
    match format_float(shortest) {
        text if text == "+Inf" => ".inf".to_owned(),
        text if text == "-Inf" => "-.inf".to_owned(),
        text => text,
    }
}

fn value_of(scalar: Scalar, text: &str) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(truth) => Value::Bool(truth),
        Scalar::Int(number) => Value::Int(number),
        Scalar::Uint(number) => Value::Uint(number),
        Scalar::Float(number) => Value::Float(number),
        Scalar::Timestamp | Scalar::Merge | Scalar::Text => Value::String(text.to_owned()),
    }
}

/// A scalar whose type is written before it.
fn tagged(text: &str, tag: &str, span: Span) -> Result<Value, Error> {
    let value = value_of(resolve(text), text);
    let fits = match tag {
        "binary" => {
            let bytes = STANDARD.decode(text.replace(['\n', ' '], ""));
            let bytes = bytes.map_err(|_| Error::at(span, "!!binary value contains invalid base64 data"))?;
            return Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        }
        "bool" => matches!(value, Value::Bool(_)),
        "int" => matches!(value, Value::Int(_) | Value::Uint(_)),
        "null" => matches!(value, Value::Null),
        "float" => {
            if let Value::Int(number) = value {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "Go converts an integer tagged as a float just so"
                )]
                return Ok(Value::Float(number as f64));
            }
            matches!(value, Value::Float(_))
        }
        _ => return Ok(Value::String(text.to_owned())),
    };
    if !fits {
        return Err(Error::at(span, format!("cannot decode `{text}` as a !!{tag}")));
    }
    Ok(value)
}

fn count(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.values().map(count).sum::<usize>(),
        _ => 1,
    }
}
