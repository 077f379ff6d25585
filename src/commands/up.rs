//! `tubectl up`: make the world look like the stack.

use std::time::Duration;

use crate::apply::walk::Outcome;
use crate::apply::walk::Tools;
use crate::apply::walk::walk;
use crate::commands::context::Context;
use crate::commands::perform::Performer;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::event::EventKind;
use crate::resource::id::ResourceId;
use crate::resource::observed::Observed;

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
    let outcome = outcome.map_err(Failure::yours)?;
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
        let removed = session.aws.remove(removal, told).await;
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
        let what = format!("stopped; {} of the stack is not done", outcome.unstarted.len());
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
