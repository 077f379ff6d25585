//! Events: what a controller did or could not do, for whoever asks `kubectl describe`.

use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::kinds;
use crate::kube::store::seconds;

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

/// Records an event about an object; the same event again raises its count.
pub(crate) fn record(scene: &mut Scene<'_>, about: &Value, source: &str, kind: Kind, reason: &str, message: &str) {
    let metadata = &about["metadata"];
    let owner = metadata["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    let namespace = owner.unwrap_or("default");
    let name = format!(
        "{}.{}",
        metadata["name"].as_str().unwrap_or_default(),
        fingerprint(metadata["uid"].as_str().unwrap_or_default(), reason, message)
    );
    let now = json!(seconds(scene.now));
    let store = &mut scene.cluster.store;
    let again = store.change(&kinds::EVENT, namespace, &name, |event| {
        event["count"] = json!(event["count"].as_u64().unwrap_or(1) + 1);
        event["lastTimestamp"] = now.clone();
    });
    if again.is_some() {
        return;
    }
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": if kind == Kind::Normal { "Normal" } else { "Warning" },
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "reportingInstance": "",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "eventTime": null,
    });
    store.create(&kinds::EVENT, event, scene.now, scene.random);
}

/// Sixteen hexadecimal digits that tell one event of an object from another.
fn fingerprint(uid: &str, reason: &str, message: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in uid.bytes().chain(reason.bytes()).chain(message.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
