//! Defaults and choices.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Bool;
use super::cast;
use super::items;
use crate::convert;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("default", &[Any], |arguments| Ok(default(arguments))).and_more(Any),
    Function::pure("empty", &[Any], |arguments| Ok(Value::Bool(is_empty(&arguments[0])))),
    Function::pure("coalesce", &[], |arguments| {
        Ok(arguments
            .iter()
            .find(|value| !is_empty(value))
            .cloned()
            .unwrap_or_default())
    })
    .and_more(Any),
    Function::pure("all", &[], |arguments| Ok(Value::Bool(!arguments.iter().any(is_empty)))).and_more(Any),
    Function::pure("any", &[], |arguments| Ok(Value::Bool(!arguments.iter().all(is_empty)))).and_more(Any),
    Function::pure("ternary", &[Any, Any, Bool], |arguments| {
        Ok(arguments[usize::from(!arguments.truth(2))].clone())
    }),
    Function::pure("compact", &[Any], compact),
    Function::pure("mustCompact", &[Any], compact),
    Function::pure("deepCopy", &[Any], |arguments| Ok(convert::deep_copy(&arguments[0]))),
    Function::pure("mustDeepCopy", &[Any], |arguments| {
        Ok(convert::deep_copy(&arguments[0]))
    }),
    Function::pure("toString", &[Any], |arguments| Ok(cast::text(&arguments[0]).into())),
];

/// Zero values and empty collections are empty.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.truth()
}

fn default(arguments: &[Value]) -> Value {
    match arguments.get(1) {
        Some(given) if !is_empty(given) => given.clone(),
        _ => arguments[0].clone(),
    }
}

fn compact(arguments: &[Value]) -> Result<Value, String> {
    let items = items(&arguments[0]).ok_or_else(|| format!("Cannot compact on type {}", arguments[0].kind()))?;
    Ok(Value::list(items.into_iter().filter(|item| !is_empty(item)).collect()))
}
