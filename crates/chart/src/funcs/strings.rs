//! Text.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Int;
use super::Param::String as Text;
use super::Trouble;
use super::cast;
use super::length;
use crate::eval::Engine;
use crate::format;
use crate::value::Entries;
use crate::value::List;
use crate::value::Map;
use crate::value::Sort;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("hello", &[], |_| Ok("Hello!".into())),
    Function::pure("trim", &[Text], |arguments| Ok(arguments.text(0).trim().into())),
    Function::pure("upper", &[Text], |arguments| {
        Ok(arguments.text(0).to_uppercase().into())
    }),
    Function::pure("lower", &[Text], |arguments| {
        Ok(arguments.text(0).to_lowercase().into())
    }),
    Function::pure("title", &[Text], |arguments| Ok(title(arguments.text(0)).into())),
    Function::pure("untitle", &[Text], |arguments| Ok(untitle(arguments.text(0)).into())),
    Function::pure("swapcase", &[Text], |arguments| Ok(swapcase(arguments.text(0)).into())),
    Function::pure("snakecase", &[Text], |arguments| {
        Ok(delimited(arguments.text(0), '_').into())
    }),
    Function::pure("kebabcase", &[Text], |arguments| {
        Ok(delimited(arguments.text(0), '-').into())
    }),
    Function::pure("camelcase", &[Text], |arguments| Ok(pascal(arguments.text(0)).into())),
    Function::pure("trunc", &[Int, Text], |arguments| {
        Ok(truncated(arguments.int(0), arguments.bytes(1)))
    }),
    Function::pure("abbrev", &[Int, Text], |arguments| {
        Ok(abbreviated(0, arguments.int(0), arguments.text(1)).into())
    }),
    Function::pure("abbrevboth", &[Int, Int, Text], |arguments| {
        Ok(abbreviated(arguments.int(0), arguments.int(1), arguments.text(2)).into())
    }),
    Function::pure("substr", &[Int, Int, Text], substring),
    Function::pure("repeat", &[Int, Text], repeat),
    Function::pure("trimAll", &[Text, Text], |arguments| Ok(trim_all(arguments))),
    Function::pure("trimall", &[Text, Text], |arguments| Ok(trim_all(arguments))),
    Function::pure("trimSuffix", &[Text, Text], |arguments| {
        let text = arguments.text(1);
        Ok(text.strip_suffix(arguments.text(0)).unwrap_or(text).into())
    }),
    Function::pure("trimPrefix", &[Text, Text], |arguments| {
        let text = arguments.text(1);
        Ok(text.strip_prefix(arguments.text(0)).unwrap_or(text).into())
    }),
    Function::pure("nospace", &[Text], |arguments| {
        Ok(arguments
            .text(0)
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect::<String>()
            .into())
    }),
    Function::pure("initials", &[Text], |arguments| {
        let words = arguments.text(0).split_whitespace();
        Ok(words.filter_map(|word| word.chars().next()).collect::<String>().into())
    }),
    Function::pure("contains", &[Text, Text], |arguments| {
        Ok(Value::Bool(arguments.text(1).contains(arguments.text(0))))
    }),
    Function::pure("hasPrefix", &[Text, Text], |arguments| {
        Ok(Value::Bool(arguments.text(1).starts_with(arguments.text(0))))
    }),
    Function::pure("hasSuffix", &[Text, Text], |arguments| {
        Ok(Value::Bool(arguments.text(1).ends_with(arguments.text(0))))
    }),
    Function::pure("quote", &[], |arguments| {
        Ok(words(arguments, |value| format::quote(&cast::text(value))))
    })
    .and_more(Any),
    Function::pure("squote", &[], |arguments| {
        Ok(words(arguments, |value| format!("'{}'", format::text(value))))
    })
    .and_more(Any),
    Function::pure("cat", &[], |arguments| Ok(words(arguments, format::text))).and_more(Any),
    Function::pure("indent", &[Int, Text], |arguments| indent("", arguments)),
    Function::pure("nindent", &[Int, Text], |arguments| indent("\n", arguments)),
    Function::pure("replace", &[Text, Text, Text], |arguments| {
        Ok(arguments.text(2).replace(arguments.text(0), arguments.text(1)).into())
    }),
    Function::pure("plural", &[Text, Text, Int], |arguments| {
        Ok(arguments[usize::from(arguments.int(2) != 1)].clone())
    }),
    Function::pure("split", &[Text, Text], |arguments| {
        Ok(numbered(&parts(arguments.text(1), arguments.text(0))))
    }),
    Function::pure("splitn", &[Text, Int, Text], |arguments| {
        let (text, separator) = (arguments.text(2), arguments.text(0));
        Ok(match usize::try_from(arguments.int(1)) {
            Ok(limit) if separator.is_empty() => {
                let cut = text
                    .char_indices()
                    .nth(limit.saturating_sub(1))
                    .map_or(text.len(), |(at, _)| at);
                let mut all = parts(&text[..cut], separator);
                if cut < text.len() {
                    all.push(&text[cut..]);
                }
                numbered(&all)
            }
            Ok(limit) => numbered(&text.splitn(limit, separator).collect::<Vec<_>>()),
            Err(_) => numbered(&parts(text, separator)),
        })
    }),
    Function::pure("splitList", &[Text, Text], |arguments| {
        Ok(Value::List(List::strings(parts(arguments.text(1), arguments.text(0)))))
    }),
    Function::pure("wrap", &[Int, Text], |arguments| {
        Ok(wrapped(arguments.text(1), length(arguments.int(0)), "\n", false).into())
    }),
    Function::pure("wrapWith", &[Int, Text, Text], |arguments| {
        Ok(wrapped(arguments.text(2), length(arguments.int(0)), arguments.text(1), true).into())
    }),
    Function::engine("randAlphaNum", &[Int], |engine, arguments| {
        random(
            engine,
            arguments,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        )
    }),
    Function::engine("randAlpha", &[Int], |engine, arguments| {
        random(
            engine,
            arguments,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        )
    }),
    Function::engine("randNumeric", &[Int], |engine, arguments| {
        random(engine, arguments, "0123456789")
    }),
    Function::engine("randAscii", &[Int], |engine, arguments| {
        let printable: String = (' '..='~').collect();
        random(engine, arguments, &printable)
    }),
    Function::engine("shuffle", &[Text], |engine, arguments| {
        let mut characters: Vec<char> = arguments.text(0).chars().collect();
        for last in (1..characters.len()).rev() {
            let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
            let other = usize::try_from(engine.random.below(bound)).unwrap_or(last);
            characters.swap(last, other);
        }
        Ok(characters.into_iter().collect::<String>().into())
    }),
    Function::engine("uuidv4", &[], |engine, _| {
        let mut bytes = engine.random.bytes(16);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = format::hexadecimal(&bytes);
        let groups = [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ];
        Ok(groups.join("-").into())
    }),
];

/// Texts longer than this are not made by repetition; Kubernetes takes no object a hundredth as long.
const LONGEST: usize = 256 << 20;

fn words(arguments: &[Value], shown: impl Fn(&Value) -> String) -> Value {
    arguments
        .iter()
        .filter(|value| !value.is_nil())
        .map(shown)
        .collect::<Vec<_>>()
        .join(" ")
        .into()
}

fn indent(before: &str, arguments: &[Value]) -> Result<Value, String> {
    let (width, text) = (arguments.int(0), arguments.text(1));
    let Ok(width) = usize::try_from(width) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let size = width.saturating_mul(lines).saturating_add(text.len());
    if size > LONGEST {
        return Err("strings: Repeat output length overflow".to_owned());
    }
    let pad = " ".repeat(width);
    let mut out = String::with_capacity(size + before.len());
    out.push_str(before);
    out.push_str(&pad);
    for piece in text.split_inclusive('\n') {
        out.push_str(piece);
        if piece.ends_with('\n') {
            out.push_str(&pad);
        }
    }
    Ok(out.into())
}

fn repeat(arguments: &[Value]) -> Result<Value, String> {
    let text = arguments.text(1);
    let Ok(count) = usize::try_from(arguments.int(0)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    if text.len().saturating_mul(count) > LONGEST {
        return Err("strings: Repeat output length overflow".to_owned());
    }
    Ok(text.repeat(count).into())
}

fn trim_all(arguments: &[Value]) -> Value {
    let cut = arguments.text(0);
    arguments
        .text(1)
        .trim_matches(|character| cut.contains(character))
        .into()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Cuts by bytes as Go does, even through a character.
fn truncated(width: i64, bytes: &[u8]) -> Value {
    let from_end = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    let part = match usize::try_from(width) {
        Ok(width) => &bytes[..width.min(bytes.len())],
        Err(_) if from_end >= bytes.len() => bytes,
        Err(_) => &bytes[bytes.len() - from_end..],
    };
    Value::string(part.to_vec())
}

fn substring(arguments: &[Value]) -> Result<Value, String> {
    let (start, end, text) = (arguments.int(0), arguments.int(1), arguments.text(2));
    let whole = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (start, end) = match (start, end) {
        (start, end) if start < 0 => (0, end),
        (start, end) if end < 0 || end > whole => (start, whole),
        bounds => bounds,
    };
    if end < 0 || start > end || end > whole {
        return Err("runtime error: slice bounds out of range".to_owned());
    }
    Ok(Value::string(text.as_bytes()[length(start)..length(end)].to_vec()))
}

fn abbreviated(offset: i64, width: i64, text: &str) -> String {
    let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if width < 4 || offset > 0 && width < 7 || size <= width {
        return text.to_owned();
    }
    let part = |start: i64, end: i64| &text[floor(text, length(start))..floor(text, length(end))];
    let offset = offset.min(size);
    let offset = if size - offset < width - 3 {
        size - (width - 3)
    } else {
        offset
    };
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    if offset + width - 3 < size {
        let rest = abbreviated(0, width - 3, part(offset, size));
        return format!("...{rest}");
    }
    format!("...{}", part(size - (width - 3), size))
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_letter = false;
    for character in text.chars() {
        if after_letter {
            out.push(character);
        } else {
            out.extend(character.to_uppercase());
        }
        after_letter = character.is_alphanumeric() || character == '_' || character == '\'';
    }
    out
}

fn untitle(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for character in text.chars() {
        if starts && !character.is_whitespace() {
            out.extend(character.to_lowercase());
        } else {
            out.push(character);
        }
        starts = character.is_whitespace();
    }
    out
}

fn swapcase(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_uppercase() {
            out.extend(character.to_lowercase());
        } else if character.is_lowercase() {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
    }
    out
}

/// Words in lower case with `separator` between them.
fn delimited(text: &str, separator: char) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    for (position, character) in characters.iter().copied().enumerate() {
        if matches!(character, ' ' | '_' | '-') {
            out.push(separator);
            continue;
        }
        let before = position.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(position + 1).copied();
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || before.is_uppercase() && after.is_some_and(char::is_lowercase)
            });
        let digits = character.is_ascii_digit() && before.is_some_and(char::is_alphabetic);
        let after_digits = character.is_lowercase() && before.is_some_and(|before| before.is_ascii_digit());
        if (begins || digits || after_digits) && !out.ends_with(separator) {
            out.push(separator);
        }
        out.extend(character.to_lowercase());
    }
    out
}

fn pascal(text: &str) -> String {
    let is_connector = |character: char| matches!(character, '_' | '-') || character.is_whitespace();
    let leading: String = text.chars().take_while(|character| is_connector(*character)).collect();
    let mut out = leading;
    let mut starts = true;
    for character in text.chars().skip_while(|character| is_connector(*character)) {
        if is_connector(character) {
            starts = true;
        } else if starts {
            out.extend(character.to_uppercase());
            starts = false;
        } else {
            out.push(character);
        }
    }
    out
}

/// The pieces between separators; no separator means every character.
fn parts<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    if separator.is_empty() {
        return text
            .char_indices()
            .map(|(at, character)| &text[at..at + character.len_utf8()])
            .collect();
    }
    text.split(separator).collect()
}

fn numbered(parts: &[&str]) -> Value {
    let entries: Entries = parts
        .iter()
        .enumerate()
        .map(|(position, part)| (format!("_{position}").into(), (*part).into()))
        .collect();
    Value::Map(Map::of(Sort::Strings, entries))
}

/// Breaks a text into lines of `width` at spaces, and inside words only if asked to.
fn wrapped(text: &str, width: usize, separator: &str, breaks_words: bool) -> String {
    let width = width.max(1);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while rest.chars().count() > width {
        if let Some(after) = rest.strip_prefix(' ') {
            rest = after;
            continue;
        }
        let limit = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let within = &rest[..(limit + usize::from(rest[limit..].starts_with(' ')))];
        if let Some(space) = within.rfind(' ') {
            out.push_str(&rest[..space]);
            rest = &rest[space + 1..];
        } else if breaks_words {
            out.push_str(&rest[..limit]);
            rest = &rest[limit..];
        } else if let Some(space) = rest[limit..].find(' ') {
            out.push_str(&rest[..limit + space]);
            rest = &rest[limit + space + 1..];
        } else {
            break;
        }
        out.push_str(separator);
    }
    out.push_str(rest);
    out
}

fn random(engine: &mut Engine<'_>, arguments: &[Value], alphabet: &str) -> Result<Value, Trouble> {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let bound = u64::try_from(alphabet.len()).unwrap_or(1);
    let wanted = length(arguments.int(0));
    if wanted > LONGEST {
        return Err(Trouble::Message(format!("more than {LONGEST} random characters")));
    }
    let pick = |_| alphabet[usize::try_from(engine.random.below(bound)).unwrap_or(0)];
    Ok((0..wanted).map(pick).collect::<String>().into())
}
