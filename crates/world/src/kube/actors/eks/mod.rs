//! What EKS itself does in a cluster: nodes for the machines of its node groups, workloads for its add-ons.

mod addons;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::instances;
use crate::aws::ec2::types;
use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::kinds;
use crate::kube::store::Name;
use crate::kube::store::seconds;

/// Registers nodes, and takes them away with their machines.
pub(super) const NODES: Actor = Actor {
    name: "eks-nodes",
    watches: &[kinds::NODE],
    work: Work::Whole(follow_machines),
};

/// Keeps the workloads of add-ons.
pub(super) const ADDONS: Actor = Actor {
    name: "eks-addons",
    watches: &[],
    work: Work::Whole(addons::reconcile),
};

/// How often the account is looked at: nothing there tells the cluster.
const LOOK: Duration = Duration::from_secs(2);

/// A node to be registered.
pub(super) struct Registration<'a> {
    pub(super) instance: &'a str,
    pub(super) labels: Value,
    pub(super) taints: Value,
    pub(super) gpus: u32,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every run of an actor says when it wants to run again"
)]
fn follow_machines(scene: &mut Scene<'_>) -> Option<Timestamp> {
    for (instance, labels, taints) in groups(scene) {
        let registration = Registration {
            instance: &instance,
            labels,
            taints,
            gpus: 0,
        };
        if boots(scene, &instance) {
            register(scene, &registration);
        }
    }
    let gone: Vec<Name> = scene
        .cluster
        .store
        .list(&kinds::NODE)
        .filter(|node| instance_of(node).is_some())
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
        .filter(|node| !lives(scene, instance_of(node).unwrap_or_default()))
        .map(|node| Name::of(&node))
        .collect();
    for name in gone {
        // A machine that is gone has no kubelet; nobody else's finalizer is taken off.
        scene.cluster.store.delete(&kinds::NODE, "", &name.name, scene.now, 0);
    }
    Some(later(scene.now, LOOK))
}

/// The machines of the cluster's node groups, with the labels and taints of their nodes.
fn groups(scene: &mut Scene<'_>) -> Vec<(String, Value, Value)> {
    let name = scene.cluster.name.clone();
    let site = super::site(scene);
    let Some(cluster) = site.account.region(site.region).eks.clusters.get(&name) else {
        return Vec::new();
    };
    let mut machines = Vec::new();
    for group in cluster.nodegroups.values() {
        let mut labels = json!(group.labels);
        labels["eks.amazonaws.com/nodegroup"] = json!(group.name);
        labels["eks.amazonaws.com/capacityType"] = json!(group.capacity);
        let taints = group.taints.iter().map(|taint| {
            let effect = format!("{:?}", taint.effect);
            json!({"key": taint.key, "value": taint.value, "effect": effect})
        });
        let taints: Vec<Value> = taints.collect();
        for instance in &group.instances {
            machines.push((instance.clone(), labels.clone(), json!(taints)));
        }
    }
    machines
}

/// Whether a machine of a node group has been up for as long as its kubelet takes to join.
fn boots(scene: &mut Scene<'_>, instance: &str) -> bool {
    let now = scene.now;
    let mut site = super::site(scene);
    let Some(found) = site.ec2().instances.get(instance) else {
        return false;
    };
    // Half a minute and a little that differs from machine to machine.
    let own = instance.bytes().fold(0_u64, |sum, byte| sum + u64::from(byte)) % 12;
    found.state == instances::State::Running && later(found.launched, Duration::from_secs(30 + own)) <= now
}

/// Whether a machine runs or will.
pub(super) fn lives(scene: &mut Scene<'_>, instance: &str) -> bool {
    let mut site = super::site(scene);
    site.ec2()
        .instances
        .get(instance)
        .is_some_and(instances::Instance::is_alive)
}

/// The machine of a node.
pub(super) fn instance_of(node: &Value) -> Option<&str> {
    node["spec"]["providerID"]
        .as_str()?
        .strip_prefix("aws:///")?
        .split('/')
        .nth(1)
}

/// The name that a machine's node has.
pub(super) fn node_name(ip: std::net::Ipv4Addr, region: &str) -> String {
    let dashed = ip.to_string().replace('.', "-");
    format!("ip-{dashed}.{region}.compute.internal")
}

/// Registers the node of a machine, unless it is there; gives its name.
pub(super) fn register(scene: &mut Scene<'_>, registration: &Registration<'_>) -> Option<String> {
    let now = scene.now;
    let region = scene.cluster.region.clone();
    let version = scene.cluster.version.clone();
    let mut site = super::site(scene);
    let instance = site.ec2().instances.get(registration.instance)?.clone();
    let machine = types::find(&instance.kind)?;
    let name = node_name(instance.ip, &region);
    if scene.cluster.store.get(&kinds::NODE, "", &name).is_some() {
        return Some(name);
    }
    let mut labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(machine),
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(machine),
        "node.kubernetes.io/instance-type": machine.name,
        "beta.kubernetes.io/instance-type": machine.name,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": instance.zone,
        "failure-domain.beta.kubernetes.io/region": region,
        "failure-domain.beta.kubernetes.io/zone": instance.zone,
        "topology.k8s.aws/zone-id": instance.zone,
        "k8s.io/cloud-provider-aws": "tubectl",
    });
    for (key, value) in registration.labels.as_object().into_iter().flatten() {
        labels[key] = value.clone();
    }
    let mut spec = json!({"providerID": format!("aws:///{}/{}", instance.zone, instance.id)});
    if registration.taints.as_array().is_some_and(|taints| !taints.is_empty()) {
        spec["taints"] = registration.taints.clone();
    }
    let conditions: Vec<Value> = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    .into_iter()
    .map(|(kind, status, reason, message)| {
        let at = seconds(now);
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": at, "lastTransitionTime": at,
        })
    })
    .collect();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {}},
        "spec": spec,
        "status": {
            "capacity": resources(machine, registration.gpus, Share::All),
            "allocatable": resources(machine, registration.gpus, Share::Pods),
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": instance.ip.to_string()},
                {"type": "InternalDNS", "address": name},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": architecture(machine),
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
                "kernelVersion": "6.12.0",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": format!("v{version}.0-eks-1"),
                "kubeProxyVersion": "",
                "machineID": instance.id,
                "systemUUID": instance.id,
                "bootID": instance.id,
            },
        },
    });
    scene.cluster.store.create(&kinds::NODE, node, scene.now, scene.random);
    // The network plugin keeps addresses ready for the pods to come.
    let cluster = scene.cluster.name.clone();
    if let Err(refusal) = instances::add_plugin_interface(&mut super::site(scene), registration.instance, &cluster) {
        tracing::warn!(
            node = name,
            refusal = refusal.message,
            "no interface for the pods of a node"
        );
    }
    Some(name)
}

/// A machine's architecture, as Kubernetes names it.
pub(super) fn architecture(machine: &types::InstanceType) -> &'static str {
    if machine.architecture == "x86_64" {
        "amd64"
    } else {
        "arm64"
    }
}

/// Which part of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Pods,
}

/// What a machine has, or what of it pods may have.
pub(super) fn resources(machine: &types::InstanceType, gpus: u32, share: Share) -> Value {
    let pods = (machine.interfaces * (machine.addresses - 1) + 2).min(if machine.vcpus > 30 { 250 } else { 110 });
    let reserved = |vcpus: u32| 60 + 10 * u32::from(vcpus > 1) + 5 * vcpus.clamp(2, 4).saturating_sub(2);
    let (cpu, memory) = match share {
        Share::All => (machine.vcpus * 1000, machine.memory_mib),
        // What the kubelet keeps: some millicores, and memory by the number of pods; a part is the hypervisor's.
        Share::Pods => (
            machine.vcpus * 1000 - reserved(machine.vcpus),
            (machine.memory_mib * 925 / 1000).saturating_sub(u64::from(255 + 11 * pods + 100)),
        ),
    };
    let mut resources = json!({
        "cpu": if cpu % 1000 == 0 { (cpu / 1000).to_string() } else { format!("{cpu}m") },
        "memory": format!("{}Ki", memory * 1024),
        "pods": pods.to_string(),
        "ephemeral-storage": "20959212Ki",
    });
    if gpus > 0 {
        resources["nvidia.com/gpu"] = json!(gpus.to_string());
    }
    resources
}
