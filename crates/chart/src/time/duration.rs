//! Durations in nanoseconds, written as Go writes them: `1h30m0s`.

use crate::time::parse::quote;

/// Reads a duration such as `-1.5h`; the error is Go's.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut all: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (part, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|next: char| next == '.' || next.is_ascii_digit());
        let (name, after) = after.split_at(end.unwrap_or(after.len()));
        if name.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let unit =
            unit(name).ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(name), quote(text)))?;
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        let nanoseconds = whole
            .checked_mul(unit)
            .filter(|product| *product <= MOST)
            .ok_or_else(invalid)?;
        all = all
            .checked_add(nanoseconds)
            .and_then(|sum| sum.checked_add(fraction(part, unit)))
            .filter(|sum| *sum <= MOST)
            .ok_or_else(invalid)?;
        rest = after;
    }
    match (negative, i64::try_from(all)) {
        (true, Ok(all)) => Ok(-all),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Ok(all)) => Ok(all),
        (false, Err(_)) => Err(invalid()),
    }
}

/// One more than the longest duration: the longest negative one has it.
const MOST: u64 = 1 << 63;

const SECOND: u64 = 1_000_000_000;

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|next: char| !next.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return None,
    })
}

/// What digits behind a point are of a unit. As in Go, digits that 63 bits cannot hold are left out.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go computes fractions in floating point, and so must whoever wants its nanoseconds"
)]
fn fraction(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        let next = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .filter(|number| *number <= MOST);
        let Some(next) = next else { break };
        number = next;
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

/// Writes a duration: hours, minutes and seconds, or the unit below a second that fits.
pub(crate) fn show(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let shown = match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{all}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(all, 1_000)),
        1_000_000..SECOND => format!("{}ms", decimal(all, 1_000_000)),
        _ => {
            let (minutes, seconds) = (all / (60 * SECOND), decimal(all % (60 * SECOND), SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{shown}")
}

fn decimal(number: u64, unit: u64) -> String {
    let (whole, rest) = (number / unit, number % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

/// Rounds to whole seconds, halves away from zero.
pub(crate) fn round_to_seconds(nanoseconds: i64) -> i64 {
    let second = 1_000_000_000;
    let rest = nanoseconds % second;
    let down = nanoseconds - rest;
    match rest {
        500_000_000.. => down.saturating_add(second),
        ..=-500_000_000 => down.saturating_sub(second),
        _ => down,
    }
}

/// The largest unit that a duration exceeds, and how many of it: `3mo`.
pub(crate) fn round(nanoseconds: i64) -> String {
    const HOUR: u64 = 3600 * SECOND;
    let all = nanoseconds.unsigned_abs();
    let units = [
        (365 * 24 * HOUR, "y"),
        (30 * 24 * HOUR, "mo"),
        (24 * HOUR, "d"),
        (HOUR, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    let unit = units.iter().find(|(unit, _)| all > *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", all / unit))
}
