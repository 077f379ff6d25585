//! `tubectl down`: take everything away, and prove it.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde_json::json;

use crate::commands::args::Down;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::context::Context;
use crate::commands::live::SPEED;
use crate::commands::live::agreed;
use crate::commands::live::stoppable;
use crate::commands::live::watched;
use crate::commands::place;
use crate::commands::place::Meant;
use crate::commands::session::Session;
use crate::commands::session::failed;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::teardown;
use crate::teardown::Options;
use crate::teardown::Report;
use crate::teardown::TeardownError;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// Shows what is there, asks, takes it away, and prints the proof.
pub async fn run(arguments: &Down, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = place::standing(&arguments.stack, &arguments.place, home)?;
    let intent = Intent::Change {
        command: "tubectl down",
        speed: arguments.speed.speed.unwrap_or(SPEED),
    };
    let connected = connect(&place, home, (&files, &settings), intent, output).await?;
    let options = Options {
        keep_data: arguments.keep_data,
        strip_finalizers: arguments.strip_finalizers,
    };
    let work = watched(connected, format, output, async |context| {
        let session = Session::open(&context, "down", &files, &settings).await?;
        output.narrate(&standing(&context, &session).await?);
        let question = format!("Take `{}` down?", session.stack.name);
        agreed(output, arguments.consent.yes.into(), question).await?;
        let report = stoppable(&context, take_down(&context, &session, &options)).await?;
        let verdict = verdict(&context, &report);
        Ok((report, verdict))
    });
    // What was drawn is gone by now, and the proof stays.
    let (report, verdict) = Box::pin(work).await?;
    output.data(&told(&report, format));
    verdict
}

/// The proof, as it is printed.
pub fn told(report: &Report, format: Format) -> String {
    match format {
        Format::Text => report.proof.to_string(),
        Format::Json => json!({"event": "proof", "report": report}).to_string(),
    }
}

/// What stands, and where.
async fn standing(context: &Context, session: &Session) -> Result<String, Failure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for found in session.aws.observe().await.map_err(failed)? {
        *counts.entry(found.kind.to_string()).or_default() += 1;
    }
    let place = &session.aws.place;
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    Ok(format!(
        "`{}` in account {}, {}, world {}: {}, and everything that they made",
        session.stack.name,
        place.account,
        place.region,
        context.world.name(),
        if counts.is_empty() {
            "nothing that carries its tags".to_owned()
        } else {
            counts.join(", ")
        },
    ))
}

/// Takes the stack away; what is gone is written down.
pub async fn take_down(context: &Context, session: &Session, options: &Options) -> Result<Report, Failure> {
    session
        .journal
        .begin(&session.aws.owner.instance)
        .map_err(Failure::yours)?;
    let observed = session.aws.observe().await.map_err(failed)?;
    let kube = session.kube(context, &observed)?;
    let report = teardown::take_down(&session.aws, kube.as_ref(), options, &context.events, &context.cancel).await;
    let report = report.map_err(|error| {
        let kind = match error {
            TeardownError::Looking(_) => FailureKind::Partial,
            TeardownError::Protected(_) => FailureKind::Yours,
            TeardownError::Stopped => FailureKind::Interrupted,
        };
        Failure::new(kind, error)
    })?;
    if report.proof.is_clean() && !options.keep_data {
        let noted = session.journal.gone().await;
        noted.map_err(|error| Failure::new(FailureKind::Partial, error))?;
    }
    Ok(report)
}

/// What the report means for whoever typed the command.
pub fn verdict(context: &Context, report: &Report) -> Result<(), Failure> {
    if report.proof.is_clean() {
        return Ok(());
    }
    let (kind, what, next) = if context.cancel.is_draining() {
        let what = "stopped before everything was taken away";
        (FailureKind::Interrupted, what, "run it again: it goes on where it was")
    } else if report.proof.left() == 0 {
        let what = "nothing was found, and not everything could be looked for: see the table";
        (FailureKind::Partial, what, "allow what was refused, and run it again")
    } else {
        let what = "everything was looked for, and something is left behind: see the table";
        (
            FailureKind::LeftBehind,
            what,
            "run it again, or remove what the table names",
        )
    };
    let mut what = what.to_owned();
    for blocked in &report.blocked {
        what.push_str(&format!("\n  {} {}: {}", blocked.kind, blocked.name, blocked.why));
    }
    Err(Failure::said(kind, what, next))
}
