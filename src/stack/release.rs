//! What a stack wants in its cluster: charts that others publish, and workloads of its own. Neither is rendered here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::closest;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::stack::blocks::Blocks;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::Output;
use crate::stack::declare::Placed;
use crate::stack::declare::Reader;
use crate::stack::declare::Values;
use crate::stack::declare::declared;
use crate::stack::declare::listed;
use crate::stack::file::Content;
use crate::stack::file::Node;
use crate::stack::file::Span;
use crate::stack::reference;
use crate::stack::shipped;

/// Helm refuses longer names.
const LONGEST_NAME: usize = 53;

declared! {
    /// A chart that others publish.
    pub struct Chart {
        /// Its name in the repository, or where it is: `oci://..`.
        pub chart: String,
        /// The HTTP repository it is in; none for `oci://`.
        pub repository: Option<String> = None,
        /// Its version, exactly.
        pub version: String,
        /// The namespace it is installed in.
        pub namespace: String,
        /// What must be there first, beyond what its values refer to: `blocks.x`, `charts.x`, `workloads.x`.
        pub needs: Vec<Placed<String>> = Vec::new(),
        /// Its values.
        pub values: Values = Values(Vec::new()),
    }
}

declared! {
    /// A workload: a chart under `templates/`.
    pub struct Workload {
        /// The template's name.
        pub template: Placed<String>,
        /// The namespace it is installed in.
        pub namespace: String,
        /// What must be there first, beyond what its values refer to: `blocks.x`, `charts.x`, `workloads.x`.
        pub needs: Vec<Placed<String>> = Vec::new(),
        /// Its values.
        pub values: Values = Values(Vec::new()),
    }
}

/// A chart or workload as the stack wants it, not rendered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The release's name.
    pub name: String,
    /// The namespace it is installed in.
    pub namespace: String,
    /// Where its chart comes from.
    pub source: Source,
    /// Its values; what is not known yet stands in them as a sentinel.
    pub values: Value,
    /// What must be usable before anything of it.
    pub needs: BTreeSet<ResourceId>,
    /// Where the stack's file names it.
    pub at: Span,
}

/// Where the chart of a release comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a repository or registry.
    Chart {
        /// Its name in the repository, or `oci://..`.
        reference: String,
        /// The HTTP repository; none for `oci://`.
        repository: Option<String>,
        /// Its version.
        version: String,
    },
    /// From a template of that name.
    Template {
        /// The template's name.
        name: String,
    },
}

/// The charts and workloads of a stack, as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Charts by release name.
    pub charts: BTreeMap<String, Chart>,
    /// Workloads by release name.
    pub workloads: BTreeMap<String, Workload>,
}

impl Declared {
    /// The charts and workloads, each with what it comes to.
    pub fn expand(&self, tree: &Node, expansions: &BTreeMap<&'static str, Expansion>) -> Vec<Release> {
        let outputs: BTreeMap<String, Output> = expansions
            .iter()
            .flat_map(|(block, expansion)| {
                let reference = move |(name, output): (&String, &Output)| (format!("{block}.{name}"), output.clone());
                expansion.outputs.iter().map(reference)
            })
            .collect();
        let usable = Blocks::cluster_is_usable(expansions);
        let charts = self.charts.iter().map(|(name, chart)| {
            let source = Source::Chart {
                reference: chart.chart.clone(),
                repository: chart.repository.clone(),
                version: chart.version.clone(),
            };
            ("charts", name, &chart.namespace, source, &chart.needs, &chart.values)
        });
        let workloads = self.workloads.iter().map(|(name, workload)| {
            let source = Source::Template {
                name: workload.template.value.clone(),
            };
            (
                "workloads",
                name,
                &workload.namespace,
                source,
                &workload.needs,
                &workload.values,
            )
        });
        let mut releases: Vec<Release> = charts
            .chain(workloads)
            .map(|(section, name, namespace, source, declared, values)| {
                let (values, referred) = reference::resolve(&without_places(values), &outputs);
                let declared = declared.iter().flat_map(|need| needed(&need.value, expansions));
                let (key, _) = tree.at_path(&[section, name]).expect("the release was read from there");
                Release {
                    name: name.clone(),
                    namespace: namespace.clone(),
                    source,
                    values,
                    needs: usable.iter().cloned().chain(referred).chain(declared).collect(),
                    at: key.at,
                }
            })
            .collect();
        releases.sort_by(|a, b| a.name.cmp(&b.name));
        releases
    }
}

/// Reports what is wrong with charts and workloads; as far as they can be read, whatever else is wrong.
pub fn check(reader: &Reader<'_>, tree: &Node) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for section in ["charts", "workloads"] {
        for (key, release) in tree.get(section).map(Node::entries).unwrap_or_default() {
            check_name(reader, &key.text, key.at);
            if !names.insert(&key.text) {
                let message = format!("`{}` is a chart already", key.text);
                reader.report(key.at, message, Some("give the workload another name".to_owned()));
            }
            if tree.at_path(&["blocks", "cluster"]).is_none() {
                let message = format!("`{}` has no cluster to run in", key.text);
                reader.report(key.at, message, Some("add the block `cluster`".to_owned()));
            }
            if let Some(Content::List(needs)) = release.get("needs").map(|needs| &needs.content) {
                for need in needs {
                    check_need(reader, tree, need);
                }
            }
            check_source(reader, release);
        }
    }
}

fn check_source(reader: &Reader<'_>, release: &Node) {
    if let Some((key, chart)) = release.entry("chart") {
        let oci = chart.text().is_some_and(|chart| chart.starts_with("oci://"));
        match release.entry("repository") {
            Some((repository, _)) if oci => {
                let hint = "take it out: `oci://` says where the chart is".to_owned();
                reader.report(repository.at, "an `oci://` chart is in no repository", Some(hint));
            }
            None if !oci && chart.text().is_some() => {
                let hint = "add `repository: https://..`, or write the chart as `oci://..`".to_owned();
                reader.report(key.at, "this chart does not say where it is", Some(hint));
            }
            _ => {}
        }
    }
    let Some(template) = release.get("template") else {
        return;
    };
    let templates = shipped::templates();
    if let Some(name) = template.text().filter(|name| !templates.contains(name)) {
        let hint = match closest(name, templates.iter().copied()) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("there are {}", listed(&templates.into_iter().collect::<Vec<_>>())),
        };
        reader.report(template.at, format!("there is no template `{name}`"), Some(hint));
    }
}

fn check_name(reader: &Reader<'_>, name: &str, at: Span) {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter != '-');
    if name.len() > LONGEST_NAME || !name.chars().all(fits) || !ends(name.chars().next()) || !ends(name.chars().last())
    {
        let hint = format!("use at most {LONGEST_NAME} lower-case letters, digits and hyphens between them");
        reader.report(at, format!("`{name}` cannot name a release"), Some(hint));
    }
}

fn check_need(reader: &Reader<'_>, tree: &Node, need: &Node) {
    let Some(text) = need.text() else {
        return;
    };
    let sections = ["blocks", "charts", "workloads"];
    let all: Vec<String> = sections
        .iter()
        .flat_map(|section| {
            let entries = tree.get(section).map(Node::entries).unwrap_or_default();
            entries.iter().map(move |(key, _)| format!("{section}.{}", key.text))
        })
        .collect();
    if all.iter().all(|name| name != text) {
        let hint = match closest(text, all.iter().map(String::as_str)) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => "write it like `blocks.karpenter`, `charts.keda` or `workloads.vllm`".to_owned(),
        };
        reader.report(need.at, format!("this stack has no `{text}`"), Some(hint));
    }
}

/// The last resource of a release: when it is there, the release is complete.
pub fn end(name: &str) -> ResourceId {
    ResourceId::new(Kind::ReleaseEnd.name(), name)
}

/// The resources that an entry of `needs` stands for.
fn needed(need: &str, expansions: &BTreeMap<&'static str, Expansion>) -> Vec<ResourceId> {
    match need.split_once('.') {
        Some(("blocks", block)) => {
            let resources = expansions
                .get(block)
                .into_iter()
                .flat_map(|expansion| &expansion.resources);
            resources.map(|resource| resource.id.clone()).collect()
        }
        Some((_, release)) => vec![end(release)],
        None => Vec::new(),
    }
}

fn without_places(values: &Values) -> Value {
    let entry = |(key, node): &(crate::stack::file::Key, Node)| (key.text.clone(), node.to_value());
    Value::Object(values.0.iter().map(entry).collect())
}
