//! KMS: keys and their aliases. It encrypts nothing; a key is there to be named, rotated and scheduled for deletion.

use std::collections::BTreeMap;
use std::time::Duration;

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

/// Keys of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kms {
    keys: BTreeMap<String, Key>,
    // By name, with the `alias/` in front.
    aliases: BTreeMap<String, Alias>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Key {
    created: Timestamp,
    description: String,
    policy: Option<String>,
    rotation: Option<u32>,
    deletion: Option<Timestamp>,
    tags: Tags,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Alias {
    key: String,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateKey {
    policy: Option<String>,
    #[serde(default)]
    description: String,
    key_usage: Option<Usage>,
    key_spec: Option<Spec>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// What the local world's keys are for.
#[derive(Deserialize)]
enum Usage {
    #[serde(rename = "ENCRYPT_DECRYPT")]
    EncryptDecrypt,
}

/// What the local world's keys are.
#[derive(Deserialize)]
enum Spec {
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    SymmetricDefault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct OfKey {
    key_id: String,
    rotation_period_in_days: Option<u32>,
    pending_window_in_days: Option<u32>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct OfAlias {
    alias_name: String,
    target_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct List {
    key_id: Option<String>,
    limit: Option<usize>,
    marker: Option<String>,
}

/// The members of [`OfKey`] that each operation knows beside the key.
const MEMBERS: &[(&str, &[&str])] = &[
    ("DescribeKey", &[]),
    ("UpdateKeyDescription", &["Description"]),
    ("EnableKeyRotation", &["RotationPeriodInDays"]),
    ("DisableKeyRotation", &[]),
    ("GetKeyRotationStatus", &[]),
    ("ScheduleKeyDeletion", &["PendingWindowInDays"]),
    ("CancelKeyDeletion", &[]),
    ("TagResource", &["Tags"]),
    ("UntagResource", &["TagKeys"]),
    ("ListResourceTags", &[]),
];

impl Kms {
    /// Keys that wait for their deletion are not counted: nobody can use or be charged for them.
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        for (id, key) in &self.keys {
            if key.deletion.is_none() {
                found.entry("kms/key".to_owned()).or_default().push(id.clone());
            }
        }
        for name in self.aliases.keys() {
            found.entry("kms/alias".to_owned()).or_default().push(name.clone());
        }
    }

    /// The id of a usable key that an ARN, an id or an alias names.
    pub(crate) fn usable(&self, name: &str) -> Option<&str> {
        let (id, key) = self.keys.get_key_value(self.resolve(name)?)?;
        key.deletion.is_none().then_some(id)
    }

    fn resolve<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let name = if name.starts_with("arn:") {
            name.splitn(6, ':').nth(5)?
        } else {
            name
        };
        if name.starts_with("alias/") {
            return self.aliases.get(name).map(|alias| alias.key.as_str());
        }
        Some(name.strip_prefix("key/").unwrap_or(name))
    }

    /// Keys whose time is over are gone.
    fn forget(&mut self, now: Timestamp) {
        self.keys.retain(|_, key| key.deletion.is_none_or(|at| now < at));
        let keys = &self.keys;
        self.aliases.retain(|_, alias| keys.contains_key(&alias.key));
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let now = scene.now;
    scene.account.region(&call.scope.region).kms.forget(now);
    let output = match &*call.operation {
        "CreateKey" => create(scene, call),
        "ListKeys" => list_keys(scene, call),
        "CreateAlias" | "UpdateAlias" => set_alias(scene, call),
        "DeleteAlias" => delete_alias(scene, call),
        "ListAliases" => list_aliases(scene, call),
        operation => match MEMBERS.iter().find(|(name, _)| *name == operation) {
            Some((_, members)) => of_key(scene, call, members),
            None => Err(Refusal::unknown_operation(call)),
        },
    }?;
    Ok(json::answer(call, &output))
}

fn create(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: CreateKey = json::input(call)?;
    let (Usage::EncryptDecrypt, Spec::SymmetricDefault) = (
        input.key_usage.unwrap_or(Usage::EncryptDecrypt),
        input.key_spec.unwrap_or(Spec::SymmetricDefault),
    );
    if let Some(policy) = &input.policy
        && serde_json::from_str::<Value>(policy).is_err()
    {
        return Err(Refusal::new(
            "MalformedPolicyDocumentException",
            "The new key policy is not valid JSON.",
        ));
    }
    let id = scene.random.uuid();
    let key = Key {
        created: scene.now,
        description: input.description,
        policy: input.policy,
        rotation: None,
        deletion: None,
        tags: tags::from_list(input.tags),
    };
    let output = json!({"KeyMetadata": metadata(&scene.account.id, &call.scope.region, &id, &key)});
    scene.account.region(&call.scope.region).kms.keys.insert(id, key);
    Ok(output)
}

fn of_key(scene: &mut Scene<'_>, call: &Call<'_>, members: &[&str]) -> Result<Value, Refusal> {
    let sent: BTreeMap<String, Value> = json::input(call)?;
    if let Some(unknown) = sent
        .keys()
        .find(|name| *name != "KeyId" && !members.contains(&name.as_str()))
    {
        let message = format!("unknown member `{unknown}` of {}", call.operation);
        return Err(Refusal::new("ValidationException", message));
    }
    let input: OfKey = json::input(call)?;
    let (now, account) = (scene.now, scene.account.id.clone());
    let region = &call.scope.region;
    let kms = &mut scene.account.region(region).kms;
    let Some(id) = kms.resolve(&input.key_id).map(str::to_owned) else {
        let alias = input.key_id.rsplit(':').next().unwrap_or_default();
        let arn = format!("arn:aws:kms:{region}:{account}:{alias}");
        return Err(Refusal::new("NotFoundException", format!("Alias {arn} is not found.")));
    };
    let arn = key_arn(&account, region, &id);
    let key = kms
        .keys
        .get_mut(&id)
        .ok_or_else(|| Refusal::new("NotFoundException", format!("Key '{arn}' does not exist")))?;
    let reads = [
        "DescribeKey",
        "ListResourceTags",
        "CancelKeyDeletion",
        "GetKeyRotationStatus",
    ];
    if key.deletion.is_some() && !reads.contains(&&*call.operation) {
        return Err(pending(&arn));
    }
    Ok(match &*call.operation {
        "EnableKeyRotation" => {
            let days = input.rotation_period_in_days.unwrap_or(365);
            if !(90..=2560).contains(&days) {
                let message = format!("the rotation period is 90 to 2560 days, not {days}");
                return Err(Refusal::new("ValidationException", message));
            }
            key.rotation = Some(days);
            json!({})
        }
        "DisableKeyRotation" => {
            key.rotation = None;
            json!({})
        }
        "GetKeyRotationStatus" => match key.rotation {
            Some(days) => json!({
                "KeyId": id,
                "KeyRotationEnabled": true,
                "RotationPeriodInDays": days,
                "NextRotationDate": tags::epoch(later(key.created, in_days(days))),
            }),
            None => json!({"KeyId": id, "KeyRotationEnabled": false}),
        },
        "ScheduleKeyDeletion" => {
            let days = input.pending_window_in_days.unwrap_or(30);
            if !(7..=30).contains(&days) {
                let message = format!("the waiting period is 7 to 30 days, not {days}");
                return Err(Refusal::new("ValidationException", message));
            }
            let at = later(now, in_days(days));
            key.deletion = Some(at);
            json!({
                "KeyId": arn,
                "DeletionDate": tags::epoch(at),
                "KeyState": "PendingDeletion",
                "PendingWindowInDays": days,
            })
        }
        "UpdateKeyDescription" => {
            key.description = input.description.unwrap_or_default();
            json!({})
        }
        "CancelKeyDeletion" => {
            key.deletion = None;
            json!({"KeyId": arn})
        }
        "TagResource" => {
            key.tags.extend(tags::from_list(input.tags));
            json!({})
        }
        "UntagResource" => {
            key.tags.retain(|name, _| !input.tag_keys.contains(name));
            json!({})
        }
        "ListResourceTags" => json!({
            "Tags": tags::as_list(&key.tags, "TagKey", "TagValue"),
            "Truncated": false,
        }),
        _ => json!({"KeyMetadata": metadata(&account, region, &id, key)}),
    })
}

fn set_alias(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: OfAlias = json::input(call)?;
    let name = input.alias_name;
    let target = input
        .target_key_id
        .ok_or_else(|| Refusal::new("ValidationException", "missing member `TargetKeyId`"))?;
    let rest = name.strip_prefix("alias/").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    if rest.is_empty() || rest.starts_with("aws/") || !rest.chars().all(allowed) {
        let message = format!("`{name}` is no alias: it is `alias/` and a name that does not begin with `aws/`");
        return Err(Refusal::new("InvalidAliasNameException", message));
    }
    let (now, account) = (scene.now, scene.account.id.clone());
    let kms = &mut scene.account.region(&call.scope.region).kms;
    let arn = alias_arn(&account, &call.scope.region, &name);
    let exists = kms.aliases.contains_key(&name);
    if exists && call.operation == "CreateAlias" {
        let message = format!("An alias with the name {arn} already exists");
        return Err(Refusal::new("AlreadyExistsException", message));
    }
    if !exists && call.operation == "UpdateAlias" {
        return Err(Refusal::new("NotFoundException", format!("Alias {arn} is not found.")));
    }
    let id = kms.resolve(&target).unwrap_or(&target).to_owned();
    let key_arn = key_arn(&account, &call.scope.region, &id);
    match kms.keys.get(&id) {
        None => {
            return Err(Refusal::new(
                "NotFoundException",
                format!("Key '{key_arn}' does not exist"),
            ));
        }
        Some(key) if key.deletion.is_some() => return Err(pending(&key_arn)),
        Some(_) => {}
    }
    let created = kms.aliases.get(&name).map_or(now, |alias| alias.created);
    let alias = Alias {
        key: id,
        created,
        updated: now,
    };
    kms.aliases.insert(name, alias);
    Ok(json!({}))
}

fn delete_alias(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: OfAlias = json::input(call)?;
    let arn = alias_arn(&scene.account.id, &call.scope.region, &input.alias_name);
    let kms = &mut scene.account.region(&call.scope.region).kms;
    match kms.aliases.remove(&input.alias_name) {
        Some(_) => Ok(json!({})),
        None => Err(Refusal::new("NotFoundException", format!("Alias {arn} is not found."))),
    }
}

fn list_aliases(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: List = json::input(call)?;
    let account = scene.account.id.clone();
    let kms = &scene.account.region(&call.scope.region).kms;
    let key = input.key_id.as_deref().and_then(|name| kms.resolve(name));
    let wanted = |alias: &Alias| key.is_none_or(|key| alias.key == key);
    let found = kms.aliases.iter().filter(|(_, alias)| wanted(alias));
    let limit = input.limit.unwrap_or(50);
    let page = page::cut(found, |(name, _)| (*name).clone(), limit, input.marker.as_deref())
        .map_err(|_| Refusal::new("InvalidMarkerException", "Could not deserialize marker"))?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|(name, alias)| {
            json!({
                "AliasName": name,
                "AliasArn": alias_arn(&account, &call.scope.region, name),
                "TargetKeyId": alias.key,
                "CreationDate": tags::epoch(alias.created),
                "LastUpdatedDate": tags::epoch(alias.updated),
            })
        })
        .collect();
    Ok(with_marker(json!({"Aliases": list, "Truncated": false}), page.next))
}

fn list_keys(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: List = json::input(call)?;
    let account = scene.account.id.clone();
    let kms = &scene.account.region(&call.scope.region).kms;
    let limit = input.limit.unwrap_or(100);
    let page = page::cut(kms.keys.keys(), |id| (*id).clone(), limit, input.marker.as_deref())
        .map_err(|_| Refusal::new("InvalidMarkerException", "Could not deserialize marker"))?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|id| json!({"KeyId": id, "KeyArn": key_arn(&account, &call.scope.region, id)}))
        .collect();
    Ok(with_marker(json!({"Keys": list, "Truncated": false}), page.next))
}

fn with_marker(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["Truncated"] = json!(true);
        output["NextMarker"] = json!(next);
    }
    output
}

fn metadata(account: &str, region: &str, id: &str, key: &Key) -> Value {
    let mut output = json!({
        "AWSAccountId": account,
        "KeyId": id,
        "Arn": key_arn(account, region, id),
        "CreationDate": tags::epoch(key.created),
        "Enabled": key.deletion.is_none(),
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": if key.deletion.is_none() { "Enabled" } else { "PendingDeletion" },
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let Some(at) = key.deletion {
        output["DeletionDate"] = json!(tags::epoch(at));
    }
    output
}

fn pending(arn: &str) -> Refusal {
    Refusal::new("KMSInvalidStateException", format!("{arn} is pending deletion."))
}

fn in_days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

fn key_arn(account: &str, region: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

fn alias_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:{name}")
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::World;

    fn key(world: &mut World) -> String {
        let tags = r#"{"Tags": [{"TagKey": "tubectl:stack", "TagValue": "tube"}]}"#;
        let created = world.json("kms", "CreateKey", tags).ok().value();
        created["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_key_is_found_by_its_alias() {
        let mut world = World::new();
        let id = key(&mut world);
        let alias = format!(r#"{{"AliasName": "alias/eks/tube", "TargetKeyId": "{id}"}}"#);
        world.json("kms", "CreateAlias", &alias).ok();
        world
            .json("kms", "CreateAlias", &alias)
            .refused_json(400, "AlreadyExistsException");
        world
            .json("kms", "DescribeKey", r#"{"KeyId": "alias/eks/tube"}"#)
            .ok()
            .has(&id);
        world.json("kms", "ListAliases", "{}").ok().has("alias/eks/tube");
        let of_key = format!(r#"{{"KeyId": "{id}"}}"#);
        world.json("kms", "EnableKeyRotation", &of_key).ok();
        world
            .json("kms", "GetKeyRotationStatus", &of_key)
            .ok()
            .has(r#""KeyRotationEnabled":true"#);
        world
            .json("kms", "ListResourceTags", &of_key)
            .ok()
            .has(r#"{"TagKey":"tubectl:stack","TagValue":"tube"}"#);
    }

    #[test]
    fn a_key_is_only_scheduled_for_deletion_and_gone_when_its_time_is_over() {
        let mut world = World::new();
        let id = key(&mut world);
        let schedule = format!(r#"{{"KeyId": "{id}", "PendingWindowInDays": 7}}"#);
        world
            .json("kms", "ScheduleKeyDeletion", &schedule)
            .ok()
            .has("PendingDeletion");
        world
            .json("kms", "ScheduleKeyDeletion", &schedule)
            .refused_json(400, "KMSInvalidStateException");
        let of_key = format!(r#"{{"KeyId": "{id}"}}"#);
        world.json("kms", "DescribeKey", &of_key).ok().has("PendingDeletion");
        world.wait(7 * 24 * 3600);
        world
            .json("kms", "DescribeKey", &of_key)
            .refused_json(400, "NotFoundException");
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |operation: &str, body: &str, code: &str| {
            World::new().json("kms", operation, body).refused_json(400, code);
        };
        World::new()
            .json("kms", "DescribeKey", r#"{"KeyId": "alias/none"}"#)
            .refused_json(400, "NotFoundException")
            .has("Alias arn:aws:kms:eu-west-1:123456789012:alias/none is not found.");
        check(
            "DescribeKey",
            r#"{"KeyId": "x", "PendingWindowInDays": 7}"#,
            "ValidationException",
        );
        check(
            "CreateAlias",
            r#"{"AliasName": "eks/tube", "TargetKeyId": "x"}"#,
            "InvalidAliasNameException",
        );
        check("DeleteAlias", r#"{"AliasName": "alias/none"}"#, "NotFoundException");
        check("CreateKey", r#"{"KeySpec": "RSA_2048"}"#, "ValidationException");
        check("Encrypt", "{}", "UnknownOperationException");
    }
}
