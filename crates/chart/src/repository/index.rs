//! HTTP repositories: an `index.yaml` that lists every version of every chart.

use tubectl_yaml::Value as Yaml;

use super::PullError;
use super::Reference;
use super::Transport;
use super::digest_of;
use super::newest;
use super::transport::body;
use super::transport::get;
use super::transport::join;
use super::verify;

/// Downloads the archive of the newest version in the range.
pub(super) async fn download<T: Transport>(reference: &Reference, transport: &T) -> Result<Vec<u8>, PullError> {
    let Reference::Http {
        repository,
        chart,
        range,
    } = reference
    else {
        return Ok(Vec::new());
    };
    let url = format!("{repository}/index.yaml");
    let text = body(&url, get(transport, &url, "*/*", None).await?)?;
    let entry = find(&url, &text, chart, range).map_err(|error| match error {
        Missing::Broken(reason) => PullError::Answer {
            url: url.clone(),
            reason,
        },
        Missing::Version(newest) => PullError::NoVersion {
            repository: repository.clone(),
            chart: chart.clone(),
            range: range.clone(),
            newest,
        },
    })?;
    let archive = body(&entry.url, get(transport, &entry.url, "*/*", None).await?)?;
    verify(&entry.url, entry.digest.as_deref(), &digest_of(&archive))?;
    Ok(archive.to_vec())
}

struct Entry {
    url: String,
    digest: Option<String>,
}

enum Missing {
    Broken(String),
    Version(Vec<String>),
}

fn find(url: &str, text: &[u8], chart: &str, range: &str) -> Result<Entry, Missing> {
    let index =
        tubectl_yaml::parse(&String::from_utf8_lossy(text)).map_err(|error| Missing::Broken(error.to_string()))?;
    let entries = index
        .at(&["entries", chart])
        .and_then(Yaml::as_list)
        .unwrap_or_default();
    let version_of = |entry: &'_ Yaml| entry.get("version").and_then(Yaml::as_str).map(str::to_owned);
    let versions: Vec<String> = entries.iter().filter_map(version_of).collect();
    let version = newest(versions.iter().map(String::as_str), range).map_err(Missing::Version)?;
    let entry = entries
        .iter()
        .find(|entry| entry.get("version").and_then(Yaml::as_str) == Some(version));
    let address = entry.and_then(|entry| entry.get("urls")?.as_list()?.first()?.as_str());
    let address = address.ok_or_else(|| Missing::Broken(format!("{chart} {version} has no address")))?;
    let digest = entry
        .and_then(|entry| entry.get("digest")?.as_str())
        .filter(|digest| !digest.is_empty());
    Ok(Entry {
        url: join(url, address),
        digest: digest.map(|digest| format!("sha256:{}", digest.trim_start_matches("sha256:"))),
    })
}
