//! A world for tests that speak to it at the wire.

use bytes::Bytes;
use jiff::Timestamp;

use crate::aws::later;
use crate::core::Core;
use crate::core::Origin;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Response;
use crate::core::Settings;

/// A world with one account and a clock that only the test moves.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The error code, where the protocol says it in a header.
    pub(crate) code: Option<String>,
    pub(crate) text: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::seeded(1)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let begins = "2026-03-01T09:00:00Z".parse().unwrap();
        let settings = Settings {
            seed,
            account: "123456789012".to_owned(),
            begins,
        };
        Self {
            core: Core::new(&settings),
            now: begins,
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = later(self.now, std::time::Duration::from_secs(seconds));
        self.core.advance(self.now);
    }

    /// Calls a form-encoded service in eu-west-1.
    pub(crate) fn form(&mut self, service: &str, body: &str) -> Answer {
        let request = signed(service)
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        self.send(request)
    }

    /// Calls a JSON service in eu-west-1.
    pub(crate) fn json(&mut self, service: &str, operation: &str, body: &str) -> Answer {
        let request = signed(service)
            .method("POST")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Service.{operation}"))
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        self.send(request)
    }

    /// Calls a service whose operation is in method and path.
    pub(crate) fn rest(&mut self, service: &str, method: &str, path: &str, body: &str) -> Answer {
        let request = signed(service)
            .method(method)
            .uri(format!("https://{service}.eu-west-1.amazonaws.com{path}"))
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        self.send(request)
    }

    /// Sends any request and gives all of its answer.
    pub(crate) fn reply(&mut self, request: Request) -> Response {
        match self.core.handle(self.now, &Origin::Outside, request) {
            Reply::Answer(response) => response,
            other => panic!("AWS and registries answer at once, not {other:?}"),
        }
    }

    /// Sends any request.
    pub(crate) fn send(&mut self, request: Request) -> Answer {
        let response = self.reply(request);
        let header = response.headers().get("x-amzn-errortype");
        Answer {
            status: response.status().as_u16(),
            code: header.map(|code| code.to_str().unwrap().to_owned()),
            text: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }
}

/// A request that is signed for a service in eu-west-1.
pub(crate) fn signed(service: &str) -> http::request::Builder {
    let scope = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/eu-west-1/{service}/aws4_request, x=y");
    http::Request::builder()
        .uri(format!("https://{service}.eu-west-1.amazonaws.com/"))
        .header("authorization", scope)
}

impl Answer {
    /// The answer, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.status < 300, "{}: {}", self.status, self.text);
        self
    }

    #[track_caller]
    pub(crate) fn has(&self, part: &str) {
        assert!(
            self.text.contains(part),
            "no `{part}` in {}: {}",
            self.status,
            self.text
        );
    }

    #[track_caller]
    pub(crate) fn lacks(&self, part: &str) {
        assert!(!self.text.contains(part), "`{part}` in {}: {}", self.status, self.text);
    }

    /// The answer must be this refusal.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        self.has(&format!("<Code>{code}</Code>"));
    }

    /// The answer must be this refusal of a JSON service.
    #[track_caller]
    pub(crate) fn refused_json(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        match &self.code {
            Some(found) => assert_eq!(found, code, "{}", self.text),
            None => self.has(&format!("\"__type\":\"{code}\"")),
        }
        self
    }

    /// The answer's body as JSON.
    #[track_caller]
    pub(crate) fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The text of the first element of a name.
    #[track_caller]
    pub(crate) fn element(&self, name: &str) -> &str {
        let all = self.elements(name);
        assert!(!all.is_empty(), "no <{name}> in {}: {}", self.status, self.text);
        all[0]
    }

    /// The texts of all elements of a name.
    pub(crate) fn elements(&self, name: &str) -> Vec<&str> {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let pieces = self.text.split(&start).skip(1);
        pieces.filter_map(|piece| piece.split(&end).next()).collect()
    }
}
