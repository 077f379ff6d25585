//! `tubectl up`: make the world look like the stack.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde_json::json;

use crate::apply::walk::Outcome;
use crate::apply::walk::Tools;
use crate::apply::walk::walk;
use crate::commands::args::Up;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::context::Context;
use crate::commands::context::WorldName;
use crate::commands::forecast::Forecast;
use crate::commands::forecast::expected;
use crate::commands::live::SPEED;
use crate::commands::live::agreed;
use crate::commands::live::stoppable;
use crate::commands::live::watched;
use crate::commands::perform::Performer;
use crate::commands::place::Meant;
use crate::commands::place::said;
use crate::commands::plan;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::commands::world::write_kubeconfig;
use crate::error::Failure;
use crate::error::Hint;
use crate::error::Kind as FailureKind;
use crate::error::with_causes;
use crate::event::EventKind;
use crate::provider::error::ProviderError;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::state::journal::Journal;
use crate::state::journal::JournalError;
use crate::ui::confirm::Consent;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// Plans, asks, does it, and says where the page is.
pub async fn run(arguments: &Up, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = said(&arguments.stack, &arguments.place)?;
    let intent = Intent::Change {
        command: "tubectl up",
        speed: arguments.speed.speed.unwrap_or(SPEED),
    };
    let connected = connect(&place, home, (&files, &settings), intent, output).await?;
    let daemon = connected.daemon.clone();
    let consent = arguments.consent.yes.into();
    let raised = watched(connected, format, output, async |context| {
        let session = Session::open(&context, "up", &files, &settings).await?;
        raise(&context, &session, consent, output).await
    });
    Box::pin(raised).await?;
    if let Some(daemon) = daemon {
        let kubeconfig = write_kubeconfig(&daemon, home).await?;
        let pages = daemon.pages().await?;
        output.data(&match format {
            Format::Json => json!({"event": "outputs", "pages": pages, "kubeconfig": kubeconfig}).to_string(),
            Format::Text => told(&pages, &kubeconfig),
        });
    }
    Ok(())
}

/// Plans, asks, and does it.
pub async fn raise(context: &Context, session: &Session, consent: Consent, output: Output) -> Result<(), Failure> {
    let look = session.look_and_check(context).await?;
    output.narrate(&plan::text(&look));
    output.narrate(&Forecast::of(session, &look).text());
    if context.world == WorldName::Aws {
        return Err(Failure::said(
            FailureKind::Yours,
            MISSING,
            "rehearse it: `tubectl rehearse`, or `tubectl up --on local`",
        ));
    }
    if look.plan.is_empty() {
        return Ok(());
    }
    agreed(output, consent, format!("Bring up `{}`?", session.stack.name)).await?;
    let outcome = stoppable(context, apply(context, session, &look)).await?;
    verdict(context, &outcome)
}

/// What `up` would need for a real account and does not have.
const MISSING: &str = "this is the plan; nothing was created. For a real account there are still missing: the push of \
    images to ECR, charts from their repositories, and questions about quotas and rights before anything is made";

fn told(pages: &[String], kubeconfig: &Utf8Path) -> String {
    let mut text = String::new();
    for page in pages {
        text.push_str(&format!("page        {page}\n"));
    }
    text.push_str(&format!("kubeconfig  {kubeconfig}\n"));
    text.push_str("env         eval \"$(tubectl world env)\"\n");
    text
}

/// Does what was planned.
pub async fn apply(context: &Context, session: &Session, look: &Look) -> Result<Outcome, Failure> {
    session
        .journal
        .begin(&session.aws.owner.instance)
        .map_err(Failure::yours)?;
    let history = session.journal.state().history;
    let expected = |id: &ResourceId| expected(id, look, &history);
    let tools = Tools {
        clock: context.clock,
        events: &context.events,
        cancel: &context.cancel,
        journal: &session.journal,
        expected: &expected,
    };
    let performer = Performer::new(context, session, look);
    let outcome = walk(&look.plan, &look.graph, &tools, async |ready| {
        performer.perform(ready).await
    })
    .await;
    let mut outcome = outcome.map_err(unwritten)?;
    if outcome.is_complete() {
        remove(context, session, look, &mut outcome).await.map_err(unwritten)?;
    }
    Ok(outcome)
}

/// The journal failed in the middle: what was begun is found again by its tags.
fn unwritten(error: JournalError) -> Failure {
    let kind = match error {
        JournalError::Lease(_) => FailureKind::Interrupted,
        JournalError::Store { .. } | JournalError::Corrupt { .. } | JournalError::Newer { .. } => FailureKind::Partial,
    };
    Failure::new(kind, error)
}

/// Removes what the stack no longer has, once everything that may have used it is changed. What comes after a removal that
/// failed may be what it hangs on, and is not tried.
async fn remove(context: &Context, session: &Session, look: &Look, outcome: &mut Outcome) -> Result<(), JournalError> {
    let journal = &session.journal;
    let mut removals: Vec<&Observed> = look.plan.removals.iter().collect();
    // What is made late is used by nothing that is made early.
    removals.sort_by_key(|removal| std::cmp::Reverse(removal.kind));
    for removal in removals {
        let id = &removal.id;
        if let Some((failed, _)) = outcome.failed.first_key_value() {
            outcome.skipped.insert(id.clone(), failed.clone());
            continue;
        }
        if context.cancel.is_draining() {
            outcome.unstarted.insert(id.clone());
            continue;
        }
        let told = |what: &str| {
            context.events.emit(EventKind::Waiting {
                id: id.clone(),
                what: what.to_owned(),
            });
        };
        journal.intend(id, "remove", &removal.spec).await?;
        let removed = tokio::select! {
            biased;
            () = context.cancel.abandoned() => {
                outcome.unstarted.insert(id.clone());
                continue;
            }
            removed = take_away(session, look, removal, told) => removed,
        };
        match removed {
            Ok(()) => {
                journal.removed(id).await?;
                context.events.emit(EventKind::Removed {
                    kind: removal.kind.to_string(),
                    name: id.to_string(),
                });
            }
            Err(error) => {
                let text = with_causes(&error);
                journal.failed(id, &text).await?;
                context.events.emit(EventKind::Failed {
                    id: id.clone(),
                    error: text.clone(),
                });
                outcome.hints.extend(error.hints());
                outcome.failed.insert(id.clone(), text);
            }
        }
    }
    if outcome.is_complete() {
        forget(journal, look).await
    } else {
        Ok(())
    }
}

/// Takes one thing away, whoever made it.
async fn take_away(
    session: &Session,
    look: &Look,
    removal: &Observed,
    told: impl Fn(&str),
) -> Result<(), ProviderError> {
    match (removal.kind, &look.kube) {
        (Kind::ReleaseEnd, Some(kube)) => {
            let namespace = removal.spec["namespace"].as_str().unwrap_or_default();
            let (_, name) = removal.id.as_str().split_once('/').unwrap_or_default();
            kube.uninstall(namespace, name).await
        }
        _ => session.aws.remove(removal, told).await,
    }
}

/// Writes down what the stack does not have and the world does not, either: another run ended before it could.
async fn forget(journal: &Journal, look: &Look) -> Result<(), JournalError> {
    let state = journal.state();
    let known: BTreeSet<&ResourceId> = state.resources.keys().chain(state.open.keys()).collect();
    let is_there = |id: &ResourceId| {
        look.plan.steps.contains_key(id) || look.plan.removals.iter().any(|removal| removal.id == *id)
    };
    for id in known.into_iter().filter(|id| !is_there(id)) {
        journal.removed(id).await?;
    }
    Ok(())
}

/// What the outcome means for whoever typed the command.
pub fn verdict(context: &Context, outcome: &Outcome) -> Result<(), Failure> {
    if outcome.is_complete() {
        return Ok(());
    }
    let mut counts = Vec::new();
    let mut kind = FailureKind::Partial;
    if context.cancel.is_draining() {
        kind = FailureKind::Interrupted;
        counts.push(format!("stopped with {} steps left to do", outcome.unstarted.len()));
    }
    if !outcome.failed.is_empty() {
        let (failed, skipped) = (outcome.failed.len(), outcome.skipped.len());
        counts.push(format!("{failed} failed, {skipped} not tried"));
    }
    let mut what = counts.join("; ");
    for (id, error) in &outcome.failed {
        what.push_str(&format!("\n  `{id}`: {error}"));
    }
    let next = if outcome.failed.is_empty() {
        "run it again: it goes on where it was"
    } else {
        "mend the cause and run it again: what is done stays done"
    };
    let mut failure = Failure::said(kind, what, next);
    failure.hints.splice(0..0, outcome.hints.iter().cloned());
    Err(failure)
}
