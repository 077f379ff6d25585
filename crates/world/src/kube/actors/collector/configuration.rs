//! The collector's configuration: what it scrapes, and through which pipelines it goes where.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::kube::actors::collector::pattern::pattern;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::program;
use crate::kube::actors::selector::list;
use crate::kube::store::Store;

/// What a collector does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub(super) jobs: Vec<Job>,
    pub(super) pipelines: Vec<Pipeline>,
}

/// One scrape job of the Prometheus receiver.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) name: String,
    /// The namespaces in which it looks for pods; none means all.
    pub(super) namespaces: Vec<String>,
    /// Its relabeling rules, as they are written.
    pub(super) rules: Vec<Value>,
    interval: u64,
}

/// A pipeline that begins at the Prometheus receiver and ends at an OTLP exporter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pipeline {
    pub(super) endpoint: String,
    processors: Vec<Value>,
}

impl Job {
    /// How often it scrapes.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval)
    }
}

/// The text of the configuration that a container's `--config` names, from the `ConfigMap` that is mounted there.
pub(super) fn find(store: &Store, pod: &Value, container: &Value) -> Option<String> {
    let words = program::words(container);
    let path = words.iter().enumerate().find_map(|(index, word)| {
        let rest = word.strip_prefix("--config")?;
        rest.strip_prefix('=')
            .map(str::to_owned)
            .or_else(|| words.get(index + 1).cloned())
    })?;
    let path = path.strip_prefix("file:").unwrap_or(&path);
    let mounts = list(&container["volumeMounts"]).iter();
    let (mount, key) = mounts.clone().find_map(|mount| {
        let folder = mount["mountPath"].as_str()?.trim_end_matches('/');
        Some((mount, path.strip_prefix(folder)?.trim_start_matches('/')))
    })?;
    let volume = list(&pod["spec"]["volumes"])
        .iter()
        .find(|volume| volume["name"] == mount["name"])?;
    let name = volume["configMap"]["name"].as_str()?;
    let renamed = list(&volume["configMap"]["items"])
        .iter()
        .find(|item| item["path"] == key);
    let key = renamed.and_then(|item| item["key"].as_str()).unwrap_or(key);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let object = store.get(&kinds::CONFIG_MAP, namespace, name)?;
    object["data"][key].as_str().map(str::to_owned)
}

impl Configuration {
    /// Reads a configuration; none if it is not YAML.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The collector expands one dollar sign itself; two are one.
        let value = json(&tubectl_yaml::parse(&text.replace("$$", "$")).ok()?);
        let receivers = value["receivers"].as_object().into_iter().flatten();
        let jobs = receivers
            .filter(|(name, _)| name.split('/').next() == Some("prometheus"))
            .flat_map(|(_, receiver)| list(&receiver["config"]["scrape_configs"]))
            .map(read_job)
            .collect();
        let pipelines = value["service"]["pipelines"].as_object().into_iter().flatten();
        let pipelines =
            pipelines.filter(|(_, pipeline)| names(&pipeline["receivers"]).any(|name| name.starts_with("prometheus")));
        let pipelines = pipelines
            .flat_map(|(_, pipeline)| read_pipeline(pipeline, &value))
            .collect();
        Some(Self { jobs, pipelines })
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn read_job(job: &Value) -> Job {
    let discovery = list(&job["kubernetes_sd_configs"]).iter();
    let pods = discovery.filter(|one| one["role"] == "pod");
    let namespaces = pods
        .flat_map(|one| names(&one["namespaces"]["names"]))
        .map(str::to_owned);
    Job {
        name: job["job_name"].as_str().unwrap_or_default().to_owned(),
        namespaces: namespaces.collect(),
        rules: list(&job["relabel_configs"]).to_vec(),
        interval: job["scrape_interval"].as_str().and_then(milliseconds).unwrap_or(60_000),
    }
}

/// Reads `5s`, `1m30s`, `500ms`.
fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    (total > 0).then_some(total)
}

fn read_pipeline(pipeline: &Value, whole: &Value) -> Vec<Pipeline> {
    let processors = names(&pipeline["processors"]).map(|name| whole["processors"][name].clone());
    let processors: Vec<Value> = processors.collect();
    names(&pipeline["exporters"])
        .filter(|name| name.split('/').next() == Some("otlp"))
        .filter_map(|name| whole["exporters"][name]["endpoint"].as_str())
        .map(|endpoint| Pipeline {
            endpoint: endpoint.to_owned(),
            processors: processors.clone(),
        })
        .collect()
}

impl Pipeline {
    /// The name under which a metric leaves; none if it does not.
    pub(super) fn admit(&self, metric: &str) -> Option<String> {
        let mut name = metric.to_owned();
        for processor in &self.processors {
            for transform in list(&processor["transforms"]) {
                name = renamed(transform, &name).unwrap_or(name);
            }
            let filter = &processor["metrics"];
            let matches = |side: &Value| {
                let strict = side["match_type"] != "regexp";
                names(&side["metric_names"]).any(|wanted| {
                    if strict {
                        wanted == name
                    } else {
                        pattern(wanted).is_some_and(|regex| regex.is_match(&name))
                    }
                })
            };
            if filter["include"].is_object() && !matches(&filter["include"]) {
                return None;
            }
            if filter["exclude"].is_object() && matches(&filter["exclude"]) {
                return None;
            }
        }
        Some(name)
    }
}

/// The name that a `metricstransform` gives a metric.
fn renamed(transform: &Value, name: &str) -> Option<String> {
    let include = transform["include"].as_str()?;
    let new = transform["new_name"].as_str()?;
    if transform["match_type"] == "regexp" {
        let regex = pattern(include).filter(|regex| regex.is_match(name))?;
        return Some(regex.replace(name, new).into_owned());
    }
    (include == name).then(|| new.to_owned())
}

/// YAML as the actors read objects.
fn json(value: &tubectl_yaml::Value) -> Value {
    use tubectl_yaml::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(bool) => Value::Bool(*bool),
        Yaml::Int(number) => Value::from(*number),
        Yaml::Uint(number) => Value::from(*number),
        Yaml::Float(number) => Value::from(*number),
        Yaml::String(text) => Value::String(text.clone()),
        Yaml::List(list) => list.iter().map(json).collect(),
        Yaml::Map(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), json(value))).collect()),
    }
}
