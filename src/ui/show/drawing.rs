//! The show, drawn: as much of it as there is room for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cost::prices;
use crate::cost::prices::Capacity;
use crate::event::Moment;
use crate::event::Node;
use crate::event::Sample;
use crate::ui::progress::Frame;
use crate::ui::show::State;
use crate::ui::text::Row;
use crate::ui::text::clock;
use crate::ui::text::length;
use crate::ui::text::share;
use crate::ui::text::style;

/// A sample comes every five seconds; when three have not, what is shown is old. Where time flies, it is the time of
/// whoever looks on.
const STALE: Duration = Duration::from_secs(15);

/// How long a note stands out.
const FRESH: Duration = Duration::from_secs(20);

/// How many groups of nodes are shown.
const GROUPS: usize = 5;

/// Where figures begin: behind their names. On the smallest screens names are cut.
const FIGURES: usize = 10;
const FIGURES_IN_A_CORNER: usize = 6;

/// Below this width, bars are left out and words are few.
const NARROW: usize = 50;

/// Below this width, names are cut.
const CORNER: usize = 30;

/// Below this height, a row must be worth it.
const LOW: usize = 18;

/// Below this width, the figures have the screen for themselves.
const LEAST: usize = 36;

/// The width that the figures want; what is beyond is free for the page's code.
const WHOLE: usize = 80;

/// Blanks between the figures and the code.
const GAP: usize = 2;

/// Draws the state in at most as many rows as there are, with the page's code beside it while the audience scans it,
/// or for as long as there is room for both.
pub fn draw(state: &State, frame: Frame, code: &[String]) -> Vec<String> {
    let side = code.first().map_or(0, |row| visible(row));
    let least = if state.is_scanned(frame.now) { LEAST } else { WHOLE };
    if side == 0 || frame.width < side + GAP + least || frame.height <= code.len() {
        return drawn(state, frame);
    }
    let width = frame.width - side - GAP;
    let mut rows = drawn(state, Frame { width, ..frame });
    rows.resize(rows.len().max(code.len()), String::new());
    let mut code = code.iter();
    let with_code = |row: String| match code.next() {
        Some(right) => format!("{row}{}{right}", " ".repeat(width + GAP - visible(&row))),
        None => row,
    };
    rows.into_iter().map(with_code).collect()
}

/// How many columns a written row takes.
fn visible(row: &str) -> usize {
    length(&anstream::adapter::strip_str(row).to_string())
}

/// The rows of the state alone. Where there is room for few, blank rows go first, then the last ones.
fn drawn(state: &State, frame: Frame) -> Vec<String> {
    let mut parts = vec![vec![header(state, frame)], line(state, frame)];
    if let Some((_, sample)) = &state.sample {
        parts.push(scaling(sample, frame));
        parts.push(nodes(&sample.nodes, &state.region, frame.width));
        parts.push(figures(sample, frame.width));
    }
    parts.push(notes(state, frame));
    parts.retain(|part| !part.is_empty());
    // The last row of a terminal stays empty: a drawing that fills it would scroll.
    let room = frame.height.saturating_sub(1);
    let rows: usize = parts.iter().map(Vec::len).sum();
    let mut blanks = room.saturating_sub(rows);
    let mut drawn = Vec::new();
    for part in parts {
        if !drawn.is_empty() && blanks > 0 {
            drawn.push(String::new());
            blanks -= 1;
        }
        drawn.extend(part.iter().map(|row| row.cut(frame.width)));
    }
    drawn.truncate(room);
    drawn
}

fn header(state: &State, frame: Frame) -> Row {
    let times = match state.length {
        Duration::ZERO => clock(state.elapsed(frame.now)),
        length => format!("{} of {}", clock(state.elapsed(frame.now)), clock(length)),
    };
    let age = state.sample.as_ref().map(|(at, _)| since(*at, frame.now));
    let stale = age.filter(|age| *age > STALE.mul_f64(frame.speed.max(1.0)));
    let right = match stale {
        Some(age) => format!("[{}s old] {times}", age.as_secs()),
        None => times,
    };
    let room = frame.width.saturating_sub(length(&right) + 2);
    let mut title = Row::of(style::strong(), &state.name);
    if let Some((act, about)) = &state.act {
        let sign = format!("{}{act}", if state.name.is_empty() { "" } else { " · " });
        title = title.and(style::strong(), sign);
        if title.width() + length(about) + 2 <= room {
            title = title.and(style::faint(), format!("  {about}"));
        }
    }
    let style = if stale.is_none() { style::plain() } else { style::bad() };
    title.and_right(style, &right, frame.width)
}

/// The line: names above and below, stations, and the train where the show is.
fn line(state: &State, frame: Frame) -> Vec<Row> {
    if state.length.is_zero() || frame.width < 10 {
        return Vec::new();
    }
    let elapsed = state.elapsed(frame.now);
    let place = |at: Duration| {
        let (at, whole) = (at.as_millis(), state.length.as_millis().max(1));
        usize::try_from(at * (frame.width as u128 - 1) / whole)
            .unwrap_or(usize::MAX)
            .min(frame.width - 1)
    };
    let mut stations: BTreeMap<Duration, &str> = BTreeMap::new();
    for moment in state.acts.iter().chain(&state.cues) {
        stations.entry(moment.at).or_insert(&moment.name);
    }
    let train = place(elapsed);
    let (mut above, mut below) = (String::new(), String::new());
    let mut track: Vec<&str> = (0..frame.width)
        .map(|column| if column < train { "━" } else { "─" })
        .collect();
    for (at, name) in &stations {
        let column = place(*at);
        track[column] = if *at <= elapsed { "●" } else { "○" };
        let begin = column.min(frame.width.saturating_sub(length(name)));
        for names in [&mut above, &mut below] {
            let taken = length(names);
            if taken == 0 || taken < begin {
                names.push_str(&" ".repeat(begin - taken));
                names.push_str(name);
                break;
            }
        }
    }
    track[train] = "▶";
    let gone: String = track[..train].concat();
    let ahead: String = track[train + 1..].concat();
    let track = Row::of(style::good(), gone)
        .and(style::cue(), "▶")
        .and(style::faint(), ahead);
    let next = next(state, elapsed, frame.width);
    if frame.height < LOW {
        return vec![track, next];
    }
    let (above, below) = (Row::of(style::plain(), above), Row::of(style::plain(), below));
    vec![above, track, below, next]
}

fn next(state: &State, elapsed: Duration, width: usize) -> Row {
    let mut cues: Vec<&Moment> = state
        .cues
        .iter()
        .filter(|cue| !state.fired.contains(&cue.name))
        .collect();
    cues.sort_by_key(|cue| cue.at);
    let row = named("next", width);
    match cues.first() {
        Some(cue) if cue.at > elapsed => row
            .and(style::cue(), &cue.name)
            .and(style::plain(), format!(" in {}", clock(cue.at.saturating_sub(elapsed)))),
        Some(cue) => row.and(style::cue(), format!("{}, now", cue.name)),
        None => row.and(style::faint(), "no cue is left"),
    }
}

fn scaling(sample: &Sample, frame: Frame) -> Vec<Row> {
    let width = frame.width;
    let words = if width < CORNER {
        format!("{}, {} run", sample.waiting, sample.running)
    } else {
        format!("{} waiting, {} running", sample.waiting, sample.running)
    };
    let (waiting, running) = (count(sample.waiting), count(sample.running));
    let room = width.saturating_sub(FIGURES + 32);
    let queue = named("queue", width);
    let queue = if width < NARROW {
        queue
    } else {
        // Ten servers work on 320 at once: a bar that is full then leaves the queue its own end.
        let whole = (waiting + running).max(320);
        let working = share(running, whole, room);
        let standing = share(waiting, whole, room).min(room - working);
        queue
            .and(style::good(), "█".repeat(working))
            .and(style::cue(), "▒".repeat(standing))
            .until_column(width.saturating_sub(30))
    };
    let mut rows = vec![queue.and(style::plain(), words)];
    if frame.height < LOW {
        let (name, words) = if width < CORNER {
            ("pods", format!("{}, {} ready", sample.desired, sample.ready))
        } else {
            (
                "replicas",
                format!("{} desired, {} ready", sample.desired, sample.ready),
            )
        };
        rows.push(named(name, width).and(style::plain(), words));
        return rows;
    }
    let wanted = sample.desired.max(10) as usize;
    for (name, count, style) in [
        ("desired", sample.desired, style::coming()),
        ("scheduled", sample.scheduled, style::plain()),
        ("ready", sample.ready, style::good()),
    ] {
        let boxes = share(count as usize, wanted, wanted.min(40));
        let row = named(name, width).and(style::plain(), format!("{count:>3}  "));
        rows.push(row.and(style, "■".repeat(boxes)));
    }
    rows
}

/// Nodes, those of one type and capacity together.
fn nodes(nodes: &[Node], region: &str, width: usize) -> Vec<Row> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        groups
            .entry((&node.instance_type, &node.capacity))
            .or_default()
            .push(node);
    }
    let more = groups.len().saturating_sub(GROUPS);
    let mut rows: Vec<Row> = Vec::new();
    for ((instance_type, capacity), nodes) in groups.iter().take(GROUPS) {
        let name = if rows.is_empty() { "nodes" } else { "" };
        // Zones are told apart by what comes behind their region.
        let zones: BTreeSet<&str> = nodes
            .iter()
            .map(|node| node.zone.strip_prefix(region).unwrap_or(&node.zone))
            .collect();
        let zones = zones.into_iter().collect::<Vec<_>>().join(" ");
        let (count, price) = (nodes.len(), price(instance_type, capacity, nodes.len(), region));
        let row = named(name, width);
        let row = if width < NARROW {
            row.and(style::strong(), format!("{count:>2} {instance_type} "))
                .and(style::plain(), format!("{capacity} {price} {zones}"))
        } else {
            row.and(style::strong(), format!("{count:>3}  {instance_type:<13}"))
                .and(style::plain(), format!("{capacity:<10} {price:<10} zone {zones}"))
        };
        rows.push(match nodes.iter().filter(|node| !node.ready).count() {
            0 => row,
            starting => row.and(style::cue(), format!("  {starting} starting")),
        });
    }
    if more > 0 {
        rows.push(named("", width).and(style::faint(), format!("     and {more} more types")));
    }
    rows
}

/// What so many nodes cost an hour, where that is known; `~` where it is estimated.
pub(super) fn price(instance_type: &str, capacity: &str, count: usize, region: &str) -> String {
    let known = prices::instance(instance_type, Capacity::of_label(capacity), region).filter(|_| !region.is_empty());
    let (Some(price), Ok(count)) = (known, u32::try_from(count)) else {
        return String::new();
    };
    let sign = if price.estimated { "~" } else { "" };
    format!("{sign}${:.2}/h", price.hourly * f64::from(count))
}

fn figures(sample: &Sample, width: usize) -> Vec<Row> {
    let seconds = |time: Duration| format!("{:.1}s", time.as_secs_f64());
    let (p50, p95) = (seconds(sample.p50), seconds(sample.p95));
    let answers = if width < NARROW {
        format!("p50 {p50}, p95 {p95}, {:.1}/s", sample.rate)
    } else {
        format!(
            "p50 {p50}, p95 {p95}, {:.1} a second, {} users",
            sample.rate, sample.users
        )
    };
    let cost = format!("${:.2} so far, ${:.2} an hour", sample.cost, sample.hourly);
    vec![
        named("answers", width).and(style::plain(), answers),
        named("cost", width).and(style::plain(), cost),
    ]
}

fn notes(state: &State, frame: Frame) -> Vec<Row> {
    let mut rows = Vec::new();
    if !state.page.is_empty() {
        rows.push(named("page", frame.width).and(style::plain(), &state.page));
    }
    let elapsed = state.elapsed(frame.now);
    for (at, text) in state.notes.iter().rev() {
        let style = if elapsed.saturating_sub(*at) < FRESH {
            style::cue()
        } else {
            style::plain()
        };
        rows.push(named(&clock(*at), frame.width).and(style, text));
    }
    rows
}

/// A row that begins with a name.
fn named(name: &str, width: usize) -> Row {
    let figures = if width < CORNER { FIGURES_IN_A_CORNER } else { FIGURES };
    let name: String = name.chars().take(figures - 1).collect();
    Row::of(style::faint(), format!("{name:<figures$}"))
}

fn count(number: u64) -> usize {
    usize::try_from(number)
        .unwrap_or(usize::MAX / 1024)
        .min(usize::MAX / 1024)
}

pub(super) fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
