//! Karpenter's decisions: the recorded scenes, and the rules one by one.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tubectl_world::models::karpenter::Allowance;
use tubectl_world::models::karpenter::Batch;
use tubectl_world::models::karpenter::Budget;
use tubectl_world::models::karpenter::CAPACITY_TYPE;
use tubectl_world::models::karpenter::CapacityType;
use tubectl_world::models::karpenter::Command;
use tubectl_world::models::karpenter::Disruption;
use tubectl_world::models::karpenter::Effect;
use tubectl_world::models::karpenter::HOSTNAME;
use tubectl_world::models::karpenter::INSTANCE_TYPE;
use tubectl_world::models::karpenter::InstanceType;
use tubectl_world::models::karpenter::Node;
use tubectl_world::models::karpenter::Offering;
use tubectl_world::models::karpenter::Operator;
use tubectl_world::models::karpenter::Plan;
use tubectl_world::models::karpenter::Pod;
use tubectl_world::models::karpenter::Policy;
use tubectl_world::models::karpenter::Pool;
use tubectl_world::models::karpenter::Reason;
use tubectl_world::models::karpenter::Requirement;
use tubectl_world::models::karpenter::Resources;
use tubectl_world::models::karpenter::Spread;
use tubectl_world::models::karpenter::Taint;
use tubectl_world::models::karpenter::Toleration;
use tubectl_world::models::karpenter::Unavailable;
use tubectl_world::models::karpenter::ZONE;
use tubectl_world::models::karpenter::launch;
use tubectl_world::models::karpenter::plan;

/// What kwok decides by a die and the model by a rule: the zone among equal prices, and which of several empty nodes
/// alike goes first. So claims are compared without their zones, and the zones by how many there are of them.
const DECIDED_BY_A_DIE: &str = "zone among equal prices; order of empty nodes alike";

#[derive(Deserialize)]
struct Scene {
    pools: Vec<Value>,
    work: Vec<Value>,
}

#[derive(Clone, Deserialize)]
struct Recorded {
    scene: String,
    phase: String,
    t: f64,
    claims: Vec<Claim>,
    pending: usize,
}

#[derive(Clone, Deserialize)]
struct Claim {
    pool: String,
    #[serde(rename = "type")]
    instance_type: String,
    capacity: String,
    zone: String,
    arch: String,
    pods: usize,
    deleting: bool,
}

#[test]
fn every_recorded_scene_comes_up_with_the_recorded_nodes() {
    let types = recorded_types();
    let scenes: BTreeMap<String, Scene> = read("karpenter_scenes.json");
    let recorded = recorded();
    assert_eq!(scenes.len(), 5);
    for (name, scene) in &scenes {
        let up = recorded
            .iter()
            .rfind(|one| one.scene == *name && one.phase == "up")
            .expect(name);
        let nodes = bring_up(scene, &types);
        let expected: Vec<String> = up.claims.iter().map(described).collect();
        assert_eq!(up.pending, 0, "{name}");
        assert_eq!(
            sorted(nodes.iter().map(described_node)),
            sorted(expected),
            "{name} ({DECIDED_BY_A_DIE})"
        );
        let expected_zones = counted(up.claims.iter().map(|claim| claim.zone.as_str()));
        let found_zones = counted(nodes.iter().map(|node| node.labels[ZONE].as_str()));
        assert_eq!(
            found_zones, expected_zones,
            "{name}: how the nodes are spread over zones"
        );
    }
}

#[test]
fn every_recorded_scene_goes_down_as_recorded_within_the_loops_period() {
    let types = recorded_types();
    let scenes: BTreeMap<String, Scene> = read("karpenter_scenes.json");
    let recorded = recorded();
    for (name, scene) in &scenes {
        let after: Vec<&Recorded> = recorded
            .iter()
            .filter(|one| one.scene == *name && one.phase == "after-scale")
            .collect();
        let (first, last) = (after.first().expect(name), after.last().expect(name));
        let first_gone = after.iter().find(|one| one.claims.iter().any(|claim| claim.deleting));
        for phase in 0..10 {
            let pools: Vec<Pool> = scene.pools.iter().map(pool).collect();
            let mut nodes = bring_up(scene, &types);
            leave_pods(&mut nodes, &first.claims);
            let mut disruption = Disruption::new(at(f64::from(phase) - 10.0));
            let mut gone_at: BTreeMap<String, f64> = BTreeMap::new();
            // The recording ends when the first node is gone, which takes five seconds once it is decided.
            let end = first_gone.map_or(60.0, |one| one.t + 5.0).max(60.0);
            for tick in 0..600 {
                let second = f64::from(tick) / 10.0;
                if second >= end || gone_at.values().any(|gone| gone + 5.2 <= second) {
                    break;
                }
                let command = disruption.advance(&pools, &types, &nodes, &Unavailable::default(), at(second));
                for node in command.iter().flat_map(|command| &command.nodes) {
                    gone_at.insert(node.clone(), second);
                    nodes
                        .iter_mut()
                        .filter(|one| one.name == *node)
                        .for_each(|one| one.deleting = true);
                }
            }
            nodes.retain(|node| !node.deleting);
            let expected: Vec<String> = last.claims.iter().map(described).collect();
            let context = format!("{name}, loop at {phase} s");
            assert_eq!(sorted(nodes.iter().map(described_node)), sorted(expected), "{context}");
            assert_eq!(gone_at.len(), first.claims.len() - last.claims.len(), "{context}");
            // 30 s of quiet, up to 10 s for the loop, 15 s of validation: the recording lies in the same span.
            for gone in gone_at.values().copied().chain(first_gone.map(|one| one.t)) {
                assert!((45.0..=55.2).contains(&gone), "{context}: gone at {gone}");
            }
        }
    }
}

fn bring_up(scene: &Scene, types: &[InstanceType]) -> Vec<Node> {
    let pools: Vec<Pool> = scene.pools.iter().map(pool).collect();
    let pods: Vec<Pod> = scene.work.iter().flat_map(pods_of).collect();
    let mut batch = Batch::default();
    batch.see(at(-70.0));
    assert!(!batch.take(at(-69.1)) && batch.take(at(-69.0)));
    let plan = plan(&pods, &[], &pools, types, &Unavailable::default());
    assert_eq!(plan.unschedulable, []);
    nodes(&plan, &pods, types)
}

/// Makes the nodes of a plan, each with the pods it was planned for, ready long ago.
fn nodes(plan: &Plan, pods: &[Pod], types: &[InstanceType]) -> Vec<Node> {
    let mut machines = BTreeMap::new();
    let mut nodes = Vec::new();
    for (index, claim) in plan.claims.iter().enumerate() {
        let chosen = launch(claim, types, &Unavailable::default(), &machines).expect("an offering");
        *machines.entry(chosen.zone.clone()).or_insert(0) += 1;
        let instance_type = types
            .iter()
            .find(|one| one.name == chosen.instance_type)
            .expect("a type");
        let mut labels = instance_type.labels.clone();
        labels.insert(INSTANCE_TYPE.into(), chosen.instance_type.clone());
        labels.insert(ZONE.into(), chosen.zone.clone());
        labels.insert(CAPACITY_TYPE.into(), chosen.capacity_type.label().into());
        nodes.push(Node {
            name: format!("node-{index}"),
            pool: Some(claim.pool.clone()),
            labels,
            taints: claim.taints.clone(),
            capacity: instance_type.capacity.clone(),
            allocatable: instance_type.allocatable.clone(),
            pods: pods
                .iter()
                .filter(|pod| claim.pods.contains(&pod.name))
                .cloned()
                .collect(),
            daemons: Resources::default(),
            initialized: Some(at(-60.0)),
            last_pod_event: Some(at(0.0)),
            nominated_until: None,
            ready: true,
            deleting: false,
            protected: false,
        });
    }
    nodes
}

/// Takes pods off the nodes until each has what a recorded node of its kind has.
fn leave_pods(nodes: &mut [Node], claims: &[Claim]) {
    let mut left: Vec<&Claim> = claims.iter().collect();
    for node in nodes {
        let like = |claim: &&Claim| claim.instance_type == node.labels[INSTANCE_TYPE];
        let place = left.iter().position(like).expect("a recorded claim of this type");
        node.pods.truncate(left.remove(place).pods);
    }
}

fn described(claim: &Claim) -> String {
    let Claim {
        pool,
        instance_type,
        capacity,
        arch,
        pods,
        ..
    } = claim;
    format!("{pool} {instance_type} {capacity} {arch} {pods}")
}

fn described_node(node: &Node) -> String {
    let pool = node.pool.as_deref().unwrap_or("none");
    let label = |key: &str| node.labels[key].as_str();
    let (instance_type, capacity, arch) = (label(INSTANCE_TYPE), label(CAPACITY_TYPE), label("kubernetes.io/arch"));
    format!("{pool} {instance_type} {capacity} {arch} {}", node.pods.len())
}

fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<T> = all.into_iter().collect();
    sorted.sort();
    sorted
}

/// How many there are of each, whatever each is called.
fn counted<'a>(all: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    sorted(counts.into_values())
}

fn pool(manifest: &Value) -> Pool {
    let spec = &manifest["spec"];
    let template = &spec["template"];
    let mut pool = Pool::new(text(&manifest["metadata"]["name"]));
    pool.weight = spec["weight"]
        .as_u64()
        .map_or(0, |weight| u32::try_from(weight).expect("a weight"));
    pool.labels = strings(&template["metadata"]["labels"]);
    pool.requirements = items(&template["spec"]["requirements"]).map(requirement).collect();
    pool.taints = items(&template["spec"]["taints"])
        .map(|taint| Taint {
            key: text(&taint["key"]).to_owned(),
            value: text(&taint["value"]).to_owned(),
            effect: Effect::NoSchedule,
        })
        .collect();
    assert_eq!(spec["disruption"]["consolidationPolicy"], "WhenEmpty");
    assert_eq!(spec["disruption"]["consolidateAfter"], "30s");
    pool.policy = Policy::WhenEmpty;
    pool.consolidate_after = Some(SignedDuration::from_secs(30));
    pool
}

fn requirement(value: &Value) -> Requirement {
    assert_eq!(value["operator"], "In");
    let values: Vec<&str> = items(&value["values"]).map(text).collect();
    one_of(text(&value["key"]), &values)
}

fn pods_of(deployment: &Value) -> Vec<Pod> {
    let spec = &deployment["spec"]["template"]["spec"];
    let requests = strings(&spec["containers"][0]["resources"]["requests"]);
    let requests = requests
        .iter()
        .map(|(resource, amount)| (resource.as_str(), amount.as_str()));
    let tolerations = items(&spec["tolerations"]).map(|toleration| Toleration {
        key: toleration["key"].as_str().map(str::to_owned),
        value: toleration["value"].as_str().map(str::to_owned),
        effect: None,
    });
    let pod = Pod {
        requests: Resources::parse(requests).expect("quantities"),
        tolerations: tolerations.collect(),
        ..Pod::default()
    };
    let replicas = deployment["spec"]["replicas"].as_u64().expect("replicas");
    let named = |index| Pod {
        name: format!("scene/w-{index:02}"),
        ..pod.clone()
    };
    (0..replicas).map(named).collect()
}

fn recorded_types() -> Vec<InstanceType> {
    let types: Vec<Value> = read("karpenter_types.json");
    types
        .iter()
        .map(|one| instance_type(one, &["eu-west-1a", "eu-west-1b", "eu-west-1c"]))
        .collect()
}

fn instance_type(value: &Value, zones: &[&str]) -> InstanceType {
    let name = text(&value["name"]);
    let (family, size) = name.split_once('.').expect("family and size");
    let capacity = strings(&value["resources"]);
    let capacity = capacity
        .iter()
        .map(|(resource, amount)| (resource.as_str(), amount.as_str()));
    let capacity = Resources::parse(capacity).expect("quantities");
    let mut allocatable = capacity.clone();
    let kept = Resources::parse([("cpu", "100m"), ("memory", "10Mi")]).expect("quantities");
    for (resource, amount) in kept.0 {
        allocatable.0.entry(resource).and_modify(|left| *left -= amount);
    }
    let offering = |zone: &&str, capacity_type, price: &str| Offering {
        zone: (*zone).to_owned(),
        capacity_type,
        price: value[price].as_f64().expect("a price"),
    };
    let spot = zones.iter().map(|zone| offering(zone, CapacityType::Spot, "spot"));
    let on_demand = zones
        .iter()
        .map(|zone| offering(zone, CapacityType::OnDemand, "on_demand"));
    InstanceType {
        name: name.to_owned(),
        labels: labels(&[
            ("kubernetes.io/arch", text(&value["arch"])),
            ("karpenter.k8s.aws/instance-family", family),
            ("karpenter.k8s.aws/instance-size", size),
            ("karpenter.k8s.aws/instance-category", &family[..1]),
        ]),
        capacity,
        allocatable,
        offerings: spot.chain(on_demand).collect(),
    }
}

fn recorded() -> Vec<Recorded> {
    let text = file("karpenter_scenes.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    serde_json::from_str(&file(name)).expect(name)
}

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    std::fs::read_to_string(folder.join(name)).expect(name)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), text(value).to_owned()))
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn one_of(key: &str, values: &[&str]) -> Requirement {
    Requirement {
        key: key.to_owned(),
        operator: Operator::In,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn at(second: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::try_from_secs_f64(second).expect("a second of a test")
}

fn pod(name: &str, cpu: &str) -> Pod {
    Pod {
        name: name.to_owned(),
        labels: labels(&[("app", "w")]),
        requests: Resources::parse([("cpu", cpu), ("memory", "1Gi")]).expect("quantities"),
        ..Pod::default()
    }
}

fn pods(count: usize, cpu: &str) -> Vec<Pod> {
    (0..count).map(|index| pod(&format!("w-{index:02}"), cpu)).collect()
}

/// A pool of On-Demand m5.
fn m5() -> Pool {
    let mut pool = Pool::new("m5");
    pool.requirements = vec![
        one_of("karpenter.k8s.aws/instance-family", &["m5"]),
        one_of(CAPACITY_TYPE, &["on-demand"]),
    ];
    pool
}

fn planned(pods: &[Pod], nodes: &[Node], pools: &[Pool]) -> Plan {
    plan(pods, nodes, pools, &recorded_types(), &Unavailable::default())
}

fn shape(plan: &Plan) -> Vec<(usize, &str)> {
    plan.claims
        .iter()
        .map(|claim| (claim.pods.len(), claim.types[0].as_str()))
        .collect()
}

#[test]
fn a_batch_closes_a_second_after_its_last_pod_but_ten_after_its_first() {
    let mut batch = Batch::default();
    assert_eq!(batch.closes(), None);
    batch.see(at(0.0));
    assert_eq!(batch.closes(), Some(at(1.0)));
    batch.see(at(0.9));
    assert_eq!(batch.closes(), Some(at(1.9)));
    (1..20).for_each(|tick| batch.see(at(0.9 + 0.5 * f64::from(tick))));
    assert_eq!(batch.closes(), Some(at(10.0)));
    assert!(!batch.take(at(9.9)));
    assert!(batch.take(at(10.0)));
    assert_eq!(batch.closes(), None);
}

#[test]
fn nodes_there_are_come_first_and_then_those_on_their_way() {
    let types = recorded_types();
    let first = pods(3, "1");
    let mut there = nodes(&planned(&first, &[], &[m5()]), &first, &types);
    assert_eq!(there.len(), 1);
    // 0.9 cpu are left of an m5.xlarge: one small pod goes there, the other needs a node.
    let more = [pod("small", "800m"), pod("large", "2")];
    let plan = planned(&more, &there, &[m5()]);
    assert_eq!(plan.nominations, [("small".to_owned(), "node-0".to_owned())]);
    assert_eq!(shape(&plan), [(1, "m5.xlarge")]);
    there[0].deleting = true;
    let plan = planned(&more, &there, &[m5()]);
    assert_eq!((plan.nominations.len(), shape(&plan)), (0, vec![(2, "m5.xlarge")]));
}

#[test]
fn limits_are_charged_with_the_largest_type_a_claim_may_become() {
    let mut pool = m5();
    // Each pod alone leaves m5.4xlarge among the types: 16 cpu are charged for a claim that becomes an m5.2xlarge.
    pool.limits = Resources::parse([("cpu", "20")]).expect("quantities");
    let spread_out = |index: usize| Pod {
        spread: vec![Spread {
            key: HOSTNAME.into(),
            max_skew: 1,
            required: true,
            selector: labels(&[("app", "w")]),
        }],
        ..pod(&format!("w-{index}"), "5")
    };
    let pods: Vec<Pod> = (0..2).map(spread_out).collect();
    let plan = planned(&pods, &[], &[pool]);
    assert_eq!(shape(&plan), [(1, "m5.2xlarge")]);
    // Four cpu are left: an m5.xlarge would be allowed, but it is too small.
    let why = "no instance type of NodePool `m5` satisfies its requests, requirements and spread together";
    assert_eq!(plan.unschedulable, [("w-1".to_owned(), why.to_owned())]);
}

#[test]
fn what_keeps_a_pod_off_every_pool_is_said() {
    let mut tainted = m5();
    tainted.taints = vec![Taint {
        key: "nvidia.com/gpu".into(),
        value: "true".into(),
        effect: Effect::NoSchedule,
    }];
    let check = |pod: Pod, pool: &Pool, expected: &str| {
        let plan = planned(&[pod], &[], std::slice::from_ref(pool));
        assert_eq!(plan.unschedulable[0].1, expected);
    };
    check(pod("w", "1"), &tainted, "did not tolerate the taints of NodePool `m5`");
    check(
        pod("w", "90"),
        &m5(),
        "no instance type of NodePool `m5` has the resources it requests",
    );
    let arm = Pod {
        node_selector: labels(&[("intent", "apps")]),
        ..pod("w", "1")
    };
    check(arm, &m5(), "incompatible with the requirements of NodePool `m5`");
    let mut full = m5();
    full.limits = Resources::parse([("cpu", "1")]).expect("quantities");
    check(
        pod("w", "1"),
        &full,
        "all available instance types exceed the limits of NodePool `m5`",
    );
    assert_eq!(
        planned(&pods(1, "1"), &[], &[]).unschedulable[0].1,
        "there is no NodePool; apply one"
    );
}

#[test]
fn selectors_affinity_and_bounds_narrow_the_types() {
    let mut pool = Pool::new("any");
    pool.labels = labels(&[("intent", "apps")]);
    let check = |change: &dyn Fn(&mut Pod), expected: &[(usize, &str)]| {
        let mut pod = pod("w", "1");
        change(&mut pod);
        assert_eq!(shape(&planned(&[pod], &[], std::slice::from_ref(&pool))), expected);
    };
    check(&|_| (), &[(1, "c6g.large")]);
    check(
        &|pod| pod.node_selector = labels(&[("kubernetes.io/arch", "amd64")]),
        &[(1, "c5.large")],
    );
    check(
        &|pod| pod.node_selector = labels(&[("intent", "apps"), (CAPACITY_TYPE, "on-demand")]),
        &[(1, "c6g.large")],
    );
    let not_c = Requirement {
        operator: Operator::NotIn,
        ..one_of("karpenter.k8s.aws/instance-category", &["c"])
    };
    check(&|pod| pod.affinity = vec![vec![not_c.clone()]], &[(1, "m6g.large")]);
    // The second term holds where the first one cannot.
    let nowhere = one_of("karpenter.k8s.aws/instance-family", &["p5"]);
    check(
        &|pod| pod.affinity = vec![vec![nowhere.clone()], vec![not_c.clone()]],
        &[(1, "m6g.large")],
    );
}

#[test]
fn a_required_spread_puts_pods_in_every_zone_and_a_wish_gives_way() {
    let spread = |required| Spread {
        key: ZONE.into(),
        max_skew: 1,
        required,
        selector: labels(&[("app", "w")]),
    };
    let with = |required| -> Vec<Pod> {
        let spread = vec![spread(required)];
        let mut pods = pods(6, "1");
        for pod in &mut pods {
            pod.spread.clone_from(&spread);
        }
        pods
    };
    let types = recorded_types();
    let pods = with(true);
    let nodes = nodes(&planned(&pods, &[], &[m5()]), &pods, &types);
    let found = sorted(nodes.iter().map(|node| (node.labels[ZONE].as_str(), node.pods.len())));
    assert_eq!(found, [("eu-west-1a", 2), ("eu-west-1b", 2), ("eu-west-1c", 2)]);
    let mut one_zone = m5();
    one_zone.requirements.push(one_of(ZONE, &["eu-west-1a"]));
    let plan = planned(&with(true), &[], std::slice::from_ref(&one_zone));
    assert_eq!((plan.claims[0].pods.len(), plan.unschedulable.len()), (1, 5));
    let plan = planned(&with(false), &[], &[one_zone]);
    assert_eq!(plan.unschedulable, []);
}

#[test]
fn an_offering_without_capacity_is_passed_over_for_three_minutes() {
    let types = recorded_types();
    let mut pool = m5();
    pool.requirements[1] = one_of(CAPACITY_TYPE, &["spot", "on-demand"]);
    let pools = [pool];
    let mut unavailable = Unavailable::default();
    let choose = |unavailable: &Unavailable| {
        let plan = plan(&pods(1, "1"), &[], &pools, &types, unavailable);
        let chosen = launch(&plan.claims[0], &types, unavailable, &BTreeMap::new()).expect("an offering");
        (chosen.instance_type, chosen.zone, chosen.capacity_type)
    };
    let large = |zone: &str| ("m5.large".to_owned(), zone.to_owned(), CapacityType::Spot);
    assert_eq!(choose(&unavailable), large("eu-west-1a"));
    unavailable.note("m5.large", "eu-west-1a", CapacityType::Spot, at(0.0));
    assert_eq!(choose(&unavailable), large("eu-west-1b"));
    for zone in ["eu-west-1b", "eu-west-1c"] {
        unavailable.note("m5.large", zone, CapacityType::Spot, at(1.0));
    }
    // Spot of the next size before On-Demand of this one.
    assert_eq!(choose(&unavailable).0, "m5.xlarge");
    unavailable.forget(at(180.0));
    assert_eq!(choose(&unavailable), large("eu-west-1a"));
}

/// Runs the loop from second 0 and notes what it decides, and when; nodes are gone five seconds later.
fn disrupted(pool: &Pool, mut nodes: Vec<Node>, seconds: u32) -> Vec<(u32, Command)> {
    let types = recorded_types();
    let mut disruption = Disruption::new(at(0.0));
    let mut commands: Vec<(u32, Command)> = Vec::new();
    for second in 0..seconds {
        let gone = commands
            .iter()
            .filter(|(when, _)| when + 5 <= second)
            .flat_map(|(_, command)| &command.nodes);
        let gone: Vec<String> = gone.cloned().collect();
        nodes.retain(|node| !gone.contains(&node.name));
        let now = at(f64::from(second));
        let pools = std::slice::from_ref(pool);
        while disruption.next_wake() <= now {
            let command = disruption.advance(pools, &types, &nodes, &Unavailable::default(), now);
            for node in command.iter().flat_map(|command| &command.nodes) {
                nodes
                    .iter_mut()
                    .filter(|one| one.name == *node)
                    .for_each(|one| one.deleting = true);
            }
            commands.extend(command.map(|command| (second, command)));
        }
    }
    commands
}

fn empty_nodes(count: usize) -> Vec<Node> {
    let types = recorded_types();
    let pods = pods(1, "1");
    let one = nodes(&planned(&pods, &[], &[m5()]), &pods, &types).remove(0);
    let named = |index| Node {
        name: format!("node-{index}"),
        pods: Vec::new(),
        ..one.clone()
    };
    (0..count).map(named).collect()
}

#[test]
fn budgets_say_how_many_empty_nodes_go_at_once() {
    let check = |nodes_allowed: Allowance, expected: &[(u32, usize)]| {
        let mut pool = m5();
        pool.consolidate_after = Some(SignedDuration::from_secs(30));
        pool.budgets = vec![Budget {
            nodes: nodes_allowed,
            ..Budget::default()
        }];
        let commands = disrupted(&pool, empty_nodes(4), 110);
        let found: Vec<(u32, usize)> = commands
            .iter()
            .map(|(when, command)| (*when, command.nodes.len()))
            .collect();
        assert_eq!(found, expected, "{nodes_allowed:?}");
    };
    check(Allowance::Percent(10), &[(45, 1), (70, 1), (95, 1)]);
    check(Allowance::Percent(50), &[(45, 2), (70, 1), (95, 1)]);
    check(Allowance::Percent(100), &[(45, 4)]);
    check(Allowance::Count(0), &[]);
    check(Allowance::Count(3), &[(45, 3), (70, 1)]);
}

#[test]
fn a_node_that_fills_again_during_validation_stays() {
    let types = recorded_types();
    let mut pool = m5();
    pool.consolidate_after = Some(SignedDuration::from_secs(30));
    let pools = [pool];
    let mut nodes = empty_nodes(1);
    let mut disruption = Disruption::new(at(30.0));
    let mut advance = |nodes: &[Node], second: f64| {
        let command = disruption.advance(&pools, &types, nodes, &Unavailable::default(), at(second));
        (command, disruption.next_wake())
    };
    assert_eq!(advance(&nodes, 30.0), (None, at(45.0)));
    nodes[0].pods = pods(1, "1");
    nodes[0].last_pod_event = Some(at(40.0));
    assert_eq!(advance(&nodes, 45.0), (None, at(55.0)));
    nodes[0].pods.clear();
    nodes[0].last_pod_event = Some(at(50.0));
    assert_eq!(advance(&nodes, 55.0), (None, at(65.0)));
    nodes[0].nominated_until = Some(at(200.0));
    assert_eq!(advance(&nodes, 85.0), (None, at(95.0)));
    nodes[0].nominated_until = None;
    nodes[0].protected = true;
    assert_eq!(advance(&nodes, 95.0), (None, at(105.0)));
    nodes[0].protected = false;
    assert_eq!(advance(&nodes, 105.0), (None, at(120.0)));
    let (command, _) = advance(&nodes, 120.0);
    assert_eq!(command.expect("it is empty").nodes, ["node-0"]);
}

#[test]
fn an_underused_node_goes_when_its_pods_fit_elsewhere_or_on_something_cheaper() {
    let types = recorded_types();
    let large = pods(3, "1");
    let roomy = nodes(&planned(&large, &[], &[m5()]), &large, &types).remove(0);
    let with = |name: &str, pods: &[Pod]| Node {
        name: name.to_owned(),
        pods: pods.to_vec(),
        last_pod_event: None,
        ..roomy.clone()
    };
    let check = |policy: Policy, capacity_type: &str, nodes: &[Node], expected: &[(&str, Option<&str>)]| {
        let mut pool = m5();
        pool.policy = policy;
        pool.requirements[1] = one_of(CAPACITY_TYPE, &[capacity_type]);
        let mut nodes = nodes.to_vec();
        for node in &mut nodes {
            node.labels.insert(CAPACITY_TYPE.into(), capacity_type.into());
        }
        let commands = disrupted(&pool, nodes, 20);
        let found: Vec<(&str, Option<&str>)> = commands
            .iter()
            .map(|(_, command)| {
                assert_eq!(command.reason, Reason::Underutilized);
                let cheapest = command.replacement.as_ref().map(|claim| claim.types[0].as_str());
                (command.nodes[0].as_str(), cheapest)
            })
            .collect();
        assert_eq!(found, expected, "{policy:?} {capacity_type}");
    };
    let both = [with("a", &large[..1]), with("b", &large[1..2])];
    check(Policy::WhenEmptyOrUnderutilized, "on-demand", &both, &[("a", None)]);
    check(Policy::WhenEmpty, "on-demand", &both, &[]);
    check(Policy::WhenEmptyOrUnderutilized, "spot", &both, &[("a", None)]);
    let alone = [with("a", &large[..1])];
    check(
        Policy::WhenEmptyOrUnderutilized,
        "on-demand",
        &alone,
        &[("a", Some("m5.large"))],
    );
    // Spot is not replaced by cheaper Spot.
    check(Policy::WhenEmptyOrUnderutilized, "spot", &alone, &[]);
    check(Policy::WhenEmptyOrUnderutilized, "on-demand", &[with("a", &large)], &[]);
}
