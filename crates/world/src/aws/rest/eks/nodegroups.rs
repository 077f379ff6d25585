//! Managed node groups: how many machines, of which kind, where. Nodes of them are made by the cluster's own actors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::ec2::launch_templates::LaunchTemplate;
use crate::aws::json::tags::Tags;
use crate::aws::json::tags::epoch;
use crate::aws::later;
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::Status;
use crate::aws::rest::eks::access;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::ground;
use crate::aws::rest::eks::in_use;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::not_found;

/// What a node's role must be allowed to do.
const NODE_POLICIES: &[&str] = &["AmazonEKSWorkerNodePolicy"];

/// One managed node group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Nodegroup {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) status: Status,
    /// How many nodes are wanted.
    pub(crate) desired: u32,
    /// The instance types that do, the preferred first.
    pub(crate) types: Vec<String>,
    pub(crate) capacity: Capacity,
    pub(crate) ami: String,
    pub(crate) subnets: Vec<String>,
    /// The role of its nodes.
    pub(crate) role: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    /// The machines that it has started.
    pub(crate) instances: Vec<String>,
    pub(crate) tags: Tags,
    pub(crate) disk: u32,
    pub(crate) template: Option<Pinned>,
    arn: String,
    version: String,
    created: Timestamp,
    // When its machines start, or end, until they have.
    machines: Option<Timestamp>,
    due: Option<Timestamp>,
    least: u32,
    most: u32,
    update: UpdateSetup,
    repair: bool,
    token: Option<String>,
}

/// How its machines are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Capacity {
    #[default]
    OnDemand,
    Spot,
}

/// A taint of its nodes, as EKS writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taint {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
    pub(crate) effect: Effect,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Effect {
    NoSchedule,
    NoExecute,
    PreferNoSchedule,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpdateSetup {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_unavailable: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_unavailable_percentage: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    nodegroup_name: String,
    scaling_config: Option<Scaling>,
    disk_size: Option<u32>,
    subnets: Vec<String>,
    instance_types: Option<Vec<String>>,
    ami_type: Option<String>,
    node_role: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    taints: Vec<Taint>,
    #[serde(default)]
    tags: Tags,
    client_request_token: Option<String>,
    update_config: Option<UpdateSetup>,
    node_repair_config: Option<Repair>,
    #[serde(default)]
    capacity_type: Capacity,
    version: Option<String>,
    launch_template: Option<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Scaling {
    #[serde(rename = "minSize")]
    min: u32,
    #[serde(rename = "maxSize")]
    max: u32,
    #[serde(rename = "desiredSize")]
    desired: u32,
}

/// A launch template as a request names it: by id or by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

/// The version of a launch template that a group launches from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pinned {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Counted from one.
    pub(crate) version: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Configure {
    scaling_config: Option<Scaling>,
    labels: Option<Labels>,
    #[serde(rename = "clientRequestToken")]
    _token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Labels {
    #[serde(default)]
    add_or_update_labels: BTreeMap<String, String>,
    #[serde(default)]
    remove_labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Upgrade {
    release_version: Option<String>,
    launch_template: Option<Template>,
    #[serde(rename = "clientRequestToken")]
    _token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repair {
    #[serde(default)]
    enabled: bool,
}

impl Nodegroup {
    /// When something of it next changes by itself.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.machines.into_iter().chain(self.due).min()
    }

    pub(super) fn tagged(&mut self) -> (&str, &mut Tags) {
        (&self.arn, &mut self.tags)
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The release of its machine image.
    fn release(&self) -> String {
        format!("{}-20260301", self.version)
    }

    fn described(&self) -> Value {
        let issues = match self.status {
            Status::CreateFailed => json!([{
                "code": "AsgInstanceLaunchFailures",
                "message": "Could not launch On-Demand Instances: insufficient capacity, or no such type or subnet.",
                "resourceIds": [],
            }]),
            _ => json!([]),
        };
        let number = self.arn.rsplit('/').next().unwrap_or_default();
        let mut described = json!({
            "nodegroupName": self.name,
            "nodegroupArn": self.arn,
            "clusterName": self.cluster,
            "version": self.version,
            "releaseVersion": self.release(),
            "createdAt": epoch(self.created),
            "modifiedAt": epoch(self.created),
            "status": self.status,
            "capacityType": self.capacity,
            "scalingConfig": {"minSize": self.least, "maxSize": self.most, "desiredSize": self.desired},
            "instanceTypes": self.types,
            "subnets": self.subnets,
            "amiType": self.ami,
            "nodeRole": self.role,
            "labels": self.labels,
            "taints": self.taints,
            "resources": {"autoScalingGroups": [{"name": format!("eks-{}-{number}", self.name)}]},
            "diskSize": self.disk,
            "health": {"issues": issues},
            "updateConfig": self.update,
            "nodeRepairConfig": {"enabled": self.repair},
            "tags": self.tags,
        });
        if let Some(template) = &self.template {
            let version = template.version.to_string();
            described["launchTemplate"] = json!({"id": template.id, "name": template.name, "version": version});
        }
        described
    }
}

/// The template that a request names; a template that does not exist is the caller's mistake.
fn pinned(scene: &mut Scene<'_>, region: &str, template: &Template) -> Result<Pinned, Refusal> {
    let templates = &scene.account.region(region).ec2.launch_templates;
    let is_named = |found: &&LaunchTemplate| {
        template.id.as_ref().is_some_and(|id| *id == found.id)
            || template.name.as_ref().is_some_and(|name| *name == found.name)
    };
    let found = templates.values().find(is_named);
    let found = found.ok_or_else(|| invalid_parameter("The launch template does not exist."))?;
    let latest = found.versions.len();
    let version = match template.version.as_deref() {
        // A group without a version takes the default one.
        None | Some("$Default") => Some(1),
        Some("$Latest") => Some(latest),
        Some(number) => number.parse().ok().filter(|number| (1..=latest).contains(number)),
    };
    let version = version.ok_or_else(|| invalid_parameter("The launch template has no such version."))?;
    Ok(Pinned {
        id: found.id.clone(),
        name: found.name.clone(),
        version,
    })
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Create = input.body()?;
    let region = input.region();
    let known = cluster(scene, region, input.name(0))?
        .nodegroups
        .get(&body.nodegroup_name);
    if let Some(known) = known {
        if known.token.is_some() && known.token == body.client_request_token {
            return Ok(json!({"nodegroup": known.described()}));
        }
        return Err(in_use(format!(
            "NodeGroup already exists with name {} and cluster name {}",
            body.nodegroup_name,
            input.name(0)
        )));
    }
    super::active(scene, region, input.name(0))?;
    let group = design(scene, input, body)?;
    access::admit_nodes(scene, region, input.name(0), &group.role);
    let output = json!({"nodegroup": group.described()});
    let cluster = cluster(scene, region, input.name(0))?;
    let known_as = known_as(&group.cluster, &group.name);
    cluster.nodegroups.insert(group.name.clone(), group);
    scene.account.arrivals.made(known_as, scene.now);
    Ok(output)
}

/// What its arrival is noted under.
fn known_as(cluster: &str, name: &str) -> String {
    format!("eks/nodegroup/{cluster}/{name}")
}

fn design(scene: &mut Scene<'_>, input: &Input<'_>, body: Create) -> Result<Nodegroup, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = body.nodegroup_name;
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.len() > 63 || !name.chars().all(allowed) {
        return Err(invalid_parameter(format!("The nodegroup name {name} is invalid")));
    }
    let scaling = body.scaling_config.unwrap_or(Scaling {
        min: 1,
        max: 2,
        desired: 2,
    });
    check_scaling(&scaling)?;
    let cluster = cluster(scene, input.region(), input.name(0))?;
    let (vpc, kubernetes) = (cluster.vpc.clone(), cluster.version.clone());
    ground::check_subnets(scene, input.region(), &body.subnets, &vpc)?;
    ground::check_role(scene, &body.node_role, "ec2.amazonaws.com", NODE_POLICIES)?;
    if body.version.as_ref().is_some_and(|version| *version != kubernetes) {
        return Err(invalid_parameter("Requested Nodegroup release version is invalid"));
    }
    let template = match &body.launch_template {
        Some(template) => Some(pinned(scene, input.region(), template)?),
        None => None,
    };
    let (now, number) = (scene.now, scene.random.uuid());
    let machines = later(now, scene.random.seconds(10.0, 20.0, 30.0));
    let due = later(now, scene.random.seconds(90.0, 115.0, 180.0));
    let cluster = super::cluster(scene, input.region(), input.name(0))?;
    Ok(Nodegroup {
        arn: cluster.part("nodegroup", &format!("{name}/{number}")),
        cluster: cluster.name.clone(),
        name,
        status: Status::Creating,
        desired: scaling.desired,
        types: body.instance_types.unwrap_or_else(|| vec!["t3.medium".to_owned()]),
        capacity: body.capacity_type,
        ami: body.ami_type.unwrap_or_else(|| "AL2023_x86_64_STANDARD".to_owned()),
        subnets: body.subnets,
        role: body.node_role,
        labels: body.labels,
        taints: body.taints,
        instances: Vec::new(),
        tags: body.tags,
        disk: body.disk_size.unwrap_or(20),
        template,
        version: kubernetes,
        created: now,
        machines: Some(machines),
        due: Some(due),
        least: scaling.min,
        most: scaling.max,
        update: body.update_config.unwrap_or(UpdateSetup {
            max_unavailable: Some(1),
            max_unavailable_percentage: None,
        }),
        repair: body.node_repair_config.is_some_and(|repair| repair.enabled),
        token: body.client_request_token,
    })
}

fn check_scaling(scaling: &Scaling) -> Result<(), Refusal> {
    if scaling.max == 0 || scaling.min > scaling.desired || scaling.desired > scaling.max {
        let message = format!(
            "desired size {} must be between minimum size {} and maximum size {}, which is at least 1",
            scaling.desired, scaling.min, scaling.max
        );
        return Err(invalid_parameter(message));
    }
    Ok(())
}

/// Changes how many nodes there are, and their labels.
pub(super) fn configure(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Configure = input.body()?;
    let group = unchanging(scene, input)?;
    if let Some(scaling) = body.scaling_config {
        check_scaling(&scaling)?;
        (group.least, group.desired, group.most) = (scaling.min, scaling.desired, scaling.max);
    }
    if let Some(labels) = body.labels {
        group.labels.extend(labels.add_or_update_labels);
        group.labels.retain(|label, _| !labels.remove_labels.contains(label));
    }
    begin(scene, input, "ConfigUpdate")
}

/// Moves a group to a version of its launch template: its machines are made anew.
pub(super) fn upgrade(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Upgrade = input.body()?;
    let template = match &body.launch_template {
        Some(template) => Some(pinned(scene, input.region(), template)?),
        None => None,
    };
    let group = unchanging(scene, input)?;
    if body.release_version.is_some_and(|release| release != group.release()) {
        return Err(invalid_parameter(
            "Requested release version is not valid for the Kubernetes version.",
        ));
    }
    if let Some(template) = template {
        if group.template.as_ref().is_none_or(|known| known.id != template.id) {
            return Err(invalid_parameter(
                "A node group cannot move to another launch template.",
            ));
        }
        group.template = Some(template);
    }
    let old = std::mem::take(&mut group.instances);
    ground::terminate(scene, input.region(), &old);
    begin(scene, input, "VersionUpdate")
}

fn unchanging<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut Nodegroup, Refusal> {
    let group = group(scene, input.region(), input.name(0), input.name(1))?;
    match group.status {
        Status::Active | Status::Degraded => Ok(group),
        Status::Creating | Status::Updating | Status::Deleting | Status::CreateFailed => {
            let message = format!("Nodegroup {} cannot be updated as it is not active", group.name);
            Err(in_use(message))
        }
    }
}

fn begin(scene: &mut Scene<'_>, input: &Input<'_>, kind: &str) -> Result<Value, Refusal> {
    let (now, id) = (scene.now, scene.random.uuid());
    let machines = later(now, scene.random.seconds(5.0, 10.0, 20.0));
    let due = later(now, scene.random.seconds(60.0, 90.0, 150.0));
    let group = unchanging(scene, input)?;
    group.status = Status::Updating;
    group.machines = Some(machines);
    group.due = Some(due);
    let cluster = cluster(scene, input.region(), input.name(0))?;
    Ok(json!({"update": cluster.begin_update(id, kind, now, due)}))
}

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let groups = &cluster(scene, input.region(), input.name(0))?.nodegroups;
    input.page("nodegroups", groups.keys(), |name| (*name).clone(), |name| json!(name))
}

pub(super) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    Ok(json!({"nodegroup": group(scene, input.region(), input.name(0), input.name(1))?.described()}))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let (now, wait) = (scene.now, scene.random.seconds(120.0, 150.0, 240.0));
    let group = group(scene, input.region(), input.name(0), input.name(1))?;
    match group.status {
        Status::Deleting => {}
        Status::Creating | Status::Updating => {
            let message = format!("NodeGroup {} cannot be deleted while it is changing", group.name);
            return Err(in_use(message));
        }
        Status::Active | Status::Degraded | Status::CreateFailed => {
            group.status = Status::Deleting;
            group.due = Some(later(now, wait));
            group.machines = Some(now);
        }
    }
    Ok(json!({"nodegroup": group.described()}))
}

fn group<'a>(scene: &'a mut Scene<'_>, region: &str, cluster: &str, name: &str) -> Result<&'a mut Nodegroup, Refusal> {
    let groups = &mut super::cluster(scene, region, cluster)?.nodegroups;
    groups
        .get_mut(name)
        .ok_or_else(|| not_found(format!("No node group found for name: {name}.")))
}

/// Lets the node groups of one cluster act on what is due.
pub(super) fn advance(scene: &mut Scene<'_>, region: &str, cluster: &str) {
    let now = scene.now;
    let Ok(found) = super::cluster(scene, region, cluster) else {
        return;
    };
    let due = |group: &&Nodegroup| group.next_wake().is_some_and(|at| at <= now);
    let names: Vec<String> = found
        .nodegroups
        .values()
        .filter(due)
        .map(|group| group.name.clone())
        .collect();
    for name in names {
        act(scene, region, cluster, &name);
    }
}

fn act(scene: &mut Scene<'_>, region: &str, cluster: &str, name: &str) {
    let now = scene.now;
    let Ok(found) = group(scene, region, cluster, name) else {
        return;
    };
    if found.machines.is_some_and(|at| at <= now) {
        found.machines = None;
        let found = found.clone();
        move_machines(scene, region, &found);
        return;
    }
    if found.due.is_none_or(|at| now < at) {
        return;
    }
    found.due = None;
    if found.status != Status::Deleting {
        let complete = u32::try_from(found.instances.len()) == Ok(found.desired);
        let is_new = found.status == Status::Creating;
        let failed = !complete || is_new && scene.account.faults.fails("node-group");
        if let Ok(found) = group(scene, region, cluster, name) {
            found.status = if failed { Status::CreateFailed } else { Status::Active };
        }
        if !failed {
            scene.account.arrivals.usable(&known_as(cluster, name), now);
        }
        return;
    }
    let role = found.role.clone();
    if let Ok(cluster) = super::cluster(scene, region, cluster) {
        cluster.nodegroups.remove(name);
        if !cluster.nodegroups.values().any(|group| group.role == role) {
            cluster.access_entries.remove(&role);
        }
    }
}

/// Starts the machines of a group, or ends them if the group goes.
fn move_machines(scene: &mut Scene<'_>, region: &str, wanted: &Nodegroup) {
    if wanted.status == Status::Deleting {
        ground::terminate(scene, region, &wanted.instances);
        return;
    }
    let Ok(cluster) = super::cluster(scene, region, &wanted.cluster) else {
        return;
    };
    let shared = cluster.security_group.clone().unwrap_or_default();
    let desired = usize::try_from(wanted.desired).unwrap_or(usize::MAX);
    let mut instances = wanted.instances.clone();
    if let Some(surplus) = instances.get(desired..).map(<[String]>::to_vec) {
        ground::terminate(scene, region, &surplus);
        instances.truncate(desired);
    }
    let missing = desired.saturating_sub(instances.len());
    instances.extend(ground::launch(scene, region, wanted, missing, &shared));
    if let Ok(found) = group(scene, region, &wanted.cluster, &wanted.name) {
        found.instances = instances;
    }
}
