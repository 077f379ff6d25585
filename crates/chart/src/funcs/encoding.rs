//! YAML, JSON and base 64 and 32.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tubectl_yaml::Value as Yaml;

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use crate::convert;
use crate::value::Entries;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("toYaml", &[Any], |arguments| {
        Ok(to_yaml(&arguments[0]).unwrap_or_default().into())
    }),
    Function::pure("mustToYaml", &[Any], |arguments| to_yaml(&arguments[0]).map(Into::into)),
    Function::pure("toYamlPretty", &[Any], |arguments| {
        let yaml = convert::to_yaml(&arguments[0]);
        Ok(yaml
            .map_or_else(|_| String::new(), |yaml| trimmed(tubectl_yaml::emit_pretty(&yaml)))
            .into())
    }),
    Function::pure("fromYaml", &[Text], |arguments| {
        Ok(or_error_map(from_yaml(arguments.text(0), Shape::Map)))
    }),
    Function::pure("fromYamlArray", &[Text], |arguments| {
        Ok(or_error_list(from_yaml(arguments.text(0), Shape::List)))
    }),
    Function::pure("toJson", &[Any], |arguments| {
        Ok(to_json(&arguments[0], Json::Escaped).unwrap_or_default().into())
    }),
    Function::pure("mustToJson", &[Any], |arguments| {
        to_json(&arguments[0], Json::Escaped).map(Into::into)
    }),
    Function::pure("toRawJson", &[Any], |arguments| {
        to_json(&arguments[0], Json::Raw).map(Into::into)
    }),
    Function::pure("mustToRawJson", &[Any], |arguments| {
        to_json(&arguments[0], Json::Raw).map(Into::into)
    }),
    Function::pure("toPrettyJson", &[Any], |arguments| {
        Ok(to_json(&arguments[0], Json::Pretty).unwrap_or_default().into())
    }),
    Function::pure("mustToPrettyJson", &[Any], |arguments| {
        to_json(&arguments[0], Json::Pretty).map(Into::into)
    }),
    Function::pure("fromJson", &[Text], |arguments| {
        Ok(or_error_map(from_json(arguments.text(0), Shape::Map)))
    }),
    Function::pure("fromJsonArray", &[Text], |arguments| {
        Ok(or_error_list(from_json(arguments.text(0), Shape::List)))
    }),
    Function::pure("mustFromJson", &[Text], |arguments| {
        from_json(arguments.text(0), Shape::Any)
    }),
    Function::pure("b64enc", &[Text], |arguments| Ok(base64(arguments.bytes(0)).into())),
    Function::pure("b64dec", &[Text], |arguments| Ok(base64_decoded(arguments.text(0)))),
    Function::pure("b32enc", &[Text], |arguments| Ok(base32(arguments.bytes(0)).into())),
    Function::pure("b32dec", &[Text], |arguments| Ok(base32_decoded(arguments.text(0)))),
];

/// Bytes in base 64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The text, or what is wrong with it: the function returns the complaint as its value.
fn base64_decoded(text: &str) -> Value {
    let text: String = text
        .chars()
        .filter(|character| !matches!(character, '\n' | '\r'))
        .collect();
    match STANDARD.decode(&text) {
        Ok(bytes) => Value::string(bytes),
        Err(error) => {
            let offset = match error {
                base64::DecodeError::InvalidByte(offset, _) | base64::DecodeError::InvalidLastSymbol(offset, _) => {
                    offset
                }
                base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
            };
            format!("illegal base64 data at input byte {offset}").into()
        }
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut group = [0_u8; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        let digits = (chunk.len() * 8).div_ceil(5);
        for digit in 0..8 {
            let index = usize::try_from(bits >> (35 - 5 * digit) & 31).unwrap_or(0);
            out.push(if digit < digits { char::from(BASE32[index]) } else { '=' });
        }
    }
    out
}

fn base32_decoded(text: &str) -> Value {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for (position, digit) in digits.bytes().enumerate() {
        let Some(value) = BASE32.iter().position(|known| *known == digit) else {
            return format!("illegal base32 data at input byte {position}").into();
        };
        bits = bits << 5 | u32::try_from(value).unwrap_or(0);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
            bits &= (1 << held) - 1;
        }
    }
    if !text.len().is_multiple_of(8) {
        return format!("illegal base32 data at input byte {}", text.len()).into();
    }
    Value::string(bytes)
}

fn trimmed(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

fn to_yaml(value: &Value) -> Result<String, String> {
    convert::to_yaml(value).map(|yaml| trimmed(tubectl_yaml::emit(&yaml)))
}

/// What the caller expects to find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Any,
    Map,
    List,
}

fn shaped(value: Value, shape: Shape) -> Result<Value, String> {
    let found = match (&value, shape) {
        (Value::Nil, Shape::Map) => return Ok(Value::map(Entries::new())),
        (Value::Nil, Shape::List) => return Ok(Value::list(Vec::new())),
        (_, Shape::Any) | (Value::Map(_), Shape::Map) | (Value::List(_), Shape::List) => return Ok(value),
        (Value::Map(_), _) => "object",
        (Value::List(_), _) => "array",
        (Value::Bool(_), _) => "bool",
        (Value::String(_), _) => "string",
        _ => "number",
    };
    let wanted = if shape == Shape::Map {
        "map[string]interface {}"
    } else {
        "[]interface {}"
    };
    Err(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
}

fn from_yaml(text: &str, shape: Shape) -> Result<Value, String> {
    let yaml = tubectl_yaml::parse(text).map_err(|error| {
        format!(
            "error converting YAML to JSON: yaml: line {}: {}",
            error.line, error.message
        )
    })?;
    shaped(convert::from_yaml(&yaml), shape)
        .map_err(|message| format!("error unmarshaling JSON: while decoding JSON: {message}"))
}

fn from_json(text: &str, shape: Shape) -> Result<Value, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| json_complaint(text, &error))?;
    shaped(convert::from_yaml(&Yaml::from(json)), shape)
}

/// What is wrong with a JSON text, in Go's words as far as they are the same for all texts.
fn json_complaint(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line_start = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let offset = line_start + error.column().saturating_sub(1);
    match text.get(offset..).and_then(|rest| rest.chars().next()) {
        Some(character) => format!("invalid character '{character}' looking for beginning of value"),
        None => "unexpected end of JSON input".to_owned(),
    }
}

fn or_error_map(outcome: Result<Value, String>) -> Value {
    outcome.unwrap_or_else(|message| Value::map([("Error".into(), message.into())].into_iter().collect::<Entries>()))
}

fn or_error_list(outcome: Result<Value, String>) -> Value {
    outcome.unwrap_or_else(|message| Value::list(vec![message.into()]))
}

/// How JSON is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Json {
    /// In one line, with `<`, `>` and `&` escaped for HTML.
    Escaped,
    Raw,
    Pretty,
}

/// A value as Go's `encoding/json` writes it.
pub(crate) fn to_json(value: &Value, style: Json) -> Result<String, String> {
    let mut writer = Writer {
        out: String::new(),
        style,
    };
    writer.value(&convert::to_yaml(value)?, 0);
    Ok(writer.out)
}

struct Writer {
    out: String,
    style: Json,
}

impl Writer {
    fn value(&mut self, value: &Yaml, depth: usize) {
        match value {
            Yaml::Null => self.out.push_str("null"),
            Yaml::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Yaml::Int(number) => self.out.push_str(&number.to_string()),
            Yaml::Uint(number) => self.out.push_str(&number.to_string()),
            Yaml::Float(number) => self.out.push_str(&tubectl_yaml::format_json_float(*number)),
            Yaml::String(text) => self.text(text),
            Yaml::List(items) => {
                self.out.push('[');
                for (position, item) in items.iter().enumerate() {
                    self.separate(position, depth + 1);
                    self.value(item, depth + 1);
                }
                self.close(']', items.is_empty(), depth);
            }
            Yaml::Map(entries) => {
                self.out.push('{');
                for (position, (key, item)) in entries.iter().enumerate() {
                    self.separate(position, depth + 1);
                    self.text(key);
                    self.out.push_str(if self.style == Json::Pretty { ": " } else { ":" });
                    self.value(item, depth + 1);
                }
                self.close('}', entries.is_empty(), depth);
            }
        }
    }

    fn separate(&mut self, position: usize, depth: usize) {
        if position > 0 {
            self.out.push(',');
        }
        self.line(depth);
    }

    fn close(&mut self, bracket: char, empty: bool, depth: usize) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if self.style == Json::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '<' | '>' | '&' if self.style != Json::Raw => self.escaped(character),
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => self.escaped(character),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn escaped(&mut self, character: char) {
        write!(self.out, "\\u{:04x}", u32::from(character)).expect("writing to a string cannot fail");
    }
}
