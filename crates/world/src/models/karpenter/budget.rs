//! How many nodes of a pool may go at once.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// One entry of `disruption.budgets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// `nodes`.
    pub nodes: Allowance,
    /// `reasons`; every one when there are none.
    pub reasons: Vec<Reason>,
    /// `schedule` and `duration`; always when there are none.
    pub window: Option<Window>,
}

impl Default for Budget {
    /// The budget of a pool that has none: a tenth of its nodes.
    fn default() -> Self {
        Self {
            nodes: Allowance::Percent(10),
            reasons: Vec::new(),
            window: None,
        }
    }
}

/// How many nodes a budget lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allowance {
    /// So many.
    Count(usize),
    /// So many of a hundred, rounded up: one is always allowed, unless it is zero.
    Percent(usize),
}

/// Why a node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// It has no pods.
    Empty,
    /// Its pods fit elsewhere, or on something cheaper.
    Underutilized,
    /// Its pool has changed.
    Drifted,
}

/// When a budget counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it begins to.
    pub begins: Cron,
    /// How long it does then.
    pub duration: SignedDuration,
}

/// A schedule in the five fields of cron, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    weekdays: BTreeSet<i8>,
    /// A day is met by either of both when both are restricted, as in every cron.
    either_day: bool,
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no schedule; write minute, hour, day, month and weekday, such as `0 9 * * 1-5`")]
pub struct BadSchedule {
    /// The text.
    pub text: String,
}

impl Budget {
    fn counts(&self, reason: Reason, now: Timestamp) -> bool {
        (self.reasons.is_empty() || self.reasons.contains(&reason))
            && self.window.as_ref().is_none_or(|window| window.is_open(now))
    }
}

/// How many of a pool's `nodes` may be on their way out for a reason.
pub(super) fn allowed(budgets: &[Budget], nodes: usize, reason: Reason, now: Timestamp) -> usize {
    let counting = budgets.iter().filter(|budget| budget.counts(reason, now));
    let allowances = counting.map(|budget| match budget.nodes {
        Allowance::Count(count) => count,
        Allowance::Percent(percent) => (nodes * percent).div_ceil(100),
    });
    allowances.min().unwrap_or(nodes)
}

impl Window {
    fn is_open(&self, now: Timestamp) -> bool {
        let second = now.as_second();
        let mut minute = second - second.rem_euclid(60);
        while let Ok(begin) = Timestamp::from_second(minute) {
            if begin + self.duration <= now {
                return false;
            }
            if self.begins.meets(begin.to_zoned(TimeZone::UTC).datetime()) {
                return true;
            }
            minute -= 60;
        }
        false
    }
}

impl Cron {
    /// Reads five fields, or one of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
    pub fn parse(text: &str) -> Result<Self, BadSchedule> {
        let bad = || BadSchedule { text: text.to_owned() };
        let spelled = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = spelled.split_whitespace().collect();
        let [minutes, hours, month_days, months, weekdays] = fields.as_slice() else {
            return Err(bad());
        };
        let restricted = |field: &str| !field.starts_with('*');
        Ok(Self {
            minutes: field(minutes, 0, 59, &[]).ok_or_else(bad)?,
            hours: field(hours, 0, 23, &[]).ok_or_else(bad)?,
            days: field(month_days, 1, 31, &[]).ok_or_else(bad)?,
            months: field(months, 1, 12, &MONTHS).ok_or_else(bad)?,
            weekdays: field(weekdays, 0, 7, &WEEKDAYS)
                .ok_or_else(bad)?
                .into_iter()
                .map(|day| day % 7)
                .collect(),
            either_day: restricted(month_days) && restricted(weekdays),
        })
    }

    fn meets(&self, at: DateTime) -> bool {
        let day = self.days.contains(&at.day());
        let weekday = self.weekdays.contains(&at.weekday().to_sunday_zero_offset());
        self.minutes.contains(&at.minute())
            && self.hours.contains(&at.hour())
            && self.months.contains(&at.month())
            && if self.either_day {
                day || weekday
            } else {
                day && weekday
            }
    }
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of one field: lists of `*`, `a`, `a-b`, each perhaps with `/step`.
fn field(text: &str, least: i8, most: i8, names: &[&str]) -> Option<BTreeSet<i8>> {
    let number = |word: &str| -> Option<i8> {
        let lower = word.to_lowercase();
        let place = names.iter().position(|name| *name == lower);
        // Months are named from one, weekdays from zero: both begin at their least.
        let found = match place {
            Some(place) => i8::try_from(place).ok()? + least,
            None => word.parse().ok()?,
        };
        (least..=most).contains(&found).then_some(found)
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step: &usize| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        values.extend((from..=to).step_by(step));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_window_is_open_from_its_minute_for_its_duration() {
        let check = |cron: &str, minutes: i64, now: &str, expected: bool| {
            let window = Window {
                begins: Cron::parse(cron).expect(cron),
                duration: SignedDuration::from_mins(minutes),
            };
            assert_eq!(window.is_open(at(now)), expected, "{cron} for {minutes} min at {now}");
        };
        check("0 9 * * 1-5", 60, "2026-11-23T08:59:59Z", false);
        check("0 9 * * 1-5", 60, "2026-11-23T09:00:00Z", true);
        check("0 9 * * 1-5", 60, "2026-11-23T09:59:59Z", true);
        check("0 9 * * 1-5", 60, "2026-11-23T10:00:00Z", false);
        check("0 9 * * mon-fri", 60, "2026-11-22T09:30:00Z", false);
        check("*/15 * * * *", 5, "2026-11-22T09:34:00Z", true);
        check("*/15 * * * *", 5, "2026-11-22T09:36:00Z", false);
        check("@daily", 600, "2026-11-22T09:36:00Z", true);
        check("0 0 1 * 0", 60, "2026-11-22T00:30:00Z", true);
        check("0 22 * * *", 240, "2026-11-22T01:30:00Z", true);
        check("0 12 * nov *", 60, "2026-11-22T12:30:00Z", true);
        check("0 12 * dec *", 60, "2026-11-22T12:30:00Z", false);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "* * * *", "60 * * * *", "a * * * *", "*/0 * * * *", "5-99 * * * *"] {
            assert_eq!(Cron::parse(text), Err(BadSchedule { text: text.to_owned() }));
        }
    }

    #[test]
    fn the_most_restrictive_budget_that_counts_wins() {
        let budget = |nodes| Budget {
            nodes,
            ..Budget::default()
        };
        let frozen = Budget {
            nodes: Allowance::Count(0),
            reasons: vec![Reason::Drifted],
            window: None,
        };
        let check = |budgets: &[Budget], nodes: usize, expected: usize| {
            let allowed = allowed(budgets, nodes, Reason::Empty, at("2026-11-22T12:00:00Z"));
            assert_eq!(allowed, expected, "{budgets:?} of {nodes}");
        };
        check(&[Budget::default()], 5, 1);
        check(&[Budget::default()], 11, 2);
        check(&[budget(Allowance::Percent(50)), budget(Allowance::Count(3))], 10, 3);
        check(&[budget(Allowance::Count(0))], 10, 0);
        check(&[frozen], 10, 10);
        check(&[], 10, 10);
    }
}
