//! `tubectl down`: take everything away, and prove it.

use crate::commands::context::Context;
use crate::commands::session::Session;
use crate::commands::session::failed;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::teardown;
use crate::teardown::Options;
use crate::teardown::Report;

/// Takes the stack away; what is gone is written down.
pub async fn take_down(context: &Context, session: &Session, options: &Options) -> Result<Report, Failure> {
    session
        .journal
        .begin(&session.aws.owner.instance)
        .map_err(Failure::yours)?;
    let observed = session.aws.observe().await.map_err(failed)?;
    let kube = session.kube(context, &observed)?;
    let report = teardown::take_down(&session.aws, kube.as_ref(), options, &context.events, &context.cancel).await;
    let report = report.map_err(|error| Failure::new(FailureKind::Partial, error))?;
    if report.proof.is_clean() && !options.keep_data {
        session.journal.gone().await.map_err(Failure::yours)?;
    }
    Ok(report)
}

/// What the report means for whoever typed the command.
pub fn verdict(context: &Context, report: &Report) -> Result<(), Failure> {
    if report.proof.is_clean() {
        return Ok(());
    }
    if context.cancel.is_draining() {
        let what = "stopped before everything was taken away";
        return Err(Failure::said(
            FailureKind::Interrupted,
            what,
            "run it again: it goes on where it was",
        ));
    }
    let what = "everything was looked for, and something is left behind: see the table";
    Err(Failure::said(
        FailureKind::LeftBehind,
        what,
        "run it again, or remove what the table names",
    ))
}
