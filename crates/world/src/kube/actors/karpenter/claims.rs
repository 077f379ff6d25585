//! `NodeClaims`: launched, registered, initialized; and, when they go, drained and terminated.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::instances;
use crate::aws::ec2::instances::Launch;
use crate::aws::ec2::instances::Market;
use crate::aws::ec2::launch_templates;
use crate::aws::ec2::types;
use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::disruption_budget::may_evict;
use crate::kube::actors::eks;
use crate::kube::actors::event;
use crate::kube::actors::karpenter::LOOK;
use crate::kube::actors::karpenter::NODE_POOL;
use crate::kube::actors::karpenter::TERMINATION;
use crate::kube::actors::karpenter::set_finalizer;
use crate::kube::actors::karpenter::tags;
use crate::kube::actors::karpenter::text;
use crate::kube::actors::kinds;
use crate::kube::actors::node;
use crate::kube::actors::owner;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::actors::site;
use crate::kube::store::Name;
use crate::kube::store::marked;
use crate::models::karpenter;
use crate::models::karpenter::CapacityType;
use crate::models::karpenter::PlannedClaim;

/// How far a claim is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The machine that was chosen.
    launch: Option<karpenter::Launch>,
    /// When the machine is asked for, when its node registers, and when its GPUs are announced.
    launches: Option<Timestamp>,
    registers: Option<Timestamp>,
    announces: Option<Timestamp>,
    /// Since when its node is drained.
    draining: Option<Timestamp>,
}

/// Drains last at least this long.
const MIN_DRAIN: Duration = Duration::from_secs(5);

/// Makes the object of a planned claim.
pub(super) fn create(scene: &mut Scene<'_>, planned: &PlannedClaim, types: &[karpenter::InstanceType]) {
    let Some(pool) = scene.cluster.store.get(&kinds::NODE_POOL, "", &planned.pool).cloned() else {
        return;
    };
    let mut zones = BTreeMap::new();
    for node in scene.cluster.store.list(&kinds::NODE_CLAIM) {
        *zones
            .entry(text(&selector::labels(node)["topology.kubernetes.io/zone"]))
            .or_insert(0) += 1;
    }
    let unavailable = &scene.cluster.actors.karpenter.unavailable;
    let Some(launch) = karpenter::launch(planned, types, unavailable, &zones) else {
        return;
    };
    let template = &pool["spec"]["template"];
    let name = format!("{}-{}", planned.pool, scene.random.suffix(5));
    let machine = types::find(&launch.instance_type);
    let mut labels = machine.map_or_else(|| json!({}), super::view::labels);
    for (key, value) in template["metadata"]["labels"].as_object().into_iter().flatten() {
        labels[key] = value.clone();
    }
    labels[NODE_POOL] = json!(planned.pool);
    labels["karpenter.sh/capacity-type"] = json!(launch.capacity_type.label());
    labels["topology.kubernetes.io/zone"] = json!(launch.zone);
    let class = text(&template["spec"]["nodeClassRef"]["name"]);
    labels["karpenter.k8s.aws/ec2nodeclass"] = json!(class);
    let mut spec = template["spec"].clone();
    spec["resources"] = json!({"requests": {"pods": planned.pods.len().to_string()}});
    let claim = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "generateName": format!("{}-", planned.pool),
            "labels": labels,
            "finalizers": [TERMINATION],
            "ownerReferences": owner::controlled_by(&pool),
        },
        "spec": spec,
        "status": machine.map_or_else(|| json!({}), |machine| json!({
            "capacity": eks::resources(machine, machine.gpus, eks::Share::All),
            "allocatable": eks::resources(machine, machine.gpus, eks::Share::Pods),
        })),
    });
    let created = scene
        .cluster
        .store
        .create(&kinds::NODE_CLAIM, claim, scene.now, scene.random);
    let launches = later(scene.now, scene.random.seconds(0.8, 2.0, 3.5));
    if let Some(claim) = created {
        let progress = Progress {
            launch: Some(launch),
            launches: Some(launches),
            ..Progress::default()
        };
        scene
            .cluster
            .actors
            .karpenter
            .claims
            .insert(pod::uid(&claim).to_owned(), progress);
        let message = format!("Pods will be scheduled on it: {}", planned.pods.join(", "));
        event::record(scene, &claim, "karpenter", event::Kind::Normal, "Created", &message);
    }
}

pub(super) fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let claims: Vec<_> = scene.cluster.store.list(&kinds::NODE_CLAIM).cloned().collect();
    let mut wakes = Vec::new();
    for claim in &claims {
        let uid = pod::uid(claim).to_owned();
        let mut progress = scene.cluster.actors.karpenter.claims.remove(&uid).unwrap_or_default();
        let at = if marked(claim) {
            terminate(scene, claim, &mut progress)
        } else {
            advance(scene, claim, &mut progress)
        };
        wakes.extend(at);
        scene.cluster.actors.karpenter.claims.insert(uid, progress);
    }
    let uids: Vec<&str> = claims.iter().map(|claim| pod::uid(claim)).collect();
    scene
        .cluster
        .actors
        .karpenter
        .claims
        .retain(|uid, _| uids.contains(&&**uid));
    delete_marked_nodes(scene);
    wakes.into_iter().min()
}

/// A node that is deleted takes its claim along.
fn delete_marked_nodes(scene: &mut Scene<'_>) {
    let nodes: Vec<String> = scene
        .cluster
        .store
        .list(&kinds::NODE)
        .filter(|node| marked(node) && selector::labels(node)[NODE_POOL].is_string())
        .map(|node| Name::of(node).name)
        .collect();
    for node in nodes {
        let claims = scene.cluster.store.list(&kinds::NODE_CLAIM);
        let claim = claims
            .filter(|claim| claim["status"]["nodeName"] == *node)
            .map(|claim| Name::of(claim).name)
            .next();
        match claim {
            Some(claim) => {
                let known = scene.cluster.store.get(&kinds::NODE_CLAIM, "", &claim);
                if known.is_some_and(|claim| !marked(claim)) {
                    scene.cluster.store.delete(&kinds::NODE_CLAIM, "", &claim, scene.now, 0);
                }
            }
            None => set_finalizer(scene, &kinds::NODE, &node, TERMINATION, false),
        }
    }
}

/// Brings a claim one step on its way.
fn advance(scene: &mut Scene<'_>, claim: &Value, progress: &mut Progress) -> Option<Timestamp> {
    let name = Name::of(claim).name;
    if claim["status"]["providerID"].is_null() {
        let at = progress.launches?;
        if at > scene.now {
            return Some(at);
        }
        return launch(scene, claim, progress);
    }
    let instance = text(&claim["status"]["providerID"])
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    if !eks::lives(scene, &instance) {
        // EC2 took the machine back.
        scene.cluster.store.delete(&kinds::NODE_CLAIM, "", &name, scene.now, 0);
        return Some(later(scene.now, LOOK));
    }
    let registers = progress.registers?;
    if registers > scene.now {
        return Some(registers);
    }
    if !condition::holds(claim, "Registered") {
        register(scene, claim, &instance);
        progress.announces = Some(later(scene.now, scene.random.seconds(3.0, 6.0, 12.0)));
    }
    if condition::holds(claim, "Initialized") {
        return None;
    }
    let announces = progress.announces?;
    if announces > scene.now {
        return Some(announces);
    }
    initialize(scene, claim);
    None
}

/// Starts the machine of a claim, with the tags and the launch template that Karpenter gives it.
fn launch(scene: &mut Scene<'_>, claim: &Value, progress: &mut Progress) -> Option<Timestamp> {
    let name = Name::of(claim).name;
    let chosen = progress.launch.clone()?;
    let class_name = text(&claim["spec"]["nodeClassRef"]["name"]);
    let class = scene.cluster.store.get(&kinds::NODE_CLASS, "", &class_name)?.clone();
    let subnets = list(&class["status"]["subnets"]);
    let subnet = subnets.iter().find(|subnet| subnet["zone"] == *chosen.zone)?;
    let mut own = tags(scene, &class_name);
    own.insert(NODE_POOL.to_owned(), text(&selector::labels(claim)[NODE_POOL]));
    let template = format!("karpenter.k8s.aws/{}", &pod::uid(&class).replace('-', "")[..16]);
    own.insert("karpenter.sh/nodeclaim".to_owned(), name.clone());
    for (key, value) in class["spec"]["tags"].as_object().into_iter().flatten() {
        own.insert(key.clone(), text(value));
    }
    let gib = list(&class["spec"]["blockDeviceMappings"]).iter().filter_map(|disk| {
        text(&disk["ebs"]["volumeSize"])
            .trim_end_matches("Gi")
            .parse::<u32>()
            .ok()
    });
    let wish = Launch {
        image: "ami-0b0771e5b0771e5b0".to_owned(),
        kind: chosen.instance_type.clone(),
        market: if chosen.capacity_type == CapacityType::Spot {
            Market::Spot
        } else {
            Market::OnDemand
        },
        subnet: text(&subnet["id"]),
        groups: list(&class["status"]["securityGroups"])
            .iter()
            .map(|group| text(&group["id"]))
            .collect(),
        profile: class["status"]["instanceProfile"].as_str().map(str::to_owned),
        tags: own,
        volume_gib: gib.max().unwrap_or(20),
        token: None,
    };
    let template_tags = tags(scene, &class_name);
    let mut site = site(scene);
    if !site.ec2().launch_templates.values().any(|known| known.name == template) {
        let version = launch_templates::Version {
            groups: wish.groups.clone(),
            ..launch_templates::Version::default()
        };
        launch_templates::create(&mut site, &template, version, template_tags).ok();
    }
    match instances::launch(&mut site, &wish) {
        Ok(instance) => {
            launched(scene, &name, &instance, &chosen);
            // From the call to a node that registered, Bottlerocket on Nitro.
            let wait = scene.random.seconds(30.0, 40.0, 60.0);
            progress.registers = Some(later(scene.now, wait));
            progress.registers
        }
        Err(refusal) => {
            let (kind, zone) = (&chosen.instance_type, &chosen.zone);
            let now = scene.now;
            let message = format!(
                "Error launching {kind} in {zone}: {}: {}",
                refusal.code, refusal.message
            );
            event::record(
                scene,
                claim,
                "karpenter",
                event::Kind::Warning,
                "InsufficientCapacityError",
                &message,
            );
            scene
                .cluster
                .actors
                .karpenter
                .unavailable
                .note(kind, zone, chosen.capacity_type, now);
            scene.cluster.actors.karpenter.seen.clear();
            scene.cluster.store.remove(&kinds::NODE_CLAIM, &Name::new("", &name));
            Some(later(now, LOOK))
        }
    }
}

fn launched(scene: &mut Scene<'_>, name: &str, instance: &str, chosen: &karpenter::Launch) {
    let now = scene.now;
    let provider = format!("aws:///{}/{instance}", chosen.zone);
    scene.cluster.store.change(&kinds::NODE_CLAIM, "", name, |claim| {
        claim["status"]["providerID"] = json!(provider);
        claim["status"]["imageID"] = json!("ami-0b0771e5b0771e5b0");
        condition::set(claim, now, &Condition::new("Launched", true, "Launched", ""));
        for (kind, reason) in [
            ("Registered", "NodeNotFound"),
            ("Initialized", "NodeNotFound"),
            ("Ready", "UnhealthyDependents"),
        ] {
            condition::set(
                claim,
                now,
                &Condition {
                    kind,
                    status: "Unknown",
                    reason,
                    message: "Node not registered with cluster",
                },
            );
        }
    });
}

/// Registers the node of a claim; its GPUs are announced later.
fn register(scene: &mut Scene<'_>, claim: &Value, instance: &str) {
    let name = Name::of(claim).name;
    let mut labels = selector::labels(claim).clone();
    labels["karpenter.sh/registered"] = json!("true");
    let registration = eks::Registration {
        instance,
        labels,
        taints: claim["spec"]["taints"].clone(),
        gpus: 0,
    };
    let Some(node) = eks::register(scene, &registration) else {
        return;
    };
    set_finalizer(scene, &kinds::NODE, &node, TERMINATION, true);
    let now = scene.now;
    let owner = scene.cluster.store.get(&kinds::NODE_CLAIM, "", &name).cloned();
    scene.cluster.store.change(&kinds::NODE, "", &node, |node| {
        if let Some(owner) = &owner {
            node["metadata"]["ownerReferences"] = owner::controlled_by(owner);
        }
    });
    scene.cluster.store.change(&kinds::NODE_CLAIM, "", &name, |claim| {
        claim["status"]["nodeName"] = json!(node);
        condition::set(claim, now, &Condition::new("Registered", true, "Registered", ""));
    });
}

/// Announces the node's GPUs and says that it can be used.
fn initialize(scene: &mut Scene<'_>, claim: &Value) {
    let name = Name::of(claim).name;
    let Some(claim) = scene.cluster.store.get(&kinds::NODE_CLAIM, "", &name).cloned() else {
        return;
    };
    let node = text(&claim["status"]["nodeName"]);
    let now = scene.now;
    scene.cluster.store.change(&kinds::NODE, "", &node, |node| {
        for field in ["capacity", "allocatable"] {
            if let Some(gpus) = claim["status"][field].get("nvidia.com/gpu") {
                node["status"][field]["nvidia.com/gpu"] = gpus.clone();
            }
        }
        node["metadata"]["labels"]["karpenter.sh/initialized"] = json!("true");
    });
    scene.cluster.store.change(&kinds::NODE_CLAIM, "", &name, |claim| {
        for kind in ["Initialized", "Ready"] {
            condition::set(claim, now, &Condition::new(kind, true, kind, ""));
        }
    });
}

/// Drains the node of a claim, ends its machine, and lets both go.
fn terminate(scene: &mut Scene<'_>, claim: &Value, progress: &mut Progress) -> Option<Timestamp> {
    let name = Name::of(claim).name;
    let node_name = text(&claim["status"]["nodeName"]);
    let instance = text(&claim["status"]["providerID"])
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let again = Some(later(scene.now, LOOK));
    let since = *progress.draining.get_or_insert(scene.now);
    let there = scene.cluster.store.get(&kinds::NODE, "", &node_name).is_some();
    if there && eks::lives(scene, &instance) {
        let grace = claim["spec"]["terminationGracePeriod"].as_str();
        let grace = grace.and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let forced = grace.is_some_and(|grace| later(since, grace.unsigned_abs()) <= scene.now);
        let empty = drain(scene, &node_name, forced);
        if !empty && !forced || later(since, MIN_DRAIN) > scene.now {
            return again;
        }
    }
    let mut place = site(scene);
    let alive = place
        .ec2()
        .instances
        .get(&instance)
        .map(|found| (found.is_alive(), found.state));
    match alive {
        Some((true, _)) => {
            instances::terminate(&mut place, &instance);
            return again;
        }
        Some((false, instances::State::ShuttingDown)) => return again,
        _ => {}
    }
    if there {
        scene.cluster.store.delete(&kinds::NODE, "", &node_name, scene.now, 0);
        set_finalizer(scene, &kinds::NODE, &node_name, TERMINATION, false);
    }
    set_finalizer(scene, &kinds::NODE_CLAIM, &name, TERMINATION, false);
    None
}

/// Taints a node and evicts what may be evicted; says whether only daemons are left.
fn drain(scene: &mut Scene<'_>, name: &str, forced: bool) -> bool {
    scene.cluster.store.change(&kinds::NODE, "", name, |object| {
        node::set_taint(object, "karpenter.sh/disrupted", "NoSchedule", true);
    });
    let cluster = &mut *scene.cluster;
    cluster.actors.pods.follow(&cluster.store);
    let names: Vec<Name> = cluster.actors.pods.on_node(name).cloned().collect();
    let mut empty = true;
    for pod_name in names {
        let Some(pod) = cluster
            .store
            .get(&kinds::POD, &pod_name.namespace, &pod_name.name)
            .cloned()
        else {
            continue;
        };
        let daemon = owner::controller_name(&pod, &kinds::DAEMON_SET).is_some();
        if daemon || pod::over(&pod) {
            continue;
        }
        empty = false;
        if !marked(&pod) && (forced || may_evict(&cluster.store, &pod)) {
            pod::delete(&mut cluster.store, &pod_name, scene.now);
        }
    }
    empty
}
