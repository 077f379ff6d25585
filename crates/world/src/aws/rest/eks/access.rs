//! Access entries: which principals the cluster's API lets in, and with which of EKS's policies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::Tags;
use crate::aws::json::tags::epoch;
use crate::aws::rest::eks::Cluster;
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::clusters::Authentication;
use crate::aws::rest::eks::ground;
use crate::aws::rest::eks::in_use;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::invalid_request;
use crate::aws::rest::eks::not_found;

const POLICY_PREFIX: &str = "arn:aws:eks::aws:cluster-access-policy/";

/// The policies that can be associated.
const POLICIES: &[&str] = &[
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
];

/// One principal that may come in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccessEntry {
    pub(crate) principal: String,
    pub(crate) kind: Kind,
    pub(crate) username: String,
    pub(crate) groups: Vec<String>,
    /// The associated policies, by the ARN of the policy.
    pub(crate) policies: BTreeMap<String, Grant>,
    arn: String,
    cluster: String,
    created: Timestamp,
    tags: Tags,
    token: Option<String>,
}

/// What kind of principal an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    Standard,
    Ec2Linux,
    Ec2Windows,
    FargateLinux,
}

/// One policy of one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) scope: AccessScope,
    at: Timestamp,
}

/// How far a policy reaches.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessScope {
    #[serde(rename = "type")]
    pub(crate) kind: ScopeKind,
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
}

/// Whether a policy reaches everywhere or into some namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScopeKind {
    Cluster,
    Namespace,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    principal_arn: String,
    #[serde(default)]
    kubernetes_groups: Vec<String>,
    #[serde(default)]
    tags: Tags,
    client_request_token: Option<String>,
    username: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Associate {
    policy_arn: String,
    access_scope: AccessScope,
}

impl AccessEntry {
    fn new(cluster: &Cluster, number: &str, principal: &str, kind: Kind, now: Timestamp) -> Self {
        let mut groups = Vec::new();
        let username = match (kind, principal.split_once(":role/")) {
            (Kind::Ec2Linux | Kind::Ec2Windows, _) => {
                groups.push("system:nodes".to_owned());
                "system:node:{{EC2PrivateDNSName}}".to_owned()
            }
            (_, Some((account, role))) => {
                let role = role.rsplit('/').next().unwrap_or_default();
                let account = account.replace(":iam:", ":sts:");
                format!("{account}:assumed-role/{role}/{{{{SessionName}}}}")
            }
            _ => principal.to_owned(),
        };
        let tail = principal.splitn(6, ':').nth(5).unwrap_or_default();
        let account = principal.split(':').nth(4).unwrap_or_default();
        let (noun, name) = tail.split_once('/').unwrap_or((tail, ""));
        Self {
            arn: cluster.part("access-entry", &format!("{noun}/{account}/{name}/{number}")),
            cluster: cluster.name.clone(),
            principal: principal.to_owned(),
            kind,
            username,
            groups,
            policies: BTreeMap::new(),
            created: now,
            tags: Tags::new(),
            token: None,
        }
    }

    pub(super) fn tagged(&mut self) -> (&str, &mut Tags) {
        (&self.arn, &mut self.tags)
    }

    fn described(&self) -> Value {
        json!({
            "clusterName": self.cluster,
            "principalArn": self.principal,
            "kubernetesGroups": self.groups,
            "accessEntryArn": self.arn,
            "createdAt": epoch(self.created),
            "modifiedAt": epoch(self.created),
            "tags": self.tags,
            "username": self.username,
            "type": self.kind,
        })
    }
}

/// Lets whoever made the cluster in, as an administrator.
pub(super) fn admit_creator(scene: &mut Scene<'_>, cluster: &mut Cluster, caller: &str) {
    let principal = principal_of(caller);
    let mut entry = AccessEntry::new(cluster, &scene.random.uuid(), &principal, Kind::Standard, scene.now);
    let grant = Grant {
        scope: AccessScope {
            kind: ScopeKind::Cluster,
            namespaces: Vec::new(),
        },
        at: scene.now,
    };
    let policy = format!("{POLICY_PREFIX}AmazonEKSClusterAdminPolicy");
    entry.policies.insert(policy, grant);
    cluster.access_entries.insert(principal, entry);
}

/// Lets the nodes of a role in, as a managed node group does for its own.
pub(super) fn admit_nodes(scene: &mut Scene<'_>, region: &str, name: &str, role: &str) {
    let (now, number) = (scene.now, scene.random.uuid());
    if let Ok(cluster) = cluster(scene, region, name)
        && cluster.authentication != Authentication::ConfigMap
        && !cluster.access_entries.contains_key(role)
    {
        let entry = AccessEntry::new(cluster, &number, role, Kind::Ec2Linux, now);
        cluster.access_entries.insert(role.to_owned(), entry);
    }
}

/// The IAM principal behind a caller: a session's is its role.
pub(crate) fn principal_of(caller: &str) -> String {
    match caller.split_once(":assumed-role/") {
        Some((account, rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            format!("{}:role/{role}", account.replace(":sts:", ":iam:"))
        }
        None => caller.to_owned(),
    }
}

/// A cluster that has access entries.
fn entered<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut Cluster, Refusal> {
    let cluster = cluster(scene, input.region(), input.name(0))?;
    if cluster.authentication == Authentication::ConfigMap {
        return Err(invalid_request(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
        ));
    }
    Ok(cluster)
}

fn entry<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut AccessEntry, Refusal> {
    let entries = &mut entered(scene, input)?.access_entries;
    entries.get_mut(input.name(1)).ok_or_else(|| {
        let message = "The specified principalArn could not be found. You can view your available access entries with \
                       'aws eks list-access-entries'.";
        not_found(message)
    })
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Create = input.body()?;
    let existing = entered(scene, input)?.access_entries.get(&body.principal_arn);
    if let Some(existing) = existing {
        if existing.token.is_some() && existing.token == body.client_request_token {
            return Ok(json!({"accessEntry": existing.described()}));
        }
        return Err(in_use(
            "The specified access entry resource is already in use on this cluster.",
        ));
    }
    super::active(scene, input.region(), input.name(0))?;
    let kind = body.kind.unwrap_or(Kind::Standard);
    if kind != Kind::Standard && (body.username.is_some() || !body.kubernetes_groups.is_empty()) {
        return Err(invalid_parameter(
            "The username and Kubernetes groups of an access entry for nodes cannot be set",
        ));
    }
    if let Some(group) = body.kubernetes_groups.iter().find(|group| group.starts_with("system:")) {
        let message = format!("The kubernetes group name {group} is invalid, it cannot start with system:");
        return Err(invalid_parameter(message));
    }
    ground::check_principal(scene, &body.principal_arn)?;
    let (now, number) = (scene.now, scene.random.uuid());
    let cluster = entered(scene, input)?;
    let mut entry = AccessEntry::new(cluster, &number, &body.principal_arn, kind, now);
    entry.groups.extend(body.kubernetes_groups);
    entry.username = body.username.unwrap_or(entry.username);
    entry.tags = body.tags;
    entry.token = body.client_request_token;
    let output = json!({"accessEntry": entry.described()});
    cluster.access_entries.insert(body.principal_arn, entry);
    Ok(output)
}

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let entries = &entered(scene, input)?.access_entries;
    let policy = input.query("associatedPolicyArn");
    let wanted = |entry: &&AccessEntry| policy.is_none_or(|policy| entry.policies.contains_key(policy));
    let principals = entries.values().filter(wanted).map(|entry| &entry.principal);
    input.page("accessEntries", principals, |arn| (*arn).clone(), |arn| json!(arn))
}

pub(super) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    Ok(json!({"accessEntry": entry(scene, input)?.described()}))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    entry(scene, input)?;
    entered(scene, input)?.access_entries.remove(input.name(1));
    Ok(json!({}))
}

pub(super) fn associate(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Associate = input.body()?;
    let now = scene.now;
    let entry = entry(scene, input)?;
    let name = body.policy_arn.strip_prefix(POLICY_PREFIX);
    if !name.is_some_and(|name| POLICIES.contains(&name)) {
        return Err(invalid_parameter(format!(
            "The policyArn {} is invalid",
            body.policy_arn
        )));
    }
    if entry.kind != Kind::Standard {
        return Err(invalid_request(
            "Access policies cannot be associated with an access entry that is not of type STANDARD",
        ));
    }
    if (body.access_scope.kind == ScopeKind::Namespace) == body.access_scope.namespaces.is_empty() {
        return Err(invalid_parameter(
            "Namespaces are given for an access scope of type namespace, and only then",
        ));
    }
    let grant = Grant {
        scope: body.access_scope,
        at: now,
    };
    let output = described(&body.policy_arn, &grant);
    entry.policies.insert(body.policy_arn, grant);
    Ok(json!({
        "clusterName": entry.cluster,
        "principalArn": entry.principal,
        "associatedAccessPolicy": output,
    }))
}

pub(super) fn associated(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let entry = entry(scene, input)?;
    let mut output = input.page(
        "associatedAccessPolicies",
        &entry.policies,
        |(arn, _)| (*arn).clone(),
        |(arn, grant)| described(arn, grant),
    )?;
    output["clusterName"] = json!(entry.cluster);
    output["principalArn"] = json!(entry.principal);
    Ok(output)
}

pub(super) fn disassociate(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    match entry(scene, input)?.policies.remove(input.name(2)) {
        Some(_) => Ok(json!({})),
        None => Err(not_found(
            "The specified policyArn is not associated with the access entry.",
        )),
    }
}

fn described(policy: &str, grant: &Grant) -> Value {
    json!({
        "policyArn": policy,
        "accessScope": grant.scope,
        "associatedAt": epoch(grant.at),
        "modifiedAt": epoch(grant.at),
    })
}
