//! What an OpenTelemetry collector was told to do: which pods it scrapes, what it lets through, where it sends that.
//!
//! Read are Prometheus receivers that find pods, the processors that rename and filter, and OTLP exporters; everything
//! else of a configuration is left alone.

use regex::Regex;
use serde_json::Value;

/// A collector's configuration.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    pub(super) namespace: String,
    name: String,
    /// The release that it belongs to.
    pub(super) release: String,
    pub(super) jobs: Vec<Job>,
    pub(super) pipelines: Vec<Pipeline>,
}

/// A job of the Prometheus receiver.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Where it looks for pods; everywhere, if there are none.
    pub(super) namespaces: Vec<String>,
    /// The pods that it keeps.
    pub(super) keeps: Vec<Keep>,
    /// The port that it turns to, if it says one.
    pub(super) port: Option<String>,
}

/// A rule that keeps pods by one of their labels.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    /// The label, as Prometheus names it.
    pub(super) label: String,
    /// What its value must be.
    pub(super) pattern: String,
}

/// A way from the Prometheus receiver to an OTLP exporter.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) endpoint: String,
    processors: Vec<Value>,
}

impl Collector {
    /// The collector whose configuration a config map holds, if it holds one.
    pub(super) fn of(config_map: &Value) -> Option<Self> {
        let texts = config_map["data"].as_object()?.values().filter_map(Value::as_str);
        let mut texts = texts.filter(|text| text.contains("receivers:") && text.contains("scrape_configs:"));
        // The collector expands one dollar sign itself; two are one.
        let configuration = Value::from(tubectl_yaml::parse(&texts.next()?.replace("$$", "$")).ok()?);
        let metadata = &config_map["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            release: text(&metadata["annotations"]["meta.helm.sh/release-name"]),
            jobs: jobs(&configuration),
            pipelines: pipelines(&configuration),
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        format!("collector {}/{}", self.namespace, self.name)
    }
}

fn jobs(configuration: &Value) -> Vec<Job> {
    let receivers = configuration["receivers"].as_object().into_iter().flatten();
    let prometheus = receivers.filter(|(name, _)| is_of(name, "prometheus"));
    let jobs = prometheus.flat_map(|(_, receiver)| list(&receiver["config"]["scrape_configs"]));
    jobs.map(|job| {
        let rules = list(&job["relabel_configs"]);
        let discovered = list(&job["kubernetes_sd_configs"]).iter();
        Job {
            namespaces: discovered.flat_map(|one| texts(&one["namespaces"]["names"])).collect(),
            keeps: rules.iter().filter_map(keep).collect(),
            port: rules.iter().rev().find_map(port),
        }
    })
    .collect()
}

fn keep(rule: &Value) -> Option<Keep> {
    let [label] = list(&rule["source_labels"]) else {
        return None;
    };
    let label = label.as_str()?.strip_prefix("__meta_kubernetes_pod_label_")?;
    (rule["action"] == "keep").then(|| Keep {
        label: label.to_owned(),
        pattern: rule["regex"].as_str().unwrap_or(".*").to_owned(),
    })
}

/// The port that a rule puts behind every address.
fn port(rule: &Value) -> Option<String> {
    let replacement = rule["replacement"]
        .as_str()
        .filter(|_| rule["target_label"] == "__address__")?;
    let (_, port) = replacement.rsplit_once(':')?;
    port.parse::<u16>().ok().map(|port| port.to_string())
}

fn pipelines(configuration: &Value) -> Vec<Pipeline> {
    let pipelines = configuration["service"]["pipelines"].as_object().into_iter().flatten();
    let scraping = pipelines.filter(|(_, one)| texts(&one["receivers"]).iter().any(|name| is_of(name, "prometheus")));
    scraping
        .flat_map(|(_, pipeline)| {
            let processors = texts(&pipeline["processors"]);
            let processors: Vec<Value> = processors
                .iter()
                .map(|name| configuration["processors"][name.as_str()].clone())
                .collect();
            let exporters = texts(&pipeline["exporters"]);
            let exporters = exporters.into_iter().filter(|name| is_of(name, "otlp"));
            exporters.filter_map(move |name| {
                Some(Pipeline {
                    endpoint: configuration["exporters"][name.as_str()]["endpoint"]
                        .as_str()?
                        .to_owned(),
                    processors: processors.clone(),
                })
            })
        })
        .collect()
}

impl Keep {
    /// Whether a pod with this value of the label is kept.
    pub(super) fn admits(&self, value: &str) -> bool {
        Regex::new(&format!("^(?:{})$", self.pattern)).is_ok_and(|pattern| pattern.is_match(value))
    }
}

impl Pipeline {
    /// The name under which a metric leaves; none if it does not.
    pub(super) fn admit(&self, metric: &str) -> Option<String> {
        let name = self.rename(metric);
        let filters = self.processors.iter().map(|processor| &processor["metrics"]);
        let mut filters = filters.filter(|filter| filter["include"].is_object() || filter["exclude"].is_object());
        let lists = |side: &Value| {
            texts(&side["metric_names"])
                .iter()
                .any(|wanted| match side["match_type"].as_str() {
                    Some("regexp") => Regex::new(wanted).is_ok_and(|pattern| pattern.is_match(&name)),
                    _ => *wanted == name,
                })
        };
        let passes = |filter: &Value| {
            let included = filter["include"].is_null() || lists(&filter["include"]);
            included && (filter["exclude"].is_null() || !lists(&filter["exclude"]))
        };
        filters.all(passes).then(|| name.clone())
    }

    /// The name that the pipeline gives a metric.
    pub(super) fn rename(&self, metric: &str) -> String {
        let transforms = self
            .processors
            .iter()
            .flat_map(|processor| list(&processor["transforms"]));
        transforms.fold(metric.to_owned(), |name, transform| {
            let (Some(include), Some(new)) = (transform["include"].as_str(), transform["new_name"].as_str()) else {
                return name;
            };
            match transform["match_type"].as_str() {
                Some("regexp") => {
                    Regex::new(include).map_or(name.clone(), |pattern| pattern.replace(&name, new).into_owned())
                }
                _ if include == name => new.to_owned(),
                _ => name,
            }
        })
    }
}

/// The name that Prometheus gives a pod's label.
pub(super) fn discovered_as(label: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    label.chars().map(plain).collect()
}

/// Whether a component is of a type: `prometheus`, or `prometheus/name`.
fn is_of(name: &str, kind: &str) -> bool {
    name.split('/').next() == Some(kind)
}

fn texts(value: &Value) -> Vec<String> {
    let texts = list(value).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
