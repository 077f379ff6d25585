//! Tags: names and values that the account puts on its resources.

use std::collections::BTreeMap;

use crate::aws::Refusal;

/// The tags of one resource.
pub(crate) type Tags = BTreeMap<String, String>;

/// AWS's own limits, which nearly all services share.
const MOST: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// Refuses tags that AWS would refuse, with the code that the service uses for it.
pub(crate) fn check(tags: &Tags, code: &str) -> Result<(), Refusal> {
    if tags.len() > MOST {
        return Err(Refusal::new(
            code,
            format!("The maximum number of tags, {MOST}, has been reached."),
        ));
    }
    for (key, value) in tags {
        let trouble = if key.is_empty() || key.chars().count() > LONGEST_KEY {
            format!("Tag key `{key}` must have 1 to {LONGEST_KEY} characters.")
        } else if key.starts_with("aws:") {
            format!("Tag keys starting with 'aws:' are reserved for internal use: `{key}`")
        } else if value.chars().count() > LONGEST_VALUE {
            format!("The value of tag `{key}` exceeds {LONGEST_VALUE} characters.")
        } else {
            continue;
        };
        return Err(Refusal::new(code, trouble));
    }
    Ok(())
}
