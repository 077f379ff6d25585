//! Services whose operation is in method and path: EKS with JSON, S3 with XML.

pub(crate) mod eks;
pub(super) mod s3;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::query;
use crate::aws::xml::Xml;
use crate::core::Request;
use crate::core::Response;

/// The segments of a request's path, decoded.
pub(super) fn segments(request: &Request) -> Vec<String> {
    let path = request.uri().path().trim_matches('/');
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect()
}

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, output: &impl Serialize) -> Response {
    let text = serde_json::to_string(output).expect("an answer is plain data with text keys");
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A refusal as EKS gives it: the code in a header, the message in the body.
pub(super) fn refuse_json(refusal: &Refusal, _: &Call<'_>) -> Response {
    let body = json!({ "message": refusal.message });
    let mut response = json_answer(refusal.status, &body);
    if let Ok(code) = HeaderValue::from_str(&refusal.code) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

/// A refusal as S3 gives it; a `HEAD` has no body to say it in.
pub(super) fn refuse_xml(refusal: &Refusal, call: &Call<'_>) -> Response {
    let mut inner = Xml::new();
    inner
        .text("Code", &refusal.code)
        .text("Message", &refusal.message)
        .text("RequestId", &call.id);
    let mut response = query::xml_response(refusal.status, &Xml::document("Error", "", &inner));
    if call.request.method() == http::Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    response
}
