//! Where a chart is and which version of it is meant.

use std::fmt;

use super::PullError;

/// Where a chart is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In a repository with an `index.yaml`.
    Http {
        /// The address of the repository.
        repository: String,
        /// The chart's name.
        chart: String,
        /// The versions that will do; nothing means the newest release.
        range: String,
    },
    /// In an OCI registry.
    Oci {
        /// The registry's host.
        registry: String,
        /// The repository within it, chart included.
        repository: String,
        /// The versions that will do; nothing means the newest release.
        range: String,
    },
}

impl Reference {
    /// Reads `oci://registry/path/chart`, or an `https://` address of a repository together with a chart's name.
    ///
    /// # Errors
    /// If the address is neither.
    pub fn parse(address: &str, chart: &str, range: &str) -> Result<Self, PullError> {
        let wrong = |reason: &str| PullError::Reference {
            reference: address.to_owned(),
            reason: reason.to_owned(),
        };
        if let Some(rest) = address.strip_prefix("oci://") {
            let (registry, path) = rest.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
            let path = path.trim_end_matches('/');
            let named = chart.is_empty() || path.rsplit('/').next() == Some(chart);
            let repository = if named {
                path.to_owned()
            } else {
                format!("{path}/{chart}")
            };
            // Docker Hub's registry has another name than its pages.
            let registry = if registry == "docker.io" {
                "registry-1.docker.io"
            } else {
                registry
            };
            return Ok(Reference::Oci {
                registry: registry.to_owned(),
                repository,
                range: range.to_owned(),
            });
        }
        if !(address.starts_with("https://") || address.starts_with("http://")) {
            return Err(wrong("the address must begin with https:// or oci://"));
        }
        if chart.is_empty() {
            return Err(wrong("a repository holds many charts; name one"));
        }
        Ok(Reference::Http {
            repository: address.trim_end_matches('/').to_owned(),
            chart: chart.to_owned(),
            range: range.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Http {
                repository,
                chart,
                range,
            } => write!(out, "{repository}/{chart}@{range}"),
            Reference::Oci {
                registry,
                repository,
                range,
            } => write!(out, "oci://{registry}/{repository}@{range}"),
        }
    }
}
