//! Load balancers: from a host name to a listener, a target group, and the pod that has a target's address.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::aws::Account;
use crate::core::Response;
use crate::core::Scene;
use crate::core::plain;
use crate::kube::Cluster;
use crate::kube::actors::site;
use crate::kube::network::routes;
use crate::kube::network::routes::Backend;

/// The cluster whose controller made the load balancer of this name.
pub(super) fn cluster_of(clusters: &BTreeMap<String, Cluster>, aws: &Account, host: &str) -> Option<String> {
    if !host.contains(".elb.") {
        return None;
    }
    let (elb, arn) = aws.regions.values().find_map(|region| {
        let found = region
            .elb
            .load_balancers
            .values()
            .find(|one| one.dns_name.eq_ignore_ascii_case(host))?;
        Some((&region.elb, &found.arn))
    })?;
    let owner = elb.tags.get(arn)?.get("elbv2.k8s.aws/cluster")?;
    clusters
        .values()
        .find(|cluster| cluster.name == *owner)
        .map(|cluster| cluster.host.clone())
}

/// The host names of all load balancers that are up.
pub(crate) fn names(aws: &Account) -> impl Iterator<Item = String> {
    let balancers = aws
        .regions
        .values()
        .flat_map(|region| region.elb.load_balancers.values());
    let up = balancers.filter(|balancer| balancer.active_at.is_none());
    up.map(|balancer| balancer.dns_name.to_ascii_lowercase())
}

/// Whether a host name is a load balancer's.
pub(crate) fn is_one(host: &str) -> bool {
    host.ends_with(".elb.amazonaws.com") || (host.contains(".elb.") && host.ends_with(".amazonaws.com"))
}

/// One healthy target behind a load balancer's port, or what the load balancer says itself.
pub(super) fn target(scene: &mut Scene<'_>, host: &str, port: u16) -> Result<Backend, Box<Response>> {
    let refused = |text: &str| Box::new(plain(StatusCode::BAD_GATEWAY, text));
    let mut place = site(scene);
    let elb = place.elb();
    let balancer = elb
        .load_balancers
        .values()
        .find(|one| one.dns_name.eq_ignore_ascii_case(host));
    let balancer = balancer.filter(|one| one.active_at.is_none());
    let balancer = balancer.ok_or_else(|| refused(&format!("`{host}` does not resolve yet")))?;
    let listener = elb
        .listeners
        .values()
        .find(|one| one.balancer == balancer.arn && one.port == port);
    let listener =
        listener.ok_or_else(|| refused(&format!("connection refused: `{host}` has no listener at {port}")))?;
    let group = listener.actions.iter().find_map(|action| action.targets.first());
    let group = group.and_then(|(group, _)| elb.target_groups.get(group));
    let targets = group.map_or(&[][..], |group| group.targets.as_slice());
    let healthy: Vec<(String, u16)> = targets
        .iter()
        .filter(|target| target.answers)
        .map(|target| (target.id.clone(), target.port))
        .collect();
    let unavailable = || {
        Box::new(plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "503 Service Temporarily Unavailable",
        ))
    };
    let (address, port) = healthy
        .get(scene.random.below(healthy.len()))
        .ok_or_else(unavailable)?
        .clone();
    let cluster = &*scene.cluster;
    let pod = cluster.actors.traffic.routes.pod_at(&address).ok_or_else(unavailable)?;
    routes::backend_of(&cluster.host, &cluster.store, pod, port).ok_or_else(unavailable)
}
