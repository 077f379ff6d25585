//! Public addresses that are ours.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::DomainType;
use aws_sdk_ec2::types::ResourceType;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::found;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::ElasticIp;

pub(super) async fn observe(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let answer = aws
        .ec2
        .describe_addresses()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .send()
        .await;
    let answer = answer.map_err(|error| codes::error("ec2 DescribeAddresses", error))?;
    let observed = answer.addresses().iter().filter_map(|address| {
        let (id, _) = ec2::identify(&aws.owner, address.tags())?;
        let given = BTreeMap::from([
            ("id".to_owned(), address.allocation_id()?.to_owned()),
            ("ip".to_owned(), address.public_ip()?.to_owned()),
        ]);
        Some(found(id, Kind::ElasticIp, &ElasticIp {}, given, Readiness::Ready))
    });
    Ok(observed.collect())
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    if existing.is_some() {
        return Ok(());
    }
    let allocated = aws
        .ec2
        .allocate_address()
        .domain(DomainType::Vpc)
        .tag_specifications(ec2::at_creation(aws, ResourceType::ElasticIp, ready, &BTreeMap::new()))
        .customize()
        .config_override(ec2::once())
        .send()
        .await;
    allocated
        .map(drop)
        .map_err(|error| codes::error("ec2 AllocateAddress", error))
}

pub(super) async fn delete(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let released = aws.ec2.release_address().allocation_id(id).send().await;
    released
        .map(drop)
        .map_err(|error| codes::error("ec2 ReleaseAddress", error))
}
