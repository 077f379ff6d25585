//! The cluster and what EKS keeps for it. All of it is the stack's when the cluster is.

use aws_sdk_eks::types::AddonStatus;
use aws_sdk_eks::types::ClusterStatus;
use aws_sdk_eks::types::NodegroupStatus;

use crate::provider::aws::Aws;
use crate::provider::aws::codes;
use crate::provider::aws::eks;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::if_there;
use crate::provider::error::ProviderError;

fn thing(id: &str, name: &str, standing: Standing) -> Thing {
    Thing {
        id: id.to_owned(),
        name: name.to_owned(),
        standing,
    }
}

pub(crate) async fn cluster(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(name) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let answer = aws.eks.describe_cluster().name(name).send().await;
    let answer = if_there(answer.map_err(|error| codes::error("eks DescribeCluster", error)))?;
    let cluster = answer.as_ref().and_then(|answer| answer.cluster());
    Ok(cluster
        .map(|cluster| {
            let standing = match cluster.status() {
                Some(ClusterStatus::Deleting) => Standing::Leaving("deleting".to_owned()),
                Some(status @ (ClusterStatus::Creating | ClusterStatus::Updating)) => {
                    Standing::Leaving(format!("{} first", status.as_str().to_lowercase()))
                }
                _ => Standing::There,
            };
            thing(name, name, standing)
        })
        .into_iter()
        .collect())
}

pub(crate) async fn node_groups(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(cluster) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let question = aws.eks.list_nodegroups().cluster_name(cluster);
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(name) = pages.next().await {
        let Some(name) = if_there(name.map_err(|error| codes::error("eks ListNodegroups", error)))? else {
            break;
        };
        let question = aws.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(&name);
        let answer = question.send().await;
        let Some(answer) = if_there(answer.map_err(|error| codes::error("eks DescribeNodegroup", error)))? else {
            continue;
        };
        let standing = match answer.nodegroup().and_then(|group| group.status()) {
            Some(NodegroupStatus::Deleting) => Standing::Leaving("deleting".to_owned()),
            Some(status @ (NodegroupStatus::Creating | NodegroupStatus::Updating)) => {
                Standing::Leaving(format!("{} first", status.as_str().to_lowercase()))
            }
            _ => Standing::There,
        };
        let issues = answer.nodegroup().and_then(|group| group.health());
        let issues = issues.into_iter().flat_map(|health| health.issues());
        let issues: Vec<&str> = issues.filter_map(|issue| issue.message()).collect();
        let called = if issues.is_empty() {
            name.clone()
        } else {
            format!("{name} ({})", issues.join("; "))
        };
        found.push(thing(&name, &called, standing));
    }
    Ok(found)
}

pub(crate) async fn addons(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(cluster) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let mut pages = aws
        .eks
        .list_addons()
        .cluster_name(cluster)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(name) = pages.next().await {
        let Some(name) = if_there(name.map_err(|error| codes::error("eks ListAddons", error)))? else {
            break;
        };
        let answer = aws
            .eks
            .describe_addon()
            .cluster_name(cluster)
            .addon_name(&name)
            .send()
            .await;
        let Some(answer) = if_there(answer.map_err(|error| codes::error("eks DescribeAddon", error)))? else {
            continue;
        };
        let standing = match answer.addon().and_then(|addon| addon.status()) {
            Some(AddonStatus::Deleting) => Standing::Leaving("deleting".to_owned()),
            _ => Standing::There,
        };
        found.push(thing(&name, &name, standing));
    }
    Ok(found)
}

/// The network plugin's add-on alone: it goes before the nodes, so that it starts no interface that nobody ends.
pub(crate) async fn network_plugin(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut addons = addons(aws, marks).await?;
    addons.retain(|addon| addon.id == "vpc-cni");
    Ok(addons)
}

pub(crate) async fn pod_identities(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(cluster) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let question = aws.eks.list_pod_identity_associations().cluster_name(cluster);
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(association) = pages.next().await {
        let association = association.map_err(|error| codes::error("eks ListPodIdentityAssociations", error));
        let Some(association) = if_there(association)? else {
            break;
        };
        let (Some(id), namespace, account) = (
            association.association_id(),
            association.namespace().unwrap_or_default(),
            association.service_account().unwrap_or_default(),
        ) else {
            continue;
        };
        // What an add-on made goes with the add-on.
        let standing = match association.owner_arn() {
            Some(owner) => Standing::Leaving(format!("held by {owner}")),
            None => Standing::There,
        };
        found.push(thing(id, &format!("{namespace}/{account}"), standing));
    }
    Ok(found)
}

pub(crate) async fn delete_pod_identity(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let question = aws.eks.delete_pod_identity_association();
    let deleted = question.cluster_name(&aws.owner.stack).association_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("eks DeletePodIdentityAssociation", error))
}

pub(crate) async fn access_entries(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(cluster) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let question = aws.eks.list_access_entries().cluster_name(cluster);
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(principal) = pages.next().await {
        let principal = principal.map_err(|error| codes::error("eks ListAccessEntries", error));
        let Some(principal) = if_there(principal)? else { break };
        found.push(thing(&principal, &principal, Standing::There));
    }
    Ok(found)
}

pub(crate) async fn delete_access_entry(aws: &Aws, principal: &str) -> Result<(), ProviderError> {
    let question = aws.eks.delete_access_entry();
    let deleted = question
        .cluster_name(&aws.owner.stack)
        .principal_arn(principal)
        .send()
        .await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("eks DeleteAccessEntry", error))
}

pub(crate) async fn delete_addon(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    eks::delete_addon(aws, name).await
}

pub(crate) async fn delete_node_group(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    eks::delete_node_group(aws, name).await
}

pub(crate) async fn delete_cluster(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    eks::delete_cluster(aws, name).await
}
