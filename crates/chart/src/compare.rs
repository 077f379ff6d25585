//! Go's comparisons: strict about kinds, lenient about nothing.

use std::cmp::Ordering;

use crate::format;
use crate::value::Value;

/// Values nested deeper than this are taken for equal to nothing.
const DEPTH: usize = 500;

/// The kinds that Go compares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Float,
    String,
}

fn basic(value: &Value) -> Option<Basic> {
    match value {
        Value::Bool(_) => Some(Basic::Bool),
        Value::Int(_) | Value::Int64(_) => Some(Basic::Int),
        Value::Float(_) => Some(Basic::Float),
        Value::String(_) | Value::Raw(_) => Some(Basic::String),
        _ => None,
    }
}

/// `eq` for one pair.
pub(crate) fn equal(one: &Value, other: &Value) -> Result<bool, String> {
    if basic(one) != basic(other) {
        if one.is_nil() || other.is_nil() {
            return Ok(false);
        }
        return Err(incompatible(one, other));
    }
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
        (Value::Int(one) | Value::Int64(one), Value::Int(other) | Value::Int64(other)) => Ok(one == other),
        #[expect(clippy::float_cmp, reason = "Go's `eq` compares floats exactly")]
        (Value::Float(one), Value::Float(other)) => Ok(one == other),
        (Value::String(_) | Value::Raw(_), _) => Ok(one.string_bytes() == other.string_bytes()),
        _ if one.is_nil() || other.is_nil() => Ok(one.is_nil() && other.is_nil()),
        _ => Err(format!(
            "non-comparable type {}: {}",
            format::text(other),
            other.type_name()
        )),
    }
}

/// `lt` and its kin.
pub(crate) fn order(one: &Value, other: &Value) -> Result<Ordering, String> {
    let (Some(left), Some(right)) = (basic(one), basic(other)) else {
        return Err("invalid type for comparison".to_owned());
    };
    if left != right {
        return Err(incompatible(one, other));
    }
    match (one, other) {
        (Value::Int(one) | Value::Int64(one), Value::Int(other) | Value::Int64(other)) => Ok(one.cmp(other)),
        // What cannot be ordered is neither less nor equal; `Greater` makes `lt` and `le` false.
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other).unwrap_or(Ordering::Greater)),
        (Value::String(_) | Value::Raw(_), _) => Ok(one.string_bytes().cmp(other.string_bytes())),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn incompatible(one: &Value, other: &Value) -> String {
    format!(
        "incompatible types for comparison: {} and {}",
        one.type_name(),
        other.type_name()
    )
}

/// Go's `reflect.DeepEqual`: types must agree all the way down.
pub(crate) fn deep_equal(one: &Value, other: &Value) -> bool {
    same(one, other, 0)
}

fn same(one: &Value, other: &Value, depth: usize) -> bool {
    if depth > DEPTH {
        return false;
    }
    match (one, other) {
        (Value::Absent | Value::Nil, Value::Absent | Value::Nil) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one), Value::Int(other)) | (Value::Int64(one), Value::Int64(other)) => one == other,
        #[expect(clippy::float_cmp, reason = "`reflect.DeepEqual` compares floats exactly")]
        (Value::Float(one), Value::Float(other)) => one == other,
        (Value::String(_) | Value::Raw(_), Value::String(_) | Value::Raw(_)) => {
            one.string_bytes() == other.string_bytes()
        }
        (Value::Bytes(one), Value::Bytes(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.element == other.element
                && one.items.len() == other.items.len()
                && one
                    .items
                    .iter()
                    .zip(other.items.iter())
                    .all(|(one, other)| same(one, other, depth + 1))
        }
        (Value::Map(one), Value::Map(other)) => {
            if one.is(other) {
                return true;
            }
            one.sort() == other.sort()
                && one.len() == other.len()
                && one.read(|entries| {
                    entries.iter().all(|(key, value)| {
                        other.read(|others| others.get(key).is_some_and(|known| same(value, known, depth + 1)))
                    })
                })
        }
        (Value::Object(one), Value::Object(other)) => {
            one.type_name() == other.type_name() && one.show() == other.show()
        }
        _ => false,
    }
}
