//! The autoscaler and KEDA take the decisions that the real ones were recorded to take.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tubectl_world::models::hpa;
use tubectl_world::models::hpa::Current;
use tubectl_world::models::hpa::Milli;
use tubectl_world::models::keda;
use tubectl_world::models::keda::TriggerReading;

/// Where what was recorded cannot be told from what was fed: series, seconds, and why. Only the average shown may
/// differ there; sizes and conditions must not.
///
/// At one sync these three targets' averages are the whole value: their Deployments reported a single pod just then,
/// while their sizes were 2, 2 and 4. What the Deployments report was not recorded, so the replay feeds their sizes.
const ONE_POD_REPORTED: [(&str, std::ops::Range<f64>); 3] = [
    ("tolerance-edges", 430.0..445.0),
    ("ramp-tube", 430.0..445.0),
    ("zero-and-back", 431.0..446.0),
];

/// What a series asks of KEDA.
#[derive(Clone, Deserialize)]
struct Series {
    name: String,
    points: Vec<(f64, Value)>,
    target: f64,
    min: i32,
    max: i32,
    behavior: Option<Behavior>,
    polling: f64,
    cooldown: i64,
    #[serde(default)]
    triggers: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    formula: Option<String>,
    #[serde(default, rename = "metricType")]
    metric_type: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Behavior {
    #[serde(rename = "scaleUp")]
    up: Option<Rules>,
    #[serde(rename = "scaleDown")]
    down: Option<Rules>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rules {
    stabilization_window_seconds: Option<i64>,
    select_policy: Option<String>,
    policies: Option<Vec<Policy>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "type")]
    kind: String,
    value: i32,
    period_seconds: i64,
}

#[derive(Deserialize)]
struct Recorded {
    t: f64,
    series: String,
    replicas: i32,
    desired: i32,
    limited: Option<(String, String)>,
    able: (String, String),
    active: (String, String),
    current: Vec<Option<BTreeMap<String, String>>>,
}

/// What can be seen of a target and its autoscaler at one moment.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    replicas: i32,
    desired: i32,
    limited: Option<(String, String)>,
    able: Option<(String, String)>,
    active: Option<(String, String)>,
    current: Vec<Option<String>>,
}

#[derive(Deserialize)]
struct Golden {
    #[serde(flatten)]
    series: Series,
    start: i32,
    first_sync: f64,
    sync_period: f64,
    first_poll: f64,
    holds: Vec<(f64, i32, String, String, Option<String>)>,
}

#[test]
fn every_recorded_series_is_decided_as_recorded_in_the_same_sync() {
    let series: Vec<Series> = read("hpa_series.json");
    let decisions: Vec<Recorded> = read_lines("hpa_decisions.jsonl");
    let reads: Vec<(f64, String, String, String, Option<f64>)> = read_lines("hpa_metric_reads.jsonl");
    let mut compared = 0;
    let mut differences = Vec::new();
    for series in &series {
        let recorded: Vec<&Recorded> = decisions.iter().filter(|one| one.series == series.name).collect();
        let reads = reads.iter().filter(|read| read.1 == series.name && read.3 == "metrics");
        let first_trigger = series.triggers.as_ref().and_then(|all| all.keys().next());
        let reads = reads.filter(|read| first_trigger.is_none_or(|name| *name == read.2));
        let (polls, syncs) = phases(&reads.map(|read| read.0).collect::<Vec<_>>());
        let mut target = Target::new(series, recorded[0].replicas);
        target.warm_up(polls[0], syncs[0]);
        let moments = moments(&polls, &syncs);
        for (index, moment) in moments.iter().enumerate() {
            target.act(*moment);
            let next = moments.get(index + 1).map_or(moment.at() + 5.0, Moment::at);
            if next - moment.at() < 1.0 {
                continue;
            }
            let expected = recorded.iter().rfind(|one| one.t < next).map(|one| seen(one));
            let expected = expected.expect("recorded from the start");
            let at = moment.at();
            let mut found = target.seen();
            let one_pod =
                |(name, seconds): &(&str, std::ops::Range<f64>)| *name == series.name && seconds.contains(&at);
            if ONE_POD_REPORTED.iter().any(one_pod) {
                found.current.clone_from(&expected.current);
            }
            compared += 1;
            if found != expected {
                differences.push(format!(
                    "{} at {at}: expected {expected:?}, found {found:?}",
                    series.name
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {compared} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared > 900, "only {compared} moments were compared");
}

#[test]
fn the_golden_traces_hold() {
    let traces: Vec<Golden> = read("golden_traces.json");
    for trace in traces {
        let mut target = Target::new(&trace.series, trace.start);
        let times = |first: f64, period: f64| -> Vec<f64> {
            (0..200)
                .map(|index| first + f64::from(index) * period)
                .take_while(|at| *at < 210.0)
                .collect()
        };
        let polls = times(trace.first_poll, trace.series.polling);
        let moments = moments(&polls, &times(trace.first_sync, trace.sync_period));
        target.warm_up(polls[0], trace.first_sync);
        let mut holds = trace.holds.iter().peekable();
        for moment in moments {
            while let Some((at, replicas, able, limited, current)) = holds.next_if(|hold| hold.0 < moment.at()) {
                let seen = target.seen();
                let found = (
                    seen.replicas,
                    seen.able.map(|able| able.1).unwrap_or_default(),
                    seen.limited.map(|limited| limited.1).unwrap_or_default(),
                    seen.current.first().cloned().flatten(),
                );
                let expected = (*replicas, able.clone(), limited.clone(), current.clone());
                assert_eq!(found, expected, "{} at {at}", trace.series.name);
            }
            target.act(moment);
        }
        assert!(
            holds.next().is_none(),
            "{}: the trace ends before what must hold",
            trace.series.name
        );
    }
}

/// One trigger read per poll and per sync: what an operator calls per pollingInterval is up to its caller here.
#[derive(Clone, Copy)]
enum Moment {
    Poll(f64),
    Sync(f64),
}

impl Moment {
    fn at(&self) -> f64 {
        match self {
            Self::Poll(at) | Self::Sync(at) => *at,
        }
    }
}

fn moments(polls: &[f64], syncs: &[f64]) -> Vec<Moment> {
    let polls = polls.iter().copied().map(Moment::Poll);
    let mut moments: Vec<Moment> = polls.chain(syncs.iter().copied().map(Moment::Sync)).collect();
    moments.sort_by(|left, right| left.at().total_cmp(&right.at()));
    moments
}

/// Tells the operator's reads, every 5 s, from the autoscaler's, every 15 s. A target at zero is not read by the
/// autoscaler, whose syncs go on all the same.
fn phases(reads: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut polls = vec![reads[0]];
    let mut others = Vec::new();
    for read in &reads[1..] {
        let next = polls.last().expect("it begins with one") + 5.0;
        if (read - next).abs() < 0.1 {
            polls.push(*read);
        } else {
            others.push(*read);
        }
    }
    let mut syncs = vec![others[0]];
    let end = polls.last().expect("it begins with one");
    loop {
        let next = syncs.last().expect("it begins with one") + 15.01;
        if next > *end {
            break;
        }
        let read = others.iter().find(|read| (**read - next).abs() < 0.2);
        syncs.push(read.copied().unwrap_or(next));
    }
    // A target that began at zero shows its first sync late.
    while syncs[0] > 15.0 {
        syncs.insert(0, syncs[0] - 15.01);
    }
    (polls, syncs)
}

struct Target {
    series: Series,
    object: keda::ScaledObject,
    keda: keda::State,
    hpa: hpa::State,
    replicas: i32,
}

impl Target {
    fn new(series: &Series, replicas: i32) -> Self {
        Self {
            series: series.clone(),
            object: object(series),
            keda: keda::State::default(),
            hpa: hpa::State::default(),
            replicas,
        }
    }

    /// What was recorded did not begin when the recording did.
    fn warm_up(&mut self, first_poll: f64, first_sync: f64) {
        for back in (1..=6).rev() {
            self.act(Moment::Poll(first_poll - f64::from(back) * 5.0));
        }
        for back in (1..=2).rev() {
            self.act(Moment::Sync(first_sync - f64::from(back) * 15.0));
        }
    }

    fn act(&mut self, moment: Moment) {
        let now = at(moment.at());
        let readings = self.readings(moment.at());
        let replicas = keda::Replicas {
            spec: self.replicas,
            ready: 0,
        };
        match moment {
            Moment::Poll(_) => {
                let outcome = keda::poll(&mut self.keda, &self.object, replicas, &readings, now);
                self.replicas = outcome.scale_to.unwrap_or(self.replicas);
            }
            Moment::Sync(_) => {
                let autoscaler = keda::autoscaler(&self.object).expect("it is not paused");
                // Every replica exists as a pod at once, and none is ever ready: there are no nodes.
                let scale = hpa::Scale {
                    spec: self.replicas,
                    status: self.replicas,
                    ready: 0,
                };
                let mut metrics = Vec::new();
                if hpa::reads_metrics(&autoscaler.spec, &scale) {
                    let served = keda::serve(&mut self.keda, &self.object, replicas, &readings, now);
                    metrics.extend(served.into_iter().map(|served| match served.value {
                        Ok(value) => hpa::Reading::External(value),
                        Err(message) => hpa::Reading::Failed(hpa::Failure { message }),
                    }));
                }
                let settings = hpa::Settings::default();
                let decision = hpa::sync(&mut self.hpa, &settings, &autoscaler.spec, &scale, &metrics, now);
                self.replicas = decision.rescale.unwrap_or(self.replicas);
            }
        }
    }

    fn readings(&self, second: f64) -> Vec<TriggerReading> {
        let point = self.series.points.iter().rfind(|(from, _)| *from <= second.max(0.0));
        let (_, value) = point.expect("a series begins at zero");
        match value {
            Value::Object(values) => values.values().map(reading).collect(),
            one => vec![reading(one)],
        }
    }

    fn seen(&self) -> Seen {
        let status = self.hpa.status();
        let pair = |condition: &Option<hpa::Condition>| {
            let holds = |holds: Option<bool>| if holds == Some(true) { "True" } else { "False" };
            condition
                .as_ref()
                .map(|one| (holds(one.holds).to_owned(), one.reason.clone()))
        };
        let current = status.metrics.iter().map(|metric| {
            metric.map(|metric| match metric {
                Current::AverageValue(value) | Current::Value(value) | Current::Utilization(_, value) => {
                    value.to_string()
                }
            })
        });
        Seen {
            replicas: self.replicas,
            desired: status.desired_replicas,
            limited: pair(&status.limited),
            able: pair(&status.able),
            active: pair(&status.active),
            current: current.collect(),
        }
    }
}

fn seen(recorded: &Recorded) -> Seen {
    let current = recorded
        .current
        .iter()
        .map(|metric| metric.as_ref().and_then(|metric| metric.values().next().cloned()));
    Seen {
        replicas: recorded.replicas,
        desired: recorded.desired,
        limited: recorded.limited.clone(),
        able: Some(recorded.able.clone()),
        active: Some(recorded.active.clone()),
        current: current.collect(),
    }
}

fn object(series: &Series) -> keda::ScaledObject {
    let kind = match series.metric_type.as_deref() {
        Some("Value") => keda::MetricKind::Value,
        _ => keda::MetricKind::AverageValue,
    };
    let trigger = |name: &str, target: f64| keda::Trigger {
        name: Some(name.to_owned()),
        source: keda::Source::External {
            metric: name.to_owned(),
            target,
            kind,
        },
    };
    let triggers = match &series.triggers {
        Some(triggers) => triggers.iter().map(|(name, target)| trigger(name, *target)).collect(),
        None => vec![trigger("m", series.target)],
    };
    let rules = |rules: &Rules| hpa::Rules {
        stabilization_window: rules.stabilization_window_seconds.map(SignedDuration::from_secs),
        select: rules.select_policy.as_deref().map(|select| match select {
            "Max" => hpa::Select::Max,
            "Min" => hpa::Select::Min,
            _ => hpa::Select::Disabled,
        }),
        policies: rules
            .policies
            .as_ref()
            .map(|policies| policies.iter().map(policy).collect()),
        tolerance: None,
    };
    let created = at(-3600.0);
    let mut object = keda::ScaledObject::new(
        "default",
        &series.name,
        "apps/v1.Deployment default/w",
        triggers,
        created,
    );
    object.min = series.min;
    object.max = series.max;
    object.cooldown = SignedDuration::from_secs(series.cooldown);
    object.behavior = series.behavior.as_ref().map(|behavior| hpa::Behavior {
        scale_up: behavior.up.as_ref().map(rules),
        scale_down: behavior.down.as_ref().map(rules),
    });
    object.modifiers = series.formula.as_ref().map(|formula| keda::Modifiers {
        formula: formula.clone(),
        target: series.target,
        activation_target: 0.0,
        kind: keda::MetricKind::AverageValue,
    });
    assert_eq!(keda::problems(&object), Vec::<String>::new(), "{}", series.name);
    object
}

fn policy(policy: &Policy) -> hpa::Policy {
    let limit = match policy.kind.as_str() {
        "Percent" => hpa::Limit::Percent(policy.value),
        _ => hpa::Limit::Pods(policy.value),
    };
    hpa::Policy {
        limit,
        period: SignedDuration::from_secs(policy.period_seconds),
    }
}

fn reading(value: &Value) -> TriggerReading {
    match value.as_f64() {
        Some(value) => TriggerReading::Value {
            value,
            active: value > 0.0,
        },
        None => TriggerReading::Failed {
            message: "the scaler does not answer".to_owned(),
        },
    }
}

fn at(second: f64) -> Timestamp {
    let offset = SignedDuration::try_from_secs_f64(second).expect("a second of the recording");
    // The recording began at no whole second in particular; the reads tell the rest.
    Timestamp::from_second(1_763_800_000).expect("a time") + offset
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    serde_json::from_str(&text(name)).expect(name)
}

fn read_lines<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    let text = text(name);
    text.lines()
        .map(|line| serde_json::from_str(line).expect(name))
        .collect()
}

fn text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    std::fs::read_to_string(folder.join(name)).expect(name)
}

/// Runs an autoscaler of one external metric over values, each held for a number of syncs, and notes every size.
fn sizes(spec: &hpa::Spec, start: i32, values: &[(i64, u32)]) -> Vec<i32> {
    let mut state = hpa::State::default();
    let mut replicas = start;
    let mut sizes = vec![start];
    let mut second = 0.0;
    for (value, syncs) in values {
        for _ in 0..*syncs {
            let scale = hpa::Scale {
                spec: replicas,
                status: replicas,
                ready: replicas,
            };
            let readings = [hpa::Reading::External(Milli::whole(*value))];
            let decision = hpa::sync(
                &mut state,
                &hpa::Settings::default(),
                spec,
                &scale,
                &readings,
                at(second),
            );
            if let Some(size) = decision.rescale {
                replicas = size;
                sizes.push(size);
            }
            second += 15.0;
        }
    }
    sizes
}

fn external(target: hpa::ExternalTarget, max: i32, behavior: Option<hpa::Behavior>) -> hpa::Spec {
    hpa::Spec {
        min: 1,
        max,
        metrics: vec![hpa::Metric::External {
            name: "m".into(),
            selector: String::new(),
            target,
        }],
        behavior,
    }
}

fn per_pod(target: i64) -> hpa::ExternalTarget {
    hpa::ExternalTarget::AverageValue(Milli::whole(target))
}

/// The tube demo's: tenfold or nine pods in 15 s up; half in 60 s down, after five minutes.
fn tube() -> hpa::Behavior {
    let policy = |limit, seconds| hpa::Policy {
        limit,
        period: SignedDuration::from_secs(seconds),
    };
    hpa::Behavior {
        scale_up: Some(hpa::Rules {
            stabilization_window: Some(SignedDuration::ZERO),
            select: Some(hpa::Select::Max),
            policies: Some(vec![
                policy(hpa::Limit::Percent(900), 15),
                policy(hpa::Limit::Pods(9), 15),
            ]),
            tolerance: None,
        }),
        scale_down: Some(hpa::Rules {
            stabilization_window: Some(SignedDuration::from_secs(300)),
            policies: Some(vec![policy(hpa::Limit::Percent(50), 60)]),
            ..hpa::Rules::default()
        }),
    }
}

#[test]
fn the_reference_systems_scale_as_their_arithmetic_says() {
    let check = |spec: &hpa::Spec, start: i32, values: &[(i64, u32)], expected: &[i32]| {
        assert_eq!(sizes(spec, start, values), expected, "{values:?} from {start}");
    };
    // Queue depth times 50 against a target of 50, between 1 and 10, once it has settled.
    for (queue, expected) in [(0, 1), (1, 1), (7, 7), (12, 10), (500, 10)] {
        let spec = external(per_pod(50), 10, Some(tube()));
        let sizes = sizes(&spec, 1, &[((50 * queue).max(1), 2)]);
        assert_eq!(sizes.last(), Some(&expected), "queue {queue}");
    }
    let tube = external(per_pod(25), 10, Some(tube()));
    check(&tube, 1, &[(25, 3)], &[1]);
    check(&tube, 1, &[(27, 3)], &[1]);
    check(&tube, 1, &[(32 + 50, 1)], &[1, 4]);
    check(&tube, 1, &[(32 + 300, 1)], &[1, 10]);
    // 160 on ten replicas: seven, but only when the window of 300 s is over.
    check(&tube, 10, &[(160, 20)], &[10]);
    check(&tube, 10, &[(160, 22)], &[10, 7]);
    // Nothing left to do: 10, 5, 2, 1, a minute apart after the window.
    check(&tube, 10, &[(250, 1), (0, 21), (0, 4), (0, 4)], &[10, 5, 2, 1]);
    // A queue of 50 at 5 a pod without a behavior: twice the size or four, each sync. From zero KEDA makes the one.
    let queue = external(per_pod(5), 10, None);
    check(&queue, 1, &[(50, 4)], &[1, 4, 8, 10]);
    check(&queue, 1, &[(500, 4)], &[1, 4, 8, 10]);
    check(&queue, 1, &[(5, 2)], &[1]);
    check(&queue, 1, &[(11, 2)], &[1, 3]);
    check(&queue, 1, &[(1000, 4)], &[1, 4, 8, 10]);
    // 600 requests a second at 50 each: twelve, and ten are allowed.
    check(&external(per_pod(50), 10, None), 4, &[(600, 4)], &[4, 8, 10]);
    // A latency as AverageValue: the replicas there are never enter but through the tolerance.
    let latency = hpa::ExternalTarget::AverageValue(Milli(500));
    let eight_tenths = |spec: &hpa::Spec, start: i32| {
        let scale = hpa::Scale {
            spec: start,
            status: start,
            ready: start,
        };
        let readings = [hpa::Reading::External(Milli(800))];
        let mut state = hpa::State::default();
        hpa::sync(&mut state, &hpa::Settings::default(), spec, &scale, &readings, at(0.0)).rescale
    };
    assert_eq!(eight_tenths(&external(latency, 10, None), 1), Some(2));
    let value = hpa::ExternalTarget::Value(Milli(500));
    assert_eq!(eight_tenths(&external(value, 10, None), 4), Some(7));
}

#[test]
fn cpu_far_above_its_target_goes_up_by_four_and_then_to_what_is_needed() {
    let spec = hpa::Spec {
        min: 1,
        max: 10,
        metrics: vec![hpa::Metric::Resource {
            name: "cpu".into(),
            target: hpa::ResourceTarget::Utilization(50),
        }],
        behavior: Some(hpa::Behavior::default()),
    };
    let pod = |used: i64| hpa::Pod {
        ended: false,
        pending: false,
        started: Some(at(-900.0)),
        readiness: Some(hpa::PodReadiness {
            ready: true,
            since: at(-890.0),
        }),
        request: Milli(200),
        sample: Some(hpa::Sample {
            usage: Milli(used),
            at: at(-5.0),
            window: SignedDuration::from_secs(30),
        }),
    };
    let mut state = hpa::State::default();
    let mut decide = |replicas: i32, pods: Vec<hpa::Pod>, second: f64| {
        let scale = hpa::Scale {
            spec: replicas,
            status: replicas,
            ready: replicas,
        };
        let readings = [hpa::Reading::Pods(pods)];
        hpa::sync(
            &mut state,
            &hpa::Settings::default(),
            &spec,
            &scale,
            &readings,
            at(second),
        )
    };
    // One pod at 305 % of what it asks for: seven wanted, four more allowed.
    let first = decide(1, vec![pod(610)], 0.0);
    assert_eq!(first.rescale, Some(5));
    assert_eq!(
        first.events[0].message,
        "New size: 5; reason: cpu resource utilization (percentage of request) above target"
    );
    // Four of the five are starting: they count as idle, and seven are not needed yet.
    let starting = hpa::Pod {
        pending: true,
        sample: None,
        ..pod(0)
    };
    let mut pods = vec![pod(610)];
    pods.extend(std::iter::repeat_n(starting, 4));
    assert_eq!(decide(5, pods, 15.0).rescale, Some(7));
    assert_eq!(decide(7, vec![], 30.0).rescale, None);
}
