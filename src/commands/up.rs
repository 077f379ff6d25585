//! `tubectl up`: make the world look like the stack.

use std::time::Duration;

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
use crate::error::Kind as FailureKind;
use crate::event::EventKind;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
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
    output.narrate(&plan::effort(&look, &session.journal.state().history));
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
    // What was begun when the journal failed is found again by its tags.
    let outcome = outcome.map_err(|error| Failure::new(FailureKind::Partial, error))?;
    if outcome.is_complete() {
        remove(context, session, look).await?;
    }
    Ok(outcome)
}

/// Removes what the stack no longer has, once everything that may have used it is changed.
async fn remove(context: &Context, session: &Session, look: &Look) -> Result<(), Failure> {
    let mut removals: Vec<&Observed> = look.plan.removals.iter().collect();
    // What is made late is used by nothing that is made early.
    removals.sort_by_key(|removal| std::cmp::Reverse(removal.kind));
    for removal in removals {
        let told = |what: &str| {
            let id = removal.id.clone();
            context.events.emit(EventKind::Waiting {
                id,
                what: what.to_owned(),
            });
        };
        let removed = match (removal.kind, &look.kube) {
            (Kind::ReleaseEnd, Some(kube)) => {
                let namespace = removal.spec["namespace"].as_str().unwrap_or_default();
                let (_, name) = removal.id.as_str().split_once('/').unwrap_or_default();
                kube.uninstall(namespace, name).await
            }
            _ => session.aws.remove(removal, told).await,
        };
        removed.map_err(|error| Failure::new(FailureKind::Partial, error))?;
        context.events.emit(EventKind::Removed {
            kind: removal.kind.to_string(),
            name: removal.id.to_string(),
        });
    }
    Ok(())
}

/// What the outcome means for whoever typed the command.
pub fn verdict(context: &Context, outcome: &Outcome) -> Result<(), Failure> {
    if outcome.is_complete() {
        return Ok(());
    }
    if context.cancel.is_draining() {
        let what = format!("stopped with {} steps left to do", outcome.unstarted.len());
        return Err(Failure::said(
            FailureKind::Interrupted,
            what,
            "run it again: it goes on where it was",
        ));
    }
    let failed: Vec<String> = outcome
        .failed
        .iter()
        .map(|(id, error)| format!("`{id}`: {error}"))
        .collect();
    let what = format!(
        "{} failed, {} not tried\n  {}",
        failed.len(),
        outcome.skipped.len(),
        failed.join("\n  ")
    );
    Err(Failure::said(
        FailureKind::Partial,
        what,
        "mend the cause and run it again: what is done stays done",
    ))
}

/// How long a resource is expected to take: what it took before, else what such things take.
pub fn expected(id: &ResourceId, look: &Look, history: &std::collections::BTreeMap<ResourceId, u64>) -> Duration {
    match history.get(id) {
        Some(milliseconds) => Duration::from_millis(*milliseconds),
        None => look.plan.steps[id].desired.kind.usual_duration(),
    }
}
