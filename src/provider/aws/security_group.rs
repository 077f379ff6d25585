//! Security groups, their ingress rules with them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use aws_sdk_ec2::types::IpPermission;
use aws_sdk_ec2::types::IpRange;
use aws_sdk_ec2::types::Ipv6Range;
use aws_sdk_ec2::types::PrefixListId;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_ec2::types::UserIdGroupPair;

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
use crate::resource::spec::IngressRule;
use crate::resource::spec::SecurityGroup;

/// How a rule says that its source is the group that it is in.
const SELF: &str = "self";

pub(super) async fn observe(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_security_groups()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeSecurityGroups", error))?;
        for group in page.security_groups() {
            let (Some((id, tags)), Some(group_id)) = (ec2::identify(&aws.owner, group.tags()), group.group_id()) else {
                continue;
            };
            let spec = SecurityGroup {
                vpc: group.vpc_id().unwrap_or_default().to_owned(),
                description: group.description().unwrap_or_default().to_owned(),
                ingress: rules(group_id, group.ip_permissions()).into_iter().collect(),
                tags,
            };
            let given = BTreeMap::from([("id".to_owned(), group_id.to_owned())]);
            observed.push(found(id, Kind::SecurityGroup, &spec, given, Readiness::Ready));
        }
    }
    Ok(observed)
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: SecurityGroup = fields(ready)?;
    let id = match existing {
        Some(given) => given["id"].clone(),
        None => create(aws, ready, &spec).await?,
    };
    let wanted: BTreeSet<IngressRule> = spec.ingress.iter().cloned().collect();
    let is = if existing.is_some() {
        ingress(aws, &id).await?
    } else {
        BTreeSet::new()
    };
    // First those that go: a rule with another description is the same rule to AWS.
    for rule in is.difference(&wanted) {
        let revoked = aws
            .ec2
            .revoke_security_group_ingress()
            .group_id(&id)
            .ip_permissions(permission(&id, rule));
        revoked
            .send()
            .await
            .map_err(|error| codes::error("ec2 RevokeSecurityGroupIngress", error))?;
    }
    for rule in wanted.difference(&is) {
        let allowed = aws
            .ec2
            .authorize_security_group_ingress()
            .group_id(&id)
            .ip_permissions(permission(&id, rule));
        match allowed
            .send()
            .await
            .map_err(|error| codes::error("ec2 AuthorizeSecurityGroupIngress", error))
        {
            Err(error) if error.class != Class::Exists => return Err(error),
            _ => {}
        }
    }
    if existing.is_some() {
        ec2::retag(aws, &id, &spec.tags).await?;
    }
    Ok(())
}

async fn create(aws: &Aws, ready: &Ready, spec: &SecurityGroup) -> Result<String, ProviderError> {
    let created = aws
        .ec2
        .create_security_group()
        .group_name(&ready.step.desired.name)
        .description(&spec.description)
        .vpc_id(&spec.vpc)
        .tag_specifications(ec2::at_creation(aws, ResourceType::SecurityGroup, ready, &spec.tags))
        .customize()
        .config_override(ec2::once())
        .send()
        .await
        .map_err(|error| codes::error("ec2 CreateSecurityGroup", error))?;
    let id = created.group_id();
    id.map(str::to_owned)
        .ok_or_else(|| ProviderError::found("ec2 CreateSecurityGroup", "the answer names no group"))
}

async fn ingress(aws: &Aws, id: &str) -> Result<BTreeSet<IngressRule>, ProviderError> {
    let answer = aws.ec2.describe_security_groups().group_ids(id).send().await;
    let answer = answer.map_err(|error| codes::error("ec2 DescribeSecurityGroups", error))?;
    Ok(answer
        .security_groups()
        .iter()
        .flat_map(|group| rules(id, group.ip_permissions()))
        .collect())
}

/// AWS groups rules by port; each source is a rule of its own to us.
fn rules(group: &str, permissions: &[IpPermission]) -> BTreeSet<IngressRule> {
    let mut rules = BTreeSet::new();
    for permission in permissions {
        let rule = |source: &str, description: Option<&str>| IngressRule {
            protocol: permission.ip_protocol().unwrap_or("-1").to_owned(),
            from_port: permission.from_port().unwrap_or(-1),
            to_port: permission.to_port().unwrap_or(-1),
            source: source.to_owned(),
            description: description.unwrap_or_default().to_owned(),
        };
        for range in permission.ip_ranges() {
            rules.insert(rule(range.cidr_ip().unwrap_or_default(), range.description()));
        }
        for range in permission.ipv6_ranges() {
            rules.insert(rule(range.cidr_ipv6().unwrap_or_default(), range.description()));
        }
        for list in permission.prefix_list_ids() {
            rules.insert(rule(list.prefix_list_id().unwrap_or_default(), list.description()));
        }
        for pair in permission.user_id_group_pairs() {
            let source = pair.group_id().unwrap_or_default();
            rules.insert(rule(if source == group { SELF } else { source }, pair.description()));
        }
    }
    rules
}

fn permission(group: &str, rule: &IngressRule) -> IpPermission {
    let permission = IpPermission::builder()
        .ip_protocol(&rule.protocol)
        .from_port(rule.from_port)
        .to_port(rule.to_port);
    let description = Some(rule.description.clone()).filter(|text| !text.is_empty());
    if rule.source.contains(':') {
        let range = Ipv6Range::builder()
            .cidr_ipv6(&rule.source)
            .set_description(description);
        return permission.ipv6_ranges(range.build()).build();
    }
    if rule.source.starts_with("pl-") {
        let list = PrefixListId::builder()
            .prefix_list_id(&rule.source)
            .set_description(description);
        return permission.prefix_list_ids(list.build()).build();
    }
    if rule.source.contains('/') {
        let range = IpRange::builder().cidr_ip(&rule.source).set_description(description);
        return permission.ip_ranges(range.build()).build();
    }
    let source = if rule.source == SELF { group } else { &rule.source };
    let pair = UserIdGroupPair::builder().group_id(source).set_description(description);
    permission.user_id_group_pairs(pair.build()).build()
}

/// Deletes a group after revoking every rule that names it in another group, and its own rules that name others: two
/// groups that name each other would keep each other for ever.
pub(super) async fn delete(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    revoke_references(aws, id).await?;
    let naming = aws
        .ec2
        .describe_security_groups()
        .filters(ec2::filter("ip-permission.group-id", id))
        .send()
        .await;
    let naming = naming.map_err(|error| codes::error("ec2 DescribeSecurityGroups", error))?;
    for group in naming.security_groups() {
        let Some(group_id) = group.group_id() else { continue };
        let named = rules(group_id, group.ip_permissions()).into_iter();
        for rule in named.filter(|rule| rule.source == id || (group_id == id && rule.source == SELF)) {
            let revoked = aws.ec2.revoke_security_group_ingress().group_id(group_id);
            let revoked = revoked.ip_permissions(permission(group_id, &rule)).send().await;
            revoked.map_err(|error| codes::error("ec2 RevokeSecurityGroupIngress", error))?;
        }
    }
    let deleted = aws.ec2.delete_security_group().group_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteSecurityGroup", error))
}

/// Revokes the group's own rules that name a group.
async fn revoke_references(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let question = aws
        .ec2
        .describe_security_group_rules()
        .filters(ec2::filter("group-id", id));
    let mut pages = question.into_paginator().items().send();
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    while let Some(rule) = pages.next().await {
        let rule = rule.map_err(|error| codes::error("ec2 DescribeSecurityGroupRules", error))?;
        if rule.referenced_group_info().is_some() {
            let side = if rule.is_egress() == Some(true) {
                &mut outgoing
            } else {
                &mut incoming
            };
            side.extend(rule.security_group_rule_id().map(str::to_owned));
        }
    }
    if !incoming.is_empty() {
        let revoked = aws.ec2.revoke_security_group_ingress().group_id(id);
        let revoked = revoked.set_security_group_rule_ids(Some(incoming)).send().await;
        revoked.map_err(|error| codes::error("ec2 RevokeSecurityGroupIngress", error))?;
    }
    if !outgoing.is_empty() {
        let revoked = aws.ec2.revoke_security_group_egress().group_id(id);
        let revoked = revoked.set_security_group_rule_ids(Some(outgoing)).send().await;
        revoked.map_err(|error| codes::error("ec2 RevokeSecurityGroupEgress", error))?;
    }
    Ok(())
}
