//! ECR: the account's own image repositories. What is in them is read and written by the registry too.

mod images;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::tags;
use crate::aws::json::tags::Tag;
use crate::aws::json::tags::Tags;
use crate::aws::later;
use crate::aws::page;
use crate::core::Response;
use crate::registry::image::Images;

/// How long a registry password is good.
const PASSWORD_LIFE: Duration = Duration::from_hours(12);

/// Repositories of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ecr {
    pub(crate) repositories: BTreeMap<String, Repository>,
}

/// One repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Repository {
    pub(crate) images: Images,
    pub(crate) mutability: Mutability,
    created: Timestamp,
    scan_on_push: bool,
    encryption: Encryption,
    lifecycle: Option<String>,
    tags: Tags,
}

/// Whether a tag may be pointed at another image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mutability {
    #[default]
    Mutable,
    Immutable,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Encryption {
    encryption_type: EncryptionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum EncryptionType {
    #[serde(rename = "AES256")]
    Aes256,
    #[serde(rename = "KMS")]
    Kms,
    #[serde(rename = "KMS_DSSE")]
    KmsDsse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CreateRepository {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    image_tag_mutability: Mutability,
    image_scanning_configuration: Option<Scanning>,
    encryption_configuration: Option<Encryption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Scanning {
    #[serde(default)]
    scan_on_push: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PutScanning {
    registry_id: Option<String>,
    repository_name: String,
    image_scanning_configuration: Scanning,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PutMutability {
    registry_id: Option<String>,
    repository_name: String,
    image_tag_mutability: Mutability,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DescribeRepositories {
    registry_id: Option<String>,
    repository_names: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Named {
    registry_id: Option<String>,
    repository_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeleteRepository {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Password {
    #[serde(default)]
    registry_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Lifecycle {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(rename = "lifecyclePolicyText")]
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tagging {
    resource_arn: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Ecr {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        for (name, repository) in &self.repositories {
            found.entry("ecr/repository".to_owned()).or_default().push(name.clone());
            let images = repository.images.manifests();
            let images = images.map(|(digest, _)| format!("{name}@{digest}"));
            found.entry("ecr/image".to_owned()).or_default().extend(images);
        }
        found.retain(|_, ids| !ids.is_empty());
    }

    fn find(&mut self, account: &str, name: &str) -> Result<&mut Repository, Refusal> {
        self.repositories.get_mut(name).ok_or_else(|| {
            let message =
                format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
            Refusal::new("RepositoryNotFoundException", message)
        })
    }
}

/// Whether a password was given out for the account's registry in a region and is still good.
pub(crate) fn admits(account: &str, region: &str, password: &str, now: Timestamp) -> bool {
    let decoded = STANDARD.decode(password).ok();
    let told: Option<Value> = decoded.and_then(|text| serde_json::from_slice(&text).ok());
    told.is_some_and(|told| {
        let until = told["expiration"].as_i64().unwrap_or_default();
        told["account"] == account && told["region"] == region && now.as_second() < until
    })
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let output = match &*call.operation {
        "CreateRepository" => create(scene, call),
        "DescribeRepositories" => describe(scene, call),
        "DeleteRepository" => delete(scene, call),
        "DescribeImages" => images::describe(scene, call),
        "ListImages" => images::list(scene, call),
        "BatchDeleteImage" => images::batch_delete(scene, call),
        "GetAuthorizationToken" => password(scene, call),
        "PutImageScanningConfiguration" => put_scanning(scene, call),
        "PutImageTagMutability" => put_mutability(scene, call),
        "PutLifecyclePolicy" => put_lifecycle(scene, call),
        "GetLifecyclePolicy" => get_lifecycle(scene, call),
        "DeleteLifecyclePolicy" => delete_lifecycle(scene, call),
        "ListTagsForResource" | "TagResource" | "UntagResource" => tag(scene, call),
        _ => Err(Refusal::unknown_operation(call)),
    }?;
    Ok(json::answer(call, &output))
}

fn create(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: CreateRepository = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let name = input.repository_name;
    if !is_name(&name) {
        let message =
            format!("Invalid parameter at 'repositoryName' failed to satisfy constraint: `{name}` is no name");
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let account = scene.account.id.clone();
    let ecr = &mut scene.account.region(&call.scope.region).ecr;
    if ecr.repositories.contains_key(&name) {
        let message = format!("The repository with name '{name}' already exists in the registry with id '{account}'");
        return Err(Refusal::new("RepositoryAlreadyExistsException", message));
    }
    let repository = Repository {
        images: Images::default(),
        mutability: input.image_tag_mutability,
        created: scene.now,
        scan_on_push: input.image_scanning_configuration.is_some_and(|scan| scan.scan_on_push),
        encryption: input.encryption_configuration.unwrap_or(Encryption {
            encryption_type: EncryptionType::Aes256,
            kms_key: None,
        }),
        lifecycle: None,
        tags: tags::from_list(input.tags),
    };
    let output = json!({"repository": described(&account, &call.scope.region, &name, &repository)});
    ecr.repositories.insert(name, repository);
    Ok(output)
}

fn describe(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: DescribeRepositories = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let region = &call.scope.region;
    let ecr = &mut scene.account.region(region).ecr;
    for name in input.repository_names.iter().flatten() {
        ecr.find(&account, name)?;
    }
    let wanted = |name: &String| input.repository_names.as_ref().is_none_or(|names| names.contains(name));
    let found = ecr.repositories.iter().filter(|(name, _)| wanted(name));
    let limit = input.max_results.unwrap_or(100);
    let page =
        page::cut(found, |(name, _)| (*name).clone(), limit, input.next_token.as_deref()).map_err(|_| bad_token())?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|(name, repository)| described(&account, region, name, repository))
        .collect();
    Ok(with_token(json!({"repositories": list}), page.next))
}

fn delete(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: DeleteRepository = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let name = &input.repository_name;
    let ecr = &mut scene.account.region(&call.scope.region).ecr;
    let repository = ecr.find(&account, name)?;
    if !repository.images.is_empty() && !input.force {
        let message = format!(
            "The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still \
             contains images"
        );
        return Err(Refusal::new("RepositoryNotEmptyException", message));
    }
    let output = json!({"repository": described(&account, &call.scope.region, name, repository)});
    ecr.repositories.remove(name);
    Ok(output)
}

fn password(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Password = json::input(call)?;
    for registry in &input.registry_ids {
        own_registry(scene, Some(registry))?;
    }
    let until = later(scene.now, PASSWORD_LIFE);
    let (account, region) = (&scene.account.id, &call.scope.region);
    // It carries what it is good for, so that nothing has to be remembered about it.
    let password = json!({"account": account, "region": region, "expiration": until.as_second()});
    let password = STANDARD.encode(password.to_string());
    Ok(json!({"authorizationData": [{
        "authorizationToken": STANDARD.encode(format!("AWS:{password}")),
        "expiresAt": tags::epoch(until),
        "proxyEndpoint": format!("https://{account}.dkr.ecr.{region}.amazonaws.com"),
    }]}))
}

fn put_lifecycle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Lifecycle = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let rules = serde_json::from_str::<Value>(&input.text);
    if !rules.is_ok_and(|policy| policy["rules"].is_array()) {
        let message = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: \
                       'Lifecycle policy validation failure: it must be JSON with `rules`'";
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let account = scene.account.id.clone();
    let name = &input.repository_name;
    let repository = scene.account.region(&call.scope.region).ecr.find(&account, name)?;
    repository.lifecycle = Some(input.text.clone());
    Ok(json!({"registryId": account, "repositoryName": name, "lifecyclePolicyText": input.text}))
}

fn get_lifecycle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let (account, name, policy) = lifecycle(scene, call)?;
    Ok(json!({"registryId": account, "repositoryName": name, "lifecyclePolicyText": policy.clone()}))
}

fn delete_lifecycle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let (account, name, policy) = lifecycle(scene, call)?;
    let ecr = &mut scene.account.region(&call.scope.region).ecr;
    ecr.find(&account, &name)?.lifecycle = None;
    Ok(json!({"registryId": account, "repositoryName": name, "lifecyclePolicyText": policy}))
}

fn lifecycle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<(String, String, String), Refusal> {
    let input: Named = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let name = input.repository_name;
    let repository = scene.account.region(&call.scope.region).ecr.find(&account, &name)?;
    let policy = repository.lifecycle.clone().ok_or_else(|| {
        let message = format!(
            "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
        );
        Refusal::new("LifecyclePolicyNotFoundException", message)
    })?;
    Ok((account, name, policy))
}

fn put_scanning(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: PutScanning = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let registry = &mut scene.account.region(&call.scope.region).ecr;
    let repository = registry.find(&account, &input.repository_name)?;
    repository.scan_on_push = input.image_scanning_configuration.scan_on_push;
    Ok(json!({
        "registryId": account,
        "repositoryName": input.repository_name,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
    }))
}

fn put_mutability(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: PutMutability = json::input(call)?;
    own_registry(scene, input.registry_id.as_deref())?;
    let account = scene.account.id.clone();
    let registry = &mut scene.account.region(&call.scope.region).ecr;
    let repository = registry.find(&account, &input.repository_name)?;
    repository.mutability = input.image_tag_mutability;
    Ok(json!({
        "registryId": account,
        "repositoryName": input.repository_name,
        "imageTagMutability": repository.mutability,
    }))
}

fn tag(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Tagging = json::input(call)?;
    let account = scene.account.id.clone();
    let prefix = format!("arn:aws:ecr:{}:{account}:repository/", call.scope.region);
    let name = input.resource_arn.strip_prefix(&prefix).ok_or_else(|| {
        let message = format!("Invalid parameter at 'resourceArn': `{}`", input.resource_arn);
        Refusal::new("InvalidParameterException", message)
    })?;
    let repository = scene.account.region(&call.scope.region).ecr.find(&account, name)?;
    match &*call.operation {
        "TagResource" => repository.tags.extend(tags::from_list(input.tags)),
        "UntagResource" => repository.tags.retain(|key, _| !input.tag_keys.contains(key)),
        _ => return Ok(json!({"tags": tags::as_list(&repository.tags, "Key", "Value")})),
    }
    Ok(json!({}))
}

fn described(account: &str, region: &str, name: &str, repository: &Repository) -> Value {
    json!({
        "repositoryArn": format!("arn:aws:ecr:{region}:{account}:repository/{name}"),
        "registryId": account,
        "repositoryName": name,
        "repositoryUri": format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}"),
        "createdAt": tags::epoch(repository.created),
        "imageTagMutability": repository.mutability,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": repository.encryption,
    })
}

fn own_registry(scene: &Scene<'_>, registry: Option<&str>) -> Result<(), Refusal> {
    if registry.is_none_or(|registry| registry == scene.account.id) {
        return Ok(());
    }
    let message = format!(
        "Invalid parameter at 'registryId': the caller's is {}",
        scene.account.id
    );
    Err(Refusal::new("InvalidParameterException", message))
}

/// Whether a text is a repository's name: lower-case words, joined by single separators.
fn is_name(name: &str) -> bool {
    let word = |word: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        ends(word.chars().next()) && ends(word.chars().last()) && word.chars().all(inner)
    };
    (2..=256).contains(&name.len()) && name.split('/').all(word)
}

fn bad_token() -> Refusal {
    Refusal::new("InvalidParameterException", "Invalid parameter at 'nextToken'")
}

fn with_token(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["nextToken"] = json!(next);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::wire::World;

    #[test]
    fn a_repository_is_created_once_and_found() {
        let mut world = World::new();
        let created = world
            .json("ecr", "CreateRepository", r#"{"repositoryName": "tube/gateway"}"#)
            .ok();
        created.has("123456789012.dkr.ecr.eu-west-1.amazonaws.com/tube/gateway");
        world
            .json("ecr", "CreateRepository", r#"{"repositoryName": "tube/gateway"}"#)
            .refused_json(400, "RepositoryAlreadyExistsException");
        world
            .json("ecr", "DescribeRepositories", r#"{"repositoryNames": ["other"]}"#)
            .refused_json(400, "RepositoryNotFoundException");
        world.json("ecr", "DescribeRepositories", "{}").ok().has("tube/gateway");
    }

    #[test]
    fn what_ecr_does_not_know_is_refused() {
        let check = |operation: &str, body: &str, code: &str| {
            World::new().json("ecr", operation, body).refused_json(400, code);
        };
        check(
            "CreateRepository",
            r#"{"repositoryName": "Upper"}"#,
            "InvalidParameterException",
        );
        check(
            "CreateRepository",
            r#"{"repositoryName": "a/b", "colour": "red"}"#,
            "ValidationException",
        );
        check("MakeCoffee", "{}", "UnknownOperationException");
        check(
            "DescribeRepositories",
            r#"{"nextToken": "x"}"#,
            "InvalidParameterException",
        );
    }

    /// Pushes an image with one layer under a tag, as a client does.
    fn push(world: &mut World, tag: &str) {
        let answer = world.json("ecr", "GetAuthorizationToken", "{}").ok();
        let answer: Value = serde_json::from_str(&answer.text).unwrap();
        let token = answer["authorizationData"][0]["authorizationToken"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut send = |method: &str, path: &str, body: &str| {
            let request = http::Request::builder()
                .method(method)
                .uri(format!("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com{path}"))
                .header("authorization", format!("Basic {token}"))
                .body(bytes::Bytes::from(body.to_owned()))
                .unwrap();
            world.reply(request)
        };
        let mut digests = Vec::new();
        for blob in ["{}", "layer"] {
            let started = send("POST", "/v2/tube/gateway/blobs/uploads/", "");
            assert_eq!(started.status(), 202, "{started:?}");
            let location = started.headers()["location"].to_str().unwrap();
            let digest = format!("sha256:{}", crate::content::sha256(blob.as_bytes()));
            assert_eq!(send("PUT", &format!("{location}?digest={digest}"), blob).status(), 201);
            digests.push(digest);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": digests[0], "size": 2}, "layers": [{"digest": digests[1], "size": 5}],
        });
        let path = format!("/v2/tube/gateway/manifests/{tag}");
        assert_eq!(send("PUT", &path, &manifest.to_string()).status(), 201);
    }

    #[test]
    fn a_pushed_image_is_described_and_holds_its_repository() {
        let mut world = World::new();
        world
            .json("ecr", "CreateRepository", r#"{"repositoryName": "tube/gateway"}"#)
            .ok();
        push(&mut world, "1.0");
        let described = world
            .json(
                "ecr",
                "DescribeImages",
                r#"{"repositoryName": "tube/gateway", "imageIds": [{"imageTag": "1.0"}]}"#,
            )
            .ok();
        described.has(r#""imageTags":["1.0"]"#);
        described.has(r#""imageSizeInBytes":7"#);
        world
            .json("ecr", "DeleteRepository", r#"{"repositoryName": "tube/gateway"}"#)
            .refused_json(400, "RepositoryNotEmptyException");
        world
            .json(
                "ecr",
                "BatchDeleteImage",
                r#"{"repositoryName": "tube/gateway", "imageIds": [{"imageTag": "1.0"}, {"imageTag": "2.0"}]}"#,
            )
            .ok()
            .has("ImageNotFound");
        world
            .json("ecr", "DeleteRepository", r#"{"repositoryName": "tube/gateway"}"#)
            .ok();
    }

    #[test]
    fn the_registry_wants_the_password_that_ecr_gave_out() {
        let mut world = World::new();
        let request = http::Request::get("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/")
            .body(bytes::Bytes::new())
            .unwrap();
        let refused = world.reply(request);
        assert_eq!(refused.status(), 401);
        assert!(
            refused.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic ")
        );
    }
}
