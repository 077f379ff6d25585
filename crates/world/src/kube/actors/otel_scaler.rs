//! Kedify's `OTel` scaler: samples come in on one port, KEDA asks on another.
//!
//! What it remembers is its pod's: a new pod begins with nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;

use crate::core::Scene;
use crate::kube::actors::component;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::network;
use crate::models::otel;

/// The memory of each scaler's pod, by uid.
pub(crate) type Memory = BTreeMap<String, otel::Store>;

/// What the scaler at an address answers for a trigger: a value, and whether it calls that activity.
pub(super) fn ask(
    scene: &mut Scene<'_>,
    address: &str,
    namespace: &str,
    trigger: &otel::Trigger,
) -> Result<(f64, bool), String> {
    let (uid, settings) = reach(scene, address, namespace, "KEDA_EXTERNAL_SCALER_PORT")?;
    let now = scene.now;
    let store = memory(scene, &uid, settings);
    let value = store.value(trigger, now).map_err(|refusal| refusal.to_string())?;
    let active = store.is_active(trigger, now).map_err(|refusal| refusal.to_string())?;
    Ok((value, active))
}

/// The memory of the scaler that receives OTLP at an address; none if no scaler does.
pub(super) fn receiver<'a>(scene: &'a mut Scene<'_>, address: &str, namespace: &str) -> Option<&'a mut otel::Store> {
    let (uid, settings) = reach(scene, address, namespace, "OTLP_RECEIVER_PORT").ok()?;
    Some(memory(scene, &uid, settings))
}

fn memory<'a>(scene: &'a mut Scene<'_>, uid: &str, settings: otel::Settings) -> &'a mut otel::Store {
    let store = &scene.cluster.store;
    let scalers = &mut scene.cluster.actors.scalers;
    if !scalers.contains_key(uid) {
        let lives = |uid: &String| store.list(&kinds::POD).any(|pod| pod::uid(pod) == uid);
        scalers.retain(|uid, _| lives(uid));
    }
    scalers
        .entry(uid.to_owned())
        .or_insert_with(|| otel::Store::new(settings))
}

/// The scaler's pod behind an address, if the port is the one that a variable of its container names.
fn reach(
    scene: &mut Scene<'_>,
    address: &str,
    namespace: &str,
    variable: &str,
) -> Result<(String, otel::Settings), String> {
    let refused = |what: &str| Err(format!("rpc error: code = Unavailable desc = {what} ({address})"));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(0)),
        None => (address, 4317),
    };
    let host = host.rsplit("//").next().unwrap_or(host);
    let found: Option<(Arc<Value>, u16)> = match network::endpoint(scene, host, port, namespace) {
        Ok(found) => found,
        Err(problem) => return refused(&problem),
    };
    let Some((pod, port)) = found else {
        return refused("connection refused: no ready endpoint");
    };
    let container = list(&pod["spec"]["containers"])
        .iter()
        .find(|one| component::is_otel_scaler(one));
    let Some(container) = container.filter(|one| component::variable(one, variable) == Some(&*port.to_string())) else {
        return refused("nothing that speaks this protocol listens there");
    };
    Ok((pod::uid(&pod).to_owned(), settings(container)))
}

fn settings(container: &Value) -> otel::Settings {
    let mut settings = otel::Settings::default();
    let variable = |name: &str| component::variable(container, name);
    if let Some(retention) = variable("METRIC_STORE_RETENTION_SECONDS").and_then(|text| text.parse().ok()) {
        settings.retention = SignedDuration::from_secs(retention);
    }
    settings.error_if_not_found = variable("METRIC_STORE_ERROR_IF_NOT_FOUND") == Some("true");
    if let Some(value) = variable("METRIC_STORE_VALUE_IF_NOT_FOUND").and_then(|text| text.parse().ok()) {
        settings.value_if_not_found = value;
    }
    settings
}
