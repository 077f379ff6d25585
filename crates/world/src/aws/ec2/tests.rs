//! EC2 at the wire: what a network may and may not do.

use crate::aws::wire::Answer;
use crate::aws::wire::World;

/// Calls EC2 and waits until what it made can be seen.
fn call(world: &mut World, text: &str) -> Answer {
    let answer = world.form("ec2", &format!("Version=2016-11-15&Action={text}"));
    world.wait(2);
    answer
}

/// Makes something and gives the id in an element of the answer.
#[track_caller]
fn made(world: &mut World, text: &str, element: &str) -> String {
    call(world, text).ok().element(element).to_owned()
}

/// A VPC with a public subnet, a gateway, an address, a NAT gateway, a route table and a group.
struct Network {
    vpc: String,
    subnet: String,
    gateway: String,
    address: String,
    nat: String,
    table: String,
    association: String,
    group: String,
}

fn network(world: &mut World) -> Network {
    let vpc = made(world, "CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let subnet = format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.0.0/20&AvailabilityZone=eu-west-1a");
    let subnet = made(world, &subnet, "subnetId");
    let gateway = made(world, "CreateInternetGateway", "internetGatewayId");
    call(
        world,
        &format!("AttachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}"),
    )
    .ok();
    let address = made(world, "AllocateAddress&Domain=vpc", "allocationId");
    let nat = format!("CreateNatGateway&SubnetId={subnet}&AllocationId={address}&ClientToken=once");
    let nat = made(world, &nat, "natGatewayId");
    let table = made(world, &format!("CreateRouteTable&VpcId={vpc}"), "routeTableId");
    let association = format!("AssociateRouteTable&RouteTableId={table}&SubnetId={subnet}");
    let association = made(world, &association, "associationId");
    let route = format!("CreateRoute&RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0&GatewayId={gateway}");
    call(world, &route).ok();
    let group = format!("CreateSecurityGroup&GroupName=nodes&GroupDescription=nodes&VpcId={vpc}");
    let group = made(world, &group, "groupId");
    Network {
        vpc,
        subnet,
        gateway,
        address,
        nat,
        table,
        association,
        group,
    }
}

#[test]
fn a_vpc_is_described_with_its_tags_and_its_default_group() {
    let mut world = World::new();
    let tags =
        "TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=tube";
    let vpc = made(&mut world, &format!("CreateVpc&CidrBlock=10.0.0.0/16&{tags}"), "vpcId");
    let answer = call(&mut world, "DescribeVpcs&Filter.1.Name=tag:Name&Filter.1.Value.1=tu*").ok();
    answer.has(&format!("<vpcSet><item><vpcId>{vpc}</vpcId>"));
    answer.has("<tagSet><item><key>Name</key><value>tube</value></item></tagSet>");
    call(&mut world, "DescribeVpcs&Filter.1.Name=tag-key&Filter.1.Value.1=Other")
        .ok()
        .has("<vpcSet></vpcSet>");
    let groups = call(
        &mut world,
        &format!("DescribeSecurityGroups&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}"),
    );
    groups.has("<groupName>default</groupName>");
    call(
        &mut world,
        &format!("DescribeNetworkAcls&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}"),
    )
    .has("acl-0");
}

#[test]
fn a_new_resource_may_stay_unseen_for_a_moment_but_not_for_long() {
    let unseen = (0..20).filter(|seed| {
        let mut world = World::seeded(*seed);
        let vpc = world.form("ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16");
        let vpc = vpc.element("vpcId").to_owned();
        let describe = format!("Action=DescribeVpcs&VpcId.1={vpc}");
        let at_once = world.form("ec2", &describe);
        world.wait(2);
        world.form("ec2", &describe).ok();
        at_once.status == 400 && at_once.text.contains("InvalidVpcID.NotFound")
    });
    let unseen = unseen.count();
    assert!((1..20).contains(&unseen), "{unseen} of 20");
}

#[test]
fn what_is_wrong_with_a_call_is_said_as_ec2_says_it() {
    let mut world = World::new();
    let network = network(&mut world);
    let Network {
        vpc,
        subnet,
        gateway,
        address,
        nat,
        table,
        group,
        ..
    } = &network;
    let other = made(&mut world, "CreateInternetGateway", "internetGatewayId");
    for (text, code) in [
        ("CreateVpc&CidrBlock=10.0.0.0/8".to_owned(), "InvalidVpc.Range"),
        ("CreateVpc&CidrBlock=ten".to_owned(), "InvalidParameterValue"),
        ("CreateVpc".to_owned(), "MissingParameter"),
        (
            "CreateVpc&CidrBlock=10.0.0.0/16&Colour=red".to_owned(),
            "UnknownParameter",
        ),
        (
            "DescribeVpcs&Filter.1.Name=colour&Filter.1.Value.1=red".to_owned(),
            "InvalidParameterValue",
        ),
        ("DescribeVpcs&VpcId.1=vpc-0none".to_owned(), "InvalidVpcID.NotFound"),
        (
            format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.1.0.0/20"),
            "InvalidSubnet.Range",
        ),
        (
            format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.8.0/24"),
            "InvalidSubnet.Conflict",
        ),
        (
            format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.16.0/24&AvailabilityZone=eu-west-1f"),
            "InvalidParameterValue",
        ),
        (
            format!("AttachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}"),
            "Resource.AlreadyAssociated",
        ),
        (
            format!("AttachInternetGateway&InternetGatewayId={other}&VpcId={vpc}"),
            "InvalidParameterValue",
        ),
        (
            format!("DetachInternetGateway&InternetGatewayId={other}&VpcId={vpc}"),
            "Gateway.NotAttached",
        ),
        (
            format!("ReleaseAddress&AllocationId={address}"),
            "InvalidIPAddress.InUse",
        ),
        (
            "ReleaseAddress&AllocationId=eipalloc-0none".to_owned(),
            "InvalidAllocationID.NotFound",
        ),
        (
            "DeleteNatGateway&NatGatewayId=nat-0none".to_owned(),
            "NatGatewayNotFound",
        ),
        (
            format!("CreateRoute&RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0&NatGatewayId={nat}"),
            "RouteAlreadyExists",
        ),
        (
            format!("DeleteRoute&RouteTableId={table}&DestinationCidrBlock=1.0.0.0/8"),
            "InvalidRoute.NotFound",
        ),
        (
            "DisassociateRouteTable&AssociationId=rtbassoc-0none".to_owned(),
            "InvalidAssociationID.NotFound",
        ),
        (
            format!("CreateSecurityGroup&GroupName=nodes&GroupDescription=again&VpcId={vpc}"),
            "InvalidGroup.Duplicate",
        ),
        (
            format!("ModifyVpcAttribute&VpcId={vpc}&EnableDnsSupport.Value=true&EnableDnsHostnames.Value=true"),
            "InvalidParameterCombination",
        ),
        (
            "CreateTags&ResourceId.1=vpc-0none&Tag.1.Key=a&Tag.1.Value=b".to_owned(),
            "InvalidVpcID.NotFound",
        ),
        (
            format!("CreateTags&ResourceId.1={vpc}&Tag.1.Key=aws:a&Tag.1.Value=b"),
            "InvalidParameterValue",
        ),
        (format!("DeleteSubnet&SubnetId={subnet}"), "DependencyViolation"),
        (format!("DeleteVpc&VpcId={vpc}"), "DependencyViolation"),
        (
            format!("DeleteInternetGateway&InternetGatewayId={gateway}"),
            "DependencyViolation",
        ),
        (
            format!("DetachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}"),
            "DependencyViolation",
        ),
        (format!("DeleteRouteTable&RouteTableId={table}"), "DependencyViolation"),
        (
            format!(
                "RevokeSecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0"
            ),
            "InvalidPermission.NotFound",
        ),
        ("LaunchRocket".to_owned(), "InvalidAction"),
    ] {
        call(&mut world, &text).refused(400, code);
    }
    call(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16&DryRun=true").refused(412, "DryRunOperation");
}

#[test]
fn a_network_goes_only_in_the_right_order_and_then_leaves_nothing() {
    let mut world = World::new();
    let network = network(&mut world);
    let Network {
        vpc,
        subnet,
        gateway,
        address,
        nat,
        table,
        association,
        group,
    } = &network;
    let describe = format!("DescribeNatGateways&NatGatewayId.1={nat}");
    assert_eq!(call(&mut world, &describe).element("state"), "pending");
    world.wait(180);
    assert_eq!(call(&mut world, &describe).element("state"), "available");
    call(&mut world, &format!("DeleteNatGateway&NatGatewayId={nat}")).ok();
    assert_eq!(call(&mut world, &describe).element("state"), "deleting");
    call(&mut world, &format!("ReleaseAddress&AllocationId={address}")).refused(400, "InvalidIPAddress.InUse");
    world.wait(120);
    assert_eq!(call(&mut world, &describe).element("state"), "deleted");
    for step in [
        format!("ReleaseAddress&AllocationId={address}"),
        format!("DisassociateRouteTable&AssociationId={association}"),
        format!("DeleteRouteTable&RouteTableId={table}"),
        format!("DeleteSubnet&SubnetId={subnet}"),
        format!("DetachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}"),
        format!("DeleteInternetGateway&InternetGatewayId={gateway}"),
    ] {
        call(&mut world, &step).ok();
        if step.starts_with("DeleteInternet") {
            call(&mut world, &format!("DeleteVpc&VpcId={vpc}")).refused(400, "DependencyViolation");
        }
    }
    call(&mut world, &format!("DeleteSecurityGroup&GroupId={group}")).ok();
    call(&mut world, &format!("DeleteVpc&VpcId={vpc}")).ok();
    assert_eq!(world.core.inventory(), std::collections::BTreeMap::new());
    world.wait(3600);
    call(&mut world, &describe).refused(400, "NatGatewayNotFound");
}

#[test]
fn a_client_token_gives_the_same_gateway_again() {
    let mut world = World::new();
    let network = network(&mut world);
    let again = format!(
        "CreateNatGateway&SubnetId={}&AllocationId={}&ClientToken=once",
        network.subnet, network.address
    );
    assert_eq!(made(&mut world, &again, "natGatewayId"), network.nat);
}

#[test]
fn a_nat_gateway_without_a_way_out_fails() {
    let mut world = World::new();
    let vpc = made(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let subnet = made(
        &mut world,
        &format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.0.0/20"),
        "subnetId",
    );
    let address = made(&mut world, "AllocateAddress&Domain=vpc", "allocationId");
    let nat = call(
        &mut world,
        &format!("CreateNatGateway&SubnetId={subnet}&AllocationId={address}"),
    )
    .ok();
    assert_eq!(nat.element("state"), "failed");
    assert_eq!(nat.element("failureCode"), "Gateway.NotAttached");
}

#[test]
fn groups_that_name_each_other_keep_each_other() {
    let mut world = World::new();
    let Network { vpc, group, .. } = network(&mut world);
    let other = format!("CreateSecurityGroup&GroupName=other&GroupDescription=other&VpcId={vpc}");
    let other = made(&mut world, &other, "groupId");
    let rule = format!(
        "GroupId={other}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443\
         &IpPermissions.1.Groups.1.GroupId={group}&IpPermissions.1.Groups.1.UserId=123456789012"
    );
    let added = call(&mut world, &format!("AuthorizeSecurityGroupIngress&{rule}")).ok();
    added.has(&format!("<referencedGroupInfo><groupId>{group}</groupId>"));
    call(&mut world, &format!("AuthorizeSecurityGroupIngress&{rule}")).refused(400, "InvalidPermission.Duplicate");
    call(&mut world, &format!("DeleteSecurityGroup&GroupId={group}")).refused(400, "DependencyViolation");
    let listed = call(
        &mut world,
        &format!("DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1={other}"),
    );
    assert_eq!(listed.elements("securityGroupRuleId").len(), 2);
    call(&mut world, &format!("RevokeSecurityGroupIngress&{rule}")).ok();
    call(&mut world, &format!("DeleteSecurityGroup&GroupId={group}")).ok();
}

#[test]
fn long_lists_come_in_pages() {
    let mut world = World::new();
    let vpc = made(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    for third in 0..7 {
        let text = format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.{third}.0/24");
        call(&mut world, &text).ok();
    }
    let first = call(&mut world, "DescribeSubnets&MaxResults=5").ok();
    assert_eq!(first.elements("subnetId").len(), 5);
    let token = first.element("nextToken");
    let rest = call(&mut world, &format!("DescribeSubnets&MaxResults=5&NextToken={token}")).ok();
    assert_eq!(rest.elements("subnetId").len(), 2);
    rest.lacks("nextToken");
}

#[test]
fn tags_are_set_and_taken_off() {
    let mut world = World::new();
    let vpc = made(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    call(
        &mut world,
        &format!("CreateTags&ResourceId.1={vpc}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b&Tag.2.Value=2"),
    )
    .ok();
    let tags = "DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=vpc";
    assert_eq!(call(&mut world, tags).elements("key"), ["a", "b"]);
    call(&mut world, &format!("DeleteTags&ResourceId.1={vpc}&Tag.1.Key=a")).ok();
    assert_eq!(call(&mut world, tags).elements("key"), ["b"]);
}

#[test]
fn a_fault_strikes_and_the_diary_keeps_it() {
    let mut world = World::new();
    world.core.fault("ec2/CreateVpc:throttle*1".parse().unwrap());
    world.core.fault("ec2/DeleteVpc:lost*1".parse().unwrap());
    call(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16").refused(503, "RequestLimitExceeded");
    let vpc = made(&mut world, "CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    call(&mut world, &format!("DeleteVpc&VpcId={vpc}")).refused(500, "InternalError");
    assert_eq!(world.core.inventory(), std::collections::BTreeMap::new());
    let diary: Vec<_> = world
        .core
        .mutations()
        .iter()
        .map(|entry| (&*entry.operation, entry.refused.as_deref()))
        .collect();
    assert_eq!(
        diary,
        [
            ("CreateVpc", Some("RequestLimitExceeded")),
            ("CreateVpc", None),
            ("DeleteVpc", Some("InternalError"))
        ]
    );
}
