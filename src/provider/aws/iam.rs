//! IAM roles with their policies, and policies of our own. All lie under one path: the stack's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use aws_sdk_iam::types::Tag;
use serde_json::Value;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::Scope;
use crate::provider::aws::codes;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::aws::is_change;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::Policy;
use crate::resource::spec::Role;

/// The path under which all of a stack's roles and policies lie.
pub fn path(stack: &str) -> String {
    format!("/tubectl/{stack}/")
}

pub(super) async fn observe_roles(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    if let Scope::Named(name) = scope {
        return Ok(observe_role(aws, name).await?.into_iter().collect());
    }
    let mut pages = aws
        .iam
        .list_roles()
        .path_prefix(path(&aws.owner.stack))
        .into_paginator()
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("iam ListRoles", error))?;
        names.extend(page.roles().iter().map(|role| role.role_name().to_owned()));
    }
    let roles = futures::future::try_join_all(names.iter().map(|name| observe_role(aws, name))).await?;
    Ok(roles.into_iter().flatten().collect())
}

async fn observe_role(aws: &Aws, name: &str) -> Result<Option<Observed>, ProviderError> {
    let answer = match aws
        .iam
        .get_role()
        .role_name(name)
        .send()
        .await
        .map_err(|error| codes::error("iam GetRole", error))
    {
        Ok(answer) => answer,
        Err(error) if error.class == Class::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(role) = answer.role() else { return Ok(None) };
    let Some(id) = aws.owner.identify(&tags(role.tags())) else {
        return Ok(None);
    };
    let spec = Role {
        path: role.path().to_owned(),
        description: role.description().unwrap_or_default().to_owned(),
        trust: document(role.assume_role_policy_document().unwrap_or_default())?,
        policies: attached(aws, name).await?.into_iter().collect(),
        inline: inline(aws, name).await?,
    };
    let given = BTreeMap::from([
        ("arn".to_owned(), role.arn().to_owned()),
        ("name".to_owned(), name.to_owned()),
    ]);
    Ok(Some(found(id, Kind::Role, &spec, given, Readiness::Ready)))
}

async fn attached(aws: &Aws, role: &str) -> Result<BTreeSet<String>, ProviderError> {
    let mut pages = aws
        .iam
        .list_attached_role_policies()
        .role_name(role)
        .into_paginator()
        .send();
    let mut attached = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("iam ListAttachedRolePolicies", error))?;
        attached.extend(
            page.attached_policies()
                .iter()
                .filter_map(|policy| policy.policy_arn().map(str::to_owned)),
        );
    }
    Ok(attached)
}

async fn inline(aws: &Aws, role: &str) -> Result<BTreeMap<String, Value>, ProviderError> {
    let mut names = aws
        .iam
        .list_role_policies()
        .role_name(role)
        .into_paginator()
        .items()
        .send();
    let mut inline = BTreeMap::new();
    while let Some(name) = names.next().await {
        let name = name.map_err(|error| codes::error("iam ListRolePolicies", error))?;
        let policy = aws
            .iam
            .get_role_policy()
            .role_name(role)
            .policy_name(&name)
            .send()
            .await;
        let policy = policy.map_err(|error| codes::error("iam GetRolePolicy", error))?;
        inline.insert(name, document(policy.policy_document())?);
    }
    Ok(inline)
}

pub(super) async fn ensure_role(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Role = fields(ready)?;
    let name = &ready.step.desired.name;
    if existing.is_none() {
        let created = aws
            .iam
            .create_role()
            .role_name(name)
            .path(&spec.path)
            .description(&spec.description)
            .assume_role_policy_document(spec.trust.to_string())
            .set_tags(Some(to_sdk(&aws.owner.tags(&ready.step.desired.id, &BTreeMap::new()))))
            .send()
            .await;
        if let Err(error) = created.map_err(|error| codes::error("iam CreateRole", error)) {
            adopt(error, observe_role(aws, name).await?.is_some())?;
        }
    } else {
        let updated = aws
            .iam
            .update_assume_role_policy()
            .role_name(name)
            .policy_document(spec.trust.to_string())
            .send();
        updated
            .await
            .map_err(|error| codes::error("iam UpdateAssumeRolePolicy", error))?;
        let described = aws.iam.update_role().role_name(name).description(&spec.description);
        let described = described.send().await;
        described.map_err(|error| codes::error("iam UpdateRole", error))?;
        for policy in inline(aws, name)
            .await?
            .keys()
            .filter(|name| !spec.inline.contains_key(*name))
        {
            let deleted = aws.iam.delete_role_policy().role_name(name).policy_name(policy);
            let deleted = deleted.send().await;
            deleted.map_err(|error| codes::error("iam DeleteRolePolicy", error))?;
        }
    }
    let wanted: BTreeSet<String> = spec.policies.iter().cloned().collect();
    let is = if existing.is_some() {
        attached(aws, name).await?
    } else {
        BTreeSet::new()
    };
    for policy in wanted.difference(&is) {
        let attached = aws
            .iam
            .attach_role_policy()
            .role_name(name)
            .policy_arn(policy)
            .send()
            .await;
        attached.map_err(|error| codes::error("iam AttachRolePolicy", error))?;
    }
    for policy in is.difference(&wanted) {
        let detached = aws
            .iam
            .detach_role_policy()
            .role_name(name)
            .policy_arn(policy)
            .send()
            .await;
        detached.map_err(|error| codes::error("iam DetachRolePolicy", error))?;
    }
    for (policy, document) in &spec.inline {
        let put = aws
            .iam
            .put_role_policy()
            .role_name(name)
            .policy_name(policy)
            .policy_document(document.to_string());
        put.send()
            .await
            .map_err(|error| codes::error("iam PutRolePolicy", error))?;
    }
    Ok(())
}

/// Deletes a role with all that hangs on it: policies, and the instance profiles that somebody put it in.
pub(super) async fn delete_role(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let profiles = aws.iam.list_instance_profiles_for_role().role_name(name).send().await;
    let profiles = profiles.map_err(|error| codes::error("iam ListInstanceProfilesForRole", error))?;
    for profile in profiles.instance_profiles() {
        delete_instance_profile(aws, profile.instance_profile_name(), &[name]).await?;
    }
    for policy in attached(aws, name).await? {
        let detached = aws
            .iam
            .detach_role_policy()
            .role_name(name)
            .policy_arn(policy)
            .send()
            .await;
        detached.map_err(|error| codes::error("iam DetachRolePolicy", error))?;
    }
    for policy in inline(aws, name).await?.keys() {
        let deleted = aws
            .iam
            .delete_role_policy()
            .role_name(name)
            .policy_name(policy)
            .send()
            .await;
        deleted.map_err(|error| codes::error("iam DeleteRolePolicy", error))?;
    }
    let deleted = aws.iam.delete_role().role_name(name).send().await;
    deleted.map(drop).map_err(|error| codes::error("iam DeleteRole", error))
}

/// Deletes an instance profile after taking its roles out.
pub(super) async fn delete_instance_profile(aws: &Aws, name: &str, roles: &[&str]) -> Result<(), ProviderError> {
    for role in roles {
        let removed = aws
            .iam
            .remove_role_from_instance_profile()
            .instance_profile_name(name)
            .role_name(*role)
            .send();
        removed
            .await
            .map_err(|error| codes::error("iam RemoveRoleFromInstanceProfile", error))?;
    }
    let deleted = aws
        .iam
        .delete_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("iam DeleteInstanceProfile", error))
}

pub(super) async fn observe_policies(aws: &Aws, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
    let pages = aws
        .iam
        .list_policies()
        .scope(aws_sdk_iam::types::PolicyScopeType::Local);
    let mut pages = pages.path_prefix(path(&aws.owner.stack)).into_paginator().send();
    let mut arns = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("iam ListPolicies", error))?;
        let is_wanted = |name: &str| scope.covers(name);
        let policies = page.policies().iter();
        let wanted = policies.filter(|policy| policy.policy_name().is_some_and(is_wanted));
        arns.extend(wanted.filter_map(|policy| policy.arn().map(str::to_owned)));
    }
    let policies = futures::future::try_join_all(arns.iter().map(|arn| observe_policy(aws, arn))).await?;
    Ok(policies.into_iter().flatten().collect())
}

async fn observe_policy(aws: &Aws, arn: &str) -> Result<Option<Observed>, ProviderError> {
    let answer = match aws
        .iam
        .get_policy()
        .policy_arn(arn)
        .send()
        .await
        .map_err(|error| codes::error("iam GetPolicy", error))
    {
        Ok(answer) => answer,
        Err(error) if error.class == Class::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(policy) = answer.policy() else { return Ok(None) };
    let Some(id) = aws.owner.identify(&tags(policy.tags())) else {
        return Ok(None);
    };
    let version = policy.default_version_id().unwrap_or("v1");
    let version = aws
        .iam
        .get_policy_version()
        .policy_arn(arn)
        .version_id(version)
        .send()
        .await;
    let version = version.map_err(|error| codes::error("iam GetPolicyVersion", error))?;
    let text = version
        .policy_version()
        .and_then(|version| version.document())
        .unwrap_or_default();
    let spec = Policy {
        path: policy.path().unwrap_or_default().to_owned(),
        document: document(text)?,
    };
    let given = BTreeMap::from([("arn".to_owned(), arn.to_owned())]);
    Ok(Some(found(id, Kind::Policy, &spec, given, Readiness::Ready)))
}

pub(super) async fn ensure_policy(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: Policy = fields(ready)?;
    let name = &ready.step.desired.name;
    if let Some(given) = existing {
        if !is_change(ready) {
            return Ok(());
        }
        return new_version(aws, &given["arn"], &spec).await;
    }
    let created = aws
        .iam
        .create_policy()
        .policy_name(name)
        .path(&spec.path)
        .policy_document(spec.document.to_string())
        .set_tags(Some(to_sdk(&aws.owner.tags(&ready.step.desired.id, &BTreeMap::new()))))
        .send()
        .await;
    if let Err(error) = created.map_err(|error| codes::error("iam CreatePolicy", error)) {
        let (partition, account) = (aws.place.partition(), &aws.place.account);
        let arn = format!("arn:{partition}:iam::{account}:policy{}{name}", spec.path);
        adopt(error, observe_policy(aws, &arn).await?.is_some())?;
    }
    Ok(())
}

/// Makes a changed document the default version; the versions before it go, for a policy can have five.
async fn new_version(aws: &Aws, arn: &str, spec: &Policy) -> Result<(), ProviderError> {
    delete_old_versions(aws, arn).await?;
    let document = spec.document.to_string();
    let made = aws
        .iam
        .create_policy_version()
        .policy_arn(arn)
        .policy_document(document)
        .set_as_default(true)
        .send()
        .await;
    made.map(drop)
        .map_err(|error| codes::error("iam CreatePolicyVersion", error))
}

async fn delete_old_versions(aws: &Aws, arn: &str) -> Result<(), ProviderError> {
    let versions = aws.iam.list_policy_versions().policy_arn(arn).send().await;
    let versions = versions.map_err(|error| codes::error("iam ListPolicyVersions", error))?;
    let old = versions
        .versions()
        .iter()
        .filter(|version| !version.is_default_version());
    for version in old.filter_map(|version| version.version_id()) {
        let deleted = aws
            .iam
            .delete_policy_version()
            .policy_arn(arn)
            .version_id(version)
            .send()
            .await;
        deleted.map_err(|error| codes::error("iam DeletePolicyVersion", error))?;
    }
    Ok(())
}

pub(super) async fn delete_policy(aws: &Aws, arn: &str) -> Result<(), ProviderError> {
    delete_old_versions(aws, arn).await?;
    let deleted = aws.iam.delete_policy().policy_arn(arn).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("iam DeletePolicy", error))
}

/// A name that is taken is fine when it was we who took it: an answer got lost.
fn adopt(error: ProviderError, ours: bool) -> Result<(), ProviderError> {
    if error.class == Class::Exists && ours {
        Ok(())
    } else {
        Err(error)
    }
}

pub(super) fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect()
}

fn to_sdk(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(|pair| tag(pair).expect("key and value are set"))
        .collect()
}

/// IAM gives documents percent-encoded.
fn document(encoded: &str) -> Result<Value, ProviderError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let digits = (byte == b'%').then(|| [rest.next(), rest.next()]);
        match digits {
            Some([Some(high), Some(low)]) => {
                let hex = [high, low];
                let decoded = std::str::from_utf8(&hex)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(
                    decoded.ok_or_else(|| ProviderError::found("reading a policy", "it is not percent-encoded"))?,
                );
            }
            _ => bytes.push(byte),
        }
    }
    serde_json::from_slice(&bytes).map_err(|error| ProviderError::found("reading a policy", error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_encoded_and_plain() {
        assert_eq!(document("%7B%22a%22%3A%201%7D").unwrap(), json!({"a": 1}));
        assert_eq!(document("{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert!(document("%7").is_err());
    }
}
