//! Lists of objects and of their versions, page by page.

use std::collections::BTreeMap;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::page;
use crate::aws::rest::s3::Input;
use crate::aws::rest::s3::bucket;
use crate::aws::rest::s3::buckets::iso;
use crate::aws::rest::s3::document;
use crate::aws::rest::s3::objects::Object;
use crate::aws::rest::s3::objects::Version;
use crate::aws::xml::Xml;
use crate::core::Response;

/// What S3 leaves as it is when a client asks for keys in URL coding.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b'/');

/// An entry of a page: an object, or the common start of several.
enum Entry<'a> {
    Object(&'a Version, &'a Object),
    Prefix,
}

pub(super) fn objects(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    if input.query("list-type") != Some("2") {
        return Err(Refusal::new("InvalidArgument", "list-type must be 2"));
    }
    let prefix = input.query("prefix").unwrap_or_default();
    let delimiter = input.query("delimiter").filter(|delimiter| !delimiter.is_empty());
    let start = input.query("start-after").unwrap_or_default();
    let limit = limit(input)?;
    let bucket = bucket(scene, input)?;
    let mut entries: BTreeMap<String, Entry<'_>> = BTreeMap::new();
    for (key, versions) in bucket.objects.range(prefix.to_owned()..) {
        if !key.starts_with(prefix) {
            break;
        }
        let Some((version, object)) = versions.last().and_then(|last| Some((last, last.object.as_ref()?))) else {
            continue;
        };
        let rest = &key[prefix.len()..];
        match delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len())) {
            Some(end) => _ = entries.insert(key[..prefix.len() + end].to_owned(), Entry::Prefix),
            None if key.as_str() > start => _ = entries.insert(key.clone(), Entry::Object(version, object)),
            None => {}
        }
    }
    let token = input.query("continuation-token");
    let page = page::cut(entries, |(key, _)| key.clone(), limit, token)
        .map_err(|_| Refusal::new("InvalidArgument", "The continuation token provided is incorrect"))?;
    let mut xml = Xml::new();
    xml.text("Name", &input.bucket)
        .text("Prefix", coded(input, prefix))
        .maybe("Delimiter", delimiter.map(|delimiter| coded(input, delimiter)))
        .maybe(
            "StartAfter",
            input.query("start-after").map(|start| coded(input, start)),
        )
        .maybe("EncodingType", input.query("encoding-type"))
        .text("KeyCount", page.items.len())
        .text("MaxKeys", limit)
        .text("IsTruncated", page.next.is_some())
        .maybe("ContinuationToken", token)
        .maybe("NextContinuationToken", page.next);
    for (key, entry) in &page.items {
        match entry {
            Entry::Prefix => xml.element("CommonPrefixes", |xml| _ = xml.text("Prefix", coded(input, key))),
            Entry::Object(version, object) => xml.element("Contents", |xml| {
                xml.text("Key", coded(input, key))
                    .text("LastModified", iso(version.modified));
                write_object(xml, object);
            }),
        };
    }
    Ok(document("ListBucketResult", &xml))
}

pub(super) fn versions(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let prefix = input.query("prefix").unwrap_or_default();
    let key_marker = input.query("key-marker").unwrap_or_default();
    let version_marker = input.query("version-id-marker");
    let limit = limit(input)?;
    let account = scene.account.id.clone();
    let bucket = bucket(scene, input)?;
    // Newest first within a key. The markers name what the page before ended with.
    let all = bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix));
    let all = all.flat_map(|(key, versions)| versions.iter().rev().map(move |version| (key, version)));
    let all: Vec<(&String, &Version)> = all.collect();
    let done = |(key, version): &(&String, &Version)| match version_marker {
        Some(id) => key.as_str() == key_marker && version.id == id,
        None => false,
    };
    let start = match version_marker {
        Some(_) => all.iter().position(done).map_or(all.len(), |index| index + 1),
        None => all.partition_point(|(key, _)| !key_marker.is_empty() && key.as_str() <= key_marker),
    };
    let page = &all[start..(start + limit).min(all.len())];
    let truncated = start + page.len() < all.len();
    let mut xml = Xml::new();
    xml.text("Name", &input.bucket)
        .text("Prefix", coded(input, prefix))
        .text("KeyMarker", coded(input, key_marker))
        .text("VersionIdMarker", version_marker.unwrap_or_default())
        .maybe("EncodingType", input.query("encoding-type"))
        .text("MaxKeys", limit)
        .text("IsTruncated", truncated);
    if let Some((key, version)) = page.last().filter(|_| truncated) {
        xml.text("NextKeyMarker", coded(input, key))
            .text("NextVersionIdMarker", &version.id);
    }
    for (key, version) in page {
        let latest = bucket.objects[*key].last().is_some_and(|last| last.id == version.id);
        let name = if version.object.is_some() {
            "Version"
        } else {
            "DeleteMarker"
        };
        xml.element(name, |xml| {
            xml.text("Key", coded(input, key))
                .text("VersionId", &version.id)
                .text("IsLatest", latest)
                .text("LastModified", iso(version.modified));
            if let Some(object) = &version.object {
                write_object(xml, object);
            }
            xml.element("Owner", |xml| _ = xml.text("ID", &account));
        });
    }
    Ok(document("ListVersionsResult", &xml))
}

fn write_object(xml: &mut Xml, object: &Object) {
    xml.text("ETag", &object.etag)
        .text("Size", object.content.len())
        .text("StorageClass", "STANDARD");
}

fn limit(input: &Input<'_>) -> Result<usize, Refusal> {
    match input.query("max-keys") {
        None => Ok(1000),
        Some(text) => text.parse::<usize>().map(|limit| limit.min(1000)).map_err(|_| {
            Refusal::new(
                "InvalidArgument",
                "Provided max-keys not an integer or within integer range",
            )
        }),
    }
}

/// A key as the client wants it written.
fn coded(input: &Input<'_>, key: &str) -> String {
    match input.query("encoding-type") {
        Some("url") => utf8_percent_encode(key, PLAIN).to_string(),
        _ => key.to_owned(),
    }
}
