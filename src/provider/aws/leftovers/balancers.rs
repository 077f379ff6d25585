//! Load balancers and target groups that the load balancer controller made.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::provider::aws::Aws;
use crate::provider::aws::codes;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::if_there;
use crate::provider::aws::tags;
use crate::provider::error::ProviderError;

/// The tag in which the controller writes the cluster's name.
const CLUSTER: &str = "elbv2.k8s.aws/cluster";

/// AWS gives the tags of so many at once.
const BATCH: usize = 20;

/// A load balancer or a target group, as it is listed.
struct Listed {
    arn: String,
    name: String,
    vpc: String,
}

/// Load balancers with the cluster's name on them, and all in our VPCs.
pub(crate) async fn load_balancers(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut pages = aws.elb.describe_load_balancers().into_paginator().items().send();
    let mut listed = Vec::new();
    while let Some(balancer) = pages.next().await {
        let balancer = balancer.map_err(|error| codes::error("elbv2 DescribeLoadBalancers", error))?;
        listed.push(Listed {
            arn: balancer.load_balancer_arn().unwrap_or_default().to_owned(),
            name: balancer.load_balancer_name().unwrap_or_default().to_owned(),
            vpc: balancer.vpc_id().unwrap_or_default().to_owned(),
        });
    }
    ours(aws, marks, listed).await
}

pub(crate) async fn delete_load_balancer(aws: &Aws, arn: &str) -> Result<(), ProviderError> {
    let deleted = aws.elb.delete_load_balancer().load_balancer_arn(arn).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("elbv2 DeleteLoadBalancer", error))
}

/// Target groups with the cluster's name on them, and all in our VPCs.
pub(crate) async fn target_groups(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut pages = aws.elb.describe_target_groups().into_paginator().items().send();
    let mut listed = Vec::new();
    while let Some(group) = pages.next().await {
        let group = group.map_err(|error| codes::error("elbv2 DescribeTargetGroups", error))?;
        listed.push(Listed {
            arn: group.target_group_arn().unwrap_or_default().to_owned(),
            name: group.target_group_name().unwrap_or_default().to_owned(),
            vpc: group.vpc_id().unwrap_or_default().to_owned(),
        });
    }
    ours(aws, marks, listed).await
}

pub(crate) async fn delete_target_group(aws: &Aws, arn: &str) -> Result<(), ProviderError> {
    let deleted = aws.elb.delete_target_group().target_group_arn(arn).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("elbv2 DeleteTargetGroup", error))
}

async fn ours(aws: &Aws, marks: &Marks, listed: Vec<Listed>) -> Result<Vec<Thing>, ProviderError> {
    let arns: Vec<String> = listed.iter().map(|listed| listed.arn.clone()).collect();
    let marked = marked(aws, marks, &arns).await?;
    let is_ours = |listed: &Listed| marked.contains(&listed.arn) || marks.vpcs.contains(&listed.vpc);
    Ok(listed
        .into_iter()
        .filter(is_ours)
        .map(|listed| Thing {
            id: listed.arn,
            name: listed.name,
            standing: Standing::There,
        })
        .collect())
}

/// Those of the ARNs whose tags name our cluster or our stack.
async fn marked(aws: &Aws, marks: &Marks, arns: &[String]) -> Result<BTreeSet<String>, ProviderError> {
    let mut marked = BTreeSet::new();
    for batch in arns.chunks(BATCH) {
        let answer = aws
            .elb
            .describe_tags()
            .set_resource_arns(Some(batch.to_vec()))
            .send()
            .await;
        // One of them went since it was listed: the next look has a new list.
        let Some(answer) = if_there(answer.map_err(|error| codes::error("elbv2 DescribeTags", error)))? else {
            continue;
        };
        for description in answer.tag_descriptions() {
            let found = description
                .tags()
                .iter()
                .map(|tag| {
                    let value = tag.value().unwrap_or_default().to_owned();
                    (tag.key().unwrap_or_default().to_owned(), value)
                })
                .collect::<BTreeMap<_, _>>();
            let names_cluster = marks.cluster.is_some() && found.get(CLUSTER) == marks.cluster.as_ref();
            let names_stack = found.get(tags::STACK) == Some(&aws.owner.stack)
                && found.get(tags::INSTANCE) == Some(&aws.owner.instance);
            if names_cluster || names_stack {
                marked.extend(description.resource_arn().map(str::to_owned));
            }
        }
    }
    Ok(marked)
}
