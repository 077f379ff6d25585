//! The world behind sockets on loopback: what a daemon is.
//!
//! One port serves every host: AWS calls are told apart by their signature, everything else by the host in the first
//! line or in `Host`. Clients that know only an address, such as `kubectl`, get a port for each host: a door. Requests to
//! [`CONTROL_HOST`] are for the daemon itself. It speaks no TLS: nothing leaves the machine. Kubernetes' own clients send
//! no token where there is no TLS, so whoever comes through a cluster's door without one is who runs the world.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header::AUTHORIZATION;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http_body_util::BodyExt as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tubectl_clock::Clock;

use crate::connect::Body;
use crate::connect::Connector;
use crate::connect::World;
use crate::core::Core;
use crate::core::Request;
use crate::core::Response;
use crate::core::host_of;
use crate::core::plain;
use crate::kube::network::front::is_one as is_load_balancer;
use crate::remote::tell_time;

/// The host of the daemon itself: `GET /status`, `GET /inventory`, `GET` and `PUT /clock`, `POST /visit`, `POST /stop`, in
/// JSON.
///
/// A visit is an answer without an end. As long as somebody reads it, the world is needed, and time passes at the speed
/// that the visitor wishes, if any; when the visitor is gone, however that came, so is the wish.
pub const CONTROL_HOST: &str = "world.tubectl.internal";

/// The fastest that time may pass: beyond, the world could not keep up with anything.
pub const FASTEST: f64 = 100_000.0;

/// How many bytes a request may have: the largest thing that is uploaded is an image layer, held in memory.
const LARGEST_BODY: usize = 256 << 20;

/// How long answers that are under way may take when the daemon stops; watches would never end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often an idle daemon looks whether it is still needed.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait after a connection that could not be accepted: the machine may have run out of something.
const RECOVERS: Duration = Duration::from_millis(100);

/// What a daemon needs beside its world and its main port.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ports that hosts have. Those in it at the beginning are given again if nobody has taken them.
    pub ports: watch::Sender<BTreeMap<String, u16>>,
    /// How long nobody may call before a world with an empty account ends; none is for ever.
    pub idle: Option<Duration>,
    /// The machine's own time, in which idleness is measured.
    pub real: Clock,
}

/// Why a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Its account was empty and nobody called.
    Idle,
}

/// What every connection shares.
struct House {
    world: World,
    connector: Connector,
    ports: watch::Sender<BTreeMap<String, u16>>,
    real: Clock,
    last_call: Mutex<jiff::Timestamp>,
    visits: Mutex<Visits>,
    // Unbounded: one for each command that runs.
    arrivals: mpsc::UnboundedSender<Visit>,
    stop: watch::Sender<bool>,
}

/// Who is there, and how fast time passes for them.
struct Visits {
    // The speed when nobody wishes another.
    own: f64,
    last: u64,
    wishes: BTreeMap<u64, Option<f64>>,
}

impl Visits {
    /// The speed of whoever came last and wishes one.
    fn speed(&self) -> f64 {
        let wished = self.wishes.values().rev().find_map(|wish| *wish);
        wished.unwrap_or(self.own)
    }
}

/// Somebody who is there as long as they read.
struct Visit {
    number: u64,
    reader: mpsc::UnboundedSender<Bytes>,
}

/// Serves a world until it is told to stop or is no longer needed, and lets time pass in it meanwhile.
pub async fn serve(world: &World, main: TcpListener, options: Options) -> Ended {
    let preferred = options.ports.borrow().clone();
    let (arrivals, arriving) = mpsc::unbounded_channel();
    let visits = Visits {
        own: world.clock().speed(),
        last: 0,
        wishes: BTreeMap::new(),
    };
    let house = Arc::new(House {
        world: world.clone(),
        connector: world.connector(),
        ports: options.ports,
        last_call: Mutex::new(options.real.now()),
        real: options.real,
        visits: Mutex::new(visits),
        arrivals,
        stop: watch::Sender::new(false),
    });
    let ended = tokio::select! {
        () = world.run() => Ended::Stopped,
        () = listen(main, None, house.clone()) => Ended::Stopped,
        () = see_off(&house, arriving) => Ended::Stopped,
        () = keep_doors(&house, preferred) => Ended::Stopped,
        () = until_idle(&house, options.idle) => Ended::Idle,
    };
    house.stop.send_replace(true);
    ended
}

/// Notices who has gone, and drops their wishes. When the daemon stops, everybody is told by the end of their answer.
async fn see_off(house: &House, mut arriving: mpsc::UnboundedReceiver<Visit>) {
    let mut stop = house.stop.subscribe();
    let mut there = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(Visit { number, reader }) = arriving.recv() => there.push(async move {
                reader.closed().await;
                number
            }),
            Some(number) = there.next() => house.leave(number),
            () = told(&mut stop) => break,
        }
    }
    drop(there);
    // Whoever listens ends the daemon, when what is under way is answered.
    std::future::pending::<()>().await;
}

/// Opens a port for each host that wants one, and closes it when the host is gone.
async fn keep_doors(house: &Arc<House>, preferred: BTreeMap<String, u16>) {
    let mut wanted = house.world.doors();
    // What was there before is no promise: only an open door is told.
    house.ports.send_modify(BTreeMap::clear);
    let mut open: BTreeMap<String, tokio::task::AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let hosts: BTreeSet<String> = wanted.borrow_and_update().clone();
        open.retain(|host, task| {
            let stays = hosts.contains(host);
            if !stays {
                task.abort();
                house.ports.send_modify(|ports| {
                    ports.remove(host);
                });
            }
            stays
        });
        for host in hosts {
            if open.contains_key(&host) {
                continue;
            }
            let listener = match open_door(preferred.get(&host).copied()).await {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::warn!(host, %error, "no port for a host");
                    continue;
                }
            };
            if let Ok(address) = listener.local_addr() {
                house.ports.send_modify(|ports| {
                    ports.insert(host.clone(), address.port());
                });
            }
            let task = tasks.spawn(listen(listener, Some(host.clone()), house.clone()));
            open.insert(host, task);
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// A port on loopback: the preferred one, or any.
async fn open_door(preferred: Option<u16>) -> io::Result<TcpListener> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = preferred
        && let Ok(listener) = TcpListener::bind(at(port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(at(0)).await
}

/// Accepts connections until the daemon stops. What comes through a door is for the door's host.
async fn listen(listener: TcpListener, door: Option<String>, house: Arc<House>) {
    let mut connections = JoinSet::new();
    let mut stop = house.stop.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(attend(stream, door.clone(), house.clone()));
                }
                // The client went away again, or the machine ran out of files: neither is the listener's end.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    house.real.sleep(RECOVERS).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = told(&mut stop) => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Returns when the daemon is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    // The sender is in the house, which outlives every receiver; were it gone, stopping would be right too.
    stop.wait_for(|stop| *stop).await.ok();
}

/// Serves one connection.
async fn attend(stream: TcpStream, door: Option<String>, house: Arc<House>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection cannot be made prompt");
    }
    let mut stop = house.stop.subscribe();
    let real = house.real;
    let service = service_fn(move |request| {
        let (house, door) = (house.clone(), door.clone());
        async move { Ok::<_, Infallible>(house.answer(door.as_deref(), request).await) }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            real.timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a client went away");
    }
}

/// Returns when the account is empty and nobody has called for as long as that may be.
async fn until_idle(house: &House, idle: Option<Duration>) {
    let Some(idle) = idle else {
        return std::future::pending().await;
    };
    loop {
        house.real.sleep(LOOK.min(idle)).await;
        let last = *house.last_call.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = || house.world.look(|core| core.inventory().is_empty());
        if house.real.since(last) >= idle && house.visits().wishes.is_empty() && empty() {
            return;
        }
    }
}

impl House {
    async fn answer(&self, door: Option<&str>, request: http::Request<Incoming>) -> http::Response<Body> {
        *self.last_call.lock().unwrap_or_else(PoisonError::into_inner) = self.real.now();
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let message = format!("the request's body cannot be taken: {error}");
                return plain(StatusCode::PAYLOAD_TOO_LARGE, &message).map(Body::Whole);
            }
        };
        let mut request = Request::from_parts(head, body);
        if let Some(host) = door {
            address(&mut request, host);
            self.introduce(&mut request, host);
        }
        let mut response = if door.is_none() && host_of(&request) == CONTROL_HOST {
            self.control(&request)
        } else {
            let answer = self.connector.send(request).await;
            answer.unwrap_or_else(|gone| plain(StatusCode::BAD_GATEWAY, &gone.to_string()).map(Body::Whole))
        };
        if door.is_none() {
            tell_time(response.headers_mut(), self.world.clock());
        }
        response
    }

    /// Gives a request to a cluster that comes without a token the one of whoever runs the world.
    fn introduce(&self, request: &mut Request, host: &str) {
        if request.headers().contains_key(AUTHORIZATION) {
            return;
        }
        let token = self.world.look(|core| core.operators_token(host));
        let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        if let Some(header) = header {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
    }

    /// Answers what is asked of the daemon itself.
    fn control(&self, request: &Request) -> http::Response<Body> {
        if request.method() == Method::POST && request.uri().path() == "/visit" {
            return self.visit(request);
        }
        let answer = match (request.method().clone(), request.uri().path()) {
            (Method::GET, "/status") => json_answer(&self.status()),
            (Method::GET, "/inventory") => json_answer(&self.world.look(|core| json!(core.inventory()))),
            (Method::GET, "/clock") => json_answer(&self.clock()),
            (Method::PUT, "/clock") => {
                let Some(speed) = wished_speed(request) else {
                    return unsound_speed().map(Body::Whole);
                };
                self.visits().own = speed;
                self.keep_pace();
                json_answer(&self.clock())
            }
            (Method::POST, "/stop") => {
                self.stop.send_replace(true);
                json_answer(&json!({"stopping": true}))
            }
            (method, path) => {
                let known = "/status, /inventory, /clock, /visit or /stop";
                let message = format!("the daemon knows no `{method} {path}`: ask for {known}");
                plain(StatusCode::NOT_FOUND, &message)
            }
        };
        answer.map(Body::Whole)
    }

    /// Lets somebody in: the answer ends when the daemon does, and whoever stops reading it has gone.
    fn visit(&self, request: &Request) -> http::Response<Body> {
        let wish: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let speed = wished_speed(request);
        if speed.is_none() && !wish["speed"].is_null() {
            return unsound_speed().map(Body::Whole);
        }
        let (reader, pieces) = mpsc::unbounded_channel();
        let number = {
            let mut visits = self.visits();
            visits.last += 1;
            let number = visits.last;
            visits.wishes.insert(number, speed);
            number
        };
        self.keep_pace();
        // If nobody sees visitors off any more, the daemon is about to end, and this answer with it.
        self.arrivals.send(Visit { number, reader }).ok();
        http::Response::new(Body::Pieces(pieces))
    }

    fn leave(&self, number: u64) {
        self.visits().wishes.remove(&number);
        *self.last_call.lock().unwrap_or_else(PoisonError::into_inner) = self.real.now();
        self.keep_pace();
    }

    /// Lets time pass as fast as is wished now.
    fn keep_pace(&self) {
        let speed = self.visits().speed();
        if (self.world.clock().speed() - speed).abs() > f64::EPSILON {
            self.world.set_speed(speed);
        }
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "clock": self.clock(),
            "empty": self.world.look(|core| core.inventory().is_empty()),
            "doors": *self.ports.borrow(),
            "clusters": self.world.look(Core::cluster_names),
        })
    }

    fn clock(&self) -> Value {
        let clock = self.world.clock();
        json!({"now": clock.now().to_string(), "speed": clock.speed()})
    }
}

/// Makes a request one for this host, whatever address the client knew.
fn address(request: &mut Request, host: &str) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // A load balancer's door is its plain port; the API of a cluster has only the other.
    let scheme = if is_load_balancer(host) { "http" } else { "https" };
    if let Ok(uri) = format!("{scheme}://{host}{path}").parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
}

/// The speed that a request wishes, if it is sound.
fn wished_speed(request: &Request) -> Option<f64> {
    let wish: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    wish["speed"].as_f64().filter(|speed| *speed > 0.0 && *speed <= FASTEST)
}

fn unsound_speed() -> Response {
    let message = format!("write {{\"speed\": 60}} with a number above zero, at most {FASTEST}");
    plain(StatusCode::BAD_REQUEST, &message)
}

fn json_answer(value: &Value) -> Response {
    let mut response = Response::new(Bytes::from(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
