//! A run: the machine's jobs, sent and waited for.
//!
//! All jobs live in the future of the run, so that nothing is left behind when it ends.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Request;
use http::Response;
use tubectl_clock::Clock;
use tubectl_clock::Elapsed;

use crate::machine::Done;
use crate::machine::Job;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::summary::Event;
use crate::summary::Failure;
use crate::summary::Summary;

/// A list of questions that takes longer than this is not waited for.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the plan's whole load and sums up what happened; `observer` sees every event as it happens.
pub async fn run<T, F, E>(plan: &Plan, transport: T, clock: Clock, seed: u64, observer: impl FnMut(&Event)) -> Summary
where
    T: Fn(Request<Bytes>) -> F + Clone,
    F: Future<Output = Result<Response<Bytes>, E>>,
    E: Display,
{
    run_until(std::future::pending(), plan, transport, clock, seed, observer).await
}

/// The same, but stops gracefully when `stop` is done: nothing new is sent, what is under way may finish.
pub async fn run_until<T, F, E>(
    stop: impl Future<Output = ()>,
    plan: &Plan,
    transport: T,
    clock: Clock,
    seed: u64,
    mut observer: impl FnMut(&Event),
) -> Summary
where
    T: Fn(Request<Bytes>) -> F + Clone,
    F: Future<Output = Result<Response<Bytes>, E>>,
    E: Display,
{
    let began = clock.now();
    let mut stop = pin!(stop);
    let mut stopped = false;
    let mut machine = Machine::new(plan, seed);
    let mut summary = Summary::default();
    let mut jobs = FuturesUnordered::new();
    loop {
        machine.advance(clock.since(began));
        for event in machine.take_events() {
            summary.on(&event);
            observer(&event);
        }
        if machine.is_over() {
            return summary;
        }
        for job in machine.take_jobs() {
            let until = match &job {
                Job::Pause { until, .. } => *until,
                Job::Send { .. } | Job::Refresh { .. } => Duration::ZERO,
            };
            let pause = until.saturating_sub(clock.since(began));
            jobs.push(perform(job, pause, transport.clone(), clock, plan.timeout));
        }
        let next_change = machine.next_change().saturating_sub(clock.since(began));
        tokio::select! {
            biased;
            () = &mut stop, if !stopped => {
                stopped = true;
                machine.stop(clock.since(began));
            }
            Some(done) = jobs.next() => machine.on(done, clock.since(began)),
            () = clock.sleep(next_change) => {}
        }
    }
}

async fn perform<T, F, E>(job: Job, pause: Duration, transport: T, clock: Clock, timeout: Duration) -> Done
where
    T: Fn(Request<Bytes>) -> F,
    F: Future<Output = Result<Response<Bytes>, E>>,
    E: Display,
{
    match job {
        Job::Send { id, request } => {
            let outcome = match clock.timeout(timeout, transport(request)).await {
                Ok(Ok(response)) if response.status().is_success() => Ok(()),
                Ok(Ok(response)) => Err(Failure::Status(response.status().as_u16())),
                Ok(Err(error)) => Err(Failure::Transport(error.to_string())),
                Err(Elapsed) => Err(Failure::TimedOut),
            };
            Done::Sent { id, outcome }
        }
        Job::Pause { user, .. } => {
            clock.sleep(pause).await;
            Done::Paused { user }
        }
        Job::Refresh { request } => {
            let answer = clock.timeout(REFRESH_TIMEOUT, transport(request)).await;
            let body = answer
                .ok()
                .and_then(Result::ok)
                .filter(|response| response.status().is_success());
            Done::Refreshed {
                body: body.map(Response::into_body),
            }
        }
    }
}
