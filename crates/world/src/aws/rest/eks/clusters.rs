//! Clusters: from the call that creates one to the last write of its log.

pub(super) mod updates;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::Tags;
use crate::aws::json::tags::epoch;
use crate::aws::later;
use crate::aws::rest::eks::AccessEntry;
use crate::aws::rest::eks::Addon;
use crate::aws::rest::eks::Association;
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::Nodegroup;
use crate::aws::rest::eks::Status;
use crate::aws::rest::eks::access;
use crate::aws::rest::eks::catalog;
use crate::aws::rest::eks::certificate::CERTIFICATE;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::clusters::updates::Update;
use crate::aws::rest::eks::ground;
use crate::aws::rest::eks::in_use;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::invalid_request;
use crate::kube;

/// The kinds of log that a control plane can write.
const LOG_TYPES: &[&str] = &["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// One cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the API has these switches, and they do not depend on each other"
)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) version: String,
    pub(crate) status: Status,
    pub(crate) authentication: Authentication,
    /// Its VPC, and the group that its control plane and its nodes share once it is active.
    pub(crate) vpc: String,
    pub(crate) security_group: Option<String>,
    pub(crate) nodegroups: BTreeMap<String, Nodegroup>,
    pub(crate) addons: BTreeMap<String, Addon>,
    /// Who may come in, by the ARN of the principal.
    pub(crate) access_entries: BTreeMap<String, AccessEntry>,
    /// Which pods get which role, by the association's id.
    pub(crate) associations: BTreeMap<String, Association>,
    role: String,
    region: String,
    // The part of its endpoint and issuer that AWS invents.
    number: String,
    created: Timestamp,
    // When the status next changes by itself.
    due: Option<Timestamp>,
    network: Network,
    service_cidr: String,
    logging: BTreeSet<String>,
    encryption: Vec<Encryption>,
    bootstrap_admin: bool,
    support: Support,
    zonal_shift: bool,
    protected: bool,
    // Whether its control plane has come up.
    up: bool,
    interfaces: Vec<String>,
    tags: Tags,
    token: Option<String>,
    updates: BTreeMap<String, Update>,
}

/// How callers are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Authentication {
    Api,
    ApiAndConfigMap,
    ConfigMap,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Network {
    subnets: Vec<String>,
    security_groups: Vec<String>,
    public: bool,
    private: bool,
    public_from: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Support {
    Standard,
    #[default]
    Extended,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encryption {
    resources: Vec<String>,
    provider: Provider,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provider {
    key_arn: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    name: String,
    version: Option<String>,
    role_arn: String,
    resources_vpc_config: VpcConfig,
    kubernetes_network_config: Option<NetworkConfig>,
    logging: Option<Logging>,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    encryption_config: Vec<Encryption>,
    access_config: Option<AccessConfig>,
    #[serde(default = "yes")]
    bootstrap_self_managed_addons: bool,
    upgrade_policy: Option<UpgradePolicy>,
    zonal_shift_config: Option<Switch>,
    #[serde(default)]
    deletion_protection: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct VpcConfig {
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
    endpoint_public_access: Option<bool>,
    endpoint_private_access: Option<bool>,
    public_access_cidrs: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NetworkConfig {
    service_ipv4_cidr: Option<String>,
    ip_family: Option<Family>,
}

/// The address family of pods and services; the world knows one.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Family {
    Ipv4,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Logging {
    cluster_logging: Vec<LogSetup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogSetup {
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AccessConfig {
    bootstrap_cluster_creator_admin_permissions: Option<bool>,
    authentication_mode: Option<Authentication>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpgradePolicy {
    support_type: Support,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl Cluster {
    /// The host name of its endpoint, in the lower case in which hosts are compared.
    pub(crate) fn host(&self) -> String {
        format!("{}.gr7.{}.eks.amazonaws.com", self.number.to_lowercase(), self.region)
    }

    /// When something of it next changes by itself.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let groups = self.nodegroups.values().filter_map(Nodegroup::next_wake);
        let addons = self.addons.values().filter_map(Addon::next_wake);
        groups.chain(addons).chain(self.due).min()
    }

    /// Everything of it that has tags, by ARN.
    pub(super) fn tagged(&mut self) -> impl Iterator<Item = (&str, &mut Tags)> {
        let own = std::iter::once((self.arn.as_str(), &mut self.tags));
        let groups = self.nodegroups.values_mut().map(Nodegroup::tagged);
        let addons = self.addons.values_mut().map(Addon::tagged);
        let entries = self.access_entries.values_mut().map(AccessEntry::tagged);
        let associations = self.associations.values_mut().map(Association::tagged);
        own.chain(groups).chain(addons).chain(entries).chain(associations)
    }

    /// The ARN of one of its parts.
    pub(super) fn part(&self, kind: &str, rest: &str) -> String {
        let prefix = self.arn.split(":cluster/").next().unwrap_or_default();
        format!("{prefix}:{kind}/{}/{rest}", self.name)
    }

    /// Notes a change that takes a while, and describes it.
    pub(super) fn begin_update(&mut self, id: String, kind: &str, created: Timestamp, due: Timestamp) -> Value {
        let update = Update {
            kind: kind.to_owned(),
            created,
            due,
        };
        let output = update.described(&id, created);
        self.updates.insert(id, update);
        output
    }

    fn described(&self) -> Value {
        let mut output = json!({
            "name": self.name,
            "arn": self.arn,
            "createdAt": epoch(self.created),
            "version": self.version,
            "roleArn": self.role,
            "status": self.status,
            "platformVersion": "eks.1",
            "resourcesVpcConfig": {
                "subnetIds": self.network.subnets,
                "securityGroupIds": self.network.security_groups,
                "vpcId": self.vpc,
                "endpointPublicAccess": self.network.public,
                "endpointPrivateAccess": self.network.private,
                "publicAccessCidrs": self.network.public_from,
            },
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": self.service_cidr,
                "ipFamily": "ipv4",
                "elasticLoadBalancing": {"enabled": false},
            },
            "logging": self.described_logging(),
            "certificateAuthority": {},
            "tags": self.tags,
            "health": {"issues": []},
            "accessConfig": {
                "authenticationMode": self.authentication,
                "bootstrapClusterCreatorAdminPermissions": self.bootstrap_admin,
            },
            "upgradePolicy": {"supportType": self.support},
            "zonalShiftConfig": {"enabled": self.zonal_shift},
            "computeConfig": {"enabled": false},
            "storageConfig": {"blockStorage": {"enabled": false}},
            "deletionProtection": self.protected,
        });
        if !self.encryption.is_empty() {
            output["encryptionConfig"] = json!(self.encryption);
        }
        if let Some(token) = &self.token {
            output["clientRequestToken"] = json!(token);
        }
        // What AWS invents is told once the control plane is there.
        if let Some(group) = &self.security_group {
            output["resourcesVpcConfig"]["clusterSecurityGroupId"] = json!(group);
        }
        if self.up {
            output["endpoint"] = json!(format!("https://{}.gr7.{}.eks.amazonaws.com", self.number, self.region));
            output["certificateAuthority"] = json!({"data": CERTIFICATE});
            let issuer = format!("https://oidc.eks.{}.amazonaws.com/id/{}", self.region, self.number);
            output["identity"] = json!({"oidc": {"issuer": issuer}});
        }
        output
    }

    fn described_logging(&self) -> Value {
        let (on, off): (Vec<&str>, Vec<&str>) = LOG_TYPES.iter().partition(|kind| self.logging.contains(**kind));
        let setups = [(on, true), (off, false)].into_iter();
        let setups = setups.filter(|(types, _)| !types.is_empty());
        let setups: Vec<Value> = setups
            .map(|(types, enabled)| json!({"types": types, "enabled": enabled}))
            .collect();
        json!({"clusterLogging": setups})
    }

    fn log_group(&self) -> String {
        format!("/aws/eks/{}/cluster", self.name)
    }
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Create = input.body()?;
    let region = input.region();
    if let Some(existing) = scene.account.region(region).eks.clusters.get(&body.name) {
        if existing.token.is_some() && existing.token == body.client_request_token {
            return Ok(json!({"cluster": existing.described()}));
        }
        return Err(in_use(format!("Cluster already exists with name: {}", body.name)));
    }
    let cluster = design(scene, input, body)?;
    let known_as = format!("eks/cluster/{}", cluster.name);
    scene.account.arrivals.made(known_as, scene.now);
    let output = json!({"cluster": cluster.described()});
    let clusters = &mut scene.account.region(region).eks.clusters;
    clusters.insert(cluster.name.clone(), cluster);
    Ok(output)
}

/// Checks what is asked for, and makes the cluster that it asks for.
fn design(scene: &mut Scene<'_>, input: &Input<'_>, body: Create) -> Result<Cluster, Refusal> {
    let region = input.region();
    check_name(&body.name)?;
    let version = body.version.unwrap_or_else(|| catalog::DEFAULT_VERSION.to_owned());
    if catalog::patch(&version).is_none() {
        return Err(invalid_parameter(format!("unsupported Kubernetes version {version}")));
    }
    let Some(()) = body
        .kubernetes_network_config
        .as_ref()
        .map_or(Some(()), |config| match config.ip_family {
            None | Some(Family::Ipv4) => Some(()),
        })
    else {
        return Err(invalid_parameter("ipFamily must be ipv4"));
    };
    if body.bootstrap_self_managed_addons {
        let message = "the local world installs no self-managed add-ons: set bootstrapSelfManagedAddons to false and \
                       create managed ones";
        return Err(invalid_parameter(message));
    }
    let subnets = body.resources_vpc_config.subnet_ids.clone().unwrap_or_default();
    let vpc = ground::vpc_of_cluster(scene, region, &subnets)?;
    for group in body.resources_vpc_config.security_group_ids.iter().flatten() {
        ground::check_group(scene, region, group)?;
    }
    let managed = "AmazonEKSClusterPolicy";
    ground::check_role(scene, &body.role_arn, "eks.amazonaws.com", &[managed])?;
    for encryption in &body.encryption_config {
        check_encryption(scene, region, encryption)?;
    }
    let access = body.access_config;
    let authentication = access.as_ref().and_then(|access| access.authentication_mode);
    let bootstrap = access.and_then(|access| access.bootstrap_cluster_creator_admin_permissions);
    let mut cluster = Cluster {
        arn: format!("arn:aws:eks:{region}:{}:cluster/{}", scene.account.id, body.name),
        name: body.name,
        version,
        status: Status::Creating,
        authentication: authentication.unwrap_or(Authentication::ConfigMap),
        vpc,
        security_group: None,
        nodegroups: BTreeMap::new(),
        addons: BTreeMap::new(),
        access_entries: BTreeMap::new(),
        associations: BTreeMap::new(),
        role: body.role_arn,
        region: region.to_owned(),
        number: scene.random.hex(32).to_uppercase(),
        created: scene.now,
        due: Some(later(scene.now, scene.random.seconds(420.0, 510.0, 840.0))),
        network: Network::new(body.resources_vpc_config)?,
        service_cidr: body
            .kubernetes_network_config
            .and_then(|config| config.service_ipv4_cidr)
            .unwrap_or_else(|| "172.20.0.0/16".to_owned()),
        logging: BTreeSet::new(),
        encryption: body.encryption_config,
        bootstrap_admin: bootstrap.unwrap_or(true),
        support: body
            .upgrade_policy
            .map(|policy| policy.support_type)
            .unwrap_or_default(),
        zonal_shift: body.zonal_shift_config.is_some_and(|switch| switch.enabled),
        protected: body.deletion_protection,
        up: false,
        interfaces: Vec::new(),
        tags: body.tags,
        token: body.client_request_token,
        updates: BTreeMap::new(),
    };
    switch_logging(&mut cluster.logging, body.logging)?;
    if cluster.bootstrap_admin {
        let creator = scene.account.caller(&input.call.scope.key).arn;
        access::admit_creator(scene, &mut cluster, &creator);
    }
    Ok(cluster)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= 100 && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid_parameter(
        "The cluster name must begin with an alphanumeric character, contain only alphanumeric characters, hyphens and \
         underscores, and have at most 100 characters.",
    ))
}

fn check_encryption(scene: &mut Scene<'_>, region: &str, encryption: &Encryption) -> Result<(), Refusal> {
    if encryption.resources != ["secrets"] {
        return Err(invalid_parameter(
            "The only supported resource for encryption is secrets",
        ));
    }
    let key = &encryption.provider.key_arn;
    match scene.account.region(region).kms.usable(key) {
        Some(_) => Ok(()),
        None => Err(invalid_parameter(format!(
            "The keyArn in encryptionConfig provider is invalid: {key}"
        ))),
    }
}

fn switch_logging(logging: &mut BTreeSet<String>, wanted: Option<Logging>) -> Result<(), Refusal> {
    for setup in wanted.into_iter().flat_map(|wanted| wanted.cluster_logging) {
        for kind in setup.types {
            if !LOG_TYPES.contains(&kind.as_str()) {
                return Err(invalid_parameter(format!("Unknown log type: {kind}")));
            }
            if setup.enabled {
                logging.insert(kind);
            } else {
                logging.remove(&kind);
            }
        }
    }
    Ok(())
}

impl Network {
    fn new(config: VpcConfig) -> Result<Self, Refusal> {
        let network = Self {
            subnets: config.subnet_ids.unwrap_or_default(),
            security_groups: config.security_group_ids.unwrap_or_default(),
            public: config.endpoint_public_access.unwrap_or(true),
            private: config.endpoint_private_access.unwrap_or(false),
            public_from: config
                .public_access_cidrs
                .unwrap_or_else(|| vec!["0.0.0.0/0".to_owned()]),
        };
        if !network.public && !network.private {
            return Err(invalid_parameter("Private and public endpoint access cannot be false"));
        }
        Ok(network)
    }
}

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let clusters = &scene.account.region(input.region()).eks.clusters;
    input.page("clusters", clusters.keys(), |name| (*name).clone(), |name| json!(name))
}

pub(super) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let cluster = cluster(scene, input.region(), input.name(0))?;
    Ok(json!({"cluster": cluster.described()}))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let (now, wait) = (scene.now, scene.random.seconds(120.0, 180.0, 300.0));
    let cluster = cluster(scene, input.region(), input.name(0))?;
    match cluster.status {
        Status::Deleting => return Ok(json!({"cluster": cluster.described()})),
        Status::Creating => return Err(in_use("Cluster has status CREATING and cannot be deleted")),
        Status::Updating => return Err(in_use("Cluster has an update in progress and cannot be deleted")),
        Status::Active | Status::Degraded | Status::CreateFailed => {}
    }
    if cluster.protected {
        return Err(invalid_request(format!(
            "Cluster '{}' has deletion protection enabled",
            cluster.name
        )));
    }
    if !cluster.nodegroups.is_empty() {
        return Err(in_use("Cluster has nodegroups attached"));
    }
    cluster.status = Status::Deleting;
    cluster.due = Some(later(now, wait));
    Ok(json!({"cluster": cluster.described()}))
}

/// Lets one cluster act on what is due.
pub(super) fn advance(scene: &mut Scene<'_>, region: &str, name: &str) {
    let now = scene.now;
    let Ok(cluster) = cluster(scene, region, name) else {
        return;
    };
    if cluster.due.is_none_or(|due| now < due) {
        return;
    }
    cluster.due = None;
    match cluster.status {
        Status::Creating => begin(scene, region, name),
        Status::Deleting => end(scene, region, name),
        Status::Updating => {
            cluster.status = Status::Active;
            ensure_log_group(scene, region, name);
        }
        Status::Active | Status::Degraded | Status::CreateFailed => {}
    }
}

/// The control plane is there: its group and interfaces, its log group, its API.
fn begin(scene: &mut Scene<'_>, region: &str, name: &str) {
    let new = &scene.account.region(region).eks.clusters[name];
    let (host, version, vpc) = (new.host(), new.version.clone(), new.vpc.clone());
    let subnets = new.network.subnets.clone();
    let group = ground::make_cluster_group(scene, region, name, &vpc);
    let interfaces = match &group {
        Some(group) => ground::make_interfaces(scene, region, name, &subnets, group),
        None => Vec::new(),
    };
    scene
        .clusters
        .insert(host.clone(), kube::Cluster::new(name, region, &host, &version));
    if let Ok(cluster) = cluster(scene, region, name) {
        cluster.security_group = group;
        cluster.up = true;
        cluster.interfaces = interfaces;
        cluster.status = Status::Active;
    }
    ensure_log_group(scene, region, name);
    let now = scene.now;
    scene.account.arrivals.usable(&format!("eks/cluster/{name}"), now);
}

/// The control plane is gone, with everything that was in it; its last log lines are still on their way.
fn end(scene: &mut Scene<'_>, region: &str, name: &str) {
    let Some(cluster) = scene.account.region(region).eks.clusters.remove(name) else {
        return;
    };
    scene.clusters.remove(&cluster.host());
    for interface in &cluster.interfaces {
        ground::remove_interface(scene, region, interface);
    }
    if let Some(group) = &cluster.security_group {
        ground::remove_group(scene, region, group);
    }
    if !cluster.logging.is_empty() {
        let at = later(scene.now, scene.random.seconds(0.0, 20.0, 60.0));
        scene.account.region(region).logs.flush_at(at, &cluster.log_group());
    }
}

fn ensure_log_group(scene: &mut Scene<'_>, region: &str, name: &str) {
    let now = scene.now;
    let region = scene.account.region(region);
    if let Some(cluster) = region
        .eks
        .clusters
        .get(name)
        .filter(|cluster| !cluster.logging.is_empty())
    {
        region.logs.ensure(&cluster.log_group(), now);
    }
}
