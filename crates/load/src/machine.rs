//! Who asks what at which moment: the part of a run that decides, without any waiting or sending.
//!
//! Time comes in as the duration since the run began; what is to be sent or waited for goes out as [`Job`]s, what
//! happened as [`Event`]s.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use crate::plan::Pace;
use crate::plan::Plan;
use crate::questions::Page;
use crate::questions::Questions;
use crate::questions::REFRESH_INTERVAL;
use crate::shape;
use crate::shape::Shape;
use crate::summary::Event;
use crate::summary::Failure;

/// Something for the engine to send or to wait for.
#[derive(Debug)]
pub(crate) enum Job {
    Send { id: u64, request: Request<Bytes> },
    Pause { user: usize, until: Duration },
    Refresh { request: Request<Bytes> },
}

/// The end of a job.
#[derive(Debug)]
pub(crate) enum Done {
    Sent { id: u64, outcome: Result<(), Failure> },
    Paused { user: usize },
    Refreshed { body: Option<Bytes> },
}

/// The state of a run.
pub(crate) struct Machine<'plan> {
    plan: &'plan Plan,
    seed: u64,
    schedule: Schedule,
    phase: Phase,
    users: Vec<User>,
    // Users with a number below this ask on.
    active: usize,
    iterations: BTreeMap<u64, Iteration>,
    begun: u64,
    waiting: VecDeque<Waiting>,
    in_flight: BTreeMap<u64, InFlight>,
    sent: u64,
    questions: Questions,
    refresh: Refresh,
    jobs: Vec<Job>,
    events: Vec<Event>,
}

enum Schedule {
    Users(Peekable<std::vec::IntoIter<(Duration, u32)>>),
    Arrivals(Peekable<Box<dyn Iterator<Item = Duration> + Send>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping { deadline: Duration },
    Over,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum User {
    #[default]
    Idle,
    Busy {
        due: Duration,
    },
}

struct Iteration {
    user: Option<usize>,
    due: Duration,
    outstanding: u32,
}

/// A request that is due.
struct Waiting {
    iteration: u64,
    due: Duration,
    body: Bytes,
}

struct InFlight {
    iteration: u64,
    due: Duration,
    sent: Duration,
}

enum Refresh {
    Never,
    Reading { since: Duration },
    Read { at: Duration },
}

impl<'plan> Machine<'plan> {
    pub(crate) fn new(plan: &'plan Plan, seed: u64) -> Self {
        let schedule = match &plan.shape {
            Shape::Users { start, stages } => Schedule::Users(shape::user_steps(*start, stages).into_iter().peekable()),
            Shape::Arrivals { start, stages } => {
                let arrivals: Box<dyn Iterator<Item = Duration> + Send> = Box::new(shape::arrivals(*start, stages));
                Schedule::Arrivals(arrivals.peekable())
            }
        };
        Self {
            plan,
            seed,
            schedule,
            phase: Phase::Running,
            users: Vec::new(),
            active: 0,
            iterations: BTreeMap::new(),
            begun: 0,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            questions: Questions::default(),
            refresh: Refresh::Never,
            jobs: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Does everything that is due by `now`.
    pub(crate) fn advance(&mut self, now: Duration) {
        if self.phase == Phase::Running {
            while let Some(change) = self.schedule.next_before(now, self.plan.shape.duration()) {
                match change {
                    (at, Some(users)) => self.set_users(users, at, now),
                    (at, None) => self.begin(None, at, now),
                }
            }
            if now >= self.plan.shape.duration() {
                self.stop(now);
            }
        }
        if let Phase::Stopping { deadline } = self.phase
            && (now >= deadline || self.in_flight.is_empty())
        {
            self.abort(now);
        }
    }

    /// Begins nothing new from here on; what is under way gets the graceful stop.
    pub(crate) fn stop(&mut self, now: Duration) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Stopping {
            deadline: now + self.plan.graceful_stop,
        };
        self.active = 0;
        if !self.waiting.is_empty() {
            self.events.push(Event::Unsent(self.waiting.len() as u64));
            self.waiting.clear();
        }
    }

    /// Takes in the end of a job.
    pub(crate) fn on(&mut self, done: Done, now: Duration) {
        match done {
            Done::Sent { id, outcome } => self.on_sent(id, outcome, now),
            Done::Paused { user } => {
                let User::Busy { due } = std::mem::take(&mut self.users[user]) else {
                    return;
                };
                self.begin_if_active(user, due, now);
            }
            Done::Refreshed { body } => self.on_refreshed(body, now),
        }
    }

    /// The next moment at which time alone changes something.
    pub(crate) fn next_change(&mut self) -> Duration {
        match self.phase {
            Phase::Running => {
                let end = self.plan.shape.duration();
                self.schedule.next().map_or(end, |next| next.min(end))
            }
            Phase::Stopping { deadline } => deadline,
            Phase::Over => Duration::ZERO,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub(crate) fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn set_users(&mut self, users: u32, at: Duration, now: Duration) {
        self.events.push(Event::Users(users));
        self.active = users as usize;
        if self.users.len() < self.active {
            self.users.resize(self.active, User::Idle);
        }
        for user in 0..self.active {
            if self.users[user] == User::Idle {
                self.begin(Some(user), at, now);
            }
        }
    }

    fn begin_if_active(&mut self, user: usize, due: Duration, now: Duration) {
        if user < self.active && now < self.plan.shape.duration() {
            self.begin(Some(user), due, now);
        }
    }

    /// Asks one question, as many times at once as the plan amplifies it.
    fn begin(&mut self, user: Option<usize>, due: Duration, now: Duration) {
        self.refresh_if_due(now);
        let iteration = self.begun;
        self.begun += 1;
        if let Some(user) = user {
            self.users[user] = User::Busy { due };
        }
        let mut rng = fastrand::Rng::with_seed(self.seed ^ iteration.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let body = self.plan.target.body(&self.questions.pick(&mut rng));
        let outstanding = self.plan.amplification.get();
        self.iterations.insert(iteration, Iteration { user, due, outstanding });
        self.events.push(Event::Iteration);
        self.waiting.extend((0..outstanding).map(|_| Waiting {
            iteration,
            due,
            body: body.clone(),
        }));
        self.send_waiting(now);
    }

    fn send_waiting(&mut self, now: Duration) {
        while self.in_flight.len() < self.plan.max_in_flight.get() {
            let Some(Waiting { iteration, due, body }) = self.waiting.pop_front() else {
                return;
            };
            let id = self.sent;
            self.sent += 1;
            self.in_flight.insert(
                id,
                InFlight {
                    iteration,
                    due,
                    sent: now,
                },
            );
            self.events.push(Event::Sent);
            self.jobs.push(Job::Send {
                id,
                request: self.plan.target.ask(body),
            });
        }
    }

    fn on_sent(&mut self, id: u64, outcome: Result<(), Failure>, now: Duration) {
        let Some(request) = self.in_flight.remove(&id) else {
            return;
        };
        let response = now.saturating_sub(request.due);
        let service = now.saturating_sub(request.sent);
        self.events.push(match outcome {
            Ok(()) => Event::Answered { response, service },
            Err(failure) => Event::Failed {
                failure,
                response,
                service,
            },
        });
        let Some(iteration) = self.iterations.get_mut(&request.iteration) else {
            return;
        };
        iteration.outstanding -= 1;
        if iteration.outstanding == 0 {
            let Iteration { user, due, .. } = *iteration;
            self.iterations.remove(&request.iteration);
            if let Some(user) = user {
                self.finish(user, due, now);
            }
        }
        self.send_waiting(now);
    }

    /// A user has all answers: the next question comes after a pause, or on the beat.
    fn finish(&mut self, user: usize, due: Duration, now: Duration) {
        let next = match self.plan.pace {
            Pace::Pause(pause) => now + pause,
            Pace::Every(beat) => due + beat,
        };
        // An iteration that took no time at all must not be followed at once: virtual time would stand still.
        let next = if next <= due {
            now + Duration::from_millis(1)
        } else {
            next
        };
        if next <= now {
            self.users[user] = User::Idle;
            self.begin_if_active(user, next, now);
        } else {
            self.users[user] = User::Busy { due: next };
            self.jobs.push(Job::Pause { user, until: next });
        }
    }

    fn refresh_if_due(&mut self, now: Duration) {
        let due = match self.refresh {
            Refresh::Never => self.plan.target.has_audience(),
            Refresh::Reading { .. } => false,
            Refresh::Read { at } => now >= at + REFRESH_INTERVAL,
        };
        if due {
            self.read_questions(now);
        }
    }

    fn read_questions(&mut self, since: Duration) {
        if let Some(request) = self.plan.target.list(&self.questions.query()) {
            self.refresh = Refresh::Reading { since };
            self.events.push(Event::Refreshed);
            self.jobs.push(Job::Refresh { request });
        }
    }

    fn on_refreshed(&mut self, body: Option<Bytes>, now: Duration) {
        let Refresh::Reading { since } = self.refresh else {
            return;
        };
        let page = body.map_or(Page::Last, |body| self.questions.take(&body));
        self.refresh = Refresh::Read { at: since };
        if page == Page::More && self.phase == Phase::Running && now < since + REFRESH_INTERVAL {
            self.read_questions(since);
        }
    }

    fn abort(&mut self, now: Duration) {
        for request in std::mem::take(&mut self.in_flight).into_values() {
            self.events.push(Event::Aborted {
                response: now.saturating_sub(request.due),
            });
        }
        self.phase = Phase::Over;
    }
}

impl Schedule {
    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Users(steps) => steps.peek().map(|(at, _)| *at),
            Self::Arrivals(arrivals) => arrivals.peek().copied(),
        }
    }

    /// The next change that is due: a number of users, or an arrival.
    fn next_before(&mut self, now: Duration, end: Duration) -> Option<(Duration, Option<u32>)> {
        match self {
            // Users who would start at the very end would only be stopped again.
            Self::Users(steps) => steps
                .next_if(|(at, _)| *at <= now && *at < end)
                .map(|(at, users)| (at, Some(users))),
            Self::Arrivals(arrivals) => arrivals.next_if(|at| *at <= now).map(|at| (at, None)),
        }
    }
}
