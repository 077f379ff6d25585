//! The images of a repository, as ECR lists and deletes them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::ecr::bad_token;
use crate::aws::json::ecr::own_registry;
use crate::aws::json::ecr::with_token;
use crate::aws::json::tags;
use crate::aws::page;
use crate::registry::image::Images;
use crate::registry::image::Manifest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Listing {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Option<Vec<ImageId>>,
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    tag_status: Option<TagStatus>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum TagStatus {
    Tagged,
    Untagged,
    Any,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ImageId {
    image_digest: Option<String>,
    image_tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BatchDelete {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Vec<ImageId>,
}

pub(super) fn describe(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Listing = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let name = &input.repository_name;
    let repository = scene.account.region(&call.scope.region).ecr.find(&account, name)?;
    let images = &repository.images;
    let mut wanted: Option<Vec<&str>> = None;
    for id in input.image_ids.iter().flatten() {
        let found = resolve(images, id).ok_or_else(|| {
            let message = format!(
                "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with \
                 name '{name}' in the registry with id '{account}'",
                id.image_digest.as_deref().unwrap_or("null"),
                id.image_tag.as_deref().unwrap_or("null")
            );
            Refusal::new("ImageNotFoundException", message)
        })?;
        wanted.get_or_insert_default().push(found);
    }
    let status = input
        .filter
        .and_then(|filter| filter.tag_status)
        .unwrap_or(TagStatus::Any);
    let found = images.manifests().filter(|(digest, _)| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(digest)) && fits(images, digest, status)
    });
    let limit = input.max_results.unwrap_or(100);
    let page = page::cut(
        found,
        |(digest, _)| (*digest).to_owned(),
        limit,
        input.next_token.as_deref(),
    )
    .map_err(|_| bad_token())?;
    let details: Vec<Value> = page
        .items
        .into_iter()
        .map(|(digest, manifest)| image_detail(&account, name, images, digest, manifest))
        .collect();
    Ok(with_token(json!({"imageDetails": details}), page.next))
}

pub(super) fn list(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Listing = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let repository = scene
        .account
        .region(&call.scope.region)
        .ecr
        .find(&account, &input.repository_name)?;
    let images = &repository.images;
    let status = input
        .filter
        .and_then(|filter| filter.tag_status)
        .unwrap_or(TagStatus::Any);
    let mut ids: Vec<(String, Value)> = Vec::new();
    for (digest, _) in images.manifests().filter(|(digest, _)| fits(images, digest, status)) {
        let before = ids.len();
        for tag in images.tags_of(digest) {
            ids.push((
                format!("{digest}:{tag}"),
                json!({"imageDigest": digest, "imageTag": tag}),
            ));
        }
        if ids.len() == before {
            ids.push((digest.to_owned(), json!({"imageDigest": digest})));
        }
    }
    let limit = input.max_results.unwrap_or(100);
    let page = page::cut(ids, |(key, _)| key.clone(), limit, input.next_token.as_deref()).map_err(|_| bad_token())?;
    let ids: Vec<Value> = page.items.into_iter().map(|(_, id)| id).collect();
    Ok(with_token(json!({"imageIds": ids}), page.next))
}

pub(super) fn batch_delete(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: BatchDelete = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let repository = scene
        .account
        .region(&call.scope.region)
        .ecr
        .find(&account, &input.repository_name)?;
    let mut deleted = Vec::new();
    let mut failures = Vec::new();
    for id in input.image_ids {
        match delete_image(&mut repository.images, &id) {
            Ok(ids) => deleted.extend(ids),
            Err((code, reason)) => failures.push(json!({
                "imageId": image_id(id.image_digest.as_deref(), id.image_tag.as_deref()),
                "failureCode": code,
                "failureReason": reason,
            })),
        }
    }
    Ok(json!({"imageIds": deleted, "failures": failures}))
}

fn delete_image(images: &mut Images, id: &ImageId) -> Result<Vec<Value>, (&'static str, &'static str)> {
    let not_found = ("ImageNotFound", "Requested image not found");
    match (&id.image_digest, &id.image_tag) {
        (None, None) => Err((
            "MissingDigestAndTag",
            "Invalid request parameters: both tag and digest cannot be null",
        )),
        (Some(digest), Some(tag)) if images.manifest(tag).is_some_and(|(found, _)| found != digest) => {
            Err(("ImageTagDoesNotMatchDigest", "Tag does not match digest"))
        }
        (_, Some(tag)) => {
            let digest = images.remove_tag(tag).ok_or(not_found)?;
            Ok(vec![image_id(Some(&digest), Some(tag))])
        }
        (Some(digest), None) => {
            if images.index_of(digest).is_some() {
                return Err((
                    "ImageReferencedByManifestList",
                    "Requested image referenced by manifest list",
                ));
            }
            let tags = images.remove(digest).ok_or(not_found)?;
            if tags.is_empty() {
                return Ok(vec![image_id(Some(digest), None)]);
            }
            Ok(tags.iter().map(|tag| image_id(Some(digest), Some(tag))).collect())
        }
    }
}

fn image_detail(account: &str, name: &str, images: &Images, digest: &str, manifest: &Manifest) -> Value {
    let mut detail = json!({
        "registryId": account,
        "repositoryName": name,
        "imageDigest": digest,
        "imageSizeInBytes": Images::size_of(manifest),
        "imagePushedAt": tags::epoch(manifest.pushed),
        "imageManifestMediaType": manifest.media_type,
    });
    let tags: Vec<&str> = images.tags_of(digest).collect();
    if !tags.is_empty() {
        detail["imageTags"] = json!(tags);
    }
    detail
}

fn image_id(digest: Option<&str>, tag: Option<&str>) -> Value {
    let mut id = serde_json::Map::new();
    id.extend(digest.map(|digest| ("imageDigest".to_owned(), json!(digest))));
    id.extend(tag.map(|tag| ("imageTag".to_owned(), json!(tag))));
    id.into()
}

fn resolve<'a>(images: &'a Images, id: &ImageId) -> Option<&'a str> {
    let reference = id.image_digest.as_ref().or(id.image_tag.as_ref())?;
    let (digest, _) = images.manifest(reference)?;
    let tag = id.image_tag.as_ref();
    tag.is_none_or(|tag| images.tags_of(digest).any(|found| found == tag))
        .then_some(digest)
}

fn fits(images: &Images, digest: &str, status: TagStatus) -> bool {
    let tagged = images.tags_of(digest).next().is_some();
    match status {
        TagStatus::Any => true,
        TagStatus::Tagged => tagged,
        TagStatus::Untagged => !tagged,
    }
}
