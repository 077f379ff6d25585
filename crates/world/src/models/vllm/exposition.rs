//! The counters and histograms of an engine, and how `/metrics` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

use super::Completion;
use super::Finish;
use super::Gauges;
use super::Request;

const TIME_TO_FIRST_TOKEN: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
const INTER_TOKEN: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];
const LATENCY: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
const ITERATION: [f64; 13] = [
    1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0,
];

const BILLION: u64 = 1_000_000_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Telemetry {
    prompt_tokens: u64,
    generation_tokens: u64,
    finished: BTreeMap<Finish, u64>,
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    latency: Histogram,
    queue_time: Histogram,
    prefill_time: Histogram,
    decode_time: Histogram,
    request_prompt: Histogram,
    request_generation: Histogram,
    iteration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Histogram {
    /// In billionths, as the sum is: an integer is the same after it was written down and read again.
    bounds: Vec<u64>,
    /// Observations up to each bound and not up to the one before; the last are beyond every bound.
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    fn new(bounds: &[f64]) -> Self {
        Self {
            bounds: bounds.iter().map(|bound| billionths(*bound)).collect(),
            counts: vec![0; bounds.len() + 1],
            sum: 0,
        }
    }

    fn time(&mut self, duration: SignedDuration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(0), 1);
    }

    fn number(&mut self, number: u64, times: u64) {
        self.observe(number.saturating_mul(BILLION), times);
    }

    fn observe(&mut self, value: u64, times: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }
}

impl Telemetry {
    pub(super) fn new(max_model_length: u32) -> Self {
        let lengths = lengths(f64::from(max_model_length));
        Self {
            prompt_tokens: 0,
            generation_tokens: 0,
            finished: [Finish::Stop, Finish::Length, Finish::Abort]
                .map(|finish| (finish, 0))
                .into(),
            time_to_first_token: Histogram::new(&TIME_TO_FIRST_TOKEN),
            inter_token_latency: Histogram::new(&INTER_TOKEN),
            latency: Histogram::new(&LATENCY),
            queue_time: Histogram::new(&LATENCY),
            prefill_time: Histogram::new(&LATENCY),
            decode_time: Histogram::new(&LATENCY),
            request_prompt: Histogram::new(&lengths),
            request_generation: Histogram::new(&lengths),
            iteration: Histogram::new(&ITERATION),
        }
    }

    pub(super) fn prefilled(&mut self, prompt_tokens: u32) {
        self.prompt_tokens += u64::from(prompt_tokens);
    }

    pub(super) fn stepped(&mut self, steps: u64, batch: usize) {
        if steps > 0 && batch > 0 {
            self.iteration.number(u64::try_from(batch).unwrap_or(u64::MAX), steps);
        }
    }

    pub(super) fn aborted(&mut self, generated: u32) {
        self.generation_tokens += u64::from(generated);
        *self.finished.entry(Finish::Abort).or_default() += 1;
    }

    pub(super) fn finished(&mut self, request: &Request, completion: &Completion) {
        let generated = request.output_tokens;
        let prefill = completion.first_token.duration_since(completion.admitted);
        let decode = completion.finished.duration_since(completion.first_token);
        self.generation_tokens += u64::from(generated);
        *self.finished.entry(request.finish).or_default() += 1;
        self.time_to_first_token.time(completion.time_to_first_token());
        self.latency.time(completion.latency());
        self.queue_time.time(completion.queue());
        self.prefill_time.time(prefill);
        self.decode_time.time(decode);
        self.request_prompt.number(u64::from(request.prompt_tokens), 1);
        self.request_generation.number(u64::from(generated), 1);
        if generated > 1 {
            let decode = u64::try_from(decode.as_nanos()).unwrap_or(0);
            let each = decode / u64::from(generated);
            self.inter_token_latency.observe(each, u64::from(generated - 1));
        }
    }

    /// `unfinished` tokens belong to requests that still run; `steps` of a batch are not observed yet.
    pub(super) fn exposition(
        &self,
        model: &str,
        gauges: Gauges,
        unfinished: u64,
        (steps, batch): (u64, usize),
    ) -> String {
        let labels = format!("engine=\"0\",model_name=\"{}\"", escaped(model));
        let mut page = Page {
            text: String::new(),
            labels,
        };
        page.gauge(
            "num_requests_running",
            "Number of requests in model execution batches.",
            count(gauges.running),
        );
        page.gauge(
            "num_requests_waiting",
            "Number of requests waiting to be processed.",
            count(gauges.waiting),
        );
        page.gauge(
            "kv_cache_usage_perc",
            "KV-cache usage. 1 means 100 percent usage.",
            gauges.kv_cache_usage,
        );
        page.counter("num_preemptions", "Cumulative number of preemption from the engine.", 0);
        page.counter(
            "prefix_cache_queries",
            "Prefix cache queries, in terms of number of queried tokens.",
            self.prompt_tokens,
        );
        page.counter(
            "prefix_cache_hits",
            "Prefix cache hits, in terms of number of cached tokens.",
            0,
        );
        page.counter(
            "prompt_tokens",
            "Number of prefill tokens processed.",
            self.prompt_tokens,
        );
        page.counter(
            "generation_tokens",
            "Number of generation tokens processed.",
            self.generation_tokens + unfinished,
        );
        page.finished(&self.finished);
        let mut iteration = self.iteration.clone();
        if steps > 0 && batch > 0 {
            iteration.number(u64::try_from(batch).unwrap_or(u64::MAX), steps);
        }
        let histograms = [
            (
                "time_to_first_token_seconds",
                "Histogram of time to first token in seconds.",
                &self.time_to_first_token,
            ),
            (
                "inter_token_latency_seconds",
                "Histogram of inter-token latency in seconds.",
                &self.inter_token_latency,
            ),
            (
                "e2e_request_latency_seconds",
                "Histogram of e2e request latency in seconds.",
                &self.latency,
            ),
            (
                "request_queue_time_seconds",
                "Histogram of time spent in WAITING phase for request.",
                &self.queue_time,
            ),
            (
                "request_prefill_time_seconds",
                "Histogram of time spent in PREFILL phase for request.",
                &self.prefill_time,
            ),
            (
                "request_decode_time_seconds",
                "Histogram of time spent in DECODE phase for request.",
                &self.decode_time,
            ),
            (
                "request_prompt_tokens",
                "Number of prefill tokens processed.",
                &self.request_prompt,
            ),
            (
                "request_generation_tokens",
                "Number of generation tokens processed.",
                &self.request_generation,
            ),
            (
                "iteration_tokens_total",
                "Histogram of number of tokens per engine_step.",
                &iteration,
            ),
        ];
        for (name, help, histogram) in histograms {
            page.histogram(name, help, histogram);
        }
        page.text
    }
}

struct Page {
    text: String,
    labels: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.head(&name, help, "counter");
        self.sample(&name, "", float(value));
    }

    fn finished(&mut self, finished: &BTreeMap<Finish, u64>) {
        self.head(
            "request_success_total",
            "Count of successfully processed requests.",
            "counter",
        );
        for (finish, count) in finished {
            let reason = match finish {
                Finish::Stop => "stop",
                Finish::Length => "length",
                Finish::Abort => "abort",
            };
            let label = format!(",finished_reason=\"{reason}\"");
            self.sample("request_success_total", &label, float(*count));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut total = 0;
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            total += count;
            self.sample(&bucket, &format!(",le=\"{:?}\"", from_billionths(*bound)), float(total));
        }
        let total = float(histogram.counts.iter().sum());
        self.sample(&bucket, ",le=\"+Inf\"", total);
        self.sample(&format!("{name}_count"), "", total);
        self.sample(&format!("{name}_sum"), "", from_billionths(histogram.sum));
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let wrote = write!(self.text, "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}\n");
        wrote.expect("a string takes every write");
    }

    fn sample(&mut self, name: &str, more: &str, value: f64) {
        let labels = &self.labels;
        let wrote = writeln!(self.text, "vllm:{name}{{{labels}{more}}} {value:?}");
        wrote.expect("a string takes every write");
    }
}

/// 1, 2, 5, 10, 20, 50 and so on, up to the longest request.
fn lengths(longest: f64) -> Vec<f64> {
    let decades = (0..).map(|power| 10_f64.powi(power));
    let bounds = decades.flat_map(|decade| [decade, 2.0 * decade, 5.0 * decade]);
    bounds.take_while(|bound| *bound <= longest).collect()
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are positive and small"
)]
fn billionths(bound: f64) -> u64 {
    (bound * float(BILLION)).round() as u64
}

fn from_billionths(value: u64) -> f64 {
    float(value) / float(BILLION)
}

#[expect(clippy::cast_precision_loss, reason = "the exposition format has floats only")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "the exposition format has floats only")]
fn count(value: usize) -> f64 {
    value as f64
}
