//! `tubectl state`: what the journals of this home say. It asks no world.

use std::fmt::Write as _;

use camino::Utf8Path;
use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::commands::args::On;
use crate::commands::context::Home;
use crate::commands::stands;
use crate::commands::stands::Stand;
use crate::error::Failure;
use crate::state::journal;
use crate::state::journal::Journal;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// The arguments of `state`.
#[derive(Clone, Debug, Args)]
pub struct States {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with what is known.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// List the stacks that this home knows of, and where they stand
    List,
    /// Show what is known of one stack: resources, and what was begun and not finished
    Show(Show),
}

/// The arguments of `state show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// Stack to show
    #[arg(value_name = "STACK", default_value = "tube")]
    pub stack: String,
    /// World it stands in, where it stands in two
    #[arg(long, value_name = "WORLD")]
    pub on: Option<On>,
}

/// Lists or shows.
pub fn run(arguments: &States, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::List => list(home, format, output),
        Verb::Show(show) => {
            let stand = stands::one(home, &show.stack, show.on)?;
            let state = state(&stand, home)?;
            output.data(&match format {
                Format::Text => text(&stand, &state),
                Format::Json => serde_json::to_string_pretty(&document(&stand, &state)).expect("state is plain data"),
            });
            Ok(())
        }
    }
}

/// Lists every stack. One that cannot be read does not hide the others: it is named at the end.
fn list(home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let stands = stands::all(home)?;
    let mut documents = Vec::new();
    let mut lines = String::new();
    let mut broken = None;
    for stand in &stands {
        let about = match state(stand, home) {
            Ok(state) => {
                documents.push(document(stand, &state));
                format!(
                    "{} resources, {} begun and not finished",
                    state.resources.len(),
                    state.open.len()
                )
            }
            Err(failure) => {
                let about = format!("unknown: {}", failure.cause);
                documents.push(unreadable(stand, &failure));
                broken = Some(failure);
                about
            }
        };
        writeln!(lines, "{:<20} {}: {about}", stand.stack, stand.place()).expect("writing to a string does not fail");
    }
    match format {
        Format::Text if stands.is_empty() => output.narrate(&format!("no stack is known in {home}")),
        Format::Text => output.data(&lines),
        Format::Json => output.data(&serde_json::to_string_pretty(&documents).expect("state is plain data")),
    }
    broken.map_or(Ok(()), Err)
}

fn state(stand: &Stand, home: &Utf8Path) -> Result<journal::State, Failure> {
    let store = stand.journal(&Home::Folder(home.to_owned()));
    Journal::peek(&store).map_err(Failure::yours)
}

fn text(stand: &Stand, state: &journal::State) -> String {
    let mut text = format!("{} in {}\n", stand.stack, stand.place());
    if state.instance.is_empty() {
        text.push_str("nothing of it stands\n");
        return text;
    }
    let instance = &state.instance;
    writeln!(text, "instance {instance}, {} resources", state.resources.len()).expect("a string takes every line");
    for (id, recorded) in &state.resources {
        let outputs: Vec<String> = recorded
            .outputs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let line = format!("  {id}  {}", outputs.join(" "));
        writeln!(text, "{}", line.trim_end()).expect("a string takes every line");
    }
    for (id, action) in &state.open {
        writeln!(text, "  {id}  {action} was begun and not finished").expect("a string takes every line");
    }
    text
}

fn document(stand: &Stand, state: &journal::State) -> serde_json::Value {
    json!({
        "format": journal::FORMAT,
        "stack": stand.stack,
        "world": stand.world.name(),
        "account": stand.account,
        "region": stand.region,
        "instance": state.instance,
        "resources": state.resources,
        "open": state.open,
    })
}

fn unreadable(stand: &Stand, failure: &Failure) -> serde_json::Value {
    json!({
        "format": journal::FORMAT,
        "stack": stand.stack,
        "world": stand.world.name(),
        "account": stand.account,
        "region": stand.region,
        "error": failure.cause.to_string(),
    })
}
