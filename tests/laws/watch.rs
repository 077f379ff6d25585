//! What stands between a client and the world while a law is played: it counts the calls that may change something, and
//! knows the instants at which a kill leaves different things.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tubectl::state::journal;
use tubectl::state::journal::Entry;
use tubectl_world::Core;
use tubectl_world::Request;
use tubectl_world::connect::Connector;
use tubectl_world::connect::Gate;
use tubectl_world::connect::Gone;

/// An instant of a run: right before a call or after its effect, or right before the journal's line of what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Instant {
    /// Which, for whoever reads the report of a broken law.
    pub(crate) name: String,
    /// How many calls had their effect before it.
    pub(crate) effects: usize,
    /// Of how many steps the journal had the outcome before it. That one is intended is all that it has beside those.
    pub(crate) outcomes: usize,
}

/// Who hears of every instant, while nothing moves; gives whether the client is killed there.
pub(crate) type Listener = Box<dyn FnMut(&Instant) -> Fate + Send>;

/// What becomes of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on.
    Lives,
    /// It is killed: it hears and sends nothing more.
    Dies,
}

/// What passes between the clients and the world.
#[derive(Default)]
pub(crate) struct Watch {
    seen: Mutex<Seen>,
    death: Notify,
}

#[derive(Default)]
struct Seen {
    sent: u64,
    mutating: Vec<String>,
    effects: usize,
    outcomes: usize,
    is_dead: bool,
    secrets: BTreeSet<String>,
    listener: Option<Listener>,
}

impl Watch {
    /// Every call so far that may have changed something.
    pub(crate) fn mutating(&self) -> Vec<String> {
        self.lock().mutating.clone()
    }

    /// The tokens and passwords that were sent so far.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        self.lock().secrets.clone()
    }

    /// Tells of every instant from now on.
    pub(crate) fn tell(&self, listener: Listener) {
        self.lock().listener = Some(listener);
    }

    /// Waits until the client is killed.
    pub(crate) async fn death(&self) {
        self.death.notified().await;
    }

    /// How many calls there were so far, of any kind.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// The gate of the clients' connector.
    pub(crate) fn connector_gate(self: &Arc<Self>) -> Gate {
        let watch = self.clone();
        Arc::new(move |onward: Connector, request: Request| {
            let watch = watch.clone();
            Box::pin(async move {
                if watch.lock().is_dead {
                    return Err(Gone::Ended);
                }
                watch.note(&request);
                if Core::reads(&request) {
                    return onward.send(request).await;
                }
                let call = called(&request);
                watch.instant(format!("before {call}")).await;
                watch.lock().mutating.push(call.clone());
                let answer = onward.send(request).await;
                watch.lock().effects += 1;
                watch.instant(format!("after the effect of {call}")).await;
                answer
            })
        })
    }

    /// The gate of the journal.
    pub(crate) fn journal_gate(self: &Arc<Self>) -> journal::Gate {
        let watch = self.clone();
        Arc::new(move |entry: &Entry| -> BoxFuture<'static, ()> {
            let watch = watch.clone();
            let outcome = outcome(entry);
            Box::pin(async move {
                match outcome {
                    Some(outcome) => {
                        watch.instant(format!("before the line that {outcome}")).await;
                        // It is written in the same breath.
                        watch.lock().outcomes += 1;
                    }
                    None if watch.lock().is_dead => std::future::pending().await,
                    None => {}
                }
            })
        })
    }

    /// Counts a call, and keeps the secret that it carries.
    fn note(&self, request: &Request) {
        let mut seen = self.lock();
        seen.sent += 1;
        seen.secrets.extend(secret(request));
    }

    /// An instant passes, or is the client's last.
    async fn instant(&self, name: String) {
        if self.passes(name) == Fate::Dies {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn passes(&self, name: String) -> Fate {
        let mut seen = self.lock();
        let instant = Instant {
            name,
            effects: seen.effects,
            outcomes: seen.outcomes,
        };
        if !seen.is_dead {
            seen.is_dead = seen
                .listener
                .as_mut()
                .is_some_and(|listener| listener(&instant) == Fate::Dies);
        }
        if seen.is_dead { Fate::Dies } else { Fate::Lives }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(entry: &Entry) -> Option<String> {
    match entry {
        Entry::Snapshot { .. } | Entry::Intent { .. } => None,
        Entry::Done { id, .. } => Some(format!("has {id} done")),
        Entry::Found { id, .. } => Some(format!("has {id} found")),
        Entry::Failed { id, .. } => Some(format!("has {id} failed")),
        Entry::Removed { id } => Some(format!("has {id} removed")),
        Entry::Gone => Some("has all gone".to_owned()),
    }
}

/// The token or password that a request carries; a signature tells nobody anything.
fn secret(request: &Request) -> Option<String> {
    let authorization = request.headers().get("authorization")?.to_str().ok()?;
    let (scheme, secret) = authorization.split_once(' ')?;
    matches!(scheme, "Bearer" | "Basic").then(|| secret.to_owned())
}

/// What a request asks for.
fn called(request: &Request) -> String {
    let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    let form = String::from_utf8_lossy(request.body());
    let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
    let operation = header("x-amz-target").or_else(|| action.map(str::to_owned));
    operation.unwrap_or_else(|| {
        let host = header("host").or_else(|| request.uri().host().map(str::to_owned));
        let host = host.unwrap_or_default();
        format!("{} {host}{}", request.method(), request.uri().path())
    })
}
