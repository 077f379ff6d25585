//! What went wrong at a provider, and whether it passes by itself.

use thiserror::Error;

use crate::error::Hint;

/// What a failure means for whoever asked. Decided once, by error code, in
/// [`codes`](crate::provider::aws::codes) and in the Kubernetes provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// There is no such thing, or not yet: right after a create, reads may not see it.
    NotFound,
    /// It exists already.
    Exists,
    /// Too many requests; it passes.
    Throttled,
    /// Something that was just made is not known everywhere yet; it passes.
    Propagating,
    /// Something else still uses it; it passes when that is gone.
    InUse,
    /// There is no capacity of this kind now.
    Capacity,
    /// The account's limit is reached.
    Quota,
    /// Not allowed.
    Denied,
    /// No answer came: what was asked may or may not have happened.
    Unanswered,
    /// Anything else.
    Other,
}

impl Class {
    /// Whether waiting a moment and asking again can help.
    pub fn passes(self) -> bool {
        match self {
            Self::NotFound | Self::Throttled | Self::Propagating | Self::InUse | Self::Unanswered => true,
            Self::Exists | Self::Capacity | Self::Quota | Self::Denied | Self::Other => false,
        }
    }
}

/// A provider's refusal, or its silence.
#[derive(Debug, Error)]
#[error("{what} failed{}", if .code.is_empty() { String::new() } else { format!(" ({})", .code) })]
pub struct ProviderError {
    /// What was asked, as in `ec2 CreateVpc`.
    pub what: String,
    /// The provider's code for it; empty when it gave none.
    pub code: String,
    /// What it means.
    pub class: Class,
    /// The provider's own words.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ProviderError {
    /// An error of our own making: what we found is not what we can work with.
    pub fn found(what: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            code: String::new(),
            class: Class::Other,
            source: words.into().into(),
        }
    }
}

impl Hint for ProviderError {
    fn hints(&self) -> Vec<String> {
        match self.class {
            Class::Denied => {
                vec!["log in again, use other credentials, or allow the call in the caller's IAM policy".to_owned()]
            }
            Class::Quota => {
                vec!["ask for a higher quota, or remove what is no longer needed, and run it again".to_owned()]
            }
            Class::Capacity => vec!["allow more instance types or zones, or run it again later".to_owned()],
            Class::Exists => vec!["it belongs to somebody else: rename the stack, or remove it".to_owned()],
            Class::Unanswered => {
                vec!["see that the network is there, then run it again: what was done is found and kept".to_owned()]
            }
            Class::NotFound | Class::Throttled | Class::Propagating | Class::InUse => {
                vec!["run it again: what was done is found and kept".to_owned()]
            }
            Class::Other => vec!["run it again; `--verbose` tells what was asked".to_owned()],
        }
    }
}
