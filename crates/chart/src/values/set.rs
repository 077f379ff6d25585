//! The little language of `--set`.

use tubectl_yaml::Value as Yaml;

use super::Table;
use super::ValuesError;

/// The highest list index that Helm takes.
const INDEX: usize = 65_536;

/// The deepest path that Helm takes.
const DEPTH: usize = 30;

/// Whether values look like what they say or are all text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    Typed,
    Text,
}

/// Sets everything that a text says.
pub(super) fn apply(table: &mut Table, text: &str, typing: Typing) -> Result<(), ValuesError> {
    let mut parser = Parser {
        rest: text.chars().collect(),
        at: 0,
        typing,
    };
    let outcome = parser.assignments(table);
    outcome.map_err(|reason| ValuesError::Set {
        text: text.to_owned(),
        reason,
    })
}

struct Parser {
    rest: Vec<char>,
    at: usize,
    typing: Typing,
}

/// One step of a path.
enum Step {
    Key(String),
    Index(usize),
}

impl Parser {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    /// Reads up to one of `stops`, which a backslash hides, and takes the stop, too.
    fn until(&mut self, stops: &str) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '\\' => text.extend(self.next()),
                _ if stops.contains(next) => return (text, Some(next)),
                _ => text.push(next),
            }
        }
        (text, None)
    }

    fn assignments(&mut self, table: &mut Table) -> Result<(), String> {
        while self.peek().is_some() {
            let path = self.path()?;
            let value = self.value()?;
            let mut root = Yaml::Map(std::mem::take(table));
            put(&mut root, &path, value)?;
            if let Yaml::Map(changed) = root {
                *table = changed;
            }
        }
        Ok(())
    }

    fn path(&mut self) -> Result<Vec<Step>, String> {
        let mut path = Vec::new();
        loop {
            let (key, stop) = self.until("=[,.");
            if !key.is_empty() || stop != Some('[') && !matches!(path.last(), Some(Step::Index(_))) {
                if key.is_empty() && stop == Some('=') {
                    return Err("key is empty".to_owned());
                }
                path.push(Step::Key(key.clone()));
            }
            match stop {
                Some('=') => break,
                Some('.') => {}
                Some('[') => {
                    let (index, _) = self.until("]");
                    let index: usize = index.parse().map_err(|_| format!("error parsing index: {index:?}"))?;
                    if index > INDEX {
                        return Err(format!(
                            "index of {index} is greater than maximum supported index of {INDEX}"
                        ));
                    }
                    path.push(Step::Index(index));
                    match self.peek() {
                        Some('=') => {
                            self.next();
                            break;
                        }
                        Some('.') => {
                            self.next();
                        }
                        Some('[') => {}
                        _ => return Err("unexpected data at end of array index".to_owned()),
                    }
                }
                _ => return Err(format!("key {key:?} has no value")),
            }
            if path.len() > DEPTH {
                return Err(format!(
                    "value name nested level is greater than maximum supported nested level of {DEPTH}"
                ));
            }
        }
        Ok(path)
    }

    fn value(&mut self) -> Result<Yaml, String> {
        if self.peek() != Some('{') {
            let (text, _) = self.until(",");
            return Ok(self.typed(text));
        }
        self.next();
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(",}");
            match stop {
                None => return Err("list must terminate with '}'".to_owned()),
                Some('}') => {
                    if !(text.is_empty() && items.is_empty()) {
                        items.push(self.typed(text));
                    }
                    break;
                }
                Some(_) => items.push(self.typed(text)),
            }
        }
        match self.next() {
            None | Some(',') => Ok(Yaml::List(items)),
            Some(other) => Err(format!("unexpected {other:?} after a list")),
        }
    }

    fn typed(&self, text: String) -> Yaml {
        if self.typing == Typing::Text {
            return Yaml::String(text);
        }
        match text.to_ascii_lowercase().as_str() {
            "true" => return Yaml::Bool(true),
            "false" => return Yaml::Bool(false),
            "null" => return Yaml::Null,
            "0" => return Yaml::Int(0),
            _ => {}
        }
        if !text.starts_with('0')
            && let Ok(number) = text.parse::<i64>()
        {
            return Yaml::Int(number);
        }
        Yaml::String(text)
    }
}

fn put(target: &mut Yaml, path: &[Step], value: Yaml) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return Ok(());
    };
    match first {
        Step::Key(key) => {
            if target.is_null() {
                *target = Yaml::Map(Table::new());
            }
            let Yaml::Map(entries) = target else {
                return Err(format!("interface conversion: the value before {key:?} is not a map"));
            };
            put(entries.entry(key.clone()).or_default(), rest, value)
        }
        Step::Index(index) => {
            if !matches!(target, Yaml::List(_)) {
                *target = Yaml::List(Vec::new());
            }
            let Yaml::List(items) = target else {
                return Ok(());
            };
            if items.len() <= *index {
                items.resize(index + 1, Yaml::Null);
            }
            put(&mut items[*index], rest, value)
        }
    }
}
