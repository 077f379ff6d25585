//! Tags after creation: set, taken off, listed.

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Filters;
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::read_tags;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::tags;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("CreateTags", "ResourceId.#! Tag.#.Key! Tag.#.Value", create),
    operation("DeleteTags", "ResourceId.#! Tag.#.Key Tag.#.Value", delete),
    operation("DescribeTags", "@filters @pages", describe),
];

/// The resource types by how their ids begin, longest first where one begins another.
const TYPES: &[(&str, &str)] = &[
    ("vpce-", "vpc-endpoint"),
    ("vpc-", "vpc"),
    ("subnet-", "subnet"),
    ("igw-", "internet-gateway"),
    ("eipalloc-", "elastic-ip"),
    ("nat-", "natgateway"),
    ("rtb-", "route-table"),
    ("sgr-", "security-group-rule"),
    ("sg-", "security-group"),
    ("eni-", "network-interface"),
    ("lt-", "launch-template"),
    ("i-", "instance"),
    ("vol-", "volume"),
    ("acl-", "network-acl"),
];

fn type_of(id: &str) -> &'static str {
    TYPES
        .iter()
        .find(|(prefix, _)| id.starts_with(prefix))
        .map_or("", |(_, name)| name)
}

/// The ids that the call lists, all of which must be there to be tagged.
fn targets<'a>(site: &mut Site<'_>, form: &Form<'a>) -> Result<Vec<&'a str>, Refusal> {
    let ids = form.texts("ResourceId");
    let now = site.now;
    let ec2 = site.ec2();
    match ids.iter().find(|id| !(ec2.shows(id, now) && ec2.has(id))) {
        Some(id) => Err(Ec2::missing(id)),
        None => Ok(ids),
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    tags::check(&added, "InvalidParameterValue")?;
    for id in targets(site, form)? {
        let known = site.ec2().tags.entry(id.to_owned()).or_default();
        let mut together = known.clone();
        together.extend(added.clone());
        if together.keys().filter(|key| !key.starts_with("aws:")).count() > 50 {
            let message = "The maximum number of Tags for a resource has been reached.";
            return Err(Refusal::new("TagLimitExceeded", message));
        }
        *known = together;
    }
    Ok(done())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let wanted: Vec<(&str, Option<&str>)> = form
        .items("Tag")
        .iter()
        .filter_map(|tag| Some((tag.text("Key")?, tag.text("Value"))))
        .collect();
    if let Some((key, _)) = wanted.iter().find(|(key, _)| key.starts_with("aws:")) {
        let message = format!("Tag keys starting with 'aws:' are reserved for internal use: `{key}`");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let goes = |key: &String, value: &String| {
        let named = |(wanted, only): &(&str, Option<&str>)| wanted == key && only.is_none_or(|only| only == value);
        (wanted.is_empty() && !key.starts_with("aws:")) || wanted.iter().any(named)
    };
    for id in targets(site, form)? {
        if let Some(tags) = site.ec2().tags.get_mut(id) {
            tags.retain(|key, value| !goes(key, value));
        }
    }
    Ok(done())
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["key", "resource-id", "resource-type", "value"])?;
    let now = site.now;
    let ec2: &Ec2 = site.ec2();
    let facet = |id: &str, key: &str, value: &str, name: &str| {
        vec![
            match name {
                "key" => key,
                "resource-id" => id,
                "resource-type" => type_of(id),
                _ => value,
            }
            .to_owned(),
        ]
    };
    let shown = ec2.tags.iter().filter(|(id, _)| ec2.shows(id, now));
    let all = shown.flat_map(|(id, tags)| tags.iter().map(move |(key, value)| (id, key, value)));
    let found = all
        .filter(|(id, key, value)| {
            let own = Tags::from([((*key).clone(), (*value).clone())]);
            filters.fit(&own, |name| facet(id, key, value, name))
        })
        .collect();
    let place = |(id, key, _): &(&String, &String, &String)| format!("{id} {key}");
    answer_page(form, "tagSet", found, place, |xml, (id, key, value)| {
        xml.text("resourceId", id)
            .text("resourceType", type_of(id))
            .text("key", key)
            .text("value", value);
    })
}
