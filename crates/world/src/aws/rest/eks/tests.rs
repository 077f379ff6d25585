//! EKS at the wire.

use serde_json::Value;
use serde_json::json;

use crate::aws::json::tags::Tags;
use crate::aws::wire::Answer;
use crate::aws::wire::World;
use crate::kube::store::GroupKind;
use crate::random::Random;

const ROLE: &str = "arn:aws:iam::123456789012:role/tube-cluster";
const POD_ROLE: &str = "arn:aws:iam::123456789012:role/tube-pod";
const NODE_ROLE: &str = "arn:aws:iam::123456789012:role/tube-node";

/// A world with roles, and a VPC with two subnets in different zones.
fn ground() -> (World, Vec<String>) {
    let mut world = World::new();
    for (name, path, service, policy) in [
        ("tube-cluster", "/", "eks.amazonaws.com", Some("AmazonEKSClusterPolicy")),
        ("tube-node", "/", "ec2.amazonaws.com", Some("AmazonEKSWorkerNodePolicy")),
        ("tube-pod", "/", "pods.eks.amazonaws.com", None),
        ("admin", "/ops/", "ec2.amazonaws.com", None),
    ] {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"],
        }]});
        let pairs = [
            ("Action", "CreateRole"),
            ("Version", "2010-05-08"),
            ("RoleName", name),
            ("Path", path),
            ("AssumeRolePolicyDocument", &trust.to_string()),
        ];
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        world.form("iam", &body).ok();
        world.wait(30);
        if let Some(policy) = policy {
            let attach = "Action=AttachRolePolicy&Version=2010-05-08";
            let arn = format!("arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2F{policy}");
            world
                .form("iam", &format!("{attach}&RoleName={name}&PolicyArn={arn}"))
                .ok();
        }
    }
    world.wait(60);
    let vpc = world
        .form("ec2", "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16")
        .ok();
    let vpc = vpc.element("vpcId").to_owned();
    world.wait(60);
    let mut subnets = Vec::new();
    for (zone, block) in [("eu-west-1a", "10.0.0.0/20"), ("eu-west-1b", "10.0.16.0/20")] {
        let body =
            format!("Action=CreateSubnet&Version=2016-11-15&VpcId={vpc}&CidrBlock={block}&AvailabilityZone={zone}");
        subnets.push(world.form("ec2", &body).ok().element("subnetId").to_owned());
    }
    world.wait(60);
    (world, subnets)
}

fn cluster_body(subnets: &[String]) -> Value {
    json!({
        "name": "tube",
        "roleArn": ROLE,
        "version": "1.34",
        "resourcesVpcConfig": {"subnetIds": subnets, "endpointPrivateAccess": true},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": false},
        "bootstrapSelfManagedAddons": false,
        "logging": {"clusterLogging": [{"types": ["api", "audit"], "enabled": true}]},
        "clientRequestToken": "token-1",
        "tags": {"tubectl:stack": "tube"},
    })
}

fn call(world: &mut World, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    world.rest("eks", method, path, &body)
}

fn get(world: &mut World, path: &str) -> Answer {
    call(world, "GET", path, &Value::Null)
}

/// A world whose cluster `tube` is active.
fn active() -> (World, Vec<String>) {
    let (mut world, subnets) = ground();
    call(&mut world, "POST", "/clusters", &cluster_body(&subnets)).ok();
    world.wait(841);
    (world, subnets)
}

fn status(world: &mut World, path: &str, member: &str) -> String {
    let answer = get(world, path);
    match answer.status {
        404 => "gone".to_owned(),
        _ => answer.ok().value()[member]["status"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn a_cluster_becomes_active_after_minutes_and_has_what_aws_invents() {
    let (mut world, subnets) = ground();
    call(&mut world, "POST", "/clusters", &cluster_body(&subnets))
        .ok()
        .has("CREATING");
    world.wait(419);
    let early = get(&mut world, "/clusters/tube").ok();
    early.has("CREATING");
    early.lacks("endpoint\":");
    world.wait(422);
    let cluster = get(&mut world, "/clusters/tube").ok().value()["cluster"].clone();
    assert_eq!(cluster["status"], "ACTIVE");
    let endpoint = cluster["endpoint"].as_str().unwrap();
    assert!(endpoint.ends_with(".gr7.eu-west-1.eks.amazonaws.com"), "{endpoint}");
    assert!(cluster["certificateAuthority"]["data"].as_str().unwrap().len() > 100);
    assert!(cluster["identity"]["oidc"]["issuer"].is_string());
    let group = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
        .as_str()
        .unwrap();
    let interfaces = world
        .form("ec2", "Action=DescribeNetworkInterfaces&Version=2016-11-15")
        .ok();
    interfaces.has("Amazon EKS tube");
    interfaces.has(group);
    world
        .json("logs", "DescribeLogGroups", "{}")
        .ok()
        .has("/aws/eks/tube/cluster");
    let host = endpoint.strip_prefix("https://").unwrap().to_lowercase();
    assert!(world.core.account().region("eu-west-1").eks.at_host(&host).is_some());
}

#[test]
fn the_same_token_gives_the_same_cluster_and_another_is_refused() {
    let (mut world, subnets) = ground();
    let mut body = cluster_body(&subnets);
    call(&mut world, "POST", "/clusters", &body).ok();
    call(&mut world, "POST", "/clusters", &body).ok();
    body["clientRequestToken"] = json!("token-2");
    call(&mut world, "POST", "/clusters", &body).refused_json(409, "ResourceInUseException");
    get(&mut world, "/clusters").ok().has(r#"["tube"]"#);
}

#[test]
fn what_a_cluster_cannot_be_is_refused() {
    let check = |change: fn(&mut Value), says: &str| {
        let (mut world, subnets) = ground();
        let mut body = cluster_body(&subnets);
        change(&mut body);
        call(&mut world, "POST", "/clusters", &body)
            .refused_json(400, "InvalidParameterException")
            .has(says);
    };
    check(|body| body["colour"] = json!("red"), "unknown field `colour`");
    check(|body| body["name"] = json!("-tube"), "must begin with an alphanumeric");
    check(
        |body| body["version"] = json!("1.12"),
        "unsupported Kubernetes version 1.12",
    );
    check(|body| body["roleArn"] = json!("tube"), "does not exist");
    check(
        |body| body["roleArn"] = json!(POD_ROLE),
        "the trusted entity is not correct",
    );
    check(
        |body| {
            let first = body["resourcesVpcConfig"]["subnetIds"][0].clone();
            body["resourcesVpcConfig"]["subnetIds"] = json!([first]);
        },
        "at least two different AZs",
    );
    check(
        |body| body["resourcesVpcConfig"]["subnetIds"] = json!(["subnet-0"]),
        "The subnet ID 'subnet-0' does not exist",
    );
    let key = json!([{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:eu-west-1:123456789012:key/0"}}]);
    let (mut world, subnets) = ground();
    let mut body = cluster_body(&subnets);
    body["encryptionConfig"] = key;
    call(&mut world, "POST", "/clusters", &body).refused_json(400, "InvalidParameterException");
}

#[test]
fn a_cluster_goes_after_its_groups_and_its_log_comes_back() {
    let (mut world, subnets) = active();
    let group = json!({
        "nodegroupName": "mng", "subnets": subnets, "nodeRole": NODE_ROLE, "instanceTypes": ["m5.large"],
        "scalingConfig": {"minSize": 2, "desiredSize": 2, "maxSize": 3}, "labels": {"CriticalAddonsOnly": "true"},
        "clientRequestToken": "group-1",
    });
    call(&mut world, "POST", "/clusters/tube/node-groups", &group)
        .ok()
        .has("CREATING");
    call(&mut world, "POST", "/clusters/tube/node-groups", &group).ok();
    world.wait(181);
    assert_eq!(
        status(&mut world, "/clusters/tube/node-groups/mng", "nodegroup"),
        "ACTIVE"
    );
    get(&mut world, "/clusters/tube/access-entries").ok().has(NODE_ROLE);
    let machines = world.form("ec2", "Action=DescribeInstances&Version=2016-11-15").ok();
    assert_eq!(machines.elements("instanceType"), ["m5.large", "m5.large"]);
    machines.has("<key>eks:nodegroup-name</key><value>mng</value>");
    call(&mut world, "DELETE", "/clusters/tube", &Value::Null).refused_json(409, "ResourceInUseException");
    call(&mut world, "DELETE", "/clusters/tube/node-groups/mng", &Value::Null)
        .ok()
        .has("DELETING");
    world.wait(241);
    assert_eq!(
        status(&mut world, "/clusters/tube/node-groups/mng", "nodegroup"),
        "gone"
    );
    world
        .json("logs", "DeleteLogGroup", r#"{"logGroupName": "/aws/eks/tube/cluster"}"#)
        .ok();
    call(&mut world, "DELETE", "/clusters/tube", &Value::Null)
        .ok()
        .has("DELETING");
    world.wait(301);
    assert_eq!(status(&mut world, "/clusters/tube", "cluster"), "gone");
    world
        .form("ec2", "Action=DescribeNetworkInterfaces&Version=2016-11-15")
        .ok()
        .lacks("Amazon EKS tube");
    world
        .form("ec2", "Action=DescribeSecurityGroups&Version=2016-11-15")
        .ok()
        .lacks("eks-cluster-sg");
    world.wait(61);
    world
        .json("logs", "DescribeLogGroups", "{}")
        .ok()
        .has("/aws/eks/tube/cluster");
}

#[test]
fn an_addon_that_needs_nodes_is_degraded_until_one_is_ready() {
    let (mut world, _) = active();
    for name in ["vpc-cni", "coredns"] {
        let addon = json!({"addonName": name, "resolveConflicts": "OVERWRITE"});
        call(&mut world, "POST", "/clusters/tube/addons", &addon)
            .ok()
            .has("CREATING");
    }
    world.wait(61);
    assert_eq!(status(&mut world, "/clusters/tube/addons/vpc-cni", "addon"), "ACTIVE");
    assert_eq!(status(&mut world, "/clusters/tube/addons/coredns", "addon"), "DEGRADED");
    let now = world.now;
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let cluster = world.core.clusters().values_mut().next().unwrap();
    cluster
        .store
        .create(&GroupKind::of("Node"), node, now, &mut Random::new(1))
        .unwrap();
    assert_eq!(status(&mut world, "/clusters/tube/addons/coredns", "addon"), "ACTIVE");
    call(
        &mut world,
        "DELETE",
        "/clusters/tube/addons/coredns?preserve=true",
        &Value::Null,
    )
    .ok();
    world.wait(31);
    get(&mut world, "/clusters/tube/addons").ok().has(r#"["vpc-cni"]"#);
}

#[test]
fn the_catalog_offers_versions_that_can_be_installed() {
    let (mut world, _) = active();
    let path = "/addons/supported-versions?kubernetesVersion=1.34&addonName=kube-proxy";
    let offers = get(&mut world, path).ok().value();
    let version = offers["addons"][0]["addonVersions"][0]["addonVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(version.starts_with("v1.34."), "{version}");
    let addon = json!({"addonName": "kube-proxy", "addonVersion": version});
    call(&mut world, "POST", "/clusters/tube/addons", &addon).ok();
    let wrong = json!({"addonName": "coredns", "addonVersion": "v0.0.1"});
    call(&mut world, "POST", "/clusters/tube/addons", &wrong).refused_json(400, "InvalidParameterException");
}

#[test]
fn access_is_given_and_taken() {
    let (mut world, _) = active();
    let principal = "arn:aws:iam::123456789012:role/ops/admin";
    let encoded = "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fops%2Fadmin";
    let entries = "/clusters/tube/access-entries";
    let created = call(&mut world, "POST", entries, &json!({"principalArn": principal})).ok();
    created.has("arn:aws:sts::123456789012:assumed-role/admin/{{SessionName}}");
    call(&mut world, "POST", entries, &json!({"principalArn": principal})).refused_json(409, "ResourceInUseException");
    let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";
    let policies = format!("{entries}/{encoded}/access-policies");
    let body = json!({"policyArn": policy, "accessScope": {"type": "cluster"}});
    call(&mut world, "POST", &policies, &body).ok().has(policy);
    get(&mut world, &policies).ok().has(policy);
    let wrong = json!({"policyArn": "arn:aws:iam::aws:policy/X", "accessScope": {"type": "cluster"}});
    call(&mut world, "POST", &policies, &wrong).refused_json(400, "InvalidParameterException");
    let one = policy.replace(':', "%3A").replace('/', "%2F");
    call(&mut world, "DELETE", &format!("{policies}/{one}"), &Value::Null).ok();
    get(&mut world, &policies).ok().lacks(policy);
    call(&mut world, "DELETE", &format!("{entries}/{encoded}"), &Value::Null).ok();
    get(&mut world, &format!("{entries}/{encoded}")).refused_json(404, "ResourceNotFoundException");
}

#[test]
fn a_cluster_can_let_its_creator_in() {
    let (mut world, subnets) = ground();
    let mut body = cluster_body(&subnets);
    body["accessConfig"]["bootstrapClusterCreatorAdminPermissions"] = json!(true);
    call(&mut world, "POST", "/clusters", &body).ok();
    get(&mut world, "/clusters/tube/access-entries")
        .ok()
        .has("arn:aws:iam::123456789012:user/operator");
}

#[test]
fn pods_get_roles_once() {
    let (mut world, _) = active();
    let path = "/clusters/tube/pod-identity-associations";
    let body = json!({"namespace": "karpenter", "serviceAccount": "karpenter", "roleArn": POD_ROLE});
    let created = call(&mut world, "POST", path, &body).ok().value();
    let id = created["association"]["associationId"].as_str().unwrap().to_owned();
    call(&mut world, "POST", path, &body).refused_json(409, "ResourceInUseException");
    get(&mut world, &format!("{path}?namespace=karpenter")).ok().has(&id);
    get(&mut world, &format!("{path}?namespace=other")).ok().lacks(&id);
    get(&mut world, &format!("{path}/{id}")).ok().has(POD_ROLE);
    call(&mut world, "DELETE", &format!("{path}/{id}"), &Value::Null).ok();
    get(&mut world, &format!("{path}/{id}")).refused_json(404, "ResourceNotFoundException");
}

#[test]
fn tags_are_found_by_arn() {
    let (mut world, _) = active();
    let path = "/tags/arn%3Aaws%3Aeks%3Aeu-west-1%3A123456789012%3Acluster%2Ftube";
    call(&mut world, "POST", path, &json!({"tags": {"a": "b"}})).ok();
    get(&mut world, path).ok().has(r#""a":"b""#);
    call(&mut world, "DELETE", &format!("{path}?tagKeys=a"), &Value::Null).ok();
    let tags: Tags = serde_json::from_value(get(&mut world, path).ok().value()["tags"].clone()).unwrap();
    assert_eq!(tags.len(), 1);
}

#[test]
fn an_update_runs_for_a_while() {
    let (mut world, _) = active();
    let body = json!({"resourcesVpcConfig": {"publicAccessCidrs": ["10.0.0.0/8"]}});
    let update = call(&mut world, "POST", "/clusters/tube/update-config", &body)
        .ok()
        .value();
    let id = update["update"]["id"].as_str().unwrap().to_owned();
    assert_eq!(status(&mut world, "/clusters/tube", "cluster"), "UPDATING");
    call(&mut world, "DELETE", "/clusters/tube", &Value::Null).refused_json(409, "ResourceInUseException");
    world.wait(121);
    let path = format!("/clusters/tube/updates/{id}");
    assert_eq!(status(&mut world, &path, "update"), "Successful");
    get(&mut world, "/clusters/tube").ok().has("10.0.0.0/8");
}

#[test]
fn what_is_not_there_is_not_found() {
    let (mut world, _) = active();
    for path in [
        "/clusters/none",
        "/clusters/tube/addons/none",
        "/clusters/tube/node-groups/none",
    ] {
        get(&mut world, path).refused_json(404, "ResourceNotFoundException");
    }
    get(&mut world, "/clusters?colour=red").refused_json(400, "InvalidParameterException");
    get(&mut world, "/fargate").refused_json(400, "UnknownOperationException");
}

/// How the API server answers the operator, who comes with a presigned call to STS.
fn knock(world: &mut World) -> u16 {
    let cluster = get(world, "/clusters/tube").ok().value();
    let endpoint = cluster["cluster"]["endpoint"].as_str().unwrap().to_owned();
    let signed = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
        &X-Amz-Credential=AKIDEXAMPLE%2F20260301%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id";
    let token = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signed);
    let request = http::Request::get(format!("{endpoint}/api/v1/namespaces"))
        .header("authorization", format!("Bearer k8s-aws-v1.{token}"))
        .body(bytes::Bytes::new())
        .unwrap();
    world.send(request).status
}

#[test]
fn an_access_entry_lets_in_and_its_policy_makes_an_administrator() {
    let (mut world, _) = active();
    assert_eq!(knock(&mut world), 401);
    let entries = "/clusters/tube/access-entries";
    let operator = "arn:aws:iam::123456789012:user/operator";
    call(&mut world, "POST", entries, &json!({"principalArn": operator})).ok();
    world.wait(60);
    assert_eq!(knock(&mut world), 403);
    let policy = json!({
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        "accessScope": {"type": "cluster"},
    });
    let path = format!("{entries}/{}/access-policies", operator.replace('/', "%2F"));
    call(&mut world, "POST", &path, &policy).ok();
    world.wait(60);
    assert_eq!(knock(&mut world), 200);
}
