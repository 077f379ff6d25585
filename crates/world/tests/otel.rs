//! The `OTel` scaler's memory answers as Kedify's does, its faults included.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use tubectl_world::models::otel::Labels;
use tubectl_world::models::otel::OverTime;
use tubectl_world::models::otel::Query;
use tubectl_world::models::otel::Settings;
use tubectl_world::models::otel::Store;
use tubectl_world::models::otel::Trigger;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_800_000 + second).expect("a second of a test")
}

fn pod(name: &str) -> Labels {
    Labels::from([("app".into(), "vllm".into()), ("pod_name".into(), name.into())])
}

fn trigger(pairs: &[(&str, &str)]) -> Trigger {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut metadata: BTreeMap<String, String> = pairs.collect();
    metadata.entry("targetValue".into()).or_insert_with(|| "25".into());
    Trigger::from_metadata(&metadata).expect("metadata that is right")
}

#[test]
fn queries_are_read_as_the_scaler_reads_them() {
    let check = |text: &str, expected: &str| {
        let answer = match Query::parse(text) {
            Ok(query) => format!("{:?} {} {:?}", query.aggregation, query.metric, query.labels),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(answer, expected, "{text}");
    };
    check(
        "sum(vllm:num_requests_waiting{app=vllm})",
        "Sum vllm:num_requests_waiting {\"app\": \"vllm\"}",
    );
    check("vllm_num_requests_running", "Sum vllm_num_requests_running {}");
    check(" max(a.b/c{x=1, y = 2}) ", "Maximum a_b_c {\"x\": \"1\", \"y\": \"2\"}");
    check("count(up)", "Count up {}");
    check("avg(up{})", "refused");
    check("", "refused");
    check("sum(a) + sum(b)", "refused");
    check("sum(rate(a[1m]))", "refused");
    check("a{b}", "refused");
    check("a{b=c=d}", "refused");
    check("a}b=c{", "refused");
    check("{a=b}", "refused");
}

#[test]
fn each_series_is_reduced_over_time_and_then_all_of_them() {
    let mut store = Store::new(Settings::default());
    for (second, first, second_pod) in [(0, 4.0, 10.0), (5, 8.0, 20.0), (10, 6.0, 0.0)] {
        store.put("m", &pod("a"), first, at(second));
        store.put("m", &pod("b"), second_pod, at(second));
    }
    let check = |query: &str, operation: &str, expected: f64| {
        let trigger = trigger(&[("metricQuery", query), ("operationOverTime", operation)]);
        assert_eq!(store.value(&trigger, at(11)), Ok(expected), "{query} {operation}");
    };
    check("m", "last_one", 6.0);
    check("max(m)", "max", 20.0);
    check("min(m)", "min", 0.0);
    check("avg(m)", "avg", 8.0);
    check("sum(m)", "avg", 16.0);
    check("count(m)", "last_one", 2.0);
    check("sum(m)", "count", 6.0);
    check("sum(m{pod_name=a})", "last_one", 6.0);
    check("sum(m{app=other})", "last_one", 0.0);
    // A label nobody has excludes nobody.
    check("sum(m{zone=a})", "max", 28.0);
    // 4, then down to 6 - which is a counter that began again: (4 + 6) / 10 s; and 10 + 0 / 10 s.
    check("sum(m)", "rate", 2.0);
}

#[test]
fn a_pod_that_is_gone_counts_for_two_more_minutes() {
    let mut store = Store::new(Settings::default());
    store.put("running", &pod("a"), 32.0, at(0));
    store.put("running", &pod("b"), 8.0, at(0));
    let running = trigger(&[("metricQuery", "sum(running)")]);
    let mut check = |second: i64, expected: f64| {
        store.put("running", &pod("b"), 8.0, at(second));
        assert_eq!(store.value(&running, at(second)), Ok(expected), "at {second}");
    };
    check(60, 40.0);
    check(120, 40.0);
    check(121, 8.0);
    // Nothing fresh at all is zero, and known.
    assert_eq!(store.query(&running.query, OverTime::LastOne, at(900)), Some(0.0));
}

#[test]
fn clamps_hold_the_value_and_so_activity() {
    let mut store = Store::new(Settings::default());
    store.put("waiting", &pod("a"), 0.0, at(0));
    let check = |pairs: &[(&str, &str)], value: f64, active: bool| {
        let trigger = trigger(pairs);
        assert_eq!(store.value(&trigger, at(1)), Ok(value), "{pairs:?}");
        assert_eq!(store.is_active(&trigger, at(1)), Ok(active), "{pairs:?}");
    };
    check(&[("metricQuery", "waiting")], 0.0, false);
    check(&[("metricQuery", "waiting"), ("clampMin", "1")], 1.0, true);
    check(
        &[("metricQuery", "waiting"), ("clampMin", "7"), ("clampMax", "5")],
        5.0,
        true,
    );
    // A wrong name is no error, but no scaling either: zero for ever.
    check(&[("metricQuery", "wating")], 0.0, false);
}

#[test]
fn a_scaler_told_to_be_strict_names_the_metric_that_never_came() {
    let store = Store::new(Settings {
        error_if_not_found: true,
        ..Settings::default()
    });
    let error = store.value(&trigger(&[("metricQuery", "wating")]), at(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no metric `wating` arrived yet; check the collector's exporter and the metric's name"
    );
}

#[test]
fn of_a_histogram_only_count_and_sum_are_kept() {
    let mut store = Store::new(Settings {
        retention: SignedDuration::from_secs(15),
        ..Settings::default()
    });
    store.put_histogram("vllm:e2e.latency", &pod("a"), 10.0, 25.0, at(0));
    let value = |query: &str| store.query(&Query::parse(query).unwrap(), OverTime::LastOne, at(1));
    assert_eq!(value("vllm:e2e_latency_count"), Some(10.0));
    assert_eq!(value("vllm:e2e_latency_sum"), Some(25.0));
    assert_eq!(value("vllm:e2e_latency"), None);
}

#[test]
fn metadata_that_says_nothing_is_refused_by_its_key() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert_eq!(
            Trigger::from_metadata(&pairs.collect()).unwrap_err().to_string(),
            expected
        );
    };
    check(
        &[("metricQuery", "a")],
        "`targetValue` of the trigger must be a number, not ``",
    );
    check(
        &[("metricQuery", "a"), ("targetValue", "5"), ("clampMin", "one")],
        "`clampMin` of the trigger must be a number, not `one`",
    );
    check(
        &[("metricQuery", "a"), ("targetValue", "5"), ("operationOverTime", "p99")],
        "`operationOverTime` of the trigger must be one of last_one, min, max, avg, count, rate, not `p99`",
    );
}
