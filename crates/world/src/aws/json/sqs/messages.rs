//! Messages: sent, received for a while, deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use md5::Digest as _;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json;
use crate::aws::json::sqs::queue;
use crate::aws::later;
use crate::content::hex;

/// A message in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) sent: Timestamp,
    pub(super) visible: Timestamp,
    pub(super) received: u32,
    pub(super) first_received: Option<Timestamp>,
    pub(super) receipt: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Send {
    queue_url: String,
    message_body: String,
    delay_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Receive {
    queue_url: String,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    wait_time_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DeleteMessage {
    queue_url: String,
    receipt_handle: String,
}

pub(super) fn send(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Send = json::input(call)?;
    let now = scene.now;
    let sqs = &mut scene.account.region(&call.scope.region).sqs;
    let queue = sqs.find(&input.queue_url, now)?;
    let longest = queue.attribute("MaximumMessageSize").parse().unwrap_or(usize::MAX);
    if input.message_body.is_empty() || input.message_body.len() > longest {
        let message = format!(
            "The message body has {} bytes; 1 to {longest} are allowed",
            input.message_body.len()
        );
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let delay = input
        .delay_seconds
        .map_or_else(|| queue.seconds("DelaySeconds"), Duration::from_secs);
    let id = queue.put(&input.message_body, now, delay, scene.random);
    Ok(json!({"MessageId": id, "MD5OfMessageBody": md5_of(&input.message_body)}))
}

pub(super) fn receive(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: Receive = json::input(call)?;
    let count = input.max_number_of_messages.unwrap_or(1);
    let wait = input.wait_time_seconds.unwrap_or(0);
    if !(1..=10).contains(&count) || wait > 20 {
        let message = format!("1 to 10 messages and a wait of 0 to 20 seconds, not {count} and {wait}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let now = scene.now;
    let sqs = &mut scene.account.region(&call.scope.region).sqs;
    let queue = sqs.find(&input.queue_url, now)?;
    let timeout = input
        .visibility_timeout
        .map_or_else(|| queue.seconds("VisibilityTimeout"), Duration::from_secs);
    let mut asked = input.attribute_names;
    asked.extend(input.message_system_attribute_names);
    let mut messages = Vec::new();
    let visible = queue.messages.iter_mut().filter(|message| message.visible <= now);
    for message in visible.take(count) {
        let receipt = scene.random.hex(40);
        message.receipt = Some(receipt.clone());
        message.received += 1;
        message.visible = later(now, timeout);
        let first = *message.first_received.get_or_insert(now);
        let mut output = json!({
            "MessageId": message.id,
            "ReceiptHandle": receipt,
            "MD5OfBody": md5_of(&message.body),
            "Body": message.body,
        });
        let system: BTreeMap<&str, String> = [
            ("SentTimestamp", message.sent.as_millisecond().to_string()),
            ("ApproximateReceiveCount", message.received.to_string()),
            ("ApproximateFirstReceiveTimestamp", first.as_millisecond().to_string()),
        ]
        .into_iter()
        .filter(|(name, _)| asked.iter().any(|asked| asked == "All" || asked == name))
        .collect();
        if !system.is_empty() {
            output["Attributes"] = json!(system);
        }
        messages.push(output);
    }
    // Messages carry no attributes of their own here, whichever were asked for.
    drop(input.message_attribute_names);
    Ok(if messages.is_empty() {
        json!({})
    } else {
        json!({"Messages": messages})
    })
}

pub(super) fn delete(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Value, Refusal> {
    let input: DeleteMessage = json::input(call)?;
    let queue = queue(scene, call, &input.queue_url)?;
    let receipt = &input.receipt_handle;
    if receipt.len() != 40 || !receipt.chars().all(|c| c.is_ascii_hexdigit()) {
        let message = format!("The input receipt handle \"{receipt}\" is not a valid receipt handle.");
        return Err(Refusal::new("ReceiptHandleIsInvalid", message));
    }
    queue
        .messages
        .retain(|message| message.receipt.as_ref() != Some(receipt));
    Ok(json!({}))
}

fn md5_of(text: &str) -> String {
    hex(&md5::Md5::digest(text.as_bytes()))
}
