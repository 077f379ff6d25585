//! How requests leave: through whatever the caller hands in.

use std::future::Future;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;

use super::PullError;

/// Something that answers HTTP requests. Any function that returns a future of a response will do.
pub trait Transport {
    /// What goes wrong on the way.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends a request and waits for the whole answer. Redirects are not followed here.
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Bytes>, Self::Error>>;
}

impl<F, R, E> Transport for F
where
    F: Fn(Request<Bytes>) -> R,
    R: Future<Output = Result<Response<Bytes>, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    type Error = E;

    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Bytes>, E>> {
        self(request)
    }
}

/// Registries send a blob on at most twice: to a front, and from there to a store.
const REDIRECTS: usize = 5;

/// Gets an address, following redirects; the authorization goes to the first host only.
pub(super) async fn get<T: Transport>(
    transport: &T,
    url: &str,
    accept: &str,
    authorization: Option<&str>,
) -> Result<Response<Bytes>, PullError> {
    let mut target = url.to_owned();
    let mut authorization = authorization;
    for _ in 0..=REDIRECTS {
        let response = send(transport, &target, accept, authorization).await?;
        if !response.status().is_redirection() {
            return Ok(response);
        }
        let Some(location) = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Ok(response);
        };
        let next = join(&target, location);
        if host(&next) != host(&target) {
            authorization = None;
        }
        target = next;
    }
    Err(PullError::Answer {
        url: url.to_owned(),
        reason: format!("more than {REDIRECTS} redirects"),
    })
}

async fn send<T: Transport>(
    transport: &T,
    url: &str,
    accept: &str,
    authorization: Option<&str>,
) -> Result<Response<Bytes>, PullError> {
    let broken = |reason: String| PullError::Reference {
        reference: url.to_owned(),
        reason,
    };
    let mut request = Request::get(url)
        .header(header::USER_AGENT, "tubectl")
        .header(header::ACCEPT, accept);
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(authorization).map_err(|error| broken(error.to_string()))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Bytes::new()).map_err(|error| broken(error.to_string()))?;
    let answer = transport.send(request).await;
    answer.map_err(|error| PullError::Unreachable {
        url: url.to_owned(),
        source: Box::new(error),
    })
}

/// The body of an answer that is one.
pub(super) fn body(url: &str, response: Response<Bytes>) -> Result<Bytes, PullError> {
    if response.status() != StatusCode::OK {
        return Err(PullError::Status {
            url: url.to_owned(),
            status: response.status().as_u16(),
        });
    }
    Ok(response.into_body())
}

/// An address as seen from another one.
pub(super) fn join(base: &str, target: &str) -> String {
    if target.contains("://") {
        return target.to_owned();
    }
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    let root_end = base[scheme_end..].find('/').map_or(base.len(), |at| scheme_end + at);
    if target.starts_with('/') {
        return format!("{}{target}", &base[..root_end]);
    }
    let folder = base[root_end..].rfind('/').map_or(base.len(), |at| root_end + at);
    format!("{}/{target}", &base[..folder])
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}
