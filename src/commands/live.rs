//! What the commands share that change a world that stays: the lease, Ctrl-C, the question, somebody who watches.

use std::future::Future;
use std::future::pending;
use std::time::Duration;

use tubectl_clock::Clock;

use crate::commands::connect::Connected;
use crate::commands::connect::Visit;
use crate::commands::context::Context;
use crate::error::Failure;
use crate::error::Kind;
use crate::state::lock::Held;
use crate::state::lock::LockError;
use crate::ui::confirm;
use crate::ui::confirm::Consent;
use crate::ui::output::Format;
use crate::ui::output::Output;
use crate::ui::screen;
use crate::ui::view;

/// How fast time passes in the local world while it is changed, if nobody says: twenty minutes in twenty seconds.
pub const SPEED: f64 = 60.0;

/// How often the lease is renewed: it lasts four times as long.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How often to look whether somebody took the lease off: whoever did waits for this process to stop.
const LOOK: Duration = Duration::from_secs(1);

/// Does work in a world while its events are shown, as long as that world runs and the stack is held.
pub async fn watched<T>(
    connected: Connected,
    format: Format,
    output: Output,
    work: impl AsyncFnOnce(Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let Connected {
        context,
        heard,
        daemon: _,
        mut held,
        mut visit,
    } = connected;
    let clock = context.clock;
    let options = view::Options {
        format,
        output,
        terminal: screen::size(),
    };
    let work = async {
        tokio::select! {
            biased;
            failure = ended(visit.as_mut()) => Err(failure),
            failure = fenced(held.as_mut()) => Err(failure),
            result = work(context) => result,
        }
    };
    let (result, ()) = tokio::join!(work, view::watch(heard, options, clock));
    let Some(held) = held else {
        return result;
    };
    let released = held.release().map_err(Failure::yours);
    result.and_then(|value| released.map(|()| value))
}

/// Waits until the world ends: what is asked of it after that gets no answer.
async fn ended(visit: Option<&mut Visit>) -> Failure {
    let Some(visit) = visit else {
        return pending().await;
    };
    visit.ended().await;
    let what = "the local world ended in the middle of it";
    let next = "run it again: the world is started where it was, and what is done stays done";
    Failure::said(Kind::Partial, what, next)
}

/// Renews the lease until somebody took it over.
async fn fenced(held: Option<&mut Held>) -> Failure {
    match held {
        Some(held) => Failure::new(Kind::Interrupted, keep(held).await),
        None => pending().await,
    }
}

/// Renews the lease until somebody took it over.
async fn keep(held: &mut Held) -> LockError {
    let real = Clock::real();
    let mut renewed = real.now();
    loop {
        real.sleep(LOOK).await;
        let still = if real.since(renewed) < HEARTBEAT {
            held.fence().check()
        } else {
            renewed = real.now();
            held.renew(renewed)
        };
        match still {
            Ok(()) => {}
            Err(LockError::Fenced) => return LockError::Fenced,
            // The lease outlives some failed renewals; a full disk stops the journal first.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}

/// Does work that Ctrl-C stops: once to let what runs finish, twice to leave it, three times to end at once. Meanwhile time
/// passes at the speed that is wished.
pub async fn stoppable<T>(context: &Context, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let _hurried = context.pace.hurry().await?;
    let stop = async {
        for told in [
            "stopping: what runs is finished first; Ctrl-C again leaves it",
            "leaving what runs; the next run finds it",
        ] {
            interrupt().await;
            context.events.note(told);
            context.cancel.escalate();
        }
        interrupt().await;
        let what = "ended in the middle of a step";
        Err(Failure::said(
            Kind::Interrupted,
            what,
            "run it again: it finds what was begun",
        ))
    };
    tokio::select! {
        biased;
        result = work => result,
        result = stop => result,
    }
}

/// Waits for Ctrl-C; for ever where it cannot be heard.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}

/// Asks, while the lease goes on being renewed.
pub async fn agreed(output: Output, consent: Consent, question: String) -> Result<(), Failure> {
    let asked = tokio::task::spawn_blocking(move || confirm::confirm(output, consent, &question)).await;
    asked.map_err(|error| Failure::said(Kind::Bug, error.to_string(), "run it again"))?
}
