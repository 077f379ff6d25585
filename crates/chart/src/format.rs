//! Go's `fmt`: how values print, and `printf` with its verbs, flags and complaints.

use std::fmt::Write;

use tubectl_yaml::format_float;

use crate::value::Value;

/// Values nested deeper than this print as an ellipsis: a map can be put into itself.
const DEPTH: usize = 500;

/// Widths beyond this are refused, as Go refuses them.
const WIDTH: usize = 1_000_000;

/// The text of a value, as `%v` prints it.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Appends a value as `%v` prints it.
pub(crate) fn write(value: &Value, out: &mut String) {
    plain(value, out, 0);
}

fn plain(value: &Value, out: &mut String, depth: usize) {
    if depth > DEPTH {
        out.push_str("...");
        return;
    }
    match value {
        Value::Absent | Value::Nil => out.push_str("<nil>"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) | Value::Int64(number) => push(out, format_args!("{number}")),
        Value::Float(number) => out.push_str(&format_float(*number)),
        Value::String(text) => out.push_str(text),
        Value::Raw(raw) => out.push_str(&raw.shown),
        Value::Bytes(bytes) => {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            push(out, format_args!("[{}]", numbers.join(" ")));
        }
        Value::List(list) => {
            out.push('[');
            for (position, item) in list.items.iter().enumerate() {
                if position > 0 {
                    out.push(' ');
                }
                plain(item, out, depth + 1);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            map.read(|entries| {
                for (position, (key, item)) in entries.iter().enumerate() {
                    if position > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    plain(item, out, depth + 1);
                }
            });
            out.push(']');
        }
        Value::Object(object) => out.push_str(&object.show()),
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string cannot fail");
}

/// `Sprint`: a space only between two operands neither of which is text.
pub(crate) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (position, value) in values.iter().enumerate() {
        let texts =
            matches!(value, Value::String(_)) || position > 0 && matches!(values[position - 1], Value::String(_));
        if position > 0 && !texts {
            out.push(' ');
        }
        write(value, &mut out);
    }
    out
}

/// `Sprintln`: spaces between all, a line feed at the end.
pub(crate) fn sprintln(values: &[Value]) -> String {
    let mut out = values.iter().map(text).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

/// A text in double quotes with Go's escapes (`%q`).
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            _ => escape(character, &mut out),
        }
    }
    out.push('"');
    out
}

fn escape(character: char, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(character) => out.push(character),
        _ => match u32::from(character) {
            code @ 0..=0x7f => push(out, format_args!("\\x{code:02x}")),
            code @ 0x80..=0xffff => push(out, format_args!("\\u{code:04x}")),
            code => push(out, format_args!("\\U{code:08x}")),
        },
    }
}

/// What Go's `strconv` takes for printable: no control, no format character, no space but the ordinary one.
fn is_printable(character: char) -> bool {
    let format = matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff9}'..='\u{fffb}');
    !(character.is_control() || format || character.is_whitespace() && character != ' ')
}

#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Go's five flags are independent")]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `Sprintf`.
pub(crate) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut printer = Printer {
        out: String::new(),
        values,
        next: 0,
        reordered: false,
    };
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        printer.out.push_str(&rest[..at]);
        rest = printer.directive(&rest[at + 1..]);
    }
    printer.out.push_str(rest);
    if !printer.reordered && printer.next < values.len() {
        let extra: Vec<String> = values[printer.next..].iter().map(described).collect();
        push(&mut printer.out, format_args!("%!(EXTRA {})", extra.join(", ")));
    }
    printer.out
}

fn described(value: &Value) -> String {
    if value.is_nil() {
        return "<nil>".to_owned();
    }
    format!("{}={}", value.type_name(), text(value))
}

struct Printer<'a> {
    out: String,
    values: &'a [Value],
    next: usize,
    reordered: bool,
}

impl Printer<'_> {
    /// Prints one directive, whose percent sign is gone, and returns what follows it.
    fn directive<'f>(&mut self, format: &'f str) -> &'f str {
        let mut flags = Flags::default();
        let mut rest = format;
        loop {
            match rest.as_bytes().first() {
                Some(b'-') => flags.minus = true,
                Some(b'+') => flags.plus = true,
                Some(b'#') => flags.sharp = true,
                Some(b' ') => flags.space = true,
                Some(b'0') => flags.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut well_indexed = true;
        rest = self.index(rest, &mut well_indexed);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs());
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            (flags.width, rest) = digits(rest);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = self.index(after, &mut well_indexed);
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
            } else {
                let (precision, after) = digits(rest);
                (flags.precision, rest) = (Some(precision.unwrap_or(0)), after);
            }
        }
        rest = self.index(rest, &mut well_indexed);
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return rest;
        };
        let after = &rest[verb.len_utf8()..];
        if verb == '%' {
            self.out.push('%');
        } else if !well_indexed {
            push(&mut self.out, format_args!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            flags.zero &= !flags.minus;
            self.value(verb, value, flags);
        } else {
            push(&mut self.out, format_args!("%!{verb}(MISSING)"));
        }
        after
    }

    /// Follows an explicit argument index such as `[2]`.
    fn index<'f>(&mut self, format: &'f str, good: &mut bool) -> &'f str {
        let Some(inner) = format.strip_prefix('[') else {
            return format;
        };
        self.reordered = true;
        let Some((number, after)) = inner.split_once(']') else {
            *good = false;
            return inner;
        };
        match number.parse::<usize>() {
            Ok(number) if (1..=self.values.len()).contains(&number) => self.next = number - 1,
            _ => *good = false,
        }
        after
    }

    fn star(&mut self) -> Option<isize> {
        let value = self.values.get(self.next);
        self.next += 1;
        match value {
            Some(Value::Int(number) | Value::Int64(number)) => isize::try_from(*number)
                .ok()
                .filter(|number| number.unsigned_abs() <= WIDTH),
            _ => None,
        }
    }

    fn value(&mut self, verb: char, value: &Value, flags: Flags) {
        match verb {
            'T' => self.pad(&value.type_name(), flags),
            _ if value.is_nil() => match verb {
                'v' => self.pad("<nil>", flags),
                _ => push(&mut self.out, format_args!("%!{verb}(<nil>)")),
            },
            'v' if flags.sharp => self.pad(
                &syntax(value),
                Flags {
                    precision: None,
                    ..flags
                },
            ),
            _ => self.element(verb, value, flags, 0),
        }
    }

    fn element(&mut self, verb: char, value: &Value, flags: Flags, depth: usize) {
        if depth > DEPTH {
            self.out.push_str("...");
            return;
        }
        match value {
            Value::Absent | Value::Nil => match verb {
                'v' => self.pad("<nil>", flags),
                _ => push(&mut self.out, format_args!("%!{verb}(<nil>)")),
            },
            Value::Bool(truth) if matches!(verb, 't' | 'v') => {
                self.pad(
                    if *truth { "true" } else { "false" },
                    Flags {
                        precision: None,
                        ..flags
                    },
                );
            }
            Value::Int(number) | Value::Int64(number) => self.integer(verb, *number, value, flags),
            Value::Float(number) => self.float(verb, *number, value, flags),
            Value::String(text) => self.string(verb, text, value, flags),
            Value::Raw(raw) => self.string(verb, &raw.shown, value, flags),
            Value::Bytes(bytes) if matches!(verb, 's' | 'x' | 'X' | 'q') => match verb {
                'x' => self.pad(
                    &hexadecimal(bytes),
                    Flags {
                        precision: None,
                        ..flags
                    },
                ),
                'X' => self.pad(
                    &hexadecimal(bytes).to_uppercase(),
                    Flags {
                        precision: None,
                        ..flags
                    },
                ),
                _ => self.string(verb, &String::from_utf8_lossy(bytes), value, flags),
            },
            Value::Bytes(bytes) => {
                let items: Vec<Value> = bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect();
                self.sequence(verb, &items, flags, depth);
            }
            Value::List(list) => self.sequence(verb, &list.items, flags, depth),
            Value::Map(map) => {
                self.out.push_str("map[");
                for (position, (key, item)) in map.snapshot().iter().enumerate() {
                    if position > 0 {
                        self.out.push(' ');
                    }
                    self.element(verb, &Value::String(key.clone()), flags, depth + 1);
                    self.out.push(':');
                    self.element(verb, item, flags, depth + 1);
                }
                self.out.push(']');
            }
            Value::Object(object) if matches!(verb, 'v' | 's') => self.pad(&object.show(), flags),
            _ => self.bad(verb, value),
        }
    }

    fn sequence(&mut self, verb: char, items: &[Value], flags: Flags, depth: usize) {
        self.out.push('[');
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push(' ');
            }
            self.element(verb, item, flags, depth + 1);
        }
        self.out.push(']');
    }

    fn bad(&mut self, verb: char, value: &Value) {
        push(&mut self.out, format_args!("%!{verb}({})", described(value)));
    }

    fn string(&mut self, verb: char, text: &str, value: &Value, flags: Flags) {
        let cut = match flags.precision {
            Some(precision) => text.char_indices().nth(precision).map_or(text, |(at, _)| &text[..at]),
            None => text,
        };
        match verb {
            's' | 'v' => self.pad(cut, flags),
            'q' if flags.sharp
                && !cut.contains(['`', '\u{feff}'])
                && !cut.chars().any(|c| c.is_control() && c != '\t') =>
            {
                self.pad(&format!("`{cut}`"), flags);
            }
            'q' => self.pad(&quote(cut), flags),
            'x' | 'X' => {
                let bytes = &text.as_bytes()[..flags.precision.map_or(text.len(), |length| length.min(text.len()))];
                let digits = hexadecimal(bytes);
                let digits = if verb == 'X' { digits.to_uppercase() } else { digits };
                self.pad(&digits, flags);
            }
            _ => self.bad(verb, value),
        }
    }

    fn integer(&mut self, verb: char, number: i64, value: &Value, flags: Flags) {
        let magnitude = number.unsigned_abs();
        let (digits, prefix) = match verb {
            'd' | 'v' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), "0b"),
            'o' => (format!("{magnitude:o}"), "0"),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), "0x"),
            'X' => (format!("{magnitude:X}"), "0X"),
            'c' | 'q' | 'U' => {
                let character = u32::try_from(number)
                    .ok()
                    .and_then(char::from_u32)
                    .unwrap_or('\u{fffd}');
                let shown = match verb {
                    'c' => character.to_string(),
                    'U' => format!("U+{number:04X}"),
                    _ => {
                        let mut inner = String::from("'");
                        match character {
                            '\'' => inner.push_str("\\'"),
                            _ => escape(character, &mut inner),
                        }
                        inner + "'"
                    }
                };
                return self.pad(
                    &shown,
                    Flags {
                        precision: None,
                        zero: false,
                        ..flags
                    },
                );
            }
            _ => return self.bad(verb, value),
        };
        let prefix = if flags.sharp || verb == 'O' { prefix } else { "" };
        self.number(number < 0, prefix, &digits, flags);
    }

    fn number(&mut self, negative: bool, prefix: &str, digits: &str, flags: Flags) {
        let sign = match (negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let least = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let zeros = "0".repeat(least.saturating_sub(digits.len()).min(WIDTH));
        let digits = if flags.precision == Some(0) && digits == "0" {
            ""
        } else {
            digits
        };
        self.pad(
            &format!("{sign}{prefix}{zeros}{digits}"),
            Flags {
                precision: None,
                zero: false,
                ..flags
            },
        );
    }

    fn float(&mut self, verb: char, number: f64, value: &Value, flags: Flags) {
        let magnitude = number.abs();
        let digits = if magnitude.is_finite() {
            match verb {
                'v' | 'g' | 'G' => general(magnitude, flags.precision),
                'f' | 'F' => format!("{magnitude:.*}", flags.precision.unwrap_or(6)),
                'e' | 'E' => exponent(&format!("{magnitude:.*e}", flags.precision.unwrap_or(6))),
                _ => return self.bad(verb, value),
            }
        } else if magnitude.is_nan() {
            "NaN".to_owned()
        } else {
            "Inf".to_owned()
        };
        let digits = if verb.is_uppercase() && magnitude.is_finite() {
            digits.to_uppercase()
        } else {
            digits
        };
        let plus = flags.plus || magnitude.is_infinite() && number > 0.0;
        let zero = flags.zero && magnitude.is_finite();
        self.number(
            number.is_sign_negative() && !number.is_nan(),
            "",
            &digits,
            Flags {
                plus,
                zero,
                precision: None,
                ..flags
            },
        );
    }

    fn pad(&mut self, text: &str, flags: Flags) {
        let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        let fill = if flags.zero { "0" } else { " " };
        if !flags.minus {
            self.out.push_str(&fill.repeat(missing));
        }
        self.out.push_str(text);
        if flags.minus {
            self.out.push_str(&" ".repeat(missing));
        }
    }
}

fn digits(format: &str) -> (Option<usize>, &str) {
    let end = format
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(format.len());
    (
        format[..end].parse().ok().filter(|number| *number <= WIDTH),
        &format[end..],
    )
}

/// Bytes as pairs of digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        push(&mut out, format_args!("{byte:02x}"));
    }
    out
}

/// Rust prints `1e6`, Go `1e+06`.
fn exponent(text: &str) -> String {
    let Some((mantissa, power)) = text.split_once('e') else {
        return text.to_owned();
    };
    match power.strip_prefix('-') {
        Some(power) => format!("{mantissa}e-{power:0>2}"),
        None => format!("{mantissa}e+{power:0>2}"),
    }
}

/// `%g`: the shorter of digits and exponent form.
fn general(number: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        return format_float(number);
    };
    let significant = precision.max(1);
    let scientific = format!("{number:.*e}", significant - 1);
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        let point = text.contains('.');
        if point {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let limit = i32::try_from(significant).unwrap_or(i32::MAX);
    if power < -4 || power >= limit {
        return exponent(&format!("{}e{power}", trimmed(mantissa)));
    }
    let decimals = usize::try_from(limit - 1 - power).unwrap_or(0);
    trimmed(&format!("{number:.decimals$}"))
}

/// A value as Go source (`%#v`).
fn syntax(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Raw(raw) => quote(&raw.shown),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(syntax).collect();
            format!("{}{{{}}}", value.type_name(), items.join(", "))
        }
        Value::Map(map) => {
            let entries = map.snapshot();
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, item)| format!("{}:{}", quote(key), syntax(item)))
                .collect();
            format!("{}{{{}}}", value.type_name(), entries.join(", "))
        }
        Value::Absent | Value::Nil => "interface {}(nil)".to_owned(),
        Value::Bytes(bytes) => {
            let items: Vec<String> = bytes.iter().map(|byte| format!("{byte:#x}")).collect();
            format!("[]byte{{{}}}", items.join(", "))
        }
        _ => text(value),
    }
}
