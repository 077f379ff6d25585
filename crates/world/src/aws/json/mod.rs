//! Services that speak JSON 1.0 or 1.1 with the operation in `X-Amz-Target`.
//!
//! An operation reads its input with [`input`] into a type with `#[serde(deny_unknown_fields)]`, which is how unknown
//! members are refused, and answers with [`answer`].

pub(crate) mod ecr;
pub(crate) mod events;
pub(super) mod kms;
pub(super) mod logs;
pub(super) mod sqs;
pub(crate) mod tags;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::core::Request;
use crate::core::Response;

/// The operation that the target header names: what follows the last dot.
pub(super) fn operation_of(request: &Request) -> Option<String> {
    let target = request.headers().get("x-amz-target")?.to_str().ok()?;
    target.rsplit('.').next().map(str::to_owned)
}

/// A call's input; a member that the type does not know is refused.
pub(super) fn input<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Refusal> {
    read(call.request.body())
}

/// Reads a JSON body; an empty one is an empty structure.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::new("ValidationException", error.to_string()))
}

/// An answer. The content type repeats the request's, which names the version of the protocol.
pub(super) fn answer(call: &Call<'_>, output: &impl Serialize) -> Response {
    let text = serde_json::to_string(output).expect("an answer is plain data with text keys");
    response(StatusCode::OK, call, text)
}

/// A refusal in this protocol.
pub(super) fn refuse(refusal: &Refusal, call: &Call<'_>) -> Response {
    let body = json!({ "__type": refusal.code, "message": refusal.message });
    response(refusal.status, call, body.to_string())
}

fn response(status: StatusCode, call: &Call<'_>, text: String) -> Response {
    let kind = call.request.headers().get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/x-amz-json-1.1"));
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
