//! EC2 at the wire: what a network may and may not do.

use crate::aws::ec2::Ec2;
use crate::aws::ec2::instances;
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

/// Launches one instance in a network.
fn instance(world: &mut World, network: &Network) -> String {
    let run = format!(
        "RunInstances&ImageId=ami-0a&InstanceType=m5.large&MinCount=1&MaxCount=1&SubnetId={}&SecurityGroupId.1={}\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=n",
        network.subnet, network.group
    );
    made(world, &run, "instanceId")
}

#[test]
fn an_instance_runs_goes_and_is_still_listed_for_an_hour() {
    let mut world = World::new();
    let network = network(&mut world);
    let id = instance(&mut world, &network);
    let describe = format!("DescribeInstances&InstanceId.1={id}");
    let state = |world: &mut World| call(world, &describe).ok().element("instanceState").to_owned();
    assert_eq!(state(&mut world), "<code>0</code><name>pending</name>");
    world.wait(12);
    assert_eq!(state(&mut world), "<code>16</code><name>running</name>");
    call(&mut world, &describe).has("<privateDnsName>ip-10-0-0-");
    let volume = call(&mut world, "DescribeVolumes").ok().element("volumeId").to_owned();
    call(&mut world, &format!("DeleteVolume&VolumeId={volume}")).refused(400, "VolumeInUse");
    let attached = "DescribeVolumes&Filter.1.Name=attachment.status&Filter.1.Value.1=";
    call(&mut world, &format!("{attached}attached")).ok().has(&volume);
    call(&mut world, &format!("{attached}detached")).ok().lacks(&volume);
    let interface = format!("DescribeNetworkInterfaces&Filter.1.Name=attachment.instance-id&Filter.1.Value.1={id}");
    let interface = made(&mut world, &interface, "networkInterfaceId");
    let delete = format!("DeleteNetworkInterface&NetworkInterfaceId={interface}");
    call(&mut world, &delete).refused(400, "InvalidParameterValue");
    let group = format!("DeleteSecurityGroup&GroupId={}", network.group);
    call(&mut world, &group).refused(400, "DependencyViolation");
    call(&mut world, &format!("TerminateInstances&InstanceId.1={id}")).has("<name>shutting-down</name>");
    call(&mut world, &group).refused(400, "DependencyViolation");
    world.wait(60);
    assert_eq!(state(&mut world), "<code>48</code><name>terminated</name>");
    call(&mut world, &group).ok();
    call(&mut world, "DescribeVolumes").ok().has("<volumeSet></volumeSet>");
    assert!(!world.core.inventory().contains_key("ec2/instance"));
    world.wait(3600);
    call(&mut world, &describe).refused(400, "InvalidInstanceID.NotFound");
}

#[test]
fn some_interfaces_of_the_network_plugin_outlive_their_instance() {
    let mut world = World::new();
    let network = network(&mut world);
    let mut left = 0;
    for _ in 0..20 {
        let id = instance(&mut world, &network);
        let mut scene = world.core.aws_scene();
        instances::add_plugin_interface(&mut scene.site("eu-west-1"), &id, "tube").unwrap();
        call(&mut world, &format!("TerminateInstances&InstanceId.1={id}")).ok();
        world.wait(60);
        let leaked = format!(
            "DescribeNetworkInterfaces&Filter.1.Name=status&Filter.1.Value.1=available&Filter.2.Name=description&Filter.2.Value.1=aws-K8S-{id}"
        );
        left += call(&mut world, &leaked).ok().elements("networkInterfaceId").len();
    }
    assert!((1..10).contains(&left), "{left} of 20");
    let leaked = "DescribeNetworkInterfaces&Filter.1.Name=tag:cluster.k8s.amazonaws.com/name&Filter.1.Value.1=tube";
    let leaked = call(&mut world, leaked).ok();
    for id in leaked.elements("networkInterfaceId") {
        call(&mut world, &format!("DeleteNetworkInterface&NetworkInterfaceId={id}")).ok();
    }
}

#[test]
fn types_offerings_and_prices_are_those_of_the_region() {
    let mut world = World::new();
    let gpu = call(&mut world, "DescribeInstanceTypes&InstanceType.1=g5.2xlarge").ok();
    gpu.has("<gpus><item><name>A10G</name><manufacturer>NVIDIA</manufacturer><count>1</count>");
    call(&mut world, "DescribeInstanceTypes&InstanceType.1=g6.2xlarge").refused(400, "InvalidInstanceType");
    let offered = "DescribeInstanceTypeOfferings&LocationType=availability-zone&Filter.1.Name=instance-type&Filter.1.Value.1=g5.2xlarge";
    assert_eq!(call(&mut world, offered).elements("location").len(), 3);
    let price =
        "DescribeSpotPriceHistory&InstanceType.1=g5.xlarge&ProductDescription.1=Linux/UNIX&AvailabilityZone=eu-west-1a";
    assert_eq!(call(&mut world, price).element("spotPrice"), "0.563000");
}

#[test]
fn a_type_without_capacity_is_refused() {
    let mut world = World::new();
    let network = network(&mut world);
    world.core.fault("no-capacity:g5".parse().unwrap());
    let run = format!(
        "RunInstances&ImageId=ami-0a&InstanceType=g5.xlarge&MinCount=1&MaxCount=1&SubnetId={}",
        network.subnet
    );
    call(&mut world, &run).refused(500, "InsufficientInstanceCapacity");
}

#[test]
fn a_launch_template_keeps_its_versions() {
    let mut world = World::new();
    let data = "LaunchTemplateData.ImageId=ami-0a&LaunchTemplateData.MetadataOptions.HttpTokens=required";
    let create = format!("CreateLaunchTemplate&LaunchTemplateName=nodes&{data}");
    let id = made(&mut world, &create, "launchTemplateId");
    call(&mut world, &create).refused(400, "InvalidLaunchTemplateName.AlreadyExistsException");
    let next = format!("CreateLaunchTemplateVersion&LaunchTemplateId={id}&LaunchTemplateData.ImageId=ami-0b");
    assert_eq!(call(&mut world, &next).ok().element("versionNumber"), "2");
    let versions = call(
        &mut world,
        "DescribeLaunchTemplateVersions&LaunchTemplateName=nodes&LaunchTemplateVersion.1=$Latest",
    );
    assert_eq!(versions.ok().elements("imageId"), ["ami-0b"]);
    call(&mut world, &format!("DeleteLaunchTemplate&LaunchTemplateId={id}")).ok();
    let gone = "DescribeLaunchTemplates&LaunchTemplateName.1=nodes";
    call(&mut world, gone).refused(400, "InvalidLaunchTemplateName.NotFoundException");
}

/// Every reference between two resources leads to one that is there.
fn check_references(ec2: &Ec2) {
    for subnet in ec2.subnets.values() {
        assert!(ec2.vpcs.contains_key(&subnet.vpc), "{subnet:?}");
    }
    for interface in ec2.interfaces.values() {
        assert!(ec2.subnets.contains_key(&interface.subnet), "{interface:?}");
        assert!(
            interface
                .groups
                .iter()
                .all(|group| ec2.security_groups.contains_key(group)),
            "{interface:?}"
        );
    }
    for group in ec2.security_groups.values() {
        assert!(ec2.vpcs.contains_key(&group.vpc), "{group:?}");
        let mut named = group.rules.values().filter_map(|rule| rule.peer.group());
        assert!(named.all(|peer| ec2.security_groups.contains_key(peer)), "{group:?}");
    }
    for table in ec2.route_tables.values() {
        assert!(ec2.vpcs.contains_key(&table.vpc), "{table:?}");
    }
    for gateway in ec2.internet_gateways.values() {
        assert!(gateway.vpc.iter().all(|vpc| ec2.vpcs.contains_key(vpc)), "{gateway:?}");
    }
    for address in ec2.addresses.values() {
        let mut held = address.association.iter();
        assert!(
            held.all(|association| ec2.interfaces.contains_key(&association.interface)),
            "{address:?}"
        );
    }
    for endpoint in ec2.endpoints.values() {
        assert!(
            endpoint
                .route_tables
                .iter()
                .all(|table| ec2.route_tables.contains_key(table)),
            "{endpoint:?}"
        );
    }
}

#[test]
fn deleting_in_any_order_never_leaves_a_reference_to_nothing_and_comes_to_an_end() {
    for seed in 0..40 {
        let mut world = World::seeded(seed);
        let network = network(&mut world);
        let instance = instance(&mut world, &network);
        let second = format!(
            "CreateSecurityGroup&GroupName=second&GroupDescription=x&VpcId={}",
            network.vpc
        );
        let second = made(&mut world, &second, "groupId");
        let rule = format!(
            "IpPermissions.1.IpProtocol=-1&IpPermissions.1.Groups.1.GroupId={}",
            network.group
        );
        call(
            &mut world,
            &format!("AuthorizeSecurityGroupIngress&GroupId={second}&{rule}"),
        )
        .ok();
        let endpoint = format!(
            "CreateVpcEndpoint&VpcId={}&ServiceName=com.amazonaws.eu-west-1.s3&RouteTableId.1={}",
            network.vpc, network.table
        );
        let endpoint = made(&mut world, &endpoint, "vpcEndpointId");
        let mut steps = vec![
            format!("TerminateInstances&InstanceId.1={instance}"),
            format!("DeleteNatGateway&NatGatewayId={}", network.nat),
            format!("ReleaseAddress&AllocationId={}", network.address),
            format!("DisassociateRouteTable&AssociationId={}", network.association),
            format!("DeleteRouteTable&RouteTableId={}", network.table),
            format!("DeleteSubnet&SubnetId={}", network.subnet),
            format!(
                "DetachInternetGateway&InternetGatewayId={}&VpcId={}",
                network.gateway, network.vpc
            ),
            format!("DeleteInternetGateway&InternetGatewayId={}", network.gateway),
            format!("DeleteVpcEndpoints&VpcEndpointId.1={endpoint}"),
            format!("DeleteSecurityGroup&GroupId={}", network.group),
            format!("DeleteSecurityGroup&GroupId={second}"),
            format!("DeleteVpc&VpcId={}", network.vpc),
        ];
        let mut order = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            if steps.is_empty() {
                break;
            }
            let index = order.usize(..steps.len());
            let answer = call(&mut world, &steps[index]);
            // A subnet takes its association with it.
            if answer.status == 200 || answer.text.contains("InvalidAssociationID.NotFound") {
                steps.remove(index);
            }
            world.wait(10);
            check_references(&world.core.aws_scene().account.region("eu-west-1").ec2);
        }
        assert!(steps.is_empty(), "seed {seed} is stuck at {steps:?}");
        assert_eq!(world.core.inventory(), std::collections::BTreeMap::new());
    }
}
