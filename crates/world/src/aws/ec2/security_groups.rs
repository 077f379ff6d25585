//! Security groups: whose rules may name each other, and which then keep each other alive.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::security_group_rules::Peer;
use crate::aws::ec2::security_group_rules::Rule;
use crate::aws::ec2::security_group_rules::write_permissions;
use crate::aws::ec2::vpcs::Vpc;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateSecurityGroup",
        "GroupName! GroupDescription! VpcId! @tags",
        create_named,
    ),
    operation(
        "DescribeSecurityGroups",
        "GroupId.# @filters @pages",
        describe::<SecurityGroup>,
    ),
    operation("DeleteSecurityGroup", "GroupId!", delete),
];

/// One security group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: String,
    /// By id.
    pub(crate) rules: BTreeMap<String, Rule>,
}

impl Resource for SecurityGroup {
    const PREFIX: &'static str = "sg";
    const TYPE: &'static str = "security-group";
    const IDS: &'static str = "GroupId";
    const SET: &'static str = "securityGroupInfo";
    const FILTERS: &'static [&'static str] = &[
        "description",
        "group-id",
        "group-name",
        "ip-permission.group-id",
        "owner-id",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.security_groups
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.security_groups
    }

    fn missing(id: &str) -> Refusal {
        let message = format!("The security group '{id}' does not exist");
        Refusal::new("InvalidGroup.NotFound", message)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        match filter {
            "description" => vec![self.description.clone()],
            "group-id" => vec![self.id.clone()],
            "group-name" => vec![self.name.clone()],
            "ip-permission.group-id" => self
                .rules
                .values()
                .filter(|rule| !rule.egress)
                .filter_map(|rule| rule.peer.group())
                .map(str::to_owned)
                .collect(),
            "owner-id" => vec![view.account.to_owned()],
            _ => vec![self.vpc.clone()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("ownerId", view.account)
            .text("groupId", &self.id)
            .text("groupName", &self.name)
            .text("groupDescription", &self.description)
            .text("vpcId", &self.vpc)
            .text("securityGroupArn", view.arn(&format!("security-group/{}", self.id)));
        for (name, egress) in [("ipPermissions", false), ("ipPermissionsEgress", true)] {
            let rules: Vec<&Rule> = self.rules.values().filter(|rule| rule.egress == egress).collect();
            write_permissions(name, &rules, view, xml);
        }
        view.tags(&self.id, xml);
    }
}

/// Creates a group in a VPC; everything may leave it, and a default group's members may talk to each other.
pub(crate) fn create(
    site: &mut Site<'_>,
    vpc: &str,
    name: &str,
    description: &str,
    tags: Tags,
) -> Result<String, Refusal> {
    let taken = |group: &SecurityGroup| group.vpc == vpc && group.name == name;
    if site.ec2().security_groups.values().any(taken) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    let id = site.new_id(SecurityGroup::PREFIX);
    let mut rules = vec![Rule::everything(true, Peer::Cidr("0.0.0.0/0".to_owned()))];
    if name == "default" {
        rules.push(Rule::everything(false, Peer::Group(id.clone())));
    }
    let rules = rules.into_iter().map(|rule| (site.new_id("sgr"), rule)).collect();
    let group = SecurityGroup {
        id: id.clone(),
        name: name.to_owned(),
        description: description.to_owned(),
        vpc: vpc.to_owned(),
        rules,
    };
    site.keep(&id, group, tags);
    Ok(id)
}

fn create_named(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (name, description) = (form.required("GroupName")?, form.required("GroupDescription")?);
    let tags = tags_at_creation(form, SecurityGroup::TYPE)?;
    let vpc = form.required("VpcId")?;
    site.find::<Vpc>(vpc)?;
    let allowed = |text: &str| {
        text.len() <= 255
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&byte))
    };
    if name.is_empty() || !allowed(name) || name.starts_with("sg-") || name == "default" {
        let message = format!("Value ({name}) for parameter GroupName is invalid.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    if !allowed(description) {
        let message = format!(
            "Value ({description}) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported."
        );
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let id = create(site, vpc, name, description, tags)?;
    let view = site.view();
    let mut xml = Xml::new();
    xml.text("return", true).text("groupId", &id);
    view.tags(&id, &mut xml);
    xml.text("securityGroupArn", view.arn(&format!("security-group/{id}")));
    Ok(xml)
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("GroupId")?;
    remove(site, id)?;
    let mut xml = Xml::new();
    xml.text("return", true).text("groupId", id);
    Ok(xml)
}

/// Deletes a group unless something still names it.
pub(crate) fn remove(site: &mut Site<'_>, id: &str) -> Result<(), Refusal> {
    let group = site.find::<SecurityGroup>(id)?;
    if group.name == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Refusal::new("CannotDelete", message));
    }
    if is_needed(site, id) {
        let message = format!("resource {id} has a dependent object");
        return Err(Refusal::new("DependencyViolation", message));
    }
    let gone = site.drop_resource::<SecurityGroup>(id);
    for rule in gone.into_iter().flat_map(|group| group.rules.into_keys()) {
        site.ec2().forget(&rule);
    }
    Ok(())
}

/// Whether an interface is in the group, or another group's rule names it.
fn is_needed(site: &mut Site<'_>, id: &str) -> bool {
    let ec2 = site.ec2();
    let others = ec2.security_groups.values().filter(|group| group.id != id);
    let named = others
        .flat_map(|group| group.rules.values())
        .any(|rule| rule.peer.group() == Some(id));
    named
        || ec2
            .interfaces
            .values()
            .any(|interface| interface.groups.iter().any(|group| group == id))
}
