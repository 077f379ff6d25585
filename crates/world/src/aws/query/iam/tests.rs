//! IAM at the wire.

use serde_json::json;

use crate::aws::query::iam::Distrust;
use crate::aws::query::iam::Iam;
use crate::aws::wire::Answer;
use crate::aws::wire::World;

/// Calls IAM with the parameters as they are, before encoding.
fn call(world: &mut World, action: &str, parameters: &[(&str, &str)]) -> Answer {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", "2010-05-08");
    form.extend_pairs(parameters);
    world.form("iam", &form.finish())
}

fn trust(service: &str) -> String {
    let statement =
        json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"]});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn permissions(resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": resource}})
        .to_string()
}

fn create_role(world: &mut World, name: &str) {
    let trust = trust("eks.amazonaws.com");
    let role = [
        ("RoleName", name),
        ("Path", "/tubectl/tube/"),
        ("AssumeRolePolicyDocument", &trust),
    ];
    call(world, "CreateRole", &role).ok();
}

#[test]
fn a_role_comes_back_as_it_was_made() {
    let mut world = World::new();
    let trust = trust("eks.amazonaws.com");
    let answer = call(
        &mut world,
        "CreateRole",
        &[
            ("RoleName", "cluster"),
            ("Path", "/tubectl/tube/"),
            ("AssumeRolePolicyDocument", &trust),
            ("Tags.member.1.Key", "stack"),
            ("Tags.member.1.Value", "tube"),
        ],
    );
    let answer = answer.ok();
    assert_eq!(
        answer.element("Arn"),
        "arn:aws:iam::123456789012:role/tubectl/tube/cluster"
    );
    answer.has("<AssumeRolePolicyDocument>%7B%22");
    answer.has("<Tags><member><Key>stack</Key><Value>tube</Value></member></Tags>");
    call(&mut world, "GetRole", &[("RoleName", "cluster")])
        .ok()
        .has("<RoleName>cluster</RoleName>");
    let listed = call(&mut world, "ListRoles", &[("PathPrefix", "/tubectl/")]).ok();
    listed.has("<IsTruncated>false</IsTruncated>");
    listed.lacks("<Tags>");
    call(&mut world, "ListRoles", &[("PathPrefix", "/other/")])
        .ok()
        .has("<Roles></Roles>");
}

/// Operation, parameters, and the refusal's status and code.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[test]
fn what_is_wrong_with_a_call_is_said_as_iam_says_it() {
    let mut world = World::new();
    create_role(&mut world, "cluster");
    let good = trust("eks.amazonaws.com");
    let principal = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/none"}, "Action": "sts:AssumeRole"}}).to_string();
    let large = permissions(&format!("arn:aws:sqs:eu-west-1:123456789012:{}", "x".repeat(6200)));
    let larger = permissions(&format!("arn:aws:sqs:eu-west-1:123456789012:{}", "x".repeat(10_300)));
    let none = "arn:aws:iam::aws:policy/AmazonNone";
    let cases: [Case<'_>; 14] = [
        (
            "CreateRole",
            &[("RoleName", "cluster"), ("AssumeRolePolicyDocument", &good)],
            409,
            "EntityAlreadyExists",
        ),
        (
            "CreateRole",
            &[("RoleName", "a b"), ("AssumeRolePolicyDocument", &good)],
            400,
            "ValidationError",
        ),
        ("CreateRole", &[("RoleName", "new")], 400, "MissingParameter"),
        (
            "CreateRole",
            &[("RoleName", "new"), ("AssumeRolePolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "new"), ("AssumeRolePolicyDocument", &permissions("*"))],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "new"), ("AssumeRolePolicyDocument", &principal)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "new"), ("Path", "x"), ("AssumeRolePolicyDocument", &good)],
            400,
            "ValidationError",
        ),
        ("GetRole", &[("RoleName", "none")], 404, "NoSuchEntity"),
        (
            "AttachRolePolicy",
            &[("RoleName", "cluster"), ("PolicyArn", none)],
            404,
            "NoSuchEntity",
        ),
        (
            "DetachRolePolicy",
            &[("RoleName", "cluster"), ("PolicyArn", none)],
            404,
            "NoSuchEntity",
        ),
        (
            "CreatePolicy",
            &[("PolicyName", "p"), ("PolicyDocument", &large)],
            409,
            "LimitExceeded",
        ),
        (
            "CreatePolicy",
            &[("PolicyName", "p"), ("PolicyDocument", &good)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "PutRolePolicy",
            &[
                ("RoleName", "cluster"),
                ("PolicyName", "p"),
                ("PolicyDocument", &larger),
            ],
            409,
            "LimitExceeded",
        ),
        (
            "TagRole",
            &[("RoleName", "cluster"), ("Tag.1.Key", "x")],
            400,
            "UnknownParameter",
        ),
    ];
    for (action, parameters, status, code) in cases {
        call(&mut world, action, parameters).refused(status, code);
    }
}

#[test]
fn a_role_goes_only_after_all_that_holds_it() {
    let mut world = World::new();
    create_role(&mut world, "node");
    let role = ("RoleName", "node");
    let managed = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy");
    let inline = ("PolicyName", "queue");
    let profile = ("InstanceProfileName", "nodes");
    call(&mut world, "AttachRolePolicy", &[role, managed]).ok();
    call(
        &mut world,
        "PutRolePolicy",
        &[role, inline, ("PolicyDocument", &permissions("*"))],
    )
    .ok();
    call(
        &mut world,
        "CreateInstanceProfile",
        &[profile, ("Path", "/karpenter/eu-west-1/tube/")],
    )
    .ok();
    call(&mut world, "AddRoleToInstanceProfile", &[profile, role]).ok();
    call(&mut world, "AddRoleToInstanceProfile", &[profile, role]).refused(409, "LimitExceeded");
    call(&mut world, "ListInstanceProfilesForRole", &[role]).has("<InstanceProfileName>nodes</InstanceProfileName>");
    call(&mut world, "ListRolePolicies", &[role]).has("<PolicyNames><member>queue</member></PolicyNames>");
    let attached = call(&mut world, "ListAttachedRolePolicies", &[role]);
    attached.has("<member><PolicyName>AmazonEKSWorkerNodePolicy</PolicyName>");
    for (action, parameters) in [
        ("DetachRolePolicy", [role, managed]),
        ("DeleteRolePolicy", [role, inline]),
        ("RemoveRoleFromInstanceProfile", [role, profile]),
    ] {
        call(&mut world, "DeleteRole", &[role]).refused(409, "DeleteConflict");
        if action.starts_with("Remove") {
            call(&mut world, "DeleteInstanceProfile", &[profile]).refused(409, "DeleteConflict");
        }
        call(&mut world, action, &parameters).ok();
    }
    call(&mut world, "DeleteInstanceProfile", &[profile]).ok();
    call(&mut world, "DeleteRole", &[role]).ok();
    assert_eq!(world.core.inventory(), std::collections::BTreeMap::new());
}

#[test]
fn a_policy_goes_only_when_nobody_has_it_and_its_versions_are_gone() {
    let mut world = World::new();
    create_role(&mut world, "controller");
    let made = call(
        &mut world,
        "CreatePolicy",
        &[("PolicyName", "queue"), ("PolicyDocument", &permissions("*"))],
    )
    .ok();
    let arn = made.element("Arn").to_owned();
    let (role, policy) = (("RoleName", "controller"), ("PolicyArn", arn.as_str()));
    call(&mut world, "AttachRolePolicy", &[role, policy]).ok();
    call(&mut world, "ListEntitiesForPolicy", &[policy]).has("<RoleName>controller</RoleName>");
    call(&mut world, "DeletePolicy", &[policy]).refused(409, "DeleteConflict");
    call(&mut world, "DetachRolePolicy", &[role, policy]).ok();
    let newer = [policy, ("PolicyDocument", &permissions("*")), ("SetAsDefault", "true")];
    call(&mut world, "CreatePolicyVersion", &newer)
        .ok()
        .has("<VersionId>v2</VersionId>");
    call(&mut world, "DeletePolicy", &[policy]).refused(409, "DeleteConflict");
    call(&mut world, "DeletePolicyVersion", &[policy, ("VersionId", "v2")]).refused(409, "DeleteConflict");
    call(&mut world, "DeletePolicyVersion", &[policy, ("VersionId", "v1")]).ok();
    call(&mut world, "DeletePolicy", &[policy]).ok();
}

#[test]
fn lists_come_in_pages() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        create_role(&mut world, name);
    }
    let first = call(&mut world, "ListRoles", &[("MaxItems", "2")]).ok();
    assert_eq!(first.elements("RoleName"), ["a", "b"]);
    let rest = call(
        &mut world,
        "ListRoles",
        &[("MaxItems", "2"), ("Marker", first.element("Marker"))],
    )
    .ok();
    assert_eq!(rest.elements("RoleName"), ["c"]);
}

#[test]
fn an_identity_provider_is_named_by_its_address() {
    let mut world = World::new();
    let url = ("Url", "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC");
    let made = call(
        &mut world,
        "CreateOpenIDConnectProvider",
        &[url, ("ClientIDList.member.1", "sts.amazonaws.com")],
    )
    .ok();
    let arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC";
    assert_eq!(made.element("OpenIDConnectProviderArn"), arn);
    call(&mut world, "CreateOpenIDConnectProvider", &[url]).refused(409, "EntityAlreadyExists");
    let provider = [("OpenIDConnectProviderArn", arn)];
    call(&mut world, "GetOpenIDConnectProvider", &provider)
        .ok()
        .has("<ClientIDList><member>sts.amazonaws.com</member>");
    call(&mut world, "DeleteOpenIDConnectProvider", &provider).ok();
    call(&mut world, "GetOpenIDConnectProvider", &provider).refused(404, "NoSuchEntity");
}

#[test]
fn other_services_hear_of_a_role_after_some_seconds() {
    let mut world = World::new();
    create_role(&mut world, "cluster");
    let arn = "arn:aws:iam::123456789012:role/tubectl/tube/cluster";
    let asked = |world: &World, arn: &str, service: &str| {
        let stored = serde_json::to_value(&world.core).unwrap();
        let iam: Iam = serde_json::from_value(stored["aws"]["iam"].clone()).unwrap();
        iam.trust(world.now, arn, service).err()
    };
    assert_eq!(asked(&world, arn, "eks.amazonaws.com"), Some(Distrust::Unheard));
    world.wait(12);
    assert_eq!(asked(&world, arn, "eks.amazonaws.com"), None);
    assert_eq!(asked(&world, arn, "ec2.amazonaws.com"), Some(Distrust::Untrusted));
    assert_eq!(
        asked(&world, "arn:aws:iam::123456789012:role/none", "eks.amazonaws.com"),
        Some(Distrust::Missing)
    );
}
