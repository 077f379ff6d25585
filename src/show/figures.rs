//! The figures of what scales, read where an operator reads them: the autoscaler, the Deployment, its pods, and what
//! the model servers say of themselves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::Value;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;

/// What the model servers and their autoscaler are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that wait for a slot.
    pub waiting: u64,
    /// Requests that are worked on.
    pub running: u64,
    /// Replicas that the autoscaler wants.
    pub desired: u32,
    /// Replicas that have a node.
    pub scheduled: u32,
    /// Replicas that answer.
    pub ready: u32,
    /// The most replicas there may be.
    pub most: u32,
}

/// Reads the figures of one Deployment.
pub async fn read(kube: &Kube, namespace: &str, deployment: &str) -> Result<Figures, ProviderError> {
    let name = ObjectName {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: namespace.to_owned(),
        name: deployment.to_owned(),
    };
    let Some(object) = kube.get(&name).await? else {
        return Ok(Figures::default());
    };
    let autoscalers = kube.list_in(namespace, "autoscaling/v2", "HorizontalPodAutoscaler", "");
    let selector = selector(&object["spec"]["selector"]["matchLabels"]);
    let pods = kube.list_in(namespace, "v1", "Pod", &selector);
    let (autoscalers, pods) = futures::try_join!(autoscalers, pods)?;
    let autoscaler = autoscalers.iter().find(|one| {
        let target = &one["spec"]["scaleTargetRef"];
        target["kind"] == "Deployment" && target["name"] == deployment
    });
    let wanted = count(&object["spec"]["replicas"]);
    let (desired, most) = match autoscaler {
        // Before its first decision it wants nothing, and the Deployment's own number stands.
        Some(one) => (
            count(&one["status"]["desiredReplicas"]).max(u32::from(wanted > 0)),
            count(&one["spec"]["maxReplicas"]),
        ),
        None => (wanted, wanted),
    };
    let (waiting, running) = queue(kube, namespace, &pods).await;
    let scheduled = pods
        .iter()
        .filter(|pod| is_alive(pod) && pod["spec"]["nodeName"].is_string());
    Ok(Figures {
        waiting,
        running,
        desired,
        scheduled: u32::try_from(scheduled.count()).unwrap_or(u32::MAX),
        ready: count(&object["status"]["readyReplicas"]),
        most,
    })
}

/// What waits and what runs, over all servers that answer. One that does not has nothing in its queue that could ever
/// be answered.
async fn queue(kube: &Kube, namespace: &str, pods: &[Value]) -> (u64, u64) {
    let ready = pods.iter().filter(|pod| is_alive(pod) && is_ready(pod));
    let asked = ready
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .map(|pod| async move {
            let metrics = kube.ask_pod(namespace, pod, "/metrics").await.unwrap_or_default();
            (
                whole(sum(&metrics, "vllm:num_requests_waiting", &[])),
                whole(sum(&metrics, "vllm:num_requests_running", &[])),
            )
        });
    let each = join_all(asked).await;
    each.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// The sum of a metric over all series that carry these labels, in Prometheus' text format.
pub fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let of_series = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (own, carried) = series.split_once('{').unwrap_or((series, ""));
        let carries = |(label, value): &(&str, &str)| carried.contains(&format!("{label}=\"{value}\""));
        (own == name && labels.iter().all(carries))
            .then_some(value)?
            .parse::<f64>()
            .ok()
    };
    metrics.lines().filter_map(of_series).sum()
}

/// The names of the metrics in Prometheus' text format.
pub fn names(metrics: &str) -> BTreeSet<String> {
    let of_series = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(of_series).filter(|name| !name.is_empty()).collect()
}

/// A count that Prometheus writes as a fraction.
pub fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and counts are small and not negative"
    )]
    let whole = value.round() as u64;
    whole
}

/// A label selector as the API takes it.
pub fn selector(labels: &Value) -> String {
    let labels: BTreeMap<&str, &str> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    let terms: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    terms.join(",")
}

/// Whether a pod is neither over nor leaving.
pub fn is_alive(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether an object's condition `Ready` holds.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const METRICS: &str = "\
# HELP vllm:num_requests_waiting Number of requests waiting.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 12.0
vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 32.0
completions{source=\"proxy\",outcome=\"answered\"} 7
completions{source=\"proxy\",outcome=\"failed\"} 2
completions{source=\"question\",outcome=\"answered\"} 1
plain 3
";

    #[test]
    fn a_metric_is_summed_over_the_series_that_carry_its_labels() {
        for (name, labels, expected) in [
            ("vllm:num_requests_waiting", &[][..], 12),
            ("completions", &[("source", "proxy")][..], 9),
            ("completions", &[("source", "proxy"), ("outcome", "failed")][..], 2),
            ("completions", &[][..], 10),
            ("plain", &[][..], 3),
            ("absent", &[][..], 0),
        ] {
            assert_eq!(whole(sum(METRICS, name, labels)), expected, "{name} {labels:?}");
        }
    }

    #[test]
    fn labels_become_a_selector() {
        assert_eq!(selector(&json!({"b": "2", "a": "1"})), "a=1,b=2");
        assert_eq!(selector(&Value::Null), "");
    }
}
