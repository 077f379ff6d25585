//! Pod identity associations: which role the pods of a service account get.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::json::tags::Tags;
use crate::aws::json::tags::epoch;
use crate::aws::rest::eks::Input;
use crate::aws::rest::eks::cluster;
use crate::aws::rest::eks::ground;
use crate::aws::rest::eks::in_use;
use crate::aws::rest::eks::not_found;

/// One association.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Association {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) role: String,
    /// When it was made: pods that started before have no credentials.
    pub(crate) created: Timestamp,
    cluster: String,
    arn: String,
    // The add-on that made it.
    owner: Option<String>,
    tags: Tags,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    namespace: String,
    service_account: String,
    role_arn: String,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: Tags,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Change {
    role_arn: Option<String>,
    #[serde(rename = "clientRequestToken")]
    _token: Option<String>,
}

impl Association {
    pub(super) fn tagged(&mut self) -> (&str, &mut Tags) {
        (&self.arn, &mut self.tags)
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    fn summary(&self) -> Value {
        let mut output = json!({
            "clusterName": self.cluster,
            "namespace": self.namespace,
            "serviceAccount": self.service_account,
            "associationArn": self.arn,
            "associationId": self.id,
        });
        if let Some(owner) = &self.owner {
            output["ownerArn"] = json!(owner);
        }
        output
    }

    fn described(&self) -> Value {
        let mut output = self.summary();
        output["roleArn"] = json!(self.role);
        output["tags"] = json!(self.tags);
        output["createdAt"] = json!(epoch(self.created));
        output["modifiedAt"] = json!(epoch(self.created));
        output["disableSessionTags"] = json!(false);
        output
    }
}

/// Associates a service account with a role, and gives the association's id.
pub(super) fn associate(
    scene: &mut Scene<'_>,
    input: &Input<'_>,
    (namespace, service_account): (&str, &str),
    role: &str,
    owner: Option<&str>,
) -> Result<String, Refusal> {
    ground::check_role(scene, role, "pods.eks.amazonaws.com", &[])?;
    let (now, number) = (scene.now, scene.random.suffix(17));
    let cluster = super::active(scene, input.region(), input.name(0))?;
    let same = |known: &&Association| known.namespace == namespace && known.service_account == service_account;
    if let Some(known) = cluster.associations.values().find(same) {
        let message = format!("Association already exists: {}", known.id);
        return Err(in_use(message));
    }
    let id = format!("a-{number}");
    let association = Association {
        id: id.clone(),
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        role: role.to_owned(),
        created: now,
        cluster: cluster.name.clone(),
        arn: cluster.part("podidentityassociation", &id),
        owner: owner.map(str::to_owned),
        tags: Tags::new(),
        token: None,
    };
    cluster.associations.insert(id.clone(), association);
    Ok(id)
}

pub(super) fn create(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Create = input.body()?;
    let known = &cluster(scene, input.region(), input.name(0))?.associations;
    let repeated = |known: &&Association| known.token.is_some() && known.token == body.client_request_token;
    if let Some(known) = known.values().find(repeated) {
        return Ok(json!({"association": known.described()}));
    }
    let account = (&*body.namespace, &*body.service_account);
    let id = associate(scene, input, account, &body.role_arn, None)?;
    let association = association(scene, input, &id)?;
    association.tags = body.tags;
    association.token = body.client_request_token;
    Ok(json!({"association": association.described()}))
}

pub(super) fn list(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let (namespace, account) = (input.query("namespace"), input.query("serviceAccount"));
    let wanted = |association: &&Association| {
        namespace.is_none_or(|namespace| association.namespace == namespace)
            && account.is_none_or(|account| association.service_account == account)
    };
    let associations = &cluster(scene, input.region(), input.name(0))?.associations;
    let found = associations.values().filter(wanted);
    input.page("associations", found, |found| found.id.clone(), Association::summary)
}

pub(super) fn describe(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    Ok(json!({"association": association(scene, input, input.name(1))?.described()}))
}

pub(super) fn update(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let body: Change = input.body()?;
    if let Some(role) = &body.role_arn {
        ground::check_principal(scene, role)?;
    }
    let association = association(scene, input, input.name(1))?;
    association.role = body.role_arn.unwrap_or_else(|| association.role.clone());
    Ok(json!({"association": association.described()}))
}

pub(super) fn delete(scene: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let output = json!({"association": association(scene, input, input.name(1))?.described()});
    cluster(scene, input.region(), input.name(0))?
        .associations
        .remove(input.name(1));
    Ok(output)
}

fn association<'a>(scene: &'a mut Scene<'_>, input: &Input<'_>, id: &str) -> Result<&'a mut Association, Refusal> {
    let cluster = cluster(scene, input.region(), input.name(0))?;
    let name = cluster.name.clone();
    cluster.associations.get_mut(id).ok_or_else(|| {
        let message = format!("The association with ID {id} does not exist in the cluster {name}");
        not_found(message)
    })
}
