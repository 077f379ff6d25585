//! Buckets and what is set on them.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::Tags;
use crate::aws::page;
use crate::aws::rest::s3::Input;
use crate::aws::rest::s3::bucket;
use crate::aws::rest::s3::check_children;
use crate::aws::rest::s3::document;
use crate::aws::rest::s3::document::Element;
use crate::aws::rest::s3::empty;
use crate::aws::rest::s3::malformed;
use crate::aws::rest::s3::objects::Version;
use crate::aws::xml::Xml;
use crate::core::Response;

/// One bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) region: String,
    pub(super) versioning: Versioning,
    /// The versions of every key, the newest last.
    pub(super) objects: BTreeMap<String, Vec<Version>>,
    created: Timestamp,
    access_block: Option<AccessBlock>,
    encryption: String,
    key: Option<String>,
    tags: Tags,
}

/// Whether old versions of objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Versioning {
    Never,
    Enabled,
    Suspended,
}

/// The four switches against public access, in the order of [`SWITCHES`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct AccessBlock([bool; 4]);

const SWITCHES: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let prefix = input.query("prefix").unwrap_or_default();
    let region = input.query("bucket-region");
    let limit = input.query("max-buckets").and_then(|limit| limit.parse().ok());
    let wanted =
        |name: &str, bucket: &Bucket| name.starts_with(prefix) && region.is_none_or(|region| region == bucket.region);
    let found = scene
        .account
        .s3
        .buckets
        .iter()
        .filter(|(name, bucket)| wanted(name, bucket));
    let token = input.query("continuation-token");
    let page = page::cut(found, |(name, _)| (*name).clone(), limit.unwrap_or(10_000), token)
        .map_err(|_| Refusal::new("InvalidArgument", "The continuation token provided is incorrect"))?;
    let mut xml = Xml::new();
    xml.element("Owner", |xml| {
        xml.text("ID", &scene.account.id);
    });
    xml.list("Buckets", "Bucket", page.items, |xml, (name, bucket)| {
        xml.text("Name", name)
            .text("CreationDate", iso(bucket.created))
            .text("BucketRegion", &bucket.region);
    });
    xml.maybe("ContinuationToken", page.next);
    Ok(document("ListAllMyBucketsResult", &xml))
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let name = &input.bucket;
    check_name(name)?;
    let region = &input.call.scope.region;
    let wish = if input.call.request.body().is_empty() {
        Element::default()
    } else {
        input.document("CreateBucketConfiguration", &["LocationConstraint", "Tags"])?
    };
    check_location(wish.text_of("LocationConstraint"), region)?;
    let tags = wish.child("Tags").map(read_tags).transpose()?.unwrap_or_default();
    let location = [("location", format!("/{name}"))];
    if let Some(known) = scene.account.s3.buckets.get(name) {
        if region == "us-east-1" && known.region == *region {
            return Ok(empty(StatusCode::OK, &location));
        }
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(conflict("BucketAlreadyOwnedByYou", message));
    }
    let bucket = Bucket {
        region: region.clone(),
        versioning: Versioning::Never,
        objects: BTreeMap::new(),
        created: scene.now,
        // Every new bucket is closed.
        access_block: Some(AccessBlock([true; 4])),
        encryption: "AES256".to_owned(),
        key: None,
        tags,
    };
    scene.account.s3.buckets.insert(name.clone(), bucket);
    Ok(empty(StatusCode::OK, &location))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (3..=63).contains(&name.len())
        && name.chars().all(allowed)
        && name.starts_with(ends)
        && name.ends_with(ends)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err();
    if good {
        Ok(())
    } else {
        Err(Refusal::new("InvalidBucketName", "The specified bucket is not valid."))
    }
}

/// Every region but the first wants to be named, and no other.
fn check_location(asked: Option<&str>, region: &str) -> Result<(), Refusal> {
    match (asked, region) {
        (None, "us-east-1") => Ok(()),
        (Some("us-east-1"), "us-east-1") => Err(Refusal::new(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
        )),
        (Some(asked), region) if asked == region => Ok(()),
        (asked, _) => {
            let asked = asked.unwrap_or("unspecified");
            let message = format!(
                "The {asked} location constraint is incompatible for the region specific endpoint this request was sent to."
            );
            Err(Refusal::new("IllegalLocationConstraintException", message))
        }
    }
}

pub(super) fn head(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let region = bucket(scene, input)?.region.clone();
    Ok(empty(StatusCode::OK, &[("x-amz-bucket-region", region)]))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    if !bucket(scene, input)?.objects.is_empty() {
        return Err(conflict(
            "BucketNotEmpty",
            "The bucket you tried to delete is not empty",
        ));
    }
    scene.account.s3.buckets.remove(&input.bucket);
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

pub(super) fn location(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let region = &bucket(scene, input)?.region;
    let mut xml = Xml::new();
    if region != "us-east-1" {
        xml.bare(region);
    }
    Ok(document("LocationConstraint", &xml))
}

pub(super) fn put_versioning(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let wish = input.document("VersioningConfiguration", &["Status"])?;
    bucket(scene, input)?.versioning = match wish.text_of("Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(malformed("`Status` is `Enabled` or `Suspended`")),
    };
    Ok(empty(StatusCode::OK, &[]))
}

pub(super) fn versioning(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let mut xml = Xml::new();
    match bucket(scene, input)?.versioning {
        Versioning::Never => {}
        Versioning::Enabled => _ = xml.text("Status", "Enabled"),
        Versioning::Suspended => _ = xml.text("Status", "Suspended"),
    }
    Ok(document("VersioningConfiguration", &xml))
}

pub(super) fn put_tagging(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let wish = input.document("Tagging", &["TagSet"])?;
    let set = wish.child("TagSet").ok_or_else(|| malformed("`TagSet` is missing"))?;
    let tags = read_tags(set)?;
    bucket(scene, input)?.tags = tags;
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

fn read_tags(set: &Element) -> Result<Tags, Refusal> {
    check_children(set, &["Tag"])?;
    let mut tags = Tags::new();
    for tag in set.all("Tag") {
        check_children(tag, &["Key", "Value"])?;
        let key = tag.text_of("Key").ok_or_else(|| malformed("a tag has no `Key`"))?;
        let value = tag.text_of("Value").unwrap_or_default();
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::new(
                "InvalidTag",
                "Cannot provide multiple Tags with the same key",
            ));
        }
    }
    Ok(tags)
}

pub(super) fn tagging(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let tags = &bucket(scene, input)?.tags;
    if tags.is_empty() {
        return Err(missing("NoSuchTagSet", "The TagSet does not exist"));
    }
    let mut xml = Xml::new();
    xml.list("TagSet", "Tag", tags, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
    Ok(document("Tagging", &xml))
}

pub(super) fn delete_tagging(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    bucket(scene, input)?.tags.clear();
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

pub(super) fn put_access_block(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let wish = input.document("PublicAccessBlockConfiguration", &SWITCHES)?;
    let switches = SWITCHES.map(|name| wish.text_of(name) == Some("true"));
    bucket(scene, input)?.access_block = Some(AccessBlock(switches));
    Ok(empty(StatusCode::OK, &[]))
}

pub(super) fn access_block(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let block = bucket(scene, input)?.access_block.ok_or_else(|| {
        missing(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        )
    })?;
    let mut xml = Xml::new();
    for (name, on) in SWITCHES.iter().zip(block.0) {
        xml.text(name, on);
    }
    Ok(document("PublicAccessBlockConfiguration", &xml))
}

pub(super) fn delete_access_block(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    bucket(scene, input)?.access_block = None;
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

pub(super) fn put_encryption(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let wish = input.document("ServerSideEncryptionConfiguration", &["Rule"])?;
    let rule = wish.child("Rule").ok_or_else(|| malformed("`Rule` is missing"))?;
    check_children(rule, &["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled"])?;
    let default = rule
        .child("ApplyServerSideEncryptionByDefault")
        .ok_or_else(|| malformed("`ApplyServerSideEncryptionByDefault` is missing"))?;
    check_children(default, &["SSEAlgorithm", "KMSMasterKeyID"])?;
    let algorithm = default.text_of("SSEAlgorithm").unwrap_or_default();
    if !["AES256", "aws:kms", "aws:kms:dsse"].contains(&algorithm) {
        return Err(malformed(&format!("`{algorithm}` is no `SSEAlgorithm`")));
    }
    let key = default.text_of("KMSMasterKeyID").map(str::to_owned);
    let bucket = bucket(scene, input)?;
    algorithm.clone_into(&mut bucket.encryption);
    bucket.key = key;
    Ok(empty(StatusCode::OK, &[]))
}

pub(super) fn encryption(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let bucket = bucket(scene, input)?;
    let mut xml = Xml::new();
    xml.element("Rule", |xml| {
        xml.element("ApplyServerSideEncryptionByDefault", |xml| {
            xml.text("SSEAlgorithm", &bucket.encryption)
                .maybe("KMSMasterKeyID", bucket.key.as_ref());
        });
        xml.text("BucketKeyEnabled", false);
    });
    Ok(document("ServerSideEncryptionConfiguration", &xml))
}

/// A point in time as S3 writes it in documents.
pub(super) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn missing(code: &str, message: &str) -> Refusal {
    Refusal::with_status(StatusCode::NOT_FOUND, code, message)
}

fn conflict(code: &str, message: &str) -> Refusal {
    Refusal::with_status(StatusCode::CONFLICT, code, message)
}
