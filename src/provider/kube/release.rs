//! Records of chart releases in the cluster, in Helm's own form: Helm lists, shows and rolls back what we installed.

use std::time::Duration;

use serde_json::Value;
use tubectl_chart::release::Record;
use tubectl_chart::release::Stamp;
use tubectl_chart::release::Status;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;

/// How long a thing that the new revision no longer has may take to go.
const PRUNED_WITHIN: Duration = Duration::from_secs(120);

impl Kube {
    /// Every revision of every release that the cluster knows, oldest first.
    pub async fn records(&self) -> Result<Vec<Record>, ProviderError> {
        let secrets = self.list("v1", "Secret", "owner=helm").await?;
        let mut records = Vec::new();
        for secret in secrets.iter().filter(|secret| secret["type"] == "helm.sh/release.v1") {
            let name = secret["metadata"]["name"].as_str().unwrap_or_default();
            let record = Record::from_secret(secret);
            records.push(record.map_err(|error| ProviderError::found(format!("reading {name}"), error.to_string()))?);
        }
        records.sort_by_key(|record| (record.namespace.clone(), record.name.clone(), record.revision));
        Ok(records)
    }

    /// Begins a revision: writes its pending record, or goes on with one that a killed run left.
    pub async fn begin_release(&self, mut record: Record) -> Result<Record, ProviderError> {
        let before = self.revisions(&record).await?;
        if let Some(pending) = before
            .last()
            .filter(|last| last.status.is_pending() && last.manifest == record.manifest)
        {
            return Ok(pending.clone());
        }
        record.revision = before.last().map_or(1, |last| last.revision + 1);
        record.status = if before.is_empty() {
            Status::PendingInstall
        } else {
            Status::PendingUpgrade
        };
        let now = self.clock.now();
        record.first_deployed = before.first().and_then(|first| first.first_deployed).or(Some(now));
        record.last_deployed = Some(now);
        "Initial install underway".clone_into(&mut record.description);
        self.write_record(&record, Stamp::Created(now)).await?;
        Ok(record)
    }

    /// Ends a revision: removes what it no longer has, and says that it is in force.
    pub async fn end_release(&self, namespace: &str, name: &str) -> Result<(), ProviderError> {
        let records = self.records().await?;
        let of_release = |record: &&Record| record.namespace == namespace && record.name == name;
        let mut revisions: Vec<Record> = records.iter().filter(of_release).cloned().collect();
        let Some(mut current) = revisions.pop() else {
            return Err(ProviderError::found(
                format!("ending release {namespace}/{name}"),
                "it has no record",
            ));
        };
        for old in revisions.iter().filter(|old| old.status == Status::Deployed) {
            self.prune(old, &current).await?;
        }
        let now = self.clock.now();
        for mut old in revisions
            .into_iter()
            .filter(|old| old.status == Status::Deployed || old.status.is_pending())
        {
            old.status = Status::Superseded;
            self.write_record(&old, Stamp::Modified(now)).await?;
        }
        current.status = Status::Deployed;
        let description = if current.revision == 1 {
            "Install complete"
        } else {
            "Upgrade complete"
        };
        description.clone_into(&mut current.description);
        self.write_record(&current, Stamp::Modified(now)).await
    }

    async fn revisions(&self, record: &Record) -> Result<Vec<Record>, ProviderError> {
        let records = self.records().await?;
        let same = |other: &Record| other.namespace == record.namespace && other.name == record.name;
        Ok(records.into_iter().filter(|other| same(other)).collect())
    }

    async fn prune(&self, old: &Record, new: &Record) -> Result<(), ProviderError> {
        let kept: Vec<ObjectName> = objects(new).iter().map(ObjectName::of).collect();
        for object in objects(old) {
            let name = ObjectName::of(&object);
            let keep = object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
            if !keep && !kept.contains(&name) {
                self.delete_and_wait(&name, PRUNED_WITHIN).await?;
            }
        }
        Ok(())
    }

    async fn write_record(&self, record: &Record, stamp: Stamp) -> Result<(), ProviderError> {
        let secret = record.to_secret(stamp);
        let secret = secret.map_err(|error| ProviderError::found("writing a release's record", error.to_string()))?;
        self.apply(&secret).await.map(drop)
    }
}

/// The objects that a record says the release has.
pub fn objects(record: &Record) -> Vec<Value> {
    let documents = tubectl_yaml::parse_all(&record.manifest).unwrap_or_default();
    let mut objects: Vec<Value> = documents
        .into_iter()
        .map(Value::from)
        .filter(Value::is_object)
        .collect();
    for object in &mut objects {
        // Helm leaves the namespace out where it is the release's own.
        if object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = Value::String(record.namespace.clone());
        }
    }
    objects
}
