//! Subnets: parts of a VPC's addresses in one zone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::cidr::Cidr;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::needed;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::vpcs::Vpc;
use crate::aws::ec2::zones;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateSubnet",
        "VpcId! CidrBlock! AvailabilityZone AvailabilityZoneId @tags",
        create,
    ),
    operation("DescribeSubnets", "SubnetId.# @filters @pages", describe::<Subnet>),
    operation(
        "ModifySubnetAttribute",
        "SubnetId! MapPublicIpOnLaunch.Value",
        modify_attribute,
    ),
    operation("DeleteSubnet", "SubnetId!", delete),
];

/// The first four addresses and the last are AWS's own.
const FIRST_FREE: u32 = 4;
const RESERVED: u64 = 5;

/// One subnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc: String,
    pub(crate) cidr: Cidr,
    pub(crate) zone: String,
    pub(crate) public_ips: bool,
}

impl Subnet {
    /// The lowest address that nobody has.
    pub(crate) fn free_address(&self, ec2: &Ec2) -> Option<Ipv4Addr> {
        let last = u32::try_from(self.cidr.size() - 1).unwrap_or(u32::MAX);
        let taken: std::collections::BTreeSet<Ipv4Addr> = self.interfaces(ec2).map(|interface| interface.ip).collect();
        (FIRST_FREE..last)
            .map(|offset| self.cidr.address(offset))
            .find(|address| !taken.contains(address))
    }

    fn interfaces<'a>(&'a self, ec2: &'a Ec2) -> impl Iterator<Item = &'a crate::aws::ec2::interfaces::Interface> {
        ec2.interfaces.values().filter(|interface| interface.subnet == self.id)
    }

    fn free_addresses(&self, ec2: &Ec2) -> u64 {
        let taken = u64::try_from(self.interfaces(ec2).count()).unwrap_or(u64::MAX);
        (self.cidr.size() - RESERVED).saturating_sub(taken)
    }
}

impl Resource for Subnet {
    const PREFIX: &'static str = "subnet";
    const TYPE: &'static str = "subnet";
    const IDS: &'static str = "SubnetId";
    const SET: &'static str = "subnetSet";
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "availabilityZone",
        "availability-zone-id",
        "cidr-block",
        "map-public-ip-on-launch",
        "owner-id",
        "state",
        "subnet-id",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.subnets
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.subnets
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidSubnetID.NotFound", "subnet", id)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        vec![match filter {
            "availability-zone" | "availabilityZone" => self.zone.clone(),
            "availability-zone-id" => zones::zone_id(&self.zone),
            "cidr-block" => self.cidr.to_string(),
            "map-public-ip-on-launch" => self.public_ips.to_string(),
            "owner-id" => view.account.to_owned(),
            "state" => "available".to_owned(),
            "subnet-id" => self.id.clone(),
            _ => self.vpc.clone(),
        }]
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("subnetId", &self.id)
            .text("subnetArn", view.arn(&format!("subnet/{}", self.id)))
            .text("state", "available")
            .text("ownerId", view.account)
            .text("vpcId", &self.vpc)
            .text("cidrBlock", self.cidr)
            .list("ipv6CidrBlockAssociationSet", "item", [""; 0], |_, _| ())
            .text("availableIpAddressCount", self.free_addresses(view.ec2))
            .text("availabilityZone", &self.zone)
            .text("availabilityZoneId", zones::zone_id(&self.zone))
            .text("defaultForAz", false)
            .text("mapPublicIpOnLaunch", self.public_ips)
            .text("assignIpv6AddressOnCreation", false)
            .text("mapCustomerOwnedIpOnLaunch", false)
            .text("enableDns64", false)
            .text("ipv6Native", false)
            .element("privateDnsNameOptionsOnLaunch", |xml| {
                xml.text("hostnameType", "ip-name")
                    .text("enableResourceNameDnsARecord", false)
                    .text("enableResourceNameDnsAAAARecord", false);
            });
        view.tags(&self.id, xml);
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let vpc = form.required("VpcId")?;
    let text = form.required("CidrBlock")?;
    let cidr: Cidr = text.parse().map_err(|_| {
        let message = format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.");
        Refusal::new("InvalidParameterValue", message)
    })?;
    let tags = tags_at_creation(form, Subnet::TYPE)?;
    let zone = zone(site, form)?;
    let within = site.find::<Vpc>(vpc)?.cidr;
    if !(16..=28).contains(&cidr.prefix()) || !within.contains(cidr) {
        return Err(Refusal::new(
            "InvalidSubnet.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    let others = site.ec2().subnets.values().filter(|other| other.vpc == vpc);
    if others.into_iter().any(|other| other.cidr.overlaps(cidr)) {
        let message = format!("The CIDR '{text}' conflicts with another subnet");
        return Err(Refusal::new("InvalidSubnet.Conflict", message));
    }
    let id = site.new_id(Subnet::PREFIX);
    let subnet = Subnet {
        id: id.clone(),
        vpc: vpc.to_owned(),
        cidr,
        zone,
        public_ips: false,
    };
    site.keep(&id, subnet, tags);
    Ok(one::<Subnet>(site, "subnet", &id))
}

/// The zone that a call names; any if it names none.
fn zone(site: &mut Site<'_>, form: &Form<'_>) -> Result<String, Refusal> {
    let names = zones::names(site.region);
    let by_id = |id: &str| names.iter().find(|name| zones::zone_id(name) == id).cloned();
    let (parameter, value, found) = match (form.text("AvailabilityZone"), form.text("AvailabilityZoneId")) {
        (Some(name), _) => (
            "availabilityZone",
            name,
            names.iter().find(|known| *known == name).cloned(),
        ),
        (None, Some(id)) => ("availabilityZoneId", id, by_id(id)),
        (None, None) => return Ok(names[site.random.below(names.len())].clone()),
    };
    found.ok_or_else(|| {
        let message = format!(
            "Value ({value}) for parameter {parameter} is invalid. Subnets can currently only be created in the \
             following availability zones: {}.",
            names.join(", ")
        );
        Refusal::new("InvalidParameterValue", message)
    })
}

fn modify_attribute(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let public_ips = form.flag("MapPublicIpOnLaunch.Value")?;
    let subnet = site.find::<Subnet>(form.required("SubnetId")?)?;
    subnet.public_ips = public_ips.unwrap_or(subnet.public_ips);
    Ok(done())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("SubnetId")?;
    site.find::<Subnet>(id)?;
    let ec2 = site.ec2();
    if ec2.interfaces.values().any(|interface| interface.subnet == id) {
        return Err(needed("subnet", id));
    }
    for table in ec2.route_tables.values_mut() {
        table.forget_subnet(id);
    }
    site.drop_resource::<Subnet>(id);
    Ok(done())
}
