//! What happened, as data. The engine and the show emit it; views draw it; nobody calls back.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tubectl_clock::Clock;

use crate::resource::id::ResourceId;

/// The version of the event format that `--json` prints.
pub const FORMAT: u32 = 1;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, in the world's time.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A command begins: what it acts on.
    Begun {
        /// The command's name.
        command: String,
        /// The stack's name.
        stack: String,
        /// The world that it acts on.
        world: String,
        /// The account.
        account: String,
        /// The region.
        region: String,
        /// The version of this format.
        format: u32,
    },
    /// The work is known, before any of it begins.
    Planned {
        /// Every resource that there is something to do about.
        ids: Vec<ResourceId>,
        /// How long the longest chain of them is expected to take.
        #[serde(serialize_with = "as_seconds")]
        expected: Duration,
    },
    /// Work on a resource begins.
    Started {
        /// The resource.
        id: ResourceId,
        /// What is done: create, update, await, replace, delete.
        action: String,
        /// How long it is expected to take.
        #[serde(serialize_with = "as_seconds")]
        expected: Duration,
        /// How long it and the longest chain behind it are expected to take.
        #[serde(serialize_with = "as_seconds")]
        remaining: Duration,
    },
    /// A resource is still on its way.
    Waiting {
        /// The resource.
        id: ResourceId,
        /// What it waits for.
        what: String,
    },
    /// A resource is usable.
    Applied {
        /// The resource.
        id: ResourceId,
        /// How long it took.
        #[serde(serialize_with = "as_seconds")]
        took: Duration,
    },
    /// A resource did not come.
    Failed {
        /// The resource.
        id: ResourceId,
        /// Why.
        error: String,
    },
    /// A resource was not tried.
    Skipped {
        /// The resource.
        id: ResourceId,
        /// The resource that failed before it.
        because: ResourceId,
    },
    /// A phase of the teardown begins.
    Phase {
        /// What it does.
        name: String,
    },
    /// Something was taken away.
    Removed {
        /// Its kind in the inventory.
        kind: String,
        /// Its own name.
        name: String,
    },
    /// A show begins: its script, in the time in which it is played.
    Show {
        /// Its name.
        name: String,
        /// How long it is.
        #[serde(serialize_with = "as_seconds")]
        length: Duration,
        /// The acts, in order.
        acts: Vec<Moment>,
        /// The cues, in order.
        cues: Vec<Moment>,
        /// What the audience opens.
        page: String,
    },
    /// A moment of the show.
    Sample(Sample),
    /// An act begins.
    Act {
        /// Its name.
        name: String,
        /// What it is about.
        about: String,
    },
    /// A cue was fired.
    Cue {
        /// Its name.
        name: String,
        /// What it did.
        what: String,
    },
    /// What came of a show.
    Report {
        /// Timeline, thresholds, cost and counts.
        report: Value,
    },
    /// Something that the presenter should know.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Something that the script has at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Its name.
    pub name: String,
    /// When, from the beginning of the show.
    #[serde(serialize_with = "as_seconds")]
    pub at: Duration,
}

/// What was seen of the show at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Since the show began.
    #[serde(serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// Requests that wait for a model server.
    pub waiting: u64,
    /// Requests that a model server works on.
    pub running: u64,
    /// Replicas that the autoscaler wants.
    pub desired: u32,
    /// Replicas that have a node.
    pub scheduled: u32,
    /// Replicas that answer.
    pub ready: u32,
    /// Nodes, cheapest story first: type, capacity, zone.
    pub nodes: Vec<Node>,
    /// What all of it costs, in dollars an hour.
    pub hourly: f64,
    /// What the show cost so far, in dollars.
    pub cost: f64,
    /// Users that the load keeps busy.
    pub users: u32,
    /// Answers a second.
    pub rate: f64,
    /// Half of the answers came within this.
    #[serde(serialize_with = "as_seconds")]
    pub p50: Duration,
    /// All but a twentieth of the answers came within this.
    #[serde(serialize_with = "as_seconds")]
    pub p95: Duration,
}

/// A node, as the show tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    /// Its instance type.
    pub instance_type: String,
    /// Spot or on-demand.
    pub capacity: String,
    /// Its zone.
    pub zone: String,
    /// Whether pods can run on it.
    pub ready: bool,
}

/// Where events go.
#[derive(Clone)]
pub struct Events {
    clock: Clock,
    // Unbounded: a slow terminal must never hold up the engine, and a run has some thousand events.
    sender: mpsc::UnboundedSender<Event>,
}

impl Events {
    /// A place to send events to, and the end where they come out.
    pub fn channel(clock: Clock) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { clock, sender }, receiver)
    }

    /// Says that something happened now. Nobody listening is no reason to stop.
    pub fn emit(&self, kind: EventKind) {
        self.sender
            .send(Event {
                at: self.clock.now(),
                kind,
            })
            .ok();
    }

    /// Tells the presenter something.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(EventKind::Note { text: text.into() });
    }
}

/// A duration as people say it, such as `4m 10s`.
pub fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, 0) => format!("{minutes}m"),
        (minutes, seconds) => format!("{minutes}m {seconds}s"),
    }
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are as fine as anything here is known.
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
