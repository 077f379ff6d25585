//! Lists. Every function returns a new one.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Int;
use super::Param::String as Text;
use super::cast;
use super::items;
use super::length;
use crate::compare::deep_equal;
use crate::value::Element;
use crate::value::List;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("list", &[], |arguments| Ok(Value::list(arguments.to_vec()))).and_more(Any),
    Function::pure("tuple", &[], |arguments| Ok(Value::list(arguments.to_vec()))).and_more(Any),
    Function::pure("append", &[Any, Any], append),
    Function::pure("mustAppend", &[Any, Any], append),
    Function::pure("push", &[Any, Any], append),
    Function::pure("mustPush", &[Any, Any], append),
    Function::pure("prepend", &[Any, Any], prepend),
    Function::pure("mustPrepend", &[Any, Any], prepend),
    Function::pure("first", &[Any], first),
    Function::pure("mustFirst", &[Any], first),
    Function::pure("last", &[Any], last),
    Function::pure("mustLast", &[Any], last),
    Function::pure("rest", &[Any], rest),
    Function::pure("mustRest", &[Any], rest),
    Function::pure("initial", &[Any], initial),
    Function::pure("mustInitial", &[Any], initial),
    Function::pure("reverse", &[Any], reverse),
    Function::pure("mustReverse", &[Any], reverse),
    Function::pure("uniq", &[Any], uniq),
    Function::pure("mustUniq", &[Any], uniq),
    Function::pure("without", &[Any], without).and_more(Any),
    Function::pure("mustWithout", &[Any], without).and_more(Any),
    Function::pure("has", &[Any, Any], has),
    Function::pure("mustHas", &[Any, Any], has),
    Function::pure("slice", &[Any], slice).and_more(Any),
    Function::pure("mustSlice", &[Any], slice).and_more(Any),
    Function::pure("concat", &[], concat).and_more(Any),
    Function::pure("chunk", &[Int, Any], chunk),
    Function::pure("mustChunk", &[Int, Any], chunk),
    Function::pure("join", &[Text, Any], |arguments| {
        Ok(cast::texts(&arguments[1]).join(arguments.text(0)).into())
    }),
    Function::pure("sortAlpha", &[Any], |arguments| {
        let mut texts = cast::texts(&arguments[0]);
        texts.sort();
        Ok(Value::List(List::strings(texts)))
    }),
    Function::pure("toStrings", &[Any], |arguments| {
        Ok(Value::List(List::strings(cast::texts(&arguments[0]))))
    }),
    Function::pure("until", &[Int], |arguments| {
        let count = arguments.int(0);
        numbers(0, count, if count < 0 { -1 } else { 1 })
    }),
    Function::pure("untilStep", &[Int, Int, Int], |arguments| {
        numbers(arguments.int(0), arguments.int(1), arguments.int(2))
    }),
    Function::pure("seq", &[], seq).and_more(Int),
];

/// More numbers than any chart needs; beyond it a template asks for all the memory there is.
const NUMBERS: i64 = 10_000_000;

fn list(value: &Value, doing: &str) -> Result<Vec<Value>, String> {
    items(value).ok_or_else(|| {
        let kind = if value.is_nil() { "<nil>" } else { value.kind() };
        format!("Cannot {doing} type {kind}")
    })
}

fn append(arguments: &[Value]) -> Result<Value, String> {
    let mut items = list(&arguments[0], "push on")?;
    items.push(arguments[1].clone());
    Ok(Value::list(items))
}

fn prepend(arguments: &[Value]) -> Result<Value, String> {
    let mut items = list(&arguments[0], "prepend on")?;
    items.insert(0, arguments[1].clone());
    Ok(Value::list(items))
}

fn first(arguments: &[Value]) -> Result<Value, String> {
    Ok(list(&arguments[0], "find first on")?
        .into_iter()
        .next()
        .unwrap_or_default())
}

fn last(arguments: &[Value]) -> Result<Value, String> {
    Ok(list(&arguments[0], "find last on")?
        .into_iter()
        .next_back()
        .unwrap_or_default())
}

fn rest(arguments: &[Value]) -> Result<Value, String> {
    let items = list(&arguments[0], "find rest on")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    Ok(Value::list(items[1..].to_vec()))
}

fn initial(arguments: &[Value]) -> Result<Value, String> {
    let mut items = list(&arguments[0], "find initial on")?;
    if items.pop().is_none() {
        return Ok(Value::Nil);
    }
    Ok(Value::list(items))
}

fn reverse(arguments: &[Value]) -> Result<Value, String> {
    let mut items = list(&arguments[0], "find reverse on")?;
    items.reverse();
    Ok(Value::list(items))
}

fn uniq(arguments: &[Value]) -> Result<Value, String> {
    let mut kept: Vec<Value> = Vec::new();
    for item in list(&arguments[0], "find uniq on")? {
        if !kept.iter().any(|known| deep_equal(known, &item)) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn without(arguments: &[Value]) -> Result<Value, String> {
    let mut items = list(&arguments[0], "find without on")?;
    items.retain(|item| !arguments[1..].iter().any(|unwanted| deep_equal(unwanted, item)));
    Ok(Value::list(items))
}

fn has(arguments: &[Value]) -> Result<Value, String> {
    if arguments[1].is_nil() {
        return Ok(Value::Bool(false));
    }
    let items = list(&arguments[1], "find has on")?;
    Ok(Value::Bool(items.iter().any(|item| deep_equal(item, &arguments[0]))))
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let items = match &arguments[0] {
        Value::List(list) => list.items.as_slice(),
        other => return Err(format!("list should be type of slice or array but {}", other.kind())),
    };
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = arguments.get(1).map_or(0, cast::integer);
    let end = arguments
        .get(2)
        .map_or_else(|| i64::try_from(items.len()).unwrap_or(i64::MAX), cast::integer);
    let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match part.and_then(|(start, end)| items.get(start..end)) {
        Some(part) => Ok(Value::list(part.to_vec())),
        None => Err("reflect.Value.Slice: slice index out of bounds".to_owned()),
    }
}

fn concat(arguments: &[Value]) -> Result<Value, String> {
    let mut all = Vec::new();
    for argument in arguments {
        all.append(&mut list(argument, "concat")?);
    }
    Ok(Value::list(all))
}

fn chunk(arguments: &[Value]) -> Result<Value, String> {
    let size = length(arguments.int(0)).max(1);
    let items = list(&arguments[1], "chunk")?;
    Ok(Value::list(
        items.chunks(size).map(|part| Value::list(part.to_vec())).collect(),
    ))
}

fn range(start: i64, end: i64, step: i64) -> Result<Vec<i64>, String> {
    if step == 0 || (end < start) != (step < 0) {
        return Ok(Vec::new());
    }
    if start.abs_diff(end) / step.unsigned_abs() > NUMBERS.unsigned_abs() {
        return Err(format!("more than {NUMBERS} numbers"));
    }
    let mut numbers = Vec::new();
    let mut number = start;
    while if step > 0 { number < end } else { number > end } {
        numbers.push(number);
        number = number.saturating_add(step);
    }
    Ok(numbers)
}

fn numbers(start: i64, end: i64, step: i64) -> Result<Value, String> {
    let items = range(start, end, step)?.into_iter().map(Value::Int).collect();
    Ok(Value::List(List {
        element: Element::Int,
        items: std::rc::Rc::new(items),
    }))
}

fn seq(arguments: &[Value]) -> Result<Value, String> {
    let (start, step, end) = match arguments.len() {
        1 => (1, None, arguments.int(0)),
        2 => (arguments.int(0), None, arguments.int(1)),
        3 => (arguments.int(0), Some(arguments.int(1)), arguments.int(2)),
        _ => return Ok("".into()),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok("".into());
    }
    let numbers = range(start, end.saturating_add(direction), step.unwrap_or(direction))?;
    Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into())
}
