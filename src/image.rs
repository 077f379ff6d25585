//! OCI images without Docker: a configuration that names the program, a layer that marks it, one manifest a platform.
//!
//! The bytes depend on the specification alone, so the digest of an image is known before it is pushed.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;

use crate::clients::Web;
use crate::error::Hint;
use crate::resource::spec::Image;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Why an image could not be pushed.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The registry went away.
    #[error("the registry {registry} ended before it answered")]
    Gone {
        /// The registry's host.
        registry: String,
    },
    /// The registry refused.
    #[error("{registry} answered {status} to {what}: {words}")]
    Refused {
        /// The registry's host.
        registry: String,
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: StatusCode,
        /// Its own words.
        words: String,
    },
}

impl Hint for ImageError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Gone { .. } | Self::Refused { .. } => vec!["run it again: what was pushed is kept".to_owned()],
        }
    }
}

/// An image as it lies in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its blobs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Its manifests by digest, those of the platforms before the index.
    pub manifests: Vec<(String, Vec<u8>)>,
    /// The digest of the index: of the image.
    pub digest: String,
}

/// Builds an image for every platform of its specification.
pub fn build(image: &Image) -> Built {
    let mut blobs = BTreeMap::new();
    let mut manifests = Vec::new();
    let mut listed = Vec::new();
    let tar = marker(&image.entrypoint.join(" "));
    let layer = gzip(&tar);
    let layer_digest = digest(&layer);
    for platform in &image.platforms {
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", platform));
        let config = bytes(&json!({
            "architecture": architecture,
            "os": os,
            "config": {"Entrypoint": image.entrypoint},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        }));
        let manifest = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
            "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": layer.len()}],
        }));
        listed.push(json!({
            "mediaType": MANIFEST,
            "digest": digest(&manifest),
            "size": manifest.len(),
            "platform": {"architecture": architecture, "os": os},
        }));
        blobs.insert(digest(&config), config);
        manifests.push((digest(&manifest), manifest));
    }
    blobs.insert(layer_digest, layer);
    let index = bytes(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}));
    let digest = digest(&index);
    manifests.push((digest.clone(), index));
    Built {
        blobs,
        manifests,
        digest,
    }
}

/// Pushes an image to its repository under its tag. `password` is ECR's.
pub async fn push(web: &Web, image: &Image, password: &str) -> Result<Built, ImageError> {
    let built = build(image);
    let (registry, repository) = image.repository.split_once('/').unwrap_or((&image.repository, ""));
    let session = Session {
        web,
        registry,
        authorization: STANDARD.encode(format!("AWS:{password}")),
    };
    for (digest, blob) in &built.blobs {
        session.push_blob(repository, digest, blob).await?;
    }
    for (digest, manifest) in &built.manifests {
        let (media, name) = if *digest == built.digest {
            (INDEX, image.tag.as_str())
        } else {
            (MANIFEST, digest.as_str())
        };
        let path = format!("/v2/{repository}/manifests/{name}");
        session
            .send(Method::PUT, &path, media, manifest.clone(), StatusCode::CREATED)
            .await?;
    }
    Ok(built)
}

struct Session<'a> {
    web: &'a Web,
    registry: &'a str,
    authorization: String,
}

impl Session<'_> {
    async fn push_blob(&self, repository: &str, digest: &str, blob: &[u8]) -> Result<(), ImageError> {
        let begin = format!("/v2/{repository}/blobs/uploads/");
        let answer = self
            .send(
                Method::POST,
                &begin,
                "application/octet-stream",
                Vec::new(),
                StatusCode::ACCEPTED,
            )
            .await?;
        let place = answer
            .headers()
            .get(http::header::LOCATION)
            .and_then(|place| place.to_str().ok())
            .unwrap_or(&begin);
        let path = place
            .split_once("://")
            .map_or(place, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
        let separator = if path.contains('?') { '&' } else { '?' };
        let end = format!("{path}{separator}digest={digest}");
        self.send(
            Method::PUT,
            &end,
            "application/octet-stream",
            blob.to_vec(),
            StatusCode::CREATED,
        )
        .await
        .map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Vec<u8>,
        expected: StatusCode,
    ) -> Result<http::Response<()>, ImageError> {
        let what = format!("{method} {path}");
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.registry))
            .header(http::header::AUTHORIZATION, format!("Basic {}", self.authorization))
            .header(http::header::CONTENT_TYPE, media)
            .body(Bytes::from(body))
            .expect("registry, path and media type are plain text");
        let registry = self.registry.to_owned();
        let answer = self.web.send(request).await.map_err(|_| ImageError::Gone {
            registry: registry.clone(),
        })?;
        let (head, body) = answer.into_parts();
        if head.status == expected {
            return Ok(http::Response::from_parts(head, ()));
        }
        let words = String::from_utf8_lossy(&body).into_owned();
        Err(ImageError::Refused {
            registry,
            what,
            status: head.status,
            words,
        })
    }
}

/// A tar archive of one file that says what the image runs.
fn marker(program: &str) -> Vec<u8> {
    let text = format!("{program}\n");
    let mut header = [0_u8; 512];
    let mut write = |at: usize, field: &str| header[at..at + field.len()].copy_from_slice(field.as_bytes());
    write(0, "etc/tubectl-program");
    write(100, "0000644\0");
    write(108, "0000000\0");
    write(116, "0000000\0");
    write(124, &format!("{:011o}\0", text.len()));
    write(136, "00000000000\0");
    write(148, "        ");
    write(156, "0");
    write(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(text.as_bytes());
    // A file fills whole blocks, and two empty ones end the archive.
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tube/gateway".to_owned(),
            tag: "1".to_owned(),
            entrypoint: ["tubectl", "serve", "gateway"].map(str::to_owned).to_vec(),
            platforms: ["linux/amd64", "linux/arm64"].map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn an_image_has_one_manifest_a_platform_and_an_index_of_them() {
        let built = build(&image());
        assert_eq!(built.manifests.len(), 3);
        let index: Value = serde_json::from_slice(&built.manifests[2].1).unwrap();
        let platforms: Vec<&str> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|found| found["platform"]["architecture"].as_str())
            .collect();
        assert_eq!(platforms, ["amd64", "arm64"]);
    }

    #[test]
    fn the_same_specification_gives_the_same_digest_and_another_program_another() {
        let mut other = image();
        other.entrypoint.push("--quiet".to_owned());
        assert_eq!(build(&image()).digest, build(&image()).digest);
        assert_ne!(build(&image()).digest, build(&other).digest);
    }

    #[test]
    fn the_marker_is_an_archive_that_others_can_read() {
        let tar = marker("tubectl serve gateway");
        assert_eq!(tar.len() % 512, 0);
        assert_eq!(&tar[257..262], b"ustar");
        assert_eq!(&tar[512..533], b"tubectl serve gateway");
    }
}
