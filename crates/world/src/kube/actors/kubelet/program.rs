//! What a container runs, as far as its command tells.

use std::time::Duration;

use serde_json::Value;

use crate::kube::actors::selector::list;

/// What a container's command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// vLLM's server, with its arguments.
    Vllm(Vec<String>),
    /// It ends by itself.
    Ends { after: Duration, code: i32 },
    /// It runs until it is told to stop.
    Serves,
}

/// Reads a container's command and arguments.
pub(crate) fn of(container: &Value) -> Program {
    let words = words(container);
    if let Some(arguments) = vllm_arguments(container, &words) {
        return Program::Vllm(arguments);
    }
    ending(&words).unwrap_or(Program::Serves)
}

/// Command and arguments in one list.
pub(crate) fn words(container: &Value) -> Vec<String> {
    let parts = list(&container["command"]).iter().chain(list(&container["args"]));
    parts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The arguments of `vllm serve`, of its module, or of an image whose entrypoint it is.
fn vllm_arguments(container: &Value, words: &[String]) -> Option<Vec<String>> {
    const MODULE: &str = "vllm.entrypoints.openai.api_server";
    if list(&container["command"]).is_empty() {
        let image = container["image"].as_str().unwrap_or_default();
        let repository = image.split(['@', ':']).next().unwrap_or_default();
        let own = repository.rsplit('/').next().is_some_and(|last| last.contains("vllm"));
        return own.then(|| words.iter().filter(|word| *word != "serve").cloned().collect());
    }
    if let Some(at) = words.iter().position(|word| word == MODULE) {
        return Some(words[at + 1..].to_vec());
    }
    let at = words
        .windows(2)
        .position(|pair| pair[0].ends_with("vllm") && pair[1] == "serve")?;
    Some(words[at + 2..].to_vec())
}

/// Commands that are known to end: `true`, `false`, `echo`, `sleep 5`, and shells that run one of these.
fn ending(words: &[String]) -> Option<Program> {
    let first = words.first()?.rsplit('/').next()?;
    let ends = |seconds: f64, code: i32| {
        let after = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Some(Program::Ends { after, code })
    };
    match first {
        "sh" | "bash" | "ash" => {
            let at = words.iter().position(|word| word == "-c")?;
            let script = words.get(at + 1)?;
            script_ending(script)
        }
        "true" | "echo" | "printf" => ends(0.1, 0),
        "false" => ends(0.1, 1),
        "exit" => ends(0.1, words.get(1)?.parse().ok()?),
        "sleep" => ends(words.get(1)?.trim_end_matches('s').parse().ok()?, 0),
        _ => None,
    }
}

/// A script ends when all its commands do; the last one's code is its own.
fn script_ending(script: &str) -> Option<Program> {
    let mut total = Duration::ZERO;
    let mut last = 0;
    for command in script.split([';', '\n']).flat_map(|part| part.split("&&")) {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            continue;
        }
        let Program::Ends { after, code } = ending(&words)? else {
            return None;
        };
        total += after;
        last = code;
        if words[0] == "exit" {
            break;
        }
    }
    Some(Program::Ends {
        after: total,
        code: last,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(container: &Value, expected: &Program) {
        assert_eq!(of(container), *expected, "{container}");
    }

    #[test]
    fn a_command_says_what_runs() {
        let vllm = |arguments: &[&str]| Program::Vllm(arguments.iter().map(|&word| word.to_owned()).collect());
        let ends = |seconds, code| Program::Ends {
            after: Duration::from_millis(seconds),
            code,
        };
        check(
            &json!({"image": "vllm/vllm-openai:v1", "args": ["--model", "m"]}),
            &vllm(&["--model", "m"]),
        );
        check(&json!({"image": "x", "command": ["vllm", "serve", "m"]}), &vllm(&["m"]));
        let module = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--port", "1"];
        check(&json!({"image": "x", "command": module}), &vllm(&["--port", "1"]));
        check(&json!({"image": "x", "command": ["false"]}), &ends(100, 1));
        check(
            &json!({"image": "x", "command": ["sh", "-c", "sleep 2; exit 3"]}),
            &ends(2100, 3),
        );
        check(&json!({"image": "x", "command": ["/manager"]}), &Program::Serves);
        check(&json!({"image": "x"}), &Program::Serves);
    }
}
