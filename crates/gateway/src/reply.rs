//! Answers: JSON, and refusals that say what to do next.

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header::ALLOW;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::record::ResponseId;
use crate::show::Mode;

/// A request that was not done, and why.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("there is nothing at `{path}`; the page is at `/`")]
    NotFound { path: String },
    #[error("`{path}` takes {allowed} only; send the request with that method")]
    WrongMethod { path: &'static str, allowed: Method },
    #[error("the body is larger than {limit} bytes; send less")]
    TooLarge { limit: usize },
    #[error("the body cannot be read: {problem}; send JSON like {example}")]
    Unreadable { problem: String, example: &'static str },
    #[error("`limit` is `{value}`; give a whole number from 1 to {most}")]
    Limit { value: String, most: usize },
    #[error("{0}")]
    Field(FieldProblem),
    #[error("this is not the time for {what}: the show is in mode `{mode}`; reload the page")]
    WrongMode { what: &'static str, mode: Mode },
    #[error("this browser has already voted in this session; nothing needs to be done")]
    AlreadyVoted { id: ResponseId },
    #[error("this session has taken as many questions as it can; listen to the talk for a while")]
    Full,
    #[error("{what} could not be saved; send it again in a moment")]
    NotSaved { what: &'static str },
    #[error("the questions could not be read from the storage; ask again in a moment")]
    NotLoaded,
    #[error("the model server cannot be reached; try again in a moment")]
    Unreachable,
    #[error("the model server did not answer within {seconds} seconds; try again when it is less busy")]
    TimedOut { seconds: u64 },
}

/// What is wrong with something that was typed.
#[derive(Debug, Error)]
pub(crate) enum FieldProblem {
    #[error("the {field} is empty; type something first")]
    Empty { field: &'static str },
    #[error("the {field} has {length} characters; shorten it to {most}")]
    TooLong {
        field: &'static str,
        length: usize,
        most: usize,
    },
    #[error("the rating is not a whole number from 1 to 5; choose one of them")]
    Rating,
    #[error("`browser` is not 16 to 64 letters, digits or dashes; send the random text that the page keeps")]
    Browser,
}

#[derive(Serialize)]
struct Problem<'a> {
    code: &'a str,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a ResponseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreadable { .. } | Self::Limit { .. } | Self::Field(_) => StatusCode::BAD_REQUEST,
            Self::WrongMode { .. } | Self::AlreadyVoted { .. } => StatusCode::CONFLICT,
            Self::Full | Self::NotSaved { .. } | Self::NotLoaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::WrongMethod { .. } => "wrong-method",
            Self::TooLarge { .. } => "too-large",
            Self::Unreadable { .. } => "unreadable",
            Self::Limit { .. } | Self::Field(_) => "invalid",
            Self::WrongMode { .. } => "wrong-mode",
            Self::AlreadyVoted { .. } => "already-voted",
            Self::Full => "full",
            Self::NotSaved { .. } => "not-saved",
            Self::NotLoaded => "not-loaded",
            Self::Unreachable => "unreachable",
            Self::TimedOut { .. } => "timed-out",
        }
    }

    pub(crate) fn to_response(&self) -> Response<Bytes> {
        let id = if let Self::AlreadyVoted { id } = self {
            Some(id)
        } else {
            None
        };
        let mode = if let Self::WrongMode { mode, .. } = self {
            Some(*mode)
        } else {
            None
        };
        let status = self.status();
        let mut response = json(
            status,
            &Problem {
                code: self.code(),
                error: self.to_string(),
                id,
                mode,
            },
        );
        let headers = response.headers_mut();
        if let Self::WrongMethod { allowed, .. } = self {
            headers.insert(
                ALLOW,
                HeaderValue::from_str(allowed.as_str()).expect("a method is plain text"),
            );
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// Any value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    encoded(status, encode(value))
}

/// A value's JSON.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("what is sent has string keys and finite numbers"))
}

/// JSON that was encoded before.
pub(crate) fn encoded(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = typed(status, "application/json", body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A body of a content type.
pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Reads a JSON body, or says what it should look like.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], example: &'static str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Unreadable {
        problem: error.to_string(),
        example,
    })
}

/// What was typed, without control characters and space around it; counted in characters, not bytes.
pub(crate) fn clean(text: &str, field: &'static str, most: usize) -> Result<String, Refusal> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    let length = text.chars().count();
    if length > most {
        return Err(Refusal::Field(FieldProblem::TooLong { field, length, most }));
    }
    Ok(text.to_owned())
}
