//! Gets charts from HTTP repositories and OCI registries, through a transport that the caller hands in: nothing here opens a
//! socket. What was pulled once is kept by digest and verified on every read, so a second run needs no network.

mod cache;
mod index;
mod oci;
mod reference;
mod transport;

use sha2::Digest as _;
use sha2::Sha256;
use thiserror::Error;

pub use cache::Cache;
pub use reference::Reference;
pub use transport::Transport;

use crate::load::Chart;
use crate::load::LoadError;

/// A chart that was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The chart.
    pub chart: Chart,
    /// The archive it came in.
    pub archive: Vec<u8>,
    /// The digest of the archive, `sha256:` and 64 digits.
    pub digest: String,
}

/// Why a chart could not be pulled.
#[derive(Debug, Error)]
pub enum PullError {
    /// The reference is not well formed.
    #[error("`{reference}` is no chart: {reason}")]
    Reference {
        /// As given.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server could not be reached.
    #[error("cannot reach {url}, and the chart is not in the cache")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused.
    #[error("{url} answered {status}{}", hint(*status))]
    Status {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server's answer is not what it should be.
    #[error("{url} answered something unexpected: {reason}")]
    Answer {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such chart or version.
    #[error(
        "{repository} has no version of `{chart}` that satisfies `{range}`; {}",
        known(newest)
    )]
    NoVersion {
        /// The repository.
        repository: String,
        /// The chart.
        chart: String,
        /// The versions asked for.
        range: String,
        /// The newest versions there are.
        newest: Vec<String>,
    },
    /// What arrived is not what was promised.
    #[error("{what} has the digest {found}, but {expected} was expected; it was changed on the way or at its source")]
    Digest {
        /// What was pulled.
        what: String,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// The cache cannot be written.
    #[error("cannot write to the chart cache at `{path}`")]
    Cache {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What arrived is no chart.
    #[error("`{reference}` cannot be loaded")]
    Load {
        /// The chart.
        reference: String,
        /// Why.
        #[source]
        source: LoadError,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; the chart is private, or the name is wrong",
        404 => "; check the name and the version",
        429 => "; too many requests, try again later",
        _ => "",
    }
}

fn known(newest: &[String]) -> String {
    match newest {
        [] => "it does not have the chart at all".to_owned(),
        _ => format!("the newest are {}", newest.join(", ")),
    }
}

/// Pulls a chart. With `digest`, only that very archive will do, and if the cache has it, nobody is asked.
///
/// # Errors
/// If the chart cannot be had, neither from its source nor from the cache, or is not what it should be.
pub async fn pull<T: Transport>(
    reference: &Reference,
    digest: Option<&str>,
    cache: &Cache,
    transport: &T,
) -> Result<Pulled, PullError> {
    let pinned = digest.and_then(|digest| cache.read(digest));
    let archive = match pinned {
        Some(archive) => archive,
        None => match download(reference, transport).await {
            Ok(archive) => archive,
            Err(error @ PullError::Unreachable { .. }) => {
                let known = cache
                    .resolve(reference)
                    .filter(|known| digest.is_none_or(|digest| digest == known));
                known.and_then(|known| cache.read(&known)).ok_or(error)?
            }
            Err(error) => return Err(error),
        },
    };
    let found = digest_of(&archive);
    verify(&reference.to_string(), digest, &found)?;
    let chart = Chart::from_archive(&archive).map_err(|source| PullError::Load {
        reference: reference.to_string(),
        source,
    })?;
    cache.write(&found, &archive)?;
    cache.remember(reference, &found)?;
    Ok(Pulled {
        chart,
        archive,
        digest: found,
    })
}

async fn download<T: Transport>(reference: &Reference, transport: &T) -> Result<Vec<u8>, PullError> {
    match reference {
        Reference::Http { .. } => index::download(reference, transport).await,
        Reference::Oci { .. } => oci::download(reference, transport).await,
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", crate::format::hexadecimal(&Sha256::digest(bytes)))
}

fn verify(what: &str, expected: Option<&str>, found: &str) -> Result<(), PullError> {
    match expected {
        Some(expected) if expected != found => Err(PullError::Digest {
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The newest of `versions` in a range, and the newest of all for the complaint.
fn newest<'v>(versions: impl Iterator<Item = &'v str>, range: &str) -> Result<&'v str, Vec<String>> {
    use crate::semver::Constraint;
    use crate::semver::Version;
    // No range means any release, as in Helm.
    let constraint = Constraint::parse(if range.is_empty() { "*" } else { range });
    let mut parsed: Vec<(Version, &str)> = versions
        .filter_map(|text| Some((Version::parse(text).ok()?, text)))
        .collect();
    parsed.sort_by(|one, other| other.0.cmp(&one.0));
    let exact = parsed.iter().find(|(_, text)| *text == range);
    let fits = |version: &Version| constraint.as_ref().is_ok_and(|constraint| constraint.allows(version));
    match exact.or_else(|| parsed.iter().find(|(version, _)| fits(version))) {
        Some((_, text)) => Ok(text),
        None => Err(parsed.iter().take(3).map(|(_, text)| (*text).to_owned()).collect()),
    }
}
