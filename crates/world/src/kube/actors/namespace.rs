//! Namespaces: the ones that every cluster begins with, what each is given, and how one ends.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Creates what every cluster begins with.
pub(super) const DEFAULTS: Actor = Actor {
    name: "defaults",
    watches: &[],
    work: Work::Whole(create_defaults),
};

/// Gives namespaces their finalizer and default objects, and empties those that are being deleted.
pub(super) const ACTOR: Actor = Actor {
    name: "namespace",
    watches: &[kinds::NAMESPACE, kinds::SERVICE_ACCOUNT],
    work: Work::Each {
        concerns: |_, change| {
            let name = Name::of(change.object());
            let namespace = if change.kind == kinds::NAMESPACE {
                name.name
            } else {
                name.namespace
            };
            vec![Name::new("", &namespace)]
        },
        reconcile,
    },
};

/// How often a namespace that is being deleted looks for what remains of it.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

fn create_defaults(scene: &mut Scene<'_>) -> Option<Timestamp> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        scene
            .cluster
            .store
            .create(&kinds::NAMESPACE, namespace, scene.now, scene.random);
    }
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "172.20.0.1",
            "clusterIPs": ["172.20.0.1"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 443}],
        },
        "status": {"loadBalancer": {}},
    });
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "gp2"},
        "provisioner": "kubernetes.io/aws-ebs",
        "parameters": {"fsType": "ext4", "type": "gp2"},
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    let store = &mut scene.cluster.store;
    store.create(&kinds::SERVICE, service, scene.now, scene.random);
    store.create(&kinds::STORAGE_CLASS, class, scene.now, scene.random);
    None
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let namespace = scene.cluster.store.get(&kinds::NAMESPACE, "", &name.name)?.clone();
    if marked(&namespace) {
        return end(scene, &name.name);
    }
    let active = namespace["status"]["phase"] == "Active" && !list(&namespace["spec"]["finalizers"]).is_empty();
    if !active {
        scene
            .cluster
            .store
            .change(&kinds::NAMESPACE, "", &name.name, |namespace| {
                namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name.name);
                namespace["spec"]["finalizers"] = json!(["kubernetes"]);
                namespace["status"]["phase"] = json!("Active");
            });
    }
    give_defaults(scene, &name.name);
    None
}

fn give_defaults(scene: &mut Scene<'_>, namespace: &str) {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    });
    let certificate = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
        "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
    });
    for (kind, object) in [(kinds::SERVICE_ACCOUNT, account), (kinds::CONFIG_MAP, certificate)] {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if scene.cluster.store.get(&kind, namespace, name).is_none() {
            scene.cluster.store.create(&kind, object, scene.now, scene.random);
        }
    }
}

/// Deletes what a namespace holds, says what remains, and lets it go when nothing does.
fn end(scene: &mut Scene<'_>, namespace: &str) -> Option<Timestamp> {
    let now = scene.now;
    let unavailable = unavailable_group(&scene.cluster.store);
    for (kind, name) in contents(&scene.cluster.store, namespace) {
        if kind == kinds::POD {
            pod::delete(&mut scene.cluster.store, &name, now);
        } else if let Some(object) = scene.cluster.store.get(&kind, namespace, &name.name)
            && !marked(object)
        {
            scene.cluster.store.delete(&kind, namespace, &name.name, now, 0);
        }
    }
    let remaining = contents(&scene.cluster.store, namespace);
    let finalizers = remaining_finalizers(&scene.cluster.store, &remaining);
    let content = remaining_content(&remaining);
    scene.cluster.store.change(&kinds::NAMESPACE, "", namespace, |object| {
        object["status"]["phase"] = json!("Terminating");
        let discovery = unavailable
            .as_deref()
            .unwrap_or("All resources successfully discovered");
        let conditions = [
            Condition::new(
                "NamespaceDeletionDiscoveryFailure",
                unavailable.is_some(),
                if unavailable.is_some() {
                    "DiscoveryFailed"
                } else {
                    "ResourcesDiscovered"
                },
                discovery,
            ),
            Condition::new(
                "NamespaceDeletionContentFailure",
                false,
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            Condition::new(
                "NamespaceContentRemaining",
                !remaining.is_empty(),
                if remaining.is_empty() {
                    "ContentRemoved"
                } else {
                    "SomeResourcesRemain"
                },
                &content,
            ),
            Condition::new(
                "NamespaceFinalizersRemaining",
                finalizers.is_some(),
                if finalizers.is_some() {
                    "SomeFinalizersRemain"
                } else {
                    "ContentHasNoFinalizers"
                },
                finalizers
                    .as_deref()
                    .unwrap_or("All content-preserving finalizers finished"),
            ),
        ];
        for entry in &conditions {
            condition::set(object, now, entry);
        }
        if remaining.is_empty() && unavailable.is_none() {
            object["spec"]["finalizers"] = json!([]);
        }
    });
    if !remaining.is_empty() || unavailable.is_some() {
        return Some(crate::aws::later(now, RETRY));
    }
    None
}

/// An aggregated API that does not answer: without it nobody can say that a namespace is empty.
fn unavailable_group(store: &Store) -> Option<String> {
    let down = store
        .list(&kinds::API_SERVICE)
        .find(|service| !service["spec"]["service"].is_null() && !condition::holds(service, "Available"))?;
    Some(format!(
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: {}/{}: \
         stale GroupVersion discovery: {}/{}",
        down["spec"]["group"].as_str().unwrap_or_default(),
        down["spec"]["version"].as_str().unwrap_or_default(),
        down["spec"]["group"].as_str().unwrap_or_default(),
        down["spec"]["version"].as_str().unwrap_or_default(),
    ))
}

fn contents(store: &Store, namespace: &str) -> Vec<(GroupKind, Name)> {
    let named = |kind: &GroupKind| -> Vec<(GroupKind, Name)> {
        let objects = store.list_in(kind, namespace);
        objects.map(|object| (kind.clone(), Name::of(object))).collect()
    };
    store.kinds().flat_map(named).collect()
}

fn remaining_content(remaining: &[(GroupKind, Name)]) -> String {
    if remaining.is_empty() {
        return "All content successfully removed".to_owned();
    }
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for (kind, _) in remaining {
        *counts.entry(resource(kind)).or_default() += 1;
    }
    let parts = counts
        .iter()
        .map(|(resource, count)| format!("{resource} has {count} resource instances"));
    format!("Some resources are remaining: {}", parts.collect::<Vec<_>>().join(", "))
}

fn remaining_finalizers(store: &Store, remaining: &[(GroupKind, Name)]) -> Option<String> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for (kind, name) in remaining {
        let object: &Value = store.get(kind, &name.namespace, &name.name)?;
        for finalizer in list(&object["metadata"]["finalizers"]) {
            *counts
                .entry(finalizer.as_str().unwrap_or_default().to_owned())
                .or_default() += 1;
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Some content in the namespace has finalizers remaining: {}",
            parts.join(", ")
        )
    })
}

/// The plural resource name with its group, as messages spell it.
fn resource(kind: &GroupKind) -> String {
    let plural = format!("{}s", kind.kind().to_lowercase());
    format!("{plural}.{}", kind.group())
}
