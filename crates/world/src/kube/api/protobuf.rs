//! Bodies in protocol buffers, which Go's typed clients send whatever else a server takes: read into what the same
//! object is in JSON. Answers stay JSON, which those clients take as well.
//!
//! Notation of `data/protobuf.txt`: `Message number=field:type ..`. A type is `s`, `y` (bytes), `n`, `b`, `@Message` (of
//! the same package if it names none), `[T]`, `{T}` (a map from text). `?` after a number says that a zero is a value
//! and not an absence; the fields of a field `*` are its owner's own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::core::Request;
use crate::kube::api::call;
use crate::kube::api::status::Failure;
use crate::kube::store::seconds;

/// The media type of such bodies.
const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// How every body begins.
const MAGIC: &[u8] = b"k8s\0";

/// A field of a message.
struct Field {
    name: &'static str,
    kind: Kind,
    /// Whether a zero means something.
    keeps_zero: bool,
}

/// What a field holds.
#[derive(Clone)]
enum Kind {
    Text,
    Bytes,
    Number,
    Truth,
    Message(String),
    List(Box<Kind>),
    Map(Box<Kind>),
}

/// The fields of each message by their numbers.
static MESSAGES: LazyLock<BTreeMap<&'static str, BTreeMap<u64, Field>>> = LazyLock::new(|| {
    let lines = include_str!("data/protobuf.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(read_message).collect()
});

/// The request with its body in JSON; none if the body is no protocol buffer.
pub(crate) fn as_json(request: &Request) -> Result<Option<Request>, Failure> {
    if !call::header(request, &CONTENT_TYPE).starts_with(MEDIA_TYPE) || request.body().is_empty() {
        return Ok(None);
    }
    let object = object(request.body()).ok_or_else(|| {
        let why = "the object provided is unrecognized: it is no protocol buffer of a kind that the local world reads";
        Failure::bad_request(why)
    })?;
    let mut translated = request.clone();
    *translated.body_mut() = Bytes::from(object.to_string());
    let json = HeaderValue::from_static("application/json");
    translated.headers_mut().insert(CONTENT_TYPE, json);
    Ok(Some(translated))
}

/// The object in a body: what it is, in an envelope, and its message.
fn object(body: &[u8]) -> Option<Value> {
    let (mut about, mut raw): (&[u8], &[u8]) = (&[], &[]);
    for part in parts(body.strip_prefix(MAGIC)?) {
        match part? {
            (1, Wire::Bytes(bytes)) => about = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (version, kind) = (text_of(about, 1)?, text_of(about, 2)?);
    let (group, number) = version.split_once('/').unwrap_or(("core", &version));
    let package = group.split('.').next().unwrap_or_default();
    let name = match kind.as_str() {
        "DeleteOptions" => "meta.v1.DeleteOptions".to_owned(),
        kind => format!("{package}.{number}.{kind}"),
    };
    let mut object = message(&name, raw)?;
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    Some(object)
}

fn read_message(line: &'static str) -> (&'static str, BTreeMap<u64, Field>) {
    let (message, fields) = line.split_once(' ').unwrap_or((line, ""));
    let package = message.rsplit_once('.').map_or("", |(package, _)| package);
    let fields = fields.split(' ').filter(|field| !field.is_empty());
    (message, fields.map(|field| read_field(field, package)).collect())
}

fn read_field(text: &'static str, package: &str) -> (u64, Field) {
    let (number, rest) = text.split_once('=').expect("a field of the table has a number");
    let (name, kind) = rest.split_once(':').expect("a field of the table has a type");
    let field = Field {
        name,
        kind: read_kind(kind, package),
        keeps_zero: number.ends_with('?'),
    };
    let number = number.trim_end_matches('?').parse();
    (number.expect("a number of the table is one"), field)
}

fn read_kind(text: &str, package: &str) -> Kind {
    let inside = || Box::new(read_kind(&text[1..text.len() - 1], package));
    match text.as_bytes() {
        [b's', ..] => Kind::Text,
        [b'y', ..] => Kind::Bytes,
        [b'b', ..] => Kind::Truth,
        [b'[', ..] => Kind::List(inside()),
        [b'{', ..] => Kind::Map(inside()),
        [b'@', ..] if text.contains('.') || is_special(&text[1..]) => Kind::Message(text[1..].to_owned()),
        [b'@', ..] => Kind::Message(format!("{package}.{}", &text[1..])),
        _ => Kind::Number,
    }
}

/// Whether a message is something else than an object in JSON.
fn is_special(name: &str) -> bool {
    let names = [
        "ExtraValue",
        "FieldsV1",
        "IntOrString",
        "MicroTime",
        "Quantity",
        "RawExtension",
        "Time",
    ];
    names.contains(&name)
}

/// A message as JSON; none if it is damaged or of a kind that the table does not have.
fn message(name: &str, bytes: &[u8]) -> Option<Value> {
    if is_special(name) {
        return special(name, bytes);
    }
    let fields = MESSAGES.get(name)?;
    let mut object = Map::new();
    for part in parts(bytes) {
        let (number, wire) = part?;
        let Some(field) = fields.get(&number) else { continue };
        match &field.kind {
            Kind::List(kind) => {
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(value(kind, wire)?);
            }
            Kind::Map(kind) => {
                let Wire::Bytes(entry) = wire else { return None };
                let map = object.entry(field.name).or_insert_with(|| json!({}));
                map[text_of(entry, 1)?] = value(kind, field_of(entry, 2).unwrap_or(Wire::Bytes(&[])))?;
            }
            kind => {
                let value = value(kind, wire)?;
                match value {
                    Value::Object(inner) if field.name == "*" => object.extend(inner),
                    value if field.keeps_zero || !is_zero(&value) => drop(object.insert(field.name.to_owned(), value)),
                    _ => {}
                }
            }
        }
    }
    Some(Value::Object(object))
}

fn value(kind: &Kind, wire: Wire<'_>) -> Option<Value> {
    Some(match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => json!(std::str::from_utf8(bytes).ok()?),
        (Kind::Bytes, Wire::Bytes(bytes)) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        (Kind::Number, Wire::Number(number)) => json!(number.cast_signed()),
        (Kind::Truth, Wire::Number(number)) => json!(number != 0),
        (Kind::Message(name), Wire::Bytes(bytes)) => message(name, bytes)?,
        _ => return None,
    })
}

/// A message that is a text, a number or whatever it carries.
fn special(name: &str, bytes: &[u8]) -> Option<Value> {
    let number = |wanted| match field_of(bytes, wanted) {
        Some(Wire::Number(number)) => number.cast_signed(),
        _ => 0,
    };
    Some(match name {
        "Quantity" => json!(text_of(bytes, 1)?),
        "IntOrString" if number(1) == 0 => json!(number(2)),
        "IntOrString" => json!(text_of(bytes, 3)?),
        "Time" | "MicroTime" if bytes.is_empty() => Value::Null,
        "Time" | "MicroTime" => {
            let at = Timestamp::new(number(1), i32::try_from(number(2)).ok()?).ok()?;
            match name {
                "Time" => json!(seconds(at)),
                _ => json!(at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
            }
        }
        "ExtraValue" => {
            let texts: Option<Vec<Value>> = parts(bytes).map(|part| value(&Kind::Text, part?.1)).collect();
            json!(texts?)
        }
        // A raw extension and a set of fields carry JSON.
        _ => match field_of(bytes, 1) {
            Some(Wire::Bytes(raw)) => serde_json::from_slice(raw).ok()?,
            _ => Value::Null,
        },
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// What stands on the wire for a field.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; ends with none where the message is damaged.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Wire<'_>)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let part = next_part(&mut bytes);
        if part.is_none() {
            bytes = &[];
        }
        Some(part)
    })
}

fn next_part<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let key = variable(bytes)?;
    let wire = match key & 7 {
        0 => Wire::Number(variable(bytes)?),
        1 => Wire::Bytes(taken(bytes, 8)?),
        2 => {
            let length = usize::try_from(variable(bytes)?).ok()?;
            Wire::Bytes(taken(bytes, length)?)
        }
        5 => Wire::Bytes(taken(bytes, 4)?),
        _ => return None,
    };
    Some((key >> 3, wire))
}

fn taken<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// A number of seven bits a byte, the lowest first.
fn variable(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The last field of that number.
fn field_of(bytes: &[u8], wanted: u64) -> Option<Wire<'_>> {
    let found = parts(bytes).flatten().filter(|(number, _)| *number == wanted);
    found.last().map(|(_, wire)| wire)
}

/// A field of text; one that is not there is empty.
fn text_of(bytes: &[u8], wanted: u64) -> Option<String> {
    match field_of(bytes, wanted) {
        None => Some(String::new()),
        Some(Wire::Bytes(text)) => String::from_utf8(text.to_vec()).ok(),
        Some(Wire::Number(_)) => None,
    }
}
