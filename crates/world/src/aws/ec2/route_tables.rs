//! Route tables: where the traffic of a subnet goes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::cidr::Cidr;
use crate::aws::ec2::internet_gateways::InternetGateway;
use crate::aws::ec2::nat_gateways;
use crate::aws::ec2::nat_gateways::NatGateway;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::needed;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::subnets::Subnet;
use crate::aws::ec2::vpcs::Vpc;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("CreateRouteTable", "VpcId! ClientToken @tags", create),
    operation(
        "DescribeRouteTables",
        "RouteTableId.# @filters @pages",
        describe::<RouteTable>,
    ),
    operation("DeleteRouteTable", "RouteTableId!", delete),
    operation(
        "CreateRoute",
        "RouteTableId! DestinationCidrBlock! GatewayId NatGatewayId",
        create_route,
    ),
    operation(
        "ReplaceRoute",
        "RouteTableId! DestinationCidrBlock! GatewayId NatGatewayId",
        replace_route,
    ),
    operation("DeleteRoute", "RouteTableId! DestinationCidrBlock!", delete_route),
    operation("AssociateRouteTable", "RouteTableId! SubnetId!", associate),
    operation("DisassociateRouteTable", "AssociationId!", disassociate),
    operation(
        "ReplaceRouteTableAssociation",
        "AssociationId! RouteTableId!",
        replace_association,
    ),
];

/// One route table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RouteTable {
    pub(crate) id: String,
    pub(crate) vpc: String,
    routes: BTreeMap<Cidr, Target>,
    associations: Vec<Association>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Target {
    Gateway(String),
    Nat(String),
}

/// That a table is the main one, or a subnet's.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Association {
    id: String,
    /// None for the main table.
    subnet: Option<String>,
}

impl RouteTable {
    /// Whether subnets without a table of their own use this one.
    pub(crate) fn is_main(&self) -> bool {
        self.associations.iter().any(|association| association.subnet.is_none())
    }

    /// Forgets a subnet that is gone.
    pub(crate) fn forget_subnet(&mut self, subnet: &str) {
        self.associations
            .retain(|association| association.subnet.as_deref() != Some(subnet));
    }

    fn write_route(view: &View<'_>, xml: &mut Xml, destination: Cidr, target: &Target) {
        xml.text("destinationCidrBlock", destination);
        let leads = match target {
            Target::Gateway(id) => {
                xml.text("gatewayId", id);
                view.ec2
                    .internet_gateways
                    .get(id)
                    .is_some_and(|gateway| gateway.vpc.is_some())
            }
            Target::Nat(id) => {
                xml.text("natGatewayId", id);
                let gone = [nat_gateways::State::Deleted, nat_gateways::State::Failed];
                view.ec2
                    .nat_gateways
                    .get(id)
                    .is_some_and(|gateway| !gone.contains(&gateway.state))
            }
        };
        xml.text("state", if leads { "active" } else { "blackhole" })
            .text("origin", "CreateRoute");
    }
}

impl Resource for RouteTable {
    const PREFIX: &'static str = "rtb";
    const TYPE: &'static str = "route-table";
    const IDS: &'static str = "RouteTableId";
    const SET: &'static str = "routeTableSet";
    const FILTERS: &'static [&'static str] = &[
        "association.main",
        "association.route-table-association-id",
        "association.subnet-id",
        "route-table-id",
        "route.destination-cidr-block",
        "route.gateway-id",
        "route.nat-gateway-id",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.route_tables
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.route_tables
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidRouteTableID.NotFound", "routeTable", id)
    }

    fn facet(&self, _: &View<'_>, filter: &str) -> Vec<String> {
        let associations = self.associations.iter();
        match filter {
            "association.main" => associations
                .map(|association| association.subnet.is_none().to_string())
                .collect(),
            "association.route-table-association-id" => {
                associations.map(|association| association.id.clone()).collect()
            }
            "association.subnet-id" => associations
                .filter_map(|association| association.subnet.clone())
                .collect(),
            "route-table-id" => vec![self.id.clone()],
            "route.destination-cidr-block" => self.routes.keys().map(ToString::to_string).collect(),
            "route.gateway-id" => self.targets(|target| match target {
                Target::Gateway(id) => Some(id),
                Target::Nat(_) => None,
            }),
            "route.nat-gateway-id" => self.targets(|target| match target {
                Target::Nat(id) => Some(id),
                Target::Gateway(_) => None,
            }),
            _ => vec![self.vpc.clone()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        let local = view.ec2.vpcs.get(&self.vpc).map(|vpc| vpc.cidr);
        let endpoints = view
            .ec2
            .endpoints
            .values()
            .filter(|endpoint| endpoint.route_tables.contains(&self.id));
        xml.text("routeTableId", &self.id)
            .text("vpcId", &self.vpc)
            .text("ownerId", view.account)
            .element("routeSet", |xml| {
                if let Some(cidr) = local {
                    xml.element("item", |xml| {
                        xml.text("destinationCidrBlock", cidr)
                            .text("gatewayId", "local")
                            .text("state", "active")
                            .text("origin", "CreateRouteTable");
                    });
                }
                for endpoint in endpoints {
                    xml.element("item", |xml| {
                        xml.text("destinationPrefixListId", endpoint.prefix_list())
                            .text("gatewayId", &endpoint.id)
                            .text("state", "active")
                            .text("origin", "CreateRoute");
                    });
                }
                for (destination, target) in &self.routes {
                    xml.element("item", |xml| Self::write_route(view, xml, *destination, target));
                }
            })
            .list("associationSet", "item", &self.associations, |xml, association| {
                xml.text("routeTableAssociationId", &association.id)
                    .text("routeTableId", &self.id)
                    .maybe("subnetId", association.subnet.as_ref())
                    .text("main", association.subnet.is_none())
                    .element("associationState", |xml| {
                        xml.text("state", "associated");
                    });
            })
            .list("propagatingVgwSet", "item", [""; 0], |_, _| ());
        view.tags(&self.id, xml);
    }
}

impl RouteTable {
    fn targets(&self, pick: impl Fn(&Target) -> Option<&String>) -> Vec<String> {
        self.routes.values().filter_map(pick).cloned().collect()
    }
}

/// The table that a new VPC has.
pub(super) fn create_main(site: &mut Site<'_>, vpc: &str) {
    let id = site.new_id(RouteTable::PREFIX);
    let main = Association {
        id: site.new_id("rtbassoc"),
        subnet: None,
    };
    let table = RouteTable {
        id: id.clone(),
        vpc: vpc.to_owned(),
        routes: BTreeMap::new(),
        associations: vec![main],
    };
    site.keep(&id, table, Tags::new());
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let token = form
        .text("ClientToken")
        .map(|token| format!("CreateRouteTable/{token}"));
    if let Some(id) = token.as_ref().and_then(|token| site.ec2().tokens.get(token).cloned()) {
        return Ok(one::<RouteTable>(site, "routeTable", &id));
    }
    let tags = tags_at_creation(form, RouteTable::TYPE)?;
    let vpc = form.required("VpcId")?;
    site.find::<Vpc>(vpc)?;
    let id = site.new_id(RouteTable::PREFIX);
    let table = RouteTable {
        id: id.clone(),
        vpc: vpc.to_owned(),
        routes: BTreeMap::new(),
        associations: Vec::new(),
    };
    site.keep(&id, table, tags);
    if let Some(token) = token {
        site.ec2().tokens.insert(token, id.clone());
    }
    let mut xml = one::<RouteTable>(site, "routeTable", &id);
    xml.maybe("clientToken", form.text("ClientToken"));
    Ok(xml)
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("RouteTableId")?;
    if !site.find::<RouteTable>(id)?.associations.is_empty() {
        return Err(needed("routeTable", id));
    }
    for endpoint in site.ec2().endpoints.values_mut() {
        endpoint.route_tables.retain(|table| table != id);
    }
    site.drop_resource::<RouteTable>(id);
    Ok(done())
}

fn destination(form: &Form<'_>) -> Result<Cidr, Refusal> {
    let text = form.required("DestinationCidrBlock")?;
    text.parse().map_err(|_| {
        let message =
            format!("Value ({text}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.");
        Refusal::new("InvalidParameterValue", message)
    })
}

fn create_route(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (destination, target) = (destination(form)?, target(site, form)?);
    let routes = &mut site.find::<RouteTable>(form.required("RouteTableId")?)?.routes;
    if routes.get(&destination).is_some_and(|known| *known != target) {
        let message = format!("The route identified by {destination} already exists.");
        return Err(Refusal::new("RouteAlreadyExists", message));
    }
    routes.insert(destination, target);
    Ok(done())
}

fn replace_route(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (destination, target) = (destination(form)?, target(site, form)?);
    let id = form.required("RouteTableId")?;
    let Some(route) = site.find::<RouteTable>(id)?.routes.get_mut(&destination) else {
        let message = format!("There is no route defined for '{destination}' in the route table.");
        return Err(Refusal::new("InvalidParameterValue", message));
    };
    *route = target;
    Ok(done())
}

/// Where a route is to lead.
fn target(site: &mut Site<'_>, form: &Form<'_>) -> Result<Target, Refusal> {
    let id = form.required("RouteTableId")?;
    let vpc = site.find::<RouteTable>(id)?.vpc.clone();
    match (form.text("GatewayId"), form.text("NatGatewayId")) {
        (Some(gateway), None) => {
            if site.find::<InternetGateway>(gateway)?.vpc.as_ref() != Some(&vpc) {
                let message = format!("route table {id} and network gateway {gateway} belong to different networks");
                return Err(Refusal::new("InvalidParameterValue", message));
            }
            Ok(Target::Gateway(gateway.to_owned()))
        }
        (None, Some(gateway)) => {
            let missing = not_there("InvalidNatGatewayID.NotFound", "natGateway", gateway);
            site.find::<NatGateway>(gateway).map_err(|_| missing)?;
            Ok(Target::Nat(gateway.to_owned()))
        }
        (None, None) => {
            let message = "The request must contain exactly one of gatewayId, natGatewayId";
            Err(Refusal::new("MissingParameter", message))
        }
        (Some(_), Some(_)) => {
            let message = "The parameters gatewayId and natGatewayId may not be used together";
            Err(Refusal::new("InvalidParameterCombination", message))
        }
    }
}

fn delete_route(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let destination = destination(form)?;
    let id = form.required("RouteTableId")?;
    let table = site.find::<RouteTable>(id)?;
    if table.routes.remove(&destination).is_none() {
        let message = format!("no route with destination-cidr-block {destination} in route table {id}");
        return Err(Refusal::new("InvalidRoute.NotFound", message));
    }
    Ok(done())
}

fn associate(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (id, subnet) = (form.required("RouteTableId")?, form.required("SubnetId")?);
    let vpc = site.find::<Subnet>(subnet)?.vpc.clone();
    if site.find::<RouteTable>(id)?.vpc != vpc {
        let message = format!("Route table {id} and subnet {subnet} belong to different networks");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let holds = |association: &Association| association.subnet.as_deref() == Some(subnet);
    let tables = site.ec2().route_tables.values();
    let held = tables.flat_map(|table| {
        table
            .associations
            .iter()
            .filter(|a| holds(a))
            .map(|a| (a.id.clone(), table.id.clone()))
    });
    let held = held.into_iter().next();
    let association = match held {
        Some((association, table)) if table == id => association,
        Some((association, _)) => {
            let message = format!(
                "the specified association for route table {association} conflicts with an existing association"
            );
            return Err(Refusal::new("Resource.AlreadyAssociated", message));
        }
        None => {
            let association = site.new_id("rtbassoc");
            site.find::<RouteTable>(id)?.associations.push(Association {
                id: association.clone(),
                subnet: Some(subnet.to_owned()),
            });
            association
        }
    };
    let mut xml = Xml::new();
    xml.text("associationId", association)
        .element("associationState", |xml| {
            xml.text("state", "associated");
        });
    Ok(xml)
}

fn disassociate(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("AssociationId")?;
    for table in site.ec2().route_tables.values_mut() {
        let Some(index) = table.associations.iter().position(|association| association.id == id) else {
            continue;
        };
        if table.associations[index].subnet.is_none() {
            let message = format!("cannot disassociate the main route table association {id}");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
        table.associations.remove(index);
        return Ok(done());
    }
    Err(not_there("InvalidAssociationID.NotFound", "association", id))
}

/// Moves a subnet to another table; the association is a new one.
fn replace_association(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (old, id) = (form.required("AssociationId")?, form.required("RouteTableId")?);
    let vpc = site.find::<RouteTable>(id)?.vpc.clone();
    let missing = || not_there("InvalidAssociationID.NotFound", "association", old);
    let mut tables = site.ec2().route_tables.values_mut();
    let holds = |table: &RouteTable| table.associations.iter().position(|association| association.id == old);
    let (table, index) = tables
        .find_map(|table| holds(table).map(|index| (table, index)))
        .ok_or_else(missing)?;
    if table.vpc != vpc {
        let message = format!("Route table {id} and association {old} belong to different networks");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let mut moved = table.associations.remove(index);
    moved.id = site.new_id("rtbassoc");
    let mut xml = Xml::new();
    xml.text("newAssociationId", &moved.id)
        .element("associationState", |xml| {
            xml.text("state", "associated");
        });
    site.find::<RouteTable>(id)?.associations.push(moved);
    Ok(xml)
}
