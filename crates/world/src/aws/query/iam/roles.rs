//! Roles, what is attached to them and what is written into them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::iam::add_tags;
use crate::aws::query::iam::conflict;
use crate::aws::query::iam::documents;
use crate::aws::query::iam::documents::Purpose;
use crate::aws::query::iam::encoded;
use crate::aws::query::iam::exists;
use crate::aws::query::iam::limit;
use crate::aws::query::iam::list;
use crate::aws::query::iam::list_tags;
use crate::aws::query::iam::name;
use crate::aws::query::iam::no_such_entity;
use crate::aws::query::iam::path;
use crate::aws::query::iam::policies;
use crate::aws::query::iam::read_tags;
use crate::aws::query::iam::write_tags;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateRole",
        "RoleName! AssumeRolePolicyDocument! Path Description MaxSessionDuration @members",
        create,
    ),
    operation("GetRole", "RoleName!", get),
    operation("ListRoles", "PathPrefix @marker", list_roles),
    operation("UpdateAssumeRolePolicy", "RoleName! PolicyDocument!", update_trust),
    operation("UpdateRole", "RoleName! Description MaxSessionDuration", update),
    operation("DeleteRole", "RoleName!", delete),
    operation("TagRole", "RoleName! @members", tag),
    operation("UntagRole", "RoleName! TagKeys.member.#", untag),
    operation("ListRoleTags", "RoleName! @marker", tags_of),
    operation("AttachRolePolicy", "RoleName! PolicyArn!", attach),
    operation("DetachRolePolicy", "RoleName! PolicyArn!", detach),
    operation("ListAttachedRolePolicies", "RoleName! PathPrefix @marker", attached),
    operation("PutRolePolicy", "RoleName! PolicyName! PolicyDocument!", put_inline),
    operation("GetRolePolicy", "RoleName! PolicyName!", get_inline),
    operation("ListRolePolicies", "RoleName! @marker", inline_names),
    operation("DeleteRolePolicy", "RoleName! PolicyName!", delete_inline),
];

/// IAM's default quotas: of characters in a trust policy, in all inline policies of a role, of attached policies.
const LONGEST_TRUST: usize = 2048;
const LONGEST_INLINE: usize = 10_240;
const MOST_ATTACHED: usize = 10;

/// One role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) arn: String,
    pub(super) id: String,
    created: Timestamp,
    /// Who may act as it, as JSON.
    pub(crate) trust: String,
    description: Option<String>,
    longest_session: u32,
    pub(crate) tags: Tags,
    /// The ARNs of its policies.
    pub(crate) attached: BTreeSet<String>,
    /// Its own policies by name, as JSON.
    pub(crate) inline: BTreeMap<String, String>,
    /// When other services have heard of it.
    pub(crate) heard: Timestamp,
}

impl Role {
    /// Writes the role as lists show it.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.text("Path", &self.path)
            .text("RoleName", &self.name)
            .text("RoleId", &self.id)
            .text("Arn", &self.arn)
            .text("CreateDate", iso(self.created))
            .text("AssumeRolePolicyDocument", encoded(&self.trust))
            .maybe("Description", self.description.as_ref())
            .text("MaxSessionDuration", self.longest_session);
    }
}

fn role<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut Role, Refusal> {
    named(site, form.required("RoleName")?)
}

/// The role with a name.
pub(super) fn named<'a>(site: &'a mut Site<'_>, name: &str) -> Result<&'a mut Role, Refusal> {
    let missing = || no_such_entity(format!("The role with name {name} cannot be found."));
    site.iam().roles.get_mut(name).ok_or_else(missing)
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let name = name(form, "RoleName", 64)?;
    let path = path(form)?;
    let tags = read_tags(form)?;
    let trust = trust(site, form.required("AssumeRolePolicyDocument")?)?;
    let longest_session = form.parsed::<u32>("MaxSessionDuration")?.unwrap_or(3600);
    if site.iam().roles.contains_key(name) {
        return Err(exists(format!("Role with name {name} already exists.")));
    }
    let role = Role {
        name: name.to_owned(),
        path: path.to_owned(),
        arn: site.iam_arn("role", path, name),
        id: site.unique_id("AROA"),
        created: site.now,
        trust,
        description: form.text("Description").map(str::to_owned),
        longest_session,
        tags,
        attached: BTreeSet::new(),
        inline: BTreeMap::new(),
        heard: site.heard(),
    };
    let known_as = format!("iam/role/{name}");
    site.account.arrivals.made(known_as.clone(), role.created);
    site.account.arrivals.usable(&known_as, role.heard);
    let xml = whole(&role);
    site.iam().roles.insert(name.to_owned(), role);
    Ok(xml)
}

/// A trust policy that IAM accepts.
fn trust(site: &mut Site<'_>, document: &str) -> Result<String, Refusal> {
    documents::check(document, Purpose::Trust, site.iam())?;
    if documents::size(document) > LONGEST_TRUST {
        return Err(limit("ACLSizePerRole", LONGEST_TRUST));
    }
    Ok(document.to_owned())
}

fn whole(role: &Role) -> Xml {
    let mut xml = Xml::new();
    xml.element("Role", |xml| {
        role.write(xml);
        write_tags(&role.tags, xml);
        xml.element("RoleLastUsed", |_| ());
    });
    xml
}

fn get(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    role(site, form).map(|role| whole(role))
}

fn list_roles(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let roles = site.iam().roles.values().filter(|role| role.path.starts_with(prefix));
    list(
        form,
        "Roles",
        roles,
        |role| role.name.clone(),
        |xml, role| role.write(xml),
    )
}

fn update_trust(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let trust = trust(site, form.required("PolicyDocument")?)?;
    role(site, form)?.trust = trust;
    Ok(Xml::new())
}

fn update(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    if let Some(description) = form.text("Description") {
        role(site, form)?.description = Some(description.to_owned());
    }
    Ok(Xml::new())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = role(site, form)?;
    if !role.attached.is_empty() {
        return Err(conflict("Cannot delete entity, must detach all policies first."));
    }
    if !role.inline.is_empty() {
        return Err(conflict("Cannot delete entity, must delete policies first."));
    }
    let name = role.name.clone();
    if site
        .iam()
        .profiles
        .values()
        .any(|profile| profile.role.as_ref() == Some(&name))
    {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(conflict(message));
    }
    site.iam().roles.remove(&name);
    Ok(Xml::new())
}

fn tag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    add_tags(&mut role(site, form)?.tags, added)?;
    Ok(Xml::new())
}

fn untag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let keys = form.texts("TagKeys.member");
    role(site, form)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
    Ok(Xml::new())
}

fn tags_of(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = role(site, form)?;
    list_tags(form, &role.tags)
}

fn attach(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("PolicyArn")?;
    role(site, form)?;
    if !policies::exists(site.iam(), arn) {
        let message = format!("Policy {arn} does not exist or is not attachable.");
        return Err(no_such_entity(message));
    }
    let attached = &mut role(site, form)?.attached;
    if attached.len() >= MOST_ATTACHED && !attached.contains(arn) {
        return Err(limit("PoliciesPerRole", MOST_ATTACHED));
    }
    attached.insert(arn.to_owned());
    Ok(Xml::new())
}

fn detach(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("PolicyArn")?;
    if role(site, form)?.attached.remove(arn) {
        return Ok(Xml::new());
    }
    Err(no_such_entity(format!("Policy {arn} was not found.")))
}

fn attached(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = role(site, form)?;
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let with_path = |arn: &&String| policies::path_of(arn).starts_with(prefix);
    list(
        form,
        "AttachedPolicies",
        role.attached.iter().filter(with_path),
        |arn| (*arn).clone(),
        |xml, arn| {
            xml.text("PolicyName", policies::name_of(arn)).text("PolicyArn", arn);
        },
    )
}

fn put_inline(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = name(form, "PolicyName", 128)?;
    let document = form.required("PolicyDocument")?;
    documents::check(document, Purpose::Permissions, site.iam())?;
    let role = role(site, form)?;
    let others = role.inline.iter().filter(|(name, _)| *name != policy);
    let taken: usize = others.map(|(_, other)| documents::size(other)).sum();
    if taken + documents::size(document) > LONGEST_INLINE {
        let message = format!(
            "Maximum policy size of {LONGEST_INLINE} bytes exceeded for role {}",
            role.name
        );
        return Err(Refusal::with_status(
            http::StatusCode::CONFLICT,
            "LimitExceeded",
            message,
        ));
    }
    role.inline.insert(policy.to_owned(), document.to_owned());
    Ok(Xml::new())
}

fn no_inline(policy: &str) -> Refusal {
    no_such_entity(format!("The role policy with name {policy} cannot be found."))
}

fn get_inline(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = form.required("PolicyName")?;
    let role = role(site, form)?;
    let document = role.inline.get(policy).ok_or_else(|| no_inline(policy))?;
    let mut xml = Xml::new();
    xml.text("RoleName", &role.name)
        .text("PolicyName", policy)
        .text("PolicyDocument", encoded(document));
    Ok(xml)
}

fn inline_names(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = role(site, form)?;
    let names = role.inline.keys();
    // The members of this list are plain texts.
    list(
        form,
        "PolicyNames",
        names,
        |name| (*name).clone(),
        |xml, name| xml.raw(name),
    )
}

fn delete_inline(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = form.required("PolicyName")?;
    let gone = role(site, form)?.inline.remove(policy);
    gone.map(|_| Xml::new()).ok_or_else(|| no_inline(policy))
}
