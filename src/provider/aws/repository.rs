//! Container image repositories.

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
use aws_sdk_ecr::types::ImageScanningConfiguration;
use aws_sdk_ecr::types::ImageTagMutability;
use aws_sdk_ecr::types::Repository as Found;
use aws_sdk_ecr::types::Tag;

use crate::resource::spec::Repository;

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws.ecr.describe_repositories().into_paginator().items().send();
    let prefix = format!("{}/", aws.owner.stack);
    let is_wanted = |name: &str| name.starts_with(&prefix) && scope.covers(name);
    let mut named = Vec::new();
    while let Some(repository) = pages.next().await {
        let repository = repository.map_err(|error| codes::error("ecr DescribeRepositories", error))?;
        if repository.repository_name().is_some_and(is_wanted) {
            named.push(repository);
        }
    }
    asked(named, |repository| observe_repository(aws, repository)).await
}

async fn observe_repository(aws: &Aws, repository: Found) -> Result<Option<Observed>, ProviderError> {
    let arn = repository.repository_arn().unwrap_or_default().to_owned();
    let tags = aws.ecr.list_tags_for_resource().resource_arn(&arn).send().await;
    let tags = tags.map_err(|error| codes::error("ecr ListTagsForResource", error))?;
    let tags = tags
        .tags()
        .iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect();
    let Some(id) = aws.owner.identify(&tags) else {
        return Ok(None);
    };
    let scanning = repository.image_scanning_configuration();
    let spec = Repository {
        scan_on_push: scanning.is_some_and(ImageScanningConfiguration::scan_on_push),
        immutable_tags: repository.image_tag_mutability() == Some(&ImageTagMutability::Immutable),
    };
    let uri = repository.repository_uri().unwrap_or_default().to_owned();
    let given = BTreeMap::from([("arn".to_owned(), arn), ("uri".to_owned(), uri)]);
    Ok(Some(found(id, Kind::Repository, &spec, given, Readiness::Ready)))
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Repository = fields(ready)?;
    let name = &ready.step.desired.name;
    let scanning = ImageScanningConfiguration::builder()
        .scan_on_push(spec.scan_on_push)
        .build();
    let mutability = if spec.immutable_tags {
        ImageTagMutability::Immutable
    } else {
        ImageTagMutability::Mutable
    };
    if existing.is_some() {
        let put = aws
            .ecr
            .put_image_scanning_configuration()
            .repository_name(name)
            .image_scanning_configuration(scanning);
        put.send()
            .await
            .map_err(|error| codes::error("ecr PutImageScanningConfiguration", error))?;
        let put = aws
            .ecr
            .put_image_tag_mutability()
            .repository_name(name)
            .image_tag_mutability(mutability)
            .send()
            .await;
        return put
            .map(drop)
            .map_err(|error| codes::error("ecr PutImageTagMutability", error));
    }
    let tags = aws.owner.tags(&ready.step.desired.id, &BTreeMap::new());
    let tag = |(key, value): (&String, &String)| {
        Tag::builder()
            .key(key)
            .value(value)
            .build()
            .expect("key and value are set")
    };
    let created = aws
        .ecr
        .create_repository()
        .repository_name(name)
        .image_scanning_configuration(scanning)
        .image_tag_mutability(mutability)
        .set_tags(Some(tags.iter().map(tag).collect()))
        .send()
        .await;
    match created.map_err(|error| codes::error("ecr CreateRepository", error)) {
        // Ours when an answer got lost: then the next look finds it by its tags.
        Err(error) if error.class == Class::Exists && is_ours(aws, ready).await? => Ok(()),
        other => other.map(drop),
    }
}

async fn is_ours(aws: &Aws, ready: &Ready) -> Result<bool, ProviderError> {
    Ok(observe(aws, Scope::Named(&ready.step.desired.name))
        .await?
        .iter()
        .any(|observed| observed.id == ready.step.desired.id))
}

/// Deletes a repository with the images in it.
pub(super) async fn delete(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let deleted = aws
        .ecr
        .delete_repository()
        .repository_name(name)
        .force(true)
        .send()
        .await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ecr DeleteRepository", error))
}
