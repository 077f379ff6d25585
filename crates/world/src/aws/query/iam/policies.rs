//! Managed policies: the account's own, and the names of AWS's own.

use std::collections::BTreeMap;

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
use crate::aws::query::iam;
use crate::aws::query::iam::Iam;
use crate::aws::query::iam::add_tags;
use crate::aws::query::iam::conflict;
use crate::aws::query::iam::documents;
use crate::aws::query::iam::documents::Purpose;
use crate::aws::query::iam::encoded;
use crate::aws::query::iam::limit;
use crate::aws::query::iam::list;
use crate::aws::query::iam::list_tags;
use crate::aws::query::iam::name;
use crate::aws::query::iam::no_such_entity;
use crate::aws::query::iam::path;
use crate::aws::query::iam::read_tags;
use crate::aws::query::iam::write_tags;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreatePolicy",
        "PolicyName! PolicyDocument! Path Description @members",
        create,
    ),
    operation("GetPolicy", "PolicyArn!", get),
    operation("ListPolicies", "Scope OnlyAttached PathPrefix @marker", list_policies),
    operation("DeletePolicy", "PolicyArn!", delete),
    operation(
        "CreatePolicyVersion",
        "PolicyArn! PolicyDocument! SetAsDefault",
        create_version,
    ),
    operation("GetPolicyVersion", "PolicyArn! VersionId!", get_version),
    operation("ListPolicyVersions", "PolicyArn! @marker", list_versions),
    operation("DeletePolicyVersion", "PolicyArn! VersionId!", delete_version),
    operation(
        "ListEntitiesForPolicy",
        "PolicyArn! EntityFilter PathPrefix @marker",
        entities,
    ),
    operation("TagPolicy", "PolicyArn! @members", tag),
    operation("UntagPolicy", "PolicyArn! TagKeys.member.#", untag),
    operation("ListPolicyTags", "PolicyArn! @marker", tags_of),
];

/// IAM's quotas: of characters in a policy, of versions of one.
const LONGEST: usize = 6144;
const MOST_VERSIONS: usize = 5;

/// AWS's own policies that clusters and their nodes use, by what follows `arn:aws:iam::aws:policy/`.
const AWS_MANAGED: &[&str] = &[
    "AdministratorAccess",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2FullAccess",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSServicePolicy",
    "AmazonEKSVPCResourceController",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "AmazonSQSFullAccess",
    "AmazonSQSReadOnlyAccess",
    "AmazonSSMManagedInstanceCore",
    "CloudWatchAgentServerPolicy",
    "CloudWatchReadOnlyAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonEFSCSIDriverPolicy",
];

const AWS_PREFIX: &str = "arn:aws:iam::aws:policy/";

/// One policy of the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    name: String,
    path: String,
    arn: String,
    id: String,
    description: Option<String>,
    created: Timestamp,
    updated: Timestamp,
    versions: BTreeMap<u32, Version>,
    default: u32,
    latest: u32,
    tags: Tags,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    document: String,
    created: Timestamp,
}

impl Policy {
    fn write(&self, attached: usize, xml: &mut Xml) {
        xml.text("PolicyName", &self.name)
            .text("PolicyId", &self.id)
            .text("Arn", &self.arn)
            .text("Path", &self.path)
            .text("DefaultVersionId", format!("v{}", self.default))
            .text("AttachmentCount", attached)
            .text("PermissionsBoundaryUsageCount", 0)
            .text("IsAttachable", true)
            .maybe("Description", self.description.as_ref())
            .text("CreateDate", iso(self.created))
            .text("UpdateDate", iso(self.updated));
    }

    fn write_version(&self, number: u32, xml: &mut Xml) {
        let Some(version) = self.versions.get(&number) else {
            return;
        };
        xml.text("VersionId", format!("v{number}"))
            .text("IsDefaultVersion", number == self.default)
            .text("CreateDate", iso(version.created));
    }

    fn version(&self, form: &Form<'_>) -> Result<u32, Refusal> {
        let text = form.required("VersionId")?;
        let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
        number
            .filter(|number| self.versions.contains_key(number))
            .ok_or_else(|| {
                let message = format!(
                    "Policy {} version {text} does not exist or is not attachable.",
                    self.arn
                );
                no_such_entity(message)
            })
    }
}

/// Whether there is a policy with an ARN, of the account or of AWS.
pub(super) fn exists(iam: &Iam, arn: &str) -> bool {
    is_aws_managed(arn) || iam.policies.contains_key(arn)
}

fn is_aws_managed(arn: &str) -> bool {
    arn.strip_prefix(AWS_PREFIX)
        .is_some_and(|name| AWS_MANAGED.contains(&name))
}

/// The name in a policy's ARN.
pub(super) fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// The path in a policy's ARN.
pub(super) fn path_of(arn: &str) -> &str {
    let start = arn.find('/').unwrap_or(0);
    let end = arn.rfind('/').map_or(0, |index| index + 1);
    &arn[start..end]
}

fn attachments(iam: &Iam, arn: &str) -> usize {
    iam.roles.values().filter(|role| role.attached.contains(arn)).count()
}

fn policy<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut Policy, Refusal> {
    let arn = form.required("PolicyArn")?;
    if is_aws_managed(arn) {
        let message = format!("The local world knows AWS's own policies by name only: {arn}");
        return Err(Refusal::new("InvalidInput", message));
    }
    let missing = || no_such_entity(format!("Policy {arn} was not found."));
    site.iam().policies.get_mut(arn).ok_or_else(missing)
}

fn checked_document<'a>(site: &mut Site<'_>, form: &Form<'a>) -> Result<&'a str, Refusal> {
    let document = form.required("PolicyDocument")?;
    documents::check(document, Purpose::Permissions, site.iam())?;
    if documents::size(document) > LONGEST {
        return Err(limit("PolicySize", LONGEST));
    }
    Ok(document)
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let name = name(form, "PolicyName", 128)?;
    let path = path(form)?;
    let tags = read_tags(form)?;
    let document = checked_document(site, form)?.to_owned();
    if site.iam().policies.values().any(|policy| policy.name == name) {
        let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(iam::exists(message));
    }
    let created = site.now;
    let policy = Policy {
        name: name.to_owned(),
        path: path.to_owned(),
        arn: site.iam_arn("policy", path, name),
        id: site.unique_id("ANPA"),
        description: form.text("Description").map(str::to_owned),
        created,
        updated: created,
        versions: BTreeMap::from([(1, Version { document, created })]),
        default: 1,
        latest: 1,
        tags,
    };
    let xml = whole(&policy, 0);
    site.iam().policies.insert(policy.arn.clone(), policy);
    Ok(xml)
}

fn whole(policy: &Policy, attached: usize) -> Xml {
    let mut xml = Xml::new();
    xml.element("Policy", |xml| {
        policy.write(attached, xml);
        write_tags(&policy.tags, xml);
    });
    xml
}

fn get(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("PolicyArn")?;
    let attached = attachments(site.iam(), arn);
    if is_aws_managed(arn) {
        let mut xml = Xml::new();
        xml.element("Policy", |xml| write_aws_managed(arn, attached, xml));
        return Ok(xml);
    }
    policy(site, form).map(|policy| whole(policy, attached))
}

fn write_aws_managed(arn: &str, attached: usize, xml: &mut Xml) {
    xml.text("PolicyName", name_of(arn))
        .text("Arn", arn)
        .text("Path", path_of(arn))
        .text("DefaultVersionId", "v1")
        .text("AttachmentCount", attached)
        .text("PermissionsBoundaryUsageCount", 0)
        .text("IsAttachable", true);
}

fn list_policies(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let scope = form.text("Scope").unwrap_or("All");
    if !["All", "AWS", "Local"].contains(&scope) {
        return Err(Refusal::new(
            "ValidationError",
            format!("Value '{scope}' at 'scope' is not All, AWS or Local"),
        ));
    }
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let only_attached = form.flag("OnlyAttached")?.unwrap_or(false);
    let iam: &Iam = site.iam();
    let aws = AWS_MANAGED
        .iter()
        .map(|name| format!("{AWS_PREFIX}{name}"))
        .filter(|_| scope != "Local");
    let local = iam.policies.keys().filter(|_| scope != "AWS").cloned();
    let mut arns: Vec<String> = aws
        .chain(local)
        .filter(|arn| path_of(arn).starts_with(prefix) && (!only_attached || attachments(iam, arn) > 0))
        .collect();
    arns.sort();
    list(form, "Policies", arns, Clone::clone, |xml, arn| {
        let attached = attachments(iam, &arn);
        match iam.policies.get(&arn) {
            Some(policy) => policy.write(attached, xml),
            None => write_aws_managed(&arn, attached, xml),
        }
    })
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = policy(site, form)?;
    let (arn, versions) = (policy.arn.clone(), policy.versions.len());
    if attachments(site.iam(), &arn) > 0 {
        return Err(conflict("Cannot delete a policy attached to entities."));
    }
    if versions > 1 {
        return Err(conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
             The default version is deleted with the policy.",
        ));
    }
    site.iam().policies.remove(&arn);
    Ok(Xml::new())
}

fn create_version(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let document = checked_document(site, form)?.to_owned();
    let default = form.flag("SetAsDefault")?.unwrap_or(false);
    let created = site.now;
    let policy = policy(site, form)?;
    if policy.versions.len() >= MOST_VERSIONS {
        return Err(limit("VersionsPerPolicy", MOST_VERSIONS));
    }
    policy.latest += 1;
    policy.updated = created;
    policy.versions.insert(policy.latest, Version { document, created });
    if default {
        policy.default = policy.latest;
    }
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| policy.write_version(policy.latest, xml));
    Ok(xml)
}

fn get_version(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = policy(site, form)?;
    let number = policy.version(form)?;
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| {
        xml.text("Document", encoded(&policy.versions[&number].document));
        policy.write_version(number, xml);
    });
    Ok(xml)
}

fn list_versions(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy: &Policy = policy(site, form)?;
    let key = |number: &u32| format!("{number:06}");
    list(form, "Versions", policy.versions.keys().copied(), key, |xml, number| {
        policy.write_version(number, xml);
    })
}

fn delete_version(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = policy(site, form)?;
    let number = policy.version(form)?;
    if number == policy.default {
        return Err(conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.remove(&number);
    Ok(Xml::new())
}

fn entities(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("PolicyArn")?;
    let iam: &Iam = site.iam();
    if !exists(iam, arn) {
        return Err(no_such_entity(format!("Policy {arn} was not found.")));
    }
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let wanted = matches!(form.text("EntityFilter"), None | Some("Role"));
    let holds = |role: &&iam::Role| wanted && role.attached.contains(arn) && role.path.starts_with(prefix);
    let roles = iam.roles.values().filter(holds);
    let mut xml = list(
        form,
        "PolicyRoles",
        roles,
        |role| role.name.clone(),
        |xml, role| {
            xml.text("RoleName", &role.name).text("RoleId", &role.id);
        },
    )?;
    xml.element("PolicyGroups", |_| ()).element("PolicyUsers", |_| ());
    Ok(xml)
}

fn tag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    add_tags(&mut policy(site, form)?.tags, added)?;
    Ok(Xml::new())
}

fn untag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let keys = form.texts("TagKeys.member");
    policy(site, form)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
    Ok(Xml::new())
}

fn tags_of(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let policy = policy(site, form)?;
    list_tags(form, &policy.tags)
}
