//! What a run must have kept to be called good.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::duration::DurationError;
use crate::duration::format_duration;
use crate::duration::parse_duration;
use crate::summary::Summary;

/// A bound on a run's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// This quantile of the latency, since requests were due, lies below this.
    Latency {
        /// From 0 to 1.
        quantile: f64,
        /// The bound.
        below: Duration,
    },
    /// The share of finished requests that failed lies below this.
    Failures {
        /// From 0 to 1.
        below: f64,
    },
}

/// A threshold, beside what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The bound.
    pub threshold: Threshold,
    /// Latency in seconds or share of failures; `None` when no request finished.
    pub value: Option<f64>,
}

/// How a run did against its thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// One entry for each threshold, in the order given.
    pub measured: Vec<Measured>,
}

/// Text that is not a threshold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ThresholdError {
    /// Not `FIGURE<BOUND`.
    #[error("`{0}` is not a threshold; write one like `p95<20s` or `failed<15%`")]
    NotAThreshold(String),
    /// The bound of a latency cannot be read.
    #[error("the bound of `{text}` cannot be read")]
    Bound {
        /// What was written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: DurationError,
    },
}

impl Threshold {
    /// The show's own: p95 below 20 s, and fewer than 15 % failed.
    pub const SHOW: [Self; 2] = [
        Self::Latency {
            quantile: 0.95,
            below: Duration::from_secs(20),
        },
        Self::Failures { below: 0.15 },
    ];

    fn measure(self, summary: &Summary) -> Measured {
        let value = match self {
            Self::Latency { quantile, .. } => {
                (summary.response.count() > 0).then(|| summary.response.quantile(quantile).as_secs_f64())
            }
            Self::Failures { .. } => summary.failure_rate(),
        };
        Measured { threshold: self, value }
    }
}

impl Measured {
    /// Whether the bound was kept; a run in which nothing finished keeps none.
    pub fn is_met(&self) -> bool {
        let bound = match self.threshold {
            Threshold::Latency { below, .. } => below.as_secs_f64(),
            Threshold::Failures { below } => below,
        };
        self.value.is_some_and(|value| value < bound)
    }
}

impl Verdict {
    /// Holds a run against thresholds.
    pub fn of(summary: &Summary, thresholds: &[Threshold]) -> Self {
        Self {
            measured: thresholds.iter().map(|threshold| threshold.measure(summary)).collect(),
        }
    }

    /// Whether every bound was kept.
    pub fn is_met(&self) -> bool {
        self.measured.iter().all(Measured::is_met)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let wrong = || ThresholdError::NotAThreshold(text.to_owned());
        let (figure, bound) = text.split_once('<').ok_or_else(wrong)?;
        let (figure, bound) = (figure.trim(), bound.trim());
        if figure == "failed" {
            let percent = bound.strip_suffix('%').and_then(percentage).ok_or_else(wrong)?;
            return Ok(Self::Failures { below: percent });
        }
        let quantile = figure.strip_prefix('p').and_then(percentage).ok_or_else(wrong)?;
        let below = parse_duration(bound).map_err(|source| ThresholdError::Bound {
            text: text.to_owned(),
            source,
        })?;
        Ok(Self::Latency { quantile, below })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency { quantile, below } => {
                write!(f, "p{}<{}", round(quantile * 100.0), format_duration(*below))
            }
            Self::Failures { below } => write!(f, "failed<{}%", round(below * 100.0)),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_met() { "kept" } else { "broken" };
        match (self.value, self.threshold) {
            (None, threshold) => write!(f, "{threshold} {mark}: no request finished"),
            (Some(value), Threshold::Latency { .. }) => write!(f, "{} {mark}: {value:.2}s", self.threshold),
            (Some(value), Threshold::Failures { .. }) => write!(f, "{} {mark}: {:.2}%", self.threshold, value * 100.0),
        }
    }
}

fn percentage(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value / 100.0)
}

/// Takes off what binary fractions add: 0.15 * 100 is 15.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Event;
    use crate::summary::Failure;

    fn run(answered: u32, failed: u32, seconds: u64) -> Summary {
        let mut summary = Summary::default();
        let latency = Duration::from_secs(seconds);
        for number in 0..answered + failed {
            summary.on(&Event::Sent);
            summary.on(&if number < answered {
                Event::Answered {
                    response: latency,
                    service: latency,
                }
            } else {
                Event::Failed {
                    failure: Failure::Status(500),
                    response: latency,
                    service: latency,
                }
            });
        }
        summary
    }

    fn check(summary: &Summary, expected: [&str; 2]) {
        let verdict = Verdict::of(summary, &Threshold::SHOW);
        let lines: Vec<String> = verdict.measured.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected);
        assert_eq!(verdict.is_met(), lines.iter().all(|line| line.contains("kept")));
    }

    #[test]
    fn the_shows_thresholds_decide() {
        check(&run(86, 14, 19), ["p95<20s kept: 19.01s", "failed<15% kept: 14.00%"]);
        check(&run(85, 15, 19), ["p95<20s kept: 19.01s", "failed<15% broken: 15.00%"]);
        check(&run(100, 0, 21), ["p95<20s broken: 21.00s", "failed<15% kept: 0.00%"]);
    }

    #[test]
    fn a_run_in_which_nothing_finished_keeps_no_threshold() {
        check(
            &run(0, 0, 0),
            [
                "p95<20s broken: no request finished",
                "failed<15% broken: no request finished",
            ],
        );
    }

    #[test]
    fn thresholds_are_read_as_they_are_written() {
        for text in ["p95<20s", "p99.9<1m30s", "failed<15%", "failed<0.5%"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_threshold_says_how_to_write_one() {
        for text in ["", "p95", "p95>20s", "failed<15", "p101<1s", "pfast<1s", "failed<-1%"] {
            assert_eq!(
                text.parse::<Threshold>(),
                Err(ThresholdError::NotAThreshold(text.to_owned())),
                "for `{text}`"
            );
        }
        assert_eq!(
            "p95<20".parse::<Threshold>().unwrap_err().to_string(),
            "the bound of `p95<20` cannot be read"
        );
    }
}
