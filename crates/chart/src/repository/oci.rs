//! OCI registries: a manifest that names the archive by digest, and a token for those who ask.

use std::fmt::Write;

use bytes::Bytes;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value as Json;

use super::PullError;
use super::Reference;
use super::Transport;
use super::digest_of;
use super::newest;
use super::transport::body;
use super::transport::get;
use super::transport::join;
use super::verify;
use crate::semver::Version;

/// What charts are stored as; the second name is of Helm's early days.
const CONTENT: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "application/tar+gzip",
];

const MANIFEST: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Pages of tags beyond this are not read: a hundred thousand tags is more than any chart has versions.
const PAGES: usize = 100;

/// Downloads the archive of the newest version in the range.
pub(super) async fn download<T: Transport>(reference: &Reference, transport: &T) -> Result<Vec<u8>, PullError> {
    let Reference::Oci {
        registry,
        repository,
        range,
    } = reference
    else {
        return Ok(Vec::new());
    };
    let mut session = Session {
        transport,
        base: format!("https://{registry}/v2/{repository}"),
        authorization: None,
    };
    let tag = match Version::parse(range) {
        Ok(version) if version.to_string() == range.trim_start_matches('v') => range.clone(),
        _ => session.newest(registry, repository, range).await?,
    };
    let url = format!("{}/manifests/{}", session.base, tag.replace('+', "_"));
    let response = session.get(&url, MANIFEST).await?;
    if response.status() == StatusCode::NOT_FOUND {
        return Err(PullError::NoVersion {
            repository: format!("oci://{registry}"),
            chart: repository.clone(),
            range: range.clone(),
            newest: session
                .tags()
                .await
                .map(|tags| tags.into_iter().rev().take(3).collect())
                .unwrap_or_default(),
        });
    }
    let manifest = body(&url, response)?;
    let (digest, manifest) = (digest_of(&manifest), json(&url, &manifest)?);
    let layers = manifest
        .get("layers")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    // Other layers, such as signatures and provenance, are none of ours.
    let layer = layers
        .iter()
        .find(|layer| CONTENT.iter().any(|kind| layer["mediaType"] == *kind));
    let Some(layer) = layer.and_then(|layer| layer["digest"].as_str()) else {
        let reason = format!("the manifest {digest} holds no chart");
        return Err(PullError::Answer { url, reason });
    };
    let url = format!("{}/blobs/{layer}", session.base);
    let archive = body(&url, session.get(&url, "*/*").await?)?;
    verify(&url, Some(layer), &digest_of(&archive))?;
    Ok(archive.to_vec())
}

/// A conversation with one repository; the token is kept once it was needed.
struct Session<'t, T> {
    transport: &'t T,
    base: String,
    authorization: Option<String>,
}

impl<T: Transport> Session<'_, T> {
    /// Gets an address, and once more with a token if the registry wants one.
    async fn get(&mut self, url: &str, accept: &str) -> Result<Response<Bytes>, PullError> {
        let response = get(self.transport, url, accept, self.authorization.as_deref()).await?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get(header::WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok());
        let Some(challenge) = challenge.and_then(Challenge::parse) else {
            return Ok(response);
        };
        let token = self.token(&challenge).await?;
        self.authorization = Some(format!("Bearer {token}"));
        get(self.transport, url, accept, self.authorization.as_deref()).await
    }

    async fn token(&self, challenge: &Challenge) -> Result<String, PullError> {
        let url = challenge.url();
        let answer = body(&url, get(self.transport, &url, "application/json", None).await?)?;
        let answer = json(&url, &answer)?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|key| answer.get(key)?.as_str());
        token.map(str::to_owned).ok_or(PullError::Answer {
            url,
            reason: "there is no token in it".to_owned(),
        })
    }

    async fn tags(&mut self) -> Result<Vec<String>, PullError> {
        let mut url = format!("{}/tags/list", self.base);
        let mut tags = Vec::new();
        for _ in 0..PAGES {
            let response = self.get(&url, "application/json").await?;
            let next = response
                .headers()
                .get(header::LINK)
                .and_then(|value| value.to_str().ok())
                .and_then(next_page);
            let page = json(&url, &body(&url, response)?)?;
            let names = page
                .get("tags")
                .and_then(Json::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            tags.extend(names.iter().filter_map(Json::as_str).map(|tag| tag.replace('_', "+")));
            match next {
                Some(next) => url = join(&url, &next),
                None => break,
            }
        }
        Ok(tags)
    }

    async fn newest(&mut self, registry: &str, repository: &str, range: &str) -> Result<String, PullError> {
        let tags = self.tags().await?;
        newest(tags.iter().map(String::as_str), range)
            .map(str::to_owned)
            .map_err(|newest| PullError::NoVersion {
                repository: format!("oci://{registry}"),
                chart: repository.to_owned(),
                range: range.to_owned(),
                newest,
            })
    }
}

fn json(url: &str, text: &[u8]) -> Result<Json, PullError> {
    serde_json::from_slice(text).map_err(|error| PullError::Answer {
        url: url.to_owned(),
        reason: format!("it is no JSON: {error}"),
    })
}

/// The address in a header such as `</v2/x/tags/list?last=b>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| address.to_owned())
}

/// Where a token can be had, as the registry tells those who come without one.
struct Challenge {
    realm: String,
    service: String,
    scope: String,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let parameters = header
            .strip_prefix("Bearer ")
            .or_else(|| header.strip_prefix("bearer "))?;
        let value = |name: &str| {
            let start = parameters.find(&format!("{name}=\""))? + name.len() + 2;
            parameters[start..].split('"').next().map(str::to_owned)
        };
        Some(Challenge {
            realm: value("realm")?,
            service: value("service").unwrap_or_default(),
            scope: value("scope").unwrap_or_default(),
        })
    }

    fn url(&self) -> String {
        let mark = if self.realm.contains('?') { '&' } else { '?' };
        format!(
            "{}{mark}service={}&scope={}",
            self.realm,
            encoded(&self.service),
            encoded(&self.scope)
        )
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    out
}
