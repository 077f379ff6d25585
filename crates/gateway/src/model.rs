//! The model server: asking it a question, and passing on what others ask it.

use std::fmt;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use http::Response;
use http::Uri;
use http::header::ACCEPT;
use http::header::CONTENT_TYPE;
use http::uri::Authority;
use http::uri::Scheme;
use serde::Deserialize;
use tubectl_clock::Clock;
use tubectl_clock::Elapsed;

use crate::counters::Counters;
use crate::counters::Outcome;
use crate::counters::Source;
use crate::reply::Refusal;

/// The way to the model server: whatever turns a request into a response.
#[derive(Clone)]
pub struct Upstream {
    send: Arc<dyn Fn(Request<Bytes>) -> Answer + Send + Sync>,
}

type Answer = BoxFuture<'static, Result<Response<Bytes>, String>>;

/// A person waits no longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A program does.
const PROXY_TIMEOUT: Duration = Duration::from_mins(2);
/// A few sentences fit on a phone.
const MOST_TOKENS: u32 = 75;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    TimedOut,
    Unreachable,
    Refused,
    Unreadable,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

impl Upstream {
    /// Wraps an async function.
    pub fn new<F, E>(send: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response<Bytes>, E>> + Send + 'static,
        E: Display,
    {
        Self {
            send: Arc::new(move |request| {
                send(request)
                    .map(|answer| answer.map_err(|error| error.to_string()))
                    .boxed()
            }),
        }
    }

    /// Asks one question and reads the answer out of what comes back.
    pub(crate) async fn ask(
        &self,
        server: &Authority,
        model: &str,
        question: &str,
        clock: &Clock,
        counters: &Counters,
    ) -> Result<String, NoAnswer> {
        // No system message: the chat template of several models refuses one.
        let body = serde_json::json!({
            "model": model,
            "messages": [{"role": "user", "content": format!("Answer in at most two short sentences. {question}")}],
            "max_tokens": MOST_TOKENS,
            "temperature": 0.8,
        });
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = address(server, "/v1/chat/completions");
        request
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let counted = counters.complete(Source::Question);
        let (outcome, answer) = match clock.timeout(PATIENCE, (self.send)(request)).await {
            Err(Elapsed) => (Outcome::TimedOut, Err(NoAnswer::TimedOut)),
            Ok(Err(_)) => (Outcome::Failed, Err(NoAnswer::Unreachable)),
            Ok(Ok(response)) if !response.status().is_success() => (Outcome::Failed, Err(NoAnswer::Refused)),
            Ok(Ok(response)) => (
                Outcome::Answered,
                read_answer(response.body()).ok_or(NoAnswer::Unreadable),
            ),
        };
        counted.end(outcome);
        answer
    }

    /// Passes a request on and its answer back, whatever its status.
    pub(crate) async fn pass_on(
        &self,
        server: &Authority,
        request: Request<Bytes>,
        clock: &Clock,
        counters: &Counters,
    ) -> Result<Response<Bytes>, Refusal> {
        let (parts, body) = request.into_parts();
        let mut onward = Request::new(body);
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = address(server, parts.uri.path());
        for name in [CONTENT_TYPE, ACCEPT] {
            if let Some(value) = parts.headers.get(&name) {
                onward.headers_mut().insert(name, value.clone());
            }
        }
        let counted = counters.complete(Source::Proxy);
        let answer = clock.timeout(PROXY_TIMEOUT, (self.send)(onward)).await;
        counted.end(match &answer {
            Err(Elapsed) => Outcome::TimedOut,
            Ok(Ok(response)) if response.status().is_success() => Outcome::Answered,
            Ok(_) => Outcome::Failed,
        });
        let answer = answer.map_err(|Elapsed| Refusal::TimedOut {
            seconds: PROXY_TIMEOUT.as_secs(),
        })?;
        let (answered, body) = answer.map_err(|_| Refusal::Unreachable)?.into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = answered.status;
        if let Some(value) = answered.headers.get(CONTENT_TYPE) {
            response.headers_mut().insert(CONTENT_TYPE, value.clone());
        }
        Ok(response)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

impl NoAnswer {
    /// What the person who asked is told.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::TimedOut => {
                "The line is very busy and the answer is delayed. Your question is on board and still counts."
            }
            Self::Unreachable | Self::Refused => {
                "The model is not running at this moment. Your question is on board and still counts."
            }
            Self::Unreadable => {
                "The model mumbled and nobody understood it. Your question is on board and still counts."
            }
        }
    }
}

fn address(server: &Authority, path: &str) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(server.clone());
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).expect("scheme, authority and a path of the route table make an address")
}

fn read_answer(body: &[u8]) -> Option<String> {
    let completion: Completion = serde_json::from_slice(body).ok()?;
    let answer = without_thoughts(&completion.choices.into_iter().next()?.message.content);
    (!answer.is_empty()).then_some(answer)
}

/// Takes out what a reasoning model says to itself between `<think>` and `</think>`.
fn without_thoughts(text: &str) -> String {
    let mut said = String::new();
    let mut rest = text;
    // Some templates open the thought in the prompt, so that only its end is in the answer.
    if let Some((_, after)) = rest
        .split_once("</think>")
        .filter(|(thought, _)| !thought.contains("<think>"))
    {
        rest = after;
    }
    while let Some((before, thought)) = rest.split_once("<think>") {
        said.push_str(before);
        rest = thought.split_once("</think>").map_or("", |(_, after)| after);
    }
    said.push_str(rest);
    said.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_not_spoken() {
        for (text, expected) in [
            ("Mind the gap.", "Mind the gap."),
            ("<think>hm</think> Mind the gap.", "Mind the gap."),
            ("hm</think>Mind the gap.", "Mind the gap."),
            ("Mind<think>a</think> the<think>b</think> gap.", "Mind the gap."),
            ("Mind the gap.<think>is it", "Mind the gap."),
            ("<think>only thoughts", ""),
        ] {
            assert_eq!(without_thoughts(text), expected, "for `{text}`");
        }
    }

    #[test]
    fn an_answer_is_read_only_from_a_completion_that_says_something() {
        for (body, expected) in [
            (r#"{"choices":[{"message":{"content":" Yes. "}}]}"#, Some("Yes.")),
            (r#"{"choices":[{"message":{"content":"  "}}]}"#, None),
            (r#"{"choices":[]}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(read_answer(body.as_bytes()).as_deref(), expected, "for `{body}`");
        }
    }
}
