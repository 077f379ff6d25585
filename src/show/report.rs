//! What came of a show: the timeline, the verdict, the money, and three counts that do not know of each other.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tubectl_load::Summary;
use tubectl_load::Threshold;
use tubectl_load::Verdict;
use tubectl_load::format_duration;

use crate::cost::prices;
use crate::event::Sample;
use crate::show::audience::Tally;
use crate::show::director::Ending;
use crate::show::director::Mark;
use crate::show::figures::sum;
use crate::show::figures::whole;
use crate::show::telemetry::Seen;

/// A row of the timeline comes at least this often.
const ROW_EVERY: Duration = Duration::from_mins(2);

/// What came of a show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The show's name.
    pub demo: String,
    /// How long it was to be.
    pub minutes: u32,
    /// How it ended.
    pub ending: Ending,
    /// What happened, against the clock.
    pub timeline: Vec<Row>,
    /// What had to be kept.
    pub thresholds: Vec<Kept>,
    /// What it cost.
    pub cost: Cost,
    /// Requests for a completion, counted in three places.
    pub counts: Counts,
    /// What the stand-in audience did, if there was one.
    pub audience: Option<Tally>,
    /// What the load measured.
    pub load: Summary,
}

/// A moment of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was cued since the last row.
    pub cue: String,
    /// How things stood.
    #[serde(flatten)]
    pub sample: Sample,
}

/// A threshold, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The threshold with what was measured.
    pub threshold: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// What a show cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// In dollars, from its beginning to the last look.
    pub total: f64,
    /// The most it cost, in dollars an hour.
    pub peak_hourly: f64,
    /// The day of the prices.
    pub prices: &'static str,
}

/// Requests for a completion, in three counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// What the load sent.
    pub sent: u64,
    /// What all gateways that ever lived passed on for it.
    pub gateways: Gateways,
    /// What all model servers that ever lived say; none where nobody outlives them to tell.
    pub servers: Option<Servers>,
}

/// What gateways counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gateways {
    /// Completions for whoever uses the model's API: the load.
    pub passed_on: u64,
    /// Of these, those whose client went away.
    pub aborted: u64,
    /// Completions for questions of the audience.
    pub questions: u64,
}

/// What model servers counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Servers {
    /// Requests that were answered or refused.
    pub served: u64,
    /// Requests whose client or pod went away.
    pub aborted: u64,
}

/// What a report is made from.
pub struct Played<'a> {
    /// The show's name.
    pub demo: &'a str,
    /// How long it was to be.
    pub minutes: u32,
    /// How it ended.
    pub ending: Ending,
    /// What happened on stage.
    pub marks: &'a [Mark],
    /// What was seen.
    pub seen: &'a Seen,
    /// What the load measured.
    pub load: Summary,
    /// What had to be kept.
    pub thresholds: &'a [Threshold],
    /// What the stand-in audience did.
    pub audience: Option<Tally>,
}

impl Report {
    /// Adds up a show.
    pub fn of(played: Played<'_>) -> Self {
        let verdict = Verdict::of(&played.load, played.thresholds);
        let kept = verdict.measured.iter().map(|measured| Kept {
            threshold: measured.to_string(),
            kept: measured.is_met(),
        });
        let samples = &played.seen.samples;
        let Seen { gateways, before, .. } = played.seen;
        let gateways = gateways
            .iter()
            .map(|(pod, now)| before.get(pod).map_or(*now, |then| now.since(then)));
        Self {
            demo: played.demo.to_owned(),
            minutes: played.minutes,
            ending: played.ending,
            timeline: timeline(samples, played.marks),
            thresholds: kept.collect(),
            cost: Cost {
                total: samples.last().map_or(0.0, |sample| sample.cost),
                peak_hourly: samples.iter().map(|sample| sample.hourly).fold(0.0, f64::max),
                prices: prices::DATE,
            },
            counts: Counts {
                sent: played.load.sent,
                gateways: gateways.fold(Gateways::default(), |sum, one| sum.and(&one)),
                servers: None,
            },
            audience: played.audience,
            load: played.load,
        }
    }

    /// The report, with what somebody counted who outlived every model server.
    #[must_use]
    pub fn with_servers(mut self, servers: Servers) -> Self {
        self.counts.servers = Some(servers);
        self
    }

    /// Whether every threshold was kept.
    pub fn is_kept(&self) -> bool {
        self.thresholds.iter().all(|threshold| threshold.kept)
    }

    /// The most replicas that were wanted, and when that first was.
    pub fn peak(&self) -> Option<(u32, Duration)> {
        let samples = self.timeline.iter().map(|row| &row.sample);
        let most = samples.clone().map(|sample| sample.desired).max()?;
        let first = samples.into_iter().find(|sample| sample.desired == most)?;
        Some((most, first.elapsed))
    }
}

impl Counts {
    /// Whether the three counts agree: what was sent was passed on, and what was passed on came to a model server.
    pub fn agree(&self) -> bool {
        let to_servers = self.gateways.passed_on + self.gateways.questions;
        self.sent == self.gateways.passed_on
            && self
                .servers
                .is_none_or(|servers| servers.served + servers.aborted == to_servers)
    }
}

impl Gateways {
    /// Reads what one gateway says of itself.
    pub fn read(metrics: &str) -> Self {
        const COMPLETIONS: &str = "gateway_completions_total";
        let count = |labels: &[(&str, &str)]| whole(sum(metrics, COMPLETIONS, labels));
        Self {
            passed_on: count(&[("source", "proxy")]),
            aborted: count(&[("source", "proxy"), ("outcome", "aborted")]),
            questions: count(&[("source", "question")]),
        }
    }

    /// What was counted after `then`.
    fn since(&self, then: &Self) -> Self {
        Self {
            passed_on: self.passed_on.saturating_sub(then.passed_on),
            aborted: self.aborted.saturating_sub(then.aborted),
            questions: self.questions.saturating_sub(then.questions),
        }
    }

    fn and(self, other: &Self) -> Self {
        Self {
            passed_on: self.passed_on + other.passed_on,
            aborted: self.aborted + other.aborted,
            questions: self.questions + other.questions,
        }
    }
}

/// The samples that tell the story: the first, those of a cue or of a change of size, and one every so often.
fn timeline(samples: &[Sample], marks: &[Mark]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut marks = marks.iter().peekable();
    for sample in samples {
        let mut cued = Vec::new();
        while let Some(mark) = marks.next_if(|mark| mark.at <= sample.elapsed) {
            cued.push(mark.what.clone());
        }
        let tells = rows.last().is_none_or(|row| {
            let last = &row.sample;
            (last.desired, last.ready) != (sample.desired, sample.ready)
                || sample.elapsed.saturating_sub(last.elapsed) >= ROW_EVERY
        });
        if tells || !cued.is_empty() {
            rows.push(Row {
                cue: cued.join(", "),
                sample: sample.clone(),
            });
        }
    }
    rows
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " time  queue  run  want  ready  nodes    $/h  cue")?;
        for Row { cue, sample } in &self.timeline {
            let seconds = sample.elapsed.as_secs();
            let cue: String = cue.chars().take(36).collect();
            let line = format!(
                "{:>2}:{:02}  {:>5}  {:>3}  {:>4}  {:>5}  {:>5}  {:>5.2}  {cue}",
                seconds / 60,
                seconds % 60,
                sample.waiting,
                sample.running,
                sample.desired,
                sample.ready,
                sample.nodes.len(),
                sample.hourly,
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        if let Some((most, at)) = self.peak() {
            let at = format_duration(Duration::from_secs(at.as_secs()));
            let from = self.timeline.first().map_or(0, |row| row.sample.desired);
            writeln!(f, "scale      {from} to {most} replicas, {most} wanted after {at}")?;
        }
        for threshold in &self.thresholds {
            writeln!(f, "threshold  {}", threshold.threshold)?;
        }
        let Cost {
            total,
            peak_hourly,
            prices,
        } = self.cost;
        writeln!(
            f,
            "cost       ${total:.2}, at most ${peak_hourly:.2} an hour (estimated, prices of {prices})"
        )?;
        if let Some(audience) = &self.audience {
            let Tally {
                phones,
                asked,
                votes,
                winners,
                ..
            } = audience;
            writeln!(
                f,
                "audience   {phones} phones, {asked} questions, {votes} votes, {winners} winners"
            )?;
        }
        self.counts.fmt(f)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gateways {
            passed_on, questions, ..
        } = self.gateways;
        write!(
            f,
            "requests   {} sent by the load\n           {passed_on} passed on by gateways, and {questions} questions",
            self.sent
        )?;
        if let Some(Servers { served, aborted }) = self.servers {
            write!(f, "\n           {served} served by vLLM + {aborted} aborted")?;
        }
        let verdict = if self.agree() { "agree" } else { "do not agree" };
        write!(f, "\n           the counts {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, desired: u32) -> Sample {
        Sample {
            elapsed: Duration::from_secs(seconds),
            desired,
            ready: 1,
            waiting: 68,
            running: 32,
            hourly: 1.5,
            cost: 0.25,
            ..Sample::default()
        }
    }

    fn played(seen: &Seen) -> Report {
        let marks = [
            Mark {
                at: Duration::ZERO,
                what: "questions".to_owned(),
            },
            Mark {
                at: Duration::from_secs(62),
                what: "cue survey".to_owned(),
            },
        ];
        Report::of(Played {
            demo: "tube",
            minutes: 30,
            ending: Ending::Complete,
            marks: &marks,
            seen,
            load: Summary::default(),
            thresholds: &Threshold::SHOW,
            audience: None,
        })
    }

    #[test]
    fn the_timeline_has_what_changed_and_what_was_cued() {
        let samples = [(0, 1), (5, 1), (60, 1), (65, 1), (70, 4), (75, 4), (195, 4)];
        let seen = Seen {
            samples: samples.map(|(seconds, desired)| sample(seconds, desired)).to_vec(),
            ..Seen::default()
        };
        let report = played(&seen);
        let rows: Vec<(u64, &str)> = report
            .timeline
            .iter()
            .map(|row| (row.sample.elapsed.as_secs(), row.cue.as_str()))
            .collect();
        assert_eq!(rows, [(0, "questions"), (65, "cue survey"), (70, ""), (195, "")]);
        assert_eq!(report.peak(), Some((4, Duration::from_secs(70))));
        assert!(!report.is_kept(), "a load that sent nothing keeps nothing");
    }

    #[test]
    fn a_report_fits_eighty_columns() {
        let seen = Seen {
            samples: vec![sample(0, 1), sample(70, 10)],
            ..Seen::default()
        };
        let text = played(&seen).with_servers(Servers::default()).to_string();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn counts_agree_when_nothing_was_lost_on_the_way() {
        let counts = |sent, passed_on, served| Counts {
            sent,
            gateways: Gateways {
                passed_on,
                aborted: 0,
                questions: 2,
            },
            servers: Some(Servers { served, aborted: 1 }),
        };
        assert!(counts(10, 10, 11).agree());
        assert!(!counts(10, 9, 11).agree());
        assert!(!counts(10, 10, 12).agree());
    }
}
