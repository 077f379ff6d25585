//! What all of EC2's resources have in common: an id, tags, a moment before they can be seen, filters and pages.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::later;
use crate::aws::page;
use crate::aws::query::Form;
use crate::aws::tags;
use crate::aws::xml::Xml;

/// For how long at most a new resource may stay unseen. EC2 is eventually consistent; most answers come at once.
const UNSEEN_SECONDS: f64 = 2.0;

/// One kind of resource.
pub(crate) trait Resource: Sized {
    /// How its ids begin.
    const PREFIX: &'static str;
    /// Its name in tag specifications.
    const TYPE: &'static str;
    /// The parameter that lists ids.
    const IDS: &'static str;
    /// The element that lists the resources in an answer.
    const SET: &'static str;
    /// The filters it knows, besides those on tags.
    const FILTERS: &'static [&'static str];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self>;

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self>;

    /// How EC2 says that there is none with this id.
    fn missing(id: &str) -> Refusal;

    /// The values that a filter compares.
    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String>;

    /// Writes it into an answer.
    fn write(&self, view: &View<'_>, xml: &mut Xml);
}

/// What an answer is written from.
pub(crate) struct View<'a> {
    pub(crate) ec2: &'a Ec2,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

impl View<'_> {
    /// Writes a resource's tags.
    pub(crate) fn tags(&self, id: &str, xml: &mut Xml) {
        write_tags(self.ec2.tags(id), xml);
    }

    /// The ARN of a resource of this region.
    pub(crate) fn arn(&self, resource: &str) -> String {
        format!("arn:aws:ec2:{}:{}:{resource}", self.region, self.account)
    }
}

/// Writes tags as EC2 does.
pub(crate) fn write_tags(tags: &Tags, xml: &mut Xml) {
    xml.list("tagSet", "item", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

impl Ec2 {
    /// The tags of a resource.
    pub(crate) fn tags(&self, id: &str) -> &Tags {
        static NONE: Tags = Tags::new();
        self.tags.get(id).unwrap_or(&NONE)
    }

    /// Whether a resource can be seen yet.
    pub(crate) fn shows(&self, id: &str, now: Timestamp) -> bool {
        self.unseen.get(id).is_none_or(|until| *until <= now)
    }

    /// Forgets what all resources have in common, when one is gone.
    pub(crate) fn forget(&mut self, id: &str) {
        self.tags.remove(id);
        self.unseen.remove(id);
    }
}

impl Site<'_> {
    /// What answers are written from.
    pub(crate) fn view(&mut self) -> View<'_> {
        self.account.region(self.region);
        View {
            ec2: &self.account.regions[self.region].ec2,
            account: &self.account.id,
            region: self.region,
        }
    }

    /// A new id.
    pub(crate) fn new_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", self.random.hex(16))
    }

    /// A resource by its id, as a client sees it: one that was created just now may be missing.
    pub(crate) fn find<R: Resource>(&mut self, id: &str) -> Result<&mut R, Refusal> {
        let now = self.now;
        let ec2 = self.ec2();
        if !ec2.shows(id, now) {
            return Err(R::missing(id));
        }
        R::all_mut(ec2).get_mut(id).ok_or_else(|| R::missing(id))
    }

    /// Keeps a new resource and its tags; a client may not see it for a moment.
    pub(crate) fn keep<R: Resource>(&mut self, id: &str, resource: R, tags: Tags) {
        let unseen = (self.random.fraction() * 2.0 - 1.0) * UNSEEN_SECONDS;
        let until = later(
            self.now,
            std::time::Duration::try_from_secs_f64(unseen).unwrap_or_default(),
        );
        let now = self.now;
        self.account.arrivals.made(id, now);
        self.account.arrivals.usable(id, until.max(now));
        let ec2 = self.ec2();
        R::all_mut(ec2).insert(id.to_owned(), resource);
        if !tags.is_empty() {
            ec2.tags.insert(id.to_owned(), tags);
        }
        ec2.unseen.retain(|_, until| *until > now);
        if until > now {
            ec2.unseen.insert(id.to_owned(), until);
        }
    }

    /// Takes a resource away.
    pub(crate) fn drop_resource<R: Resource>(&mut self, id: &str) -> Option<R> {
        let ec2 = self.ec2();
        ec2.forget(id);
        R::all_mut(ec2).remove(id)
    }
}

/// Writes one resource as an element.
pub(crate) fn one<R: Resource>(site: &mut Site<'_>, element: &str, id: &str) -> Xml {
    let mut xml = Xml::new();
    let view = site.view();
    if let Some(resource) = R::all(view.ec2).get(id) {
        xml.element(element, |xml| resource.write(&view, xml));
    }
    xml
}

/// Answers a Describe call: the ids that it lists, or all; filtered; a page of them.
pub(crate) fn describe<R: Resource>(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, R::FILTERS)?;
    let wanted = form.texts(R::IDS);
    let now = site.now;
    for id in &wanted {
        site.find::<R>(id)?;
    }
    let view = site.view();
    let found: Vec<(&String, &R)> = R::all(view.ec2)
        .iter()
        .filter(|(id, _)| view.ec2.shows(id, now) && (wanted.is_empty() || wanted.contains(&id.as_str())))
        .filter(|(id, resource)| filters.fit(view.ec2.tags(id), |name| resource.facet(&view, name)))
        .collect();
    answer_page(
        form,
        R::SET,
        found,
        |(id, _)| (*id).clone(),
        |xml, (_, resource)| resource.write(&view, xml),
    )
}

/// Writes one page of `items` below `set`.
pub(crate) fn answer_page<T>(
    form: &Form<'_>,
    set: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    write: impl FnMut(&mut Xml, T),
) -> Result<Xml, Refusal> {
    let limit = form.parsed::<usize>("MaxResults")?.unwrap_or(1000);
    if !(1..=1000).contains(&limit) {
        let message =
            format!("Value ( {limit} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let page = page::cut(items, key, limit, form.text("NextToken"))
        .map_err(|page::BadToken| Refusal::new("InvalidParameterValue", "The token is not valid."))?;
    let mut xml = Xml::new();
    xml.list(set, "item", page.items, write).maybe("nextToken", page.next);
    Ok(xml)
}

/// The filters of a call.
pub(crate) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    /// Reads the filters; one that is neither in `known` nor about tags is refused.
    pub(crate) fn read(form: &Form<'a>, known: &[&str]) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        for filter in form.items("Filter") {
            let name = filter.required("Name")?;
            if !(known.contains(&name) || name == "tag-key" || name.starts_with("tag:")) {
                return Err(Refusal::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                ));
            }
            filters.push((name, filter.texts("Value")));
        }
        Ok(Self(filters))
    }

    /// Whether every filter has a value that fits: values of one filter are alternatives, filters are all to hold.
    pub(crate) fn fit(&self, tags: &Tags, facet: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = match name.strip_prefix("tag:") {
                Some(key) => tags.get(key).cloned().into_iter().collect(),
                None if *name == "tag-key" => tags.keys().cloned().collect(),
                None => facet(name),
            };
            found
                .iter()
                .any(|value| wanted.iter().any(|pattern| fits(pattern, value)))
        })
    }
}

/// Whether a text fits a pattern, in which `*` stands for any text and `?` for any character.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(index, _)| index)
            .chain([text.len()])
            .any(|index| fits(pattern_rest.as_str(), &text[index..])),
        Some(wanted) => {
            let mut rest = text.chars();
            rest.next().is_some_and(|found| wanted == '?' || wanted == found)
                && fits(pattern_rest.as_str(), rest.as_str())
        }
    }
}

/// The tags that a creating call gives to the resource type.
pub(crate) fn tags_at_creation(form: &Form<'_>, resource_type: &str) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for specification in form.items("TagSpecification") {
        let named = specification.required("ResourceType")?;
        if named != resource_type {
            let message = format!("'{named}' is not a valid taggable resource type for this operation.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
        tags.extend(read_tags(&specification)?);
    }
    tags::check(&tags, "InvalidParameterValue")?;
    Ok(tags)
}

/// The tags below `Tag`.
pub(crate) fn read_tags(form: &Form<'_>) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for tag in form.items("Tag") {
        let key = tag.required("Key")?;
        let value = tag.text("Value").unwrap_or_default();
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            let message = format!("Duplicate tag key '{key}' specified.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    }
    Ok(tags)
}

/// The answer of an operation that has nothing to tell.
pub(crate) fn done() -> Xml {
    let mut xml = Xml::new();
    xml.text("return", true);
    xml
}

/// A refusal in EC2's usual words for something that is not there.
pub(crate) fn not_there(code: &str, noun: &str, id: &str) -> Refusal {
    Refusal::new(code, format!("The {noun} ID '{id}' does not exist"))
}

/// A refusal because something else still needs it.
pub(crate) fn needed(noun: &str, id: &str) -> Refusal {
    let message = format!("The {noun} '{id}' has dependencies and cannot be deleted.");
    Refusal::new("DependencyViolation", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("aws-K8S-*", "aws-K8S-i-1", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*", "abc", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
