//! `EventBridge`: rules of the default bus and their targets. Events that fit a rule go to the queues that it names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Region;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::tags;
use crate::aws::json::tags::Tag;
use crate::aws::json::tags::Tags;
use crate::aws::page;
use crate::core::Response;
use crate::random::Random;

/// Rules of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Events {
    rules: BTreeMap<String, Rule>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rule {
    pattern: Option<String>,
    schedule: Option<String>,
    description: Option<String>,
    role: Option<String>,
    state: State,
    tags: Tags,
    // Their ARNs by id.
    targets: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    #[default]
    Enabled,
    Disabled,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PutRule {
    name: String,
    schedule_expression: Option<String>,
    event_pattern: Option<String>,
    #[serde(default)]
    state: State,
    description: Option<String>,
    role_arn: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Named {
    name: String,
    event_bus_name: Option<String>,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ListRules {
    name_prefix: Option<String>,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PutTargets {
    rule: String,
    event_bus_name: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Target {
    id: String,
    arn: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RemoveTargets {
    rule: String,
    event_bus_name: Option<String>,
    ids: Vec<String>,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ListTargets {
    rule: String,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagging {
    #[serde(rename = "ResourceARN")]
    resource: String,
    #[serde(default, rename = "Tags")]
    tags: Vec<Tag>,
    #[serde(default, rename = "TagKeys")]
    keys: Vec<String>,
}

impl Events {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        if !self.rules.is_empty() {
            let names = self.rules.keys().cloned();
            found.entry("events/rule".to_owned()).or_default().extend(names);
        }
    }

    fn find(&mut self, name: &str) -> Result<&mut Rule, Refusal> {
        self.rules.get_mut(name).ok_or_else(|| {
            let message = format!("Rule {name} does not exist on EventBus default.");
            Refusal::new("ResourceNotFoundException", message)
        })
    }
}

/// Puts an event on a region's bus: every enabled rule that it fits hands it to its queues.
pub(crate) fn publish(region: &mut Region, event: &Value, now: Timestamp, random: &mut Random) {
    let fits = |rule: &&Rule| {
        let pattern = rule.pattern.as_deref().and_then(|text| serde_json::from_str(text).ok());
        rule.state == State::Enabled && pattern.is_some_and(|pattern| matches(&pattern, event))
    };
    let rules = region.events.rules.values().filter(fits);
    let targets: Vec<String> = rules.flat_map(|rule| rule.targets.values().cloned()).collect();
    for arn in targets {
        if let Some((_, name)) = arn.rsplit_once(':').filter(|_| arn.starts_with("arn:aws:sqs:")) {
            region.sqs.put(name, &event.to_string(), now, random);
        }
    }
}

/// Whether an event has, for every member of a pattern, one of the values that the pattern lists.
fn matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(members) => members.iter().all(|(name, pattern)| matches(pattern, &event[name])),
        Value::Array(values) => match event {
            Value::Array(items) => items.iter().any(|item| values.contains(item)),
            single => values.iter().any(|value| fits(value, single)),
        },
        _ => false,
    }
}

fn fits(wanted: &Value, found: &Value) -> bool {
    match wanted["prefix"].as_str() {
        Some(prefix) => found.as_str().is_some_and(|found| found.starts_with(prefix)),
        None => wanted == found,
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let output = match &*call.operation {
        "PutRule" => put_rule(scene, call),
        "DescribeRule" => describe_rule(scene, call),
        "ListRules" => list_rules(scene, call),
        "DeleteRule" => delete_rule(scene, call),
        "PutTargets" => put_targets(scene, call),
        "RemoveTargets" => remove_targets(scene, call),
        "ListTargetsByRule" => list_targets(scene, call),
        "TagResource" | "UntagResource" | "ListTagsForResource" => tag(scene, call),
        _ => Err(Refusal::unknown_operation(call)),
    }?;
    Ok(json::answer(call, &output))
}

fn events<'a>(scene: &'a mut Scene<'_>, call: &Call<'_>) -> &'a mut Events {
    &mut scene.account.region(&call.scope.region).events
}

/// There is the default bus and no other.
fn check_bus(bus: Option<&str>) -> Result<(), Refusal> {
    match bus {
        None | Some("default") => Ok(()),
        Some(bus) => Err(Refusal::new(
            "ResourceNotFoundException",
            format!("Event bus {bus} does not exist."),
        )),
    }
}

fn put_rule(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: PutRule = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if input.name.is_empty() || input.name.len() > 64 || !input.name.chars().all(allowed) {
        let message = format!(
            "1 validation error detected: Value '{}' at 'name' failed to satisfy constraint",
            input.name
        );
        return Err(Refusal::new("ValidationException", message));
    }
    if input.event_pattern.is_none() && input.schedule_expression.is_none() {
        let message = "Parameter(s) EventPattern or ScheduleExpression must be specified.";
        return Err(Refusal::new("ValidationException", message));
    }
    if let Some(pattern) = &input.event_pattern {
        check_pattern(pattern)?;
    }
    let arn = rule_arn(&scene.account.id, &call.scope.region, &input.name);
    let rules = &mut events(scene, call).rules;
    let before = rules.remove(&input.name);
    let rule = Rule {
        pattern: input.event_pattern,
        schedule: input.schedule_expression,
        description: input.description,
        role: input.role_arn,
        state: input.state,
        // Tags of a rule that exists are changed with TagResource only.
        tags: before
            .as_ref()
            .map_or_else(|| tags::from_list(input.tags), |rule| rule.tags.clone()),
        targets: before.map(|rule| rule.targets).unwrap_or_default(),
    };
    rules.insert(input.name, rule);
    Ok(json!({"RuleArn": arn}))
}

fn check_pattern(text: &str) -> Result<(), Refusal> {
    fn is_pattern(value: &Value) -> bool {
        match value {
            Value::Object(members) => !members.is_empty() && members.values().all(is_pattern),
            Value::Array(values) => !values.is_empty(),
            _ => false,
        }
    }
    match serde_json::from_str::<Value>(text) {
        Ok(pattern @ Value::Object(_)) if is_pattern(&pattern) => Ok(()),
        _ => Err(Refusal::new(
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: every member is a list of values or an object of such members",
        )),
    }
}

fn describe_rule(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Named = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let account = scene.account.id.clone();
    let rule = events(scene, call).find(&input.name)?;
    let mut output = described(&account, &call.scope.region, &input.name, rule);
    output["CreatedBy"] = json!(account);
    Ok(output)
}

fn list_rules(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: ListRules = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let account = scene.account.id.clone();
    let prefix = input.name_prefix.unwrap_or_default();
    let rules = events(scene, call).rules.iter();
    let rules = rules.filter(|(name, _)| name.starts_with(&prefix));
    let limit = input.limit.unwrap_or(100);
    let page =
        page::cut(rules, |(name, _)| (*name).clone(), limit, input.next_token.as_deref()).map_err(|_| bad_token())?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|(name, rule)| described(&account, &call.scope.region, name, rule))
        .collect();
    Ok(with_token(json!({"Rules": list}), page.next))
}

fn described(account: &str, region: &str, name: &str, rule: &Rule) -> Value {
    let mut output = json!({
        "Name": name,
        "Arn": rule_arn(account, region, name),
        "State": rule.state,
        "EventBusName": "default",
    });
    let optional = [
        ("EventPattern", &rule.pattern),
        ("ScheduleExpression", &rule.schedule),
        ("Description", &rule.description),
        ("RoleArn", &rule.role),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            output[member] = json!(value);
        }
    }
    output
}

fn delete_rule(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Named = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let events = events(scene, call);
    // `Force` is for rules that a service manages, and there are none.
    let _ = input.force;
    if events
        .rules
        .get(&input.name)
        .is_some_and(|rule| !rule.targets.is_empty())
    {
        return Err(Refusal::new(
            "ValidationException",
            "Rule can't be deleted since it has targets.",
        ));
    }
    // AWS does not mind a rule that is not there.
    events.rules.remove(&input.name);
    Ok(json!({}))
}

fn put_targets(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: PutTargets = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let rule = events(scene, call).find(&input.rule)?;
    let mut targets = rule.targets.clone();
    targets.extend(input.targets.into_iter().map(|target| (target.id, target.arn)));
    if targets.len() > 5 {
        return Err(Refusal::new(
            "LimitExceededException",
            "The requested resource exceeds the maximum number allowed.",
        ));
    }
    rule.targets = targets;
    Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
}

fn remove_targets(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: RemoveTargets = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let _ = input.force;
    let rule = events(scene, call).find(&input.rule)?;
    let mut failed = Vec::new();
    for id in input.ids {
        if rule.targets.remove(&id).is_none() {
            failed.push(json!({
                "TargetId": id,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": format!("Rule {} does not have a target with the Id {id}", input.rule),
            }));
        }
    }
    Ok(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed}))
}

fn list_targets(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: ListTargets = json::input(call)?;
    check_bus(input.event_bus_name.as_deref())?;
    let rule = events(scene, call).find(&input.rule)?;
    let limit = input.limit.unwrap_or(100);
    let page = page::cut(
        &rule.targets,
        |(id, _)| (*id).clone(),
        limit,
        input.next_token.as_deref(),
    )
    .map_err(|_| bad_token())?;
    let list: Vec<Value> = page
        .items
        .into_iter()
        .map(|(id, arn)| json!({"Id": id, "Arn": arn}))
        .collect();
    Ok(with_token(json!({"Targets": list}), page.next))
}

fn tag(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Tagging = json::input(call)?;
    let prefix = rule_arn(&scene.account.id, &call.scope.region, "");
    let name = input.resource.strip_prefix(&prefix).ok_or_else(|| {
        let message = format!("`{}` is no rule of this account and region", input.resource);
        Refusal::new("ResourceNotFoundException", message)
    })?;
    let rule = events(scene, call).find(name)?;
    match &*call.operation {
        "TagResource" => rule.tags.extend(tags::from_list(input.tags)),
        "UntagResource" => rule.tags.retain(|key, _| !input.keys.contains(key)),
        _ => return Ok(json!({"Tags": tags::as_list(&rule.tags, "Key", "Value")})),
    }
    Ok(json!({}))
}

fn rule_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:events:{region}:{account}:rule/{name}")
}

fn bad_token() -> Refusal {
    Refusal::new("ValidationException", "NextToken is not valid.")
}

fn with_token(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["NextToken"] = json!(next);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::wire::World;

    const RULE: &str = r#"{"Name": "spot", "EventPattern": "{\"source\":[\"aws.ec2\"],\"detail-type\":[\"EC2 Spot Instance Interruption Warning\"]}", "Tags": [{"Key": "a", "Value": "b"}]}"#;
    const TARGET: &str =
        r#"{"Rule": "spot", "Targets": [{"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:123456789012:tube"}]}"#;

    fn world() -> World {
        let mut world = World::new();
        world.json("events", "PutRule", RULE).ok().has("rule/spot");
        world
    }

    #[test]
    fn a_rule_with_targets_cannot_be_deleted() {
        let mut world = world();
        world
            .json("events", "PutTargets", TARGET)
            .ok()
            .has(r#""FailedEntryCount":0"#);
        world
            .json("events", "DeleteRule", r#"{"Name": "spot"}"#)
            .refused_json(400, "ValidationException");
        world
            .json("events", "ListTargetsByRule", r#"{"Rule": "spot"}"#)
            .ok()
            .has("sqs");
        world
            .json(
                "events",
                "RemoveTargets",
                r#"{"Rule": "spot", "Ids": ["queue", "none"]}"#,
            )
            .ok()
            .has(r#""FailedEntryCount":1"#);
        world.json("events", "DeleteRule", r#"{"Name": "spot"}"#).ok();
        world.json("events", "ListRules", "{}").ok().lacks("spot");
    }

    #[test]
    fn putting_a_rule_again_keeps_its_tags_and_targets() {
        let mut world = world();
        world.json("events", "PutTargets", TARGET).ok();
        world.json("events", "PutRule", &RULE.replace("\"b\"", "\"c\"")).ok();
        world
            .json("events", "ListTargetsByRule", r#"{"Rule": "spot"}"#)
            .ok()
            .has("queue");
        let arn = r#"{"ResourceARN": "arn:aws:events:eu-west-1:123456789012:rule/spot"}"#;
        world
            .json("events", "ListTagsForResource", arn)
            .ok()
            .has(r#""Value":"b""#);
    }

    #[test]
    fn an_event_that_fits_reaches_the_queue_and_another_does_not() {
        let mut world = world();
        world.json("events", "PutTargets", TARGET).ok();
        world.json("sqs", "CreateQueue", r#"{"QueueName": "tube"}"#).ok();
        let now = world.now;
        let region = world.core.account().region("eu-west-1");
        let mut event = |kind: &str| {
            let event = json!({"source": "aws.ec2", "detail-type": kind, "detail": {"instance-id": "i-1"}});
            publish(region, &event, now, &mut Random::new(1));
            region.sqs.take("tube", now)
        };
        assert!(event("EC2 Spot Instance Interruption Warning").unwrap().contains("i-1"));
        assert_eq!(event("EC2 Instance Rebalance Recommendation"), None);
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |operation: &str, body: &str, code: &str| {
            world().json("events", operation, body).refused_json(400, code);
        };
        check("PutRule", r#"{"Name": "a"}"#, "ValidationException");
        check(
            "PutRule",
            r#"{"Name": "a", "EventPattern": "{\"source\": 1}"}"#,
            "InvalidEventPatternException",
        );
        check(
            "PutTargets",
            &TARGET.replace("spot", "none"),
            "ResourceNotFoundException",
        );
        check("ListRules", r#"{"EventBusName": "mine"}"#, "ResourceNotFoundException");
        check(
            "PutTargets",
            r#"{"Rule": "spot", "Targets": [{"Id": "a", "Arn": "b", "Input": "c"}]}"#,
            "ValidationException",
        );
        check("PutEvents", "{}", "UnknownOperationException");
    }
}
