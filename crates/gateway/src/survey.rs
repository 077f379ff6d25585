//! The survey: one vote for each browser and session, and who won.

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::gateway::Gateway;
use crate::record::ResponseId;
use crate::record::StoredResponse;
use crate::record::key;
use crate::reply::FieldProblem;
use crate::reply::Refusal;
use crate::reply::clean;
use crate::reply::encode;
use crate::reply::json;
use crate::reply::read;
use crate::show::Mode;

/// The most characters of a company's name.
pub(crate) const MOST_COMPANY: usize = 100;
/// The most characters of the feedback.
pub(crate) const MOST_FEEDBACK: usize = 500;

#[derive(Deserialize)]
struct Submission {
    rating: Value,
    browser: String,
    company: Option<String>,
    feedback: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted<'a> {
    id: &'a ResponseId,
    session_id: &'a str,
}

/// Stores a vote, the first of this browser in this session.
pub(crate) async fn submit(gateway: &Gateway, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
    const WHAT: &str = "your answer";
    let state = gateway.state();
    if state.show.mode != Mode::Survey {
        return Err(Refusal::WrongMode {
            what: "the survey",
            mode: state.show.mode,
        });
    }
    let submission: Submission = read(request.body(), r#"{"rating": 5, "browser": "0123456789abcdef"}"#)?;
    let response = check(submission, state.session.id(), gateway.clock().now())?;
    let vote = state.session.vote(&response.id)?;
    let key = key::response(&response.id);
    if gateway
        .find(WHAT, &key)
        .await?
        .is_some_and(|stored| is_of(&stored, state.session.id()))
    {
        vote.keep();
        return Err(Refusal::AlreadyVoted { id: response.id });
    }
    gateway.save(WHAT, &key, encode(&response)).await?;
    vote.keep();
    Ok(json(
        StatusCode::CREATED,
        &Submitted {
            id: &response.id,
            session_id: state.session.id(),
        },
    ))
}

fn check(submission: Submission, session: &str, now: jiff::Timestamp) -> Result<StoredResponse, Refusal> {
    let Submission {
        rating,
        browser,
        company,
        feedback,
    } = submission;
    let rating = rating
        .as_u64()
        .and_then(|rating| u8::try_from(rating).ok())
        .filter(|rating| (1..=5).contains(rating));
    let plain = browser.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !(16..=64).contains(&browser.len()) || !plain {
        return Err(Refusal::Field(FieldProblem::Browser));
    }
    Ok(StoredResponse {
        id: ResponseId::of(session, &browser),
        session: session.to_owned(),
        rating: rating.ok_or(Refusal::Field(FieldProblem::Rating))?,
        company: optional(company, "company", MOST_COMPANY)?,
        feedback: optional(feedback, "feedback", MOST_FEEDBACK)?,
        submitted_at: now,
    })
}

fn optional(text: Option<String>, field: &'static str, most: usize) -> Result<Option<String>, Refusal> {
    let text = clean(&text.unwrap_or_default(), field, most)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn is_of(stored: &[u8], session: &str) -> bool {
    serde_json::from_slice::<StoredResponse>(stored).is_ok_and(|response| response.session == session)
}
