//! Reads a time by a layout, as Go's `time.Parse` does.

use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::tz::Offset as Shift;
use jiff::tz::TimeZone;

use crate::time::Time;
use crate::time::layout;
use crate::time::layout::Part;
use crate::time::layout::Rest;

/// Reads a time by a layout; what names no zone is in UTC. The error is Go's.
pub(crate) fn parse(layout: &str, value: &str) -> Result<Time, String> {
    let mut reader = Reader { rest: value };
    let mut read = Read::default();
    let mut layout_rest = layout;
    let complaint = |element: &str, at: &str| {
        let (value, layout) = (quote(value), quote(layout));
        format!(
            "parsing time {value} as {layout}: cannot parse {} as {}",
            quote(at),
            quote(element)
        )
    };
    loop {
        let (before, part, after) = layout::next(layout_rest);
        if !reader.skip(before) {
            return Err(complaint(before, reader.rest));
        }
        let Some((part, text)) = part else { break };
        let hold = reader.rest;
        layout_rest = after;
        match read.part(part, &mut reader, after) {
            Ok(()) => {}
            Err(Trouble::Unlike) => return Err(complaint(text, hold)),
            Err(Trouble::Range(what)) => {
                return Err(format!("parsing time {}: {what} out of range", quote(value)));
            }
        }
    }
    if !reader.rest.is_empty() {
        let (value, rest) = (quote(value), quote(reader.rest));
        return Err(format!("parsing time {value}: extra text: {rest}"));
    }
    read.time()
        .map_err(|what| format!("parsing time {}: {what}", quote(value)))
}

/// Why a part cannot be read.
enum Trouble {
    /// The text does not look like it.
    Unlike,
    Range(&'static str),
}

/// What was read so far.
#[derive(Default)]
struct Read {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i32>,
    zone: Option<String>,
}

impl Read {
    fn part(&mut self, part: Part, reader: &mut Reader<'_>, after: &str) -> Result<(), Trouble> {
        match part {
            Part::Year => {
                let year = reader.digits(2)?;
                // What Go takes two digits for.
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Part::LongYear => self.year = reader.digits(4)?,
            Part::Month => self.month = Some(reader.name(&MONTHS, 3)?),
            Part::LongMonth => self.month = Some(reader.name(&MONTHS, usize::MAX)?),
            Part::NumberMonth | Part::ZeroMonth => {
                self.month = Some(within(reader.number(part == Part::ZeroMonth)?, 1..=12, "month")?);
            }
            Part::Weekday => _ = reader.name(&WEEKDAYS, 3)?,
            Part::LongWeekday => _ = reader.name(&WEEKDAYS, usize::MAX)?,
            Part::Day | Part::SpaceDay | Part::ZeroDay => {
                reader.spaces(usize::from(part == Part::SpaceDay));
                self.day = Some(reader.number(part == Part::ZeroDay)?);
            }
            Part::SpaceYearDay | Part::ZeroYearDay => {
                reader.spaces(if part == Part::SpaceYearDay { 2 } else { 0 });
                self.year_day = Some(reader.up_to_three(part == Part::ZeroYearDay)?);
            }
            Part::Hour => self.hour = within(reader.number(false)?, 0..=23, "hour")?,
            Part::Hour12 | Part::ZeroHour12 => {
                self.hour = within(reader.number(part == Part::ZeroHour12)?, 0..=12, "hour")?;
            }
            Part::Minute | Part::ZeroMinute => {
                self.minute = within(reader.number(part == Part::ZeroMinute)?, 0..=59, "minute")?;
            }
            Part::Second | Part::ZeroSecond => {
                self.second = within(reader.number(part == Part::ZeroSecond)?, 0..=59, "second")?;
                // A fraction may follow without standing in the layout.
                let (before, next, _) = layout::next(after);
                let announced = before.is_empty() && matches!(next, Some((Part::Fraction { .. }, _)));
                if reader.at_fraction() && !announced {
                    self.nanosecond = reader.fraction(None)?;
                }
            }
            Part::UpperNoon => self.afternoon = Some(reader.either("AM", "PM")?),
            Part::LowerNoon => self.afternoon = Some(reader.either("am", "pm")?),
            Part::Offset(style) if style.zulu && reader.take("Z") => self.utc = true,
            Part::Offset(style) => self.offset = Some(reader.offset(style)?),
            Part::Zone if reader.take("UTC") => self.utc = true,
            Part::Zone => self.zone = Some(reader.zone()?),
            Part::Fraction {
                digits,
                rest: Rest::Kept,
            } => self.nanosecond = reader.fraction(Some(digits))?,
            Part::Fraction { .. } if reader.at_fraction() => self.nanosecond = reader.fraction(None)?,
            Part::Fraction { .. } => {}
        }
        Ok(())
    }

    fn time(self) -> Result<Time, &'static str> {
        let year = i16::try_from(self.year).expect("a year has four digits");
        let date = self.date(year)?;
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let small = |number: i64| i8::try_from(number).expect("its range was checked");
        let nanosecond = i32::try_from(self.nanosecond).expect("a fraction has nine digits");
        let time = jiff::civil::time(small(hour), small(self.minute), small(self.second), nanosecond);
        let civil = date.to_datetime(time);
        if self.utc {
            return Ok(in_offset(civil, 0, None));
        }
        match (self.offset, self.zone) {
            (None, None) => Ok(in_offset(civil, 0, None)),
            (Some(0), zone) if zone.as_deref().is_none_or(|zone| zone == "UTC") => Ok(in_offset(civil, 0, None)),
            (Some(offset), zone) => Ok(in_offset(civil, offset, Some(zone.unwrap_or_default()))),
            (None, Some(zone)) => {
                // Go takes the clock for UTC's, and shows it as such a zone does.
                let hours = zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok());
                let shift = Shift::from_seconds(hours.unwrap_or(0) * 3600).unwrap_or(Shift::UTC);
                let at = in_offset(civil, 0, None).at.with_time_zone(TimeZone::fixed(shift));
                Ok(Time { at, zone: Some(zone) })
            }
        }
    }

    fn date(&self, year: i16) -> Result<Date, &'static str> {
        let first = Date::new(year, 1, 1).expect("every year of four digits has a first day");
        let (mut month, mut day) = (self.month, self.day);
        if let Some(year_day) = self.year_day {
            let within = (1..=i64::from(first.days_in_year())).contains(&year_day);
            let date = i16::try_from(year_day).ok().filter(|_| within);
            let date = date.and_then(|day| first.with().day_of_year(day).build().ok());
            let date = date.ok_or("day-of-year out of range")?;
            let (of_month, of_day) = (i64::from(date.month()), i64::from(date.day()));
            if month.is_some_and(|month| month != of_month) {
                return Err("day-of-year does not match month");
            }
            if day.is_some_and(|day| day != of_day) {
                return Err("day-of-year does not match day");
            }
            (month, day) = (Some(of_month), Some(of_day));
        }
        let part = |number: Option<i64>| i8::try_from(number.unwrap_or(1)).unwrap_or(0);
        Date::new(year, part(month), part(day)).map_err(|_| "day out of range")
    }
}

fn in_offset(civil: DateTime, seconds: i32, zone: Option<String>) -> Time {
    let shift = Shift::from_seconds(seconds).unwrap_or(Shift::UTC);
    let zone_of_time = if shift == Shift::UTC && zone.is_none() {
        TimeZone::UTC
    } else {
        TimeZone::fixed(shift)
    };
    let at = civil.to_zoned(zone_of_time);
    Time {
        // The last hours of the year 9999 lie beyond what is counted, east of UTC.
        at: at.unwrap_or_else(|_| jiff::Timestamp::MAX.to_zoned(TimeZone::UTC)),
        zone,
    }
}

fn within(number: i64, range: std::ops::RangeInclusive<i64>, what: &'static str) -> Result<i64, Trouble> {
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(Trouble::Range(what))
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A text that is read from its beginning.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Passes over literal text of a layout; a space there stands for any number of them.
    fn skip(&mut self, literal: &str) -> bool {
        let mut literal = literal;
        while let Some(next) = literal.chars().next() {
            if next == ' ' {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return false;
                }
                literal = literal.trim_start_matches(' ');
                self.rest = self.rest.trim_start_matches(' ');
                continue;
            }
            let Some(rest) = self.rest.strip_prefix(next) else {
                return false;
            };
            self.rest = rest;
            literal = &literal[next.len_utf8()..];
        }
        true
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn spaces(&mut self, most: usize) {
        for _ in 0..most {
            self.take(" ");
        }
    }

    fn either(&mut self, no: &str, yes: &str) -> Result<bool, Trouble> {
        match (self.take(yes), self.take(no)) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(Trouble::Unlike),
        }
    }

    /// How many digits the text begins with.
    fn run(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    /// So many digits as a number.
    fn digits(&mut self, count: usize) -> Result<i64, Trouble> {
        if self.run() < count {
            return Err(Trouble::Unlike);
        }
        let (number, rest) = self.rest.split_at(count);
        self.rest = rest;
        number.parse().map_err(|_| Trouble::Unlike)
    }

    /// One or two digits; exactly two where they are fixed.
    fn number(&mut self, fixed: bool) -> Result<i64, Trouble> {
        match self.run() {
            0 => Err(Trouble::Unlike),
            1 if fixed => Err(Trouble::Unlike),
            1 => self.digits(1),
            _ => self.digits(2),
        }
    }

    fn up_to_three(&mut self, fixed: bool) -> Result<i64, Trouble> {
        match self.run().min(3) {
            0 => Err(Trouble::Unlike),
            run if fixed && run < 3 => Err(Trouble::Unlike),
            run => self.digits(run),
        }
    }

    /// The number of a name, counted from one; case does not matter.
    fn name(&mut self, names: &[&str], length: usize) -> Result<i64, Trouble> {
        for (number, name) in (1..).zip(names) {
            let name = name.get(..length).unwrap_or(name);
            if self
                .rest
                .get(..name.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(name))
            {
                self.rest = &self.rest[name.len()..];
                return Ok(number);
            }
        }
        Err(Trouble::Unlike)
    }

    fn at_fraction(&self) -> bool {
        let mut bytes = self.rest.bytes();
        matches!(bytes.next(), Some(b'.' | b',')) && bytes.next().is_some_and(|next| next.is_ascii_digit())
    }

    /// Nanoseconds: a separator and so many digits, or all there are.
    fn fraction(&mut self, digits: Option<usize>) -> Result<i64, Trouble> {
        let rest = self.rest.strip_prefix(['.', ',']).ok_or(Trouble::Unlike)?;
        let run = rest.bytes().take_while(u8::is_ascii_digit).count();
        let wanted = digits.unwrap_or(run);
        if run < wanted {
            return Err(Trouble::Unlike);
        }
        let counted = &rest[..wanted.min(9)];
        self.rest = &rest[wanted..];
        format!("{counted:0<9}").parse().map_err(|_| Trouble::Unlike)
    }

    /// Seconds east of UTC.
    fn offset(&mut self, style: layout::Offset) -> Result<i32, Trouble> {
        let east = !self.either("+", "-")?;
        let mut fields = [0; 3];
        for (position, field) in fields.iter_mut().enumerate().take(style.fields) {
            if position > 0 && style.colons && !self.take(":") {
                return Err(Trouble::Unlike);
            }
            *field = self.digits(2)?;
        }
        let [hours, minutes, seconds] = fields;
        let hours = within(hours, 0..=24, "time zone offset hour")?;
        let minutes = within(minutes, 0..=60, "time zone offset minute")?;
        let seconds = within(seconds, 0..=60, "time zone offset second")?;
        let all = i32::try_from((hours * 60 + minutes) * 60 + seconds).expect("a day has few seconds");
        Ok(if east { all } else { -all })
    }

    /// An abbreviation such as `CET`, or what stands for one.
    fn zone(&mut self) -> Result<String, Trouble> {
        let length = zone_length(self.rest).ok_or(Trouble::Unlike)?;
        let (zone, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(zone.to_owned())
    }
}

fn zone_length(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(offset) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours(offset).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return signed_hours(text);
    }
    let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    match capitals {
        3 => Some(3),
        4 if text.as_bytes()[3] == b'T' || text.starts_with("WITA") => Some(4),
        5 if text.as_bytes()[4] == b'T' => Some(5),
        _ => None,
    }
}

/// The length of a sign and an hour up to 23.
fn signed_hours(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['+', '-'])?;
    let run = digits.bytes().take_while(u8::is_ascii_digit).count();
    let hours: u64 = digits[..run].parse().ok()?;
    (hours <= 23).then_some(run + 1)
}

/// A text in quotes, with what is not plain ASCII by its bytes.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            0x20..0x80 => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}
