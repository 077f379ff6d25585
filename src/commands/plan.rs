//! `tubectl plan`: what `up` would do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use camino::Utf8Path;
use serde_json::Value;
use serde_json::json;

use crate::commands::args::Plan;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::live::watched;
use crate::commands::place::Meant;
use crate::commands::place::said;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::commands::session::shown;
use crate::commands::up::expected;
use crate::error::Failure;
use crate::error::Kind;
use crate::event::minutes;
use crate::plan::Action;
use crate::resource::id::ResourceId;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// Shows it.
pub async fn run(arguments: &Plan, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = said(&arguments.stack, &arguments.place)?;
    let connected = connect(&place, home, (&files, &settings), Intent::Look, output).await?;
    watched(connected, Format::Text, output, async |context| {
        let session = Session::open(&context, "plan", &files, &settings).await?;
        let look = session.look_and_check(&context).await?;
        output.data(&match format {
            Format::Text => text(&look) + &effort(&look, &session.journal.state().history),
            Format::Json => serde_json::to_string_pretty(&document(&look)).expect("a plan is plain data"),
        });
        if arguments.exit_code && !look.plan.is_empty() {
            let what = "the world is not as the stack says";
            return Err(Failure::said(Kind::Check, what, "make it so: `tubectl up`"));
        }
        Ok(())
    })
    .await
}

/// A plan as programs read it: what differs, not what is as it should be.
pub fn document(look: &Look) -> Value {
    let counts = look.plan.counts();
    json!({
        "steps": look.plan.work().collect::<Vec<_>>(),
        "removals": look.plan.removals,
        "counts": {
            "create": counts.created,
            "change": counts.changed,
            "await": counts.awaited,
            "remove": counts.removed,
            "unchanged": counts.unchanged,
        },
    })
}

/// What doing it takes.
pub fn effort(look: &Look, history: &BTreeMap<ResourceId, u64>) -> String {
    if look.plan.is_empty() {
        return String::new();
    }
    let duration = |id: &ResourceId| match look.plan.steps[id].action {
        Action::Nothing => Duration::ZERO,
        Action::Create | Action::Await | Action::Replace { .. } | Action::Update { .. } => expected(id, look, history),
    };
    let longest = look.graph.critical_path(duration).last().map(|(_, end)| *end);
    format!(
        "about {} from now, by the longest chain\n",
        minutes(longest.unwrap_or_default())
    )
}

/// A plan as people read it.
pub fn text(look: &Look) -> String {
    let mut text = String::new();
    for step in look.plan.work() {
        let id = &step.desired.id;
        match &step.action {
            Action::Create => writeln!(text, "  + {id}"),
            Action::Await => writeln!(text, "  . {id} (on its way)"),
            Action::Replace { because } => writeln!(text, "-/+ {id} (it failed: {because})"),
            Action::Nothing => Ok(()),
            Action::Update { changes } => {
                writeln!(text, "  ~ {id}").expect("writing to a string does not fail");
                changes.iter().try_for_each(|change| {
                    let before = change.before.as_ref().map_or("nothing".to_owned(), shown);
                    writeln!(text, "      {}: {before} -> {}", change.path, shown(&change.after))
                })
            }
        }
        .expect("writing to a string does not fail");
    }
    for removal in &look.plan.removals {
        writeln!(text, "  - {}", removal.id).expect("writing to a string does not fail");
    }
    let counts = look.plan.counts();
    let summary = format!(
        "{} to create, {} to change, {} on their way, {} to remove, {} as they should be",
        counts.created, counts.changed, counts.awaited, counts.removed, counts.unchanged
    );
    writeln!(text, "{summary}").expect("writing to a string does not fail");
    text
}
