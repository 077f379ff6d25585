//! Extensions of the API: whether aggregated APIs answer, and whether custom kinds are established.

use jiff::Timestamp;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::endpoints;
use crate::kube::actors::itself;
use crate::kube::actors::kinds;
use crate::kube::store::Change;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Says whether each aggregated API has somebody who answers.
pub(super) const ACTOR: Actor = Actor {
    name: "apiservice",
    watches: &[kinds::API_SERVICE, kinds::ENDPOINT_SLICE, kinds::SERVICE],
    work: Work::Each { concerns, reconcile },
};

/// Establishes custom kinds.
pub(super) const CUSTOM_RESOURCES: Actor = Actor {
    name: "crd",
    watches: &[kinds::CUSTOM_RESOURCE],
    work: Work::Each {
        concerns: itself,
        reconcile: establish,
    },
};

/// The aggregated API that serves KEDA's metrics.
pub(super) const EXTERNAL_METRICS: &str = "v1beta1.external.metrics.k8s.io";

fn concerns(store: &Store, change: &Change) -> Vec<Name> {
    if change.kind == kinds::API_SERVICE {
        return vec![Name::of(change.object())];
    }
    let namespace = Name::of(change.object()).namespace;
    let services = store.list(&kinds::API_SERVICE);
    let behind = services.filter(|service| service["spec"]["service"]["namespace"] == *namespace);
    behind.map(|service| Name::of(service)).collect()
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let now = scene.now;
    let store = &mut scene.cluster.store;
    let object = store.get(&kinds::API_SERVICE, "", &name.name)?.clone();
    let reference = &object["spec"]["service"];
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (namespace, service) = (text("namespace"), text("name"));
    let place = format!("service/{service} in \"{namespace}\"");
    let (available, reason, message) = if reference.is_null() {
        (true, "Local", "Local APIServices are always available".to_owned())
    } else if store.get(&kinds::SERVICE, namespace, service).is_none() {
        (false, "ServiceNotFound", format!("{place} is not present"))
    } else if endpoints::has_ready(store, namespace, service) {
        (true, "Passed", "all checks passed".to_owned())
    } else {
        let message = format!("endpoints for {place} have no addresses with port name \"https\"");
        (false, "MissingEndpoints", message)
    };
    store.change(&kinds::API_SERVICE, "", &name.name, |service| {
        condition::set(service, now, &Condition::new("Available", available, reason, &message));
    });
    None
}

fn establish(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let now = scene.now;
    let object = scene.cluster.store.get(&kinds::CUSTOM_RESOURCE, "", &name.name)?;
    if condition::holds(object, "Established") || marked(object) {
        return None;
    }
    scene
        .cluster
        .store
        .change(&kinds::CUSTOM_RESOURCE, "", &name.name, |definition| {
            let versions = super::selector::list(&definition["spec"]["versions"]).to_vec();
            let stored = versions.iter().filter(|version| version["storage"] == true);
            let stored: Vec<_> = stored.map(|version| version["name"].clone()).collect();
            definition["status"]["acceptedNames"] = definition["spec"]["names"].clone();
            definition["status"]["storedVersions"] = json!(stored);
            let accepted = Condition::new("NamesAccepted", true, "NoConflicts", "no conflicts found");
            let established = "the initial names have been accepted";
            condition::set(definition, now, &accepted);
            condition::set(
                definition,
                now,
                &Condition::new("Established", true, "InitialNamesAccepted", established),
            );
        });
    None
}
