//! The workloads that EKS keeps in a cluster for each of its add-ons.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::later;
use crate::aws::rest::eks::Status;
use crate::core::Scene;
use crate::kube::actors::eks::LOOK;
use crate::kube::actors::kinds;
use crate::kube::store::GroupKind;

/// One workload of an add-on.
struct Workload {
    addon: &'static str,
    name: &'static str,
    account: &'static str,
    kind: GroupKind,
    image: &'static str,
    cpu: &'static str,
    memory: &'static str,
}

const fn workload(
    addon: &'static str,
    kind: GroupKind,
    [name, account]: [&'static str; 2],
    image: &'static str,
    [cpu, memory]: [&'static str; 2],
) -> Workload {
    Workload {
        addon,
        name,
        account,
        kind,
        image,
        cpu,
        memory,
    }
}

#[rustfmt::skip]
const WORKLOADS: &[Workload] = &[
    workload("vpc-cni", kinds::DAEMON_SET, ["aws-node", "aws-node"], "amazon-k8s-cni", ["50m", "0"]),
    workload("kube-proxy", kinds::DAEMON_SET, ["kube-proxy", "kube-proxy"], "kube-proxy", ["100m", "0"]),
    workload("coredns", kinds::DEPLOYMENT, ["coredns", "coredns"], "coredns", ["100m", "70Mi"]),
    workload("eks-pod-identity-agent", kinds::DAEMON_SET, ["eks-pod-identity-agent", "default"], "eks-pod-identity-agent", ["0", "0"]),
    workload("aws-ebs-csi-driver", kinds::DEPLOYMENT, ["ebs-csi-controller", "ebs-csi-controller-sa"], "aws-ebs-csi-driver", ["60m", "240Mi"]),
    workload("aws-ebs-csi-driver", kinds::DAEMON_SET, ["ebs-csi-node", "ebs-csi-node-sa"], "aws-ebs-csi-driver", ["30m", "120Mi"]),
    workload("eks-node-monitoring-agent", kinds::DAEMON_SET, ["eks-node-monitoring-agent", "eks-node-monitoring-agent"], "eks-node-monitoring-agent", ["10m", "30Mi"]),
    workload("metrics-server", kinds::DEPLOYMENT, ["metrics-server", "metrics-server"], "metrics-server", ["100m", "200Mi"]),
];

/// Creates what an add-on needs, and deletes it when the add-on is gone.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every run of an actor says when it wants to run again"
)]
pub(super) fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let name = scene.cluster.name.clone();
    let site = crate::kube::actors::site(scene);
    let installed: Vec<(String, bool)> = match site.account.region(site.region).eks.clusters.get(&name) {
        None => Vec::new(),
        Some(cluster) => {
            let addons = cluster.addons.values();
            addons
                .map(|addon| (addon.name.clone(), addon.status == Status::Deleting && !addon.preserved))
                .collect()
        }
    };
    for workload in WORKLOADS {
        let addon = installed.iter().find(|(name, _)| name == workload.addon);
        let exists = scene
            .cluster
            .store
            .get(&workload.kind, "kube-system", workload.name)
            .is_some();
        match addon {
            Some((_, false)) if !exists => create(scene, workload),
            Some((_, true)) if exists => {
                let store = &mut scene.cluster.store;
                store.delete(&workload.kind, "kube-system", workload.name, scene.now, 0);
            }
            _ => {}
        }
    }
    Some(later(scene.now, LOOK))
}

fn create(scene: &mut Scene<'_>, workload: &Workload) {
    let labels = json!({"k8s-app": workload.name});
    let owned = json!({"k8s-app": workload.name, "app.kubernetes.io/managed-by": "EKS", "eks.amazonaws.com/component": workload.addon});
    let image = format!(
        "602401143452.dkr.ecr.{}.amazonaws.com/eks/{}:v1",
        scene.cluster.region, workload.image
    );
    let daemon = workload.kind == kinds::DAEMON_SET;
    let tolerations = if daemon {
        json!([{"operator": "Exists"}])
    } else {
        json!([
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ])
    };
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": workload.account,
            "hostNetwork": daemon && workload.addon != "aws-ebs-csi-driver",
            "priorityClassName": if daemon { "system-node-critical" } else { "system-cluster-critical" },
            "tolerations": tolerations,
            "containers": [{
                "name": workload.name,
                "image": image,
                "resources": {"requests": {"cpu": workload.cpu, "memory": workload.memory}},
            }],
        },
    });
    let mut spec = json!({"selector": {"matchLabels": labels}});
    if !daemon {
        spec["replicas"] = json!(2);
        spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
        let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}});
        template["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] =
            json!([{"weight": 100, "podAffinityTerm": term}]);
    }
    spec["template"] = template;
    let version = "apps/v1";
    let object = json!({
        "apiVersion": version,
        "kind": workload.kind.kind(),
        "metadata": {"name": workload.name, "namespace": "kube-system", "labels": owned},
        "spec": spec,
    });
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": workload.account, "namespace": "kube-system", "labels": owned},
    });
    let store = &mut scene.cluster.store;
    store.create(&kinds::SERVICE_ACCOUNT, account, scene.now, scene.random);
    store.create(&workload.kind, object, scene.now, scene.random);
    if workload.name == "coredns" {
        create_dns_service(scene, &owned);
    }
}

fn create_dns_service(scene: &mut Scene<'_>, labels: &Value) {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "172.20.0.10",
            "clusterIPs": ["172.20.0.10"],
            "selector": {"k8s-app": "coredns"},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
        "status": {"loadBalancer": {}},
    });
    scene
        .cluster
        .store
        .create(&kinds::SERVICE, service, scene.now, scene.random);
}
