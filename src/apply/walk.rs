//! The parallel walk: every step starts the moment its last dependency is usable, longest remaining path first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tubectl_clock::Clock;

use crate::apply::cancel::Cancel;
use crate::error::Hint;
use crate::error::with_causes;
use crate::event::EventKind;
use crate::event::Events;
use crate::graph::Graph;
use crate::plan::Action;
use crate::plan::Plan;
use crate::plan::Step;
use crate::resource::id::ResourceId;
use crate::resource::unknown;
use crate::resource::unknown::Outputs;
use crate::resource::unknown::Unknown;
use crate::state::journal::Journal;
use crate::state::journal::JournalError;

/// How many steps run at once. A stack is rarely wider; AWS's rate limits are shared by all of them.
const AT_ONCE: usize = 32;

/// A step as it is handed to whoever does it: every value that it refers to is known.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What is to be done about what.
    pub step: Step,
    /// The fields, with nothing unknown left in them.
    pub spec: Value,
    /// What everything before it gave.
    pub known: Arc<Outputs>,
    /// The same for every attempt at this step: AWS recognises a repeated request by it.
    pub token: String,
}

/// What a walk came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub applied: BTreeSet<ResourceId>,
    /// What failed, and why.
    pub failed: BTreeMap<ResourceId, String>,
    /// What to do about what failed, each once.
    pub hints: BTreeSet<String>,
    /// What was not tried, and which failure stood before it.
    pub skipped: BTreeMap<ResourceId, ResourceId>,
    /// What was not started because the user stopped the run.
    pub unstarted: BTreeSet<ResourceId>,
    /// What is known now.
    pub outputs: Outputs,
    /// How long each took.
    pub took: BTreeMap<ResourceId, Duration>,
}

impl Outcome {
    /// Whether everything was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.unstarted.is_empty()
    }
}

/// What a walk works with.
pub struct Tools<'a> {
    /// Time.
    pub clock: Clock,
    /// Who hears of it.
    pub events: &'a Events,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// What was intended and what came of it.
    pub journal: &'a Journal,
    /// How long a step is expected to take.
    pub expected: &'a dyn Fn(&ResourceId) -> Duration,
}

/// Does every step of the plan with `perform`, which gives the outputs of what it made.
///
/// # Errors
/// Only when the journal cannot be written: then nothing more is started, and what runs is finished. A failed step is part
/// of the outcome.
pub async fn walk<E: Hint>(
    plan: &Plan,
    graph: &Graph,
    tools: &Tools<'_>,
    perform: impl AsyncFn(Ready) -> Result<BTreeMap<String, String>, E>,
) -> Result<Outcome, JournalError> {
    let remaining = graph.remaining(|id| expected(plan, tools, id));
    let dependents = graph.dependents();
    let mut missing: BTreeMap<&ResourceId, usize> =
        graph.ids().map(|id| (id, graph.dependencies(id).count())).collect();
    let mut ready: BTreeSet<(std::cmp::Reverse<Duration>, &ResourceId)> = BTreeSet::new();
    for (id, count) in &missing {
        if *count == 0 {
            ready.insert((std::cmp::Reverse(remaining[*id]), id));
        }
    }
    let mut outcome = Outcome::default();
    let mut known = Arc::new(plan.known.clone());
    let work = plan.work().map(|step| step.desired.id.clone());
    tools.events.emit(EventKind::Planned {
        ids: work.collect(),
        expected: remaining.values().copied().max().unwrap_or_default(),
    });
    let mut running = FuturesUnordered::new();
    let mut unwritten = None;
    loop {
        while running.len() < AT_ONCE && unwritten.is_none() && !tools.cancel.is_draining() {
            let Some((_, id)) = ready.pop_first() else { break };
            let step = &plan.steps[id];
            running.push(attempt(plan, step, remaining[id], known.clone(), tools, &perform));
        }
        let ended = tokio::select! {
            biased;
            () = tools.cancel.abandoned() => break,
            ended = running.next() => ended,
        };
        let Some((id, took, result)) = ended else { break };
        match result {
            // What runs was begun, and is worth its end.
            Err(error) => unwritten = unwritten.or(Some(error)),
            Ok(Ok(outputs)) => {
                // Whoever runs holds what is known. Most objects give nothing, and need no copy of it.
                if known.get(&id).map_or(!outputs.is_empty(), |before| *before != outputs) {
                    Arc::make_mut(&mut known).insert(id.clone(), outputs);
                }
                outcome.took.insert(id.clone(), took);
                outcome.applied.insert(id.clone());
                for dependent in &dependents[&id] {
                    let count = missing.get_mut(dependent).expect("every dependent is in the graph");
                    *count -= 1;
                    if *count == 0 {
                        ready.insert((std::cmp::Reverse(remaining[*dependent]), dependent));
                    }
                }
            }
            Ok(Err(Fault { error, hints })) => {
                skip_branch(&id, &dependents, &mut outcome, tools.events);
                outcome.failed.insert(id, error);
                outcome.hints.extend(hints);
            }
        }
    }
    if let Some(error) = unwritten {
        return Err(error);
    }
    let left = plan.work().map(|step| &step.desired.id).filter(|id| {
        !outcome.applied.contains(*id) && !outcome.failed.contains_key(*id) && !outcome.skipped.contains_key(*id)
    });
    outcome.unstarted = left.cloned().collect();
    outcome.outputs = Arc::unwrap_or_clone(known);
    Ok(outcome)
}

fn expected(plan: &Plan, tools: &Tools<'_>, id: &ResourceId) -> Duration {
    match plan.steps[id].action {
        Action::Nothing => Duration::ZERO,
        Action::Create | Action::Update { .. } | Action::Await | Action::Replace { .. } => (tools.expected)(id),
    }
}

/// Why a step failed, and what to do about it.
struct Fault {
    error: String,
    hints: Vec<String>,
}

/// What a step gave, or why it failed; the outer error is the journal's.
type Written = Result<Result<BTreeMap<String, String>, Fault>, JournalError>;

type Attempt = (ResourceId, Duration, Written);

async fn attempt<E: Hint>(
    plan: &Plan,
    step: &Step,
    remaining: Duration,
    known: Arc<Outputs>,
    tools: &Tools<'_>,
    perform: &impl AsyncFn(Ready) -> Result<BTreeMap<String, String>, E>,
) -> Attempt {
    let id = step.desired.id.clone();
    if step.action == Action::Nothing {
        let outputs = known.get(&id).cloned().unwrap_or_default();
        let written = tools.journal.found(&id, &outputs).await;
        return (id, Duration::ZERO, written.map(|()| Ok(outputs)));
    }
    let begun = tools.clock.now();
    tools.events.emit(EventKind::Started {
        id: id.clone(),
        action: step.action.verb().to_owned(),
        expected: (tools.expected)(&id),
        remaining,
    });
    let result = journalled(plan, step, known, tools, perform).await;
    let took = tools.clock.since(begun);
    match &result {
        Ok(Ok(_)) => tools.events.emit(EventKind::Applied { id: id.clone(), took }),
        Ok(Err(fault)) => tools.events.emit(EventKind::Failed {
            id: id.clone(),
            error: fault.error.clone(),
        }),
        Err(_) => {}
    }
    (id, took, result)
}

async fn journalled<E: Hint>(
    plan: &Plan,
    step: &Step,
    known: Arc<Outputs>,
    tools: &Tools<'_>,
    perform: &impl AsyncFn(Ready) -> Result<BTreeMap<String, String>, E>,
) -> Written {
    let id = &step.desired.id;
    let spec = unknown::resolve(&step.desired.spec, &known);
    let token = tools.journal.intend(id, step.action.verb(), &spec).await?;
    let begun = tools.clock.now();
    if let Some(error) = unresolved(&spec, plan) {
        tools.journal.failed(id, &error).await?;
        let hints = Vec::new();
        return Ok(Err(Fault { error, hints }));
    }
    let ready = Ready {
        step: step.clone(),
        spec,
        known,
        token,
    };
    match perform(ready).await {
        Ok(outputs) => {
            tools.journal.done(id, &outputs, tools.clock.since(begun)).await?;
            Ok(Ok(outputs))
        }
        Err(error) => {
            let fault = Fault {
                error: with_causes(&error),
                hints: error.hints(),
            };
            tools.journal.failed(id, &fault.error).await?;
            Ok(Err(fault))
        }
    }
}

/// What a specification still lacks of other resources: a sentinel must never leave the house.
fn unresolved(spec: &Value, plan: &Plan) -> Option<String> {
    let missing = unknown::in_value(spec)
        .into_iter()
        .find(|unknown| plan.steps.contains_key(&unknown.resource))?;
    let Unknown { resource, output } = missing;
    Some(format!(
        "`{resource}` gave no `{output}`; `tubectl state show` tells what it gave"
    ))
}

fn skip_branch(
    failed: &ResourceId,
    dependents: &BTreeMap<&ResourceId, BTreeSet<&ResourceId>>,
    outcome: &mut Outcome,
    events: &Events,
) {
    let mut branch: Vec<&ResourceId> = dependents[failed].iter().copied().collect();
    while let Some(id) = branch.pop() {
        if outcome.skipped.insert(id.clone(), failed.clone()).is_none() {
            events.emit(EventKind::Skipped {
                id: id.clone(),
                because: failed.clone(),
            });
            branch.extend(dependents[id].iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::plan;
    use crate::resource::desired::Desired;
    use crate::resource::kind::Kind;
    use crate::state::store::Store;

    #[derive(Debug, thiserror::Error)]
    #[error("denied")]
    struct Denied;

    impl Hint for Denied {
        fn hints(&self) -> Vec<String> {
            vec!["allow it".to_owned()]
        }
    }

    struct Run {
        started: Vec<(String, u64)>,
        outcome: Outcome,
        took: Duration,
    }

    /// Walks resources `(name, seconds, needs)`; a step of 0 seconds fails.
    async fn run(resources: &[(&str, u64, &[&str])], cancel: Cancel, stop_at: Option<u64>) -> Run {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let desired: Vec<Desired> = resources
            .iter()
            .map(|(name, _, needs)| {
                let needs = needs.iter().map(|need| ResourceId::new("queue", need));
                Desired::new(Kind::Queue, name, *name, json!({})).after(needs)
            })
            .collect();
        let graph = Graph::new(&desired).unwrap();
        let plan = plan::plan(&graph, &desired, &[]).unwrap();
        let seconds: BTreeMap<ResourceId, u64> = resources
            .iter()
            .map(|(name, seconds, _)| (ResourceId::new("queue", name), *seconds))
            .collect();
        let started = RefCell::new(Vec::new());
        let (events, _listener) = Events::channel(clock);
        let journal = Journal::in_memory();
        let expected = |id: &ResourceId| Duration::from_secs(seconds[id]);
        let tools = Tools {
            clock,
            events: &events,
            cancel: &cancel,
            journal: &journal,
            expected: &expected,
        };
        let perform = async |ready: Ready| {
            let id = ready.step.desired.id;
            started
                .borrow_mut()
                .push((id.to_string(), clock.since(Timestamp::UNIX_EPOCH).as_secs()));
            clock.sleep(Duration::from_secs(seconds[&id])).await;
            if seconds[&id] == 0 {
                Err(Denied)
            } else {
                Ok(BTreeMap::new())
            }
        };
        let stopper = async {
            if let Some(at) = stop_at {
                clock.sleep(Duration::from_secs(at)).await;
                cancel.escalate();
            }
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = walk(&plan, &graph, &tools, perform) => outcome.unwrap(),
            () = stopper => unreachable!("the stopper never ends"),
        };
        Run {
            started: started.into_inner(),
            outcome,
            took: clock.since(Timestamp::UNIX_EPOCH),
        }
    }

    fn names(started: &[(String, u64)]) -> Vec<String> {
        started
            .iter()
            .map(|(id, at)| format!("{at}:{}", id.trim_start_matches("queue/")))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_starts_the_moment_its_last_dependency_is_usable() {
        let run = run(
            &[("a", 5, &[]), ("b", 2, &[]), ("c", 3, &["b"]), ("d", 1, &["a", "c"])],
            Cancel::default(),
            None,
        )
        .await;
        assert_eq!(names(&run.started), ["0:a", "0:b", "2:c", "5:d"]);
        assert_eq!(run.took, Duration::from_secs(6));
        assert!(run.outcome.is_complete());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_remaining_path_starts_first() {
        let run = run(
            &[("a", 1, &[]), ("b", 2, &[]), ("z", 9, &["b"])],
            Cancel::default(),
            None,
        )
        .await;
        assert_eq!(names(&run.started)[0], "0:b");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_stops_only_its_own_branch() {
        let run = run(
            &[("a", 0, &[]), ("b", 1, &["a"]), ("c", 1, &["b"]), ("d", 2, &[])],
            Cancel::default(),
            None,
        )
        .await;
        assert_eq!(run.outcome.failed.values().collect::<Vec<_>>(), ["denied"]);
        assert_eq!(run.outcome.hints.iter().collect::<Vec<_>>(), ["allow it"]);
        assert_eq!(run.outcome.skipped.len(), 2);
        assert!(run.outcome.applied.contains(&ResourceId::new("queue", "d")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_gave_is_never_sent() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let first = Desired::new(Kind::Queue, "a", "a", json!({}));
        let spec = json!({"url": Unknown::sentinel(&first.id, "url")});
        let second = Desired::new(Kind::Queue, "b", "b", spec).after([first.id.clone()]);
        let desired = [first, second];
        let graph = Graph::new(&desired).unwrap();
        let plan = plan::plan(&graph, &desired, &[]).unwrap();
        let (events, _listener) = Events::channel(clock);
        let tools = Tools {
            clock,
            events: &events,
            cancel: &Cancel::default(),
            journal: &Journal::in_memory(),
            expected: &|_| Duration::from_secs(1),
        };
        let gives_nothing = async |ready: Ready| {
            assert_eq!(ready.step.desired.name, "a");
            Ok::<_, Denied>(BTreeMap::new())
        };
        let outcome = walk(&plan, &graph, &tools, gives_nothing).await.unwrap();
        let failed: Vec<&String> = outcome.failed.values().collect();
        assert_eq!(
            failed,
            ["`queue/a` gave no `url`; `tubectl state show` tells what it gave"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn draining_finishes_what_runs_and_starts_nothing() {
        let run = run(&[("a", 5, &[]), ("b", 1, &["a"])], Cancel::default(), Some(2)).await;
        assert!(run.outcome.applied.contains(&ResourceId::new("queue", "a")));
        assert_eq!(run.outcome.unstarted.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_fails_stops_what_comes_and_not_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path())
            .unwrap()
            .join("journal.jsonl");
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let queue = |name: &str| Desired::new(Kind::Queue, name, name, json!({}));
        let short = ResourceId::new("queue", "short");
        let desired = [queue("short"), queue("long"), queue("after").after([short.clone()])];
        let graph = Graph::new(&desired).unwrap();
        let plan = plan::plan(&graph, &desired, &[]).unwrap();
        let (events, _listener) = Events::channel(clock);
        let journal = Journal::open(Store::File(path.clone())).unwrap();
        let (cancel, expected) = (Cancel::default(), |_: &ResourceId| Duration::ZERO);
        let tools = Tools {
            clock,
            events: &events,
            cancel: &cancel,
            journal: &journal,
            expected: &expected,
        };
        let ended = RefCell::new(Vec::new());
        let perform = async |ready: Ready| {
            let id = ready.step.desired.id;
            if id == short {
                // Where a folder stands, no line can be written.
                std::fs::remove_file(&path).unwrap();
                std::fs::create_dir(&path).unwrap();
            } else {
                clock.sleep(Duration::from_secs(5)).await;
            }
            ended.borrow_mut().push(id.to_string());
            Ok::<_, Denied>(BTreeMap::new())
        };
        let error = walk(&plan, &graph, &tools, perform).await.unwrap_err();
        assert!(matches!(error, JournalError::Store { .. }), "{error}");
        assert_eq!(ended.into_inner(), ["queue/short", "queue/long"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_neither_tried_nor_skipped_was_not_started() {
        let resources: [(&str, u64, &[&str]); 5] = [
            ("a", 0, &[]),
            ("b", 1, &["a"]),
            ("c", 3, &[]),
            ("d", 1, &["c"]),
            ("e", 5, &[]),
        ];
        let run = run(&resources, Cancel::default(), Some(2)).await;
        let outcome = &run.outcome;
        let names =
            |ids: &mut dyn Iterator<Item = &ResourceId>| -> Vec<String> { ids.map(ToString::to_string).collect() };
        assert_eq!(names(&mut outcome.failed.keys()), ["queue/a"]);
        assert_eq!(names(&mut outcome.skipped.keys()), ["queue/b"]);
        assert_eq!(names(&mut outcome.applied.iter()), ["queue/c", "queue/e"]);
        assert_eq!(names(&mut outcome.unstarted.iter()), ["queue/d"]);
        assert!(!outcome.is_complete());
        assert_eq!(outcome.took[&ResourceId::new("queue", "e")], Duration::from_secs(5));
    }

    #[test]
    fn a_walk_is_complete_when_nothing_failed_was_skipped_or_left() {
        let id = || ResourceId::new("queue", "a");
        let complete = Outcome::default();
        assert!(complete.is_complete());
        let outcomes = [
            Outcome {
                failed: BTreeMap::from([(id(), String::new())]),
                ..complete.clone()
            },
            Outcome {
                skipped: BTreeMap::from([(id(), id())]),
                ..complete.clone()
            },
            Outcome {
                unstarted: BTreeSet::from([id()]),
                ..complete
            },
        ];
        for outcome in outcomes {
            assert!(!outcome.is_complete(), "{outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_run_at_once_than_an_account_takes() {
        let names: Vec<String> = (0..=AT_ONCE).map(|number| format!("{number:02}")).collect();
        let resources: Vec<(&str, u64, &[&str])> =
            names.iter().map(|name| (name.as_str(), 5, &[] as &[&str])).collect();
        let run = run(&resources, Cancel::default(), None).await;
        let at_first = run.started.iter().filter(|(_, at)| *at == 0).count();
        assert_eq!(
            (at_first, run.started.len(), run.took.as_secs()),
            (AT_ONCE, AT_ONCE + 1, 10)
        );
    }

    /// What is there is left alone or changed, what is not is made; each gives its name as its id.
    async fn walk_over(observed: &[(&str, u32, &str)]) -> (Vec<String>, Outcome, Vec<String>) {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let resource = |name: &str, needs: &[&str]| {
            let needs: Vec<ResourceId> = needs.iter().map(|need| ResourceId::new("queue", need)).collect();
            Desired::new(Kind::Queue, name, name, json!({"size": 1})).after(needs)
        };
        let user = Desired::new(
            Kind::Queue,
            "user",
            "user",
            json!({"size": 1, "of": "unknown(queue/used#id)"}),
        );
        let desired = [resource("used", &[]), user];
        let found = |(name, size, id): &(&str, u32, &str)| crate::resource::observed::Observed {
            id: ResourceId::new("queue", name),
            kind: Kind::Queue,
            spec: json!({"size": size, "of": "used-1"}),
            outputs: BTreeMap::from([("id".to_owned(), (*id).to_owned())]),
            readiness: crate::resource::observed::Readiness::Ready,
        };
        let observed: Vec<_> = observed.iter().map(found).collect();
        let graph = Graph::new(&desired).unwrap();
        let plan = plan::plan(&graph, &desired, &observed).unwrap();
        let (events, mut listener) = Events::channel(clock);
        let journal = Journal::in_memory();
        let tools = Tools {
            clock,
            events: &events,
            cancel: &Cancel::default(),
            journal: &journal,
            expected: &|_| Duration::from_secs(7),
        };
        let performed = RefCell::new(Vec::new());
        let perform = async |ready: Ready| {
            let name = ready.step.desired.name;
            performed.borrow_mut().push(format!("{name} of {}", ready.spec["of"]));
            Ok::<_, Denied>(BTreeMap::from([("id".to_owned(), format!("{name}-1"))]))
        };
        let outcome = walk(&plan, &graph, &tools, perform).await.unwrap();
        let mut told = Vec::new();
        while let Ok(event) = listener.try_recv() {
            told.push(match event.kind {
                EventKind::Planned { ids, expected } => format!("planned {} in {}s", ids.len(), expected.as_secs()),
                EventKind::Started {
                    id, action, remaining, ..
                } => format!("{action} {id} {}s", remaining.as_secs()),
                EventKind::Applied { id, .. } => format!("applied {id}"),
                other => format!("{other:?}"),
            });
        }
        (performed.into_inner(), outcome, told)
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_gives_the_next_gets() {
        let (performed, outcome, told) = walk_over(&[]).await;
        assert_eq!(performed, ["used of null", "user of \"used-1\""]);
        assert_eq!(outcome.outputs[&ResourceId::new("queue", "user")]["id"], "user-1");
        let lines = [
            "planned 2 in 14s",
            "create queue/used 14s",
            "applied queue/used",
            "create queue/user 7s",
            "applied queue/user",
        ];
        assert_eq!(told, lines);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_alone_is_not_told_and_still_gives_what_it_gave() {
        let (performed, outcome, told) = walk_over(&[("used", 1, "used-1")]).await;
        assert_eq!(performed, ["user of \"used-1\""]);
        assert_eq!(outcome.outputs[&ResourceId::new("queue", "used")]["id"], "used-1");
        assert_eq!(told, ["planned 1 in 7s", "create queue/user 7s", "applied queue/user"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_change_gives_takes_the_place_of_what_was_known() {
        let (performed, outcome, _) = walk_over(&[("used", 2, "used-0")]).await;
        assert_eq!(performed[1], "user of \"used-1\"");
        assert_eq!(outcome.outputs[&ResourceId::new("queue", "used")]["id"], "used-1");
        assert!(outcome.is_complete());
    }

    #[test]
    fn causes_stand_behind_what_they_caused_and_are_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Layer(&'static str, #[source] Option<Box<Layer>>);
        let layers = |texts: [&'static str; 3]| {
            let cause = texts
                .into_iter()
                .rev()
                .fold(None, |cause, text| Some(Box::new(Layer(text, cause))));
            *cause.expect("there are three")
        };
        assert_eq!(
            with_causes(&layers(["cannot apply", "no answer", "timed out"])),
            "cannot apply: no answer: timed out"
        );
        assert_eq!(
            with_causes(&layers(["no answer: timed out", "timed out", "late"])),
            "no answer: timed out: late"
        );
    }
}
