//! Launch templates: how the nodes of a managed group are launched.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::LaunchTemplateHttpTokensState;
use aws_sdk_ec2::types::LaunchTemplateInstanceMetadataOptionsRequest;
use aws_sdk_ec2::types::LaunchTemplateTagSpecificationRequest;
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_ec2::types::ResponseLaunchTemplateData;

use crate::apply::walk::Ready;
use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::fields;
use crate::provider::aws::found;
use crate::provider::aws::is_change;
use crate::provider::aws::tags;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec::LaunchTemplate;

pub(super) async fn observe(aws: &Aws) -> Result<Vec<Observed>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_launch_templates()
        .set_filters(Some(ec2::owned_by(&aws.owner)))
        .into_paginator()
        .send();
    let mut observed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| codes::error("ec2 DescribeLaunchTemplates", error))?;
        for template in page.launch_templates() {
            let (Some((id, _)), Some(template_id)) = (
                ec2::identify(&aws.owner, template.tags()),
                template.launch_template_id(),
            ) else {
                continue;
            };
            let given = BTreeMap::from([
                ("id".to_owned(), template_id.to_owned()),
                (
                    "version".to_owned(),
                    template.latest_version_number().unwrap_or(1).to_string(),
                ),
            ]);
            observed.push(found(
                id,
                Kind::LaunchTemplate,
                &latest(aws, template_id).await?,
                given,
                Readiness::Ready,
            ));
        }
    }
    Ok(observed)
}

async fn latest(aws: &Aws, id: &str) -> Result<LaunchTemplate, ProviderError> {
    let versions = aws
        .ec2
        .describe_launch_template_versions()
        .launch_template_id(id)
        .versions("$Latest")
        .send()
        .await;
    let versions = versions.map_err(|error| codes::error("ec2 DescribeLaunchTemplateVersions", error))?;
    let data = versions
        .launch_template_versions()
        .first()
        .and_then(|version| version.launch_template_data());
    let instance_tags = |data: &ResponseLaunchTemplateData| {
        let specification = data
            .tag_specifications()
            .iter()
            .find(|tags| tags.resource_type() == Some(&ResourceType::Instance));
        specification
            .map(|tags| tags::own(ec2::from_sdk(tags.tags())))
            .unwrap_or_default()
    };
    let options = data.and_then(|data| data.metadata_options());
    Ok(LaunchTemplate {
        imds_hop_limit: options
            .and_then(|options| options.http_put_response_hop_limit())
            .unwrap_or(1),
        security_groups: data.map(|data| data.security_group_ids().to_vec()).unwrap_or_default(),
        instance_tags: data.map(instance_tags).unwrap_or_default(),
    })
}

pub(super) async fn ensure(aws: &Aws, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
    let spec: LaunchTemplate = fields(ready)?;
    let options = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(spec.imds_hop_limit)
        .build();
    // What instances and their disks carry is what proves later whose they are.
    let owned = ec2::to_sdk(&aws.owner.tags(&ready.step.desired.id, &spec.instance_tags));
    let tagged = |resource: ResourceType| {
        LaunchTemplateTagSpecificationRequest::builder()
            .resource_type(resource)
            .set_tags(Some(owned.clone()))
            .build()
    };
    let data = RequestLaunchTemplateData::builder()
        .metadata_options(options)
        .set_security_group_ids(Some(spec.security_groups.clone()).filter(|groups| !groups.is_empty()))
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume))
        .build();
    if let Some(given) = existing {
        if !is_change(ready) {
            return Ok(());
        }
        let version = aws
            .ec2
            .create_launch_template_version()
            .launch_template_id(&given["id"]);
        let version = version
            .launch_template_data(data)
            .client_token(&ready.token)
            .send()
            .await;
        return version
            .map(drop)
            .map_err(|error| codes::error("ec2 CreateLaunchTemplateVersion", error));
    }
    let created = aws
        .ec2
        .create_launch_template()
        .launch_template_name(&ready.step.desired.name)
        .launch_template_data(data)
        .client_token(&ready.token)
        .tag_specifications(ec2::at_creation(
            aws,
            ResourceType::LaunchTemplate,
            ready,
            &BTreeMap::new(),
        ))
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| codes::error("ec2 CreateLaunchTemplate", error))
}

pub(super) async fn delete(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    let deleted = aws.ec2.delete_launch_template().launch_template_id(id).send().await;
    deleted
        .map(drop)
        .map_err(|error| codes::error("ec2 DeleteLaunchTemplate", error))
}
