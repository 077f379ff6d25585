//! Helm's own record of a release: what `helm list`, `history`, `get` and `rollback` read. Only bytes in, bytes out; who
//! stores them is not this module's business.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;
use thiserror::Error;

use crate::load::Chart;
use crate::load::File;
use crate::manifest::Hook;
use crate::metadata::Metadata;
use crate::render::Options;
use crate::render::Rendered;
use crate::values::Values;

/// A record that unpacks to more than this was not made by Helm: a Secret holds one mebibyte.
const UNPACKED: u64 = 64 << 20;

/// The labels that Helm writes; a user's label may not have these names.
const OWN_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// One revision of a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The release.
    pub name: String,
    /// The namespace it lives in.
    pub namespace: String,
    /// The revision.
    pub revision: u32,
    /// What has become of it.
    pub status: Status,
    /// One sentence for people, such as `Install complete`.
    pub description: String,
    /// When the first revision was deployed.
    pub first_deployed: Option<Timestamp>,
    /// When this revision was deployed.
    pub last_deployed: Option<Timestamp>,
    /// When the release was taken down.
    pub deleted: Option<Timestamp>,
    /// What the user was told.
    pub notes: String,
    /// The chart, as Helm stores it.
    pub chart: Json,
    /// The values that the user gave.
    pub config: Json,
    /// The objects as one text.
    pub manifest: String,
    /// The hooks, as Helm stores them.
    pub hooks: Vec<Json>,
    /// How the objects were applied: `ssa` or `csa`. Helm 3 says nothing.
    pub apply_method: Option<String>,
    /// Labels of the user's own.
    pub labels: BTreeMap<String, String>,
}

/// What has become of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody knows.
    Unknown,
    /// It is in force.
    Deployed,
    /// It was taken down.
    Uninstalled,
    /// A later revision is in force.
    Superseded,
    /// It failed.
    Failed,
    /// It is being taken down.
    Uninstalling,
    /// It is being installed.
    PendingInstall,
    /// It is being upgraded.
    PendingUpgrade,
    /// It is being rolled back.
    PendingRollback,
}

/// The statuses and their names.
const STATUSES: [(Status, &str); 9] = [
    (Status::Unknown, "unknown"),
    (Status::Deployed, "deployed"),
    (Status::Uninstalled, "uninstalled"),
    (Status::Superseded, "superseded"),
    (Status::Failed, "failed"),
    (Status::Uninstalling, "uninstalling"),
    (Status::PendingInstall, "pending-install"),
    (Status::PendingUpgrade, "pending-upgrade"),
    (Status::PendingRollback, "pending-rollback"),
];

impl Status {
    /// The name that Helm writes.
    pub fn name(self) -> &'static str {
        STATUSES
            .iter()
            .find(|(status, _)| *status == self)
            .map_or("unknown", |(_, name)| name)
    }

    /// The status of a name; a name that Helm does not know is unknown.
    pub fn from_name(name: &str) -> Self {
        STATUSES
            .iter()
            .find(|(_, known)| *known == name)
            .map_or(Status::Unknown, |(status, _)| *status)
    }

    /// Tells whether somebody was still at work when the record was written.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Status::Uninstalling | Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback
        )
    }
}

/// When a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// For the first time.
    Created(Timestamp),
    /// Again, because its status changed.
    Modified(Timestamp),
}

/// Why bytes are no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The Secret is not one of Helm's.
    #[error("this Secret holds no release: {0}")]
    Secret(&'static str),
    /// The data is not base 64.
    #[error("the release is not in base 64")]
    Base64(#[from] base64::DecodeError),
    /// The data does not unpack.
    #[error("the release does not unpack")]
    Gzip(#[source] std::io::Error),
    /// The data is not what Helm writes.
    #[error("the release is not what Helm writes")]
    Json(#[from] serde_json::Error),
}

/// The name of the Secret that holds a revision.
pub fn secret_name(release: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

impl Record {
    /// The record of a chart that was just rendered and is about to be applied.
    pub fn new(chart: &Chart, values: &Values, options: &Options, rendered: &Rendered, status: Status) -> Self {
        Record {
            name: options.release.name.clone(),
            namespace: options.release.namespace.clone(),
            revision: options.release.revision,
            status,
            description: String::new(),
            first_deployed: Some(options.now),
            last_deployed: Some(options.now),
            deleted: None,
            notes: rendered.notes.clone().unwrap_or_default(),
            chart: chart_json(chart),
            config: whole_numbers(values.to_yaml().into()),
            manifest: rendered.manifest(),
            hooks: rendered.hooks.iter().map(hook_json).collect(),
            apply_method: Some("ssa".to_owned()),
            labels: BTreeMap::new(),
        }
    }

    /// Leaves out the chart's files, which Helm needs for nothing that it does with a record.
    pub fn drop_files(&mut self) {
        if let Some(files) = self.chart.get_mut("files") {
            *files = json!([]);
        }
    }

    /// The value of `data.release` before Kubernetes' own base 64.
    ///
    /// # Errors
    /// Never in practice: memory is the only thing that is written to.
    pub fn encode(&self) -> Result<String, RecordError> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let text = serde_json::to_vec(&self.to_json())?;
        packer.write_all(&text).map_err(RecordError::Gzip)?;
        Ok(STANDARD.encode(packer.finish().map_err(RecordError::Gzip)?))
    }

    /// Reads the value of `data.release` without Kubernetes' own base 64.
    ///
    /// # Errors
    /// If the bytes are not what Helm writes.
    pub fn decode(data: &[u8]) -> Result<Self, RecordError> {
        let packed = STANDARD.decode(data.trim_ascii())?;
        let json: Json = if packed.starts_with(b"\x1f\x8b\x08") {
            let mut text = Vec::new();
            GzDecoder::new(packed.as_slice())
                .take(UNPACKED)
                .read_to_end(&mut text)
                .map_err(RecordError::Gzip)?;
            serde_json::from_slice(&text)?
        } else {
            serde_json::from_slice(&packed)?
        };
        Ok(Record::from_json(&json))
    }

    /// The Secret that Helm would write.
    ///
    /// # Errors
    /// As [`Record::encode`].
    pub fn to_secret(&self, stamp: Stamp) -> Result<Json, RecordError> {
        let mut labels: BTreeMap<String, String> = self
            .labels
            .iter()
            .filter(|(name, _)| !OWN_LABELS.contains(&name.as_str()))
            .map(own)
            .collect();
        let (key, at) = match stamp {
            Stamp::Created(at) => ("createdAt", at),
            Stamp::Modified(at) => ("modifiedAt", at),
        };
        let standard = [
            ("name", self.name.clone()),
            ("owner", "helm".to_owned()),
            ("status", self.status.name().to_owned()),
            ("version", self.revision.to_string()),
            (key, at.as_second().to_string()),
        ];
        labels.extend(standard.map(|(name, value)| (name.to_owned(), value)));
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret_name(&self.name, self.revision),
                "namespace": self.namespace,
                "labels": labels,
            },
            "type": "helm.sh/release.v1",
            "data": { "release": STANDARD.encode(self.encode()?) },
        }))
    }

    /// Reads one of Helm's Secrets.
    ///
    /// # Errors
    /// If the Secret holds no release, or one that cannot be read.
    pub fn from_secret(secret: &Json) -> Result<Self, RecordError> {
        let data = secret.pointer("/data/release").and_then(Json::as_str);
        let data = data.ok_or(RecordError::Secret("it has no data under `release`"))?;
        let mut record = Record::decode(&STANDARD.decode(data)?)?;
        if let Some(labels) = secret.pointer("/metadata/labels").and_then(Json::as_object) {
            let labels = labels.iter().filter(|(name, _)| !OWN_LABELS.contains(&name.as_str()));
            record.labels = labels.map(|(name, value)| (name.clone(), text(Some(value)))).collect();
        }
        Ok(record)
    }

    fn to_json(&self) -> Json {
        let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| time.to_string());
        let mut info = json!({
            "first_deployed": time(self.first_deployed),
            "last_deployed": time(self.last_deployed),
            "deleted": time(self.deleted),
            "description": self.description,
            "status": self.status.name(),
        });
        if !self.notes.is_empty() {
            info["notes"] = json!(self.notes);
        }
        let mut release = json!({
            "name": self.name,
            "info": info,
            "chart": self.chart,
            "config": self.config,
            "manifest": self.manifest,
            "hooks": self.hooks,
            "version": self.revision,
            "namespace": self.namespace,
        });
        if let Some(method) = &self.apply_method {
            release["apply_method"] = json!(method);
        }
        release
    }

    fn from_json(json: &Json) -> Self {
        let at = |path: &str| text(json.pointer(path));
        // Helm writes nothing, or the year 1, for a time that has not come.
        let time = |path: &str| {
            at(path)
                .parse()
                .ok()
                .filter(|time: &Timestamp| time.as_second() > -62_000_000_000)
        };
        let revision = json
            .get("version")
            .and_then(Json::as_u64)
            .and_then(|number| u32::try_from(number).ok());
        Record {
            name: at("/name"),
            namespace: at("/namespace"),
            revision: revision.unwrap_or(0),
            status: Status::from_name(&at("/info/status")),
            description: at("/info/description"),
            first_deployed: time("/info/first_deployed"),
            last_deployed: time("/info/last_deployed"),
            deleted: time("/info/deleted"),
            notes: at("/info/notes"),
            chart: json.get("chart").cloned().unwrap_or_default(),
            config: json.get("config").cloned().unwrap_or_default(),
            manifest: at("/manifest"),
            hooks: json.get("hooks").and_then(Json::as_array).cloned().unwrap_or_default(),
            apply_method: json.get("apply_method").and_then(Json::as_str).map(str::to_owned),
            labels: BTreeMap::new(),
        }
    }
}

fn own((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn text(json: Option<&Json>) -> String {
    json.and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Go writes whole floats without a point.
fn whole_numbers(json: Json) -> Json {
    match json {
        Json::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "the range check keeps it exact")]
            let whole = float as i64;
            if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 {
                json!(whole)
            } else {
                Json::Number(number)
            }
        }
        Json::Array(items) => Json::Array(items.into_iter().map(whole_numbers).collect()),
        Json::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, whole_numbers(value)))
            .collect(),
        other => other,
    }
}

fn chart_json(chart: &Chart) -> Json {
    let files = |files: &[File]| -> Vec<Json> {
        files
            .iter()
            .map(|file| json!({ "name": file.name, "data": STANDARD.encode(&file.data) }))
            .collect()
    };
    json!({
        "metadata": metadata_json(&chart.metadata),
        "lock": chart.lock.clone().map(Json::from),
        "templates": files(&chart.templates),
        "values": whole_numbers(tubectl_yaml::Value::Map(chart.values.clone()).into()),
        "schema": chart.schema.as_ref().map(|schema| STANDARD.encode(schema)),
        "files": files(&chart.files),
    })
}

fn metadata_json(metadata: &Metadata) -> Json {
    let mut json = Map::new();
    let texts = [
        ("name", &metadata.name),
        ("home", &metadata.home),
        ("version", &metadata.version),
        ("description", &metadata.description),
        ("icon", &metadata.icon),
        ("apiVersion", &metadata.api_version),
        ("condition", &metadata.condition),
        ("tags", &metadata.tags),
        ("appVersion", &metadata.app_version),
        ("kubeVersion", &metadata.kube_version),
        ("type", &metadata.kind),
    ];
    for (key, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        json.insert(key.to_owned(), json!(value));
    }
    for (key, value) in [("sources", &metadata.sources), ("keywords", &metadata.keywords)] {
        if !value.is_empty() {
            json.insert(key.to_owned(), json!(value));
        }
    }
    if metadata.deprecated {
        json.insert("deprecated".to_owned(), json!(true));
    }
    if !metadata.annotations.is_empty() {
        json.insert("annotations".to_owned(), json!(metadata.annotations));
    }
    if !metadata.maintainers.is_empty() {
        let people = metadata.maintainers.iter();
        let people = people.map(|person| json!({ "name": person.name, "email": person.email, "url": person.url }));
        json.insert("maintainers".to_owned(), people.collect());
    }
    if !metadata.dependencies.is_empty() {
        let dependencies = metadata.dependencies.iter().map(|dependency| {
            json!({
                "name": dependency.name,
                "version": dependency.version,
                "repository": dependency.repository,
                "condition": dependency.condition,
                "tags": dependency.tags,
                "alias": dependency.alias,
            })
        });
        json.insert("dependencies".to_owned(), dependencies.collect());
    }
    Json::Object(json)
}

fn hook_json(hook: &Hook) -> Json {
    let manifest = &hook.manifest;
    let mut json = json!({
        "name": manifest.name,
        "kind": manifest.kind,
        "path": manifest.source,
        "manifest": manifest.text,
        "events": hook.events,
        "last_run": { "started_at": "", "completed_at": "", "phase": "" },
    });
    if hook.weight != 0 {
        json["weight"] = json!(hook.weight);
    }
    for (key, policies) in [
        ("delete_policies", &hook.delete_policies),
        ("output_log_policies", &hook.output_log_policies),
    ] {
        if !policies.is_empty() {
            json[key] = json!(policies);
        }
    }
    json
}
