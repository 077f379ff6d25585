//! The audience's app on a port of this machine, with the operator at standard input.
//!
//! ```text
//! serve [PORT [COMMAND]..]
//! ```
//!
//! It says where it listens, then does what standard input says, a command a line, and answers each with `ok` or with
//! what is wrong; the commands of the command line are done before it listens. It ends with its input.
//!
//! ```text
//! mode quiz|survey|closed          session NAME                 winners [ID]..
//! model up|down                    stats QUEUE RUNNING DESIRED READY MOST
//! ```
//!
//! The storage is memory and the model a stand-in that takes 300 ms. Nothing but loopback can reach it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tubectl_clock::Clock;
use tubectl_gateway::Gateway;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Settings;
use tubectl_gateway::Show;
use tubectl_gateway::Stats;
use tubectl_gateway::Upstream;

/// How long the model thinks: long enough for a person to see that it does.
const THOUGHT: Duration = Duration::from_millis(300);
/// More than the largest body that any route takes.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// Who decides what the audience is asked for, and whether the model runs.
struct Operator {
    gateway: Gateway,
    model_is_up: Arc<AtomicBool>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let operator = Operator::new()?;
    for command in arguments {
        operator.obey(&command)?;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?))?;
    let gateway = operator.gateway.clone();
    let (end, ended) = oneshot::channel();
    thread::spawn(move || {
        let read = operator.read_commands();
        // The other end waits for as long as it serves, and there is nobody else to tell.
        let _ = end.send(read);
    });
    tokio::select! {
        served = serve(&listener, &gateway) => served?,
        read = ended => read??,
    }
    Ok(())
}

async fn serve(listener: &TcpListener, gateway: &Gateway) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, gateway.clone()));
    }
}

/// Answers one connection until it ends; a phone that goes away is no error.
async fn converse(stream: TcpStream, gateway: Gateway) {
    let service = service_fn(move |request| answer(gateway.clone(), request));
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(gateway: Gateway, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => gateway.handle(Request::from_parts(head, body.to_bytes())).await,
        Err(error) => {
            let mut response = Response::new(Bytes::from(error.to_string()));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
    };
    Ok(response.map(Full::new))
}

/// A model of one sentence.
async fn think(clock: Clock, up: Arc<AtomicBool>) -> Result<Response<Bytes>, &'static str> {
    clock.sleep(THOUGHT).await;
    if !up.load(Relaxed) {
        return Err("the model is down");
    }
    let answer = "Because platforms curve and trains do not. Mind it, and mind the doors.";
    let body = serde_json::json!({"choices": [{"message": {"role": "assistant", "content": answer}}]});
    Ok(Response::new(Bytes::from(body.to_string())))
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

impl Operator {
    fn new() -> Result<Self, Box<dyn Error>> {
        let clock = Clock::real();
        let model_is_up = Arc::new(AtomicBool::new(true));
        let up = model_is_up.clone();
        let settings = Settings {
            show: Show::quiz("rehearsal"),
            model: "stand-in".to_owned(),
            upstream: "model:8000".parse()?,
        };
        let upstream = Upstream::new(move |_| think(clock, up.clone()));
        let storage = Arc::new(MemoryStorage::default());
        Ok(Self {
            gateway: Gateway::new(settings, storage, upstream, clock, 7),
            model_is_up,
        })
    }

    fn read_commands(&self) -> io::Result<()> {
        for line in io::stdin().lines() {
            match self.obey(&line?) {
                Ok(()) => say("ok")?,
                Err(problem) => say(&problem)?,
            }
        }
        Ok(())
    }

    fn obey(&self, command: &str) -> Result<(), String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["mode", mode] => self.configure(Show::MODE, mode),
            ["session", session] => self.configure(Show::SESSION, session),
            ["winners", winners @ ..] => self.configure(Show::WINNERS, &winners.join(",")),
            ["model", state @ ("up" | "down")] => {
                self.model_is_up.store(*state == "up", Relaxed);
                Ok(())
            }
            ["stats", figures @ ..] => self.observe(figures),
            _ => Err(format!(
                "`{command}` is not a command; the example's first lines list them"
            )),
        }
    }

    /// Changes one key of the configuration, as it would change in the `ConfigMap`.
    fn configure(&self, key: &str, value: &str) -> Result<(), String> {
        let mut data: BTreeMap<String, String> = self.gateway.show().to_config();
        data.insert(key.to_owned(), value.to_owned());
        let show = Show::from_config(&data).map_err(|error| error.to_string())?;
        self.gateway.configure(show);
        Ok(())
    }

    fn observe(&self, figures: &[&str]) -> Result<(), String> {
        let read = |figure: &&str| figure.parse::<u32>();
        let figures: Result<Vec<u32>, _> = figures.iter().map(read).collect();
        let Ok([queue, running, pods_desired, pods_ready, pods_max]) = figures.as_deref() else {
            return Err("`stats` takes five whole numbers: QUEUE RUNNING DESIRED READY MOST".to_owned());
        };
        self.gateway.observe(Stats {
            queue: (*queue).into(),
            running: (*running).into(),
            pods_desired: *pods_desired,
            pods_ready: *pods_ready,
            pods_max: *pods_max,
        });
        Ok(())
    }
}
