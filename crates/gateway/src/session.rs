//! What is known of the session that is on: its questions, and which browsers have voted.
//!
//! Questions are read from the storage once, when the list is first asked for, and served from memory from then on.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tubectl_clock::Clock;

use crate::record::ResponseId;
use crate::record::StoredQuestion;
use crate::record::key;
use crate::reply::Refusal;
use crate::storage::Listing;
use crate::storage::Storage;
use crate::storage::StorageError;

/// As how many requests the load sends each question.
pub(crate) const MULTIPLIER: u32 = 50;
/// A bound on memory: forty times what 500 phones ask in half an hour.
const MOST_QUESTIONS: usize = 20_000;
/// A storage that takes longer than this has failed.
pub(crate) const STORAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Objects that are read at the same time when a session is loaded.
const READERS: usize = 16;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    loaded: OnceCell<()>,
    questions: Mutex<Questions>,
    voted: Mutex<BTreeSet<ResponseId>>,
}

#[derive(Debug, Default)]
struct Questions {
    by_id: BTreeMap<String, StoredQuestion>,
    // The millisecond in the last id: ids of this process are in the order in which they were made.
    last: i64,
}

/// A question that is taken back unless it is kept.
pub(crate) struct NewQuestion<'session> {
    session: &'session Session,
    kept: Option<StoredQuestion>,
    id: String,
}

/// A vote that is taken back unless it is kept.
pub(crate) struct NewVote<'session> {
    session: &'session Session,
    withdrawn: Option<ResponseId>,
}

impl Session {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            loaded: OnceCell::new(),
            questions: Mutex::default(),
            voted: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn question_count(&self) -> usize {
        self.questions().by_id.len()
    }

    /// Gives a question its id and its place; it is on the list from here on.
    pub(crate) fn ask(&self, text: String, now: Timestamp, salt: u32) -> Result<NewQuestion<'_>, Refusal> {
        let mut questions = self.questions();
        if questions.by_id.len() >= MOST_QUESTIONS {
            return Err(Refusal::Full);
        }
        questions.last = now.as_millisecond().max(questions.last + 1);
        let id = format!("q-{:013}-{salt:08x}", questions.last);
        let question = StoredQuestion {
            id: id.clone(),
            session: self.id.clone(),
            question: text,
            multiplier: MULTIPLIER,
            submitted_at: now,
        };
        questions.by_id.insert(id.clone(), question.clone());
        Ok(NewQuestion {
            session: self,
            kept: Some(question),
            id,
        })
    }

    /// Takes a browser's vote, once.
    pub(crate) fn vote(&self, id: &ResponseId) -> Result<NewVote<'_>, Refusal> {
        if !self.voted().insert(id.clone()) {
            return Err(Refusal::AlreadyVoted { id: id.clone() });
        }
        Ok(NewVote {
            session: self,
            withdrawn: Some(id.clone()),
        })
    }

    /// The questions after one, in order, up to `limit`; whether there are more.
    pub(crate) fn questions_after(&self, after: Option<&str>, limit: usize) -> (Vec<StoredQuestion>, bool) {
        let questions = self.questions();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = questions
            .by_id
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(_, question)| question);
        let page = rest.by_ref().take(limit).cloned().collect();
        (page, rest.next().is_some())
    }

    /// Reads what is stored of this session, the first time that it is needed.
    pub(crate) async fn load(&self, storage: &dyn Storage, clock: &Clock) -> Result<(), Refusal> {
        let load = || async {
            let mut page = None;
            loop {
                let Listing { keys, next } = in_time(clock, storage.list(key::QUESTIONS, page)).await?;
                let bodies =
                    futures::stream::iter(keys).map(|key| async move { in_time(clock, storage.get(&key)).await });
                let bodies: Vec<Option<Bytes>> = bodies.buffered(READERS).try_collect().await?;
                self.remember(bodies.iter().flatten());
                page = next;
                if page.is_none() {
                    return Ok(());
                }
            }
        };
        self.loaded.get_or_try_init(load).await.copied()
    }

    /// Takes in stored questions; those of another session, and what is no question, are somebody else's.
    fn remember<'a>(&self, bodies: impl Iterator<Item = &'a Bytes>) {
        let stored = bodies.filter_map(|body| serde_json::from_slice::<StoredQuestion>(body).ok());
        let mut questions = self.questions();
        for question in stored.filter(|question| question.session == self.id) {
            questions.by_id.insert(question.id.clone(), question);
        }
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        // A panic elsewhere cannot leave the map half written.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn voted(&self) -> MutexGuard<'_, BTreeSet<ResponseId>> {
        self.voted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NewQuestion<'_> {
    pub(crate) fn question(&self) -> Option<&StoredQuestion> {
        self.kept.as_ref()
    }

    pub(crate) fn keep(mut self) -> Option<StoredQuestion> {
        self.kept.take()
    }
}

impl NewVote<'_> {
    pub(crate) fn keep(mut self) {
        self.withdrawn = None;
    }
}

impl Drop for NewQuestion<'_> {
    fn drop(&mut self) {
        if self.kept.is_some() {
            self.session.questions().by_id.remove(&self.id);
        }
    }
}

impl Drop for NewVote<'_> {
    fn drop(&mut self) {
        if let Some(id) = &self.withdrawn {
            self.session.voted().remove(id);
        }
    }
}

/// A storage's answer while loading, or why there is none.
async fn in_time<T>(clock: &Clock, answer: impl Future<Output = Result<T, StorageError>>) -> Result<T, Refusal> {
    match clock.timeout(STORAGE_TIMEOUT, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) | Err(_) => Err(Refusal::NotLoaded),
    }
}
