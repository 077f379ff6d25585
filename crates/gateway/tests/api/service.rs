//! Everything that is neither: configuration, proxy, figures, counts and refusals.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Method;
use http::Request;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tubectl_gateway::Mode;
use tubectl_gateway::Stats;

use crate::app::App;
use crate::app::CHAT;
use crate::app::said;
use crate::app::status;

#[tokio::test(start_paused = true)]
async fn a_flip_of_the_mode_is_seen_by_the_next_request_and_reads_no_storage() {
    let app = App::new();
    let config = app.get("/api/config").await;
    assert_eq!(
        config,
        json!({
            "mode": "quiz", "sessionId": "monday", "winnersPicked": false, "draw": null, "model": "mistral-7b-awq",
            "multiplier": 50, "maxQuestion": 200, "maxCompany": 100, "maxFeedback": 500, "pollSeconds": 3,
        })
    );
    for (mode, name) in [(Mode::Survey, "survey"), (Mode::Closed, "closed"), (Mode::Quiz, "quiz")] {
        app.flip(mode);
        assert_eq!(app.get("/api/config").await["mode"], name);
    }
    app.flip(Mode::Survey);
    let (status, reply) = app.ask("Too late?").await;
    assert_eq!(
        (status, &reply["code"], &reply["mode"]),
        (409, &json!("wrong-mode"), &json!("survey"))
    );
    app.flip(Mode::Quiz);
    assert_eq!(app.vote(1).await.0, 409);
    assert_eq!(app.storage.reads.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn the_proxy_keeps_status_type_and_body_of_the_model_server() {
    for code in [200, 201, 400, 404, 422, 429, 500, 503] {
        let app = App::with_model(move |_, request| {
            assert_eq!(
                (request.method(), request.body().as_ref()),
                (&Method::POST, b"{\"model\":\"m\"}".as_slice())
            );
            Box::pin(async move { Ok(status(code)) })
        });
        for path in [CHAT, "/v1/completions"] {
            let response = app.send(Method::POST, path, "{\"model\":\"m\"}").await;
            assert_eq!(
                (response.status().as_u16(), response.body().as_ref()),
                (code, b"upstream says".as_slice())
            );
            assert_eq!(response.headers()["content-type"], "text/plain");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_proxy_tells_an_unreachable_model_from_a_slow_one() {
    let app = App::with_model(|_, _| Box::pin(async { Err("connection refused".to_owned()) }));
    assert_eq!(app.post(CHAT, &json!({})).await.0, 502);
    let app = App::with_model(|_, _| Box::pin(std::future::pending()));
    let began = app.clock.now();
    assert_eq!(app.post(CHAT, &json!({})).await.0, 504);
    assert_eq!(app.clock.since(began), Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn the_stats_are_what_was_observed_last_and_say_when_they_are_old() {
    let app = App::new();
    assert_eq!(
        app.get("/api/stats").await,
        json!({"known": false, "stale": false, "questions": 0})
    );
    app.gateway.observe(Stats {
        queue: 18,
        running: 32,
        pods_desired: 9,
        pods_ready: 1,
        pods_max: 10,
    });
    app.ask("Fifty of me?").await;
    assert_eq!(
        app.get("/api/stats").await,
        json!({
            "known": true, "stale": false, "ageSeconds": 0, "questions": 1,
            "queue": 18, "running": 32, "podsDesired": 9, "podsReady": 1, "podsMax": 10,
        })
    );
    app.clock.sleep(Duration::from_secs(16)).await;
    let old = app.get("/api/stats").await;
    assert_eq!((&old["stale"], &old["ageSeconds"]), (&json!(true), &json!(16)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_says_so_in_json() {
    let app = App::new();
    let large = "x".repeat(20_000);
    for (method, path, body, code, error) in [
        (
            Method::GET,
            "/admin",
            "",
            404,
            "there is nothing at `/admin`; the page is at `/`",
        ),
        (
            Method::GET,
            "/api/config/",
            "",
            404,
            "there is nothing at `/api/config/`; the page is at `/`",
        ),
        (
            Method::POST,
            "/api/config",
            "",
            405,
            "`/api/config` takes GET only; send the request with that method",
        ),
        (
            Method::GET,
            CHAT,
            "",
            405,
            "`/v1/chat/completions` takes POST only; send the request with that method",
        ),
        (
            Method::POST,
            "/api/question/submit",
            &large,
            413,
            "the body is larger than 16384 bytes; send less",
        ),
        (
            Method::POST,
            "/api/question/submit",
            "question=hello",
            400,
            "the body cannot be read: expected value at line 1 column 1; \
             send JSON like {\"question\": \"Why is the Central line so warm?\"}",
        ),
        (
            Method::POST,
            "/api/question/submit",
            "{}",
            400,
            "the body cannot be read: missing field `question` at line 1 column 2; \
             send JSON like {\"question\": \"Why is the Central line so warm?\"}",
        ),
        (
            Method::GET,
            "/api/questions?limit=0",
            "",
            400,
            "`limit` is `0`; give a whole number from 1 to 1000",
        ),
        (
            Method::GET,
            "/api/questions?limit=many",
            "",
            400,
            "`limit` is `many`; give a whole number from 1 to 1000",
        ),
    ] {
        let response = app.send(method.clone(), path, body.to_owned()).await;
        assert_eq!(response.status(), code, "{method} {path}");
        let reply: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(reply["error"], error);
        assert_eq!(response.headers()["content-type"], "application/json");
    }
    let response = app.send(Method::POST, "/", "").await;
    assert_eq!(response.headers()["allow"], "GET");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_operators_endpoint() {
    let app = App::new();
    for path in [
        "/api/stats/update",
        "/api/config",
        "/api/survey/winners",
        "/api/sessions",
        "/api/session/clear",
    ] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let refused = app.send(method, path, "{\"mode\":\"closed\"}").await.status();
            assert!(
                matches!(refused, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
                "{path}: {refused}"
            );
        }
    }
    assert_eq!(app.get("/api/config").await["mode"], "quiz");
}

#[tokio::test(start_paused = true)]
async fn every_request_and_completion_is_counted_also_when_the_caller_goes_away() {
    let app = App::with_model(|clock, request| {
        let slow = request.body().starts_with(b"slow");
        Box::pin(async move {
            clock.sleep(Duration::from_secs(if slow { 300 } else { 1 })).await;
            Ok(said("Yes."))
        })
    });
    app.ask("Counted?").await;
    for _ in 0..3 {
        app.send(Method::POST, CHAT, "{}").await;
    }
    app.send(Method::POST, CHAT, "slow until the proxy gives up").await;
    let gone = app
        .clock
        .timeout(Duration::from_secs(5), app.send(Method::POST, CHAT, "slow"))
        .await;
    assert!(gone.is_err());
    app.send(Method::GET, "/nothing/here", "").await;
    assert_eq!(
        app.metrics().await,
        "# HELP gateway_requests_total Requests by route and how they ended.\n\
         # TYPE gateway_requests_total counter\n\
         gateway_requests_total{route=\"/api/question/submit\",status=\"200\"} 1\n\
         gateway_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 3\n\
         gateway_requests_total{route=\"/v1/chat/completions\",status=\"504\"} 1\n\
         gateway_requests_total{route=\"/v1/chat/completions\",status=\"aborted\"} 1\n\
         gateway_requests_total{route=\"unknown\",status=\"404\"} 1\n\
         # HELP gateway_completions_total Requests to the model by who asked and how they ended.\n\
         # TYPE gateway_completions_total counter\n\
         gateway_completions_total{source=\"proxy\",outcome=\"answered\"} 3\n\
         gateway_completions_total{source=\"proxy\",outcome=\"timed-out\"} 1\n\
         gateway_completions_total{source=\"proxy\",outcome=\"aborted\"} 1\n\
         gateway_completions_total{source=\"question\",outcome=\"answered\"} 1\n"
    );
}

#[tokio::test(start_paused = true)]
async fn no_request_makes_it_panic_and_every_answer_is_readable() {
    let seeds: [(Method, &str, &str); 6] = [
        (Method::POST, "/api/question/submit", r#"{"question":"Why \u00fc?"}"#),
        (
            Method::POST,
            "/api/survey/submit",
            r#"{"rating":5,"browser":"0123456789abcdef","company":"A","feedback":"B"}"#,
        ),
        (Method::POST, CHAT, r#"{"model":"m","messages":[]}"#),
        (Method::GET, "/api/questions?after=q-1&limit=10", ""),
        (Method::GET, "/api/stats", ""),
        (Method::PUT, "/api/config?mode=closed", "closed"),
    ];
    let app = App::new();
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..3000 {
        app.flip(if round % 2 == 0 { Mode::Quiz } else { Mode::Survey });
        let (method, target, body) = rng.choice(&seeds).unwrap();
        let mut body = body.as_bytes().to_vec();
        for _ in 0..rng.usize(..4) {
            let place = rng.usize(..=body.len());
            if rng.bool() {
                body.insert(place, rng.u8(..));
            } else {
                body.truncate(place);
            }
        }
        let query = if target.contains('?') {
            format!("&x={}", rng.alphanumeric())
        } else {
            String::new()
        };
        let response = app.send(method.clone(), &format!("{target}{query}%FF%"), body).await;
        assert!(serde_json::from_slice::<Value>(response.body()).is_ok(), "{response:?}");
        assert!(response.status() != 500, "{response:?}");
    }
}

#[test]
fn a_gateway_can_be_shared_between_connections() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let app = App::new();
    shared(&app.gateway);
    sent(app.gateway.handle(Request::default()));
}
