//! The Kubernetes API in front of the store.
//!
//! A request is read into a [`Call`]: who asks, for which resource, in which form. Everything else is a function of
//! the call and the [`Scene`]. What clients send is checked here and nowhere else; the store and the actors trust it.

mod admission;
mod age;
mod aggregated;
mod apply;
mod begin;
mod call;
mod cells;
mod custom;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod fields;
pub(crate) mod identity;
mod manage;
mod merge;
mod metrics;
mod openapi;
mod patch;
mod path;
mod protobuf;
mod read;
pub(crate) mod resources;
mod rules;
pub(crate) mod select;
mod shape;
mod status;
mod strategic;
mod subresource;
mod table;
mod upkeep;
mod validate;
mod versions;
mod view;
mod watch;
mod write;

use http::Method;
use http::StatusCode;
use jiff::Timestamp;

use crate::core::Reply;
use crate::core::Request;
use crate::core::Response;
use crate::core::Scene;
use crate::core::Ticket;
use crate::kube::api::call::Call;
use crate::kube::api::call::Read;
use crate::kube::api::resources::Customs;
use crate::kube::api::status::Failure;
use crate::kube::api::watch::Watches;
use crate::kube::network;

/// What the API server keeps in memory: open watches and the resources that definitions add. Clients connect again
/// and definitions are read again, so none of it is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    watches: Watches,
    customs: Customs,
    upkept: u64,
}

impl Memory {
    /// Forgets a watch whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.watches.abandon(ticket);
    }

    /// When the next watch ends by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.watches.next_wake()
    }
}

/// What comes out of a call: an answer, a watch, or what a pod says.
enum Outcome {
    Answer(Response),
    Stream(Response, Ticket),
    Passed(Reply),
}

/// Answers one request to the API server.
pub(crate) fn handle(scene: &mut Scene<'_>, request: &Request) -> Reply {
    scene.cluster.api.customs.refresh(&scene.cluster.store);
    match answer(scene, request) {
        Ok(Outcome::Answer(response)) => Reply::Answer(response),
        Ok(Outcome::Stream(response, ticket)) => Reply::Stream(response, ticket),
        Ok(Outcome::Passed(reply)) => reply,
        Err(failure) => Reply::Answer(failure.response()),
    }
}

/// Does what the API server itself keeps up to date; true if something changed.
pub(crate) fn keep_up(scene: &mut Scene<'_>) -> bool {
    upkeep::run(scene)
}

/// Tells the open watches what changed.
pub(crate) fn feed_watches(scene: &mut Scene<'_>) {
    let cluster = &mut *scene.cluster;
    cluster.api.watches.feed(&cluster.store, scene.now, scene.tickets);
}

fn answer(scene: &mut Scene<'_>, request: &Request) -> Result<Outcome, Failure> {
    let path = request.uri().path();
    let open = matches!(path, "/healthz" | "/livez" | "/readyz" | "/version");
    if !open {
        identity::of(scene, request)?;
    }
    let translated = protobuf::as_json(request)?;
    let request = translated.as_ref().unwrap_or(request);
    let accept = call::header(request, &http::header::ACCEPT);
    let cluster = &*scene.cluster;
    if request.method() == Method::GET
        && let Some(response) = discovery::answer(cluster, &cluster.api.customs, path, accept)
    {
        return Ok(Outcome::Answer(response));
    }
    match Call::read(scene, request)? {
        Read::Call(call) => dispatch(scene, &call),
        Read::NotOurs(failure) => match aggregated::answer(scene, request) {
            Some(response) => Ok(Outcome::Answer(response)),
            None => Err(failure),
        },
    }
}

/// Passes a request on to a pod, under the path that follows `proxy`.
fn pass_on(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Reply, Failure> {
    let uri = call.request.uri();
    let (_, path) = uri.path().split_once("/proxy").unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = call.request.clone();
    *request.uri_mut() = format!("{path}{query}").parse().map_err(|_| Failure::no_such_path())?;
    request.headers_mut().remove(http::header::AUTHORIZATION);
    Ok(network::through_api(scene, &call.namespace, &call.name, request))
}

fn dispatch(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Outcome, Failure> {
    call.check_allowed(&scene.cluster.store)?;
    if call.resource.kind == "Endpoints" {
        call.warn("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
    }
    if call.is_watch() {
        return read::watch(scene, call);
    }
    if call.subresource.as_deref() == Some("proxy") && call.resource.plural == "pods" {
        return Ok(Outcome::Passed(pass_on(scene, call)?));
    }
    let mut response = match (call.subresource.as_deref(), call.verb()) {
        (Some(name), _) => subresource::answer(scene, call, name)?,
        (None, "get") => read::get(scene, call)?,
        (None, "list") => read::list(scene, call)?,
        (None, "create") => write::create(scene, call)?,
        (None, "update") => write::update(scene, call)?,
        (None, "patch") => patch::answer(scene, call)?,
        (None, "delete") => delete::one(scene, call)?,
        (None, "deletecollection") => delete::many(scene, call)?,
        _ => return Err(Failure::method_not_allowed()),
    };
    warn(call, &mut response);
    Ok(Outcome::Answer(response))
}

/// Puts what the client should know into the answer.
fn warn(call: &Call<'_>, response: &mut Response) {
    for warning in call.warnings.borrow().iter() {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = http::HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}

/// The answer that carries one object.
fn object_response(code: StatusCode, call: &Call<'_>, object: &serde_json::Value, now: Timestamp) -> Response {
    let bytes = view::one(&call.resource, object, call.form, now);
    let mut response = Response::new(bytes.into());
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
