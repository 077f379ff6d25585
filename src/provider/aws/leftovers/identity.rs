//! Roles, policies and instance profiles.

use crate::provider::aws::Aws;
use crate::provider::aws::Scope;
use crate::provider::aws::codes;
use crate::provider::aws::iam;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::if_there;
use crate::provider::error::ProviderError;
use crate::resource::observed::Observed;

pub(crate) async fn roles(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(things(iam::observe_roles(aws, Scope::All).await?, "name"))
}

pub(crate) async fn policies(aws: &Aws) -> Result<Vec<Thing>, ProviderError> {
    Ok(things(iam::observe_policies(aws, Scope::All).await?, "arn"))
}

/// The path under which Karpenter makes the instance profiles of a cluster.
pub(crate) fn profile_path(region: &str, cluster: &str) -> String {
    format!("/karpenter/{region}/{cluster}/")
}

/// Instance profiles that Karpenter made.
pub(crate) async fn instance_profiles(aws: &Aws, marks: &Marks) -> Result<Vec<Thing>, ProviderError> {
    let Some(cluster) = &marks.cluster else {
        return Ok(Vec::new());
    };
    let path = profile_path(&aws.place.region, cluster);
    let question = aws.iam.list_instance_profiles().path_prefix(path);
    let mut pages = question.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(profile) = pages.next().await {
        let profile = profile.map_err(|error| codes::error("iam ListInstanceProfiles", error))?;
        let name = profile.instance_profile_name().to_owned();
        found.push(Thing {
            id: name.clone(),
            name,
            standing: Standing::There,
        });
    }
    Ok(found)
}

/// Deletes an instance profile after taking out whatever roles are in it.
pub(crate) async fn delete_instance_profile(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    let answer = aws.iam.get_instance_profile().instance_profile_name(name).send().await;
    let answer = if_there(answer.map_err(|error| codes::error("iam GetInstanceProfile", error)))?;
    let Some(profile) = answer.and_then(|answer| answer.instance_profile) else {
        return Ok(());
    };
    let roles: Vec<&str> = profile
        .roles()
        .iter()
        .map(aws_sdk_iam::types::Role::role_name)
        .collect();
    iam::delete_instance_profile(aws, name, &roles).await
}

/// What was observed, known to its API by one of its outputs.
pub(super) fn things(observed: Vec<Observed>, id: &str) -> Vec<Thing> {
    observed
        .into_iter()
        .filter_map(|observed| {
            Some(Thing {
                id: observed.outputs.get(id)?.clone(),
                name: format!("{} ({})", observed.outputs.get(id)?, observed.id),
                standing: Standing::There,
            })
        })
        .collect()
}

pub(crate) async fn delete_role(aws: &Aws, name: &str) -> Result<(), ProviderError> {
    iam::delete_role(aws, name).await
}

pub(crate) async fn delete_policy(aws: &Aws, arn: &str) -> Result<(), ProviderError> {
    iam::delete_policy(aws, arn).await
}
