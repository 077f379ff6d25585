//! From arguments to a context: which world is meant, how it is reached, and what time it is there.
//!
//! The local world is a daemon of this home. It is started where none runs; what a killed one left behind is noticed
//! and mended here, and nowhere else.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use camino::Utf8Path;
use camino::Utf8PathBuf;
use fs_err as fs;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tubectl_clock::Clock;
use tubectl_world::connect::Body;
use tubectl_world::connect::Connector;
use tubectl_world::serve::CONTROL_HOST;

use crate::apply::cancel::Cancel;
use crate::clients::Clients;
use crate::commands::args::PlaceArguments;
use crate::commands::context::Context;
use crate::commands::context::Home;
use crate::commands::context::WorldName;
use crate::commands::session;
use crate::error::Failure;
use crate::error::Kind;
use crate::event::Event;
use crate::event::Events;
use crate::provider::aws::Place;
use crate::stack::load;
use crate::stack::load::Files;
use crate::stack::load::Settings;
use crate::state::lock;
use crate::state::lock::Held;
use crate::state::lock::Owner;
use crate::ui::output::Output;

/// The version that must agree between whoever calls and the daemon.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a daemon may take to say who it is: it does nothing else first.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long a daemon may take to start: most of it is reading a long log again.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How often a daemon that starts or ends is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a daemon writes down about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its process.
    pub pid: u32,
    /// Its main port on loopback.
    pub port: u16,
    /// Its version.
    pub version: String,
    /// When it started, in the machine's time.
    pub started: jiff::Timestamp,
}

/// What a command means to do with a stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Intent<'a> {
    /// Look: whoever changes the stack is not disturbed, and neither is the local world's time.
    Look,
    /// Change it, as the only one who does.
    Change {
        /// The command, for whoever comes second.
        command: &'a str,
        /// How fast time is to pass in the local world meanwhile.
        speed: f64,
    },
}

/// A world that a command works in.
pub struct Connected {
    /// What the command works with.
    pub context: Context,
    /// Where its events come out.
    pub heard: UnboundedReceiver<Event>,
    /// Who runs the world, if it is the local one.
    pub daemon: Option<Daemon>,
    /// The right to change the stack, if that is meant.
    pub held: Option<Held>,
    /// Being there: the local world does not end meanwhile for want of somebody who needs it.
    pub visit: Option<Visit>,
}

/// How fast time is to pass while something is changed.
#[derive(Clone, Default)]
pub struct Pace(Option<(Daemon, f64)>);

impl Pace {
    /// Lets it pass so fast until the visit is dropped, or this process is gone.
    pub async fn hurry(&self) -> Result<Option<Visit>, Failure> {
        match &self.0 {
            Some((daemon, speed)) => daemon.visit(Some(*speed)).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Being in the local world: an answer without an end.
pub struct Visit(Body);

impl Visit {
    /// Waits until the world ends: the answer ends with it.
    pub async fn ended(&mut self) {
        if let Body::Pieces(pieces) = &mut self.0 {
            while pieces.recv().await.is_some() {}
        }
    }
}

/// A daemon that answers.
#[derive(Clone)]
pub struct Daemon {
    /// What it wrote down.
    pub record: Record,
    /// The way to its world.
    pub connector: Connector,
    lock: Utf8PathBuf,
}

/// What is known of a home's daemon.
enum Found {
    /// None ever ran, or the last one ended as it should.
    Nothing,
    /// What is written down is of a daemon that is gone; the text says how that shows.
    Stale(String),
    /// It answers.
    Running(Daemon),
}

/// The port of the first world on a machine: one that people can remember and nobody has registered for much.
const PORT: u16 = 4747;

/// The files of a home's world.
pub fn folder(home: &Utf8Path) -> Utf8PathBuf {
    home.join("world")
}

/// What the daemon has locked as long as it lives: the kernel takes the lock off a killed one.
pub fn lock_path(home: &Utf8Path) -> Utf8PathBuf {
    folder(home).join("daemon.lock")
}

/// Where the daemon says where it is.
pub fn record_path(home: &Utf8Path) -> Utf8PathBuf {
    folder(home).join("daemon.json")
}

/// Where the daemon notes its port for its successor.
pub fn port_path(home: &Utf8Path) -> Utf8PathBuf {
    folder(home).join("port")
}

/// Where the daemon's own words go.
pub fn log_path(home: &Utf8Path) -> Utf8PathBuf {
    folder(home).join("daemon.log")
}

/// Connects to the world that is meant.
pub async fn connect(
    place: &PlaceArguments,
    home: &Utf8Path,
    (files, settings): (&Files, &Settings),
    intent: Intent<'_>,
    output: Output,
) -> Result<Connected, Failure> {
    let region = match &place.region {
        Some(region) => region.clone(),
        None => load::region(files, settings).map_err(Failure::yours)?,
    };
    let world = place.on.map_or(WorldName::Local, WorldName::from);
    let daemon = match world {
        WorldName::Aws => None,
        WorldName::Local => Some(running(home, output).await?),
    };
    let visit = match &daemon {
        Some(daemon) => Some(daemon.visit(None).await?),
        None => None,
    };
    let clients = match &daemon {
        Some(daemon) => Clients::local(daemon.connector.clone(), &region, daemon.connector.clock()),
        None => Clients::real(place.profile.as_deref(), &region)
            .await
            .map_err(Failure::yours)?,
    };
    let home = Home::Folder(home.to_owned());
    let (mut held, mut pace) = (None, Pace::default());
    if let Intent::Change { command, speed } = intent {
        let place = Place::ask(&clients.aws).await.map_err(Failure::yours)?;
        let name = session::name(files, settings, &place)?;
        if let Some(path) = home.lease(world, &place.account, &place.region, &name) {
            let owner = Owner::this_process(command);
            let lease = lock::acquire(&path, owner, Clock::real().now()).map_err(Failure::yours)?;
            if let Some(Owner { command, process, .. }) = lease.taken_from() {
                output.narrate(&format!(
                    "`{command}` (process {process}) ended without giving `{name}` back: it is taken over"
                ));
            }
            held = Some(lease);
        }
        pace = Pace(daemon.clone().map(|daemon| (daemon, speed)));
    }
    let (events, heard) = Events::channel(clients.clock);
    let context = Context {
        world,
        clock: clients.clock,
        clients,
        events,
        cancel: Cancel::default(),
        home,
        pace,
        fence: held.as_ref().map(Held::fence),
    };
    Ok(Connected {
        context,
        heard,
        daemon,
        held,
        visit,
    })
}

/// The home's daemon; one is started where none runs.
pub async fn running(home: &Utf8Path, output: Output) -> Result<Daemon, Failure> {
    match find(home).await? {
        Found::Running(daemon) if daemon.record.version == VERSION => return Ok(daemon),
        Found::Running(daemon) => {
            let version = &daemon.record.version;
            output.narrate(&format!(
                "the local world is run by tubectl {version}: it is stopped, and {VERSION} goes on with it"
            ));
            daemon.stop().await?;
        }
        Found::Stale(how) => output.narrate(&format!(
            "the local world was not stopped: {how}; it goes on where it was"
        )),
        Found::Nothing => {}
    }
    let wanted = port(home);
    let daemon = start(home).await?;
    let port = daemon.record.port;
    if port != wanted {
        output.narrate(&format!(
            "another program has port {wanted}: the local world is at port {port} now, as `tubectl world env` says"
        ));
    }
    Ok(daemon)
}

/// The port that a home's world had last, else the usual one: whoever noted an address finds the world there again.
pub fn port(home: &Utf8Path) -> u16 {
    let last = fs::read_to_string(port_path(home)).ok();
    last.and_then(|text| text.trim().parse().ok()).unwrap_or(PORT)
}

/// The home's daemon, if one runs.
pub async fn standing(home: &Utf8Path) -> Result<Option<Daemon>, Failure> {
    Ok(match find(home).await? {
        Found::Running(daemon) => Some(daemon),
        Found::Nothing | Found::Stale(_) => None,
    })
}

async fn find(home: &Utf8Path) -> Result<Found, Failure> {
    let path = record_path(home);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(unusable(&error)),
    };
    let Ok(record) = serde_json::from_str::<Record>(&text) else {
        return Ok(Found::Stale(format!("{path} cannot be read")));
    };
    let daemon = Daemon::at(home, record);
    let pid = daemon.record.pid;
    match daemon.status().await {
        // The port may be another home's by now: the process tells.
        Ok(status) if status["process"] == pid => Ok(Found::Running(daemon)),
        Ok(_) => Ok(Found::Stale(format!("another program has the port of process {pid}"))),
        Err(_) => Ok(Found::Stale(format!("process {pid} does not answer"))),
    }
}

/// Starts a daemon and waits until it answers.
async fn start(home: &Utf8Path) -> Result<Daemon, Failure> {
    let mut child = spawn(home).map_err(|error| unusable(&error))?;
    let real = Clock::real();
    let begun = real.now();
    while real.since(begun) < STARTS_WITHIN {
        if let Found::Running(daemon) = find(home).await? {
            return Ok(daemon);
        }
        if let Ok(Some(_)) = child.try_wait() {
            // Another command may have been quicker: then its daemon is ours, too.
            if let Found::Running(daemon) = find(home).await? {
                return Ok(daemon);
            }
            return Err(not_started(home, "ended at once"));
        }
        real.sleep(LOOK).await;
    }
    Err(not_started(home, "does not answer"))
}

/// Starts a process that outlives this one and its terminal.
fn spawn(home: &Utf8Path) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    fs::create_dir_all(folder(home))?;
    let log = fs::File::create(log_path(home))?;
    let (log, _) = log.into_parts();
    Command::new(std::env::current_exe()?)
        .args(["world", "serve"])
        .env("TUBECTL_HOME", std::path::absolute(home)?)
        // A Ctrl-C at the terminal is for the command, not for the world.
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

impl Daemon {
    fn at(home: &Utf8Path, record: Record) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, record.port));
        Self {
            record,
            connector: Connector::to_daemon(address),
            lock: lock_path(home),
        }
    }

    /// Asks the daemon itself.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        self.within(async {
            let body = self.send(method, path, body).await?.whole().await;
            serde_json::from_slice(&body).map_err(|_| "another program has its port".to_owned())
        })
        .await
    }

    /// Is there until the visit is dropped; as long, time passes at the speed that is wished.
    pub async fn visit(&self, speed: Option<f64>) -> Result<Visit, Failure> {
        let wish = json!({"speed": speed});
        self.within(async { self.send("POST", "/visit", &wish).await.map(Visit) })
            .await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Body, String> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{CONTROL_HOST}{path}"))
            .body(Bytes::from(body.to_string()))
            .expect("the parts are constants");
        let response = self.connector.send(request).await.map_err(|gone| gone.to_string())?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let text = response.into_body().whole().await;
        Err(String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    /// Waits for an answer of the daemon itself, which is never long in coming.
    async fn within<T>(&self, answer: impl Future<Output = Result<T, String>>) -> Result<T, Failure> {
        let within = Clock::real().timeout(ANSWERS_WITHIN, answer).await;
        let answer = within.unwrap_or_else(|_| Err(format!("process {} does not answer", self.record.pid)));
        answer.map_err(|why| Failure::said(Kind::Yours, why, "start it anew: `tubectl world start`"))
    }

    /// Sets how fast time passes for as long as nobody wishes it otherwise.
    pub async fn set_speed(&self, speed: f64) -> Result<(), Failure> {
        self.ask("PUT", "/clock", &json!({"speed": speed})).await.map(drop)
    }

    /// What it says of itself.
    pub async fn status(&self) -> Result<Value, Failure> {
        self.ask("GET", "/status", &Value::Null).await
    }

    /// The addresses of load balancers on this machine.
    pub async fn pages(&self) -> Result<Vec<String>, Failure> {
        let doors = self.doors().await?;
        let pages = doors.into_iter().filter(|(host, _)| host.contains(".elb."));
        Ok(pages.map(|(_, address)| address).collect())
    }

    /// The addresses of hosts on this machine, by their names in the world.
    pub async fn doors(&self) -> Result<BTreeMap<String, String>, Failure> {
        let status = self.status().await?;
        let doors = status["doors"].as_object().into_iter().flatten();
        Ok(doors
            .map(|(host, port)| (host.clone(), format!("http://127.0.0.1:{port}")))
            .collect())
    }

    /// Stops it, and waits until its last snapshot is written.
    pub async fn stop(&self) -> Result<(), Failure> {
        self.ask("POST", "/stop", &Value::Null).await?;
        let real = Clock::real();
        let begun = real.now();
        while self.is_alive() && real.since(begun) < STARTS_WITHIN {
            real.sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether it still has its lock.
    fn is_alive(&self) -> bool {
        let lock = fs::File::open(&self.lock).map(|file| file.into_parts().0);
        lock.is_ok_and(|lock| lock.try_lock().is_err())
    }
}

fn not_started(home: &Utf8Path, how: &str) -> Failure {
    let log = log_path(home);
    let words = fs::read_to_string(&log).unwrap_or_default();
    let words: Vec<&str> = words.lines().rev().take(6).collect();
    let words: String = words.iter().rev().map(|line| format!("\n  {line}")).collect();
    let what = format!("the local world {how}{words}");
    Failure::said(Kind::Yours, what, format!("see {log} for all that it said"))
}

/// The home cannot be used.
pub fn unusable(error: &std::io::Error) -> Failure {
    let next = "make the folder writable and see that the disk has room, or name another home with TUBECTL_HOME";
    Failure::said(Kind::Yours, error.to_string(), next)
}
