//! What the metrics adapter answers: the formula's value, or what a fallback makes of failing triggers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tubectl_formula::Formula;

use super::COMPOSITE_METRIC;
use super::Fallback;
use super::FallbackBehavior;
use super::MetricKind;
use super::Modifiers;
use super::Replicas;
use super::ScaledObject;
use super::Served;
use super::Source;
use super::State;
use super::TriggerReading;
use super::metric_name;
use super::milli;
use crate::models::hpa::Milli;
use crate::models::hpa::set;

/// What the adapter answers for each external metric of the autoscaler. Every read counts towards the fallback.
pub fn serve(
    state: &mut State,
    object: &ScaledObject,
    replicas: Replicas,
    readings: &[TriggerReading],
    now: Timestamp,
) -> Vec<Served> {
    let mut values: BTreeMap<usize, Result<f64, String>> = BTreeMap::new();
    let mut exhausted = false;
    for (index, trigger) in object.triggers.iter().enumerate() {
        let Source::External { .. } = trigger.source else {
            continue;
        };
        let failures = state.failures.entry(metric_name(object, index)).or_default();
        let value = match readings.get(index) {
            // KEDA takes a negative value for none at all.
            Some(TriggerReading::Value { value, .. }) => Ok(value.max(0.0)),
            Some(TriggerReading::Failed { message }) => Err(message.clone()),
            None => Err("no scaler answers for this trigger".to_owned()),
        };
        *failures = if value.is_ok() { 0 } else { *failures + 1 };
        exhausted |= object
            .fallback
            .is_some_and(|fallback| *failures > fallback.failure_threshold);
        values.insert(index, value);
    }
    let served = match &object.modifiers {
        Some(modifiers) => vec![Served {
            metric: COMPOSITE_METRIC.to_owned(),
            value: composite(object, modifiers, replicas, &values, exhausted),
        }],
        None => values
            .into_iter()
            .map(|(index, value)| {
                let metric = metric_name(object, index);
                let failures = state.failures.get(&metric).copied().unwrap_or(0);
                let value = plain(object, index, replicas, value, failures);
                Served { metric, value }
            })
            .collect(),
    };
    let (reason, message) = if exhausted {
        (
            "FallbackExists",
            "At least one trigger is falling back on this scaled object",
        )
    } else {
        ("NoFallbackFound", "No fallbacks are active on this scaled object")
    };
    set(&mut state.fallback, exhausted, reason, message, now);
    served
}

fn plain(
    object: &ScaledObject,
    index: usize,
    replicas: Replicas,
    value: Result<f64, String>,
    failures: u32,
) -> Result<Milli, String> {
    let error = match value {
        Ok(value) => return Ok(milli(value)),
        Err(error) => error,
    };
    let Some(fallback) = object.fallback.filter(|fallback| failures > fallback.failure_threshold) else {
        return Err(error);
    };
    match object.triggers.get(index).map(|trigger| &trigger.source) {
        Some(Source::External { target, kind, .. }) => Ok(fallen_back(fallback, *target, *kind, replicas)),
        _ => Err(error),
    }
}

fn composite(
    object: &ScaledObject,
    modifiers: &Modifiers,
    replicas: Replicas,
    values: &BTreeMap<usize, Result<f64, String>>,
    exhausted: bool,
) -> Result<Milli, String> {
    let error = values.values().find_map(|value| value.as_ref().err());
    if let Some(error) = error {
        let fallback = object.fallback.filter(|_| exhausted).ok_or_else(|| error.clone())?;
        if fallback.behavior != FallbackBehavior::ScalingModifiers {
            // KEDA reads the target of a formula's fallback as an integer, and has none when it is not one.
            let valid = modifiers.target > 0.0 && modifiers.target.fract() == 0.0;
            return if valid {
                Ok(fallen_back(fallback, modifiers.target, modifiers.kind, replicas))
            } else {
                Err(error.clone())
            };
        }
    }
    let formula = Formula::parse(&modifiers.formula).map_err(|error| format!("error compiling formula: {error}"))?;
    let named = values.iter().filter_map(|(index, value)| {
        let name = object.triggers.get(*index)?.name.clone()?;
        Some((name, *value.as_ref().ok()?))
    });
    let result = formula.evaluate(&named.collect());
    result
        .map(milli)
        .map_err(|error| format!("error running custom formula: {error}"))
}

fn fallen_back(fallback: Fallback, target: f64, kind: MetricKind, replicas: Replicas) -> Milli {
    let current = replicas.spec;
    let wanted = match fallback.behavior {
        FallbackBehavior::Static | FallbackBehavior::ScalingModifiers => fallback.replicas,
        FallbackBehavior::CurrentReplicas => current,
        FallbackBehavior::CurrentReplicasIfHigher => fallback.replicas.max(current),
        FallbackBehavior::CurrentReplicasIfLower => fallback.replicas.min(current),
    };
    let total = target * f64::from(wanted);
    match kind {
        MetricKind::AverageValue => milli(total),
        MetricKind::Value => milli(total / f64::from(replicas.ready.max(1))),
    }
}
