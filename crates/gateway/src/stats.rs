//! What the phones show of the cluster: the last figures that were observed, and how old they are.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// Figures older than this are shown as old.
const FRESH: Duration = Duration::from_secs(15);

/// What the cluster is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests that wait for a slot on a model server.
    pub queue: u64,
    /// Requests that are being answered.
    pub running: u64,
    /// Model servers that the autoscaler wants.
    pub pods_desired: u32,
    /// Model servers that answer.
    pub pods_ready: u32,
    /// The most model servers there may be.
    pub pods_max: u32,
}

/// Figures with the moment at which they were observed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub(crate) stats: Stats,
    pub(crate) at: Timestamp,
}

/// What is sent to the phones.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsReply {
    known: bool,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    questions: usize,
}

impl StatsReply {
    pub(crate) fn new(observed: Option<Observed>, age: impl FnOnce(Timestamp) -> Duration, questions: usize) -> Self {
        let age = observed.map(|observed| age(observed.at));
        Self {
            known: observed.is_some(),
            stale: age.is_some_and(|age| age > FRESH),
            age_seconds: age.map(|age| age.as_secs()),
            stats: observed.map(|observed| observed.stats),
            questions,
        }
    }
}
