//! Elastic IP addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("AllocateAddress", "Domain NetworkBorderGroup @tags", allocate),
    operation("DescribeAddresses", "AllocationId.# @filters", describe::<Address>),
    operation("ReleaseAddress", "AllocationId! NetworkBorderGroup", release),
];

/// EC2's default quota.
const MOST_ADDRESSES: usize = 5;

/// One address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    id: String,
    pub(crate) ip: Ipv4Addr,
    /// What it is mapped to.
    pub(crate) association: Option<Association>,
}

/// That an address is mapped to an interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Association {
    pub(crate) id: String,
    pub(crate) interface: String,
}

impl Resource for Address {
    const PREFIX: &'static str = "eipalloc";
    const TYPE: &'static str = "elastic-ip";
    const IDS: &'static str = "AllocationId";
    const SET: &'static str = "addressesSet";
    const FILTERS: &'static [&'static str] = &[
        "allocation-id",
        "association-id",
        "domain",
        "network-interface-id",
        "public-ip",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.addresses
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.addresses
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidAllocationID.NotFound", "allocation", id)
    }

    fn facet(&self, _: &View<'_>, filter: &str) -> Vec<String> {
        let association = self.association.iter();
        match filter {
            "allocation-id" => vec![self.id.clone()],
            "association-id" => association.map(|association| association.id.clone()).collect(),
            "domain" => vec!["vpc".to_owned()],
            "network-interface-id" => association.map(|association| association.interface.clone()).collect(),
            _ => vec![self.ip.to_string()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("publicIp", self.ip)
            .text("allocationId", &self.id)
            .text("domain", "vpc")
            .text("publicIpv4Pool", "amazon")
            .text("networkBorderGroup", view.region);
        if let Some(association) = &self.association {
            xml.text("associationId", &association.id)
                .text("networkInterfaceId", &association.interface)
                .text("networkInterfaceOwnerId", view.account);
            let interface = view.ec2.interfaces.get(&association.interface);
            xml.maybe("privateIpAddress", interface.map(|interface| interface.ip));
        }
        view.tags(&self.id, xml);
    }
}

fn allocate(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    if let Some(domain) = form.text("Domain").filter(|domain| *domain != "vpc") {
        let message = format!("Invalid domain specified: {domain}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let tags = tags_at_creation(form, Address::TYPE)?;
    if site.ec2().addresses.len() >= MOST_ADDRESSES {
        let message = "The maximum number of addresses has been reached.";
        return Err(Refusal::new("AddressLimitExceeded", message));
    }
    let id = site.new_id(Address::PREFIX);
    let ip = site.public_ip();
    let address = Address {
        id: id.clone(),
        ip,
        association: None,
    };
    site.keep(&id, address, tags);
    let mut xml = Xml::new();
    xml.text("publicIp", ip)
        .text("domain", "vpc")
        .text("allocationId", &id)
        .text("publicIpv4Pool", "amazon")
        .text("networkBorderGroup", site.region);
    Ok(xml)
}

impl Site<'_> {
    /// A public address that nobody has: from the block that is reserved for documentation of benchmarks, so that none
    /// of them ever leads to a real machine.
    pub(crate) fn public_ip(&mut self) -> Ipv4Addr {
        loop {
            let [second, third, fourth] = [2, 256, 254].map(|end| self.random.below(end));
            let octet = |value: usize| u8::try_from(value).unwrap_or(0);
            let ip = Ipv4Addr::new(198, 18 + octet(second), octet(third), octet(fourth) + 1);
            let ec2 = self.ec2();
            let taken = ec2.addresses.values().any(|address| address.ip == ip)
                || ec2.interfaces.values().any(|interface| interface.public_ip == Some(ip));
            if !taken {
                return ip;
            }
        }
    }
}

fn release(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("AllocationId")?;
    let address = site.find::<Address>(id)?;
    if address.association.is_some() {
        let message = format!("Address {} is in use.", address.ip);
        return Err(Refusal::new("InvalidIPAddress.InUse", message));
    }
    site.drop_resource::<Address>(id);
    Ok(done())
}
