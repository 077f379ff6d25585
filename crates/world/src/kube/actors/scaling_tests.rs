//! Load, scrape, scaler, KEDA, autoscaler: the chain from a request to a replica.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use serde_json::json;

use crate::core::Origin;
use crate::core::Output;
use crate::core::Reply;
use crate::kube::actors::condition;
use crate::kube::actors::kinds;
use crate::kube::actors::stage;
use crate::kube::actors::stage::Stage;
use crate::kube::actors::stage::deployment;
use crate::kube::actors::stage::service;
use crate::kube::network;

const CONFIGURATION: &str = r"
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: vllm
          scrape_interval: 5s
          kubernetes_sd_configs:
            - role: pod
              namespaces: {names: [default]}
          relabel_configs:
            - {source_labels: [__meta_kubernetes_pod_label_app], regex: APP, action: keep}
            - {source_labels: [__meta_kubernetes_pod_ip], regex: (.+), replacement: '$$1:PORT', target_label: __address__}
            - {source_labels: [__meta_kubernetes_pod_name], target_label: pod_name}
processors:
  metricstransform:
    transforms:
      - {include: '^vllm:(.*)$$', match_type: regexp, action: update, new_name: 'vllm_$${1}'}
  filter:
    metrics: {include: {match_type: strict, metric_names: [METRIC, vllm_num_requests_waiting]}}
exporters:
  otlp: {endpoint: 'keda-otel-scaler.default.svc:4317'}
service:
  pipelines:
    metrics: {receivers: [prometheus], processors: [metricstransform, filter], exporters: [otlp]}
";

/// Everything between a model server and its size, with ten nodes that have a GPU each.
fn show(app: &str, port: &str, metric: &str) -> Stage {
    let mut stage = Stage::with_nodes(2);
    for index in 0..10 {
        let mut node = stage::node(&format!("gpu-{index}"), index + 2);
        node["metadata"]["labels"]["node.kubernetes.io/instance-type"] = json!("g5.2xlarge");
        node["status"]["allocatable"] = json!({"cpu": "8", "memory": "30Gi", "pods": "58", "nvidia.com/gpu": "1"});
        stage.create(&kinds::NODE, node);
    }
    let configuration = CONFIGURATION
        .replace("APP", app)
        .replace("PORT", port)
        .replace("METRIC", metric);
    stage.create(
        &kinds::CONFIG_MAP,
        json!({"metadata": {"name": "collector", "namespace": "default"}, "data": {"config.yaml": configuration}}),
    );
    stage.create(
        &kinds::ROLE,
        json!({
            "metadata": {"name": "scrape", "namespace": "default"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        }),
    );
    stage.create(
        &kinds::ROLE_BINDING,
        json!({
            "metadata": {"name": "scrape", "namespace": "default"},
            "roleRef": {"kind": "Role", "name": "scrape"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        }),
    );
    let mut collector = deployment(
        "collector",
        1,
        json!({
            "image": "ghcr.io/open-telemetry/opentelemetry-collector:1",
            "args": ["--config=/etc/collector/config.yaml"],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/collector"}],
        }),
    );
    collector["spec"]["template"]["spec"]["volumes"] = json!([{"name": "config", "configMap": {"name": "collector"}}]);
    stage.create(&kinds::DEPLOYMENT, collector);
    let variables = json!([
        {"name": "KEDA_EXTERNAL_SCALER_PORT", "value": "4318"},
        {"name": "OTLP_RECEIVER_PORT", "value": "4317"},
    ]);
    let scaler = json!({"image": "otel-add-on:1", "env": variables});
    stage.create(&kinds::DEPLOYMENT, deployment("keda-otel-scaler", 1, scaler));
    let mut ports = service("keda-otel-scaler", 4317, 4317);
    ports["spec"]["ports"] = json!([
        {"name": "otlp", "port": 4317, "targetPort": 4317},
        {"name": "keda", "port": 4318, "targetPort": 4318},
    ]);
    stage.create(&kinds::SERVICE, ports);
    let operator = json!({"image": "keda:1", "command": ["/keda"]});
    stage.create(&kinds::DEPLOYMENT, deployment("keda-operator", 1, operator));
    let adapter = json!({"image": "keda-adapter:1", "args": ["/usr/local/bin/keda-adapter"]});
    stage.create(&kinds::DEPLOYMENT, deployment("keda-adapter", 1, adapter));
    stage.create(&kinds::SERVICE, service("keda-adapter", 443, 6443));
    stage.create(
        &kinds::API_SERVICE,
        json!({
            "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
            "spec": {"service": {"name": "keda-adapter", "namespace": "default", "port": 443}},
        }),
    );
    let vllm = json!({
        "image": "vllm/vllm-openai:v0.13",
        "args": ["--model", "m-awq", "--served-model-name", "m", "--max-num-seqs", "32", "--max-model-len", "4096"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "startupProbe": {"httpGet": {"path": "/health", "port": "http"}, "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/v1/models", "port": "http"}, "periodSeconds": 5},
    });
    stage.create(&kinds::DEPLOYMENT, deployment("vllm", 1, vllm));
    stage.create(&kinds::SERVICE, service("vllm", 8000, "http"));
    stage.create(&kinds::SCALED_OBJECT, scaled_object());
    stage.seconds(500);
    stage
}

fn scaled_object() -> Value {
    let trigger = |name: &str, target: &str| {
        json!({"type": "kedify-otel", "name": name, "metadata": {
            "scalerAddress": "keda-otel-scaler.default.svc:4318",
            "metricQuery": format!("sum(vllm_num_requests_{name})"),
            "targetValue": target,
        }})
    };
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "metadata": {"name": "vllm", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"name": "vllm"},
            "minReplicaCount": 1,
            "maxReplicaCount": 10,
            "pollingInterval": 2,
            "triggers": [trigger("running", "25"), trigger("waiting", "5")],
            "advanced": {
                "scalingModifiers": {"formula": "running + (waiting * 10)", "target": "25", "activationTarget": "5"},
                "horizontalPodAutoscalerConfig": {"behavior": {
                    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [
                        {"type": "Percent", "value": 900, "periodSeconds": 15},
                        {"type": "Pods", "value": 9, "periodSeconds": 15},
                    ]},
                    "scaleDown": {"stabilizationWindowSeconds": 300, "policies": [
                        {"type": "Percent", "value": 50, "periodSeconds": 60},
                    ]},
                }},
            },
        },
    })
}

fn ask(stage: &mut Stage, model: &str) -> Reply {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Why wait?"}]});
    let request = http::Request::builder()
        .method("POST")
        .uri("http://vllm.default:8000/v1/chat/completions")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let pod = crate::core::PodName {
        cluster: stage::HOST.to_owned(),
        namespace: "default".to_owned(),
        name: "client".to_owned(),
        uid: String::new(),
    };
    let reply = network::handle(&mut stage.scene(), &Origin::Pod(pod), "vllm.default", request);
    stage.advance(Duration::ZERO);
    reply
}

fn desired(stage: &Stage) -> u64 {
    let vllm = stage.get(&kinds::DEPLOYMENT, "default", "vllm").unwrap();
    vllm["spec"]["replicas"].as_u64().unwrap()
}

/// Keeps so many requests in the air for a while; says how many were sent and how many were answered.
fn load(stage: &mut Stage, in_air: usize, seconds: u64) -> (u64, u64) {
    let (mut sent, mut answered) = (0, 0);
    let mut waiting = std::collections::BTreeSet::new();
    for _ in 0..seconds * 4 {
        while waiting.len() < in_air {
            sent += 1;
            match ask(stage, "m") {
                Reply::Later(ticket) => waiting.insert(ticket),
                other => panic!("{other:?}"),
            };
        }
        stage.advance(Duration::from_millis(250));
        for output in stage.tickets.take() {
            if let Output::Answer(ticket, response) = output {
                assert!(response.status().is_success(), "{response:?}");
                waiting.remove(&ticket);
                answered += 1;
            }
        }
    }
    (sent, answered)
}

#[test]
fn load_becomes_replicas_and_its_end_takes_them_back() {
    let mut stage = show("vllm", "8000", "vllm_num_requests_running");
    assert_eq!(
        stage.ready("default"),
        5,
        "collector, scaler, operator, adapter, one replica"
    );
    let scaled = stage.get(&kinds::SCALED_OBJECT, "default", "vllm").unwrap();
    assert!(condition::holds(&scaled, "Ready"), "{scaled:#}");
    assert_eq!(desired(&stage), 1);
    let (sent, answered) = load(&mut stage, 80, 60);
    assert_eq!(
        desired(&stage),
        10,
        "{:#}",
        stage.get(&kinds::AUTOSCALER, "default", "keda-hpa-vllm").unwrap()
    );
    assert!(answered > 0 && sent >= answered);
    stage.seconds(600);
    let served = stage.cluster.actors.traffic.served(stage::HOST);
    let total: u64 = served
        .values()
        .map(|one| one.answered + one.aborted + one.refused)
        .sum();
    assert_eq!(total, sent);
    stage.seconds(1200);
    assert_eq!(desired(&stage), 1);
    assert_eq!(stage.ready("default"), 5);
    let served = stage.cluster.actors.traffic.served(stage::HOST);
    assert_eq!(served.values().map(|one| one.answered).sum::<u64>(), sent);
}

#[test]
fn a_mistake_in_the_scrape_means_that_no_sample_arrives() {
    let check = |app: &str, port: &str, metric: &str, expected: u64| {
        let mut stage = show(app, port, metric);
        load(&mut stage, 32, 60);
        assert_eq!(desired(&stage), expected, "{app} {port} {metric}");
        let scaled = stage.get(&kinds::SCALED_OBJECT, "default", "vllm").unwrap();
        let was_active = scaled["status"]["lastActiveTime"].is_string();
        assert_eq!(was_active, expected > 1, "{app} {port} {metric}: {scaled:#}");
    };
    check("vllm", "8000", "vllm_num_requests_running", 2);
    check("vllm", "8080", "vllm_num_requests_running", 1);
    check("model", "8000", "vllm_num_requests_running", 1);
    check("vllm", "8000", "num_requests_running", 1);
}

#[test]
fn without_the_right_to_list_pods_there_is_nothing_to_scrape() {
    let mut stage = show("vllm", "8000", "vllm_num_requests_running");
    stage.delete(&kinds::ROLE_BINDING, "default", "scrape");
    stage.seconds(150);
    load(&mut stage, 80, 60);
    assert_eq!(desired(&stage), 1);
}

#[test]
fn without_its_operator_a_scaled_object_keeps_its_finalizer() {
    let mut stage = show("vllm", "8000", "vllm_num_requests_running");
    stage.delete(&kinds::DEPLOYMENT, "default", "keda-operator");
    stage.seconds(60);
    stage.delete(&kinds::SCALED_OBJECT, "default", "vllm");
    stage.seconds(600);
    let scaled = stage.get(&kinds::SCALED_OBJECT, "default", "vllm").unwrap();
    assert_eq!(scaled["metadata"]["finalizers"], json!(["finalizer.keda.sh"]));
    stage.create(
        &kinds::DEPLOYMENT,
        deployment("keda-operator", 1, json!({"image": "keda:1", "command": ["/keda"]})),
    );
    stage.seconds(60);
    assert_eq!(stage.get(&kinds::SCALED_OBJECT, "default", "vllm"), None);
    assert_eq!(stage.get(&kinds::AUTOSCALER, "default", "keda-hpa-vllm"), None);
}

#[test]
fn a_server_answers_as_vllm_does() {
    let mut stage = show("vllm", "8000", "vllm_num_requests_running");
    let Reply::Answer(unknown) = ask(&mut stage, "llama") else {
        panic!("an unknown model is refused at once");
    };
    assert_eq!(unknown.status(), 404);
    let error: Value = serde_json::from_slice(unknown.body()).unwrap();
    assert_eq!(error["error"]["message"], "The model `llama` does not exist.");
    let Reply::Later(_) = ask(&mut stage, "m") else {
        panic!("a known one takes its time");
    };
    stage.seconds(60);
    let outputs = stage.tickets.take();
    let [Output::Answer(_, response)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["object"], "chat.completion");
    assert!(!body["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
}

#[test]
fn requests_of_a_pod_that_is_lost_are_answered_with_an_error_and_counted() {
    let mut stage = show("vllm", "8000", "vllm_num_requests_running");
    for _ in 0..3 {
        ask(&mut stage, "m");
    }
    let pod = stage
        .pods("default")
        .into_iter()
        .find(|pod| pod["metadata"]["labels"]["app"] == "vllm")
        .unwrap();
    let node = pod["spec"]["nodeName"].as_str().unwrap().to_owned();
    stage.delete(&kinds::NODE, "", &node);
    stage.seconds(1);
    let outputs = stage.tickets.take();
    assert_eq!(outputs.len(), 3);
    assert!(
        outputs
            .iter()
            .all(|output| matches!(output, Output::Answer(_, response) if response.status() == 502))
    );
    let served = stage.cluster.actors.traffic.served(stage::HOST);
    assert_eq!(served.values().map(|one| one.aborted).sum::<u64>(), 3);
}
