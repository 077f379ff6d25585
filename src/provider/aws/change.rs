//! Changes of what EKS manages. EKS takes one sort of change a call, refuses one that changes nothing, and takes the
//! next once the one before is done: so each is compared, asked for and waited for by itself.

use std::collections::BTreeSet;

use aws_sdk_eks::types::AccessScope;
use aws_sdk_eks::types::AccessScopeType;
use aws_sdk_eks::types::AuthenticationMode;
use aws_sdk_eks::types::LaunchTemplateSpecification;
use aws_sdk_eks::types::LogSetup;
use aws_sdk_eks::types::LogType;
use aws_sdk_eks::types::Logging;
use aws_sdk_eks::types::NodegroupScalingConfig;
use aws_sdk_eks::types::ResolveConflicts;
use aws_sdk_eks::types::Update;
use aws_sdk_eks::types::UpdateAccessConfigRequest;
use aws_sdk_eks::types::UpdateLabelsPayload;
use aws_sdk_eks::types::UpdateStatus;
use aws_sdk_eks::types::VpcConfigRequest;

use crate::apply::wait::Patience;
use crate::apply::wait::WaitError;
use crate::apply::wait::until_ready;
use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Readiness;
use crate::resource::spec::AccessEntry;
use crate::resource::spec::Addon;
use crate::resource::spec::Cluster;
use crate::resource::spec::NodeGroup;

/// Makes the control plane as it should be.
pub(super) async fn cluster(aws: &Aws, ready: &Ready, spec: &Cluster) -> Result<(), ProviderError> {
    let is: Cluster = aws.current(ready).await?;
    if is.version != spec.version {
        let asked = aws.eks.update_cluster_version().name(&aws.owner.stack);
        let asked = asked.version(&spec.version).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateClusterVersion", error))?;
        done(aws, ready, asked.update).await?;
    }
    let access = VpcConfigRequest::builder()
        .endpoint_private_access(spec.private_endpoint)
        .endpoint_public_access(!spec.public_from.is_empty())
        .set_public_access_cidrs(Some(spec.public_from.clone()).filter(|from| !from.is_empty()))
        .build();
    if reached(&is) != reached(spec) {
        let asked = aws.eks.update_cluster_config().name(&aws.owner.stack);
        let asked = asked.resources_vpc_config(access).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateClusterConfig", error))?;
        done(aws, ready, asked.update).await?;
    }
    if set(&is.log_types) != set(&spec.log_types) {
        let asked = aws.eks.update_cluster_config().name(&aws.owner.stack);
        let asked = asked.logging(switched(&is, spec)).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateClusterConfig", error))?;
        done(aws, ready, asked.update).await?;
    }
    if is.authentication_mode != spec.authentication_mode {
        let mode = AuthenticationMode::from(spec.authentication_mode.as_str());
        let access = UpdateAccessConfigRequest::builder().authentication_mode(mode).build();
        let asked = aws.eks.update_cluster_config().name(&aws.owner.stack);
        let asked = asked.access_config(access).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateClusterConfig", error))?;
        done(aws, ready, asked.update).await?;
    }
    Ok(())
}

/// From where the API server is reached.
fn reached(spec: &Cluster) -> (bool, BTreeSet<&String>) {
    (spec.private_endpoint, set(&spec.public_from))
}

fn set(items: &[String]) -> BTreeSet<&String> {
    items.iter().collect()
}

/// The logs that are to be switched on, and those that are to be switched off.
fn switched(is: &Cluster, wanted: &Cluster) -> Logging {
    let (is, wanted) = (set(&is.log_types), set(&wanted.log_types));
    let sides = [(wanted.difference(&is), true), (is.difference(&wanted), false)];
    let setups = sides.into_iter().filter_map(|(types, on)| {
        let types: Vec<LogType> = types.map(|name| LogType::from(name.as_str())).collect();
        (!types.is_empty()).then(|| LogSetup::builder().set_types(Some(types)).enabled(on).build())
    });
    Logging::builder().set_cluster_logging(Some(setups.collect())).build()
}

/// Gives an access entry the policies that it should have, and takes the others from it.
pub(super) async fn access_entry(aws: &Aws, ready: &Ready, spec: &AccessEntry) -> Result<(), ProviderError> {
    let is: AccessEntry = aws.current(ready).await?;
    let (is, wanted) = (set(&is.policies), set(&spec.policies));
    for policy in wanted.difference(&is) {
        associate(aws, spec, policy).await?;
    }
    for policy in is.difference(&wanted) {
        let taken = aws.eks.disassociate_access_policy().cluster_name(&spec.cluster);
        let taken = taken.principal_arn(&spec.principal).policy_arn(*policy).send().await;
        taken.map_err(|error| codes::error("eks DisassociateAccessPolicy", error))?;
    }
    Ok(())
}

/// Gives an access entry one policy, for the whole cluster.
pub(super) async fn associate(aws: &Aws, spec: &AccessEntry, policy: &str) -> Result<(), ProviderError> {
    let associated = aws
        .eks
        .associate_access_policy()
        .cluster_name(&spec.cluster)
        .principal_arn(&spec.principal)
        .policy_arn(policy)
        .access_scope(AccessScope::builder().r#type(AccessScopeType::Cluster).build())
        .send()
        .await;
    associated
        .map(drop)
        .map_err(|error| codes::error("eks AssociateAccessPolicy", error))
}

/// Moves an add-on to the version that it should have.
pub(super) async fn addon(aws: &Aws, ready: &Ready, spec: &Addon, is: &Given) -> Result<(), ProviderError> {
    if spec.version.is_empty() || is.get("version") == Some(&spec.version) {
        return Ok(());
    }
    let asked = aws.eks.update_addon().cluster_name(&spec.cluster);
    let asked = asked.addon_name(&ready.step.desired.name).addon_version(&spec.version);
    let asked = asked.resolve_conflicts(ResolveConflicts::Overwrite).send().await;
    let asked = asked.map_err(|error| codes::error("eks UpdateAddon", error))?;
    done(aws, ready, asked.update).await
}

/// Makes a node group as it should be: how many nodes with which labels, launched from which version of the template.
pub(super) async fn node_group(aws: &Aws, ready: &Ready, spec: &NodeGroup, given: &Given) -> Result<(), ProviderError> {
    let is: NodeGroup = aws.current(ready).await?;
    let name = &ready.step.desired.name;
    if (is.count, &is.labels) != (spec.count, &spec.labels) {
        let gone = is.labels.keys().filter(|label| !spec.labels.contains_key(*label));
        let labels = UpdateLabelsPayload::builder()
            .set_add_or_update_labels(Some(spec.labels.clone().into_iter().collect()))
            .set_remove_labels(Some(gone.cloned().collect()))
            .build();
        let asked = aws.eks.update_nodegroup_config().cluster_name(&spec.cluster);
        let asked = asked.nodegroup_name(name).labels(labels);
        let asked = asked.scaling_config(scaling(spec.count)).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateNodegroupConfig", error))?;
        done(aws, ready, asked.update).await?;
    }
    if is.launch_template_version != spec.launch_template_version {
        let asked = aws.eks.update_nodegroup_version().cluster_name(&spec.cluster);
        let asked = asked.nodegroup_name(name).launch_template(template(spec));
        // The image stays the one that was chosen when the group was made.
        let asked = asked.set_release_version(given.get("release").cloned()).send().await;
        let asked = asked.map_err(|error| codes::error("eks UpdateNodegroupVersion", error))?;
        done(aws, ready, asked.update).await?;
    }
    Ok(())
}

/// As many nodes as that, neither more nor fewer.
pub(super) fn scaling(count: i32) -> NodegroupScalingConfig {
    let scaling = NodegroupScalingConfig::builder().min_size(count).max_size(count);
    scaling.desired_size(count).build()
}

/// The version of the launch template that nodes are launched from.
pub(super) fn template(spec: &NodeGroup) -> LaunchTemplateSpecification {
    let template = LaunchTemplateSpecification::builder().id(&spec.launch_template);
    template.version(&spec.launch_template_version).build()
}

/// Waits until EKS has done what it was asked for.
async fn done(aws: &Aws, ready: &Ready, update: Option<Update>) -> Result<(), ProviderError> {
    let desired = &ready.step.desired;
    let what = || format!("changing `{}`", desired.id);
    let Some(id) = update.and_then(|update| update.id) else {
        return Err(ProviderError::found(what(), "the answer names no update"));
    };
    let part = |kind: Kind| (desired.kind == kind).then(|| desired.name.clone());
    let ask = async || {
        let question = aws.eks.describe_update().name(&aws.owner.stack).update_id(&id);
        let question = question.set_nodegroup_name(part(Kind::NodeGroup));
        let answer = question.set_addon_name(part(Kind::Addon)).send().await;
        let answer = answer.map_err(|error| codes::error("eks DescribeUpdate", error))?;
        Ok::<_, ProviderError>(progress(answer.update()))
    };
    let patience = Patience {
        expected: desired.kind.usual_duration(),
        deadline: desired.kind.deadline(),
    };
    match until_ready(aws.clock, patience, ask, |_| {}).await {
        Ok(()) => Ok(()),
        Err(WaitError::Asking(error)) => Err(error),
        Err(error) => Err(ProviderError::found(what(), error.to_string())),
    }
}

fn progress(update: Option<&Update>) -> Readiness {
    match update.and_then(Update::status) {
        Some(UpdateStatus::Successful) => Readiness::Ready,
        Some(UpdateStatus::Failed | UpdateStatus::Cancelled) => {
            let errors = update.map(Update::errors).unwrap_or_default();
            let first = errors.first().and_then(|error| error.error_message());
            Readiness::Failed(first.unwrap_or("no reason given").to_owned())
        }
        _ => Readiness::Waiting("updating".to_owned()),
    }
}
