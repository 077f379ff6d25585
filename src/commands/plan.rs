//! `tubectl plan`: what `up` would do.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde_json::Value;
use serde_json::json;

use crate::commands::args::Plan;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::forecast::Forecast;
use crate::commands::live::watched;
use crate::commands::place::Meant;
use crate::commands::place::said;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::commands::session::shown;
use crate::error::Failure;
use crate::error::Kind;
use crate::plan::Action;
use crate::resource::diff::Change;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// Shows it.
pub async fn run(arguments: &Plan, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = said(&arguments.stack, &arguments.place)?;
    let connected = connect(&place, home, (&files, &settings), Intent::Look, output).await?;
    watched(connected, Format::Text, output, async |context| {
        let session = Session::open(&context, "plan", &files, &settings).await?;
        let look = session.look_and_check(&context).await?;
        let forecast = Forecast::of(&session, &look);
        output.data(&match format {
            Format::Text => text(&look) + &forecast.text(),
            Format::Json => {
                let mut document = document(&look);
                (document["expected"], document["cost"]) = forecast.document();
                serde_json::to_string_pretty(&document).expect("a plan is plain data")
            }
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
                changes
                    .iter()
                    .flat_map(differences)
                    .try_for_each(|(field, is, should)| {
                        let told = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
                        writeln!(text, "      {field}: {} -> {}", told(is), told(should))
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

/// A change, field by field: what it is, and what it should be. Of two lists, what only one of them has.
pub fn differences(change: &Change) -> Vec<(String, Option<String>, Option<String>)> {
    let path = || change.path.clone();
    let (Some(Value::Array(before)), Value::Array(after)) = (&change.before, &change.after) else {
        return vec![(path(), change.before.as_ref().map(shown), Some(shown(&change.after)))];
    };
    let gone = before.iter().filter(|item| !after.contains(item));
    let new = after.iter().filter(|item| !before.contains(item));
    gone.map(|item| (path(), Some(shown(item)), None))
        .chain(new.map(|item| (path(), None, Some(shown(item)))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_differ_by_what_only_one_of_them_has() {
        let check = |before: Value, after: Value, expected: &[(Option<&str>, Option<&str>)]| {
            let change = Change {
                path: "field".to_owned(),
                before: Some(before).filter(|before| !before.is_null()),
                after,
            };
            let found = differences(&change);
            let found: Vec<_> = found
                .iter()
                .map(|(_, is, should)| (is.as_deref(), should.as_deref()))
                .collect();
            assert_eq!(found, expected);
        };
        check(json!(3), json!(1), &[(Some("3"), Some("1"))]);
        check(Value::Null, json!("tube"), &[(None, Some("tube"))]);
        check(
            json!([1, 2, 3]),
            json!([1, 4]),
            &[(Some("2"), None), (Some("3"), None), (None, Some("4"))],
        );
        check(json!({"a": 1}), json!([1]), &[(Some(r#"{"a":1}"#), Some("[1]"))]);
    }
}
