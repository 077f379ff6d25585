//! The Kubernetes API in front of the store.

use bytes::Bytes;
use http::StatusCode;

use crate::core::Reply;
use crate::core::Request;
use crate::core::Response;
use crate::core::Scene;
use crate::core::Ticket;

/// The watches that are open on one cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches {}

impl Watches {
    /// Forgets a watch whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        let _ = ticket;
    }
}

/// Answers one request to the API server.
pub(crate) fn handle(scene: &mut Scene<'_>, request: Request) -> Reply {
    let _ = (scene, request);
    let mut response = Response::new(Bytes::from_static(b"{}"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    Reply::Answer(response)
}

/// Tells the open watches what changed.
pub(crate) fn feed_watches(scene: &mut Scene<'_>) {
    let _ = scene;
}
