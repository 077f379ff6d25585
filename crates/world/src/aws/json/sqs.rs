//! SQS: queues and the messages in them. Long polls answer at once with what is there.

mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::sqs::messages::Message;
use crate::aws::json::tags::Tags;
use crate::aws::later;
use crate::aws::page;
use crate::core::Response;
use crate::random::Random;

/// How long a deleted queue's name cannot be used again.
const NAME_REST: Duration = Duration::from_mins(1);

/// The attributes that can be set, with the value that a queue has without.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("DelaySeconds", "0"),
    ("KmsDataKeyReusePeriodSeconds", ""),
    ("KmsMasterKeyId", ""),
    ("MaximumMessageSize", "1048576"),
    ("MessageRetentionPeriod", "345600"),
    ("Policy", ""),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("RedriveAllowPolicy", ""),
    ("RedrivePolicy", ""),
    ("SqsManagedSseEnabled", "true"),
    ("VisibilityTimeout", "30"),
];

/// The ranges of those attributes that are numbers.
const RANGES: &[(&str, std::ops::RangeInclusive<u64>)] = &[
    ("DelaySeconds", 0..=900),
    ("MaximumMessageSize", 1024..=1_048_576),
    ("MessageRetentionPeriod", 60..=1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0..=20),
    ("VisibilityTimeout", 0..=43_200),
];

/// Queues of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sqs {
    queues: BTreeMap<String, Queue>,
    // When each name was given up last.
    deleted: BTreeMap<String, Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Queue {
    created: Timestamp,
    modified: Timestamp,
    // What was set; everything else is as in [`ATTRIBUTES`].
    attributes: BTreeMap<String, String>,
    tags: Tags,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    #[serde(rename = "QueueName")]
    name: String,
    #[serde(default, rename = "Attributes")]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    tags: Tags,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ByName {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct List {
    queue_name_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ByUrl {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Tagging {
    queue_url: String,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Sqs {
    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        if !self.queues.is_empty() {
            let names = self.queues.keys().cloned();
            found.entry("sqs/queue".to_owned()).or_default().extend(names);
        }
    }

    /// Puts a message into the queue of a name; false if there is no such queue.
    pub(crate) fn put(&mut self, name: &str, body: &str, now: Timestamp, random: &mut Random) -> bool {
        let Some(queue) = self.queues.get_mut(name) else {
            return false;
        };
        queue.put(body, now, Duration::ZERO, random);
        true
    }

    /// Takes a message out of the queue of a name, as a consumer that receives and deletes it.
    pub(crate) fn take(&mut self, name: &str, now: Timestamp) -> Option<String> {
        let queue = self.queues.get_mut(name)?;
        queue.forget(now);
        let found = queue.messages.iter().position(|message| message.visible <= now)?;
        Some(queue.messages.remove(found).body)
    }

    fn find(&mut self, url: &str, now: Timestamp) -> Result<&mut Queue, Refusal> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let queue = self.queues.get_mut(name).ok_or_else(unknown)?;
        queue.forget(now);
        Ok(queue)
    }
}

impl Queue {
    fn attribute(&self, name: &str) -> &str {
        let set = self.attributes.get(name).map(String::as_str);
        let default = || {
            ATTRIBUTES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        set.or_else(default).unwrap_or_default()
    }

    fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.attribute(name).parse().unwrap_or_default())
    }

    fn put(&mut self, body: &str, now: Timestamp, delay: Duration, random: &mut Random) -> String {
        let id = random.uuid();
        self.messages.push(Message {
            id: id.clone(),
            body: body.to_owned(),
            sent: now,
            visible: later(now, delay),
            received: 0,
            first_received: None,
            receipt: None,
        });
        id
    }

    /// Messages that are older than the retention period are gone.
    fn forget(&mut self, now: Timestamp) {
        let retention = self.seconds("MessageRetentionPeriod");
        self.messages.retain(|message| now < later(message.sent, retention));
    }

    fn described(&self, arn: &str, now: Timestamp) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = ATTRIBUTES
            .iter()
            .map(|(name, _)| ((*name).to_owned(), self.attribute(name).to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let count = |wanted: fn(&Message, Timestamp) -> bool| {
            let messages = self.messages.iter().filter(|message| wanted(message, now));
            messages.count().to_string()
        };
        let visible = count(|message, now| message.visible <= now);
        let delayed = count(|message, now| message.visible > now && message.received == 0);
        let taken = count(|message, now| message.visible > now && message.received > 0);
        all.extend([
            ("QueueArn".to_owned(), arn.to_owned()),
            ("CreatedTimestamp".to_owned(), self.created.as_second().to_string()),
            (
                "LastModifiedTimestamp".to_owned(),
                self.modified.as_second().to_string(),
            ),
            ("ApproximateNumberOfMessages".to_owned(), visible),
            ("ApproximateNumberOfMessagesDelayed".to_owned(), delayed),
            ("ApproximateNumberOfMessagesNotVisible".to_owned(), taken),
        ]);
        all
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let output = match &*call.operation {
        "CreateQueue" => create(scene, call),
        "GetQueueUrl" => url_of(scene, call),
        "ListQueues" => list(scene, call),
        "DeleteQueue" => delete(scene, call),
        "GetQueueAttributes" => attributes(scene, call),
        "SetQueueAttributes" => set_attributes(scene, call),
        "SendMessage" => messages::send(scene, call),
        "ReceiveMessage" => messages::receive(scene, call),
        "DeleteMessage" => messages::delete(scene, call),
        "PurgeQueue" => {
            let input: ByUrl = json::input(call)?;
            queue(scene, call, &input.queue_url)?.messages.clear();
            Ok(json!({}))
        }
        "TagQueue" | "UntagQueue" | "ListQueueTags" => tag(scene, call),
        _ => Err(Refusal::unknown_operation(call)),
    }?;
    Ok(json::answer(call, &output))
}

/// A refusal as SQS gives it: the old protocol's code in a header, the shape's name in the body.
pub(crate) fn refuse(refusal: &Refusal, call: &Call<'_>) -> Response {
    let shape = match &*refusal.code {
        "AWS.SimpleQueueService.NonExistentQueue" => "QueueDoesNotExist",
        "AWS.SimpleQueueService.QueueDeletedRecently" => "QueueDeletedRecently",
        "QueueAlreadyExists" => "QueueNameExists",
        other => other,
    };
    let inside = Refusal::with_status(refusal.status, &format!("com.amazonaws.sqs#{shape}"), &*refusal.message);
    let mut response = json::refuse(&inside, call);
    if let Ok(code) = HeaderValue::from_str(&format!("{};Sender", refusal.code)) {
        response.headers_mut().insert("x-amzn-query-error", code);
    }
    response
}

fn queue<'a>(scene: &'a mut Scene<'_>, call: &Call<'_>, url: &str) -> Result<&'a mut Queue, Refusal> {
    let now = scene.now;
    scene.account.region(&call.scope.region).sqs.find(url, now)
}

fn create(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Create = json::input(call)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if input.name.is_empty() || input.name.len() > 80 || !input.name.chars().all(allowed) {
        let message = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    check_attributes(&input.attributes)?;
    let now = scene.now;
    let url = queue_url(&scene.account.id, &call.scope.region, &input.name);
    let sqs = &mut scene.account.region(&call.scope.region).sqs;
    if let Some(existing) = sqs.queues.get(&input.name) {
        let differs = |(name, value): &(&String, &String)| existing.attribute(name) != value.as_str();
        return match input.attributes.iter().find(differs) {
            None => Ok(json!({"QueueUrl": url})),
            Some((name, _)) => Err(Refusal::new(
                "QueueAlreadyExists",
                format!("A queue already exists with the same name and a different value for attribute {name}"),
            )),
        };
    }
    if sqs
        .deleted
        .get(&input.name)
        .is_some_and(|at| now < later(*at, NAME_REST))
    {
        let message =
            "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
        return Err(Refusal::new("AWS.SimpleQueueService.QueueDeletedRecently", message));
    }
    sqs.deleted.remove(&input.name);
    let queue = Queue {
        created: now,
        modified: now,
        attributes: input.attributes,
        tags: input.tags,
        messages: Vec::new(),
    };
    sqs.queues.insert(input.name, queue);
    Ok(json!({"QueueUrl": url}))
}

fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (name, value) in attributes {
        if !ATTRIBUTES.iter().any(|(known, _)| known == name) {
            return Err(Refusal::new(
                "InvalidAttributeName",
                format!("Unknown Attribute {name}."),
            ));
        }
        let range = RANGES.iter().find(|(known, _)| known == name).map(|(_, range)| range);
        let in_range = range.is_none_or(|range| value.parse().is_ok_and(|value: u64| range.contains(&value)));
        let is_policy = name.ends_with("Policy") && !value.is_empty();
        if !in_range || is_policy && serde_json::from_str::<Value>(value).is_err() {
            let message = format!("Invalid value for the parameter {name}.");
            return Err(Refusal::new("InvalidAttributeValue", message));
        }
    }
    Ok(())
}

fn url_of(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: ByName = json::input(call)?;
    if input.owner.is_some_and(|owner| owner != scene.account.id) {
        return Err(unknown());
    }
    let url = queue_url(&scene.account.id, &call.scope.region, &input.queue_name);
    queue(scene, call, &url)?;
    Ok(json!({"QueueUrl": url}))
}

fn list(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: List = json::input(call)?;
    let account = scene.account.id.clone();
    let prefix = input.queue_name_prefix.unwrap_or_default();
    let names = scene.account.region(&call.scope.region).sqs.queues.keys();
    let names = names.filter(|name| name.starts_with(&prefix));
    let limit = input.max_results.unwrap_or(1000);
    let page = page::cut(names, |name| (*name).clone(), limit, input.next_token.as_deref())
        .map_err(|_| Refusal::new("InvalidParameterValue", "Invalid or expired next token."))?;
    let urls: Vec<String> = page
        .items
        .into_iter()
        .map(|name| queue_url(&account, &call.scope.region, name))
        .collect();
    let mut output = json!({});
    if !urls.is_empty() {
        output["QueueUrls"] = json!(urls);
    }
    if let Some(next) = page.next {
        output["NextToken"] = json!(next);
    }
    Ok(output)
}

fn delete(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: ByUrl = json::input(call)?;
    queue(scene, call, &input.queue_url)?;
    let now = scene.now;
    let sqs = &mut scene.account.region(&call.scope.region).sqs;
    let name = input.queue_url.rsplit('/').next().unwrap_or_default();
    sqs.queues.remove(name);
    sqs.deleted.insert(name.to_owned(), now);
    Ok(json!({}))
}

fn attributes(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: GetAttributes = json::input(call)?;
    let name = input.queue_url.rsplit('/').next().unwrap_or_default();
    let arn = format!("arn:aws:sqs:{}:{}:{name}", call.scope.region, scene.account.id);
    let now = scene.now;
    let all = queue(scene, call, &input.queue_url)?.described(&arn, now);
    let asked = &input.attribute_names;
    let known = |name: &String| all.contains_key(name) || ATTRIBUTES.iter().any(|(known, _)| known == name);
    if let Some(unknown) = asked.iter().find(|name| *name != "All" && !known(name)) {
        return Err(Refusal::new(
            "InvalidAttributeName",
            format!("Unknown Attribute {unknown}."),
        ));
    }
    let everything = asked.iter().any(|name| name == "All");
    let found: BTreeMap<String, String> = all
        .into_iter()
        .filter(|(name, _)| everything || asked.contains(name))
        .collect();
    Ok(if found.is_empty() {
        json!({})
    } else {
        json!({"Attributes": found})
    })
}

fn set_attributes(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: SetAttributes = json::input(call)?;
    check_attributes(&input.attributes)?;
    let now = scene.now;
    let queue = queue(scene, call, &input.queue_url)?;
    queue.attributes.extend(input.attributes);
    queue.modified = now;
    Ok(json!({}))
}

fn tag(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Tagging = json::input(call)?;
    let queue = queue(scene, call, &input.queue_url)?;
    match &*call.operation {
        "TagQueue" => queue.tags.extend(input.tags),
        "UntagQueue" => queue.tags.retain(|key, _| !input.tag_keys.contains(key)),
        _ if queue.tags.is_empty() => {}
        _ => return Ok(json!({"Tags": queue.tags})),
    }
    Ok(json!({}))
}

fn queue_url(account: &str, region: &str, name: &str) -> String {
    format!("https://sqs.{region}.amazonaws.com/{account}/{name}")
}

fn unknown() -> Refusal {
    Refusal::new(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::World;

    const QUEUE: &str = r#"{"QueueName": "tube", "Attributes": {"MessageRetentionPeriod": "300"}, "tags": {"a": "b"}}"#;
    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/tube";

    fn of(rest: &str) -> String {
        format!(r#"{{"QueueUrl": "{URL}"{rest}}}"#)
    }

    fn world() -> World {
        let mut world = World::new();
        world.json("sqs", "CreateQueue", QUEUE).ok().has(URL);
        world
    }

    #[test]
    fn a_queue_is_created_again_only_with_the_same_attributes() {
        let mut world = world();
        world.json("sqs", "CreateQueue", QUEUE).ok().has(URL);
        let other = QUEUE.replace("300", "600");
        world
            .json("sqs", "CreateQueue", &other)
            .refused_json(400, "com.amazonaws.sqs#QueueNameExists");
    }

    #[test]
    fn the_name_of_a_deleted_queue_rests_for_a_minute() {
        let mut world = world();
        world.json("sqs", "DeleteQueue", &of("")).ok();
        world
            .json("sqs", "GetQueueUrl", r#"{"QueueName": "tube"}"#)
            .refused_json(400, "com.amazonaws.sqs#QueueDoesNotExist");
        world.wait(59);
        world
            .json("sqs", "CreateQueue", QUEUE)
            .refused_json(400, "com.amazonaws.sqs#QueueDeletedRecently");
        world.wait(1);
        world.json("sqs", "CreateQueue", QUEUE).ok();
    }

    #[test]
    fn refusals_carry_the_code_of_the_old_protocol() {
        let mut world = World::new();
        let request = crate::aws::wire::signed("sqs")
            .method("POST")
            .header("x-amz-target", "AmazonSQS.GetQueueUrl")
            .body(bytes::Bytes::from_static(br#"{"QueueName": "none"}"#))
            .unwrap();
        let refused = world.reply(request);
        assert_eq!(
            refused.headers()["x-amzn-query-error"],
            "AWS.SimpleQueueService.NonExistentQueue;Sender"
        );
    }

    #[test]
    fn a_message_hides_while_it_is_worked_on_and_comes_back() {
        let mut world = world();
        world
            .json("sqs", "SendMessage", &of(r#", "MessageBody": "hello""#))
            .ok();
        let received = world.json("sqs", "ReceiveMessage", &of("")).ok();
        received.has("5d41402abc4b2a76b9719d911017c592");
        world.json("sqs", "ReceiveMessage", &of("")).ok().lacks("hello");
        world.wait(30);
        let again = world.json("sqs", "ReceiveMessage", &of("")).ok().value();
        let receipt = again["Messages"][0]["ReceiptHandle"].as_str().unwrap();
        world
            .json(
                "sqs",
                "DeleteMessage",
                &of(&format!(r#", "ReceiptHandle": "{receipt}""#)),
            )
            .ok();
        world.wait(30);
        world.json("sqs", "ReceiveMessage", &of("")).ok().lacks("hello");
    }

    #[test]
    fn a_message_is_forgotten_after_the_retention_period() {
        let mut world = world();
        world
            .json("sqs", "SendMessage", &of(r#", "MessageBody": "hello""#))
            .ok();
        world.wait(300);
        world
            .json("sqs", "GetQueueAttributes", &of(r#", "AttributeNames": ["All"]"#))
            .ok()
            .has(r#""ApproximateNumberOfMessages":"0""#);
    }

    #[test]
    fn attributes_are_read_as_they_were_set() {
        let mut world = world();
        let policy = of(r#", "Attributes": {"Policy": "{\"Version\":\"2012-10-17\"}"}"#);
        world.json("sqs", "SetQueueAttributes", &policy).ok();
        let all = world
            .json("sqs", "GetQueueAttributes", &of(r#", "AttributeNames": ["All"]"#))
            .ok();
        all.has(r#""Policy":"{\"Version\":\"2012-10-17\"}""#);
        all.has(r#""QueueArn":"arn:aws:sqs:eu-west-1:123456789012:tube""#);
        all.has(r#""SqsManagedSseEnabled":"true""#);
        world.json("sqs", "ListQueueTags", &of("")).ok().has(r#""a":"b""#);
        world.json("sqs", "ListQueues", "{}").ok().has(URL);
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |operation: &str, body: &str, code: &str| {
            let code = format!("com.amazonaws.sqs#{code}");
            world().json("sqs", operation, body).refused_json(400, &code);
        };
        check("CreateQueue", r#"{"QueueName": "a b"}"#, "InvalidParameterValue");
        check(
            "CreateQueue",
            r#"{"QueueName": "a", "Attributes": {"Colour": "red"}}"#,
            "InvalidAttributeName",
        );
        let hour = r#"{"QueueName": "a", "Attributes": {"MessageRetentionPeriod": "1"}}"#;
        check("CreateQueue", hour, "InvalidAttributeValue");
        check(
            "DeleteMessage",
            &of(r#", "ReceiptHandle": "x""#),
            "ReceiptHandleIsInvalid",
        );
        check(
            "SendMessage",
            &of(r#", "MessageBody": "x", "Colour": "red""#),
            "ValidationException",
        );
    }
}
