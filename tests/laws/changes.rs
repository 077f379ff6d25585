//! What is changed in a stack that stands is changed in the world, or refused before anything is done.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tubectl::error::Kind as FailureKind;
use tubectl::resource::desired::Desired;
use tubectl::resource::kind::Kind;
use tubectl::stack::Stack;
use tubectl_world::Core;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;

/// Another value that the field can have; where it cannot change, any other.
fn another(desired: &Desired, field: &str, value: &Value) -> Value {
    match (desired.kind, field) {
        (Kind::RouteTable, "routes") => with(value, "192.168.0.0/16", value["0.0.0.0/0"].clone()),
        (Kind::Role, "trust") => with_statement(value, json!({"Service": "lambda.amazonaws.com"}), "sts:AssumeRole"),
        (Kind::Role, "inline") => with(value, "more", document()),
        (Kind::Role, "policies") => and(value, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"),
        (Kind::Policy, "document") => document(),
        (Kind::Queue, "policy") => with_statement(value, json!({"Service": "events.amazonaws.com"}), "sqs:GetQueueUrl"),
        (Kind::Rule, "pattern") => json!({"source": ["aws.health"]}),
        (Kind::Rule, "target") => json!("arn:aws:sqs:eu-west-1:123456789012:another"),
        (Kind::LogGroup, "retention_days") => json!(14),
        (Kind::Cluster, "version") => json!("1.35"),
        (Kind::Cluster, "public_from") => json!(["198.51.100.0/24"]),
        (Kind::Cluster, "authentication_mode") => json!("API"),
        (Kind::Cluster, "log_types") => and(value, "audit"),
        (Kind::AccessEntry, "policies") => and(value, "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"),
        (Kind::PodIdentity, "role") => json!("arn:aws:iam::123456789012:role/tubectl/each/each-nodes-eu-west-1"),
        (Kind::Addon, "version") => json!("v1.20.5-eksbuild.1"),
        (Kind::LaunchTemplate, "security_groups") => json!(["unknown(security-group/cluster#id)"]),
        (Kind::SecurityGroup, "ingress") | (Kind::RouteTable, "subnets") => without_last(value),
        _ => match value {
            Value::Bool(on) => json!(!on),
            Value::Number(number) => json!(number.as_i64().unwrap_or_default() + 1),
            Value::String(text) => json!(format!("{text}x")),
            Value::Array(_) => and(value, "another"),
            Value::Object(_) => with(value, "another", json!("one")),
            Value::Null => json!("something"),
        },
    }
}

fn with(fields: &Value, name: &str, value: Value) -> Value {
    let mut fields = fields.clone();
    fields[name] = value;
    fields
}

fn and(items: &Value, item: &str) -> Value {
    let items = items.as_array().into_iter().flatten().cloned();
    items.chain([json!(item)]).collect()
}

fn without_last(items: &Value) -> Value {
    let items = items.as_array().expect("it is a list");
    items[..items.len() - 1].iter().cloned().collect()
}

fn document() -> Value {
    let statement = json!({"Effect": "Allow", "Action": ["ec2:DescribeRegions"], "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn with_statement(document: &Value, principal: Value, action: &str) -> Value {
    let mut document = document.clone();
    let mut statement = json!({"Effect": "Allow", "Action": action});
    statement["Principal"] = principal;
    if let Some(resource) = document["Statement"][0].get("Resource").cloned() {
        statement["Resource"] = resource;
    }
    document["Statement"]
        .as_array_mut()
        .expect("it is a list")
        .push(statement);
    document
}

/// The stack after `up`, with its journal.
fn standing() -> Moment {
    play(&Moment::beginning(), &stage::each(), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        stage.moment()
    })
}

/// The first resource of each kind that AWS has.
fn one_of_each(stack: &Stack) -> Vec<Desired> {
    let mut seen = BTreeSet::new();
    let of_aws = |kind: Kind| kind < Kind::Image;
    let ours = stack.resources.iter().filter(|desired| of_aws(desired.kind));
    let found: Vec<Desired> = ours.filter(|desired| seen.insert(desired.kind)).cloned().collect();
    let all: BTreeSet<Kind> = Kind::ALL.into_iter().filter(|kind| of_aws(*kind)).collect();
    assert_eq!(seen, all, "the stack has one of each kind");
    found
}

/// Changes one field, and back; says whether that was refused.
async fn is_refused(stage: &Stage, desired: &Desired, field: &str, value: &Value) -> bool {
    let name = format!("{}.{field}", desired.id);
    let change = |stack: &mut Stack| {
        let changed = stack.resources.iter_mut().find(|found| found.id == desired.id);
        changed.expect("the stack has it").spec[field] = value.clone();
    };
    if let Err(failure) = stage.up_with(change).await {
        assert_eq!(failure.kind, FailureKind::Yours, "{name}: {}", failure.report());
        assert!(
            failure.report().contains("while it exists"),
            "{name}: {}",
            failure.report()
        );
        assert_eq!(stage.watch.mutating(), [] as [String; 0], "{name}");
        return true;
    }
    // Where nodes were made anew, pods come up on them.
    stage.clock().sleep(Duration::from_mins(10)).await;
    let (text, work) = stage
        .plan_with(change)
        .await
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
    assert!(!work, "{name}: {text}");
    // EKS takes no cluster back to an older version.
    if (desired.kind, field) != (Kind::Cluster, "version") {
        stage
            .up()
            .await
            .unwrap_or_else(|failure| panic!("{name}, back: {}", failure.report()));
        stage.clock().sleep(Duration::from_mins(10)).await;
        let (text, work) = stage
            .plan()
            .await
            .unwrap_or_else(|failure| panic!("{name}, back: {failure}"));
        assert!(!work, "{name}, back: {text}");
    }
    false
}

#[test]
fn a_changed_field_is_changed_or_refused() {
    let standing = standing();
    let files = stage::each();
    let stack = play(&standing, &files, async |stage| stage.stack().await);
    for desired in one_of_each(&stack) {
        let fields = desired.spec.as_object().expect("a specification has fields");
        // The version of the template is the template's own: a law below changes that one.
        for (field, value) in fields.iter().filter(|(field, _)| *field != "launch_template_version") {
            let other = another(&desired, field, value);
            let refused = play(&standing, &files, async |stage| {
                is_refused(stage, &desired, field, &other).await
            });
            let expected = desired.kind.immutable_fields().contains(&field.as_str());
            assert_eq!(refused, expected, "{}.{field}", desired.id);
        }
    }
}

#[test]
fn a_changed_launch_template_reaches_the_nodes() {
    let files = stage::each();
    play(&standing(), &files, async |stage| {
        let change = |stack: &mut Stack| {
            let mut templates = stack.resources.iter_mut();
            let template = templates.find(|found| found.kind == Kind::LaunchTemplate);
            template.expect("the stack has one").spec["imds_hop_limit"] = json!(2);
        };
        stage
            .up_with(change)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        let calls = stage.world.look(|core: &Core| core.mutations().to_vec());
        let moved = calls
            .iter()
            .filter(|call| call.operation == "UpdateNodegroupVersion")
            .count();
        assert_eq!(moved, 1);
    });
}

/// What failed once is there after the second `up`, once.
fn check_is_made_anew(fault: &str, kind: &str) {
    let mut beginning = Moment::beginning();
    beginning
        .core
        .fault(fault.parse().unwrap_or_else(|error| panic!("{error}")));
    play(&beginning, &stage::each(), async |stage| {
        let failure = stage.up().await.expect_err("it fails once");
        assert_eq!(failure.kind, FailureKind::Partial, "{failure}");
        stage
            .up()
            .await
            .unwrap_or_else(|failure| panic!("{fault}: {}", failure.report()));
        let (text, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(!work, "{fault}: {text}");
        assert_eq!(stage.inventory()[kind].len(), 1, "{fault}");
    });
}

#[test]
fn what_failed_is_taken_away_and_made_anew() {
    check_is_made_anew("create-failed:node-group*1", "eks/nodegroup");
    check_is_made_anew("create-failed:nat-gateway*1", "ec2/nat-gateway");
}

#[test]
fn a_key_is_kept_for_as_long_as_the_stack_says() {
    let files = stage::edited(&[("delete_after_days: 7", "delete_after_days: 30")]);
    play(&Moment::beginning(), &files, async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        let report = stage.down().await.unwrap_or_else(|failure| panic!("{failure}"));
        let begun = stage.world.clock().now();
        let date = begun.checked_add(jiff::SignedDuration::from_hours(30 * 24)).unwrap();
        let date = date.strftime("%Y-%m-%d").to_string();
        assert!(report.proof.to_string().contains(&date), "{date}: {}", report.proof);
    });
}

#[test]
fn an_object_that_cannot_be_deleted_is_named_and_holds_up_nothing_for_ever() {
    let mut beginning = standing();
    beginning
        .core
        .fault("object-locked:".parse().unwrap_or_else(|error| panic!("{error}")));
    play(&beginning, &stage::each(), async |stage| {
        stage.put_object("questions/1.json").await;
        let failure = stage.down().await.expect_err("the object is locked");
        assert!(failure.report().contains("bucket"), "{}", failure.report());
    });
}
