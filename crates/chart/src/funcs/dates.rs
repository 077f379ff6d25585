//! Times, in Go's layouts, and durations.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use super::cast;
use crate::eval::Engine;
use crate::time;
use crate::time::Time;
use crate::time::duration;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::engine("now", &[], |engine, _| Ok(Value::object(Time::utc(engine.now)))),
    Function::engine("ago", &[Any], |engine, arguments| {
        let passed = Time::utc(engine.now).since(&point(engine, &arguments[0]));
        Ok(duration::show(duration::round_to_seconds(passed)).into())
    }),
    Function::engine("date", &[Text, Any], |engine, arguments| {
        let at = point(engine, &arguments[1]).in_zone("Local");
        Ok(at.format(arguments.text(0)).into())
    }),
    Function::engine("dateInZone", &[Text, Any, Text], |engine, arguments| {
        Ok(date_in_zone(engine, arguments))
    }),
    Function::engine("date_in_zone", &[Text, Any, Text], |engine, arguments| {
        Ok(date_in_zone(engine, arguments))
    }),
    Function::pure("dateModify", &[Text, Any], |arguments| {
        modified(arguments).or_else(|_| Ok(arguments[1].clone()))
    }),
    Function::pure("date_modify", &[Text, Any], |arguments| {
        modified(arguments).or_else(|_| Ok(arguments[1].clone()))
    }),
    Function::pure("mustDateModify", &[Text, Any], modified),
    Function::pure("must_date_modify", &[Text, Any], modified),
    Function::engine("htmlDate", &[Any], |engine, arguments| {
        Ok(point(engine, &arguments[0])
            .in_zone("Local")
            .format("2006-01-02")
            .into())
    }),
    Function::engine("htmlDateInZone", &[Any, Text], |engine, arguments| {
        let at = point(engine, &arguments[0]).in_zone(arguments.text(1));
        Ok(at.format("2006-01-02").into())
    }),
    Function::pure("toDate", &[Text, Text], |arguments| {
        let read = time::parse(arguments.text(0), arguments.text(1));
        Ok(Value::object(read.unwrap_or_else(|_| Time::zero())))
    }),
    Function::pure("mustToDate", &[Text, Text], |arguments| {
        time::parse(arguments.text(0), arguments.text(1)).map(Value::object)
    }),
    Function::pure("unixEpoch", &[Any], |arguments| {
        Ok(given(&arguments[0])?.unix().to_string().into())
    }),
    Function::pure("duration", &[Any], |arguments| {
        let seconds = match &arguments[0] {
            Value::String(text) => saturated(text),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        Ok(duration::show(seconds.wrapping_mul(1_000_000_000)).into())
    }),
    Function::engine("durationRound", &[Any], |engine, arguments| {
        let nanoseconds = match &arguments[0] {
            Value::String(text) => duration::parse(text).unwrap_or(0),
            Value::Int64(nanoseconds) => *nanoseconds,
            other => given(other).map_or(0, |time| Time::utc(engine.now).since(&time)),
        };
        Ok(duration::round(nanoseconds).into())
    }),
];

/// Whole numbers of Go's `ParseInt`, which gives the nearest for one that is too large.
fn saturated(text: &str) -> i64 {
    match text.parse::<i128>() {
        Ok(number) => i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }),
        Err(_) => 0,
    }
}

/// A time that must be one.
fn given(value: &Value) -> Result<Time, String> {
    let time = match value {
        Value::Object(object) => object.as_any().downcast_ref::<Time>(),
        _ => None,
    };
    time.cloned().ok_or_else(|| match value {
        Value::Nil | Value::Absent => "invalid value; expected time.Time".to_owned(),
        other => format!("wrong type for value; expected time.Time; got {}", other.type_name()),
    })
}

fn modified(arguments: &[Value]) -> Result<Value, String> {
    let time = given(&arguments[1])?;
    duration::parse(arguments.text(0)).map(|nanoseconds| Value::object(time.plus(nanoseconds)))
}

/// Times of ours, and whole numbers as seconds since 1970; anything else is now.
fn point(engine: &Engine<'_>, value: &Value) -> Time {
    match value {
        Value::Int(_) | Value::Int64(_) => Time::of_unix(cast::integer(value)).unwrap_or_else(|| Time::utc(engine.now)),
        value => given(value).unwrap_or_else(|_| Time::utc(engine.now)),
    }
}

fn date_in_zone(engine: &Engine<'_>, arguments: &[Value]) -> Value {
    let at = point(engine, &arguments[1]).in_zone(arguments.text(2));
    at.format(arguments.text(0)).into()
}
