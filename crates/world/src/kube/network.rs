//! The network between pods and in front of them: which names resolve where, and which pod answers.
//!
//! Inside, names are those of services; outside, those of load balancers. Either way a request ends at a port of one
//! ready pod. What listens there is a model server, which is answered here, or a program that whoever drives the world
//! really runs.

pub(crate) mod front;
mod routes;
pub(crate) mod traffic;
pub(crate) mod vllm;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

pub(crate) use crate::kube::network::traffic::MODEL_SERVERS;
pub(crate) use crate::kube::network::traffic::Traffic;
pub use crate::kube::network::vllm::Served;

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
use crate::kube::actors::kinds;
use crate::kube::network::routes::Backend;
use crate::kube::network::routes::Listener;
use crate::kube::store::Name;

/// The cluster that answers for `host`: a name of its services when a pod asks, the name of one of its load balancers.
pub(crate) fn cluster_for(
    clusters: &BTreeMap<String, Cluster>,
    aws: &Account,
    origin: &Origin,
    host: &str,
) -> Option<String> {
    if front::is_one(host) {
        return front::cluster_of(clusters, aws, host);
    }
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
    let refused = |text: &str| Reply::Answer(plain(StatusCode::BAD_GATEWAY, text));
    let cluster = &mut *scene.cluster;
    cluster.actors.traffic.routes.follow(&cluster.host, &cluster.store);
    let port = port_of(&request);
    if front::is_one(host) {
        return match front::target(scene, host, port) {
            Ok(backend) => deliver(scene, &backend, request),
            Err(answer) => Reply::Answer(*answer),
        };
    }
    let namespace = match origin {
        Origin::Pod(pod) => pod.namespace.as_str(),
        Origin::Outside => "",
    };
    let Some(service) = scene.cluster.actors.traffic.routes.resolve(host, namespace) else {
        return refused(&format!("`{host}` does not resolve"));
    };
    let Some(backends) = service.get(&port) else {
        return refused(&format!("connection refused: `{host}` has no port {port}"));
    };
    let Some(backend) = backends.get(scene.random.below(backends.len())).cloned() else {
        return refused(&format!("connection refused: `{host}` has no ready endpoint"));
    };
    deliver(scene, &backend, request)
}

/// The pod and the port of it that a service's name and port lead to now; none if no pod is ready.
pub(crate) fn endpoint(
    scene: &mut Scene<'_>,
    host: &str,
    port: u16,
    namespace: &str,
) -> Result<Option<(Arc<Value>, u16)>, String> {
    let cluster = &mut *scene.cluster;
    cluster.actors.traffic.routes.follow(&cluster.host, &cluster.store);
    let service = cluster.actors.traffic.routes.resolve(host, namespace);
    let service = service.ok_or_else(|| format!("lookup {host}: no such host"))?;
    let backends = service
        .get(&port)
        .ok_or_else(|| format!("connection refused: no port {port}"))?;
    let found = backends.first().and_then(|backend| {
        let pod = cluster
            .store
            .get(&kinds::POD, &backend.pod.namespace, &backend.pod.name)?;
        Some((pod.clone(), backend.port))
    });
    Ok(found)
}

/// Answers a request that the API server passes on to a pod, as `name` or `name:port`.
pub(crate) fn through_api(scene: &mut Scene<'_>, namespace: &str, target: &str, request: Request) -> Reply {
    let refused = |text: &str| Reply::Answer(plain(StatusCode::SERVICE_UNAVAILABLE, text));
    let (name, port) = target.split_once(':').unwrap_or((target, ""));
    let cluster = &*scene.cluster;
    let Some(pod) = cluster.store.get(&kinds::POD, namespace, name) else {
        return Reply::Answer(plain(StatusCode::NOT_FOUND, &format!("pods \"{name}\" not found")));
    };
    // Without a port it is the first one of the first container.
    let first = pod["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64();
    let port = port.parse().ok().or_else(|| u16::try_from(first?).ok());
    let backend = port.and_then(|port| routes::backend_of(&cluster.host, &cluster.store, &Name::of(pod), port));
    match backend {
        Some(backend) => deliver(scene, &backend, request),
        None => refused(&format!("no port of pod \"{name}\" to connect to")),
    }
}

/// Hands a request to what listens at a pod's port.
fn deliver(scene: &mut Scene<'_>, backend: &Backend, request: Request) -> Reply {
    match backend.listener {
        Listener::Program => Reply::Program(ProgramCall {
            pod: PodName::clone(&backend.pod),
            request,
        }),
        Listener::Vllm => traffic::handle(scene, backend, &request),
        Listener::Nothing => {
            let text = "connection refused: nothing listens at that port of the pod";
            Reply::Answer(plain(StatusCode::BAD_GATEWAY, text))
        }
    }
}

/// The port that a request is for.
fn port_of(request: &Request) -> u16 {
    let in_header = || {
        let host = request.headers().get(http::header::HOST)?.to_str().ok()?;
        host.rsplit_once(':')?.1.parse().ok()
    };
    let default = if request.uri().scheme_str() == Some("https") {
        443
    } else {
        80
    };
    request.uri().port_u16().or_else(in_header).unwrap_or(default)
}
