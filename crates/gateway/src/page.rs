//! The page: one document with its style and script inside, and a policy that lets nothing else in.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_SECURITY_POLICY;
use http::header::ETAG;
use http::header::IF_NONE_MATCH;
use http::header::VARY;
use sha2::Digest as _;
use sha2::Sha256;

use crate::reply::typed;

const DOCUMENT: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/app.js");

/// The assembled page.
pub(crate) struct Page {
    body: Bytes,
    // A third of the size: a full hall loads the page in the same minute.
    compressed: Bytes,
    policy: HeaderValue,
    tag: HeaderValue,
}

impl Page {
    pub(crate) fn new() -> Self {
        let body = DOCUMENT.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT),
        );
        let tag = format!("W/\"{}\"", hash(&body));
        let plain = "hashes in base64 are plain text";
        Self {
            policy: HeaderValue::from_str(&policy).expect(plain),
            tag: HeaderValue::from_str(&tag).expect(plain),
            compressed: compress(&body),
            body: Bytes::from(body),
        }
    }

    /// The page, or nothing when the browser has this very one.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response<Bytes> {
        let known = asked.get(IF_NONE_MATCH) == Some(&self.tag);
        let compressed = !known && accepts_gzip(asked);
        let (status, body) = match (known, compressed) {
            (true, _) => (StatusCode::NOT_MODIFIED, Bytes::new()),
            (false, true) => (StatusCode::OK, self.compressed.clone()),
            (false, false) => (StatusCode::OK, self.body.clone()),
        };
        let mut response = typed(status, "text/html; charset=utf-8", body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ETAG, self.tag.clone());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn accepts_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim() == "gzip")
}

fn compress(text: &str) -> Bytes {
    let mut compressed = Vec::new();
    GzEncoder::new(text.as_bytes(), Compression::best())
        .read_to_end(&mut compressed)
        .expect("reading from memory cannot fail");
    Bytes::from(compressed)
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
