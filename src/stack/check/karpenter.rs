//! A Karpenter that is too old for the cluster's Kubernetes: its controller would not start nodes.

use semver::Version;

use crate::stack::check::View;
use crate::stack::problem::Problem;

/// The first Karpenter for each minor version of Kubernetes 1, by Karpenter's own compatibility table.
const FIRST: [(u64, u64); 4] = [(33, 5), (34, 6), (35, 9), (36, 13)];

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let tree = &view.stack.tree;
    let version = |path: &[&str]| {
        let (_, node) = tree.at_path(path)?;
        Some((read(node.text()?)?, node))
    };
    let Some((kubernetes, _)) = version(&["blocks", "cluster", "version"]) else {
        return Vec::new();
    };
    let Some((_, first)) = FIRST
        .iter()
        .find(|(minor, _)| kubernetes.major == 1 && *minor == kubernetes.minor)
    else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for path in [["blocks", "karpenter", "version"], ["charts", "karpenter", "version"]] {
        let Some((karpenter, node)) = version(&path) else {
            continue;
        };
        if (karpenter.major, karpenter.minor) < (1, *first) {
            let minor = kubernetes.minor;
            let message = format!("Karpenter {karpenter} does not know Kubernetes 1.{minor}");
            let hint = format!("Kubernetes 1.{minor} needs Karpenter 1.{first} or newer");
            problems.push(Problem::new(&view.stack.file, node.at, message, Some(hint)));
        }
    }
    problems
}

/// A version, with or without its patch and a `v` before it.
fn read(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    Version::parse(text)
        .or_else(|_| Version::parse(&format!("{text}.0")))
        .ok()
}
