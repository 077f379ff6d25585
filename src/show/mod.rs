//! The show: a script of acts and cues on a clock, the load and the audience beside it, and what came of it.
//!
//! The script is pure; the director walks it; telemetry looks at the cluster; the report adds up. Nothing here draws:
//! everything that happens leaves as an event.

pub mod report;
pub mod script;

pub mod director;
pub mod page;

pub mod audience;
pub mod load;

pub mod figures;
pub mod telemetry;

pub mod chain;
mod collector;

use thiserror::Error;

use crate::error::Hint;
use crate::provider::error::ProviderError;

/// Why a show, or a cue of it, did not happen.
#[derive(Debug, Error)]
pub enum ShowError {
    /// The page does not answer.
    #[error("the page at {address} does not answer: {reason}")]
    NoPage {
        /// Where it should be.
        address: String,
        /// What came instead.
        reason: String,
    },
    /// The Ingress is not there.
    #[error("there is no Ingress {0}: the audience would have nothing to open")]
    NoIngress(String),
    /// The script has no such cue.
    #[error("the script has no cue `{name}`")]
    UnknownCue {
        /// What was asked for.
        name: String,
        /// The cue that was probably meant.
        closest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// The page did not follow a cue.
    #[error("the page still says `{seen}` {waited} seconds after `{cue}` was written")]
    NotFollowed {
        /// The cue.
        cue: String,
        /// What the page says.
        seen: String,
        /// How long it was waited for.
        waited: u64,
    },
    /// What the page is configured with cannot be read.
    #[error("the config map {name} cannot be read")]
    Config {
        /// Which one.
        name: String,
        /// Why.
        source: tubectl_gateway::ShowError,
    },
    /// What the audience said cannot be read or written.
    #[error("{what} failed")]
    Storage {
        /// What was tried.
        what: String,
        /// Why.
        source: tubectl_gateway::StorageError,
    },
    /// The load of the script cannot be sent.
    #[error("the load cannot be sent")]
    Load(#[source] tubectl_load::PlanError),
    /// The cluster refused.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Hint for ShowError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoPage { .. } => vec!["see what waits and why: `tubectl status`".to_owned()],
            Self::NoIngress(_) => vec!["bring the stack up first: `tubectl up`".to_owned()],
            Self::UnknownCue {
                closest: Some(closest), ..
            } => vec![format!("did you mean `{closest}`?")],
            Self::UnknownCue { known, .. } => vec![format!("the script has: {}", known.join(", "))],
            Self::NotFollowed { .. } => {
                vec!["the cue stays written; see whether the gateway's pod runs: `tubectl status`".to_owned()]
            }
            Self::Config { .. } => vec!["write it anew: `tubectl up` applies what the stack says".to_owned()],
            Self::Storage { .. } => vec!["fire the cue again: nothing was announced yet".to_owned()],
            Self::Load(_) => vec!["see the page's address: `tubectl status`".to_owned()],
            Self::Provider(error) => error.hints(),
        }
    }
}
