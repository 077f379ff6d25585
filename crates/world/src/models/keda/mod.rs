//! KEDA's operator and metrics adapter, for one `ScaledObject`.
//!
//! [`autoscaler`] is the `HorizontalPodAutoscaler` KEDA makes, [`poll`] one pass of the operator's scale loop (from
//! zero and back, cooldown, idle), [`serve`] what the adapter answers when that autoscaler reads its metrics
//! (formula, fallback). It never reads a trigger or changes a scale: the caller does both.

mod metrics;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use tubectl_formula::Formula;

use crate::models::hpa;
use crate::models::hpa::Condition;
use crate::models::hpa::Event;
use crate::models::hpa::Milli;
use crate::models::hpa::set;

pub use metrics::serve;

/// The name of the metric that a formula makes.
pub const COMPOSITE_METRIC: &str = "composite-metric";

const PAUSED: &str = "autoscaling.keda.sh/paused";
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";
const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";
const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";
const NAME_LABEL: &str = "scaledobject.keda.sh/name";

/// What a `ScaledObject` asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaledObject {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
    /// The kind and name of its target, as events print them: `apps/v1.Deployment default/vllm`.
    pub target: String,
    /// `minReplicaCount`.
    pub min: i32,
    /// `maxReplicaCount`.
    pub max: i32,
    /// `idleReplicaCount`.
    pub idle: Option<i32>,
    /// `pollingInterval`.
    pub polling_interval: SignedDuration,
    /// `cooldownPeriod`.
    pub cooldown: SignedDuration,
    /// `initialCooldownPeriod`.
    pub initial_cooldown: SignedDuration,
    /// `triggers`.
    pub triggers: Vec<Trigger>,
    /// `advanced.scalingModifiers`.
    pub modifiers: Option<Modifiers>,
    /// `fallback`.
    pub fallback: Option<Fallback>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`.
    pub behavior: Option<hpa::Behavior>,
    /// `advanced.horizontalPodAutoscalerConfig.name`.
    pub autoscaler_name: Option<String>,
}

impl ScaledObject {
    /// A `ScaledObject` with KEDA's defaults for everything but its name and triggers.
    pub fn new(namespace: &str, name: &str, target: &str, triggers: Vec<Trigger>, created: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            annotations: BTreeMap::new(),
            created,
            target: target.to_owned(),
            min: 0,
            max: 100,
            idle: None,
            polling_interval: SignedDuration::from_secs(30),
            cooldown: SignedDuration::from_secs(300),
            initial_cooldown: SignedDuration::ZERO,
            triggers,
            modifiers: None,
            fallback: None,
            behavior: None,
            autoscaler_name: None,
        }
    }
}

/// One trigger of a `ScaledObject`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// `name`: how a formula calls it.
    pub name: Option<String>,
    /// What it is about.
    pub source: Source,
}

/// What a trigger is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// A scaler's metric.
    External {
        /// The name the scaler gives the metric, without KEDA's index before it.
        metric: String,
        /// What it is held to.
        target: f64,
        /// `metricType`.
        kind: MetricKind,
    },
    /// The pods' own CPU or memory: the autoscaler reads it without KEDA.
    Resource {
        /// `cpu` or `memory`.
        name: String,
        /// What it is held to.
        target: hpa::ResourceTarget,
    },
}

/// `metricType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricKind {
    /// The metric divided by the replicas.
    #[default]
    AverageValue,
    /// The metric itself.
    Value,
}

/// `advanced.scalingModifiers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modifiers {
    /// The formula over the triggers' names.
    pub formula: String,
    /// What its value is held to.
    pub target: f64,
    /// The value above which the target is active.
    pub activation_target: f64,
    /// `metricType`.
    pub kind: MetricKind,
}

/// `fallback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// How many reads may fail in a row before the fallback holds.
    pub failure_threshold: u32,
    /// The replicas to fall back to.
    pub replicas: i32,
    /// `behavior`.
    pub behavior: FallbackBehavior,
}

/// `fallback.behavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FallbackBehavior {
    /// The fallback's replicas.
    #[default]
    Static,
    /// The replicas there are.
    CurrentReplicas,
    /// The larger of both.
    CurrentReplicasIfHigher,
    /// The smaller of both.
    CurrentReplicasIfLower,
    /// The formula decides, with nothing (`nil`) for the triggers that fail.
    ScalingModifiers,
}

/// What one trigger's scaler answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TriggerReading {
    /// A value, and whether the scaler calls that activity.
    Value {
        /// The value.
        value: f64,
        /// Whether the trigger is active.
        active: bool,
    },
    /// No answer.
    Failed {
        /// What went wrong.
        message: String,
    },
}

/// The replicas of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// `spec.replicas`.
    pub spec: i32,
    /// Those that are ready.
    pub ready: i32,
}

/// What KEDA remembers of one `ScaledObject`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// `status.lastActiveTime`, in whole seconds, as the API stores it.
    pub last_active: Option<Timestamp>,
    /// `status.health`: failed reads in a row of each metric.
    pub failures: BTreeMap<String, u32>,
    /// The condition `Ready`.
    pub ready: Option<Condition>,
    /// The condition `Active`.
    pub active: Option<Condition>,
    /// The condition `Fallback`.
    pub fallback: Option<Condition>,
    /// The condition `Paused`.
    pub paused: Option<Condition>,
}

/// What one pass of the scale loop decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The size to write to the target's scale; nothing when KEDA leaves it alone.
    pub scale_to: Option<i32>,
    /// The events to record on the `ScaledObject`.
    pub events: Vec<Event>,
}

/// The `HorizontalPodAutoscaler` that KEDA makes, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations: the `ScaledObject`'s.
    pub annotations: BTreeMap<String, String>,
    /// What it asks for.
    pub spec: hpa::Spec,
}

/// One metric as the adapter serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The metric's name in `external.metrics.k8s.io`.
    pub metric: String,
    /// Its value, or what the autoscaler is told instead.
    pub value: Result<Milli, String>,
}

/// Why KEDA's admission webhook refuses a `ScaledObject`.
pub fn problems(object: &ScaledObject) -> Vec<String> {
    let mut problems = Vec::new();
    if object.min > object.max {
        let (min, max) = (object.min, object.max);
        problems.push(format!(
            "MinReplicaCount={min} must be less than or equal to MaxReplicaCount={max}"
        ));
    }
    if let Some(idle) = object.idle.filter(|idle| *idle >= object.min) {
        let min = object.min;
        problems.push(format!(
            "IdleReplicaCount={idle} must be less than MinReplicaCount={min}"
        ));
    }
    let Some(modifiers) = &object.modifiers else {
        return problems;
    };
    let names: Vec<&str> = object
        .triggers
        .iter()
        .filter_map(|trigger| trigger.name.as_deref())
        .collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            problems.push(format!("triggers' names must be unique, `{name}` is not"));
        }
    }
    match Formula::parse(&modifiers.formula) {
        Err(error) => problems.push(format!("formula: {error}")),
        Ok(formula) => problems.extend(formula.check(names).iter().map(|problem| format!("formula: {problem}"))),
    }
    if modifiers.target <= 0.0 {
        problems.push("scalingModifiers: target must be greater than 0".to_owned());
    }
    problems
}

/// The `HorizontalPodAutoscaler` that KEDA makes; none while the `ScaledObject` is paused.
pub fn autoscaler(object: &ScaledObject) -> Option<Autoscaler> {
    if is_paused(object) {
        return None;
    }
    let mut metrics = Vec::new();
    for (index, trigger) in object.triggers.iter().enumerate() {
        match &trigger.source {
            Source::External { .. } if object.modifiers.is_some() => {}
            Source::External { target, kind, .. } => {
                metrics.push(external(object, &metric_name(object, index), *kind, *target));
            }
            Source::Resource { name, target } => metrics.push(hpa::Metric::Resource {
                name: name.clone(),
                target: *target,
            }),
        }
    }
    if let Some(modifiers) = &object.modifiers {
        metrics.push(external(object, COMPOSITE_METRIC, modifiers.kind, modifiers.target));
    }
    let default_name = || format!("keda-hpa-{}", object.name);
    Some(Autoscaler {
        name: object.autoscaler_name.clone().unwrap_or_else(default_name),
        labels: BTreeMap::from([
            ("app.kubernetes.io/managed-by".to_owned(), "keda-operator".to_owned()),
            ("app.kubernetes.io/name".to_owned(), default_name()),
            ("app.kubernetes.io/part-of".to_owned(), object.name.clone()),
            (NAME_LABEL.to_owned(), object.name.clone()),
        ]),
        annotations: object.annotations.clone(),
        spec: hpa::Spec {
            min: object.min.max(1),
            max: object.max,
            metrics,
            behavior: behavior(object),
        },
    })
}

/// One pass of the operator's scale loop. `readings` answer `object.triggers`, in the same order.
pub fn poll(
    state: &mut State,
    object: &ScaledObject,
    replicas: Replicas,
    readings: &[TriggerReading],
    now: Timestamp,
) -> Outcome {
    if is_paused(object) {
        return pause(state, object, replicas, now);
    }
    set(
        &mut state.paused,
        false,
        "ScaledObjectUnpaused",
        "pause annotation removed for ScaledObject",
        now,
    );
    let served = serve(state, object, replicas, readings, now);
    let failed = readings
        .iter()
        .any(|reading| matches!(reading, TriggerReading::Failed { .. }));
    let active = is_active(object, readings, &served, failed) || flag(object, FORCE_ACTIVATION);
    let mut outcome = Outcome::default();
    if active {
        activate(state, object, replicas, failed, now, &mut outcome);
    } else {
        deactivate(state, object, replicas, failed, now, &mut outcome);
    }
    outcome
}

fn external(object: &ScaledObject, name: &str, kind: MetricKind, target: f64) -> hpa::Metric {
    let target = milli(target);
    hpa::Metric::External {
        name: name.to_owned(),
        selector: format!(
            "&LabelSelector{{MatchLabels:map[string]string{{{NAME_LABEL}: {},}},MatchExpressions:[]LabelSelectorRequirement{{}},}}",
            object.name
        ),
        target: match kind {
            MetricKind::AverageValue => hpa::ExternalTarget::AverageValue(target),
            MetricKind::Value => hpa::ExternalTarget::Value(target),
        },
    }
}

fn metric_name(object: &ScaledObject, index: usize) -> String {
    match object.triggers.get(index).map(|trigger| &trigger.source) {
        Some(Source::External { metric, .. }) => format!("s{index}-{metric}"),
        _ => format!("s{index}"),
    }
}

/// The autoscaler's behavior: as given, and a direction that is paused is disabled.
fn behavior(object: &ScaledObject) -> Option<hpa::Behavior> {
    let (keep_in, keep_out) = (flag(object, PAUSED_SCALE_IN), flag(object, PAUSED_SCALE_OUT));
    if !keep_in && !keep_out {
        return object.behavior.clone();
    }
    let mut behavior = object.behavior.clone().unwrap_or_default();
    let disable = |rules: &mut Option<hpa::Rules>| {
        rules.get_or_insert_default().select = Some(hpa::Select::Disabled);
    };
    if keep_in {
        disable(&mut behavior.scale_down);
    }
    if keep_out {
        disable(&mut behavior.scale_up);
    }
    Some(behavior)
}

fn is_active(object: &ScaledObject, readings: &[TriggerReading], served: &[Served], failed: bool) -> bool {
    match &object.modifiers {
        // With a formula one failing trigger makes the whole inactive, unless the formula still has a value.
        Some(modifiers) => served.iter().any(|metric| {
            let covered = matches!(
                object.fallback.map(|fallback| fallback.behavior),
                Some(FallbackBehavior::ScalingModifiers)
            );
            let above = metric
                .value
                .as_ref()
                .is_ok_and(|value| *value > milli(modifiers.activation_target));
            above && (!failed || covered)
        }),
        None => readings
            .iter()
            .any(|reading| matches!(reading, TriggerReading::Value { active: true, .. })),
    }
}

fn activate(
    state: &mut State,
    object: &ScaledObject,
    replicas: Replicas,
    failed: bool,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let from = replicas.spec;
    set(
        &mut state.active,
        true,
        "ScalerActive",
        "Scaling is performed because triggers are active",
        now,
    );
    if from == 0 || (object.idle.is_some() && from < object.min) {
        if flag(object, PAUSED_SCALE_OUT) {
            return;
        }
        let to = object.min.max(1);
        outcome.scale_to = Some(to);
        outcome.events.push(Event {
            warning: false,
            reason: "KEDAScaleTargetActivated".into(),
            message: format!(
                "Scaled {} from {from} to {to}, triggered by {}",
                object.target,
                triggers(object)
            ),
        });
        state.last_active = Some(whole_seconds(now));
    } else if failed {
        let message = "Some triggers defined in ScaledObject are not working correctly";
        set(&mut state.ready, None, "PartialTriggerError", message, now);
        return;
    } else {
        state.last_active = Some(whole_seconds(now));
    }
    be_ready(state, now);
}

fn deactivate(
    state: &mut State,
    object: &ScaledObject,
    replicas: Replicas,
    failed: bool,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let message = "Scaling is not performed because triggers are not active";
    set(&mut state.active, false, "ScalerNotActive", message, now);
    if failed {
        if object.fallback.is_none_or(|fallback| fallback.replicas == 0) {
            let message = "Triggers defined in ScaledObject are not working correctly";
            set(&mut state.ready, false, "TriggerError", message, now);
        }
        return;
    }
    be_ready(state, now);
    let idles = object.idle.is_some_and(|idle| replicas.spec > idle);
    if idles || (replicas.spec > 0 && object.min == 0) {
        let cooled = match state.last_active {
            Some(last) => last + object.cooldown < now,
            None => object.created + object.initial_cooldown < now,
        };
        if !cooled {
            let message = "Scaler cooling down because triggers are not active";
            set(&mut state.active, false, "ScalerCooldown", message, now);
        } else if !flag(object, PAUSED_SCALE_IN) {
            let (from, to) = (replicas.spec, object.idle.unwrap_or(0));
            outcome.scale_to = Some(to);
            outcome.events.push(Event {
                warning: false,
                reason: "KEDAScaleTargetDeactivated".into(),
                message: format!("Deactivated {} from {from} to {to}", object.target),
            });
        }
    } else if replicas.spec < object.min && object.idle.is_none() {
        outcome.scale_to = Some(object.min);
    }
}

fn be_ready(state: &mut State, now: Timestamp) {
    let message = "ScaledObject is defined correctly and is ready for scaling";
    set(&mut state.ready, true, "ScaledObjectReady", message, now);
}

fn pause(state: &mut State, object: &ScaledObject, replicas: Replicas, now: Timestamp) -> Outcome {
    set(
        &mut state.paused,
        true,
        "ScaledObjectPaused",
        "ScaledObject is paused",
        now,
    );
    let wanted = object
        .annotations
        .get(PAUSED_REPLICAS)
        .and_then(|count| count.parse().ok());
    Outcome {
        scale_to: wanted.filter(|count: &i32| *count != replicas.spec),
        events: Vec::new(),
    }
}

fn is_paused(object: &ScaledObject) -> bool {
    flag(object, PAUSED) || object.annotations.contains_key(PAUSED_REPLICAS)
}

/// Whether an annotation is on: anything but a plain `false` is.
fn flag(object: &ScaledObject, annotation: &str) -> bool {
    let off = ["false", "False", "FALSE", "f", "F", "0"];
    object
        .annotations
        .get(annotation)
        .is_some_and(|value| !off.contains(&value.as_str()))
}

fn triggers(object: &ScaledObject) -> String {
    let names = object.triggers.iter().enumerate();
    let names = names.map(|(index, trigger)| trigger.name.clone().unwrap_or_else(|| metric_name(object, index)));
    names.collect::<Vec<_>>().join(", ")
}

/// The API keeps times of status fields in whole seconds: a cooldown starts up to a second early.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[expect(clippy::cast_possible_truncation, reason = "KEDA drops what is below a thousandth")]
fn milli(value: f64) -> Milli {
    Milli((value * 1000.0) as i64)
}
