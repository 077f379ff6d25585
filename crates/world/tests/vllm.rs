//! A vLLM engine queues, batches and reports as a measured one does.

use jiff::SignedDuration;
use jiff::Timestamp;
use tubectl_world::models::vllm::Engine;
use tubectl_world::models::vllm::Finish;
use tubectl_world::models::vllm::Gpu;
use tubectl_world::models::vllm::Model;
use tubectl_world::models::vllm::Precision;
use tubectl_world::models::vllm::Profile;
use tubectl_world::models::vllm::Rejection;
use tubectl_world::models::vllm::Request;
use tubectl_world::models::vllm::RequestId;
use tubectl_world::models::vllm::Settings;

/// Steps of 10 ms and 1 ms for each sequence; prompts of 20 ms; room for ten times 160 tokens.
const ROUND: Profile = Profile {
    step_base: 10_000_000,
    step_each: 1_000_000,
    prefill_base: 20_000_000,
    prefill_each: 0,
    kv_tokens: 1600,
};

fn engine(max_sequences: usize, profile: Profile) -> Engine {
    let settings = Settings {
        model_name: "mistral".into(),
        max_sequences,
        max_model_length: 4096,
        profile,
    };
    Engine::new(settings, at(0.0))
}

fn request(id: u64, prompt_tokens: u32, output_tokens: u32) -> Request {
    Request {
        id: RequestId(id),
        prompt_tokens,
        output_tokens,
        finish: Finish::Stop,
    }
}

fn at(second: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::try_from_secs_f64(second).expect("a second of a test")
}

fn micros(timestamp: Timestamp) -> i64 {
    timestamp.as_microsecond()
}

#[test]
fn a_request_alone_takes_its_prompt_and_one_step_a_token() {
    let mut engine = engine(4, ROUND);
    engine.submit(request(1, 10, 10), at(1.0)).unwrap();
    // Two steps for the prompt, ten for the tokens, 11 ms each.
    assert_eq!(micros(engine.next_event().unwrap()), 1_132_000);
    assert!(engine.advance(at(1.131)).is_empty());
    let done = engine.advance(at(5.0));
    assert_eq!(micros(done[0].first_token), 1_022_000);
    assert_eq!(micros(done[0].finished), 1_132_000);
    assert_eq!(done[0].queue(), SignedDuration::ZERO);
    assert_eq!(engine.next_event(), None);
}

#[test]
fn a_neighbour_slows_a_request_from_its_arrival_on() {
    let mut engine = engine(4, ROUND);
    engine.submit(request(1, 10, 10), at(0.0)).unwrap();
    // Six steps are done by then; the other six take 12 ms each.
    engine.submit(request(2, 10, 100), at(0.066)).unwrap();
    let done = engine.advance(at(1.0));
    assert_eq!((done[0].id, micros(done[0].finished)), (RequestId(1), 138_000));
}

#[test]
fn the_queue_is_first_come_first_served_and_is_counted() {
    let mut engine = engine(1, ROUND);
    for id in 1..=3 {
        engine.submit(request(id, 10, 8), at(0.0)).unwrap();
    }
    let gauges = engine.gauges(at(0.0));
    assert_eq!((gauges.running, gauges.waiting), (1, 2));
    let done = engine.advance(at(1.0));
    let seen: Vec<(u64, i64, i64)> = done
        .iter()
        .map(|done| {
            (
                done.id.0,
                i64::try_from(done.queue().as_micros()).unwrap(),
                micros(done.finished),
            )
        })
        .collect();
    assert_eq!(seen, [(1, 0, 110_000), (2, 110_000, 220_000), (3, 220_000, 330_000)]);
    assert_eq!(done[2].time_to_first_token(), SignedDuration::from_millis(242));
}

#[test]
fn a_full_cache_makes_requests_wait_though_the_batch_has_room() {
    let mut engine = engine(100, ROUND);
    for id in 0..12 {
        engine.submit(request(id, 100, 60), at(0.0)).unwrap();
    }
    let gauges = engine.gauges(at(0.0));
    assert_eq!((gauges.running, gauges.waiting), (10, 2));
    let held = engine.gauges(at(1.0)).kv_cache_usage;
    assert!(
        held > gauges.kv_cache_usage && held <= 1.0,
        "the cache fills while tokens come: {held}"
    );
    assert_eq!(engine.advance(at(60.0)).len(), 12);
    assert!(
        engine.gauges(at(60.0)).kv_cache_usage.abs() < 1e-9,
        "an idle engine holds nothing"
    );
}

#[test]
fn an_abort_makes_room_and_is_counted() {
    let mut engine = engine(1, ROUND);
    engine.submit(request(1, 10, 1000), at(0.0)).unwrap();
    engine.submit(request(2, 10, 8), at(0.0)).unwrap();
    engine.submit(request(3, 10, 8), at(0.0)).unwrap();
    assert!(engine.abort(RequestId(2), at(0.5)).is_empty());
    assert!(engine.abort(RequestId(1), at(1.1)).is_empty());
    let done = engine.advance(at(9.0));
    assert_eq!(done.len(), 1);
    assert_eq!(micros(done[0].finished), 1_210_000);
    let metrics = engine.metrics(at(9.0));
    let expected = "vllm:request_success_total{engine=\"0\",model_name=\"mistral\",finished_reason=\"abort\"} 2.0";
    assert!(metrics.contains(expected), "{metrics}");
    // 98 tokens of the first, 8 of the third.
    assert!(
        metrics.contains("vllm:generation_tokens_total{engine=\"0\",model_name=\"mistral\"} 106.0"),
        "{metrics}"
    );
}

#[test]
fn what_never_fits_is_refused_with_the_limit() {
    let mut engine = engine(8, ROUND);
    let mut check = |request: Request, expected: &str| {
        let rejection: Rejection = engine.submit(request, at(0.0)).unwrap_err();
        assert_eq!(rejection.to_string(), expected);
    };
    check(
        request(1, 4000, 200),
        "this model's maximum context length is 4096 tokens, but 4200 were asked for; shorten the prompt or `max_tokens`",
    );
    check(
        request(1, 2000, 10),
        "2010 tokens do not fit in the KV cache of 1600; use a larger GPU or a shorter prompt",
    );
    engine.submit(request(1, 10, 10), at(0.0)).unwrap();
    let rejection = engine.submit(request(1, 10, 10), at(0.0)).unwrap_err();
    assert_eq!(rejection, Rejection::InUse { id: RequestId(1) });
}

#[test]
fn profiles_have_the_published_throughput() {
    let check = |gpu, model, precision, tokens: f64, memory: std::ops::RangeInclusive<u32>| {
        let profile = Profile::new(gpu, model, precision).unwrap();
        let step = profile.step(32);
        let throughput = 32.0 / (f64::from(u32::try_from(step).unwrap()) / 1e9);
        let off = (throughput - tokens).abs() / tokens;
        assert!(off < 0.12, "{gpu:?}: {throughput} tokens a second, not {tokens}");
        assert!(
            memory.contains(&profile.kv_tokens),
            "{gpu:?}: {} tokens",
            profile.kv_tokens
        );
    };
    check(Gpu::A10G, Model::LLAMA_8B, Precision::Bf16, 720.0, 28_000..=40_000);
    check(Gpu::L4, Model::LLAMA_8B, Precision::Bf16, 400.0, 28_000..=40_000);
    check(Gpu::L40S, Model::LLAMA_8B, Precision::Bf16, 1090.0, 170_000..=210_000);
    check(Gpu::H100, Model::LLAMA_8B, Precision::Bf16, 3350.0, 380_000..=470_000);
    check(Gpu::T4, Model::LLAMA_8B, Precision::Awq, 700.0, 55_000..=80_000);
    // Measured: 15.72 GiB of cache, 128 800 tokens.
    check(Gpu::A10G, Model::MISTRAL_7B, Precision::Awq, 1390.0, 125_000..=132_000);
    assert_eq!(Profile::new(Gpu::T4, Model::LLAMA_8B, Precision::Bf16), None);
}

#[test]
fn a_burst_of_fifty_leaves_eighteen_waiting() {
    let profile = Profile::new(Gpu::A10G, Model::LLAMA_8B, Precision::Bf16).unwrap();
    let mut engine = engine(32, profile);
    for id in 0..50 {
        engine.submit(request(id, 60, 50), at(0.0)).unwrap();
    }
    let gauges = engine.gauges(at(0.0));
    assert_eq!((gauges.running, gauges.waiting), (32, 18));
}

#[test]
fn how_often_it_is_advanced_does_not_matter_nor_does_a_restore() {
    let finish = |step: Option<f64>| {
        let mut engine = engine(8, ROUND);
        for id in 0..40 {
            let tokens = u32::try_from(id % 7).unwrap() + 5;
            engine.submit(request(id, 20, tokens), at(0.0)).unwrap();
        }
        let mut done = Vec::new();
        if let Some(step) = step {
            for tick in 1..200 {
                done.extend(engine.advance(at(step * f64::from(tick))));
                let written = serde_json::to_string(&engine).unwrap();
                engine = serde_json::from_str(&written).unwrap();
            }
        }
        done.extend(engine.advance(at(100.0)));
        (done, engine.metrics(at(100.0)))
    };
    let (whole, metrics) = finish(None);
    assert_eq!(whole.len(), 40);
    let (stepped, stepped_metrics) = finish(Some(0.0137));
    assert!(stepped == whole, "the same completions");
    assert!(stepped_metrics == metrics, "the same metrics");
}

#[test]
fn metrics_are_in_prometheus_format_with_vllm_names() {
    let mut engine = engine(2, ROUND);
    engine.submit(request(1, 10, 10), at(0.0)).unwrap();
    engine.submit(request(2, 10, 100), at(0.0)).unwrap();
    engine.submit(request(3, 10, 100), at(0.0)).unwrap();
    engine.advance(at(0.5));
    let text = engine.metrics(at(0.5));
    let short: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("_bucket") && !line.starts_with("# HELP"))
        .collect();
    insta::assert_snapshot!(short.join("\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("vllm:") && name.ends_with('}'), "{line}");
        value.parse::<f64>().unwrap();
    }
    assert!(
        text.contains("vllm:time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"mistral\",le=\"0.04\"} 1.0")
    );
}

#[test]
fn a_hundred_thousand_requests_all_complete_in_order_of_the_queue() {
    let profile = Profile::new(Gpu::A10G, Model::LLAMA_8B, Precision::Awq).unwrap();
    let mut engine = engine(32, profile);
    let mut done = 0;
    for id in 0..100_000_u32 {
        let now = at(f64::from(id) * 0.04);
        done += engine.submit(request(u64::from(id), 60, 50), now).unwrap().len();
    }
    done += engine.advance(at(1e6)).len();
    assert_eq!(done, 100_000);
}
