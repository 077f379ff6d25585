//! The network between pods and in front of them: which names resolve where, and which pod answers.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::aws::Account;
use crate::core::Container;
use crate::core::Origin;
use crate::core::PodName;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Scene;
use crate::core::plain;
use crate::kube::Cluster;

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
    let _ = cluster;
    std::iter::empty()
}

/// Answers one request to a service or a load balancer.
pub(crate) fn handle(scene: &mut Scene<'_>, origin: &Origin, host: &str, request: Request) -> Reply {
    let _ = (scene, origin, request);
    Reply::Answer(plain(StatusCode::BAD_GATEWAY, &format!("`{host}` does not resolve")))
}
