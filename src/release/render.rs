//! From a release as the stack declares it to the objects that are to be in the cluster.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;
use tubectl_chart::Chart;
use tubectl_chart::Values;
use tubectl_chart::release::Record;
use tubectl_chart::release::Status;
use tubectl_chart::repository::Cache;
use tubectl_chart::repository::PullError;
use tubectl_chart::repository::Reference;
use tubectl_chart::repository::Transport;

use crate::error::Hint;
use crate::release::expand::Installed;
use crate::release::expand::object_id;
use crate::resource::id::ResourceId;
use crate::resource::unknown;
use crate::resource::unknown::Outputs;
use crate::stack::release::Release;
use crate::stack::release::Source;
use crate::stack::shipped;

/// A release, rendered.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// What is to be in the cluster.
    pub installed: Installed,
    /// Helm's record of it, its revision and status still open.
    pub record: Record,
}

/// What a rendering depends on beside chart and values.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The Kubernetes version, such as `1.34`.
    pub kubernetes: String,
    /// What random functions start from: the same in every run of one stack instance.
    pub seed: u64,
}

/// Why a release cannot be rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// Its chart cannot be had.
    #[error("cannot get the chart of release `{release}`")]
    Pull {
        /// The release.
        release: String,
        /// Why.
        source: Box<PullError>,
    },
    /// A shipped template is not a chart.
    #[error("template `{template}` is no chart")]
    Template {
        /// The template.
        template: String,
        /// Why.
        source: tubectl_chart::LoadError,
    },
    /// A template failed.
    #[error("cannot render release `{release}`")]
    Chart {
        /// The release.
        release: String,
        /// Why.
        source: Box<tubectl_chart::Error>,
    },
    /// Its values are not a mapping.
    #[error("the values of release `{release}` cannot be used")]
    Values {
        /// The release.
        release: String,
        /// Why.
        source: tubectl_chart::ValuesError,
    },
    /// What the chart ships as definitions is not YAML.
    #[error("{file} of release `{release}` is not YAML")]
    Definition {
        /// The release.
        release: String,
        /// The file.
        file: String,
        /// Why.
        source: tubectl_yaml::Error,
    },
    /// Its values refer to something that is not known although it is done.
    #[error("the values of release `{release}` need `{output}` of `{resource}`, which did not give it")]
    Unknown {
        /// The release.
        release: String,
        /// Who should have given it.
        resource: ResourceId,
        /// What is missing.
        output: String,
    },
    /// With the real values the chart renders other objects than were planned.
    #[error("release `{release}` came out with other objects than were planned: {objects}")]
    Changed {
        /// The release.
        release: String,
        /// The objects that are new or missing.
        objects: String,
    },
}

impl RenderError {
    /// Whether the folder of the charts is at fault, and not the stack.
    pub fn is_of_the_cache(&self) -> bool {
        matches!(self, Self::Pull { source, .. } if matches!(**source, PullError::Cache { .. }))
    }
}

impl Hint for RenderError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Pull { .. } if self.is_of_the_cache() => vec![
                "make the folder writable and see that the disk has room, or name another home with TUBECTL_HOME"
                    .to_owned(),
            ],
            Self::Pull { .. } => {
                vec!["check name, version and repository; a chart that was pulled once is kept".to_owned()]
            }
            Self::Template { .. } | Self::Definition { .. } => vec!["mend the file".to_owned()],
            Self::Chart { .. } | Self::Values { .. } => vec!["mend the release's values in stack.yaml".to_owned()],
            Self::Unknown { .. } => vec!["`tubectl state show` tells what it gave".to_owned()],
            Self::Changed { .. } => vec!["run it again: the plan then knows the real values".to_owned()],
        }
    }
}

/// Gets the charts of all releases: templates that are shipped, and what others publish.
pub async fn collect<T: Transport>(
    releases: &[Release],
    cache: &Cache,
    transport: &T,
) -> Result<BTreeMap<String, Chart>, RenderError> {
    let charts = releases.iter().map(async |release| {
        let chart = match &release.source {
            Source::Template { name } => template(name)?,
            Source::Chart {
                reference,
                repository,
                version,
            } => {
                let pull = async {
                    let reference = parse(repository.as_deref(), reference, version)?;
                    tubectl_chart::repository::pull(&reference, None, cache, transport).await
                };
                let failed = |source| RenderError::Pull {
                    release: release.name.clone(),
                    source: Box::new(source),
                };
                pull.await.map_err(failed)?.chart
            }
        };
        Ok((release.name.clone(), chart))
    });
    Ok(futures::future::try_join_all(charts).await?.into_iter().collect())
}

/// `oci://host/path/name` says all; an HTTP repository has the chart's name beside it.
fn parse(repository: Option<&str>, chart: &str, version: &str) -> Result<Reference, PullError> {
    match repository {
        Some(repository) => Reference::parse(repository, chart, version),
        None => Reference::parse(chart, "", version),
    }
}

pub(crate) fn template(name: &str) -> Result<Chart, RenderError> {
    let files = shipped::template(name)
        .into_iter()
        .map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
    Chart::from_files(files).map_err(|source| RenderError::Template {
        template: name.to_owned(),
        source,
    })
}

/// Renders every release with what is known; the rest stays sentinels.
pub fn render(
    releases: &[Release],
    charts: &BTreeMap<String, Chart>,
    setting: &Setting,
    known: &Outputs,
) -> Result<Vec<Rendering>, RenderError> {
    let mut rendered = Vec::new();
    for release in releases {
        rendered.push(one(release, &charts[&release.name], setting, known)?);
    }
    let wide = cluster_wide(&rendered);
    for rendering in &mut rendered {
        complete(&mut rendering.installed, &wide);
    }
    Ok(rendered)
}

/// Renders one release again with the real values; its objects must be those that were planned.
pub fn again(
    release: &Release,
    chart: &Chart,
    setting: &Setting,
    known: &Outputs,
    planned: &Installed,
) -> Result<Rendering, RenderError> {
    if let Some(missing) = unknown::in_value(&unknown::resolve(&release.values, known)).pop_first() {
        return Err(RenderError::Unknown {
            release: release.name.clone(),
            resource: missing.resource,
            output: missing.output,
        });
    }
    let mut rendering = one(release, chart, setting, known)?;
    // Which kinds are cluster-wide does not change between planning and doing: the plan's objects tell.
    let in_none = |object: &&Value| object["metadata"]["namespace"].is_null();
    let wide = planned
        .objects
        .iter()
        .filter(in_none)
        .filter_map(|object| object["kind"].as_str());
    complete(&mut rendering.installed, &wide.map(str::to_owned).collect());
    let ids = |installed: &Installed| -> BTreeSet<_> {
        installed
            .objects
            .iter()
            .map(|object| object_id(&release.name, object))
            .collect()
    };
    let (is, was) = (ids(&rendering.installed), ids(planned));
    if is != was {
        let objects: Vec<String> = is.symmetric_difference(&was).map(ToString::to_string).collect();
        return Err(RenderError::Changed {
            release: release.name.clone(),
            objects: objects.join(", "),
        });
    }
    Ok(rendering)
}

fn one(release: &Release, chart: &Chart, setting: &Setting, known: &Outputs) -> Result<Rendering, RenderError> {
    let values = unknown::resolve(&release.values, known);
    let values = Values::from_yaml(tubectl_yaml::Value::from(values)).map_err(|source| RenderError::Values {
        release: release.name.clone(),
        source,
    })?;
    let mut options = tubectl_chart::Options::new(&release.name, &release.namespace);
    options.capabilities.kube_version = format!("v{}.0", setting.kubernetes);
    options.seed = setting.seed;
    // The same in every run, so that a chart that writes the date does not change every day.
    options.now = Timestamp::UNIX_EPOCH;
    let rendered = tubectl_chart::render(chart, &values, &options).map_err(|source| RenderError::Chart {
        release: release.name.clone(),
        source: Box::new(source),
    })?;
    let mut objects = definitions(release, &rendered.crds)?;
    let rendered_objects = rendered.manifests.iter().filter(|manifest| !manifest.kind.is_empty());
    objects.extend(rendered_objects.map(|manifest| Value::from(manifest.document.clone())));
    let record = Record::new(chart, &values, &options, &rendered, Status::PendingInstall);
    let installed = Installed {
        name: release.name.clone(),
        namespace: release.namespace.clone(),
        chart: about(&record),
        objects,
        needs: release.needs.clone(),
    };
    Ok(Rendering { installed, record })
}

/// What a release is compared by: its chart and what it rendered to.
pub fn about(record: &Record) -> Value {
    let text = |field: &str| record.chart["metadata"][field].as_str().unwrap_or_default().to_owned();
    let digest: String = Sha256::digest(&record.manifest)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({"chart": text("name"), "chart_version": text("version"), "namespace": record.namespace, "manifest": digest})
}

fn definitions(release: &Release, files: &[tubectl_chart::File]) -> Result<Vec<Value>, RenderError> {
    let mut objects = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.data);
        let documents = tubectl_yaml::parse_all(&text).map_err(|source| RenderError::Definition {
            release: release.name.clone(),
            file: file.name.clone(),
            source,
        })?;
        objects.extend(documents.into_iter().map(Value::from).filter(Value::is_object));
    }
    Ok(objects)
}

/// Kinds that live in no namespace: those of Kubernetes itself, and those that the stack's definitions say so of.
fn cluster_wide(renderings: &[Rendering]) -> BTreeSet<String> {
    const BUILT_IN: [&str; 16] = [
        "Namespace",
        "Node",
        "PersistentVolume",
        "StorageClass",
        "CSIDriver",
        "PriorityClass",
        "RuntimeClass",
        "IngressClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "APIService",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    let objects = renderings.iter().flat_map(|rendering| &rendering.installed.objects);
    let defined = objects.filter(|object| object["spec"]["scope"] == "Cluster");
    let defined = defined.filter_map(|object| object["spec"]["names"]["kind"].as_str().map(str::to_owned));
    BUILT_IN.map(str::to_owned).into_iter().chain(defined).collect()
}

/// Gives every object its namespace and Helm's marks, without which Helm would not take the release over.
fn complete(installed: &mut Installed, cluster_wide: &BTreeSet<String>) {
    for object in &mut installed.objects {
        let wide = object["kind"].as_str().is_some_and(|kind| cluster_wide.contains(kind));
        let metadata = &mut object["metadata"];
        if wide {
            metadata.as_object_mut().map(|metadata| metadata.remove("namespace"));
        } else if metadata["namespace"].is_null() {
            metadata["namespace"] = json!(installed.namespace);
        }
        mark(object, &installed.name, &installed.namespace);
    }
}

fn mark(object: &mut Value, release: &str, namespace: &str) {
    let metadata = &mut object["metadata"];
    if metadata["namespace"].is_null() {
        metadata.as_object_mut().map(|metadata| metadata.remove("namespace"));
    }
    // Definitions of `crds/` belong to no release, to Helm as to us.
    metadata["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    metadata["annotations"]["meta.helm.sh/release-name"] = json!(release);
    metadata["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
}
