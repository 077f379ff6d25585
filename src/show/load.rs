//! The load of the script: what stands in for a thousand phones, sent to the page as anybody would send it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tubectl_clock::Clock;
use tubectl_load::Event;
use tubectl_load::Pace;
use tubectl_load::Plan;
use tubectl_load::Shape;
use tubectl_load::Stage;
use tubectl_load::Summary;
use tubectl_load::Target;

use crate::clients::Web;
use crate::show::ShowError;
use crate::stack::demo;

/// What the load did so far, for whoever looks in between.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<Sofar>>);

#[derive(Debug, Default)]
struct Sofar {
    users: u32,
    summary: Summary,
}

/// The load at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Users that are meant to be busy.
    pub users: u32,
    /// Requests answered so far.
    pub answered: u64,
    /// Half of the answers came within this.
    pub p50: Duration,
    /// All but a twentieth of the answers came within this.
    pub p95: Duration,
}

impl Live {
    /// The load now.
    pub fn read(&self) -> Reading {
        let sofar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Reading {
            users: sofar.users,
            answered: sofar.summary.answered,
            p50: sofar.summary.response.quantile(0.5),
            p95: sofar.summary.response.quantile(0.95),
        }
    }

    fn on(&self, event: &Event) {
        let mut sofar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Users(users) = event {
            sofar.users = *users;
        }
        sofar.summary.on(event);
    }
}

/// The plan of a script's load against a page, for the model that the page asks.
pub fn plan(load: &demo::Load, page: &str, model: &str) -> Result<Plan, ShowError> {
    let stage = |stage: &demo::Stage| Stage {
        duration: stage.over,
        target: stage.users.0,
    };
    let shape = Shape::users(0, load.stages.value.iter().map(stage).collect());
    let target = Target::new(page, model).and_then(|target| target.with_audience(page));
    let mut target = target.map_err(ShowError::Load)?;
    target.max_tokens = load.max_tokens;
    Ok(Plan {
        amplification: NonZeroU32::new(load.amplification.0).expect("a script's amplification is at least one"),
        pace: Pace::Pause(load.pause),
        timeout: load.timeout,
        ..Plan::new(shape, target)
    })
}

/// Sends the plan until it is over, or until `stop` is done and what is under way has ended.
pub async fn send(
    plan: &Plan,
    web: &Web,
    clock: Clock,
    seed: u64,
    live: &Live,
    stop: impl Future<Output = ()>,
) -> Summary {
    let transport = |request| {
        let web = web.clone();
        async move { web.send(request).await }
    };
    tubectl_load::run_until(stop, plan, transport, clock, seed, |event| live.on(event)).await
}
