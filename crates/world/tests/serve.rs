//! The world behind a socket, and on disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tubectl_clock::Clock;
use tubectl_world::ControlPlane;
use tubectl_world::Core;
use tubectl_world::Settings;
use tubectl_world::connect::Body;
use tubectl_world::connect::Connector;
use tubectl_world::connect::Gone;
use tubectl_world::connect::Programs;
use tubectl_world::connect::World;
use tubectl_world::serve::CONTROL_HOST;
use tubectl_world::serve::Ended;
use tubectl_world::serve::Options;
use tubectl_world::serve::serve;
use tubectl_world::snapshot::Store;

fn settings() -> Settings {
    Settings {
        seed: 1,
        account: "123456789012".to_owned(),
        begins: "2026-03-01T09:00:00Z".parse().expect("a time that is right"),
    }
}

async fn start(world: World, idle: Option<Duration>) -> (SocketAddr, JoinHandle<Ended>) {
    start_by(Clock::real(), world, idle).await
}

/// Starts a daemon that measures its idleness by this clock.
async fn start_by(real: Clock, world: World, idle: Option<Duration>) -> (SocketAddr, JoinHandle<Ended>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let options = Options {
        ports: watch::Sender::new(BTreeMap::new()),
        idle,
        real,
    };
    let served = tokio::spawn(async move { serve(&world, listener, options).await });
    (address, served)
}

fn in_memory() -> World {
    let settings = settings();
    World::new(
        Core::new(&settings),
        Clock::starting_at(settings.begins),
        Programs::default(),
    )
}

fn on_disk(folder: &Path) -> (World, bool) {
    let restored = Store::open(folder, &settings()).expect("a folder to write in");
    let clock = Clock::starting_at(restored.core.now());
    let world = World::stored(restored.core, restored.store, clock, Programs::default());
    (world, restored.torn)
}

fn signed(service: &str, target: &str, body: &str) -> http::Request<Bytes> {
    let scope = format!("AWS4-HMAC-SHA256 Credential=AKID/20260301/eu-west-1/{service}/aws4_request, x=y");
    http::Request::post(format!("https://{service}.eu-west-1.amazonaws.com/"))
        .header("authorization", scope)
        .header("x-amz-target", target)
        .body(Bytes::from(body.to_owned()))
        .expect("a request that is right")
}

async fn send(connector: &Connector, request: http::Request<Bytes>) -> (u16, String) {
    let response = connector.send(request).await.expect("the world answers");
    let status = response.status().as_u16();
    let text = response.into_body().whole().await;
    (status, String::from_utf8(text.to_vec()).expect("the answer is text"))
}

async fn control(connector: &Connector, method: &str, path: &str, body: &str) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://{CONTROL_HOST}{path}"))
        .body(Bytes::from(body.to_owned()))
        .expect("a request that is right");
    let (status, text) = send(connector, request).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("the answer is JSON")
}

#[tokio::test]
async fn production_urls_reach_the_world_through_its_port() {
    let (address, served) = start(in_memory(), None).await;
    let connector = Connector::to_daemon(address);
    let (status, _) = send(
        &connector,
        signed("logs", "Logs.CreateLogGroup", r#"{"logGroupName": "a"}"#),
    )
    .await;
    assert_eq!(status, 200);
    let (_, found) = send(&connector, signed("logs", "Logs.DescribeLogGroups", "{}")).await;
    assert!(found.contains(r#""logGroupName":"a""#), "{found}");
    let chart = http::Request::get("https://kedify.github.io/charts/index.yaml")
        .body(Bytes::new())
        .unwrap();
    let (status, index) = send(&connector, chart).await;
    assert!(status == 200 && index.contains("keda"), "{index}");
    let inventory = control(&connector, "GET", "/inventory", "").await;
    assert_eq!(inventory["logs/group"][0], "a");
    control(&connector, "POST", "/stop", "").await;
    assert_eq!(served.await.unwrap(), Ended::Stopped);
    let gone = connector
        .send(signed("logs", "Logs.DescribeLogGroups", "{}"))
        .await
        .unwrap_err();
    assert!(matches!(gone, Gone::Unreachable { .. }), "{gone}");
}

#[tokio::test]
async fn whoever_comes_through_a_clusters_door_without_a_token_runs_the_world() {
    let settings = settings();
    let core = Core::with_cluster(&settings, "doors", "1.34", ControlPlane::ApiServerOnly);
    let world = World::new(core, Clock::starting_at(settings.begins), Programs::default());
    let (address, _served) = start(world, None).await;
    let main = Connector::to_daemon(address);
    let mut found = None;
    for _ in 0..1000 {
        let status = control(&main, "GET", "/status", "").await;
        found = status["doors"]["doors.kubernetes.test"].as_u64();
        if found.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let door = u16::try_from(found.expect("the cluster has a door")).expect("a port");
    let ask = |token: Option<&str>| {
        let request = http::Request::get(format!("http://127.0.0.1:{door}/api/v1/namespaces"));
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        request.body(Bytes::new()).expect("a request that is right")
    };
    let through = Connector::to_daemon(SocketAddr::from(([127, 0, 0, 1], door)));
    assert_eq!(send(&through, ask(None)).await.0, 200);
    assert_eq!(send(&through, ask(Some("wrong"))).await.0, 401);
    let elsewhere = http::Request::get("https://doors.kubernetes.test/api/v1/namespaces");
    assert_eq!(send(&main, elsewhere.body(Bytes::new()).unwrap()).await.0, 401);
}

#[tokio::test]
async fn the_daemon_tells_its_time_and_changes_its_speed() {
    let (address, _served) = start(in_memory(), None).await;
    let connector = Connector::to_daemon(address);
    let status = control(&connector, "GET", "/status", "").await;
    assert_eq!(
        (&status["clock"]["speed"], &status["empty"]),
        (&Value::from(1.0), &Value::from(true))
    );
    let clock = control(&connector, "PUT", "/clock", r#"{"speed": 60}"#).await;
    assert_eq!(clock["speed"], 60.0);
}

/// Asks until the time passes at a speed; gives up when the daemon was asked often enough for anything.
async fn until_speed(connector: &Connector, speed: f64) {
    for _ in 0..10_000 {
        if control(connector, "GET", "/clock", "").await["speed"] == speed {
            return;
        }
    }
    panic!("time never passed at speed {speed}");
}

async fn visit(connector: &Connector, wish: &str) -> Body {
    let request = http::Request::post(format!("http://{CONTROL_HOST}/visit"));
    let request = request
        .body(Bytes::from(wish.to_owned()))
        .expect("a request that is right");
    let response = connector.send(request).await.expect("the world answers");
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test]
async fn a_wished_speed_lasts_as_long_as_whoever_wished_it() {
    let (address, _served) = start(in_memory(), None).await;
    let [first, second] = [(); 2].map(|()| Connector::to_daemon(address));
    let hurried = visit(&first, r#"{"speed": 60}"#).await;
    assert!((first.clock().speed() - 60.0).abs() < f64::EPSILON);
    // Whoever only looks, and whoever sets the world's own speed, changes nothing for the one who is at work.
    let looking = visit(&second, "{}").await;
    let clock = control(&second, "PUT", "/clock", r#"{"speed": 10}"#).await;
    assert_eq!(clock["speed"], 60.0);
    drop(looking);
    assert_eq!(control(&second, "GET", "/clock", "").await["speed"], 60.0);
    drop(hurried);
    until_speed(&second, 10.0).await;
}

#[tokio::test]
async fn clients_follow_the_clock_of_the_world() {
    let (address, _served) = start(in_memory(), None).await;
    let [first, second] = [(); 2].map(|()| Connector::to_daemon(address));
    control(&first, "GET", "/clock", "").await;
    let (clock, begins) = (first.clock(), settings().begins);
    assert!(clock.since(begins) < Duration::from_secs(5) && clock.now() >= begins);
    control(&second, "PUT", "/clock", r#"{"speed": 3600}"#).await;
    control(&first, "GET", "/clock", "").await;
    assert!((clock.speed() - 3600.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_unsound_speed_is_refused() {
    let (address, _served) = start(in_memory(), None).await;
    let connector = Connector::to_daemon(address);
    for (method, path) in [("PUT", "/clock"), ("POST", "/visit")] {
        for speed in ["0", "-1", "1e300", "\"fast\""] {
            let request = http::Request::builder()
                .method(method)
                .uri(format!("http://{CONTROL_HOST}{path}"));
            let body = Bytes::from(format!(r#"{{"speed": {speed}}}"#));
            let (status, text) = send(&connector, request.body(body).unwrap()).await;
            assert_eq!(status, 400, "{method} {path} {speed}: {text}");
        }
    }
    assert_eq!(control(&connector, "GET", "/clock", "").await["speed"], 1.0);
}

#[tokio::test]
async fn a_world_with_a_visitor_does_not_end_for_want_of_calls() {
    let idle = Duration::from_millis(50);
    let (address, mut served) = start(in_memory(), Some(idle)).await;
    let connector = Connector::to_daemon(address);
    let visiting = visit(&connector, "{}").await;
    let waited = Clock::real().timeout(idle * 6, &mut served).await;
    assert!(waited.is_err(), "the world ended under its visitor");
    drop(visiting);
    assert_eq!(served.await.unwrap(), Ended::Idle);
}

#[tokio::test]
async fn a_visitor_is_told_when_the_world_ends() {
    let (address, served) = start(in_memory(), None).await;
    let connector = Connector::to_daemon(address);
    let visiting = visit(&connector, "{}").await;
    control(&connector, "POST", "/stop", "").await;
    assert_eq!(visiting.whole().await, "");
    assert_eq!(served.await.unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn a_world_ends_by_itself_when_it_is_empty_and_nobody_has_called_for_a_minute() {
    let hasty = Clock::real().at_speed(1000.0);
    let minute = Duration::from_secs(60);
    let group = r#"{"logGroupName": "a"}"#;
    let world = in_memory();
    send(&world.connector(), signed("logs", "Logs.CreateLogGroup", group)).await;
    let (address, served) = start_by(hasty, world, Some(minute)).await;
    let connector = Connector::to_daemon(address);
    hasty.sleep(3 * minute).await;
    let status = control(&connector, "GET", "/status", "").await;
    assert_eq!(status["empty"], false, "what is not empty stays");
    let called = hasty.now();
    send(&connector, signed("logs", "Logs.DeleteLogGroup", group)).await;
    assert_eq!(served.await.unwrap(), Ended::Idle);
    assert!(hasty.since(called) >= minute, "it ended before its time");
}

#[tokio::test]
async fn an_answer_that_is_whole_keeps_its_length() {
    let (address, _served) = start(in_memory(), None).await;
    let connector = Connector::to_daemon(address);
    let list = signed("ecr", "Ecr.DescribeRepositories", "{}");
    let response = connector.send(list).await.unwrap();
    assert!(matches!(response.body(), Body::Whole(_)));
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let created = {
        let (world, _) = on_disk(folder.path());
        let connector = world.connector();
        let (_, first) = send(&connector, signed("kms", "Kms.CreateKey", "{}")).await;
        // Reading in between must not disturb what is drawn after.
        send(&connector, signed("kms", "Kms.ListKeys", "{}")).await;
        let (_, second) = send(&connector, signed("kms", "Kms.CreateKey", "{}")).await;
        // The world is dropped without a word, as by `kill -9`.
        [first, second].map(|text| serde_json::from_str::<Value>(&text).unwrap()["KeyMetadata"]["KeyId"].clone())
    };
    let (world, torn) = on_disk(folder.path());
    assert!(!torn);
    let inventory = world.look(Core::inventory);
    for id in created {
        assert!(
            inventory["kms/key"].iter().any(|known| id == known.as_str()),
            "{id}: {inventory:?}"
        );
    }
}

#[tokio::test]
async fn a_line_that_was_cut_short_is_told_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _) = on_disk(folder.path());
    for name in ["a", "b"] {
        let body = format!(r#"{{"logGroupName": "{name}"}}"#);
        send(&world.connector(), signed("logs", "Logs.CreateLogGroup", &body)).await;
    }
    let log = folder.path().join("world.log");
    let text = std::fs::read(&log).unwrap();
    std::fs::write(&log, &text[..text.len() - 10]).unwrap();
    let (world, torn) = on_disk(folder.path());
    assert!(torn);
    assert_eq!(world.look(Core::inventory)["logs/group"], ["a"]);
}

#[tokio::test]
async fn damage_and_a_later_format_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _) = on_disk(folder.path());
    send(
        &world.connector(),
        signed("logs", "Logs.CreateLogGroup", r#"{"logGroupName": "a"}"#),
    )
    .await;
    let log = folder.path().join("world.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, format!("not a line\n{text}")).unwrap();
    let error = Store::open(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains("damaged at line 1"), "{error}");
    let nobody = text.replacen("\"method\":\"POST\"", "\"method\":\"PO ST\"", 1);
    assert_ne!(nobody, text);
    std::fs::write(&log, nobody).unwrap();
    let error = Store::open(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains("damaged at line 1"), "{error}");
    std::fs::write(folder.path().join("world.json"), r#"{"format": 99}"#).unwrap();
    let error = Store::open(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains("has format 99"), "{error}");
}
