//! What happened in a run: events, and their sum.
//!
//! A [`Summary`] is nothing but a fold over [`Event`]s, so that a live view, the final report and the merged report
//! of many pods cannot disagree. It always holds that sent = answered + failed + aborted + still in flight.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::duration::format_duration;
use crate::histogram::Histogram;

/// More different reasons than a reader takes in; the rest is counted together.
const MOST_REASONS: usize = 20;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The number of users that are meant to be active changed.
    Users(u32),
    /// An iteration began: a user, or an arrival, asked a question.
    Iteration,
    /// A request left.
    Sent,
    /// A request was answered with a success.
    Answered {
        /// Since the request was due.
        response: Duration,
        /// Since it was sent.
        service: Duration,
    },
    /// A request was answered with an error, or not at all in time.
    Failed {
        /// Why.
        failure: Failure,
        /// Since the request was due.
        response: Duration,
        /// Since it was sent.
        service: Duration,
    },
    /// A request was still unanswered at the end of the graceful stop.
    Aborted {
        /// Since the request was due: the least that its answer would have taken.
        response: Duration,
    },
    /// Requests that were due and never left, because as many as allowed were already under way.
    Unsent(u64),
    /// The list of the audience's questions was read once.
    Refreshed,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was answered with this status.
    Status(u16),
    /// No answer came before the plan's timeout.
    TimedOut,
    /// The connection failed.
    Transport(String),
}

/// The sum of a run's events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Iterations begun.
    pub iterations: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered with a success.
    pub answered: u64,
    /// Requests answered with an error, or not in time.
    pub failed: u64,
    /// Requests that the end of the run cut off.
    pub aborted: u64,
    /// Requests that were due and never left.
    pub unsent: u64,
    /// The most requests that were under way at once.
    pub peak_in_flight: u64,
    /// How often the audience's list was read.
    pub refreshes: u64,
    /// Failures by reason.
    pub failures: BTreeMap<String, u64>,
    /// Latency since each request was due: corrected for coordinated omission.
    pub response: Histogram,
    /// Latency since each request was sent: what an uncorrected tool shows.
    pub service: Histogram,
}

impl Summary {
    /// Adds one event.
    pub fn on(&mut self, event: &Event) {
        match event {
            Event::Users(_) => {}
            Event::Iteration => self.iterations += 1,
            Event::Refreshed => self.refreshes += 1,
            Event::Unsent(count) => self.unsent += count,
            Event::Sent => {
                self.sent += 1;
                self.peak_in_flight = self.peak_in_flight.max(self.in_flight());
            }
            Event::Answered { response, service } => {
                self.answered += 1;
                self.record(*response, *service);
            }
            Event::Failed {
                failure,
                response,
                service,
            } => {
                self.failed += 1;
                self.count_reason(failure.to_string(), 1);
                self.record(*response, *service);
            }
            Event::Aborted { response } => {
                self.aborted += 1;
                self.response.record(*response);
            }
        }
    }

    /// Adds the run of another generator, which ran beside this one.
    pub fn merge(&mut self, other: &Self) {
        self.iterations += other.iterations;
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        self.aborted += other.aborted;
        self.unsent += other.unsent;
        // An upper bound: the peaks need not have come together.
        self.peak_in_flight += other.peak_in_flight;
        self.refreshes += other.refreshes;
        for (reason, count) in &other.failures {
            self.count_reason(reason.clone(), *count);
        }
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.answered + self.failed + self.aborted)
    }

    /// The share of finished requests that failed; `None` when none finished.
    pub fn failure_rate(&self) -> Option<f64> {
        let finished = self.answered + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "a share of fewer than 2^52 requests")]
        (finished > 0).then(|| self.failed as f64 / finished as f64)
    }

    fn record(&mut self, response: Duration, service: Duration) {
        self.response.record(response);
        self.service.record(service);
    }

    fn count_reason(&mut self, reason: String, count: u64) {
        let known = self.failures.contains_key(&reason) || self.failures.len() < MOST_REASONS;
        let reason = if known { reason } else { "other reasons".to_owned() };
        *self.failures.entry(reason).or_default() += count;
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Transport(message) => f.write_str(message),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            answered,
            failed,
            aborted,
            ..
        } = self;
        writeln!(
            f,
            "{sent} sent = {answered} answered + {failed} failed + {aborted} aborted"
        )?;
        let [p50, p95, p99] =
            [0.5, 0.95, 0.99].map(|quantile| format_duration(to_millis(self.response.quantile(quantile))));
        write!(
            f,
            "latency p50 {p50}, p95 {p95}, p99 {p99}; at most {} in flight",
            self.peak_in_flight
        )?;
        if self.unsent > 0 {
            write!(f, "\n{} were due and never sent", self.unsent)?;
        }
        self.failures
            .iter()
            .try_for_each(|(reason, count)| write!(f, "\n{count} failed: {reason}"))
    }
}

fn to_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[Event]) -> Summary {
        let mut summary = Summary::default();
        for event in events {
            summary.on(event);
        }
        summary
    }

    fn failed(message: &str) -> Event {
        let failure = Failure::Transport(message.to_owned());
        Event::Failed {
            failure,
            response: Duration::from_secs(1),
            service: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_summary_reads_as_a_sentence_each_line() {
        let second = Duration::from_secs(1);
        let answered = Event::Answered {
            response: second * 2,
            service: second,
        };
        let status = Event::Failed {
            failure: Failure::Status(503),
            response: second,
            service: second,
        };
        let cut = Event::Aborted { response: second };
        let summary = after(&[
            Event::Iteration,
            Event::Sent,
            Event::Sent,
            Event::Sent,
            answered,
            status,
            cut,
            Event::Unsent(4),
        ]);
        assert_eq!(
            summary.to_string(),
            "3 sent = 1 answered + 1 failed + 1 aborted\n\
             latency p50 1s, p95 2s, p99 2s; at most 3 in flight\n\
             4 were due and never sent\n\
             1 failed: status 503"
        );
        assert_eq!(summary.failure_rate(), Some(0.5));
    }

    #[test]
    fn merging_two_runs_equals_one_run_of_both() {
        let parts = [[Event::Sent, failed("refused")], [Event::Sent, failed("reset")]];
        let mut merged = after(&parts[0]);
        merged.merge(&after(&parts[1]));
        let whole = Summary {
            peak_in_flight: 2,
            ..after(&parts.concat())
        };
        assert_eq!(merged, whole);
    }

    #[test]
    fn reasons_without_end_are_counted_together() {
        let events: Vec<Event> = (0..100)
            .flat_map(|port| [Event::Sent, failed(&format!("refused by port {port}"))])
            .collect();
        let summary = after(&events);
        assert_eq!(summary.failures.len(), MOST_REASONS + 1);
        assert_eq!(summary.failures.values().sum::<u64>(), 100);
    }

    #[test]
    fn a_written_summary_reads_back() {
        let summary = after(&[Event::Sent, failed("refused"), Event::Refreshed]);
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    }
}
