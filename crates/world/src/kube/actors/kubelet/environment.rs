//! A container's environment: plain values, fields of the pod, `ConfigMaps` and Secrets.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::core::Scene;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

/// The environment of one container of a pod.
pub(crate) fn of(store: &Store, pod: &Value, container: &Value) -> BTreeMap<String, String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut environment = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        for (kind, field) in [(kinds::CONFIG_MAP, "configMapRef"), (kinds::SECRET, "secretRef")] {
            let Some(name) = source[field]["name"].as_str() else {
                continue;
            };
            let object = store.get(&kind, namespace, name);
            let keys = object
                .and_then(|object| object["data"].as_object())
                .into_iter()
                .flatten();
            for (key, _) in keys {
                if let Some(value) = entry(store, &kind, namespace, name, key) {
                    environment.insert(format!("{prefix}{key}"), value);
                }
            }
        }
    }
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        let value = match variable["value"].as_str() {
            Some(value) => Some(expand(value, &environment)),
            None => from_source(store, pod, &variable["valueFrom"]),
        };
        if let Some(value) = value {
            environment.insert(name.to_owned(), value);
        }
    }
    environment
}

/// The first container that cannot start because something that it refers to is not there, and what that is.
pub(super) fn missing(scene: &Scene<'_>, pod: &Value) -> Option<(String, String)> {
    let store = &scene.cluster.store;
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let absent = |kind: &GroupKind, reference: &Value| {
        let name = reference["name"].as_str()?;
        let needed = reference["optional"] != true && store.get(kind, namespace, name).is_none();
        let resource = if *kind == kinds::SECRET { "secret" } else { "configmap" };
        needed.then(|| format!("{resource} \"{name}\" not found"))
    };
    let volumes = list(&pod["spec"]["volumes"]).iter();
    let in_volumes = volumes
        .clone()
        .find_map(|volume| absent(&kinds::CONFIG_MAP, &volume["configMap"]));
    for container in list(&pod["spec"]["containers"]) {
        let sources = list(&container["envFrom"]).iter();
        let in_sources = sources
            .clone()
            .find_map(|source| absent(&kinds::CONFIG_MAP, &source["configMapRef"]))
            .or_else(|| {
                sources
                    .clone()
                    .find_map(|source| absent(&kinds::SECRET, &source["secretRef"]))
            });
        let variables = list(&container["env"]).iter();
        let in_variables = variables
            .clone()
            .find_map(|one| absent(&kinds::CONFIG_MAP, &one["valueFrom"]["configMapKeyRef"]))
            .or_else(|| {
                variables
                    .clone()
                    .find_map(|one| absent(&kinds::SECRET, &one["valueFrom"]["secretKeyRef"]))
            });
        if let Some(message) = in_volumes.clone().or(in_sources).or(in_variables) {
            return Some((container["name"].as_str().unwrap_or_default().to_owned(), message));
        }
    }
    None
}

fn entry(store: &Store, kind: &GroupKind, namespace: &str, name: &str, key: &str) -> Option<String> {
    let value = store.get(kind, namespace, name)?["data"][key].as_str()?;
    if *kind != kinds::SECRET {
        return Some(value.to_owned());
    }
    String::from_utf8(STANDARD.decode(value).ok()?).ok()
}

fn from_source(store: &Store, pod: &Value, source: &Value) -> Option<String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    for (kind, field) in [(kinds::CONFIG_MAP, "configMapKeyRef"), (kinds::SECRET, "secretKeyRef")] {
        let reference = &source[field];
        if let Some(name) = reference["name"].as_str() {
            return entry(store, &kind, namespace, name, reference["key"].as_str()?);
        }
    }
    field(pod, source["fieldRef"]["fieldPath"].as_str()?)
}

/// A field of the pod, by the path that `fieldRef` allows.
fn field(pod: &Value, path: &str) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match path {
        "metadata.name" => text(&pod["metadata"]["name"]),
        "metadata.namespace" => text(&pod["metadata"]["namespace"]),
        "metadata.uid" => Some(pod::uid(pod).to_owned()),
        "spec.nodeName" => text(&pod["spec"]["nodeName"]),
        "spec.serviceAccountName" => text(&pod["spec"]["serviceAccountName"]),
        "status.podIP" => text(&pod["status"]["podIP"]),
        "status.hostIP" => text(&pod["status"]["hostIP"]),
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            text(&pod["metadata"][map.strip_prefix("metadata.")?][key])
        }
    }
}

/// Replaces `$(NAME)` by what is known so far.
fn expand(value: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = value.to_owned();
    for (name, replacement) in known {
        let reference = format!("$({name})");
        if text.contains(&reference) {
            text = text.replace(&reference, replacement);
        }
    }
    text
}
