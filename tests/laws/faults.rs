//! What the world refuses: what passes by itself is waited out, what does not stops only its own branch.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tubectl::apply::walk::Outcome;
use tubectl::commands::session::Look;
use tubectl::error::Kind;
use tubectl::resource::id::ResourceId;
use tubectl_world::Core;

use crate::stage;
use crate::stage::Moment;
use crate::stage::play;

/// The first mutating call of each service, as faults name it.
fn first_calls() -> Vec<String> {
    let mutations = play(&Moment::beginning(), &stage::each(), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        stage.world.look(|core: &Core| core.mutations().to_vec())
    });
    let mut first = BTreeMap::new();
    for mutation in mutations {
        first.entry(mutation.service).or_insert(mutation.operation);
    }
    assert!(first.len() >= 8, "{first:?}");
    first
        .into_iter()
        .map(|(service, operation)| format!("{service}/{operation}"))
        .collect()
}

fn with_fault(fault: &str) -> Moment {
    let mut beginning = Moment::beginning();
    let fault = fault.parse().unwrap_or_else(|error| panic!("{error}"));
    beginning.core.fault(fault);
    beginning
}

/// The whole stack stands in spite of the trouble, at each service's first call.
fn check_is_waited_out(trouble: &str) {
    for call in first_calls() {
        let fault = format!("{call}:{trouble}");
        play(&with_fault(&fault), &stage::each(), async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{fault}: {failure}"));
            let (text, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
            assert!(!work, "{fault}: {text}");
        });
    }
}

#[test]
fn a_call_that_is_throttled_is_sent_again() {
    check_is_waited_out("throttle*3");
}

#[test]
fn a_service_that_fails_once_is_asked_again() {
    check_is_waited_out("error500*1");
}

/// Every operation of a run that may change something, as faults name it.
fn operations(core: &Core) -> BTreeSet<String> {
    let mutations = core.mutations().iter();
    mutations
        .map(|mutation| format!("{}/{}", mutation.service, mutation.operation))
        .collect()
}

#[test]
fn a_call_whose_answer_is_lost_is_not_made_twice() {
    let (operations, expected) = play(&Moment::beginning(), &stage::each(), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        (stage.world.look(operations), stage.counts())
    });
    assert!(operations.len() > 25, "{operations:?}");
    for operation in operations {
        let fault = format!("{operation}:lost*1");
        play(&with_fault(&fault), &stage::each(), async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{fault}: {failure}"));
            assert_eq!(stage.counts(), expected, "{fault}");
        });
    }
}

#[test]
fn a_call_that_is_denied_fails_its_own_branch_only() {
    for call in first_calls() {
        let fault = format!("{call}:denied");
        play(&with_fault(&fault), &stage::each(), async |stage| {
            let (look, outcome) = stage.try_up().await.unwrap_or_else(|failure| panic!("{failure}"));
            let failure = stage.verdict(&outcome).expect_err("something was denied");
            assert_eq!(failure.kind, Kind::Partial, "{fault}: {failure}");
            assert!(!outcome.failed.is_empty(), "{fault}");
            for (id, error) in &outcome.failed {
                assert!(error.contains("not authorized"), "{fault}: {id}: {error}");
            }
            let skipped: BTreeSet<ResourceId> = outcome.skipped.keys().cloned().collect();
            assert_eq!(skipped, behind(&look, &outcome), "{fault}");
            assert!(outcome.unstarted.is_empty(), "{fault}");
        });
    }
}

/// Everything that needs something that failed, directly or not.
fn behind(look: &Look, outcome: &Outcome) -> BTreeSet<ResourceId> {
    let mut behind = BTreeSet::new();
    for id in look.graph.order() {
        let stopped = |need: &ResourceId| outcome.failed.contains_key(need) || behind.contains(need);
        if look.graph.dependencies(id).any(stopped) {
            behind.insert(id.clone());
        }
    }
    behind
}
