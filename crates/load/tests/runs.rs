//! Whole runs in virtual time, against a server that is a few lines of Rust.

#![expect(clippy::unwrap_used, reason = "what a test relies on is the test")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use proptest::prelude::*;
use tokio::sync::Semaphore;
use tubectl_clock::Clock;
use tubectl_load::DEFAULT_QUESTIONS;
use tubectl_load::Event;
use tubectl_load::Pace;
use tubectl_load::Plan;
use tubectl_load::Shape;
use tubectl_load::Summary;
use tubectl_load::Target;
use tubectl_load::Threshold;
use tubectl_load::Verdict;
use tubectl_load::run;
use tubectl_load::run_until;

const SECOND: Duration = Duration::from_secs(1);
const AMPLIFIED: &str = "2m:2,23m:5,3m:1";

type Answer = Result<Response<Bytes>, Infallible>;

fn clock() -> Clock {
    Clock::starting_at(jiff::Timestamp::UNIX_EPOCH)
}

fn plan(shape: &str) -> Plan {
    Plan::new(
        shape.parse().unwrap(),
        Target::new("http://vllm:8000", "mistral").unwrap(),
    )
}

fn amplified(shape: &str, times: u32) -> Plan {
    Plan {
        amplification: NonZeroU32::new(times).unwrap(),
        ..plan(shape)
    }
}

fn answered(status: u16) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::new()).unwrap()
}

/// A server that takes `latency` for every answer.
fn after(latency: Duration) -> impl Fn(Request<Bytes>) -> std::pin::Pin<Box<dyn Future<Output = Answer>>> + Clone {
    let clock = clock();
    move |_| {
        Box::pin(async move {
            clock.sleep(latency).await;
            Ok::<_, Infallible>(answered(200))
        })
    }
}

async fn played(plan: &Plan, latency: Duration) -> Summary {
    run(plan, after(latency), clock(), 7, |_| {}).await
}

fn check_conserved(summary: &Summary) {
    assert_eq!(
        summary.sent,
        summary.answered + summary.failed + summary.aborted,
        "{summary}"
    );
    assert_eq!(summary.in_flight(), 0);
    assert_eq!(summary.failures.values().sum::<u64>(), summary.failed);
    assert_eq!(summary.response.count(), summary.sent);
}

#[tokio::test(start_paused = true)]
async fn one_question_is_fifty_requests_at_the_same_time_so_that_sixteen_slots_queue() {
    let clock = clock();
    let slots = Arc::new(Semaphore::new(16));
    let inside = Rc::new(Cell::new(0_u32));
    let most_inside = Rc::new(Cell::new(0));
    let server = {
        let (inside, most_inside) = (inside.clone(), most_inside.clone());
        move |_: Request<Bytes>| {
            let (inside, most_inside, slots) = (inside.clone(), most_inside.clone(), slots.clone());
            async move {
                inside.set(inside.get() + 1);
                most_inside.set(most_inside.get().max(inside.get()));
                let slot = slots.acquire().await.unwrap();
                clock.sleep(SECOND).await;
                drop(slot);
                inside.set(inside.get() - 1);
                Ok::<_, Infallible>(answered(200))
            }
        }
    };
    let summary = run(&amplified("1,3s:1", 50), server, clock, 7, |_| {}).await;
    assert_eq!(most_inside.get() - 16, 34, "waiting beyond the sixteen slots");
    assert_eq!((summary.iterations, summary.sent, summary.peak_in_flight), (1, 50, 50));
    check_conserved(&summary);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_the_bound_allows() {
    let plan = Plan {
        max_in_flight: NonZeroUsize::new(20).unwrap(),
        ..amplified("4,30s:4", 50)
    };
    let summary = played(&plan, SECOND).await;
    assert_eq!(summary.peak_in_flight, 20);
    assert!(
        summary.unsent > 0,
        "what was due at the end and had no room is counted: {summary}"
    );
    check_conserved(&summary);
}

#[tokio::test(start_paused = true)]
async fn the_amplified_show_sends_tens_of_thousands_and_accounts_for_each() {
    let mut users = Vec::new();
    let began = clock();
    let summary = run(&amplified(AMPLIFIED, 50), after(4 * SECOND), began, 7, |event| {
        if let Event::Users(number) = event {
            users.push((began.now().as_second(), *number));
        }
    })
    .await;
    // From 1 to 2 by 2:00, to 5 by 25:00, and back to 1 by 28:00.
    assert_eq!(
        users,
        [
            (0, 1),
            (120, 2),
            (580, 3),
            (1040, 4),
            (1500, 5),
            (1545, 4),
            (1590, 3),
            (1635, 2)
        ]
    );
    assert!((40_000..70_000).contains(&summary.sent), "{summary}");
    check_conserved(&summary);
}

#[tokio::test(start_paused = true)]
async fn the_staged_profiles_last_and_peak_as_written() {
    for (profile, minutes, peak) in [
        ("5,30s:10,4m30s:10,30s:30,4m:30,1m:80,3m:80,1m:0", 14.5, 80),
        ("5,30s:10,4m30s:15,30s:50,4m30s:50,1m:150,17m:150,2m:0", 30.0, 150),
    ] {
        let mut reached = 0;
        let clock = clock();
        let mut last_sent = clock.now();
        let summary = run(&plan(profile), after(SECOND), clock, 7, |event| match event {
            Event::Users(users) => reached = reached.max(*users),
            Event::Sent => last_sent = clock.now(),
            _ => {}
        })
        .await;
        assert_eq!(reached, peak);
        let lasted = clock.since(jiff::Timestamp::UNIX_EPOCH).as_secs_f64() / 60.0;
        assert!((lasted - minutes).abs() < 0.1, "{lasted} of {minutes} minutes");
        check_conserved(&summary);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_plays_the_same_run_and_another_seed_another() {
    let mut logs = Vec::new();
    for seed in [7, 7, 8] {
        let clock = clock();
        let mut log = Vec::new();
        let asked = Rc::new(Cell::new(0_u64));
        let server = {
            let asked = asked.clone();
            move |request: Request<Bytes>| {
                // The latency depends on the question, so that the order of events does too.
                let sum = request.body().iter().map(|byte| u64::from(*byte)).sum::<u64>();
                asked.set(asked.get().wrapping_mul(31).wrapping_add(sum));
                async move {
                    clock.sleep(Duration::from_millis(sum % 3000)).await;
                    Ok::<_, Infallible>(answered(if sum % 7 == 0 { 503 } else { 200 }))
                }
            }
        };
        let summary = run(&amplified("2m:10", 5), server, clock, seed, |event| {
            log.push(format!("{} {event:?}", clock.now()));
        })
        .await;
        check_conserved(&summary);
        logs.push((log, asked.get()));
    }
    assert_eq!(logs[0], logs[1]);
    assert_ne!(logs[0], logs[2]);
}

#[tokio::test(start_paused = true)]
async fn the_graceful_stop_lets_requests_finish_and_cuts_off_the_rest() {
    let finishing = played(&plan("3,10s:3"), 12 * SECOND).await;
    assert_eq!((finishing.answered, finishing.aborted), (3, 0));
    let plan = Plan {
        graceful_stop: SECOND,
        ..plan("3,10s:3")
    };
    let cut = played(&plan, 12 * SECOND).await;
    assert_eq!((cut.answered, cut.aborted), (0, 3));
    assert!(
        cut.response.quantile(0.5) >= 11 * SECOND,
        "what was cut off had waited as long as that"
    );
    check_conserved(&cut);
}

#[tokio::test(start_paused = true)]
async fn a_stop_from_outside_keeps_the_summary() {
    let clock = clock();
    let stop = clock.sleep(30 * SECOND);
    let summary = run_until(stop, &plan(AMPLIFIED), after(SECOND), clock, 7, |_| {}).await;
    assert_eq!(clock.now().as_second(), 30);
    assert_eq!((summary.sent, summary.answered), (15, 15));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_leaves_no_request_behind() {
    struct Inside(Rc<Cell<i32>>);
    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let clock = clock();
    let inside = Rc::new(Cell::new(0));
    let server = |_| {
        let inside = inside.clone();
        inside.set(inside.get() + 1);
        async move {
            let _inside = Inside(inside);
            std::future::pending::<Answer>().await
        }
    };
    let plan = amplified("2,60s:2", 50);
    let outcome = clock.timeout(5 * SECOND, run(&plan, server, clock, 7, |_| {})).await;
    assert!(outcome.is_err(), "it was dropped in the middle");
    assert_eq!(inside.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_server_shows_in_the_latency_of_all_who_would_have_come() {
    let clock = clock();
    let server = move |_: Request<Bytes>| async move {
        // Fast, but for ten seconds in the middle in which nobody is answered.
        let second = clock.now().as_second();
        if (10..20).contains(&second) {
            clock.sleep_until(jiff::Timestamp::from_second(20).unwrap()).await;
        }
        clock.sleep(Duration::from_millis(10)).await;
        Ok::<_, Infallible>(answered(200))
    };
    let plan = Plan {
        max_in_flight: NonZeroUsize::MIN,
        ..plan("10/s,40s:10/s")
    };
    let summary = run(&plan, server, clock, 7, |_| {}).await;
    assert_eq!((summary.answered, summary.unsent), (400, 0));
    // A quarter of all arrivals fell into the stall; an uncorrected tool sees a single slow request.
    assert!(summary.service.quantile(0.99) < SECOND, "{:?}", summary.service);
    assert!(summary.response.quantile(0.85) > 3 * SECOND, "{:?}", summary.response);
}

#[tokio::test(start_paused = true)]
async fn a_user_on_a_beat_counts_the_lateness_of_an_overrun() {
    let clock = clock();
    let server = move |_: Request<Bytes>| async move {
        let stalled = clock.now().as_second() == 5;
        clock
            .sleep(if stalled {
                4 * SECOND
            } else {
                Duration::from_millis(100)
            })
            .await;
        Ok::<_, Infallible>(answered(200))
    };
    let plan = Plan {
        pace: Pace::Every(SECOND),
        ..plan("1,20s:1")
    };
    let summary = run(&plan, server, clock, 7, |_| {}).await;
    assert_eq!(summary.answered, 20, "the beat is caught up with");
    assert!(summary.response.quantile(0.9) > 2 * SECOND, "{:?}", summary.response);
    assert!(summary.service.quantile(0.9) < SECOND, "{:?}", summary.service);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_fails_by_timeout_and_breaks_the_thresholds() {
    let plan = Plan {
        timeout: 5 * SECOND,
        ..plan("2,20s:2")
    };
    let summary = run(&plan, |_| std::future::pending::<Answer>(), clock(), 7, |_| {}).await;
    assert_eq!(summary.failures.keys().collect::<Vec<_>>(), ["timed out"]);
    assert!(!Verdict::of(&summary, &Threshold::SHOW).is_met());
    check_conserved(&summary);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_in_no_time_does_not_stop_the_clock() {
    let plan = Plan {
        pace: Pace::Pause(Duration::ZERO),
        ..plan("3,1s:3")
    };
    let summary = run(
        &plan,
        |_| async { Ok::<_, Infallible>(answered(500)) },
        clock(),
        7,
        |_| {},
    )
    .await;
    assert_eq!(summary.failures["status 500"], summary.sent);
    assert!(
        (2900..=3100).contains(&summary.sent),
        "once a millisecond for each user: {summary}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_audience_is_asked_for_news_every_ten_seconds_at_most() {
    let clock = clock();
    let reads = Rc::new(Cell::new((0_u32, clock.now())));
    let asked = Rc::new(Mutex::new(Vec::new()));
    let server = {
        let (reads, asked) = (reads.clone(), asked.clone());
        move |request: Request<Bytes>| {
            let (reads, asked) = (reads.clone(), asked.clone());
            async move {
                if request.uri().path() != "/api/questions" {
                    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
                    let question = body["messages"][0]["content"].as_str().unwrap().to_owned();
                    asked.lock().unwrap().push((clock.now(), question));
                    clock.sleep(SECOND).await;
                    return Ok::<_, Infallible>(answered(200));
                }
                let (count, last) = reads.get();
                assert!(
                    count == 0 || clock.since(last) >= 10 * SECOND,
                    "read again after {:?}",
                    clock.since(last)
                );
                reads.set((count + 1, clock.now()));
                // Nobody has asked anything in the first half minute.
                let questions = if clock.now().as_second() < 30 {
                    serde_json::json!([])
                } else {
                    serde_json::json!([{"id": format!("q-{count}"), "question": "Is this seat taken?"}])
                };
                let body = serde_json::json!({"sessionId": "s", "questions": questions, "next": null});
                Ok(Response::new(Bytes::from(body.to_string())))
            }
        }
    };
    let target = Target::new("http://gateway", "mistral")
        .unwrap()
        .with_audience("http://gateway")
        .unwrap();
    let summary = run(
        &Plan {
            target,
            ..plan("5,90s:5")
        },
        server,
        clock,
        7,
        |_| {},
    )
    .await;
    assert!((8..=9).contains(&reads.get().0), "{} reads", reads.get().0);
    assert_eq!(summary.refreshes, u64::from(reads.get().0));
    let asked = asked.lock().unwrap();
    let of = |late: bool| -> BTreeSet<&str> {
        let in_time = asked
            .iter()
            .filter(|(at, _)| if late { at.as_second() > 45 } else { at.as_second() < 30 });
        in_time.map(|(_, question)| question.as_str()).collect()
    };
    assert!(of(false).iter().all(|question| DEFAULT_QUESTIONS.contains(question)));
    assert_eq!(of(true), BTreeSet::from(["Is this seat taken?"]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_stops_no_request() {
    let server = |request: Request<Bytes>| async move {
        if request.uri().path() == "/api/questions" {
            return std::future::pending().await;
        }
        Ok::<_, Infallible>(Response::new(Bytes::new()))
    };
    let target = Target::new("http://gateway", "mistral")
        .unwrap()
        .with_audience("http://gateway")
        .unwrap();
    let summary = run(
        &Plan {
            target,
            ..plan("1,20s:1")
        },
        server,
        clock(),
        7,
        |_| {},
    )
    .await;
    assert_eq!(summary.answered, 20);
}

#[derive(Clone, Debug)]
struct Weather {
    slowest: u64,
    failing: u64,
    hanging: u64,
}

fn weather() -> impl Strategy<Value = Weather> {
    (1..20_000_u64, 0..5_u64, 0..5_u64).prop_map(|(slowest, failing, hanging)| Weather {
        slowest,
        failing,
        hanging,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sent_is_answered_plus_failed_plus_aborted(
        stages in prop::collection::vec((0..20_u32, 0..12_u32), 1..4),
        open in any::<bool>(),
        amplification in 1..20_u32,
        in_flight in 1..60_usize,
        graceful in 0..20_u64,
        stop_after in 1..60_u64,
        weather in weather(),
        seed in any::<u64>(),
    ) {
        let unit = if open { "/s" } else { "" };
        let stages: Vec<String> =
            stages.iter().map(|(seconds, target)| format!("{}s:{target}{unit}", seconds + 1)).collect();
        let plan = Plan {
            amplification: NonZeroU32::new(amplification).unwrap(),
            max_in_flight: NonZeroUsize::new(in_flight).unwrap(),
            graceful_stop: Duration::from_secs(graceful),
            timeout: 10 * SECOND,
            ..plan(&stages.join(","))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (summary, observed) = runtime.block_on(async {
            let clock = clock();
            let rng = Rc::new(Cell::new(seed));
            let server = move |_: Request<Bytes>| {
                let draw = rng.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                rng.set(draw);
                let (dice, weather) = (draw >> 33, weather.clone());
                async move {
                    if dice % 20 < weather.hanging {
                        std::future::pending::<()>().await;
                    }
                    clock.sleep(Duration::from_millis(dice % weather.slowest)).await;
                    if dice % 10 < weather.failing { Err("connection reset") } else { Ok(Response::new(Bytes::new())) }
                }
            };
            let mut observed = Summary::default();
            let stop = clock.sleep(Duration::from_secs(stop_after));
            let summary = run_until(stop, &plan, server, clock, seed, |event| {
                observed.on(event);
                assert!(observed.in_flight() <= in_flight as u64);
            })
            .await;
            (summary, observed)
        });
        check_conserved(&summary);
        prop_assert_eq!(summary.sent + summary.unsent, summary.iterations * u64::from(amplification));
        prop_assert_eq!(summary, observed);
    }
}

#[test]
fn a_plan_is_data() {
    let shape: Shape = serde_json::from_str("\"2m:2,23m:5,3m:1\"").unwrap();
    assert_eq!(shape, AMPLIFIED.parse().unwrap());
    assert_eq!(serde_json::to_string(&shape).unwrap(), "\"1,2m:2,23m:5,3m:1\"");
}

#[test]
fn a_run_can_be_moved_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let plan = plan("1,1s:1");
    sent(run(
        &plan,
        |_| async { Ok::<_, Infallible>(answered(200)) },
        clock(),
        7,
        |_| {},
    ));
}
