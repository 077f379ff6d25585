//! Instances: machines that come up in seconds and linger for minutes after they are told to go.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::interfaces;
use crate::aws::ec2::interfaces::Interface;
use crate::aws::ec2::interfaces::NewInterface;
use crate::aws::ec2::interfaces::Use;
use crate::aws::ec2::resource::Filters;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::resource::not_there;
use crate::aws::ec2::resource::read_tags;
use crate::aws::ec2::subnets::Subnet;
use crate::aws::ec2::types;
use crate::aws::ec2::volumes;
use crate::aws::ec2::zones;
use crate::aws::iso;
use crate::aws::json::events;
use crate::aws::later;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::tags;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "RunInstances",
        "ImageId! InstanceType! MinCount! MaxCount! SubnetId! SecurityGroupId.# IamInstanceProfile.Name \
         IamInstanceProfile.Arn UserData ClientToken InstanceMarketOptions.MarketType @tags",
        run,
    ),
    operation("DescribeInstances", "InstanceId.# @filters @pages", describe),
    operation("TerminateInstances", "InstanceId.#!", terminate_listed),
];

/// How long a terminated instance is still listed.
const LISTED: Duration = Duration::from_hours(1);

/// How long before EC2 takes a Spot instance back it says so.
const NOTICE: Duration = Duration::from_mins(2);

/// How many of a hundred of the network plugin's own interfaces outlive their instance: the plugin detaches them, and is
/// gone before it deletes them.
const LEAKED_OF_HUNDRED: usize = 15;

/// How the network plugin begins the description of its interfaces.
const PLUGIN_PREFIX: &str = "aws-K8S-";

/// One instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    reservation: String,
    pub(crate) image: String,
    pub(crate) kind: String,
    pub(crate) market: Market,
    pub(crate) subnet: String,
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) groups: Vec<String>,
    /// ARN and id of its instance profile.
    pub(crate) profile: Option<(String, String)>,
    /// Its first address; it keeps it until it is terminated.
    pub(crate) ip: std::net::Ipv4Addr,
    pub(crate) launched: Timestamp,
    pub(crate) state: State,
    token: Option<String>,
    // When the state changes by itself.
    due: Option<Timestamp>,
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Market {
    /// By the hour, until it is terminated.
    OnDemand,
    /// Cheaper, and EC2 may take it back.
    Spot,
}

/// The life of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
        }
    }

    fn write(self, name: &str, xml: &mut Xml) {
        xml.element(name, |xml| {
            xml.text("code", self.code()).text("name", self.text());
        });
    }
}

/// An instance to be launched.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) image: String,
    pub(crate) kind: String,
    pub(crate) market: Market,
    pub(crate) subnet: String,
    /// Empty for the default group of the VPC.
    pub(crate) groups: Vec<String>,
    /// The name or ARN of an instance profile.
    pub(crate) profile: Option<String>,
    /// Tags of the instance, its volumes and its first interface.
    pub(crate) tags: Tags,
    /// Size of its root volume.
    pub(crate) volume_gib: u32,
    pub(crate) token: Option<String>,
}

impl Instance {
    fn private_dns(&self, region: &str) -> String {
        interfaces::private_dns(self.ip, region)
    }

    /// Whether it runs or will.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.state, State::Pending | State::Running)
    }

    fn interfaces<'a>(&'a self, ec2: &'a Ec2) -> impl Iterator<Item = &'a Interface> {
        ec2.interfaces
            .values()
            .filter(|interface| interface.instance() == Some(&self.id))
    }
}

impl Resource for Instance {
    const PREFIX: &'static str = "i";
    const TYPE: &'static str = "instance";
    const IDS: &'static str = "InstanceId";
    const SET: &'static str = "reservationSet";
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "iam-instance-profile.arn",
        "image-id",
        "instance-id",
        "instance-lifecycle",
        "instance-state-name",
        "instance-type",
        "network-interface.network-interface-id",
        "private-dns-name",
        "private-ip-address",
        "subnet-id",
        "vpc-id",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.instances
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.instances
    }

    fn missing(id: &str) -> Refusal {
        not_there("InvalidInstanceID.NotFound", "instance", id)
    }

    fn facet(&self, view: &View<'_>, filter: &str) -> Vec<String> {
        match filter {
            "availability-zone" => vec![self.zone.clone()],
            "iam-instance-profile.arn" => self.profile.iter().map(|(arn, _)| arn.clone()).collect(),
            "image-id" => vec![self.image.clone()],
            "instance-id" => vec![self.id.clone()],
            "instance-lifecycle" if self.market == Market::Spot => vec!["spot".to_owned()],
            "instance-lifecycle" => Vec::new(),
            "instance-state-name" => vec![self.state.text().to_owned()],
            "instance-type" => vec![self.kind.clone()],
            "network-interface.network-interface-id" => self
                .interfaces(view.ec2)
                .map(|interface| interface.id.clone())
                .collect(),
            "private-dns-name" => vec![self.private_dns(view.region)],
            "private-ip-address" => vec![self.ip.to_string()],
            "subnet-id" => vec![self.subnet.clone()],
            _ => vec![self.vpc.clone()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("instanceId", &self.id).text("imageId", &self.image);
        self.state.write("instanceState", xml);
        xml.text(
            "privateDnsName",
            if self.state == State::Terminated {
                String::new()
            } else {
                self.private_dns(view.region)
            },
        )
        .text("dnsName", "")
        .text("reason", if self.is_alive() { "" } else { "User initiated" })
        .text("amiLaunchIndex", 0)
        .text("instanceType", &self.kind)
        .text("launchTime", iso(self.launched))
        .element("placement", |xml| {
            xml.text("availabilityZone", &self.zone)
                .text("availabilityZoneId", zones::zone_id(&self.zone))
                .text("groupName", "")
                .text("tenancy", "default");
        })
        .element("monitoring", |xml| {
            xml.text("state", "disabled");
        })
        .maybe("clientToken", self.token.as_ref())
        .text(
            "architecture",
            types::find(&self.kind).map_or("x86_64", |kind| kind.architecture),
        )
        .text("rootDeviceType", "ebs")
        .text("rootDeviceName", volumes::ROOT_DEVICE)
        .text("virtualizationType", "hvm")
        .text("hypervisor", "xen")
        .text("enaSupport", true)
        .text("sourceDestCheck", true);
        if self.market == Market::Spot {
            let request = self.id.replacen("i-", "sir-", 1);
            xml.text("instanceLifecycle", "spot")
                .text("spotInstanceRequestId", request);
        }
        if self.state != State::Terminated {
            xml.text("subnetId", &self.subnet)
                .text("vpcId", &self.vpc)
                .text("privateIpAddress", self.ip);
            interfaces::write_groups(&self.groups, view, xml);
        }
        if let Some((arn, id)) = &self.profile {
            xml.element("iamInstanceProfile", |xml| {
                xml.text("arn", arn).text("id", id);
            });
        }
        volumes::write_mappings(&self.id, view, xml);
        xml.list(
            "networkInterfaceSet",
            "item",
            self.interfaces(view.ec2),
            |xml, interface| {
                interface.write_of_instance(view, xml);
            },
        );
        view.tags(&self.id, xml);
    }
}

/// Launches an instance: it is pending, and has an interface and a root volume, at once.
pub(crate) fn launch(site: &mut Site<'_>, launch: &Launch) -> Result<String, Refusal> {
    let kind = types::find(&launch.kind).filter(|kind| kind.on_demand_price(site.region).is_some());
    if kind.is_none() {
        let message = format!("Invalid value '{}' for InstanceType.", launch.kind);
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let subnet = site
        .ec2()
        .subnets
        .get(&launch.subnet)
        .cloned()
        .ok_or_else(|| Subnet::missing(&launch.subnet))?;
    if site.account.faults.no_capacity(&launch.kind) {
        let message = format!(
            "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}).",
            launch.kind, subnet.zone
        );
        let status = http::StatusCode::INTERNAL_SERVER_ERROR;
        return Err(Refusal::with_status(status, "InsufficientInstanceCapacity", message));
    }
    let profile = profile(site, launch.profile.as_deref())?;
    let id = site.new_id(Instance::PREFIX);
    let interface = interfaces::create(
        site,
        NewInterface {
            subnet: &launch.subnet,
            description: String::new(),
            groups: launch.groups.clone(),
            tags: launch.tags.clone(),
            r#use: Use::Instance {
                instance: id.clone(),
                index: 0,
            },
        },
    )?;
    let public_ip = subnet.public_ips.then(|| site.public_ip());
    volumes::create_root(site, &id, &subnet.zone, launch.volume_gib, launch.tags.clone());
    let reservation = site.new_id("r");
    let due = site.in_seconds(4.0, 6.0, 12.0);
    let ec2 = site.ec2();
    let interface = ec2
        .interfaces
        .get_mut(&interface)
        .expect("the interface was created above");
    interface.public_ip = public_ip;
    let instance = Instance {
        id: id.clone(),
        reservation,
        image: launch.image.clone(),
        kind: launch.kind.clone(),
        market: launch.market,
        subnet: subnet.id,
        vpc: subnet.vpc,
        zone: subnet.zone,
        groups: interface.groups.clone(),
        profile,
        ip: interface.ip,
        launched: site.now,
        state: State::Pending,
        token: launch.token.clone(),
        due: Some(due),
    };
    site.keep(&id, instance, launch.tags.clone());
    Ok(id)
}

/// ARN and id of a profile that EC2 has heard of.
fn profile(site: &mut Site<'_>, name_or_arn: Option<&str>) -> Result<Option<(String, String)>, Refusal> {
    let Some(wanted) = name_or_arn else {
        return Ok(None);
    };
    let now = site.now;
    let found = site
        .iam()
        .profile(now, wanted)
        .map(|profile| (profile.arn.clone(), profile.id.clone()));
    found.map(Some).ok_or_else(|| {
        let message = format!(
            "Value ({wanted}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        );
        Refusal::new("InvalidParameterValue", message)
    })
}

/// Gives an instance one more interface, as the network plugin of a cluster does when pods need addresses.
pub(crate) fn add_plugin_interface(site: &mut Site<'_>, instance: &str, cluster: &str) -> Result<String, Refusal> {
    let ec2 = site.ec2();
    let found = ec2
        .instances
        .get(instance)
        .cloned()
        .ok_or_else(|| Instance::missing(instance))?;
    let index = found.interfaces(ec2).count();
    let tags = [
        ("cluster.k8s.amazonaws.com/name", cluster.to_owned()),
        ("node.k8s.amazonaws.com/createdAt", iso(site.now)),
        ("node.k8s.amazonaws.com/instance_id", instance.to_owned()),
    ];
    interfaces::create(
        site,
        NewInterface {
            subnet: &found.subnet,
            description: format!("{PLUGIN_PREFIX}{instance}"),
            groups: found.groups.clone(),
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            r#use: Use::Instance {
                instance: instance.to_owned(),
                index,
            },
        },
    )
}

/// Tells an instance to go; one that goes already goes on. Gives the state before.
pub(crate) fn terminate(site: &mut Site<'_>, id: &str) -> Option<State> {
    let due = site.in_seconds(30.0, 40.0, 60.0);
    let instance = site.ec2().instances.get_mut(id)?;
    let before = instance.state;
    if instance.is_alive() {
        instance.state = State::ShuttingDown;
        instance.due = Some(due);
    }
    Some(before)
}

/// When the next instance changes by itself.
pub(super) fn next_wake(ec2: &Ec2) -> Option<Timestamp> {
    ec2.instances.values().filter_map(|instance| instance.due).min()
}

/// When a Spot instance that nobody wants back yet will have run for `since`.
pub(crate) fn next_interruption(ec2: &Ec2, since: Duration) -> Option<Timestamp> {
    let free = |instance: &&Instance| {
        instance.market == Market::Spot && instance.state == State::Running && instance.due.is_none()
    };
    let running = ec2.instances.values().filter(free);
    running.map(|instance| later(instance.launched, since)).min()
}

/// Says of the oldest Spot instance that EC2 wants it back, when that is due; two minutes later it takes it.
fn interrupt(site: &mut Site<'_>) {
    let Some(since) = site.account.faults.spot_interruption() else {
        return;
    };
    let now = site.now;
    if next_interruption(site.ec2(), since).is_none_or(|at| at > now) {
        return;
    }
    let free = |instance: &&mut Instance| {
        instance.market == Market::Spot && instance.state == State::Running && instance.due.is_none()
    };
    let running = site.ec2().instances.values_mut().filter(free);
    let Some(instance) = running.min_by_key(|instance| instance.launched) else {
        return;
    };
    instance.due = Some(later(now, NOTICE));
    let id = instance.id.clone();
    site.account.faults.take_spot_interruption(since);
    let event = json!({
        "version": "0",
        "id": site.random.uuid(),
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": site.account.id,
        "time": iso(now),
        "region": site.region,
        "resources": [format!("arn:aws:ec2:{}:{}:instance/{id}", site.region, site.account.id)],
        "detail": {"instance-id": id, "instance-action": "terminate"},
    });
    events::publish(site.account.region(site.region), &event, now, site.random);
}

/// Lets instances come up, go, and leave the listing.
pub(super) fn advance(site: &mut Site<'_>) {
    interrupt(site);
    let now = site.now;
    let due = |instance: &&Instance| instance.due.is_some_and(|due| due <= now);
    let due: Vec<String> = site
        .ec2()
        .instances
        .values()
        .filter(due)
        .map(|instance| instance.id.clone())
        .collect();
    for id in due {
        let Some(instance) = site.ec2().instances.get_mut(&id) else {
            continue;
        };
        match instance.state {
            State::Pending => {
                instance.state = State::Running;
                instance.due = None;
            }
            // The notice that EC2 gave is over.
            State::Running => drop(terminate(site, &id)),
            State::ShuttingDown => {
                instance.state = State::Terminated;
                instance.due = Some(later(now, LISTED));
                release(site, &id);
            }
            State::Terminated => {
                site.drop_resource::<Instance>(&id);
            }
        }
    }
}

/// Takes away what a terminated instance had; some of the network plugin's interfaces stay behind.
fn release(site: &mut Site<'_>, id: &str) {
    let of_instance = |interface: &&Interface| interface.instance() == Some(id);
    let interfaces: Vec<(String, bool)> = site
        .ec2()
        .interfaces
        .values()
        .filter(of_instance)
        .map(|interface| (interface.id.clone(), interface.description.starts_with(PLUGIN_PREFIX)))
        .collect();
    for (interface, by_plugin) in interfaces {
        if by_plugin && site.random.below(100) < LEAKED_OF_HUNDRED {
            if let Some(left) = site.ec2().interfaces.get_mut(&interface) {
                left.r#use = Use::Free;
            }
        } else {
            interfaces::remove(site, &interface);
        }
    }
    volumes::release(site, id);
}

fn run(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let token = form.text("ClientToken").map(|token| format!("RunInstances/{token}"));
    if let Some(id) = token.as_ref().and_then(|token| site.ec2().tokens.get(token).cloned()) {
        return Ok(launched(site, &id.split(' ').map(str::to_owned).collect::<Vec<_>>()));
    }
    let (least, most) = (form.parsed::<usize>("MinCount")?, form.parsed::<usize>("MaxCount")?);
    let count = most
        .filter(|most| (1..=100).contains(most) && least <= Some(*most))
        .ok_or_else(|| {
            Refusal::new(
                "InvalidParameterValue",
                "Value for parameter maxCount is invalid. Expecting 1 to 100, and not below minCount.",
            )
        })?;
    let subnet = form.required("SubnetId")?;
    site.find::<Subnet>(subnet)?;
    let market = match form.text("InstanceMarketOptions.MarketType") {
        Some("spot") => Market::Spot,
        _ => Market::OnDemand,
    };
    let groups = form.texts("SecurityGroupId");
    let wanted = Launch {
        image: form.required("ImageId")?.to_owned(),
        kind: form.required("InstanceType")?.to_owned(),
        market,
        subnet: subnet.to_owned(),
        groups: groups.into_iter().map(str::to_owned).collect(),
        profile: form
            .text("IamInstanceProfile.Name")
            .or(form.text("IamInstanceProfile.Arn"))
            .map(str::to_owned),
        tags: instance_tags(form)?,
        volume_gib: 20,
        token: form.text("ClientToken").map(str::to_owned),
    };
    let ids = (0..count)
        .map(|_| launch(site, &wanted))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(token) = token {
        site.ec2().tokens.insert(token, ids.join(" "));
    }
    Ok(launched(site, &ids))
}

/// The tags for the instance itself.
fn instance_tags(form: &Form<'_>) -> Result<Tags, Refusal> {
    let mut found = Tags::new();
    for specification in form.items("TagSpecification") {
        match specification.required("ResourceType")? {
            "instance" => found.extend(read_tags(&specification)?),
            "volume" | "network-interface" | "spot-instances-request" => (),
            other => {
                let message = format!("'{other}' is not a valid taggable resource type for this operation.");
                return Err(Refusal::new("InvalidParameterValue", message));
            }
        }
    }
    tags::check(&found, "InvalidParameterValue")?;
    Ok(found)
}

fn launched(site: &mut Site<'_>, ids: &[String]) -> Xml {
    let view = site.view();
    let instances: Vec<&Instance> = ids.iter().filter_map(|id| view.ec2.instances.get(id)).collect();
    let mut xml = Xml::new();
    write_reservation(&instances, &view, &mut xml);
    xml
}

fn write_reservation(instances: &[&Instance], view: &View<'_>, xml: &mut Xml) {
    let reservation = instances.first().map(|instance| &instance.reservation);
    xml.maybe("reservationId", reservation)
        .text("ownerId", view.account)
        .list("groupSet", "item", [""; 0], |_, _| ())
        .list("instancesSet", "item", instances, |xml, instance| {
            instance.write(view, xml);
        });
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, Instance::FILTERS)?;
    let wanted = form.texts("InstanceId");
    let now = site.now;
    for id in &wanted {
        site.find::<Instance>(id)?;
    }
    let view = site.view();
    let found: Vec<&Instance> = view
        .ec2
        .instances
        .values()
        .filter(|instance| view.ec2.shows(&instance.id, now))
        .filter(|instance| wanted.is_empty() || wanted.contains(&instance.id.as_str()))
        .filter(|instance| filters.fit(view.ec2.tags(&instance.id), |name| instance.facet(&view, name)))
        .collect();
    answer_page(
        form,
        Instance::SET,
        found,
        |instance| instance.id.clone(),
        |xml, instance| {
            write_reservation(&[instance], &view, xml);
        },
    )
}

fn terminate_listed(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let ids = form.texts("InstanceId");
    for id in &ids {
        site.find::<Instance>(id)?;
    }
    let mut changed = Vec::new();
    for id in ids {
        if let Some(before) = terminate(site, id) {
            changed.push((id, before, site.find::<Instance>(id)?.state));
        }
    }
    let mut xml = Xml::new();
    xml.list("instancesSet", "item", changed, |xml, (id, before, after)| {
        xml.text("instanceId", id);
        after.write("currentState", xml);
        before.write("previousState", xml);
    });
    Ok(xml)
}
