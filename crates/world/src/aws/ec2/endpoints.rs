//! Gateway endpoints: the free way to S3 that does not pass a NAT gateway.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::route_tables::RouteTable;
use crate::aws::ec2::vpcs::Vpc;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateVpcEndpoint",
        "VpcId! ServiceName! VpcEndpointType RouteTableId.# ClientToken @tags",
        create,
    ),
    operation(
        "DescribeVpcEndpoints",
        "VpcEndpointId.# @filters @pages",
        describe::<Endpoint>,
    ),
    operation("DeleteVpcEndpoints", "VpcEndpointId.#!", delete),
];

/// One endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) vpc: String,
    service: String,
    pub(crate) route_tables: Vec<String>,
    created: Timestamp,
}

impl Endpoint {
    /// The list of addresses that a route to it stands for.
    pub(super) fn prefix_list(&self) -> &'static str {
        if self.service.rsplit('.').next() == Some("s3") {
            "pl-6da54004"
        } else {
            "pl-6fa54006"
        }
    }
}

impl Resource for Endpoint {
    const PREFIX: &'static str = "vpce";
    const TYPE: &'static str = "vpc-endpoint";
    const IDS: &'static str = "VpcEndpointId";
    const SET: &'static str = "vpcEndpointSet";
    const FILTERS: &'static [&'static str] = &[
        "service-name",
        "vpc-endpoint-id",
        "vpc-endpoint-state",
        "vpc-endpoint-type",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.endpoints
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.endpoints
    }

    fn missing(id: &str) -> Refusal {
        let message = format!("The Vpc Endpoint Id '{id}' does not exist");
        Refusal::new("InvalidVpcEndpointId.NotFound", message)
    }

    fn facet(&self, _: &View<'_>, filter: &str) -> Vec<String> {
        vec![match filter {
            "service-name" => self.service.clone(),
            "vpc-endpoint-id" => self.id.clone(),
            "vpc-endpoint-state" => "available".to_owned(),
            "vpc-endpoint-type" => "Gateway".to_owned(),
            _ => self.vpc.clone(),
        }]
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("vpcEndpointId", &self.id)
            .text("vpcEndpointType", "Gateway")
            .text("vpcId", &self.vpc)
            .text("serviceName", &self.service)
            .text("state", "available")
            .texts("routeTableIdSet", "item", &self.route_tables)
            .text("requesterManaged", false)
            .text("creationTimestamp", iso(self.created))
            .text("ownerId", view.account);
        view.tags(&self.id, xml);
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    if let Some(kind) = form.text("VpcEndpointType").filter(|kind| *kind != "Gateway") {
        let message = format!("The local world has endpoints of type Gateway, not {kind}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let tags = tags_at_creation(form, Endpoint::TYPE)?;
    let (vpc, service) = (form.required("VpcId")?, form.required("ServiceName")?);
    site.find::<Vpc>(vpc)?;
    let offered = ["s3", "dynamodb"].map(|name| format!("com.amazonaws.{}.{name}", site.region));
    if !offered.iter().any(|name| name == service) {
        let message = format!("The Vpc Endpoint Service '{service}' does not exist");
        return Err(Refusal::new("InvalidServiceName", message));
    }
    let token = form
        .text("ClientToken")
        .map(|token| format!("CreateVpcEndpoint/{token}"));
    if let Some(id) = token.as_ref().and_then(|token| site.ec2().tokens.get(token).cloned()) {
        return Ok(one::<Endpoint>(site, "vpcEndpoint", &id));
    }
    let tables = form.texts("RouteTableId");
    for table in &tables {
        site.find::<RouteTable>(table)?;
        let routes =
            |endpoint: &Endpoint| endpoint.service == service && endpoint.route_tables.iter().any(|id| id == table);
        if site.ec2().endpoints.values().any(routes) {
            let message =
                format!("route table {table} already has a route with destination-prefix-list-id of {service}");
            return Err(Refusal::new("RouteAlreadyExists", message));
        }
    }
    let id = site.new_id(Endpoint::PREFIX);
    let endpoint = Endpoint {
        id: id.clone(),
        vpc: vpc.to_owned(),
        service: service.to_owned(),
        route_tables: tables.into_iter().map(str::to_owned).collect(),
        created: site.now,
    };
    site.keep(&id, endpoint, tags);
    if let Some(token) = token {
        site.ec2().tokens.insert(token, id.clone());
    }
    Ok(one::<Endpoint>(site, "vpcEndpoint", &id))
}

#[expect(clippy::unnecessary_wraps, reason = "all operations of the table have one type")]
fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let mut failed = Vec::new();
    for id in form.texts("VpcEndpointId") {
        match site.find::<Endpoint>(id) {
            Ok(_) => {
                site.drop_resource::<Endpoint>(id);
            }
            Err(refusal) => failed.push((id, refusal)),
        }
    }
    let mut xml = Xml::new();
    xml.list("unsuccessful", "item", failed, |xml, (id, refusal)| {
        xml.element("error", |xml| {
            xml.text("code", &refusal.code).text("message", &refusal.message);
        });
        xml.text("resourceId", id);
    });
    Ok(xml)
}
