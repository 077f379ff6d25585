//! Rules that send events on, each with its one target.

use std::collections::BTreeMap;

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
use aws_sdk_eventbridge::types::Rule as Found;
use aws_sdk_eventbridge::types::Tag;
use aws_sdk_eventbridge::types::Target;
use serde_json::Value;

use crate::resource::spec::Rule;

/// A rule of ours has one target, and this is what it is called.
const TARGET: &str = "queue";

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let mut named = Vec::new();
    let mut next = None;
    loop {
        let page = aws
            .events
            .list_rules()
            .name_prefix(format!("{}-", aws.owner.stack))
            .set_next_token(next)
            .send()
            .await;
        let page = page.map_err(|error| codes::error("events ListRules", error))?;
        let is_wanted = |rule: &&Found| rule.name().is_some_and(|name| scope.covers(name));
        named.extend(page.rules().iter().filter(is_wanted).cloned());
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            return asked(named, |rule| observe_rule(aws, rule)).await;
        }
    }
}

async fn observe_rule(aws: &Aws, rule: Found) -> Result<Option<Observed>, ProviderError> {
    let (name, arn) = (rule.name().unwrap_or_default(), rule.arn().unwrap_or_default());
    let tags = aws.events.list_tags_for_resource().resource_arn(arn).send().await;
    let tags = tags.map_err(|error| codes::error("events ListTagsForResource", error))?;
    let tags = tags
        .tags()
        .iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect();
    let Some(id) = aws.owner.identify(&tags) else {
        return Ok(None);
    };
    let targets = targets(aws, name).await?;
    let pattern = rule.event_pattern().and_then(|text| serde_json::from_str(text).ok());
    let spec = Rule {
        description: rule.description().unwrap_or_default().to_owned(),
        pattern: pattern.unwrap_or(Value::Null),
        target: targets
            .first()
            .map(|target| target.arn().to_owned())
            .unwrap_or_default(),
    };
    let given = BTreeMap::from([("arn".to_owned(), arn.to_owned())]);
    Ok(Some(found(id, Kind::Rule, &spec, given, Readiness::Ready)))
}

async fn targets(aws: &Aws, rule: &str) -> Result<Vec<Target>, ProviderError> {
    let targets = aws.events.list_targets_by_rule().rule(rule).send().await;
    match targets.map_err(|error| codes::error("events ListTargetsByRule", error)) {
        Ok(targets) => Ok(targets.targets().to_vec()),
        Err(error) if error.class == Class::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Rule = fields(ready)?;
    let name = &ready.step.desired.name;
    let put = aws
        .events
        .put_rule()
        .name(name)
        .description(&spec.description)
        .event_pattern(spec.pattern.to_string());
    // PutRule takes tags for a new rule only.
    let put = if existing.is_some() {
        put
    } else {
        put.set_tags(Some(tags(aws, ready)))
    };
    put.send()
        .await
        .map_err(|error| codes::error("events PutRule", error))?;
    let target = Target::builder()
        .id(TARGET)
        .arn(&spec.target)
        .build()
        .expect("id and ARN are set");
    let put = aws.events.put_targets().rule(name).targets(target).send().await;
    let put = put.map_err(|error| codes::error("events PutTargets", error))?;
    match put.failed_entries().first() {
        Some(failed) => {
            let words = failed.error_message().unwrap_or("no reason given").to_owned();
            Err(ProviderError::found(format!("adding a target to rule {name}"), words))
        }
        None => Ok(()),
    }
}

fn tags(aws: &Aws, ready: &Ready) -> Vec<Tag> {
    let tags = aws.owner.tags(&ready.step.desired.id, &BTreeMap::new());
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(|pair| tag(pair).expect("key and value are set"))
        .collect()
}

pub(super) async fn delete(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let ids: Vec<String> = targets(aws, name)
        .await?
        .iter()
        .map(|target| target.id().to_owned())
        .collect();
    if !ids.is_empty() {
        let removed = aws.events.remove_targets().rule(name).set_ids(Some(ids)).send().await;
        removed.map_err(|error| codes::error("events RemoveTargets", error))?;
    }
    let deleted = aws.events.delete_rule().name(name).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("events DeleteRule", error))
}
