//! Load balancing at the wire.

use std::collections::BTreeMap;

use crate::aws::wire::Answer;
use crate::aws::wire::World;

/// Calls load balancing, or EC2 if the service is named so.
fn call(world: &mut World, service: &str, text: &str) -> Answer {
    let answer = world.form(service, &format!("Action={text}"));
    world.wait(2);
    answer
}

fn elb(world: &mut World, text: &str) -> Answer {
    call(world, "elasticloadbalancing", text)
}

/// A VPC, two subnets and a security group.
fn network(world: &mut World) -> (String, String, String, String) {
    let mut made = |text: &str, element: &str| call(world, "ec2", text).ok().element(element).to_owned();
    let vpc = made("CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let a = made(
        &format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.0.0/20&AvailabilityZone=eu-west-1a"),
        "subnetId",
    );
    let b = made(
        &format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.16.0/20&AvailabilityZone=eu-west-1b"),
        "subnetId",
    );
    let group = made(
        &format!("CreateSecurityGroup&GroupName=lb&GroupDescription=lb&VpcId={vpc}"),
        "groupId",
    );
    (vpc, a, b, group)
}

/// A load balancer that forwards to a target group: their ARNs and the listener's.
fn balancer(world: &mut World, (vpc, a, b, group): &(String, String, String, String)) -> (String, String, String) {
    let create = format!(
        "CreateLoadBalancer&Name=tube&Subnets.member.1={a}&Subnets.member.2={b}&SecurityGroups.member.1={group}\
         &Tags.member.1.Key=elbv2.k8s.aws/cluster&Tags.member.1.Value=tube"
    );
    let balancer = elb(world, &create).ok().element("LoadBalancerArn").to_owned();
    let create = format!("CreateTargetGroup&Name=gateway&Protocol=HTTP&Port=8080&VpcId={vpc}&TargetType=ip");
    let targets = elb(world, &create).ok().element("TargetGroupArn").to_owned();
    let create = format!(
        "CreateListener&LoadBalancerArn={balancer}&Protocol=HTTP&Port=80&DefaultActions.member.1.Type=forward\
         &DefaultActions.member.1.TargetGroupArn={targets}"
    );
    let listener = elb(world, &create).ok().element("ListenerArn").to_owned();
    (balancer, targets, listener)
}

#[test]
fn a_load_balancer_comes_up_in_its_subnets() {
    let mut world = World::new();
    let network = network(&mut world);
    let (balancer, ..) = balancer(&mut world, &network);
    let describe = format!("DescribeLoadBalancers&LoadBalancerArns.member.1={balancer}");
    let answer = elb(&mut world, &describe).ok();
    answer.has("<State><Code>provisioning</Code></State>");
    answer.has(".eu-west-1.elb.amazonaws.com</DNSName>");
    world.wait(120);
    elb(&mut world, &describe).has("<State><Code>active</Code></State>");
    let interfaces = "DescribeNetworkInterfaces&Filter.1.Name=description&Filter.1.Value.1=ELB app/tube/*";
    let interfaces = call(&mut world, "ec2", interfaces).ok();
    assert_eq!(interfaces.elements("requesterId"), ["amazon-elb"; 2]);
    let tags = format!("DescribeTags&ResourceArns.member.1={balancer}");
    elb(&mut world, &tags)
        .ok()
        .has("<member><Key>elbv2.k8s.aws/cluster</Key><Value>tube</Value></member>");
}

#[test]
fn targets_are_checked_before_they_are_healthy() {
    let mut world = World::new();
    let network = network(&mut world);
    let (_, targets, listener) = balancer(&mut world, &network);
    let register = format!("RegisterTargets&TargetGroupArn={targets}&Targets.member.1.Id=10.0.0.9");
    elb(&mut world, &register)
        .ok()
        .has("<RegisterTargetsResult></RegisterTargetsResult>");
    let health = format!("DescribeTargetHealth&TargetGroupArn={targets}");
    let state = |world: &mut World| elb(world, &health).ok().element("State").to_owned();
    assert_eq!(state(&mut world), "initial");
    world.wait(25);
    assert_eq!(state(&mut world), "healthy");
    let groups = &mut world.core.account().region("eu-west-1").elb.target_groups;
    groups.get_mut(&targets).unwrap().targets[0].answers = false;
    assert_eq!(state(&mut world), "unhealthy");
    elb(&mut world, &format!("DeleteListener&ListenerArn={listener}")).ok();
    assert_eq!(state(&mut world), "unused");
    elb(
        &mut world,
        &format!("DeregisterTargets&TargetGroupArn={targets}&Targets.member.1.Id=10.0.0.9"),
    )
    .ok();
    elb(&mut world, &health)
        .ok()
        .has("<TargetHealthDescriptions></TargetHealthDescriptions>");
}

#[test]
fn it_goes_with_its_listeners_and_its_interfaces_follow() {
    let mut world = World::new();
    let network = network(&mut world);
    let (balancer, targets, listener) = balancer(&mut world, &network);
    let rule = format!(
        "CreateRule&ListenerArn={listener}&Priority=1&Conditions.member.1.Field=path-pattern\
         &Conditions.member.1.PathPatternConfig.Values.member.1=/api/*&Actions.member.1.Type=fixed-response\
         &Actions.member.1.FixedResponseConfig.StatusCode=404"
    );
    elb(&mut world, &rule).ok();
    elb(&mut world, &rule).refused(400, "PriorityInUse");
    let rules = elb(&mut world, &format!("DescribeRules&ListenerArn={listener}")).ok();
    assert_eq!(rules.elements("Priority"), ["1", "default"]);
    elb(&mut world, &format!("DeleteTargetGroup&TargetGroupArn={targets}")).refused(400, "ResourceInUse");
    let protect = |value: &str| {
        format!(
            "ModifyLoadBalancerAttributes&LoadBalancerArn={balancer}\
             &Attributes.member.1.Key=deletion_protection.enabled&Attributes.member.1.Value={value}"
        )
    };
    elb(&mut world, &protect("true")).ok();
    let delete = format!("DeleteLoadBalancer&LoadBalancerArn={balancer}");
    elb(&mut world, &delete).refused(400, "OperationNotPermitted");
    elb(&mut world, &protect("false")).ok();
    elb(&mut world, &delete).ok();
    let group = format!("DeleteSecurityGroup&GroupId={}", network.3);
    call(&mut world, "ec2", &group).refused(400, "DependencyViolation");
    world.wait(60);
    call(&mut world, "ec2", &group).ok();
    elb(&mut world, &delete).ok();
    elb(&mut world, &format!("DeleteTargetGroup&TargetGroupArn={targets}")).ok();
    for subnet in [&network.1, &network.2] {
        call(&mut world, "ec2", &format!("DeleteSubnet&SubnetId={subnet}")).ok();
    }
    call(&mut world, "ec2", &format!("DeleteVpc&VpcId={}", network.0)).ok();
    assert_eq!(world.core.inventory(), BTreeMap::new());
}

#[test]
fn what_is_wrong_with_a_call_is_said_as_the_service_says_it() {
    let mut world = World::new();
    let network = network(&mut world);
    let (balancer, targets, _) = balancer(&mut world, &network);
    let (vpc, a, b, _) = &network;
    for (text, code) in [
        (
            format!("CreateLoadBalancer&Name=tube&Subnets.member.1={a}&Subnets.member.2={b}"),
            "DuplicateLoadBalancerName",
        ),
        (
            format!("CreateLoadBalancer&Name=-x&Subnets.member.1={a}&Subnets.member.2={b}"),
            "ValidationError",
        ),
        (
            format!("CreateLoadBalancer&Name=one&Subnets.member.1={a}"),
            "ValidationError",
        ),
        (
            "CreateLoadBalancer&Name=one&Subnets.member.1=subnet-0none".to_owned(),
            "SubnetNotFound",
        ),
        (
            "DescribeLoadBalancers&Names.member.1=none".to_owned(),
            "LoadBalancerNotFound",
        ),
        (
            "DescribeTargetGroups&Names.member.1=none".to_owned(),
            "TargetGroupNotFound",
        ),
        (
            format!("CreateTargetGroup&Name=gateway&Protocol=HTTP&Port=80&VpcId={vpc}"),
            "DuplicateTargetGroupName",
        ),
        (
            format!("RegisterTargets&TargetGroupArn={targets}&Targets.member.1.Id=i-0none"),
            "InvalidTarget",
        ),
        (
            format!(
                "CreateListener&LoadBalancerArn={balancer}&Protocol=HTTP&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={targets}"
            ),
            "DuplicateListener",
        ),
        (
            format!("DescribeTargetHealth&TargetGroupArn={targets}&Verbose=1"),
            "UnknownParameter",
        ),
    ] {
        elb(&mut world, &text).refused(400, code);
    }
}
