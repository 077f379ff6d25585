//! Buckets, closed to the public.

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
use aws_sdk_s3::types::BucketLocationConstraint;
use aws_sdk_s3::types::BucketVersioningStatus;
use aws_sdk_s3::types::CreateBucketConfiguration;
use aws_sdk_s3::types::Delete;
use aws_sdk_s3::types::ObjectIdentifier;
use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use aws_sdk_s3::types::Tag;
use aws_sdk_s3::types::VersioningConfiguration;

use crate::resource::spec::Bucket;

/// The region that a bucket may not name as its own: it is where buckets go that name none.
const UNNAMED_REGION: &str = "us-east-1";

pub(super) async fn observe(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    // Only a bucket that carries the instance in its name can be ours; its tags then tell.
    let suffix = format!("-{}", aws.owner.instance);
    let names = names(aws).await?;
    let named = names
        .into_iter()
        .filter(|name| name.ends_with(&suffix) && scope.covers(name));
    asked(named, |name| observe_bucket(aws, name)).await
}

/// The names of the account's buckets in this region: every region lists all, and answers for its own only.
async fn names(aws: &Aws) -> Result<Vec<String>, ProviderError> {
    let here = aws.s3.list_buckets().bucket_region(&aws.place.region);
    let mut buckets = here.into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(bucket) = buckets.next().await {
        let bucket = bucket.map_err(|error| codes::error("s3 ListBuckets", error))?;
        names.extend(bucket.name);
    }
    Ok(names)
}

async fn observe_bucket(aws: &Aws, name: String) -> Result<Option<Observed>, ProviderError> {
    let tags = aws.s3.get_bucket_tagging().bucket(&name).send().await;
    let tags = match tags.map_err(|error| codes::error("s3 GetBucketTagging", error)) {
        Ok(tags) => tags,
        // Ours have their tags from the beginning.
        Err(error) if error.code == "NoSuchTagSet" || error.class == Class::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let tags = tags
        .tag_set()
        .iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect();
    let Some(id) = aws.owner.identify(&tags) else {
        return Ok(None);
    };
    let versioning = aws.s3.get_bucket_versioning().bucket(&name).send().await;
    let versioning = versioning.map_err(|error| codes::error("s3 GetBucketVersioning", error))?;
    let spec = Bucket {
        versioned: versioning.status() == Some(&BucketVersioningStatus::Enabled),
        closed: is_closed(aws, &name).await?,
    };
    let given = BTreeMap::from([
        ("arn".to_owned(), format!("arn:{}:s3:::{name}", aws.place.partition())),
        ("name".to_owned(), name),
    ]);
    Ok(Some(found(id, Kind::Bucket, &spec, given, Readiness::Ready)))
}

/// Whether nothing in the bucket can be opened to the public.
async fn is_closed(aws: &Aws, name: &str) -> Result<bool, ProviderError> {
    let block = aws.s3.get_public_access_block().bucket(name).send().await;
    let block = match block.map_err(|error| codes::error("s3 GetPublicAccessBlock", error)) {
        Ok(block) => block,
        Err(error) if error.code == "NoSuchPublicAccessBlockConfiguration" => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(block.public_access_block_configuration().is_some_and(|block| {
        [
            block.block_public_acls(),
            block.block_public_policy(),
            block.ignore_public_acls(),
            block.restrict_public_buckets(),
        ]
        .iter()
        .all(|on| *on == Some(true))
    }))
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Bucket = fields(ready)?;
    let name = &ready.step.desired.name;
    if existing.is_none() {
        create(aws, ready).await?;
    }
    let closed = PublicAccessBlockConfiguration::builder()
        .block_public_acls(spec.closed)
        .block_public_policy(spec.closed)
        .ignore_public_acls(spec.closed)
        .restrict_public_buckets(spec.closed)
        .build();
    let put = aws
        .s3
        .put_public_access_block()
        .bucket(name)
        .public_access_block_configuration(closed)
        .send()
        .await;
    put.map_err(|error| codes::error("s3 PutPublicAccessBlock", error))?;
    let status = if spec.versioned {
        BucketVersioningStatus::Enabled
    } else {
        BucketVersioningStatus::Suspended
    };
    if spec.versioned || existing.is_some() {
        let versioning = VersioningConfiguration::builder().status(status).build();
        let put = aws
            .s3
            .put_bucket_versioning()
            .bucket(name)
            .versioning_configuration(versioning)
            .send()
            .await;
        put.map_err(|error| codes::error("s3 PutBucketVersioning", error))?;
    }
    Ok(())
}

async fn create(aws: &Aws, ready: &Ready) -> Result<(), ProviderError> {
    let tags = aws.owner.tags(&ready.step.desired.id, &BTreeMap::new());
    let tag = |(key, value): (&String, &String)| {
        Tag::builder()
            .key(key)
            .value(value)
            .build()
            .expect("key and value are set")
    };
    let region = aws.place.region.as_str();
    let configuration = CreateBucketConfiguration::builder()
        .set_location_constraint((region != UNNAMED_REGION).then(|| BucketLocationConstraint::from(region)))
        .set_tags(Some(tags.iter().map(tag).collect()))
        .build();
    let created = aws
        .s3
        .create_bucket()
        .bucket(&ready.step.desired.name)
        .create_bucket_configuration(configuration)
        .send()
        .await;
    match created.map_err(|error| codes::error("s3 CreateBucket", error)) {
        // In this account and under this name it can only be ours.
        Err(error) if error.code == "BucketAlreadyOwnedByYou" => Ok(()),
        other => other.map(drop),
    }
}

/// Deletes a bucket with everything that is or was in it.
pub(super) async fn delete(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    loop {
        let page = aws.s3.list_object_versions().bucket(name).send().await;
        let page = page.map_err(|error| codes::error("s3 ListObjectVersions", error))?;
        let versions = page
            .versions()
            .iter()
            .filter_map(|version| Some((version.key()?, version.version_id())));
        let markers = page
            .delete_markers()
            .iter()
            .filter_map(|marker| Some((marker.key()?, marker.version_id())));
        let identifier = |(key, version): (&str, Option<&str>)| {
            let identifier = ObjectIdentifier::builder()
                .key(key)
                .set_version_id(version.map(str::to_owned))
                .build();
            identifier.expect("the key is set")
        };
        let objects: Vec<ObjectIdentifier> = versions.chain(markers).map(identifier).collect();
        if objects.is_empty() {
            break;
        }
        let objects = Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build()
            .expect("objects are set");
        let deleted = aws.s3.delete_objects().bucket(name).delete(objects).send().await;
        let deleted = deleted.map_err(|error| codes::error("s3 DeleteObjects", error))?;
        // It answers well though single objects stay, because of a lock or a policy: asking again would never end.
        if let Some(kept) = deleted.errors().first() {
            return Err(kept_back(kept));
        }
    }
    let deleted = aws.s3.delete_bucket().bucket(name).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("s3 DeleteBucket", error))
}

/// Why an object was not deleted.
fn kept_back(kept: &aws_sdk_s3::types::Error) -> ProviderError {
    let (code, words) = (
        kept.code().unwrap_or_default(),
        kept.message().unwrap_or("no reason given"),
    );
    ProviderError {
        what: format!("s3 DeleteObjects of {}", kept.key().unwrap_or("an object")),
        code: code.to_owned(),
        class: codes::classify(code, words),
        source: words.into(),
    }
}
