//! Questions: taking one, and listing all for the load generator.

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::record::StoredQuestion;
use crate::record::key;
use crate::reply::FieldProblem;
use crate::reply::Refusal;
use crate::reply::clean;
use crate::reply::encode;
use crate::reply::json;
use crate::reply::read;
use crate::show::Mode;

/// The most characters of a question.
pub(crate) const MOST_CHARACTERS: usize = 200;
/// Entries of a page, unless asked otherwise.
const USUAL_PAGE: usize = 100;
/// The most entries of a page.
const LARGEST_PAGE: usize = 1000;

#[derive(Deserialize)]
struct Submission {
    question: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted<'a> {
    id: &'a str,
    multiplier: u32,
    /// `answered`, or `kept` without an answer.
    status: &'static str,
    answer: Option<String>,
    message: Option<&'static str>,
    response_time_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    session_id: &'a str,
    total: usize,
    questions: Vec<Entry>,
    /// What to ask the next page with; `null` on the last.
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    question: String,
    multiplier: u32,
    submitted_at: jiff::Timestamp,
}

/// Which part of the list is asked for.
struct Page {
    after: Option<String>,
    limit: usize,
}

/// Stores a question, then asks the model; what the model does cannot lose the question.
pub(crate) async fn submit(gateway: &Gateway, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
    let state = gateway.state();
    if state.show.mode != Mode::Quiz {
        return Err(Refusal::WrongMode {
            what: "questions",
            mode: state.show.mode,
        });
    }
    let submission: Submission = read(request.body(), r#"{"question": "Why is the Central line so warm?"}"#)?;
    let text = clean(&submission.question, "question", MOST_CHARACTERS)?;
    if text.is_empty() {
        return Err(Refusal::Field(FieldProblem::Empty { field: "question" }));
    }
    let new = state.session.ask(text, gateway.clock().now(), gateway.salt())?;
    if let Some(question) = new.question() {
        gateway
            .save("the question", &key::question(&question.id), encode(question))
            .await?;
    }
    let Some(question) = new.keep() else {
        return Err(Refusal::NotSaved { what: "the question" });
    };
    Ok(answer(gateway, &question).await)
}

/// One page of the questions, in the order in which they were asked.
pub(crate) async fn list(gateway: &Gateway, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
    let page = Page::of(request.uri().query().unwrap_or_default())?;
    let session = gateway.state().session.clone();
    session.load(gateway.storage(), gateway.clock()).await?;
    let (questions, more) = session.questions_after(page.after.as_deref(), page.limit);
    let next = questions.last().filter(|_| more).map(|question| question.id.clone());
    let questions = questions.into_iter().map(Entry::from).collect();
    let listed = Listed {
        session_id: session.id(),
        total: session.question_count(),
        questions,
        next,
    };
    Ok(json(StatusCode::OK, &listed))
}

async fn answer(gateway: &Gateway, question: &StoredQuestion) -> Response<Bytes> {
    let asked = gateway.clock().now();
    let outcome = gateway.ask_model(&question.question).await;
    let response_time_ms = u64::try_from(gateway.clock().since(asked).as_millis()).unwrap_or(u64::MAX);
    let (status, code) = match &outcome {
        Ok(_) => ("answered", StatusCode::OK),
        Err(_) => ("kept", StatusCode::ACCEPTED),
    };
    let submitted = Submitted {
        id: &question.id,
        multiplier: question.multiplier,
        status,
        message: outcome.as_ref().err().map(|reason| reason.message()),
        answer: outcome.ok(),
        response_time_ms,
    };
    json(code, &submitted)
}

impl Page {
    fn of(query: &str) -> Result<Self, Refusal> {
        let mut page = Self {
            after: None,
            limit: USUAL_PAGE,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "after" => page.after = Some(value.into_owned()).filter(|after| !after.is_empty()),
                "limit" => page.limit = read_limit(&value)?,
                _ => {}
            }
        }
        Ok(page)
    }
}

fn read_limit(value: &str) -> Result<usize, Refusal> {
    value
        .parse()
        .ok()
        .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
        .ok_or_else(|| Refusal::Limit {
            value: value.to_owned(),
            most: LARGEST_PAGE,
        })
}

impl From<StoredQuestion> for Entry {
    fn from(stored: StoredQuestion) -> Self {
        let StoredQuestion {
            id,
            question,
            multiplier,
            submitted_at,
            ..
        } = stored;
        Self {
            id,
            question,
            multiplier,
            submitted_at,
        }
    }
}
