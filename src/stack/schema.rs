//! The JSON Schema of a stack's files, so that editors complete and check them. It comes from the types that read the
//! files, and so cannot say anything else than they do.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::blocks::Blocks;
use crate::stack::declare::Declared;
use crate::stack::declare::object_schema;
use crate::stack::demo::Demo;
use crate::stack::load::Variable;
use crate::stack::release::Chart;
use crate::stack::release::Workload;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of `stack.yaml`.
pub fn stack() -> Value {
    let text = String::schema;
    let fields = vec![
        (
            "stack",
            "The stack's name; every name in AWS begins with it.",
            text(),
            true,
        ),
        ("about", "What the stack is for.", text(), false),
        ("region", "The region it stands in.", text(), true),
        (
            "variables",
            "What may be set with `--var`.",
            BTreeMap::<String, Variable>::schema(),
            false,
        ),
        ("blocks", "What exists in AWS.", Blocks::schema(), true),
        (
            "charts",
            "What others publish, by release name.",
            BTreeMap::<String, Chart>::schema(),
            false,
        ),
        (
            "workloads",
            "What is ours, by release name.",
            BTreeMap::<String, Workload>::schema(),
            false,
        ),
    ];
    entitled("tubectl stack", object_schema("A stack: what exists.", fields))
}

/// The schema of `demo.yaml`.
pub fn demo() -> Value {
    entitled("tubectl demo", Demo::schema())
}

fn entitled(title: &str, mut schema: Value) -> Value {
    schema["$schema"] = Value::from(DIALECT);
    schema["title"] = Value::from(title);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::load::TOP;

    #[test]
    fn the_schema_says_what_a_stack_may_hold() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&stack()).unwrap());
    }

    #[test]
    fn the_schema_says_what_a_show_may_hold() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&demo()).unwrap());
    }

    #[test]
    fn the_schema_and_the_reader_know_the_same_keys() {
        let schema = stack();
        let mut known = TOP.to_vec();
        known.sort_unstable();
        let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, known);
    }
}
