//! Log groups: made before whoever writes to them, so that they are ours and forget in time.

use std::collections::BTreeMap;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::Scope;
use crate::provider::aws::codes;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::LogGroup;

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let prefix = format!("/aws/eks/{}/", aws.owner.stack);
    let mut pages = aws
        .logs
        .describe_log_groups()
        .log_group_name_prefix(prefix)
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("logs DescribeLogGroups", error))?;
        let is_wanted = |name: &str| scope.covers(name);
        let named = page.log_groups().iter();
        for group in named.filter(|group| group.log_group_name().is_some_and(is_wanted)) {
            let arn = group.arn().unwrap_or_default().trim_end_matches(":*").to_owned();
            let tags = aws.logs.list_tags_for_resource().resource_arn(&arn).send().await;
            let tags = tags.map_err(|error| codes::error("logs ListTagsForResource", error))?;
            let tags = tags
                .tags()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let Some(id) = aws.owner.identify(&tags) else { continue };
            let spec = LogGroup {
                retention_days: group.retention_in_days().unwrap_or(0),
            };
            observed.push(found(
                id,
                Kind::LogGroup,
                &spec,
                BTreeMap::from([("arn".to_owned(), arn)]),
                Readiness::Ready,
            ));
        }
    }
    Ok(observed)
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
            // A group that an earlier cluster of this name left is taken over: its name says whose logs it holds.
            Err(error) if error.class == Class::Exists => {
                let arn = format!(
                    "arn:aws:logs:{}:{}:log-group:{name}",
                    aws.place.region, aws.place.account
                );
                let tagged = aws
                    .logs
                    .tag_resource()
                    .resource_arn(arn)
                    .set_tags(Some(tags.into_iter().collect()))
                    .send();
                tagged.await.map_err(|error| codes::error("logs TagResource", error))?;
            }
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

pub(super) async fn delete(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws.logs.delete_log_group().log_group_name(name).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("logs DeleteLogGroup", error))
}
