//! How fast a GPU serves a model, and how much it holds.

use serde::Deserialize;
use serde::Serialize;

/// A GPU that AWS rents out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Gpu {
    /// g4dn.
    T4,
    /// g5.
    A10G,
    /// g6.
    L4,
    /// g6e.
    L40S,
    /// p4d.
    A100,
    /// p5.
    H100,
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The bytes of its weights in 16 bits.
    pub weights: u64,
    /// The bytes of the KV cache one token takes.
    pub kv_bytes: u32,
}

impl Model {
    /// Llama 3.1 with 8 billion parameters.
    pub const LLAMA_8B: Self = Self {
        weights: 16_060_000_000,
        kv_bytes: 131_072,
    };
    /// Mistral with 7 billion parameters.
    pub const MISTRAL_7B: Self = Self {
        weights: 14_500_000_000,
        kv_bytes: 131_072,
    };
}

/// How a model's weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Precision {
    /// 16 bits.
    Bf16,
    /// 8 bits.
    Fp8,
    /// 4 bits.
    Awq,
}

/// How fast an engine works, and how much it holds. Any field may be set from a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Nanoseconds a step takes whatever is in it: reading the weights once.
    pub step_base: u64,
    /// Nanoseconds each sequence in the batch adds to a step.
    pub step_each: u64,
    /// Nanoseconds a prompt takes whatever its length.
    pub prefill_base: u64,
    /// Nanoseconds each token of a prompt takes.
    pub prefill_each: u64,
    /// The tokens the KV cache holds.
    pub kv_tokens: u32,
}

/// A GPU's figures: bandwidth in GB/s, memory in MiB, microseconds a sequence adds to a step, microseconds a token of
/// the prompt takes.
struct Figures {
    bandwidth: f64,
    memory: f64,
    each: f64,
    prompt: f64,
}

/// The share of the bandwidth that reading the weights reaches: what a measured 7B model on an RTX 4090 fits to 1.5 %.
const BANDWIDTH_SHARE: f64 = 0.83;
/// The milliseconds of a step that are not spent on reading weights.
const STEP_OVERHEAD: f64 = 1.0;
/// `--gpu-memory-utilization`.
const MEMORY_SHARE: f64 = 0.9;
/// The bytes vLLM keeps for activations and CUDA graphs: what leaves 15.72 GiB of a 24 GB A10G beside 3.88 GiB of
/// weights, as measured.
const RESERVED: f64 = 0.52 * 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

impl Profile {
    /// The profile of a model on a GPU; nothing when its weights do not fit.
    pub fn new(gpu: Gpu, model: Model, precision: Precision) -> Option<Self> {
        let figures = figures(gpu);
        // What 4 and 8 bits win in time is less than what they win in memory: dequantizing costs.
        let (faster, smaller) = match precision {
            Precision::Bf16 => (1.0, 1.0),
            Precision::Fp8 => (1.7, 2.0),
            Precision::Awq => (2.5, 3.85),
        };
        let weights = float(model.weights);
        let base = (weights / 1e6 / figures.bandwidth / BANDWIDTH_SHARE + STEP_OVERHEAD) / faster;
        let left = figures.memory * MIB * MEMORY_SHARE - weights / smaller - RESERVED;
        let kv_tokens = left / f64::from(model.kv_bytes);
        (kv_tokens >= 16.0).then(|| Self {
            step_base: whole(base * 1e6),
            step_each: whole(figures.each * 1e3),
            prefill_base: 30_000_000,
            prefill_each: whole(figures.prompt * 1e3),
            kv_tokens: u32::try_from(whole(kv_tokens)).unwrap_or(u32::MAX),
        })
    }

    /// The nanoseconds of a step with so many sequences in it.
    pub fn step(&self, batch: usize) -> u64 {
        let batch = u64::try_from(batch).unwrap_or(u64::MAX);
        self.step_base
            .saturating_add(self.step_each.saturating_mul(batch))
            .max(1)
    }

    /// How many steps a prompt takes, in units of which `one` are a step.
    pub(super) fn prefill_steps(&self, prompt_tokens: u32, one: u64) -> u64 {
        let nanos = self
            .prefill_base
            .saturating_add(self.prefill_each.saturating_mul(u64::from(prompt_tokens)));
        let steps = u128::from(nanos) * u128::from(one) / u128::from(self.step_base.max(1));
        u64::try_from(steps).unwrap_or(u64::MAX / 2)
    }
}

fn figures(gpu: Gpu) -> Figures {
    let (bandwidth, memory, each, prompt) = match gpu {
        Gpu::T4 => (320.0, 15_360.0, 800.0, 900.0),
        Gpu::A10G => (600.0, 22_888.0, 350.0, 500.0),
        Gpu::L4 => (300.0, 22_888.0, 450.0, 500.0),
        Gpu::L40S => (864.0, 45_776.0, 200.0, 300.0),
        Gpu::A100 => (1_555.0, 40_536.0, 410.0, 150.0),
        Gpu::H100 => (3_350.0, 81_559.0, 80.0, 80.0),
    };
    Figures {
        bandwidth,
        memory,
        each,
        prompt,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a model's size is known to three digits")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are positive and small"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
