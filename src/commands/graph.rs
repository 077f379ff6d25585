//! `tubectl graph`: who waits for whom, and what takes longest.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use crate::commands::args::StackArguments;
use crate::commands::context::Home;
use crate::commands::offline;
use crate::error::Failure;
use crate::event::minutes;
use crate::graph::Graph;
use crate::release::expand::expand;
use crate::resource::id::ResourceId;
use crate::ui::output::Output;

/// The arguments of `graph`.
#[derive(Clone, Debug, Args)]
pub struct Dot {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
}

/// Prints the graph in Graphviz's language, and tells the chain that takes longest.
pub async fn run(arguments: &Dot, home: &Home, output: Output) -> Result<(), Failure> {
    let (files, settings) = arguments.stack.read()?;
    let stack = offline::stack(&files, &settings).map_err(Failure::yours)?;
    let (renderings, origins) = offline::render(&stack, home).await.map_err(Failure::yours)?;
    if let Some(origins) = origins.told() {
        output.narrate(&origins);
    }
    let installed: Vec<_> = renderings.into_iter().map(|rendering| rendering.installed).collect();
    let mut desired = stack.resources.clone();
    desired.extend(expand(&installed));
    let graph = Graph::new(&desired).map_err(Failure::yours)?;
    let kinds: std::collections::BTreeMap<&ResourceId, _> =
        desired.iter().map(|desired| (&desired.id, desired.kind)).collect();
    output.data(&graph.dot());
    output.narrate(&longest(&graph, |id| kinds[id].usual_duration()));
    Ok(())
}

/// The chain that takes longest, each step with the time at which it ends.
fn longest(graph: &Graph, duration: impl Fn(&ResourceId) -> Duration) -> String {
    let path = graph.critical_path(duration);
    let end = path.last().map_or(Duration::ZERO, |(_, end)| *end);
    let mut text = format!(
        "the longest chain takes about {}, and no order can be faster:\n",
        minutes(end)
    );
    for (id, end) in path {
        writeln!(text, "  {:>8}  {id}", minutes(end)).expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_longest_chain_is_told_with_the_time_at_which_each_step_ends() {
        let id = |name: &str| ResourceId::new("queue", name);
        let needs = BTreeMap::from([
            (id("first"), BTreeSet::new()),
            (id("aside"), BTreeSet::new()),
            (id("second"), BTreeSet::from([id("first"), id("aside")])),
        ]);
        let graph = Graph::from_dependencies(needs).unwrap();
        let duration = |of: &ResourceId| Duration::from_secs(if *of == id("aside") { 1 } else { 45 });
        let lines = [
            "the longest chain takes about 1m 30s, and no order can be faster:",
            "       45s  queue/first",
            "    1m 30s  queue/second",
        ];
        assert_eq!(longest(&graph, duration).lines().collect::<Vec<_>>(), lines);
    }
}
