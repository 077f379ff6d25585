//! Times and durations as Go has them: a point in time with its zone, layouts by example, `1h30m`.

pub(crate) mod duration;
mod layout;
mod parse;

use std::any::Any;

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::value::Object;
use crate::value::Value;

pub(crate) use parse::parse;

/// A point in time and its zone.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    pub(crate) at: Zoned,
    /// What the zone is called where a text gave the name; empty if it gave an offset alone.
    zone: Option<String>,
}

impl Time {
    /// A point in time, in UTC: the zone of everything that names none.
    pub(crate) fn utc(at: Timestamp) -> Self {
        Time {
            at: at.to_zoned(TimeZone::UTC),
            zone: None,
        }
    }

    /// The time so many seconds after the first of January 1970, if four digits can write its year.
    pub(crate) fn of_unix(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(Time::utc)
    }

    /// The first moment of the year one, which Go has for no time at all.
    pub(crate) fn zero() -> Self {
        Time {
            at: jiff::civil::date(1, 1, 1)
                .to_zoned(TimeZone::UTC)
                .expect("the year one is in range"),
            zone: None,
        }
    }

    /// The same point in time in a zone of the database; UTC where there is no such zone.
    pub(crate) fn in_zone(&self, zone: &str) -> Self {
        let zone = match zone {
            "" | "UTC" | "Local" => TimeZone::UTC,
            name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
        };
        Time {
            at: self.at.with_time_zone(zone),
            zone: None,
        }
    }

    /// Formats by a layout that shows how Go's reference time would look.
    pub(crate) fn format(&self, layout: &str) -> String {
        layout::format(self, layout)
    }

    pub(crate) fn unix(&self) -> i64 {
        // Whole seconds that have passed; before 1970 a fraction counts to the second before.
        i64::try_from(self.at.timestamp().as_nanosecond().div_euclid(1_000_000_000))
            .expect("a time of four digits a year has few enough seconds")
    }

    /// The time so many nanoseconds later; the same time where that is out of reach.
    pub(crate) fn plus(&self, nanoseconds: i64) -> Self {
        let later = self.at.checked_add(jiff::SignedDuration::from_nanos(nanoseconds));
        Time {
            at: later.unwrap_or_else(|_| self.at.clone()),
            zone: self.zone.clone(),
        }
    }

    /// How many nanoseconds have passed since another time, as far as 64 bits tell.
    pub(crate) fn since(&self, earlier: &Time) -> i64 {
        let between = self.at.timestamp().as_nanosecond() - earlier.at.timestamp().as_nanosecond();
        i64::try_from(between).unwrap_or(if between < 0 { i64::MIN } else { i64::MAX })
    }

    fn zone_name(&self) -> String {
        match &self.zone {
            Some(name) => name.clone(),
            None => self.at.strftime("%Z").to_string(),
        }
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn method(&self, name: &str) -> Option<usize> {
        match name {
            "Day" | "Hour" | "IsZero" | "Local" | "Minute" | "Month" | "Nanosecond" | "Second" | "String" | "UTC"
            | "Unix" | "UnixMicro" | "UnixMilli" | "UnixNano" | "Weekday" | "Year" | "YearDay" => Some(0),
            "Format" => Some(1),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let part = |number: i64| Value::Int(number);
        let nanosecond = self.at.timestamp().as_nanosecond();
        let wide = |number: i128| Value::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(match name {
            "Day" => part(self.at.day().into()),
            "Format" => self
                .format(arguments.first().and_then(Value::as_str).unwrap_or_default())
                .into(),
            "Hour" => part(self.at.hour().into()),
            "IsZero" => Value::Bool(self.format("2006-01-02T15:04:05.999999999Z") == "0001-01-01T00:00:00Z"),
            "Local" | "UTC" => Value::object(self.in_zone("UTC")),
            "Minute" => part(self.at.minute().into()),
            "Month" => self.format("January").into(),
            "Nanosecond" => part(self.at.subsec_nanosecond().into()),
            "Second" => part(self.at.second().into()),
            "Unix" => Value::Int64(self.unix()),
            "UnixMicro" => wide(nanosecond.div_euclid(1_000)),
            "UnixMilli" => wide(nanosecond.div_euclid(1_000_000)),
            "UnixNano" => wide(nanosecond),
            "Weekday" => self.format("Monday").into(),
            "Year" => part(self.at.year().into()),
            "YearDay" => part(self.at.day_of_year().into()),
            _ => self.show().into(),
        })
    }

    fn show(&self) -> String {
        self.format("2006-01-02 15:04:05.999999999 -0700 MST")
    }

    fn plain(&self) -> Value {
        self.format("2006-01-02T15:04:05.999999999Z07:00").into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
