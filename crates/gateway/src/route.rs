//! The one table of what can be asked for.

use http::Method;

use crate::reply::Refusal;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Page,
    Health,
    Config,
    SubmitQuestion,
    Questions,
    Stats,
    Complete,
    SubmitSurvey,
    Winners,
    Metrics,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) action: Action,
    /// The largest body that is taken, in bytes.
    pub(crate) body_limit: usize,
}

/// Room for every field at its limit, each character escaped.
const FORM: usize = 16 * 1024;
/// Room for a long conversation.
const CONVERSATION: usize = 1024 * 1024;

/// Everything that can be asked for.
pub(crate) static ROUTES: [Route; 11] = [
    get("/", Action::Page),
    get("/api/health", Action::Health),
    get("/api/config", Action::Config),
    post("/api/question/submit", Action::SubmitQuestion, FORM),
    get("/api/questions", Action::Questions),
    get("/api/stats", Action::Stats),
    post("/api/survey/submit", Action::SubmitSurvey, FORM),
    get("/api/survey/winners", Action::Winners),
    post("/v1/chat/completions", Action::Complete, CONVERSATION),
    post("/v1/completions", Action::Complete, CONVERSATION),
    get("/metrics", Action::Metrics),
];

/// The name under which requests for anything else are counted.
pub(crate) const UNKNOWN: &str = "unknown";

const fn get(path: &'static str, action: Action) -> Route {
    Route {
        method: Method::GET,
        path,
        action,
        body_limit: FORM,
    }
}

const fn post(path: &'static str, action: Action, body_limit: usize) -> Route {
    Route {
        method: Method::POST,
        path,
        action,
        body_limit,
    }
}

impl Route {
    /// The route of a path, whatever the method.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        ROUTES.iter().find(|route| route.path == path)
    }

    /// Whether the request may be handled.
    pub(crate) fn admits(&self, method: &Method, body: usize) -> Result<(), Refusal> {
        let head = method == Method::HEAD && self.method == Method::GET;
        if *method != self.method && !head {
            return Err(Refusal::WrongMethod {
                path: self.path,
                allowed: self.method.clone(),
            });
        }
        if body > self.body_limit {
            return Err(Refusal::TooLarge { limit: self.body_limit });
        }
        Ok(())
    }
}
