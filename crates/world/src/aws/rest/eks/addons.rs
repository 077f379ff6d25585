//! Add-ons: what EKS installs into a cluster and keeps there.

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
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::Status;
use crate::aws::rest::eks::catalog;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::ground;
use crate::aws::rest::eks::identities;
use crate::aws::rest::eks::in_use;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::not_found;
use crate::kube;
use crate::kube::store::GroupKind;

/// One add-on of one cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Addon {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) status: Status,
    /// Its configuration, as JSON or YAML.
    pub(crate) configuration: Option<String>,
    /// Whether its objects stay in the cluster when it goes.
    pub(crate) preserved: bool,
    cluster: String,
    arn: String,
    created: Timestamp,
    modified: Timestamp,
    due: Option<Timestamp>,
    role: Option<String>,
    associations: Vec<String>,
    tags: Tags,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    addon_name: String,
    addon_version: Option<String>,
    service_account_role_arn: Option<String>,
    #[serde(rename = "resolveConflicts")]
    _conflicts: Option<Conflicts>,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: Tags,
    configuration_values: Option<String>,
    #[serde(default)]
    pod_identity_associations: Vec<Identity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Change {
    addon_version: Option<String>,
    service_account_role_arn: Option<String>,
    #[serde(rename = "resolveConflicts")]
    _conflicts: Option<Conflicts>,
    #[serde(rename = "clientRequestToken")]
    _token: Option<String>,
    configuration_values: Option<String>,
}

/// What happens to fields that somebody else set; in the local world nobody does before the add-on.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Conflicts {
    Overwrite,
    None,
    Preserve,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Identity {
    service_account: String,
    role_arn: String,
}

impl Addon {
    /// When its status next changes by itself.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.due
    }

    pub(super) fn tagged(&mut self) -> (&str, &mut Tags) {
        (&self.arn, &mut self.tags)
    }

    fn needs_nodes(&self) -> bool {
        catalog::offer(&self.name).is_some_and(|offer| offer.needs_nodes)
    }

    fn described(&self) -> Value {
        let issues = match self.status {
            Status::Degraded => json!([{
                "code": "InsufficientNumberOfReplicas",
                "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.",
                "resourceIds": [],
            }]),
            _ => json!([]),
        };
        let mut output = json!({
            "addonName": self.name,
            "clusterName": self.cluster,
            "status": self.status,
            "addonVersion": self.version,
            "health": {"issues": issues},
            "addonArn": self.arn,
            "createdAt": epoch(self.created),
            "modifiedAt": epoch(self.modified),
            "tags": self.tags,
        });
        if let Some(role) = &self.role {
            output["serviceAccountRoleArn"] = json!(role);
        }
        if let Some(configuration) = &self.configuration {
            output["configurationValues"] = json!(configuration);
        }
        if !self.associations.is_empty() {
            output["podIdentityAssociations"] = json!(self.associations);
        }
        output
    }
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Create = input.body()?;
    let known = cluster(scene, input.region(), input.name(0))?
        .addons
        .get(&body.addon_name);
    if let Some(known) = known {
        if known.token.is_some() && known.token == body.client_request_token {
            return Ok(json!({"addon": known.described()}));
        }
        return Err(in_use("Addon already exists."));
    }
    let kubernetes = super::active(scene, input.region(), input.name(0))?.version.clone();
    let version = choose(&body.addon_name, body.addon_version.as_deref(), &kubernetes)?;
    if let Some(role) = &body.service_account_role_arn {
        ground::check_principal(scene, role)?;
    }
    let (now, wait) = (scene.now, scene.random.seconds(10.0, 20.0, 60.0));
    let number = scene.random.uuid();
    let cluster = cluster(scene, input.region(), input.name(0))?;
    let mut addon = Addon {
        arn: cluster.part("addon", &format!("{}/{number}", body.addon_name)),
        cluster: cluster.name.clone(),
        name: body.addon_name,
        version,
        status: Status::Creating,
        configuration: body.configuration_values,
        preserved: false,
        created: now,
        modified: now,
        due: Some(later(now, wait)),
        role: body.service_account_role_arn,
        associations: Vec::new(),
        tags: body.tags,
        token: body.client_request_token,
    };
    for identity in body.pod_identity_associations {
        let account = ("kube-system", &*identity.service_account);
        let id = identities::associate(scene, input, account, &identity.role_arn, Some(&addon.arn))?;
        let cluster = super::cluster(scene, input.region(), input.name(0))?;
        addon.associations.push(cluster.associations[&id].arn().to_owned());
    }
    scene.account.arrivals.made(known_as(&addon), now);
    let output = json!({"addon": addon.described()});
    let cluster = super::cluster(scene, input.region(), input.name(0))?;
    cluster.addons.insert(addon.name.clone(), addon);
    Ok(output)
}

/// The version that is meant: the newest for the cluster if none is named.
fn choose(name: &str, asked: Option<&str>, kubernetes: &str) -> Result<String, Refusal> {
    let offer =
        catalog::offer(name).ok_or_else(|| invalid_parameter(format!("Addon {name} specified is not supported")))?;
    let versions = offer.versions(kubernetes);
    let found = versions
        .iter()
        .find(|version| asked.is_none_or(|asked| asked == *version));
    found.cloned().ok_or_else(|| {
        invalid_parameter(format!(
            "Addon version specified is not supported for {kubernetes}: it is one of {versions:?}"
        ))
    })
}

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let addons = &cluster(scene, input.region(), input.name(0))?.addons;
    input.page("addons", addons.keys(), |name| (*name).clone(), |name| json!(name))
}

pub(super) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    Ok(json!({"addon": addon(scene, input)?.described()}))
}

pub(super) fn update(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Change = input.body()?;
    let kubernetes = super::active(scene, input.region(), input.name(0))?.version.clone();
    let (now, wait, id) = (scene.now, scene.random.seconds(10.0, 20.0, 60.0), scene.random.uuid());
    let addon = addon(scene, input)?;
    if matches!(addon.status, Status::Creating | Status::Updating | Status::Deleting) {
        return Err(in_use(format!(
            "Addon {} cannot be updated as it is currently in another operation",
            addon.name
        )));
    }
    if let Some(version) = &body.addon_version {
        addon.version = choose(&addon.name, Some(version), &kubernetes)?;
    }
    addon.role = body.service_account_role_arn.or(addon.role.take());
    addon.configuration = body.configuration_values.or(addon.configuration.take());
    addon.status = Status::Updating;
    addon.modified = now;
    let due = later(now, wait);
    addon.due = Some(due);
    let cluster = cluster(scene, input.region(), input.name(0))?;
    Ok(json!({"update": cluster.begin_update(id, "AddonUpdate", now, due)}))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let (now, wait) = (scene.now, scene.random.seconds(5.0, 10.0, 30.0));
    let preserved = input.query("preserve") == Some("true");
    let addon = addon(scene, input)?;
    if addon.status != Status::Deleting {
        addon.status = Status::Deleting;
        addon.preserved = preserved;
        addon.due = Some(later(now, wait));
    }
    Ok(json!({"addon": addon.described()}))
}

fn addon<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>) -> Result<&'a mut Addon, Refusal> {
    let (cluster, name) = (input.name(0), input.name(1));
    let addons = &mut super::cluster(scene, input.region(), cluster)?.addons;
    addons
        .get_mut(name)
        .ok_or_else(|| not_found(format!("No addon: {name} found in cluster: {cluster}")))
}

/// Lets the add-ons of one cluster act on what is due; the unhealthy ones heal when a node is there.
pub(super) fn advance(scene: &mut Scene<'_>, region: &str, name: &str) {
    let now = scene.now;
    let Some(cluster) = scene.account.region(region).eks.clusters.get(name) else {
        return;
    };
    let idle = |addon: &Addon| addon.status == Status::Active || addon.due.is_some_and(|due| now < due);
    if cluster.addons.values().all(idle) {
        return;
    }
    let nodes = scene.clusters.get(&cluster.host()).is_some_and(has_ready_node);
    let Ok(cluster) = super::cluster(scene, region, name) else {
        return;
    };
    let (mut gone, mut active) = (Vec::new(), Vec::new());
    for addon in cluster.addons.values_mut() {
        let due = addon.due.is_some_and(|due| due <= now);
        match addon.status {
            Status::Creating | Status::Updating if due => {
                addon.due = None;
                let healthy = nodes || !addon.needs_nodes();
                addon.status = if healthy { Status::Active } else { Status::Degraded };
            }
            Status::Degraded if nodes => addon.status = Status::Active,
            Status::Deleting if due => gone.push(addon.name.clone()),
            _ => {}
        }
        if addon.status == Status::Active {
            active.push(known_as(addon));
        }
    }
    for name in gone {
        let owned = cluster
            .addons
            .remove(&name)
            .map(|addon| addon.associations)
            .unwrap_or_default();
        cluster
            .associations
            .retain(|_, association| !owned.iter().any(|arn| arn == association.arn()));
    }
    for addon in active {
        scene.account.arrivals.usable(&addon, now);
    }
}

/// What its arrival is noted under.
fn known_as(addon: &Addon) -> String {
    format!("eks/addon/{}/{}", addon.cluster, addon.name)
}

/// Whether a node of the cluster is ready.
fn has_ready_node(cluster: &kube::Cluster) -> bool {
    const NODE: GroupKind = GroupKind::of("Node");
    let ready = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array();
        let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        conditions.is_some_and(|conditions| conditions.iter().any(ready))
    };
    cluster.store.list(&NODE).any(|node| ready(node))
}
