//! VPCs, with the group, the table and the access list that each is born with.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::cidr::Cidr;
use crate::aws::ec2::resource::Filters;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::needed;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::route_tables;
use crate::aws::ec2::security_groups;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("CreateVpc", "CidrBlock! InstanceTenancy @tags", create),
    operation("DescribeVpcs", "VpcId.# @filters @pages", describe::<Vpc>),
    operation("DeleteVpc", "VpcId!", delete),
    operation("DescribeVpcAttribute", "VpcId! Attribute!", describe_attribute),
    operation(
        "ModifyVpcAttribute",
        "VpcId! EnableDnsSupport.Value EnableDnsHostnames.Value",
        modify_attribute,
    ),
    operation(
        "DescribeNetworkAcls",
        "NetworkAclId.# @filters @pages",
        describe_network_acls,
    ),
];

/// EC2's default quota.
const MOST_VPCS: usize = 5;

/// One VPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) cidr: Cidr,
    dns_support: bool,
    dns_hostnames: bool,
    network_acl: String,
    association: String,
}

impl Resource for Vpc {
    const PREFIX: &'static str = "vpc";
    const TYPE: &'static str = "vpc";
    const IDS: &'static str = "VpcId";
    const SET: &'static str = "vpcSet";
    const FILTERS: &'static [&'static str] = &[
        "vpc-id",
        "cidr",
        "cidr-block-association.cidr-block",
        "state",
        "is-default",
        "isDefault",
        "owner-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.vpcs
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.vpcs
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidVpcID.NotFound", "vpc", id)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        vec![match filter {
            "vpc-id" => self.id.clone(),
            "state" => "available".to_owned(),
            "is-default" | "isDefault" => "false".to_owned(),
            "owner-id" => view.account.to_owned(),
            _ => self.cidr.to_string(),
        }]
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("vpcId", &self.id)
            .text("ownerId", view.account)
            .text("state", "available")
            .text("cidrBlock", self.cidr)
            .list("cidrBlockAssociationSet", "item", [self], |xml, vpc| {
                xml.text("cidrBlock", vpc.cidr)
                    .text("associationId", &vpc.association)
                    .element("cidrBlockState", |xml| {
                        xml.text("state", "associated");
                    });
            })
            .text("dhcpOptionsId", "dopt-0a1b2c3d4e5f60718")
            .text("instanceTenancy", "default")
            .text("isDefault", false);
        view.tags(&self.id, xml);
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let text = form.required("CidrBlock")?;
    let cidr: Cidr = text.parse().map_err(|_| {
        let message = format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.");
        Refusal::new("InvalidParameterValue", message)
    })?;
    if !(16..=28).contains(&cidr.prefix()) {
        return Err(Refusal::new(
            "InvalidVpc.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    let tags = tags_at_creation(form, Vpc::TYPE)?;
    if site.ec2().vpcs.len() >= MOST_VPCS {
        let message = "The maximum number of VPCs has been reached.";
        return Err(Refusal::new("VpcLimitExceeded", message));
    }
    let id = site.new_id(Vpc::PREFIX);
    let vpc = Vpc {
        id: id.clone(),
        cidr,
        dns_support: true,
        dns_hostnames: false,
        network_acl: site.new_id("acl"),
        association: site.new_id("vpc-cidr-assoc"),
    };
    site.keep(&id, vpc, tags);
    security_groups::create(site, &id, "default", "default VPC security group", Tags::new())?;
    route_tables::create_main(site, &id);
    Ok(one::<Vpc>(site, "vpc", &id))
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("VpcId")?;
    site.find::<Vpc>(id)?;
    if is_needed(site.ec2(), id) {
        return Err(needed("vpc", id));
    }
    let born_with = |ec2: &Ec2| -> (Vec<String>, Vec<String>) {
        let groups = ec2.security_groups.values().filter(|group| group.vpc == id);
        let tables = ec2.route_tables.values().filter(|table| table.vpc == id);
        (
            groups.map(|group| group.id.clone()).collect(),
            tables.map(|table| table.id.clone()).collect(),
        )
    };
    let (groups, tables) = born_with(site.ec2());
    for group in groups {
        site.drop_resource::<security_groups::SecurityGroup>(&group);
    }
    for table in tables {
        site.drop_resource::<route_tables::RouteTable>(&table);
    }
    site.drop_resource::<Vpc>(id);
    Ok(done())
}

/// Whether anything lies in the VPC besides what it is born with.
fn is_needed(ec2: &Ec2, id: &str) -> bool {
    ec2.subnets.values().any(|subnet| subnet.vpc == id)
        || ec2.interfaces.values().any(|interface| interface.vpc == id)
        || ec2.endpoints.values().any(|endpoint| endpoint.vpc == id)
        || ec2
            .internet_gateways
            .values()
            .any(|gateway| gateway.vpc.as_deref() == Some(id))
        || ec2
            .security_groups
            .values()
            .any(|group| group.vpc == id && group.name != "default")
        || ec2
            .route_tables
            .values()
            .any(|table| table.vpc == id && !table.is_main())
}

fn describe_attribute(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let vpc = site.find::<Vpc>(form.required("VpcId")?)?;
    let attribute = form.required("Attribute")?;
    let value = match attribute {
        "enableDnsSupport" => vpc.dns_support,
        "enableDnsHostnames" => vpc.dns_hostnames,
        "enableNetworkAddressUsageMetrics" => false,
        other => {
            let message = format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    };
    let mut xml = Xml::new();
    xml.text("vpcId", &vpc.id).element(attribute, |xml| {
        xml.text("value", value);
    });
    Ok(xml)
}

fn modify_attribute(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let support = form.flag("EnableDnsSupport.Value")?;
    let hostnames = form.flag("EnableDnsHostnames.Value")?;
    let vpc = site.find::<Vpc>(form.required("VpcId")?)?;
    match (support, hostnames) {
        (Some(support), None) => vpc.dns_support = support,
        (None, Some(hostnames)) => vpc.dns_hostnames = hostnames,
        (None, None) => {
            let message = "The request must contain the parameter enableDnsSupport or enableDnsHostnames";
            return Err(Refusal::new("MissingParameter", message));
        }
        (Some(_), Some(_)) => {
            let message = "Fields for multiple attribute types specified";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
    }
    Ok(done())
}

fn describe_network_acls(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["vpc-id", "default", "network-acl-id"])?;
    let wanted = form.texts("NetworkAclId");
    let now = site.now;
    let view = site.view();
    let shown: Vec<&Vpc> = view
        .ec2
        .vpcs
        .values()
        .filter(|vpc| view.ec2.shows(&vpc.id, now))
        .collect();
    let unknown = |id: &&&str| !shown.iter().any(|vpc| vpc.network_acl == **id);
    if let Some(id) = wanted.iter().find(unknown) {
        return Err(not_there("InvalidNetworkAclID.NotFound", "networkAcl", id));
    }
    let facet = |vpc: &Vpc, name: &str| {
        vec![match name {
            "vpc-id" => vpc.id.clone(),
            "default" => "true".to_owned(),
            _ => vpc.network_acl.clone(),
        }]
    };
    let found = shown
        .into_iter()
        .filter(|vpc| wanted.is_empty() || wanted.contains(&vpc.network_acl.as_str()))
        .filter(|vpc| filters.fit(view.ec2.tags(&vpc.network_acl), |name| facet(vpc, name)))
        .collect();
    answer_page(
        form,
        "networkAclSet",
        found,
        |vpc| vpc.network_acl.clone(),
        |xml, vpc| write_acl(vpc, &view, xml),
    )
}

/// Writes the access list of a VPC: it lets everything through, and nothing here changes that.
fn write_acl(vpc: &Vpc, view: &View<'_>, xml: &mut Xml) {
    let subnets = view.ec2.subnets.values().filter(|subnet| subnet.vpc == vpc.id);
    let entries = [
        (100, "allow", false),
        (100, "allow", true),
        (32767, "deny", false),
        (32767, "deny", true),
    ];
    xml.text("networkAclId", &vpc.network_acl)
        .text("vpcId", &vpc.id)
        .text("ownerId", view.account)
        .text("default", true)
        .list("entrySet", "item", entries, |xml, (number, action, egress)| {
            xml.text("ruleNumber", number)
                .text("protocol", "-1")
                .text("ruleAction", action)
                .text("egress", egress)
                .text("cidrBlock", "0.0.0.0/0");
        })
        .list("associationSet", "item", subnets, |xml, subnet| {
            xml.text("networkAclAssociationId", subnet.id.replacen("subnet-", "aclassoc-", 1))
                .text("networkAclId", &vpc.network_acl)
                .text("subnetId", &subnet.id);
        });
    view.tags(&vpc.network_acl, xml);
}
