//! Load balancers: a minute or two to come up, and interfaces in every subnet meanwhile.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::interfaces;
use crate::aws::ec2::interfaces::NewInterface;
use crate::aws::ec2::interfaces::Use;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::elb::change_attributes;
use crate::aws::query::elb::check_name;
use crate::aws::query::elb::list;
use crate::aws::query::elb::listeners;
use crate::aws::query::elb::read_tags;
use crate::aws::query::elb::write_attributes;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateLoadBalancer",
        "Name! Subnets.member.# SubnetMappings.member.#.SubnetId SecurityGroups.member.# Scheme Type IpAddressType @members",
        create_from,
    ),
    operation(
        "DescribeLoadBalancers",
        "LoadBalancerArns.member.# Names.member.# Marker PageSize",
        describe,
    ),
    operation("DeleteLoadBalancer", "LoadBalancerArn!", delete),
    operation("DescribeLoadBalancerAttributes", "LoadBalancerArn!", attributes),
    operation(
        "ModifyLoadBalancerAttributes",
        "LoadBalancerArn! Attributes.member.#.Key! Attributes.member.#.Value",
        modify_attributes,
    ),
];

/// One load balancer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) dns_name: String,
    pub(crate) kind: Kind,
    pub(crate) scheme: Scheme,
    vpc: String,
    // Zone, subnet and interface.
    places: Vec<(String, String, String)>,
    groups: Vec<String>,
    created: Timestamp,
    /// When it becomes active; none once it is.
    pub(crate) active_at: Option<Timestamp>,
    attributes: BTreeMap<String, String>,
}

/// What a load balancer balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// HTTP requests.
    Application,
    /// Connections.
    Network,
}

/// Who can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scheme {
    /// Everybody.
    InternetFacing,
    /// The VPC.
    Internal,
}

/// A load balancer to be created.
pub(crate) struct NewLoadBalancer {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) scheme: Scheme,
    pub(crate) subnets: Vec<String>,
    /// Empty for the default group of the VPC.
    pub(crate) groups: Vec<String>,
    pub(crate) tags: Tags,
}

impl Kind {
    /// How ARNs and interfaces name it.
    fn short(self) -> &'static str {
        match self {
            Self::Application => "app",
            Self::Network => "net",
        }
    }
}

impl LoadBalancer {
    fn write(&self, xml: &mut Xml) {
        xml.text("LoadBalancerArn", &self.arn)
            .text("DNSName", &self.dns_name)
            .text("CanonicalHostedZoneId", "Z32O12XQLNTSW2")
            .text("CreatedTime", iso(self.created))
            .text("LoadBalancerName", &self.name)
            .text(
                "Scheme",
                if self.scheme == Scheme::Internal {
                    "internal"
                } else {
                    "internet-facing"
                },
            )
            .text("VpcId", &self.vpc)
            .element("State", |xml| {
                xml.text(
                    "Code",
                    if self.active_at.is_some() {
                        "provisioning"
                    } else {
                        "active"
                    },
                );
            })
            .text(
                "Type",
                if self.kind == Kind::Application {
                    "application"
                } else {
                    "network"
                },
            )
            .list("AvailabilityZones", "member", &self.places, |xml, (zone, subnet, _)| {
                xml.text("ZoneName", zone).text("SubnetId", subnet);
            })
            .texts("SecurityGroups", "member", &self.groups)
            .text("IpAddressType", "ipv4");
    }
}

/// Creates a load balancer, as a client or a controller does, and gives its ARN.
pub(crate) fn create(site: &mut Site<'_>, new: NewLoadBalancer) -> Result<String, Refusal> {
    check_name(&new.name)?;
    if let Some(known) = site
        .elb()
        .load_balancers
        .values()
        .find(|balancer| balancer.name == new.name)
    {
        let message = format!(
            "A load balancer with the same name '{}' exists, but with different settings",
            known.name
        );
        return Err(Refusal::new("DuplicateLoadBalancerName", message));
    }
    let (vpc, zones) = check_subnets(site, &new)?;
    let digits = site.random.hex(16);
    let resource = format!("{}/{}/{digits}", new.kind.short(), new.name);
    let mut places = Vec::new();
    let mut groups = Vec::new();
    for (zone, subnet) in zones {
        let interface = interfaces::create(
            site,
            NewInterface {
                subnet: &subnet,
                description: format!("ELB {resource}"),
                groups: new.groups.clone(),
                tags: Tags::new(),
                r#use: Use::Service {
                    requester: "amazon-elb".to_owned(),
                    kind: if new.kind == Kind::Network {
                        "network_load_balancer"
                    } else {
                        "interface"
                    }
                    .to_owned(),
                },
            },
        )?;
        let public = (new.scheme == Scheme::InternetFacing).then(|| site.public_ip());
        if let Some(interface) = site.ec2().interfaces.get_mut(&interface) {
            interface.public_ip = public;
            groups.clone_from(&interface.groups);
        }
        places.push((zone, subnet, interface));
    }
    let number: u64 = (0..10).fold(0, |number, _| number * 10 + site.random.below(10) as u64);
    let prefix = if new.scheme == Scheme::Internal {
        "internal-"
    } else {
        ""
    };
    let arn = site.arn("elasticloadbalancing", &format!("loadbalancer/{resource}"));
    let balancer = LoadBalancer {
        arn: arn.clone(),
        dns_name: format!("{prefix}{}-{number:010}.{}.elb.amazonaws.com", new.name, site.region),
        name: new.name,
        kind: new.kind,
        scheme: new.scheme,
        vpc,
        places,
        groups,
        created: site.now,
        active_at: Some(site.in_seconds(60.0, 80.0, 120.0)),
        attributes: default_attributes(new.kind),
    };
    let elb = site.elb();
    elb.load_balancers.insert(arn.clone(), balancer);
    elb.tags.insert(arn.clone(), new.tags);
    Ok(arn)
}

/// The VPC, and zone and subnet of each place. An application load balancer needs two zones.
fn check_subnets(site: &mut Site<'_>, new: &NewLoadBalancer) -> Result<(String, Vec<(String, String)>), Refusal> {
    let mut zones = BTreeMap::new();
    let mut vpcs = std::collections::BTreeSet::new();
    for id in &new.subnets {
        let Some(subnet) = site.ec2().subnets.get(id) else {
            let message = format!("The subnet ID '{id}' does not exist");
            return Err(Refusal::new("SubnetNotFound", message));
        };
        vpcs.insert(subnet.vpc.clone());
        if zones.insert(subnet.zone.clone(), id.clone()).is_some() {
            let message = format!(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone: {}",
                subnet.zone
            );
            return Err(Refusal::new("InvalidConfigurationRequest", message));
        }
    }
    let least = if new.kind == Kind::Application { 2 } else { 1 };
    if zones.len() < least {
        let message = format!("At least {least} subnets in different Availability Zones must be specified");
        return Err(Refusal::new("ValidationError", message));
    }
    let mut vpcs = vpcs.into_iter();
    match (vpcs.next(), vpcs.next()) {
        (Some(vpc), None) => Ok((vpc, zones.into_iter().collect())),
        _ => Err(Refusal::new("InvalidSubnet", "All subnets must belong to the same VPC")),
    }
}

fn default_attributes(kind: Kind) -> BTreeMap<String, String> {
    let shared = [
        ("access_logs.s3.bucket", ""),
        ("access_logs.s3.enabled", "false"),
        ("access_logs.s3.prefix", ""),
        ("deletion_protection.enabled", "false"),
        (
            "load_balancing.cross_zone.enabled",
            if kind == Kind::Application { "true" } else { "false" },
        ),
    ];
    let application = [
        ("idle_timeout.timeout_seconds", "60"),
        ("routing.http.drop_invalid_header_fields.enabled", "false"),
        ("routing.http2.enabled", "true"),
    ];
    let own = application.into_iter().filter(|_| kind == Kind::Application);
    shared
        .into_iter()
        .chain(own)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The refusal for a load balancer that is not there.
pub(super) fn missing(arn: &str) -> Refusal {
    let message = format!("One or more load balancers not found: {arn}");
    Refusal::new("LoadBalancerNotFound", message)
}

fn find<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut LoadBalancer, Refusal> {
    let arn = form.required("LoadBalancerArn")?;
    site.elb().load_balancers.get_mut(arn).ok_or_else(|| missing(arn))
}

fn create_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let mappings = form.items("SubnetMappings.member");
    let mapped = mappings.iter().filter_map(|mapping| mapping.text("SubnetId"));
    let kind = match form.text("Type").unwrap_or("application") {
        "application" => Kind::Application,
        "network" => Kind::Network,
        other => {
            return Err(Refusal::new(
                "ValidationError",
                format!("The local world has no load balancers of type '{other}'"),
            ));
        }
    };
    let scheme = match form.text("Scheme").unwrap_or("internet-facing") {
        "internet-facing" => Scheme::InternetFacing,
        "internal" => Scheme::Internal,
        other => {
            return Err(Refusal::new(
                "InvalidScheme",
                format!("The scheme '{other}' is not valid"),
            ));
        }
    };
    if let Some(other) = form.text("IpAddressType").filter(|kind| *kind != "ipv4") {
        return Err(Refusal::new(
            "ValidationError",
            format!("The local world has no addresses of type '{other}'"),
        ));
    }
    let new = NewLoadBalancer {
        name: form.required("Name")?.to_owned(),
        kind,
        scheme,
        subnets: form
            .texts("Subnets.member")
            .into_iter()
            .chain(mapped)
            .map(str::to_owned)
            .collect(),
        groups: form
            .texts("SecurityGroups.member")
            .into_iter()
            .map(str::to_owned)
            .collect(),
        tags: read_tags(form)?,
    };
    let arn = create(site, new)?;
    let mut xml = Xml::new();
    xml.list(
        "LoadBalancers",
        "member",
        site.elb().load_balancers.get(&arn),
        |xml, balancer| balancer.write(xml),
    );
    Ok(xml)
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (arns, names) = (form.texts("LoadBalancerArns.member"), form.texts("Names.member"));
    let balancers = &site.elb().load_balancers;
    if let Some(arn) = arns.iter().find(|arn| !balancers.contains_key(**arn)) {
        return Err(missing(arn));
    }
    if let Some(name) = names
        .iter()
        .find(|name| !balancers.values().any(|balancer| balancer.name == **name))
    {
        return Err(missing(name));
    }
    let wanted = |balancer: &&LoadBalancer| {
        (arns.is_empty() && names.is_empty())
            || arns.contains(&balancer.arn.as_str())
            || names.contains(&balancer.name.as_str())
    };
    list(
        form,
        "LoadBalancers",
        balancers.values().filter(wanted),
        |balancer| balancer.arn.clone(),
        |xml, balancer| {
            balancer.write(xml);
        },
    )
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("LoadBalancerArn")?;
    let protected = |balancer: &LoadBalancer| {
        balancer
            .attributes
            .get("deletion_protection.enabled")
            .is_some_and(|value| value == "true")
    };
    if site.elb().load_balancers.get(arn).is_some_and(protected) {
        let message = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    remove(site, arn);
    Ok(Xml::new())
}

/// Deletes a load balancer with its listeners; its interfaces follow within a minute. Deleting one that is not there is
/// no mistake.
pub(crate) fn remove(site: &mut Site<'_>, arn: &str) {
    let gone_at = site.in_seconds(10.0, 25.0, 60.0);
    let elb = site.elb();
    let Some(balancer) = elb.load_balancers.remove(arn) else {
        return;
    };
    elb.tags.remove(arn);
    let interfaces = balancer.places.into_iter().map(|(_, _, interface)| interface).collect();
    elb.leaving.push((gone_at, interfaces));
    let of_balancer = |listener: &&listeners::Listener| listener.balancer == arn;
    let gone: Vec<String> = elb
        .listeners
        .values()
        .filter(of_balancer)
        .map(|listener| listener.arn.clone())
        .collect();
    for listener in gone {
        listeners::remove(site, &listener);
    }
}

fn attributes(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    find(site, form).map(|balancer| write_attributes(&balancer.attributes))
}

fn modify_attributes(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    change_attributes(&mut find(site, form)?.attributes, form)
}

/// Lets load balancers come up and the interfaces of deleted ones go.
pub(super) fn advance(site: &mut Site<'_>) {
    let now = site.now;
    let elb = site.elb();
    for balancer in elb.load_balancers.values_mut() {
        balancer.active_at.take_if(|at| *at <= now);
    }
    let (gone, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut elb.leaving)
        .into_iter()
        .partition(|(at, _)| *at <= now);
    elb.leaving = staying;
    for interface in gone.into_iter().flat_map(|(_, interfaces)| interfaces) {
        interfaces::remove(site, &interface);
    }
}
