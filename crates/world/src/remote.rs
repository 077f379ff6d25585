//! The way to a world that another process runs: production URLs, sent whole to an address on loopback.
//!
//! Every request names its host in its first line, as requests to a proxy do; that is how one port serves every host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Uri;
use http::header::HOST;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tubectl_clock::Clock;
use tubectl_clock::Dial;

use crate::connect::Body;
use crate::connect::Gone;
use crate::core::Request;

/// Connections that are kept for the next request. More than a handful would only serve a burst that is over.
const KEPT: usize = 64;

/// The header in which a served world tells its time with every answer: the point in time, and how fast it passes.
const TIME: &str = "x-tubectl-time";

/// How far the clock here may be from the world's, in the machine's time: what an answer takes to arrive. Setting it wakes
/// everybody who waits by it.
const AGREES_WITHIN: Duration = Duration::from_millis(50);

/// A world at an address.
#[derive(Clone)]
pub(crate) struct Remote {
    address: SocketAddr,
    dial: Dial,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Remote {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            dial: Dial::new(Clock::starting_at(Timestamp::UNIX_EPOCH)),
            idle: Arc::default(),
        }
    }

    /// The world's clock, as its last answer told the time.
    pub(crate) fn clock(&self) -> Clock {
        self.dial.clock()
    }

    /// Sends one request and gives the answer's head, with its body whole or arriving.
    pub(crate) async fn send(&self, request: Request) -> Result<http::Response<Body>, Gone> {
        let mut request = in_full(request).map(Full::new);
        while let Some(mut connection) = self.kept() {
            match connection.try_send_request(request).await {
                Ok(response) => return self.receive(response, connection).await,
                // The world closed a connection that lay idle: the request has not left yet.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.gone(error.into_error())),
                },
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request).await;
        let response = response.map_err(|error| self.gone(error))?;
        self.receive(response, connection).await
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Gone> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| self.gone(error))?;
        // Requests are written whole; waiting for more only delays them.
        stream.set_nodelay(true).map_err(|error| self.gone(error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.gone(error))?;
        // It ends when the sender and the body in hand are dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the local world broke");
            }
        });
        Ok(sender)
    }

    async fn receive(
        &self,
        response: http::Response<Incoming>,
        connection: SendRequest<Full<Bytes>>,
    ) -> Result<http::Response<Body>, Gone> {
        let (head, body) = response.into_parts();
        self.agree(&head.headers);
        if body.size_hint().exact().is_none() {
            let (sender, pieces) = mpsc::unbounded_channel();
            tokio::spawn(forward(body, sender));
            return Ok(http::Response::from_parts(head, Body::Pieces(pieces)));
        }
        let whole = body.collect().await.map_err(|error| self.gone(error))?.to_bytes();
        self.keep(connection);
        Ok(http::Response::from_parts(head, Body::Whole(whole)))
    }

    /// Sets the clock here by what an answer tells.
    fn agree(&self, headers: &HeaderMap) {
        let Some(told) = headers.get(TIME).and_then(told) else {
            return;
        };
        let ours = self.dial.clock();
        let apart = told.now().duration_since(ours.now()).abs().as_secs_f64() / told.speed();
        if apart > AGREES_WITHIN.as_secs_f64() || (ours.speed() - told.speed()).abs() > f64::EPSILON {
            self.dial.set(told);
        }
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        let ready = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
    }

    fn gone(&self, error: impl std::fmt::Display) -> Gone {
        Gone::Unreachable {
            address: self.address,
            reason: error.to_string(),
        }
    }
}

/// Passes on what arrives until it ends or nobody reads any more.
async fn forward(mut body: Incoming, sender: mpsc::UnboundedSender<Bytes>) {
    loop {
        let frame = tokio::select! {
            () = sender.closed() => return,
            frame = body.frame() => frame,
        };
        match frame {
            None | Some(Err(_)) => return,
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data()
                    && sender.send(piece).is_err()
                {
                    return;
                }
            }
        }
    }
}

/// Tells the time with an answer.
pub(crate) fn tell_time(headers: &mut HeaderMap, clock: Clock) {
    let told = HeaderValue::try_from(format!("{} {}", clock.now(), clock.speed()));
    headers.insert(TIME, told.expect("a point in time and a number are plain letters"));
}

/// The time that a header tells.
fn told(header: &HeaderValue) -> Option<Clock> {
    let (now, speed) = header.to_str().ok()?.split_once(' ')?;
    let speed: f64 = speed
        .parse()
        .ok()
        .filter(|speed: &f64| speed.is_finite() && *speed > 0.0)?;
    Some(Clock::starting_at(now.parse().ok()?).at_speed(speed))
}

/// The request with its host in its URI, where only a header said it, and in the header, where only the URI did.
fn in_full(mut request: Request) -> Request {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let Some(host) = authority.clone().or_else(|| header.map(str::to_owned)) else {
        return request;
    };
    if authority.is_none() {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if let Ok(uri) = format!("http://{host}{path}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    if let Ok(host) = HeaderValue::from_str(&host) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request
}
