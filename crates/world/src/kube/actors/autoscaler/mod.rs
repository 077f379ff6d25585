//! The horizontal pod autoscaler: every fifteen seconds a look at the metrics, and the size that follows.
//!
//! The decisions are [`crate::models::hpa`]'s; this reads what they need and writes what they say.

pub(super) mod specification;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::api_service::EXTERNAL_METRICS;
use crate::kube::actors::condition;
use crate::kube::actors::event;
use crate::kube::actors::itself;
use crate::kube::actors::keda;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::selector::list;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::kube::store::seconds;
use crate::models::hpa;
use crate::models::hpa::Milli;

/// Syncs every `HorizontalPodAutoscaler`.
pub(super) const ACTOR: Actor = Actor {
    name: "autoscaler",
    watches: &[kinds::AUTOSCALER],
    work: Work::Each {
        concerns: itself,
        reconcile,
    },
};

/// What the controller remembers of each object, by uid, and when it syncs it next.
pub(crate) type Memory = BTreeMap<String, (hpa::State, Option<Timestamp>)>;

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let object = scene
        .cluster
        .store
        .get(&kinds::AUTOSCALER, &name.namespace, &name.name)?
        .clone();
    if marked(&object) {
        return None;
    }
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let settings = hpa::Settings::default();
    let period = settings.sync_period.unsigned_abs();
    let (mut state, next) = scene.cluster.actors.autoscalers.remove(&uid).unwrap_or_default();
    // Each object has a phase of its own: it counts from the moment at which the controller took it up.
    let next = next.unwrap_or_else(|| later(scene.now, period.mul_f64(scene.random.fraction())));
    if next > scene.now {
        scene.cluster.actors.autoscalers.insert(uid, (state, Some(next)));
        return Some(next);
    }
    sync(scene, &object, &mut state, &settings);
    let next = later(next, period);
    scene.cluster.actors.autoscalers.insert(uid, (state, Some(next)));
    Some(next)
}

fn sync(scene: &mut Scene<'_>, object: &Value, state: &mut hpa::State, settings: &hpa::Settings) {
    let name = Name::of(object);
    let reference = &object["spec"]["scaleTargetRef"];
    let kind = owner::kind_of(reference);
    let target = reference["name"].as_str().unwrap_or_default();
    let Some(found) = scene.cluster.store.get(&kind, &name.namespace, target).cloned() else {
        let resource = format!("{}s.{}", kind.kind().to_lowercase(), kind.group());
        let error = format!("{resource} \"{target}\" not found");
        let decision = hpa::sync_without_scale(state, &error, scene.now);
        write(scene, object, state, &decision.events);
        return;
    };
    let scale = scale(&found);
    let spec = specification::read(&object["spec"]);
    let readings: Vec<hpa::Reading> = if hpa::reads_metrics(&spec, &scale) {
        spec.metrics
            .iter()
            .map(|metric| reading(scene, object, metric))
            .collect()
    } else {
        Vec::new()
    };
    let decision = hpa::sync(state, settings, &spec, &scale, &readings, scene.now);
    if let Some(size) = decision.rescale {
        resize(scene, &kind, &Name::new(&name.namespace, target), size);
    }
    write(scene, object, state, &decision.events);
}

/// What a workload's scale says.
pub(super) fn scale(workload: &Value) -> hpa::Scale {
    let count = |value: &Value, default: i32| {
        value
            .as_i64()
            .and_then(|count| i32::try_from(count).ok())
            .unwrap_or(default)
    };
    hpa::Scale {
        spec: count(&workload["spec"]["replicas"], 1),
        status: count(&workload["status"]["replicas"], 0),
        ready: count(&workload["status"]["readyReplicas"], 0),
    }
}

/// Writes a workload's size.
pub(super) fn resize(scene: &mut Scene<'_>, kind: &GroupKind, name: &Name, size: i32) {
    let store = &mut scene.cluster.store;
    store.change(kind, &name.namespace, &name.name, |workload| {
        workload["spec"]["replicas"] = json!(size);
    });
}

fn reading(scene: &mut Scene<'_>, object: &Value, metric: &hpa::Metric) -> hpa::Reading {
    let failed = |message: String| hpa::Reading::Failed(hpa::Failure { message });
    match metric {
        hpa::Metric::Resource { name, .. } => failed(format!(
            "unable to get metrics for resource {name}: no metrics returned from resource metrics API"
        )),
        hpa::Metric::External { name, .. } => external(scene, object, name).map_or_else(failed, hpa::Reading::External),
    }
}

/// Reads an external metric through the aggregated API.
fn external(scene: &mut Scene<'_>, object: &Value, metric: &str) -> Result<Milli, String> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let path = format!("{metric}.external.metrics.k8s.io");
    let failed = |what: &str| {
        Err(format!(
            "unable to fetch metrics from external metrics API: {what} (get {path})"
        ))
    };
    match scene.cluster.store.get(&kinds::API_SERVICE, "", EXTERNAL_METRICS) {
        None => return failed("the server could not find the requested resource"),
        Some(service) if !condition::holds(service, "Available") => {
            return failed("the server is currently unable to handle the request");
        }
        Some(_) => {}
    }
    let wanted = list(&object["spec"]["metrics"])
        .iter()
        .find(|one| one["external"]["metric"]["name"] == metric);
    let selector = wanted.map(|one| &one["external"]["metric"]["selector"]["matchLabels"]);
    let scaled = selector
        .and_then(|labels| labels[keda::NAME_LABEL].as_str())
        .unwrap_or_default();
    keda::external_metric(scene, &Name::new(namespace, scaled), metric).or_else(|error| failed(&error))
}

fn write(scene: &mut Scene<'_>, object: &Value, state: &hpa::State, events: &[hpa::Event]) {
    let name = Name::of(object);
    let status = state.status().clone();
    let metrics = list(&object["spec"]["metrics"]).to_vec();
    let store = &mut scene.cluster.store;
    store.change(&kinds::AUTOSCALER, &name.namespace, &name.name, |object| {
        let conditions: Vec<Value> = [
            ("AbleToScale", &status.able),
            ("ScalingActive", &status.active),
            ("ScalingLimited", &status.limited),
        ]
        .into_iter()
        .filter_map(|(kind, condition)| {
            condition
                .as_ref()
                .map(|condition| specification::condition(kind, condition))
        })
        .collect();
        object["status"]["currentReplicas"] = json!(status.current_replicas);
        object["status"]["desiredReplicas"] = json!(status.desired_replicas);
        if let Some(last) = status.last_scale {
            object["status"]["lastScaleTime"] = json!(seconds(last));
        }
        let current = status.metrics.iter().zip(&metrics);
        let current = current.filter_map(|(current, metric)| Some(specification::current(metric, (*current)?)));
        object["status"]["currentMetrics"] = current.collect();
        object["status"]["conditions"] = json!(conditions);
    });
    for one in events {
        let kind = if one.warning {
            event::Kind::Warning
        } else {
            event::Kind::Normal
        };
        event::record(
            scene,
            object,
            "horizontal-pod-autoscaler",
            kind,
            &one.reason,
            &one.message,
        );
    }
}
