//! Go's layouts: a text that shows how the second of January 2006, 15:04:05 would be written.

use crate::time::Time;

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperNoon,
    LowerNoon,
    Zone,
    Offset(Offset),
    Fraction { digits: usize, rest: Rest },
}

/// How an offset from UTC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// Whether no offset is written as `Z`.
    pub(super) zulu: bool,
    pub(super) colons: bool,
    /// Hours; hours and minutes; or seconds too.
    pub(super) fields: usize,
}

/// What becomes of zeros at the end of a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Kept,
    Dropped,
}

/// The parts that are told by their beginning alone, longer ones before their own beginnings.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::LongMonth),
    ("Monday", Part::LongWeekday),
    ("MST", Part::Zone),
    ("01", Part::ZeroMonth),
    ("002", Part::ZeroYearDay),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumberMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::SpaceYearDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperNoon),
    ("pm", Part::LowerNoon),
    ("-070000", offset(false, false, 3)),
    ("-07:00:00", offset(false, true, 3)),
    ("-0700", offset(false, false, 2)),
    ("-07:00", offset(false, true, 2)),
    ("-07", offset(false, false, 1)),
    ("Z070000", offset(true, false, 3)),
    ("Z07:00:00", offset(true, true, 3)),
    ("Z0700", offset(true, false, 2)),
    ("Z07:00", offset(true, true, 2)),
    ("Z07", offset(true, false, 1)),
    // These need a look at what follows: see `part_at`.
    ("Jan", Part::Month),
    ("Mon", Part::Weekday),
    ("_2", Part::SpaceDay),
];

const fn offset(zulu: bool, colons: bool, fields: usize) -> Part {
    Part::Offset(Offset { zulu, colons, fields })
}

/// The text before the next part, that part with its own text, and what follows.
pub(super) fn next(layout: &str) -> (&str, Option<(Part, &str)>, &str) {
    for (position, _) in layout.char_indices() {
        let rest = &layout[position..];
        if let Some((part, length)) = part_at(rest) {
            return (&layout[..position], Some((part, &rest[..length])), &rest[length..]);
        }
    }
    (layout, None, "")
}

/// The part that a text begins with, and its length.
fn part_at(text: &str) -> Option<(Part, usize)> {
    if let Some(fraction) = fraction_at(text) {
        return Some(fraction);
    }
    // `_2006` is an underscore and a year.
    if text.starts_with("_2006") {
        return None;
    }
    let (name, part) = PARTS.iter().find(|(name, _)| text.starts_with(name))?;
    let lower = || text[name.len()..].starts_with(|next: char| next.is_ascii_lowercase());
    match part {
        // `Month` and `Janet` are words.
        Part::Month | Part::Weekday if lower() => None,
        part => Some((*part, name.len())),
    }
}

/// A dot or comma with zeros or nines behind it, and no other digit.
fn fraction_at(text: &str) -> Option<(Part, usize)> {
    let digits = text.strip_prefix(['.', ','])?;
    let digit = digits.chars().next().filter(|first| matches!(first, '0' | '9'))?;
    let count = digits.chars().take_while(|next| *next == digit).count();
    if digits[count..].starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let rest = if digit == '0' { Rest::Kept } else { Rest::Dropped };
    Some((Part::Fraction { digits: count, rest }, count + 1))
}

/// Formats a time by a layout.
pub(super) fn format(time: &Time, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        let (before, part, after) = next(rest);
        out.push_str(before);
        if let Some((part, text)) = part {
            out.push_str(&shown(time, part, text));
        }
        rest = after;
    }
    out
}

fn shown(time: &Time, part: Part, text: &str) -> String {
    let at = &time.at;
    let hour12 = (at.hour() + 11) % 12 + 1;
    match part {
        Part::LongMonth => at.strftime("%B").to_string(),
        Part::Month => at.strftime("%b").to_string(),
        Part::NumberMonth => at.month().to_string(),
        Part::ZeroMonth => format!("{:02}", at.month()),
        Part::LongWeekday => at.strftime("%A").to_string(),
        Part::Weekday => at.strftime("%a").to_string(),
        Part::Day => at.day().to_string(),
        Part::SpaceDay => format!("{:>2}", at.day()),
        Part::ZeroDay => format!("{:02}", at.day()),
        Part::SpaceYearDay => format!("{:>3}", at.day_of_year()),
        Part::ZeroYearDay => format!("{:03}", at.day_of_year()),
        Part::Hour => format!("{:02}", at.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => at.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", at.minute()),
        Part::Second => at.second().to_string(),
        Part::ZeroSecond => format!("{:02}", at.second()),
        Part::LongYear => format!("{:04}", at.year()),
        Part::Year => format!("{:02}", at.year().abs() % 100),
        Part::UpperNoon => if at.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        Part::LowerNoon => if at.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        Part::Zone => match time.zone_name() {
            name if name.is_empty() => offset_shown(at.offset().seconds(), OF_NO_NAME),
            name => name,
        },
        Part::Offset(style) => offset_shown(at.offset().seconds(), style),
        Part::Fraction { digits, rest } => fraction(at.subsec_nanosecond(), digits, rest, &text[..1]),
    }
}

/// How the offset of a zone without a name is written in the name's place.
const OF_NO_NAME: Offset = Offset {
    zulu: false,
    colons: false,
    fields: 2,
};

fn offset_shown(seconds: i32, style: Offset) -> String {
    if seconds == 0 && style.zulu {
        return "Z".to_owned();
    }
    let sign = if seconds / 60 < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let fields = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    let fields: Vec<String> = fields[..style.fields]
        .iter()
        .map(|field| format!("{field:02}"))
        .collect();
    format!("{sign}{}", fields.join(if style.colons { ":" } else { "" }))
}

fn fraction(nanosecond: i32, digits: usize, rest: Rest, separator: &str) -> String {
    let all = format!("{nanosecond:09}");
    let shown = &all[..digits.min(all.len())];
    match rest {
        Rest::Kept => format!("{separator}{shown}"),
        Rest::Dropped => match shown.trim_end_matches('0') {
            "" => String::new(),
            shown => format!("{separator}{shown}"),
        },
    }
}
