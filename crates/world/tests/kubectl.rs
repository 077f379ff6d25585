//! What `kubectl` and Helm send, beyond what was recorded, answered as a real API server answers it.

use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tubectl_world::ControlPlane;
use tubectl_world::Core;
use tubectl_world::Origin;
use tubectl_world::Reply;
use tubectl_world::Request;
use tubectl_world::Settings;

/// Bodies as `kubectl` 1.34.2 sent them, each with a place in the answer and what is to be there.
const BODIES: &str = include_str!("kubernetes/protobuf.jsonl");

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

struct Cluster(Core);

impl Cluster {
    fn new(plane: ControlPlane) -> Self {
        let settings = Settings {
            seed: 1,
            account: "123456789012".to_owned(),
            begins: "2026-11-22T17:00:00Z".parse().expect("a time that is right"),
        };
        Self(Core::with_cluster(&settings, "asked", "1.34", plane))
    }

    /// An API server alone, with the namespaces that controllers would have made.
    fn api_server() -> Self {
        let mut cluster = Self::new(ControlPlane::ApiServerOnly);
        for name in ["default", "kube-system"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            cluster.create("/api/v1/namespaces", &namespace);
        }
        cluster
    }

    fn send(&mut self, method: &str, path: &str, (content, accept): (&str, &str), body: &[u8]) -> (StatusCode, Value) {
        let request: Request = http::Request::builder()
            .method(method)
            .uri(format!("https://asked.kubernetes.test{path}"))
            .header("authorization", "Bearer admin")
            .header("content-type", content)
            .header("accept", accept)
            .body(Bytes::copy_from_slice(body))
            .expect("a request that is right");
        let now = self.0.now();
        let Reply::Answer(response) = self.0.handle(now, &Origin::Outside, request) else {
            panic!("{path} has no answer of its own");
        };
        self.0.advance(now);
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (response.status(), value)
    }

    fn get(&mut self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, ("", JSON), b"");
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    fn create(&mut self, path: &str, object: &Value) -> Value {
        let (status, body) = self.send("POST", path, (JSON, JSON), object.to_string().as_bytes());
        assert_eq!(status, StatusCode::CREATED, "{path}: {body}");
        body
    }

    fn patch(&mut self, path: &str, patch: &Value) -> Value {
        let (status, body) = self.send("PATCH", path, (MERGE, JSON), patch.to_string().as_bytes());
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// What the call is refused with.
    fn refused(&mut self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.send(method, path, (JSON, JSON), body.to_string().as_bytes());
        let message = answer["message"].as_str().unwrap_or_default();
        (status.as_u16(), message.to_owned())
    }
}

fn pod(labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "labels": labels}, "spec": {
        "nodeName": "n1", "containers": [{"name": "c", "image": "i",
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}})
}

#[test]
fn what_typed_clients_send_as_protocol_buffers_is_read() {
    let mut cluster = Cluster::api_server();
    let protobuf = (
        "application/vnd.kubernetes.protobuf",
        "application/vnd.kubernetes.protobuf,application/json",
    );
    for line in BODIES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let path = case["path"].as_str().expect("a case has a path");
        let body = case["body"].as_str().expect("a case has a body");
        let body = base64::engine::general_purpose::STANDARD.decode(body).expect("base64");
        let (status, answer) = cluster.send("POST", path, protobuf, &body);
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}");
        let found = answer.pointer(case["at"].as_str().expect("a case has a place"));
        assert_eq!(found, Some(&case["expected"]), "{path}: {answer}");
    }
    let (status, answer) = cluster.send("POST", "/api/v1/namespaces", protobuf, b"k8s\0\x0a\xff");
    assert_eq!((status.as_u16(), &answer["reason"]), (400, &json!("BadRequest")));
}

#[test]
fn rolling_back_makes_a_new_revision_and_hands_the_cause_on() {
    let mut cluster = Cluster::new(ControlPlane::Whole);
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    let template = |image: &str| {
        json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]}})
    };
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template("a")}});
    cluster.create("/apis/apps/v1/namespaces/default/deployments", &web);
    cluster.patch(path, &json!({"spec": {"template": template("b")}}));
    let cause = json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "back again"}}});
    cluster.patch(
        path,
        &json!({"metadata": cause["metadata"], "spec": {"template": template("a")}}),
    );
    let annotations = |object: &Value| object["metadata"]["annotations"].clone();
    let deployment = annotations(&cluster.get(path));
    assert_eq!(deployment["deployment.kubernetes.io/revision"], "3");
    let sets = cluster.get("/apis/apps/v1/namespaces/default/replicasets");
    let mut history: Vec<(String, String)> = sets["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|set| {
            let text = |name: &str| annotations(set)[name].as_str().unwrap_or("-").to_owned();
            (
                text("deployment.kubernetes.io/revision"),
                text("kubernetes.io/change-cause"),
            )
        })
        .collect();
    history.sort();
    let expected = [("2", "-"), ("3", "back again")].map(|(revision, cause)| (revision.to_owned(), cause.to_owned()));
    assert_eq!(history, expected);
}

#[test]
fn pods_and_nodes_are_measured_once_a_metrics_server_is_available() {
    let mut cluster = Cluster::api_server();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    cluster.create("/api/v1/nodes", &node);
    cluster.create("/api/v1/namespaces/kube-system/pods", &pod(&json!({"app": "metrics"})));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"},
        "spec": {"selector": {"app": "metrics"}, "ports": [{"port": 443}]}});
    cluster.create("/api/v1/namespaces/kube-system/services", &service);
    let announced = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {"group": "metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": {"name": "metrics", "namespace": "kube-system"}}});
    cluster.create("/apis/apiregistration.k8s.io/v1/apiservices", &announced);
    let (status, _) = cluster.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes", ("", JSON), b"");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "no pod is ready yet");
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.patch("/api/v1/namespaces/kube-system/pods/one/status", &ready);
    let resources = cluster.get("/apis/metrics.k8s.io/v1beta1");
    assert_eq!(resources["resources"][0]["kind"], "NodeMetrics");
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let (_, groups) = cluster.send("GET", "/apis", ("", aggregated), b"");
    let items = groups["items"].as_array().expect("groups");
    let own = items.iter().find(|group| group["metadata"]["name"] == "metrics.k8s.io");
    let resources = own.map(|group| &group["versions"][0]["resources"]);
    assert_eq!(resources.and_then(|list| list.as_array().map(Vec::len)), Some(2));
    let pods = cluster.get("/apis/metrics.k8s.io/v1beta1/pods?labelSelector=app%3Dmetrics");
    assert_eq!(
        pods["items"][0]["containers"][0]["usage"],
        json!({"cpu": "300m", "memory": "629145Ki"})
    );
    let none = cluster.get("/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods?labelSelector=app%3Dother");
    assert_eq!(none["items"], json!([]));
    let nodes = cluster.get("/apis/metrics.k8s.io/v1beta1/nodes/n1");
    assert_eq!(nodes["usage"], json!({"cpu": "360m", "memory": "987545Ki"}));
    let absent = cluster.refused("GET", "/apis/metrics.k8s.io/v1beta1/nodes/n2", &Value::Null);
    assert_eq!(absent, (404, "nodemetrics.metrics.k8s.io \"n2\" not found".to_owned()));
}

#[test]
fn what_runs_in_no_container_is_refused_in_words() {
    let mut cluster = Cluster::api_server();
    cluster.create("/api/v1/namespaces/default/pods", &pod(&json!({})));
    for (method, part, word) in [
        ("GET", "log", "keeps no logs"),
        ("POST", "exec?command=ls", "runs no processes"),
        ("POST", "attach", "runs no processes"),
        ("POST", "portforward", "runs no processes"),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/one/{part}");
        let (status, message) = cluster.refused(method, &path, &Value::Null);
        assert_eq!(status, 501, "{part}");
        assert!(
            message.starts_with("the local world ") && message.contains(word),
            "{message}"
        );
    }
    let (status, _) = cluster.refused("GET", "/api/v1/namespaces/default/pods/none/log", &Value::Null);
    assert_eq!(status, 404);
}

#[test]
fn fields_can_be_explained() {
    let mut cluster = Cluster::api_server();
    let document = cluster.get("/openapi/v3/apis/apps/v1");
    let gvk = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["get"];
    assert_eq!(gvk["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    let image = "/components/schemas/apps.v1.Deployment/properties/spec/properties/template/properties/spec/properties\
                 /containers/items/properties/image/type";
    assert_eq!(document.pointer(image), Some(&json!("string")));
}

#[test]
fn keys_of_labels_and_annotations_are_names() {
    let mut cluster = Cluster::api_server();
    let map = |metadata: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    let path = "/api/v1/namespaces/default/configmaps";
    for metadata in [
        json!({"name": "c", "labels": {"bad label": "1"}}),
        json!({"name": "c", "labels": {"Bad_Prefix/a": "1"}}),
        json!({"name": "c", "annotations": {"-a": "1"}}),
    ] {
        let (status, message) = cluster.refused("POST", path, &map(metadata));
        assert!(status == 422 && message.contains("part"), "{message}");
    }
    let created = cluster.create(
        path,
        &map(json!({"name": "c", "labels": {}, "annotations": {"example.com/A": "1"}})),
    );
    assert!(
        created["metadata"].get("labels").is_none(),
        "an empty map is left out: {created}"
    );
    let (status, _) = cluster.send(
        "PATCH",
        &format!("{path}/c"),
        (MERGE, JSON),
        br#"{"metadata": {"labels": {"a b": ""}}}"#,
    );
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn the_addresses_of_endpoints_are_printed() {
    let mut cluster = Cluster::api_server();
    let addresses: Vec<Value> = (1..=4).map(|last| json!({"ip": format!("10.0.0.{last}")})).collect();
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"},
        "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    cluster.create("/api/v1/namespaces/default/endpoints", &endpoints);
    let (_, table) = cluster.send("GET", "/api/v1/namespaces/default/endpoints", ("", TABLE), b"");
    assert_eq!(
        table["rows"][0]["cells"][1],
        "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more..."
    );
}

#[test]
fn whoever_scales_owns_the_replicas_until_there_are_none() {
    let mut cluster = Cluster::api_server();
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "a"}]}}}});
    cluster.create("/apis/apps/v1/namespaces/default/deployments", &web);
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    for (replicas, owners) in [(3, 1), (0, 0), (1, 1)] {
        let scale = json!({"spec": {"replicas": replicas}});
        cluster.patch(&format!("{path}/scale?fieldManager=scaler"), &scale);
        let found = cluster.get(path);
        let entries = found["metadata"]["managedFields"].as_array().expect("owners");
        let owning = entries
            .iter()
            .filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some());
        let by_scale = owning.filter(|entry| entry["subresource"] == "scale" && entry["manager"] == "scaler");
        assert_eq!(
            (found["spec"]["replicas"].as_i64(), by_scale.count()),
            (Some(replicas), owners)
        );
    }
}
