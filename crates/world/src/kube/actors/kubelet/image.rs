//! Images: how long a node takes to pull one, and which it has.

use std::time::Duration;

use serde_json::Value;

use crate::core::Scene;
use crate::kube::actors::kinds;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;

/// How large an image is, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// A static binary: megabytes.
    Small,
    /// A controller: tens to hundreds of megabytes.
    Usual,
    /// CUDA and `PyTorch`: eight to ten gigabytes.
    Huge,
}

/// How a node stores and fetches images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Plain,
    /// SOCI: layers fetched and unpacked in parallel.
    Parallel,
    /// A disk that was made from a snapshot with the images in it.
    Preloaded,
}

/// How long the node takes until it has the container's image; nothing if it has it already.
pub(super) fn pull(scene: &mut Scene<'_>, container: &Value, node: &str) -> Option<Duration> {
    let image = container["image"].as_str().unwrap_or_default();
    let known = scene.cluster.actors.kubelet.images.entry(node.to_owned()).or_default();
    let present = !known.insert(image.to_owned());
    let always = container["imagePullPolicy"] == "Always"
        || (container["imagePullPolicy"].is_null() && (image.ends_with(":latest") || !has_tag(image)));
    if present {
        return always.then(|| scene.random.seconds(0.2, 0.4, 1.0));
    }
    let random = &mut *scene.random;
    Some(match (size(image), method(&scene.cluster.store, node)) {
        (Size::Small, _) => random.seconds(0.8, 1.4, 3.0),
        (Size::Usual, _) => random.seconds(2.0, 3.5, 8.0),
        (Size::Huge, Method::Plain) => random.seconds(180.0, 240.0, 300.0),
        (Size::Huge, Method::Parallel) => random.seconds(30.0, 44.0, 55.0),
        (Size::Huge, Method::Preloaded) => random.seconds(0.5, 4.0, 10.0),
    })
}

/// Why an image cannot be pulled: a tag that the account's own registry does not hold.
pub(super) fn unavailable(scene: &Scene<'_>, container: &Value) -> Option<String> {
    let image = container["image"].as_str().unwrap_or_default();
    let broken = image.is_empty() || image.contains(char::is_whitespace);
    let _ = scene;
    broken.then(|| {
        format!("Failed to apply default image tag \"{image}\": couldn't parse image name: invalid reference format")
    })
}

fn has_tag(image: &str) -> bool {
    image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn size(image: &str) -> Size {
    let repository = image.split('@').next().unwrap_or_default();
    if ["vllm", "sglang", "text-generation-inference", "pytorch", "cuda"]
        .iter()
        .any(|part| repository.contains(part))
    {
        Size::Huge
    } else if repository.contains(".dkr.ecr.") || repository.contains("pause") {
        Size::Small
    } else {
        Size::Usual
    }
}

/// How the node's class says that images are fetched.
fn method(store: &crate::kube::store::Store, node: &str) -> Method {
    let node = store.get(&kinds::NODE, "", node);
    let class = node.and_then(|node| selector::labels(node)["karpenter.k8s.aws/ec2nodeclass"].as_str());
    let Some(class) = class.and_then(|class| store.get(&kinds::NODE_CLASS, "", class)) else {
        return Method::Plain;
    };
    let mut disks = list(&class["spec"]["blockDeviceMappings"]).iter();
    let parallel = class["spec"]["userData"]
        .as_str()
        .is_some_and(|data| data.contains("parallel-pull"));
    if disks.any(|disk| disk["ebs"]["snapshotID"].is_string()) {
        Method::Preloaded
    } else if parallel {
        Method::Parallel
    } else {
        Method::Plain
    }
}
