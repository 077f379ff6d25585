//! `up` of the tube stack against the longest path through its graph.

use std::collections::BTreeMap;
use std::time::Duration;

use tubectl::apply::walk::Outcome;
use tubectl::commands::session::Look;
use tubectl::commands::session::Session;
use tubectl::commands::up;
use tubectl::resource::desired::Desired;
use tubectl::resource::id::ResourceId;
use tubectl::resource::kind::Kind;
use tubectl::stack::load::Settings;
use tubectl_world::Core;

use crate::stage;

/// How `up` went.
pub(crate) struct Figure {
    /// How long it took, in virtual time.
    pub(crate) took: Duration,
    /// The chain of resources that takes longest by the world's own durations, each with the time at which it ends.
    pub(crate) path: Vec<(ResourceId, Duration)>,
}

/// Brings the stack up in an empty world.
pub(crate) fn measure() -> Figure {
    let files = stage::find("tube");
    stage::play(&files, async |world, context| {
        let session = Session::open(context, "up", &files, &Settings::default()).await;
        let session = session.unwrap_or_else(|failure| panic!("{failure}"));
        let look = session
            .look(context)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        let begun = context.clock.now();
        let outcome = up::apply(context, &session, &look).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(outcome.is_complete(), "{:?}", outcome.failed);
        let arrivals = world.look(Core::arrivals);
        Figure {
            took: context.clock.since(begun),
            path: longest(&look, &outcome, &arrivals),
        }
    })
}

fn longest(look: &Look, outcome: &Outcome, arrivals: &BTreeMap<String, Duration>) -> Vec<(ResourceId, Duration)> {
    let cluster = look.desired.iter().find(|desired| desired.kind == Kind::Cluster);
    let cluster = &cluster.expect("the stack has a cluster").name;
    let duration = |desired: &Desired| {
        let known_as = known_as(desired, outcome, cluster);
        arrivals.get(&known_as).copied().unwrap_or_default()
    };
    let durations: BTreeMap<&ResourceId, Duration> = look
        .desired
        .iter()
        .map(|desired| (&desired.id, duration(desired)))
        .collect();
    look.graph.critical_path(|id| durations[id])
}

/// What the world calls a resource. Kinds that are usable at once have no name there that tells anything.
fn known_as(desired: &Desired, outcome: &Outcome, cluster: &str) -> String {
    let name = &desired.name;
    match desired.kind {
        Kind::Role => format!("iam/role/{name}"),
        Kind::Cluster => format!("eks/cluster/{name}"),
        Kind::NodeGroup => format!("eks/nodegroup/{cluster}/{name}"),
        // What nobody waits for costs nobody time.
        Kind::Addon if desired.spec["wait"] == false => String::new(),
        Kind::Addon => format!("eks/addon/{cluster}/{name}"),
        Kind::Object => {
            let namespace = desired.spec["metadata"]["namespace"].as_str().unwrap_or_default();
            let kind = desired.spec["kind"].as_str().unwrap_or_default();
            format!("{cluster}/{kind}/{namespace}/{name}")
        }
        _ => outcome
            .outputs
            .get(&desired.id)
            .and_then(|given| given.get("id"))
            .cloned()
            .unwrap_or_default(),
    }
}
