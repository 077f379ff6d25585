//! The scheduler: which node takes a pod, or why none does.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::event;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::Amounts;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Binds pods to nodes.
pub(super) const ACTOR: Actor = Actor {
    name: "scheduler",
    watches: &[kinds::POD, kinds::NODE, kinds::PERSISTENT_VOLUME_CLAIM],
    work: Work::Whole(reconcile),
};

/// A node as the scheduler sees it within one run.
struct Candidate {
    name: String,
    node: Arc<Value>,
    capacity: Amounts,
    free: Amounts,
}

fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let waiting: Vec<Arc<Value>> = cluster
        .actors
        .pods
        .unbound()
        .filter_map(|name| cluster.store.get(&kinds::POD, &name.namespace, &name.name))
        .filter(|pod| pod::active(pod))
        .cloned()
        .collect();
    if waiting.is_empty() {
        return None;
    }
    let mut candidates: Vec<Candidate> = scene
        .cluster
        .store
        .list(&kinds::NODE)
        .map(|node| candidate(scene, node))
        .collect();
    for pod in waiting {
        place(scene, &mut candidates, &pod);
    }
    None
}

fn candidate(scene: &Scene<'_>, node: &Arc<Value>) -> Candidate {
    let name = Name::of(node).name;
    let capacity = Amounts::of(&node["status"]["allocatable"]);
    let mut free = capacity.clone();
    free.subtract(&scene.cluster.actors.pods.used(&name));
    Candidate {
        name,
        node: node.clone(),
        capacity,
        free,
    }
}

/// Binds one pod to the best node, or says why it must wait.
fn place(scene: &mut Scene<'_>, candidates: &mut [Candidate], pod: &Value) {
    let wanted = pod::requests(pod);
    if let Some(message) = volumes_missing(scene, pod) {
        return refuse(scene, pod, &message);
    }
    let spread = Spread::of(scene, pod);
    let mut refusals = BTreeMap::<String, usize>::new();
    let mut best: Option<(i64, usize)> = None;
    for (index, candidate) in candidates.iter().enumerate() {
        let reason = refusal(pod, &candidate.node).or_else(|| short_of(&wanted, &candidate.free));
        let reason = reason.or_else(|| spread.refusal(&candidate.node));
        if let Some(reason) = reason {
            *refusals.entry(reason).or_default() += 1;
            continue;
        }
        let score = score(candidate, &wanted) - spread.penalty(&candidate.node);
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, index));
        }
    }
    match best {
        Some((_, index)) => {
            let chosen = &mut candidates[index];
            if wait_for_volumes(scene, pod, &chosen.name) {
                return;
            }
            chosen.free.subtract(&wanted);
            bind(scene, pod, &chosen.name);
        }
        None => refuse(scene, pod, &explain(candidates.len(), &refusals)),
    }
}

/// How much of the node stays free, in thousandths: the emptier the better.
fn score(candidate: &Candidate, wanted: &Amounts) -> i64 {
    let share = |name: &str| {
        let capacity = candidate.capacity.get(name).max(1);
        (candidate.free.get(name) - wanted.get(name)).saturating_mul(1000) / capacity
    };
    i64::midpoint(share("cpu"), share("memory").min(1000))
}

/// Whether a node takes pods of this template at all, whatever room it has.
pub(crate) fn admits(pod: &Value, node: &Value) -> bool {
    refusal(pod, node).is_none()
}

/// Why a node does not take a pod, whatever room it has.
fn refusal(pod: &Value, node: &Value) -> Option<String> {
    let spec = &pod["spec"];
    let labels = selector::labels(node);
    if !selector::has_all(&spec["nodeSelector"], labels) || !affinity_allows(spec, node) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    if node["spec"]["unschedulable"] == true && !tolerates(spec, &unschedulable()) {
        return Some("node(s) were unschedulable".to_owned());
    }
    let taints = list(&node["spec"]["taints"]).iter();
    let mut hard = taints.filter(|taint| taint["effect"] != "PreferNoSchedule");
    let taint = hard.find(|taint| !tolerates(spec, taint))?;
    Some(format!(
        "node(s) had untolerated taint {{{}: {}}}",
        taint["key"].as_str().unwrap_or_default(),
        taint["value"].as_str().unwrap_or_default()
    ))
}

fn unschedulable() -> Value {
    json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
}

fn affinity_allows(spec: &Value, node: &Value) -> bool {
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = list(&required["nodeSelectorTerms"]);
    terms.is_empty() || terms.iter().any(|term| term_holds(term, node))
}

fn term_holds(term: &Value, node: &Value) -> bool {
    let by_label = list(&term["matchExpressions"]).iter();
    let mut by_field = list(&term["matchFields"]).iter();
    let fields = json!({"metadata.name": node["metadata"]["name"]});
    by_label.clone().all(|one| selector::holds(one, selector::labels(node)))
        && by_field.all(|one| selector::holds(one, &fields))
}

/// Whether a pod's tolerations cover a taint.
pub(crate) fn tolerates(spec: &Value, taint: &Value) -> bool {
    list(&spec["tolerations"]).iter().any(|toleration| {
        let effect = &toleration["effect"];
        let key = toleration["key"].as_str().unwrap_or_default();
        let value = |object: &Value| object["value"].as_str().unwrap_or_default().to_owned();
        (effect.is_null() || *effect == "" || *effect == taint["effect"])
            && (key.is_empty() || taint["key"] == key)
            && (toleration["operator"] == "Exists" || value(toleration) == value(taint))
    })
}

fn short_of(wanted: &Amounts, free: &Amounts) -> Option<String> {
    let (name, _) = wanted
        .iter()
        .find(|(name, amount)| *amount > 0 && *amount > free.get(name))?;
    if name == "pods" {
        return Some("Too many pods".to_owned());
    }
    Some(format!("Insufficient {name}"))
}

/// How a pod wants to be apart from its like: topology spread and required anti-affinity.
#[derive(Default)]
struct Spread {
    // Topology key, how many of its like each domain has, how many more than the emptiest one it may have; none is a
    // wish.
    rules: Vec<(String, BTreeMap<String, i64>, Option<i64>)>,
    lowest: Vec<i64>,
}

impl Spread {
    fn of(scene: &Scene<'_>, pod: &Value) -> Self {
        let mut spread = Self::default();
        for rule in list(&pod["spec"]["topologySpreadConstraints"]) {
            let hard = rule["whenUnsatisfiable"] != "ScheduleAnyway";
            let skew = hard.then(|| rule["maxSkew"].as_i64().unwrap_or(1));
            spread.add(scene, pod, &rule["labelSelector"], &rule["topologyKey"], skew);
        }
        let apart = &pod["spec"]["affinity"]["podAntiAffinity"];
        for term in list(&apart["requiredDuringSchedulingIgnoredDuringExecution"]) {
            spread.add(scene, pod, &term["labelSelector"], &term["topologyKey"], Some(0));
            spread.lowest.pop();
            spread.lowest.push(0);
        }
        for wish in list(&apart["preferredDuringSchedulingIgnoredDuringExecution"]) {
            let term = &wish["podAffinityTerm"];
            spread.add(scene, pod, &term["labelSelector"], &term["topologyKey"], None);
        }
        spread
    }

    fn add(&mut self, scene: &Scene<'_>, pod: &Value, chosen: &Value, key: &Value, skew: Option<i64>) {
        let key = key.as_str().unwrap_or_default();
        let store = &scene.cluster.store;
        let mut counts = BTreeMap::new();
        for node in store.list(&kinds::NODE).filter(|node| admits(pod, node)) {
            if let Some(domain) = selector::labels(node)[key].as_str() {
                counts.entry(domain.to_owned()).or_insert(0);
            }
        }
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let like = store.list_in(&kinds::POD, namespace).filter(|other| pod::active(other));
        for other in like.filter(|other| selector::chooses(chosen, selector::labels(other))) {
            let node = pod::node(other).and_then(|node| store.get(&kinds::NODE, "", node));
            let domain = node.and_then(|node| selector::labels(node)[key].as_str());
            if let Some(domain) = domain {
                *counts.entry(domain.to_owned()).or_insert(0) += 1;
            }
        }
        self.lowest.push(counts.values().copied().min().unwrap_or(0));
        self.rules.push((key.to_owned(), counts, skew));
    }

    fn refusal(&self, node: &Value) -> Option<String> {
        for ((key, counts, skew), lowest) in self.rules.iter().zip(&self.lowest) {
            let Some(skew) = skew else { continue };
            let domain = selector::labels(node)[key.as_str()].as_str();
            let Some(domain) = domain else {
                return Some(
                    "node(s) didn't match pod topology spread constraints (missing required label)".to_owned(),
                );
            };
            let count = counts.get(domain).copied().unwrap_or(0);
            if *skew == 0 && count > 0 {
                return Some("node(s) didn't match pod anti-affinity rules".to_owned());
            }
            if *skew > 0 && count + 1 - lowest > *skew {
                return Some("node(s) didn't match pod topology spread constraints".to_owned());
            }
        }
        None
    }

    fn penalty(&self, node: &Value) -> i64 {
        let count = |(key, counts, _): &(String, BTreeMap<String, i64>, Option<i64>)| {
            let domain = selector::labels(node)[key.as_str()].as_str();
            domain.and_then(|domain| counts.get(domain)).copied().unwrap_or(0)
        };
        self.rules.iter().map(count).sum::<i64>() * 1000
    }
}

/// Why a pod's claims keep it from being placed.
fn volumes_missing(scene: &Scene<'_>, pod: &Value) -> Option<String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    claims(pod).find_map(|claim| {
        let store = &scene.cluster.store;
        let object = store.get(&kinds::PERSISTENT_VOLUME_CLAIM, namespace, claim);
        object.is_none().then(|| {
            let nodes = store.list(&kinds::NODE).count();
            format!("0/{nodes} nodes are available: persistentvolumeclaim \"{claim}\" not found.")
        })
    })
}

/// The names of the claims that a pod mounts.
pub(super) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(&pod["spec"]["volumes"]).iter();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Tells unbound claims which node was chosen; says whether the pod must wait for them.
fn wait_for_volumes(scene: &mut Scene<'_>, pod: &Value, node: &str) -> bool {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let store = &mut scene.cluster.store;
    let mut waits = false;
    for claim in claims(pod) {
        let object = store.get(&kinds::PERSISTENT_VOLUME_CLAIM, namespace, claim);
        if object.is_some_and(|claim| claim["status"]["phase"] == "Bound") {
            continue;
        }
        waits = true;
        store.change(&kinds::PERSISTENT_VOLUME_CLAIM, namespace, claim, |claim| {
            let annotations = &mut claim["metadata"]["annotations"];
            if annotations["volume.kubernetes.io/selected-node"].is_null() {
                annotations["volume.kubernetes.io/selected-node"] = json!(node);
            }
        });
    }
    waits
}

fn bind(scene: &mut Scene<'_>, pod: &Value, node: &str) {
    let name = Name::of(pod);
    let now = scene.now;
    let store = &mut scene.cluster.store;
    let bound = store.change(&kinds::POD, &name.namespace, &name.name, |pod| {
        pod["spec"]["nodeName"] = json!(node);
        condition::set(pod, now, &Condition::new("PodScheduled", true, "", ""));
    });
    let message = format!("Successfully assigned {}/{} to {node}", name.namespace, name.name);
    if let Some(pod) = bound.filter(|pod| pod["spec"]["nodeName"] == node) {
        let kind = event::Kind::Normal;
        event::record(scene, &pod, "default-scheduler", kind, "Scheduled", &message);
    }
}

fn refuse(scene: &mut Scene<'_>, pod: &Value, message: &str) {
    let known = condition::find(pod, "PodScheduled");
    if known.is_some_and(|known| known["message"] == message) || marked(pod) {
        return;
    }
    let name = Name::of(pod);
    let now = scene.now;
    let store = &mut scene.cluster.store;
    store.change(&kinds::POD, &name.namespace, &name.name, |pod| {
        let unschedulable = Condition::new("PodScheduled", false, "Unschedulable", message);
        condition::set(pod, now, &unschedulable);
    });
    let kind = event::Kind::Warning;
    event::record(scene, pod, "default-scheduler", kind, "FailedScheduling", message);
}

fn explain(nodes: usize, refusals: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let reasons: Vec<String> = refusals
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let short = refusals.keys().any(|reason| reason.starts_with("Insufficient"));
    let helpless = if short {
        "No preemption victims found for incoming pod"
    } else {
        "Preemption is not helpful for scheduling"
    };
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {nodes} {helpless}.",
        reasons.join(", ")
    )
}
