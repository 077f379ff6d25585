//! One AWS account: its services at the wire, one file a service, and the reference graph between their resources.
//!
//! Stricter than AWS: an unknown operation or parameter is refused. Services tell each other nothing; they read and
//! change the one [`Account`], so that "is this security group still used" has one answer.

mod scope;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

pub(crate) use crate::aws::scope::Scope;
use crate::core::Origin;
use crate::core::Request;
use crate::core::Response;
use crate::kube::Cluster;
use crate::random::Random;

/// Everything in the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Its twelve digits.
    pub(crate) id: String,
    /// What exists once for each region.
    pub(crate) regions: BTreeMap<String, Region>,
}

/// What exists once for each region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Region {}

/// What a call may touch.
pub(crate) struct Scene<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut Random,
    pub(crate) account: &'a mut Account,
    pub(crate) clusters: &'a mut BTreeMap<String, Cluster>,
}

/// One call: who asks which service for what.
pub(crate) struct Call<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) origin: &'a Origin,
    pub(crate) request: &'a Request,
}

/// A refusal, before it takes the form that the service's protocol gives it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// The caller's mistake, or a state that does not allow the call.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, message)
    }

    /// A refusal with a status of its own.
    pub(crate) fn with_status(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl Account {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            regions: BTreeMap::new(),
        }
    }

    /// The region's part of the account; a region that nobody used yet is empty.
    pub(crate) fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_default()
    }

    /// When something of the account next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        None
    }
}

/// Answers one signed call.
pub(crate) fn handle(scene: Scene<'_>, origin: &Origin, scope: &Scope, request: &Request) -> Response {
    let call = Call { scope, origin, request };
    let _ = (scene, &call);
    let mut response = Response::new(Bytes::from(format!("no service `{}`", scope.service)));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Lets the account act on what is due.
pub(crate) fn advance(scene: Scene<'_>) {
    let _ = scene;
}

/// `at` plus `wait`.
pub(crate) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| at.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}
