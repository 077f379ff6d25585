//! What the commands share that change a world that stays: the lease, Ctrl-C, the question, somebody who watches.

use std::future::Future;
use std::time::Duration;

use tubectl_clock::Clock;

use crate::commands::connect::Connected;
use crate::commands::context::Context;
use crate::commands::session::Session;
use crate::error::Failure;
use crate::error::Kind;
use crate::state::journal::Journal;
use crate::state::lock;
use crate::state::lock::Held;
use crate::state::lock::LockError;
use crate::state::lock::Owner;
use crate::ui::confirm;
use crate::ui::confirm::Consent;
use crate::ui::output::Format;
use crate::ui::output::Output;
use crate::ui::view;

/// How fast time passes in the local world while it is changed, if nobody says: twenty minutes in twenty seconds.
pub const SPEED: f64 = 60.0;

/// How often the lease is renewed: it lasts four times as long.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Does work in a world while its events are shown; afterwards time passes at its own speed again.
pub async fn watched<T>(
    connected: Connected,
    format: Format,
    output: Output,
    work: impl AsyncFnOnce(Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let Connected { context, heard, daemon } = connected;
    let clock = context.clock;
    let options = view::Options {
        format,
        output,
        // The question and the plan are written between events, which a drawing would run over.
        terminal: None,
    };
    let (result, ()) = tokio::join!(work(context), view::watch(heard, options, clock));
    if let Some(daemon) = daemon {
        // If it is gone, the result says so.
        daemon.clock(Some(1.0)).await.ok();
    }
    result
}

/// Does work as the only one who changes the stack.
pub async fn leased<T>(
    context: &Context,
    session: &mut Session,
    command: &str,
    work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = &session.aws.place;
    let lease = context
        .home
        .lease(context.world, &place.account, &place.region, &session.stack.name);
    let Some(path) = lease else {
        return work(session).await;
    };
    let mut held = lock::acquire(&path, Owner::this_process(command), Clock::real().now()).map_err(Failure::yours)?;
    let result = match again(context, session) {
        Ok(()) => tokio::select! {
            biased;
            result = work(session) => result,
            error = keep(&mut held) => Err(Failure::new(Kind::Interrupted, error)),
        },
        Err(failure) => Err(failure),
    };
    held.release().map_err(Failure::yours)?;
    result
}

/// Reads the journal again: until the lease was had, somebody else may have written.
fn again(context: &Context, session: &mut Session) -> Result<(), Failure> {
    let place = &session.aws.place;
    let store = context
        .home
        .journal(context.world, &place.account, &place.region, &session.stack.name);
    session.journal = Journal::open(store).map_err(Failure::yours)?;
    let instance = session.journal.state().instance;
    if instance.is_empty() || instance == session.aws.owner.instance {
        return Ok(());
    }
    let what = "another process brought the stack up in the meantime";
    Err(Failure::said(Kind::Yours, what, "run it again"))
}

/// Renews the lease until somebody took it over.
async fn keep(held: &mut Held) -> LockError {
    let real = Clock::real();
    loop {
        real.sleep(HEARTBEAT).await;
        match held.renew(real.now()) {
            Ok(()) => {}
            Err(LockError::Fenced) => return LockError::Fenced,
            // The lease outlives some failed renewals; a full disk stops the journal first.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}

/// Does work that Ctrl-C stops: once to let what runs finish, twice to leave it.
pub async fn stoppable<T>(context: &Context, work: impl Future<Output = T>) -> T {
    let stop = async {
        for told in [
            "stopping: what runs is finished first; Ctrl-C again leaves it",
            "leaving what runs; the next run finds it",
        ] {
            if tokio::signal::ctrl_c().await.is_err() {
                break;
            }
            context.events.note(told);
            context.cancel.escalate();
        }
        std::future::pending::<T>().await
    };
    tokio::select! {
        biased;
        result = work => result,
        result = stop => result,
    }
}

/// Asks, while the lease goes on being renewed.
pub async fn agreed(output: Output, consent: Consent, question: String) -> Result<(), Failure> {
    let asked = tokio::task::spawn_blocking(move || confirm::confirm(output, consent, &question)).await;
    asked.map_err(|error| Failure::said(Kind::Bug, error.to_string(), "run it again"))?
}
