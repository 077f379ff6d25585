//! Which instances of a stack stand in an account: what a machine without a journal asks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use aws_config::SdkConfig;
use futures::FutureExt;

use crate::provider::aws::Aws;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::iam;
use crate::provider::aws::leftovers::regional;
use crate::provider::aws::tags;
use crate::provider::aws::tags::Tags;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;

/// The kinds of EC2 that need nothing of ours before them. What EC2 still lists after its end, such as a NAT gateway, is
/// none of them: it would bring back an instance that is gone.
const FIRST_IN_EC2: [&str; 4] = ["vpc", "elastic-ip", "internet-gateway", "launch-template"];

/// How much of a stack's name the name of its bucket has in any case: what is too long gives way to a hash.
const SURE_IN_BUCKETS: usize = 30;

impl Aws {
    /// The ids of the instances of a stack that own something here.
    ///
    /// Asked is every kind that needs nothing before it: a stack that is half made or half gone has one of them.
    pub async fn instances(config: &SdkConfig, stack: &str) -> Result<Vec<String>, ProviderError> {
        let tagged = futures::future::try_join_all([
            in_ec2(config).boxed(),
            roles(config, stack).boxed(),
            policies(config, stack).boxed(),
            keys(config).boxed(),
            log_groups(config, stack).boxed(),
            queues(config, stack).boxed(),
            repositories(config, stack).boxed(),
            buckets(config, stack).boxed(),
        ]);
        let tagged = tagged.await?.into_iter().flatten();
        let region = config.region().map(AsRef::as_ref).unwrap_or_default();
        let found: BTreeSet<String> = tagged.filter_map(|tags| tags::instance(&tags, stack, region)).collect();
        Ok(found.into_iter().collect())
    }
}

/// The answer; none when the thing is gone since it was listed, or is another's who lets nobody look.
fn if_told<T>(answer: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.class, Class::NotFound | Class::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn in_ec2(config: &SdkConfig) -> Result<Vec<Tags>, ProviderError> {
    let question = aws_sdk_ec2::Client::new(config)
        .describe_tags()
        .filters(ec2::filter_any("resource-type", &FIRST_IN_EC2))
        .filters(ec2::filter_any("key", &[tags::STACK, tags::INSTANCE, tags::REGION]));
    let mut pages = question.into_paginator().items().send();
    let mut resources: BTreeMap<String, Tags> = BTreeMap::new();
    while let Some(tag) = pages.next().await {
        let tag = tag.map_err(|error| codes::error("ec2 DescribeTags", error))?;
        if let (Some(resource), Some(key), Some(value)) = (tag.resource_id(), tag.key(), tag.value()) {
            let tags = resources.entry(resource.to_owned()).or_default();
            tags.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(resources.into_values().collect())
}

async fn roles(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_iam::Client::new(config);
    let question = client.list_roles().path_prefix(iam::path(stack));
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(role) = pages.next().await {
        let role = role.map_err(|error| codes::error("iam ListRoles", error))?;
        let answer = client.list_role_tags().role_name(role.role_name()).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("iam ListRoleTags", error)))?;
        found.extend(answer.map(|answer| iam::tags(answer.tags())));
    }
    Ok(found)
}

async fn policies(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_iam::Client::new(config);
    let question = client
        .list_policies()
        .scope(aws_sdk_iam::types::PolicyScopeType::Local)
        .path_prefix(iam::path(stack));
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(policy) = pages.next().await {
        let policy = policy.map_err(|error| codes::error("iam ListPolicies", error))?;
        let Some(arn) = policy.arn() else { continue };
        let answer = client.list_policy_tags().policy_arn(arn).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("iam ListPolicyTags", error)))?;
        found.extend(answer.map(|answer| iam::tags(answer.tags())));
    }
    Ok(found)
}

/// Keys; one that waits for its deletion is gone.
async fn keys(config: &SdkConfig) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_kms::Client::new(config);
    let mut pages = client.list_keys().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(key) = pages.next().await {
        let key = key.map_err(|error| codes::error("kms ListKeys", error))?;
        let Some(id) = key.key_id() else { continue };
        let answer = client.list_resource_tags().key_id(id).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("kms ListResourceTags", error)))?;
        let of = |tag: &aws_sdk_kms::types::Tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned());
        let tags = answer.map(|answer| answer.tags().iter().map(of).collect::<Tags>());
        let Some(tags) = tags.filter(|tags| tags.contains_key(tags::STACK)) else {
            continue;
        };
        let answer = client.describe_key().key_id(id).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("kms DescribeKey", error)))?;
        let metadata = answer.and_then(|answer| answer.key_metadata);
        if metadata.is_some_and(|metadata| metadata.deletion_date().is_none()) {
            found.push(tags);
        }
    }
    Ok(found)
}

async fn log_groups(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_cloudwatchlogs::Client::new(config);
    let mut found = Vec::new();
    for prefix in regional::log_prefixes(stack) {
        let question = client.describe_log_groups().log_group_name_prefix(prefix);
        let mut pages = question.into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| codes::error("logs DescribeLogGroups", error))?;
            let arn = group.arn().unwrap_or_default().trim_end_matches(":*");
            let answer = client.list_tags_for_resource().resource_arn(arn).send().await;
            let answer = if_told(answer.map_err(|error| codes::error("logs ListTagsForResource", error)))?;
            found.extend(answer.and_then(|answer| answer.tags).map(Tags::from_iter));
        }
    }
    Ok(found)
}

async fn queues(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_sqs::Client::new(config);
    let mut pages = client.list_queues().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(url) = pages.next().await {
        let url = url.map_err(|error| codes::error("sqs ListQueues", error))?;
        // Only a queue that says the stack's name can be ours; its tags then tell.
        if !url.contains(stack) {
            continue;
        }
        let answer = client.list_queue_tags().queue_url(url).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("sqs ListQueueTags", error)))?;
        found.extend(answer.and_then(|answer| answer.tags).map(Tags::from_iter));
    }
    Ok(found)
}

async fn repositories(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_ecr::Client::new(config);
    let mut pages = client.describe_repositories().into_paginator().items().send();
    let prefix = format!("{stack}/");
    let mut found = Vec::new();
    while let Some(repository) = pages.next().await {
        let repository = repository.map_err(|error| codes::error("ecr DescribeRepositories", error))?;
        let name = repository.repository_name().unwrap_or_default();
        if !name.starts_with(&prefix) {
            continue;
        }
        let arn = repository.repository_arn().unwrap_or_default();
        let answer = client.list_tags_for_resource().resource_arn(arn).send().await;
        let answer = if_told(answer.map_err(|error| codes::error("ecr ListTagsForResource", error)))?;
        let of = |tag: &aws_sdk_ecr::types::Tag| (tag.key().to_owned(), tag.value().to_owned());
        found.extend(answer.map(|answer| answer.tags().iter().map(of).collect::<Tags>()));
    }
    Ok(found)
}

async fn buckets(config: &SdkConfig, stack: &str) -> Result<Vec<Tags>, ProviderError> {
    let client = aws_sdk_s3::Client::new(config);
    // A bucket's name begins with as much of the stack's as fits; its tags then tell.
    let prefix: String = stack.chars().take(SURE_IN_BUCKETS).collect();
    // Every region lists all buckets of the account, and answers for its own only.
    let here = config.region().map(ToString::to_string);
    let question = client.list_buckets().prefix(prefix).set_bucket_region(here);
    let mut pages = question.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("s3 ListBuckets", error))?;
        for name in page.buckets().iter().filter_map(|bucket| bucket.name()) {
            let answer = client.get_bucket_tagging().bucket(name).send().await;
            let answer = match answer.map_err(|error| codes::error("s3 GetBucketTagging", error)) {
                Err(error) if error.code == "NoSuchTagSet" => continue,
                answer => if_told(answer)?,
            };
            let of = |tag: &aws_sdk_s3::types::Tag| (tag.key().to_owned(), tag.value().to_owned());
            found.extend(answer.map(|answer| answer.tag_set().iter().map(of).collect::<Tags>()));
        }
    }
    Ok(found)
}
