//! Network interfaces: whatever has an address in a subnet, and therefore what keeps subnets and groups alive.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::security_groups::SecurityGroup;
use crate::aws::ec2::subnets::Subnet;
use crate::aws::ec2::zones;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateNetworkInterface",
        "SubnetId! Description SecurityGroupId.# ClientToken @tags",
        create_free,
    ),
    operation(
        "DescribeNetworkInterfaces",
        "NetworkInterfaceId.# @filters @pages",
        describe::<Interface>,
    ),
    operation("DeleteNetworkInterface", "NetworkInterfaceId!", delete),
];

/// One network interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) subnet: String,
    pub(crate) vpc: String,
    zone: String,
    pub(crate) ip: Ipv4Addr,
    /// A public address of AWS's own; an Elastic IP maps itself.
    pub(crate) public_ip: Option<Ipv4Addr>,
    pub(crate) description: String,
    pub(crate) groups: Vec<String>,
    pub(crate) r#use: Use,
    attachment: String,
    attached: Timestamp,
    mac: String,
}

/// What an interface is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Use {
    /// Nothing: its status is `available`.
    Free,
    /// One of AWS's services holds it; only the service can take it away.
    Service {
        /// Who asked for it, such as `amazon-elb`.
        requester: String,
        /// The interface's type, such as `nat_gateway`; `interface` for most.
        kind: String,
    },
    /// An instance has it.
    Instance {
        /// The instance.
        instance: String,
        /// Its place among the instance's interfaces; the first is 0.
        index: usize,
    },
}

/// An interface to be created.
pub(crate) struct NewInterface<'a> {
    pub(crate) subnet: &'a str,
    pub(crate) description: String,
    /// Empty for the default group of the VPC.
    pub(crate) groups: Vec<String>,
    pub(crate) tags: Tags,
    pub(crate) r#use: Use,
}

impl Interface {
    /// Whether a public address leads to it.
    pub(crate) fn is_public(&self, ec2: &Ec2) -> bool {
        self.public_ip.is_some() || self.elastic_ip(ec2).is_some()
    }

    /// The allocation, association and address of the Elastic IP that is mapped to it.
    fn elastic_ip(&self, ec2: &Ec2) -> Option<(String, String, Ipv4Addr)> {
        ec2.addresses.iter().find_map(|(id, address)| {
            let association = address
                .association
                .as_ref()
                .filter(|association| association.interface == self.id)?;
            Some((id.clone(), association.id.clone(), address.ip))
        })
    }

    /// The instance that has it.
    pub(crate) fn instance(&self) -> Option<&str> {
        match &self.r#use {
            Use::Instance { instance, .. } => Some(instance),
            Use::Free | Use::Service { .. } => None,
        }
    }

    fn private_dns(&self, region: &str) -> String {
        private_dns(self.ip, region)
    }

    fn status(&self) -> &'static str {
        match self.r#use {
            Use::Free => "available",
            Use::Service { .. } | Use::Instance { .. } => "in-use",
        }
    }

    fn write_attachment(&self, view: &View<'_>, xml: &mut Xml) {
        let index = match &self.r#use {
            Use::Free => return,
            Use::Service { .. } => 1,
            Use::Instance { index, .. } => *index,
        };
        xml.element("attachment", |xml| {
            xml.text("attachmentId", &self.attachment)
                .text("deviceIndex", index)
                .text("networkCardIndex", 0)
                .text("status", "attached")
                .text("attachTime", iso(self.attached));
            match &self.r#use {
                Use::Instance { instance, .. } => xml
                    .text("instanceId", instance)
                    .text("instanceOwnerId", view.account)
                    .text("deleteOnTermination", true),
                Use::Service { requester, .. } => xml
                    .text("instanceOwnerId", requester)
                    .text("deleteOnTermination", false),
                Use::Free => xml,
            };
        });
    }

    /// Writes the interface as a part of its instance.
    pub(super) fn write_of_instance(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("networkInterfaceId", &self.id)
            .text("subnetId", &self.subnet)
            .text("vpcId", &self.vpc)
            .text("description", &self.description)
            .text("ownerId", view.account)
            .text("status", self.status())
            .text("macAddress", &self.mac)
            .text("privateIpAddress", self.ip)
            .text("privateDnsName", self.private_dns(view.region))
            .text("sourceDestCheck", true)
            .text("interfaceType", "interface");
        write_groups(&self.groups, view, xml);
        let Use::Instance { index, .. } = &self.r#use else {
            return;
        };
        xml.element("attachment", |xml| {
            xml.text("attachmentId", &self.attachment)
                .text("deviceIndex", index)
                .text("networkCardIndex", 0)
                .text("status", "attached")
                .text("attachTime", iso(self.attached))
                .text("deleteOnTermination", true);
        });
    }

    fn write_association(&self, view: &View<'_>, xml: &mut Xml) {
        let (ip, elastic) = match (self.elastic_ip(view.ec2), self.public_ip) {
            (Some((allocation, association, ip)), _) => (ip, Some((allocation, association))),
            (None, Some(ip)) => (ip, None),
            (None, None) => return,
        };
        xml.element("association", |xml| {
            xml.text("publicIp", ip)
                .text("publicDnsName", public_dns(ip, view.region))
                .text("ipOwnerId", if elastic.is_some() { view.account } else { "amazon" });
            if let Some((allocation, association)) = elastic {
                xml.text("allocationId", allocation).text("associationId", association);
            }
        });
    }
}

/// The name of a private address inside its VPC.
pub(crate) fn private_dns(ip: Ipv4Addr, region: &str) -> String {
    let host = ip.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ip-{host}.ec2.internal"),
        _ => format!("ip-{host}.{region}.compute.internal"),
    }
}

/// The name of a public address.
pub(crate) fn public_dns(ip: Ipv4Addr, region: &str) -> String {
    let host = ip.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ec2-{host}.compute-1.amazonaws.com"),
        _ => format!("ec2-{host}.{region}.compute.amazonaws.com"),
    }
}

impl Resource for Interface {
    const PREFIX: &'static str = "eni";
    const TYPE: &'static str = "network-interface";
    const IDS: &'static str = "NetworkInterfaceId";
    const SET: &'static str = "networkInterfaceSet";
    const FILTERS: &'static [&'static str] = &[
        "attachment.instance-id",
        "attachment.instance-owner-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "network-interface-id",
        "private-ip-address",
        "requester-id",
        "requester-managed",
        "status",
        "subnet-id",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.interfaces
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.interfaces
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidNetworkInterfaceID.NotFound", "networkInterface", id)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        let service = match &self.r#use {
            Use::Service { requester, kind } => Some((requester.clone(), kind.clone())),
            Use::Free | Use::Instance { .. } => None,
        };
        match filter {
            "attachment.instance-id" => self.instance().map(str::to_owned).into_iter().collect(),
            "attachment.instance-owner-id" => match (&self.r#use, service) {
                (Use::Free, _) => Vec::new(),
                (_, Some((requester, _))) => vec![requester],
                (_, None) => vec![view.account.to_owned()],
            },
            "attachment.status" => vec![
                if self.r#use == Use::Free {
                    "detached"
                } else {
                    "attached"
                }
                .to_owned(),
            ],
            "availability-zone" => vec![self.zone.clone()],
            "description" => vec![self.description.clone()],
            "group-id" => self.groups.clone(),
            "interface-type" => vec![service.map_or("interface".to_owned(), |(_, kind)| kind)],
            "network-interface-id" => vec![self.id.clone()],
            "private-ip-address" => vec![self.ip.to_string()],
            "requester-id" => service.map(|(requester, _)| requester).into_iter().collect(),
            "requester-managed" => vec![service.is_some().to_string()],
            "status" => vec![self.status().to_owned()],
            "subnet-id" => vec![self.subnet.clone()],
            _ => vec![self.vpc.clone()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        let (requester, kind) = match &self.r#use {
            Use::Service { requester, kind } => (Some(requester.as_str()), kind.as_str()),
            Use::Free | Use::Instance { .. } => (None, "interface"),
        };
        xml.text("networkInterfaceId", &self.id)
            .text("subnetId", &self.subnet)
            .text("vpcId", &self.vpc)
            .text("availabilityZone", &self.zone)
            .text("availabilityZoneId", zones::zone_id(&self.zone))
            .text("description", &self.description)
            .text("ownerId", view.account)
            .maybe("requesterId", requester)
            .text("requesterManaged", requester.is_some())
            .text("status", self.status())
            .text("macAddress", &self.mac)
            .text("privateIpAddress", self.ip)
            .text("privateDnsName", self.private_dns(view.region))
            .text("sourceDestCheck", kind != "nat_gateway")
            .text("interfaceType", kind);
        write_groups(&self.groups, view, xml);
        self.write_attachment(view, xml);
        self.write_association(view, xml);
        xml.list("privateIpAddressesSet", "item", [self], |xml, interface| {
            xml.text("privateIpAddress", interface.ip)
                .text("privateDnsName", interface.private_dns(view.region))
                .text("primary", true);
            interface.write_association(view, xml);
        });
        view.tags(&self.id, xml);
    }
}

/// Writes the groups of an interface or an instance.
pub(super) fn write_groups(groups: &[String], view: &View<'_>, xml: &mut Xml) {
    xml.list("groupSet", "item", groups, |xml, id| {
        let name = view.ec2.security_groups.get(id).map(|group| &group.name);
        xml.text("groupId", id).maybe("groupName", name);
    });
}

/// Creates an interface in a subnet.
pub(crate) fn create(site: &mut Site<'_>, new: NewInterface<'_>) -> Result<String, Refusal> {
    let ec2 = site.ec2();
    let subnet = ec2
        .subnets
        .get(new.subnet)
        .cloned()
        .ok_or_else(|| Subnet::missing(new.subnet))?;
    let ip = subnet.free_address(ec2).ok_or_else(|| {
        let message = format!(
            "The specified subnet {} does not have enough free addresses.",
            subnet.id
        );
        Refusal::new("InsufficientFreeAddressesInSubnet", message)
    })?;
    let groups = match &new.r#use {
        // NAT gateways and network load balancers are in no group unless they are put into one.
        Use::Service { kind, .. } if kind != "interface" && new.groups.is_empty() => Vec::new(),
        Use::Free | Use::Service { .. } | Use::Instance { .. } => groups_for(ec2, &subnet.vpc, new.groups)?,
    };
    let id = site.new_id(Interface::PREFIX);
    let attachment = site.new_id(if matches!(new.r#use, Use::Service { .. }) {
        "ela-attach"
    } else {
        "eni-attach"
    });
    let digits = site.random.hex(10);
    let pairs: Vec<&str> = (0..5).map(|index| &digits[index * 2..index * 2 + 2]).collect();
    let interface = Interface {
        id: id.clone(),
        subnet: subnet.id,
        vpc: subnet.vpc,
        zone: subnet.zone,
        ip,
        public_ip: None,
        description: new.description,
        groups,
        r#use: new.r#use,
        attachment,
        attached: site.now,
        mac: format!("02:{}", pairs.join(":")),
    };
    site.keep(&id, interface, new.tags);
    Ok(id)
}

/// The groups that are wanted, or the VPC's default group; all of them must be in the VPC.
fn groups_for(ec2: &Ec2, vpc: &str, wanted: Vec<String>) -> Result<Vec<String>, Refusal> {
    if wanted.is_empty() {
        let default = |group: &&SecurityGroup| group.vpc == vpc && group.name == "default";
        return Ok(ec2
            .security_groups
            .values()
            .find(default)
            .map(|group| group.id.clone())
            .into_iter()
            .collect());
    }
    for id in &wanted {
        let group = ec2.security_groups.get(id).ok_or_else(|| SecurityGroup::missing(id))?;
        if group.vpc != vpc {
            let message = format!("The security group '{id}' and the subnet belong to different networks.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    }
    Ok(wanted)
}

/// Takes an interface away, as the service that holds it does; an Elastic IP that was mapped to it is free again.
pub(crate) fn remove(site: &mut Site<'_>, id: &str) {
    site.drop_resource::<Interface>(id);
    for address in site.ec2().addresses.values_mut() {
        address.association.take_if(|association| association.interface == id);
    }
}

fn create_free(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let tags = tags_at_creation(form, Interface::TYPE)?;
    let subnet = form.required("SubnetId")?;
    site.find::<Subnet>(subnet)?;
    let groups = form.texts("SecurityGroupId");
    let id = create(
        site,
        NewInterface {
            subnet,
            description: form.text("Description").unwrap_or_default().to_owned(),
            groups: groups.into_iter().map(str::to_owned).collect(),
            tags,
            r#use: Use::Free,
        },
    )?;
    Ok(one::<Interface>(site, "networkInterface", &id))
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("NetworkInterfaceId")?;
    if site.find::<Interface>(id)?.r#use != Use::Free {
        let message = format!("Network interface '{id}' is currently in use.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    remove(site, id);
    Ok(done())
}
