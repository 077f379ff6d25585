//! Objects, their versions, and the conditions under which they are written and read.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use jiff::Timestamp;
use md5::Digest as _;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::rest::s3::Input;
use crate::aws::rest::s3::add_headers;
use crate::aws::rest::s3::body;
use crate::aws::rest::s3::bucket;
use crate::aws::rest::s3::buckets::Bucket;
use crate::aws::rest::s3::buckets::Versioning;
use crate::aws::rest::s3::check_children;
use crate::aws::rest::s3::document;
use crate::aws::rest::s3::empty;
use crate::aws::rest::s3::malformed;
use crate::aws::xml::Xml;
use crate::content::Content;
use crate::content::hex;
use crate::core::Response;
use crate::random::Random;

/// The id of the version that a bucket without versioning has of each object.
const NULL: &str = "null";

/// The headers that belong to an object and come back with it.
const KEPT: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
];

/// One version of an object, or the mark that it was deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) modified: Timestamp,
    /// None for a delete marker.
    pub(super) object: Option<Object>,
}

/// The bytes of one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) content: Content,
    /// The MD5 of the bytes, in quotes.
    pub(super) etag: String,
    headers: BTreeMap<String, String>,
}

impl Bucket {
    /// The newest version of a key, unless it is a delete marker.
    fn current(&self, key: &str) -> Option<(&Version, &Object)> {
        let version = self.objects.get(key)?.last()?;
        Some((version, version.object.as_ref()?))
    }

    /// Puts a version on top, in place of the one that it replaces.
    fn push(&mut self, key: &str, object: Option<Object>, now: Timestamp, random: &mut Random) -> String {
        let id = match self.versioning {
            Versioning::Enabled => random.hex(32),
            Versioning::Never | Versioning::Suspended => NULL.to_owned(),
        };
        let versions = self.objects.entry(key.to_owned()).or_default();
        versions.retain(|version| version.id != id);
        versions.push(Version {
            id: id.clone(),
            modified: now,
            object,
        });
        id
    }

    /// Deletes a key, or one of its versions; says which version is gone or new, and whether it is a marker.
    fn delete(&mut self, key: &str, version: Option<&str>, now: Timestamp, random: &mut Random) -> Deleted {
        if let Some(id) = version {
            let versions = self.objects.entry(key.to_owned()).or_default();
            let found = versions.iter().position(|version| version.id == id);
            let removed = found.map(|index| versions.remove(index));
            if versions.is_empty() {
                self.objects.remove(key);
            }
            return Deleted {
                version: Some(id.to_owned()),
                marker: removed.is_some_and(|version| version.object.is_none()),
            };
        }
        if self.versioning == Versioning::Never {
            self.objects.remove(key);
            return Deleted {
                version: None,
                marker: false,
            };
        }
        Deleted {
            version: Some(self.push(key, None, now, random)),
            marker: true,
        }
    }

    /// Whether the conditions of a write are met.
    fn check_conditions(&self, input: &Input<'_>) -> Result<(), Refusal> {
        let current = self.current(&input.key).map(|(_, object)| &object.etag);
        if let Some(etag) = input.header("if-none-match") {
            if etag != "*" {
                let message =
                    "A header you provided implies functionality that is not implemented: If-None-Match other than `*`";
                return Err(Refusal::with_status(
                    StatusCode::NOT_IMPLEMENTED,
                    "NotImplemented",
                    message,
                ));
            }
            if current.is_some() {
                return Err(precondition());
            }
        }
        match (input.header("if-match"), current) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(no_such_key()),
            (Some(etag), Some(current)) if same(etag, current) => Ok(()),
            (Some(_), Some(_)) => Err(precondition()),
        }
    }
}

/// What a deletion came to.
struct Deleted {
    version: Option<String>,
    marker: bool,
}

pub(super) fn put(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    bucket(scene, input)?.check_conditions(input)?;
    if input.key.len() > 1024 {
        return Err(Refusal::new("KeyTooLongError", "Your key is too long"));
    }
    let encryption = input
        .header("x-amz-server-side-encryption")
        .unwrap_or("AES256")
        .to_owned();
    if encryption != "AES256" {
        let message = format!("the local world's objects are encrypted with AES256, not {encryption}");
        return Err(Refusal::new("InvalidArgument", message));
    }
    let bytes = body::read(input.call.request)?;
    let object = Object {
        etag: format!("\"{}\"", hex(&md5::Md5::digest(&bytes))),
        headers: kept(input),
        content: Content(bytes),
    };
    let mut headers = vec![
        ("etag", object.etag.clone()),
        ("x-amz-server-side-encryption", encryption),
        ("x-amz-checksum-crc32", body::crc32(&object.content.0)),
        ("x-amz-checksum-type", "FULL_OBJECT".to_owned()),
    ];
    let now = scene.now;
    // The draw for the version's id comes from a copy, because the bucket borrows the scene.
    let mut random = Random::new(scene.random.below(usize::MAX) as u64);
    let bucket = bucket(scene, input)?;
    let id = bucket.push(&input.key, Some(object), now, &mut random);
    if id != NULL {
        headers.push(("x-amz-version-id", id));
    }
    Ok(empty(StatusCode::OK, &headers))
}

fn kept(input: &Input<'_>) -> BTreeMap<String, String> {
    let headers = input.call.request.headers().iter();
    let kept = headers.filter(|(name, _)| KEPT.contains(&name.as_str()) || name.as_str().starts_with("x-amz-meta-"));
    kept.filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        // The coding of the transfer is not the object's.
        let value = if name == "content-encoding" {
            value.replace("aws-chunked", "")
        } else {
            value.to_owned()
        };
        let value = value.trim_matches([',', ' ']).to_owned();
        (!value.is_empty()).then(|| (name.as_str().to_owned(), value))
    })
    .collect()
}

/// Answers `GET` and `HEAD`.
pub(super) fn get(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let asked = input.query("versionId");
    let bucket = bucket(scene, input)?;
    let versions = bucket.objects.get(&input.key);
    let version = match asked {
        None => versions.and_then(|versions| versions.last()).ok_or_else(no_such_key)?,
        Some(id) => versions
            .and_then(|versions| versions.iter().find(|version| version.id == id))
            .ok_or_else(|| not_found("NoSuchVersion", "The specified version does not exist."))?,
    };
    let Some(object) = &version.object else {
        return Err(match asked {
            None => no_such_key(),
            Some(_) => Refusal::with_status(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            ),
        });
    };
    if input.header("if-match").is_some_and(|etag| !same(etag, &object.etag)) {
        return Err(precondition());
    }
    let mut headers = vec![
        ("etag", object.etag.clone()),
        ("last-modified", http_date(version.modified)),
        ("accept-ranges", "bytes".to_owned()),
        ("x-amz-server-side-encryption", "AES256".to_owned()),
    ];
    if input
        .header("if-none-match")
        .is_some_and(|etag| same(etag, &object.etag))
    {
        return Ok(empty(StatusCode::NOT_MODIFIED, &headers));
    }
    if version.id != NULL {
        headers.push(("x-amz-version-id", version.id.clone()));
    }
    if input.header("x-amz-checksum-mode") == Some("ENABLED") && input.header("range").is_none() {
        headers.push(("x-amz-checksum-crc32", body::crc32(&object.content.0)));
        headers.push(("x-amz-checksum-type", "FULL_OBJECT".to_owned()));
    }
    let (status, bytes, range) = cut(&object.content.0, input.header("range"))?;
    headers.extend(range.map(|range| ("content-range", range)));
    headers.push(("content-length", bytes.len().to_string()));
    let head = *input.call.request.method() == Method::HEAD;
    let mut response = Response::new(if head { Bytes::new() } else { bytes });
    *response.status_mut() = status;
    add_headers(&mut response, &headers);
    for (name, value) in &object.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The part of an object that a range asks for.
fn cut(bytes: &Bytes, range: Option<&str>) -> Result<(StatusCode, Bytes, Option<String>), Refusal> {
    let Some(asked) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok((StatusCode::OK, bytes.clone(), None));
    };
    let length = bytes.len();
    let unsatisfiable = || {
        Refusal::with_status(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The requested range is not satisfiable",
        )
    };
    let (first, last) = asked.split_once('-').ok_or_else(unsatisfiable)?;
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length.saturating_sub(1)),
        (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), length.saturating_sub(1)),
        _ => return Err(unsatisfiable()),
    };
    if first > last || first >= length {
        return Err(unsatisfiable());
    }
    let told = format!("bytes {first}-{last}/{length}");
    Ok((StatusCode::PARTIAL_CONTENT, bytes.slice(first..=last), Some(told)))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let now = scene.now;
    let mut random = Random::new(scene.random.below(usize::MAX) as u64);
    let bucket = bucket(scene, input)?;
    if input.header("if-match").is_some() {
        bucket.check_conditions(input)?;
    }
    let deleted = bucket.delete(&input.key, input.query("versionId"), now, &mut random);
    let mut headers = Vec::new();
    headers.extend(deleted.version.map(|id| ("x-amz-version-id", id)));
    if deleted.marker {
        headers.push(("x-amz-delete-marker", "true".to_owned()));
    }
    Ok(empty(StatusCode::NO_CONTENT, &headers))
}

pub(super) fn delete_many(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Response, Refusal> {
    let wish = input.document("Delete", &["Object", "Quiet"])?;
    let quiet = wish.text_of("Quiet") == Some("true");
    let count = wish.all("Object").count();
    if !(1..=1000).contains(&count) {
        return Err(malformed(&format!(
            "1 to 1000 objects can be deleted at once, not {count}"
        )));
    }
    let now = scene.now;
    let mut random = Random::new(scene.random.below(usize::MAX) as u64);
    let locked = scene.account.faults.locked();
    let bucket = bucket(scene, input)?;
    let mut xml = Xml::new();
    for object in wish.all("Object") {
        check_children(object, &["Key", "VersionId"])?;
        let key = object
            .text_of("Key")
            .ok_or_else(|| malformed("an object has no `Key`"))?;
        let asked = object.text_of("VersionId");
        if locked.iter().any(|prefix| key.starts_with(prefix)) {
            xml.element("Error", |xml| {
                xml.text("Key", key)
                    .maybe("VersionId", asked)
                    .text("Code", "AccessDenied")
                    .text("Message", "Access Denied because object protected by object lock.");
            });
            continue;
        }
        let deleted = bucket.delete(key, asked, now, &mut random);
        if quiet {
            continue;
        }
        xml.element("Deleted", |xml| {
            xml.text("Key", key).maybe("VersionId", asked);
            if deleted.marker {
                xml.text("DeleteMarker", true)
                    .maybe("DeleteMarkerVersionId", deleted.version);
            }
        });
    }
    Ok(document("DeleteResult", &xml))
}

/// Whether an entity tag, in quotes or without, is this one.
fn same(asked: &str, etag: &str) -> bool {
    asked == "*" || asked.trim_matches('"') == etag.trim_matches('"')
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn no_such_key() -> Refusal {
    not_found("NoSuchKey", "The specified key does not exist.")
}

fn not_found(code: &str, message: &str) -> Refusal {
    Refusal::with_status(StatusCode::NOT_FOUND, code, message)
}

fn precondition() -> Refusal {
    Refusal::with_status(
        StatusCode::PRECONDITION_FAILED,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
}
