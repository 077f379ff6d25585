//! `tubectl check`: every mistake of a stack at once, those that only show when its charts are rendered among them.

use clap::Args;
use serde_json::json;

use crate::commands::args::StackArguments;
use crate::commands::context::Home;
use crate::commands::offline;
use crate::error::Failure;
use crate::error::Kind;
use crate::graph::Graph;
use crate::release::expand::expand;
use crate::release::render::RenderError;
use crate::release::render::Rendering;
use crate::stack::Stack;
use crate::stack::check;
use crate::stack::check::Object;
use crate::stack::load::Files;
use crate::stack::load::LoadError;
use crate::stack::load::Settings;
use crate::stack::problem::Problem;
use crate::stack::problem::Problems;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// The arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
}

/// Checks a stack; a mistake is a failed check.
pub async fn run(arguments: &Check, home: &Home, format: Format, output: Output) -> Result<(), Failure> {
    let (files, settings) = arguments.stack.read()?;
    let found = problems(&files, &settings, home, output).await?;
    if format == Format::Json {
        let told: Vec<_> = found.iter().flat_map(Problems::iter).map(as_json).collect();
        output.data(&serde_json::to_string_pretty(&told).expect("problems are plain data"));
    }
    match found {
        None => Ok(()),
        Some(problems) => Err(Failure::new(Kind::Check, LoadError::Problems(problems))),
    }
}

async fn problems(
    files: &Files,
    settings: &Settings,
    home: &Home,
    output: Output,
) -> Result<Option<Problems>, Failure> {
    let stack = match offline::stack(files, settings) {
        Ok(stack) => stack,
        Err(LoadError::Problems(problems)) => return Ok(Some(problems)),
        Err(error) => return Err(Failure::yours(error)),
    };
    let (renderings, origins) = offline::render(&stack, home).await.map_err(as_check)?;
    if let Some(origins) = origins.told() {
        output.narrate(&origins);
    }
    let installed: Vec<_> = renderings.iter().map(|rendering| rendering.installed.clone()).collect();
    let mut desired = stack.resources.clone();
    desired.extend(expand(&installed));
    Graph::new(&desired).map_err(|error| Failure::new(Kind::Check, error))?;
    let objects = installed.iter().map(|release| release.objects.len()).sum();
    output.narrate(&looked_at(&stack, objects, desired.len()));
    Ok(lint(&stack, &renderings))
}

/// The mistakes that only show in what a stack renders to.
pub fn lint<'a>(stack: &Stack, renderings: impl IntoIterator<Item = &'a Rendering>) -> Option<Problems> {
    let objects: Vec<Object<'_>> = renderings
        .into_iter()
        .flat_map(|rendering| {
            let release = rendering.installed.name.as_str();
            let objects = rendering.installed.objects.iter();
            objects.map(move |value| Object { release, value })
        })
        .collect();
    Problems::of(check::check(stack, &objects), &[&stack.file])
}

fn looked_at(stack: &Stack, objects: usize, resources: usize) -> String {
    format!(
        "looked at `{}`: {} in AWS, {} charts and workloads with {objects} objects, {resources} steps in all",
        stack.name,
        stack.resources.len(),
        stack.releases.len()
    )
}

/// A chart that does not render is a failed check; a cache that cannot be used is nobody's mistake in the stack.
fn as_check(error: RenderError) -> Failure {
    let kind = if error.is_of_the_cache() {
        Kind::Yours
    } else {
        Kind::Check
    };
    Failure::new(kind, error)
}

fn as_json(problem: &Problem) -> serde_json::Value {
    json!({
        "file": problem.file,
        "line": problem.at.line,
        "column": problem.at.column,
        "message": problem.message,
        "next": problem.hint,
    })
}
