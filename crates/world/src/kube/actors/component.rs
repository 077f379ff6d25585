//! Components that act through their workloads: found by what their containers run, and only while that is Available.

use std::sync::Arc;

use serde_json::Value;

use crate::kube::actors::condition;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::program;
use crate::kube::actors::selector::list;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// A component that runs.
pub(crate) struct Component {
    /// Its Deployment.
    pub(crate) deployment: Arc<Value>,
    /// The container that it is.
    pub(crate) container: Value,
}

impl Component {
    /// The value of an argument written `--name=value`.
    pub(crate) fn argument(&self, name: &str) -> Option<String> {
        let words = program::words(&self.container);
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }

    /// The namespace that it runs in.
    pub(crate) fn namespace(&self) -> &str {
        self.deployment["metadata"]["namespace"].as_str().unwrap_or_default()
    }
}

/// The value of a container's variable.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = list(&container["env"]);
    variables.iter().find(|one| one["name"] == name)?["value"].as_str()
}

/// The first Available Deployment with a container that `is` the component.
pub(crate) fn available(store: &Store, is: fn(&Value) -> bool) -> Option<Component> {
    store.list(&kinds::DEPLOYMENT).find_map(|deployment| {
        if !condition::holds(deployment, "Available") || marked(deployment) || deployment["spec"]["replicas"] == 0 {
            return None;
        }
        let containers = list(&deployment["spec"]["template"]["spec"]["containers"]);
        let container = containers.iter().find(|container| is(container))?.clone();
        Some(Component {
            deployment: deployment.clone(),
            container,
        })
    })
}

/// Whether a container's command and arguments begin with a word.
fn runs(container: &Value, word: &str) -> bool {
    program::words(container).first().is_some_and(|first| first == word)
}

/// KEDA's operator.
pub(crate) fn is_keda_operator(container: &Value) -> bool {
    runs(container, "/keda")
}

/// KEDA's metrics adapter.
pub(crate) fn is_keda_adapter(container: &Value) -> bool {
    program::words(container)
        .iter()
        .any(|word| word.ends_with("keda-adapter"))
}

/// Kedify's `OTel` scaler.
pub(crate) fn is_otel_scaler(container: &Value) -> bool {
    variable(container, "KEDA_EXTERNAL_SCALER_PORT").is_some()
}

/// The OpenTelemetry collector.
pub(crate) fn is_collector(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    let words = program::words(container);
    (image.contains("opentelemetry-collector") || words.iter().any(|word| word.contains("otelcol")))
        && words.iter().any(|word| word.starts_with("--config"))
}

/// Karpenter's controller.
pub(crate) fn is_karpenter(container: &Value) -> bool {
    variable(container, "KARPENTER_SERVICE").is_some() && variable(container, "CLUSTER_NAME").is_some()
}

/// The AWS load balancer controller.
pub(crate) fn is_load_balancer_controller(container: &Value) -> bool {
    let words = program::words(container);
    let has = |name: &str| words.iter().any(|word| word.starts_with(name));
    has("--cluster-name=") && has("--ingress-class=")
}
