//! Strategic merge patch: lists whose items have keys merge by them, and `$patch` says what else shall happen.

use serde_json::Map;
use serde_json::Value;

use crate::kube::api::shape::Merge;
use crate::kube::api::shape::Shape;
use crate::kube::api::status::Failure;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_ITEMS: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// An object with a strategic merge patch on it.
pub(crate) fn patched(object: &Value, patch: &Value, shape: &Shape) -> Result<Value, Failure> {
    match (object, patch) {
        (Value::Object(old), Value::Object(new)) => fields(old, new, shape),
        (_, Value::Object(new)) => fields(&Map::new(), new, shape),
        _ => Ok(patch.clone()),
    }
}

fn fields(old: &Map<String, Value>, patch: &Map<String, Value>, shape: &Shape) -> Result<Value, Failure> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let own = patch.iter().filter(|(name, _)| *name != DIRECTIVE);
            return Ok(own.map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => {
            return Err(Failure::bad_request(format!("Unknown patch type found: {other}")));
        }
    }
    let mut map = old.clone();
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        map.retain(|name, _| kept.iter().any(|kept| kept == name.as_str()));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_ITEMS) {
            take_items(&mut map, list, value);
        } else if !name.starts_with('$') {
            field(&mut map, name, value, shape)?;
        }
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(ORDER) {
            order(&mut map, list, value, shape);
        }
    }
    Ok(Value::Object(map))
}

fn field(map: &mut Map<String, Value>, name: &str, value: &Value, shape: &Shape) -> Result<(), Failure> {
    let below = shape.field(name).unwrap_or(&Shape::Anything);
    let new = match (value, map.get(name), below) {
        (Value::Null, ..) => {
            map.remove(name);
            return Ok(());
        }
        (Value::Array(new), old, Shape::List { items, merge }) => {
            let old = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list(old, new, merge, items)?
        }
        (new, old, below) => patched(old.unwrap_or(&Value::Null), new, below)?,
    };
    map.insert(name.to_owned(), new);
    Ok(())
}

fn list(old: &[Value], new: &[Value], merge: &Merge, items: &Shape) -> Result<Value, Failure> {
    let replaces = new.iter().any(|item| item[DIRECTIVE] == "replace");
    if replaces || *merge == Merge::Whole {
        let own = new.iter().filter(|item| item.get(DIRECTIVE).is_none());
        return Ok(own.cloned().collect());
    }
    if let Merge::By(keys) = merge {
        let key = keys.first().map_or("name", String::as_str);
        keyed(old, new, key, items)
    } else {
        let mut all = old.to_vec();
        all.extend(new.iter().filter(|item| !old.contains(item)).cloned());
        Ok(Value::Array(all))
    }
}

/// Items that are new come first, as the real server places them; the others keep their places.
fn keyed(old: &[Value], new: &[Value], key: &str, items: &Shape) -> Result<Value, Failure> {
    let mut all = old.to_vec();
    let mut added = Vec::new();
    for item in new {
        let Some(wanted) = item.get(key) else {
            let message = format!("map: {item} does not contain declared merge key: {key}");
            return Err(Failure::bad_request(message));
        };
        let at = all.iter().position(|known| known.get(key) == Some(wanted));
        match (at, item[DIRECTIVE].as_str()) {
            (Some(at), Some("delete")) => {
                all.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), _) => all[at] = patched(&all[at], item, items)?,
            (None, _) => added.push(patched(&Value::Null, item, items)?),
        }
    }
    added.extend(all);
    Ok(Value::Array(added))
}

fn take_items(map: &mut Map<String, Value>, list: &str, unwanted: &Value) {
    let unwanted = unwanted.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(list) = map.get_mut(list).and_then(Value::as_array_mut) {
        list.retain(|item| !unwanted.contains(item));
    }
}

/// Puts the items of a list in the order that a patch gives; items that it does not name stay behind the named.
fn order(map: &mut Map<String, Value>, name: &str, wanted: &Value, shape: &Shape) {
    let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    let key = match shape.field(name) {
        Some(Shape::List {
            merge: Merge::By(keys), ..
        }) => keys.first().cloned(),
        _ => None,
    };
    let Some(list) = map.get_mut(name).and_then(Value::as_array_mut) else {
        return;
    };
    let place = |item: &Value| {
        let found = wanted.iter().position(|wanted| match &key {
            Some(key) => wanted.get(key) == item.get(key),
            None => wanted == item,
        });
        found.unwrap_or(usize::MAX)
    };
    list.sort_by_key(place);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::api::shape::defined;

    fn check(object: &Value, patch: &Value, expected: &Value) {
        assert_eq!(patched(object, patch, defined("PodSpec").unwrap()).unwrap(), *expected);
    }

    #[test]
    fn containers_merge_by_name_and_leave_by_directive() {
        let object = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        check(
            &object,
            &json!({"containers": [{"name": "a", "image": "2"}]}),
            &json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}),
        );
        check(
            &object,
            &json!({"containers": [{"name": "b", "$patch": "delete"}]}),
            &json!({"containers": [{"name": "a", "image": "1"}]}),
        );
    }

    #[test]
    fn an_order_that_kubectl_sends_is_kept() {
        check(
            &json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            &json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": []}),
            &json!({"containers": [{"name": "b"}, {"name": "a"}]}),
        );
    }
}
