//! Questions: asking, listing, and what neither a slow model nor a restart loses.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use http::Request;
use serde_json::Value;
use serde_json::json;
use tubectl_clock::Clock;
use tubectl_gateway::Mode;
use tubectl_gateway::Show;
use tubectl_gateway::Storage as _;
use tubectl_gateway::StoredQuestion;
use tubectl_gateway::key;

use crate::app::App;
use crate::app::ModelAnswer;
use crate::app::said;
use crate::app::status;

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
