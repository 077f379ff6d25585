//! KEDA: its operator's loop over `ScaledObjects`, and the metrics that its adapter serves.
//!
//! What is decided is [`crate::models::keda`]'s. It acts only while its Deployments are Available: without its operator
//! nothing takes its finalizer off, and without its adapter no autoscaler reads a metric.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::autoscaler;
use crate::kube::actors::autoscaler::specification;
use crate::kube::actors::component;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::event;
use crate::kube::actors::kinds;
use crate::kube::actors::otel_scaler;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::store::Change;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;
use crate::kube::store::seconds;
use crate::models::hpa;
use crate::models::hpa::Milli;
use crate::models::keda;

/// Reconciles and polls every `ScaledObject`.
pub(super) const ACTOR: Actor = Actor {
    name: "keda",
    watches: &[kinds::SCALED_OBJECT, kinds::DEPLOYMENT],
    work: Work::Each { concerns, reconcile },
};

/// The label by which KEDA finds a `ScaledObject`'s metrics.
pub(super) const NAME_LABEL: &str = "scaledobject.keda.sh/name";

const FINALIZER: &str = "finalizer.keda.sh";

/// What KEDA remembers of each `ScaledObject`, by uid, and when it polls it next.
pub(crate) type Memory = BTreeMap<String, (keda::State, Option<Timestamp>)>;

fn concerns(store: &Store, change: &Change) -> Vec<Name> {
    let name = Name::of(change.object());
    if change.kind == kinds::SCALED_OBJECT {
        return vec![name];
    }
    let available = |object: Option<&Value>| object.is_some_and(|object| condition::holds(object, "Available"));
    let same = available(change.before.as_deref()) == available(change.after.as_deref());
    if same && change.before.is_some() && change.after.is_some() {
        return Vec::new();
    }
    store
        .list(&kinds::SCALED_OBJECT)
        .map(|object| Name::of(object))
        .collect()
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    component::available(&scene.cluster.store, component::is_keda_operator)?;
    let object = scene
        .cluster
        .store
        .get(&kinds::SCALED_OBJECT, &name.namespace, &name.name)?
        .clone();
    if marked(&object) {
        finalize(scene, name, &object);
        return None;
    }
    adopt(scene, name);
    let parsed = match read(scene, &object) {
        Ok(parsed) => parsed,
        Err(problem) => {
            refuse(scene, name, &problem);
            return Some(later(scene.now, std::time::Duration::from_secs(10)));
        }
    };
    write_autoscaler(scene, &object, &parsed);
    poll(scene, name, &object, &parsed)
}

/// Puts KEDA's finalizer and label on an object.
fn adopt(scene: &mut Scene<'_>, name: &Name) {
    let store = &mut scene.cluster.store;
    store.change(&kinds::SCALED_OBJECT, &name.namespace, &name.name, |object| {
        let mut finalizers = list(&object["metadata"]["finalizers"]).to_vec();
        if !finalizers.iter().any(|one| one == FINALIZER) {
            finalizers.push(json!(FINALIZER));
            object["metadata"]["finalizers"] = json!(finalizers);
        }
        object["metadata"]["labels"][NAME_LABEL] = json!(name.name);
    });
}

fn finalize(scene: &mut Scene<'_>, name: &Name, object: &Value) {
    scene.cluster.actors.scaled_objects.remove(pod::uid(object));
    let store = &mut scene.cluster.store;
    store.change(&kinds::SCALED_OBJECT, &name.namespace, &name.name, |object| {
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|one| one != FINALIZER);
        }
    });
}

fn refuse(scene: &mut Scene<'_>, name: &Name, problem: &str) {
    let now = scene.now;
    let store = &mut scene.cluster.store;
    let object = store.change(&kinds::SCALED_OBJECT, &name.namespace, &name.name, |object| {
        let failed = Condition::new("Ready", false, "ScaledObjectCheckFailed", problem);
        condition::set(object, now, &failed);
    });
    if let Some(object) = object {
        let kind = event::Kind::Warning;
        event::record(
            scene,
            &object,
            "keda-operator",
            kind,
            "ScaledObjectCheckFailed",
            problem,
        );
    }
}

/// Reads a `ScaledObject`; a problem that the admission webhook would have refused is one here too.
fn read(scene: &Scene<'_>, object: &Value) -> Result<keda::ScaledObject, String> {
    let name = Name::of(object);
    let spec = &object["spec"];
    let (kind, target) = target(spec);
    if scene.cluster.store.get(&kind, &name.namespace, &target).is_none() {
        return Err(format!(
            "ScaledObject doesn't have correct scaleTargetRef specification: {kind} \"{target}\" not found"
        ));
    }
    let triggers = list(&spec["triggers"])
        .iter()
        .map(|trigger| read_trigger(&name, trigger));
    let triggers = triggers.collect::<Result<Vec<_>, _>>()?;
    let created = pod::time(&object["metadata"]["creationTimestamp"]).unwrap_or(scene.now);
    let printed = format!("apps/v1.{} {}/{target}", kind.kind(), name.namespace);
    let mut parsed = keda::ScaledObject::new(&name.namespace, &name.name, &printed, triggers, created);
    let pairs = object["metadata"]["annotations"].as_object().into_iter().flatten();
    parsed.annotations = pairs
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let count = |field: &str| spec[field].as_i64().and_then(|count| i32::try_from(count).ok());
    parsed.min = count("minReplicaCount").unwrap_or(parsed.min);
    parsed.max = count("maxReplicaCount").unwrap_or(parsed.max);
    parsed.idle = count("idleReplicaCount");
    let span = |field: &str| spec[field].as_i64().map(SignedDuration::from_secs);
    parsed.polling_interval = span("pollingInterval").unwrap_or(parsed.polling_interval);
    parsed.cooldown = span("cooldownPeriod").unwrap_or(parsed.cooldown);
    parsed.initial_cooldown = span("initialCooldownPeriod").unwrap_or(parsed.initial_cooldown);
    let advanced = &spec["advanced"];
    parsed.modifiers = read_modifiers(&advanced["scalingModifiers"])?;
    parsed.behavior = specification::behavior(&advanced["horizontalPodAutoscalerConfig"]["behavior"]);
    parsed.autoscaler_name = advanced["horizontalPodAutoscalerConfig"]["name"]
        .as_str()
        .map(str::to_owned);
    parsed.fallback = read_fallback(&spec["fallback"]);
    let problems = keda::problems(&parsed);
    if problems.is_empty() {
        Ok(parsed)
    } else {
        Err(problems.join("; "))
    }
}

/// The workload that a `ScaledObject` scales.
fn target(spec: &Value) -> (GroupKind, String) {
    let reference = &spec["scaleTargetRef"];
    let name = reference["name"].as_str().unwrap_or_default().to_owned();
    if reference["kind"].is_null() {
        return (kinds::DEPLOYMENT, name);
    }
    let mut reference = reference.clone();
    if reference["apiVersion"].is_null() {
        reference["apiVersion"] = json!("apps/v1");
    }
    (owner::kind_of(&reference), name)
}

fn read_trigger(name: &Name, trigger: &Value) -> Result<keda::Trigger, String> {
    let kind = trigger["type"].as_str().unwrap_or_default();
    let metadata = metadata(trigger);
    let source = match kind {
        "external" | "external-push" | "kedify-otel" => {
            let parsed =
                crate::models::otel::Trigger::from_metadata(&metadata).map_err(|refusal| refusal.to_string())?;
            keda::Source::External {
                metric: format!("{}-{}", name.namespace, name.name),
                target: parsed.target,
                kind: metric_kind(&trigger["metricType"]),
            }
        }
        "cpu" | "memory" => {
            let value = metadata.get("value").map_or(Value::Null, |value| json!(value));
            let percent = value.as_str().and_then(|value| value.parse().ok()).unwrap_or(80);
            keda::Source::Resource {
                name: kind.to_owned(),
                target: if trigger["metricType"] == "AverageValue" {
                    hpa::ResourceTarget::AverageValue(Milli(super::quantity::milli(&value)))
                } else {
                    hpa::ResourceTarget::Utilization(percent)
                },
            }
        }
        other => return Err(format!("no scaler found for type: {other}")),
    };
    let name = trigger["name"].as_str().map(str::to_owned);
    Ok(keda::Trigger { name, source })
}

/// The metadata of a trigger.
fn metadata(trigger: &Value) -> BTreeMap<String, String> {
    let pairs = trigger["metadata"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn metric_kind(value: &Value) -> keda::MetricKind {
    if value == "Value" {
        keda::MetricKind::Value
    } else {
        keda::MetricKind::AverageValue
    }
}

fn read_modifiers(modifiers: &Value) -> Result<Option<keda::Modifiers>, String> {
    let Some(formula) = modifiers["formula"].as_str() else {
        return Ok(None);
    };
    let number = |field: &str| match &modifiers[field] {
        Value::Null => Ok(0.0),
        Value::String(text) => text
            .parse::<f64>()
            .map_err(|_| format!("scalingModifiers: {field} is not a number: `{text}`")),
        other => Ok(other.as_f64().unwrap_or(0.0)),
    };
    Ok(Some(keda::Modifiers {
        formula: formula.to_owned(),
        target: number("target")?,
        activation_target: number("activationTarget")?,
        kind: metric_kind(&modifiers["metricType"]),
    }))
}

fn read_fallback(fallback: &Value) -> Option<keda::Fallback> {
    Some(keda::Fallback {
        failure_threshold: u32::try_from(fallback["failureThreshold"].as_u64()?).ok()?,
        replicas: i32::try_from(fallback["replicas"].as_i64()?).ok()?,
        behavior: keda::FallbackBehavior::default(),
    })
}

/// Makes the `HorizontalPodAutoscaler` that an object asks for, or takes it away while the object is paused.
fn write_autoscaler(scene: &mut Scene<'_>, object: &Value, parsed: &keda::ScaledObject) {
    let name = Name::of(object);
    let Some(wanted) = keda::autoscaler(parsed) else {
        let own = parsed
            .autoscaler_name
            .clone()
            .unwrap_or_else(|| format!("keda-hpa-{}", name.name));
        let store = &mut scene.cluster.store;
        store.delete(&kinds::AUTOSCALER, &name.namespace, &own, scene.now, 0);
        return;
    };
    let (kind, target) = target(&object["spec"]);
    let reference = json!({"apiVersion": format!("{}/v1", kind.group()), "kind": kind.kind(), "name": target});
    let behavior = &object["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
    let spec = specification::write(&wanted.spec, &reference, &name.name, behavior);
    let store = &mut scene.cluster.store;
    let known = store.change(&kinds::AUTOSCALER, &name.namespace, &wanted.name, |autoscaler| {
        autoscaler["spec"] = spec.clone();
        autoscaler["metadata"]["labels"] = json!(wanted.labels);
    });
    if known.is_none() {
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "name": wanted.name,
                "namespace": name.namespace,
                "labels": wanted.labels,
                "annotations": wanted.annotations,
                "ownerReferences": owner::controlled_by(object),
            },
            "spec": spec,
        });
        store.create(&kinds::AUTOSCALER, autoscaler, scene.now, scene.random);
    }
}

/// One pass of the scale loop, if it is time for one.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every run of an actor says when it wants to run again"
)]
fn poll(scene: &mut Scene<'_>, name: &Name, object: &Value, parsed: &keda::ScaledObject) -> Option<Timestamp> {
    let uid = pod::uid(object).to_owned();
    let (mut state, next) = scene.cluster.actors.scaled_objects.remove(&uid).unwrap_or_default();
    if let Some(next) = next.filter(|next| *next > scene.now) {
        scene.cluster.actors.scaled_objects.insert(uid, (state, Some(next)));
        return Some(next);
    }
    let (kind, target) = target(&object["spec"]);
    let replicas = replicas(scene, name, &kind, &target);
    let readings = readings(scene, object);
    let outcome = keda::poll(&mut state, parsed, replicas, &readings, scene.now);
    if let Some(size) = outcome.scale_to {
        autoscaler::resize(scene, &kind, &Name::new(&name.namespace, &target), size);
    }
    write_status(scene, name, &state, parsed, (&kind, replicas));
    for one in &outcome.events {
        let kind = if one.warning {
            event::Kind::Warning
        } else {
            event::Kind::Normal
        };
        event::record(scene, object, "keda-operator", kind, &one.reason, &one.message);
    }
    let next = later(scene.now, parsed.polling_interval.unsigned_abs());
    scene.cluster.actors.scaled_objects.insert(uid, (state, Some(next)));
    Some(next)
}

fn replicas(scene: &Scene<'_>, name: &Name, kind: &GroupKind, target: &str) -> keda::Replicas {
    let workload = scene.cluster.store.get(kind, &name.namespace, target);
    let scale = workload.map(|workload| autoscaler::scale(workload));
    scale.map_or(keda::Replicas { spec: 0, ready: 0 }, |scale| keda::Replicas {
        spec: scale.spec,
        ready: scale.ready,
    })
}

/// What the scaler of each trigger answers now.
fn readings(scene: &mut Scene<'_>, object: &Value) -> Vec<keda::TriggerReading> {
    let namespace = Name::of(object).namespace;
    let operator = component::available(&scene.cluster.store, component::is_keda_operator);
    let home = operator.map_or_else(|| namespace.clone(), |operator| operator.namespace().to_owned());
    let failed = |message: String| keda::TriggerReading::Failed { message };
    let mut readings = Vec::new();
    for trigger in list(&object["spec"]["triggers"]) {
        let metadata = metadata(trigger);
        let default = format!("keda-otel-scaler.{home}.svc:4318");
        let address = metadata.get("scalerAddress").unwrap_or(&default);
        let reading = match crate::models::otel::Trigger::from_metadata(&metadata) {
            Err(refusal) => failed(refusal.to_string()),
            Ok(parsed) => match otel_scaler::ask(scene, address, &home, &parsed) {
                Ok((value, active)) => keda::TriggerReading::Value { value, active },
                Err(message) => failed(message),
            },
        };
        readings.push(reading);
    }
    readings
}

/// One metric of a `ScaledObject`, as the adapter serves it.
pub(super) fn external_metric(scene: &mut Scene<'_>, name: &Name, metric: &str) -> Result<Milli, String> {
    component::available(&scene.cluster.store, component::is_keda_adapter)
        .ok_or("the server is currently unable to handle the request")?;
    component::available(&scene.cluster.store, component::is_keda_operator)
        .ok_or("rpc error: code = Unavailable desc = connection error: the operator does not answer")?;
    let object = scene
        .cluster
        .store
        .get(&kinds::SCALED_OBJECT, &name.namespace, &name.name)
        .cloned()
        .ok_or_else(|| format!("no ScaledObject {}/{} for metric {metric}", name.namespace, name.name))?;
    let parsed = read(scene, &object)?;
    let (kind, target) = target(&object["spec"]);
    let replicas = replicas(scene, name, &kind, &target);
    let readings = readings(scene, &object);
    let uid = pod::uid(&object).to_owned();
    let (mut state, next) = scene.cluster.actors.scaled_objects.remove(&uid).unwrap_or_default();
    let served = keda::serve(&mut state, &parsed, replicas, &readings, scene.now);
    scene.cluster.actors.scaled_objects.insert(uid, (state, next));
    let found = served.into_iter().find(|served| served.metric == metric);
    found.map_or_else(
        || Err(format!("no matching metrics found for {metric}")),
        |served| served.value,
    )
}

fn write_status(
    scene: &mut Scene<'_>,
    name: &Name,
    state: &keda::State,
    parsed: &keda::ScaledObject,
    (kind, replicas): (&GroupKind, keda::Replicas),
) {
    let store = &mut scene.cluster.store;
    store.change(&kinds::SCALED_OBJECT, &name.namespace, &name.name, |object| {
        let status = &mut object["status"];
        status["scaleTargetKind"] = json!(format!("{}/v1.{}", kind.group(), kind.kind()));
        let group_kind = json!({"group": kind.group(), "kind": kind.kind(), "version": "v1"});
        status["scaleTargetGVKR"] = group_kind;
        if status["originalReplicaCount"].is_null() {
            status["originalReplicaCount"] = json!(replicas.spec);
        }
        if let Some(autoscaler) = keda::autoscaler(parsed) {
            status["hpaName"] = json!(autoscaler.name);
        }
        status["externalMetricNames"] = json!(state.failures.keys().collect::<Vec<_>>());
        if let Some(last) = state.last_active {
            status["lastActiveTime"] = json!(seconds(last));
        }
        let health = state.failures.iter().map(|(metric, failures)| {
            let word = if *failures == 0 { "Happy" } else { "Failing" };
            (metric.clone(), json!({"numberOfFailures": failures, "status": word}))
        });
        status["health"] = health.collect::<serde_json::Map<_, _>>().into();
        for (kind, entry) in [
            ("Ready", &state.ready),
            ("Active", &state.active),
            ("Fallback", &state.fallback),
            ("Paused", &state.paused),
        ] {
            if let Some(entry) = entry {
                let one = Condition {
                    kind,
                    status: specification::word(entry.holds),
                    reason: &entry.reason,
                    message: &entry.message,
                };
                condition::set(object, entry.since, &one);
            }
        }
    });
}
