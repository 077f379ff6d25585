//! Go's own functions.

use std::cmp::Ordering;
use std::fmt::Write;

use super::Arguments;
use super::Body;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use super::count;
use crate::compare;
use crate::format;
use crate::value::List;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        parameters: &[Any],
        rest: Some(Any),
        body: Body::Logic(false),
    },
    Function {
        name: "or",
        parameters: &[Any],
        rest: Some(Any),
        body: Body::Logic(true),
    },
    Function::pure("not", &[Any], |arguments| Ok(Value::Bool(!arguments.truth(0)))),
    Function::pure("len", &[Any], len),
    Function::pure("index", &[Any], index).and_more(Any),
    Function::pure("call", &[Any], call).and_more(Any),
    Function::pure("print", &[], |arguments| Ok(format::sprint(arguments).into())).and_more(Any),
    Function::pure("println", &[], |arguments| Ok(format::sprintln(arguments).into())).and_more(Any),
    Function::pure("printf", &[Text], |arguments| {
        Ok(format::sprintf(arguments.text(0), &arguments[1..]).into())
    })
    .and_more(Any),
    Function::pure("html", &[], |arguments| Ok(html(&joined(arguments)).into())).and_more(Any),
    Function::pure("js", &[], |arguments| Ok(javascript(&joined(arguments)).into())).and_more(Any),
    Function::pure("urlquery", &[], |arguments| Ok(url_query(&joined(arguments)).into())).and_more(Any),
    Function::pure("eq", &[Any], equal).and_more(Any),
    Function::pure("ne", &[Any, Any], |arguments| {
        Ok(Value::Bool(!compare::equal(&arguments[0], &arguments[1])?))
    }),
    Function::pure("lt", &[Any, Any], |arguments| {
        ordered(arguments, |order| order == Ordering::Less)
    }),
    Function::pure("le", &[Any, Any], |arguments| {
        ordered(arguments, |order| order != Ordering::Greater)
    }),
    Function::pure("gt", &[Any, Any], |arguments| {
        ordered(arguments, |order| order == Ordering::Greater)
    }),
    Function::pure("ge", &[Any, Any], |arguments| {
        ordered(arguments, |order| order != Ordering::Less)
    }),
];

fn ordered(arguments: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, String> {
    compare::order(&arguments[0], &arguments[1]).map(|order| Value::Bool(holds(order)))
}

/// True if the first argument equals any of the others.
fn equal(arguments: &[Value]) -> Result<Value, String> {
    let [first, others @ ..] = arguments else {
        return Err("missing argument for comparison".to_owned());
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if compare::equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn len(arguments: &[Value]) -> Result<Value, String> {
    match &arguments[0] {
        Value::Absent | Value::Nil => Err("len of nil pointer".to_owned()),
        Value::String(_) | Value::Raw(_) => Ok(count(arguments[0].string_bytes().len())),
        Value::Bytes(bytes) => Ok(count(bytes.len())),
        Value::List(list) => Ok(count(list.items.len())),
        Value::Map(map) => Ok(count(map.len())),
        Value::Object(object) if object.entries().is_some() => {
            Ok(count(object.entries().map_or(0, |entries| entries.len())))
        }
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut item = arguments[0].clone();
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    for key in &arguments[1..] {
        item = match &item {
            Value::Map(map) => match key {
                Value::String(key) => map.get(key).unwrap_or_else(|| map.zero()),
                Value::Absent | Value::Nil => return Err("value is nil; should be of type string".to_owned()),
                _ => return Err(format!("value has type {}; should be string", key.type_name())),
            },
            Value::List(List { items, .. }) => items[position(key, items.len())?].clone(),
            Value::String(_) | Value::Raw(_) => {
                let bytes = item.string_bytes();
                Value::Int(i64::from(bytes[position(key, bytes.len())?]))
            }
            Value::Bytes(bytes) => Value::Int(i64::from(bytes[position(key, bytes.len())?])),
            Value::Object(object) => match object.entries() {
                Some(entries) => entries[position(key, entries.len())?].1.clone(),
                None => return Err(format!("can't index item of type {}", object.type_name())),
            },
            Value::Absent | Value::Nil => return Err("index of nil pointer".to_owned()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn position(key: &Value, length: usize) -> Result<usize, String> {
    match key {
        Value::Int(number) | Value::Int64(number) => match usize::try_from(*number) {
            Ok(position) if position < length => Ok(position),
            Ok(position) if position == length => Err("reflect: slice index out of range".to_owned()),
            _ => Err(format!("index out of range: {number}")),
        },
        Value::Absent | Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

/// No value that a chart can reach is a function.
fn call(arguments: &[Value]) -> Result<Value, String> {
    match &arguments[0] {
        Value::Absent | Value::Nil => Err("call of nil".to_owned()),
        other => Err(format!(
            "non-function {} of type {}",
            format::text(other),
            other.type_name()
        )),
    }
}

fn joined(arguments: &[Value]) -> String {
    match arguments {
        [Value::String(text)] => text.to_string(),
        _ => format::sprint(arguments),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(character),
        }
    }
    out
}

fn javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04X}", u32::from(character)).expect("writing to a string cannot fail");
            }
            _ => out.push(character),
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    out
}
