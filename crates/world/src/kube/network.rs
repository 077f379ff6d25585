//! The network between pods and in front of them: which names resolve where, and which pod answers.
//!
//! Inside, names are those of services; outside, those of load balancers. Either way a request ends at a port of one
//! ready pod. What listens there is a model server, which is answered here, or a program that whoever drives the world
//! really runs.

mod routes;

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Account;
use crate::core::Container;
use crate::core::Origin;
use crate::core::PodName;
use crate::core::ProgramCall;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Scene;
use crate::core::plain;
use crate::kube::Cluster;
use crate::kube::network::routes::Backend;
use crate::kube::network::routes::Listener;
use crate::kube::network::routes::Routes;

/// What the network of one cluster knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Traffic {
    // Follows from the store.
    #[serde(skip)]
    routes: Routes,
}

impl Traffic {
    /// How many requests a pod is answering.
    pub(crate) fn in_flight(&self, pod: &str) -> usize {
        let _ = pod;
        0
    }
}

/// The cluster that answers for `host`: a name of its services when a pod asks, the name of one of its load balancers.
pub(crate) fn cluster_for(
    clusters: &BTreeMap<String, Cluster>,
    aws: &Account,
    origin: &Origin,
    host: &str,
) -> Option<String> {
    let _ = (clusters, aws, host);
    match origin {
        Origin::Pod(pod) => Some(pod.cluster.clone()),
        Origin::Outside => None,
    }
}

/// The containers of running pods, for whoever really runs their programs.
pub(crate) fn running_containers(cluster: &Cluster) -> impl Iterator<Item = (PodName, Container)> {
    routes::running(cluster)
}

/// Answers one request to a service or a load balancer.
pub(crate) fn handle(scene: &mut Scene<'_>, origin: &Origin, host: &str, request: Request) -> Reply {
    let cluster = &mut *scene.cluster;
    cluster.actors.traffic.routes.follow(&cluster.host, &cluster.store);
    let namespace = match origin {
        Origin::Pod(pod) => pod.namespace.as_str(),
        Origin::Outside => "",
    };
    let port = request.uri().port_u16().or_else(|| header_port(&request)).unwrap_or(80);
    let Some(service) = cluster.actors.traffic.routes.resolve(host, namespace) else {
        return Reply::Answer(plain(StatusCode::BAD_GATEWAY, &format!("`{host}` does not resolve")));
    };
    let Some(backends) = service.get(&port) else {
        let text = format!("connection refused: `{host}` has no port {port}");
        return Reply::Answer(plain(StatusCode::BAD_GATEWAY, &text));
    };
    let Some(backend) = backends.get(scene.random.below(backends.len())).cloned() else {
        let text = format!("connection refused: `{host}` has no ready endpoint");
        return Reply::Answer(plain(StatusCode::BAD_GATEWAY, &text));
    };
    deliver(&backend, request)
}

/// Hands a request to what listens at a pod's port.
fn deliver(backend: &Backend, request: Request) -> Reply {
    let refused = |text: &str| Reply::Answer(plain(StatusCode::BAD_GATEWAY, text));
    match &backend.listener {
        Listener::Program => Reply::Program(ProgramCall {
            pod: PodName::clone(&backend.pod),
            request,
        }),
        Listener::Vllm => refused("connection refused"),
        Listener::Nothing => refused("connection refused: nothing listens at that port of the pod"),
    }
}

fn header_port(request: &Request) -> Option<u16> {
    let host = request.headers().get(http::header::HOST)?.to_str().ok()?;
    host.rsplit_once(':')?.1.parse().ok()
}

/// The port that vLLM's arguments make it listen at.
pub(crate) fn port(arguments: &[String]) -> u16 {
    let value = argument(arguments, "--port").and_then(|port| port.parse().ok());
    value.unwrap_or(8000)
}

/// Whether vLLM's server has this path.
pub(crate) fn knows_path(path: &str) -> bool {
    ["/health", "/ping", "/load", "/version", "/metrics", "/v1/models"].contains(&path)
}

/// Whether vLLM refuses to start with these arguments.
pub(crate) fn refuses(arguments: &[String]) -> bool {
    let positive = |name: &str| {
        let value = argument(arguments, name);
        value.is_none_or(|value| value.parse::<u64>().is_ok_and(|number| number > 0))
    };
    !(positive("--max-num-seqs") && positive("--max-model-len") && positive("--tensor-parallel-size"))
}

/// The value of an option, written `--name value` or `--name=value`.
fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, word)| {
        let rest = word.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(index + 1).map(String::as_str),
            None => None,
        }
    })
}
