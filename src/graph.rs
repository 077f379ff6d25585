//! Who waits for whom.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use crate::error::Hint;
use crate::resource::desired::Desired;
use crate::resource::id::ResourceId;

/// An acyclic graph over resources. Construction proves it is acyclic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    // Invariant: every dependency is itself a key, and there is no cycle.
    dependencies: BTreeMap<ResourceId, BTreeSet<ResourceId>>,
}

/// Why a set of resources is no graph.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum GraphError {
    /// A resource depends on one that the stack does not have.
    #[error("`{from}` depends on `{to}`, which the stack does not have")]
    UnknownDependency {
        /// The resource that depends.
        from: ResourceId,
        /// What it depends on.
        to: ResourceId,
        /// A resource of nearly that name.
        closest: Option<ResourceId>,
    },
    /// Resources wait for each other.
    #[error("these wait for each other: {}", .0.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" -> "))]
    Cycle(Vec<ResourceId>),
    /// Two resources have one identity.
    #[error("`{0}` is declared twice")]
    Twice(ResourceId),
}

impl Hint for GraphError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownDependency { closest: Some(id), .. } => vec![format!("did you mean `{id}`?")],
            Self::UnknownDependency { closest: None, .. } => vec!["declare it, or take the reference out".to_owned()],
            Self::Cycle(_) => vec!["take one of these references or `needs` out".to_owned()],
            Self::Twice(_) => vec!["rename one of the two".to_owned()],
        }
    }
}

impl Graph {
    /// The graph of resources and what they depend on.
    pub fn new(resources: &[Desired]) -> Result<Self, GraphError> {
        let mut dependencies = BTreeMap::new();
        for resource in resources {
            if dependencies
                .insert(resource.id.clone(), resource.dependencies())
                .is_some()
            {
                return Err(GraphError::Twice(resource.id.clone()));
            }
        }
        Self::from_dependencies(dependencies)
    }

    /// The graph of these dependencies.
    pub fn from_dependencies(dependencies: BTreeMap<ResourceId, BTreeSet<ResourceId>>) -> Result<Self, GraphError> {
        for (from, needs) in &dependencies {
            if let Some(to) = needs.iter().find(|id| !dependencies.contains_key(*id)) {
                let closest = crate::error::closest(to.as_str(), dependencies.keys().map(ResourceId::as_str));
                return Err(GraphError::UnknownDependency {
                    from: from.clone(),
                    to: to.clone(),
                    closest: closest.map(ResourceId::from_text),
                });
            }
        }
        let graph = Self { dependencies };
        match graph.cycle() {
            Some(cycle) => Err(GraphError::Cycle(cycle)),
            None => Ok(graph),
        }
    }

    /// The resources, in order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = &ResourceId> {
        self.dependencies.keys()
    }

    /// What `id` waits for.
    pub fn dependencies(&self, id: &ResourceId) -> impl Iterator<Item = &ResourceId> {
        self.dependencies.get(id).into_iter().flatten()
    }

    /// Who waits for whom, the other way round.
    pub fn dependents(&self) -> BTreeMap<&ResourceId, BTreeSet<&ResourceId>> {
        let mut dependents: BTreeMap<&ResourceId, BTreeSet<&ResourceId>> =
            self.ids().map(|id| (id, BTreeSet::new())).collect();
        for (id, needs) in &self.dependencies {
            for need in needs {
                dependents.entry(need).or_default().insert(id);
            }
        }
        dependents
    }

    /// The resources in an order in which each comes after everything it waits for.
    pub fn order(&self) -> Vec<&ResourceId> {
        let dependents = self.dependents();
        let mut missing: BTreeMap<&ResourceId, usize> =
            self.dependencies.iter().map(|(id, needs)| (id, needs.len())).collect();
        let mut ready: BTreeSet<&ResourceId> = missing
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(id, _)| *id)
            .collect();
        let mut order = Vec::new();
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for dependent in &dependents[id] {
                let count = missing.get_mut(dependent).expect("every dependent is a key");
                *count -= 1;
                if *count == 0 {
                    ready.insert(dependent);
                }
            }
        }
        order
    }

    /// For each resource, the longest time from its start to the end of all that waits for it.
    pub fn remaining(&self, duration: impl Fn(&ResourceId) -> Duration) -> BTreeMap<ResourceId, Duration> {
        let dependents = self.dependents();
        let mut remaining: BTreeMap<ResourceId, Duration> = BTreeMap::new();
        for id in self.order().into_iter().rev() {
            let after = dependents[id].iter().map(|id| remaining[*id]).max().unwrap_or_default();
            remaining.insert(id.clone(), duration(id) + after);
        }
        remaining
    }

    /// The chain of resources that takes longest, first to last, with the time that each ends.
    pub fn critical_path(&self, duration: impl Fn(&ResourceId) -> Duration) -> Vec<(ResourceId, Duration)> {
        let mut ends: BTreeMap<&ResourceId, Duration> = BTreeMap::new();
        for id in self.order() {
            let start = self.dependencies(id).map(|need| ends[need]).max().unwrap_or_default();
            ends.insert(id, start + duration(id));
        }
        let latest = |ids: &mut dyn Iterator<Item = &ResourceId>| {
            ids.max_by_key(|id| (ends[*id], std::cmp::Reverse((*id).clone())))
                .cloned()
        };
        let mut path = Vec::new();
        let mut next = latest(&mut self.ids());
        while let Some(id) = next {
            next = latest(&mut self.dependencies(&id));
            path.push((id.clone(), ends[&id]));
        }
        path.reverse();
        path
    }

    /// The graph in Graphviz's language.
    pub fn dot(&self) -> String {
        let mut dot = String::from("digraph stack {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
        for (id, needs) in &self.dependencies {
            writeln!(dot, "  \"{id}\";").expect("writing to a string does not fail");
            for need in needs {
                writeln!(dot, "  \"{need}\" -> \"{id}\";").expect("writing to a string does not fail");
            }
        }
        dot.push_str("}\n");
        dot
    }

    /// A cycle, if there is one: its first resource stands at the end again.
    fn cycle(&self) -> Option<Vec<ResourceId>> {
        let done: BTreeSet<&ResourceId> = self.order().into_iter().collect();
        let start = self.ids().find(|id| !done.contains(id))?;
        let mut path: Vec<&ResourceId> = vec![start];
        loop {
            let last = path.last().expect("the path starts with a resource");
            let next = self
                .dependencies(last)
                .find(|id| !done.contains(id))
                .expect("what is left waits for what is left");
            if let Some(first) = path.iter().position(|id| *id == next) {
                return Some(path[first..].iter().chain([&next]).map(|id| (*id).clone()).collect());
            }
            path.push(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::resource::kind::Kind;

    fn id(name: &str) -> ResourceId {
        ResourceId::new("queue", name)
    }

    fn graph(edges: &[(&str, &[&str])]) -> Result<Graph, GraphError> {
        let needs = |needs: &[&str]| needs.iter().map(|need| id(need)).collect();
        Graph::from_dependencies(edges.iter().map(|(name, of)| (id(name), needs(of))).collect())
    }

    #[test]
    fn a_dependency_on_nothing_names_the_closest() {
        let error = graph(&[("jobs", &[]), ("worker", &["job"])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`queue/worker` depends on `queue/job`, which the stack does not have"
        );
        assert_eq!(error.hints(), ["did you mean `queue/jobs`?"]);
    }

    #[test]
    fn a_cycle_is_named_in_order() {
        let error = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "these wait for each other: `queue/b` -> `queue/c` -> `queue/b`"
        );
    }

    #[test]
    fn the_critical_path_is_the_chain_that_takes_longest() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &[]), ("d", &["b", "c"])]).unwrap();
        let seconds = |of: &ResourceId| Duration::from_secs(if *of == id("c") { 9 } else { 2 });
        let path: Vec<String> = graph
            .critical_path(seconds)
            .iter()
            .map(|(id, end)| format!("{id} {end:?}"))
            .collect();
        assert_eq!(path, ["queue/c 9s", "queue/d 11s"]);
        assert_eq!(graph.remaining(seconds)[&id("a")], Duration::from_secs(6));
    }

    #[test]
    fn every_mistake_says_what_to_do_next() {
        let twice = [
            Desired::new(Kind::Queue, "jobs", "jobs", json!({})),
            Desired::new(Kind::Queue, "jobs", "other", json!({})),
        ];
        let cases = [
            (graph(&[("a", &["a"])]), "take one of these references or `needs` out"),
            (
                graph(&[("worker", &["elsewhere"])]),
                "declare it, or take the reference out",
            ),
            (Graph::new(&twice), "rename one of the two"),
        ];
        for (refused, hint) in cases {
            assert_eq!(refused.unwrap_err().hints(), [hint]);
        }
        assert_eq!(
            Graph::new(&twice).unwrap_err().to_string(),
            "`queue/jobs` is declared twice"
        );
    }

    #[test]
    fn an_arrow_leads_from_what_is_needed_to_what_needs_it() {
        let dot = graph(&[("jobs", &[]), ("worker", &["jobs"])]).unwrap().dot();
        let lines: Vec<&str> = dot.lines().map(str::trim).collect();
        let body = [
            "\"queue/jobs\";",
            "\"queue/worker\";",
            "\"queue/jobs\" -> \"queue/worker\";",
        ];
        assert_eq!(lines[3..6], body);
        assert_eq!((lines[0], lines[6]), ("digraph stack {", "}"));
    }

    /// Any dependencies that only point to smaller numbers.
    fn acyclic() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
        (1usize..24).prop_flat_map(|count| {
            (0..count)
                .map(|place| proptest::collection::btree_set(0..place.max(1), 0..=place.min(4)))
                .collect::<Vec<_>>()
        })
    }

    proptest! {
        #[test]
        fn every_resource_comes_once_and_after_what_it_waits_for(edges in acyclic()) {
            let name = |place: usize| id(&format!("{place:03}"));
            let edge = |(place, needs): (usize, &BTreeSet<usize>)| {
                (name(place), needs.iter().filter(|need| **need < place).map(|need| name(*need)).collect())
            };
            let graph = Graph::from_dependencies(edges.iter().enumerate().map(edge).collect()).unwrap();
            let order = graph.order();
            prop_assert_eq!(order.len(), edges.len());
            for (place, id) in order.iter().enumerate() {
                for need in graph.dependencies(id) {
                    prop_assert!(order[..place].contains(&need));
                }
            }
        }

        #[test]
        fn a_ring_of_any_size_is_refused(count in 1usize..20) {
            let ring = (0..count).map(|place| (id(&place.to_string()), BTreeSet::from([id(&((place + 1) % count).to_string())])));
            let error = Graph::from_dependencies(ring.collect()).unwrap_err();
            prop_assert!(matches!(error, GraphError::Cycle(cycle) if cycle.len() == count + 1));
        }
    }
}
