//! Elastic Load Balancing v2: load balancers, listeners and target groups of one region.
//!
//! A load balancer holds interfaces in EC2, which outlive it by up to a minute; nothing else of EC2 is its business.

pub(crate) mod listeners;
pub(crate) mod load_balancers;
mod tagging;
pub(crate) mod target_groups;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::page;
use crate::aws::query;
use crate::aws::query::Form;
use crate::aws::query::Frame;
use crate::aws::query::Results;
use crate::aws::tags;
use crate::aws::xml::Xml;
use crate::core::Response;

const FRAME: Frame = Frame {
    namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    results: Results::Always,
};

/// Load balancing's part of a region; every kind by ARN.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Elb {
    pub(crate) load_balancers: BTreeMap<String, load_balancers::LoadBalancer>,
    pub(crate) listeners: BTreeMap<String, listeners::Listener>,
    pub(crate) rules: BTreeMap<String, listeners::Rule>,
    pub(crate) target_groups: BTreeMap<String, target_groups::TargetGroup>,
    /// The tags of all of them.
    pub(crate) tags: BTreeMap<String, Tags>,
    // Interfaces of load balancers that are gone, and when they go too.
    leaving: Vec<(Timestamp, Vec<String>)>,
}

impl Elb {
    /// When something next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let leaving = self.leaving.iter().map(|(at, _)| *at);
        let coming = self.load_balancers.values().filter_map(|balancer| balancer.active_at);
        leaving.chain(coming).min()
    }

    /// Whether a listener or a rule forwards to a target group.
    fn forwards_to(&self, group: &str) -> bool {
        let actions = self.listeners.values().flat_map(|listener| &listener.actions);
        let mut all = actions.chain(self.rules.values().flat_map(|rule| &rule.actions));
        all.any(|action| action.forwards_to(group))
    }

    /// The load balancers that forward to a target group.
    fn users_of(&self, group: &str) -> Vec<String> {
        let uses = |actions: &[listeners::Action]| actions.iter().any(|action| action.forwards_to(group));
        let by_rule = |listener: &listeners::Listener| {
            self.rules
                .values()
                .any(|rule| rule.listener == listener.arn && uses(&rule.actions))
        };
        let forwarding = self
            .listeners
            .values()
            .filter(|listener| uses(&listener.actions) || by_rule(listener));
        let mut balancers: Vec<String> = forwarding.map(|listener| listener.balancer.clone()).collect();
        balancers.sort();
        balancers.dedup();
        balancers
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let kinds: [(&str, Vec<String>); 4] = [
            ("elb/listener", self.listeners.keys().cloned().collect()),
            ("elb/load-balancer", self.load_balancers.keys().cloned().collect()),
            ("elb/rule", self.rules.keys().cloned().collect()),
            ("elb/target-group", self.target_groups.keys().cloned().collect()),
        ];
        for (kind, ids) in kinds.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            found.entry(kind.to_owned()).or_default().extend(ids);
        }
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let groups = [
        load_balancers::OPERATIONS,
        listeners::OPERATIONS,
        tagging::OPERATIONS,
        target_groups::OPERATIONS,
    ];
    query::answer_at(scene, call, &groups, FRAME)
}

/// Lets load balancers come up and their interfaces go.
pub(crate) fn advance(site: &mut Site<'_>) {
    load_balancers::advance(site);
}

/// The tags of a creating call.
fn read_tags(form: &Form<'_>) -> Result<Tags, Refusal> {
    let mut found = Tags::new();
    for tag in form.items("Tags.member") {
        let key = tag.required("Key")?;
        let value = tag.text("Value").unwrap_or_default();
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::new(
                "DuplicateTagKeys",
                format!("The tag key '{key}' is given twice"),
            ));
        }
    }
    tags::check(&found, "ValidationError")?;
    Ok(found)
}

/// The attributes of a call, all of which must be among those that there are.
fn change_attributes(known: &mut BTreeMap<String, String>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let mut changed = known.clone();
    for attribute in form.items("Attributes.member") {
        let key = attribute.required("Key")?;
        let Some(value) = changed.get_mut(key) else {
            let message = format!("Attribute key '{key}' is not recognized");
            return Err(Refusal::new("ValidationError", message));
        };
        attribute.text("Value").unwrap_or_default().clone_into(value);
    }
    *known = changed;
    Ok(write_attributes(known))
}

fn write_attributes(attributes: &BTreeMap<String, String>) -> Xml {
    let mut xml = Xml::new();
    xml.list("Attributes", "member", attributes, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
    xml
}

/// Writes one page of a list.
fn list<T>(
    form: &Form<'_>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    write: impl FnMut(&mut Xml, T),
) -> Result<Xml, Refusal> {
    let limit = form.parsed::<usize>("PageSize")?.unwrap_or(400);
    let page = page::cut(items, key, limit, form.text("Marker"))
        .map_err(|page::BadToken| Refusal::new("ValidationError", "The marker is not valid"))?;
    let mut xml = Xml::new();
    xml.list(name, "member", page.items, write)
        .maybe("NextMarker", page.next);
    Ok(xml)
}

/// A name as load balancers and target groups may have it.
fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let good =
        (1..=32).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('-') && !name.ends_with('-');
    if good && !name.starts_with("internal-") {
        return Ok(());
    }
    let message =
        format!("The name '{name}' must have 1 to 32 letters, digits and hyphens, and not begin or end with a hyphen");
    Err(Refusal::new("ValidationError", message))
}
