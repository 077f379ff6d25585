//! The memory of Kedify's `OTel` scaler: samples per label set, and the queries of triggers over them.
//!
//! A series keeps what is younger than the retention, but only when a new sample of it arrives; a series that ended
//! counts until its last sample is older than that. So the sum over pods is too high for two minutes after pods
//! went away, as in the real one. It never scrapes: samples are handed in.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// What the scaler was started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `METRIC_STORE_RETENTION_SECONDS`.
    pub retention: SignedDuration,
    /// `METRIC_STORE_ERROR_IF_NOT_FOUND`.
    pub error_if_not_found: bool,
    /// `METRIC_STORE_VALUE_IF_NOT_FOUND`.
    pub value_if_not_found: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: SignedDuration::from_secs(120),
            error_if_not_found: false,
            value_if_not_found: 0.0,
        }
    }
}

/// The scaler's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    settings: Settings,
    metrics: BTreeMap<String, Vec<Series>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Series {
    labels: Labels,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    /// The scaler keeps times in whole seconds.
    second: i64,
    value: f64,
}

/// How the values of several series become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregation {
    /// `sum`, also when a query has none.
    #[default]
    Sum,
    /// `avg`.
    Average,
    /// `min`.
    Minimum,
    /// `max`.
    Maximum,
    /// `count`.
    Count,
}

/// `operationOverTime`: how the samples of one series become its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverTime {
    /// `last_one`.
    #[default]
    LastOne,
    /// `min`.
    Minimum,
    /// `max`.
    Maximum,
    /// `avg`.
    Average,
    /// `count`.
    Count,
    /// `rate`.
    Rate,
}

/// A trigger's `metricQuery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// How series become one value.
    pub aggregation: Aggregation,
    /// The metric's name, as the store has it.
    pub metric: String,
    /// What a series' labels must be, where it has them.
    pub labels: Labels,
}

/// A trigger of type `kedify-otel`, or `external` with the same metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// `metricQuery`.
    pub query: Query,
    /// `targetValue`.
    pub target: f64,
    /// `operationOverTime`.
    pub over_time: OverTime,
    /// `clampMin`.
    pub clamp_min: Option<f64>,
    /// `clampMax`.
    pub clamp_max: Option<f64>,
}

/// Why the scaler cannot answer for a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A query outside of the grammar.
    #[error(
        "unable to parse metric query: {query}; write `op(name{{key=value}})` with one of sum, avg, min, max, count"
    )]
    Query {
        /// The query.
        query: String,
    },
    /// Metadata that is missing or no number.
    #[error("`{key}` of the trigger must be {expected}, not `{found}`")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A metric of which no sample ever arrived.
    #[error("no metric `{metric}` arrived yet; check the collector's exporter and the metric's name")]
    NotFound {
        /// The name.
        metric: String,
    },
}

impl Store {
    /// An empty memory.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            metrics: BTreeMap::new(),
        }
    }

    /// Takes in one sample of a gauge or counter.
    pub fn put(&mut self, metric: &str, labels: &Labels, value: f64, now: Timestamp) {
        let second = now.as_second();
        let oldest = second - self.settings.retention.as_secs();
        let sample = Sample { second, value };
        let all = self.metrics.entry(stored_name(metric)).or_default();
        if let Some(series) = all.iter_mut().find(|series| series.labels == *labels) {
            series.samples.retain(|sample| sample.second >= oldest);
            series.samples.push_back(sample);
        } else {
            all.push(Series {
                labels: labels.clone(),
                samples: VecDeque::from([sample]),
            });
        }
    }

    /// Takes in a histogram: all that is kept of it are its count and its sum.
    pub fn put_histogram(&mut self, metric: &str, labels: &Labels, count: f64, sum: f64, now: Timestamp) {
        self.put(&format!("{metric}_count"), labels, count, now);
        self.put(&format!("{metric}_sum"), labels, sum, now);
    }

    /// A query's value; nothing when no sample of its metric ever arrived.
    pub fn query(&self, query: &Query, over_time: OverTime, now: Timestamp) -> Option<f64> {
        let oldest = now.as_second() - self.settings.retention.as_secs();
        let series = self.metrics.get(&query.metric)?.iter();
        let fresh = series.filter(|series| series.samples.back().is_some_and(|last| last.second >= oldest));
        let values = fresh
            .filter(|series| matches(&query.labels, &series.labels))
            .map(|series| value(series, over_time));
        Some(aggregate(&values.collect::<Vec<_>>(), query.aggregation))
    }

    /// What the scaler answers for a trigger.
    pub fn value(&self, trigger: &Trigger, now: Timestamp) -> Result<f64, Refusal> {
        let value = match self.query(&trigger.query, trigger.over_time, now) {
            Some(value) => value,
            None if self.settings.error_if_not_found => {
                let metric = trigger.query.metric.clone();
                return Err(Refusal::NotFound { metric });
            }
            None => self.settings.value_if_not_found,
        };
        let value = trigger.clamp_min.map_or(value, |least| value.max(least));
        Ok(trigger.clamp_max.map_or(value, |most| value.min(most)))
    }

    /// Whether the scaler calls a trigger active: any value above zero, after clamping.
    pub fn is_active(&self, trigger: &Trigger, now: Timestamp) -> Result<bool, Refusal> {
        Ok(self.value(trigger, now)? > 0.0)
    }
}

impl Trigger {
    /// Reads the metadata of a trigger.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let query = metadata.get("metricQuery").map_or("", String::as_str);
        let operation = metadata.get("operationOverTime").map_or("last_one", String::as_str);
        let target = number(metadata, "targetValue")?.ok_or_else(|| Refusal::Metadata {
            key: "targetValue",
            expected: "a number",
            found: String::new(),
        })?;
        Ok(Self {
            query: Query::parse(query)?,
            target,
            over_time: over_time(operation)?,
            clamp_min: number(metadata, "clampMin")?,
            clamp_max: number(metadata, "clampMax")?,
        })
    }
}

impl Query {
    /// Reads `op(name{key=value,..})`, where both the operation and the labels may be left out.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::Query { query: text.to_owned() };
        let mut rest = text.trim();
        let mut aggregation = Aggregation::default();
        for (name, operation) in AGGREGATIONS {
            let inside = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix('('));
            if let Some(inside) = inside.and_then(|inside| inside.strip_suffix(')')) {
                (aggregation, rest) = (operation, inside.trim());
                break;
            }
        }
        let (name, labels) = match (rest.find('{'), rest.rfind('}')) {
            (None, None) => (rest, Labels::new()),
            (Some(open), Some(close)) if open < close && close + 1 == rest.len() => {
                (&rest[..open], selector(&rest[open + 1..close]).ok_or_else(refused)?)
            }
            _ => return Err(refused()),
        };
        // Arithmetic, ranges and nested calls are not in the grammar.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "()[]+*=\"".contains(c)) {
            return Err(refused());
        }
        Ok(Self {
            aggregation,
            metric: stored_name(name),
            labels,
        })
    }
}

const AGGREGATIONS: [(&str, Aggregation); 5] = [
    ("sum", Aggregation::Sum),
    ("avg", Aggregation::Average),
    ("min", Aggregation::Minimum),
    ("max", Aggregation::Maximum),
    ("count", Aggregation::Count),
];

fn selector(text: &str) -> Option<Labels> {
    let pairs = text.split(',').map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (!value.contains('=')).then(|| (key.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

fn over_time(name: &str) -> Result<OverTime, Refusal> {
    Ok(match name {
        "last_one" => OverTime::LastOne,
        "min" => OverTime::Minimum,
        "max" => OverTime::Maximum,
        "avg" => OverTime::Average,
        "count" => OverTime::Count,
        "rate" => OverTime::Rate,
        other => {
            return Err(Refusal::Metadata {
                key: "operationOverTime",
                expected: "one of last_one, min, max, avg, count, rate",
                found: other.to_owned(),
            });
        }
    })
}

fn number(metadata: &BTreeMap<String, String>, key: &'static str) -> Result<Option<f64>, Refusal> {
    let Some(text) = metadata.get(key) else { return Ok(None) };
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Some).ok_or_else(|| Refusal::Metadata {
        key,
        expected: "a number",
        found: text.clone(),
    })
}

/// The store writes `_` for what some exporters write as `/` or `.`; a colon stays.
fn stored_name(metric: &str) -> String {
    metric.replace(['/', '.'], "_")
}

/// A label that a series does not have excludes nothing.
fn matches(wanted: &Labels, labels: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key).is_none_or(|found| found == value))
}

fn value(series: &Series, over_time: OverTime) -> f64 {
    let samples: Vec<f64> = series.samples.iter().map(|sample| sample.value).collect();
    match over_time {
        OverTime::LastOne => samples.last().copied().unwrap_or(0.0),
        OverTime::Minimum => aggregate(&samples, Aggregation::Minimum),
        OverTime::Maximum => aggregate(&samples, Aggregation::Maximum),
        OverTime::Average => aggregate(&samples, Aggregation::Average),
        OverTime::Count => aggregate(&samples, Aggregation::Count),
        OverTime::Rate => rate(series),
    }
}

/// The increase over everything that is kept, for each second. A value below the one before is a counter that began
/// again at zero.
fn rate(series: &Series) -> f64 {
    let (Some(first), Some(last)) = (series.samples.front(), series.samples.back()) else {
        return 0.0;
    };
    let steps = series.samples.iter().zip(series.samples.iter().skip(1));
    let increase: f64 = steps
        .map(|(from, to)| {
            if to.value < from.value {
                to.value
            } else {
                to.value - from.value
            }
        })
        .sum();
    if last.second == first.second {
        return 0.0;
    }
    increase / float(last.second - first.second)
}

fn aggregate(values: &[f64], aggregation: Aggregation) -> f64 {
    let count = float(i64::try_from(values.len()).unwrap_or(i64::MAX));
    // Nothing that matches is 0, whatever the operation.
    if values.is_empty() {
        return 0.0;
    }
    match aggregation {
        Aggregation::Sum => values.iter().sum(),
        Aggregation::Average => values.iter().sum::<f64>() / count,
        Aggregation::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
        Aggregation::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Aggregation::Count => count,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds of a show")]
fn float(value: i64) -> f64 {
    value as f64
}
