//! Machines, and what machines leave: volumes, interfaces, launch templates.

use aws_sdk_ec2::types::InstanceStateName;
use aws_sdk_ec2::types::NetworkInterfaceStatus;
use aws_sdk_ec2::types::VolumeState;

use crate::provider::aws::Aws;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::launch_template;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::Things;
use crate::provider::aws::leftovers::ours;
use crate::provider::aws::leftovers::owned_by_cluster;
use crate::provider::error::ProviderError;

/// Instances that Karpenter launched.
pub(crate) async fn karpenter_instances(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let node_pool = ec2::filter("tag-key", "karpenter.sh/nodepool");
    let by_owner = marks.tagged(|cluster| vec![owned_by_cluster(cluster), node_pool.clone()]);
    let by_name = marks.tagged(|cluster| vec![ec2::filter("tag:eks:eks-cluster-name", cluster), node_pool.clone()]);
    instances(aws, [by_owner, by_name]).await
}

/// Instances of node groups, and whatever else carries the stack's tags.
pub(crate) async fn node_instances(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let by_name = marks.tagged(|cluster| vec![ec2::filter("tag:eks:cluster-name", cluster)]);
    instances(aws, [by_name, ours(aws)]).await
}

async fn instances(
    aws: &Aws,
    questions: [Option<Vec<aws_sdk_ec2::types::Filter>>; 2],
) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    for filters in questions.into_iter().flatten() {
        let question = aws.ec2.describe_instances().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(reservation) = pages.next().await {
            let reservation = reservation.map_err(|error| codes::error("ec2 DescribeInstances", error))?;
            for instance in reservation.instances() {
                let standing = match instance.state().and_then(|state| state.name()) {
                    Some(InstanceStateName::Terminated) => continue,
                    Some(InstanceStateName::ShuttingDown) => Standing::Leaving("shutting down".to_owned()),
                    _ => Standing::There,
                };
                things.add(instance.instance_id(), instance.tags(), standing);
            }
        }
    }
    Ok(things.all())
}

pub(crate) async fn terminate(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let terminated = aws.ec2.terminate_instances().instance_ids(id).send().await;
    terminated
        .map(drop)
        .map_err(|error| codes::error("ec2 TerminateInstances", error))
}

/// Volumes of persistent volume claims, and disks that carry the stack's tags.
pub(crate) async fn volumes(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let of_claims = marks.tagged(|cluster| {
        let claim = ec2::filter("tag-key", "kubernetes.io/created-for/pvc/name");
        vec![owned_by_cluster(cluster), claim]
    });
    let mut things = Things::default();
    for filters in [of_claims, ours(aws)].into_iter().flatten() {
        let question = aws.ec2.describe_volumes().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(volume) = pages.next().await {
            let volume = volume.map_err(|error| codes::error("ec2 DescribeVolumes", error))?;
            let standing = match volume.state() {
                Some(VolumeState::InUse) => Standing::Leaving(
                    volume
                        .attachments()
                        .first()
                        .and_then(|attachment| attachment.instance_id())
                        .map_or_else(|| "in use".to_owned(), |instance| format!("in use by {instance}")),
                ),
                Some(VolumeState::Deleting) => Standing::Leaving("deleting".to_owned()),
                Some(VolumeState::Deleted) => continue,
                _ => Standing::There,
            };
            things.add(volume.volume_id(), volume.tags(), standing);
        }
    }
    Ok(things.all())
}

pub(crate) async fn delete_volume(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_volume().volume_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteVolume", error))
}

/// Interfaces of the cluster's network plugin, and all in our VPCs.
pub(crate) async fn interfaces(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let of_plugin = marks.tagged(|cluster| vec![ec2::filter("tag:cluster.k8s.amazonaws.com/name", cluster)]);
    let of_cluster = marks.tagged(|cluster| vec![owned_by_cluster(cluster)]);
    let mut things = Things::default();
    for filters in [of_plugin, of_cluster, marks.in_vpcs()].into_iter().flatten() {
        let question = aws.ec2.describe_network_interfaces().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(interface) = pages.next().await {
            let interface = interface.map_err(|error| codes::error("ec2 DescribeNetworkInterfaces", error))?;
            let about = interface.description().unwrap_or_default();
            let standing = match interface.status() {
                // What a service holds goes with its owner; deleting it is refused, and the owner has its own entry.
                _ if interface.requester_managed() == Some(true) => Standing::Leaving(format!("held for `{about}`")),
                Some(NetworkInterfaceStatus::Available) => Standing::There,
                _ => Standing::Leaving(format!("in use: `{about}`")),
            };
            things.add(interface.network_interface_id(), interface.tag_set(), standing);
        }
    }
    Ok(things.all())
}

pub(crate) async fn delete_interface(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_network_interface().network_interface_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteNetworkInterface", error))
}

/// Launch templates of Karpenter, and those that carry the stack's tags.
pub(crate) async fn launch_templates(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let of_karpenter = marks.tagged(|cluster| {
        let class = ec2::filter("tag-key", "karpenter.k8s.aws/ec2nodeclass");
        vec![ec2::filter("tag:eks:eks-cluster-name", cluster), class]
    });
    let of_old_karpenter = marks.tagged(|cluster| vec![ec2::filter("tag:karpenter.k8s.aws/cluster", cluster)]);
    let mut things = Things::default();
    for filters in [of_karpenter, of_old_karpenter, ours(aws)].into_iter().flatten() {
        let question = aws.ec2.describe_launch_templates().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(template) = pages.next().await {
            let template = template.map_err(|error| codes::error("ec2 DescribeLaunchTemplates", error))?;
            things.add(template.launch_template_id(), template.tags(), Standing::There);
        }
    }
    Ok(things.all())
}

pub(crate) async fn delete_launch_template(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    launch_template::delete(aws, id).await
}
