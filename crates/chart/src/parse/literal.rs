//! Constants as they are written in templates: strings, runes and numbers.

use super::ast::Number;

/// Takes the quotes off a string and resolves its escapes, as Go's `strconv.Unquote` does.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    if let Some(raw) = quoted.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        rest = unescape(rest, '"', &mut bytes)?;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The code of a character constant such as `'a'`.
pub(super) fn rune(quoted: &str) -> Option<i64> {
    let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut bytes = Vec::new();
    if !unescape(inner, '\'', &mut bytes)?.is_empty() {
        return None;
    }
    match bytes.as_slice() {
        [byte] => Some(i64::from(*byte)),
        _ => String::from_utf8(bytes)
            .ok()?
            .chars()
            .next()
            .map(|character| i64::from(u32::from(character))),
    }
}

/// Reads one character of a quoted text and returns what follows it.
fn unescape<'a>(text: &'a str, quote: char, out: &mut Vec<u8>) -> Option<&'a str> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first == quote || first == '\n' {
        return None;
    }
    if first != '\\' {
        out.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
        return Some(characters.as_str());
    }
    let simple = match characters.next()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' if quote == '\'' => b'\'',
        '"' if quote == '"' => b'"',
        'x' => return numeric(characters.as_str(), 2, 16, out, true),
        'u' => return numeric(characters.as_str(), 4, 16, out, false),
        'U' => return numeric(characters.as_str(), 8, 16, out, false),
        '0'..='7' => return numeric(&text[1..], 3, 8, out, true),
        _ => return None,
    };
    out.push(simple);
    Some(characters.as_str())
}

fn numeric<'a>(text: &'a str, digits: usize, base: u32, out: &mut Vec<u8>, byte: bool) -> Option<&'a str> {
    let code = text.get(..digits)?;
    if !code.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let code = u32::from_str_radix(code, base).ok()?;
    if byte {
        out.push(u8::try_from(code).ok()?);
    } else {
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(&text[digits..])
}

/// Reads a number with every type that it can take; `None` if it can take none.
pub(super) fn number(text: &str) -> Option<Number> {
    let uint = unsigned(text.strip_prefix('+').unwrap_or(text)).filter(|_| !text.starts_with('+'));
    let mut int = signed(text);
    if uint == Some(0) {
        int = Some(0);
    }
    let fractional = text.contains(['.', 'e', 'E', 'p', 'P']) && !is_hexadecimal_integer(text);
    let mut number = Number {
        int,
        uint,
        float: None,
        fractional,
    };
    if let Some(value) = int {
        #[expect(clippy::cast_precision_loss, reason = "Go converts the constant in the same way")]
        let float = value as f64;
        number.float = Some(float);
    } else if let Some(value) = uint {
        #[expect(clippy::cast_precision_loss, reason = "Go converts the constant in the same way")]
        let float = value as f64;
        number.float = Some(float);
    } else {
        let value = float(text)?;
        number.float = Some(value);
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            // An integer that fits no integer type.
            return Some(number);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the comparison below finds what was lost"
        )]
        let whole = value as i64;
        #[expect(
            clippy::cast_precision_loss,
            clippy::float_cmp,
            reason = "the comparison finds what was lost"
        )]
        if whole as f64 == value {
            number.int = Some(whole);
            number.uint = u64::try_from(whole).ok();
        }
    }
    Some(number)
}

fn is_hexadecimal_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.len() > 2 && (digits.starts_with("0x") || digits.starts_with("0X")) && !digits.contains(['p', 'P'])
}

fn signed(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = unsigned(digits)?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude);
    }
    i64::try_from(magnitude).ok()
}

/// A number without a sign whose prefix tells its base; underscores may stand between digits.
fn unsigned(text: &str) -> Option<u64> {
    let (base, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let separated = base != 10 || !digits.starts_with('_');
    if !separated || digits.ends_with('_') || digits.contains("__") || digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), base).ok()
}

fn float(text: &str) -> Option<f64> {
    if text.ends_with('_') || text.contains("__") {
        return None;
    }
    let digits = text.replace('_', "");
    if digits.contains(['x', 'X']) {
        return hexadecimal_float(&digits);
    }
    digits.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A float such as `0x1.8p3`: a hexadecimal fraction times a power of two, which must be written.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, power) = rest.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let value = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let power: i32 = power.parse().ok()?;
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    #[expect(clippy::cast_precision_loss, reason = "a float keeps 53 bits of a constant")]
    let value = sign * value as f64 * 2_f64.powi(power.checked_sub(shift)?);
    value.is_finite().then_some(value)
}
