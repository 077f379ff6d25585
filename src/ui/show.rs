//! The show while it runs: the line with its stations and the train, queue, replicas, nodes, answers, money, the next
//! cue. A state that events change and a drawing of it; it writes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use owo_colors::Style;

use crate::cost::prices;
use crate::cost::prices::Capacity;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Moment;
use crate::event::Node;
use crate::event::Sample;
use crate::ui::progress::Frame;
use crate::ui::text::Row;
use crate::ui::text::clock;
use crate::ui::text::length;
use crate::ui::text::share;
use crate::ui::text::style;

/// A sample comes every five seconds; when three have not, what is shown is old.
const STALE: Duration = Duration::from_secs(15);

/// How many notes are kept.
const NOTES: usize = 4;

/// How many groups of nodes are shown.
const GROUPS: usize = 5;

/// Where figures begin: behind their names.
const FIGURES: usize = 10;

/// Below this width, bars are left out.
const NARROW: usize = 50;

/// What is known of a show.
#[derive(Clone, Debug, Default)]
pub struct State {
    region: String,
    begun: Option<Timestamp>,
    name: String,
    length: Duration,
    acts: Vec<Moment>,
    cues: Vec<Moment>,
    page: String,
    act: Option<(String, String)>,
    fired: BTreeSet<String>,
    sample: Option<(Timestamp, Sample)>,
    notes: Vec<(Duration, String)>,
}

impl State {
    /// Takes in what happened.
    pub fn on(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Show {
                name,
                length,
                acts,
                cues,
                page,
            } => {
                *self = Self {
                    region: std::mem::take(&mut self.region),
                    begun: Some(event.at),
                    name: name.clone(),
                    length: *length,
                    acts: acts.clone(),
                    cues: cues.clone(),
                    page: page.clone(),
                    ..Self::default()
                };
            }
            EventKind::Act { name, about } => {
                self.begun.get_or_insert(event.at);
                self.act = Some((name.clone(), about.clone()));
            }
            EventKind::Cue { name, what } => {
                self.fired.insert(name.clone());
                self.note(event.at, format!("{name}: {what}"));
            }
            EventKind::Note { text } => self.note(event.at, text.clone()),
            EventKind::Sample(sample) => self.sample = Some((event.at, sample.clone())),
            // Another command begins: the show is over.
            EventKind::Begun { region, .. } => {
                *self = Self {
                    region: region.clone(),
                    ..Self::default()
                };
            }
            EventKind::Planned { .. } | EventKind::Phase { .. } => {
                *self = Self {
                    region: std::mem::take(&mut self.region),
                    ..Self::default()
                };
            }
            EventKind::Started { .. }
            | EventKind::Waiting { .. }
            | EventKind::Applied { .. }
            | EventKind::Failed { .. }
            | EventKind::Skipped { .. }
            | EventKind::Removed { .. }
            | EventKind::Report { .. } => {}
        }
    }

    /// Whether the show has begun and nothing else has.
    pub fn is_on(&self) -> bool {
        self.begun.is_some()
    }

    fn note(&mut self, at: Timestamp, text: String) {
        if self.is_on() {
            self.notes.push((self.elapsed(at), text));
            self.notes.drain(..self.notes.len().saturating_sub(NOTES));
        }
    }

    fn elapsed(&self, now: Timestamp) -> Duration {
        self.begun.map(|begun| since(begun, now)).unwrap_or_default()
    }
}

/// Draws the state in at most as many rows as there are. Where they are few, blank rows go first, then the last ones.
pub fn draw(state: &State, frame: Frame) -> Vec<String> {
    let mut parts = vec![vec![header(state, frame)], line(state, frame)];
    if let Some((_, sample)) = &state.sample {
        parts.push(scaling(sample, frame.width));
        parts.push(nodes(&sample.nodes, &state.region));
        parts.push(figures(sample));
    }
    parts.push(notes(state));
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
    let stale = match &state.sample {
        Some((at, _)) if since(*at, frame.now) > STALE => {
            format!("[{}s old] ", since(*at, frame.now).as_secs())
        }
        _ => String::new(),
    };
    let right = format!("{stale}{times}");
    let room = frame.width.saturating_sub(length(&right) + 2);
    let mut title = Row::of(style::strong(), &state.name);
    if let Some((act, about)) = &state.act {
        let sign = format!("{}{act}", if state.name.is_empty() { "" } else { " · " });
        title = title.and(style::strong(), sign);
        if title.width() + length(about) + 2 <= room {
            title = title.and(style::faint(), format!("  {about}"));
        }
    }
    let style = if stale.is_empty() { style::plain() } else { style::bad() };
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
    vec![
        Row::of(style::plain(), above),
        Row::of(style::good(), gone)
            .and(style::cue(), "▶")
            .and(style::faint(), ahead),
        Row::of(style::plain(), below),
        next(state, elapsed),
    ]
}

fn next(state: &State, elapsed: Duration) -> Row {
    let mut cues: Vec<&Moment> = state
        .cues
        .iter()
        .filter(|cue| !state.fired.contains(&cue.name))
        .collect();
    cues.sort_by_key(|cue| cue.at);
    let row = named("next");
    match cues.first() {
        Some(cue) if cue.at > elapsed => row
            .and(style::cue(), &cue.name)
            .and(style::plain(), format!(" in {}", clock(cue.at.saturating_sub(elapsed)))),
        Some(cue) => row.and(style::cue(), format!("{}, now", cue.name)),
        None => row.and(style::faint(), "no cue is left"),
    }
}

fn scaling(sample: &Sample, width: usize) -> Vec<Row> {
    let words = format!("{} waiting, {} running", sample.waiting, sample.running);
    let (waiting, running) = (count(sample.waiting), count(sample.running));
    let room = width.saturating_sub(FIGURES + 32);
    let queue = if width < NARROW {
        named("queue")
    } else {
        // Ten servers work on 320 at once: a bar that is full then leaves the queue its own end.
        let whole = (waiting + running).max(320);
        let working = share(running, whole, room);
        let standing = share(waiting, whole, room).min(room - working);
        named("queue")
            .and(style::good(), "█".repeat(working))
            .and(style::cue(), "▒".repeat(standing))
            .until_column(width.saturating_sub(30))
    };
    let mut rows = vec![queue.and(style::plain(), words)];
    let wanted = sample.desired.max(10) as usize;
    for (name, count, style) in [
        ("desired", sample.desired, style::coming()),
        ("scheduled", sample.scheduled, style::plain()),
        ("ready", sample.ready, style::good()),
    ] {
        let boxes = share(count as usize, wanted, wanted.min(40));
        let row = named(name).and(Style::new(), format!("{count:>3}  "));
        rows.push(row.and(style, "■".repeat(boxes)));
    }
    rows
}

/// Nodes, those of one type and capacity together.
fn nodes(nodes: &[Node], region: &str) -> Vec<Row> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        groups
            .entry((&node.instance_type, &node.capacity))
            .or_default()
            .push(node);
    }
    let more = groups.len().saturating_sub(GROUPS);
    let mut rows: Vec<Row> = groups
        .iter()
        .take(GROUPS)
        .map(|((instance_type, capacity), nodes)| {
            let zones: BTreeSet<&str> = nodes.iter().map(|node| node.zone.as_str()).collect();
            let zones: Vec<&str> = zones.into_iter().collect();
            let row = named("nodes").and(style::strong(), format!("{:>3}  {instance_type:<13}", nodes.len()));
            let price = price(instance_type, capacity, nodes.len(), region);
            let row = row.and(style::plain(), format!("{capacity:<10} {price}{}", zones.join(" ")));
            match nodes.iter().filter(|node| !node.ready).count() {
                0 => row,
                starting => row.and(style::cue(), format!("  {starting} starting")),
            }
        })
        .collect();
    if more > 0 {
        rows.push(named("").and(style::faint(), format!("     and {more} more types")));
    }
    rows
}

/// What so many nodes cost an hour, where that is known; `~` where it is estimated.
fn price(instance_type: &str, capacity: &str, count: usize, region: &str) -> String {
    let known = prices::instance(instance_type, Capacity::of_label(capacity), region).filter(|_| !region.is_empty());
    let (Some(price), Ok(count)) = (known, u32::try_from(count)) else {
        return String::new();
    };
    let sign = if price.estimated { "~" } else { "" };
    let price = format!("{sign}${:.2}/h", price.hourly * f64::from(count));
    format!("{price:<10} ")
}

fn figures(sample: &Sample) -> Vec<Row> {
    let seconds = |time: Duration| format!("{:.1}s", time.as_secs_f64());
    let answers = format!(
        "p50 {}, p95 {}, {:.1} a second, {} users",
        seconds(sample.p50),
        seconds(sample.p95),
        sample.rate,
        sample.users
    );
    let cost = format!("${:.2} so far, ${:.2} an hour", sample.cost, sample.hourly);
    vec![
        named("answers").and(style::plain(), answers),
        named("cost").and(style::plain(), cost),
    ]
}

fn notes(state: &State) -> Vec<Row> {
    let mut rows = Vec::new();
    if !state.page.is_empty() {
        rows.push(named("page").and(style::plain(), &state.page));
    }
    let notes = state.notes.iter().rev();
    rows.extend(notes.map(|(at, text)| named(&clock(*at)).and(style::plain(), text)));
    rows
}

fn named(name: &str) -> Row {
    Row::of(style::faint(), format!("{name:<FIGURES$}"))
}

fn count(number: u64) -> usize {
    usize::try_from(number)
        .unwrap_or(usize::MAX / 1024)
        .min(usize::MAX / 1024)
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, kind: EventKind) -> Event {
        Event {
            at: Timestamp::from_second(second).unwrap(),
            kind,
        }
    }

    fn moment(name: &str, minute: u64) -> Moment {
        Moment {
            name: name.to_owned(),
            at: Duration::from_secs(minute * 60),
        }
    }

    fn machine(instance_type: &str, capacity: &str, zone: &str, ready: bool) -> Node {
        Node {
            name: format!("ip-{instance_type}-{zone}"),
            instance_type: instance_type.to_owned(),
            capacity: capacity.to_owned(),
            zone: zone.to_owned(),
            ready,
        }
    }

    fn running() -> State {
        let act = |name: &str, about: &str| EventKind::Act {
            name: name.to_owned(),
            about: about.to_owned(),
        };
        let note = |text: &str| EventKind::Note { text: text.to_owned() };
        let show = EventKind::Show {
            name: "tube".to_owned(),
            length: Duration::from_secs(1800),
            acts: [("questions", 0), ("talk", 2), ("survey", 25), ("winners", 28)]
                .map(|(name, minute)| moment(name, minute))
                .to_vec(),
            cues: [("survey", 25), ("winners", 28), ("close", 30)]
                .map(|(name, minute)| moment(name, minute))
                .to_vec(),
            page: "http://127.0.0.1:8080/".to_owned(),
        };
        let sample = Sample {
            elapsed: Duration::from_secs(840),
            waiting: 141,
            running: 224,
            desired: 10,
            scheduled: 9,
            ready: 7,
            nodes: vec![
                machine("g5.2xlarge", "spot", "eu-west-1a", true),
                machine("g5.2xlarge", "spot", "eu-west-1b", true),
                machine("g5.4xlarge", "on-demand", "eu-west-1c", false),
                machine("m5.large", "on-demand", "eu-west-1a", true),
            ],
            hourly: 9.41,
            cost: 1.82,
            users: 4,
            rate: 5.25,
            p50: Duration::from_millis(4230),
            p95: Duration::from_millis(11_900),
        };
        let mut state = State::default();
        for event in [
            at(0, show),
            at(0, act("questions", "Phones out")),
            at(
                120,
                act("talk", "The talk, while every question comes back fifty times"),
            ),
            at(130, note("the autoscaler woke up")),
            at(840, EventKind::Sample(sample)),
        ] {
            state.on(&event);
        }
        state
    }

    fn drawn(state: &State, second: i64, width: usize, height: usize) -> String {
        let now = Timestamp::from_second(second).unwrap();
        let frame = Frame {
            now,
            turn: 0,
            width,
            height,
        };
        let rows = draw(state, frame);
        assert!(rows.len() < height, "{} rows in {height}", rows.len());
        let rows: Vec<String> = rows
            .iter()
            .map(|row| anstream::adapter::strip_str(row).to_string())
            .inspect(|row| assert!(length(row) <= width, "`{row}` in {width}"))
            .map(|row| row.trim_end().to_owned())
            .collect();
        rows.join("\n")
    }

    #[test]
    fn the_whole_show_fits_eighty_columns_and_twenty_four_rows() {
        insta::assert_snapshot!(drawn(&running(), 842, 80, 24));
    }

    #[test]
    fn forty_columns_have_the_figures_without_the_queues_bar() {
        insta::assert_snapshot!(drawn(&running(), 842, 40, 24));
    }

    #[test]
    fn twenty_columns_and_ten_rows_have_what_fits() {
        insta::assert_snapshot!(drawn(&running(), 842, 20, 10));
    }

    #[test]
    fn a_sample_that_is_old_is_marked() {
        let state = running();
        assert!(!drawn(&state, 855, 80, 24).contains("old"));
        assert!(drawn(&state, 863, 80, 24).contains("[23s old] 14:23 of 30:00"));
    }

    #[test]
    fn the_next_cue_is_the_first_that_was_not_fired() {
        let mut state = running();
        let what = "switched every phone".to_owned();
        assert!(drawn(&state, 842, 80, 24).contains("survey in 10:58"));
        state.on(&at(
            1499,
            EventKind::Cue {
                name: "survey".to_owned(),
                what,
            },
        ));
        assert!(drawn(&state, 1500, 80, 24).contains("winners in 3:00"));
        assert!(drawn(&state, 1700, 80, 24).contains("winners, now"));
    }

    #[test]
    fn nodes_cost_what_the_table_says_times_how_many_there_are() {
        assert_eq!(price("g5.2xlarge", "on-demand", 2, "us-east-1").trim(), "$2.42/h");
        assert!(price("g5.2xlarge", "spot", 2, "eu-west-1").starts_with("~$"));
        for (instance_type, region) in [("x9.huge", "eu-west-1"), ("g5.2xlarge", "")] {
            assert_eq!(price(instance_type, "spot", 1, region), "");
        }
    }

    #[test]
    fn a_show_ends_where_something_else_begins() {
        let mut state = running();
        assert!(state.is_on());
        let name = "charts".to_owned();
        state.on(&at(1900, EventKind::Phase { name }));
        assert!(!state.is_on());
    }

    #[test]
    fn every_size_of_terminal_is_drawn_without_harm() {
        for width in 0..100 {
            for height in [1, 2, 5, 24, 60] {
                drawn(&running(), 842, width, height);
                drawn(&State::default(), 0, width, height);
            }
        }
    }
}
