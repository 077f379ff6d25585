//! From trees to text, byte for byte as `sigs.k8s.io/yaml` prints: two spaces, sequences flush with their key, long lines
//! folded at the first space past column 80, quotes only where a reader would otherwise see something else.

use std::fmt::Write;

use crate::number::format_float;
use crate::order::natural_order;
use crate::resolve::reads_as_text;
use crate::value::Value;

/// The column after which go-yaml folds at the next single space.
const WIDTH: usize = 80;

/// Keys longer than this are written with a question mark.
const SIMPLE_KEY: usize = 128;

/// Prints a value as one document, without `---`, ending with a line feed.
pub fn emit(value: &Value) -> String {
    print(
        value,
        Emitter {
            out: String::new(),
            width: WIDTH,
            flush: true,
        },
    )
}

/// Prints a value as Helm's `toYamlPretty` does: sequences indented under their key, lines as long as they are.
pub fn emit_pretty(value: &Value) -> String {
    print(
        value,
        Emitter {
            out: String::new(),
            width: usize::MAX,
            flush: false,
        },
    )
}

fn print(value: &Value, mut emitter: Emitter) -> String {
    emitter.node(value, Place::Root);
    if !emitter.out.ends_with('\n') {
        emitter.out.push('\n');
    }
    emitter.out
}

struct Emitter {
    out: String,
    /// Where lines are folded.
    width: usize,
    /// Whether sequences stand flush with their key.
    flush: bool,
}

/// Where a node stands; the number is the indentation of the collection that holds it.
#[derive(Clone, Copy)]
enum Place {
    Root,
    /// After `key:`.
    Value(usize),
    /// After `- ` or `? `.
    Item(usize),
}

impl Place {
    /// The indentation of a block collection that stands here.
    fn inner(self, flush: bool) -> usize {
        match self {
            Place::Root => 0,
            Place::Value(indent) if flush => indent,
            Place::Value(indent) | Place::Item(indent) => indent + 2,
        }
    }

    /// The indentation of the further lines of a scalar that stands here.
    fn continuation(self) -> usize {
        match self {
            Place::Root => 2,
            Place::Value(indent) | Place::Item(indent) => indent + 2,
        }
    }
}

/// How a string is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Emitter {
    fn node(&mut self, value: &Value, place: Place) {
        match value {
            Value::List(items) if !items.is_empty() => self.list(items, place),
            Value::Map(entries) if !entries.is_empty() => {
                let mut entries: Vec<(&str, &Value)> =
                    entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
                entries.sort_by(|one, other| natural_order(one.0, other.0));
                self.map(&entries, place);
            }
            _ => {
                if !matches!(place, Place::Root) {
                    self.out.push(' ');
                }
                self.scalar(value, place);
            }
        }
    }

    fn list(&mut self, items: &[Value], place: Place) {
        let indent = place.inner(self.flush);
        for (position, item) in items.iter().enumerate() {
            self.entry(indent, position, place);
            self.out.push('-');
            self.node(item, Place::Item(indent));
        }
    }

    fn map(&mut self, entries: &[(&str, &Value)], place: Place) {
        let indent = place.inner(false);
        for (position, (key, value)) in entries.iter().enumerate() {
            self.entry(indent, position, place);
            let traits = Traits::of(key);
            if traits.multiline || key.len() > SIMPLE_KEY {
                self.out.push_str("? ");
                self.string(key, traits, Place::Item(indent));
                self.line(indent);
                self.out.push(':');
                self.node(value, Place::Item(indent));
            } else {
                self.key(key, traits);
                self.out.push(':');
                self.node(value, Place::Value(indent));
            }
        }
    }

    /// Begins an entry: the first one after a dash goes on in its line.
    fn entry(&mut self, indent: usize, position: usize, place: Place) {
        match place {
            Place::Item(_) if position == 0 => self.out.push(' '),
            _ => self.line(indent),
        }
    }

    fn line(&mut self, indent: usize) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.pad(indent);
    }

    fn pad(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn scalar(&mut self, value: &Value, place: Place) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => self.out.push_str(&number.to_string()),
            Value::Uint(number) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&float(*number)),
            Value::List(_) => self.out.push_str("[]"),
            Value::Map(_) => self.out.push_str("{}"),
            Value::String(text) => self.string(text, Traits::of(text), place),
        }
    }

    fn key(&mut self, text: &str, traits: Traits) {
        match traits.style(text, true) {
            Style::Plain => self.out.push_str(text),
            Style::Single => self.single(text, None),
            Style::Double | Style::Literal => self.double(text, None),
        }
    }

    fn string(&mut self, text: &str, traits: Traits, place: Place) {
        let indent = place.continuation();
        match traits.style(text, false) {
            Style::Plain => self.plain(text, indent),
            Style::Single => self.single(text, Some(indent)),
            Style::Double => self.double(text, Some(indent)),
            Style::Literal => self.literal(text, indent),
        }
    }

    fn column(&self) -> usize {
        let line = self.out.rfind('\n').map_or(0, |at| at + 1);
        self.out[line..].chars().count()
    }

    fn plain(&mut self, text: &str, indent: usize) {
        self.folding(text, indent, |_| None);
    }

    fn single(&mut self, text: &str, fold: Option<usize>) {
        self.out.push('\'');
        match fold {
            Some(indent) => self.folding(text, indent, |next| (next == '\'').then_some("'")),
            None => self.out.push_str(&text.replace('\'', "''")),
        }
        self.out.push('\'');
    }

    /// Writes the words of a plain or single-quoted scalar; `before` says what goes before a character.
    fn folding(&mut self, text: &str, indent: usize, before: impl Fn(char) -> Option<&'static str>) {
        let mut column = self.column();
        let (mut after_space, mut after_break) = (false, false);
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(next) = characters.next() {
            if next == ' ' {
                let inside = !first && characters.peek().is_some_and(|following| *following != ' ');
                if !after_space && column > self.width && inside {
                    self.line(indent);
                    column = indent;
                } else {
                    self.out.push(' ');
                    column += 1;
                }
                after_space = true;
            } else if matches!(next, '\u{2028}' | '\u{2029}') {
                self.out.push(next);
                column = 0;
                after_break = true;
            } else {
                if after_break {
                    self.pad(indent.saturating_sub(column));
                    column = indent;
                }
                if let Some(text) = before(next) {
                    self.out.push_str(text);
                    column += 1;
                }
                self.out.push(next);
                column += 1;
                (after_space, after_break) = (false, false);
            }
            first = false;
        }
    }

    fn double(&mut self, text: &str, fold: Option<usize>) {
        let mut column = self.column() + 1;
        self.out.push('"');
        let mut after_space = false;
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(next) = characters.next() {
            let before = self.out.len();
            match fold {
                _ if needs_escape(next) => {
                    escape(&mut self.out, next);
                    after_space = false;
                    column += self.out.len() - before;
                }
                Some(indent) if next == ' ' => {
                    if !after_space && column > self.width && !first && characters.peek().is_some() {
                        self.line(indent);
                        column = indent;
                        if characters.peek() == Some(&' ') {
                            self.out.push('\\');
                            column += 1;
                        }
                    } else {
                        self.out.push(' ');
                        column += 1;
                    }
                    after_space = true;
                }
                _ => {
                    self.out.push(next);
                    column += 1;
                    after_space = false;
                }
            }
            first = false;
        }
        self.out.push('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n', '\u{2028}', '\u{2029}']) {
            self.out.push('2');
        }
        match text.strip_suffix('\n') {
            None => self.out.push('-'),
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => self.out.push('+'),
            Some(_) => {}
        }
        self.out.push('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.pad(indent);
            }
            self.out.push_str(line);
        }
    }
}

/// A whole number prints as an integer as far as Go's JSON prints it in digits and an integer can hold it.
fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let whole = number.fract() == 0.0;
    if whole && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&number) {
        return format!("{number}");
    }
    format_float(number)
}

/// What a string contains, as far as the choice of its style goes.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "four independent findings of one scan")]
struct Traits {
    multiline: bool,
    plain: bool,
    single: bool,
    block: bool,
}

impl Traits {
    fn of(text: &str) -> Traits {
        let Some(first) = text.chars().next() else {
            return Traits {
                multiline: false,
                plain: true,
                single: true,
                block: false,
            };
        };
        let last = text.chars().next_back().unwrap_or(first);
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut break_space, mut space_break) = (false, false, false, false);
        let mut previous: Option<char> = None;
        let mut characters = text.chars().peekable();
        while let Some(next) = characters.next() {
            let before_blank = characters
                .peek()
                .is_none_or(|following| matches!(following, ' ' | '\t'));
            let after_blank = previous.is_none_or(is_blank_or_break);
            indicators |= match next {
                ':' => before_blank,
                '#' => after_blank,
                '?' | '-' if previous.is_none() => before_blank,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    previous.is_none()
                }
                _ => false,
            };
            special |= !is_printable(next);
            if next == ' ' {
                break_space |= previous.is_some_and(is_break);
            } else if is_break(next) {
                breaks = true;
                space_break |= previous == Some(' ');
            }
            previous = Some(next);
        }
        let edge = |character: char| character == ' ' || is_break(character);
        let worst = space_break || special;
        Traits {
            multiline: breaks,
            plain: !(edge(first) || edge(last) || break_space || worst || breaks || indicators),
            single: !(break_space || worst),
            block: !(last == ' ' || worst),
        }
    }

    fn style(self, text: &str, key: bool) -> Style {
        if text.contains('\n') {
            return if self.block && !key {
                Style::Literal
            } else {
                Style::Double
            };
        }
        if (key && self.multiline) || !reads_as_text(text) {
            return Style::Double;
        }
        match self {
            Traits { plain: true, .. } => Style::Plain,
            Traits { single: true, .. } => Style::Single,
            _ => Style::Double,
        }
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank_or_break(character: char) -> bool {
    matches!(character, ' ' | '\t') || is_break(character)
}

fn is_printable(character: char) -> bool {
    matches!(character,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn needs_escape(character: char) -> bool {
    !is_printable(character) || is_break(character) || matches!(character, '"' | '\\')
}

fn escape(out: &mut String, character: char) {
    let short = match character {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(character);
            let (letter, digits) = match code {
                0..=0xff => ('x', 2),
                0x100..=0xffff => ('u', 4),
                _ => ('U', 8),
            };
            write!(out, "\\{letter}{code:0digits$X}").expect("writing to a string cannot fail");
            return;
        }
    };
    out.push('\\');
    out.push(short);
}
