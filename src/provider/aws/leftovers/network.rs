//! The network: what carries the stack's tags, and whatever else lies in its VPCs.

use aws_sdk_ec2::types::NatGatewayState;
use aws_sdk_ec2::types::State;

use crate::provider::aws::Aws;
use crate::provider::aws::address;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::Things;
use crate::provider::aws::leftovers::ours;
use crate::provider::aws::leftovers::owned_by_cluster;
use crate::provider::aws::network;
use crate::provider::aws::security_group;
use crate::provider::aws::vpc;
use crate::provider::error::ProviderError;

pub(crate) async fn nat_gateways(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    for filters in [ours(aws), marks.in_vpcs()].into_iter().flatten() {
        let question = aws.ec2.describe_nat_gateways().set_filter(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(gateway) = pages.next().await {
            let gateway = gateway.map_err(|error| codes::error("ec2 DescribeNatGateways", error))?;
            let standing = match gateway.state() {
                // AWS lists a gateway for an hour after it is gone.
                Some(NatGatewayState::Deleted) => continue,
                Some(NatGatewayState::Deleting) => Standing::Leaving("deleting".to_owned()),
                _ => Standing::There,
            };
            things.add(gateway.nat_gateway_id(), gateway.tags(), standing);
        }
    }
    Ok(things.all())
}

pub(crate) async fn addresses(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let of_cluster = marks.tagged(|cluster| vec![owned_by_cluster(cluster)]);
    let mut things = Things::default();
    for filters in [ours(aws), of_cluster].into_iter().flatten() {
        let answer = aws.ec2.describe_addresses().set_filters(Some(filters)).send().await;
        let answer = answer.map_err(|error| codes::error("ec2 DescribeAddresses", error))?;
        for address in answer.addresses() {
            things.add(address.allocation_id(), address.tags(), Standing::There);
        }
    }
    Ok(things.all())
}

pub(crate) async fn endpoints(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    for filters in [ours(aws), marks.in_vpcs()].into_iter().flatten() {
        let question = aws.ec2.describe_vpc_endpoints().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(endpoint) = pages.next().await {
            let endpoint = endpoint.map_err(|error| codes::error("ec2 DescribeVpcEndpoints", error))?;
            let standing = match endpoint.state() {
                Some(State::Deleted) => continue,
                Some(State::Deleting) => Standing::Leaving("deleting".to_owned()),
                _ => Standing::There,
            };
            things.add(endpoint.vpc_endpoint_id(), endpoint.tags(), standing);
        }
    }
    Ok(things.all())
}

pub(crate) async fn delete_endpoint(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_vpc_endpoints().vpc_endpoint_ids(id).send().await;
    let deleted = deleted.map_err(|error| codes::error("ec2 DeleteVpcEndpoints", error))?;
    // The call itself succeeds when single ones are refused.
    let refused = deleted.unsuccessful().iter().find_map(|refused| refused.error());
    let Some(refused) = refused else { return Ok(()) };
    let (code, message) = (
        refused.code().unwrap_or_default(),
        refused.message().unwrap_or_default(),
    );
    Err(ProviderError {
        what: "ec2 DeleteVpcEndpoints".to_owned(),
        code: code.to_owned(),
        class: codes::classify(code, message),
        source: message.into(),
    })
}

/// Security groups; a VPC's default group goes with it.
pub(crate) async fn security_groups(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let of_cluster = marks.tagged(|cluster| vec![ec2::filter("tag:aws:eks:cluster-name", cluster)]);
    let of_controller = marks.tagged(|cluster| vec![ec2::filter("tag:elbv2.k8s.aws/cluster", cluster)]);
    let mut things = Things::default();
    let questions = [ours(aws), of_cluster, of_controller, marks.in_vpcs()];
    for filters in questions.into_iter().flatten() {
        let question = aws.ec2.describe_security_groups().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| codes::error("ec2 DescribeSecurityGroups", error))?;
            if group.group_name() != Some("default") {
                things.add(group.group_id(), group.tags(), Standing::There);
            }
        }
    }
    Ok(things.all())
}

/// Route tables; a VPC's main table goes with it.
pub(crate) async fn route_tables(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    for filters in [ours(aws), marks.in_vpcs()].into_iter().flatten() {
        let question = aws.ec2.describe_route_tables().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(table) = pages.next().await {
            let table = table.map_err(|error| codes::error("ec2 DescribeRouteTables", error))?;
            let is_main = table
                .associations()
                .iter()
                .any(|association| association.main() == Some(true));
            if !is_main {
                things.add(table.route_table_id(), table.tags(), Standing::There);
            }
        }
    }
    Ok(things.all())
}

/// Deletes a route table after the subnets were taken from it.
pub(crate) async fn delete_route_table(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let answer = aws.ec2.describe_route_tables().route_table_ids(id).send().await;
    let answer = answer.map_err(|error| codes::error("ec2 DescribeRouteTables", error))?;
    let associations = answer.route_tables().iter().flat_map(|table| table.associations());
    for association in associations.filter_map(|association| association.route_table_association_id()) {
        let taken = aws
            .ec2
            .disassociate_route_table()
            .association_id(association)
            .send()
            .await;
        taken.map_err(|error| codes::error("ec2 DisassociateRouteTable", error))?;
    }
    let deleted = aws.ec2.delete_route_table().route_table_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteRouteTable", error))
}

pub(crate) async fn subnets(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    for filters in [ours(aws), marks.in_vpcs()].into_iter().flatten() {
        let question = aws.ec2.describe_subnets().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(subnet) = pages.next().await {
            let subnet = subnet.map_err(|error| codes::error("ec2 DescribeSubnets", error))?;
            things.add(subnet.subnet_id(), subnet.tags(), Standing::There);
        }
    }
    Ok(things.all())
}

pub(crate) async fn internet_gateways(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let attached = marks.in_vpcs().map(|_| {
        let filter = aws_sdk_ec2::types::Filter::builder().name("attachment.vpc-id");
        vec![filter.set_values(Some(marks.vpcs.clone())).build()]
    });
    let mut things = Things::default();
    for filters in [ours(aws), attached].into_iter().flatten() {
        let question = aws.ec2.describe_internet_gateways().set_filters(Some(filters));
        let mut pages = question.into_paginator().items().send();
        while let Some(gateway) = pages.next().await {
            let gateway = gateway.map_err(|error| codes::error("ec2 DescribeInternetGateways", error))?;
            things.add(gateway.internet_gateway_id(), gateway.tags(), Standing::There);
        }
    }
    Ok(things.all())
}

pub(crate) async fn vpcs(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    let mut things = Things::default();
    let question = aws.ec2.describe_vpcs().set_filters(ours(aws));
    let mut pages = question.into_paginator().items().send();
    while let Some(vpc) = pages.next().await {
        let vpc = vpc.map_err(|error| codes::error("ec2 DescribeVpcs", error))?;
        things.add(vpc.vpc_id(), vpc.tags(), Standing::There);
    }
    Ok(things.all())
}

pub(crate) async fn delete_nat_gateway(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    network::delete_nat_gateway(aws, id).await
}

pub(crate) async fn release_address(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    address::delete(aws, id).await
}

pub(crate) async fn delete_security_group(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    security_group::delete(aws, id).await
}

pub(crate) async fn delete_subnet(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    network::delete_subnet(aws, id).await
}

pub(crate) async fn delete_internet_gateway(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    network::delete_internet_gateway(aws, id).await
}

pub(crate) async fn delete_vpc(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    vpc::delete(aws, id).await
}
