//! What there is: groups, versions and resources, in the old form and in the aggregated one; version and health.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::core::Response;
use crate::kube::Cluster;
use crate::kube::api::aggregated;
use crate::kube::api::openapi;
use crate::kube::api::resources::Customs;
use crate::kube::api::resources::Resource;
use crate::kube::api::resources::Scope;
use crate::kube::api::status::Failure;
use crate::kube::api::status::json_response;
use crate::kube::api::status::text;

/// The media type of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers the paths that describe the server; none for paths of objects.
pub(crate) fn answer(cluster: &Cluster, customs: &Customs, path: &str, accept: &str) -> Option<Response> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let whole = accept.contains("APIGroupDiscoveryList") && accept.contains("v=v2");
    let answer = match parts.as_slice() {
        ["version"] => json_response(StatusCode::OK, &version(&cluster.version)),
        ["healthz" | "livez" | "readyz", ..] => text(StatusCode::OK, "ok"),
        ["api"] if whole => aggregated_form(&discovery(customs, &cluster.store, Part::Core)),
        ["apis"] if whole => aggregated_form(&discovery(customs, &cluster.store, Part::Groups)),
        ["api"] => json_response(StatusCode::OK, &core_versions(&cluster.host)),
        ["apis"] => json_response(StatusCode::OK, &groups(customs, &cluster.store)),
        ["api", "v1"] => json_response(StatusCode::OK, &resources(customs, "", "v1")?),
        ["apis", group] => match group_named(customs, &cluster.store, group) {
            Some(group) => json_response(StatusCode::OK, &group),
            None => Failure::no_such_path().response(),
        },
        ["apis", group, version] => match resources(customs, group, version) {
            Some(list) => json_response(StatusCode::OK, &list),
            None => return aggregated::resources(&cluster.store, group, version),
        },
        ["openapi", "v3"] => json_response(StatusCode::OK, &openapi::paths(customs)),
        ["openapi", "v3", "api", version] => json_response(StatusCode::OK, &openapi::document(customs, "", version)),
        ["openapi", "v3", "apis", group, version] => {
            json_response(StatusCode::OK, &openapi::document(customs, group, version))
        }
        _ => return None,
    };
    Some(answer)
}

/// One group with its versions, the preferred one first, each with its resources.
struct Group<'a> {
    name: &'a str,
    versions: Vec<(&'a str, Vec<&'a Resource>)>,
}

/// The core group or all others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Core,
    Groups,
}

/// The groups in the order in which the server shows them: its own first, custom ones by name.
fn grouped(customs: &Customs, part: Part) -> Vec<Group<'_>> {
    let mut found: Vec<Group<'_>> = Vec::new();
    for resource in customs.every() {
        if resource.group.is_empty() != (part == Part::Core) {
            continue;
        }
        let at = if let Some(at) = found.iter().position(|group| group.name == resource.group) {
            at
        } else {
            found.push(Group {
                name: &resource.group,
                versions: Vec::new(),
            });
            found.len() - 1
        };
        let versions = &mut found[at].versions;
        match versions.iter_mut().find(|(version, _)| *version == resource.version) {
            Some((_, resources)) => resources.push(resource),
            None => versions.push((&resource.version, vec![resource])),
        }
    }
    for group in &mut found {
        group
            .versions
            .sort_by_key(|(version, _)| std::cmp::Reverse(priority(version)));
    }
    found
}

/// How a version ranks: `v2` before `v1` before `v1beta1` before `v1alpha1`.
fn priority(version: &str) -> (u8, u32, u32) {
    let digits = |text: &str| text.parse().unwrap_or(0);
    let text = version.trim_start_matches('v');
    for (word, rank) in [("beta", 1), ("alpha", 0)] {
        if let Some((major, minor)) = text.split_once(word) {
            return (rank, digits(major), digits(minor));
        }
    }
    (2, digits(text), 0)
}

fn group_json(group: &Group<'_>) -> Value {
    let version = |version: &str| json!({"groupVersion": format!("{}/{version}", group.name), "version": version});
    let versions: Vec<Value> = group.versions.iter().map(|(name, _)| version(name)).collect();
    json!({"name": group.name, "preferredVersion": versions[0], "versions": versions})
}

fn groups(customs: &Customs, store: &crate::kube::store::Store) -> Value {
    let mut all: Vec<Value> = grouped(customs, Part::Groups).iter().map(group_json).collect();
    all.extend(aggregated::groups(store));
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

fn group_named(customs: &Customs, store: &crate::kube::store::Store, name: &str) -> Option<Value> {
    let own = grouped(customs, Part::Groups)
        .iter()
        .find(|group| group.name == name)
        .map(group_json);
    let mut found = own.or_else(|| aggregated::groups(store).find(|group| group["name"] == name))?;
    found["kind"] = json!("APIGroup");
    found["apiVersion"] = json!("v1");
    Some(found)
}

fn core_versions(host: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": format!("{host}:443")}],
    })
}

/// The resources of one version in the old form; none if there is no such version.
fn resources(customs: &Customs, group: &str, version: &str) -> Option<Value> {
    let all: Vec<&Resource> = customs
        .every()
        .map(|resource| &**resource)
        .filter(|resource| resource.group == group && resource.version == version)
        .collect();
    if all.is_empty() {
        return None;
    }
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": all[0].api_version(),
        "resources": all.iter().flat_map(|resource| old_form(resource)).collect::<Vec<_>>(),
    });
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Some(list)
}

fn old_form(resource: &Resource) -> Vec<Value> {
    let namespaced = resource.scope == Scope::Namespaced;
    let mut own = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        own["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        own["categories"] = json!(resource.categories);
    }
    if resource.verbs.iter().any(|verb| verb == "watch") {
        own["storageVersionHash"] = json!(resource.storage_hash());
    }
    let part = |subresource: &crate::kube::api::resources::Subresource| {
        let mut part = json!({
            "name": format!("{}/{}", resource.plural, subresource.name),
            "singularName": "",
            "namespaced": namespaced,
            "kind": subresource.kind,
            "verbs": subresource.verbs,
        });
        if let Some((group, version)) = &subresource.group_version {
            part["group"] = json!(group);
            part["version"] = json!(version);
        }
        part
    };
    std::iter::once(own)
        .chain(resource.subresources.iter().map(part))
        .collect()
}

/// The aggregated form of one half of the groups.
fn discovery(customs: &Customs, store: &crate::kube::store::Store, part: Part) -> Value {
    let items = grouped(customs, part).into_iter().map(|group| {
        let versions: Vec<Value> = group
            .versions
            .iter()
            .map(|(version, resources)| {
                json!({
                    "version": version,
                    "resources": resources.iter().map(|resource| new_form(resource)).collect::<Vec<_>>(),
                    "freshness": "Current",
                })
            })
            .collect();
        let mut metadata = json!({});
        if !group.name.is_empty() {
            metadata["name"] = json!(group.name);
        }
        json!({"metadata": metadata, "versions": versions})
    });
    let mut items: Vec<Value> = items.collect();
    if part == Part::Groups {
        items.extend(aggregated::discovery(store));
    }
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn new_form(resource: &Resource) -> Value {
    // The server leaves group and version of its own kinds empty here; custom kinds have them.
    let own = |kind: &str| match &resource.custom {
        Some(_) => json!({"group": resource.group, "version": resource.version, "kind": kind}),
        None => json!({"group": "", "version": "", "kind": kind}),
    };
    let mut form = json!({
        "resource": resource.plural,
        "responseKind": own(&resource.kind),
        "scope": if resource.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        form["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        form["categories"] = json!(resource.categories);
    }
    let parts: Vec<Value> = resource
        .subresources
        .iter()
        .map(|part| {
            let kind = match &part.group_version {
                Some((group, version)) => json!({"group": group, "version": version, "kind": part.kind}),
                None => own(&part.kind),
            };
            json!({"subresource": part.name, "responseKind": kind, "verbs": part.verbs})
        })
        .collect();
    if !parts.is_empty() {
        form["subresources"] = json!(parts);
    }
    form
}

fn aggregated_form(body: &Value) -> Response {
    let mut response = json_response(StatusCode::OK, body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(AGGREGATED));
    response
}

/// What `kubectl version` reads. The patch level says that no such build exists anywhere.
fn version(version: &str) -> Value {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let before = minor.parse::<u32>().unwrap_or(0).saturating_sub(1);
    json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": before.to_string(),
        "gitVersion": format!("v{version}.0-eks-local"),
        "gitCommit": "0000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    })
}
