//! Merging an applied object into a live one, and taking out what nobody wants any more.

use serde_json::Map;
use serde_json::Value;

use crate::kube::api::fields::Fields;
use crate::kube::api::fields::item_step;
use crate::kube::api::shape::Merge;
use crate::kube::api::shape::Shape;

/// The live value with the applied one on top.
pub(crate) fn merged(live: Option<&Value>, applied: Option<&Value>, shape: &Shape) -> Value {
    let (live, applied) = match (live, applied) {
        (Some(live), Some(applied)) => (live, applied),
        (one, other) => return one.or(other).cloned().unwrap_or_default(),
    };
    match (shape, live, applied) {
        (Shape::Map { whole: true, .. }, ..) => applied.clone(),
        (Shape::Fields(structure), ..) if structure.whole => applied.clone(),
        (_, Value::Object(old), Value::Object(new)) => merged_maps(old, new, shape),
        (Shape::List { merge, items }, Value::Array(old), Value::Array(new)) if *merge != Merge::Whole => {
            Value::Array(merged_lists(old, new, shape, items))
        }
        _ => applied.clone(),
    }
}

fn merged_maps(old: &Map<String, Value>, new: &Map<String, Value>, shape: &Shape) -> Value {
    let mut map = old.clone();
    for (name, value) in new {
        let inner = shape.field(name).unwrap_or(&Shape::Anything);
        map.insert(name.clone(), merged(old.get(name), Some(value), inner));
    }
    Value::Object(map)
}

/// The items of both lists, in an order that keeps the applied list's own.
fn merged_lists(old: &[Value], new: &[Value], shape: &Shape, items: &Shape) -> Vec<Value> {
    let steps = |list: &[Value]| -> Vec<Option<String>> { list.iter().map(|item| item_step(shape, item)).collect() };
    let (old_steps, new_steps) = (steps(old), steps(new));
    let find = |steps: &[Option<String>], step: &Option<String>| {
        step.as_ref()
            .and_then(|step| steps.iter().position(|known| known.as_ref() == Some(step)))
    };
    let mut merged_list = Vec::with_capacity(old.len().max(new.len()));
    let mut placed = vec![false; new.len()];
    let (mut left, mut right) = (0, 0);
    // The next item of the applied list that the live list has too.
    let shared = |from: usize| {
        new_steps
            .iter()
            .skip(from)
            .find(|step| find(&old_steps, step).is_some())
            .cloned()
    };
    while left < old.len() || right < new.len() {
        if left < old.len() && right < new.len() {
            let (l, r) = (&old_steps[left], &new_steps[right]);
            if l.is_some() && l == r {
                merged_list.push(merged(Some(&old[left]), Some(&new[right]), items));
                placed[right] = true;
                (left, right) = (left + 1, right + 1);
                continue;
            }
            let expected = shared(right).flatten();
            if find(&new_steps, l).is_some() && expected.is_some() && expected != *l {
                left += 1;
                continue;
            }
        }
        if left < old.len() {
            match find(&new_steps, &old_steps[left]) {
                None => {
                    merged_list.push(old[left].clone());
                    left += 1;
                    continue;
                }
                Some(at) if placed[at] => {
                    left += 1;
                    continue;
                }
                Some(_) => {}
            }
        }
        if right < new.len() {
            let before = find(&old_steps, &new_steps[right]).map(|at| &old[at]);
            merged_list.push(merged(before, Some(&new[right]), items));
            placed[right] = true;
            right += 1;
        }
    }
    merged_list
}

/// The value without these fields; none when nothing is left of a list or a map.
pub(crate) fn without(value: &Value, fields: &Fields, shape: &Shape) -> Option<Value> {
    match (shape, value) {
        (Shape::Map { whole: true, .. }, _) => Some(value.clone()),
        (Shape::Fields(structure), _) if structure.whole => Some(value.clone()),
        (_, Value::Object(map)) => {
            let mut kept = Map::new();
            for (name, inner) in map {
                let step = format!("f:{name}");
                if fields.has(&step) {
                    continue;
                }
                let below = shape.field(name).unwrap_or(&Shape::Anything);
                let inner = match fields.below(&step) {
                    Some(inside) => without(inner, inside, below),
                    None => Some(inner.clone()),
                };
                kept.extend(inner.map(|inner| (name.clone(), inner)));
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::List { merge, items }, Value::Array(list)) if *merge != Merge::Whole => {
            let kept: Vec<Value> = list
                .iter()
                .filter_map(|item| {
                    let step = item_step(shape, item)?;
                    match fields.below(&step) {
                        _ if fields.has(&step) => None,
                        Some(inside) => without(item, inside, items),
                        None => Some(item.clone()),
                    }
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::api::shape::defined;

    #[test]
    fn items_merge_by_name_and_new_ones_follow() {
        let shape = defined("PodSpec").unwrap();
        let live = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let applied = json!({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]});
        let expected = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}]});
        assert_eq!(merged(Some(&live), Some(&applied), shape), expected);
    }

    #[test]
    fn the_applied_order_wins_for_shared_items() {
        let shape = defined("ObjectMeta.meta").unwrap();
        let live = json!({"finalizers": ["a", "b", "c"]});
        let applied = json!({"finalizers": ["c", "a"]});
        let merged = merged(Some(&live), Some(&applied), shape);
        assert_eq!(merged["finalizers"], json!(["b", "c", "a"]));
    }
}
