//! NAT gateways: they take minutes to come and to go, and hold an interface and an address all the while.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::addresses::Address;
use crate::aws::ec2::addresses::Association;
use crate::aws::ec2::interfaces;
use crate::aws::ec2::interfaces::NewInterface;
use crate::aws::ec2::interfaces::Use;
use crate::aws::ec2::internet_gateways::gateway_of;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::subnets::Subnet;
use crate::aws::iso;
use crate::aws::later;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateNatGateway",
        "SubnetId! AllocationId! ClientToken ConnectivityType AvailabilityMode @tags",
        create,
    ),
    operation(
        "DescribeNatGateways",
        "NatGatewayId.# @filters @pages",
        describe::<NatGateway>,
    ),
    operation("DeleteNatGateway", "NatGatewayId!", delete),
];

/// How long a deleted gateway is still listed.
const LISTED: std::time::Duration = std::time::Duration::from_hours(1);

/// One NAT gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NatGateway {
    pub(crate) id: String,
    subnet: String,
    vpc: String,
    allocation: String,
    interface: Option<String>,
    created: Timestamp,
    deleted: Option<Timestamp>,
    pub(crate) state: State,
    failure: Option<(String, String)>,
    // The address and the interface as they were, for listings after they are gone.
    addresses: (String, String, String),
    // When the state changes by itself.
    due: Option<Timestamp>,
}

/// The life of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Pending,
    Failed,
    Available,
    Deleting,
    Deleted,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

impl Resource for NatGateway {
    const PREFIX: &'static str = "nat";
    const TYPE: &'static str = "natgateway";
    const IDS: &'static str = "NatGatewayId";
    const SET: &'static str = "natGatewaySet";
    const FILTERS: &'static [&'static str] = &["nat-gateway-id", "state", "subnet-id", "vpc-id"];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.nat_gateways
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.nat_gateways
    }

    fn missing(id: &str) -> Refusal {
        Refusal::new("NatGatewayNotFound", format!("NatGateway {id} was not found"))
    }

    fn facet(&self, _: &View<'_>, filter: &str) -> Vec<String> {
        vec![match filter {
            "nat-gateway-id" => self.id.clone(),
            "state" => self.state.text().to_owned(),
            "subnet-id" => self.subnet.clone(),
            _ => self.vpc.clone(),
        }]
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        let (public, private, interface) = &self.addresses;
        xml.text("natGatewayId", &self.id)
            .text("subnetId", &self.subnet)
            .text("vpcId", &self.vpc)
            .text("state", self.state.text())
            .text("createTime", iso(self.created))
            .maybe("deleteTime", self.deleted.map(iso))
            .maybe("failureCode", self.failure.as_ref().map(|failure| &failure.0))
            .maybe("failureMessage", self.failure.as_ref().map(|failure| &failure.1))
            .list("natGatewayAddressSet", "item", [self], |xml, gateway| {
                xml.text("allocationId", &gateway.allocation);
                if !interface.is_empty() {
                    xml.text("networkInterfaceId", interface)
                        .text("privateIp", private)
                        .text("publicIp", public);
                }
                xml.text("isPrimary", true);
            })
            .text("connectivityType", "public")
            .text("availabilityMode", "zonal");
        view.tags(&self.id, xml);
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    for (name, only) in [("ConnectivityType", "public"), ("AvailabilityMode", "zonal")] {
        if let Some(other) = form.text(name).filter(|value| *value != only) {
            let message = format!("The local world's NAT gateways have {name} {only}, not {other}");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    }
    let token = form
        .text("ClientToken")
        .map(|token| format!("CreateNatGateway/{token}"));
    if let Some(id) = token.as_ref().and_then(|token| site.ec2().tokens.get(token).cloned()) {
        return Ok(answer(site, form, &id));
    }
    let tags = tags_at_creation(form, NatGateway::TYPE)?;
    let subnet = site.find::<Subnet>(form.required("SubnetId")?)?.clone();
    let allocation = form.required("AllocationId")?;
    let address = site.find::<Address>(allocation)?.clone();
    let id = site.new_id(NatGateway::PREFIX);
    let mut gateway = NatGateway {
        id: id.clone(),
        subnet: subnet.id.clone(),
        vpc: subnet.vpc.clone(),
        allocation: allocation.to_owned(),
        interface: None,
        created: site.now,
        deleted: None,
        state: State::Pending,
        failure: None,
        addresses: (String::new(), String::new(), String::new()),
        due: Some(site.in_seconds(95.0, 108.0, 180.0)),
    };
    gateway.failure = failure(site.ec2(), &subnet, allocation, &address);
    if gateway.failure.is_none() && site.account.faults.fails("nat-gateway") {
        let message = "Network interface could not be created, and this is a scripted failure".to_owned();
        gateway.failure = Some(("InternalError".to_owned(), message));
    }
    if gateway.failure.is_some() {
        gateway.state = State::Failed;
        gateway.due = Some(later(site.now, LISTED));
    } else {
        occupy(site, &mut gateway)?;
    }
    if let Some(token) = token {
        site.ec2().tokens.insert(token, id.clone());
    }
    let comes_up = gateway.due.filter(|_| gateway.state == State::Pending);
    site.keep(&id, gateway, tags);
    // It can be seen long before it carries anything.
    site.account.arrivals.made(id.clone(), site.now);
    if let Some(at) = comes_up {
        site.account.arrivals.usable(&id, at);
    }
    Ok(answer(site, form, &id))
}

fn answer(site: &mut Site<'_>, form: &Form<'_>, id: &str) -> Xml {
    let mut xml = one::<NatGateway>(site, "natGateway", id);
    xml.maybe("clientToken", form.text("ClientToken"));
    xml
}

/// Why a gateway will not come up.
fn failure(ec2: &Ec2, subnet: &Subnet, allocation: &str, address: &Address) -> Option<(String, String)> {
    if gateway_of(ec2, &subnet.vpc).is_none() {
        let message = format!("Network {} has no Internet gateway attached", subnet.vpc);
        return Some(("Gateway.NotAttached".to_owned(), message));
    }
    address.association.as_ref().map(|_| {
        let message = format!("Elastic IP address [{allocation}] is already associated");
        ("Resource.AlreadyAssociated".to_owned(), message)
    })
}

/// Gives the gateway its interface and maps its address.
fn occupy(site: &mut Site<'_>, gateway: &mut NatGateway) -> Result<(), Refusal> {
    let interface = interfaces::create(
        site,
        NewInterface {
            subnet: &gateway.subnet,
            description: format!("Interface for NAT Gateway {}", gateway.id),
            groups: Vec::new(),
            tags: Tags::new(),
            r#use: Use::Service {
                requester: "amazon-aws".to_owned(),
                kind: "nat_gateway".to_owned(),
            },
        },
    )?;
    let association = site.new_id("eipassoc");
    let ip = site.ec2().interfaces[&interface].ip;
    if let Some(address) = site.ec2().addresses.get_mut(&gateway.allocation) {
        address.association = Some(Association {
            id: association,
            interface: interface.clone(),
        });
        gateway.addresses = (address.ip.to_string(), ip.to_string(), interface.clone());
    }
    gateway.interface = Some(interface);
    Ok(())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("NatGatewayId")?;
    let due = site.in_seconds(60.0, 80.0, 120.0);
    let gateway = site.find::<NatGateway>(id)?;
    match gateway.state {
        State::Deleted => return Err(NatGateway::missing(id)),
        State::Deleting => (),
        State::Pending | State::Available | State::Failed => {
            gateway.state = State::Deleting;
            gateway.due = Some(due);
        }
    }
    let mut xml = Xml::new();
    xml.text("natGatewayId", id);
    Ok(xml)
}

/// When the next gateway changes by itself.
pub(super) fn next_wake(ec2: &Ec2) -> Option<Timestamp> {
    ec2.nat_gateways.values().filter_map(|gateway| gateway.due).min()
}

/// Lets gateways come up, go, and leave the listing.
pub(super) fn advance(site: &mut Site<'_>) {
    let now = site.now;
    let due = |gateway: &&NatGateway| gateway.due.is_some_and(|due| due <= now);
    let due: Vec<String> = site
        .ec2()
        .nat_gateways
        .values()
        .filter(due)
        .map(|gateway| gateway.id.clone())
        .collect();
    for id in due {
        let Some(gateway) = site.ec2().nat_gateways.get_mut(&id) else {
            continue;
        };
        match gateway.state {
            State::Pending => {
                gateway.state = State::Available;
                gateway.due = None;
            }
            State::Deleting => {
                gateway.state = State::Deleted;
                gateway.deleted = Some(now);
                gateway.due = Some(later(now, LISTED));
                if let Some(interface) = gateway.interface.take() {
                    interfaces::remove(site, &interface);
                }
            }
            State::Deleted | State::Failed => {
                site.drop_resource::<NatGateway>(&id);
            }
            State::Available => gateway.due = None,
        }
    }
}
