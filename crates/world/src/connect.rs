//! The world behind a connector: what clients hold instead of a network.
//!
//! A [`World`] drives a [`Core`] on one runtime: it hands requests in, lets time pass when something is due, and
//! gives each answer to whom it is owed. A [`Connector`] is the end that a client holds. Programs that really run in a
//! pod are started here, each with a connector of its own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tubectl_clock::Clock;
use tubectl_clock::Dial;

use crate::core::Core;
use crate::core::Origin;
use crate::core::Output;
use crate::core::PodName;
use crate::core::ProgramCall;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Response;
use crate::core::Ticket;
use crate::core::reads;
use crate::remote::Remote;
use crate::snapshot::Store;
use crate::snapshot::StoreError;

/// How far the world may lag behind its clock, in the machine's time. Beyond, the clock waits for the world: a world
/// that cannot keep up with its speed would else fall behind for ever, and answer nobody.
const LATEST: Duration = Duration::from_millis(50);

/// The body of an answer: whole, or arriving piece by piece.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Pieces, until the sender is gone. Unbounded: the core may never wait for a slow reader, and a reader that went
    /// away is noticed with the next piece.
    Pieces(mpsc::UnboundedReceiver<Bytes>),
}

/// Why a world gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// It went away before it answered.
    #[error("the local world ended before it answered")]
    Ended,
    /// Nothing that is a world answers at its address.
    #[error("the local world at {address} does not answer ({reason}); `tubectl world start` starts one")]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        reason: String,
    },
}

/// A program that runs in a pod.
pub trait Program: Send + Sync {
    /// Answers one request.
    fn handle(&self, request: Request) -> BoxFuture<'static, Response>;
}

/// Where a program runs and what it may use.
#[derive(Clone)]
pub struct Surroundings {
    /// The pod.
    pub pod: PodName,
    /// The container's command and arguments, its entrypoint first.
    pub command: Vec<String>,
    /// The container's environment.
    pub environment: BTreeMap<String, String>,
    /// The service account that the pod runs as; the Kubernetes API takes [`Surroundings::token`] for it.
    pub service_account: String,
    /// How the program reaches everything else.
    pub connector: Connector,
    /// The time in the pod.
    pub clock: Clock,
}

impl Surroundings {
    /// The token that the pod finds at its mounted service account.
    pub fn token(&self) -> String {
        crate::kube::api::identity::pod_token(&self.pod.namespace, &self.service_account)
    }
}

/// Starts a program.
pub type Start = Arc<dyn Fn(Surroundings) -> Arc<dyn Program> + Send + Sync>;

/// The programs that there are, by the words their command begins with, such as `tubectl serve gateway`.
#[derive(Clone, Default)]
pub struct Programs(BTreeMap<String, Start>);

impl Programs {
    /// Adds a program under the words that its command begins with.
    #[must_use]
    pub fn with(mut self, command: &str, start: Start) -> Self {
        self.0.insert(command.to_owned(), start);
        self
    }

    fn find(&self, command: &[String]) -> Option<&Start> {
        let command = command.join(" ");
        let fits = |known: &str| command == known || command.starts_with(&format!("{known} "));
        self.0.iter().find(|(known, _)| fits(known)).map(|(_, start)| start)
    }
}

/// A core that is driven: requests go in, time passes, answers come out.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

struct Shared {
    inside: Mutex<Inside>,
    // Told when something happened that may bring the next wake forward.
    changed: Notify,
    dial: Dial,
    programs: Programs,
    // The hosts that want a port of their own.
    doors: watch::Sender<BTreeSet<String>>,
}

struct Inside {
    core: Core,
    store: Option<Store>,
    answers: BTreeMap<Ticket, oneshot::Sender<Response>>,
    streams: BTreeMap<Ticket, mpsc::UnboundedSender<Bytes>>,
    running: BTreeMap<PodName, Arc<dyn Program>>,
    // What the pods were when the programs were last looked after.
    pods: BTreeMap<String, u64>,
}

/// One end of the world: what a client holds instead of a network.
#[derive(Clone)]
pub struct Connector(End);

#[derive(Clone)]
enum End {
    /// A world in this process.
    Inside { world: World, origin: Origin },
    /// A world that another process serves.
    Daemon(Remote),
    /// Another connector, behind a gate.
    Gated { onward: Box<Connector>, gate: Gate },
}

/// What stands between a client and the world: it sends a request onward, or another one, or lets it never come back.
pub type Gate = Arc<dyn Fn(Connector, Request) -> BoxFuture<'static, Result<http::Response<Body>, Gone>> + Send + Sync>;

impl World {
    /// Stands a core behind connectors. Time passes in it only while [`World::run`] is polled.
    pub fn new(core: Core, clock: Clock, programs: Programs) -> Self {
        Self::with_store(core, None, clock, programs)
    }

    /// Stands a core behind connectors that writes down what it is asked: see [`Store::open`].
    pub fn stored(core: Core, store: Store, clock: Clock, programs: Programs) -> Self {
        Self::with_store(core, Some(store), clock, programs)
    }

    fn with_store(core: Core, store: Option<Store>, clock: Clock, programs: Programs) -> Self {
        let doors = watch::Sender::new(core.doors());
        let inside = Inside {
            core,
            store,
            answers: BTreeMap::new(),
            streams: BTreeMap::new(),
            running: BTreeMap::new(),
            pods: BTreeMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                inside: Mutex::new(inside),
                changed: Notify::new(),
                dial: Dial::new(clock),
                programs,
                doors,
            }),
        }
    }

    /// A connector for clients on the user's machine.
    pub fn connector(&self) -> Connector {
        Connector(End::Inside {
            world: self.clone(),
            origin: Origin::Outside,
        })
    }

    /// The world's clock, wherever the world sets it.
    pub fn clock(&self) -> Clock {
        self.shared.dial.clock()
    }

    /// The time up to which the core is to be brought now.
    fn now(&self, core: &Core) -> jiff::Timestamp {
        let clock = self.clock();
        let now = clock.now();
        let Some(wake) = core.next_wake() else {
            return now;
        };
        let slack = Duration::try_from_secs_f64(LATEST.as_secs_f64() * clock.speed()).unwrap_or(Duration::MAX);
        let slack = SignedDuration::try_from(slack).unwrap_or(SignedDuration::MAX);
        let latest = wake.checked_add(slack).unwrap_or(jiff::Timestamp::MAX);
        if now <= latest {
            return now;
        }
        self.shared.dial.set(Clock::starting_at(latest).at_speed(clock.speed()));
        latest
    }

    /// Lets time pass at another speed from now on.
    ///
    /// # Panics
    /// When `speed` is not a finite number above zero.
    pub fn set_speed(&self, speed: f64) {
        self.shared.dial.set(self.clock().at_speed(speed));
        self.shared.changed.notify_one();
    }

    /// Writes a snapshot, if the world is a stored one.
    pub fn save(&self) -> Result<(), StoreError> {
        let mut inside = self.lock();
        let now = self.now(&inside.core);
        inside.core.settle(now);
        let Inside { core, store, .. } = &mut *inside;
        store.as_mut().map_or(Ok(()), |store| store.save(core))
    }

    /// The hosts that want a port of their own, as they come and go.
    pub(crate) fn doors(&self) -> watch::Receiver<BTreeSet<String>> {
        self.shared.doors.subscribe()
    }

    /// Reads the core as it is.
    pub fn look<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.lock().core)
    }

    /// Lets time pass: wakes the core whenever something in it is due. Never returns; drop it to stop.
    pub async fn run(&self) {
        loop {
            let changed = self.shared.changed.notified();
            let wake = self.deliver();
            match wake {
                None => changed.await,
                Some(wake) => {
                    let clock = self.clock();
                    if wake <= clock.now() {
                        // A world that is late must still let its callers speak.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = clock.sleep_until(wake) => {}
                    }
                }
            }
        }
    }

    /// Hands out what is due now, keeps the programs in step with their pods, and says when to come back.
    fn deliver(&self) -> Option<jiff::Timestamp> {
        let mut inside = self.lock();
        let now = self.now(&inside.core);
        let passed = inside.core.next_wake().is_some_and(|wake| wake <= now);
        let due = inside.core.advance(now);
        if passed {
            inside.note_time();
        }
        for output in due {
            inside.hand_out(output);
        }
        inside.forget_streams();
        let doors = inside.core.doors();
        self.shared.doors.send_if_modified(|known| {
            let changed = *known != doors;
            *known = doors;
            changed
        });
        let pods = inside.core.pods_changed();
        if inside.pods != pods {
            inside.pods = pods;
            self.keep_programs(&mut inside);
        }
        inside.core.next_wake()
    }

    /// Starts the programs of pods that run now, and drops those of pods that no longer do.
    fn keep_programs(&self, inside: &mut Inside) {
        let pods = inside.core.programs();
        inside.running.retain(|pod, _| pods.contains_key(pod));
        for (pod, container) in pods {
            if !inside.running.contains_key(&pod)
                && let Some(start) = self.shared.programs.find(&container.command)
            {
                let program = start(self.surroundings(pod.clone(), container));
                inside.running.insert(pod, program);
            }
        }
    }

    fn surroundings(&self, pod: PodName, container: crate::core::Container) -> Surroundings {
        let connector = Connector(End::Inside {
            world: self.clone(),
            origin: Origin::Pod(pod.clone()),
        });
        Surroundings {
            pod,
            command: container.command,
            environment: container.environment,
            service_account: container.service_account,
            connector,
            clock: self.clock(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Writes down that time went on, so that it does not go back when the world is restored.
    fn note_time(&mut self) {
        let Some(store) = &mut self.store else {
            return;
        };
        if let Err(error) = store.append(self.core.now(), self.core.chance(), None) {
            tracing::warn!(%error, "the passing of time could not be written down");
        }
    }

    /// Writes down a call that may change something, before its answer leaves.
    fn note_call(
        &mut self,
        chance: crate::random::Random,
        origin: &Origin,
        request: &Request,
    ) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        if store.is_behind() || store.is_long() {
            return store.save(&self.core);
        }
        store.append(self.core.now(), chance, Some((origin, request)))?;
        Ok(())
    }

    /// Tells the core which streams nobody reads any more.
    fn forget_streams(&mut self) {
        let closed: Vec<Ticket> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.is_closed())
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in closed {
            self.streams.remove(&ticket);
            self.core.abandon(ticket);
        }
    }

    fn hand_out(&mut self, output: Output) {
        // Whoever no longer waits has gone away; nothing is owed to them.
        match output {
            Output::Answer(ticket, response) => {
                if let Some(waiting) = self.answers.remove(&ticket) {
                    waiting.send(response).ok();
                }
            }
            Output::Chunk(ticket, piece) => {
                let gone = self
                    .streams
                    .get(&ticket)
                    .is_some_and(|stream| stream.send(piece).is_err());
                if gone {
                    self.streams.remove(&ticket);
                    self.core.abandon(ticket);
                }
            }
            Output::End(ticket) => {
                self.streams.remove(&ticket);
            }
        }
    }
}

impl Connector {
    /// A connector to the world that another process serves at an address on loopback; URLs stay those of production.
    pub fn to_daemon(address: SocketAddr) -> Self {
        Self(End::Daemon(Remote::new(address)))
    }

    /// Sends one request and gives the answer's head, with its body whole or arriving.
    pub async fn send(&self, request: Request) -> Result<http::Response<Body>, Gone> {
        match &self.0 {
            End::Inside { world, origin } => world.send(origin, request).await,
            End::Daemon(remote) => remote.send(request).await,
            End::Gated { onward, gate } => gate((**onward).clone(), request).await,
        }
    }

    /// The clock of the world at its end; of another process's world, as its last answer told the time.
    pub fn clock(&self) -> Clock {
        match &self.0 {
            End::Inside { world, .. } => world.clock(),
            End::Daemon(remote) => remote.clock(),
            End::Gated { onward, .. } => onward.clock(),
        }
    }

    /// The same connector behind a gate.
    #[must_use]
    pub fn behind(self, gate: Gate) -> Self {
        Self(End::Gated {
            onward: Box::new(self),
            gate,
        })
    }
}

impl World {
    async fn send(&self, origin: &Origin, request: Request) -> Result<http::Response<Body>, Gone> {
        let (ticket, answer) = match self.submit(origin, request) {
            Sent::Answered(response) => return Ok(response),
            Sent::Program(program, request) => return Ok(program.handle(request).await.map(Body::Whole)),
            Sent::Owed(ticket, answer) => (ticket, answer),
        };
        let mut guard = Waiting {
            world: self,
            ticket: Some(ticket),
        };
        let response = answer.await.map_err(|_| Gone::Ended)?;
        guard.ticket = None;
        Ok(response.map(Body::Whole))
    }

    fn submit(&self, origin: &Origin, request: Request) -> Sent {
        let shared = &self.shared;
        let mut inside = self.lock();
        let now = self.now(&inside.core);
        inside.core.settle(now);
        let noted = (inside.store.is_some() && !reads(&request)).then(|| (inside.core.chance(), request.clone()));
        let reply = inside.core.handle(now, origin, request);
        shared.changed.notify_one();
        if let Some((chance, request)) = noted
            && !matches!(reply, Reply::Program(_))
            && let Err(error) = inside.note_call(chance, origin, &request)
        {
            let because = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            let message = format!("the local world could not write down what it was asked: {because}");
            let status = http::StatusCode::INSUFFICIENT_STORAGE;
            return Sent::Answered(crate::core::plain(status, &message).map(Body::Whole));
        }
        match reply {
            Reply::Answer(response) => Sent::Answered(response.map(Body::Whole)),
            Reply::Later(ticket) => {
                let (sender, answer) = oneshot::channel();
                inside.answers.insert(ticket, sender);
                Sent::Owed(ticket, answer)
            }
            Reply::Stream(response, ticket) => {
                let (sender, pieces) = mpsc::unbounded_channel();
                let (head, first) = response.into_parts();
                if !first.is_empty() {
                    sender.send(first).expect("the receiver is still here");
                }
                inside.streams.insert(ticket, sender);
                Sent::Answered(http::Response::from_parts(head, Body::Pieces(pieces)))
            }
            Reply::Program(ProgramCall { pod, request }) => {
                if !inside.running.contains_key(&pod) {
                    // The pod is ready, and time has not passed since: a program is there as soon as its pod is.
                    self.keep_programs(&mut inside);
                }
                match inside.running.get(&pod) {
                    Some(program) => Sent::Program(program.clone(), request),
                    None => Sent::Answered(
                        crate::core::plain(http::StatusCode::BAD_GATEWAY, "nothing answers in the pod")
                            .map(Body::Whole),
                    ),
                }
            }
        }
    }
}

enum Sent {
    Answered(http::Response<Body>),
    Owed(Ticket, oneshot::Receiver<Response>),
    Program(Arc<dyn Program>, Request),
}

/// A client that waits for an answer; when it stops waiting, the world is told.
struct Waiting<'a> {
    world: &'a World,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut inside = self.world.lock();
            inside.answers.remove(&ticket);
            inside.core.abandon(ticket);
        }
    }
}

impl Body {
    /// Reads the body to its end.
    pub async fn whole(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Pieces(mut pieces) => {
                let mut whole = Vec::new();
                while let Some(piece) = pieces.recv().await {
                    whole.extend_from_slice(&piece);
                }
                whole.into()
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => std::task::Poll::Ready(None),
            Self::Whole(bytes) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => http_body::SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => http_body::SizeHint::default(),
        }
    }
}

impl<F: Future<Output = Response> + Send + 'static, T: Fn(Request) -> F + Send + Sync> Program for T {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(self(request))
    }
}
