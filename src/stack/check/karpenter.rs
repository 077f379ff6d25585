//! A Karpenter that does not know the cluster's Kubernetes: its controller would not start nodes.

use semver::Version;

use crate::stack::check::View;
use crate::stack::file::Node;
use crate::stack::problem::Problem;

/// The first Karpenter for each minor version of Kubernetes 1, by Karpenter's own compatibility table.
const FIRST: [(u64, u64); 4] = [(33, 5), (34, 6), (35, 9), (36, 13)];

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let tree = &view.stack.tree;
    let versions = ["blocks", "charts"].map(|part| tree.at_path(&[part, "karpenter", "version"]));
    let written: Vec<(&str, &Node)> = versions
        .into_iter()
        .flatten()
        .filter_map(|(_, node)| Some((node.text()?, node)))
        .collect();
    let mut problems = Vec::new();
    if let [(block, _), (chart, node)] = written.as_slice()
        && read(block) != read(chart)
    {
        let message = format!("the chart is Karpenter {chart}, and its roles and queue are for {block}");
        let hint = "give both the same version: ${var.karpenter}".to_owned();
        problems.push(Problem::new(&view.stack.file, node.at, message, Some(hint)));
    }
    let Some((_, cluster)) = tree.at_path(&["blocks", "cluster", "version"]) else {
        return problems;
    };
    match first(cluster.text().unwrap_or_default()) {
        Ok((minor, first)) => problems.extend(written.iter().filter_map(|(version, node)| {
            let karpenter = read(version);
            if karpenter
                .as_ref()
                .is_some_and(|karpenter| (karpenter.major, karpenter.minor) >= (1, first))
            {
                return None;
            }
            let message = match karpenter {
                Some(karpenter) => format!("Karpenter {karpenter} does not know Kubernetes 1.{minor}"),
                None => format!("`{version}` is no version of Karpenter"),
            };
            let hint = format!("Kubernetes 1.{minor} needs Karpenter 1.{first} or newer");
            Some(Problem::new(&view.stack.file, node.at, message, Some(hint)))
        })),
        Err(message) if written.is_empty() => drop(message),
        Err(message) => {
            let known = FIRST.map(|(minor, _)| format!("1.{minor}")).join(", ");
            let hint = format!("Karpenter is known to work with Kubernetes {known}");
            problems.push(Problem::new(&view.stack.file, cluster.at, message, Some(hint)));
        }
    }
    problems
}

/// The minor version of a Kubernetes, and the first Karpenter that knows it.
fn first(kubernetes: &str) -> Result<(u64, u64), String> {
    let Some(version) = read(kubernetes) else {
        return Err(format!("`{kubernetes}` is no version of Kubernetes"));
    };
    let known = FIRST
        .iter()
        .find(|(minor, _)| (version.major, version.minor) == (1, *minor));
    known
        .copied()
        .ok_or_else(|| format!("no Karpenter is known for Kubernetes {kubernetes}"))
}

/// A version, with or without its patch and a `v` before it.
fn read(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    Version::parse(text)
        .or_else(|_| Version::parse(&format!("{text}.0")))
        .ok()
}
