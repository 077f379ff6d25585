//! How much was served: an independent count to hold the load's and the model's counts against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Counts of requests and of completions, by how they ended.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, Ending), u64>,
    completions: BTreeMap<(Source, Outcome), u64>,
}

/// How a request to the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Status(u16),
    Aborted,
}

/// Who wanted a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Proxy,
    Question,
}

/// How a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Answered,
    Failed,
    TimedOut,
    Aborted,
}

/// A request that is being served; dropped before its end, it counts as aborted.
pub(crate) struct Serving<'counters> {
    counters: &'counters Counters,
    route: &'static str,
    ending: Ending,
}

/// A completion that is under way; dropped before its end, it counts as aborted.
pub(crate) struct Completing<'counters> {
    counters: &'counters Counters,
    source: Source,
    outcome: Outcome,
}

impl Counters {
    pub(crate) fn serve(&self, route: &'static str) -> Serving<'_> {
        Serving {
            counters: self,
            route,
            ending: Ending::Aborted,
        }
    }

    pub(crate) fn complete(&self, source: Source) -> Completing<'_> {
        Completing {
            counters: self,
            source,
            outcome: Outcome::Aborted,
        }
    }

    /// The counts as Prometheus reads them.
    pub(crate) fn to_prometheus(&self) -> String {
        let counts = self.counts();
        let mut text = String::new();
        family(
            &mut text,
            "gateway_requests_total",
            "Requests by route and how they ended.",
        );
        for ((route, ending), count) in &counts.requests {
            let ending = match ending {
                Ending::Status(status) => status.to_string(),
                Ending::Aborted => "aborted".to_owned(),
            };
            line(
                &mut text,
                format_args!("gateway_requests_total{{route=\"{route}\",status=\"{ending}\"}} {count}"),
            );
        }
        family(
            &mut text,
            "gateway_completions_total",
            "Requests to the model by who asked and how they ended.",
        );
        for ((source, outcome), count) in &counts.completions {
            let (source, outcome) = (source.name(), outcome.name());
            line(
                &mut text,
                format_args!("gateway_completions_total{{source=\"{source}\",outcome=\"{outcome}\"}} {count}"),
            );
        }
        text
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic elsewhere cannot leave a count half written.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving<'_> {
    pub(crate) fn end(mut self, status: http::StatusCode) {
        self.ending = Ending::Status(status.as_u16());
    }
}

impl Completing<'_> {
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        *self
            .counters
            .counts()
            .requests
            .entry((self.route, self.ending))
            .or_default() += 1;
    }
}

impl Drop for Completing<'_> {
    fn drop(&mut self) {
        *self
            .counters
            .counts()
            .completions
            .entry((self.source, self.outcome))
            .or_default() += 1;
    }
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Question => "question",
        }
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Aborted => "aborted",
        }
    }
}

fn family(text: &mut String, name: &str, about: &str) {
    line(text, format_args!("# HELP {name} {about}"));
    line(text, format_args!("# TYPE {name} counter"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
