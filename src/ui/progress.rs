//! How far `up` or `down` has come: what runs and for how long, what waits, what is done. A state that events change
//! and a drawing of it; it writes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::Event;
use crate::event::EventKind;
use crate::event::minutes;
use crate::resource::id::ResourceId;
use crate::ui::text::Row;
use crate::ui::text::cut;
use crate::ui::text::length;
use crate::ui::text::several;
use crate::ui::text::share;
use crate::ui::text::style;

/// How a running step looks: one of these after the other.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A turn of the spinner takes so many drawings as it has pictures; more running steps than this are counted.
const SHOWN: usize = 10;

/// Below this width, what a step waits for is left out.
const NARROW: usize = 60;

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub struct State {
    command: String,
    stack: String,
    place: String,
    begun: Option<Timestamp>,
    expected: Duration,
    waiting: BTreeSet<ResourceId>,
    running: BTreeMap<ResourceId, Running>,
    phase: Option<String>,
    all: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    gone: usize,
}

#[derive(Clone, Debug)]
struct Running {
    since: Timestamp,
    action: String,
    expected: Duration,
    remaining: Duration,
    waits_for: Option<String>,
}

/// What a drawing depends on beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// What time it is.
    pub now: Timestamp,
    /// How many drawings there were before.
    pub turn: usize,
    /// Columns there are.
    pub width: usize,
    /// Rows there are.
    pub height: usize,
    /// How many seconds pass in one of whoever looks on.
    pub speed: f64,
}

impl State {
    /// Takes in what happened.
    pub fn on(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Begun {
                command,
                stack,
                world,
                account,
                region,
                ..
            } => {
                *self = Self {
                    command: command.clone(),
                    stack: stack.clone(),
                    place: format!("account {account} · {region} · world {world}"),
                    begun: Some(event.at),
                    ..Self::default()
                };
            }
            EventKind::Planned { ids, expected } => {
                self.begun = Some(event.at);
                self.expected = *expected;
                self.all = ids.len();
                self.waiting = ids.iter().cloned().collect();
            }
            EventKind::Started {
                id,
                action,
                expected,
                remaining,
            } => {
                self.waiting.remove(id);
                let running = Running {
                    since: event.at,
                    action: action.clone(),
                    expected: *expected,
                    remaining: *remaining,
                    waits_for: None,
                };
                self.running.insert(id.clone(), running);
            }
            EventKind::Waiting { id, what } => {
                let running = self.running.entry(id.clone()).or_insert_with(|| Running {
                    since: event.at,
                    action: "remove".to_owned(),
                    expected: Duration::ZERO,
                    remaining: Duration::ZERO,
                    waits_for: None,
                });
                running.waits_for = Some(what.clone());
            }
            EventKind::Applied { id, .. } => {
                self.end(id);
                self.done += 1;
            }
            EventKind::Failed { id, .. } => {
                self.end(id);
                self.failed += 1;
            }
            EventKind::Skipped { id, .. } => {
                self.end(id);
                self.skipped += 1;
            }
            EventKind::Phase { name } => self.phase = Some(name.clone()),
            EventKind::Removed { kind, name } => {
                self.end(&ResourceId::new(kind, name));
                self.gone += 1;
            }
            EventKind::Show { .. }
            | EventKind::Sample(_)
            | EventKind::Act { .. }
            | EventKind::Cue { .. }
            | EventKind::Report { .. }
            | EventKind::Note { .. } => {}
        }
    }

    /// Whether there is something to draw: before the work and after it, the terminal is somebody else's.
    pub fn is_at_work(&self) -> bool {
        self.phase.is_some() || !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// How long it is still expected to take: the longest chain behind what runs.
    fn left(&self, now: Timestamp) -> Duration {
        let chains = self.running.values().map(|running| {
            // What takes longer than expected is expected to be done at once; what stands behind it still comes.
            let spent = since(running.since, now).min(running.expected);
            running.remaining.saturating_sub(spent)
        });
        chains.max().unwrap_or_default()
    }

    fn end(&mut self, id: &ResourceId) {
        self.waiting.remove(id);
        self.running.remove(id);
    }
}

/// Draws the state in at most as many rows as there are.
pub fn draw(state: &State, frame: Frame) -> Vec<String> {
    let mut rows = vec![header(state, frame), bar(state, frame.width)];
    if let Some(phase) = &state.phase {
        rows.push(Row::of(style::coming(), "clears  ").and(style::plain(), phase));
    }
    // The last row of a terminal stays empty: a drawing that fills it would scroll.
    let room = frame.height.saturating_sub(rows.len() + 3).min(SHOWN);
    let mut running: Vec<_> = state.running.iter().collect();
    running.sort_by_key(|(id, running)| (std::cmp::Reverse(running.remaining), running.since, (*id).clone()));
    let widest = running.iter().take(room).map(|(id, _)| length(id.as_str())).max();
    let widest = widest.unwrap_or_default().min(frame.width * 11 / 20);
    for (id, running) in running.iter().take(room) {
        rows.push(step(id, running, widest, frame));
    }
    if let Some(more @ 1..) = running.len().checked_sub(room) {
        rows.push(Row::of(style::faint(), format!("  and {more} more")));
    }
    if !state.waiting.is_empty() {
        rows.push(Row::of(style::faint(), format!("  waits: {}", grouped(&state.waiting))));
    }
    let fits = frame.height.saturating_sub(1);
    rows.iter().take(fits).map(|row| row.cut(frame.width)).collect()
}

fn header(state: &State, frame: Frame) -> Row {
    let elapsed = state.begun.map(|begun| since(begun, frame.now)).unwrap_or_default();
    let left = state.left(frame.now);
    let times = match (state.all, left.is_zero()) {
        (0, _) => minutes(whole(elapsed)),
        (_, true) => format!(
            "{} of ~{}",
            minutes(whole(elapsed)),
            minutes(whole(state.expected.max(elapsed)))
        ),
        (_, false) => format!("{} of ~{}", minutes(whole(elapsed)), minutes(whole(elapsed + left))),
    };
    let title = format!("{} {}", state.command, state.stack);
    let room = frame.width.saturating_sub(length(&title) + length(&times) + 4);
    let header = Row::of(style::strong(), &title);
    let header = if room >= length(&state.place) {
        header.and(style::faint(), format!("  {}", state.place))
    } else {
        header
    };
    header.and_right(style::plain(), &times, frame.width)
}

fn bar(state: &State, width: usize) -> Row {
    let mut counts = match state.all {
        0 => format!("{} gone", state.gone),
        all => format!("{} of {all}", state.done),
    };
    for (count, what) in [(state.failed, "FAILED"), (state.skipped, "skipped")] {
        if count > 0 {
            counts.push_str(&format!(", {count} {what}"));
        }
    }
    let room = width.saturating_sub(length(&counts) + 1);
    if state.all == 0 || room < 4 {
        return Row::of(style::plain(), counts);
    }
    let full = share(state.done, state.all, room);
    Row::of(style::good(), "━".repeat(full))
        .and(style::faint(), "─".repeat(room - full))
        .and(style::plain(), format!(" {counts}"))
}

fn step(id: &ResourceId, running: &Running, widest: usize, frame: Frame) -> Row {
    let elapsed = whole(since(running.since, frame.now));
    let spinner = SPINNER[frame.turn % SPINNER.len()];
    let row = Row::of(style::coming(), format!("{spinner} "));
    let row = if frame.width < NARROW {
        row
    } else {
        row.and(style::plain(), format!("{:<8}", running.action))
    };
    let name = cut(id.as_str(), widest);
    let row = row.and(style::strong(), format!("{name:<widest$}"));
    let times = match running.expected {
        Duration::ZERO => minutes(elapsed),
        expected if frame.width < NARROW => format!("{}/~{}", minutes(elapsed), minutes(expected)),
        expected => format!("{} of ~{}", minutes(elapsed), minutes(expected)),
    };
    let is_late = !running.expected.is_zero() && elapsed > running.expected.mul_f64(1.5) + Duration::from_secs(10);
    let row = row.and(
        if is_late { style::cue() } else { style::plain() },
        format!("  {times}"),
    );
    match &running.waits_for {
        Some(what) if frame.width >= NARROW => row.and(style::faint(), format!("  {what}")),
        _ => row,
    }
}

/// What waits, by what it is, most first.
fn grouped(waiting: &BTreeSet<ResourceId>) -> String {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for id in waiting {
        *groups.entry(group(id)).or_default() += 1;
    }
    let mut groups: Vec<(&str, usize)> = groups.into_iter().collect();
    groups.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let groups: Vec<String> = groups.iter().map(|(name, count)| several(*count, name)).collect();
    groups.join(", ")
}

fn group(id: &ResourceId) -> &str {
    let mut parts = id.as_str().split('/');
    let first = parts.next().unwrap_or_default();
    match (first, parts.count()) {
        ("release-begin" | "release-end", _) => "release step",
        (_, 3..) => "object",
        (kind, _) => kind,
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use crate::ui::text::seen_in;

    use super::*;

    fn at(second: i64, kind: EventKind) -> Event {
        Event {
            at: Timestamp::from_second(second).unwrap(),
            kind,
        }
    }

    fn begun(command: &str) -> Event {
        let text = |text: &str| text.to_owned();
        at(
            0,
            EventKind::Begun {
                command: text(command),
                stack: text("tube"),
                world: text("local"),
                account: text("123456789012"),
                region: text("eu-west-1"),
                format: 1,
            },
        )
    }

    fn started(second: i64, id: &str, expected: u64, remaining: u64) -> Event {
        at(
            second,
            EventKind::Started {
                id: ResourceId::from_text(id),
                action: "create".to_owned(),
                expected: Duration::from_secs(expected),
                remaining: Duration::from_secs(remaining),
            },
        )
    }

    fn waiting(second: i64, id: &str, what: &str) -> Event {
        let (id, what) = (ResourceId::from_text(id), what.to_owned());
        at(second, EventKind::Waiting { id, what })
    }

    fn up() -> State {
        let ids = [
            "vpc/main",
            "cluster/main",
            "nat-gateway/a",
            "node-group/base",
            "release-begin/keda",
            "keda/Deployment/keda/keda-operator",
            "keda/Service/keda/keda-operator",
            "release-end/keda",
        ];
        let (ids, expected) = (ids.map(ResourceId::from_text).to_vec(), Duration::from_secs(712));
        let mut state = State::default();
        for event in [
            begun("up"),
            at(0, EventKind::Planned { ids, expected }),
            started(0, "vpc/main", 2, 712),
            at(
                2,
                EventKind::Applied {
                    id: ResourceId::from_text("vpc/main"),
                    took: Duration::from_secs(2),
                },
            ),
            started(4, "cluster/main", 510, 708),
            started(4, "nat-gateway/a", 105, 260),
            waiting(14, "cluster/main", "creating"),
            waiting(14, "nat-gateway/a", "pending"),
        ] {
            state.on(&event);
        }
        state
    }

    fn drawn(state: &State, second: i64, width: usize, height: usize) -> String {
        let now = Timestamp::from_second(second).unwrap();
        let rows = draw(
            state,
            Frame {
                now,
                turn: 0,
                width,
                height,
                speed: 1.0,
            },
        );
        seen_in(&rows, width, height)
    }

    #[test]
    fn up_says_what_runs_what_waits_and_when_it_ends() {
        insta::assert_snapshot!(drawn(&up(), 254, 80, 24));
    }

    #[test]
    fn up_fits_forty_columns() {
        insta::assert_snapshot!(drawn(&up(), 254, 40, 24));
    }

    #[test]
    fn up_fits_twenty_columns_and_six_rows() {
        insta::assert_snapshot!(drawn(&up(), 254, 20, 6));
    }

    #[test]
    fn down_says_what_it_clears_and_what_holds_it_up() {
        let mut state = State::default();
        let (kind, name) = ("load balancer".to_owned(), "k8s-default".to_owned());
        for event in [
            begun("down"),
            at(
                0,
                EventKind::Phase {
                    name: "workloads and their load balancers".to_owned(),
                },
            ),
            waiting(5, "load balancer/k8s-default", "deleting"),
            at(30, EventKind::Removed { kind, name }),
            at(
                60,
                EventKind::Phase {
                    name: "node groups".to_owned(),
                },
            ),
            waiting(62, "node group/base", "deleting, 3 instances drain"),
        ] {
            state.on(&event);
        }
        insta::assert_snapshot!(drawn(&state, 90, 80, 24));
    }

    #[test]
    fn a_step_that_is_late_moves_the_end_and_never_into_the_past() {
        let state = up();
        let left = |second| state.left(Timestamp::from_second(second).unwrap()).as_secs();
        assert_eq!((left(4), left(254), left(514)), (708, 458, 198));
        // Long after the cluster was expected, the node group and what follows are still to come.
        assert_eq!(left(2000), 198);
    }

    #[test]
    fn nothing_is_drawn_before_the_work_and_after_it() {
        let mut state = State::default();
        state.on(&begun("up"));
        assert!(!state.is_at_work());
        assert!(up().is_at_work());
    }

    #[test]
    fn more_steps_than_there_is_room_for_are_counted() {
        let mut state = up();
        for number in 0..30 {
            state.on(&started(20, &format!("role/{number}"), 2, 5));
        }
        let drawn = drawn(&state, 21, 80, 12);
        assert!(drawn.contains("and 25 more"), "{drawn}");
        assert!(drawn.contains("cluster/main"), "{drawn}");
    }
}
