//! The watches that are open, and what each is told.
//!
//! A change is written down once for each form and version in which somebody wants it, however many watch. A watch
//! that nobody's change concerns costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Output;
use crate::core::Ticket;
use crate::core::Tickets;
use crate::kube::api::resources::Resource;
use crate::kube::api::select::Selection;
use crate::kube::api::status::Failure;
use crate::kube::api::view;
use crate::kube::api::view::Form;
use crate::kube::store::Change;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

/// How long a watch stays open when its client does not say: the real server draws 30 to 60 minutes.
const OPEN_FOR: i64 = 45 * 60;

/// How long a watch goes without being told how far it has come.
const BETWEEN_BOOKMARKS: i64 = 60;

/// The watches that are open on one cluster.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    // The revision up to which all of them were told.
    fed: u64,
    open: BTreeMap<GroupKind, BTreeMap<Ticket, Watch>>,
}

/// A copy of a cluster is watched by nobody.
impl Clone for Watches {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// One open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: String,
    pub(crate) selection: Selection,
    pub(crate) form: Form,
    pub(crate) bookmarks: bool,
    /// Nothing up to this revision is told.
    pub(crate) since: u64,
    pub(crate) ends: Timestamp,
    pub(crate) bookmarked: Timestamp,
}

/// What happened to an object in the eyes of one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Added,
    Modified,
    Deleted,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// When a watch that is opened now ends.
pub(crate) fn end(now: Timestamp, seconds: Option<i64>) -> Timestamp {
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(OPEN_FOR);
    now.checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

impl Watches {
    /// Forgets a watch whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        for watches in self.open.values_mut() {
            watches.remove(&ticket);
        }
    }

    /// When the next watch ends by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let all = self.open.values().flat_map(BTreeMap::values);
        all.map(|watch| watch.ends).min()
    }

    /// Keeps a watch open.
    pub(crate) fn open(&mut self, ticket: Ticket, watch: Watch, revision: u64) {
        if self.open.values().all(BTreeMap::is_empty) {
            self.fed = revision;
        }
        let kind = watch.resource.stored_as.clone();
        self.open.entry(kind).or_default().insert(ticket, watch);
    }

    /// Tells every watch what changed since it was last told, and ends those whose time is over.
    pub(crate) fn feed(&mut self, store: &Store, now: Timestamp, tickets: &mut Tickets) {
        self.open.retain(|_, watches| !watches.is_empty());
        if self.open.is_empty() {
            self.fed = store.revision();
            return;
        }
        if store.revision() != self.fed {
            match store.changes_since(self.fed) {
                Some(changes) => self.tell(changes, now, tickets),
                None => self.lose_all(tickets),
            }
            self.fed = store.revision();
            self.bookmark(now, tickets);
        }
        self.end_due(now, tickets);
    }

    fn tell<'a>(&mut self, changes: impl Iterator<Item = &'a Change>, now: Timestamp, tickets: &mut Tickets) {
        let mut pieces: BTreeMap<Ticket, Vec<u8>> = BTreeMap::new();
        for change in changes {
            let Some(watches) = self.open.get(&change.kind) else {
                continue;
            };
            let mut written = Lines::new(change, now);
            for (ticket, watch) in watches {
                if let Some(event) = watch.sees(change) {
                    let line = written.line(watch, event);
                    pieces.entry(*ticket).or_default().extend_from_slice(line);
                }
            }
        }
        for (ticket, piece) in pieces {
            tickets.emit(Output::Chunk(ticket, Bytes::from(piece)));
        }
    }

    /// Tells all watches that they lag too far behind.
    fn lose_all(&mut self, tickets: &mut Tickets) {
        let line = error_line(&too_old(self.fed));
        for ticket in self.open.values().flat_map(BTreeMap::keys) {
            tickets.emit(Output::Chunk(*ticket, Bytes::from(line.clone())));
            tickets.emit(Output::End(*ticket));
        }
        self.open.clear();
    }

    /// Tells the watches that want to know how far they have come, now and then, while the world moves.
    fn bookmark(&mut self, now: Timestamp, tickets: &mut Tickets) {
        for (ticket, watch) in self.open.values_mut().flatten() {
            let age = now.duration_since(watch.bookmarked).as_secs();
            if watch.bookmarks && age >= BETWEEN_BOOKMARKS && self.fed > watch.since {
                watch.bookmarked = now;
                let line = bookmark_line(&watch.resource, self.fed, false);
                tickets.emit(Output::Chunk(*ticket, Bytes::from(line)));
            }
        }
    }

    fn end_due(&mut self, now: Timestamp, tickets: &mut Tickets) {
        for watches in self.open.values_mut() {
            watches.retain(|ticket, watch| {
                let over = watch.ends <= now;
                if over {
                    tickets.emit(Output::End(*ticket));
                }
                !over
            });
        }
    }
}

impl Watch {
    /// What a change is to this watch; none if it is nothing.
    fn sees(&self, change: &Change) -> Option<Event> {
        if change.revision <= self.since {
            return None;
        }
        let selected = |object: &Option<Arc<Value>>| {
            object
                .as_ref()
                .is_some_and(|object| self.concerns(object) && self.selection.matches(object))
        };
        match (selected(&change.before), selected(&change.after)) {
            (false, false) => None,
            (false, true) => Some(Event::Added),
            (true, true) => Some(Event::Modified),
            (true, false) => Some(Event::Deleted),
        }
    }

    fn concerns(&self, object: &Value) -> bool {
        self.namespace.is_empty() || object["metadata"]["namespace"] == self.namespace.as_str()
    }

    /// The first lines of a watch: what exists, as added, or what happened since its revision.
    pub(crate) fn first_lines<'a>(&self, existing: impl Iterator<Item = &'a Arc<Value>>, now: Timestamp) -> Vec<u8> {
        let mut lines = Vec::new();
        for object in existing {
            if self.selection.matches(object) {
                lines.extend(line(&self.resource, self.form, Event::Added, object, now));
            }
        }
        lines
    }

    /// What happened since the watch's revision.
    pub(crate) fn missed<'a>(&self, changes: impl Iterator<Item = &'a Change>, now: Timestamp) -> Vec<u8> {
        let mut lines = Vec::new();
        for change in changes.filter(|change| change.kind == self.resource.stored_as) {
            if let Some(event) = self.sees(change) {
                lines.extend_from_slice(Lines::new(change, now).line(self, event));
            }
        }
        lines
    }
}

/// One change, written down once for each form in which somebody wants it.
struct Lines<'a> {
    change: &'a Change,
    now: Timestamp,
    written: BTreeMap<(String, Form, Event), Vec<u8>>,
}

impl<'a> Lines<'a> {
    fn new(change: &'a Change, now: Timestamp) -> Self {
        Self {
            change,
            now,
            written: BTreeMap::new(),
        }
    }

    fn line(&mut self, watch: &Watch, event: Event) -> &[u8] {
        let key = (watch.resource.version.clone(), watch.form, event);
        self.written.entry(key).or_insert_with(|| {
            let object = self.change.object();
            match (event, &self.change.before, &self.change.after) {
                // It left the selection: the watch gets it as it last saw it, with the revision of the change.
                (Event::Deleted, Some(before), Some(_)) => {
                    let mut last = Value::clone(before);
                    last["metadata"]["resourceVersion"] = json!(self.change.revision.to_string());
                    line(&watch.resource, watch.form, event, &last, self.now)
                }
                _ => line(&watch.resource, watch.form, event, object, self.now),
            }
        })
    }
}

fn line(resource: &Resource, form: Form, event: Event, object: &Value, now: Timestamp) -> Vec<u8> {
    let mut line = format!("{{\"type\":\"{}\",\"object\":", event.name()).into_bytes();
    line.extend(view::one(resource, object, form, now));
    line.extend_from_slice(b"}\n");
    line
}

/// A line that says how far a watch has come; the first such line ends what existed before.
pub(crate) fn bookmark_line(resource: &Resource, revision: u64, initial_end: bool) -> Vec<u8> {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if initial_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata});
    format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into_bytes()
}

/// A line that says why a watch ends.
pub(crate) fn error_line(failure: &Failure) -> Vec<u8> {
    format!("{}\n", json!({"type": "ERROR", "object": failure.json()})).into_bytes()
}

/// The refusal of a history that is no longer remembered.
pub(crate) fn too_old(revision: u64) -> Failure {
    Failure::expired(format!("too old resource version: {revision}"))
}
