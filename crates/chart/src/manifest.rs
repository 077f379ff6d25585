//! What rendered templates consist of: documents in the order of installation, and hooks apart from them.

use tubectl_yaml::Value as Yaml;

/// One object of a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The template it comes from, such as `keda/templates/manager/deployment.yaml`.
    pub source: String,
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind; nothing for a document of comments only.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace, if it says one.
    pub namespace: Option<String>,
    /// The text as the template wrote it.
    pub text: String,
    /// The text as a tree.
    pub document: Yaml,
}

/// An object that is run at a point of a release's life instead of being part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The object.
    pub manifest: Manifest,
    /// When it runs, such as `pre-install`.
    pub events: Vec<String>,
    /// Lower ones run first.
    pub weight: i64,
    /// When it is deleted, such as `before-hook-creation`.
    pub delete_policies: Vec<String>,
    /// When its log is printed.
    pub output_log_policies: Vec<String>,
}

/// The events that Helm knows.
const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

/// The kinds in the order in which Helm installs them. What is not listed comes last, by name.
const INSTALL_ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The place of a kind in the order of installation.
pub fn install_rank(kind: &str) -> (usize, &str) {
    match INSTALL_ORDER.iter().position(|known| *known == kind) {
        Some(position) => (position, ""),
        None => (INSTALL_ORDER.len(), kind),
    }
}

/// Splits rendered files into documents and hooks, both in the order of installation.
///
/// Fails with the source and the reason if a document is not YAML.
pub(crate) fn sort(mut files: Vec<(String, String)>) -> Result<(Vec<Manifest>, Vec<Hook>), (String, String)> {
    files.sort();
    let (mut manifests, mut hooks) = (Vec::new(), Vec::new());
    for (source, content) in files {
        for text in split(&content) {
            let manifest = read(&source, text).map_err(|reason| (source.clone(), reason))?;
            match hook(&manifest) {
                Role::Object => manifests.push(manifest),
                Role::Hook(found) => hooks.push(Hook { manifest, ..*found }),
                // Helm drops what names an event that it does not know.
                Role::Nothing => {}
            }
        }
    }
    manifests.sort_by(|one, other| install_rank(&one.kind).cmp(&install_rank(&other.kind)));
    hooks.sort_by(|one, other| install_rank(&one.manifest.kind).cmp(&install_rank(&other.manifest.kind)));
    Ok((manifests, hooks))
}

/// Reads one document.
pub(crate) fn read(source: &str, text: &str) -> Result<Manifest, String> {
    let document = tubectl_yaml::parse(text).map_err(|error| {
        format!(
            "error converting YAML to JSON: yaml: line {}: {}",
            error.line, error.message
        )
    })?;
    if !matches!(document, Yaml::Map(_) | Yaml::Null) {
        return Err("error unmarshaling JSON: while decoding JSON: the document is not an object".to_owned());
    }
    let field = |path: &[&str]| document.at(path).and_then(scalar);
    Ok(Manifest {
        source: source.to_owned(),
        api_version: field(&["apiVersion"]).unwrap_or_default(),
        kind: field(&["kind"]).unwrap_or_default(),
        name: field(&["metadata", "name"]).unwrap_or_default(),
        namespace: field(&["metadata", "namespace"]),
        text: text.to_owned(),
        document,
    })
}

/// Where a text that is a scalar stands, numbers and booleans are taken as their text.
fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Bool(truth) => Some(truth.to_string()),
        Yaml::Int(number) => Some(number.to_string()),
        Yaml::Uint(number) => Some(number.to_string()),
        Yaml::Float(number) => Some(tubectl_yaml::format_float(*number)),
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
    }
}

enum Role {
    Object,
    Hook(Box<Hook>),
    Nothing,
}

fn hook(manifest: &Manifest) -> Role {
    let annotation = |name: &str| {
        manifest
            .document
            .at(&["metadata", "annotations", name])
            .and_then(scalar)
    };
    let Some(events) = annotation("helm.sh/hook") else {
        return Role::Object;
    };
    let names = |text: &str| {
        text.split(',')
            .map(|name| name.trim().to_lowercase())
            .collect::<Vec<_>>()
    };
    let policies = |name: &str| annotation(name).map_or_else(Vec::new, |text| names(&text));
    let mut events = names(&events);
    if events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
        return Role::Nothing;
    }
    for event in &mut events {
        if event == "test-success" {
            "test".clone_into(event);
        }
    }
    Role::Hook(Box::new(Hook {
        manifest: manifest.clone(),
        events,
        weight: annotation("helm.sh/hook-weight")
            .and_then(|weight| weight.parse().ok())
            .unwrap_or(0),
        delete_policies: policies("helm.sh/hook-delete-policy"),
        output_log_policies: policies("helm.sh/hook-output-log-policy"),
    }))
}

/// The documents of a file: they are parted by lines that begin with three hyphens. White space after the hyphens belongs to
/// them, so of two such lines in a row the second is part of the document.
pub(crate) fn split(content: &str) -> Vec<&str> {
    let content = content.trim();
    let mut documents = Vec::new();
    let mut rest = content.strip_prefix("---").map_or(content, str::trim_start);
    while let Some(at) = rest.find("\n---") {
        documents.push(rest[..at].trim());
        rest = rest[at + 4..].trim_start();
    }
    documents.push(rest);
    documents.retain(|document| !document.is_empty());
    documents
}

/// The documents of a release one after the other, as Helm stores and prints them.
pub(crate) fn joined(manifests: &[Manifest]) -> String {
    let mut out = String::new();
    for manifest in manifests {
        out.push_str("---\n# Source: ");
        out.push_str(&manifest.source);
        out.push('\n');
        out.push_str(&manifest.text);
        out.push('\n');
    }
    out
}
