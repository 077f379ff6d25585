//! What time it is, and waiting.
//!
//! A [`Clock`] maps the runtime's monotonic clock to a point in time, at any speed. Real time is speed 1 from now;
//! a rehearsed hour in a minute is speed 60; virtual time is speed 1 on a paused tokio runtime, where sleeping
//! advances time at once. Everything that waits is handed one; nothing else asks the machine what time it is.

#![expect(
    clippy::disallowed_methods,
    reason = "this crate is the one place that asks the runtime for the time"
)]

use std::future::Future;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use tokio::time::Instant;

/// A point in time, how it moves, and how to wait for a later one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Timestamp,
    origin: Instant,
    // Invariant: finite and greater than zero.
    speed: f64,
}

/// A deadline passed before the future was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Clock {
    /// The machine's own time.
    pub fn real() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `epoch` now and runs at the speed of the runtime: on a paused runtime, virtual time.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self {
            epoch,
            origin: Instant::now(),
            speed: 1.0,
        }
    }

    /// The same instant, from here on `speed` times as fast.
    ///
    /// # Panics
    /// When `speed` is not a finite number above zero: callers check what users type.
    #[must_use]
    pub fn at_speed(self, speed: f64) -> Self {
        assert!(
            speed.is_finite() && speed > 0.0,
            "a clock runs forward, not at speed {speed}"
        );
        Self {
            epoch: self.now(),
            origin: Instant::now(),
            speed,
        }
    }

    /// How many of this clock's seconds pass in one second of the runtime.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// The point in time it is.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed().mul_f64(self.speed);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// How long ago `then` was; zero when it lies ahead.
    pub fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(then)).unwrap_or(Duration::ZERO)
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.in_runtime_time(duration)).await;
    }

    /// Waits until it is `then`; returns at once when that has passed.
    pub async fn sleep_until(&self, then: Timestamp) {
        if let Ok(ahead) = Duration::try_from(then.duration_since(self.now())) {
            self.sleep(ahead).await;
        }
    }

    /// Waits for `future`, but no longer than `limit` of this clock's time.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(self.in_runtime_time(limit), future)
            .await
            .map_err(|_| Elapsed)
    }

    fn in_runtime_time(&self, duration: Duration) -> Duration {
        // A sleep of a thousand years stays within what the runtime's timer can hold.
        const LONGEST: Duration = Duration::from_secs(1 << 35);
        Duration::try_from_secs_f64(duration.as_secs_f64() / self.speed)
            .unwrap_or(LONGEST)
            .min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_virtual_hour_passes_at_once_and_is_seen_whole() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        clock.sleep(HOUR).await;
        assert_eq!(clock.now(), Timestamp::from_second(3600).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_times_as_fast_means_a_minute_for_an_hour() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let fast = clock.at_speed(60.0);
        fast.sleep(HOUR).await;
        assert_eq!(clock.since(Timestamp::UNIX_EPOCH), Duration::from_secs(60));
        assert_eq!(fast.since(Timestamp::UNIX_EPOCH), HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_in_the_clocks_own_time() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH).at_speed(60.0);
        let outcome = clock.timeout(HOUR, std::future::pending::<()>()).await;
        assert_eq!(outcome, Err(Elapsed));
        assert_eq!(clock.since(Timestamp::UNIX_EPOCH), HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_past_returns_at_once() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        clock.sleep(HOUR).await;
        clock.sleep_until(Timestamp::UNIX_EPOCH).await;
        assert_eq!(clock.since(Timestamp::UNIX_EPOCH), HOUR);
    }
}
