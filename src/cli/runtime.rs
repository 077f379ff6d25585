//! Where commands run: one thread, in real or in virtual time, with somebody who listens to events.

use std::future::Future;

use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

use crate::error::Failure;
use crate::error::Kind;

/// Runs work in virtual time: waiting advances it at once, and the same seed gives the same chance.
pub(crate) fn in_virtual_time<T>(seed: u64, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| bug(&error))?.block_on(work)
}

/// Runs work in real time, with the network.
pub(crate) fn in_real_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| bug(&error))?;
    let result = runtime.block_on(work);
    // A question that nobody answered any more would be waited for.
    runtime.shutdown_background();
    result
}

/// Writes the debug log to stderr: ours, or everybody's.
pub(crate) fn log(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "warn,tubectl=debug,tubectl_world=debug,tubectl_chart=debug",
        _ => "debug",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A second subscriber can only be one of a test in the same process; the first goes on.
    log.try_init().ok();
}

fn bug(error: &dyn std::error::Error) -> Failure {
    Failure::said(Kind::Bug, error.to_string(), "run it again; if it stays, report it")
}
