//! Internet gateways: what public subnets route to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::needed;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::vpcs::Vpc;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("CreateInternetGateway", "@tags", create),
    operation("AttachInternetGateway", "InternetGatewayId! VpcId!", attach),
    operation("DetachInternetGateway", "InternetGatewayId! VpcId!", detach),
    operation(
        "DescribeInternetGateways",
        "InternetGatewayId.# @filters @pages",
        describe::<InternetGateway>,
    ),
    operation("DeleteInternetGateway", "InternetGatewayId!", delete),
];

/// One internet gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InternetGateway {
    id: String,
    /// The VPC that it is attached to.
    pub(crate) vpc: Option<String>,
}

impl Resource for InternetGateway {
    const PREFIX: &'static str = "igw";
    const TYPE: &'static str = "internet-gateway";
    const IDS: &'static str = "InternetGatewayId";
    const SET: &'static str = "internetGatewaySet";
    const FILTERS: &'static [&'static str] = &[
        "attachment.state",
        "attachment.vpc-id",
        "internet-gateway-id",
        "owner-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.internet_gateways
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.internet_gateways
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidInternetGatewayID.NotFound", "internetGateway", id)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        match filter {
            "attachment.state" => self.vpc.iter().map(|_| "available".to_owned()).collect(),
            "attachment.vpc-id" => self.vpc.iter().cloned().collect(),
            "owner-id" => vec![view.account.to_owned()],
            _ => vec![self.id.clone()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("internetGatewayId", &self.id)
            .text("ownerId", view.account)
            .list("attachmentSet", "item", &self.vpc, |xml, vpc| {
                xml.text("vpcId", vpc).text("state", "available");
            });
        view.tags(&self.id, xml);
    }
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let tags = tags_at_creation(form, InternetGateway::TYPE)?;
    let id = site.new_id(InternetGateway::PREFIX);
    let gateway = InternetGateway {
        id: id.clone(),
        vpc: None,
    };
    site.keep(&id, gateway, tags);
    Ok(one::<InternetGateway>(site, "internetGateway", &id))
}

fn attach(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (id, vpc) = (form.required("InternetGatewayId")?, form.required("VpcId")?);
    site.find::<Vpc>(vpc)?;
    let attached = site.find::<InternetGateway>(id)?.vpc.clone();
    if let Some(other) = attached {
        let message = format!("resource {id} is already attached to network {other}");
        return Err(Refusal::new("Resource.AlreadyAssociated", message));
    }
    if gateway_of(site.ec2(), vpc).is_some() {
        let message = format!("Network {vpc} already has an internet gateway attached");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    site.find::<InternetGateway>(id)?.vpc = Some(vpc.to_owned());
    Ok(done())
}

/// The gateway that is attached to a VPC.
pub(crate) fn gateway_of<'a>(ec2: &'a Ec2, vpc: &str) -> Option<&'a InternetGateway> {
    ec2.internet_gateways
        .values()
        .find(|gateway| gateway.vpc.as_deref() == Some(vpc))
}

fn detach(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (id, vpc) = (form.required("InternetGatewayId")?, form.required("VpcId")?);
    let gateway = site.find::<InternetGateway>(id)?;
    if gateway.vpc.as_deref() != Some(vpc) {
        let message = format!("resource {id} is not attached to network {vpc}");
        return Err(Refusal::new("Gateway.NotAttached", message));
    }
    let ec2 = site.ec2();
    let mapped = ec2
        .interfaces
        .values()
        .any(|interface| interface.vpc == vpc && interface.is_public(ec2));
    if mapped {
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching \
             the gateway."
        );
        return Err(Refusal::new("DependencyViolation", message));
    }
    site.find::<InternetGateway>(id)?.vpc = None;
    Ok(done())
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("InternetGatewayId")?;
    if site.find::<InternetGateway>(id)?.vpc.is_some() {
        return Err(needed("internetGateway", id));
    }
    site.drop_resource::<InternetGateway>(id);
    Ok(done())
}
