//! The API as a phone, a load generator and an operator see it, in virtual time.

#![expect(clippy::unwrap_used, reason = "what a test relies on is the test")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::future::join_all;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tubectl_clock::Clock;
use tubectl_gateway::Gateway;
use tubectl_gateway::Listing;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Mode;
use tubectl_gateway::ResponseId;
use tubectl_gateway::Settings;
use tubectl_gateway::Show;
use tubectl_gateway::Stats;
use tubectl_gateway::Storage;
use tubectl_gateway::StorageError;
use tubectl_gateway::StoredQuestion;
use tubectl_gateway::StoredResponse;
use tubectl_gateway::Upstream;
use tubectl_gateway::draw;
use tubectl_gateway::key;

type ModelAnswer = Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + Send>>;

const CHAT: &str = "/v1/chat/completions";

/// A storage that counts what is read and can be made to fail.
#[derive(Default)]
struct Watched {
    memory: MemoryStorage,
    reads: AtomicUsize,
    broken: AtomicBool,
}

impl Watched {
    fn check(&self) -> Result<(), StorageError> {
        if self.broken.load(Relaxed) {
            Err(StorageError::new("the bucket is gone"))
        } else {
            Ok(())
        }
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let (mut keys, mut page) = (Vec::new(), None);
        loop {
            let listing = self.memory.list(prefix, page).await.unwrap();
            keys.extend(listing.keys);
            page = listing.next;
            if page.is_none() {
                return keys;
            }
        }
    }
}

impl Storage for Watched {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.reads.fetch_add(1, Relaxed);
        Box::pin(async move {
            self.check()?;
            self.memory.get(key).await
        })
    }

    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            // Others get their turn while the bytes travel.
            tokio::task::yield_now().await;
            self.check()?;
            self.memory.put(key, body).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.memory.delete(key)
    }

    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>> {
        self.reads.fetch_add(1, Relaxed);
        Box::pin(async move {
            self.check()?;
            self.memory.list(prefix, page).await
        })
    }
}

struct App {
    gateway: Gateway,
    storage: Arc<Watched>,
    clock: Clock,
}

impl App {
    fn new() -> Self {
        Self::with_model(|_, _| Box::pin(async { Ok(said("Mind the gap.")) }))
    }

    fn with_model(model: impl Fn(Clock, Request<Bytes>) -> ModelAnswer + Send + Sync + 'static) -> Self {
        Self::over(Arc::default(), "monday", model)
    }

    fn over(
        storage: Arc<Watched>,
        session: &str,
        model: impl Fn(Clock, Request<Bytes>) -> ModelAnswer + Send + Sync + 'static,
    ) -> Self {
        let clock = Clock::starting_at("2026-11-22T19:00:00Z".parse().unwrap());
        let settings = Settings {
            show: Show::quiz(session),
            model: "mistral-7b-awq".to_owned(),
            upstream: "vllm-service:8000".parse().unwrap(),
        };
        let upstream = Upstream::new(move |request| model(clock, request));
        Self {
            gateway: Gateway::new(settings, storage.clone(), upstream, clock, 7),
            storage,
            clock,
        }
    }

    /// The same app after its process was replaced.
    fn restarted(self) -> Self {
        let show = self.gateway.show();
        let next = Self::over(self.storage, &show.session, |_, _| {
            Box::pin(async { Ok(said("Mind the gap.")) })
        });
        next.gateway.configure(show);
        next
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        self.gateway.handle(request).await
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path, "").await;
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_slice(response.body()).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.send(Method::POST, path, body.to_string()).await;
        (
            response.status().as_u16(),
            serde_json::from_slice(response.body()).unwrap(),
        )
    }

    async fn ask(&self, question: &str) -> (u16, Value) {
        self.post("/api/question/submit", &json!({"question": question})).await
    }

    async fn vote(&self, browser: usize) -> (u16, Value) {
        self.post(
            "/api/survey/submit",
            &json!({"rating": 5, "browser": format!("browser-{browser:08}")}),
        )
        .await
    }

    fn flip(&self, mode: Mode) {
        self.gateway.configure(Show {
            mode,
            ..self.gateway.show()
        });
    }

    async fn metrics(&self) -> String {
        String::from_utf8(self.send(Method::GET, "/metrics", "").await.into_body().to_vec()).unwrap()
    }

    /// Every question, page by page.
    async fn all_questions(&self, limit: usize) -> Vec<String> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/questions?limit={limit}&after={after}")).await;
            let questions = page["questions"].as_array().unwrap();
            assert!(questions.len() <= limit);
            all.extend(
                questions
                    .iter()
                    .map(|question| question["question"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => return all,
            }
        }
    }
}

fn said(answer: &str) -> Response<Bytes> {
    let body = json!({"choices": [{"message": {"role": "assistant", "content": answer}}]});
    Response::new(Bytes::from(body.to_string()))
}

fn status(status: u16) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "text/plain")
        .body(Bytes::from("upstream says"))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_stored_with_a_unique_id_and_answered_with_its_time() {
    let app = App::with_model(|clock, request| {
        assert_eq!(request.uri(), "http://vllm-service:8000/v1/chat/completions");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["model"], "mistral-7b-awq");
        assert!(
            body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .ends_with("Why so warm?")
        );
        Box::pin(async move {
            clock.sleep(Duration::from_millis(1500)).await;
            Ok(said("<think>hm</think> Physics."))
        })
    });
    let (status, reply) = app.ask("  Why so warm? ").await;
    assert_eq!(status, 200);
    let id = reply["id"].as_str().unwrap();
    assert_eq!(
        reply,
        json!({"id": id, "multiplier": 50, "status": "answered", "answer": "Physics.", "message": null, "responseTimeMs": 1500})
    );
    let stored = app.storage.memory.get(&key::question(id)).await.unwrap().unwrap();
    let stored: StoredQuestion = serde_json::from_slice(&stored).unwrap();
    assert_eq!(
        (stored.question.as_str(), stored.multiplier, stored.session.as_str()),
        ("Why so warm?", 50, "monday")
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_costs_the_answer_but_not_the_question() {
    type Model = fn(Clock, Request<Bytes>) -> ModelAnswer;
    let cases: [(Model, u64, &str); 4] = [
        (|_, _| Box::pin(std::future::pending()), 30_000, "The line is very busy"),
        (
            |_, _| Box::pin(async { Err("connection refused".to_owned()) }),
            0,
            "The model is not running",
        ),
        (
            |_, _| Box::pin(async { Ok(status(503)) }),
            0,
            "The model is not running",
        ),
        (|_, _| Box::pin(async { Ok(said("")) }), 0, "The model mumbled"),
    ];
    for (model, millis, message) in cases {
        let app = App::with_model(model);
        let (code, reply) = app.ask("Anybody there?").await;
        assert_eq!(
            (code, &reply["status"], &reply["answer"]),
            (202, &json!("kept"), &Value::Null)
        );
        assert_eq!(reply["responseTimeMs"], millis);
        assert!(reply["message"].as_str().unwrap().starts_with(message), "{reply}");
        assert_eq!(app.all_questions(10).await, ["Anybody there?"]);
        assert_eq!(app.storage.keys(key::QUESTIONS).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_count_characters_and_not_bytes() {
    let app = App::new();
    for (question, expected) in [
        ("a".repeat(200), 200),
        ("a".repeat(201), 400),
        ("\u{1f687}".repeat(200), 200),
        ("\u{1f687}".repeat(201), 400),
        (format!("{}{}", " ".repeat(300), "ü".repeat(200)), 200),
        (" \n\t ".to_owned(), 400),
    ] {
        let (status, reply) = app.ask(&question).await;
        assert_eq!(status, expected, "for {} characters: {reply}", question.chars().count());
    }
    let (_, reply) = app.ask(&"ü".repeat(201)).await;
    assert_eq!(reply["error"], "the question has 201 characters; shorten it to 200");
}

#[tokio::test(start_paused = true)]
async fn more_than_a_thousand_questions_page_through_exactly_once_without_reading_storage() {
    let app = App::new();
    let asked: Vec<String> = (0..1234).map(|number| format!("question {number}")).collect();
    let replies = join_all(asked.iter().map(|question| app.ask(question))).await;
    let ids: BTreeSet<&str> = replies.iter().map(|(_, reply)| reply["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1234);
    assert_eq!(
        app.all_questions(100).await,
        asked,
        "in the order in which they were asked"
    );
    let reads = app.storage.reads.load(Relaxed);
    assert_eq!(app.all_questions(1000).await.len(), 1234);
    assert_eq!(app.get("/api/questions?limit=1").await["total"], 1234);
    assert_eq!(app.storage.reads.load(Relaxed), reads);
}

#[tokio::test(start_paused = true)]
async fn questions_that_arrive_while_somebody_reads_are_neither_lost_nor_repeated() {
    let app = App::new();
    let mut seen = Vec::new();
    let mut after = String::new();
    for round in 0..30 {
        join_all((0..7).map(|n| app.ask(if n % 2 == 0 { "even" } else { "odd" }))).await;
        let page = app.get(&format!("/api/questions?limit=5&after={after}")).await;
        for question in page["questions"].as_array().unwrap() {
            question["id"].as_str().unwrap().clone_into(&mut after);
            seen.push(after.clone());
        }
        assert_eq!(page["total"], (round + 1) * 7);
    }
    seen.extend(
        app.get(&format!("/api/questions?limit=1000&after={after}")).await["questions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|question| question["id"].as_str().unwrap().to_owned()),
    );
    assert_eq!(seen.len(), 210);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 210);
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_the_questions_of_its_session_and_no_others() {
    let app = App::new();
    join_all((0..30).map(|n| app.ask(if n == 0 { "first" } else { "later" }))).await;
    app.storage
        .memory
        .put("current/questions/broken.json", Bytes::from("{"))
        .await
        .unwrap();
    let app = app.restarted();
    let questions = app.all_questions(7).await;
    assert_eq!((questions.len(), questions[0].as_str()), (30, "first"));
    app.gateway.configure(Show::quiz("tuesday"));
    assert_eq!(app.all_questions(7).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_is_said_and_the_next_try_works() {
    let app = App::new();
    app.storage.broken.store(true, Relaxed);
    let (status, reply) = app.ask("Is this on?").await;
    assert_eq!((status, &reply["code"]), (503, &json!("not-saved")));
    assert_eq!(app.send(Method::GET, "/api/questions", "").await.status(), 503);
    app.flip(Mode::Survey);
    assert_eq!(app.vote(1).await.0, 503);
    app.storage.broken.store(false, Relaxed);
    assert_eq!(app.vote(1).await.0, 201);
    app.flip(Mode::Quiz);
    assert_eq!(
        app.all_questions(10).await,
        Vec::<String>::new(),
        "what was refused is not on the list"
    );
    assert_eq!(app.ask("Is this on?").await.0, 200);
}

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
async fn the_survey_takes_what_is_within_its_limits() {
    let app = App::new();
    app.flip(Mode::Survey);
    for (number, (rating, company, feedback, expected)) in [
        (json!(1), "", String::new(), 201),
        (json!(5), "Underground Ltd", "ü".repeat(500), 201),
        (json!(5), "", "ü".repeat(501), 400),
        (json!(0), "", String::new(), 400),
        (json!(6), "", String::new(), 400),
        (json!(4.5), "", String::new(), 400),
        (json!("5"), "", String::new(), 400),
        (json!(-1), "", String::new(), 400),
        (json!(null), "", String::new(), 400),
        (json!(3), &"\u{1f687}".repeat(100), String::new(), 201),
        (json!(3), &"\u{1f687}".repeat(101), String::new(), 400),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"rating": rating, "company": company, "feedback": feedback, "browser": format!("browser-{number:08}")});
        let (status, reply) = app.post("/api/survey/submit", &body).await;
        assert_eq!(status, expected, "{body}: {reply}");
    }
    for browser in [
        "",
        "short",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "0123456789abcde/",
    ] {
        let (status, _) = app
            .post("/api/survey/submit", &json!({"rating": 5, "browser": browser}))
            .await;
        assert_eq!(status, 400, "for `{browser}`");
    }
    assert_eq!(app.storage.keys(key::RESPONSES).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_browser_votes_once_in_a_session_even_after_a_restart() {
    let app = App::new();
    app.flip(Mode::Survey);
    let (status, first) = app.vote(1).await;
    assert_eq!(status, 201);
    let (status, again) = app.vote(1).await;
    assert_eq!(
        (status, &again["code"], &again["id"]),
        (409, &json!("already-voted"), &first["id"])
    );
    let app = app.restarted();
    let (status, again) = app.vote(1).await;
    assert_eq!((status, &again["id"]), (409, &first["id"]));
    app.gateway.configure(Show {
        mode: Mode::Survey,
        ..Show::quiz("tuesday")
    });
    let (status, other) = app.vote(1).await;
    assert_eq!(status, 201);
    assert_ne!(other["id"], first["id"]);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_phones_vote_at_once_and_twice_and_each_counts_once() {
    let app = App::new();
    app.flip(Mode::Survey);
    let replies = join_all((0..1000).map(|number| app.vote(number % 500))).await;
    let taken = replies.iter().filter(|(status, _)| *status == 201).count();
    let refused = replies.iter().filter(|(status, _)| *status == 409).count();
    assert_eq!((taken, refused), (500, 500));
    let ids: BTreeSet<&str> = replies.iter().map(|(_, reply)| reply["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 500);
    assert_eq!(app.storage.keys(key::RESPONSES).await.len(), 500);
}

#[tokio::test(start_paused = true)]
async fn the_winners_are_ids_that_browsers_hold() {
    let app = App::new();
    app.flip(Mode::Survey);
    let replies = join_all((0..20).map(|number| app.vote(number))).await;
    let held: BTreeSet<&str> = replies.iter().map(|(_, reply)| reply["id"].as_str().unwrap()).collect();
    let before = app.get("/api/survey/winners").await;
    assert_eq!(before, json!({"sessionId": "monday", "picked": false, "winners": []}));

    let keys = app.storage.keys(key::RESPONSES).await;
    let winners = draw(keys.iter().filter_map(|key| key::response_id(key)), 2, 7);
    app.gateway.configure(Show {
        winners: Some(winners),
        ..app.gateway.show()
    });

    let reply = app.get("/api/survey/winners").await;
    let winners: Vec<&str> = reply["winners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_eq!(winners.len(), 2);
    assert!(
        winners.iter().all(|winner| held.contains(winner)),
        "{winners:?} of {held:?}"
    );
    let config = app.get("/api/config").await;
    assert_eq!(config["winnersPicked"], true);

    app.gateway.configure(Show {
        winners: Some(vec![ResponseId::of("monday", "x")]),
        ..app.gateway.show()
    });
    assert_ne!(
        app.get("/api/config").await["draw"],
        config["draw"],
        "a second draw can be told from the first"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_of_a_vote_is_what_was_said_and_nothing_more() {
    let app = App::new();
    app.flip(Mode::Survey);
    let body =
        json!({"rating": 4, "company": " Acme\u{7} ", "feedback": "", "browser": "0123456789abcdef", "email": "a@b.c"});
    let (_, reply) = app.post("/api/survey/submit", &body).await;
    let id = ResponseId::parse(reply["id"].as_str().unwrap()).unwrap();
    let stored = app.storage.memory.get(&key::response(&id)).await.unwrap().unwrap();
    let expected = StoredResponse {
        id,
        session: "monday".to_owned(),
        rating: 4,
        company: Some("Acme".to_owned()),
        feedback: None,
        submitted_at: app.clock.now(),
    };
    assert_eq!(serde_json::from_slice::<StoredResponse>(&stored).unwrap(), expected);
    let text = String::from_utf8(stored.to_vec()).unwrap();
    assert!(
        !text.contains("a@b.c") && !text.contains("0123456789abcdef\""),
        "{text}"
    );
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
async fn the_same_seed_gives_the_same_ids() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let app = App::new();
        let replies = join_all((0..5).map(|_| app.ask("Same?"))).await;
        ids.push(
            replies
                .into_iter()
                .map(|(_, reply)| reply["id"].clone())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(ids[0], ids[1]);
}
