//! EC2: networks and machines of one region, in EC2's own dialect of form and XML.

mod resource;

mod cidr;
mod zones;

pub(crate) mod addresses;
pub(crate) mod endpoints;
pub(crate) mod instances;
pub(crate) mod interfaces;
pub(crate) mod internet_gateways;
pub(crate) mod launch_templates;
pub(crate) mod nat_gateways;
pub(crate) mod route_tables;
pub(crate) mod security_group_rules;
pub(crate) mod security_groups;
pub(crate) mod subnets;
mod tagging;
pub(crate) mod types;
pub(crate) mod volumes;
pub(crate) mod vpcs;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::resource::Resource;
use crate::aws::query;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::xml::Xml;
use crate::core::Response;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

const OPERATIONS: &[&[Operation<Run>]] = &[
    addresses::OPERATIONS,
    endpoints::OPERATIONS,
    instances::OPERATIONS,
    interfaces::OPERATIONS,
    internet_gateways::OPERATIONS,
    launch_templates::OPERATIONS,
    nat_gateways::OPERATIONS,
    route_tables::OPERATIONS,
    security_group_rules::OPERATIONS,
    security_groups::OPERATIONS,
    subnets::OPERATIONS,
    tagging::OPERATIONS,
    types::OPERATIONS,
    volumes::OPERATIONS,
    vpcs::OPERATIONS,
    zones::OPERATIONS,
];

/// EC2's part of a region; every kind of resource by id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ec2 {
    pub(crate) addresses: BTreeMap<String, addresses::Address>,
    pub(crate) endpoints: BTreeMap<String, endpoints::Endpoint>,
    pub(crate) instances: BTreeMap<String, instances::Instance>,
    pub(crate) interfaces: BTreeMap<String, interfaces::Interface>,
    pub(crate) internet_gateways: BTreeMap<String, internet_gateways::InternetGateway>,
    pub(crate) launch_templates: BTreeMap<String, launch_templates::LaunchTemplate>,
    pub(crate) nat_gateways: BTreeMap<String, nat_gateways::NatGateway>,
    pub(crate) route_tables: BTreeMap<String, route_tables::RouteTable>,
    pub(crate) security_groups: BTreeMap<String, security_groups::SecurityGroup>,
    pub(crate) subnets: BTreeMap<String, subnets::Subnet>,
    pub(crate) volumes: BTreeMap<String, volumes::Volume>,
    pub(crate) vpcs: BTreeMap<String, vpcs::Vpc>,
    /// The tags of all of them.
    pub(crate) tags: BTreeMap<String, Tags>,
    // Until when a new resource is not seen.
    unseen: BTreeMap<String, Timestamp>,
    // What was created for a client token.
    tokens: BTreeMap<String, String>,
}

impl Ec2 {
    /// When something next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        [nat_gateways::next_wake(self), instances::next_wake(self)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there is a resource with this id.
    fn has(&self, id: &str) -> bool {
        self.by_kind()
            .iter()
            .any(|(_, ids)| ids.iter().any(|known| known == id))
            || self.security_groups.values().any(|group| group.rules.contains_key(id))
    }

    /// How EC2 says that there is none with this id, for an id of any kind.
    fn missing(id: &str) -> Refusal {
        fn kind<R: Resource>() -> (&'static str, fn(&str) -> Refusal) {
            (R::PREFIX, R::missing)
        }
        let kinds = [
            kind::<addresses::Address>(),
            kind::<endpoints::Endpoint>(),
            kind::<instances::Instance>(),
            kind::<interfaces::Interface>(),
            kind::<internet_gateways::InternetGateway>(),
            kind::<launch_templates::LaunchTemplate>(),
            kind::<nat_gateways::NatGateway>(),
            kind::<route_tables::RouteTable>(),
            kind::<security_groups::SecurityGroup>(),
            kind::<subnets::Subnet>(),
            kind::<volumes::Volume>(),
            kind::<vpcs::Vpc>(),
        ];
        let prefix = id.split('-').next().unwrap_or_default();
        match kinds.iter().find(|(known, _)| *known == prefix) {
            Some((_, missing)) => missing(id),
            None => Refusal::new("InvalidID", format!("The ID '{id}' is not valid")),
        }
    }

    /// Everything that there is, by kind. What a VPC is born with goes with it and is not listed; neither is what only
    /// remains in listings.
    fn by_kind(&self) -> Vec<(&'static str, Vec<String>)> {
        let gone = [nat_gateways::State::Deleted, nat_gateways::State::Failed];
        let nat = self
            .nat_gateways
            .values()
            .filter(|gateway| !gone.contains(&gateway.state));
        let alive = self
            .instances
            .values()
            .filter(|instance| instance.state != instances::State::Terminated);
        let groups = self.security_groups.values().filter(|group| group.name != "default");
        let tables = self.route_tables.values().filter(|table| !table.is_main());
        vec![
            ("ec2/address", self.addresses.keys().cloned().collect()),
            ("ec2/instance", alive.map(|instance| instance.id.clone()).collect()),
            ("ec2/internet-gateway", self.internet_gateways.keys().cloned().collect()),
            ("ec2/launch-template", self.launch_templates.keys().cloned().collect()),
            ("ec2/nat-gateway", nat.map(|gateway| gateway.id.clone()).collect()),
            ("ec2/network-interface", self.interfaces.keys().cloned().collect()),
            ("ec2/route-table", tables.map(|table| table.id.clone()).collect()),
            ("ec2/security-group", groups.map(|group| group.id.clone()).collect()),
            ("ec2/subnet", self.subnets.keys().cloned().collect()),
            ("ec2/volume", self.volumes.keys().cloned().collect()),
            ("ec2/vpc", self.vpcs.keys().cloned().collect()),
            ("ec2/vpc-endpoint", self.endpoints.keys().cloned().collect()),
        ]
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        for (kind, ids) in self.by_kind() {
            if !ids.is_empty() {
                found.entry(kind.to_owned()).or_default().extend(ids);
            }
        }
    }
}

/// Lets EC2 act on what is due in one region.
pub(crate) fn advance(site: &mut Site<'_>) {
    nat_gateways::advance(site);
    instances::advance(site);
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let pairs = query::pairs(call.request);
    let form = Form::new(&pairs);
    let operation = OPERATIONS
        .iter()
        .flat_map(|group| group.iter())
        .find(|operation| operation.name == call.operation)
        .ok_or_else(|| {
            let message = format!("The action {} is not valid for this web service.", call.operation);
            Refusal::new("InvalidAction", message)
        })?;
    form.check(&format!("DryRun {}", operation.parameters))?;
    if form.flag("DryRun")? == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(Refusal::with_status(
            StatusCode::PRECONDITION_FAILED,
            "DryRunOperation",
            message,
        ));
    }
    let result = (operation.run)(&mut scene.site(&call.scope.region), &form)?;
    let mut inner = Xml::new();
    inner.text("requestId", &call.id).append(&result);
    let root = format!("{}Response", operation.name);
    let document = Xml::document(&root, NAMESPACE, &inner);
    Ok(query::xml_response(StatusCode::OK, &document))
}

/// A refusal in EC2's dialect.
pub(crate) fn refuse(refusal: &Refusal, call: &Call<'_>) -> Response {
    let mut inner = Xml::new();
    inner.element("Errors", |xml| {
        xml.element("Error", |xml| {
            xml.text("Code", &refusal.code).text("Message", &refusal.message);
        });
    });
    inner.text("RequestID", &call.id);
    query::xml_response(refusal.status, &Xml::document("Response", "", &inner))
}
