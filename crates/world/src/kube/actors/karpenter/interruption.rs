//! EC2's warnings: a machine that EC2 wants back is given up before EC2 takes it.
//!
//! They come through the queue that Karpenter is told of. It asks the queue whenever it runs, which is at least every ten
//! seconds while it has machines.

use serde_json::Value;

use crate::core::Scene;
use crate::kube::actors::event;
use crate::kube::actors::karpenter::text;
use crate::kube::actors::kinds;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Reads every warning in the queue, and deletes the claims of the machines that they name.
pub(super) fn heed(scene: &mut Scene<'_>, queue: &str) {
    let (now, region) = (scene.now, scene.cluster.region.clone());
    while let Some(message) = scene.aws.region(&region).sqs.take(queue, now) {
        let warning: Value = serde_json::from_str(&message).unwrap_or_default();
        if warning["detail-type"] == "EC2 Spot Instance Interruption Warning" {
            give_up(scene, &text(&warning["detail"]["instance-id"]));
        }
    }
}

/// Deletes the claim of a machine; its pods make room for a new one.
fn give_up(scene: &mut Scene<'_>, instance: &str) {
    let is_on = |claim: &Value| text(&claim["status"]["providerID"]).rsplit('/').next() == Some(instance);
    let claims = scene.cluster.store.list(&kinds::NODE_CLAIM);
    let Some(claim) = claims
        .filter(|claim| !marked(claim))
        .find(|claim| is_on(claim))
        .cloned()
    else {
        return;
    };
    let message = "Spot interruption warning was triggered";
    event::record(
        scene,
        &claim,
        "karpenter",
        event::Kind::Warning,
        "SpotInterrupted",
        message,
    );
    let name = Name::of(&claim).name;
    scene.cluster.store.delete(&kinds::NODE_CLAIM, "", &name, scene.now, 0);
}
