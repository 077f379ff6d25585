//! What somebody else changes is named, planned and mended; what nobody changed stays as it is.

use aws_sdk_ec2::types::IpPermission;
use aws_sdk_ec2::types::IpRange;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Value;
use serde_json::json;
use tubectl_world::Core;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;
use crate::tube;

/// Somebody with kubectl changes a Deployment.
async fn edit(stage: &Stage, namespace: &str, name: &str, change: Value) {
    let session = tube::open(&stage.context, &stage.files, "plan").await;
    let look = session.look(&stage.context).await;
    let look = look.unwrap_or_else(|failure| panic!("{failure}"));
    let client = look.kube.expect("the stack is up").client();
    let deployments: kube::Api<k8s_openapi::api::apps::v1::Deployment> = kube::Api::namespaced(client, namespace);
    let parameters = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    deployments
        .patch(name, &parameters, &Patch::Strategic(change))
        .await
        .expect("somebody may do that");
}

async fn outputs(stage: &Stage, id: &str) -> String {
    let session = tube::open(&stage.context, &stage.files, "plan").await;
    let observed = session.aws.observe().await.expect("the account can be read");
    let found = observed.into_iter().find(|found| found.id.as_str() == id);
    found.expect("it is there").outputs["id"].clone()
}

/// What a change is called where it was made, and mended by the next `up`.
fn check(change: impl AsyncFn(&Stage) + Send + Sync, expected: &[&str]) {
    play(&tube::UP, &stage::find("tube"), async |stage| {
        change(stage).await;
        let status = tube::status(stage).await.unwrap_or_else(|failure| panic!("{failure}"));
        let heading = "differs from the stack, and `tubectl up` mends it:\n";
        let (_, drift) = status.split_once(heading).unwrap_or_else(|| panic!("{status}"));
        let drift: Vec<&str> = drift.lines().take_while(|line| line.starts_with("  ")).collect();
        assert_eq!(drift, expected);
        let (plan, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(work && plan.contains(" 1 to change"), "{plan}");
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        let (plan, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(!work, "{plan}");
    });
}

#[test]
fn a_tag_that_somebody_removed_comes_back() {
    let remove = async |stage: &Stage| {
        let subnet = outputs(stage, "subnet/private-a").await;
        let tag = aws_sdk_ec2::types::Tag::builder().key("karpenter.sh/discovery").build();
        let client = aws_sdk_ec2::Client::new(&stage.context.clients.aws);
        let removed = client.delete_tags().resources(subnet).tags(tag).send().await;
        removed.expect("somebody may do that");
    };
    check(
        remove,
        &["  subnet/private-a: tags.karpenter.sh/discovery is nothing, and should be tube"],
    );
}

#[test]
fn a_rule_that_somebody_added_to_a_security_group_goes() {
    let open = async |stage: &Stage| {
        let group = outputs(stage, "security-group/nodes").await;
        let client = aws_sdk_ec2::Client::new(&stage.context.clients.aws);
        let opened = client.authorize_security_group_ingress().group_id(group);
        let anybody = IpRange::builder().cidr_ip("0.0.0.0/0").build();
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
        let opened = opened.ip_permissions(rule.ip_ranges(anybody).build());
        opened.send().await.expect("somebody may do that");
    };
    let rule = r#"{"description":"","from_port":22,"protocol":"tcp","source":"0.0.0.0/0","to_port":22}"#;
    let told = format!("  security-group/nodes: ingress is {rule}, and should be nothing");
    check(open, &[&told]);
}

#[test]
fn a_number_of_replicas_that_somebody_wrote_goes_back() {
    let scale = async |stage: &Stage| edit(stage, "default", "gateway", json!({"spec": {"replicas": 3}})).await;
    check(
        scale,
        &["  gateway/Deployment/default/gateway: spec.replicas is 3, and should be 1"],
    );
}

#[test]
fn an_image_that_somebody_wrote_goes_back() {
    let containers = json!([{"name": "collector", "image": "example.com/other:1"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    check(
        async |stage: &Stage| edit(stage, "keda", "collector", change.clone()).await,
        &[
            "  collector/Deployment/keda/collector: spec.template.spec.containers[0].image is example.com/other:1, and \
             should be ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-contrib:0.149.0",
        ],
    );
}

#[test]
fn a_plan_after_up_is_empty_when_the_world_was_saved_and_loaded_in_between() {
    let saved = serde_json::to_vec(&tube::UP.core).expect("a world can be written");
    let loaded = Moment {
        core: serde_json::from_slice::<Core>(&saved).expect("a world can be read"),
        ..tube::UP.clone()
    };
    play(&loaded, &stage::find("tube"), async |stage| {
        let (text, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(!work, "{text}");
    });
}
