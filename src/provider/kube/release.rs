//! Records of chart releases in the cluster, in Helm's own form: Helm lists, shows and rolls back what we installed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tubectl_chart::install_rank;
use tubectl_chart::release::Record;
use tubectl_chart::release::Stamp;
use tubectl_chart::release::Status;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::apply::Strangers;

/// How long a thing that the new revision no longer has may take to go.
const PRUNED_WITHIN: Duration = Duration::from_secs(120);

/// How long what a release had may take to go when all of it goes: a load balancer takes minutes.
const UNINSTALLED_WITHIN: Duration = Duration::from_mins(10);

/// The label of a release's records that says which stack instance made it. Helm keeps labels that it does not know.
pub const INSTANCE: &str = "tubectl.io/instance";

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

    /// Takes a release away: everything that any of its revisions had, last made first, then its records. Definitions
    /// of `crds/` stay, as with Helm: what others made of their kinds would go with them.
    pub async fn uninstall(&self, namespace: &str, name: &str) -> Result<(), ProviderError> {
        let records = self.records().await?;
        let records: Vec<Record> = records
            .into_iter()
            .filter(|record| record.namespace == namespace && record.name == name)
            .collect();
        let mut all = Vec::new();
        for record in &records {
            all.extend(objects(record)?);
        }
        let mut names = outdated(&all, &[]);
        names.sort_by(|a, b| install_rank(&b.kind).cmp(&install_rank(&a.kind)).then_with(|| a.cmp(b)));
        names.dedup();
        for name in &names {
            self.delete(name).await?;
        }
        for name in &names {
            self.delete_and_wait(name, UNINSTALLED_WITHIN).await?;
        }
        for record in &records {
            self.delete(&ObjectName::of(&secret(record, Stamp::Modified(self.clock.now()))?))
                .await?;
        }
        Ok(())
    }

    async fn revisions(&self, record: &Record) -> Result<Vec<Record>, ProviderError> {
        let records = self.records().await?;
        let same = |other: &Record| other.namespace == record.namespace && other.name == record.name;
        Ok(records.into_iter().filter(|other| same(other)).collect())
    }

    async fn prune(&self, old: &Record, new: &Record) -> Result<(), ProviderError> {
        for name in outdated(&objects(old)?, &objects(new)?) {
            self.delete_and_wait(&name, PRUNED_WITHIN).await?;
        }
        Ok(())
    }

    async fn write_record(&self, record: &Record, stamp: Stamp) -> Result<(), ProviderError> {
        self.apply(&secret(record, stamp)?, Strangers::Respect).await.map(drop)
    }
}

fn secret(record: &Record, stamp: Stamp) -> Result<Value, ProviderError> {
    let secret = record.to_secret(stamp);
    secret.map_err(|error| ProviderError::found("writing a release's record", error.to_string()))
}

/// What a new revision no longer has and nobody asked to keep. An object under another version of its group is the same.
fn outdated(old: &[Value], new: &[Value]) -> Vec<ObjectName> {
    let same = |name: &ObjectName| {
        let group = name.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        (
            group.to_owned(),
            name.kind.clone(),
            name.namespace.clone(),
            name.name.clone(),
        )
    };
    let kept: BTreeSet<_> = new.iter().map(|object| same(&ObjectName::of(object))).collect();
    let keep = |object: &&Value| object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
    old.iter()
        .filter(|object| !keep(object))
        .map(ObjectName::of)
        .filter(|name| !kept.contains(&same(name)))
        .collect()
}

/// The objects that a record says the release has.
///
/// # Errors
/// A manifest that is not YAML: what a release has is then not known, which is not the same as nothing.
pub fn objects(record: &Record) -> Result<Vec<Value>, ProviderError> {
    let documents = tubectl_yaml::parse_all(&record.manifest).map_err(|error| {
        let what = format!(
            "reading revision {} of release {}/{}",
            record.revision, record.namespace, record.name
        );
        ProviderError::found(what, error.to_string())
    })?;
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
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(old: &[(&str, &str, &str)], new: &[(&str, &str, &str)], outdated_names: &[&str]) {
        let object = |(version, kind, name): &(&str, &str, &str)| {
            let policy = if name.starts_with("kept") { "keep" } else { "" };
            let annotations = json!({"helm.sh/resource-policy": policy});
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "annotations": annotations}})
        };
        let objects = |of: &[_]| -> Vec<Value> { of.iter().map(object).collect() };
        let names: Vec<String> = outdated(&objects(old), &objects(new))
            .into_iter()
            .map(|name| name.name)
            .collect();
        assert_eq!(names, outdated_names);
    }

    #[test]
    fn what_a_new_revision_lacks_is_outdated() {
        let (page, map) = (("v1", "Service", "page"), ("v1", "ConfigMap", "page"));
        check(&[page, map], &[page], &["page"]);
        check(&[page, map], &[page, map], &[]);
        check(&[("v1", "Secret", "kept-always")], &[], &[]);
    }

    #[test]
    fn an_object_under_a_newer_version_is_the_same_object() {
        let budget = |version| [(version, "PodDisruptionBudget", "page")];
        check(&budget("policy/v1beta1"), &budget("policy/v1"), &[]);
        check(
            &budget("policy/v1"),
            &[("apps/v1", "PodDisruptionBudget", "page")],
            &["page"],
        );
    }
}
