//! S3: buckets and their objects, once for the account. Buckets are named in the path or in the host.

mod body;
mod buckets;
mod document;
mod listing;
mod objects;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::query;
use crate::aws::rest::s3::buckets::Bucket;
use crate::aws::rest::s3::document::Element;
use crate::aws::xml::Xml;
use crate::core::Request;
use crate::core::Response;
use crate::core::host_of;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Buckets of the account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Account,
    Bucket(String),
    Object(String, String),
}

/// What an operation is called for.
struct Input<'a> {
    call: &'a Call<'a>,
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
}

type Run = fn(&mut Scene<'_>, &Input<'_>) -> Result<Response, Refusal>;

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Account,
    Bucket,
    Object,
}

/// One operation: how it is called, and what it knows.
struct Route {
    operation: &'static str,
    method: Method,
    level: Level,
    /// The query parameter that tells it from others of the same method; empty for none.
    marker: &'static str,
    /// The other query parameters that it knows.
    query: &'static [&'static str],
    run: Run,
}

/// Query parameters that tell one operation from another.
const MARKERS: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route { operation: "ListBuckets", method: Method::GET, level: Level::Account, marker: "", query: &["max-buckets", "continuation-token", "prefix", "bucket-region"], run: buckets::list },
    Route { operation: "CreateBucket", method: Method::PUT, level: Level::Bucket, marker: "", query: &[], run: buckets::create },
    Route { operation: "HeadBucket", method: Method::HEAD, level: Level::Bucket, marker: "", query: &[], run: buckets::head },
    Route { operation: "DeleteBucket", method: Method::DELETE, level: Level::Bucket, marker: "", query: &[], run: buckets::delete },
    Route { operation: "GetBucketLocation", method: Method::GET, level: Level::Bucket, marker: "location", query: &[], run: buckets::location },
    Route { operation: "PutBucketVersioning", method: Method::PUT, level: Level::Bucket, marker: "versioning", query: &[], run: buckets::put_versioning },
    Route { operation: "GetBucketVersioning", method: Method::GET, level: Level::Bucket, marker: "versioning", query: &[], run: buckets::versioning },
    Route { operation: "PutBucketTagging", method: Method::PUT, level: Level::Bucket, marker: "tagging", query: &[], run: buckets::put_tagging },
    Route { operation: "GetBucketTagging", method: Method::GET, level: Level::Bucket, marker: "tagging", query: &[], run: buckets::tagging },
    Route { operation: "DeleteBucketTagging", method: Method::DELETE, level: Level::Bucket, marker: "tagging", query: &[], run: buckets::delete_tagging },
    Route { operation: "PutPublicAccessBlock", method: Method::PUT, level: Level::Bucket, marker: "publicAccessBlock", query: &[], run: buckets::put_access_block },
    Route { operation: "GetPublicAccessBlock", method: Method::GET, level: Level::Bucket, marker: "publicAccessBlock", query: &[], run: buckets::access_block },
    Route { operation: "DeletePublicAccessBlock", method: Method::DELETE, level: Level::Bucket, marker: "publicAccessBlock", query: &[], run: buckets::delete_access_block },
    Route { operation: "PutBucketEncryption", method: Method::PUT, level: Level::Bucket, marker: "encryption", query: &[], run: buckets::put_encryption },
    Route { operation: "GetBucketEncryption", method: Method::GET, level: Level::Bucket, marker: "encryption", query: &[], run: buckets::encryption },
    Route { operation: "ListObjectsV2", method: Method::GET, level: Level::Bucket, marker: "list-type", query: &["prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type", "fetch-owner"], run: listing::objects },
    Route { operation: "ListObjectVersions", method: Method::GET, level: Level::Bucket, marker: "versions", query: &["prefix", "max-keys", "key-marker", "version-id-marker", "encoding-type"], run: listing::versions },
    Route { operation: "DeleteObjects", method: Method::POST, level: Level::Bucket, marker: "delete", query: &[], run: objects::delete_many },
    Route { operation: "PutObject", method: Method::PUT, level: Level::Object, marker: "", query: &[], run: objects::put },
    Route { operation: "GetObject", method: Method::GET, level: Level::Object, marker: "", query: &["versionId"], run: objects::get },
    Route { operation: "HeadObject", method: Method::HEAD, level: Level::Object, marker: "", query: &["versionId"], run: objects::get },
    Route { operation: "DeleteObject", method: Method::DELETE, level: Level::Object, marker: "", query: &["versionId"], run: objects::delete },
];

/// The `x-amz-` headers that are known; what one of them asks for is done or checked.
const HEADERS: &[&str] = &[
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-server-side-encryption",
    "x-amz-trailer",
    "x-amz-user-agent",
];

impl Target {
    fn of(request: &Request) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = request.uri().path().trim_start_matches('/');
        let host = host_of(request);
        let in_host = host.split_once(".s3.").or_else(|| host.split_once(".s3-"));
        let (bucket, key) = match in_host {
            Some((bucket, rest)) if rest.ends_with("amazonaws.com") => (bucket.to_owned(), path),
            _ => match path.split_once('/') {
                Some((bucket, key)) => (decode(bucket), key),
                None => (decode(path), ""),
            },
        };
        match (bucket.is_empty(), key.is_empty()) {
            (true, _) => Self::Account,
            (false, true) => Self::Bucket(bucket),
            (false, false) => Self::Object(bucket, decode(key)),
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::Account => Level::Account,
            Self::Bucket(_) => Level::Bucket,
            Self::Object(..) => Level::Object,
        }
    }
}

impl S3 {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        for (name, bucket) in &self.buckets {
            found.entry("s3/bucket".to_owned()).or_default().push(name.clone());
            let objects = bucket.objects.keys().map(|key| format!("{name}/{key}"));
            let objects: Vec<String> = objects.collect();
            if !objects.is_empty() {
                found.entry("s3/object".to_owned()).or_default().extend(objects);
            }
        }
    }
}

impl Input<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        body::text(self.call.request.headers(), name)
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The request's document; anything but `root`, and in it anything but `known`, is refused.
    fn document(&self, root: &str, known: &[&str]) -> Result<Element, Refusal> {
        let bytes = body::read(self.call.request)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let element = Element::parse(text).ok_or_else(|| malformed("it is not well-formed"))?;
        if element.name != root {
            return Err(malformed(&format!("its root is `{}`, not `{root}`", element.name)));
        }
        check_children(&element, known)?;
        Ok(element)
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let target = Target::of(call.request);
    let query = pairs(call.request);
    let Some(route) = route(call.request.method(), target.level(), &query) else {
        return Err(Refusal::unknown_operation(call));
    };
    for name in query.keys() {
        if name != route.marker && name != "x-id" && !route.query.contains(&name.as_str()) {
            let message = format!("unknown parameter `{name}` of {}", route.operation);
            return Err(Refusal::new("InvalidArgument", message));
        }
    }
    let headers = call.request.headers().keys().map(HeaderName::as_str);
    let mut unknown = headers
        .filter(|name| name.starts_with("x-amz-") && !name.starts_with("x-amz-meta-") && !HEADERS.contains(name));
    if let Some(name) = unknown.next() {
        let message = format!("unknown header `{name}` of {}", route.operation);
        return Err(Refusal::new("InvalidArgument", message));
    }
    let (bucket, key) = match target {
        Target::Account => (String::new(), String::new()),
        Target::Bucket(bucket) => (bucket, String::new()),
        Target::Object(bucket, key) => (bucket, key),
    };
    let input = Input {
        call,
        bucket,
        key,
        query,
    };
    (route.run)(scene, &input)
}

/// The operation that method, path and query name; what names none is told as method and path.
pub(crate) fn operation_of(request: &Request) -> String {
    let found = route(request.method(), Target::of(request).level(), &pairs(request));
    found.map_or_else(
        || format!("{} {}", request.method(), request.uri()),
        |route| route.operation.to_owned(),
    )
}

fn route(method: &Method, level: Level, query: &BTreeMap<String, String>) -> Option<&'static Route> {
    let marker = MARKERS.iter().find(|marker| query.contains_key(**marker));
    let marker = marker.copied().unwrap_or_default();
    ROUTES
        .iter()
        .find(|route| route.method == method && route.level == level && route.marker == marker)
}

fn pairs(request: &Request) -> BTreeMap<String, String> {
    let text = request.uri().query().unwrap_or_default();
    let pairs = form_urlencoded::parse(text.as_bytes());
    // A presigned URL carries its signature in the query.
    let pairs = pairs.filter(|(name, _)| !name.starts_with("X-Amz-"));
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The call's bucket, which must be in the region that the call was signed for.
fn bucket<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut Bucket, Refusal> {
    if let Some(owner) = input
        .header("x-amz-expected-bucket-owner")
        .filter(|owner| *owner != scene.account.id)
    {
        let message = format!("Access Denied: the bucket's owner is not {owner}");
        return Err(Refusal::with_status(StatusCode::FORBIDDEN, "AccessDenied", message));
    }
    let bucket = scene.account.s3.buckets.get_mut(&input.bucket).ok_or_else(|| {
        Refusal::with_status(
            StatusCode::NOT_FOUND,
            "NoSuchBucket",
            "The specified bucket does not exist",
        )
    })?;
    if bucket.region != input.call.scope.region {
        let message = format!(
            "The bucket you are attempting to access must be addressed using the specified endpoint: it is in {}",
            bucket.region
        );
        return Err(Refusal::with_status(
            StatusCode::MOVED_PERMANENTLY,
            "PermanentRedirect",
            message,
        ));
    }
    Ok(bucket)
}

fn check_children(element: &Element, known: &[&str]) -> Result<(), Refusal> {
    match element.stranger(known) {
        None => Ok(()),
        Some(name) => Err(malformed(&format!("unknown member `{name}` of `{}`", element.name))),
    }
}

fn malformed(why: &str) -> Refusal {
    let message =
        format!("The XML you provided was not well-formed or did not validate against our published schema: {why}");
    Refusal::new("MalformedXML", message)
}

/// An answer with a document.
fn document(root: &str, inner: &Xml) -> Response {
    query::xml_response(StatusCode::OK, &Xml::document(root, NAMESPACE, inner))
}

/// An answer without a body.
fn empty(status: StatusCode, headers: &[(&'static str, String)]) -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    add_headers(&mut response, headers);
    response
}

fn add_headers(response: &mut Response, headers: &[(&'static str, String)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}
