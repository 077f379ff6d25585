//! What a run sends, how much of it and for how long.

use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Uri;
use http::header::CONTENT_TYPE;
use thiserror::Error;

use crate::shape::Shape;

/// A load to be sent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many users or arrivals, when.
    pub shape: Shape,
    /// How many requests one iteration sends at the same time.
    pub amplification: NonZeroU32,
    /// The most requests that are under way at once; what exceeds it waits, and its waiting counts as latency.
    pub max_in_flight: NonZeroUsize,
    /// When a user asks again.
    pub pace: Pace,
    /// After how long a request is given up and counted as failed.
    pub timeout: Duration,
    /// How long requests under way may still finish once the shape is over.
    pub graceful_stop: Duration,
    /// Where the requests go and what they ask for.
    pub target: Target,
}

/// When a user of a closed loop begins the next iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So long after the last one was answered: people who think.
    Pause(Duration),
    /// On a fixed beat: an iteration that overruns makes the next one late, and its lateness counts as latency.
    Every(Duration),
}

/// An OpenAI-compatible model service, and the list of what its audience asks.
#[derive(Clone, Debug)]
pub struct Target {
    completions: Uri,
    questions: Option<Uri>,
    model: String,
    /// The most tokens an answer may have.
    pub max_tokens: u32,
}

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Not an address with a scheme and a host.
    #[error("`{0}` is not an address like `http://host:8000`")]
    Address(String),
}

impl Plan {
    /// A plan without amplification, with a second's pause, a minute's timeout and half a minute's graceful stop.
    pub fn new(shape: Shape, target: Target) -> Self {
        Self {
            shape,
            amplification: NonZeroU32::MIN,
            max_in_flight: NonZeroUsize::MIN.saturating_add(999),
            pace: Pace::Pause(Duration::from_secs(1)),
            timeout: Duration::from_mins(1),
            graceful_stop: Duration::from_secs(30),
            target,
        }
    }
}

impl Target {
    /// The chat completions of the service at `base`, answered by `model`: the name under which it is deployed.
    pub fn new(base: &str, model: &str) -> Result<Self, PlanError> {
        Ok(Self {
            completions: address(base, "/v1/chat/completions")?,
            questions: None,
            model: model.to_owned(),
            max_tokens: 100,
        })
    }

    /// Asks what the audience of the app at `base` asks, instead of the default questions.
    pub fn with_audience(mut self, base: &str) -> Result<Self, PlanError> {
        self.questions = Some(address(base, "/api/questions")?);
        Ok(self)
    }

    pub(crate) fn has_audience(&self) -> bool {
        self.questions.is_some()
    }

    /// The body that asks one question.
    pub(crate) fn body(&self, question: &str) -> Bytes {
        let body = serde_json::json!({
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self.max_tokens,
            "temperature": 0.7,
        });
        Bytes::from(body.to_string())
    }

    /// The request that carries a body.
    pub(crate) fn ask(&self, body: Bytes) -> Request<Bytes> {
        let mut request = Request::post(self.completions.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .expect("the address was checked and the header is a constant");
        request
            .headers_mut()
            .insert(http::header::USER_AGENT, http::HeaderValue::from_static("tubectl-load"));
        request
    }

    /// The request for a page of the audience's questions.
    pub(crate) fn list(&self, query: &str) -> Option<Request<Bytes>> {
        let uri: Uri = format!("{}?{query}", self.questions.as_ref()?).parse().ok()?;
        Request::get(uri).body(Bytes::new()).ok()
    }
}

fn address(base: &str, path: &str) -> Result<Uri, PlanError> {
    let wrong = || PlanError::Address(base.to_owned());
    let uri: Uri = format!("{}{path}", base.trim_end_matches('/'))
        .parse()
        .map_err(|_| wrong())?;
    if uri.host().is_none_or(str::is_empty) || uri.scheme().is_none() {
        return Err(wrong());
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_names_the_deployed_model() {
        let target = Target::new("http://vllm.default.svc:8000/", "mistral-7b-awq").unwrap();
        let request = target.ask(target.body("Mind the gap?"));
        assert_eq!(request.uri(), "http://vllm.default.svc:8000/v1/chat/completions");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["model"], "mistral-7b-awq");
        assert_eq!(body["messages"][0]["content"], "Mind the gap?");
        assert_eq!(body["max_tokens"], 100);
    }

    #[test]
    fn an_address_without_scheme_or_host_is_refused() {
        for base in ["", "vllm:8000", "/api", "http://", "http://a b"] {
            assert_eq!(
                Target::new(base, "m").unwrap_err(),
                PlanError::Address(base.to_owned()),
                "for `{base}`"
            );
        }
    }
}
