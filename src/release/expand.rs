//! A rendered chart as nodes of the graph: its beginning, its definitions, its objects, its end.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use crate::resource::desired::Desired;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;

/// A chart release with its objects, as it is to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The release's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What its beginning is compared by: the chart and its values.
    pub chart: Value,
    /// Its objects, complete: with namespaces and Helm's marks of ownership.
    pub objects: Vec<Value>,
    /// What must be usable before anything of it.
    pub needs: BTreeSet<ResourceId>,
}

/// Namespaces that every cluster has.
const GIVEN_NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// The node with which a release begins.
pub fn beginning(release: &str) -> ResourceId {
    ResourceId::new(Kind::ReleaseBegin.name(), release)
}

/// The node with which a release ends: after it, everything of the release is usable.
pub fn end(release: &str) -> ResourceId {
    ResourceId::new(Kind::ReleaseEnd.name(), release)
}

/// The node of one object of a release.
pub fn object_id(release: &str, object: &Value) -> ResourceId {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let (kind, namespace, name) = (
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    );
    ResourceId::from_text(format!("{release}/{kind}/{namespace}/{name}"))
}

/// All releases as nodes, with the order between their objects.
pub fn expand(releases: &[Installed]) -> Vec<Desired> {
    let mut nodes = namespaces(releases);
    let admitting = webhooks(releases);
    let definitions = definitions(releases);
    for release in releases {
        let begin = beginning(&release.name);
        let mut needs = release.needs.clone();
        if !GIVEN_NAMESPACES.contains(&release.namespace.as_str()) {
            needs.insert(namespace_id(&release.namespace));
        }
        nodes.push(node(
            begin.clone(),
            Kind::ReleaseBegin,
            &release.name,
            release.chart.clone(),
            needs,
        ));
        let mut all = BTreeSet::from([begin.clone()]);
        for object in &release.objects {
            let id = object_id(&release.name, object);
            let mut needs = BTreeSet::from([begin.clone()]);
            needs.extend(earlier(release, object));
            needs.extend(definition_of(object, &definitions).filter(|definition| *definition != id));
            needs.extend(admitted_by(release, object, &admitting));
            all.insert(id.clone());
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            nodes.push(node(id, Kind::Object, name, object.clone(), needs));
        }
        // Compared by the same as the beginning: what begins anew also has to end.
        nodes.push(node(
            end(&release.name),
            Kind::ReleaseEnd,
            &release.name,
            release.chart.clone(),
            all,
        ));
    }
    nodes
}

fn node(id: ResourceId, kind: Kind, name: &str, spec: Value, needs: BTreeSet<ResourceId>) -> Desired {
    Desired {
        id,
        kind,
        name: name.to_owned(),
        spec,
        needs,
    }
}

fn namespace_id(namespace: &str) -> ResourceId {
    ResourceId::from_text(format!("namespaces/Namespace//{namespace}"))
}

/// The namespaces that releases live in and nobody makes yet; several releases may share one.
fn namespaces(releases: &[Installed]) -> Vec<Desired> {
    let mut needs: BTreeMap<&str, BTreeSet<ResourceId>> = BTreeMap::new();
    for release in releases
        .iter()
        .filter(|release| !GIVEN_NAMESPACES.contains(&release.namespace.as_str()))
    {
        // A namespace waits for the cluster and who may use it, not for what one of its releases waits for beyond that.
        let cluster = release.needs.iter().filter(|id| {
            [Kind::Cluster.name(), Kind::AccessEntry.name()]
                .iter()
                .any(|kind| id.as_str().starts_with(kind))
        });
        needs.entry(&release.namespace).or_default().extend(cluster.cloned());
    }
    let namespace = |(name, needs): (&str, BTreeSet<ResourceId>)| {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "tubectl"}},
        });
        node(namespace_id(name), Kind::Object, name, object, needs)
    };
    needs.into_iter().map(namespace).collect()
}

/// In which order the kinds of one release come; a kind waits for all before it.
fn rank(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 3,
        "APIService" | "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 4,
        "Ingress" => 5,
        _ if is_custom(object) => 5,
        _ => 2,
    }
}

/// Whether the object's kind is one that a definition adds: built-in groups have no dot or end in `.k8s.io`.
fn is_custom(object: &Value) -> bool {
    let group = group(object);
    group.contains('.') && !group.ends_with(".k8s.io")
}

fn group(object: &Value) -> &str {
    object["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group)
}

fn earlier(release: &Installed, object: &Value) -> Vec<ResourceId> {
    let own = rank(object);
    let before = release.objects.iter().filter(|other| rank(other) < own);
    before.map(|other| object_id(&release.name, other)).collect()
}

/// Which definition gives a kind, by group and kind.
fn definitions(releases: &[Installed]) -> BTreeMap<(String, String), ResourceId> {
    let mut definitions = BTreeMap::new();
    for release in releases {
        for object in release
            .objects
            .iter()
            .filter(|object| object["kind"] == "CustomResourceDefinition")
        {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let kind = (text(&object["spec"]["group"]), text(&object["spec"]["names"]["kind"]));
            definitions.insert(kind, object_id(&release.name, object));
        }
    }
    definitions
}

fn definition_of(
    object: &Value,
    definitions: &BTreeMap<(String, String), ResourceId>,
) -> impl Iterator<Item = ResourceId> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    definitions.get(&(group(object).to_owned(), kind)).cloned().into_iter()
}

/// A webhook that must answer before objects of some kinds can be made.
struct Admission {
    release: String,
    id: ResourceId,
    groups: Vec<String>,
    resources: Vec<String>,
}

fn webhooks(releases: &[Installed]) -> Vec<Admission> {
    let mut admissions = Vec::new();
    for release in releases {
        for object in release
            .objects
            .iter()
            .filter(|object| rank(object) == 4 && object["kind"] != "APIService")
        {
            for webhook in object["webhooks"].as_array().into_iter().flatten() {
                // `Fail` is the default: without an answer nothing is admitted.
                if webhook["failurePolicy"] == "Ignore" {
                    continue;
                }
                for rule in webhook["rules"].as_array().into_iter().flatten() {
                    admissions.push(Admission {
                        release: release.name.clone(),
                        id: object_id(&release.name, object),
                        groups: texts(&rule["apiGroups"]),
                        resources: texts(&rule["resources"]),
                    });
                }
            }
        }
    }
    admissions
}

fn admitted_by<'a>(
    release: &'a Installed,
    object: &'a Value,
    admissions: &'a [Admission],
) -> impl Iterator<Item = ResourceId> + 'a {
    let plural = plural(object["kind"].as_str().unwrap_or_default());
    let applies = move |admission: &&Admission| {
        let is = |list: &[String], word: &str| list.iter().any(|item| item == "*" || item == word);
        // Within its own release a webhook comes last anyway.
        admission.release != release.name && is(&admission.groups, group(object)) && is(&admission.resources, &plural)
    };
    admissions.iter().filter(applies).map(|admission| admission.id.clone())
}

/// The resource name of a kind, as webhook rules write it.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !kind.ends_with("ay") => format!("{stem}ies"),
        _ if kind.ends_with('s') || kind.ends_with("ss") => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    fn object(kind: &str, version: &str, name: &str) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "keda"}})
    }

    fn release(name: &str, namespace: &str, objects: Vec<Value>) -> Installed {
        let namespace = namespace.to_owned();
        Installed {
            name: name.to_owned(),
            namespace,
            chart: json!({}),
            objects,
            needs: BTreeSet::new(),
        }
    }

    fn definition() -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "scaledobjects.keda.sh"},
            "spec": {"group": "keda.sh", "names": {"kind": "ScaledObject"}},
        })
    }

    fn needs(nodes: &[Desired], id: &str) -> Vec<String> {
        let node = nodes
            .iter()
            .find(|node| node.id.as_str() == id)
            .unwrap_or_else(|| panic!("no {id}"));
        node.needs.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn workloads_wait_for_what_they_mount_and_the_end_waits_for_all() {
        let objects = vec![
            object("Deployment", "apps/v1", "keda"),
            object("ConfigMap", "v1", "settings"),
        ];
        let nodes = expand(&[release("keda", "keda", objects)]);
        let deployment = needs(&nodes, "keda/Deployment/keda/keda");
        assert_eq!(deployment, ["keda/ConfigMap/keda/settings", "release-begin/keda"]);
        assert_eq!(needs(&nodes, "release-begin/keda"), ["namespaces/Namespace//keda"]);
        assert_eq!(needs(&nodes, "release-end/keda").len(), 3);
    }

    #[test]
    fn an_object_waits_for_its_definition_in_whatever_release() {
        let definer = release("keda", "keda", vec![definition()]);
        let user = release(
            "scaling",
            "default",
            vec![object("ScaledObject", "keda.sh/v1alpha1", "queue")],
        );
        let nodes = expand(&[definer, user]);
        let needs = needs(&nodes, "scaling/ScaledObject/keda/queue");
        assert!(
            needs.contains(&"keda/CustomResourceDefinition//scaledobjects.keda.sh".to_owned()),
            "{needs:?}"
        );
    }

    #[test]
    fn what_a_webhook_admits_waits_for_it_elsewhere_and_not_in_its_own_release() {
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "balancer"},
            "webhooks": [{"rules": [{"apiGroups": [""], "resources": ["services"]}]}],
        });
        let balancer = release("balancer", "kube-system", vec![webhook, object("Service", "v1", "own")]);
        let other = release(
            "other",
            "default",
            vec![object("Service", "v1", "page"), object("Secret", "v1", "s")],
        );
        let nodes = expand(&[balancer, other]);
        let webhook = "balancer/MutatingWebhookConfiguration//balancer".to_owned();
        assert!(needs(&nodes, "other/Service/keda/page").contains(&webhook));
        assert!(!needs(&nodes, "other/Secret/keda/s").contains(&webhook));
        assert!(!needs(&nodes, "balancer/Service/keda/own").contains(&webhook));
        Graph::new(&nodes).unwrap();
    }

    #[test]
    fn a_namespace_that_two_releases_share_is_made_once() {
        let nodes = expand(&[release("a", "keda", vec![]), release("b", "keda", vec![])]);
        assert_eq!(nodes.iter().filter(|node| node.kind == Kind::Object).count(), 1);
    }
}
