//! Events as lines: the clock at the left, a mark, a word, what it is about. For pipes, logs, rehearsals, and for what
//! scrolls away above a drawing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use owo_colors::Style;

use crate::event::Event;
use crate::event::EventKind;
use crate::event::Sample;
use crate::event::minutes;
use crate::resource::id::ResourceId;
use crate::ui::text::Row;
use crate::ui::text::clock;
use crate::ui::text::several;
use crate::ui::text::style;

/// What takes longer is worth a line of its own.
const LONG: Duration = Duration::from_secs(60);

/// How often a sample is told, in the show's time.
const SAMPLED_EVERY: Duration = Duration::from_secs(30);

/// Where what a line is about begins, and what is to be said of it.
const SUBJECT: usize = 19;
const TAIL: usize = 62;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Whole releases, and what takes long; the rest is counted.
    #[default]
    Noteworthy,
    /// Every resource.
    Everything,
}

/// Tells events as lines, with the time since the first one.
#[derive(Debug, Default)]
pub struct Lines {
    detail: Detail,
    // How wide the terminal is; none where nobody knows.
    width: Option<usize>,
    begun: Option<Timestamp>,
    chapter: Option<Chapter>,
    releases: BTreeMap<String, Release>,
    sampled: Option<Duration>,
    desired: Option<u32>,
}

/// A command's part of the story, and what it came to so far.
#[derive(Debug)]
struct Chapter {
    command: String,
    since: Timestamp,
    last: Timestamp,
    ready: usize,
    failed: usize,
    skipped: usize,
    gone: usize,
}

#[derive(Debug)]
struct Release {
    since: Timestamp,
    objects: usize,
}

impl Lines {
    /// Lines of so much detail.
    pub fn new(detail: Detail) -> Self {
        Self {
            detail,
            ..Self::default()
        }
    }

    /// Cuts lines to a terminal from now on, but for what somebody must read to the end.
    pub fn fit(&mut self, width: usize) {
        self.width = Some(width);
    }

    /// The lines that tell of an event; none for what would only repeat.
    pub fn on(&mut self, event: &Event) -> Vec<String> {
        self.begun.get_or_insert(event.at);
        let mut lines = Vec::new();
        if let EventKind::Begun { command, .. } = &event.kind {
            lines.extend(self.end());
            self.chapter = Some(Chapter::of(command, event.at));
        }
        self.count(event);
        lines.extend(self.told(event));
        lines
    }

    /// The lines that tell what the last command came to.
    pub fn end(&mut self) -> Vec<String> {
        let Some(chapter) = self.chapter.take() else {
            return Vec::new();
        };
        let counts = [
            (chapter.ready, "ready"),
            (chapter.gone, "gone"),
            (chapter.failed, "FAILED"),
            (chapter.skipped, "not tried"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        let took = Duration::try_from(chapter.last.duration_since(chapter.since)).unwrap_or_default();
        let ended = self.begin(chapter.last).and(style::faint(), "┴  ");
        let ended = ended.and(style::strong(), format!("{} took {}", chapter.command, minutes(took)));
        let ended = if counts.is_empty() {
            ended
        } else {
            ended.and(style::plain(), format!(": {}", counts.join(", ")))
        };
        vec![self.written(&ended), String::new()]
    }

    fn count(&mut self, event: &Event) {
        if let EventKind::Started { id, .. } = &event.kind
            && let Some(("release-begin", name)) = parts(id)
        {
            let release = Release {
                since: event.at,
                objects: 0,
            };
            self.releases.insert(name.to_owned(), release);
        }
        if let EventKind::Applied { id, .. } = &event.kind
            && let Some((release, _)) = parts(id)
            && let Some(release) = self.releases.get_mut(release)
        {
            release.objects += 1;
        }
        let Some(chapter) = &mut self.chapter else { return };
        chapter.last = event.at;
        match event.kind {
            EventKind::Applied { .. } => chapter.ready += 1,
            EventKind::Failed { .. } => chapter.failed += 1,
            EventKind::Skipped { .. } => chapter.skipped += 1,
            EventKind::Removed { .. } => chapter.gone += 1,
            _ => {}
        }
    }

    fn told(&mut self, event: &Event) -> Vec<String> {
        let brief = self.detail == Detail::Noteworthy;
        let line = match &event.kind {
            EventKind::Begun {
                command,
                stack,
                world,
                account,
                region,
                ..
            } => {
                let place = format!("account {account} · {region} · world {world}");
                let heading = Row::default().until_column(8).and(style::faint(), "┬  ");
                let heading = heading.and(style::strong(), format!("{command} {stack}"));
                heading.until_column(SUBJECT).and(style::faint(), format!("  {place}"))
            }
            EventKind::Planned { ids, expected } => {
                let what = several(ids.len(), "resource");
                self.line(
                    event,
                    Mark::Pass,
                    "plans",
                    &what,
                    &format!("about {}", minutes(*expected)),
                )
            }
            EventKind::Started {
                id, action, expected, ..
            } if *expected >= LONG => {
                let expected = format!("about {}", minutes(*expected));
                self.line(event, Mark::Begins, action, id.as_str(), &expected)
            }
            EventKind::Applied { id, took } => match parts(id) {
                Some(("release-end", name)) if brief => {
                    let release = self.releases.remove(name);
                    let tail = release.map(|release| release.told(event.at)).unwrap_or_default();
                    self.line(event, Mark::Ready, "ready", &format!("release {name}"), &tail)
                }
                Some((kind, _)) if brief && *took < LONG && !matches!(kind, "cluster" | "node-group") => {
                    return Vec::new();
                }
                _ => self.line(event, Mark::Ready, "ready", id.as_str(), &duration(*took)),
            },
            EventKind::Failed { id, error } => return self.failure(event, id, error),
            EventKind::Skipped { id, because } if !brief => {
                self.line(event, Mark::Pass, "skips", id.as_str(), &format!("{because} failed"))
            }
            EventKind::Phase { name } => self.line(event, Mark::Begins, "clears", name, ""),
            EventKind::Removed { kind, name } if !brief || is_landmark(kind) => {
                self.line(event, Mark::Ready, "gone", &format!("{kind} {name}"), "")
            }
            EventKind::Show { name, length, page, .. } => {
                let what = format!("{name}, {}   {page}", minutes(*length));
                self.line(event, Mark::Begins, "show", &what, "")
            }
            EventKind::Act { name, about } => self.line(event, Mark::Ready, "act", &format!("{name:<10} {about}"), ""),
            EventKind::Cue { name, what } => self.line(event, Mark::Cue, "cue", &format!("{name:<10} {what}"), ""),
            EventKind::Note { text } => self.line(event, Mark::Pass, "note", text, ""),
            EventKind::Sample(sample) => return self.sample(event, sample),
            EventKind::Started { .. }
            | EventKind::Waiting { .. }
            | EventKind::Skipped { .. }
            | EventKind::Removed { .. }
            | EventKind::Report { .. } => return Vec::new(),
        };
        match event.kind {
            EventKind::Note { .. } | EventKind::Show { .. } => vec![line.cut(usize::MAX)],
            _ => vec![self.written(&line)],
        }
    }

    fn written(&self, row: &Row) -> String {
        row.cut(self.width.unwrap_or(usize::MAX))
    }

    fn failure(&self, event: &Event, id: &ResourceId, error: &str) -> Vec<String> {
        let line = self.line(event, Mark::Failed, "FAILED", id.as_str(), "");
        let below = |text: &str| {
            Row::default()
                .until_column(SUBJECT)
                .and(style::plain(), text)
                .cut(usize::MAX)
        };
        let mut lines = vec![line.cut(usize::MAX)];
        lines.extend(error.lines().map(below));
        lines.push(below(
            "next: what does not need it goes on; mend the cause and run it again",
        ));
        lines
    }

    fn sample(&mut self, event: &Event, sample: &Sample) -> Vec<String> {
        let before = self.desired.replace(sample.desired);
        let queue = format!("{} waiting, {} running", sample.waiting, sample.running);
        if let Some(before) = before.filter(|before| *before != sample.desired) {
            let word = if before < sample.desired { "grows" } else { "shrinks" };
            let replicas = several(sample.desired as usize, "replica");
            let nodes = several(sample.nodes.len(), "node");
            let subject = format!("{before} -> {replicas}, {} ready on {nodes}", sample.ready);
            return vec![self.written(&self.line(event, Mark::Scales, word, &subject, &queue))];
        }
        let due = self.sampled.is_none_or(|last| sample.elapsed >= last + SAMPLED_EVERY);
        if self.detail == Detail::Noteworthy || !due {
            return Vec::new();
        }
        self.sampled = Some(sample.elapsed);
        let subject = format!(
            "{} of {} ready, {}, p95 {:.1}s, ${:.2}",
            sample.ready,
            several(sample.desired as usize, "replica"),
            several(sample.nodes.len(), "node"),
            sample.p95.as_secs_f64(),
            sample.cost
        );
        vec![self.written(&self.line(event, Mark::Pass, "now", &subject, &queue))]
    }

    fn line(&self, event: &Event, mark: Mark, word: &str, subject: &str, tail: &str) -> Row {
        let (style, sign) = mark.drawn();
        let line = self.begin(event.at).and(style, sign).and(style::plain(), "  ");
        let line = line.and(style, word).until_column(SUBJECT).and(style::plain(), subject);
        match tail {
            "" => line,
            tail => line.until_column(TAIL).and(style::faint(), tail),
        }
    }

    fn begin(&self, at: Timestamp) -> Row {
        let elapsed = self.begun.map(|begun| at.duration_since(begun)).unwrap_or_default();
        let elapsed = clock(Duration::try_from(elapsed).unwrap_or_default());
        Row::of(style::faint(), format!("{elapsed:>6}  "))
    }
}

impl Chapter {
    fn of(command: &str, at: Timestamp) -> Self {
        Self {
            command: command.to_owned(),
            since: at,
            last: at,
            ready: 0,
            failed: 0,
            skipped: 0,
            gone: 0,
        }
    }
}

impl Release {
    fn told(&self, at: Timestamp) -> String {
        let took = Duration::try_from(at.duration_since(self.since)).unwrap_or_default();
        let objects = several(self.objects, "object");
        match minutes(took) {
            took if took == "0s" => objects,
            took => format!("{took}, {objects}"),
        }
    }
}

/// What stands on the line between the clock and the word.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Pass,
    Begins,
    Ready,
    Scales,
    Cue,
    Failed,
}

impl Mark {
    fn drawn(self) -> (Style, &'static str) {
        match self {
            Self::Pass => (style::faint(), "│"),
            Self::Begins => (style::coming(), "○"),
            Self::Ready => (style::good(), "●"),
            Self::Scales => (style::strong(), "◇"),
            Self::Cue => (style::cue(), "◆"),
            Self::Failed => (style::bad(), "✕"),
        }
    }
}

/// The first part of an id, which is a kind or a release, and the rest.
fn parts(id: &ResourceId) -> Option<(&str, &str)> {
    id.as_str().split_once('/')
}

/// What everybody waits for when a stack goes.
fn is_landmark(kind: &str) -> bool {
    matches!(kind, "cluster" | "node group" | "NAT gateway" | "load balancer" | "VPC")
}

fn duration(took: Duration) -> String {
    match took.as_secs() {
        0 => String::new(),
        _ => minutes(took),
    }
}
