//! Tags as the JSON services write them, and points in time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

/// A resource's tags.
pub(crate) type Tags = BTreeMap<String, String>;

/// One tag of a list of keys and values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Tag {
    #[serde(alias = "TagKey")]
    pub(super) key: String,
    #[serde(alias = "TagValue", default)]
    pub(super) value: String,
}

/// The tags of a list; the last of two equal keys wins.
pub(super) fn from_list(list: Vec<Tag>) -> Tags {
    list.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Tags as a list whose members have these names.
pub(super) fn as_list(tags: &Tags, key: &str, value: &str) -> Value {
    tags.iter().map(|(k, v)| json!({key: k, value: v})).collect()
}

/// A point in time as JSON protocols write it: seconds since 1970, with a fraction.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit into a float for many thousand years"
)]
pub(crate) fn epoch(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
