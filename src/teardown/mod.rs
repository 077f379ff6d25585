//! Taking a stack away, and proving that it is gone.
//!
//! What goes is what the world shows to be ours, not what state remembers: controllers make things that no state knows.
//! Every call may be repeated: a teardown that was killed at any instant is simply run again.

pub mod inventory;
pub mod phases;
pub mod proof;

mod objects;
mod sweep;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::apply::cancel::Cancel;
use crate::error::Hint;
use crate::event::Events;
use crate::provider::aws::Aws;
use crate::provider::aws::leftovers::Marks;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::teardown::phases::Phase;
use crate::teardown::proof::Proof;
use crate::teardown::sweep::Site;

/// What the user decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether images and buckets stay.
    pub keep_data: bool,
    /// Whether finalizers that hold things up for long are taken off.
    pub strip_finalizers: bool,
}

/// How a teardown ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many things of each kind went.
    pub removed: BTreeMap<&'static str, usize>,
    /// What did not go, and why.
    pub blocked: Vec<Blocked>,
    /// What was found afterwards.
    pub proof: Proof,
}

/// Something that did not go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// The phase that gave up on it.
    #[serde(serialize_with = "as_name")]
    pub phase: Phase,
    /// Its kind.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What holds it.
    pub why: String,
}

/// Why a teardown did not run to its end.
#[derive(Debug, Error)]
pub enum TeardownError {
    /// What is there could not be looked at.
    #[error("cannot see what is there")]
    Looking(#[from] ProviderError),
    /// The cluster refuses to be deleted.
    #[error("cluster `{0}` is protected against deletion")]
    Protected(String),
    /// The user asked to stop.
    #[error("stopped; what was begun goes on by itself")]
    Stopped,
}

impl Hint for TeardownError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Looking(error) => error.hints(),
            Self::Protected(_) => vec!["turn off its deletion protection, and run `tubectl down` again".to_owned()],
            Self::Stopped => vec!["run `tubectl down` again: it takes up where this ended".to_owned()],
        }
    }
}

/// Takes away everything that the stack has in the world, then looks for all of it again.
///
/// Without a `kube`, or with one that does not answer, the cluster's own things are found in the account.
pub async fn take_down(
    aws: &Aws,
    kube: Option<&Kube>,
    options: &Options,
    events: &Events,
    cancel: &Cancel,
) -> Result<Report, TeardownError> {
    let marks = Marks::capture(aws).await?;
    if marks.protected {
        return Err(TeardownError::Protected(aws.owner.stack.clone()));
    }
    if marks.cluster.is_none() {
        events.note(format!(
            "cluster `{}` belongs to somebody else: only what carries this stack's tags goes",
            aws.owner.stack
        ));
    }
    let site = Site {
        aws,
        kube: reachable(aws, kube.filter(|_| marks.cluster.is_some()), events).await,
        marks: &marks,
        options,
        events,
        cancel,
    };
    let outcome = sweep::run(&site).await;
    if outcome.stopped {
        return Err(TeardownError::Stopped);
    }
    Ok(Report {
        removed: outcome.removed,
        blocked: outcome.blocked,
        proof: proof::prove(aws, &marks, options).await,
    })
}

/// Looks for everything that the stack may have left, and changes nothing.
pub async fn prove(aws: &Aws, options: &Options) -> Result<Proof, TeardownError> {
    let marks = Marks::capture(aws).await?;
    Ok(proof::prove(aws, &marks, options).await)
}

/// How often to ask an API server that does not answer, before it counts as gone.
const ASKED: u32 = 5;

/// The cluster's API, when it answers.
async fn reachable<'a>(aws: &Aws, kube: Option<&'a Kube>, events: &Events) -> Option<&'a Kube> {
    let kube = kube?;
    for _ in 0..ASKED {
        if kube.is_reachable().await {
            return Some(kube);
        }
        aws.clock.sleep(Duration::from_secs(2)).await;
    }
    events.note("the cluster's API does not answer: what it made is looked for in the account");
    None
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn as_name<S: serde::Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(phase.name())
}

#[cfg(test)]
mod tests;
