//! A liveness probe that kills a model server while it still loads its model, again and again.

use std::time::Duration;

use serde_json::Value;

use crate::stack::check::View;
use crate::stack::problem::Problem;

/// Loading weights from the network and compiling for the GPU takes minutes; ten have been enough in every system that
/// was looked at.
const LOADING: Duration = Duration::from_mins(10);

/// What images of model servers are called.
const SERVERS: [&str; 5] = ["vllm", "text-generation-inference", "tritonserver", "sglang", "ollama"];

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for object in view.objects.iter().copied() {
        for container in containers(object.value)
            .into_iter()
            .filter(|container| serves_a_model(container))
        {
            let Some(patience) = patience(container).filter(|patience| *patience < LOADING) else {
                continue;
            };
            let name = container["name"].as_str().unwrap_or("?");
            let seconds = patience.as_secs();
            let what = format!(
                "kills its model server `{name}` after {seconds} seconds without an answer, and loading a model takes longer"
            );
            let next = "give it a startup probe of ten minutes or more, or no probe that kills";
            problems.push(view.in_object(object, &what, next));
        }
    }
    problems
}

/// The containers of a pod, or of the pods that an object makes.
fn containers(object: &Value) -> Vec<&Value> {
    let spec = &object["spec"];
    let pods = [
        spec,
        &spec["template"]["spec"],
        &spec["jobTemplate"]["spec"]["template"]["spec"],
    ];
    pods.iter()
        .filter_map(|pod| pod["containers"].as_array())
        .flatten()
        .collect()
}

fn serves_a_model(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    SERVERS.iter().any(|server| image.contains(server))
}

/// How long a container may stay silent after its start; for ever where no probe would kill it.
fn patience(container: &Value) -> Option<Duration> {
    let probe = container
        .get("startupProbe")
        .or_else(|| container.get("livenessProbe"))?;
    let number = |field: &str, default: u64| probe[field].as_u64().unwrap_or(default);
    let seconds = number("initialDelaySeconds", 0) + number("failureThreshold", 3) * number("periodSeconds", 10);
    Some(Duration::from_secs(seconds))
}
