//! Maps. `set`, `unset` and the merges change the map that they are given.

use std::rc::Rc;

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Map as Dict;
use super::Param::String as Text;
use super::cast;
use super::defaults::is_empty;
use crate::value::Entries;
use crate::value::List;
use crate::value::Map;
use crate::value::Sort;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("dict", &[], |arguments| Ok(dict(arguments))).and_more(Any),
    Function::pure("get", &[Dict, Text], |arguments| {
        Ok(arguments.map(0).get(arguments.text(1)).unwrap_or_else(|| "".into()))
    }),
    Function::pure("set", &[Dict, Text, Any], |arguments| {
        let Value::Map(map) = &arguments[0] else {
            return Err("assignment to entry in nil map".to_owned());
        };
        map.insert(arguments.text(1), arguments[2].clone());
        Ok(arguments[0].clone())
    }),
    Function::pure("unset", &[Dict, Text], |arguments| {
        arguments.map(0).remove(arguments.text(1));
        Ok(arguments[0].clone())
    }),
    Function::pure("hasKey", &[Dict, Text], |arguments| {
        Ok(Value::Bool(arguments.map(0).contains(arguments.text(1))))
    }),
    Function::pure("pluck", &[Text], |arguments| {
        let found = arguments[1..]
            .iter()
            .filter_map(|map| map.as_map()?.get(arguments.text(0)));
        Ok(Value::list(found.collect()))
    })
    .and_more(Dict),
    Function::pure("keys", &[], |arguments| {
        let keys = arguments
            .iter()
            .filter_map(Value::as_map)
            .flat_map(|map| map.snapshot().into_keys());
        Ok(Value::List(List::strings(keys)))
    })
    .and_more(Dict),
    Function::pure("values", &[Dict], |arguments| {
        Ok(Value::list(arguments.map(0).snapshot().into_values().collect()))
    }),
    Function::pure("pick", &[Dict], |arguments| Ok(selected(arguments, true))).and_more(Text),
    Function::pure("omit", &[Dict], |arguments| Ok(selected(arguments, false))).and_more(Text),
    Function::pure("merge", &[Dict], |arguments| Ok(merge(arguments, fill))).and_more(Dict),
    Function::pure("mustMerge", &[Dict], |arguments| Ok(merge(arguments, fill))).and_more(Dict),
    Function::pure("mergeOverwrite", &[Dict], |arguments| Ok(merge(arguments, overwrite))).and_more(Dict),
    Function::pure("mustMergeOverwrite", &[Dict], |arguments| {
        Ok(merge(arguments, overwrite))
    })
    .and_more(Dict),
    Function::pure("dig", &[], dig).and_more(Any),
];

fn dict(arguments: &[Value]) -> Value {
    let mut entries = Entries::new();
    for pair in arguments.chunks(2) {
        let key: Rc<str> = match &pair[0] {
            Value::String(key) => Rc::clone(key),
            other => cast::text(other).into(),
        };
        entries.insert(key, pair.get(1).cloned().unwrap_or_else(|| "".into()));
    }
    Value::map(entries)
}

fn selected(arguments: &[Value], named: bool) -> Value {
    let mut entries = arguments.map(0).snapshot();
    entries.retain(|key, _| arguments[1..].iter().any(|name| name.as_str() == Some(key)) == named);
    Value::map(entries)
}

fn merge(arguments: &[Value], add: fn(&Map, &Map)) -> Value {
    let target = arguments.map(0);
    for source in arguments[1..].iter().filter_map(Value::as_map) {
        if !target.is(source) {
            add(&target, source);
        }
    }
    Value::Map(target)
}

/// Fills what the target lacks or holds empty; maps are filled all the way down. A nil of the source fills nothing.
fn fill(target: &Map, source: &Map) {
    for (key, value) in source.snapshot() {
        let known = target.get(&key);
        if let (Some(Value::Map(inner)), Value::Map(other)) = (&known, &value)
            && !inner.is(other)
        {
            fill(inner, other);
        }
        if !value.is_nil() && known.is_none_or(|known| is_empty(&known)) {
            target.insert(key, value);
        }
    }
}

/// Replaces what the source has; maps are merged all the way down.
fn overwrite(target: &Map, source: &Map) {
    for (key, value) in source.snapshot() {
        if let (Some(Value::Map(inner)), Value::Map(other)) = (target.get(&key), &value) {
            if !inner.is(other) {
                overwrite(&inner, other);
            }
            if inner.len() > 0 {
                continue;
            }
        }
        target.insert(key, value);
    }
}

fn dig(arguments: &[Value]) -> Result<Value, String> {
    let [path @ .., default, map] = arguments else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if path.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let mut value = map.clone();
    for key in path {
        let Value::String(key) = key else {
            return Err(conversion(key, "string"));
        };
        let Value::Map(map) = &value else {
            return Err(conversion(&value, "map[string]interface {}"));
        };
        if map.sort() != Sort::Any {
            return Err(conversion(&value, "map[string]interface {}"));
        }
        match map.get(key) {
            Some(found) => value = found,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

fn conversion(value: &Value, wanted: &str) -> String {
    let got = if value.is_nil() {
        "nil".to_owned()
    } else {
        value.type_name()
    };
    format!("interface conversion: interface {{}} is {got}, not {wanted}")
}
