//! Latencies, kept to three significant digits from a microsecond to an hour, and merged without loss.
//!
//! It holds what it is given. Correction for coordinated omission happens where a latency is measured: from the
//! moment a request was due, not from the moment the engine got round to sending it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// An hour in microseconds: no answer that late is told from a later one.
const LONGEST: u64 = 3_600_000_000;

/// How often each latency was seen.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
}

/// A written histogram that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HistogramError {
    /// A latency outside of what is kept.
    #[error("latency {0} us is outside of 1 us to 1 h; the file was not written by this tool")]
    OutOfRange(u64),
}

/// What is written: pairs of microseconds and count, in order.
#[derive(Serialize, Deserialize)]
struct Wire {
    microseconds: Vec<(u64, u64)>,
}

impl Histogram {
    /// A histogram that has seen nothing.
    pub fn new() -> Self {
        let counts =
            hdrhistogram::Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are constants in range");
        Self { counts }
    }

    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.counts.saturating_record(microseconds.clamp(1, LONGEST));
    }

    /// Adds everything another histogram has seen.
    pub fn merge(&mut self, other: &Self) {
        self.counts
            .add(&other.counts)
            .expect("all histograms share their bounds");
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The latency that a share `quantile` (0 to 1) did not exceed; zero when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        if self.counts.is_empty() {
            return Duration::ZERO;
        }
        Duration::from_micros(self.counts.value_at_quantile(quantile.clamp(0.0, 1.0)))
    }

    /// The arithmetic mean; zero when nothing was counted.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.counts.mean() / 1e6)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|quantile| self.quantile(quantile));
        write!(
            f,
            "Histogram({} counted, p50 {p50:?}, p95 {p95:?}, p99 {p99:?})",
            self.count()
        )
    }
}

impl From<Histogram> for Wire {
    fn from(histogram: Histogram) -> Self {
        let recorded = histogram.counts.iter_recorded();
        Self {
            microseconds: recorded
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }
}

impl TryFrom<Wire> for Histogram {
    type Error = HistogramError;

    fn try_from(wire: Wire) -> Result<Self, HistogramError> {
        let mut histogram = Self::new();
        for (microseconds, count) in wire.microseconds {
            let counted = histogram.counts.record_n(microseconds, count);
            counted.map_err(|_| HistogramError::OutOfRange(microseconds))?;
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        millis
            .into_iter()
            .for_each(|value| histogram.record(Duration::from_millis(value)));
        histogram
    }

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let histogram = of(1..=1000);
        for (quantile, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let millis = histogram.quantile(quantile).as_secs_f64() * 1000.0;
            assert!(
                (millis / expected - 1.0).abs() < 0.001,
                "{quantile}: {millis} for {expected}"
            );
        }
    }

    #[test]
    fn nothing_counted_is_zero_not_a_panic() {
        assert_eq!(Histogram::new().quantile(0.95), Duration::ZERO);
        assert_eq!(Histogram::new().mean(), Duration::ZERO);
    }

    #[test]
    fn merging_parts_equals_counting_the_whole() {
        let mut merged = of((1..=5000).filter(|n| n % 3 == 0));
        merged.merge(&of((1..=5000).filter(|n| n % 3 != 0)));
        assert_eq!(merged, of(1..=5000));
    }

    #[test]
    fn writing_and_reading_keeps_every_count() {
        let histogram = of([1, 1, 7, 40_000, 3_000_000]);
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
    }

    #[test]
    fn a_latency_that_cannot_be_is_refused_with_its_value() {
        let error = serde_json::from_str::<Histogram>(r#"{"microseconds":[[99999999999999,1]]}"#).unwrap_err();
        assert!(
            error.to_string().starts_with("latency 99999999999999 us is outside"),
            "{error}"
        );
    }
}
