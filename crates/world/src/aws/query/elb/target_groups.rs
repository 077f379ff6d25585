//! Target groups: to whom a load balancer forwards, and who of them answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::elb::Elb;
use crate::aws::query::elb::change_attributes;
use crate::aws::query::elb::check_name;
use crate::aws::query::elb::list;
use crate::aws::query::elb::load_balancers;
use crate::aws::query::elb::read_tags;
use crate::aws::query::elb::write_attributes;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateTargetGroup",
        "Name! Protocol ProtocolVersion Port VpcId TargetType IpAddressType HealthCheckProtocol HealthCheckPort \
         HealthCheckPath HealthCheckEnabled HealthCheckIntervalSeconds HealthCheckTimeoutSeconds HealthyThresholdCount \
         UnhealthyThresholdCount Matcher.HttpCode @members",
        create_from,
    ),
    operation(
        "DescribeTargetGroups",
        "LoadBalancerArn TargetGroupArns.member.# Names.member.# Marker PageSize",
        describe,
    ),
    operation("DeleteTargetGroup", "TargetGroupArn!", delete),
    operation(
        "RegisterTargets",
        "TargetGroupArn! Targets.member.#.Id! Targets.member.#.Port Targets.member.#.AvailabilityZone",
        register_from,
    ),
    operation(
        "DeregisterTargets",
        "TargetGroupArn! Targets.member.#.Id! Targets.member.#.Port Targets.member.#.AvailabilityZone",
        deregister_from,
    ),
    operation(
        "DescribeTargetHealth",
        "TargetGroupArn! Targets.member.#.Id Targets.member.#.Port Targets.member.#.AvailabilityZone",
        health,
    ),
    operation("DescribeTargetGroupAttributes", "TargetGroupArn!", attributes),
    operation(
        "ModifyTargetGroupAttributes",
        "TargetGroupArn! Attributes.member.#.Key! Attributes.member.#.Value",
        modify_attributes,
    ),
];

/// One target group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    pub(crate) name: String,
    protocol: String,
    pub(crate) port: u16,
    vpc: String,
    kind: String,
    check: Check,
    pub(crate) targets: Vec<Target>,
    attributes: BTreeMap<String, String>,
}

/// How targets are checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) protocol: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
    pub(crate) codes: String,
}

impl Default for Check {
    fn default() -> Self {
        let [protocol, port, path, codes] = ["HTTP", "traffic-port", "/", "200"].map(str::to_owned);
        Self {
            protocol,
            port,
            path,
            interval: 30,
            timeout: 5,
            healthy: 5,
            unhealthy: 2,
            codes,
        }
    }
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// An address or an instance.
    pub(crate) id: String,
    pub(crate) port: u16,
    /// Whether it answers its checks.
    pub(crate) answers: bool,
    // When the first checks are through.
    checked_at: Timestamp,
}

/// A target group to be created.
pub(crate) struct NewTargetGroup {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    /// `ip` or `instance`.
    pub(crate) kind: String,
    pub(crate) check: Check,
    pub(crate) tags: Tags,
}

impl TargetGroup {
    fn write(&self, elb: &Elb, xml: &mut Xml) {
        xml.text("TargetGroupArn", &self.arn)
            .text("TargetGroupName", &self.name)
            .text("Protocol", &self.protocol)
            .text("Port", self.port)
            .text("VpcId", &self.vpc)
            .text("HealthCheckProtocol", &self.check.protocol)
            .text("HealthCheckPort", &self.check.port)
            .text("HealthCheckEnabled", true)
            .text("HealthCheckIntervalSeconds", self.check.interval)
            .text("HealthCheckTimeoutSeconds", self.check.timeout)
            .text("HealthyThresholdCount", self.check.healthy)
            .text("UnhealthyThresholdCount", self.check.unhealthy);
        if self.check.protocol.starts_with("HTTP") {
            xml.text("HealthCheckPath", &self.check.path).element("Matcher", |xml| {
                xml.text("HttpCode", &self.check.codes);
            });
        }
        xml.texts("LoadBalancerArns", "member", elb.users_of(&self.arn))
            .text("TargetType", &self.kind);
        if self.protocol.starts_with("HTTP") {
            xml.text("ProtocolVersion", "HTTP1");
        }
        xml.text("IpAddressType", "ipv4");
    }
}

/// Creates a target group, as a client or a controller does, and gives its ARN.
pub(crate) fn create(site: &mut Site<'_>, new: NewTargetGroup) -> Result<String, Refusal> {
    check_name(&new.name)?;
    if site.elb().target_groups.values().any(|group| group.name == new.name) {
        let message = format!(
            "A target group with the same name '{}' exists, but with different settings",
            new.name
        );
        return Err(Refusal::new("DuplicateTargetGroupName", message));
    }
    if !site.ec2().vpcs.contains_key(&new.vpc) {
        let message = format!("The VPC ID '{}' is not found", new.vpc);
        return Err(Refusal::new("ValidationError", message));
    }
    let resource = format!("targetgroup/{}/{}", new.name, site.random.hex(16));
    let arn = site.arn("elasticloadbalancing", &resource);
    let attributes = [
        ("deregistration_delay.timeout_seconds", "300"),
        ("load_balancing.algorithm.type", "round_robin"),
        ("slow_start.duration_seconds", "0"),
        ("stickiness.enabled", "false"),
        ("stickiness.lb_cookie.duration_seconds", "86400"),
        ("stickiness.type", "lb_cookie"),
    ];
    let group = TargetGroup {
        arn: arn.clone(),
        name: new.name,
        protocol: new.protocol,
        port: new.port,
        vpc: new.vpc,
        kind: new.kind,
        check: new.check,
        targets: Vec::new(),
        attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    let elb = site.elb();
    elb.target_groups.insert(arn.clone(), group);
    elb.tags.insert(arn.clone(), new.tags);
    Ok(arn)
}

/// Registers a target; one that is registered already stays as it is.
pub(crate) fn register(site: &mut Site<'_>, group: &str, id: &str, port: u16) -> Result<(), Refusal> {
    let checked_at = site.in_seconds(5.0, 12.0, 25.0);
    let group = find(site, group)?;
    if !group
        .targets
        .iter()
        .any(|target| target.id == id && target.port == port)
    {
        group.targets.push(Target {
            id: id.to_owned(),
            port,
            answers: true,
            checked_at,
        });
    }
    Ok(())
}

/// Takes a target out of its group.
pub(crate) fn deregister(site: &mut Site<'_>, group: &str, id: &str, port: u16) -> Result<(), Refusal> {
    find(site, group)?
        .targets
        .retain(|target| target.id != id || target.port != port);
    Ok(())
}

/// Deletes a target group that nothing forwards to. Deleting one that is not there is no mistake.
pub(crate) fn remove(site: &mut Site<'_>, arn: &str) -> Result<(), Refusal> {
    let elb = site.elb();
    if elb.forwards_to(arn) {
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(Refusal::new("ResourceInUse", message));
    }
    elb.target_groups.remove(arn);
    elb.tags.remove(arn);
    Ok(())
}

/// The refusal for a target group that is not there.
pub(super) fn missing(arn: &str) -> Refusal {
    Refusal::new(
        "TargetGroupNotFound",
        format!("One or more target groups not found: {arn}"),
    )
}

fn find<'a>(site: &'a mut Site<'_>, arn: &str) -> Result<&'a mut TargetGroup, Refusal> {
    site.elb().target_groups.get_mut(arn).ok_or_else(|| missing(arn))
}

fn create_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let text = |name: &str, default: &str| form.text(name).unwrap_or(default).to_owned();
    let protocol = text("Protocol", "HTTP");
    if !["HTTP", "HTTPS", "TCP"].contains(&protocol.as_str()) {
        return Err(Refusal::new(
            "ValidationError",
            format!("The local world has no target groups for '{protocol}'"),
        ));
    }
    let kind = text("TargetType", "instance");
    if !["ip", "instance"].contains(&kind.as_str()) {
        return Err(Refusal::new(
            "ValidationError",
            format!("The local world has no targets of type '{kind}'"),
        ));
    }
    let usual = Check::default();
    let check = Check {
        protocol: text("HealthCheckProtocol", &protocol),
        port: text("HealthCheckPort", &usual.port),
        path: text("HealthCheckPath", &usual.path),
        interval: form.parsed("HealthCheckIntervalSeconds")?.unwrap_or(usual.interval),
        timeout: form.parsed("HealthCheckTimeoutSeconds")?.unwrap_or(usual.timeout),
        healthy: form.parsed("HealthyThresholdCount")?.unwrap_or(usual.healthy),
        unhealthy: form.parsed("UnhealthyThresholdCount")?.unwrap_or(usual.unhealthy),
        codes: text("Matcher.HttpCode", &usual.codes),
    };
    let port = form
        .parsed("Port")?
        .ok_or_else(|| Refusal::new("ValidationError", "A port must be specified"))?;
    let new = NewTargetGroup {
        name: form.required("Name")?.to_owned(),
        protocol,
        port,
        vpc: form.required("VpcId")?.to_owned(),
        kind,
        check,
        tags: read_tags(form)?,
    };
    let arn = create(site, new)?;
    let elb: &Elb = site.elb();
    let mut xml = Xml::new();
    xml.list("TargetGroups", "member", elb.target_groups.get(&arn), |xml, group| {
        group.write(elb, xml);
    });
    Ok(xml)
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let (arns, names) = (form.texts("TargetGroupArns.member"), form.texts("Names.member"));
    let balancer = form.text("LoadBalancerArn");
    let elb: &Elb = site.elb();
    if let Some(arn) = arns.iter().find(|arn| !elb.target_groups.contains_key(**arn)) {
        return Err(missing(arn));
    }
    if let Some(name) = names
        .iter()
        .find(|name| !elb.target_groups.values().any(|group| group.name == **name))
    {
        return Err(missing(name));
    }
    if let Some(arn) = balancer.filter(|arn| !elb.load_balancers.contains_key(*arn)) {
        return Err(load_balancers::missing(arn));
    }
    let wanted = |group: &&TargetGroup| {
        let listed = arns.contains(&group.arn.as_str()) || names.contains(&group.name.as_str());
        let used = |arn: &str| elb.users_of(&group.arn).iter().any(|user| user == arn);
        ((arns.is_empty() && names.is_empty()) || listed) && balancer.is_none_or(used)
    };
    let groups = elb.target_groups.values().filter(wanted);
    list(
        form,
        "TargetGroups",
        groups,
        |group| group.arn.clone(),
        |xml, group| group.write(elb, xml),
    )
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    remove(site, form.required("TargetGroupArn")?)?;
    Ok(Xml::new())
}

/// The targets of a call: id and port, which is the group's if none is given.
fn targets<'a>(site: &mut Site<'_>, form: &Form<'a>) -> Result<Vec<(&'a str, u16)>, Refusal> {
    let usual = find(site, form.required("TargetGroupArn")?)?.port;
    let read = |target: &Form<'a>| Ok((target.required("Id")?, target.parsed("Port")?.unwrap_or(usual)));
    form.items("Targets.member").iter().map(read).collect()
}

fn register_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("TargetGroupArn")?;
    let by_address = find(site, arn)?.kind == "ip";
    for (id, port) in targets(site, form)? {
        let good = if by_address {
            id.parse::<std::net::Ipv4Addr>().is_ok()
        } else {
            site.ec2()
                .instances
                .get(id)
                .is_some_and(crate::aws::ec2::instances::Instance::is_alive)
        };
        if !good {
            let message = format!("The following targets are not valid: '{id}'");
            return Err(Refusal::new("InvalidTarget", message));
        }
        register(site, arn, id, port)?;
    }
    Ok(Xml::new())
}

fn deregister_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("TargetGroupArn")?;
    for (id, port) in targets(site, form)? {
        deregister(site, arn, id, port)?;
    }
    Ok(Xml::new())
}

fn health(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("TargetGroupArn")?;
    let wanted = targets(site, form)?;
    let now = site.now;
    let used = site.elb().forwards_to(arn);
    let group = find(site, arn)?;
    let listed = |target: &&Target| wanted.is_empty() || wanted.contains(&(target.id.as_str(), target.port));
    let mut xml = Xml::new();
    xml.list(
        "TargetHealthDescriptions",
        "member",
        group.targets.iter().filter(listed),
        |xml, target| {
            let (state, reason) = match target {
                _ if !used => ("unused", Some("Target.NotInUse")),
                target if target.checked_at > now => ("initial", Some("Elb.InitialHealthChecking")),
                target if target.answers => ("healthy", None),
                _ => ("unhealthy", Some("Target.FailedHealthChecks")),
            };
            xml.element("Target", |xml| {
                xml.text("Id", &target.id).text("Port", target.port);
            })
            .text("HealthCheckPort", target.port)
            .element("TargetHealth", |xml| {
                xml.text("State", state).maybe("Reason", reason);
            });
        },
    );
    Ok(xml)
}

fn attributes(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    find(site, form.required("TargetGroupArn")?).map(|group| write_attributes(&group.attributes))
}

fn modify_attributes(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    change_attributes(&mut find(site, form.required("TargetGroupArn")?)?.attributes, form)
}
