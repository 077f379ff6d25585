//! Waiting for something to converge: asking seldom while it cannot be done, often near the time it should be.

use std::time::Duration;

use thiserror::Error;
use tubectl_clock::Clock;

use crate::event::minutes;
use crate::resource::observed::Readiness;

/// Asked no more often than this: one call a second is what an account's rate limits take from many waits at once.
const OFTEN: Duration = Duration::from_secs(1);

/// Asked no less often than this: a wait that went wrong is noticed within half a minute.
const SELDOM: Duration = Duration::from_secs(30);

/// How long something is expected to take, and how long to wait for it at most.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// What it usually takes.
    pub expected: Duration,
    /// When to give up.
    pub deadline: Duration,
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Error)]
pub enum WaitError<E: std::error::Error + 'static> {
    /// It took longer than the deadline.
    #[error("gave up after {}; it was still {last}", minutes(*.after))]
    Deadline {
        /// The deadline.
        after: Duration,
        /// What it was doing last.
        last: String,
    },
    /// It will not come.
    #[error("{0}")]
    Failed(String),
    /// Asking failed.
    #[error(transparent)]
    Asking(#[from] E),
}

/// Asks until the answer is ready or failed, or the deadline passes. `told` hears what is being waited for.
pub async fn until_ready<E: std::error::Error + 'static>(
    clock: Clock,
    patience: Patience,
    mut ask: impl AsyncFnMut() -> Result<Readiness, E>,
    mut told: impl FnMut(&str),
) -> Result<(), WaitError<E>> {
    let begun = clock.now();
    loop {
        let last = match ask().await? {
            Readiness::Ready => return Ok(()),
            Readiness::Failed(why) => return Err(WaitError::Failed(why)),
            Readiness::Waiting(what) => what,
            Readiness::Leaving => "going away".to_owned(),
        };
        told(&last);
        let elapsed = clock.since(begun);
        if elapsed >= patience.deadline {
            return Err(WaitError::Deadline { after: elapsed, last });
        }
        clock.sleep(pause(elapsed, patience.expected)).await;
    }
}

/// How long to pause before asking again.
///
/// Long before the expected end nothing can have happened yet; half of what is left is a safe jump even when the
/// expectation is off. Near it and past it, a pause is a hundredth of the time waited, so that noticing an end late costs at
/// most that share of it.
pub fn pause(elapsed: Duration, expected: Duration) -> Duration {
    let left = expected.saturating_sub(elapsed);
    let pause = if left > expected / 4 { left / 2 } else { elapsed / 100 };
    pause.clamp(OFTEN, SELDOM)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const PATIENCE: Patience = Patience {
        expected: Duration::from_secs(510),
        deadline: Duration::from_secs(2040),
    };

    async fn wait_for(seconds: u64) -> (Result<(), WaitError<Infallible>>, Duration, u32) {
        let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let begun = clock.now();
        let mut asked = 0;
        let ask = async || {
            asked += 1;
            let done = clock.since(begun) >= Duration::from_secs(seconds);
            Ok(if done {
                Readiness::Ready
            } else {
                Readiness::Waiting("creating".to_owned())
            })
        };
        let outcome = until_ready(clock, PATIENCE, ask, |_| {}).await;
        (outcome, clock.since(begun), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_noticed_soon_whenever_it_comes() {
        for seconds in [0, 1, 7, 60, 400, 510, 700, 1500] {
            let (outcome, took, asked) = wait_for(seconds).await;
            outcome.unwrap();
            let late = took.saturating_sub(Duration::from_secs(seconds));
            // Early on, half a minute; near the expected end and after it, a hundredth.
            let allowed = if seconds < 300 { 30 } else { seconds / 100 + 1 };
            assert!(late <= Duration::from_secs(allowed), "{seconds}s noticed {late:?} late");
            assert!(asked <= 200, "{asked} questions for {seconds}s");
        }
    }

    #[test]
    fn pauses_are_long_far_from_the_end_and_short_near_it() {
        for (elapsed, expected, milliseconds) in [
            // Half of what is left, and no more than half a minute.
            (0, 40, 20_000),
            (29, 40, 5_500),
            (0, 510, 30_000),
            // In the last quarter and later a hundredth of what has passed, and no less than a second.
            (30, 40, 1_000),
            (390, 510, 3_900),
            (2_000, 510, 20_000),
            (9_000, 510, 30_000),
            (0, 0, 1_000),
        ] {
            let pause = pause(Duration::from_secs(elapsed), Duration::from_secs(expected));
            assert_eq!(pause, Duration::from_millis(milliseconds), "{elapsed}s of {expected}s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_says_how_long_and_what_was_last_seen() {
        let (outcome, _, _) = wait_for(1_000_000).await;
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.starts_with("gave up after 34m") && message.ends_with("still creating"),
            "{message}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_not_waited_for() {
        let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let ask = async || Ok::<_, Infallible>(Readiness::Failed("no capacity".to_owned()));
        let outcome = until_ready(clock, PATIENCE, ask, |_| {}).await;
        assert_eq!(outcome.unwrap_err().to_string(), "no capacity");
        assert_eq!(clock.now(), jiff::Timestamp::UNIX_EPOCH);
    }
}
