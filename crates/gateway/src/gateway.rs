//! The gateway itself: what it holds, and the way from a request to its answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::REFERRER_POLICY;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::uri::Authority;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tubectl_clock::Clock;

use crate::counters::Counters;
use crate::model::NoAnswer;
use crate::model::Upstream;
use crate::page::Page;
use crate::question;
use crate::record::ResponseId;
use crate::reply::Refusal;
use crate::reply::encode;
use crate::reply::encoded;
use crate::reply::json;
use crate::reply::typed;
use crate::route::Action;
use crate::route::Route;
use crate::route::UNKNOWN;
use crate::session::MULTIPLIER;
use crate::session::STORAGE_TIMEOUT;
use crate::session::Session;
use crate::show::Mode;
use crate::show::Settings;
use crate::show::Show;
use crate::stats::Observed;
use crate::stats::Stats;
use crate::stats::StatsReply;
use crate::storage::Storage;
use crate::survey;

/// How often the page asks for the configuration: a flip shows in less than five seconds.
const POLL_SECONDS: u32 = 3;

/// The audience's app; clones share everything.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    model: String,
    server: Authority,
    storage: Arc<dyn Storage>,
    upstream: Upstream,
    clock: Clock,
    rng: Mutex<fastrand::Rng>,
    state: RwLock<Arc<State>>,
    observed: Mutex<Option<Observed>>,
    counters: Counters,
    page: Page,
}

/// What the operator decided, with the answers that follow from it.
pub(crate) struct State {
    pub(crate) show: Show,
    pub(crate) session: Arc<Session>,
    config: Bytes,
    winners: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    mode: Mode,
    session_id: &'a str,
    winners_picked: bool,
    /// Changes with the winners, so that the page knows when to ask for them again.
    draw: Option<String>,
    model: &'a str,
    multiplier: u32,
    max_question: usize,
    max_company: usize,
    max_feedback: usize,
    poll_seconds: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Drawn<'a> {
    session_id: &'a str,
    picked: bool,
    winners: &'a [ResponseId],
}

impl Gateway {
    /// A gateway over a storage, a way to the model server, a clock and a seed for its ids.
    pub fn new(settings: Settings, storage: Arc<dyn Storage>, upstream: Upstream, clock: Clock, seed: u64) -> Self {
        let Settings {
            show,
            model,
            upstream: server,
        } = settings;
        let session = Arc::new(Session::new(&show.session));
        let state = RwLock::new(Arc::new(State::new(show, session, &model)));
        Self {
            shared: Arc::new(Shared {
                model,
                server,
                storage,
                upstream,
                clock,
                rng: Mutex::new(fastrand::Rng::with_seed(seed)),
                state,
                observed: Mutex::default(),
                counters: Counters::default(),
                page: Page::new(),
            }),
        }
    }

    /// Changes mode, session and winners; the next request already sees it.
    pub fn configure(&self, show: Show) {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let session = if state.session.id() == show.session {
            state.session.clone()
        } else {
            Arc::new(Session::new(&show.session))
        };
        *state = Arc::new(State::new(show, session, &self.shared.model));
    }

    /// The mode, session and winners in force.
    pub fn show(&self) -> Show {
        self.state().show.clone()
    }

    /// Takes in the cluster's latest figures, for the phones.
    pub fn observe(&self, stats: Stats) {
        let observed = Observed {
            stats,
            at: self.shared.clock.now(),
        };
        *self.shared.observed.lock().unwrap_or_else(PoisonError::into_inner) = Some(observed);
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let route = Route::at(request.uri().path());
        let serving = self.shared.counters.serve(route.map_or(UNKNOWN, |route| route.path));
        let head = request.method() == Method::HEAD;
        let answer = match route {
            Some(route) => self.answer(route, request).await,
            None => Err(Refusal::NotFound {
                path: request.uri().path().chars().take(100).collect(),
            }),
        };
        let mut response = answer.unwrap_or_else(|refusal| refusal.to_response());
        if head {
            *response.body_mut() = Bytes::new();
        }
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
            .headers_mut()
            .insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        serving.end(response.status());
        response
    }

    async fn answer(&self, route: &Route, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let Shared {
            counters,
            clock,
            upstream,
            server,
            page,
            ..
        } = &*self.shared;
        route.admits(request.method(), request.body().len())?;
        match route.action {
            Action::Page => Ok(page.answer(request.headers())),
            Action::Health => Ok(json(StatusCode::OK, &serde_json::json!({"status": "ok"}))),
            Action::Config => Ok(encoded(StatusCode::OK, self.state().config.clone())),
            Action::SubmitQuestion => question::submit(self, &request).await,
            Action::Questions => question::list(self, &request).await,
            Action::Stats => Ok(self.stats()),
            Action::Complete => upstream.pass_on(server, request, clock, counters).await,
            Action::SubmitSurvey => survey::submit(self, &request).await,
            Action::Winners => Ok(encoded(StatusCode::OK, self.state().winners.clone())),
            Action::Metrics => Ok(typed(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                counters.to_prometheus().into(),
            )),
        }
    }

    fn stats(&self) -> Response<Bytes> {
        let observed = *self.shared.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let questions = self.state().session.question_count();
        json(
            StatusCode::OK,
            &StatsReply::new(observed, |at| self.shared.clock.since(at), questions),
        )
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.shared.storage
    }

    /// A number that tells apart ids of replicas that were made in the same millisecond.
    pub(crate) fn salt(&self) -> u32 {
        self.shared.rng.lock().unwrap_or_else(PoisonError::into_inner).u32(..)
    }

    pub(crate) async fn ask_model(&self, question: &str) -> Result<String, NoAnswer> {
        let Shared {
            counters,
            clock,
            upstream,
            server,
            model,
            ..
        } = &*self.shared;
        upstream.ask(server, model, question, clock, counters).await
    }

    pub(crate) async fn save(&self, what: &'static str, key: &str, body: Bytes) -> Result<(), Refusal> {
        match self
            .shared
            .clock
            .timeout(STORAGE_TIMEOUT, self.shared.storage.put(key, body))
            .await
        {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Refusal::NotSaved { what }),
        }
    }

    pub(crate) async fn find(&self, what: &'static str, key: &str) -> Result<Option<Bytes>, Refusal> {
        match self
            .shared
            .clock
            .timeout(STORAGE_TIMEOUT, self.shared.storage.get(key))
            .await
        {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) | Err(_) => Err(Refusal::NotSaved { what }),
        }
    }
}

impl State {
    fn new(show: Show, session: Arc<Session>, model: &str) -> Self {
        let winners = show.winners.as_deref();
        let config = encode(&Config {
            mode: show.mode,
            session_id: &show.session,
            winners_picked: winners.is_some(),
            draw: winners.map(fingerprint),
            model,
            multiplier: MULTIPLIER,
            max_question: question::MOST_CHARACTERS,
            max_company: survey::MOST_COMPANY,
            max_feedback: survey::MOST_FEEDBACK,
            poll_seconds: POLL_SECONDS,
        });
        let winners = encode(&Drawn {
            session_id: &show.session,
            picked: winners.is_some(),
            winners: winners.unwrap_or_default(),
        });
        Self {
            show,
            session,
            config,
            winners,
        }
    }
}

/// A short text that differs when the winners do.
fn fingerprint(winners: &[ResponseId]) -> String {
    let digest = winners
        .iter()
        .fold(Sha256::new(), |digest, id| digest.chain_update(id.as_str()))
        .finalize();
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}
