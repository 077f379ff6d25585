//! What is inside a VPC and carries traffic: subnets, the internet gateway, NAT gateways, route tables.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use aws_sdk_ec2::types::AttributeBooleanValue;
use aws_sdk_ec2::types::NatGatewayState;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_ec2::types::Route;
use aws_sdk_ec2::types::RouteTable as RouteTableThere;
use aws_sdk_ec2::types::SubnetState;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::InternetGateway;
use crate::resource::spec::NatGateway;
use crate::resource::spec::RouteTable;
use crate::resource::spec::Subnet;

pub(super) async fn observe_subnets(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_subnets()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeSubnets", error))?;
        for subnet in page.subnets() {
            let (Some((id, tags)), Some(subnet_id)) = (ec2::identify(&aws.owner, subnet.tags()), subnet.subnet_id())
            else {
                continue;
            };
            let zone = subnet.availability_zone().unwrap_or_default().to_owned();
            let spec = Subnet {
                vpc: subnet.vpc_id().unwrap_or_default().to_owned(),
                cidr: subnet.cidr_block().unwrap_or_default().to_owned(),
                zone: zone.clone(),
                public_ip_on_launch: subnet.map_public_ip_on_launch().unwrap_or(false),
                tags,
            };
            let readiness = match subnet.state() {
                Some(SubnetState::Available) => Readiness::Ready,
                state => Readiness::Waiting(state.map_or("pending", SubnetState::as_str).to_owned()),
            };
            let given = BTreeMap::from([("id".to_owned(), subnet_id.to_owned()), ("zone".to_owned(), zone)]);
            observed.push(found(id, Kind::Subnet, &spec, given, readiness));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure_subnet(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Subnet = fields(ready)?;
    let id = match existing {
        Some(given) => given["id"].clone(),
        None => create_subnet(aws, ready, &spec).await?,
    };
    if spec.public_ip_on_launch || existing.is_some() {
        let on = AttributeBooleanValue::builder().value(spec.public_ip_on_launch).build();
        let modify = aws
            .ec2
            .modify_subnet_attribute()
            .subnet_id(&id)
            .map_public_ip_on_launch(on);
        modify
            .send()
            .await
            .map_err(|error| codes::error("ec2 ModifySubnetAttribute", error))?;
    }
    if existing.is_some() {
        ec2::retag(aws, &id, &spec.tags).await?;
    }
    Ok(())
}

async fn create_subnet(aws: &Aws, ready: &Ready, spec: &Subnet) -> Result<String, ProviderError> {
    let created = aws
        .ec2
        .create_subnet()
        .vpc_id(&spec.vpc)
        .cidr_block(&spec.cidr)
        .availability_zone(&spec.zone)
        .tag_specifications(ec2::at_creation(aws, ResourceType::Subnet, ready, &spec.tags))
        .customize()
        .config_override(ec2::once())
        .send()
        .await
        .map_err(|error| codes::error("ec2 CreateSubnet", error))?;
    let id = created.subnet().and_then(|subnet| subnet.subnet_id());
    id.map(str::to_owned)
        .ok_or_else(|| ProviderError::found("ec2 CreateSubnet", "the answer names no subnet"))
}

pub(super) async fn delete_subnet(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_subnet().subnet_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteSubnet", error))
}

pub(super) async fn observe_internet_gateways(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_internet_gateways()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeInternetGateways", error))?;
        for gateway in page.internet_gateways() {
            let (Some((id, _)), Some(gateway_id)) =
                (ec2::identify(&aws.owner, gateway.tags()), gateway.internet_gateway_id())
            else {
                continue;
            };
            // One that an attempt made and did not come to attach belongs to no VPC yet.
            let attached = gateway.attachments().first().and_then(|attachment| attachment.vpc_id());
            let spec = serde_json::json!({"vpc": attached});
            let given = BTreeMap::from([("id".to_owned(), gateway_id.to_owned())]);
            observed.push(found(id, Kind::InternetGateway, &spec, given, Readiness::Ready));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure_internet_gateway(
    aws: &Aws,
    ready: &Ready,
    existing: Option<&Given>,
) -> Result<(), ProviderError> {
    let spec: InternetGateway = fields(ready)?;
    let id = match existing {
        Some(given) => given["id"].clone(),
        None => create_internet_gateway(aws, ready).await?,
    };
    let attached = aws
        .ec2
        .attach_internet_gateway()
        .internet_gateway_id(&id)
        .vpc_id(&spec.vpc)
        .send()
        .await;
    match attached.map_err(|error| codes::error("ec2 AttachInternetGateway", error)) {
        Err(error) if error.code != "Resource.AlreadyAssociated" => Err(error),
        _ => Ok(()),
    }
}

async fn create_internet_gateway(aws: &Aws, ready: &Ready) -> Result<String, ProviderError> {
    let created = aws
        .ec2
        .create_internet_gateway()
        .tag_specifications(ec2::at_creation(
            aws,
            ResourceType::InternetGateway,
            ready,
            &BTreeMap::new(),
        ))
        .customize()
        .config_override(ec2::once())
        .send()
        .await
        .map_err(|error| codes::error("ec2 CreateInternetGateway", error))?;
    let id = created
        .internet_gateway()
        .and_then(|gateway| gateway.internet_gateway_id());
    id.map(str::to_owned)
        .ok_or_else(|| ProviderError::found("ec2 CreateInternetGateway", "the answer names no gateway"))
}

pub(super) async fn delete_internet_gateway(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let answer = aws
        .ec2
        .describe_internet_gateways()
        .internet_gateway_ids(id)
        .send()
        .await;
    let answer = answer.map_err(|error| codes::error("ec2 DescribeInternetGateways", error))?;
    let attachments = answer
        .internet_gateways()
        .iter()
        .flat_map(|gateway| gateway.attachments());
    for vpc in attachments.filter_map(|attachment| attachment.vpc_id()) {
        let detached = aws
            .ec2
            .detach_internet_gateway()
            .internet_gateway_id(id)
            .vpc_id(vpc)
            .send()
            .await;
        detached.map_err(|error| codes::error("ec2 DetachInternetGateway", error))?;
    }
    let deleted = aws.ec2.delete_internet_gateway().internet_gateway_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteInternetGateway", error))
}

pub(super) async fn observe_nat_gateways(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_nat_gateways()
        .set_filter(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeNatGateways", error))?;
        for gateway in page.nat_gateways() {
            let (Some((id, _)), Some(gateway_id)) =
                (ec2::identify(&aws.owner, gateway.tags()), gateway.nat_gateway_id())
            else {
                continue;
            };
            let readiness = match gateway.state() {
                Some(NatGatewayState::Available) => Readiness::Ready,
                Some(NatGatewayState::Deleting) => Readiness::Leaving,
                // AWS lists a gateway for an hour after it is gone.
                Some(NatGatewayState::Deleted) => continue,
                Some(NatGatewayState::Failed) => {
                    Readiness::Failed(gateway.failure_message().unwrap_or("no reason given").to_owned())
                }
                state => Readiness::Waiting(state.map_or("pending", NatGatewayState::as_str).to_owned()),
            };
            let address = gateway
                .nat_gateway_addresses()
                .first()
                .and_then(|address| address.allocation_id());
            let spec = NatGateway {
                subnet: gateway.subnet_id().unwrap_or_default().to_owned(),
                address: address.unwrap_or_default().to_owned(),
            };
            let given = BTreeMap::from([("id".to_owned(), gateway_id.to_owned())]);
            observed.push(found(id, Kind::NatGateway, &spec, given, readiness));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure_nat_gateway(
    aws: &Aws,
    ready: &Ready,
    existing: Option<&Given>,
) -> Result<(), ProviderError> {
    let spec: NatGateway = fields(ready)?;
    if existing.is_some() {
        return Ok(());
    }
    let created = aws
        .ec2
        .create_nat_gateway()
        .subnet_id(&spec.subnet)
        .allocation_id(&spec.address)
        .client_token(&ready.token)
        .tag_specifications(ec2::at_creation(aws, ResourceType::Natgateway, ready, &BTreeMap::new()))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("ec2 CreateNatGateway", error))
}

pub(super) async fn delete_nat_gateway(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_nat_gateway().nat_gateway_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteNatGateway", error))
}

pub(super) async fn observe_route_tables(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_route_tables()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeRouteTables", error))?;
        for table in page.route_tables() {
            let (Some((id, _)), Some(table_id)) = (ec2::identify(&aws.owner, table.tags()), table.route_table_id())
            else {
                continue;
            };
            let subnets: BTreeSet<String> = table
                .associations()
                .iter()
                .filter_map(|association| association.subnet_id().map(str::to_owned))
                .collect();
            let spec = RouteTable {
                vpc: table.vpc_id().unwrap_or_default().to_owned(),
                routes: table.routes().iter().filter_map(leads).collect(),
                subnets: subnets.into_iter().collect(),
            };
            let given = BTreeMap::from([("id".to_owned(), table_id.to_owned())]);
            observed.push(found(id, Kind::RouteTable, &spec, given, Readiness::Ready));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure_route_table(
    aws: &Aws,
    ready: &Ready,
    existing: Option<&Given>,
) -> Result<(), ProviderError> {
    let spec: RouteTable = fields(ready)?;
    let id = match existing {
        Some(given) => given["id"].clone(),
        None => create_route_table(aws, ready, &spec).await?,
    };
    let answer = aws.ec2.describe_route_tables().route_table_ids(&id).send().await;
    let answer = answer.map_err(|error| codes::error("ec2 DescribeRouteTables", error))?;
    let is = answer.route_tables().first();
    for (destination, target) in &spec.routes {
        route(aws, &id, destination, target).await?;
    }
    let leading = is.into_iter().flat_map(RouteTableThere::routes).filter_map(leads);
    for (destination, _) in leading.filter(|(destination, _)| !spec.routes.contains_key(destination)) {
        let deleted = aws.ec2.delete_route().route_table_id(&id);
        let deleted = deleted.destination_cidr_block(destination).send().await;
        deleted.map_err(|error| codes::error("ec2 DeleteRoute", error))?;
    }
    let associated: BTreeMap<&str, &str> = is
        .into_iter()
        .flat_map(RouteTableThere::associations)
        .filter_map(|association| Some((association.subnet_id()?, association.route_table_association_id()?)))
        .collect();
    for subnet in spec
        .subnets
        .iter()
        .filter(|subnet| !associated.contains_key(subnet.as_str()))
    {
        associate(aws, &id, subnet).await?;
    }
    let left = associated
        .iter()
        .filter(|(subnet, _)| !spec.subnets.iter().any(|wanted| wanted == *subnet));
    for (_, association) in left {
        let freed = aws.ec2.disassociate_route_table().association_id(*association);
        match freed
            .send()
            .await
            .map_err(|error| codes::error("ec2 DisassociateRouteTable", error))
        {
            // The table that the subnet belongs to now has taken it over.
            Err(error) if error.class == Class::NotFound => {}
            other => _ = other?,
        }
    }
    Ok(())
}

/// Where a route of ours leads to; the one within the VPC is AWS's.
fn leads(route: &Route) -> Option<(String, String)> {
    let target = route.nat_gateway_id().or(route.gateway_id())?;
    let destination = route.destination_cidr_block()?;
    (target != "local").then(|| (destination.to_owned(), target.to_owned()))
}

/// Lets a subnet use the table; one that uses another moves at once, so that it is never without routes.
async fn associate(aws: &Aws, table: &str, subnet: &str) -> Result<(), ProviderError> {
    let associated = aws.ec2.associate_route_table().route_table_id(table);
    let associated = associated.subnet_id(subnet).send().await;
    match associated.map_err(|error| codes::error("ec2 AssociateRouteTable", error)) {
        Err(error) if error.class == Class::Exists => {}
        other => return other.map(drop),
    }
    let holding = aws.ec2.describe_route_tables();
    let holding = holding
        .filters(ec2::filter("association.subnet-id", subnet))
        .send()
        .await;
    let holding = holding.map_err(|error| codes::error("ec2 DescribeRouteTables", error))?;
    let associations = holding.route_tables().iter().flat_map(RouteTableThere::associations);
    let held = associations.filter(|association| association.subnet_id() == Some(subnet));
    for association in held.filter_map(|association| association.route_table_association_id()) {
        let moved = aws.ec2.replace_route_table_association().association_id(association);
        let moved = moved.route_table_id(table).send().await;
        moved.map_err(|error| codes::error("ec2 ReplaceRouteTableAssociation", error))?;
    }
    Ok(())
}

async fn create_route_table(aws: &Aws, ready: &Ready, spec: &RouteTable) -> Result<String, ProviderError> {
    let created = aws
        .ec2
        .create_route_table()
        .vpc_id(&spec.vpc)
        .client_token(&ready.token)
        .tag_specifications(ec2::at_creation(aws, ResourceType::RouteTable, ready, &BTreeMap::new()))
        .send()
        .await
        .map_err(|error| codes::error("ec2 CreateRouteTable", error))?;
    let id = created.route_table().and_then(|table| table.route_table_id());
    id.map(str::to_owned)
        .ok_or_else(|| ProviderError::found("ec2 CreateRouteTable", "the answer names no table"))
}

/// Makes one route, or turns it to its target.
async fn route(aws: &Aws, table: &str, destination: &str, target: &str) -> Result<(), ProviderError> {
    let is_nat = target.starts_with("nat-");
    let (nat, gateway) = if is_nat {
        (Some(target), None)
    } else {
        (None, Some(target))
    };
    let created = aws
        .ec2
        .create_route()
        .route_table_id(table)
        .destination_cidr_block(destination)
        .set_nat_gateway_id(nat.map(str::to_owned))
        .set_gateway_id(gateway.map(str::to_owned))
        .send()
        .await;
    match created.map_err(|error| codes::error("ec2 CreateRoute", error)) {
        Err(error) if error.class == Class::Exists => {}
        other => return other.map(drop),
    }
    let replaced = aws
        .ec2
        .replace_route()
        .route_table_id(table)
        .destination_cidr_block(destination)
        .set_nat_gateway_id(nat.map(str::to_owned))
        .set_gateway_id(gateway.map(str::to_owned))
        .send()
        .await;
    replaced
        .map(drop)
        .map_err(|error| codes::error("ec2 ReplaceRoute", error))
}
