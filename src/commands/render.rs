//! `tubectl render`: the Kubernetes objects of a stack, as YAML.

use clap::Args;
use serde_json::Value;

use crate::commands::args::StackArguments;
use crate::commands::context::Home;
use crate::commands::offline;
use crate::error::Failure;
use crate::error::Kind;
use crate::error::closest;
use crate::release::render::Rendering;
use crate::resource::unknown;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// The arguments of `render`.
#[derive(Clone, Debug, Args)]
pub struct Render {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Print only this chart or workload
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
}

/// Prints the objects of a stack; what only AWS can know says after what it will be known.
pub async fn run(arguments: &Render, home: &Home, format: Format, output: Output) -> Result<(), Failure> {
    let (files, settings) = arguments.stack.read()?;
    let stack = offline::stack(&files, &settings).map_err(Failure::yours)?;
    let names = || stack.releases.iter().map(|release| release.name.as_str());
    if let Some(name) = arguments
        .release
        .as_deref()
        .filter(|name| names().all(|known| known != *name))
    {
        let next = match closest(name, names()) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
        };
        let what = format!("the stack `{}` has no chart or workload `{name}`", stack.name);
        return Err(Failure::said(Kind::Yours, what, next));
    }
    let (renderings, origins) = offline::render(&stack, home).await.map_err(Failure::yours)?;
    if let Some(origins) = origins.told() {
        output.narrate(&origins);
    }
    let wanted = |name: &str| arguments.release.as_deref().is_none_or(|release| release == name);
    let renderings = renderings
        .into_iter()
        .filter(|rendering| wanted(&rendering.installed.name));
    match format {
        Format::Text => renderings.for_each(|rendering| output.data(&text(rendering))),
        Format::Json => {
            let objects: Vec<Value> = renderings.flat_map(|rendering| rendering.installed.objects).collect();
            let objects: Vec<Value> = objects.into_iter().map(described).collect();
            output.data(&serde_json::to_string_pretty(&objects).expect("objects are plain data"));
        }
    }
    Ok(())
}

/// The objects of one release, each a document that says whose it is.
fn text(rendering: Rendering) -> String {
    let release = rendering.installed.name;
    let document = |object: Value| {
        let yaml = tubectl_yaml::emit(&tubectl_yaml::Value::from(described(object)));
        format!("---\n# Release: {release}\n{yaml}")
    };
    let documents: Vec<String> = rendering.installed.objects.into_iter().map(document).collect();
    documents.concat()
}

fn described(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(unknown::describe(&text)),
        Value::Array(items) => items.into_iter().map(described).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, described(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}
