//! EKS: clusters, their node groups, add-ons and access.
//!
//! A cluster's objects live in [`crate::kube`]; what is here is what the EKS API knows. Actors of the cluster read it:
//! which groups want how many nodes, which add-ons are installed, who may come in, which pods get which role.

pub(crate) mod access;
mod addons;
mod catalog;
mod certificate;
mod clusters;
mod ground;
mod identities;
mod nodegroups;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::Tags;
use crate::aws::page;
use crate::aws::rest;
use crate::core::Request;
use crate::core::Response;

pub(crate) use crate::aws::rest::eks::access::AccessEntry;
pub(crate) use crate::aws::rest::eks::addons::Addon;
pub(crate) use crate::aws::rest::eks::clusters::Cluster;
pub(crate) use crate::aws::rest::eks::identities::Association;
pub(crate) use crate::aws::rest::eks::nodegroups::Nodegroup;

/// Clusters of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Eks {
    pub(crate) clusters: BTreeMap<String, Cluster>,
}

/// Where something is between its creation and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Creating,
    Active,
    Updating,
    Degraded,
    Deleting,
    CreateFailed,
}

/// What an operation is called for: the parts of its path that vary, and the query.
pub(super) struct Input<'a> {
    pub(super) call: &'a Call<'a>,
    names: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
}

type Run = fn(&mut Scene<'_>, &Input<'_>) -> Result<Value, Refusal>;

/// One operation: how it is called, and what it knows.
struct Route {
    operation: &'static str,
    method: &'static str,
    /// The path; `{}` is a part that varies.
    path: &'static str,
    query: &'static [&'static str],
    run: Run,
}

const PAGES: &[&str] = &["maxResults", "nextToken"];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route { operation: "CreateCluster", method: "POST", path: "clusters", query: &[], run: clusters::create },
    Route { operation: "ListClusters", method: "GET", path: "clusters", query: &["maxResults", "nextToken", "include"], run: clusters::list },
    Route { operation: "DescribeCluster", method: "GET", path: "clusters/{}", query: &[], run: clusters::describe },
    Route { operation: "DeleteCluster", method: "DELETE", path: "clusters/{}", query: &[], run: clusters::delete },
    Route { operation: "UpdateClusterConfig", method: "POST", path: "clusters/{}/update-config", query: &[], run: clusters::updates::update },
    Route { operation: "UpdateClusterVersion", method: "POST", path: "clusters/{}/updates", query: &[], run: clusters::updates::upgrade },
    Route { operation: "DescribeUpdate", method: "GET", path: "clusters/{}/updates/{}", query: &["nodegroupName", "addonName"], run: clusters::updates::describe },
    Route { operation: "DescribeClusterVersions", method: "GET", path: "cluster-versions", query: &["maxResults", "nextToken", "defaultOnly", "clusterType", "clusterVersions", "versionStatus", "includeAll", "status"], run: catalog::cluster_versions },
    Route { operation: "CreateNodegroup", method: "POST", path: "clusters/{}/node-groups", query: &[], run: nodegroups::create },
    Route { operation: "ListNodegroups", method: "GET", path: "clusters/{}/node-groups", query: PAGES, run: nodegroups::list },
    Route { operation: "DescribeNodegroup", method: "GET", path: "clusters/{}/node-groups/{}", query: &[], run: nodegroups::describe },
    Route { operation: "UpdateNodegroupConfig", method: "POST", path: "clusters/{}/node-groups/{}/update-config", query: &[], run: nodegroups::configure },
    Route { operation: "UpdateNodegroupVersion", method: "POST", path: "clusters/{}/node-groups/{}/update-version", query: &[], run: nodegroups::upgrade },
    Route { operation: "DeleteNodegroup", method: "DELETE", path: "clusters/{}/node-groups/{}", query: &[], run: nodegroups::delete },
    Route { operation: "DescribeAddonVersions", method: "GET", path: "addons/supported-versions", query: &["kubernetesVersion", "addonName", "maxResults", "nextToken", "types", "publishers", "owners"], run: catalog::addon_versions },
    Route { operation: "CreateAddon", method: "POST", path: "clusters/{}/addons", query: &[], run: addons::create },
    Route { operation: "ListAddons", method: "GET", path: "clusters/{}/addons", query: PAGES, run: addons::list },
    Route { operation: "DescribeAddon", method: "GET", path: "clusters/{}/addons/{}", query: &[], run: addons::describe },
    Route { operation: "UpdateAddon", method: "POST", path: "clusters/{}/addons/{}/update", query: &[], run: addons::update },
    Route { operation: "DeleteAddon", method: "DELETE", path: "clusters/{}/addons/{}", query: &["preserve"], run: addons::delete },
    Route { operation: "CreateAccessEntry", method: "POST", path: "clusters/{}/access-entries", query: &[], run: access::create },
    Route { operation: "ListAccessEntries", method: "GET", path: "clusters/{}/access-entries", query: &["maxResults", "nextToken", "associatedPolicyArn"], run: access::list },
    Route { operation: "DescribeAccessEntry", method: "GET", path: "clusters/{}/access-entries/{}", query: &[], run: access::describe },
    Route { operation: "DeleteAccessEntry", method: "DELETE", path: "clusters/{}/access-entries/{}", query: &[], run: access::delete },
    Route { operation: "AssociateAccessPolicy", method: "POST", path: "clusters/{}/access-entries/{}/access-policies", query: &[], run: access::associate },
    Route { operation: "ListAssociatedAccessPolicies", method: "GET", path: "clusters/{}/access-entries/{}/access-policies", query: PAGES, run: access::associated },
    Route { operation: "DisassociateAccessPolicy", method: "DELETE", path: "clusters/{}/access-entries/{}/access-policies/{}", query: &[], run: access::disassociate },
    Route { operation: "CreatePodIdentityAssociation", method: "POST", path: "clusters/{}/pod-identity-associations", query: &[], run: identities::create },
    Route { operation: "ListPodIdentityAssociations", method: "GET", path: "clusters/{}/pod-identity-associations", query: &["maxResults", "nextToken", "namespace", "serviceAccount"], run: identities::list },
    Route { operation: "DescribePodIdentityAssociation", method: "GET", path: "clusters/{}/pod-identity-associations/{}", query: &[], run: identities::describe },
    Route { operation: "UpdatePodIdentityAssociation", method: "POST", path: "clusters/{}/pod-identity-associations/{}", query: &[], run: identities::update },
    Route { operation: "DeletePodIdentityAssociation", method: "DELETE", path: "clusters/{}/pod-identity-associations/{}", query: &[], run: identities::delete },
    Route { operation: "TagResource", method: "POST", path: "tags/{}", query: &[], run: tag },
    Route { operation: "UntagResource", method: "DELETE", path: "tags/{}", query: &["tagKeys"], run: untag },
    Route { operation: "ListTagsForResource", method: "GET", path: "tags/{}", query: &[], run: list_tags },
];

impl Route {
    /// The parts that vary, if the request is for this route.
    fn names(&self, method: &str, segments: &[String]) -> Option<Vec<String>> {
        let pattern: Vec<&str> = self.path.split('/').collect();
        let fits = |(part, segment): (&&str, &String)| *part == "{}" || *part == segment.as_str();
        if method != self.method || pattern.len() != segments.len() || !pattern.iter().zip(segments).all(fits) {
            return None;
        }
        let varying = pattern.iter().zip(segments).filter(|(part, _)| **part == "{}");
        Some(varying.map(|(_, segment)| segment.clone()).collect())
    }
}

impl Input<'_> {
    /// A part of the path that varies, counted from zero.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The body; a member that the type does not know is refused.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body = self.call.request.body();
        let body = if body.is_empty() { &b"{}"[..] } else { body };
        serde_json::from_slice(body).map_err(|error| invalid_parameter(error.to_string()))
    }

    /// A query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.first().map(String::as_str)
    }

    /// One page of `names` under the member `field`.
    pub(super) fn page<T>(
        &self,
        field: &str,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
        value: impl Fn(T) -> Value,
    ) -> Result<Value, Refusal> {
        let limit = match self.query("maxResults") {
            None => 100,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=100).contains(limit))
                .ok_or_else(|| invalid_parameter("maxResults must be 1 to 100"))?,
        };
        let token = self.query("nextToken").filter(|token| !token.is_empty());
        let page = page::cut(items, key, limit, token).map_err(|_| invalid_parameter("Invalid token"))?;
        let list: Vec<Value> = page.items.into_iter().map(value).collect();
        let mut output = json!({field: list});
        if let Some(next) = page.next {
            output["nextToken"] = json!(next);
        }
        Ok(output)
    }

    pub(super) fn region(&self) -> &str {
        &self.call.scope.region
    }
}

impl Eks {
    /// When something of it next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.clusters.values().filter_map(Cluster::next_wake).min()
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let mut add = |kind: &str, id: String| found.entry(kind.to_owned()).or_default().push(id);
        for (name, cluster) in &self.clusters {
            add("eks/cluster", name.clone());
            for group in cluster.nodegroups.keys() {
                add("eks/nodegroup", format!("{name}/{group}"));
            }
            for addon in cluster.addons.keys() {
                add("eks/addon", format!("{name}/{addon}"));
            }
            for principal in cluster.access_entries.keys() {
                add("eks/access-entry", format!("{name}/{principal}"));
            }
            for association in cluster.associations.keys() {
                add("eks/pod-identity-association", format!("{name}/{association}"));
            }
        }
    }

    /// The cluster that answers at a host name.
    pub(crate) fn at_host(&self, host: &str) -> Option<&Cluster> {
        self.clusters.values().find(|cluster| cluster.host() == host)
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let segments = rest::segments(call.request);
    let method = call.request.method().as_str();
    let found = ROUTES
        .iter()
        .find_map(|route| Some((route, route.names(method, &segments)?)));
    let Some((route, names)) = found else {
        return Err(Refusal::unknown_operation(call));
    };
    let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = call.request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if !route.query.contains(&&*name) {
            let message = format!("unknown member `{name}` of {}", route.operation);
            return Err(invalid_parameter(message));
        }
        query.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let input = Input { call, names, query };
    let output = (route.run)(scene, &input)?;
    Ok(rest::json_answer(StatusCode::OK, &output))
}

/// The operation that method and path name; what names none is told as method and path.
pub(crate) fn operation_of(request: &Request) -> String {
    let segments = rest::segments(request);
    let method = request.method().as_str();
    let found = ROUTES.iter().find(|route| route.names(method, &segments).is_some());
    found.map_or_else(
        || format!("{method} {}", request.uri().path()),
        |route| route.operation.to_owned(),
    )
}

/// Lets it act on what is due in one region.
pub(crate) fn advance(scene: &mut Scene<'_>, region: &str) {
    let names: Vec<String> = scene.account.region(region).eks.clusters.keys().cloned().collect();
    for name in names {
        nodegroups::advance(scene, region, &name);
        addons::advance(scene, region, &name);
        clusters::advance(scene, region, &name);
    }
}

/// A cluster of the call's region.
pub(super) fn cluster<'a>(scene: &'a mut Scene<'_>, region: &str, name: &str) -> Result<&'a mut Cluster, Refusal> {
    let clusters = &mut scene.account.region(region).eks.clusters;
    clusters
        .get_mut(name)
        .ok_or_else(|| not_found(format!("No cluster found for name: {name}.")))
}

/// A cluster that is active, as most operations on its parts want it.
pub(super) fn active<'a>(scene: &'a mut Scene<'_>, region: &str, name: &str) -> Result<&'a mut Cluster, Refusal> {
    let cluster = cluster(scene, region, name)?;
    match cluster.status {
        Status::Active => Ok(cluster),
        Status::Updating => Err(in_use(format!("Cluster '{name}' is currently being updated"))),
        _ => Err(invalid_request(format!("Cluster '{name}' is not in ACTIVE status"))),
    }
}

pub(super) fn invalid_parameter(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

pub(super) fn invalid_request(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidRequestException", message)
}

pub(super) fn in_use(message: impl Into<String>) -> Refusal {
    Refusal::with_status(StatusCode::CONFLICT, "ResourceInUseException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::with_status(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagResource {
    tags: Tags,
}

fn tag(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: TagResource = input.body()?;
    tags_of(scene, input)?.extend(body.tags);
    Ok(json!({}))
}

fn untag(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let keys = input.query.get("tagKeys").cloned().unwrap_or_default();
    tags_of(scene, input)?.retain(|key, _| !keys.contains(key));
    Ok(json!({}))
}

fn list_tags(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let tags = tags_of(scene, input)?;
    Ok(json!({"tags": tags}))
}

/// The tags of whatever an ARN names.
fn tags_of<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut Tags, Refusal> {
    let arn = input.name(0);
    let clusters = &mut scene.account.region(input.region()).eks.clusters;
    let mut all = clusters.values_mut().flat_map(Cluster::tagged);
    let found = all.find(|(found, _)| *found == arn);
    found.map(|(_, tags)| tags).ok_or_else(|| {
        let message = format!("The resource `{arn}` was not found");
        Refusal::with_status(StatusCode::NOT_FOUND, "NotFoundException", message)
    })
}
