//! The virtual private cloud.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::AttributeBooleanValue;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_ec2::types::VpcAttributeName;
use aws_sdk_ec2::types::VpcState;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::Vpc;

pub(super) async fn observe(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_vpcs()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeVpcs", error))?;
        for vpc in page.vpcs() {
            let (Some((id, tags)), Some(vpc_id)) = (ec2::identify(&aws.owner, vpc.tags()), vpc.vpc_id()) else {
                continue;
            };
            let spec = Vpc {
                cidr: vpc.cidr_block().unwrap_or_default().to_owned(),
                dns_support: attribute(aws, vpc_id, VpcAttributeName::EnableDnsSupport).await?,
                dns_hostnames: attribute(aws, vpc_id, VpcAttributeName::EnableDnsHostnames).await?,
                tags,
            };
            let readiness = match vpc.state() {
                Some(VpcState::Available) => Readiness::Ready,
                state => Readiness::Waiting(state.map_or("pending", VpcState::as_str).to_owned()),
            };
            observed.push(found(
                id,
                Kind::Vpc,
                &spec,
                BTreeMap::from([("id".to_owned(), vpc_id.to_owned())]),
                readiness,
            ));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Vpc = fields(ready)?;
    let id = match existing {
        Some(given) => given["id"].clone(),
        None => create(aws, ready, &spec).await?,
    };
    let switch = |on: bool| AttributeBooleanValue::builder().value(on).build();
    // One attribute a call: that is the API.
    let modify = aws
        .ec2
        .modify_vpc_attribute()
        .vpc_id(&id)
        .enable_dns_support(switch(spec.dns_support));
    modify
        .send()
        .await
        .map_err(|error| codes::error("ec2 ModifyVpcAttribute", error))?;
    let modify = aws
        .ec2
        .modify_vpc_attribute()
        .vpc_id(&id)
        .enable_dns_hostnames(switch(spec.dns_hostnames));
    modify
        .send()
        .await
        .map_err(|error| codes::error("ec2 ModifyVpcAttribute", error))?;
    if existing.is_some() {
        ec2::retag(aws, &id, &spec.tags).await?;
    }
    Ok(())
}

pub(super) async fn delete(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_vpc().vpc_id(id).send().await;
    deleted.map(drop).map_err(|error| codes::error("ec2 DeleteVpc", error))
}

async fn create(aws: &Aws, ready: &Ready, spec: &Vpc) -> Result<String, ProviderError> {
    let created = aws
        .ec2
        .create_vpc()
        .cidr_block(&spec.cidr)
        .tag_specifications(ec2::at_creation(aws, ResourceType::Vpc, ready, &spec.tags))
        .customize()
        .config_override(ec2::once())
        .send()
        .await
        .map_err(|error| codes::error("ec2 CreateVpc", error))?;
    let id = created.vpc().and_then(|vpc| vpc.vpc_id());
    id.map(str::to_owned)
        .ok_or_else(|| ProviderError::found("ec2 CreateVpc", "the answer names no VPC"))
}

async fn attribute(aws: &Aws, vpc: &str, name: VpcAttributeName) -> Result<bool, ProviderError> {
    let answer = aws
        .ec2
        .describe_vpc_attribute()
        .vpc_id(vpc)
        .attribute(name)
        .send()
        .await
        .map_err(|error| codes::error("ec2 DescribeVpcAttribute", error))?;
    let value = answer.enable_dns_support().or(answer.enable_dns_hostnames());
    Ok(value.and_then(AttributeBooleanValue::value).unwrap_or(false))
}
