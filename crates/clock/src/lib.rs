//! What time it is, and waiting.
//!
//! A [`Clock`] maps the runtime's monotonic clock to a point in time, at any speed. Real time is speed 1 from now;
//! a rehearsed hour in a minute is speed 60; virtual time is speed 1 on a paused tokio runtime, where sleeping
//! advances time at once. A [`Dial`] sets clocks that were handed out. Everything that waits is handed one; nothing else
//! asks the machine what time it is.

#![expect(
    clippy::disallowed_methods,
    reason = "this crate is the one place that asks the runtime for the time"
)]

use std::future::Future;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// A point in time, how it moves, and how to wait for a later one.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Copy, Debug)]
enum Hands {
    /// They move as they began to.
    Own(Course),
    /// They move as a dial says.
    Dial(&'static watch::Sender<Course>),
}

/// How time passes.
#[derive(Clone, Copy, Debug)]
struct Course {
    epoch: Timestamp,
    origin: Instant,
    // Invariant: finite and greater than zero.
    speed: f64,
}

/// What sets clocks that others hold already: all of them follow, and those who wait by them wait for the right moment.
#[derive(Clone, Copy, Debug)]
pub struct Dial(&'static watch::Sender<Course>);

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
        Self(Hands::Own(Course {
            epoch,
            origin: Instant::now(),
            speed: 1.0,
        }))
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
        Self(Hands::Own(Course {
            epoch: self.now(),
            origin: Instant::now(),
            speed,
        }))
    }

    /// How many of this clock's seconds pass in one second of the runtime.
    pub fn speed(&self) -> f64 {
        self.course().speed
    }

    /// The point in time it is.
    pub fn now(&self) -> Timestamp {
        self.course().now()
    }

    /// How long ago `then` was; zero when it lies ahead.
    pub fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(then)).unwrap_or(Duration::ZERO)
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        let dial = match self.0 {
            Hands::Own(course) => return tokio::time::sleep(course.in_runtime_time(duration)).await,
            Hands::Dial(dial) => dial,
        };
        let mut turned = dial.subscribe();
        let ahead = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let end = self.now().checked_add(ahead).unwrap_or(Timestamp::MAX);
        loop {
            let course = *turned.borrow_and_update();
            let left = Duration::try_from(end.duration_since(course.now())).unwrap_or(Duration::ZERO);
            tokio::select! {
                biased;
                () = tokio::time::sleep(course.in_runtime_time(left)) => return,
                // The dial lives as long as the process, so this is never the end of it.
                _ = turned.changed() => {}
            }
        }
    }

    /// Waits until it is `then`; returns at once when that has passed.
    pub async fn sleep_until(&self, then: Timestamp) {
        if let Ok(ahead) = Duration::try_from(then.duration_since(self.now())) {
            self.sleep(ahead).await;
        }
    }

    /// Waits for `future`, but no longer than `limit` of this clock's time.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(limit) => Err(Elapsed),
        }
    }

    fn course(&self) -> Course {
        match self.0 {
            Hands::Own(course) => course,
            Hands::Dial(dial) => *dial.borrow(),
        }
    }
}

impl Course {
    fn now(&self) -> Timestamp {
        let elapsed = Duration::try_from_secs_f64(self.origin.elapsed().as_secs_f64() * self.speed);
        let elapsed = SignedDuration::try_from(elapsed.unwrap_or(Duration::MAX)).unwrap_or(SignedDuration::MAX);
        self.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    fn in_runtime_time(&self, duration: Duration) -> Duration {
        // A sleep of a thousand years stays within what the runtime's timer can hold.
        const LONGEST: Duration = Duration::from_secs(1 << 35);
        Duration::try_from_secs_f64(duration.as_secs_f64() / self.speed)
            .unwrap_or(LONGEST)
            .min(LONGEST)
    }
}

impl Dial {
    /// A dial whose clocks show what `clock` does, until they are set. It is never freed: its clocks are copied to
    /// wherever somebody waits. Make one for each world, not for each wait.
    pub fn new(clock: Clock) -> Self {
        Self(Box::leak(Box::new(watch::Sender::new(clock.course()))))
    }

    /// A clock that follows.
    pub fn clock(&self) -> Clock {
        Clock(Hands::Dial(self.0))
    }

    /// From here on its clocks show what `clock` does.
    pub fn set(&self, clock: Clock) {
        self.0.send_replace(clock.course());
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

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_by_a_dial_waits_for_the_right_moment_when_it_is_set() {
        let real = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let dial = Dial::new(real);
        let clock = dial.clock();
        let set = async {
            real.sleep(Duration::from_secs(60)).await;
            dial.set(clock.at_speed(59.0));
        };
        tokio::join!(clock.sleep(HOUR), set);
        assert_eq!(real.since(Timestamp::UNIX_EPOCH), Duration::from_secs(120));
        assert_eq!(clock.since(Timestamp::UNIX_EPOCH), HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_any_speed_comes_to_the_end_of_time_and_stays() {
        for speed in [1e-300, 1e300] {
            let clock = Clock::starting_at(Timestamp::UNIX_EPOCH).at_speed(speed);
            tokio::time::advance(HOUR).await;
            let expected = if speed > 1.0 {
                Timestamp::MAX
            } else {
                Timestamp::UNIX_EPOCH
            };
            assert_eq!(clock.now(), expected);
        }
    }
}
