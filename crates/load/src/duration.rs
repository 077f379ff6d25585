//! Durations as load scripts write them: `30s`, `1m30s`, `250ms`.
//!
//! A number without a unit is refused rather than guessed: `90` is milliseconds to one tool and seconds to the next.

use std::time::Duration;

use thiserror::Error;

const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("us", 0.000_001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("a duration is missing; write one like `90s` or `1m30s`")]
    Empty,
    /// A number stands without its unit.
    #[error("`{text}` needs a unit after `{number}`: h, m, s or ms, as in `{number}s`")]
    NoUnit {
        /// What was written.
        text: String,
        /// The number without a unit.
        number: String,
    },
    /// A unit that does not exist.
    #[error("`{text}` has the unknown unit `{unit}`; use h, m, s or ms")]
    UnknownUnit {
        /// What was written.
        text: String,
        /// The part that is no unit.
        unit: String,
    },
    /// A unit stands without a number, or the number cannot be read.
    #[error("`{text}` is not a duration; write one like `90s` or `1m30s`")]
    NotANumber {
        /// What was written.
        text: String,
    },
    /// More time than can be counted.
    #[error("`{text}` is longer than a year; choose a shorter duration")]
    TooLong {
        /// What was written.
        text: String,
    },
}

/// Reads a duration made of numbers with units, largest first or not.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    const LONGEST: f64 = 366.0 * 24.0 * 3600.0;
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split_where(after, |c| c.is_ascii_digit() || c == '.');
        let amount: f64 = number
            .parse()
            .map_err(|_| DurationError::NotANumber { text: text.to_owned() })?;
        seconds += amount * seconds_in(unit, number, text)?;
        rest = after;
    }
    if seconds > LONGEST {
        return Err(DurationError::TooLong { text: text.to_owned() });
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Writes a duration so that [`parse_duration`] reads it back: `1m30s`.
pub fn format_duration(duration: Duration) -> String {
    let total = duration.as_secs();
    let millis = duration.subsec_millis();
    let parts = [
        (total / 3600, "h"),
        (total / 60 % 60, "m"),
        (total % 60, "s"),
        (u64::from(millis), "ms"),
    ];
    let mut text = String::new();
    for (number, unit) in parts.iter().filter(|(number, _)| *number > 0) {
        text.push_str(&number.to_string());
        text.push_str(unit);
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn seconds_in(unit: &str, number: &str, text: &str) -> Result<f64, DurationError> {
    if unit.is_empty() {
        return Err(DurationError::NoUnit {
            text: text.to_owned(),
            number: number.to_owned(),
        });
    }
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, seconds)| *seconds)
        .ok_or_else(|| DurationError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
        })
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = parse_duration(text).map_or_else(|error| error.to_string(), format_duration);
        assert_eq!(outcome, expected, "for `{text}`");
    }

    #[test]
    fn durations_are_read_as_they_are_written() {
        check("30s", "30s");
        check("1m30s", "1m30s");
        check("90s", "1m30s");
        check("1.5m", "1m30s");
        check("2h", "2h");
        check(" 250ms ", "250ms");
        check("0", "0s");
    }

    #[test]
    fn what_is_no_duration_says_how_to_write_one() {
        check("", "a duration is missing; write one like `90s` or `1m30s`");
        check("90", "`90` needs a unit after `90`: h, m, s or ms, as in `90s`");
        check("4m30", "`4m30` needs a unit after `30`: h, m, s or ms, as in `30s`");
        check(
            "3 minutes",
            "`3 minutes` has the unknown unit ` minutes`; use h, m, s or ms",
        );
        check("m", "`m` is not a duration; write one like `90s` or `1m30s`");
        check("-5s", "`-5s` is not a duration; write one like `90s` or `1m30s`");
        check("1.2.3s", "`1.2.3s` is not a duration; write one like `90s` or `1m30s`");
        check(
            "99999999h",
            "`99999999h` is longer than a year; choose a shorter duration",
        );
    }
}
