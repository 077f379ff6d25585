//! The show while it runs: the line with its stations and the train, queue, replicas, nodes, answers, money, the next
//! cue. A state that events change, and in [`drawing`] a drawing of it; it writes nothing.

pub mod drawing;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::Event;
use crate::event::EventKind;
use crate::event::Moment;
use crate::event::Sample;
use crate::ui::show::drawing::since;

/// How many notes are kept.
const NOTES: usize = 4;

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

    /// Whether the audience is still about to open the page: in the first act.
    fn is_scanned(&self, now: Timestamp) -> bool {
        self.acts.get(1).is_none_or(|second| self.elapsed(now) < second.at)
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

#[cfg(test)]
mod tests {
    use crate::event::Node;
    use crate::ui::progress::Frame;
    use crate::ui::qr;
    use crate::ui::show::drawing::draw;
    use crate::ui::show::drawing::price;
    use crate::ui::text::seen_in;

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
        let text = |text: &str| text.to_owned();
        let begun = EventKind::Begun {
            command: text("demo"),
            stack: text("tube"),
            world: text("local"),
            account: text("123456789012"),
            region: text("eu-west-1"),
            format: 1,
        };
        let mut state = State::default();
        for event in [
            at(0, begun),
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

    fn seen(state: &State, second: i64, width: usize, height: usize) -> String {
        let now = Timestamp::from_second(second).unwrap();
        let frame = Frame {
            now,
            turn: 0,
            width,
            height,
            speed: 1.0,
        };
        let code = qr::rows("http://127.0.0.1:4802", usize::MAX, qr::Ink::Characters).unwrap();
        let rows = draw(state, frame, &code);
        seen_in(&rows, width, height)
    }

    #[test]
    fn the_whole_show_fits_eighty_columns_and_twenty_four_rows() {
        insta::assert_snapshot!(seen(&running(), 842, 80, 24));
    }

    #[test]
    fn a_low_terminal_has_a_row_for_each_figure() {
        insta::assert_snapshot!(seen(&running(), 842, 40, 12));
        insta::assert_snapshot!(seen(&running(), 842, 20, 8));
    }

    #[test]
    fn forty_columns_have_the_figures_without_the_queues_bar() {
        insta::assert_snapshot!(seen(&running(), 842, 40, 24));
    }

    #[test]
    fn twenty_columns_and_ten_rows_have_what_fits() {
        insta::assert_snapshot!(seen(&running(), 842, 20, 10));
    }

    #[test]
    fn the_code_stands_beside_the_figures_while_people_scan_it() {
        let check = |second, width, height, expected: bool| {
            let found = seen(&running(), second, width, height).contains('▄');
            assert_eq!(found, expected, "second {second} in {width} x {height}");
        };
        check(62, 84, 24, true);
        check(62, 60, 24, false);
        check(62, 40, 24, false);
        check(62, 72, 12, false);
    }

    #[test]
    fn a_wide_terminal_keeps_the_code_for_the_whole_show() {
        for (width, expected) in [(120, true), (110, false)] {
            assert_eq!(seen(&running(), 842, width, 24).contains('▄'), expected, "in {width}");
        }
    }

    #[test]
    fn a_sample_that_is_old_is_marked() {
        let state = running();
        assert!(!seen(&state, 855, 80, 24).contains("old"));
        assert!(seen(&state, 863, 80, 24).contains("[23s old] 14:23 of 30:00"));
    }

    #[test]
    fn the_next_cue_is_the_first_that_was_not_fired() {
        let mut state = running();
        let what = "switched every phone".to_owned();
        assert!(seen(&state, 842, 80, 24).contains("survey in 10:58"));
        state.on(&at(
            1499,
            EventKind::Cue {
                name: "survey".to_owned(),
                what,
            },
        ));
        assert!(seen(&state, 1500, 80, 24).contains("winners in 3:00"));
        assert!(seen(&state, 1700, 80, 24).contains("winners, now"));
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
                seen(&running(), 842, width, height);
                seen(&State::default(), 0, width, height);
            }
        }
    }
}
