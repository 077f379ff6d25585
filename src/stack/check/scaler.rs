//! A trigger that asks a service which nothing in the stack makes: nothing would ever scale.

use crate::error::closest;
use crate::stack::check::View;
use crate::stack::problem::Problem;

/// Triggers that ask a scaler of their own.
const ASKING: [&str; 3] = ["kedify-otel", "external", "external-push"];

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for object in view.of_kind("ScaledObject") {
        for trigger in object.value["spec"]["triggers"].as_array().into_iter().flatten() {
            let asks = trigger["type"].as_str().is_some_and(|of| ASKING.contains(&of));
            let Some(address) = trigger["metadata"]["scalerAddress"].as_str().filter(|_| asks) else {
                continue;
            };
            if let Some((what, next)) = wrong(view, view.namespace(object), address) {
                problems.push(view.in_object(object, &what, next));
            }
        }
    }
    // Triggers of one object often share an address.
    problems.dedup();
    problems
}

/// What is wrong with an address, and what to do; nothing with one outside of the cluster.
fn wrong(view: &View<'_>, own_namespace: &str, address: &str) -> Option<(String, String)> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut labels = host.split('.');
    let service = labels.next().unwrap_or_default();
    let namespace = labels.next().unwrap_or(own_namespace);
    if labels.next().is_some_and(|label| label != "svc") {
        return None;
    }
    let services: Vec<(String, Vec<String>)> = view
        .of_kind("Service")
        .map(|object| {
            let ports = object.value["spec"]["ports"].as_array().into_iter().flatten();
            let ports = ports.map(|port| port["port"].to_string()).collect();
            (format!("{}.{}", object.name(), view.namespace(object)), ports)
        })
        .collect();
    let wanted = format!("{service}.{namespace}");
    match services.iter().find(|(name, _)| *name == wanted) {
        None => {
            let next = match closest(&wanted, services.iter().map(|(name, _)| name.as_str())) {
                Some(name) => format!("did you mean `{name}.svc:{port}`?"),
                None => "add the chart that makes it, or correct the address".to_owned(),
            };
            Some((
                format!("asks the scaler at `{address}`, and nothing makes that service"),
                next,
            ))
        }
        Some((_, ports)) if !ports.iter().any(|open| open == port) => {
            let what = format!("asks the scaler at `{address}`, and that service has no port {port}");
            Some((what, format!("it has {}", ports.join(", "))))
        }
        Some(_) => None,
    }
}
