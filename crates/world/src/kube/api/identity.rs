//! Who asks, and what they may do.
//!
//! People come with a token that is a presigned STS URL, pods with a service account's. An access entry lets a person in
//! and may make it an administrator; everybody else may do what roles and bindings say.

use base64::Engine;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::aws;
use crate::aws::rest::eks::access::ScopeKind;
use crate::aws::rest::eks::access::principal_of;
use crate::core::Request;
use crate::core::Scene;
use crate::kube::api::status::Failure;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

const CLUSTER_ROLE_BINDING: GroupKind = GroupKind::of("ClusterRoleBinding.rbac.authorization.k8s.io");
const ROLE_BINDING: GroupKind = GroupKind::of("RoleBinding.rbac.authorization.k8s.io");
const CLUSTER_ROLE: GroupKind = GroupKind::of("ClusterRole.rbac.authorization.k8s.io");
const ROLE: GroupKind = GroupKind::of("Role.rbac.authorization.k8s.io");

/// The policy that makes a principal an administrator.
const ADMINISTRATORS: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// How tokens of people begin.
const PERSON: &str = "k8s-aws-v1.";
/// How tokens of pods begin; namespace and service account follow.
const POD: &str = "pod:";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// The resource's plural name, with `/` and the subresource if it is one.
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// The token that a service account's pods carry.
pub(crate) fn pod_token(namespace: &str, service_account: &str) -> String {
    format!("{POD}{namespace}/{service_account}")
}

/// The token of whoever runs the world, which nobody signed: the account takes every key it does not know for theirs.
pub(crate) fn operators_token(region: &str) -> String {
    let url = format!(
        "https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&X-Amz-SignedHeaders=host;x-k8s-aws-id\
         &X-Amz-Credential=OPERATOR/20260101/{region}/sts/aws4_request"
    );
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("{PERSON}{}", engine.encode(url))
}

/// Who a request comes from.
pub(crate) fn of(scene: &Scene<'_>, request: &Request) -> Result<User, Failure> {
    let header = request.headers().get(AUTHORIZATION);
    let token = header
        .and_then(|header| header.to_str().ok())
        .and_then(|header| header.strip_prefix("Bearer "))
        .ok_or_else(Failure::unauthorized)?;
    of_token(scene, token).ok_or_else(Failure::unauthorized)
}

/// Whose token this is.
pub(crate) fn of_token(scene: &Scene<'_>, token: &str) -> Option<User> {
    if scene.cluster.admin_token.as_deref() == Some(token) {
        return Some(administrator("kubernetes-admin"));
    }
    match token.strip_prefix(POD) {
        Some(account) => service_account(&scene.cluster.store, account),
        None => person(scene, token),
    }
}

fn administrator(name: &str) -> User {
    User {
        name: name.to_owned(),
        groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
    }
}

fn service_account(store: &Store, account: &str) -> Option<User> {
    let (namespace, name) = account.split_once('/')?;
    let kind = GroupKind::of("ServiceAccount");
    // The default account of a namespace is made by a controller that may lag behind the pod.
    if name != "default" {
        store.get(&kind, namespace, name)?;
    }
    Some(User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
    })
}

/// The caller of a presigned `GetCallerIdentity` that was signed for a cluster.
fn person(scene: &Scene<'_>, token: &str) -> Option<User> {
    let encoded = token.strip_prefix(PERSON)?;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let url = String::from_utf8(engine.decode(encoded.trim_end_matches('=')).ok()?).ok()?;
    let (_, query) = url.split_once('?')?;
    let parameter = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.into_owned())
    };
    let asks = parameter("Action").as_deref() == Some("GetCallerIdentity");
    let signed = parameter("X-Amz-SignedHeaders")?;
    let for_cluster = signed.split(';').any(|header| header == "x-k8s-aws-id");
    let scope = aws::Scope::parse(&parameter("X-Amz-Credential")?)?;
    (asks && for_cluster && scope.service == "sts").then(|| entry(scene, &scope.key))?
}

/// The user that an access key's principal is in this cluster; none if no access entry lets it in.
///
/// The policy for administrators of the whole cluster makes one. Other policies give nothing here: what a principal may
/// do beside it is what roles and bindings give its user and groups.
fn entry(scene: &Scene<'_>, key: &str) -> Option<User> {
    let region = scene.aws.regions.get(&scene.cluster.region)?;
    let cluster = region.eks.at_host(&scene.cluster.host)?;
    let entry = cluster.access_entries.get(&principal_of(&scene.aws.caller(key).arn))?;
    let policy = entry.policies.get(ADMINISTRATORS);
    if policy.is_some_and(|grant| grant.scope.kind == ScopeKind::Cluster) {
        return Some(administrator(&entry.username));
    }
    let mut groups = entry.groups.clone();
    groups.push("system:authenticated".to_owned());
    Some(User {
        name: entry.username.clone(),
        groups,
    })
}

/// Whether the user may do it.
pub(crate) fn allows(store: &Store, user: &User, action: &Action<'_>) -> bool {
    if user.groups.iter().any(|group| group == "system:masters") {
        return true;
    }
    roles(store, user, action.namespace).any(|role| grants(role, action))
}

/// The rules that are for the user in a namespace.
pub(crate) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    if user.groups.iter().any(|group| group == "system:masters") {
        return vec![serde_json::json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})];
    }
    let rules = roles(store, user, namespace).filter_map(|role| role["rules"].as_array());
    rules.flatten().cloned().collect()
}

/// The roles that are bound to the user, in the cluster and in a namespace.
fn roles<'a>(store: &'a Store, user: &'a User, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
    let everywhere = store.list(&CLUSTER_ROLE_BINDING);
    let here = store.list_in(&ROLE_BINDING, namespace);
    let here = here.filter(move |_| !namespace.is_empty());
    everywhere
        .chain(here)
        .filter(|binding| binds(binding, user))
        .filter_map(|binding| role(store, binding))
}

fn binds(binding: &Value, user: &User) -> bool {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.into_iter().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str();
                let namespace = namespace.or_else(|| binding["metadata"]["namespace"].as_str());
                user.name == format!("system:serviceaccount:{}:{name}", namespace.unwrap_or_default())
            }
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            _ => false,
        }
    })
}

fn role<'a>(store: &'a Store, binding: &Value) -> Option<&'a Value> {
    let name = binding["roleRef"]["name"].as_str()?;
    let found = if binding["roleRef"]["kind"] == "Role" {
        store.get(&ROLE, binding["metadata"]["namespace"].as_str()?, name)
    } else {
        store.get(&CLUSTER_ROLE, "", name)
    };
    found.map(|role| &**role)
}

fn grants(role: &Value, action: &Action<'_>) -> bool {
    let has = |list: &Value, wanted: &str| {
        let list = list.as_array().into_iter().flatten();
        list.into_iter().any(|item| item == "*" || item == wanted)
    };
    let (_, part) = action.resource.split_once('/').unwrap_or((action.resource, ""));
    let any_part = format!("*/{part}");
    let rules = role["rules"].as_array().into_iter().flatten();
    rules.into_iter().any(|rule| {
        let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
        has(&rule["verbs"], action.verb)
            && has(&rule["apiGroups"], action.group)
            && (has(&rule["resources"], action.resource) || !part.is_empty() && has(&rule["resources"], &any_part))
            && names.is_none_or(|names| names.iter().any(|name| name == action.name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: &Value, verb: &str, resource: &str, expected: bool) {
        let granted = json!({"rules": [rule]});
        let action = Action {
            verb,
            group: "",
            resource,
            namespace: "a",
            name: "n",
        };
        assert_eq!(grants(&granted, &action), expected, "{verb} {resource} by {rule}");
    }

    #[test]
    fn a_rule_grants_its_verbs_on_its_resources() {
        let reader = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]});
        check(&reader, "list", "pods", true);
        check(&reader, "delete", "pods", false);
        check(&reader, "get", "pods/log", false);
        let named = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["*"], "resourceNames": ["other"]});
        check(&named, "get", "pods", false);
        let status = json!({"apiGroups": ["*"], "resources": ["*/status"], "verbs": ["patch"]});
        check(&status, "patch", "pods/status", true);
        check(&status, "patch", "pods", false);
    }
}
