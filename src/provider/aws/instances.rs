//! Which instances of a stack stand in an account: what a machine without a journal asks.

use std::collections::BTreeSet;

use aws_config::SdkConfig;

use crate::provider::aws::Aws;
use crate::provider::aws::Place;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::iam;
use crate::provider::aws::tags;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;

impl Aws {
    /// The ids of the instances of a stack that own something here.
    ///
    /// Asked are the kinds that exist first and go last: a stack that is half made or half gone has one of them.
    pub async fn instances(config: &SdkConfig, place: &Place, stack: &str) -> Result<Vec<String>, ProviderError> {
        let mut found = BTreeSet::new();
        found.extend(tagged_in_ec2(config, stack).await?);
        found.extend(tagged_roles(config, stack).await?);
        found.extend(named_buckets(config, place, stack).await?);
        found.extend(tagged_repositories(config, stack).await?);
        Ok(found.into_iter().collect())
    }
}

async fn tagged_in_ec2(config: &SdkConfig, stack: &str) -> Result<Vec<String>, ProviderError> {
    let client = aws_sdk_ec2::Client::new(config);
    let ours = client
        .describe_tags()
        .filters(ec2::filter(&format!("tag:{}", tags::STACK), stack));
    let mut pages = ours.filters(ec2::filter("key", tags::INSTANCE)).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeTags", error))?;
        found.extend(page.tags().iter().filter_map(|tag| tag.value().map(str::to_owned)));
    }
    Ok(found)
}

async fn tagged_roles(config: &SdkConfig, stack: &str) -> Result<Vec<String>, ProviderError> {
    let client = aws_sdk_iam::Client::new(config);
    let roles = client.list_roles().path_prefix(iam::path(stack)).send().await;
    let roles = roles.map_err(|error| codes::error("iam ListRoles", error))?;
    let mut found = Vec::new();
    for role in roles.roles() {
        let tags = client.list_role_tags().role_name(role.role_name()).send().await;
        let tags = match tags.map_err(|error| codes::error("iam ListRoleTags", error)) {
            Ok(tags) => tags,
            Err(error) if error.class == Class::NotFound => continue,
            Err(error) => return Err(error),
        };
        found.extend(instance_of(&iam::tags(tags.tags()), stack));
    }
    Ok(found)
}

async fn tagged_repositories(config: &SdkConfig, stack: &str) -> Result<Vec<String>, ProviderError> {
    let client = aws_sdk_ecr::Client::new(config);
    let repositories = client.describe_repositories().send().await;
    let repositories = repositories.map_err(|error| codes::error("ecr DescribeRepositories", error))?;
    let mut found = Vec::new();
    for arn in repositories
        .repositories()
        .iter()
        .filter_map(|repository| repository.repository_arn())
    {
        let tags = client.list_tags_for_resource().resource_arn(arn).send().await;
        let tags = match tags.map_err(|error| codes::error("ecr ListTagsForResource", error)) {
            Ok(tags) => tags,
            Err(error) if matches!(error.class, Class::NotFound | Class::Denied) => continue,
            Err(error) => return Err(error),
        };
        let tags = tags
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect();
        found.extend(instance_of(&tags, stack));
    }
    Ok(found)
}

/// A bucket of ours says stack, account and instance in its name.
async fn named_buckets(config: &SdkConfig, place: &Place, stack: &str) -> Result<Vec<String>, ProviderError> {
    let buckets = aws_sdk_s3::Client::new(config).list_buckets().send().await;
    let buckets = buckets.map_err(|error| codes::error("s3 ListBuckets", error))?;
    let client = aws_sdk_s3::Client::new(config);
    let mut found = Vec::new();
    let marker = format!("-{}-", place.account);
    let named = buckets.buckets().iter().filter_map(|bucket| bucket.name());
    for name in named.filter(|name| name.starts_with(&format!("{stack}-")) && name.contains(&marker)) {
        let tags = client.get_bucket_tagging().bucket(name).send().await;
        let tags = match tags.map_err(|error| codes::error("s3 GetBucketTagging", error)) {
            Ok(tags) => tags,
            Err(error) if error.code == "NoSuchTagSet" || matches!(error.class, Class::NotFound | Class::Denied) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let tags = tags
            .tag_set()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect();
        found.extend(instance_of(&tags, stack));
    }
    Ok(found)
}

fn instance_of(tags: &std::collections::BTreeMap<String, String>, stack: &str) -> Option<String> {
    (tags.get(tags::STACK)? == stack)
        .then(|| tags.get(tags::INSTANCE).cloned())
        .flatten()
}
