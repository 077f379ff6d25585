//! The decision of the `HorizontalPodAutoscaler`, one sync at a time.
//!
//! [`sync`] is one pass of the real controller over one object: it reads a spec, the target's scale and what the
//! metrics answered, and decides a size, conditions and events. What it remembers between passes (recommendations,
//! rescales, the status) is in [`State`]. It never reads a metric or changes a scale: the caller does both.

mod proposal;
mod rules;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

pub use proposal::Failure;
pub use proposal::Pod;
pub use proposal::PodReadiness;
pub use proposal::Reading;
pub use proposal::Sample;

use proposal::Proposal;

/// A quantity in thousandths, as the controller computes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Milli(pub i64);

impl Milli {
    /// A whole number.
    pub fn whole(value: i64) -> Self {
        Self(value.saturating_mul(1000))
    }
}

impl std::fmt::Display for Milli {
    /// As Kubernetes writes the quantity: `25`, `23556m`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 % 1000 == 0 {
            return write!(f, "{}", self.0 / 1000);
        }
        write!(f, "{}m", self.0)
    }
}

/// The flags of the controller manager that the autoscaler reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How often each object is synced.
    pub sync_period: SignedDuration,
    /// How far a ratio may be from 1 without a rescale.
    pub tolerance: f64,
    /// How long a recommendation holds a scale-in back, unless the object says otherwise.
    pub downscale_stabilization: SignedDuration,
    /// How long after its start a pod's CPU is only counted while it is ready.
    pub cpu_initialization_period: SignedDuration,
    /// How soon after its start a pod must have been ready to count as having been ready at all.
    pub initial_readiness_delay: SignedDuration,
}

impl Default for Settings {
    /// The defaults of kube-controller-manager, which EKS does not let anybody change.
    fn default() -> Self {
        Self {
            sync_period: SignedDuration::from_secs(15),
            tolerance: 0.1,
            downscale_stabilization: SignedDuration::from_mins(5),
            cpu_initialization_period: SignedDuration::from_mins(5),
            initial_readiness_delay: SignedDuration::from_secs(30),
        }
    }
}

/// What a `HorizontalPodAutoscaler` asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// `minReplicas`, 1 when it is not given.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// `metrics`.
    pub metrics: Vec<Metric>,
    /// `behavior`; without one the controller takes another path, with other limits.
    pub behavior: Option<Behavior>,
}

/// One metric of a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// A metric of `external.metrics.k8s.io`.
    External {
        /// Its name.
        name: String,
        /// Its selector, as events print it.
        selector: String,
        /// What it is held to.
        target: ExternalTarget,
    },
    /// A resource of the target's pods.
    Resource {
        /// `cpu` or `memory`.
        name: String,
        /// What it is held to.
        target: ResourceTarget,
    },
}

/// What an external metric is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExternalTarget {
    /// The metric divided by the replicas.
    AverageValue(Milli),
    /// The metric itself, scaled by the ready pods.
    Value(Milli),
}

/// What a resource metric is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceTarget {
    /// A percentage of what the pods request.
    Utilization(i32),
    /// An amount for each pod.
    AverageValue(Milli),
}

/// `behavior` of a spec. A side that is not given has the defaults of that side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Behavior {
    /// `scaleUp`.
    pub scale_up: Option<Rules>,
    /// `scaleDown`.
    pub scale_down: Option<Rules>,
}

/// The rules of one direction. What is not given has the default of that direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// `stabilizationWindowSeconds`.
    pub stabilization_window: Option<SignedDuration>,
    /// `selectPolicy`.
    pub select: Option<Select>,
    /// `policies`.
    pub policies: Option<Vec<Policy>>,
    /// `tolerance`.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Select {
    /// The policy that allows the largest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// How much may change in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The amount.
    pub limit: Limit,
    /// `periodSeconds`.
    pub period: SignedDuration,
}

/// The amount a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// So many pods.
    Pods(i32),
    /// So many percent of the replicas at the start of the period.
    Percent(i32),
}

/// What the target's scale subresource answers, and how many of its pods are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// `spec.replicas`.
    pub spec: i32,
    /// `status.replicas`: pods that exist, whether or not they run.
    pub status: i32,
    /// Pods that are ready; only a target of type `Value` looks at them.
    pub ready: i32,
}

/// What the controller remembers of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    recommendations: Vec<Recommendation>,
    scale_ups: Vec<Change>,
    scale_downs: Vec<Change>,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Recommendation {
    at: Timestamp,
    replicas: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Change {
    at: Timestamp,
    replicas: i32,
}

/// The status the controller writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `currentReplicas`.
    pub current_replicas: i32,
    /// `desiredReplicas`.
    pub desired_replicas: i32,
    /// `lastScaleTime`.
    pub last_scale: Option<Timestamp>,
    /// `currentMetrics`: nothing for a metric that could not be read.
    pub metrics: Vec<Option<Current>>,
    /// The condition `AbleToScale`.
    pub able: Option<Condition>,
    /// The condition `ScalingActive`.
    pub active: Option<Condition>,
    /// The condition `ScalingLimited`.
    pub limited: Option<Condition>,
}

/// The value of a metric as a status shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Current {
    /// Divided by the replicas.
    AverageValue(Milli),
    /// As it was read.
    Value(Milli),
    /// The percentage of what the pods request, and the amount for each pod.
    Utilization(i32, Milli),
}

/// One condition of a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether it holds; nothing when that is unknown.
    pub holds: Option<bool>,
    /// The reason, in the controller's word.
    pub reason: String,
    /// The message.
    pub message: String,
    /// When it last began or ceased to hold.
    pub since: Timestamp,
}

/// An event the controller records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whether its type is `Warning`.
    pub warning: bool,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// What one sync decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The size to write to the target's scale; nothing when it stays.
    pub rescale: Option<i32>,
    /// The events to record.
    pub events: Vec<Event>,
}

/// Whether a sync of this scale looks at the metrics at all.
pub fn reads_metrics(spec: &Spec, scale: &Scale) -> bool {
    (spec.min..=spec.max).contains(&scale.spec)
}

impl State {
    /// The status after the last sync.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

/// One sync of the controller. `readings` answer `spec.metrics`, in the same order.
pub fn sync(
    state: &mut State,
    settings: &Settings,
    spec: &Spec,
    scale: &Scale,
    readings: &[Reading],
    now: Timestamp,
) -> Decision {
    let mut pass = Pass {
        state,
        settings,
        spec,
        scale,
        now,
        events: Vec::new(),
    };
    let rescale = pass.run(readings);
    Decision {
        rescale,
        events: pass.events,
    }
}

/// A sync whose target could not be found.
pub fn sync_without_scale(state: &mut State, error: &str, now: Timestamp) -> Decision {
    let message = format!("the HPA controller was unable to get the target's current scale: {error}");
    set(&mut state.status.able, false, "FailedGetScale", &message, now);
    Decision {
        rescale: None,
        events: vec![warning("FailedGetScale", error)],
    }
}

struct Pass<'a> {
    state: &'a mut State,
    settings: &'a Settings,
    spec: &'a Spec,
    scale: &'a Scale,
    now: Timestamp,
    events: Vec<Event>,
}

impl Pass<'_> {
    fn run(&mut self, readings: &[Reading]) -> Option<i32> {
        let current = self.scale.spec;
        self.able(
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        if self.state.recommendations.is_empty() {
            self.recommend(current);
        }
        let (desired, reason) = if current == 0 && self.spec.min != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            set(
                &mut self.state.status.active,
                false,
                "ScalingDisabled",
                message,
                self.now,
            );
            self.finish(current, Vec::new());
            return None;
        } else if current > self.spec.max {
            self.state.status.metrics.clear();
            (
                self.spec.max,
                "Current number of replicas above Spec.MaxReplicas".to_owned(),
            )
        } else if current < self.spec.min {
            self.state.status.metrics.clear();
            (
                self.spec.min,
                "Current number of replicas below Spec.MinReplicas".to_owned(),
            )
        } else {
            self.by_metrics(readings)?
        };
        let metrics = std::mem::take(&mut self.state.status.metrics);
        self.finish(desired, metrics);
        if desired == current {
            return None;
        }
        let message = format!("the HPA controller was able to update the target scale to {desired}");
        self.able("SucceededRescale", &message);
        self.events.push(Event {
            warning: false,
            reason: "SuccessfulRescale".into(),
            message: format!("New size: {desired}; reason: {reason}"),
        });
        self.state.status.last_scale = Some(self.now);
        self.remember(current, desired);
        Some(desired)
    }

    /// What the metrics ask for within the spec's limits, and why; nothing when they cannot say.
    fn by_metrics(&mut self, readings: &[Reading]) -> Option<(i32, String)> {
        let (proposed, metric) = self.propose(readings)?;
        let current = self.scale.spec;
        let reason = match proposed.cmp(&current) {
            std::cmp::Ordering::Greater => format!("{metric} above target"),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal => String::new(),
        };
        let desired = match &self.spec.behavior {
            Some(behavior) => self.within_behavior(&rules::filled(behavior, self.settings), proposed),
            None => self.within_defaults(proposed),
        };
        Some((desired, reason))
    }

    /// The largest proposal of the metrics and the name of its metric. Metrics that fail are passed over, unless all
    /// do or the others ask for fewer replicas: then everything stays.
    fn propose(&mut self, readings: &[Reading]) -> Option<(i32, String)> {
        let mut best: Option<(i32, String)> = None;
        let mut failures: Vec<(&'static str, String)> = Vec::new();
        let mut metrics = Vec::new();
        for (index, metric) in self.spec.metrics.iter().enumerate() {
            match proposal::propose(
                metric,
                readings.get(index),
                self.scale,
                self.settings,
                self.tolerances(),
                self.now,
            ) {
                Ok(Proposal {
                    replicas,
                    current,
                    name,
                }) => {
                    metrics.push(Some(current));
                    if best.as_ref().is_none_or(|(most, _)| *most == 0 || replicas > *most) {
                        best = Some((replicas, name));
                    }
                }
                Err(proposal::Refused { reason, error }) => {
                    metrics.push(None);
                    self.events.push(warning(reason, &error));
                    failures.push((reason, error));
                }
            }
        }
        self.state.status.metrics = metrics;
        let shrinks = best.as_ref().is_none_or(|(replicas, _)| *replicas < self.scale.spec);
        if let Some((reason, error)) = failures.first().filter(|_| shrinks) {
            let message = format!("the HPA was unable to compute the replica count: {error}");
            set(&mut self.state.status.active, false, reason, &message, self.now);
            let (failed, all) = (failures.len(), self.spec.metrics.len());
            let error = format!("invalid metrics ({failed} invalid out of {all}), first error is: {error}");
            self.events.push(warning("FailedComputeMetricsReplicas", &error));
            self.state.status.current_replicas = self.scale.spec;
            return None;
        }
        let (replicas, name) = best?;
        let message = format!("the HPA was able to successfully calculate a replica count from {name}");
        set(
            &mut self.state.status.active,
            true,
            "ValidMetricFound",
            &message,
            self.now,
        );
        Some((replicas, name))
    }

    fn tolerances(&self) -> proposal::Tolerances {
        let given = |rules: Option<&Rules>| {
            rules
                .and_then(|rules| rules.tolerance)
                .unwrap_or(self.settings.tolerance)
        };
        let behavior = self.spec.behavior.as_ref();
        proposal::Tolerances {
            up: given(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
            down: given(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
        }
    }

    fn finish(&mut self, desired: i32, metrics: Vec<Option<Current>>) {
        self.state.status.current_replicas = self.scale.spec;
        self.state.status.desired_replicas = desired;
        self.state.status.metrics = metrics;
    }

    fn recommend(&mut self, replicas: i32) {
        let at = self.now;
        self.state.recommendations.push(Recommendation { at, replicas });
    }

    fn able(&mut self, reason: &str, message: &str) {
        set(&mut self.state.status.able, true, reason, message, self.now);
    }

    fn limited(&mut self, holds: bool, reason: &str, message: &str) {
        set(&mut self.state.status.limited, holds, reason, message, self.now);
    }
}

/// Sets a condition; its time stays while it keeps holding, or not holding.
pub(super) fn set(
    condition: &mut Option<Condition>,
    holds: impl Into<Option<bool>>,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let holds = holds.into();
    let since = match condition {
        Some(before) if before.holds == holds => before.since,
        _ => now,
    };
    *condition = Some(Condition {
        holds,
        reason: reason.to_owned(),
        message: message.to_owned(),
        since,
    });
}

fn warning(reason: &str, message: &str) -> Event {
    Event {
        warning: true,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}
