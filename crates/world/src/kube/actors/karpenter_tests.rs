//! Pods without room become claims, machines and nodes; and what nobody needs goes, as long as Karpenter runs.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::instances;
use crate::aws::ec2::security_groups;
use crate::aws::ec2::subnets::Subnet;
use crate::aws::query::iam::profiles;
use crate::core::Scene;
use crate::kube::actors::condition;
use crate::kube::actors::kinds;
use crate::kube::actors::site;
use crate::kube::actors::stage::REGION;
use crate::kube::actors::stage::Stage;
use crate::kube::actors::stage::deployment;

/// A cluster with Karpenter, one class, one pool of machines with a GPU, and a network to put them into.
fn show() -> Stage {
    let mut stage = Stage::with_nodes(1);
    found_network(&mut stage.scene());
    stage.seconds(60);
    let variables = json!([
        {"name": "KARPENTER_SERVICE", "value": "karpenter"},
        {"name": "CLUSTER_NAME", "value": "tube"},
    ]);
    stage.create(
        &kinds::DEPLOYMENT,
        deployment("karpenter", 1, json!({"image": "karpenter:1", "env": variables})),
    );
    let terms = json!([{"tags": {"karpenter.sh/discovery": "tube"}}]);
    stage.create(
        &kinds::NODE_CLASS,
        json!({
            "apiVersion": "karpenter.k8s.aws/v1",
            "metadata": {"name": "gpu"},
            "spec": {
                "instanceProfile": "nodes",
                "amiSelectorTerms": [{"alias": "bottlerocket@1.50.0"}],
                "subnetSelectorTerms": terms,
                "securityGroupSelectorTerms": terms,
            },
        }),
    );
    stage.create(
        &kinds::NODE_POOL,
        json!({
            "apiVersion": "karpenter.sh/v1",
            "metadata": {"name": "gpu"},
            "spec": {
                "template": {
                    "metadata": {"labels": {"intent": "gpu-inference"}},
                    "spec": {
                        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                        "requirements": [
                            {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5"]},
                            {"key": "karpenter.k8s.aws/instance-size", "operator": "In", "values": ["2xlarge", "4xlarge"]},
                            {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
                        ],
                        "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
                        "terminationGracePeriod": "5m",
                    },
                },
                "disruption": {
                    "consolidationPolicy": "WhenEmpty",
                    "consolidateAfter": "30s",
                    "budgets": [{"nodes": "100%"}],
                },
            },
        }),
    );
    stage.seconds(30);
    stage
}

fn found_network(scene: &mut Scene<'_>) {
    let discovery = BTreeMap::from([("karpenter.sh/discovery".to_owned(), "tube".to_owned())]);
    let mut site = site(scene);
    assert_eq!(site.region, REGION);
    for (index, zone) in ["a", "b", "c"].into_iter().enumerate() {
        let id = format!("subnet-{index}");
        let subnet = Subnet {
            id: id.clone(),
            vpc: "vpc-1".to_owned(),
            cidr: format!("10.0.{}.0/20", index * 16).parse().unwrap(),
            zone: format!("{REGION}{zone}"),
            public_ips: false,
        };
        site.keep(&id, subnet, discovery.clone());
    }
    security_groups::create(&mut site, "vpc-1", "nodes", "nodes", discovery).unwrap();
    profiles::create(&mut site, "nodes", "/", BTreeMap::new()).unwrap();
}

fn gpu_pods(replicas: usize) -> Value {
    let container = json!({"image": "busybox:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}});
    let mut object = deployment("work", replicas, container);
    let spec = &mut object["spec"]["template"]["spec"];
    spec["nodeSelector"] = json!({"intent": "gpu-inference"});
    spec["tolerations"] = json!([{"key": "nvidia.com/gpu", "operator": "Exists"}]);
    object
}

fn running(stage: &mut Stage) -> usize {
    let mut scene = stage.scene();
    let mut site = site(&mut scene);
    site.ec2()
        .instances
        .values()
        .filter(|instance| instance.is_alive())
        .count()
}

/// Machines come up and go only while the account's time passes too.
fn pass(stage: &mut Stage, seconds: u64) {
    for _ in 0..seconds {
        stage.seconds(1);
        let (now, region) = (stage.now, REGION.to_owned());
        let mut site = crate::aws::Site {
            now,
            random: &mut stage.random,
            account: &mut stage.aws,
            region: &region,
        };
        crate::aws::ec2::advance(&mut site);
    }
}

#[test]
fn pods_without_room_get_nodes_and_nodes_without_pods_go() {
    let mut stage = show();
    let class = stage.get(&kinds::NODE_CLASS, "", "gpu").unwrap();
    assert!(condition::holds(&class, "Ready"), "{class:#}");
    stage.create(&kinds::DEPLOYMENT, gpu_pods(3));
    pass(&mut stage, 180);
    assert_eq!(running(&mut stage), 3);
    assert_eq!(stage.ready("default"), 4);
    let claims: Vec<_> = stage.cluster.store.list(&kinds::NODE_CLAIM).cloned().collect();
    for claim in &claims {
        for kind in ["Launched", "Registered", "Initialized"] {
            assert!(condition::holds(claim, kind), "{claim:#}");
        }
        assert_eq!(claim["metadata"]["labels"]["karpenter.sh/capacity-type"], "spot");
    }
    stage.change(&kinds::DEPLOYMENT, "default", "work", |work| {
        work["spec"]["replicas"] = json!(1);
    });
    pass(&mut stage, 300);
    assert_eq!(running(&mut stage), 1);
    assert_eq!(stage.cluster.store.list(&kinds::NODE_CLAIM).count(), 1);
    assert_eq!(stage.ready("default"), 2);
}

/// A queue that Karpenter reads, and the rule that puts EC2's warnings into it.
fn lay_queue(stage: &mut Stage) {
    let calls = [
        ("sqs", "AmazonSQS.CreateQueue", json!({"QueueName": "warnings"})),
        (
            "events",
            "AWSEvents.PutRule",
            json!({"Name": "spot", "EventPattern": r#"{"source": ["aws.ec2"]}"#}),
        ),
        (
            "events",
            "AWSEvents.PutTargets",
            json!({"Rule": "spot", "Targets": [
                {"Id": "queue", "Arn": format!("arn:aws:sqs:{REGION}:123456789012:warnings")},
            ]}),
        ),
    ];
    for (service, target, body) in calls {
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKID/20260101/{REGION}/{service}/aws4_request, x=y");
        let request = http::Request::post(format!("https://{service}.{REGION}.amazonaws.com/"))
            .header("authorization", scope)
            .header("x-amz-target", target)
            .body(bytes::Bytes::from(body.to_string()))
            .unwrap();
        let scope = crate::aws::Scope::of(&request).unwrap();
        let scene = crate::aws::Scene {
            now: stage.now,
            random: &mut stage.random,
            account: &mut stage.aws,
            clusters: &mut BTreeMap::new(),
        };
        let response = crate::aws::handle(scene, &scope, &request);
        assert_eq!(response.status(), 200, "{response:?}");
    }
    stage.change(&kinds::DEPLOYMENT, "default", "karpenter", |karpenter| {
        let container = &mut karpenter["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array_mut().unwrap();
        variables.push(json!({"name": "INTERRUPTION_QUEUE", "value": "warnings"}));
    });
}

#[test]
fn a_machine_that_ec2_wants_back_is_replaced_before_it_goes() {
    let mut stage = show();
    lay_queue(&mut stage);
    stage.create(&kinds::DEPLOYMENT, gpu_pods(1));
    pass(&mut stage, 180);
    let claim = |stage: &Stage| {
        let claims = stage.cluster.store.list(&kinds::NODE_CLAIM);
        claims
            .map(|claim| claim["metadata"]["name"].clone())
            .collect::<Vec<_>>()
    };
    let before = claim(&stage);
    let fault = "spot-interruption@1m".parse().unwrap();
    stage.aws.faults.add(fault);
    pass(&mut stage, 110);
    let instances = &stage.aws.region(REGION).ec2.instances;
    let ended = instances.values().filter(|instance| !instance.is_alive()).count();
    assert_eq!(ended, 1, "Karpenter ends it within the two minutes of notice");
    pass(&mut stage, 120);
    assert_eq!(stage.ready("default"), 2);
    assert_ne!(claim(&stage), before);
    assert_eq!(running(&mut stage), 1, "a fault hits one instance");
}

#[test]
fn a_deleted_pool_takes_its_nodes_along_and_a_class_waits_for_them() {
    let mut stage = show();
    stage.create(&kinds::DEPLOYMENT, gpu_pods(1));
    pass(&mut stage, 180);
    stage.delete(&kinds::NODE_CLASS, "", "gpu");
    pass(&mut stage, 30);
    assert!(stage.get(&kinds::NODE_CLASS, "", "gpu").is_some());
    stage.delete(&kinds::NODE_POOL, "", "gpu");
    pass(&mut stage, 300);
    assert_eq!(running(&mut stage), 0);
    assert_eq!(stage.get(&kinds::NODE_CLASS, "", "gpu"), None);
    assert_eq!(stage.cluster.store.list(&kinds::NODE).count(), 1);
    let templates = stage.aws.region(REGION).ec2.launch_templates.len();
    assert_eq!(templates, 0);
}

#[test]
fn without_karpenter_its_finalizers_stay() {
    let mut stage = show();
    stage.create(&kinds::DEPLOYMENT, gpu_pods(1));
    pass(&mut stage, 180);
    stage.delete(&kinds::DEPLOYMENT, "default", "karpenter");
    pass(&mut stage, 30);
    stage.delete(&kinds::NODE_POOL, "", "gpu");
    pass(&mut stage, 600);
    assert_eq!(stage.cluster.store.list(&kinds::NODE_CLAIM).count(), 1);
    assert_eq!(running(&mut stage), 1);
    let mut machines = stage.aws.region(REGION).ec2.instances.values();
    assert!(machines.all(|machine| machine.state == instances::State::Running));
}
