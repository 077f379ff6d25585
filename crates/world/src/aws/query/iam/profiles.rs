//! Instance profiles: how a role reaches an instance.

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
use crate::aws::query::iam::Iam;
use crate::aws::query::iam::add_tags;
use crate::aws::query::iam::conflict;
use crate::aws::query::iam::exists;
use crate::aws::query::iam::limit;
use crate::aws::query::iam::list;
use crate::aws::query::iam::list_tags;
use crate::aws::query::iam::name;
use crate::aws::query::iam::no_such_entity;
use crate::aws::query::iam::path;
use crate::aws::query::iam::read_tags;
use crate::aws::query::iam::roles;
use crate::aws::query::iam::write_tags;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateInstanceProfile",
        "InstanceProfileName! Path @members",
        create_named,
    ),
    operation("GetInstanceProfile", "InstanceProfileName!", get),
    operation("ListInstanceProfiles", "PathPrefix @marker", list_profiles),
    operation("ListInstanceProfilesForRole", "RoleName! @marker", list_for_role),
    operation("AddRoleToInstanceProfile", "InstanceProfileName! RoleName!", add_role),
    operation(
        "RemoveRoleFromInstanceProfile",
        "InstanceProfileName! RoleName!",
        remove_role,
    ),
    operation("DeleteInstanceProfile", "InstanceProfileName!", delete),
    operation("TagInstanceProfile", "InstanceProfileName! @members", tag),
    operation("ListInstanceProfileTags", "InstanceProfileName! @marker", tags_of),
];

/// One instance profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    path: String,
    pub(crate) arn: String,
    pub(crate) id: String,
    created: Timestamp,
    /// The role in it, by name.
    pub(crate) role: Option<String>,
    pub(crate) tags: Tags,
    /// When other services have heard of it.
    pub(crate) heard: Timestamp,
}

impl Profile {
    fn write(&self, iam: &Iam, xml: &mut Xml) {
        let role = self.role.as_ref().and_then(|name| iam.roles.get(name));
        xml.text("Path", &self.path)
            .text("InstanceProfileName", &self.name)
            .text("InstanceProfileId", &self.id)
            .text("Arn", &self.arn)
            .text("CreateDate", iso(self.created))
            .list("Roles", "member", role, |xml, role| role.write(xml));
    }
}

fn named<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut Profile, Refusal> {
    let name = form.required("InstanceProfileName")?;
    let missing = || no_such_entity(format!("Instance Profile {name} cannot be found."));
    site.iam().profiles.get_mut(name).ok_or_else(missing)
}

/// Creates a profile, as a client or a controller does.
pub(crate) fn create(site: &mut Site<'_>, name: &str, path: &str, tags: Tags) -> Result<(), Refusal> {
    if site.iam().profiles.contains_key(name) {
        return Err(exists(format!("Instance Profile {name} already exists.")));
    }
    let profile = Profile {
        name: name.to_owned(),
        path: path.to_owned(),
        arn: site.iam_arn("instance-profile", path, name),
        id: site.unique_id("AIPA"),
        created: site.now,
        role: None,
        tags,
        heard: site.heard(),
    };
    site.iam().profiles.insert(name.to_owned(), profile);
    Ok(())
}

fn whole(site: &mut Site<'_>, name: &str) -> Xml {
    let iam: &Iam = site.iam();
    let mut xml = Xml::new();
    if let Some(profile) = iam.profiles.get(name) {
        xml.element("InstanceProfile", |xml| {
            profile.write(iam, xml);
            write_tags(&profile.tags, xml);
        });
    }
    xml
}

fn create_named(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let name = name(form, "InstanceProfileName", 128)?;
    let (path, tags) = (path(form)?, read_tags(form)?);
    create(site, name, path, tags)?;
    Ok(whole(site, name))
}

fn get(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let name = named(site, form)?.name.clone();
    Ok(whole(site, &name))
}

fn list_profiles(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let prefix = form.text("PathPrefix").unwrap_or("/");
    listed(site, form, |profile| profile.path.starts_with(prefix))
}

fn list_for_role(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = roles::named(site, form.required("RoleName")?)?.name.clone();
    listed(site, form, |profile| profile.role.as_ref() == Some(&role))
}

fn listed(site: &mut Site<'_>, form: &Form<'_>, wanted: impl Fn(&Profile) -> bool) -> Result<Xml, Refusal> {
    let iam: &Iam = site.iam();
    let profiles = iam.profiles.values().filter(|profile| wanted(profile));
    list(
        form,
        "InstanceProfiles",
        profiles,
        |profile| profile.name.clone(),
        |xml, profile| profile.write(iam, xml),
    )
}

fn add_role(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = roles::named(site, form.required("RoleName")?)?.name.clone();
    let profile = named(site, form)?;
    if profile.role.is_some() {
        return Err(limit("InstanceSessionsPerInstanceProfile", 1));
    }
    profile.role = Some(role);
    Ok(Xml::new())
}

fn remove_role(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let role = form.required("RoleName")?;
    let profile = named(site, form)?;
    if profile.role.take_if(|known| known == role).is_none() {
        let message = format!("Role {role} in Instance Profile {} cannot be found.", profile.name);
        return Err(no_such_entity(message));
    }
    Ok(Xml::new())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let profile = named(site, form)?;
    if profile.role.is_some() {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(conflict(message));
    }
    let name = profile.name.clone();
    site.iam().profiles.remove(&name);
    Ok(Xml::new())
}

fn tag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    add_tags(&mut named(site, form)?.tags, added)?;
    Ok(Xml::new())
}

fn tags_of(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let profile = named(site, form)?;
    list_tags(form, &profile.tags)
}
