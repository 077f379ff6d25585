//! `tubectl stack`: the stacks that come with tubectl, and what one holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::commands::args::StackArguments;
use crate::commands::offline;
use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::load;
use crate::stack::release::Source;
use crate::stack::shipped;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// The arguments of `stack`.
#[derive(Clone, Debug, Args)]
pub struct Stacks {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with stacks.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// List the stacks that come with tubectl
    List,
    /// Show what a stack holds: variables, resources, charts and workloads
    Show(Show),
}

/// The arguments of `stack show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
}

/// Lists or shows.
pub fn run(arguments: &Stacks, format: Format, output: Output) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::List => list(format, output),
        Verb::Show(show) => {
            let (files, settings) = show.stack.read()?;
            let stack = offline::stack(&files, &settings).map_err(Failure::yours)?;
            output.data(&match format {
                Format::Text => text(&stack),
                Format::Json => document(&stack),
            });
            Ok(())
        }
    }
}

fn list(format: Format, output: Output) -> Result<(), Failure> {
    let mut stacks = Vec::new();
    for name in shipped::stacks() {
        let files = load::find(Some(name), camino::Utf8Path::new(".")).map_err(Failure::yours)?;
        let stack = offline::stack(&files, &load::Settings::default()).map_err(Failure::yours)?;
        stacks.push((name, stack.about));
    }
    output.data(&match format {
        Format::Text => {
            let lines: Vec<String> = stacks
                .iter()
                .map(|(name, about)| format!("{name:<20} {about}"))
                .collect();
            lines.join("\n")
        }
        Format::Json => {
            let stacks: Vec<_> = stacks
                .iter()
                .map(|(name, about)| json!({"name": name, "about": about}))
                .collect();
            serde_json::to_string_pretty(&stacks).expect("names are plain data")
        }
    });
    Ok(())
}

fn counts(stack: &Stack) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for resource in &stack.resources {
        *counts.entry(resource.kind.name()).or_default() += 1;
    }
    counts
}

fn text(stack: &Stack) -> String {
    let mut text = format!("{}: {}\n\nregion  {}\n", stack.name, stack.about, stack.region);
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            write!(text, "\n{title}\n  {}\n", lines.join("\n  ")).expect("writing to a string does not fail");
        }
    };
    let variables = stack.variables.iter();
    section(
        "variables",
        variables.map(|(name, value)| format!("{name} = {value}")).collect(),
    );
    let counts = counts(stack);
    section(
        "in AWS",
        counts
            .iter()
            .map(|(kind, count)| format!("{count:>3} {kind}"))
            .collect(),
    );
    let releases = stack.releases.iter();
    section(
        "in the cluster",
        releases
            .map(|release| match &release.source {
                Source::Chart { reference, version, .. } => format!("{}: chart {reference} {version}", release.name),
                Source::Template { name } => format!("{}: template {name}", release.name),
            })
            .collect(),
    );
    text
}

fn document(stack: &Stack) -> String {
    let releases: Vec<_> = stack
        .releases
        .iter()
        .map(|release| match &release.source {
            Source::Chart {
                reference,
                repository,
                version,
            } => json!({
                "name": release.name, "namespace": release.namespace,
                "chart": reference, "repository": repository, "version": version,
            }),
            Source::Template { name } => json!({
                "name": release.name, "namespace": release.namespace, "template": name,
            }),
        })
        .collect();
    let document = json!({
        "name": stack.name,
        "about": stack.about,
        "region": stack.region,
        "variables": stack.variables,
        "resources": counts(stack),
        "releases": releases,
    });
    serde_json::to_string_pretty(&document).expect("a stack is plain data")
}
