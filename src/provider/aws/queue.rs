//! Queues.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::Scope;
use crate::provider::aws::asked;
use crate::provider::aws::codes;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::resource::spec::Queue;

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws.sqs.list_queues().into_paginator().send();
    let mut urls = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("sqs ListQueues", error))?;
        urls.extend(page.queue_urls().to_vec());
    }
    // Only queues whose name says the stack's can be ours; the tags then tell.
    let suffix = format!("-{}", aws.owner.instance);
    let is_wanted = |url: &str| url.ends_with(&suffix) && scope.covers(url.rsplit('/').next().unwrap_or(url));
    let named = urls.into_iter().filter(|url| is_wanted(url));
    asked(named, |url| observe_queue(aws, url)).await
}

async fn observe_queue(aws: &Aws, url: String) -> Result<Option<Observed>, ProviderError> {
    let tags = match aws
        .sqs
        .list_queue_tags()
        .queue_url(&url)
        .send()
        .await
        .map_err(|error| codes::error("sqs ListQueueTags", error))
    {
        Ok(tags) => tags,
        Err(error) if error.class == Class::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let tags = tags
        .tags()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let Some(id) = aws.owner.identify(&tags) else {
        return Ok(None);
    };
    let attributes = aws
        .sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await;
    let attributes = attributes.map_err(|error| codes::error("sqs GetQueueAttributes", error))?;
    let attribute = |name: QueueAttributeName| {
        attributes
            .attributes()
            .and_then(|found| found.get(&name))
            .cloned()
            .unwrap_or_default()
    };
    let policy = attribute(QueueAttributeName::Policy);
    let spec = Queue {
        retention_seconds: attribute(QueueAttributeName::MessageRetentionPeriod)
            .parse()
            .unwrap_or_default(),
        managed_encryption: attribute(QueueAttributeName::SqsManagedSseEnabled) == "true",
        policy: serde_json::from_str(&policy).unwrap_or(Value::Null),
    };
    let given = BTreeMap::from([
        ("arn".to_owned(), attribute(QueueAttributeName::QueueArn)),
        ("name".to_owned(), url.rsplit('/').next().unwrap_or_default().to_owned()),
        ("url".to_owned(), url),
    ]);
    Ok(Some(found(id, Kind::Queue, &spec, given, Readiness::Ready)))
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Queue = fields(ready)?;
    let attributes = HashMap::from([
        (
            QueueAttributeName::MessageRetentionPeriod,
            spec.retention_seconds.to_string(),
        ),
        (
            QueueAttributeName::SqsManagedSseEnabled,
            spec.managed_encryption.to_string(),
        ),
        (QueueAttributeName::Policy, spec.policy.to_string()),
    ]);
    if let Some(given) = existing {
        let set = aws
            .sqs
            .set_queue_attributes()
            .queue_url(&given["url"])
            .set_attributes(Some(attributes))
            .send()
            .await;
        return set
            .map(drop)
            .map_err(|error| codes::error("sqs SetQueueAttributes", error));
    }
    let tags = aws.owner.tags(&ready.step.desired.id, &BTreeMap::new());
    let created = aws
        .sqs
        .create_queue()
        .queue_name(&ready.step.desired.name)
        .set_attributes(Some(attributes));
    let created = created.set_tags(Some(tags.into_iter().collect())).send().await;
    created
        .map(drop)
        .map_err(|error| codes::error("sqs CreateQueue", error))
}

pub(super) async fn delete(aws: &Aws, url: &str) -> Result<(), ProviderError> {
    let deleted = aws.sqs.delete_queue().queue_url(url).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("sqs DeleteQueue", error))
}
