//! The cluster and the account as Karpenter's model looks at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::types;
use crate::core::Scene;
use crate::kube::actors::condition;
use crate::kube::actors::daemon_set;
use crate::kube::actors::eks;
use crate::kube::actors::karpenter::NODE_POOL;
use crate::kube::actors::karpenter::text;
use crate::kube::actors::kinds;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::Amounts;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::models::karpenter;
use crate::models::karpenter::Resources;

/// The pods that the scheduler could not place and that no daemon owns.
pub(super) fn waiting(scene: &mut Scene<'_>) -> Vec<Arc<Value>> {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let unbound = cluster.actors.pods.unbound();
    let pods = unbound.filter_map(|name| cluster.store.get(&kinds::POD, &name.namespace, &name.name));
    pods.filter(|pod| pod::active(pod) && daemon_set::target(pod).is_none())
        .filter(|pod| condition::find(pod, "PodScheduled").is_some_and(|one| one["reason"] == "Unschedulable"))
        .cloned()
        .collect()
}

/// How the model names a pod.
pub(super) fn key(pod: &Value) -> String {
    let name = Name::of(pod);
    format!("{}/{}", name.namespace, name.name)
}

/// A pod.
pub(super) fn pod(pod: &Value) -> karpenter::Pod {
    let spec = &pod["spec"];
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let affinity = list(&required["nodeSelectorTerms"]).iter();
    let affinity = affinity.map(|term| requirements(&term["matchExpressions"])).collect();
    let tolerations = list(&spec["tolerations"]).iter().map(|one| karpenter::Toleration {
        key: one["key"].as_str().map(str::to_owned),
        value: (one["operator"] != "Exists").then(|| text(&one["value"])),
        effect: effect(&one["effect"]),
    });
    let spread = list(&spec["topologySpreadConstraints"])
        .iter()
        .map(|rule| karpenter::Spread {
            key: text(&rule["topologyKey"]),
            max_skew: rule["maxSkew"]
                .as_u64()
                .and_then(|skew| u32::try_from(skew).ok())
                .unwrap_or(1),
            required: rule["whenUnsatisfiable"] != "ScheduleAnyway",
            selector: pairs(&rule["labelSelector"]["matchLabels"]),
        });
    karpenter::Pod {
        name: key(pod),
        labels: pairs(selector::labels(pod)),
        requests: amounts(&pod::requests(pod)),
        node_selector: pairs(&spec["nodeSelector"]),
        affinity,
        tolerations: tolerations.collect(),
        spread: spread.collect(),
        created: pod::time(&pod["metadata"]["creationTimestamp"]).unwrap_or_default(),
    }
}

fn pairs(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), text(value))).collect()
}

pub(super) fn amounts(amounts: &Amounts) -> Resources {
    Resources(amounts.iter().map(|(name, amount)| (name.to_owned(), amount)).collect())
}

fn effect(value: &Value) -> Option<karpenter::Effect> {
    match value.as_str()? {
        "NoSchedule" => Some(karpenter::Effect::NoSchedule),
        "PreferNoSchedule" => Some(karpenter::Effect::PreferNoSchedule),
        "NoExecute" => Some(karpenter::Effect::NoExecute),
        _ => None,
    }
}

fn requirements(list_of: &Value) -> Vec<karpenter::Requirement> {
    let operator = |one: &Value| match one["operator"].as_str() {
        Some("NotIn") => karpenter::Operator::NotIn,
        Some("Exists") => karpenter::Operator::Exists,
        Some("DoesNotExist") => karpenter::Operator::DoesNotExist,
        Some("Gt") => karpenter::Operator::Gt,
        Some("Lt") => karpenter::Operator::Lt,
        _ => karpenter::Operator::In,
    };
    let read = |one: &Value| karpenter::Requirement {
        key: text(&one["key"]),
        operator: operator(one),
        values: list(&one["values"]).iter().map(text).collect(),
    };
    list(list_of).iter().map(read).collect()
}

fn taints(list_of: &Value) -> Vec<karpenter::Taint> {
    let read = |one: &Value| {
        let effect = effect(&one["effect"])?;
        Some(karpenter::Taint {
            key: text(&one["key"]),
            value: text(&one["value"]),
            effect,
        })
    };
    list(list_of).iter().filter_map(read).collect()
}

/// The pools that can be used.
pub(super) fn pools(scene: &Scene<'_>) -> Vec<karpenter::Pool> {
    let pools = scene.cluster.store.list(&kinds::NODE_POOL);
    pools
        .filter(|pool| condition::holds(pool, "Ready") && !marked(pool))
        .map(|pool| read_pool(pool))
        .collect()
}

fn read_pool(object: &Value) -> karpenter::Pool {
    let spec = &object["spec"];
    let template = &spec["template"];
    let disruption = &spec["disruption"];
    let mut pool = karpenter::Pool::new(&Name::of(object).name);
    pool.weight = spec["weight"]
        .as_u64()
        .and_then(|weight| u32::try_from(weight).ok())
        .unwrap_or(0);
    pool.requirements = requirements(&template["spec"]["requirements"]);
    pool.labels = pairs(&template["metadata"]["labels"]);
    pool.taints = taints(&template["spec"]["taints"]);
    pool.limits = amounts(&Amounts::of(&spec["limits"]));
    if disruption["consolidationPolicy"] == "WhenEmpty" {
        pool.policy = karpenter::Policy::WhenEmpty;
    }
    pool.consolidate_after = match disruption["consolidateAfter"].as_str() {
        Some("Never") => None,
        Some(after) => after.parse::<SignedDuration>().ok(),
        None => pool.consolidate_after,
    };
    if let Some(budgets) = disruption["budgets"].as_array() {
        pool.budgets = budgets.iter().map(read_budget).collect();
    }
    pool
}

fn read_budget(budget: &Value) -> karpenter::Budget {
    let nodes = text(&budget["nodes"]);
    let number = |text: &str| text.parse().unwrap_or(0);
    let reasons = list(&budget["reasons"])
        .iter()
        .filter_map(|reason| match reason.as_str()? {
            "Empty" => Some(karpenter::Reason::Empty),
            "Underutilized" => Some(karpenter::Reason::Underutilized),
            "Drifted" => Some(karpenter::Reason::Drifted),
            _ => None,
        });
    let begins = budget["schedule"]
        .as_str()
        .and_then(|text| karpenter::Cron::parse(text).ok());
    let duration = budget["duration"].as_str().and_then(|text| text.parse().ok());
    karpenter::Budget {
        nodes: match nodes.strip_suffix('%') {
            Some(percent) => karpenter::Allowance::Percent(number(percent)),
            None => karpenter::Allowance::Count(number(&nodes)),
        },
        reasons: reasons.collect(),
        window: begins
            .zip(duration)
            .map(|(begins, duration)| karpenter::Window { begins, duration }),
    }
}

/// The instance types that the region offers in the zones of the classes' subnets.
pub(super) fn types(scene: &mut Scene<'_>) -> Vec<karpenter::InstanceType> {
    let region = scene.cluster.region.clone();
    let classes = scene.cluster.store.list(&kinds::NODE_CLASS);
    let zones: std::collections::BTreeSet<String> = classes
        .flat_map(|class| list(&class["status"]["subnets"]))
        .map(|subnet| text(&subnet["zone"]))
        .collect();
    types::all()
        .iter()
        .filter_map(|machine| read_type(machine, &region, &zones))
        .collect()
}

fn read_type(
    machine: &types::InstanceType,
    region: &str,
    zones: &std::collections::BTreeSet<String>,
) -> Option<karpenter::InstanceType> {
    let price = machine.on_demand_price(region)?;
    let mut offerings = Vec::new();
    for zone in zones {
        let mut offer = |capacity_type, price| {
            offerings.push(karpenter::Offering {
                zone: zone.clone(),
                capacity_type,
                price,
            });
        };
        offer(karpenter::CapacityType::OnDemand, price);
        if let Some(price) = machine.spot_price(zone) {
            offer(karpenter::CapacityType::Spot, price);
        }
    }
    let share = |share| amounts(&Amounts::of(&eks::resources(machine, machine.gpus, share)));
    Some(karpenter::InstanceType {
        name: machine.name.to_owned(),
        labels: pairs(&labels(machine)),
        capacity: share(eks::Share::All),
        allocatable: share(eks::Share::Pods),
        offerings,
    })
}

/// The labels that a machine's type gives its node.
pub(super) fn labels(machine: &types::InstanceType) -> Value {
    let (family, size) = machine.name.split_once('.').unwrap_or((machine.name, ""));
    let category: String = family.chars().take_while(char::is_ascii_alphabetic).collect();
    let generation: String = family
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let mut labels = json!({
        "node.kubernetes.io/instance-type": machine.name,
        "kubernetes.io/arch": eks::architecture(machine),
        "kubernetes.io/os": "linux",
        "karpenter.k8s.aws/instance-category": category,
        "karpenter.k8s.aws/instance-family": family,
        "karpenter.k8s.aws/instance-generation": generation,
        "karpenter.k8s.aws/instance-size": size,
        "karpenter.k8s.aws/instance-cpu": machine.vcpus.to_string(),
        "karpenter.k8s.aws/instance-memory": machine.memory_mib.to_string(),
        "karpenter.k8s.aws/instance-hypervisor": "nitro",
    });
    if machine.gpus > 0 {
        labels["karpenter.k8s.aws/instance-gpu-count"] = json!(machine.gpus.to_string());
        labels["karpenter.k8s.aws/instance-gpu-manufacturer"] = json!("nvidia");
        labels["karpenter.k8s.aws/instance-gpu-name"] = json!(machine.gpu.to_lowercase());
        labels["karpenter.k8s.aws/instance-gpu-memory"] = json!(machine.gpu_mib.to_string());
    }
    labels
}

/// Every node, and every claim whose node is not there yet.
pub(super) fn nodes(scene: &mut Scene<'_>) -> Vec<karpenter::Node> {
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let store = &cluster.store;
    let claims: Vec<Arc<Value>> = store.list(&kinds::NODE_CLAIM).cloned().collect();
    let mut nodes: Vec<karpenter::Node> = Vec::new();
    for node in store.list(&kinds::NODE) {
        let name = Name::of(node).name;
        let claim = claims.iter().find(|claim| claim["status"]["nodeName"] == *name);
        let on = cluster.actors.pods.on_node(&name);
        let pods: Vec<&Arc<Value>> = on
            .filter_map(|pod| store.get(&kinds::POD, &pod.namespace, &pod.name))
            .collect();
        let is_daemon = |pod: &Value| owner::controller_name(pod, &kinds::DAEMON_SET).is_some();
        let mut daemons = Amounts::default();
        for daemon in pods.iter().filter(|pod| is_daemon(pod)) {
            daemons.add(&pod::requests(daemon));
        }
        let usual = pods.iter().filter(|pod| !is_daemon(pod) && pod::active(pod));
        let initialized = claim.and_then(|claim| condition::find(claim, "Initialized").cloned());
        let initialized = initialized.filter(|one| one["status"] == "True");
        let protects = |pod: &&&Arc<Value>| pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true";
        nodes.push(karpenter::Node {
            pool: selector::labels(node)[NODE_POOL].as_str().map(str::to_owned),
            labels: pairs(selector::labels(node)),
            taints: taints(&node["spec"]["taints"]),
            capacity: amounts(&Amounts::of(&node["status"]["capacity"])),
            allocatable: amounts(&Amounts::of(&node["status"]["allocatable"])),
            protected: usual.clone().any(|pod| protects(&pod)),
            pods: usual.map(|one| pod(one)).collect(),
            daemons: amounts(&daemons),
            initialized: initialized.and_then(|one| pod::time(&one["lastTransitionTime"])),
            last_pod_event: cluster.actors.karpenter.pod_events.get(&name).map(|(at, _)| *at),
            nominated_until: None,
            ready: condition::holds(node, "Ready"),
            deleting: marked(node) || claim.is_some_and(|claim| marked(claim)),
            name,
        });
    }
    let registered: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let coming = claims
        .iter()
        .filter(|claim| !registered.contains(&text(&claim["status"]["nodeName"])));
    nodes.extend(coming.map(|claim| planned(claim)));
    nodes
}

/// A claim whose node is on its way, as the node that it will be.
fn planned(claim: &Value) -> karpenter::Node {
    karpenter::Node {
        name: Name::of(claim).name,
        pool: selector::labels(claim)[NODE_POOL].as_str().map(str::to_owned),
        labels: pairs(selector::labels(claim)),
        taints: taints(&claim["spec"]["taints"]),
        capacity: amounts(&Amounts::of(&claim["status"]["capacity"])),
        allocatable: amounts(&Amounts::of(&claim["status"]["allocatable"])),
        pods: Vec::new(),
        daemons: Resources::default(),
        initialized: None,
        last_pod_event: None,
        nominated_until: None,
        ready: false,
        deleting: marked(claim),
        protected: false,
    }
}
