//! Queues, rules, log groups, repositories, buckets, keys.

use crate::provider::aws::Aws;
use crate::provider::aws::Scope;
use crate::provider::aws::bucket;
use crate::provider::aws::codes;
use crate::provider::aws::key;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::identity::things;
use crate::provider::aws::log_group;
use crate::provider::aws::queue;
use crate::provider::aws::repository;
use crate::provider::aws::rule;
use crate::provider::error::ProviderError;

pub(crate) async fn queues(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(things(queue::observe(aws, Scope::All).await?, "url"))
}

pub(crate) async fn rules(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(after("rule/", things(rule::observe(aws, Scope::All).await?, "arn")))
}

pub(crate) async fn repositories(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(after(
        "repository/",
        things(repository::observe(aws, Scope::All).await?, "arn"),
    ))
}

/// Things that are known by what stands behind this in their ARN.
fn after(part: &str, mut things: Vec<Thing>) -> Vec<Thing> {
    for thing in &mut things {
        if let Some((_, name)) = thing.id.split_once(part) {
            thing.id = name.to_owned();
        }
    }
    things
}

/// How the names of a cluster's log groups begin. The last slash tells `demo` from `demo-2`.
pub(crate) fn log_prefixes(cluster: &str) -> [String; 2] {
    [
        format!("/aws/eks/{cluster}/"),
        format!("/aws/containerinsights/{cluster}/"),
    ]
}

/// Log groups of the cluster: a late flush makes one again without any tag. One that somebody else tagged stays.
pub(crate) async fn log_groups(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut found = Vec::new();
    for prefix in marks.cluster.iter().flat_map(|cluster| log_prefixes(cluster)) {
        let question = aws.logs.describe_log_groups().log_group_name_prefix(prefix);
        let mut pages = question.into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| codes::error("logs DescribeLogGroups", error))?;
            let (Some(name), Some(arn)) = (group.log_group_name(), group.arn()) else {
                continue;
            };
            if !log_group::is_free(aws, arn.trim_end_matches(":*")).await? {
                continue;
            }
            found.push(Thing {
                id: name.to_owned(),
                name: name.to_owned(),
                standing: Standing::There,
            });
        }
    }
    Ok(found)
}

pub(crate) async fn buckets(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(things(bucket::observe(aws, Scope::All).await?, "name"))
}

/// Keys; one that waits for its deletion and has no name any more counts as gone.
pub(crate) async fn keys(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    let mut found = Vec::new();
    for key in key::owned(aws).await? {
        let named = match key.deletion {
            Some(_) => key::is_named(aws, &key.id).await?,
            None => true,
        };
        let standing = match key.deletion {
            Some(date) if !named => Standing::Scheduled(date),
            _ => Standing::There,
        };
        found.push(Thing {
            name: format!("{} ({})", key.id, key.resource),
            id: key.id,
            standing,
        });
    }
    Ok(found)
}

pub(crate) async fn delete_queue(aws: &Aws, url: &str) -> Result<(), ProviderError> {
    queue::delete(aws, url).await
}

pub(crate) async fn delete_rule(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    rule::delete(aws, name).await
}

pub(crate) async fn delete_log_group(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    log_group::delete(aws, name).await
}

pub(crate) async fn delete_repository(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    repository::delete(aws, name).await
}

pub(crate) async fn delete_bucket(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    bucket::delete(aws, name).await
}

pub(crate) async fn delete_key(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    key::delete(aws, id).await
}
