//! What the actors of the control plane and the nodes do together.

use serde_json::Value;
use serde_json::json;

use crate::kube::actors::condition;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::stage::Stage;
use crate::kube::actors::stage::deployment;
use crate::kube::actors::stage::service;

fn web() -> Value {
    json!({
        "image": "nginx:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
    })
}

#[test]
fn a_deployment_becomes_available() {
    let mut stage = Stage::with_nodes(2);
    stage.create(&kinds::DEPLOYMENT, deployment("web", 3, web()));
    stage.create(&kinds::SERVICE, service("web", 80, "http"));
    stage.seconds(0);
    let early = stage.get(&kinds::DEPLOYMENT, "default", "web").unwrap();
    assert!(!condition::holds(&early, "Available"));
    stage.seconds(30);
    let late = stage.get(&kinds::DEPLOYMENT, "default", "web").unwrap();
    assert!(condition::holds(&late, "Available"), "{late:#}");
    assert_eq!(late["status"]["readyReplicas"], 3);
    assert_eq!(late["status"]["observedGeneration"], late["metadata"]["generation"]);
    assert_eq!(
        condition::find(&late, "Progressing").unwrap()["reason"],
        "NewReplicaSetAvailable"
    );
    let slices: Vec<_> = stage.cluster.store.list_in(&kinds::ENDPOINT_SLICE, "default").collect();
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["endpoints"].as_array().unwrap().len(), 3);
    assert_eq!(slices[0]["ports"][0]["port"], 8080);
}

#[test]
fn a_rolling_update_never_has_fewer_ready_pods_than_asked_for() {
    let mut stage = Stage::with_nodes(3);
    stage.create(&kinds::DEPLOYMENT, deployment("web", 3, web()));
    stage.seconds(30);
    stage.change(&kinds::DEPLOYMENT, "default", "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    });
    for _ in 0..60 {
        stage.seconds(1);
        assert!(stage.ready("default") >= 3);
        assert!(stage.pods("default").iter().filter(|pod| pod::active(pod)).count() <= 4);
    }
    let pods = stage.pods("default");
    assert_eq!(pods.len(), 3);
    assert!(
        pods.iter()
            .all(|pod| pod["spec"]["containers"][0]["image"] == "nginx:2")
    );
    let web = stage.get(&kinds::DEPLOYMENT, "default", "web").unwrap();
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

#[test]
fn a_pod_that_does_not_fit_stays_pending_and_says_why() {
    let check = |container: Value, spec: Value, expected: &str| {
        let mut stage = Stage::with_nodes(2);
        stage.change(&kinds::NODE, "", "node-1", |node| {
            node["spec"]["taints"] = json!([{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]);
        });
        let mut object = deployment("large", 1, container);
        for (field, value) in spec.as_object().unwrap() {
            object["spec"]["template"]["spec"][field] = value.clone();
        }
        stage.create(&kinds::DEPLOYMENT, object);
        stage.seconds(60);
        let pods = stage.pods("default");
        assert_eq!(pods[0]["status"]["phase"], "Pending");
        let scheduled = condition::find(&pods[0], "PodScheduled").unwrap();
        assert_eq!(scheduled["reason"], "Unschedulable");
        let message = scheduled["message"].as_str().unwrap();
        assert!(message.starts_with(expected), "{message}");
    };
    let asks = |resource: &str, amount: &str| json!({"image": "x:1", "resources": {"requests": {resource: amount}}});
    check(
        asks("cpu", "64"),
        json!({}),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {nvidia.com/gpu: }.",
    );
    let tolerant = json!({"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]});
    check(
        asks("nvidia.com/gpu", "1"),
        tolerant,
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
    );
    check(
        asks("cpu", "1"),
        json!({"nodeSelector": {"intent": "gpu"}}),
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    );
}

#[test]
fn scaling_in_takes_pods_that_are_not_ready_first() {
    let mut stage = Stage::with_nodes(1);
    stage.create(&kinds::DEPLOYMENT, deployment("web", 2, web()));
    stage.seconds(30);
    let old: Vec<String> = stage
        .pods("default")
        .iter()
        .map(|pod| pod::uid(pod).to_owned())
        .collect();
    stage.change(&kinds::DEPLOYMENT, "default", "web", |web| {
        web["spec"]["replicas"] = json!(4);
    });
    stage.seconds(0);
    stage.change(&kinds::DEPLOYMENT, "default", "web", |web| {
        web["spec"]["replicas"] = json!(2);
    });
    stage.seconds(30);
    let left: Vec<String> = stage
        .pods("default")
        .iter()
        .map(|pod| pod::uid(pod).to_owned())
        .collect();
    assert_eq!(left, old);
}

#[test]
fn a_deleted_deployment_takes_its_pods_along() {
    let mut stage = Stage::with_nodes(1);
    stage.create(&kinds::DEPLOYMENT, deployment("web", 2, web()));
    stage.seconds(30);
    stage.delete(&kinds::DEPLOYMENT, "default", "web");
    stage.seconds(30);
    assert_eq!(stage.pods("default").len(), 0);
    assert_eq!(stage.cluster.store.list(&kinds::REPLICA_SET).count(), 0);
}

#[test]
fn a_deletion_in_the_foreground_waits_for_the_pods() {
    let mut stage = Stage::with_nodes(1);
    stage.create(&kinds::DEPLOYMENT, deployment("web", 2, web()));
    stage.seconds(30);
    stage.change(&kinds::DEPLOYMENT, "default", "web", |web| {
        web["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    });
    stage.delete(&kinds::DEPLOYMENT, "default", "web");
    stage.seconds(0);
    assert!(stage.get(&kinds::DEPLOYMENT, "default", "web").is_some());
    stage.seconds(30);
    assert_eq!(stage.pods("default").len(), 0);
    assert!(stage.get(&kinds::DEPLOYMENT, "default", "web").is_none());
}

#[test]
fn a_namespace_ends_when_nothing_is_left_in_it() {
    let mut stage = Stage::with_nodes(1);
    stage.create(&kinds::NAMESPACE, json!({"metadata": {"name": "demo"}}));
    stage.seconds(0);
    assert_eq!(
        stage.get(&kinds::NAMESPACE, "", "demo").unwrap()["status"]["phase"],
        "Active"
    );
    let mut web = deployment("web", 1, web());
    web["metadata"]["namespace"] = json!("demo");
    stage.create(&kinds::DEPLOYMENT, web);
    stage.create(
        &kinds::CONFIG_MAP,
        json!({"metadata": {"name": "held", "namespace": "demo", "finalizers": ["example.org/guard"]}}),
    );
    stage.seconds(20);
    stage.delete(&kinds::NAMESPACE, "", "demo");
    stage.seconds(60);
    let namespace = stage.get(&kinds::NAMESPACE, "", "demo").unwrap();
    let remaining = condition::find(&namespace, "NamespaceFinalizersRemaining").unwrap();
    assert_eq!(remaining["status"], "True");
    assert_eq!(
        remaining["message"],
        "Some content in the namespace has finalizers remaining: example.org/guard in 1 resource instances"
    );
    assert_eq!(stage.pods("demo").len(), 0);
    stage.change(&kinds::CONFIG_MAP, "demo", "held", |held| {
        held["metadata"]["finalizers"] = json!([]);
    });
    stage.seconds(10);
    assert_eq!(stage.get(&kinds::NAMESPACE, "", "demo"), None);
}

#[test]
fn a_container_that_fails_backs_off_and_never_becomes_ready() {
    let mut stage = Stage::with_nodes(1);
    stage.create(
        &kinds::DEPLOYMENT,
        deployment("bad", 1, json!({"image": "x:1", "command": ["false"]})),
    );
    stage.seconds(120);
    let pods = stage.pods("default");
    let status = &pods[0]["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert!(status["restartCount"].as_u64().unwrap() >= 3);
    assert_eq!(stage.ready("default"), 0);
}

#[test]
fn a_liveness_probe_kills_a_model_that_is_still_loading() {
    let check = |probe: &str, expected_restarts: bool| {
        let mut stage = Stage::with_nodes(1);
        stage.change(&kinds::NODE, "", "node-0", |node| {
            node["status"]["allocatable"]["nvidia.com/gpu"] = json!("1");
        });
        let mut container = json!({
            "image": "vllm/vllm-openai:v0.13",
            "args": ["--model", "m"],
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
            "readinessProbe": {"httpGet": {"path": "/v1/models", "port": 8000}, "periodSeconds": 5},
        });
        let patience = if probe == "startupProbe" { 60 } else { 3 };
        container[probe] = json!({"httpGet": {"path": "/health", "port": 8000}, "failureThreshold": patience});
        stage.create(&kinds::DEPLOYMENT, deployment("vllm", 1, container));
        stage.seconds(900);
        let pods = stage.pods("default");
        let restarts = pods[0]["status"]["containerStatuses"][0]["restartCount"]
            .as_u64()
            .unwrap();
        assert_eq!(restarts > 0, expected_restarts, "{probe}");
        assert_eq!(stage.ready("default"), usize::from(!expected_restarts), "{probe}");
    };
    check("livenessProbe", true);
    check("startupProbe", false);
}

#[test]
fn a_daemon_runs_on_every_node_that_takes_it_and_a_job_until_it_is_done() {
    let mut stage = Stage::with_nodes(2);
    let mut daemon = deployment("agent", 1, json!({"image": "agent:1"}));
    daemon["spec"].as_object_mut().unwrap().remove("replicas");
    stage.create(&kinds::DAEMON_SET, daemon);
    let job = json!({
        "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "once", "image": "busybox:1", "command": ["sh", "-c", "sleep 5"]}],
        }}},
    });
    stage.create(&kinds::JOB, job);
    stage.seconds(60);
    let daemon = stage.get(&kinds::DAEMON_SET, "default", "agent").unwrap();
    assert_eq!(daemon["status"]["numberReady"], 2);
    let job = stage.get(&kinds::JOB, "default", "once").unwrap();
    assert!(condition::holds(&job, "Complete"), "{job:#}");
    stage.delete(&kinds::NODE, "", "node-1");
    stage.seconds(5);
    let daemon = stage.get(&kinds::DAEMON_SET, "default", "agent").unwrap();
    assert_eq!(daemon["status"]["desiredNumberScheduled"], 1);
}

#[test]
fn a_pod_without_its_config_map_waits_for_it() {
    let mut stage = Stage::with_nodes(1);
    let container = json!({"image": "x:1", "envFrom": [{"configMapRef": {"name": "settings"}}]});
    stage.create(&kinds::DEPLOYMENT, deployment("web", 1, container));
    stage.seconds(20);
    let status = stage.pods("default")[0]["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    assert_eq!(status["reason"], "CreateContainerConfigError");
    stage.create(
        &kinds::CONFIG_MAP,
        json!({"metadata": {"name": "settings", "namespace": "default"}}),
    );
    stage.seconds(30);
    assert_eq!(stage.ready("default"), 1);
}

#[test]
fn many_pods_on_many_nodes_become_ready() {
    let mut stage = Stage::with_nodes(0);
    for index in 0..100 {
        let mut node = crate::kube::actors::stage::node(&format!("node-{index}"), index);
        node["status"]["allocatable"] = json!({"cpu": "64", "memory": "256Gi", "pods": "110"});
        stage.create(&kinds::NODE, node);
    }
    for index in 0..20 {
        stage.create(&kinds::DEPLOYMENT, deployment(&format!("web-{index}"), 25, web()));
    }
    stage.seconds(60);
    assert_eq!(stage.ready("default"), 500);
}

#[test]
fn a_claim_becomes_a_volume_of_the_account_and_goes_after_its_pod() {
    let mut stage = Stage::with_nodes(1);
    let mut driver = deployment("ebs-csi-controller", 1, json!({"image": "ebs:1"}));
    driver["metadata"]["namespace"] = json!("kube-system");
    stage.create(&kinds::DEPLOYMENT, driver);
    stage.create(
        &kinds::STORAGE_CLASS,
        json!({"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "reclaimPolicy": "Delete"}),
    );
    stage.create(
        &kinds::PERSISTENT_VOLUME_CLAIM,
        json!({
            "metadata": {"name": "cache", "namespace": "default"},
            "spec": {"storageClassName": "gp3", "resources": {"requests": {"storage": "8Gi"}}},
        }),
    );
    let mut web = deployment("web", 1, web());
    web["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]);
    stage.create(&kinds::DEPLOYMENT, web);
    stage.seconds(60);
    assert_eq!(stage.ready("default"), 1);
    let region = stage.cluster.region.clone();
    let sizes = |stage: &mut Stage| -> Vec<u32> {
        let volumes = stage.aws.region(&region).ec2.volumes.values();
        volumes.map(|volume| volume.gib).collect()
    };
    assert_eq!(sizes(&mut stage), [8]);
    stage.delete(&kinds::PERSISTENT_VOLUME_CLAIM, "default", "cache");
    stage.seconds(30);
    assert_eq!(sizes(&mut stage), [8], "a pod still mounts it");
    stage.delete(&kinds::DEPLOYMENT, "default", "web");
    stage.seconds(60);
    assert_eq!(sizes(&mut stage), [] as [u32; 0]);
    assert_eq!(stage.cluster.store.list(&kinds::PERSISTENT_VOLUME).count(), 0);
}
