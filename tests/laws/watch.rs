//! What stands between a client and the world while a law is played: it counts the calls that may change something.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tubectl_world::Core;
use tubectl_world::Request;
use tubectl_world::connect::Connector;
use tubectl_world::connect::Gate;

/// What passes between the clients and the world.
#[derive(Default)]
pub(crate) struct Watch {
    mutating: Mutex<Vec<String>>,
    sent: AtomicU64,
}

impl Watch {
    /// Every call so far that may have changed something.
    pub(crate) fn mutating(&self) -> Vec<String> {
        self.mutating.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls there were so far, of any kind.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The gate of the clients' connector.
    pub(crate) fn connector_gate(self: &Arc<Self>) -> Gate {
        let watch = self.clone();
        Arc::new(move |onward: Connector, request: Request| {
            watch.sent.fetch_add(1, Ordering::Relaxed);
            if !Core::reads(&request) {
                let mut mutating = watch.mutating.lock().unwrap_or_else(PoisonError::into_inner);
                mutating.push(called(&request));
            }
            Box::pin(async move { onward.send(request).await })
        })
    }
}

/// What a request asks for, for whoever reads the report of a broken law.
fn called(request: &Request) -> String {
    let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    let form = String::from_utf8_lossy(request.body());
    let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
    let operation = header("x-amz-target").or_else(|| action.map(str::to_owned));
    operation.unwrap_or_else(|| {
        let host = header("host").or_else(|| request.uri().host().map(str::to_owned));
        let host = host.unwrap_or_default();
        format!("{} {host}{}", request.method(), request.uri().path())
    })
}
