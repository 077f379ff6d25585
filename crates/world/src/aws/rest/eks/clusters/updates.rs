//! Changes of a cluster's configuration: one of a kind at a time, which takes its time.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::epoch;
use crate::aws::later;
use crate::aws::rest::eks;
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::Status;
use crate::aws::rest::eks::catalog;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::clusters::AccessConfig;
use crate::aws::rest::eks::clusters::Logging;
use crate::aws::rest::eks::clusters::Network;
use crate::aws::rest::eks::clusters::Switch;
use crate::aws::rest::eks::clusters::UpgradePolicy;
use crate::aws::rest::eks::clusters::VpcConfig;
use crate::aws::rest::eks::clusters::switch_logging;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::not_found;

/// A change that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) kind: String,
    pub(super) created: Timestamp,
    pub(super) due: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpdateConfig {
    resources_vpc_config: Option<VpcConfig>,
    logging: Option<Logging>,
    #[expect(
        dead_code,
        reason = "an update with the same token is the same update, and does the same again"
    )]
    client_request_token: Option<String>,
    access_config: Option<AccessConfig>,
    upgrade_policy: Option<UpgradePolicy>,
    zonal_shift_config: Option<Switch>,
    deletion_protection: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Upgrade {
    version: String,
    #[serde(rename = "clientRequestToken")]
    _token: Option<String>,
    #[serde(rename = "force")]
    _force: Option<bool>,
}

impl Update {
    /// The change as AWS shows it.
    pub(super) fn described(&self, id: &str, now: Timestamp) -> Value {
        json!({
            "id": id,
            "status": if self.due <= now { "Successful" } else { "InProgress" },
            "type": self.kind,
            "params": [],
            "createdAt": epoch(self.created),
            "errors": [],
        })
    }
}

pub(in crate::aws::rest::eks) fn update(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: UpdateConfig = input.body()?;
    let (now, wait, id) = (scene.now, scene.random.seconds(30.0, 60.0, 120.0), scene.random.uuid());
    let cluster = eks::active(scene, input.region(), input.name(0))?;
    let mut kinds = Vec::new();
    if let Some(config) = body.resources_vpc_config {
        if config.subnet_ids.is_some() || config.security_group_ids.is_some() {
            return Err(invalid_parameter(
                "the local world does not move a cluster to other subnets or groups",
            ));
        }
        let changed = Network::new(VpcConfig {
            subnet_ids: Some(cluster.network.subnets.clone()),
            security_group_ids: Some(cluster.network.security_groups.clone()),
            endpoint_public_access: config.endpoint_public_access.or(Some(cluster.network.public)),
            endpoint_private_access: config.endpoint_private_access.or(Some(cluster.network.private)),
            public_access_cidrs: config
                .public_access_cidrs
                .or_else(|| Some(cluster.network.public_from.clone())),
        })?;
        if changed == cluster.network {
            return Err(invalid_parameter("Cluster is already at the desired configuration"));
        }
        cluster.network = changed;
        kinds.push("EndpointAccessUpdate");
    }
    if body.logging.is_some() {
        let mut changed = cluster.logging.clone();
        switch_logging(&mut changed, body.logging)?;
        if changed == cluster.logging {
            return Err(invalid_parameter("No changes needed for the logging config provided"));
        }
        cluster.logging = changed;
        kinds.push("LoggingUpdate");
    }
    if let Some(mode) = body.access_config.and_then(|access| access.authentication_mode) {
        cluster.authentication = mode;
        kinds.push("AccessConfigUpdate");
    }
    if let Some(policy) = body.upgrade_policy {
        cluster.support = policy.support_type;
        kinds.push("UpgradePolicyUpdate");
    }
    if let Some(switch) = body.zonal_shift_config {
        cluster.zonal_shift = switch.enabled;
        kinds.push("ZonalShiftConfigUpdate");
    }
    if let Some(protected) = body.deletion_protection {
        cluster.protected = protected;
        kinds.push("DeletionProtectionUpdate");
    }
    let [kind] = kinds[..] else {
        return Err(invalid_parameter(
            "Only one type of update can be allowed, and there must be one.",
        ));
    };
    let due = later(now, wait);
    cluster.status = Status::Updating;
    cluster.due = Some(due);
    Ok(json!({"update": cluster.begin_update(id, kind, now, due)}))
}

/// Moves a cluster to the next version of Kubernetes.
pub(in crate::aws::rest::eks) fn upgrade(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Upgrade = input.body()?;
    let wait = scene.random.seconds(480.0, 600.0, 900.0);
    let (now, id) = (scene.now, scene.random.uuid());
    let cluster = eks::active(scene, input.region(), input.name(0))?;
    let minor = |version: &str| version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
    let is_next = minor(&body.version) == minor(&cluster.version).map(|minor| minor + 1);
    if !is_next || catalog::patch(&body.version).is_none() {
        let message = format!(
            "Unsupported Kubernetes minor version update from {} to {}",
            cluster.version, body.version
        );
        return Err(invalid_parameter(message));
    }
    cluster.version = body.version;
    let due = later(now, wait);
    cluster.status = Status::Updating;
    cluster.due = Some(due);
    Ok(json!({"update": cluster.begin_update(id, "VersionUpdate", now, due)}))
}

pub(in crate::aws::rest::eks) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let now = scene.now;
    let cluster = cluster(scene, input.region(), input.name(0))?;
    let id = input.name(1);
    let update = cluster
        .updates
        .get(id)
        .ok_or_else(|| not_found(format!("No update found for ID: {id}")))?;
    Ok(json!({"update": update.described(id, now)}))
}
