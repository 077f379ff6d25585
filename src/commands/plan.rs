//! `tubectl plan`: what `up` would do.

use std::fmt::Write as _;

use crate::commands::session::Look;
use crate::commands::session::shown;
use crate::plan::Action;

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
