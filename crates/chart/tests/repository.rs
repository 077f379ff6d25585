//! Pulling charts from servers that live in this file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::executor::block_on;
use http::Request;
use http::Response;
use sha2::Digest;
use sha2::Sha256;
use tubectl_chart::repository::Cache;
use tubectl_chart::repository::PullError;
use tubectl_chart::repository::Pulled;
use tubectl_chart::repository::Reference;
use tubectl_chart::repository::pull;

fn archive(version: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in [
        (
            "web/Chart.yaml",
            format!("apiVersion: v2\nname: web\nversion: {version}\n"),
        ),
        ("web/templates/a.yaml", "kind: ConfigMap\n".to_owned()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let mut packer = tar.into_inner().unwrap();
    packer.flush().unwrap();
    packer.finish().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let digits: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", digits.concat())
}

/// Answers by address; every request is noted.
struct Server {
    answer: fn(&Request<Bytes>) -> Response<Bytes>,
    seen: RefCell<Vec<String>>,
}

impl Server {
    fn new(answer: fn(&Request<Bytes>) -> Response<Bytes>) -> Self {
        Server {
            answer,
            seen: RefCell::new(Vec::new()),
        }
    }

    fn pull(&self, reference: &Reference, digest: Option<&str>, cache: &Cache) -> Result<Pulled, PullError> {
        block_on(pull(reference, digest, cache, &|request: Request<Bytes>| {
            self.seen.borrow_mut().push(request.uri().to_string());
            let answer = (self.answer)(&request);
            async move { Ok::<_, std::io::Error>(answer) }
        }))
    }
}

fn offline(reference: &Reference, digest: Option<&str>, cache: &Cache) -> Result<Pulled, PullError> {
    block_on(pull(reference, digest, cache, &|_request: Request<Bytes>| async {
        Err::<Response<Bytes>, _>(std::io::Error::other("no network"))
    }))
}

fn status(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn http_repository(request: &Request<Bytes>) -> Response<Bytes> {
    match request.uri().path() {
        "/charts/index.yaml" => {
            let index = format!(
                "apiVersion: v1\nentries:\n  web:\n  - {{version: 1.2.0, urls: [web-1.2.0.tgz], digest: {}}}\n  \
                 - {{version: 2.0.0-beta.1, urls: [web-2.0.0-beta.1.tgz]}}\n  - {{version: 1.10.0, urls: ['/far/web-1.10.0.tgz']}}\n",
                digest(&archive("1.2.0")).trim_start_matches("sha256:"),
            );
            status(200, index)
        }
        "/charts/web-1.2.0.tgz" => status(200, archive("1.2.0")),
        "/far/web-1.10.0.tgz" => Response::builder()
            .status(302)
            .header("location", "https://cdn.test/1.10.0")
            .body(Bytes::new())
            .unwrap(),
        "/1.10.0" => status(200, archive("1.10.0")),
        _ => status(404, ""),
    }
}

fn registry(request: &Request<Bytes>) -> Response<Bytes> {
    let bytes = archive("1.4.1+build.5");
    let layer = digest(&bytes);
    let allowed = request
        .headers()
        .get("authorization")
        .is_some_and(|value| value == "Bearer secret");
    let path = request.uri().path();
    if path == "/token" {
        assert_eq!(
            request.uri().query(),
            Some("service=registry.test&scope=repository:team/web:pull")
        );
        return status(200, "{\"token\": \"secret\"}");
    }
    if request.uri().host() == Some("blobs.test") {
        assert!(
            request.headers().get("authorization").is_none(),
            "the token must not leave its host"
        );
        return status(200, bytes);
    }
    if !allowed {
        let challenge =
            "Bearer realm=\"https://registry.test/token\",service=\"registry.test\",scope=\"repository:team/web:pull\"";
        return Response::builder()
            .status(401)
            .header("www-authenticate", challenge)
            .body(Bytes::new())
            .unwrap();
    }
    match path {
        "/v2/team/web/tags/list" => match request.uri().query() {
            None => Response::builder()
                .header("link", "</v2/team/web/tags/list?last=b>; rel=\"next\"")
                .body("{\"tags\": [\"1.0.0\", \"latest\"]}".into())
                .unwrap(),
            Some(_) => status(200, "{\"tags\": [\"1.4.1_build.5\"]}"),
        },
        "/v2/team/web/manifests/1.4.1_build.5" => status(
            200,
            format!(
                "{{\"layers\": [{{\"mediaType\": \"application/vnd.cncf.helm.chart.provenance.v1.prov\", \"digest\": \"x\"}},\
                 {{\"mediaType\": \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\", \"digest\": \"{layer}\"}}]}}"
            ),
        ),
        _ if path == format!("/v2/team/web/blobs/{layer}") => Response::builder()
            .status(307)
            .header("location", "https://blobs.test/b")
            .body(Bytes::new())
            .unwrap(),
        _ => status(404, ""),
    }
}

#[test]
fn the_newest_version_in_the_range_is_pulled_from_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let server = Server::new(http_repository);
    for (range, version) in [
        ("", "1.10.0"),
        ("~1.2", "1.2.0"),
        ("1.x.x", "1.10.0"),
        ("1.2.0", "1.2.0"),
    ] {
        let reference = Reference::parse("https://repo.test/charts/", "web", range).unwrap();
        let pulled = server.pull(&reference, None, &cache).unwrap();
        assert_eq!(pulled.chart.metadata.version, version, "{range}");
    }
}

#[test]
fn a_chart_is_pulled_from_a_registry_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(registry);
    for range in ["1.4.1+build.5", "^1.1", ""] {
        let reference = Reference::parse("oci://registry.test/team/web", "", range).unwrap();
        let pulled = server.pull(&reference, None, &Cache::new(folder.path())).unwrap();
        assert_eq!(pulled.chart.metadata.version, "1.4.1+build.5", "{range}");
        assert_eq!(pulled.digest, digest(&pulled.archive));
    }
}

#[test]
fn a_second_pull_works_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let reference = Reference::parse("https://repo.test/charts", "web", "~1.2").unwrap();
    assert!(matches!(
        offline(&reference, None, &cache),
        Err(PullError::Unreachable { .. })
    ));
    let pulled = Server::new(http_repository).pull(&reference, None, &cache).unwrap();
    assert_eq!(offline(&reference, None, &cache).unwrap().digest, pulled.digest);
    assert_eq!(
        offline(&reference, Some(&pulled.digest), &cache).unwrap().digest,
        pulled.digest
    );
}

#[test]
fn a_pinned_chart_in_the_cache_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let reference = Reference::parse("https://repo.test/charts", "web", "~1.2").unwrap();
    let server = Server::new(http_repository);
    let pinned = server.pull(&reference, None, &cache).unwrap().digest;
    server.seen.borrow_mut().clear();
    server.pull(&reference, Some(&pinned), &cache).unwrap();
    assert!(server.seen.borrow().is_empty());
}

#[test]
fn a_damaged_cache_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let reference = Reference::parse("https://repo.test/charts", "web", "~1.2").unwrap();
    let digest = Server::new(http_repository)
        .pull(&reference, None, &cache)
        .unwrap()
        .digest;
    let file = folder
        .path()
        .join("sha256")
        .join(format!("{}.tgz", digest.trim_start_matches("sha256:")));
    std::fs::write(file, b"garbage").unwrap();
    assert!(matches!(
        offline(&reference, None, &cache),
        Err(PullError::Unreachable { .. })
    ));
}

#[test]
fn another_digest_than_the_pinned_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Reference::parse("https://repo.test/charts", "web", "~1.2").unwrap();
    let pinned = format!("sha256:{}", "0".repeat(64));
    let error = Server::new(http_repository)
        .pull(&reference, Some(&pinned), &Cache::new(folder.path()))
        .unwrap_err();
    assert!(matches!(error, PullError::Digest { .. }), "{error}");
}

#[test]
fn a_version_that_does_not_exist_is_told_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Reference::parse("https://repo.test/charts", "web", ">=3").unwrap();
    let error = Server::new(http_repository)
        .pull(&reference, None, &Cache::new(folder.path()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "https://repo.test/charts has no version of `web` that satisfies `>=3`; \
         the newest are 2.0.0-beta.1, 1.10.0, 1.2.0"
    );
}

#[test]
fn addresses_are_understood_or_refused() {
    let shown = |address: &str, chart: &str| Reference::parse(address, chart, "1").map(|known| known.to_string());
    assert_eq!(
        shown("oci://docker.io/team", "web").unwrap(),
        "oci://registry-1.docker.io/team/web@1"
    );
    assert_eq!(
        shown("oci://public.ecr.aws/karpenter/karpenter", "karpenter").unwrap(),
        "oci://public.ecr.aws/karpenter/karpenter@1"
    );
    assert!(shown("ftp://x", "web").is_err());
    assert!(shown("https://repo.test", "").is_err());
}
