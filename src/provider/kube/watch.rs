//! Waiting for an object to become another: by a watch, and by looking again where a watch cannot be had.
//!
//! What a watch says is only taken as a sign that something happened; what is, is read. So a watch that breaks, or
//! that has missed too much to go on, costs time and never the truth.

use std::time::Duration;

use futures::StreamExt as _;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use serde_json::Value;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;

/// How long one watch is kept open, in seconds: not so long that a connection that died unnoticed hides much.
const OPEN_FOR: u32 = 60;

/// How long to wait before looking again where there is no watch.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Something happened, or its time is over.
    Look,
    /// It cannot be had.
    None,
}

impl Kube {
    /// Waits until an object is not the one that is known, and gives it as it is then; none when there is none.
    ///
    /// Without one that is known, it comes back at once, and as soon as there is one if there was none.
    pub async fn changed(&self, name: &ObjectName, known: Option<&Value>) -> Result<Option<Value>, ProviderError> {
        loop {
            let found = self.get(name).await?;
            if version(found.as_ref()) != version(known) {
                return Ok(found);
            }
            match self.sign(name, version(known)).await {
                Sign::Look => {}
                Sign::None => self.clock.sleep(LOOKS_EVERY).await,
            }
        }
    }

    /// Waits for a watch to say something about an object that is not in it yet.
    async fn sign(&self, name: &ObjectName, since: &str) -> Sign {
        let parameters = WatchParams::default()
            .fields(&format!("metadata.name={}", name.name))
            .timeout(OPEN_FOR);
        let told = async {
            let api = self.api(name).await.ok()?;
            let stream = api.watch(&parameters, since).await.ok()?;
            let mut stream = std::pin::pin!(stream);
            loop {
                match stream.next().await {
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    Some(Ok(WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_))) | None => {
                        return Some(());
                    }
                    Some(Ok(WatchEvent::Error(_)) | Err(_)) => return None,
                }
            }
        };
        // The server ends the watch; the deadline is for one that does not.
        let within = Duration::from_secs(u64::from(OPEN_FOR) * 2);
        match self.clock.timeout(within, told).await {
            Ok(Some(())) => Sign::Look,
            Ok(None) | Err(_) => Sign::None,
        }
    }
}

/// The version of an object; empty without one.
fn version(object: Option<&Value>) -> &str {
    let version = object.map(|object| &object["metadata"]["resourceVersion"]);
    version.and_then(Value::as_str).unwrap_or_default()
}
