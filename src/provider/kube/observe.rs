//! What of a stack's objects and releases is in the cluster: one LIST a kind, compared field by field.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use tubectl_chart::release::Record;
use tubectl_chart::release::Status;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::apply::SHOW;
use crate::provider::kube::ready::readiness;
use crate::provider::kube::release::INSTANCE;
use crate::resource::desired::Desired;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;

impl Kube {
    /// The desired objects and releases that exist, and the releases of this stack instance that nobody wants any more.
    pub async fn observe(
        &self,
        desired: &[Desired],
        instance: &str,
        about: impl Fn(&Record) -> Value,
    ) -> Result<Vec<Observed>, ProviderError> {
        let objects: Vec<&Desired> = desired.iter().filter(|desired| desired.kind == Kind::Object).collect();
        let name = |desired: &Desired| ObjectName::of(&desired.spec);
        let kinds: BTreeSet<(String, String)> = objects
            .iter()
            .map(|desired| (name(desired).api_version, name(desired).kind))
            .collect();
        let lists = kinds.iter().map(|(version, kind)| self.list(version, kind, ""));
        let live = futures::future::try_join_all(lists).await?;
        let live: BTreeMap<ObjectName, Value> = live
            .into_iter()
            .flatten()
            .map(|object| (ObjectName::of(&object), object))
            .collect();
        let mut observed = Vec::new();
        for desired in objects {
            if let Some(object) = live.get(&name(desired)) {
                observed.push(found(desired, object));
            }
        }
        observed.extend(self.observe_releases(desired, instance, about).await?);
        Ok(observed)
    }

    async fn observe_releases(
        &self,
        desired: &[Desired],
        instance: &str,
        about: impl Fn(&Record) -> Value,
    ) -> Result<Vec<Observed>, ProviderError> {
        let mut latest: BTreeMap<(String, String), Record> = BTreeMap::new();
        for record in self.records().await? {
            latest.insert((record.namespace.clone(), record.name.clone()), record);
        }
        let of_release = |desired: &&Desired| matches!(desired.kind, Kind::ReleaseBegin | Kind::ReleaseEnd);
        let mut observed = Vec::new();
        let mut wanted = BTreeSet::new();
        for desired in desired.iter().filter(of_release) {
            let namespace = desired.spec["namespace"].as_str().unwrap_or_default().to_owned();
            let release = (namespace, desired.name.clone());
            let Some(record) = latest.get(&release) else { continue };
            wanted.insert(release);
            // A pending record is a beginning without an end.
            if desired.kind == Kind::ReleaseEnd && record.status != Status::Deployed {
                continue;
            }
            observed.push(release_found(desired.id.clone(), desired.kind, about(record), record));
        }
        let ours = |record: &&Record| record.labels.get(INSTANCE).is_some_and(|of| of == instance);
        for (_, record) in latest.iter().filter(|(release, _)| !wanted.contains(*release)) {
            if ours(&record) {
                let id = ResourceId::new(Kind::ReleaseEnd.name(), &record.name);
                observed.push(release_found(id, Kind::ReleaseEnd, about(record), record));
            }
        }
        Ok(observed)
    }
}

fn release_found(id: ResourceId, kind: Kind, spec: Value, record: &Record) -> Observed {
    Observed {
        id,
        kind,
        spec,
        outputs: BTreeMap::from([("revision".to_owned(), record.revision.to_string())]),
        readiness: Readiness::Ready,
    }
}

/// An object as it was found, what the show changed put back: the mode of the page is no drift.
fn found(desired: &Desired, live: &Value) -> Observed {
    let mut spec = live.clone();
    for path in fields_of(live, SHOW) {
        if let Some(wanted) = at(&desired.spec, &path).cloned() {
            set(&mut spec, &path, wanted);
        }
    }
    let outputs = outputs(live);
    Observed {
        id: desired.id.clone(),
        kind: Kind::Object,
        spec,
        outputs,
        readiness: readiness(live),
    }
}

/// What an object gives to others: the host name of its load balancer, where it has one.
pub fn outputs(object: &Value) -> BTreeMap<String, String> {
    let host = object["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str();
    host.map(|host| ("host".to_owned(), host.to_owned()))
        .into_iter()
        .collect()
}

/// The paths of the fields that a manager owns.
fn fields_of(object: &Value, manager: &str) -> Vec<Vec<String>> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut paths = Vec::new();
    for entry in entries.filter(|entry| entry["manager"] == manager) {
        leaves(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
    }
    paths
}

fn leaves(fields: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let named = fields.as_object().into_iter().flatten();
    let mut is_leaf = true;
    for (name, below) in named {
        if let Some(field) = name.strip_prefix("f:") {
            is_leaf = false;
            path.push(field.to_owned());
            leaves(below, path, paths);
            path.pop();
        }
    }
    if is_leaf && !path.is_empty() {
        paths.push(path.clone());
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, field| value.get(field))
}

fn set(object: &mut Value, path: &[String], wanted: Value) {
    let Some((last, above)) = path.split_last() else { return };
    let mut place = object;
    for field in above {
        if !place[field].is_object() {
            place[field] = json!({});
        }
        place = &mut place[field];
    }
    place[last] = wanted;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_the_show_wrote_is_no_drift() {
        let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"DEMO_MODE": "quiz"}});
        let desired = Desired {
            id: crate::resource::id::ResourceId::from_text("gateway/ConfigMap/default/gateway"),
            kind: Kind::Object,
            name: "gateway".to_owned(),
            spec: wanted.clone(),
            needs: BTreeSet::new(),
        };
        let fields = json!({"f:data": {"f:DEMO_MODE": {}}});
        let live = json!({
            "data": {"DEMO_MODE": "survey"},
            "metadata": {"managedFields": [{"manager": SHOW, "fieldsV1": fields}]},
        });
        assert_eq!(found(&desired, &live).spec["data"], wanted["data"]);
        let stranger = json!({"data": {"DEMO_MODE": "survey"}});
        assert_eq!(found(&desired, &stranger).spec["data"]["DEMO_MODE"], "survey");
    }
}
