//! Pod disruption budgets: how many pods may be evicted now.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::store::Change;
use crate::kube::store::Name;
use crate::kube::store::Store;
use crate::kube::store::marked;

/// Counts the healthy pods of each budget.
pub(super) const ACTOR: Actor = Actor {
    name: "disruption",
    watches: &[kinds::DISRUPTION_BUDGET, kinds::POD],
    work: Work::Each { concerns, reconcile },
};

fn concerns(store: &Store, change: &Change) -> Vec<Name> {
    let name = Name::of(change.object());
    if change.kind == kinds::DISRUPTION_BUDGET {
        return vec![name];
    }
    let budgets = store.list_in(&kinds::DISRUPTION_BUDGET, &name.namespace);
    let meant = budgets.filter(|budget| covers(budget, change.object()));
    meant.map(|budget| Name::of(budget)).collect()
}

fn covers(budget: &Value, pod: &Value) -> bool {
    selector::chooses(&budget["spec"]["selector"], selector::labels(pod))
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let store = &mut scene.cluster.store;
    let budget = store
        .get(&kinds::DISRUPTION_BUDGET, &name.namespace, &name.name)?
        .clone();
    let pods: Vec<_> = store
        .list_in(&kinds::POD, &name.namespace)
        .filter(|pod| covers(&budget, pod))
        .collect();
    let expected = pods.iter().filter(|pod| pod::active(pod)).count();
    let healthy = pods.iter().filter(|pod| pod::ready(pod)).count();
    let needed = needed(&budget["spec"], expected);
    store.change(&kinds::DISRUPTION_BUDGET, &name.namespace, &name.name, |budget| {
        let generation = budget["metadata"]["generation"].clone();
        let status = &mut budget["status"];
        status["observedGeneration"] = generation;
        status["expectedPods"] = json!(expected);
        status["currentHealthy"] = json!(healthy);
        status["desiredHealthy"] = json!(needed);
        status["disruptionsAllowed"] = json!(healthy.saturating_sub(needed));
    });
    None
}

/// How many pods must stay healthy.
fn needed(spec: &Value, expected: usize) -> usize {
    let read = |value: &Value| {
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let percent = || value.as_str()?.strip_suffix('%')?.parse::<usize>().ok();
        number.or_else(|| Some((percent()? * expected).div_ceil(100)))
    };
    match (read(&spec["minAvailable"]), read(&spec["maxUnavailable"])) {
        (Some(least), _) => least,
        (None, Some(most)) => expected.saturating_sub(most),
        (None, None) => 0,
    }
}

/// Whether a pod may be evicted now.
pub(super) fn may_evict(store: &Store, pod: &Value) -> bool {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    if !pod::ready(pod) || marked(pod) {
        return true;
    }
    store
        .list_in(&kinds::DISRUPTION_BUDGET, namespace)
        .filter(|budget| covers(budget, pod))
        .all(|budget| budget["status"]["disruptionsAllowed"].as_u64().unwrap_or(0) > 0)
}
