//! A model server in a pod: `OpenAI`'s API, `/health` and `/metrics` in front of one engine.
//!
//! The engine says when a request is done; what the answer reads is made up here, the same for the same prompt.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::core::Output;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Response;
use crate::core::Ticket;
use crate::core::Tickets;
use crate::core::plain;
use crate::models::vllm::Completion;
use crate::models::vllm::Engine;
use crate::models::vllm::Finish;
use crate::models::vllm::Gpu;
use crate::models::vllm::Model;
use crate::models::vllm::Precision;
use crate::models::vllm::Profile;
use crate::models::vllm::Request as Work;
use crate::models::vllm::RequestId;
use crate::models::vllm::Settings;

/// What a pod answered: together with what others answered it is what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Requests for a completion that were answered.
    pub answered: u64,
    /// Requests for a completion that were refused: an unknown model, too long a prompt.
    pub refused: u64,
    /// Requests whose client went away, or whose pod did.
    pub aborted: u64,
}

/// A running model server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Server {
    /// The uid of its pod and how often its container had been restarted.
    pub(super) identity: (String, u64),
    pub(super) served: Served,
    engine: Engine,
    names: Vec<String>,
    model: String,
    since: Timestamp,
    next: u64,
    // By number of the request.
    waiting: BTreeMap<u64, Waiting>,
}

/// Whom an answer is owed to, and what it will be.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    ticket: Ticket,
    form: Form,
    streamed: bool,
    model: String,
    seed: u64,
    work: Work,
}

/// Which of the two interfaces was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    Completion,
    Chat,
}

/// What a client asks for.
#[derive(Debug, Deserialize)]
struct Ask {
    model: Option<String>,
    prompt: Option<Value>,
    messages: Option<Vec<Value>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    ignore_eos: bool,
}

/// The port that vLLM's arguments make it listen at.
pub(crate) fn port(arguments: &[String]) -> u16 {
    let value = argument(arguments, "--port").and_then(|port| port.parse().ok());
    value.unwrap_or(8000)
}

/// Whether vLLM's server answers a GET of this path with 200.
pub(crate) fn knows_path(path: &str) -> bool {
    ["/health", "/ping", "/load", "/version", "/metrics", "/v1/models"].contains(&path)
}

/// How vLLM starts with these arguments on a machine of this type; none if it refuses to.
pub(crate) fn settings(arguments: &[String], instance_type: &str) -> Option<Settings> {
    let model = argument(arguments, "--model")
        .or_else(|| {
            arguments
                .first()
                .map(String::as_str)
                .filter(|word| !word.starts_with('-'))
        })
        .unwrap_or("facebook/opt-125m");
    let number = |name: &str, default: u32| match argument(arguments, name) {
        None => Some(default),
        Some(value) => value.parse::<u32>().ok().filter(|number| *number > 0),
    };
    let lower = model.to_ascii_lowercase();
    let figures = if lower.contains("llama") {
        Model::LLAMA_8B
    } else {
        Model::MISTRAL_7B
    };
    let quantization = argument(arguments, "--quantization").unwrap_or(&lower);
    let precision = if ["awq", "gptq", "int4"].iter().any(|word| quantization.contains(word)) {
        Precision::Awq
    } else if quantization.contains("fp8") {
        Precision::Fp8
    } else {
        Precision::Bf16
    };
    Some(Settings {
        model_name: argument(arguments, "--served-model-name").unwrap_or(model).to_owned(),
        max_sequences: usize::try_from(number("--max-num-seqs", 256)?).ok()?,
        max_model_length: number("--max-model-len", 32_768)?,
        profile: Profile::new(gpu(instance_type), figures, precision)?,
    })
}

/// The GPU in a machine; an A10G where the type does not tell.
fn gpu(instance_type: &str) -> Gpu {
    match instance_type.split('.').next().unwrap_or_default() {
        "g4dn" => Gpu::T4,
        "g6" | "gr6" => Gpu::L4,
        "g6e" => Gpu::L40S,
        "p4d" | "p4de" => Gpu::A100,
        "p5" | "p5e" | "p5en" => Gpu::H100,
        _ => Gpu::A10G,
    }
}

/// The value of an option, written `--name value` or `--name=value`.
fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, word)| {
        let rest = word.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(index + 1).map(String::as_str),
            None => None,
        }
    })
}

impl Server {
    /// A server that begins to answer now.
    pub(super) fn start(settings: Settings, identity: (String, u64), now: Timestamp) -> Self {
        let model = settings.model_name.clone();
        Self {
            identity,
            served: Served::default(),
            engine: Engine::new(settings, now),
            names: vec![model.clone()],
            model,
            since: now,
            next: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// How many requests it has not answered yet.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// When the next answer is due.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.engine.next_event()
    }

    /// Gives the answers that are due.
    pub(super) fn advance(&mut self, now: Timestamp, tickets: &mut Tickets) {
        let done = self.engine.advance(now);
        self.finish(&done, tickets);
    }

    /// Answers one request, or promises to.
    pub(super) fn handle(&mut self, request: &Request, now: Timestamp, tickets: &mut Tickets) -> Reply {
        let path = request.uri().path().trim_end_matches('/');
        match (request.method().as_str(), path) {
            ("POST", "/v1/completions") => self.complete(request, Form::Completion, now, tickets),
            ("POST", "/v1/chat/completions") => self.complete(request, Form::Chat, now, tickets),
            ("GET", "/metrics") => Reply::Answer(self.metrics(now, tickets)),
            ("GET", "/v1/models") => Reply::Answer(answer(StatusCode::OK, &self.models())),
            ("GET", "/version") => Reply::Answer(answer(StatusCode::OK, &json!({"version": "0.13.0"}))),
            ("GET", "/load") => Reply::Answer(answer(StatusCode::OK, &json!({"server_load": self.in_flight()}))),
            ("GET" | "POST", "/health" | "/ping") => Reply::Answer(Response::new(Bytes::new())),
            _ => Reply::Answer(answer(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"}))),
        }
    }

    /// The body of `/metrics` now.
    pub(super) fn metrics(&mut self, now: Timestamp, tickets: &mut Tickets) -> Response {
        self.advance(now, tickets);
        plain(StatusCode::OK, self.engine.metrics(now).trim_end())
    }

    /// Drops the request of a client that went away; says whether it was this server's.
    pub(super) fn abandon(&mut self, ticket: Ticket, now: Timestamp, tickets: &mut Tickets) -> bool {
        let Some(number) = self
            .waiting
            .iter()
            .find(|(_, one)| one.ticket == ticket)
            .map(|(number, _)| *number)
        else {
            return false;
        };
        let waiting = self.waiting.remove(&number);
        self.served.aborted += u64::from(waiting.is_some());
        let done = self.engine.abort(RequestId(number), now);
        self.finish(&done, tickets);
        true
    }

    /// Ends with its pod: whoever waits gets what a broken connection gives.
    pub(super) fn stop(mut self, tickets: &mut Tickets) -> Served {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            self.served.aborted += 1;
            if waiting.streamed {
                tickets.emit(Output::End(waiting.ticket));
            } else {
                let text = "connection reset: the pod ended before it answered";
                tickets.emit(Output::Answer(waiting.ticket, plain(StatusCode::BAD_GATEWAY, text)));
            }
        }
        self.served
    }

    fn complete(&mut self, request: &Request, form: Form, now: Timestamp, tickets: &mut Tickets) -> Reply {
        let ask: Ask = match serde_json::from_slice(request.body()) {
            Ok(ask) => ask,
            Err(error) => {
                return self.refuse(StatusCode::BAD_REQUEST, "BadRequestError", None, &error.to_string());
            }
        };
        let model = ask.model.clone().unwrap_or_else(|| self.model.clone());
        if !self.names.contains(&model) {
            let text = format!("The model `{model}` does not exist.");
            return self.refuse(StatusCode::NOT_FOUND, "NotFoundError", Some("model"), &text);
        }
        let prompt = prompt(&ask);
        let seed = fingerprint(&prompt);
        self.next += 1;
        let work = self.work(&ask, form, &prompt, seed);
        match self.engine.submit(work, now) {
            Ok(done) => {
                self.finish(&done, tickets);
                let ticket = tickets.issue();
                let streamed = ask.stream;
                let waiting = Waiting {
                    ticket,
                    form,
                    streamed,
                    model,
                    seed,
                    work,
                };
                self.waiting.insert(work.id.0, waiting);
                if streamed {
                    return Reply::Stream(event_stream(), ticket);
                }
                Reply::Later(ticket)
            }
            Err(rejection) => {
                let text = rejection.to_string();
                self.refuse(StatusCode::BAD_REQUEST, "BadRequestError", None, &text)
            }
        }
    }

    /// How much work a request is: the model ends by itself somewhere, or where the client wants it to.
    fn work(&self, ask: &Ask, form: Form, prompt: &str, seed: u64) -> Work {
        let prompt_tokens = tokens(prompt);
        let limit = ask.max_completion_tokens.or(ask.max_tokens);
        let limit = limit.unwrap_or(if form == Form::Chat { u32::MAX } else { 16 });
        let natural = 30 + u32::try_from(seed % 90).unwrap_or(0);
        let cut = ask.ignore_eos || limit < natural;
        Work {
            id: RequestId(self.next),
            prompt_tokens,
            output_tokens: if cut { limit.clamp(1, 4096) } else { natural },
            finish: if cut { Finish::Length } else { Finish::Stop },
        }
    }

    fn refuse(&mut self, status: StatusCode, kind: &str, parameter: Option<&str>, text: &str) -> Reply {
        self.served.refused += 1;
        let error = json!({"message": text, "type": kind, "param": parameter, "code": status.as_u16()});
        Reply::Answer(answer(status, &json!({"error": error})))
    }

    fn finish(&mut self, done: &[Completion], tickets: &mut Tickets) {
        for completion in done {
            let Some(waiting) = self.waiting.remove(&completion.id.0) else {
                continue;
            };
            self.served.answered += 1;
            let body = waiting.body(completion);
            if waiting.streamed {
                tickets.emit(Output::Chunk(waiting.ticket, Bytes::from(waiting.events(&body))));
                tickets.emit(Output::End(waiting.ticket));
            } else {
                tickets.emit(Output::Answer(waiting.ticket, answer(StatusCode::OK, &body)));
            }
        }
    }

    fn models(&self) -> Value {
        let card = |name: &String| json!({"id": name, "object": "model", "created": self.since.as_second(), "owned_by": "vllm"});
        json!({"object": "list", "data": self.names.iter().map(card).collect::<Vec<_>>()})
    }
}

impl Waiting {
    fn body(&self, completion: &Completion) -> Value {
        let text = text(self.seed, self.work.output_tokens);
        let reason = if self.work.finish == Finish::Length {
            "length"
        } else {
            "stop"
        };
        let (prefix, object, content) = match self.form {
            Form::Completion => ("cmpl", "text_completion", json!({"text": text})),
            Form::Chat => {
                let message = json!({"role": "assistant", "content": text});
                ("chatcmpl", "chat.completion", json!({"message": message}))
            }
        };
        let mut choice = content;
        choice["index"] = json!(0);
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = json!(reason);
        choice["stop_reason"] = Value::Null;
        json!({
            "id": format!("{prefix}-{:016x}{:016x}", self.seed, completion.id.0),
            "object": object,
            "created": completion.arrived.as_second(),
            "model": self.model,
            "choices": [choice],
            "usage": {
                "prompt_tokens": self.work.prompt_tokens,
                "total_tokens": self.work.prompt_tokens + self.work.output_tokens,
                "completion_tokens": self.work.output_tokens,
            },
        })
    }

    /// The whole answer as server-sent events.
    fn events(&self, body: &Value) -> String {
        let mut chunk = body.clone();
        if self.form == Form::Chat {
            chunk["object"] = json!("chat.completion.chunk");
            let message = chunk["choices"][0]["message"].take();
            chunk["choices"][0]["delta"] = message;
        }
        format!("data: {chunk}\n\ndata: [DONE]\n\n")
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn event_stream() -> Response {
    let mut response = Response::new(Bytes::new());
    let events = http::HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, events);
    response
}

/// Everything that the model reads.
fn prompt(ask: &Ask) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut all = ask.prompt.as_ref().map(text).unwrap_or_default();
    for message in ask.messages.iter().flatten() {
        all.push_str(&text(&message["content"]));
        all.push('\n');
    }
    all
}

/// About how many tokens a text is: four characters each.
fn tokens(text: &str) -> u32 {
    u32::try_from(text.chars().count() / 4 + 1).unwrap_or(u32::MAX)
}

fn fingerprint(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What the model says: sentences chosen by the prompt, as long as its tokens allow.
fn text(seed: u64, tokens: u32) -> String {
    const SENTENCES: &[&str] = &[
        "Good question.",
        "Requests queue at the platform until a train has room for them.",
        "Each replica runs a batch, and whoever does not fit waits in line.",
        "When the queue grows, the autoscaler asks for more replicas.",
        "A replica without a GPU waits until Karpenter has found it a node.",
        "Spot capacity is cheaper, and can be taken away with two minutes' notice.",
        "Loading the model takes longer than starting the machine.",
        "Once the rush is over, the line empties and the nodes go home.",
        "In short: measure the queue, not the processor.",
    ];
    let words = usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(3) / 4;
    let start = usize::try_from(seed % 9).unwrap_or(0);
    let sentences = SENTENCES.iter().cycle().skip(start);
    let all = sentences.flat_map(|sentence| sentence.split(' ')).take(words.max(1));
    all.collect::<Vec<_>>().join(" ")
}
