//! Who owns what: four tags on everything, matched exactly, never by substring.

use std::collections::BTreeMap;

use crate::resource::id::ResourceId;

/// Tags: values by key.
pub type Tags = BTreeMap<String, String>;

/// The tag that names the stack.
pub const STACK: &str = "tubectl:stack";

/// The tag that names the instance of the stack: two stacks of one name in one account are told apart by it.
pub const INSTANCE: &str = "tubectl:instance";

/// The tag that names the region of the stack: what IAM and S3 have is seen from every region of the account.
pub const REGION: &str = "tubectl:region";

/// The tag that names the resource within its stack.
pub const ID: &str = "tubectl:id";

/// The stack instance that owns things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The stack's name.
    pub stack: String,
    /// The instance's short id.
    pub instance: String,
    /// The region that it stands in.
    pub region: String,
}

impl Owner {
    /// The tags of a resource: those of ownership, and its own.
    pub fn tags(&self, id: &ResourceId, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut tags = own.clone();
        tags.insert(STACK.to_owned(), self.stack.clone());
        tags.insert(INSTANCE.to_owned(), self.instance.clone());
        tags.insert(REGION.to_owned(), self.region.clone());
        tags.insert(ID.to_owned(), id.to_string());
        tags
    }

    /// What the tags say that a resource of this owner is; none when it is not theirs.
    pub fn identify(&self, tags: &BTreeMap<String, String>) -> Option<ResourceId> {
        let is = |tag: &str, value: &str| tags.get(tag).is_some_and(|found| found == value);
        (is(STACK, &self.stack) && is(INSTANCE, &self.instance) && is(REGION, &self.region))
            .then(|| tags.get(ID).map(ResourceId::from_text))
            .flatten()
    }
}

/// The instance that tags name, if they are of that stack in that region.
pub fn instance(tags: &BTreeMap<String, String>, stack: &str, region: &str) -> Option<String> {
    let is = |tag: &str, value: &str| tags.get(tag).is_some_and(|found| found == value);
    (is(STACK, stack) && is(REGION, region))
        .then(|| tags.get(INSTANCE).cloned())
        .flatten()
}

/// The tags that are the resource's own: not of ownership, not AWS's.
pub fn own(tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = |name: &str| name.starts_with("tubectl:") || name.starts_with("aws:");
    tags.into_iter().filter(|(name, _)| !ours(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_of_nearly_the_same_name_is_a_stranger() {
        let owner = |stack: &str, instance: &str, region: &str| Owner {
            stack: stack.to_owned(),
            instance: instance.to_owned(),
            region: region.to_owned(),
        };
        let tube = owner("tube", "a1b2c3", "eu-west-1");
        let id = ResourceId::new("vpc", "main");
        let tags = tube.tags(&id, &BTreeMap::new());
        assert_eq!(tube.identify(&tags), Some(id));
        for (stack, instance, region) in [
            ("tube-2", "a1b2c3", "eu-west-1"),
            ("tube", "a1b2c", "eu-west-1"),
            ("tub", "a1b2c3", "eu-west-1"),
            ("tube", "a1b2c34", "eu-west-1"),
            ("tube", "a1b2c3", "us-east-1"),
        ] {
            let neighbour = owner(stack, instance, region);
            assert_eq!(neighbour.identify(&tags), None, "{stack} {instance} {region}");
        }
    }
}
