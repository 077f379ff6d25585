//! The survey and its winners.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use tubectl_gateway::Mode;
use tubectl_gateway::ResponseId;
use tubectl_gateway::Show;
use tubectl_gateway::Storage as _;
use tubectl_gateway::StoredResponse;
use tubectl_gateway::draw;
use tubectl_gateway::key;

use crate::app::App;

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
