//! The OCI distribution protocol over one repository's images. Who may call, and whether the repository exists, is
//! decided before.

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::header::HeaderName;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::content::Content;
use crate::content::sha256;
use crate::core::Request;
use crate::core::Response;
use crate::random::Random;
use crate::registry::image::Images;
use crate::registry::image::Missing;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whether this is a registry at all.
    Ping,
    /// Something in a repository.
    In(String, Item),
}

/// Something in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A manifest by tag or digest.
    Manifest(String),
    /// A blob by digest.
    Blob(String),
    /// A new upload.
    NewUpload,
    /// An upload under way.
    Upload(String),
    /// The list of tags.
    Tags,
}

/// Whether a tag may be pointed at another manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    Mutable,
    Immutable,
}

/// A refusal as the protocol says it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The answer that says it.
    pub(crate) fn response(self) -> Response {
        let text = json!({"errors": [{"code": self.code, "message": self.message}]});
        answer(
            self.status,
            &[("content-type", "application/json")],
            text.to_string().into(),
        )
    }
}

impl Target {
    /// Reads a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v2")?;
        if path.is_empty() || path == "/" {
            return Some(Self::Ping);
        }
        let path = path.strip_prefix('/')?;
        let found = |name: &str, item| (!name.is_empty()).then(|| Self::In(name.to_owned(), item));
        if let Some(name) = path.strip_suffix("/tags/list") {
            return found(name, Item::Tags);
        }
        if let Some((name, upload)) = path.rsplit_once("/blobs/uploads") {
            let upload = upload.trim_start_matches('/');
            let item = if upload.is_empty() {
                Item::NewUpload
            } else {
                Item::Upload(upload.to_owned())
            };
            return found(name, item);
        }
        let (rest, last) = path.rsplit_once('/')?;
        if let Some(name) = rest.strip_suffix("/manifests") {
            return found(name, Item::Manifest(last.to_owned()));
        }
        let name = rest.strip_suffix("/blobs")?;
        found(name, Item::Blob(last.to_owned()))
    }
}

/// Whether a request only reads.
pub(crate) fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// What a ping gets from whom it lets in.
pub(crate) fn pong() -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("docker-distribution-api-version", "registry/2.0"),
    ];
    answer(StatusCode::OK, &headers, Bytes::from_static(b"{}"))
}

/// Answers a read.
pub(crate) fn read(images: &Images, name: &str, item: &Item, request: &Request) -> Result<Response, Refusal> {
    let mut response = match item {
        Item::Manifest(reference) => manifest(images, reference)?,
        Item::Blob(digest) => blob(images, digest)?,
        Item::Tags => tags(images, name, request),
        Item::Upload(upload) => {
            let upload_so_far = images.uploads.get(upload).ok_or_else(|| unknown_upload(upload))?;
            progress(StatusCode::NO_CONTENT, name, upload, upload_so_far.len())
        }
        Item::NewUpload => return Err(unsupported()),
    };
    if request.method() == Method::HEAD {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    Ok(response)
}

/// Answers a write.
pub(crate) fn write(
    images: &mut Images,
    rule: Tags,
    name: &str,
    item: &Item,
    request: &Request,
    (now, random): (Timestamp, &mut Random),
) -> Result<Response, Refusal> {
    match (request.method().clone(), item) {
        (Method::PUT, Item::Manifest(reference)) => put_manifest(images, rule, name, reference, request, now),
        (Method::POST, Item::NewUpload) => Ok(new_upload(images, name, request, random)),
        (Method::PATCH, Item::Upload(upload)) => extend(images, name, upload, request),
        (Method::PUT, Item::Upload(upload)) => finish(images, name, upload, request),
        (Method::DELETE, Item::Upload(upload)) => {
            let removed = images.uploads.remove(upload);
            removed.ok_or_else(|| unknown_upload(upload))?;
            Ok(answer(StatusCode::NO_CONTENT, &[], Bytes::new()))
        }
        _ => Err(unsupported()),
    }
}

fn manifest(images: &Images, reference: &str) -> Result<Response, Refusal> {
    let (digest, manifest) = images.manifest(reference).ok_or_else(|| {
        let message = format!("requested image `{reference}` not found");
        Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    })?;
    let headers = [
        ("content-type", &*manifest.media_type),
        ("docker-content-digest", digest),
    ];
    Ok(answer(StatusCode::OK, &headers, manifest.text.0.clone()))
}

fn blob(images: &Images, digest: &str) -> Result<Response, Refusal> {
    let bytes = images.blob(digest).ok_or_else(|| {
        let message = format!("blob `{digest}` unknown to registry");
        Refusal::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", message)
    })?;
    let headers = [
        ("content-type", "application/octet-stream"),
        ("docker-content-digest", digest),
    ];
    Ok(answer(StatusCode::OK, &headers, bytes.clone()))
}

fn tags(images: &Images, name: &str, request: &Request) -> Response {
    let last = parameter(request, "last").unwrap_or_default();
    let limit = parameter(request, "n").and_then(|number| number.parse().ok());
    let mut after = images.tags().filter(|tag| *tag > last.as_str());
    let page: Vec<&str> = after.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let text = json!({"name": name, "tags": page}).to_string();
    let mut headers = vec![("content-type", "application/json")];
    let link = page
        .last()
        .zip(limit)
        .map(|(last, limit)| format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""));
    if let Some(link) = link.as_deref().filter(|_| after.next().is_some()) {
        headers.push(("link", link));
    }
    answer(StatusCode::OK, &headers, text.into())
}

fn put_manifest(
    images: &mut Images,
    rule: Tags,
    name: &str,
    reference: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Response, Refusal> {
    let invalid = |message: String| Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    let text = request.body();
    let manifest: Value = serde_json::from_slice(text).map_err(|error| invalid(format!("not JSON: {error}")))?;
    if manifest["schemaVersion"] != 2 {
        return Err(invalid("`schemaVersion` must be 2".to_owned()));
    }
    let sent = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let inside = manifest["mediaType"].as_str();
    let media_type = sent
        .or(inside)
        .ok_or_else(|| invalid("neither header nor manifest says its media type".to_owned()))?;
    if inside.is_some_and(|inside| inside != media_type) {
        return Err(invalid(format!(
            "the header says `{media_type}`, the manifest another media type"
        )));
    }
    images.complete(&manifest).map_err(|Missing(digest)| {
        let message = format!("the manifest refers to `{digest}`, which is not in the repository");
        Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message)
    })?;
    let digest = format!("sha256:{}", sha256(text));
    let by_digest = reference.starts_with("sha256:");
    if by_digest && reference != digest {
        let message = format!("the manifest's digest is `{digest}`, not `{reference}`");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
    }
    let tag = (!by_digest).then_some(reference);
    let moves = tag
        .and_then(|tag| images.manifest(tag))
        .is_some_and(|(old, _)| old != digest);
    if rule == Tags::Immutable && moves {
        let message = format!(
            "The image tag '{reference}' already exists in the '{name}' repository and cannot be overwritten because \
             the tag is immutable."
        );
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", message));
    }
    let digest = images.add_manifest(media_type, text.clone(), tag, now);
    let location = format!("/v2/{name}/manifests/{digest}");
    let headers = [("location", &*location), ("docker-content-digest", &*digest)];
    Ok(answer(StatusCode::CREATED, &headers, Bytes::new()))
}

fn new_upload(images: &mut Images, name: &str, request: &Request, random: &mut Random) -> Response {
    if let Some(digest) = parameter(request, "mount").filter(|digest| images.blob(digest).is_some()) {
        return stored(name, &digest);
    }
    let upload = random.uuid();
    images.uploads.insert(upload.clone(), Content::default());
    progress(StatusCode::ACCEPTED, name, &upload, 0)
}

fn extend(images: &mut Images, name: &str, upload: &str, request: &Request) -> Result<Response, Refusal> {
    let content = images.uploads.get_mut(upload).ok_or_else(|| unknown_upload(upload))?;
    let range = request
        .headers()
        .get("content-range")
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.split('-').next()?.parse::<usize>().ok());
    if start.is_some_and(|start| start != content.len()) {
        let message = format!("the upload has {} bytes, the piece starts elsewhere", content.len());
        return Err(Refusal::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "BLOB_UPLOAD_INVALID",
            message,
        ));
    }
    append(content, request.body());
    Ok(progress(StatusCode::ACCEPTED, name, upload, content.len()))
}

fn finish(images: &mut Images, name: &str, upload: &str, request: &Request) -> Result<Response, Refusal> {
    let invalid = |message: String| Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message);
    let expected = parameter(request, "digest").ok_or_else(|| invalid("the query names no `digest`".to_owned()))?;
    let mut content = images.uploads.remove(upload).ok_or_else(|| unknown_upload(upload))?;
    append(&mut content, request.body());
    let found = format!("sha256:{}", sha256(&content.0));
    if found != expected {
        return Err(invalid(format!("the upload's digest is `{found}`, not `{expected}`")));
    }
    let digest = images.add_blob(content.0);
    Ok(stored(name, &digest))
}

fn append(content: &mut Content, more: &Bytes) {
    if content.len() == 0 {
        content.0 = more.clone();
    } else if !more.is_empty() {
        content.0 = [&content.0[..], more].concat().into();
    }
}

fn stored(name: &str, digest: &str) -> Response {
    let location = format!("/v2/{name}/blobs/{digest}");
    let headers = [("location", &*location), ("docker-content-digest", digest)];
    answer(StatusCode::CREATED, &headers, Bytes::new())
}

fn progress(status: StatusCode, name: &str, upload: &str, length: usize) -> Response {
    let location = format!("/v2/{name}/blobs/uploads/{upload}");
    let range = format!("0-{}", length.saturating_sub(1));
    let headers = [
        ("location", &*location),
        ("docker-upload-uuid", upload),
        ("range", &*range),
    ];
    answer(status, &headers, Bytes::new())
}

fn unknown_upload(upload: &str) -> Refusal {
    let message = format!("no upload `{upload}` is under way");
    Refusal::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
}

fn unsupported() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        "the operation is unsupported",
    )
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// An answer with some headers; a header that cannot be written is one that nobody could read.
fn answer(status: StatusCode, headers: &[(&'static str, &str)], body: Bytes) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_ask_for() {
        let check = |path: &str, expected: Option<Target>| assert_eq!(Target::of(path), expected, "{path}");
        let within = |item| Some(Target::In("a/b".to_owned(), item));
        check("/v2/", Some(Target::Ping));
        check("/v2", Some(Target::Ping));
        check("/v2/a/b/manifests/1.0", within(Item::Manifest("1.0".to_owned())));
        check("/v2/a/b/blobs/sha256:00", within(Item::Blob("sha256:00".to_owned())));
        check("/v2/a/b/blobs/uploads/", within(Item::NewUpload));
        check("/v2/a/b/blobs/uploads", within(Item::NewUpload));
        check("/v2/a/b/blobs/uploads/7", within(Item::Upload("7".to_owned())));
        check("/v2/a/b/tags/list", within(Item::Tags));
        check("/v2/manifests/1.0", None);
        check("/v1/a/b/manifests/1.0", None);
    }

    struct Repository {
        images: Images,
        random: Random,
        rule: Tags,
    }

    impl Repository {
        fn new(rule: Tags) -> Self {
            Self {
                images: Images::default(),
                random: Random::new(1),
                rule,
            }
        }

        fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Response {
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .body(Bytes::copy_from_slice(body))
                .unwrap();
            let Some(Target::In(name, item)) = Target::of(request.uri().path()) else {
                panic!("{path} asks for nothing");
            };
            let sent = if reads(&request) {
                read(&self.images, &name, &item, &request)
            } else {
                let chance = (Timestamp::UNIX_EPOCH, &mut self.random);
                write(&mut self.images, self.rule, &name, &item, &request, chance)
            };
            sent.unwrap_or_else(Refusal::response)
        }

        fn upload(&mut self, bytes: &[u8]) -> String {
            let started = self.send("POST", "/v2/a/blobs/uploads/", b"");
            let location = started.headers()["location"].to_str().unwrap().to_owned();
            self.send("PATCH", &location, bytes);
            let digest = format!("sha256:{}", sha256(bytes));
            let finished = self.send("PUT", &format!("{location}?digest={digest}"), b"");
            assert_eq!(finished.status(), 201);
            digest
        }
    }

    fn manifest_of(configuration: &str, layer: &str) -> Vec<u8> {
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": configuration, "size": 2, "mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [{"digest": layer, "size": 5, "mediaType": "application/vnd.oci.image.layer.v1.tar"}],
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn what_was_pushed_is_pulled() {
        let mut repository = Repository::new(Tags::Mutable);
        let (configuration, layer) = (repository.upload(b"{}"), repository.upload(b"layer"));
        let manifest = manifest_of(&configuration, &layer);
        assert_eq!(repository.send("PUT", "/v2/a/manifests/1.0", &manifest).status(), 201);
        let pulled = repository.send("GET", "/v2/a/manifests/1.0", b"");
        assert_eq!(pulled.body()[..], manifest[..]);
        assert_eq!(
            pulled.headers()["content-type"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        let digest = pulled.headers()["docker-content-digest"].to_str().unwrap();
        let head = repository.send("HEAD", &format!("/v2/a/manifests/{digest}"), b"");
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
        assert_eq!(head.headers()["content-length"], manifest.len().to_string().as_str());
        let blob = repository.send("GET", &format!("/v2/a/blobs/{layer}"), b"");
        assert_eq!(blob.body()[..], b"layer"[..]);
    }

    #[test]
    fn a_manifest_whose_blobs_are_missing_is_refused() {
        let mut repository = Repository::new(Tags::Mutable);
        let configuration = repository.upload(b"{}");
        let refused = repository.send("PUT", "/v2/a/manifests/1.0", &manifest_of(&configuration, "sha256:00"));
        assert_eq!(refused.status(), 404);
        assert!(String::from_utf8_lossy(refused.body()).contains("MANIFEST_BLOB_UNKNOWN"));
    }

    #[test]
    fn an_immutable_tag_stays_where_it_is() {
        let mut repository = Repository::new(Tags::Immutable);
        let (configuration, layer) = (repository.upload(b"{}"), repository.upload(b"layer"));
        let first = manifest_of(&configuration, &layer);
        let second = manifest_of(&configuration, &configuration);
        assert_eq!(repository.send("PUT", "/v2/a/manifests/1.0", &first).status(), 201);
        assert_eq!(repository.send("PUT", "/v2/a/manifests/1.0", &first).status(), 201);
        assert_eq!(repository.send("PUT", "/v2/a/manifests/1.0", &second).status(), 400);
    }

    #[test]
    fn a_piece_that_starts_elsewhere_and_a_wrong_digest_are_refused() {
        let mut repository = Repository::new(Tags::Mutable);
        let started = repository.send("POST", "/v2/a/blobs/uploads/", b"");
        let location = started.headers()["location"].to_str().unwrap().to_owned();
        let request = http::Request::patch(&location)
            .header("content-range", "7-9")
            .body(Bytes::from_static(b"abc"))
            .unwrap();
        let upload = location.rsplit('/').next().unwrap().to_owned();
        let refused = extend(&mut repository.images, "a", &upload, &request).unwrap_err();
        assert_eq!(refused.response().status(), 416);
        let wrong = repository.send("PUT", &format!("{location}?digest=sha256:00"), b"abc");
        assert_eq!(wrong.status(), 400);
    }

    #[test]
    fn tags_come_in_pages() {
        let mut repository = Repository::new(Tags::Mutable);
        let (configuration, layer) = (repository.upload(b"{}"), repository.upload(b"layer"));
        for tag in ["a", "b", "c"] {
            repository.send(
                "PUT",
                &format!("/v2/a/manifests/{tag}"),
                &manifest_of(&configuration, &layer),
            );
        }
        let page = repository.send("GET", "/v2/a/tags/list?n=2", b"");
        assert_eq!(page.headers()["link"], "</v2/a/tags/list?n=2&last=b>; rel=\"next\"");
        let rest = repository.send("GET", "/v2/a/tags/list?n=2&last=b", b"");
        assert_eq!(rest.body()[..], b"{\"name\":\"a\",\"tags\":[\"c\"]}"[..]);
        assert!(!rest.headers().contains_key("link"));
    }
}
