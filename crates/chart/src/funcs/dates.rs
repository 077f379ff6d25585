//! Times, in Go's layouts.

use std::any::Any as AnyType;

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use super::cast;
use crate::eval::Engine;
use crate::value::Object;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::engine("now", &[], |engine, _| {
        Ok(Value::object(Time(engine.now.to_zoned(TimeZone::UTC))))
    }),
    Function::engine("date", &[Text, Any], |engine, arguments| {
        Ok(layout(&time(engine, &arguments[1]), arguments.text(0)).into())
    }),
    Function::engine("dateInZone", &[Text, Any, Text], |engine, arguments| {
        Ok(date_in_zone(engine, arguments))
    }),
    Function::engine("date_in_zone", &[Text, Any, Text], |engine, arguments| {
        Ok(date_in_zone(engine, arguments))
    }),
    Function::engine("htmlDate", &[Any], |engine, arguments| {
        Ok(layout(&time(engine, &arguments[0]), "2006-01-02").into())
    }),
    Function::engine("htmlDateInZone", &[Any, Text], |engine, arguments| {
        Ok(layout(&in_zone(&time(engine, &arguments[0]), arguments.text(1)), "2006-01-02").into())
    }),
    Function::engine("unixEpoch", &[Any], |engine, arguments| {
        Ok(time(engine, &arguments[0]).timestamp().as_second().to_string().into())
    }),
];

/// A point in time and its zone.
#[derive(Debug)]
struct Time(Zoned);

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn method(&self, name: &str) -> Option<usize> {
        match name {
            "Unix" | "UnixNano" | "Year" | "Day" | "Hour" | "Minute" | "Second" | "UTC" | "String" => Some(0),
            "Format" => Some(1),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let part = |number: i64| Value::Int(number);
        Ok(match name {
            "Unix" => Value::Int64(self.0.timestamp().as_second()),
            "UnixNano" => Value::Int64(i64::try_from(self.0.timestamp().as_nanosecond()).unwrap_or(i64::MAX)),
            "Year" => part(self.0.year().into()),
            "Day" => part(self.0.day().into()),
            "Hour" => part(self.0.hour().into()),
            "Minute" => part(self.0.minute().into()),
            "Second" => part(self.0.second().into()),
            "UTC" => Value::object(Time(self.0.timestamp().to_zoned(TimeZone::UTC))),
            "Format" => layout(&self.0, arguments.text(0)).into(),
            _ => self.show().into(),
        })
    }

    fn show(&self) -> String {
        layout(&self.0, "2006-01-02 15:04:05.999999999 -0700 MST")
    }

    fn plain(&self) -> Value {
        layout(&self.0, "2006-01-02T15:04:05.999999999Z07:00").into()
    }

    fn as_any(&self) -> &dyn AnyType {
        self
    }
}

/// Times of ours, and whole numbers as seconds since 1970; anything else is now.
fn time(engine: &Engine<'_>, value: &Value) -> Zoned {
    let stamp = match value {
        Value::Object(object) => match object.as_any().downcast_ref::<Time>() {
            Some(time) => return time.0.clone(),
            None => engine.now,
        },
        Value::Int(_) | Value::Int64(_) => Timestamp::from_second(cast::integer(value)).unwrap_or(engine.now),
        _ => engine.now,
    };
    stamp.to_zoned(TimeZone::UTC)
}

fn in_zone(time: &Zoned, zone: &str) -> Zoned {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    time.timestamp().to_zoned(zone)
}

fn date_in_zone(engine: &Engine<'_>, arguments: &[Value]) -> Value {
    layout(
        &in_zone(&time(engine, &arguments[1]), arguments.text(2)),
        arguments.text(0),
    )
    .into()
}

/// The parts of Go's reference time, the longer ones before their prefixes, as `strftime` knows them.
const PARTS: [(&str, &str); 33] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("2006", "%Y"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("-07:00:00", "%::z"),
    ("-07:00", "%:z"),
    ("-070000", "%z"),
    ("-0700", "%z"),
    ("-07", "%:::z"),
    ("Z07:00", "Z:"),
    ("Z0700", "Z"),
    ("Z07", "Z-"),
    ("_2006", "_%Y"),
    ("__2", "%_j"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
    ("%", "%%"),
];

/// Formats a time by a layout that shows how Go's reference time would look.
fn layout(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        if let Some((digits, after)) = fraction(rest, time) {
            out.push_str(&digits);
            rest = after;
            continue;
        }
        let part = PARTS.iter().find(|(name, _)| rest.starts_with(name));
        if let Some((name, directive)) = part {
            out.push_str(&shown(time, directive));
            rest = &rest[name.len()..];
        } else {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}

fn shown(time: &Zoned, directive: &str) -> String {
    if let Some(style) = directive.strip_prefix('Z') {
        if time.offset().is_zero() {
            return "Z".to_owned();
        }
        let directive = match style {
            ":" => "%:z",
            "-" => "%:::z",
            _ => "%z",
        };
        return time.strftime(directive).to_string();
    }
    time.strftime(directive).to_string()
}

/// Fractions of a second, such as `.000` or `.999`.
fn fraction<'a>(layout: &'a str, time: &Zoned) -> Option<(String, &'a str)> {
    let separator = layout.chars().next().filter(|first| matches!(first, '.' | ','))?;
    let digits = &layout[1..];
    let kind = digits.chars().next().filter(|first| matches!(first, '0' | '9'))?;
    let width = digits.chars().take_while(|next| *next == kind).count();
    let after = &digits[width..];
    if width > 9 || after.starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{:09}", time.subsec_nanosecond());
    let shown = &nanoseconds[..width];
    let shown = if kind == '9' {
        shown.trim_end_matches('0')
    } else {
        shown
    };
    if shown.is_empty() {
        return Some((String::new(), after));
    }
    Some((format!("{separator}{shown}"), after))
}
