//! Encryption keys with their aliases.

use std::collections::BTreeMap;

use aws_sdk_kms::config::Builder;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::types::Tag;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::asked;
use crate::provider::aws::codes;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::aws::is_change;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::Key;

/// The tag that says how many days AWS keeps the key after its deletion was asked for.
const DAYS: &str = "tubectl:delete-after-days";

/// How many they are where the tag is missing: the fewest that AWS allows.
const SHORTEST: i32 = 7;

pub(super) async fn observe(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws.kms.list_aliases().into_paginator().send();
    let mut aliases = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("kms ListAliases", error))?;
        // A key of ours without an alias was scheduled for deletion: it counts as gone.
        let named = page
            .aliases()
            .iter()
            .filter_map(|alias| Some((alias.alias_name()?.to_owned(), alias.target_key_id()?.to_owned())));
        aliases.extend(named.filter(|(name, _)| !name.starts_with("alias/aws/")));
    }
    asked(aliases, |(alias, key)| observe_key(aws, alias, key)).await
}

async fn observe_key(aws: &Aws, alias: String, key: String) -> Result<Option<Observed>, ProviderError> {
    let tags = aws.kms.list_resource_tags().key_id(&key).send().await;
    let tags = match tags.map_err(|error| codes::error("kms ListResourceTags", error)) {
        Ok(tags) => tags,
        // Another team's key may not be looked at; then it is not ours.
        Err(error) if matches!(error.class, Class::NotFound | Class::Denied) => return Ok(None),
        Err(error) => return Err(error),
    };
    let tags = by_name(tags.tags());
    let Some(id) = aws.owner.identify(&tags) else {
        return Ok(None);
    };
    let answer = aws.kms.describe_key().key_id(&key).send().await;
    let answer = answer.map_err(|error| codes::error("kms DescribeKey", error))?;
    let Some(metadata) = answer.key_metadata() else {
        return Ok(None);
    };
    let rotation = aws.kms.get_key_rotation_status().key_id(&key).send().await;
    let rotation = rotation.map_err(|error| codes::error("kms GetKeyRotationStatus", error))?;
    let spec = serde_json::json!({
        "alias": alias,
        "description": metadata.description().unwrap_or_default(),
        "rotate": rotation.key_rotation_enabled(),
        "delete_after_days": days(&tags),
    });
    let given = BTreeMap::from([
        ("arn".to_owned(), metadata.arn().unwrap_or_default().to_owned()),
        ("id".to_owned(), key),
        ("alias".to_owned(), alias),
    ]);
    Ok(Some(found(id, Kind::Key, &spec, given, Readiness::Ready)))
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Key = fields(ready)?;
    let key = match existing {
        Some(given) => given["id"].clone(),
        None => create(aws, ready, &spec).await?,
    };
    if existing.is_some() && is_change(ready) {
        let described = aws.kms.update_key_description().key_id(&key);
        let described = described.description(&spec.description).send().await;
        described.map_err(|error| codes::error("kms UpdateKeyDescription", error))?;
        let tagged = aws
            .kms
            .tag_resource()
            .key_id(&key)
            .set_tags(Some(tags(aws, ready, &spec)));
        let tagged = tagged.send().await;
        tagged.map_err(|error| codes::error("kms TagResource", error))?;
    }
    if spec.rotate {
        let rotated = aws.kms.enable_key_rotation().key_id(&key).send().await;
        rotated.map_err(|error| codes::error("kms EnableKeyRotation", error))?;
    } else if existing.is_some() {
        let rotated = aws.kms.disable_key_rotation().key_id(&key).send().await;
        rotated.map_err(|error| codes::error("kms DisableKeyRotation", error))?;
    }
    Ok(())
}

/// Makes the key and names it; a key that an earlier attempt made and could not name is used.
async fn create(aws: &Aws, ready: &Ready, spec: &Key) -> Result<String, ProviderError> {
    let key = match unnamed(aws, ready).await? {
        Some(key) => key,
        None => create_unnamed(aws, ready, spec).await?,
    };
    let named = aws
        .kms
        .create_alias()
        .alias_name(&spec.alias)
        .target_key_id(&key)
        .send()
        .await;
    match named.map_err(|error| codes::error("kms CreateAlias", error)) {
        // Ours when an answer got lost: then it leads to this very key.
        Err(error) if error.class == Class::Exists && aliases(aws, &key).await?.contains(&spec.alias) => Ok(key),
        other => other.map(|_| key),
    }
}

async fn create_unnamed(aws: &Aws, ready: &Ready, spec: &Key) -> Result<String, ProviderError> {
    let created = aws
        .kms
        .create_key()
        .description(&spec.description)
        .set_tags(Some(tags(aws, ready, spec)))
        .customize()
        .config_override(once())
        .send()
        .await;
    let created = created.map_err(|error| codes::error("kms CreateKey", error))?;
    let id = created.key_metadata().map(|metadata| metadata.key_id().to_owned());
    id.ok_or_else(|| ProviderError::found("kms CreateKey", "the answer names no key"))
}

/// A second call would make a second key: when no answer comes, the key is looked for first.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// A key's tags: whose it is, and how long AWS is to keep it once it is not wanted any more.
fn tags(aws: &Aws, ready: &Ready, spec: &Key) -> Vec<Tag> {
    let own = BTreeMap::from([(DAYS.to_owned(), spec.delete_after_days.to_string())]);
    let tag = |(key, value): (&String, &String)| Tag::builder().tag_key(key).tag_value(value).build();
    let tags = aws.owner.tags(&ready.step.desired.id, &own);
    tags.iter()
        .map(|pair| tag(pair).expect("key and value are set"))
        .collect()
}

/// What the tags say about that.
fn days(tags: &BTreeMap<String, String>) -> Option<i32> {
    tags.get(DAYS)?.parse().ok()
}

/// A key of this resource that is in use and has no alias yet.
async fn unnamed(aws: &Aws, ready: &Ready) -> Result<Option<String>, ProviderError> {
    for key in owned(aws).await? {
        if key.resource == ready.step.desired.id && key.deletion.is_none() {
            return Ok(Some(key.id));
        }
    }
    Ok(None)
}

fn by_name(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter()
        .map(|tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned()))
        .collect()
}

/// A key of the stack's, whatever its state.
pub(super) struct Owned {
    pub(super) id: String,
    pub(super) resource: crate::resource::id::ResourceId,
    /// When AWS deletes it, once that was asked for.
    pub(super) deletion: Option<String>,
}

/// Every key of the stack's, those that wait for their deletion too.
pub(super) async fn owned(aws: &Aws) -> Result<Vec<Owned>, ProviderError> {
    let mut pages = aws.kms.list_keys().into_paginator().send();
    let mut owned = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("kms ListKeys", error))?;
        for key in page.keys().iter().filter_map(|key| key.key_id()) {
            let tags = aws.kms.list_resource_tags().key_id(key).send().await;
            let tags = match tags.map_err(|error| codes::error("kms ListResourceTags", error)) {
                Ok(tags) => tags,
                Err(error) if matches!(error.class, Class::NotFound | Class::Denied) => continue,
                Err(error) => return Err(error),
            };
            let Some(resource) = aws.owner.identify(&by_name(tags.tags())) else {
                continue;
            };
            let answer = aws.kms.describe_key().key_id(key).send().await;
            let answer = answer.map_err(|error| codes::error("kms DescribeKey", error))?;
            let deletion = answer.key_metadata().and_then(|metadata| metadata.deletion_date());
            let deletion = deletion.map(|date| {
                let date = jiff::Timestamp::from_second(date.secs()).unwrap_or_default();
                date.strftime("%Y-%m-%d").to_string()
            });
            owned.push(Owned {
                id: key.to_owned(),
                resource,
                deletion,
            });
        }
    }
    Ok(owned)
}

/// Whether an alias still leads to the key.
pub(super) async fn is_named(aws: &Aws, key: &str) -> Result<bool, ProviderError> {
    Ok(!aliases(aws, key).await?.is_empty())
}

async fn aliases(aws: &Aws, key: &str) -> Result<Vec<String>, ProviderError> {
    let aliases = aws.kms.list_aliases().key_id(key).send().await;
    let aliases = aliases.map_err(|error| codes::error("kms ListAliases", error))?;
    let names = aliases.aliases().iter().filter_map(|alias| alias.alias_name());
    Ok(names.map(str::to_owned).collect())
}

/// Frees the alias and schedules the key's deletion: AWS deletes no key at once.
pub(super) async fn delete(aws: &Aws, key: &str) -> Result<(), ProviderError> {
    for alias in aliases(aws, key).await? {
        let freed = aws.kms.delete_alias().alias_name(alias).send().await;
        freed.map_err(|error| codes::error("kms DeleteAlias", error))?;
    }
    let answer = aws.kms.describe_key().key_id(key).send().await;
    let answer = answer.map_err(|error| codes::error("kms DescribeKey", error))?;
    let scheduled = answer.key_metadata().and_then(|metadata| metadata.deletion_date());
    if scheduled.is_some() {
        return Ok(());
    }
    let tags = aws.kms.list_resource_tags().key_id(key).send().await;
    let tags = tags.map_err(|error| codes::error("kms ListResourceTags", error))?;
    let scheduled = aws
        .kms
        .schedule_key_deletion()
        .key_id(key)
        .pending_window_in_days(days(&by_name(tags.tags())).unwrap_or(SHORTEST))
        .send()
        .await;
    scheduled
        .map(drop)
        .map_err(|error| codes::error("kms ScheduleKeyDeletion", error))
}
