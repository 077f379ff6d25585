//! IAM: roles, policies, instance profiles and identity providers. It exists once for the account, in no region.
//!
//! What it knows is known at once to itself, and to other services only after some seconds: [`Iam::trust`] is how they
//! ask.

mod documents;
mod policies;
pub(crate) mod profiles;
mod providers;
mod roles;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
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

pub(crate) use crate::aws::query::iam::profiles::Profile;
pub(crate) use crate::aws::query::iam::roles::Role;

const FRAME: Frame = Frame {
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    results: Results::WhenTold,
};

/// What a policy document in an answer is not encoded with.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// IAM's part of the account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Iam {
    /// By name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// The account's own policies by ARN; AWS's own are not in it.
    pub(crate) policies: BTreeMap<String, policies::Policy>,
    /// By name.
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// By ARN.
    pub(crate) providers: BTreeMap<String, providers::Provider>,
}

/// Why a service cannot act as a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// There is no such role.
    Missing,
    /// There is one, but the service has not heard of it yet.
    Unheard,
    /// The role's trust policy does not name the service.
    Untrusted,
}

impl Iam {
    /// The role that a service such as `eks.amazonaws.com` may act as.
    pub(crate) fn trust(&self, now: Timestamp, arn: &str, service: &str) -> Result<&Role, Distrust> {
        let role = self.role(arn).ok_or(Distrust::Missing)?;
        if role.heard > now {
            return Err(Distrust::Unheard);
        }
        if !documents::trusts(&role.trust, service) {
            return Err(Distrust::Untrusted);
        }
        Ok(role)
    }

    /// The role with an ARN.
    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.arn == arn)
    }

    /// The instance profile with a name or an ARN, once other services have heard of it.
    pub(crate) fn profile(&self, now: Timestamp, name_or_arn: &str) -> Option<&Profile> {
        let found = self
            .profiles
            .values()
            .find(|profile| profile.name == name_or_arn || profile.arn == name_or_arn);
        found.filter(|profile| profile.heard <= now)
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let kinds: [(&str, Vec<String>); 4] = [
            ("iam/instance-profile", self.profiles.keys().cloned().collect()),
            ("iam/oidc-provider", self.providers.keys().cloned().collect()),
            ("iam/policy", self.policies.keys().cloned().collect()),
            ("iam/role", self.roles.keys().cloned().collect()),
        ];
        for (kind, ids) in kinds.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            found.insert(kind.to_owned(), ids);
        }
    }
}

impl Site<'_> {
    /// IAM's part of the account.
    pub(crate) fn iam(&mut self) -> &mut Iam {
        &mut self.account.iam
    }

    /// When other services have heard of what IAM was told now.
    fn heard(&mut self) -> Timestamp {
        self.in_seconds(5.0, 7.0, 12.0)
    }

    /// The ARN of something in IAM.
    fn iam_arn(&self, kind: &str, path: &str, name: &str) -> String {
        format!("arn:aws:iam::{}:{kind}{path}{name}", self.account.id)
    }

    /// A unique id as IAM gives them.
    fn unique_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.random.hex(17).to_uppercase())
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let groups = [
        roles::OPERATIONS,
        policies::OPERATIONS,
        profiles::OPERATIONS,
        providers::OPERATIONS,
    ];
    query::answer_at(scene, call, &groups, FRAME)
}

fn no_such_entity(message: impl Into<String>) -> Refusal {
    Refusal::with_status(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

fn conflict(message: &str) -> Refusal {
    Refusal::with_status(StatusCode::CONFLICT, "DeleteConflict", message)
}

fn exists(message: impl Into<String>) -> Refusal {
    Refusal::with_status(StatusCode::CONFLICT, "EntityAlreadyExists", message)
}

fn limit(what: &str, most: usize) -> Refusal {
    let message = format!("Cannot exceed quota for {what}: {most}");
    Refusal::with_status(StatusCode::CONFLICT, "LimitExceeded", message)
}

/// A name of at most `most` characters.
fn name<'a>(form: &Form<'a>, parameter: &str, most: usize) -> Result<&'a str, Refusal> {
    let text = form.required(parameter)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if text.is_empty() || text.len() > most || !text.bytes().all(allowed) {
        let message = format!(
            "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_- and be at most {most} long: {text}"
        );
        return Err(Refusal::new("ValidationError", message));
    }
    Ok(text)
}

/// The path of a new entity.
fn path<'a>(form: &Form<'a>) -> Result<&'a str, Refusal> {
    let path = form.text("Path").unwrap_or("/");
    if path.starts_with('/') && path.ends_with('/') && path.len() <= 512 && path.is_ascii() {
        return Ok(path);
    }
    let message = format!("The specified value for path is invalid. It must begin and end with / : {path}");
    Err(Refusal::new("ValidationError", message))
}

/// The tags of a call.
fn read_tags(form: &Form<'_>) -> Result<Tags, Refusal> {
    let mut found = Tags::new();
    for tag in form.items("Tags.member") {
        let (key, value) = (tag.required("Key")?, tag.required("Value")?);
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Refusal::new("InvalidInput", message));
        }
    }
    tags::check(&found, "InvalidInput")?;
    Ok(found)
}

/// Adds the tags of a call to those that there are.
fn add_tags(known: &mut Tags, added: Tags) -> Result<(), Refusal> {
    let mut together = known.clone();
    together.extend(added);
    if together.len() > 50 {
        return Err(limit("TagsPerEntity", 50));
    }
    *known = together;
    Ok(())
}

fn write_tags(tags: &Tags, xml: &mut Xml) {
    xml.list("Tags", "member", tags, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
}

/// A policy document as answers carry it.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, PLAIN).to_string()
}

/// Writes one page of a list.
fn list<T>(
    form: &Form<'_>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    write: impl FnMut(&mut Xml, T),
) -> Result<Xml, Refusal> {
    let limit = form.parsed::<usize>("MaxItems")?.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        let message =
            format!("1 validation error detected: Value '{limit}' at 'maxItems' failed to satisfy constraint");
        return Err(Refusal::new("ValidationError", message));
    }
    let page = page::cut(items, key, limit, form.text("Marker"))
        .map_err(|page::BadToken| Refusal::new("ValidationError", "Invalid Marker."))?;
    let mut xml = Xml::new();
    xml.list(name, "member", page.items, write)
        .text("IsTruncated", page.next.is_some())
        .maybe("Marker", page.next);
    Ok(xml)
}

/// Answers with the tags of something.
fn list_tags(form: &Form<'_>, tags: &Tags) -> Result<Xml, Refusal> {
    list(
        form,
        "Tags",
        tags,
        |(key, _)| (*key).clone(),
        |xml, (key, value)| {
            xml.text("Key", key).text("Value", value);
        },
    )
}
