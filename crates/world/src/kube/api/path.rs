//! The few forms of `JSONPath` that custom resource definitions use: `.a.b`, `.a[0]`, `.a[?(@.type=="Ready")].status`.

use serde_json::Value;

/// The first value at a path.
pub(crate) fn first<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path.trim_start_matches(['{', '$']).trim_end_matches('}');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix("[?(") {
            let (test, after) = inside.split_once(")]")?;
            value = value.as_array()?.iter().find(|item| holds(item, test))?;
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (key, after) = inside.split_once(']')?;
            value = match key.trim_matches(['\'', '"']) {
                "*" => value.as_array()?.first()?,
                key => match key.parse::<usize>() {
                    Ok(index) => value.get(index)?,
                    Err(_) => value.get(key)?,
                },
            };
            rest = after;
        } else {
            let text = rest.strip_prefix('.').unwrap_or(rest);
            let (name, after) = name(text);
            value = value.get(&name)?;
            rest = after;
        }
    }
    (!value.is_null()).then_some(value)
}

/// A field's name up to the next step; a dot in a name is written `\.`.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}

/// Whether `@.field == "value"` holds for an item.
fn holds(item: &Value, condition: &str) -> bool {
    let Some((field, wanted)) = condition.split_once("==") else {
        return false;
    };
    let field = field.trim().trim_start_matches('@');
    let wanted = wanted.trim().trim_matches(['"', '\'']);
    match first(item, field) {
        Some(Value::String(found)) => found == wanted,
        Some(other) => *other == wanted,
        None => false,
    }
}

/// Sets the value at a plain path such as `.spec.replicas`, making what is missing on the way.
pub(crate) fn set(object: &mut Value, path: &str, new: Value) {
    let mut value = object;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        if !value.is_object() {
            *value = Value::Object(serde_json::Map::new());
        }
        value = &mut value[step];
    }
    *value = new;
}

/// Removes what is at a plain path such as `.spec.replicas`.
pub(crate) fn remove(object: &mut Value, path: &str) {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = object.pointer_mut(&parent.replace('.', "/"));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_printer_columns_find_their_values() {
        let object = json!({"spec": {"a.b": 1, "list": [{"n": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let cases = [
            (".spec.list[0].n", json!(2)),
            (".spec.a\\.b", json!(1)),
            (".status.conditions[?(@.type==\"Ready\")].status", json!("True")),
        ];
        for (path, expected) in cases {
            assert_eq!(first(&object, path), Some(&expected), "{path}");
        }
        assert_eq!(first(&object, ".spec.none"), None);
    }

    #[test]
    fn what_is_set_at_a_path_can_be_removed_from_it() {
        let mut object = json!({});
        set(&mut object, ".spec.replicas", json!(3));
        assert_eq!(object, json!({"spec": {"replicas": 3}}));
        remove(&mut object, ".spec.replicas");
        remove(&mut object, ".status.replicas");
        assert_eq!(object, json!({"spec": {}}));
    }
}
