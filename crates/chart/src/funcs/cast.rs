//! How sprig turns anything into a number or a text (the rules of spf13/cast).

use crate::format;
use crate::value::Value;

/// A whole number; what is none becomes 0.
pub(super) fn integer(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates towards zero, too")]
        Value::Float(number) => *number as i64,
        Value::Bool(truth) => i64::from(*truth),
        Value::String(text) => parse_integer(without_zero_decimals(text)).unwrap_or(0),
        _ => 0,
    }
}

/// A float; what is none becomes 0.
pub(super) fn float(value: &Value) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "Go rounds to the nearest float, too")]
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::String(text) => text.replace('_', "").parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

/// The text of a value.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => format::text(value),
    }
}

/// The texts of a list without its nils; anything else is a list of itself.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match super::items(value) {
        Some(items) => items.iter().filter(|item| !item.is_nil()).map(text).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![text(value)],
    }
}

/// `1.000` counts as 1.
fn without_zero_decimals(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, decimals)) if decimals.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    }
}

/// An integer whose prefix tells its base.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        [b'0', _, ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    if digits.starts_with(['+', '-']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let magnitude = u64::from_str_radix(&digits.replace('_', ""), base).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}
