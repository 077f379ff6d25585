//! The registries that a cluster and a chart client pull from: OCI distribution and HTTP chart repositories.

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Account;
use crate::core::Request;
use crate::core::Response;
use crate::core::plain;

/// What the public registries hold; the account's own repositories are in its ECR.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {}

/// One of the hosts that are registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
}

impl Registry {
    /// The registry that answers for a host name, if one does.
    pub(crate) fn serves(host: &str) -> Option<Host> {
        host.contains(".dkr.ecr.").then(|| Host { name: host.to_owned() })
    }

    /// Answers one request to a registry.
    pub(crate) fn handle(&mut self, aws: &mut Account, host: &Host, request: &Request) -> Response {
        let _ = (aws, request);
        plain(StatusCode::NOT_FOUND, &format!("nothing at {}", host.name))
    }
}
