//! `CloudWatch` Logs: log groups and how long they keep what is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::tags::Tags;
use crate::aws::page;
use crate::core::Response;

/// The retentions that there are, in days.
const RETENTIONS: &[u32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/// Log groups of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Logs {
    groups: BTreeMap<String, Group>,
    // Writes that are still on their way: each brings its group back if that is gone by then.
    flushes: Vec<(Timestamp, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    created: Timestamp,
    retention: Option<u32>,
    key: Option<String>,
    class: Class,
    tags: Tags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Class {
    #[default]
    Standard,
    InfrequentAccess,
    Delivery,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    log_group_name: String,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    log_group_class: Class,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Named {
    log_group_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Retention {
    log_group_name: String,
    retention_in_days: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Describe {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<Class>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tagging {
    resource_arn: String,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Logs {
    /// When something of it next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.flushes.iter().map(|(at, _)| *at).min()
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        if !self.groups.is_empty() {
            let names = self.groups.keys().cloned();
            found.entry("logs/group".to_owned()).or_default().extend(names);
        }
    }

    /// Makes a group as a service does that writes logs: without retention, without tags, unless it is there.
    pub(crate) fn ensure(&mut self, name: &str, now: Timestamp) {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group {
            created: now,
            retention: None,
            key: None,
            class: Class::Standard,
            tags: Tags::new(),
        });
    }

    /// Lets a last write arrive at a later point in time.
    pub(crate) fn flush_at(&mut self, at: Timestamp, name: &str) {
        self.flushes.push((at, name.to_owned()));
    }

    fn find(&mut self, name: &str) -> Result<&mut Group, Refusal> {
        self.groups
            .get_mut(name)
            .ok_or_else(|| Refusal::new("ResourceNotFoundException", "The specified log group does not exist."))
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let output = match &*call.operation {
        "CreateLogGroup" => create(scene, call),
        "DescribeLogGroups" => describe(scene, call),
        "DeleteLogGroup" => delete(scene, call),
        "PutRetentionPolicy" => retain(scene, call),
        "DeleteRetentionPolicy" => {
            let input: Named = json::input(call)?;
            logs(scene, call).find(&input.log_group_name)?.retention = None;
            Ok(json!({}))
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => tag(scene, call),
        _ => Err(Refusal::unknown_operation(call)),
    }?;
    Ok(json::answer(call, &output))
}

/// Lets it act on what is due in one region.
pub(crate) fn advance(scene: &mut Scene<'_>, region: &str) {
    let now = scene.now;
    let logs = &mut scene.account.region(region).logs;
    let (due, ahead) = std::mem::take(&mut logs.flushes)
        .into_iter()
        .partition(|(at, _)| *at <= now);
    logs.flushes = ahead;
    let due: Vec<(Timestamp, String)> = due;
    for (at, name) in due {
        logs.ensure(&name, at);
    }
}

fn logs<'a>(scene: &'a mut Scene<'_>, call: &Call<'_>) -> &'a mut Logs {
    &mut scene.account.region(&call.scope.region).logs
}

fn create(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Create = json::input(call)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    let name = input.log_group_name;
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        let message =
            format!("1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint");
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let now = scene.now;
    let logs = logs(scene, call);
    if logs.groups.contains_key(&name) {
        return Err(Refusal::new(
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ));
    }
    let group = Group {
        created: now,
        retention: None,
        key: input.kms_key_id,
        class: input.log_group_class,
        tags: input.tags,
    };
    logs.groups.insert(name, group);
    Ok(json!({}))
}

fn describe(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Describe = json::input(call)?;
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        let message = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let account = scene.account.id.clone();
    let wanted = |name: &String, group: &Group| {
        let prefix = input.log_group_name_prefix.as_ref();
        let pattern = input.log_group_name_pattern.as_ref();
        prefix.is_none_or(|prefix| name.starts_with(prefix))
            && pattern.is_none_or(|pattern| name.to_lowercase().contains(&pattern.to_lowercase()))
            && input.log_group_class.is_none_or(|class| class == group.class)
    };
    let groups = logs(scene, call).groups.iter();
    let groups = groups.filter(|(name, group)| wanted(name, group));
    let limit = input.limit.unwrap_or(50).min(50);
    let page = page::cut(groups, |(name, _)| (*name).clone(), limit, input.next_token.as_deref())
        .map_err(|_| Refusal::new("InvalidParameterException", "The specified nextToken is invalid."))?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|(name, group)| described(&account, &call.scope.region, name, group))
        .collect();
    let mut output = json!({"logGroups": list});
    if let Some(next) = page.next {
        output["nextToken"] = json!(next);
    }
    Ok(output)
}

fn described(account: &str, region: &str, name: &str, group: &Group) -> Value {
    let arn = format!("arn:aws:logs:{region}:{account}:log-group:{name}");
    let mut output = json!({
        "logGroupName": name,
        "creationTime": group.created.as_millisecond(),
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": 0,
        "logGroupClass": group.class,
    });
    if let Some(days) = group.retention {
        output["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.key {
        output["kmsKeyId"] = json!(key);
    }
    output
}

fn delete(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Named = json::input(call)?;
    let logs = logs(scene, call);
    logs.find(&input.log_group_name)?;
    logs.groups.remove(&input.log_group_name);
    Ok(json!({}))
}

fn retain(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Retention = json::input(call)?;
    let group = logs(scene, call).find(&input.log_group_name)?;
    if !RETENTIONS.contains(&input.retention_in_days) {
        let message = format!(
            "1 validation error detected: Value '{}' at 'retentionInDays' failed to satisfy constraint: Member must \
             satisfy enum value set: {RETENTIONS:?}",
            input.retention_in_days
        );
        return Err(Refusal::new("InvalidParameterException", message));
    }
    group.retention = Some(input.retention_in_days);
    Ok(json!({}))
}

fn tag(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Tagging = json::input(call)?;
    let prefix = format!("arn:aws:logs:{}:{}:log-group:", call.scope.region, scene.account.id);
    let name = input.resource_arn.strip_prefix(&prefix).ok_or_else(|| {
        let message = format!("`{}` is no log group of this account and region", input.resource_arn);
        Refusal::new("InvalidParameterException", message)
    })?;
    let group = logs(scene, call).find(name.trim_end_matches(":*"))?;
    match &*call.operation {
        "TagResource" => group.tags.extend(input.tags),
        "UntagResource" => group.tags.retain(|key, _| !input.tag_keys.contains(key)),
        _ => return Ok(json!({"tags": group.tags})),
    }
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::World;

    const GROUP: &str = r#"{"logGroupName": "/aws/eks/tube/cluster"}"#;

    #[test]
    fn a_group_is_made_once_kept_for_days_and_deleted() {
        let mut world = World::new();
        world
            .json(
                "logs",
                "CreateLogGroup",
                r#"{"logGroupName": "/aws/eks/tube/cluster", "tags": {"a": "b"}}"#,
            )
            .ok();
        world
            .json("logs", "CreateLogGroup", GROUP)
            .refused_json(400, "ResourceAlreadyExistsException");
        world
            .json(
                "logs",
                "PutRetentionPolicy",
                r#"{"logGroupName": "/aws/eks/tube/cluster", "retentionInDays": 7}"#,
            )
            .ok();
        let found = world
            .json("logs", "DescribeLogGroups", r#"{"logGroupNamePrefix": "/aws/eks/"}"#)
            .ok();
        found.has(r#""retentionInDays":7"#);
        found.has("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/eks/tube/cluster:*");
        let arn = r#"{"resourceArn": "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/eks/tube/cluster"}"#;
        world.json("logs", "ListTagsForResource", arn).ok().has(r#""a":"b""#);
        world.json("logs", "DeleteLogGroup", GROUP).ok();
        world
            .json("logs", "DeleteLogGroup", GROUP)
            .refused_json(400, "ResourceNotFoundException");
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |operation: &str, body: &str, code: &str| {
            let mut world = World::new();
            world.json("logs", "CreateLogGroup", GROUP).ok();
            world.json("logs", operation, body).refused_json(400, code);
        };
        check(
            "CreateLogGroup",
            r#"{"logGroupName": "a b"}"#,
            "InvalidParameterException",
        );
        check(
            "CreateLogGroup",
            r#"{"logGroupName": "a", "x": 1}"#,
            "ValidationException",
        );
        let eight = r#"{"logGroupName": "/aws/eks/tube/cluster", "retentionInDays": 8}"#;
        check("PutRetentionPolicy", eight, "InvalidParameterException");
        check("PutLogEvents", "{}", "UnknownOperationException");
    }

    #[test]
    fn a_late_write_brings_a_deleted_group_back_without_retention() {
        let mut world = World::new();
        let at = crate::aws::later(world.now, std::time::Duration::from_secs(30));
        world.json("logs", "CreateLogGroup", GROUP).ok();
        let logs = &mut world.core.account().region("eu-west-1").logs;
        logs.flush_at(at, "/aws/eks/tube/cluster");
        world.json("logs", "DeleteLogGroup", GROUP).ok();
        world
            .json("logs", "DescribeLogGroups", "{}")
            .ok()
            .lacks("/aws/eks/tube");
        world.wait(31);
        world.json("logs", "DescribeLogGroups", "{}").ok().has("/aws/eks/tube");
    }
}
