//! The batch and the queue of one vLLM engine.
//!
//! All running sequences advance one token a step, and a step with `B` of them takes `base + each * B`. So between two
//! admissions or completions progress is linear, and the engine is moved from one of these events to the next, never
//! by ticks: a request costs a few ordered-set operations, whatever its length. Progress and time are integers, so that
//! the same calls give the same answers to the nanosecond, also after a restore.
//!
//! It never makes up a token's text and knows no HTTP; it tells when a request is done, and what `/metrics` would say.

mod exposition;
mod profile;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

pub use profile::Gpu;
pub use profile::Model;
pub use profile::Precision;
pub use profile::Profile;

use exposition::Telemetry;

/// Progress is counted in billionths of a step.
const STEP: u64 = 1_000_000_000;
/// The tokens of a block of the KV cache.
const BLOCK: u32 = 16;

/// How an engine was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `--served-model-name`, the label of every metric.
    pub model_name: String,
    /// `--max-num-seqs`.
    pub max_sequences: usize,
    /// `--max-model-len`.
    pub max_model_length: u32,
    /// How fast the GPU works, and how much it holds.
    pub profile: Profile,
}

/// Names one request of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What an engine is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name, not used by another request that is not done.
    pub id: RequestId,
    /// The length of the prompt.
    pub prompt_tokens: u32,
    /// How many tokens it will generate.
    pub output_tokens: u32,
    /// Why it will end.
    pub finish: Finish,
}

/// Why a request ends, as `finished_reason` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The client went away.
    Abort,
}

/// A request that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Its name.
    pub id: RequestId,
    /// When it came in.
    pub arrived: Timestamp,
    /// When it left the queue.
    pub admitted: Timestamp,
    /// When its first token was there.
    pub first_token: Timestamp,
    /// When its last token was there.
    pub finished: Timestamp,
}

impl Completion {
    /// How long it waited for a place in the batch.
    pub fn queue(&self) -> SignedDuration {
        self.admitted.duration_since(self.arrived)
    }

    /// How long its client waited for the first token.
    pub fn time_to_first_token(&self) -> SignedDuration {
        self.first_token.duration_since(self.arrived)
    }

    /// How long its client waited for all of it.
    pub fn latency(&self) -> SignedDuration {
        self.finished.duration_since(self.arrived)
    }
}

/// Why an engine does not take a request: its API answers 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Longer than the engine was started for.
    #[error(
        "this model's maximum context length is {limit} tokens, but {asked} were asked for; shorten the prompt or `max_tokens`"
    )]
    TooLong {
        /// What was asked for.
        asked: u32,
        /// What fits.
        limit: u32,
    },
    /// Longer than the whole KV cache.
    #[error("{asked} tokens do not fit in the KV cache of {limit}; use a larger GPU or a shorter prompt")]
    NeverFits {
        /// What was asked for.
        asked: u32,
        /// What fits.
        limit: u32,
    },
    /// A name that is in use.
    #[error("request {} is not done yet; name the new one otherwise", id.0)]
    InUse {
        /// The name.
        id: RequestId,
    },
}

/// The gauges of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gauges {
    /// `vllm:num_requests_running`.
    pub running: usize,
    /// `vllm:num_requests_waiting`.
    pub waiting: usize,
    /// `vllm:kv_cache_usage_perc`, from 0 to 1.
    pub kv_cache_usage: f64,
}

/// One vLLM engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    settings: Settings,
    /// The batch last changed at `anchor`, when its progress was `progress`.
    anchor: Timestamp,
    progress: u64,
    arrivals: u64,
    waiting: BTreeMap<u64, Waiting>,
    running: BTreeMap<RequestId, Running>,
    /// Where each waiting request stands in the queue.
    places: BTreeMap<RequestId, u64>,
    /// The progress at which each running request has its first token, and its last.
    first_tokens: BTreeSet<(u64, RequestId)>,
    last_tokens: BTreeSet<(u64, RequestId)>,
    free_blocks: u32,
    telemetry: Telemetry,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Waiting {
    request: Request,
    arrived: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Running {
    request: Request,
    arrived: Timestamp,
    admitted: Timestamp,
    first_due: u64,
    last_due: u64,
    first_token: Option<Timestamp>,
}

impl Engine {
    /// An engine that is ready and idle.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let telemetry = Telemetry::new(settings.max_model_length);
        Self {
            anchor: now,
            progress: 0,
            arrivals: 0,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            places: BTreeMap::new(),
            first_tokens: BTreeSet::new(),
            last_tokens: BTreeSet::new(),
            free_blocks: settings.profile.kv_tokens / BLOCK,
            settings,
            telemetry,
        }
    }

    /// Takes a request in. Completions up to `now` are returned: they may be what makes room for it.
    pub fn submit(&mut self, request: Request, now: Timestamp) -> Result<Vec<Completion>, Rejection> {
        let asked = request.prompt_tokens.saturating_add(request.output_tokens);
        let limit = self.settings.max_model_length;
        if asked > limit {
            return Err(Rejection::TooLong { asked, limit });
        }
        let limit = self.settings.profile.kv_tokens / BLOCK * BLOCK;
        if blocks(&request) * BLOCK > limit {
            return Err(Rejection::NeverFits { asked, limit });
        }
        let id = request.id;
        let completions = self.advance(now);
        if self.places.contains_key(&id) || self.running.contains_key(&id) {
            return Err(Rejection::InUse { id });
        }
        self.places.insert(id, self.arrivals);
        self.waiting.insert(self.arrivals, Waiting { request, arrived: now });
        self.arrivals += 1;
        self.admit(now);
        Ok(completions)
    }

    /// Drops a request whose client went away. Completions up to `now` are returned; it may be among them.
    pub fn abort(&mut self, id: RequestId, now: Timestamp) -> Vec<Completion> {
        let completions = self.advance(now);
        if let Some(place) = self.places.remove(&id) {
            self.waiting.remove(&place);
            self.telemetry.aborted(0);
        } else if self.running.contains_key(&id) {
            self.settle(now);
            let generated = self
                .running
                .get(&id)
                .map_or(0, |running| Self::generated(running, self.progress));
            self.leave(id);
            self.telemetry.aborted(generated);
            self.admit(now);
        }
        completions
    }

    /// Moves the engine to `now` and returns what was completed on the way, in order.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Completion> {
        let mut completions = Vec::new();
        while let Some((due, id, last)) = self.next_token() {
            let at = self.when(due);
            if at > now {
                break;
            }
            if last {
                completions.extend(self.complete(id, due, at));
                self.admit(at);
            } else {
                self.first_tokens.remove(&(due, id));
                if let Some(running) = self.running.get_mut(&id) {
                    running.first_token = Some(at);
                    self.telemetry.prefilled(running.request.prompt_tokens);
                }
            }
        }
        completions
    }

    /// When the next request will be done, if nothing else happens.
    pub fn next_event(&self) -> Option<Timestamp> {
        let (due, _) = self.last_tokens.first()?;
        Some(self.when(*due))
    }

    /// The gauges, as of the last call that moved the engine to `now`.
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        let progress = self.progress_at(now);
        let held: u32 = self
            .running
            .values()
            .map(|running| (running.request.prompt_tokens + Self::generated(running, progress)).div_ceil(BLOCK))
            .sum();
        let blocks = (self.settings.profile.kv_tokens / BLOCK).max(1);
        Gauges {
            running: self.running.len(),
            waiting: self.waiting.len(),
            kv_cache_usage: f64::from(held) / f64::from(blocks),
        }
    }

    /// The body of `/metrics`, as of the last call that moved the engine to `now`.
    pub fn metrics(&self, now: Timestamp) -> String {
        let progress = self.progress_at(now);
        let running = self.running.values();
        let unfinished: u64 = running
            .map(|running| u64::from(Self::generated(running, progress)))
            .sum();
        let steps = self.steps_since_anchor(progress);
        let batch = self.running.len();
        self.telemetry
            .exposition(&self.settings.model_name, self.gauges(now), unfinished, (steps, batch))
    }

    fn admit(&mut self, now: Timestamp) {
        while self.running.len() < self.settings.max_sequences {
            let Some(entry) = self.waiting.first_entry() else {
                return;
            };
            let Waiting { request, arrived } = *entry.get();
            let Some(free) = self.free_blocks.checked_sub(blocks(&request)) else {
                return;
            };
            entry.remove();
            self.settle(now);
            self.free_blocks = free;
            self.places.remove(&request.id);
            let prefill = self.settings.profile.prefill_steps(request.prompt_tokens, STEP);
            let first_due = self.progress + prefill;
            let last_due = first_due + u64::from(request.output_tokens) * STEP;
            self.first_tokens.insert((first_due, request.id));
            self.last_tokens.insert((last_due, request.id));
            let running = Running {
                request,
                arrived,
                admitted: now,
                first_due,
                last_due,
                first_token: None,
            };
            self.running.insert(request.id, running);
        }
    }

    fn complete(&mut self, id: RequestId, due: u64, at: Timestamp) -> Option<Completion> {
        self.settle_at(due, at);
        let running = self.leave(id)?;
        let completion = Completion {
            id,
            arrived: running.arrived,
            admitted: running.admitted,
            first_token: running.first_token.unwrap_or(at),
            finished: at,
        };
        self.telemetry.finished(&running.request, &completion);
        Some(completion)
    }

    fn leave(&mut self, id: RequestId) -> Option<Running> {
        let running = self.running.remove(&id)?;
        self.first_tokens.remove(&(running.first_due, id));
        self.last_tokens.remove(&(running.last_due, id));
        self.free_blocks += blocks(&running.request);
        Some(running)
    }

    /// The next token that matters: the first or the last of a request.
    fn next_token(&self) -> Option<(u64, RequestId, bool)> {
        let first = self.first_tokens.first().map(|(due, id)| (*due, *id, false));
        let last = self.last_tokens.first().map(|(due, id)| (*due, *id, true));
        match (first, last) {
            (Some(first), Some(last)) => Some(if first.0 <= last.0 { first } else { last }),
            (first, last) => first.or(last),
        }
    }

    /// Makes `now` the anchor: the batch is about to change.
    fn settle(&mut self, now: Timestamp) {
        let progress = self.progress_at(now);
        self.settle_at(progress, now);
    }

    fn settle_at(&mut self, progress: u64, now: Timestamp) {
        self.telemetry
            .stepped(self.steps_since_anchor(progress), self.running.len());
        self.progress = progress;
        self.anchor = now;
    }

    fn steps_since_anchor(&self, progress: u64) -> u64 {
        progress / STEP - self.progress / STEP
    }

    fn progress_at(&self, now: Timestamp) -> u64 {
        if self.running.is_empty() {
            return self.progress;
        }
        let elapsed = u128::try_from(now.duration_since(self.anchor).as_nanos()).unwrap_or(0);
        let made = elapsed * u128::from(STEP) / u128::from(self.step_nanos());
        self.progress.saturating_add(u64::try_from(made).unwrap_or(u64::MAX))
    }

    /// The time at which progress reaches `due`, with the batch as it is.
    fn when(&self, due: u64) -> Timestamp {
        let left = u128::from(due.saturating_sub(self.progress));
        let nanos = (left * u128::from(self.step_nanos())).div_ceil(u128::from(STEP));
        let ahead = SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        self.anchor.checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn step_nanos(&self) -> u64 {
        self.settings.profile.step(self.running.len())
    }

    fn generated(running: &Running, progress: u64) -> u32 {
        let tokens = progress.saturating_sub(running.first_due) / STEP;
        u32::try_from(tokens)
            .unwrap_or(u32::MAX)
            .min(running.request.output_tokens)
    }
}

fn blocks(request: &Request) -> u32 {
    request
        .prompt_tokens
        .saturating_add(request.output_tokens)
        .div_ceil(BLOCK)
}
