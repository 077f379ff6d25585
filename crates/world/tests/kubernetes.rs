//! What a real API server said, said again: 116 recorded exchanges, replayed in order against a cluster that has
//! nothing but an API server. What controllers did in between is in `controllers.jsonl`, as requests of theirs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::SignedDuration;
use regex::Regex;
use serde_json::Value;
use serde_json::json;
use tubectl_world::ControlPlane;
use tubectl_world::Core;
use tubectl_world::Origin;
use tubectl_world::Output;
use tubectl_world::Reply;
use tubectl_world::Request;
use tubectl_world::Settings;

const EXCHANGES: &str = include_str!("kubernetes/exchanges.jsonl");
const CONTROLLERS: &str = include_str!("kubernetes/controllers.jsonl");

/// The exchanges that differ, and why.
const DIFFERENT: &[(usize, &str)] = &[(107, "the version says which build answers, and this is another one")];

struct Replay {
    core: Core,
    /// What the recorded server drew or counted, and what this one did.
    instead: BTreeMap<String, String>,
}

impl Replay {
    fn new() -> Self {
        let settings = Settings {
            seed: 1,
            account: "123456789012".to_owned(),
            begins: "2026-11-22T17:11:35Z".parse().expect("a time that is right"),
        };
        Self {
            core: Core::with_cluster(&settings, "recorded", "1.35", ControlPlane::ApiServerOnly),
            instead: BTreeMap::new(),
        }
    }

    /// The text with the recorded server's names for things replaced by this one's.
    fn ours(&self, text: &str) -> String {
        let pairs = self.instead.iter();
        pairs.fold(text.to_owned(), |text, (recorded, ours)| text.replace(recorded, ours))
    }

    fn send(&mut self, exchange: &Value, manager: &str) -> (u16, Option<String>, Bytes) {
        let text = |field: &str| exchange[field].as_str().unwrap_or_default();
        let token = if exchange["status"] == 401 { "wrong" } else { "admin" };
        let body = match &exchange["request"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            object => self.ours(&object.to_string()),
        };
        let mut request = http::Request::builder()
            .method(text("method"))
            .uri(format!(
                "https://recorded.kubernetes.test{}",
                self.ours(text("path")).replace(' ', "%20")
            ))
            .header("authorization", format!("Bearer {token}"))
            .header("user-agent", manager);
        for (name, field) in [("accept", "accept"), ("content-type", "content_type")] {
            if let Some(value) = exchange[field].as_str() {
                request = request.header(name, value);
            }
        }
        let request: Request = request.body(Bytes::from(body)).expect("a recorded request");
        let now = self.core.now();
        match self.core.handle(now, &Origin::Outside, request) {
            Reply::Answer(response) => {
                let warning = response.headers().get("warning");
                let warning = warning.map(|value| value.to_str().expect("a warning is ASCII").to_owned());
                (response.status().as_u16(), warning, response.into_body())
            }
            Reply::Stream(response, ticket) => {
                let mut whole = response.body().to_vec();
                for output in self.core.advance(now) {
                    match output {
                        Output::Chunk(chunk, bytes) if chunk == ticket => whole.extend_from_slice(&bytes),
                        _ => {}
                    }
                }
                self.core.abandon(ticket);
                (response.status().as_u16(), None, whole.into())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Remembers what this server drew where the recorded one drew something else.
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        let pointers = ["/metadata/name", "/metadata/continue", "/spec/volumes/0/name"];
        for pointer in pointers {
            self.pair(recorded.pointer(pointer), ours.pointer(pointer));
        }
    }

    fn pair(&mut self, recorded: Option<&Value>, ours: Option<&Value>) {
        if let (Some(Value::String(recorded)), Some(Value::String(ours))) = (recorded, ours)
            && recorded != ours
        {
            self.instead.insert(recorded.clone(), ours.clone());
        }
    }
}

/// An answer without what no two servers agree on.
fn masked(value: &Value, field: &str) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (mask_text(name), masked(value, name)));
            fields.collect::<serde_json::Map<String, Value>>().into()
        }
        Value::Array(list) => list.iter().map(|item| masked(item, field)).collect(),
        Value::String(text) => match field {
            "uid" => json!("UID"),
            "resourceVersion" => json!("RV"),
            "continue" => json!("TOKEN"),
            "serverAddress" => json!("HOST:PORT"),
            _ => json!(mask_text(text)),
        },
        Value::Number(_) if field == "nodePort" => json!("PORT"),
        other => other.clone(),
    }
}

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"\b(10|172)\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\bgen-[a-z0-9]{5}\b", "gen-SUFFIX"),
        (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-SUFFIX"),
        (r"^\d+s$", "AGE"),
    ];
    masks
        .map(|(pattern, mask)| (Regex::new(pattern).expect("a pattern that is right"), mask))
        .into()
});

fn mask_text(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, mask)| {
        pattern.replace_all(&text, *mask).into_owned()
    })
}

fn body_of(bytes: &[u8], recorded: &Value) -> Value {
    if recorded.get("lines").is_some() {
        let text = String::from_utf8(bytes.to_vec()).expect("lines of text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        return Value::Array(lines.collect());
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes)))
}

fn recorded_body(exchange: &Value) -> Value {
    match exchange.get("lines").and_then(Value::as_array) {
        Some(lines) => lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line.as_str().expect("a line is text")).expect("a line is JSON"))
            .collect(),
        None => exchange["response"].clone(),
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// The first places where two values differ.
fn differences(recorded: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                let none = Value::Null;
                match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => differences(left, right, &format!("{at}/{name}"), found),
                    (left, right) => found.push(format!(
                        "{at}/{name}: recorded {} ours {}",
                        left.unwrap_or(&none),
                        right.unwrap_or(&none)
                    )),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(left, right, &format!("{at}/{index}"), found);
            }
        }
        _ if recorded == ours => {}
        _ => found.push(format!("{at}: recorded {recorded} ours {ours}")),
    }
}

#[test]
fn every_recorded_exchange_is_answered_as_the_real_server_answered_it() {
    let mut replay = Replay::new();
    let exchanges = lines(EXCHANGES);
    let controllers = lines(CONTROLLERS);
    assert_eq!(exchanges.len(), 116);
    let mut wrong = Vec::new();
    for (index, exchange) in exchanges.iter().enumerate() {
        for step in controllers.iter().filter(|step| step["before"] == index) {
            let wait = SignedDuration::from_secs(step["after_seconds"].as_i64().unwrap_or(0));
            replay.core.advance(replay.core.now() + wait);
            let (status, _, body) = replay.send(step, step["manager"].as_str().unwrap());
            assert!(
                status < 300,
                "a controller before {index}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        let (status, warning, bytes) = replay.send(exchange, "recorder");
        let ours = body_of(&bytes, exchange);
        let recorded = recorded_body(exchange);
        replay.learn(&recorded, &ours);
        if index == 19 {
            let known = exchanges[20]["request"]["metadata"].clone();
            replay.pair(known.get("uid"), ours.pointer("/metadata/uid"));
            replay.pair(known.get("resourceVersion"), ours.pointer("/metadata/resourceVersion"));
        }
        let mut found = Vec::new();
        if exchange["status"] != status {
            found.push(format!("status: recorded {} ours {status}", exchange["status"]));
        }
        if exchange["warning"].as_str() != warning.as_deref() {
            found.push(format!("warning: recorded {} ours {warning:?}", exchange["warning"]));
        }
        differences(&masked(&recorded, ""), &masked(&ours, ""), "", &mut found);
        let expected = DIFFERENT.iter().any(|(number, _)| *number == index);
        if found.is_empty() == expected {
            let about = exchange["about"].as_str().unwrap();
            wrong.push(format!("{index} {about}\n    {}", found.join("\n    ")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} exchanges differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
