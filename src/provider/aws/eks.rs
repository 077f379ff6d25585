//! The cluster and what EKS manages in it: access, pod identities, add-ons, node groups.

use std::collections::BTreeMap;
use std::collections::HashMap;

use aws_sdk_eks::types::AddonPodIdentityAssociations;
use aws_sdk_eks::types::AddonStatus;
use aws_sdk_eks::types::AmiTypes;
use aws_sdk_eks::types::AuthenticationMode;
use aws_sdk_eks::types::CapacityTypes;
use aws_sdk_eks::types::ClusterStatus;
use aws_sdk_eks::types::CreateAccessConfigRequest;
use aws_sdk_eks::types::EncryptionConfig;
use aws_sdk_eks::types::LogSetup;
use aws_sdk_eks::types::LogType;
use aws_sdk_eks::types::Logging;
use aws_sdk_eks::types::NodegroupStatus;
use aws_sdk_eks::types::Provider;
use aws_sdk_eks::types::ResolveConflicts;
use aws_sdk_eks::types::VpcConfigRequest;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::Scope;
use crate::provider::aws::change;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::aws::is_change;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::AccessEntry;
use crate::resource::spec::Addon;
use crate::resource::spec::Cluster;
use crate::resource::spec::NodeGroup;
use crate::resource::spec::PodIdentity;

fn sorted(items: &[String]) -> Vec<String> {
    let mut items = items.to_vec();
    items.sort();
    items
}

fn owner_of(aws: &Aws, tags: Option<&HashMap<String, String>>) -> Option<ResourceId> {
    let tags: BTreeMap<String, String> = tags?.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    aws.owner.identify(&tags)
}

fn owned(aws: &Aws, ready: &Ready) -> HashMap<String, String> {
    aws.owner
        .tags(&ready.step.desired.id, &BTreeMap::new())
        .into_iter()
        .collect()
}

/// The answer, or none when there is no such thing.
fn if_there<T>(answer: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.class == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn observe_cluster(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let answer = aws.eks.describe_cluster().name(&aws.owner.stack).send().await;
    let Some(answer) = if_there(answer.map_err(|error| codes::error("eks DescribeCluster", error)))? else {
        return Ok(Vec::new());
    };
    let Some(cluster) = answer.cluster() else {
        return Ok(Vec::new());
    };
    let Some(id) = owner_of(aws, cluster.tags()) else {
        return Ok(Vec::new());
    };
    let network = cluster.resources_vpc_config();
    let security_group = network
        .and_then(|network| network.cluster_security_group_id())
        .unwrap_or_default()
        .to_owned();
    let readiness = match cluster.status() {
        Some(ClusterStatus::Active | ClusterStatus::Updating) => Readiness::Ready,
        Some(ClusterStatus::Failed) => Readiness::Failed("the control plane failed".to_owned()),
        Some(ClusterStatus::Deleting) => Readiness::Leaving,
        status => Readiness::Waiting(status.map_or("creating", ClusterStatus::as_str).to_lowercase()),
    };
    let spec = Cluster {
        version: cluster.version().unwrap_or_default().to_owned(),
        role: cluster.role_arn().unwrap_or_default().to_owned(),
        subnets: sorted(network.map(|network| network.subnet_ids()).unwrap_or_default()),
        security_groups: network
            .map(|network| network.security_group_ids().to_vec())
            .unwrap_or_default(),
        private_endpoint: network.is_some_and(|network| network.endpoint_private_access()),
        public_from: match network {
            Some(network) if network.endpoint_public_access() => network.public_access_cidrs().to_vec(),
            _ => Vec::new(),
        },
        authentication_mode: cluster
            .access_config()
            .and_then(|access| access.authentication_mode())
            .map_or(String::new(), |mode| mode.as_str().to_owned()),
        key: cluster
            .encryption_config()
            .first()
            .and_then(|encryption| encryption.provider())
            .and_then(|provider| provider.key_arn())
            .unwrap_or_default()
            .to_owned(),
        log_types: log_types(cluster.logging()),
        security_group_tags: security_group_tags(aws, &security_group).await?,
    };
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let authority = cluster.certificate_authority().and_then(|authority| authority.data());
    let issuer = cluster
        .identity()
        .and_then(|identity| identity.oidc())
        .and_then(|oidc| oidc.issuer());
    let given = BTreeMap::from([
        ("name".to_owned(), text(cluster.name())),
        ("arn".to_owned(), text(cluster.arn())),
        ("endpoint".to_owned(), text(cluster.endpoint())),
        ("certificate_authority".to_owned(), text(authority)),
        ("security_group".to_owned(), security_group),
        ("issuer".to_owned(), text(issuer)),
    ]);
    Ok(vec![found(id, Kind::Cluster, &spec, given, readiness)])
}

fn log_types(logging: Option<&Logging>) -> Vec<String> {
    let setups = logging.map(Logging::cluster_logging).unwrap_or_default();
    let on = setups
        .iter()
        .filter(|setup| setup.enabled() == Some(true))
        .flat_map(|setup| setup.types());
    let mut types: Vec<String> = on.map(|kind| kind.as_str().to_owned()).collect();
    types.sort();
    types
}

async fn security_group_tags(aws: &Aws, group: &str) -> Result<BTreeMap<String, String>, ProviderError> {
    if group.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = aws.ec2.describe_security_groups().group_ids(group).send().await;
    let answer = if_there(answer.map_err(|error| codes::error("ec2 DescribeSecurityGroups", error)))?;
    let groups = answer
        .map(|answer| answer.security_groups().to_vec())
        .unwrap_or_default();
    Ok(groups
        .first()
        .map(|group| ec2::from_sdk(group.tags()))
        .unwrap_or_default())
}

pub(super) async fn ensure_cluster(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Cluster = fields(ready)?;
    match existing {
        None => create_cluster(aws, ready, &spec).await,
        Some(_) => change::cluster(aws, ready, &spec).await,
    }
}

/// What can only be said once EKS has made it: tags on the cluster's own security group.
pub(super) async fn finish_cluster(aws: &Aws, ready: &Ready, given: &Given) -> Result<(), ProviderError> {
    let spec: Cluster = fields(ready)?;
    ec2::retag(aws, &given["security_group"], &spec.security_group_tags).await
}

async fn create_cluster(aws: &Aws, ready: &Ready, spec: &Cluster) -> Result<(), ProviderError> {
    let network = VpcConfigRequest::builder()
        .set_subnet_ids(Some(spec.subnets.clone()))
        .set_security_group_ids(Some(spec.security_groups.clone()).filter(|groups| !groups.is_empty()))
        .endpoint_private_access(spec.private_endpoint)
        .endpoint_public_access(!spec.public_from.is_empty())
        .set_public_access_cidrs(Some(spec.public_from.clone()).filter(|from| !from.is_empty()))
        .build();
    let access = CreateAccessConfigRequest::builder()
        .authentication_mode(AuthenticationMode::from(spec.authentication_mode.as_str()))
        .bootstrap_cluster_creator_admin_permissions(false)
        .build();
    let created = aws
        .eks
        .create_cluster()
        .name(&ready.step.desired.name)
        .version(&spec.version)
        .role_arn(&spec.role)
        .resources_vpc_config(network)
        .access_config(access)
        .set_encryption_config((!spec.key.is_empty()).then(|| vec![encryption(&spec.key)]))
        .logging(logging(&spec.log_types))
        .bootstrap_self_managed_addons(false)
        .client_request_token(&ready.token)
        .set_tags(Some(owned(aws, ready)))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("eks CreateCluster", error))
}

#[expect(
    deprecated,
    reason = "EKS encrypts more than secrets today, and still wants to be told to"
)]
fn encryption(key: &str) -> EncryptionConfig {
    let provider = Provider::builder().key_arn(key).build();
    EncryptionConfig::builder()
        .resources("secrets")
        .provider(provider)
        .build()
}

fn logging(types: &[String]) -> Logging {
    let types = types.iter().map(|kind| LogType::from(kind.as_str())).collect();
    Logging::builder()
        .cluster_logging(LogSetup::builder().set_types(Some(types)).enabled(true).build())
        .build()
}

pub(super) async fn delete_cluster(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws.eks.delete_cluster().name(name).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("eks DeleteCluster", error))
}

pub(super) async fn observe_access_entries(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let cluster = &aws.owner.stack;
    let mut pages = aws
        .eks
        .list_access_entries()
        .cluster_name(cluster)
        .into_paginator()
        .send();
    let mut principals = Vec::new();
    while let Some(page) = pages.next().await {
        let Some(page) = if_there(page.map_err(|error| codes::error("eks ListAccessEntries", error)))? else {
            return Ok(Vec::new());
        };
        principals.extend(page.access_entries.unwrap_or_default());
    }
    let mut observed = Vec::new();
    for principal in &principals {
        let answer = aws
            .eks
            .describe_access_entry()
            .cluster_name(cluster)
            .principal_arn(principal)
            .send()
            .await;
        let answer = if_there(answer.map_err(|error| codes::error("eks DescribeAccessEntry", error)))?;
        let Some(entry) = answer.as_ref().and_then(|answer| answer.access_entry()) else {
            continue;
        };
        let Some(id) = owner_of(aws, entry.tags()) else {
            continue;
        };
        let associated = aws.eks.list_associated_access_policies().cluster_name(cluster);
        let mut associated = associated.principal_arn(principal).into_paginator().items().send();
        let mut policies = Vec::new();
        while let Some(policy) = associated.next().await {
            let policy = policy.map_err(|error| codes::error("eks ListAssociatedAccessPolicies", error))?;
            policies.extend(policy.policy_arn);
        }
        let spec = AccessEntry {
            cluster: cluster.clone(),
            principal: principal.clone(),
            entry_type: entry.r#type().unwrap_or_default().to_owned(),
            policies: sorted(&policies),
        };
        let given = BTreeMap::from([(
            "arn".to_owned(),
            entry.access_entry_arn().unwrap_or_default().to_owned(),
        )]);
        observed.push(found(id, Kind::AccessEntry, &spec, given, Readiness::Ready));
    }
    Ok(observed)
}

pub(super) async fn ensure_access_entry(
    aws: &Aws,
    ready: &Ready,
    existing: Option<&Given>,
) -> Result<(), ProviderError> {
    let spec: AccessEntry = fields(ready)?;
    if existing.is_some() {
        return change::access_entry(aws, ready, &spec).await;
    }
    let created = aws
        .eks
        .create_access_entry()
        .cluster_name(&spec.cluster)
        .principal_arn(&spec.principal)
        .r#type(&spec.entry_type)
        .client_request_token(&ready.token)
        .set_tags(Some(owned(aws, ready)))
        .send()
        .await;
    created.map_err(|error| codes::error("eks CreateAccessEntry", error))?;
    for policy in &spec.policies {
        change::associate(aws, &spec, policy).await?;
    }
    Ok(())
}

pub(super) async fn observe_pod_identities(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let cluster = &aws.owner.stack;
    let mut pages = aws
        .eks
        .list_pod_identity_associations()
        .cluster_name(cluster)
        .into_paginator()
        .send();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("eks ListPodIdentityAssociations", error));
        let Some(page) = if_there(page)? else {
            return Ok(Vec::new());
        };
        ids.extend(
            page.associations()
                .iter()
                .filter_map(|association| association.association_id().map(str::to_owned)),
        );
    }
    let mut observed = Vec::new();
    for association_id in ids {
        let answer = aws
            .eks
            .describe_pod_identity_association()
            .cluster_name(cluster)
            .association_id(&association_id);
        let answer = answer
            .send()
            .await
            .map_err(|error| codes::error("eks DescribePodIdentityAssociation", error));
        let answer = if_there(answer)?;
        let Some(association) = answer.as_ref().and_then(|answer| answer.association()) else {
            continue;
        };
        let Some(id) = owner_of(aws, association.tags()) else {
            continue;
        };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let spec = PodIdentity {
            cluster: cluster.clone(),
            namespace: text(association.namespace()),
            service_account: text(association.service_account()),
            role: text(association.role_arn()),
        };
        let given = BTreeMap::from([("id".to_owned(), association_id)]);
        observed.push(found(id, Kind::PodIdentity, &spec, given, Readiness::Ready));
    }
    Ok(observed)
}

pub(super) async fn ensure_pod_identity(
    aws: &Aws,
    ready: &Ready,
    existing: Option<&Given>,
) -> Result<(), ProviderError> {
    let spec: PodIdentity = fields(ready)?;
    if let Some(given) = existing {
        if !is_change(ready) {
            return Ok(());
        }
        let updated = aws.eks.update_pod_identity_association().cluster_name(&spec.cluster);
        let updated = updated.association_id(&given["id"]).role_arn(&spec.role).send().await;
        return updated
            .map(drop)
            .map_err(|error| codes::error("eks UpdatePodIdentityAssociation", error));
    }
    let created = aws
        .eks
        .create_pod_identity_association()
        .cluster_name(&spec.cluster)
        .namespace(&spec.namespace)
        .service_account(&spec.service_account)
        .role_arn(&spec.role)
        .client_request_token(&ready.token)
        .set_tags(Some(owned(aws, ready)))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("eks CreatePodIdentityAssociation", error))
}

pub(super) async fn observe_addons(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let cluster = &aws.owner.stack;
    let names = match scope {
        Scope::Named(name) => vec![name.to_owned()],
        Scope::All => addon_names(aws).await?,
    };
    let mut observed = Vec::new();
    for name in &names {
        let answer = aws
            .eks
            .describe_addon()
            .cluster_name(cluster)
            .addon_name(name)
            .send()
            .await;
        let answer = if_there(answer.map_err(|error| codes::error("eks DescribeAddon", error)))?;
        let Some(addon) = answer.as_ref().and_then(|answer| answer.addon()) else {
            continue;
        };
        let Some(id) = owner_of(aws, addon.tags()) else {
            continue;
        };
        let readiness = match addon.status() {
            // After an update that failed it goes on as it was; its version shows that.
            Some(AddonStatus::Active | AddonStatus::Updating | AddonStatus::UpdateFailed) => Readiness::Ready,
            Some(AddonStatus::CreateFailed | AddonStatus::DeleteFailed) => {
                let issues = addon.health().map(|health| health.issues()).unwrap_or_default();
                let first = issues.first().and_then(|issue| issue.message());
                Readiness::Failed(first.unwrap_or("no reason given").to_owned())
            }
            Some(AddonStatus::Deleting) => Readiness::Leaving,
            status => Readiness::Waiting(status.map_or("creating", AddonStatus::as_str).to_lowercase()),
        };
        let version = addon.addon_version().unwrap_or_default().to_owned();
        let spec = serde_json::json!({"cluster": cluster, "version": version});
        let given = BTreeMap::from([
            ("arn".to_owned(), addon.addon_arn().unwrap_or_default().to_owned()),
            ("version".to_owned(), version),
        ]);
        observed.push(found(id, Kind::Addon, &spec, given, readiness));
    }
    Ok(observed)
}

/// The names of the cluster's add-ons.
async fn addon_names(aws: &Aws) -> Result<Vec<String>, ProviderError> {
    let mut pages = aws
        .eks
        .list_addons()
        .cluster_name(&aws.owner.stack)
        .into_paginator()
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let Some(page) = if_there(page.map_err(|error| codes::error("eks ListAddons", error)))? else {
            return Ok(Vec::new());
        };
        names.extend(page.addons.unwrap_or_default());
    }
    Ok(names)
}

pub(super) async fn ensure_addon(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Addon = fields(ready)?;
    if let Some(given) = existing {
        return change::addon(aws, ready, &spec, given).await;
    }
    let version = if spec.version.is_empty() {
        newest(aws, ready).await?
    } else {
        spec.version.clone()
    };
    let identity = |(service_account, role): (&String, &String)| {
        let identity = AddonPodIdentityAssociations::builder()
            .service_account(service_account)
            .role_arn(role);
        identity.build().expect("service account and role are set")
    };
    let identities: Vec<_> = spec.pod_identities.iter().map(identity).collect();
    let created = aws
        .eks
        .create_addon()
        .cluster_name(&spec.cluster)
        .addon_name(&ready.step.desired.name)
        .addon_version(version)
        .resolve_conflicts(ResolveConflicts::Overwrite)
        .set_pod_identity_associations((!identities.is_empty()).then_some(identities))
        .client_request_token(&ready.token)
        .set_tags(Some(owned(aws, ready)))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("eks CreateAddon", error))
}

/// The newest version of an add-on for the cluster's Kubernetes.
async fn newest(aws: &Aws, ready: &Ready) -> Result<String, ProviderError> {
    let name = &ready.step.desired.name;
    let answer = aws.eks.describe_cluster().name(&aws.owner.stack).send().await;
    let answer = answer.map_err(|error| codes::error("eks DescribeCluster", error))?;
    let kubernetes = answer
        .cluster()
        .and_then(|cluster| cluster.version())
        .unwrap_or_default();
    let versions = aws
        .eks
        .describe_addon_versions()
        .addon_name(name)
        .kubernetes_version(kubernetes)
        .send()
        .await;
    let versions = versions.map_err(|error| codes::error("eks DescribeAddonVersions", error))?;
    let versions = versions.addons().iter().flat_map(|addon| addon.addon_versions());
    let newest = versions
        .filter_map(|version| version.addon_version())
        .max_by_key(|version| numbers(version));
    newest.map(str::to_owned).ok_or_else(|| {
        ProviderError::found(
            format!("choosing a version of {name}"),
            format!("none fits Kubernetes {kubernetes}"),
        )
    })
}

/// `v1.20.4-eksbuild.2` as numbers, for comparison.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

pub(super) async fn delete_addon(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws
        .eks
        .delete_addon()
        .cluster_name(&aws.owner.stack)
        .addon_name(name)
        .send()
        .await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("eks DeleteAddon", error))
}

pub(super) async fn observe_node_groups(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let cluster = &aws.owner.stack;
    let names = match scope {
        Scope::Named(name) => vec![name.to_owned()],
        Scope::All => node_group_names(aws).await?,
    };
    let mut observed = Vec::new();
    for name in &names {
        let answer = aws
            .eks
            .describe_nodegroup()
            .cluster_name(cluster)
            .nodegroup_name(name)
            .send()
            .await;
        let answer = if_there(answer.map_err(|error| codes::error("eks DescribeNodegroup", error)))?;
        let Some(group) = answer.as_ref().and_then(|answer| answer.nodegroup()) else {
            continue;
        };
        let Some(id) = owner_of(aws, group.tags()) else {
            continue;
        };
        let readiness = match group.status() {
            // One that is degraded has nodes, and EKS mends it.
            Some(NodegroupStatus::Active | NodegroupStatus::Updating | NodegroupStatus::Degraded) => Readiness::Ready,
            Some(NodegroupStatus::CreateFailed | NodegroupStatus::DeleteFailed) => {
                let issues = group.health().map(|health| health.issues()).unwrap_or_default();
                let first = issues.first().and_then(|issue| issue.message());
                Readiness::Failed(first.unwrap_or("no reason given").to_owned())
            }
            Some(NodegroupStatus::Deleting) => Readiness::Leaving,
            status => Readiness::Waiting(status.map_or("creating", NodegroupStatus::as_str).to_lowercase()),
        };
        let labels = group.labels().into_iter().flatten();
        let template = group.launch_template();
        let of_template = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let spec = NodeGroup {
            cluster: cluster.clone(),
            role: group.node_role().unwrap_or_default().to_owned(),
            subnets: sorted(group.subnets()),
            types: group.instance_types().to_vec(),
            capacity: group
                .capacity_type()
                .map_or(String::new(), |capacity| capacity.as_str().to_owned()),
            ami_type: group.ami_type().map_or(String::new(), |ami| ami.as_str().to_owned()),
            count: group
                .scaling_config()
                .and_then(|scaling| scaling.desired_size())
                .unwrap_or_default(),
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
            launch_template: of_template(template.and_then(|template| template.id())),
            launch_template_version: of_template(template.and_then(|template| template.version())),
        };
        let release = group.release_version().unwrap_or_default().to_owned();
        let given = BTreeMap::from([("name".to_owned(), name.clone()), ("release".to_owned(), release)]);
        observed.push(found(id, Kind::NodeGroup, &spec, given, readiness));
    }
    Ok(observed)
}

/// The names of the cluster's node groups.
async fn node_group_names(aws: &Aws) -> Result<Vec<String>, ProviderError> {
    let mut pages = aws
        .eks
        .list_nodegroups()
        .cluster_name(&aws.owner.stack)
        .into_paginator()
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let Some(page) = if_there(page.map_err(|error| codes::error("eks ListNodegroups", error)))? else {
            return Ok(Vec::new());
        };
        names.extend(page.nodegroups.unwrap_or_default());
    }
    Ok(names)
}

pub(super) async fn ensure_node_group(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: NodeGroup = fields(ready)?;
    let name = &ready.step.desired.name;
    if let Some(given) = existing {
        return change::node_group(aws, ready, &spec, given).await;
    }
    let created = aws
        .eks
        .create_nodegroup()
        .cluster_name(&spec.cluster)
        .nodegroup_name(name)
        .node_role(&spec.role)
        .set_subnets(Some(spec.subnets.clone()))
        .set_instance_types(Some(spec.types.clone()))
        .capacity_type(CapacityTypes::from(spec.capacity.as_str()))
        .ami_type(AmiTypes::from(spec.ami_type.as_str()))
        .scaling_config(change::scaling(spec.count))
        .set_labels(Some(spec.labels.clone().into_iter().collect()))
        .set_launch_template((!spec.launch_template.is_empty()).then(|| change::template(&spec)))
        .client_request_token(&ready.token)
        .set_tags(Some(owned(aws, ready)))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("eks CreateNodegroup", error))
}

pub(super) async fn delete_node_group(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws
        .eks
        .delete_nodegroup()
        .cluster_name(&aws.owner.stack)
        .nodegroup_name(name)
        .send()
        .await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("eks DeleteNodegroup", error))
}
