//! A scaling formula that KEDA would not compile: it only says so once the cluster stands.

use serde_json::Value;
use tubectl_formula::Formula;

use crate::stack::check::View;
use crate::stack::problem::Problem;

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for object in view.of_kind("ScaledObject") {
        let spec = &object.value["spec"];
        let Some(text) = spec["advanced"]["scalingModifiers"]["formula"].as_str() else {
            continue;
        };
        let triggers = spec["triggers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = triggers
            .iter()
            .filter_map(|trigger: &Value| trigger["name"].as_str())
            .collect();
        let hint = match names.as_slice() {
            [] => "give its triggers names: a formula calls them by name".to_owned(),
            names => format!("its triggers are named {}", crate::stack::declare::listed(names)),
        };
        let mistakes: Vec<String> = match Formula::parse(text) {
            Ok(formula) => formula
                .check(names.iter().copied())
                .iter()
                .map(ToString::to_string)
                .collect(),
            Err(error) => vec![error.to_string()],
        };
        for mistake in mistakes {
            let what = format!("has a formula that does not compile: `{text}`, {mistake}");
            problems.push(view.in_object(object, &what, hint.clone()));
        }
    }
    problems
}
