//! Regular expressions, in the syntax of RE2. Go's classes `\d`, `\w` and `\s` know only ASCII.

use regex::Regex;
use regex::RegexBuilder;

use super::Arguments;
use super::Function;
use super::Param::Int;
use super::Param::String as Text;
use crate::value::List;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("regexMatch", &[Text, Text], matches),
    Function::pure("mustRegexMatch", &[Text, Text], matches),
    Function::pure("regexFind", &[Text, Text], find),
    Function::pure("mustRegexFind", &[Text, Text], find),
    Function::pure("regexFindAll", &[Text, Text, Int], find_all),
    Function::pure("mustRegexFindAll", &[Text, Text, Int], find_all),
    Function::pure("regexReplaceAll", &[Text, Text, Text], replace),
    Function::pure("mustRegexReplaceAll", &[Text, Text, Text], replace),
    Function::pure("regexReplaceAllLiteral", &[Text, Text, Text], replace_literal),
    Function::pure("mustRegexReplaceAllLiteral", &[Text, Text, Text], replace_literal),
    Function::pure("regexSplit", &[Text, Text, Int], split),
    Function::pure("mustRegexSplit", &[Text, Text, Int], split),
    Function::pure("regexQuoteMeta", &[Text], |arguments| {
        Ok(quote(arguments.text(0)).into())
    }),
];

/// Compiled programs beyond this are refused; RE2 refuses much smaller ones.
const PROGRAM: usize = 10 << 20;

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&ascii_classes(pattern))
        .size_limit(PROGRAM)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("error parsing regexp: {reason}: `{pattern}`")
        })
}

/// Rewrites Go's syntax to the one of the `regex` crate, whose classes are Unicode's.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('Q') => {
                    let mut literal = String::new();
                    while let Some(next) = characters.next() {
                        if next == '\\' && characters.peek() == Some(&'E') {
                            characters.next();
                            break;
                        }
                        literal.push(next);
                    }
                    out.push_str(&regex::escape(&literal));
                }
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => out.push_str(if in_class { "\\t\\n\\f\\r " } else { "[\\t\\n\\f\\r ]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some('z') => out.push_str("\\z"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if in_class && characters.peek() != Some(&':') => out.push_str("\\["),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if characters.peek() == Some(&'^') {
                    out.extend(characters.next());
                }
                if characters.peek() == Some(&']') {
                    characters.next();
                    out.push_str("\\]");
                }
            }
            '[' => {
                // A named class such as `[:alpha:]`.
                out.push('[');
                for next in characters.by_ref() {
                    out.push(next);
                    if next == ']' {
                        break;
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            // Two of them are operators there and plain characters in Go.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

fn matches(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(compile(arguments.text(0))?.is_match(arguments.text(1))))
}

fn find(arguments: &[Value]) -> Result<Value, String> {
    let regex = compile(arguments.text(0))?;
    Ok(regex.find(arguments.text(1)).map_or("", |found| found.as_str()).into())
}

fn find_all(arguments: &[Value]) -> Result<Value, String> {
    let regex = compile(arguments.text(0))?;
    let limit = usize::try_from(arguments.int(2)).unwrap_or(usize::MAX);
    let found = regex
        .find_iter(arguments.text(1))
        .take(limit)
        .map(|found| found.as_str());
    Ok(Value::List(List::strings(found)))
}

fn replace(arguments: &[Value]) -> Result<Value, String> {
    let regex = compile(arguments.text(0))?;
    Ok(regex.replace_all(arguments.text(1), arguments.text(2)).as_ref().into())
}

fn replace_literal(arguments: &[Value]) -> Result<Value, String> {
    let regex = compile(arguments.text(0))?;
    Ok(regex
        .replace_all(arguments.text(1), regex::NoExpand(arguments.text(2)))
        .as_ref()
        .into())
}

fn split(arguments: &[Value]) -> Result<Value, String> {
    let regex = compile(arguments.text(0))?;
    let text = arguments.text(1);
    let parts: Vec<&str> = match usize::try_from(arguments.int(2)) {
        Ok(0) => Vec::new(),
        Ok(limit) => regex.splitn(text, limit).collect(),
        Err(_) => regex.split(text).collect(),
    };
    Ok(Value::List(List::strings(parts)))
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\.+*?()|[]{}^$".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
