//! KEDA's operator and adapter: what the recordings do not show.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use tubectl_world::models::hpa;
use tubectl_world::models::hpa::Milli;
use tubectl_world::models::keda::Fallback;
use tubectl_world::models::keda::FallbackBehavior;
use tubectl_world::models::keda::MetricKind;
use tubectl_world::models::keda::Modifiers;
use tubectl_world::models::keda::Replicas;
use tubectl_world::models::keda::ScaledObject;
use tubectl_world::models::keda::Source;
use tubectl_world::models::keda::State;
use tubectl_world::models::keda::Trigger;
use tubectl_world::models::keda::TriggerReading;
use tubectl_world::models::keda::autoscaler;
use tubectl_world::models::keda::poll;
use tubectl_world::models::keda::problems;
use tubectl_world::models::keda::serve;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_800_000 + second).expect("a second of a test")
}

fn trigger(name: &str, target: f64) -> Trigger {
    Trigger {
        name: Some(name.to_owned()),
        source: Source::External {
            metric: "tube-vllm".into(),
            target,
            kind: MetricKind::AverageValue,
        },
    }
}

/// The tube demo's: running and waiting requests.
fn tube() -> ScaledObject {
    let triggers = vec![trigger("running", 25.0), trigger("waiting", 5.0)];
    let mut object = ScaledObject::new("tube", "vllm", "apps/v1.Deployment tube/vllm", triggers, at(-1000));
    object.min = 1;
    object.max = 10;
    object.modifiers = Some(Modifiers {
        formula: "running + (waiting * 10)".into(),
        target: 25.0,
        activation_target: 5.0,
        kind: MetricKind::AverageValue,
    });
    object
}

/// A queue that scales from zero.
fn queue() -> ScaledObject {
    let mut object = ScaledObject::new(
        "jobs",
        "worker",
        "apps/v1.Deployment jobs/worker",
        vec![trigger("queue", 5.0)],
        at(-1000),
    );
    object.cooldown = SignedDuration::from_secs(10);
    object
}

fn value(value: f64) -> TriggerReading {
    TriggerReading::Value {
        value,
        active: value > 0.0,
    }
}

fn failed() -> TriggerReading {
    TriggerReading::Failed {
        message: "connection refused".into(),
    }
}

fn replicas(spec: i32) -> Replicas {
    Replicas { spec, ready: spec }
}

fn annotated(mut object: ScaledObject, annotation: &str, value: &str) -> ScaledObject {
    object
        .annotations
        .insert(format!("autoscaling.keda.sh/{annotation}"), value.to_owned());
    object
}

#[test]
fn the_autoscaler_of_a_formula_has_one_composite_metric() {
    let made = autoscaler(&tube()).expect("it is not paused");
    assert_eq!(made.name, "keda-hpa-vllm");
    assert_eq!((made.spec.min, made.spec.max, made.spec.behavior), (1, 10, None));
    let [hpa::Metric::External { name, target, .. }] = made.spec.metrics.as_slice() else {
        panic!("one external metric: {:?}", made.spec.metrics);
    };
    assert_eq!(
        (name.as_str(), *target),
        ("composite-metric", hpa::ExternalTarget::AverageValue(Milli(25_000)))
    );
}

#[test]
fn without_a_formula_every_trigger_has_its_metric_and_zero_becomes_one() {
    let mut object = tube();
    object.modifiers = None;
    object.min = 0;
    object.triggers.push(Trigger {
        name: None,
        source: Source::Resource {
            name: "cpu".into(),
            target: hpa::ResourceTarget::Utilization(60),
        },
    });
    let made = autoscaler(&object).expect("it is not paused");
    let names: Vec<&str> = made
        .spec
        .metrics
        .iter()
        .map(|metric| match metric {
            hpa::Metric::External { name, .. } | hpa::Metric::Resource { name, .. } => name.as_str(),
        })
        .collect();
    assert_eq!((made.spec.min, names), (1, vec!["s0-tube-vllm", "s1-tube-vllm", "cpu"]));
}

#[test]
fn the_webhook_refuses_what_can_never_scale() {
    let check = |change: &dyn Fn(&mut ScaledObject), expected: &[&str]| {
        let mut object = tube();
        change(&mut object);
        assert_eq!(problems(&object), expected);
    };
    let formula = |object: &mut ScaledObject, formula: &str| {
        object.modifiers.as_mut().expect("a formula").formula = formula.to_owned();
    };
    check(&|_| (), &[]);
    check(
        &|object| formula(object, "clamp_min(current_queue * 50, 1)"),
        &[
            "formula: 1:1: there is no function `clamp_min`",
            "formula: 1:11: no trigger is named `current_queue`",
        ],
    );
    check(
        &|object| formula(object, "runing + waiting"),
        &["formula: 1:1: no trigger is named `runing`; did you mean `running`?"],
    );
    check(
        &|object| object.min = 11,
        &["MinReplicaCount=11 must be less than or equal to MaxReplicaCount=10"],
    );
    check(
        &|object| object.idle = Some(1),
        &["IdleReplicaCount=1 must be less than MinReplicaCount=1"],
    );
    check(
        &|object| object.triggers[1].name = Some("running".into()),
        &[
            "triggers' names must be unique, `running` is not",
            "formula: 1:12: no trigger is named `waiting`",
        ],
    );
}

#[test]
fn a_composite_is_active_above_its_own_target_and_never_while_a_trigger_fails() {
    let check = |readings: [TriggerReading; 2], expected: bool| {
        let mut state = State::default();
        poll(&mut state, &tube(), replicas(3), &readings, at(0));
        assert_eq!(
            state.active.expect("it was polled").holds,
            Some(expected),
            "{readings:?}"
        );
    };
    check([value(5.0), value(0.0)], false);
    check([value(6.0), value(0.0)], true);
    check([value(0.0), value(1.0)], true);
    check([value(100.0), failed()], false);
}

#[test]
fn a_negative_value_counts_as_none() {
    let served = serve(
        &mut State::default(),
        &tube(),
        replicas(1),
        &[value(-5.0), value(2.0)],
        at(0),
    );
    assert_eq!(served[0].value, Ok(Milli(20_000)));
}

#[test]
fn a_target_comes_from_zero_and_goes_back_when_it_has_cooled_down() {
    let mut state = State::default();
    let mut scaled = |second: i64, spec: i32, reading: TriggerReading| {
        let outcome = poll(&mut state, &queue(), replicas(spec), &[reading], at(second));
        let messages: Vec<String> = outcome.events.into_iter().map(|event| event.message).collect();
        (outcome.scale_to, messages.join(","))
    };
    assert_eq!(scaled(0, 0, value(0.0)), (None, String::new()));
    let message = "Scaled apps/v1.Deployment jobs/worker from 0 to 1, triggered by queue";
    assert_eq!(scaled(5, 0, value(3.0)), (Some(1), message.to_owned()));
    assert_eq!(scaled(10, 4, value(3.0)), (None, String::new()));
    assert_eq!(scaled(15, 4, value(0.0)), (None, String::new()));
    assert_eq!(scaled(20, 4, value(0.0)), (None, String::new()));
    // What fails is not taken for what is empty.
    assert_eq!(scaled(25, 4, failed()), (None, String::new()));
    let message = "Deactivated apps/v1.Deployment jobs/worker from 4 to 0";
    assert_eq!(scaled(30, 4, value(0.0)), (Some(0), message.to_owned()));
}

#[test]
fn an_idle_count_is_held_until_there_is_work() {
    let mut object = queue();
    object.min = 3;
    object.idle = Some(1);
    let check = |spec: i32, reading: f64, expected: Option<i32>| {
        let outcome = poll(&mut State::default(), &object, replicas(spec), &[value(reading)], at(0));
        assert_eq!(outcome.scale_to, expected, "{spec} replicas, {reading}");
    };
    check(1, 0.0, None);
    check(1, 2.0, Some(3));
    check(3, 2.0, None);
    check(3, 0.0, Some(1));
    object.idle = None;
    let outcome = poll(&mut State::default(), &object, replicas(1), &[value(0.0)], at(0));
    assert_eq!(outcome.scale_to, Some(3));
}

#[test]
fn annotations_pause_all_of_it_or_one_direction() {
    let scaled = |object: &ScaledObject, spec: i32, reading: f64| {
        poll(&mut State::default(), object, replicas(spec), &[value(reading)], at(0)).scale_to
    };
    let paused = annotated(queue(), "paused", "true");
    assert_eq!((scaled(&paused, 0, 9.0), autoscaler(&paused)), (None, None));
    let at_two = annotated(queue(), "paused-replicas", "2");
    assert_eq!((scaled(&at_two, 0, 9.0), scaled(&at_two, 2, 9.0)), (Some(2), None));
    // What is no boolean means yes; only a false is no.
    assert_eq!(scaled(&annotated(queue(), "paused", "please"), 0, 9.0), None);
    assert_eq!(scaled(&annotated(queue(), "paused", "false"), 0, 9.0), Some(1));
    assert_eq!(scaled(&annotated(queue(), "paused-scale-out", "true"), 0, 9.0), None);
    let kept = annotated(queue(), "paused-scale-in", "true");
    assert_eq!((scaled(&kept, 0, 9.0), scaled(&kept, 4, 0.0)), (Some(1), None));
    let behavior = autoscaler(&kept)
        .expect("only one direction is paused")
        .spec
        .behavior
        .expect("made for it");
    assert_eq!(
        behavior.scale_down.and_then(|rules| rules.select),
        Some(hpa::Select::Disabled)
    );
    assert_eq!(behavior.scale_up, None);
    assert_eq!(scaled(&annotated(queue(), "force-activation", "true"), 0, 0.0), Some(1));
}

#[test]
fn a_fallback_holds_after_more_failed_reads_than_its_threshold() {
    let with = |mut object: ScaledObject, behavior| {
        object.fallback = Some(Fallback {
            failure_threshold: 2,
            replicas: 4,
            behavior,
        });
        object
    };
    let check = |object: &ScaledObject, readings: &[TriggerReading], current: i32, expected: &[Result<i64, ()>]| {
        let mut state = State::default();
        let mut answers = Vec::new();
        for _ in expected {
            let served = serve(&mut state, object, replicas(current), readings, at(0)).remove(0);
            answers.push(served.value.map(|value| value.0).map_err(drop));
        }
        assert_eq!(answers, expected, "{:?}", object.fallback);
    };
    let one = [failed()];
    check(
        &with(queue(), FallbackBehavior::Static),
        &one,
        1,
        &[Err(()), Err(()), Ok(20_000), Ok(20_000)],
    );
    check(
        &with(queue(), FallbackBehavior::CurrentReplicas),
        &one,
        7,
        &[Err(()), Err(()), Ok(35_000)],
    );
    check(
        &with(queue(), FallbackBehavior::CurrentReplicasIfHigher),
        &one,
        2,
        &[Err(()), Err(()), Ok(20_000)],
    );
    check(
        &with(queue(), FallbackBehavior::CurrentReplicasIfLower),
        &one,
        2,
        &[Err(()), Err(()), Ok(10_000)],
    );
    check(&queue(), &one, 1, &[Err(()), Err(()), Err(()), Err(())]);
    let two = [value(30.0), failed()];
    check(
        &with(tube(), FallbackBehavior::Static),
        &two,
        1,
        &[Err(()), Err(()), Ok(100_000)],
    );
    // KEDA reads the target as an integer here, and has no fallback when it is not one.
    let mut fractional = with(tube(), FallbackBehavior::Static);
    fractional.modifiers.as_mut().expect("a formula").target = 25.5;
    check(&fractional, &two, 1, &[Err(()), Err(()), Err(())]);
    // The formula itself can say what a failing trigger is worth.
    let mut covered = with(tube(), FallbackBehavior::ScalingModifiers);
    covered.modifiers.as_mut().expect("a formula").formula = "running + (waiting ?? 2.0) * 10".into();
    check(&covered, &two, 1, &[Err(()), Err(()), Ok(50_000)]);
}

#[test]
fn conditions_tell_why_nothing_happens() {
    let check = |object: &ScaledObject, spec: i32, readings: &[TriggerReading], expected: [(Option<bool>, &str); 2]| {
        let mut state = State::default();
        poll(&mut state, object, replicas(spec), readings, at(0));
        let found = [state.ready, state.active].map(|condition| {
            let condition = condition.expect("it was polled");
            (condition.holds, condition.reason)
        });
        assert_eq!(
            found,
            expected.map(|(holds, reason)| (holds, reason.to_owned())),
            "{readings:?}"
        );
    };
    let (yes, no) = (Some(true), Some(false));
    let ready = (yes, "ScaledObjectReady");
    check(&queue(), 2, &[value(3.0)], [ready, (yes, "ScalerActive")]);
    check(&queue(), 0, &[value(0.0)], [ready, (no, "ScalerNotActive")]);
    check(
        &queue(),
        2,
        &[failed()],
        [(no, "TriggerError"), (no, "ScalerNotActive")],
    );
    let mut two = tube();
    two.modifiers = None;
    check(
        &two,
        2,
        &[value(3.0), failed()],
        [(None, "PartialTriggerError"), (yes, "ScalerActive")],
    );
    let mut young = queue();
    young.created = at(-5);
    young.initial_cooldown = SignedDuration::from_secs(60);
    check(&young, 2, &[value(0.0)], [ready, (no, "ScalerCooldown")]);
}

#[test]
fn an_autoscaler_with_one_failing_metric_grows_but_does_not_shrink() {
    let mut object = tube();
    object.modifiers = None;
    let spec = autoscaler(&object).expect("it is not paused").spec;
    let decide = |running: i64| {
        let scale = hpa::Scale {
            spec: 4,
            status: 4,
            ready: 4,
        };
        let failure = hpa::Failure {
            message: "no metrics returned from external metrics API".into(),
        };
        let readings = [
            hpa::Reading::External(Milli::whole(running)),
            hpa::Reading::Failed(failure),
        ];
        let mut state = hpa::State::default();
        let decision = hpa::sync(&mut state, &hpa::Settings::default(), &spec, &scale, &readings, at(0));
        let reasons: Vec<String> = decision.events.into_iter().map(|event| event.reason).collect();
        let active = state.status().active.clone().expect("it was synced");
        (decision.rescale, active.reason, reasons.join(","))
    };
    let (failed, computed) = ("FailedGetExternalMetric", "FailedComputeMetricsReplicas");
    assert_eq!(
        decide(150),
        (
            Some(6),
            "ValidMetricFound".into(),
            format!("{failed},SuccessfulRescale")
        )
    );
    assert_eq!(decide(10), (None, failed.into(), format!("{failed},{computed}")));
}

#[test]
fn a_state_is_the_same_after_it_was_written_down() {
    let mut state = State::default();
    poll(&mut state, &queue(), replicas(0), &[value(3.0)], at(5));
    let written = serde_json::to_string(&state).expect("it can be written");
    assert_eq!(serde_json::from_str::<State>(&written).expect("it can be read"), state);
    assert_eq!(state.failures, BTreeMap::from([("s0-tube-vllm".to_owned(), 0)]));
}
