//! Intents and outcomes, append-only: each intent is on disk before the call that it announces, each outcome after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;

use crate::error::Hint;
use crate::resource::id::ResourceId;
use crate::state::lock::Fence;
use crate::state::lock::LockError;
use crate::state::store::Store;

/// The version of the journal's format. A journal of a newer one is refused.
pub const FORMAT: u32 = 1;

/// A journal longer than this is written anew as one snapshot, before the next line.
const COMPACT_ABOVE: usize = 5_000;

/// What tubectl intended and what came of it.
pub struct Journal {
    store: Store,
    state: Mutex<State>,
    // The last line was torn off, or there are too many: it is written anew before the next line, and not by those who
    // only look.
    untidy: AtomicBool,
    fence: Option<Fence>,
    gate: Option<Gate>,
}

/// What stands between the journal and its store: tests of crashes let it never come back.
pub type Gate = Arc<dyn Fn(&Entry) -> BoxFuture<'static, ()> + Send + Sync>;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// The first line: everything before it, and the format of what follows.
    Snapshot {
        /// The version of the format.
        format: u32,
        /// Everything before.
        state: State,
    },
    /// Something is about to be done.
    Intent {
        /// To what.
        id: ResourceId,
        /// What.
        action: String,
        /// What AWS recognises a repeated request by.
        token: String,
    },
    /// It was done.
    Done {
        /// To what.
        id: ResourceId,
        /// What it gave.
        outputs: BTreeMap<String, String>,
        /// How long it took, in milliseconds.
        took: u64,
    },
    /// It was found as it should be, and no line says who made it: a run was cut off, or this journal is new.
    Found {
        /// What.
        id: ResourceId,
        /// What it gives.
        outputs: BTreeMap<String, String>,
    },
    /// It was taken away.
    Removed {
        /// What.
        id: ResourceId,
    },
    /// It failed.
    Failed {
        /// What.
        id: ResourceId,
        /// Why.
        error: String,
    },
    /// The stack was taken down and proved gone.
    Gone,
}

/// What the lines of a journal add up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The stack instance: a short id that its tags carry.
    pub instance: String,
    /// What exists, as far as the journal knows.
    pub resources: BTreeMap<ResourceId, Recorded>,
    /// What was begun and has no outcome.
    pub open: BTreeMap<ResourceId, String>,
    /// How long each resource took, in milliseconds; a new instance keeps what older ones learned.
    pub history: BTreeMap<ResourceId, u64>,
    /// How often work on each resource ended, well or not: an attempt after that is a new request.
    pub finished: BTreeMap<ResourceId, u64>,
}

/// What the journal knows of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What it gave.
    pub outputs: BTreeMap<String, String>,
}

/// Why a journal cannot be read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The store failed.
    #[error("cannot use {store}")]
    Store {
        /// Which.
        store: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line in the middle is not what tubectl wrote.
    #[error("line {line} of {store} cannot be read")]
    Corrupt {
        /// Which store.
        store: String,
        /// Which line, counted from one.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer tubectl wrote it.
    #[error("{store} has format {format}; this tubectl reads up to {FORMAT}")]
    Newer {
        /// Which store.
        store: String,
        /// Its format.
        format: u32,
    },
    /// The stack is held by somebody else by now.
    #[error(transparent)]
    Lease(#[from] LockError),
}

impl Hint for JournalError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store { .. } => vec![
                "make the folder writable and see that the disk has room, then run it again; nothing was lost"
                    .to_owned(),
            ],
            Self::Corrupt { store, .. } => vec![format!(
                "move {store} aside and run it again: everything the stack owns is found by its tags and adopted"
            )],
            Self::Newer { .. } => vec!["use the tubectl that wrote it, or a newer one".to_owned()],
            Self::Lease(error) => error.hints(),
        }
    }
}

impl Journal {
    /// A journal in memory, for a run that leaves nothing on disk.
    pub fn in_memory() -> Self {
        Self {
            store: Store::memory(),
            state: Mutex::default(),
            untidy: AtomicBool::new(false),
            fence: None,
            gate: None,
        }
    }

    /// Opens what a store holds, and writes nothing yet: somebody else may be at work. A last line that a crash tore off is
    /// left out: its call had not been made, or is found again by its tags.
    pub fn open(store: Store) -> Result<Self, JournalError> {
        let (state, torn, lines) = read(&store)?;
        Ok(Self {
            store,
            state: Mutex::new(state),
            untidy: AtomicBool::new(torn || lines > COMPACT_ABOVE),
            fence: None,
            gate: None,
        })
    }

    /// What a store holds, for those who only look: nothing is written, so whoever holds the stack is not disturbed.
    pub fn peek(store: &Store) -> Result<State, JournalError> {
        read(store).map(|(state, _, _)| state)
    }

    /// The same journal, for whoever holds a lease: nothing is begun once somebody else has it.
    #[must_use]
    pub fn fenced(mut self, fence: Option<Fence>) -> Self {
        self.fence = fence;
        self
    }

    /// The same journal behind a gate.
    #[must_use]
    pub fn behind(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// What the journal adds up to.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Begins an instance of the stack, or goes on with one: what older ones learned is kept.
    pub fn begin(&self, instance: &str) -> Result<(), JournalError> {
        self.check_fence()?;
        if self.lock().instance == instance {
            return Ok(());
        }
        let history = std::mem::take(&mut self.lock().history);
        *self.lock() = State {
            instance: instance.to_owned(),
            history,
            ..State::default()
        };
        self.compact()
    }

    /// Writes down that something is about to be done; gives the token that every attempt at it shares, until one ends
    /// or something else is asked for: AWS gives the failed thing back, or refuses, when a request comes again.
    pub async fn intend(&self, id: &ResourceId, action: &str, spec: &Value) -> Result<String, JournalError> {
        self.check_fence()?;
        let token = self.lock().token(id, spec);
        let entry = Entry::Intent {
            id: id.clone(),
            action: action.to_owned(),
            token: token.clone(),
        };
        self.append(entry).await?;
        Ok(token)
    }

    /// Writes down what came of it.
    pub async fn done(
        &self,
        id: &ResourceId,
        outputs: &BTreeMap<String, String>,
        took: Duration,
    ) -> Result<(), JournalError> {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.append(Entry::Done {
            id: id.clone(),
            outputs: outputs.clone(),
            took,
        })
        .await
    }

    /// Writes down what was found as it should be, unless the journal has it so.
    pub async fn found(&self, id: &ResourceId, outputs: &BTreeMap<String, String>) -> Result<(), JournalError> {
        let is_known = {
            let state = self.lock();
            let recorded = state.resources.get(id).map(|recorded| &recorded.outputs);
            recorded == Some(outputs) && !state.open.contains_key(id)
        };
        if is_known {
            return Ok(());
        }
        self.append(Entry::Found {
            id: id.clone(),
            outputs: outputs.clone(),
        })
        .await
    }

    /// Writes down that it was taken away.
    pub async fn removed(&self, id: &ResourceId) -> Result<(), JournalError> {
        self.append(Entry::Removed { id: id.clone() }).await
    }

    /// Writes down that it failed.
    pub async fn failed(&self, id: &ResourceId, error: &str) -> Result<(), JournalError> {
        self.append(Entry::Failed {
            id: id.clone(),
            error: error.to_owned(),
        })
        .await
    }

    /// Writes down that nothing is left.
    pub async fn gone(&self) -> Result<(), JournalError> {
        self.append(Entry::Gone).await
    }

    async fn append(&self, entry: Entry) -> Result<(), JournalError> {
        if let Some(gate) = &self.gate {
            gate(&entry).await;
        }
        if self.untidy.load(Ordering::Relaxed) {
            self.compact()?;
        }
        let line = serde_json::to_string(&entry).expect("entries have no keys that JSON lacks");
        self.store.append(&line).map_err(|source| JournalError::Store {
            store: self.store.name().to_owned(),
            source,
        })?;
        self.lock().apply(entry);
        Ok(())
    }

    fn compact(&self) -> Result<(), JournalError> {
        let entry = Entry::Snapshot {
            format: FORMAT,
            state: self.state(),
        };
        let line = serde_json::to_string(&entry).expect("entries have no keys that JSON lacks");
        self.store
            .replace(&format!("{line}\n"))
            .map_err(|source| JournalError::Store {
                store: self.store.name().to_owned(),
                source,
            })?;
        self.untidy.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn check_fence(&self) -> Result<(), JournalError> {
        Ok(self.fence.as_ref().map_or(Ok(()), Fence::check)?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Snapshot { state, .. } => *self = state,
            Entry::Intent { id, action, .. } => {
                self.open.insert(id, action);
            }
            Entry::Done { id, outputs, took } => {
                self.history.insert(id.clone(), took);
                self.finish(id, outputs);
            }
            Entry::Found { id, outputs } => self.finish(id, outputs),
            Entry::Removed { id } => {
                self.open.remove(&id);
                self.resources.remove(&id);
            }
            Entry::Failed { id, .. } => {
                self.open.remove(&id);
                *self.finished.entry(id).or_default() += 1;
            }
            Entry::Gone => {
                let history = std::mem::take(&mut self.history);
                *self = Self {
                    history,
                    ..Self::default()
                };
            }
        }
    }

    fn finish(&mut self, id: ResourceId, outputs: BTreeMap<String, String>) {
        self.open.remove(&id);
        *self.finished.entry(id.clone()).or_default() += 1;
        self.resources.insert(id, Recorded { outputs });
    }

    /// The same text for every attempt at one piece of work, another for every other.
    fn token(&self, id: &ResourceId, spec: &Value) -> String {
        let count = self.finished.get(id).copied().unwrap_or(0);
        let digest = Sha256::digest(format!("{}/{id}/{count}/{spec}", self.instance));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a store holds, whether its last line was torn, and how many lines it has.
fn read(store: &Store) -> Result<(State, bool, usize), JournalError> {
    let text = store.read().map_err(|source| JournalError::Store {
        store: store.name().to_owned(),
        source,
    })?;
    let (state, torn) = fold(&text, store.name())?;
    Ok((state, torn, text.lines().count()))
}

/// Adds the lines up, and says whether the last one was torn.
fn fold(text: &str, store: &str) -> Result<(State, bool), JournalError> {
    let mut state = State::default();
    let count = text.lines().count();
    for (place, line) in text.lines().enumerate() {
        match serde_json::from_str::<Entry>(line) {
            Ok(Entry::Snapshot { format, .. }) if format > FORMAT => {
                return Err(JournalError::Newer {
                    store: store.to_owned(),
                    format,
                });
            }
            Ok(entry) => state.apply(entry),
            Err(_) if place + 1 == count && !text.ends_with('\n') => return Ok((state, true)),
            Err(source) => {
                // A newer format may have entries or fields that this one cannot read at all.
                if let Some(format) = format_of(line).filter(|format| *format > FORMAT) {
                    return Err(JournalError::Newer {
                        store: store.to_owned(),
                        format,
                    });
                }
                return Err(JournalError::Corrupt {
                    store: store.to_owned(),
                    line: place + 1,
                    source,
                });
            }
        }
    }
    // A crash may tear off the end of the line only: the next line must not be written behind it.
    Ok((state, !text.is_empty() && !text.ends_with('\n')))
}

fn format_of(line: &str) -> Option<u32> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line.get("format")?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn id() -> ResourceId {
        ResourceId::new("vpc", "main")
    }

    async fn filled(store: Store) -> Journal {
        let journal = Journal::open(store).unwrap();
        journal.begin("a1b2c3").unwrap();
        journal.intend(&id(), "create", &json!({})).await.unwrap();
        let outputs = BTreeMap::from([("id".to_owned(), "vpc-1".to_owned())]);
        journal.done(&id(), &outputs, Duration::from_secs(2)).await.unwrap();
        let subnet = ResourceId::new("subnet", "a");
        journal.intend(&subnet, "create", &json!({})).await.unwrap();
        journal
    }

    #[tokio::test]
    async fn what_was_written_is_read_again() {
        let store = Store::memory();
        let written = filled(store.clone()).await.state();
        assert_eq!(Journal::open(store).unwrap().state(), written);
        assert_eq!(
            written.open.keys().collect::<Vec<_>>(),
            [&ResourceId::new("subnet", "a")]
        );
    }

    #[tokio::test]
    async fn every_attempt_at_the_same_shares_a_token_until_one_ends() {
        let journal = Journal::open(Store::memory()).unwrap();
        journal.begin("a1b2c3").unwrap();
        let spec = json!({"cidr": "10.0.0.0/16"});
        let first = journal.intend(&id(), "create", &spec).await.unwrap();
        assert_eq!(journal.intend(&id(), "create", &spec).await.unwrap(), first);
        let mended = json!({"cidr": "10.1.0.0/16"});
        let other = journal.intend(&id(), "create", &mended).await.unwrap();
        journal.failed(&id(), "no address is left").await.unwrap();
        let after_failure = journal.intend(&id(), "create", &spec).await.unwrap();
        journal.done(&id(), &BTreeMap::new(), Duration::ZERO).await.unwrap();
        let after_success = journal.intend(&id(), "create", &spec).await.unwrap();
        let tokens = BTreeSet::from([first, other, after_failure, after_success]);
        assert_eq!(tokens.len(), 4, "{tokens:?}");
    }

    #[tokio::test]
    async fn what_is_found_finishes_what_a_run_left_open_and_is_written_once() {
        let store = Store::memory();
        let journal = filled(store.clone()).await;
        let subnet = ResourceId::new("subnet", "a");
        let outputs = BTreeMap::from([("id".to_owned(), "subnet-1".to_owned())]);
        journal.found(&subnet, &outputs).await.unwrap();
        let state = journal.state();
        assert!(state.open.is_empty() && !state.history.contains_key(&subnet));
        assert_eq!(state.resources[&subnet].outputs, outputs);
        let written = store.read().unwrap();
        journal.found(&subnet, &outputs).await.unwrap();
        assert_eq!(store.read().unwrap(), written);
        assert_eq!(Journal::open(store).unwrap().state(), state);
    }

    #[tokio::test]
    async fn a_torn_last_line_is_left_out() {
        let store = Store::memory();
        let whole = filled(store.clone()).await.state();
        let text = store.read().unwrap();
        store.replace(&format!("{text}{{\"entry\":\"do")).unwrap();
        assert_eq!(Journal::open(store).unwrap().state(), whole);
    }

    #[tokio::test]
    async fn a_line_that_lost_only_its_end_does_not_spoil_the_next() {
        let store = Store::memory();
        filled(store.clone()).await;
        let text = store.read().unwrap();
        store.replace(text.trim_end()).unwrap();
        let journal = Journal::open(store.clone()).unwrap();
        journal.failed(&id(), "no capacity").await.unwrap();
        assert_eq!(Journal::open(store).unwrap().state(), journal.state());
    }

    #[tokio::test]
    async fn whoever_only_looks_writes_nothing_even_when_a_line_is_half_written() {
        let store = Store::memory();
        filled(store.clone()).await;
        let half = store.read().unwrap() + "{\"entry\":\"do";
        store.replace(&half).unwrap();
        Journal::open(store.clone()).unwrap();
        assert_eq!(store.read().unwrap(), half);
    }

    #[tokio::test]
    async fn what_is_taken_away_is_no_longer_known() {
        let store = Store::memory();
        let journal = filled(store.clone()).await;
        journal.intend(&id(), "remove", &json!({})).await.unwrap();
        assert!(journal.state().open.contains_key(&id()));
        journal.removed(&id()).await.unwrap();
        let state = Journal::open(store).unwrap().state();
        assert!(!state.resources.contains_key(&id()) && !state.open.contains_key(&id()));
    }

    #[tokio::test]
    async fn nothing_is_begun_once_the_lease_was_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap().join("lease.json");
        let owner = crate::state::lock::Owner::this_process("tubectl up");
        let held = crate::state::lock::acquire(&path, owner, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let store = Store::memory();
        let journal = Journal::open(store.clone()).unwrap().fenced(Some(held.fence()));
        journal.intend(&id(), "create", &json!({})).await.unwrap();
        let before = store.read().unwrap();
        crate::state::lock::unlock(&path).unwrap();
        let error = journal.intend(&id(), "create", &json!({})).await.unwrap_err();
        assert!(matches!(error, JournalError::Lease(LockError::Fenced)), "{error}");
        assert_eq!(store.read().unwrap(), before);
    }

    #[tokio::test]
    async fn a_broken_line_in_the_middle_is_named() {
        let store = Store::memory();
        filled(store.clone()).await;
        let text = store.read().unwrap();
        store.replace(&text.replacen("\"done\"", "\"dane\"", 1)).unwrap();
        let error = Journal::open(store).err().unwrap();
        assert_eq!(error.to_string(), "line 3 of the journal in memory cannot be read");
        assert!(error.hints()[0].contains("found by its tags"));
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_even_when_its_entries_are_unknown() {
        for line in [
            r#"{"entry":"snapshot","format":9,"state":{"instance":"x","resources":{},"open":{},"history":{},"finished":{}}}"#,
            r#"{"entry":"epoch","format":9}"#,
        ] {
            let store = Store::memory();
            store.replace(&format!("{line}\n")).unwrap();
            let error = Journal::open(store).err().unwrap();
            assert_eq!(
                error.to_string(),
                "the journal in memory has format 9; this tubectl reads up to 1"
            );
        }
    }

    #[tokio::test]
    async fn a_stack_that_is_gone_leaves_only_what_it_learned() {
        let journal = filled(Store::memory()).await;
        journal.gone().await.unwrap();
        let state = journal.state();
        assert!(state.resources.is_empty() && state.open.is_empty() && state.instance.is_empty());
        assert_eq!(state.history[&id()], 2000);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap().join("file");
        std::fs::write(&path, "").unwrap();
        let journal = Journal::open(Store::File(path.join("journal.jsonl"))).unwrap();
        assert!(
            journal
                .begin("a1b2c3")
                .unwrap_err()
                .to_string()
                .starts_with("cannot use")
        );
    }
}
