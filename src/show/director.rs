//! The director: walks the script on the clock, says what is next, fires cues and sees that the page follows.
//!
//! A cue is written to the page's `ConfigMap` with the operator's own rights, and is only done when the page says so
//! in public. Firing a cue twice is firing it once; winners stay drawn until somebody asks for others. Who fired it is
//! the same: a director sees the cues of other terminals where the page sees them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tubectl_clock::Clock;
use tubectl_gateway::ResponseId;
use tubectl_gateway::Show;
use tubectl_gateway::Storage;
use tubectl_gateway::StorageError;
use tubectl_gateway::StoredResponse;
use tubectl_gateway::StoredSession;
use tubectl_gateway::StoredWinners;
use tubectl_gateway::key;

use crate::apply::cancel::Cancel;
use crate::error::closest;
use crate::event;
use crate::event::EventKind;
use crate::event::Events;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::show::ShowError;
use crate::show::page::Page;
use crate::show::script::Script;
use crate::show::script::What;
use crate::stack::demo::Cue;
use crate::stack::demo::Demo;

/// How long the page may take to follow a cue; it takes less than five seconds when all is well.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(15);

/// The least of the presenter's own time that it may take: where time is made to fly, a network takes long.
const FOLLOWS_WITHIN_REAL: Duration = Duration::from_secs(5);

/// How often the page is asked whether it has followed.
const ASKS_EVERY: Duration = Duration::from_millis(500);

/// The annotation of the page's `ConfigMap` that says which cue was fired last.
const LAST_CUE: &str = "tubectl/cue";

/// Cues of other terminals that wait while one is being fired: more than a presenter has hands.
const HEARD: usize = 8;

/// Responses that are read at once before a draw: enough to hide the way to S3, few enough not to be throttled.
const READ_AT_ONCE: usize = 16;

/// Where a show is played.
#[derive(Clone)]
pub struct Stage {
    /// The show.
    pub demo: Demo,
    /// The cluster.
    pub kube: Kube,
    /// The audience's page.
    pub page: Page,
    /// What the audience opens: the page's own address, or where it is found on this machine.
    pub opens: String,
    /// Where the audience's responses are.
    pub responses: Arc<dyn Storage>,
    /// Time.
    pub clock: Clock,
    /// Who hears what happens.
    pub events: Events,
}

/// Who fires cues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cues {
    /// The director, at their time.
    Auto,
    /// The presenter.
    ByHand,
}

/// What becomes of winners that were drawn before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winners {
    /// They stay.
    Keep,
    /// Others are drawn.
    DrawAgain,
}

/// How a show ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// At its end.
    Complete,
    /// Before.
    Stopped,
}

/// A cue that was fired, as whoever fired it wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The cue.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// What it did.
    pub did: String,
}

impl Fired {
    /// What a `ConfigMap` says was fired last.
    fn of(object: &Value) -> Option<Self> {
        let text = object["metadata"]["annotations"][LAST_CUE].as_str()?;
        serde_json::from_str(text).ok()
    }
}

/// Something that happened on stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// When, since the show began.
    #[serde(skip)]
    pub at: Duration,
    /// What.
    pub what: String,
}

impl Stage {
    /// Begins a session: the page asks for questions, and nobody has won.
    pub async fn begin(&self) -> Result<String, ShowError> {
        let now = self.clock.now();
        let session = now.strftime("%Y%m%d-%H%M%S").to_string();
        let record = StoredSession {
            session: session.clone(),
            started_at: now,
        };
        self.store(key::SESSION, &record).await?;
        self.write("a new session", &Show::quiz(&session), None).await?;
        Ok(session)
    }

    /// Fires a cue and waits until the page has followed.
    pub async fn fire(&self, name: &str, winners: Winners) -> Result<Fired, ShowError> {
        let Some(cue) = self.demo.cues.get(name) else {
            return Err(ShowError::UnknownCue {
                name: name.to_owned(),
                closest: closest(name, self.demo.cues.keys().map(String::as_str)),
                known: self.demo.cues.keys().cloned().collect(),
            });
        };
        let begun = self.clock.now();
        let (show, did) = self.after(&cue.value, self.read().await?, winners).await?;
        let fired = Fired {
            name: name.to_owned(),
            at: begun,
            did,
        };
        self.write(name, &show, Some(&fired)).await?;
        let took = self.clock.since(begun);
        self.events.emit(EventKind::Cue {
            name: name.to_owned(),
            what: format!("{}; the page followed in {:.1} s", fired.did, took.as_secs_f64()),
        });
        Ok(fired)
    }

    /// Tells of every cue that is fired, whoever fires it. Never returns.
    async fn listen(&self, heard: &mpsc::Sender<Fired>) {
        let name = self.config_map();
        let (mut known, mut last) = (None, None);
        loop {
            match self.kube.changed(&name, known.as_ref()).await {
                Ok(found) => {
                    let fired = found.as_ref().and_then(Fired::of);
                    if let Some(fired) = fired.clone().filter(|fired| last.as_ref() != Some(fired)) {
                        // The director may have gone already.
                        heard.send(fired).await.ok();
                    }
                    (known, last) = (found, fired);
                }
                // A cluster out of sight is told by those who look at it.
                Err(_) => self.clock.sleep(ASKS_EVERY).await,
            }
        }
    }

    /// The show as it is after a cue, and what the cue did.
    async fn after(&self, cue: &Cue, mut show: Show, winners: Winners) -> Result<(Show, String), ShowError> {
        let mut did = Vec::new();
        if let Some(mode) = &cue.mode {
            show.mode = match mode {
                crate::stack::demo::Mode::Quiz => tubectl_gateway::Mode::Quiz,
                crate::stack::demo::Mode::Survey => tubectl_gateway::Mode::Survey,
                crate::stack::demo::Mode::Closed => tubectl_gateway::Mode::Closed,
            };
            did.push(format!("mode {}", show.mode));
        }
        if let Some(count) = cue.draw {
            let drawn = self.draw(&show.session, count as usize, winners).await?;
            let tickets: Vec<String> = drawn.winners.iter().map(ResponseId::ticket).collect();
            did.push(match tickets.as_slice() {
                [] => "nobody answered, so nobody won".to_owned(),
                tickets => format!("{} of {} won: {}", tickets.len(), drawn.responses, tickets.join(", ")),
            });
            show.winners = Some(drawn.winners);
        }
        Ok((show, did.join(", ")))
    }

    /// Draws winners among the session's responses, or finds those that were drawn.
    async fn draw(&self, session: &str, count: usize, winners: Winners) -> Result<StoredWinners, ShowError> {
        let stored = self.find::<StoredWinners>(key::WINNERS).await?;
        let stored = stored.filter(|stored| stored.session == session && winners == Winners::Keep);
        if let Some(stored) = stored {
            return Ok(stored);
        }
        let responses = self.responses_of(session).await?;
        let seed = fastrand::u64(..);
        let drawn = StoredWinners {
            session: session.to_owned(),
            responses: responses.len() as u64,
            winners: tubectl_gateway::draw(responses, count, seed),
            seed,
            drawn_at: self.clock.now(),
        };
        // Stored before they are announced: who won once has won.
        self.store(key::WINNERS, &drawn).await?;
        Ok(drawn)
    }

    async fn responses_of(&self, session: &str) -> Result<BTreeSet<ResponseId>, ShowError> {
        let mut keys = Vec::new();
        let mut page = None;
        loop {
            let listing = self.responses.list(key::RESPONSES, page).await;
            let listing = listing.map_err(|source| failed("listing the responses", source))?;
            keys.extend(listing.keys.into_iter().filter(|key| key::response_id(key).is_some()));
            page = listing.next;
            if page.is_none() {
                break;
            }
        }
        let read = |key: String| async move { self.find::<StoredResponse>(&key).await };
        let mut found = futures::stream::iter(keys).map(read).buffered(READ_AT_ONCE);
        let mut responses = BTreeSet::new();
        while let Some(response) = found.next().await {
            responses.extend(response?.filter(|one| one.session == session).map(|one| one.id));
        }
        Ok(responses)
    }

    fn config_map(&self) -> ObjectName {
        ObjectName {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: self.demo.page.config_map.namespace.clone(),
            name: self.demo.page.config_map.name.clone(),
        }
    }

    async fn read(&self) -> Result<Show, ShowError> {
        let object = self.kube.get(&self.config_map()).await?.unwrap_or_default();
        Show::from_config(&data(&object)).map_err(|source| ShowError::Config {
            name: self.demo.page.config_map.to_string(),
            source,
        })
    }

    /// Writes all that the show says, so that nothing of it is given up, and waits for the page.
    async fn write(&self, cue: &str, show: &Show, fired: Option<&Fired>) -> Result<(), ShowError> {
        let name = self.config_map();
        let mut object = json!({
            "apiVersion": name.api_version,
            "kind": name.kind,
            "metadata": {"name": name.name, "namespace": name.namespace},
            "data": show.to_config(),
        });
        if let Some(fired) = fired {
            let text = serde_json::to_string(fired).expect("a cue is plain data");
            object["metadata"]["annotations"][LAST_CUE] = Value::String(text);
        }
        self.kube.apply_as_show(&object).await?;
        let within = FOLLOWS_WITHIN.max(FOLLOWS_WITHIN_REAL.mul_f64(self.clock.speed()));
        let begun = self.clock.now();
        loop {
            let config = self.page.config().await?;
            let followed = config.mode == show.mode.to_string()
                && config.session_id == show.session
                && config.winners_picked == show.winners.is_some();
            if followed {
                return Ok(());
            }
            if self.clock.since(begun) >= within {
                return Err(ShowError::NotFollowed {
                    cue: cue.to_owned(),
                    seen: config.mode,
                    waited: within.as_secs(),
                });
            }
            self.clock.sleep(ASKS_EVERY).await;
        }
    }

    async fn store(&self, key: &str, record: &impl Serialize) -> Result<(), ShowError> {
        let body = serde_json::to_vec(record).expect("records are plain data");
        let put = self.responses.put(key, Bytes::from(body)).await;
        put.map_err(|source| failed(&format!("storing {key}"), source))
    }

    async fn find<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ShowError> {
        let found = self.responses.get(key).await;
        let found = found.map_err(|source| failed(&format!("reading {key}"), source))?;
        // What is no record of ours takes no part.
        Ok(found.and_then(|body| serde_json::from_slice(&body).ok()))
    }
}

/// The data of a `ConfigMap`.
pub fn data(object: &Value) -> BTreeMap<String, String> {
    let entries = object["data"].as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn failed(what: &str, source: StorageError) -> ShowError {
    ShowError::Storage {
        what: what.to_owned(),
        source,
    }
}

/// Walks the script to its end, or until it is cancelled, and sees what is cued from other terminals meanwhile.
pub async fn direct(
    stage: &Stage,
    script: &Script,
    begun: Timestamp,
    cues: Cues,
    cancel: &Cancel,
) -> (Ending, Vec<Mark>) {
    stage.events.emit(announced(stage, script));
    let walk = Walk {
        stage,
        begun,
        cues,
        fired: BTreeSet::new(),
        last: None,
        marks: Vec::new(),
    };
    let (heard, others) = mpsc::channel(HEARD);
    tokio::select! {
        biased;
        ended = walk.through(script, others, cancel) => ended,
        () = stage.listen(&heard) => unreachable!("listening has no end"),
    }
}

/// The script, as those who look on hear of it.
fn announced(stage: &Stage, script: &Script) -> EventKind {
    let named = |name_of: fn(&What) -> Option<&String>| {
        let moments = script.moments.iter();
        let named = moments.filter_map(|moment| Some((name_of(&moment.what)?.clone(), moment.at)));
        named.map(|(name, at)| event::Moment { name, at }).collect()
    };
    EventKind::Show {
        name: stage.demo.demo.clone(),
        length: script.length,
        acts: named(|what| match what {
            What::Act { name, .. } => Some(name),
            What::Reminder(_) | What::Cue(_) => None,
        }),
        cues: named(|what| match what {
            What::Cue(name) => Some(name),
            What::Reminder(_) | What::Act { .. } => None,
        }),
        page: stage.opens.clone(),
    }
}

/// A walk through a script.
struct Walk<'a> {
    stage: &'a Stage,
    begun: Timestamp,
    cues: Cues,
    fired: BTreeSet<String>,
    // The last cue of this walk itself, which is heard of like any other.
    last: Option<Fired>,
    marks: Vec<Mark>,
}

impl Walk<'_> {
    async fn through(
        mut self,
        script: &Script,
        mut others: mpsc::Receiver<Fired>,
        cancel: &Cancel,
    ) -> (Ending, Vec<Mark>) {
        let clock = self.stage.clock;
        let mut moments = script.moments.iter().peekable();
        loop {
            let at = moments.peek().map_or(script.length, |moment| moment.at);
            tokio::select! {
                biased;
                () = cancel.draining() => return (Ending::Stopped, self.marks),
                Some(fired) = others.recv() => self.hear(fired),
                () = clock.sleep_until(self.begun + at) => match moments.next() {
                    Some(moment) => self.come_to(&moment.what).await,
                    None => return (Ending::Complete, self.marks),
                }
            }
        }
    }

    async fn come_to(&mut self, what: &What) {
        match what {
            What::Act { name, about } => {
                self.mark(name);
                let (name, about) = (name.clone(), about.clone());
                self.stage.events.emit(EventKind::Act { name, about });
            }
            What::Reminder(say) => self.stage.events.note(say.clone()),
            What::Cue(name) if self.fired.contains(name) => {}
            What::Cue(name) => match self.cues {
                Cues::Auto => self.fire(name).await,
                Cues::ByHand => self.stage.events.note(format!("{name} is due: {}", typed(name))),
            },
        }
    }

    /// Fires a cue. A cue that fails is said, and the show goes on.
    async fn fire(&mut self, name: &str) {
        match self.stage.fire(name, Winners::Keep).await {
            Ok(fired) => {
                self.fired.insert(name.to_owned());
                self.mark(&format!("cue {name}"));
                self.last = Some(fired);
            }
            Err(error) => {
                let why = crate::error::with_causes(&error);
                self.stage.events.note(format!("cue `{name}` failed: {why}"));
            }
        }
    }

    /// Takes note of a cue that somebody else fired.
    fn hear(&mut self, fired: Fired) {
        if self.last.as_ref() == Some(&fired) {
            return;
        }
        self.mark(&format!("cue {}", fired.name));
        self.stage.events.emit(EventKind::Cue {
            name: fired.name.clone(),
            what: format!("{}; from another terminal", fired.did),
        });
        self.fired.insert(fired.name);
    }

    fn mark(&mut self, what: &str) {
        self.marks.push(Mark {
            at: self.stage.clock.since(self.begun),
            what: what.to_owned(),
        });
    }
}

/// What a presenter types to fire a cue.
fn typed(cue: &str) -> String {
    match cue {
        "survey" | "winners" => format!("tubectl {cue}"),
        _ => format!("tubectl cue {cue}"),
    }
}
