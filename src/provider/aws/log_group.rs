//! Log groups: made before whoever writes to them, so that they are ours and forget in time.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::LogGroup as Found;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::Scope;
use crate::provider::aws::asked;
use crate::provider::aws::codes;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::aws::tags;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::LogGroup;

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let groups = aws.logs.describe_log_groups();
    let groups = groups.log_group_name_prefix(format!("/aws/eks/{}/", aws.owner.stack));
    let mut pages = groups.into_paginator().items().send();
    let mut named = Vec::new();
    while let Some(group) = pages.next().await {
        let group = group.map_err(|error| codes::error("logs DescribeLogGroups", error))?;
        if group.log_group_name().is_some_and(|name| scope.covers(name)) {
            named.push(group);
        }
    }
    asked(named, |group| observe_group(aws, group)).await
}

async fn observe_group(aws: &Aws, group: Found) -> Result<Option<Observed>, ProviderError> {
    let arn = group.arn().unwrap_or_default().trim_end_matches(":*").to_owned();
    let Some(id) = aws.owner.identify(&tags_of(aws, &arn).await?) else {
        return Ok(None);
    };
    let spec = LogGroup {
        retention_days: group.retention_in_days().unwrap_or(0),
    };
    let given = BTreeMap::from([("arn".to_owned(), arn)]);
    Ok(Some(found(id, Kind::LogGroup, &spec, given, Readiness::Ready)))
}

async fn tags_of(aws: &Aws, arn: &str) -> Result<BTreeMap<String, String>, ProviderError> {
    let tags = aws.logs.list_tags_for_resource().resource_arn(arn).send().await;
    let tags = tags.map_err(|error| codes::error("logs ListTagsForResource", error))?;
    let tags = tags.tags().into_iter().flatten();
    Ok(tags.map(|(key, value)| (key.clone(), value.clone())).collect())
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: LogGroup = fields(ready)?;
    let name = &ready.step.desired.name;
    if existing.is_none() {
        let tags = aws.owner.tags(&ready.step.desired.id, &BTreeMap::new());
        let created = aws
            .logs
            .create_log_group()
            .log_group_name(name)
            .set_tags(Some(tags.clone().into_iter().collect()));
        match created
            .send()
            .await
            .map_err(|error| codes::error("logs CreateLogGroup", error))
        {
            Err(error) if error.class == Class::Exists => take_over(aws, name, &tags, error).await?,
            other => {
                other?;
            }
        }
    }
    let kept = aws
        .logs
        .put_retention_policy()
        .log_group_name(name)
        .retention_in_days(spec.retention_days)
        .send()
        .await;
    kept.map(drop)
        .map_err(|error| codes::error("logs PutRetentionPolicy", error))
}

/// Whether a group with the name of the stack's cluster may be taken: nobody tagged it, for EKS makes one when a cluster
/// of this name writes late, or an earlier instance of the stack did.
pub(super) async fn is_free(aws: &Aws, arn: &str) -> Result<bool, ProviderError> {
    let tags = tags_of(aws, arn).await?;
    Ok(tags.is_empty() || tags.get(tags::STACK) == Some(&aws.owner.stack))
}

/// Takes a group over that is free; any other is somebody's.
async fn take_over(
    aws: &Aws,
    name: &str,
    own: &BTreeMap<String, String>,
    exists: ProviderError,
) -> Result<(), ProviderError> {
    let (partition, region, account) = (aws.place.partition(), &aws.place.region, &aws.place.account);
    let arn = format!("arn:{partition}:logs:{region}:{account}:log-group:{name}");
    if !is_free(aws, &arn).await? {
        return Err(exists);
    }
    let tagged = aws.logs.tag_resource().resource_arn(arn);
    let tagged = tagged.set_tags(Some(own.clone().into_iter().collect())).send().await;
    tagged
        .map(drop)
        .map_err(|error| codes::error("logs TagResource", error))
}

pub(super) async fn delete(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws.logs.delete_log_group().log_group_name(name).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("logs DeleteLogGroup", error))
}
