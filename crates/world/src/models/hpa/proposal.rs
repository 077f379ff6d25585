//! What one metric asks for.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::Current;
use super::ExternalTarget;
use super::Metric;
use super::Milli;
use super::ResourceTarget;
use super::Scale;
use super::Settings;

/// What reading one metric gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// The sum of an external metric's values.
    External(Milli),
    /// The pods of the target, each with its use of the resource.
    Pods(Vec<Pod>),
    /// No answer.
    Failed(Failure),
}

/// Why a metric could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the metrics API said.
    pub message: String,
}

/// A pod as a resource metric looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Whether it is being deleted or has failed: then it does not count at all.
    pub ended: bool,
    /// Whether its phase is still `Pending`.
    pub pending: bool,
    /// When it started; nothing before its kubelet has said so.
    pub started: Option<Timestamp>,
    /// Its `Ready` condition.
    pub readiness: Option<PodReadiness>,
    /// What its containers request of the resource.
    pub request: Milli,
    /// What it uses; nothing when there is no sample of it.
    pub sample: Option<Sample>,
}

/// A pod's `Ready` condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodReadiness {
    /// Whether it is ready.
    pub ready: bool,
    /// `lastTransitionTime`.
    pub since: Timestamp,
}

/// What a pod used of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The amount.
    pub usage: Milli,
    /// When the sample was taken.
    pub at: Timestamp,
    /// The time it covers.
    pub window: SignedDuration,
}

/// What one metric asks for.
pub(super) struct Proposal {
    pub(super) replicas: i32,
    pub(super) current: Current,
    pub(super) name: String,
}

pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) error: String,
}

#[derive(Clone, Copy)]
pub(super) struct Tolerances {
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Tolerances {
    fn cover(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

pub(super) fn propose(
    metric: &Metric,
    reading: Option<&Reading>,
    scale: &Scale,
    settings: &Settings,
    tolerances: Tolerances,
    now: Timestamp,
) -> Result<Proposal, Refused> {
    match metric {
        Metric::External { name, selector, target } => {
            let usage = match reading {
                Some(Reading::External(usage)) => *usage,
                other => return Err(no_external(name, *target, &why(other))),
            };
            let (replicas, current) = external(usage, *target, scale, tolerances);
            let name = format!("external metric {name}({selector})");
            Ok(Proposal {
                replicas,
                current,
                name,
            })
        }
        Metric::Resource { name, target } => {
            let refused = |error: String| Refused {
                reason: "FailedGetResourceMetric",
                error: format!("failed to get {name} utilization: {error}"),
            };
            let pods = match reading {
                Some(Reading::Pods(pods)) => pods,
                other => return Err(refused(why(other))),
            };
            let groups = Groups::of(pods, name == "cpu", settings, now);
            let (replicas, current) = resource(&groups, *target, scale, tolerances).map_err(refused)?;
            let name = match target {
                ResourceTarget::Utilization(_) => format!("{name} resource utilization (percentage of request)"),
                ResourceTarget::AverageValue(_) => format!("{name} resource"),
            };
            Ok(Proposal {
                replicas,
                current,
                name,
            })
        }
    }
}

fn why(reading: Option<&Reading>) -> String {
    match reading {
        Some(Reading::Failed(failure)) => failure.message.clone(),
        _ => "no metrics returned from the metrics API".to_owned(),
    }
}

fn no_external(name: &str, target: ExternalTarget, error: &str) -> Refused {
    let error = match target {
        ExternalTarget::AverageValue(_) => format!("failed to get {name} external metric: {error}"),
        ExternalTarget::Value(_) => format!("failed to get external metric {name}: {error}"),
    };
    Refused {
        reason: "FailedGetExternalMetric",
        error,
    }
}

fn external(usage: Milli, target: ExternalTarget, scale: &Scale, tolerances: Tolerances) -> (i32, Current) {
    match target {
        ExternalTarget::AverageValue(target) => {
            let ratio = float(usage.0) / (float(target.0) * f64::from(scale.status));
            let replicas = if tolerances.cover(ratio) {
                scale.status
            } else {
                ceiling(float(usage.0) / float(target.0))
            };
            let average = (float(usage.0) / f64::from(scale.status)).ceil();
            (replicas, Current::AverageValue(Milli(truncated(average))))
        }
        ExternalTarget::Value(target) => {
            let ratio = float(usage.0) / float(target.0);
            let replicas = if scale.spec == 0 {
                ceiling(ratio)
            } else if tolerances.cover(ratio) {
                scale.spec
            } else {
                ceiling(ratio * f64::from(scale.ready))
            };
            (replicas, Current::Value(usage))
        }
    }
}

/// The target's pods as the controller sorts them. Each pod counted has a use and a request.
struct Groups {
    /// Ready and sampled.
    ready: Vec<Counted>,
    /// Too young or not ready: their samples do not count.
    unready: Vec<Milli>,
    /// Without a sample.
    missing: Vec<Milli>,
}

#[derive(Clone, Copy)]
struct Counted {
    usage: i64,
    request: i64,
}

impl Groups {
    fn of(pods: &[Pod], cpu: bool, settings: &Settings, now: Timestamp) -> Self {
        let mut groups = Self {
            ready: Vec::new(),
            unready: Vec::new(),
            missing: Vec::new(),
        };
        for pod in pods.iter().filter(|pod| !pod.ended) {
            match pod.sample {
                _ if pod.pending => groups.unready.push(pod.request),
                None => groups.missing.push(pod.request),
                Some(sample) if cpu && !counts(pod, &sample, settings, now) => groups.unready.push(pod.request),
                Some(sample) => groups.ready.push(Counted {
                    usage: sample.usage.0,
                    request: pod.request.0,
                }),
            }
        }
        groups
    }
}

/// Whether a CPU sample says something about the load, and not about the start of the pod.
fn counts(pod: &Pod, sample: &Sample, settings: &Settings, now: Timestamp) -> bool {
    let (Some(started), Some(readiness)) = (pod.started, pod.readiness) else {
        return false;
    };
    if started + settings.cpu_initialization_period > now {
        return readiness.ready && sample.at >= readiness.since + sample.window;
    }
    readiness.ready || started + settings.initial_readiness_delay <= readiness.since
}

fn resource(
    groups: &Groups,
    target: ResourceTarget,
    scale: &Scale,
    tolerances: Tolerances,
) -> Result<(i32, Current), String> {
    let (ratio, current) = ratio(&groups.ready, target)?;
    let grows_with_unready = ratio > 1.0 && !groups.unready.is_empty();
    if !grows_with_unready && groups.missing.is_empty() {
        let replicas = if tolerances.cover(ratio) {
            scale.spec
        } else {
            ceiling(ratio * count(groups.ready.len()))
        };
        return Ok((replicas, current));
    }
    let mut counted = groups.ready.clone();
    if ratio < 1.0 {
        counted.extend(groups.missing.iter().map(|request| busy(*request, target)));
    } else if ratio > 1.0 {
        counted.extend(groups.missing.iter().map(|request| idle(*request)));
    }
    if grows_with_unready {
        counted.extend(groups.unready.iter().map(|request| idle(*request)));
    }
    let (cautious, _) = self::ratio(&counted, target)?;
    let flipped = (ratio < 1.0 && cautious > 1.0) || (ratio > 1.0 && cautious < 1.0);
    if tolerances.cover(cautious) || flipped {
        return Ok((scale.spec, current));
    }
    let replicas = ceiling(cautious * count(counted.len()));
    let backwards = (cautious < 1.0 && replicas > scale.spec) || (cautious > 1.0 && replicas < scale.spec);
    Ok((if backwards { scale.spec } else { replicas }, current))
}

/// A pod without a sample, when the others say that fewer would do: it is taken to use all it asked for.
fn busy(request: Milli, target: ResourceTarget) -> Counted {
    let usage = match target {
        ResourceTarget::Utilization(percent) => request.0 * i64::from(percent.max(100)) / 100,
        ResourceTarget::AverageValue(target) => target.0,
    };
    Counted {
        usage,
        request: request.0,
    }
}

fn idle(request: Milli) -> Counted {
    Counted {
        usage: 0,
        request: request.0,
    }
}

fn ratio(counted: &[Counted], target: ResourceTarget) -> Result<(f64, Current), String> {
    if counted.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let usage: i64 = counted.iter().map(|pod| pod.usage).sum();
    let pods = i64::try_from(counted.len()).unwrap_or(i64::MAX);
    match target {
        ResourceTarget::Utilization(percent) => {
            let requests: i64 = counted.iter().map(|pod| pod.request).sum();
            if requests == 0 {
                return Err("missing request for the resource in the target's containers".to_owned());
            }
            let utilization = usage * 100 / requests;
            let shown = i32::try_from(utilization).unwrap_or(i32::MAX);
            Ok((
                float(utilization) / f64::from(percent),
                Current::Utilization(shown, Milli(usage / pods)),
            ))
        }
        ResourceTarget::AverageValue(target) => {
            let average = usage / pods;
            Ok((float(average) / float(target.0), Current::AverageValue(Milli(average))))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the controller computes ratios in float64")]
fn float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "no target has 2^52 pods")]
fn count(pods: usize) -> f64 {
    pods as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond the largest count, the largest count"
)]
fn ceiling(value: f64) -> i32 {
    value.ceil() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond the largest quantity, the largest quantity"
)]
fn truncated(value: f64) -> i64 {
    value as i64
}
