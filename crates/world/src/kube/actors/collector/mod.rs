//! The OpenTelemetry collector: it finds pods, scrapes them and sends on what it was told to.
//!
//! Everything comes from the configuration in its `ConfigMap`, as it was when its container started. A wrong namespace,
//! label, port or metric name means that nothing is sent, and without the right to list pods there is nothing to scrape.

mod configuration;
mod pattern;
mod relabel;
mod rights;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::collector::configuration::Configuration;
use crate::kube::actors::collector::configuration::Job;
use crate::kube::actors::collector::configuration::Pipeline;
use crate::kube::actors::component;
use crate::kube::actors::itself;
use crate::kube::actors::kinds;
use crate::kube::actors::otel_scaler;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::network::traffic;
use crate::kube::store::Name;
use crate::models::otel::Labels;

/// Runs every collector's pod.
pub(super) const ACTOR: Actor = Actor {
    name: "collector",
    watches: &[kinds::POD],
    work: Work::Each {
        concerns: itself,
        reconcile,
    },
};

/// What the collectors remember, by uid of their pod.
pub(crate) type Memory = BTreeMap<String, Collector>;

/// A running collector.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Collector {
    configuration: Configuration,
    // When each job scrapes next.
    next: Vec<Timestamp>,
}

/// One sample on its way.
struct Sample {
    metric: String,
    labels: Labels,
    value: f64,
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let pod = scene
        .cluster
        .store
        .get(&kinds::POD, &name.namespace, &name.name)?
        .clone();
    let container = list(&pod["spec"]["containers"])
        .iter()
        .find(|one| component::is_collector(one))?;
    if !pod::ready(&pod) {
        return None;
    }
    let uid = pod::uid(&pod).to_owned();
    let mut collector = match scene.cluster.actors.collectors.remove(&uid) {
        Some(collector) => collector,
        None => start(scene, &pod, container)?,
    };
    let now = scene.now;
    for index in 0..collector.next.len() {
        if collector.next[index] > now {
            continue;
        }
        let job = &collector.configuration.jobs[index];
        collector.next[index] = later(collector.next[index].max(now), job.interval());
        scrape(scene, &pod, &collector.configuration, job);
    }
    let next = collector.next.iter().min().copied();
    scene.cluster.actors.collectors.insert(uid, collector);
    next
}

/// Reads the configuration that the pod mounts, once.
fn start(scene: &mut Scene<'_>, pod: &Value, container: &Value) -> Option<Collector> {
    let store = &scene.cluster.store;
    let lives = |uid: &String| store.list(&kinds::POD).any(|pod| pod::uid(pod) == uid);
    scene.cluster.actors.collectors.retain(|uid, _| lives(uid));
    let text = configuration::find(store, pod, container)?;
    let configuration = Configuration::parse(&text)?;
    let next = configuration
        .jobs
        .iter()
        .map(|job| later(scene.now, job.interval().mul_f64(scene.random.fraction())))
        .collect();
    Some(Collector { configuration, next })
}

/// One round of one job: every target's page, through every pipeline that sends somewhere.
fn scrape(scene: &mut Scene<'_>, pod: &Value, configuration: &Configuration, job: &Job) {
    let namespace = Name::of(pod).namespace;
    for (target, labels) in targets(scene, pod, job) {
        let address = labels.get("__address__").cloned().unwrap_or_default();
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let Some(page) = port.and_then(|port| traffic::scrape(scene, &target, port)) else {
            continue;
        };
        let mut labels: Labels = labels.into_iter().filter(|(key, _)| !key.starts_with("__")).collect();
        labels.insert("job".to_owned(), job.name.clone());
        labels.insert("instance".to_owned(), address);
        for pipeline in &configuration.pipelines {
            send(scene, &namespace, pipeline, &page, &labels);
        }
    }
}

/// The pods that a job finds, each with the labels that relabeling leaves.
fn targets(scene: &Scene<'_>, collector: &Value, job: &Job) -> Vec<(Name, Labels)> {
    let own = Name::of(collector).namespace;
    let account = collector["spec"]["serviceAccountName"].as_str().unwrap_or("default");
    let store = &scene.cluster.store;
    let pods: Vec<Arc<Value>> = if job.namespaces.is_empty() {
        let allowed = rights::may_list_pods(store, &own, account, None);
        store.list(&kinds::POD).filter(|_| allowed).cloned().collect()
    } else {
        let allowed = job
            .namespaces
            .iter()
            .filter(|one| rights::may_list_pods(store, &own, account, Some(one)));
        allowed
            .flat_map(|namespace| store.list_in(&kinds::POD, namespace))
            .cloned()
            .collect()
    };
    let mut found = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod["status"]["podIP"].is_string()) {
        for labels in discovered(pod) {
            if let Some(labels) = relabel::apply(&job.rules, labels) {
                let address = labels.get("__address__").cloned().unwrap_or_default();
                // Several ports of a pod may become one target.
                found.insert((Name::of(pod), address), labels);
            }
        }
    }
    found.into_iter().map(|((name, _), labels)| (name, labels)).collect()
}

/// What Prometheus' discovery says about a pod: one target for each declared port.
fn discovered(pod: &Value) -> Vec<Labels> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let address = text(&pod["status"]["podIP"]);
    let mut common = Labels::new();
    let mut set = |name: &str, value: String| common.insert(format!("__meta_kubernetes_{name}"), value);
    set("namespace", text(&pod["metadata"]["namespace"]));
    set("pod_name", text(&pod["metadata"]["name"]));
    set("pod_uid", text(&pod["metadata"]["uid"]));
    set("pod_ip", address.clone());
    set("pod_phase", text(&pod["status"]["phase"]));
    set("pod_node_name", text(&pod["spec"]["nodeName"]));
    set("pod_ready", pod::ready(pod).to_string());
    for (kind, map) in [
        ("label", selector::labels(pod)),
        ("annotation", &pod["metadata"]["annotations"]),
    ] {
        for (key, value) in map.as_object().into_iter().flatten() {
            let key: String = key
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            set(&format!("pod_{kind}present_{key}"), "true".to_owned());
            set(&format!("pod_{kind}_{key}"), text(value));
        }
    }
    let mut targets = Vec::new();
    for container in list(&pod["spec"]["containers"]) {
        let ports = list(&container["ports"]).iter().map(Some);
        let none = list(&container["ports"]).is_empty().then_some(None);
        for port in ports.chain(none) {
            let mut labels = common.clone();
            labels.insert(
                "__meta_kubernetes_pod_container_name".to_owned(),
                text(&container["name"]),
            );
            let number = port.and_then(|port| port["containerPort"].as_u64());
            if let (Some(port), Some(number)) = (port, number) {
                labels.insert(
                    "__meta_kubernetes_pod_container_port_number".to_owned(),
                    number.to_string(),
                );
                labels.insert(
                    "__meta_kubernetes_pod_container_port_name".to_owned(),
                    text(&port["name"]),
                );
            }
            let place = number.map_or_else(|| address.clone(), |number| format!("{address}:{number}"));
            labels.insert("__address__".to_owned(), place);
            targets.push(labels);
        }
    }
    targets
}

/// Sends what a pipeline lets through.
fn send(scene: &mut Scene<'_>, namespace: &str, pipeline: &Pipeline, page: &str, labels: &Labels) {
    let samples: Vec<Sample> = samples(page, pipeline, labels);
    let now = scene.now;
    let Some(store) = otel_scaler::receiver(scene, &pipeline.endpoint, namespace) else {
        return;
    };
    for sample in samples {
        store.put(&sample.metric, &sample.labels, sample.value, now);
    }
}

/// The samples of a page that a pipeline lets through, under the names that it gives them.
fn samples(page: &str, pipeline: &Pipeline, common: &Labels) -> Vec<Sample> {
    let mut histograms: Vec<&str> = Vec::new();
    let mut samples = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            if let Some(name) = rest.strip_suffix(" histogram") {
                histograms.push(name);
            }
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, inner) = series.split_once('{').unwrap_or((series, "}"));
        // A histogram is one metric of several series; of these only count and sum are kept at the other end.
        let base = histograms
            .iter()
            .find_map(|base| Some((*base, name.strip_prefix(*base)?)));
        let (base, suffix) = base.filter(|(_, suffix)| suffix.starts_with('_')).unwrap_or((name, ""));
        if suffix == "_bucket" {
            continue;
        }
        let Some(metric) = pipeline.admit(base) else { continue };
        let Ok(value) = value.parse() else { continue };
        let mut labels = common.clone();
        labels.extend(inside(inner.trim_end_matches('}')));
        samples.push(Sample {
            metric: format!("{metric}{suffix}"),
            labels,
            value,
        });
    }
    samples
}

/// Reads `a="b",c="d"`.
fn inside(text: &str) -> Labels {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim_end_matches('"').to_owned()))
        .collect()
}
