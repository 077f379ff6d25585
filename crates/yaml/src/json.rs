//! To and from `serde_json`, which the rest of the product speaks.

use serde_json::Map;
use serde_json::Number;

use crate::value::Value;

impl From<Value> for serde_json::Value {
    /// Converts by moving. What JSON cannot say (infinities, not-a-number) becomes null.
    fn from(value: Value) -> Self {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => serde_json::Value::Bool(truth),
            Value::Int(number) => serde_json::Value::Number(number.into()),
            Value::Uint(number) => serde_json::Value::Number(number.into()),
            Value::Float(number) => Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number),
            Value::String(text) => serde_json::Value::String(text),
            Value::List(items) => serde_json::Value::Array(items.into_iter().map(Into::into).collect()),
            Value::Map(entries) => {
                let entries: Map<String, serde_json::Value> =
                    entries.into_iter().map(|(key, value)| (key, value.into())).collect();
                serde_json::Value::Object(entries)
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(truth) => Value::Bool(truth),
            serde_json::Value::Number(number) => from_number(&number),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Into::into).collect()),
            serde_json::Value::Object(entries) => {
                Value::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

fn from_number(number: &Number) -> Value {
    if let Some(value) = number.as_i64() {
        return Value::Int(value);
    }
    if let Some(value) = number.as_u64() {
        return Value::Uint(value);
    }
    number.as_f64().map_or(Value::Null, Value::Float)
}
