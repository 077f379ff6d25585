//! Helm's own functions: templates within templates, refusals, and questions to the cluster.

use std::rc::Rc;

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use super::Trouble;
use crate::convert;
use crate::eval::Engine;
use crate::eval::NO_VALUE;
use crate::value::Entries;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::engine("include", &[Text, Any], include),
    Function::engine("tpl", &[Text, Any], tpl),
    Function::engine("required", &[Text, Any], |_, arguments| match &arguments[1] {
        Value::Absent | Value::Nil => Err(Trouble::Refused(arguments.text(0).to_owned())),
        Value::String(text) if text.is_empty() => Err(Trouble::Refused(arguments.text(0).to_owned())),
        value => Ok(value.clone()),
    }),
    Function::engine("fail", &[Text], |_, arguments| {
        Err(Trouble::Refused(arguments.text(0).to_owned()))
    }),
    Function::engine("lookup", &[Text, Text, Text, Text], |engine, arguments| {
        let [version, kind, namespace, name] = [0, 1, 2, 3].map(|position| arguments.text(position));
        let found = engine.lookup.find(version, kind, namespace, name);
        Ok(found.map_or_else(|| Value::map(Entries::new()), |object| convert::from_yaml(&object)))
    }),
];

/// Helm refuses to include a template in itself more often than this.
const RECURSION: usize = 1000;

fn include(engine: &mut Engine<'_>, arguments: &[Value]) -> Result<Value, Trouble> {
    let Value::String(name) = &arguments[0] else {
        return Ok("".into());
    };
    let running = engine.included.entry(Rc::clone(name)).or_default();
    if *running > RECURSION {
        let message = format!("rendering template has a nested reference name: {name}: unable to execute template");
        return Err(Trouble::Message(message));
    }
    *running += 1;
    let mut out = String::new();
    let outcome = engine.execute(name, &as_data(&arguments[1]), &mut out);
    if let Some(running) = engine.included.get_mut(name) {
        *running -= 1;
    }
    outcome.map(|()| out.into())
}

fn tpl(engine: &mut Engine<'_>, arguments: &[Value]) -> Result<Value, Trouble> {
    let Value::String(text) = &arguments[0] else {
        return Ok("".into());
    };
    let mut out = String::new();
    if text.contains("{{") {
        engine.text(text, &as_data(&arguments[1]), &mut out)?;
    } else {
        out.push_str(text);
    }
    if out.contains(NO_VALUE) {
        out = out.replace(NO_VALUE, "");
    }
    Ok(out.into())
}

/// Data that is nil is no data.
fn as_data(value: &Value) -> Value {
    if value.is_nil() { Value::Absent } else { value.clone() }
}
