//! What the EC2 kinds share: filters by owner, tags both ways, and calls that are sent once.

use std::collections::BTreeMap;

use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::Filter;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_ec2::types::Tag;
use aws_sdk_ec2::types::TagSpecification;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::tags;
use crate::provider::aws::tags::Owner;
use crate::provider::error::ProviderError;
use crate::resource::id::ResourceId;

/// Filters that find all of the owner's resources of one kind in one call.
pub(super) fn owned_by(owner: &Owner) -> Vec<Filter> {
    vec![
        filter(&format!("tag:{}", tags::STACK), &owner.stack),
        filter(&format!("tag:{}", tags::INSTANCE), &owner.instance),
    ]
}

pub(super) fn filter(name: &str, value: &str) -> Filter {
    filter_any(name, &[value])
}

/// A filter that any of the values passes.
pub(super) fn filter_any(name: &str, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// A call is sent once where AWS would not recognise a second one: creates without a client token. When no answer
/// comes, the resource is looked for by its tags before anything is sent again.
pub(super) fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// The tags that a resource gets with its creation, in one atomic call.
pub(super) fn at_creation(
    aws: &Aws,
    resource: ResourceType,
    ready: &Ready,
    own: &BTreeMap<String, String>,
) -> TagSpecification {
    let mut own = own.clone();
    own.entry("Name".to_owned())
        .or_insert_with(|| ready.step.desired.name.clone());
    let tags = aws.owner.tags(&ready.step.desired.id, &own);
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(to_sdk(&tags)))
        .build()
}

pub(super) fn to_sdk(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

pub(super) fn from_sdk(tags: &[Tag]) -> BTreeMap<String, String> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

/// The resource that the tags name, if it is the owner's, and the tags that are its own beside `Name`.
pub(super) fn identify(owner: &Owner, tags: &[Tag]) -> Option<(ResourceId, BTreeMap<String, String>)> {
    let tags = from_sdk(tags);
    let id = owner.identify(&tags)?;
    let mut own = tags::own(tags);
    own.remove("Name");
    Some((id, own))
}

/// Puts tags on a resource that exists; what it has beyond them stays.
pub(super) async fn retag(aws: &Aws, resource: &str, tags: &BTreeMap<String, String>) -> Result<(), ProviderError> {
    if tags.is_empty() {
        return Ok(());
    }
    aws.ec2
        .create_tags()
        .resources(resource)
        .set_tags(Some(to_sdk(tags)))
        .send()
        .await
        .map(drop)
        .map_err(|error| super::codes::error("ec2 CreateTags", error))
}
