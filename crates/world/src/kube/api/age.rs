//! Spans of time as `kubectl` shows them: how old an object is, how long a job took.

use jiff::Timestamp;
use serde_json::Value;

const UNKNOWN: &str = "<unknown>";

/// How old something is.
pub(crate) fn age(at: &Value, now: Timestamp) -> String {
    age_or(at, now, UNKNOWN)
}

/// Like [`age`], with what an absent time shows.
pub(crate) fn age_or(at: &Value, now: Timestamp, unknown: &str) -> String {
    match at.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(at) => human(now.duration_since(at).as_secs()),
        None => unknown.to_owned(),
    }
}

/// The span between two times; up to now if the second is not there.
pub(crate) fn duration(from: &Value, to: &Value, now: Timestamp) -> String {
    let read = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match (read(from), read(to)) {
        (Some(from), Some(to)) => human(to.duration_since(from).as_secs()),
        (Some(from), None) => human(now.duration_since(from).as_secs()),
        (None, _) => String::new(),
    }
}

/// A span as `kubectl` shows it: `90s`, `5m`, `3h2m`, `2d4h`, `40d`.
fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 8 * 365 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_kubectl_writes_them() {
        let cases = [
            (90, "90s"),
            (125, "2m5s"),
            (660, "11m"),
            (3 * 3600 + 120, "3h2m"),
            (49 * 3600, "2d1h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(seconds), expected);
        }
    }
}
