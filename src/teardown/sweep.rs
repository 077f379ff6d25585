//! Clearing a phase: find what is there, tell it to go, look again, until a look finds nothing.
//!
//! Giving up counts looks without progress, not minutes: what still moves is waited for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use crate::apply::cancel::Cancel;
use crate::apply::wait::pause;
use crate::error::with_causes;
use crate::event::EventKind;
use crate::event::Events;
use crate::provider::aws::Aws;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::provider::aws::leftovers::Thing;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::resource::id::ResourceId;
use crate::teardown::Blocked;
use crate::teardown::Options;
use crate::teardown::inventory::Entry;
use crate::teardown::objects::Group;
use crate::teardown::objects::Sighted;
use crate::teardown::objects::Strip;
use crate::teardown::phases::Phase;
use crate::teardown::phases::Target;

/// After so many looks in a row that found the same, a phase gives up on things of the account. The pauses between them
/// grow with the time waited: it is a quarter of an hour for what goes in seconds, an hour for a cluster.
const FRUITLESS: u32 = 200;

/// The same for objects of the cluster: some minutes. Their finalizers go soon, or somebody must look after them.
const FRUITLESS_OBJECTS: u32 = 100;

/// The same where every call is refused for want of rights: waiting brings none.
const FRUITLESS_DENIED: u32 = 10;

/// After so many looks an object that is held by finalizers is let go, when the user said so.
const HELD: u32 = 20;

/// After so many looks at an API server that does not answer, it counts as gone.
const SILENT: u32 = 30;

/// How many things of the account go at once: more only brings throttling.
const AT_ONCE: usize = 16;

/// After the cluster's end, its last lines may still make a log group for this long.
const LATE: Duration = Duration::from_secs(60);

/// What objects of the cluster are called, whatever their kind.
const OBJECT: &str = "object";

/// Everything that the work needs.
pub(super) struct Site<'a> {
    pub(super) aws: &'a Aws,
    pub(super) kube: Option<&'a Kube>,
    pub(super) marks: &'a Marks,
    pub(super) options: &'a Options,
    pub(super) events: &'a Events,
    pub(super) cancel: &'a Cancel,
}

/// What went, how many of each kind.
pub(super) type Removed = BTreeMap<&'static str, usize>;

/// How all of it ended.
#[derive(Default)]
pub(super) struct Outcome {
    /// What went.
    pub(super) removed: Removed,
    /// What stays.
    pub(super) blocked: Vec<Blocked>,
    /// Whether the user asked to stop.
    pub(super) stopped: bool,
}

/// How the work on a phase or step ended.
enum Ended {
    /// Nothing of it is left.
    Clear,
    /// What stays goes with the cluster, so that it holds up nothing.
    Left(Vec<Blocked>),
    /// Something stays that holds up what comes after.
    Stuck(Vec<Blocked>),
    /// The user asked to stop.
    Stopped,
}

/// Something that is there.
enum Found {
    Thing(Entry, Thing),
    Object(Group, Sighted),
}

impl Found {
    fn kind(&self) -> &'static str {
        match self {
            Self::Thing(entry, _) => entry.name(),
            Self::Object(..) => OBJECT,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Thing(_, thing) => thing.name.clone(),
            Self::Object(_, object) => object.name.to_string(),
        }
    }

    /// What it waits for; none when it was not told to go yet.
    fn waits_for(&self) -> Option<String> {
        match self {
            Self::Thing(_, thing) => match &thing.standing {
                Standing::There | Standing::Scheduled(_) => None,
                Standing::Leaving(why) => Some(why.clone()),
            },
            Self::Object(_, object) => object.held_by.as_ref().map(|held| match held.as_slice() {
                [] => "going".to_owned(),
                held => format!("held by {}", held.join(", ")),
            }),
        }
    }

    /// Whether the cluster's end takes it along and nothing outside is kept by it. What was told to go makes nothing new;
    /// what was not, such as a pool of nodes, may as long as its controller lives.
    fn goes_with_the_cluster(&self) -> bool {
        match self {
            Self::Thing(..) => false,
            Self::Object(group, object) => object.held_by.is_some() || !group.makes_things_outside(),
        }
    }

    fn usually_takes(&self) -> Duration {
        match self {
            Self::Thing(entry, _) => entry.usually_takes(),
            Self::Object(group, _) => group.usually_takes(),
        }
    }
}

/// Runs all phases, each as soon as those before it are over.
pub(super) async fn run(site: &Site<'_>) -> Outcome {
    let mut waiting = BTreeSet::from(Phase::ALL);
    let mut over = BTreeSet::new();
    let begun = site.aws.clock.now();
    let mut cluster_gone = None;
    let mut outcome = Outcome::default();
    let mut running = FuturesUnordered::new();
    loop {
        let ready = |phase: &Phase| phase.after().iter().all(|before| over.contains(before));
        // A cluster that this run did not find may have ended right before it.
        let gone = cluster_gone.unwrap_or(begun);
        for phase in waiting.extract_if(.., |phase| ready(phase)) {
            running.push(async move {
                let mut removed = Removed::new();
                let ended = match phase {
                    Phase::Afterwards if !let_logs_arrive(site, gone).await => Ended::Stopped,
                    _ => clear(site, phase, &mut removed).await,
                };
                (phase, removed, ended)
            });
        }
        let Some((phase, removed, ended)) = running.next().await else {
            if !outcome.stopped {
                outcome
                    .blocked
                    .extend(waiting.iter().map(|phase| not_tried(*phase, &over)));
            }
            return outcome;
        };
        if phase == Phase::Cluster && !removed.is_empty() {
            cluster_gone = Some(site.aws.clock.now());
        }
        for (kind, count) in removed {
            *outcome.removed.entry(kind).or_default() += count;
        }
        match ended {
            Ended::Clear => {
                over.insert(phase);
            }
            Ended::Left(left) => {
                over.insert(phase);
                outcome.blocked.extend(left);
            }
            Ended::Stuck(left) => outcome.blocked.extend(left),
            Ended::Stopped => outcome.stopped = true,
        }
    }
}

/// Waits until the cluster's last lines have arrived; gives whether the work goes on.
async fn let_logs_arrive(site: &Site<'_>, cluster_gone: Timestamp) -> bool {
    let left = LATE.saturating_sub(site.aws.clock.since(cluster_gone));
    // Under another's name nothing of ours arrives.
    left.is_zero() || site.marks.cluster.is_none() || rest(site, left).await
}

async fn clear(site: &Site<'_>, phase: Phase, removed: &mut Removed) -> Ended {
    let mut begun = false;
    let mut all = Vec::new();
    for step in phase.steps() {
        match clear_step(site, phase, step, &mut begun, removed).await {
            Ended::Clear => {}
            Ended::Left(left) => all.extend(left),
            Ended::Stuck(left) => {
                all.extend(left);
                return Ended::Stuck(all);
            }
            Ended::Stopped => return Ended::Stopped,
        }
    }
    if all.is_empty() { Ended::Clear } else { Ended::Left(all) }
}

/// What is remembered of a step from look to look.
struct Progress {
    since: Timestamp,
    fruitless: u32,
    silent: u32,
    /// What the last look found, and how it stood.
    last: BTreeSet<(&'static str, String, Option<String>)>,
    /// Why what is there is still there.
    reasons: BTreeMap<String, String>,
    /// What could not be told to go for want of rights.
    denied: BTreeSet<String>,
}

async fn clear_step(site: &Site<'_>, phase: Phase, step: &[Target], begun: &mut bool, removed: &mut Removed) -> Ended {
    let mut progress = Progress {
        since: site.aws.clock.now(),
        fruitless: 0,
        silent: 0,
        last: BTreeSet::new(),
        reasons: BTreeMap::new(),
        denied: BTreeSet::new(),
    };
    loop {
        if site.cancel.is_draining() {
            return Ended::Stopped;
        }
        let (found, failed) = tokio::select! {
            () = site.cancel.abandoned() => return Ended::Stopped,
            looked = look(site, step, &mut progress) => looked,
        };
        if !found.is_empty() && !*begun {
            *begun = true;
            site.events.emit(EventKind::Phase {
                name: phase.name().to_owned(),
            });
        }
        if failed.is_empty() {
            progress.note(site, &found, removed);
        } else {
            // Nobody knows what is gone: what was not found may not have been seen.
            progress.fruitless += 1;
        }
        if found.is_empty() && failed.is_empty() {
            return Ended::Clear;
        }
        if progress.fruitless >= progress.patience(&found, &failed) {
            let left = stuck(phase, &found, &failed, &progress);
            let goes = failed.is_empty() && found.iter().all(Found::goes_with_the_cluster);
            return if goes { Ended::Left(left) } else { Ended::Stuck(left) };
        }
        tokio::select! {
            () = site.cancel.abandoned() => return Ended::Stopped,
            () = dismiss(site, &found, &mut progress) => {}
        }
        let expected = found.iter().map(Found::usually_takes).max().unwrap_or_default();
        let wait = pause(site.aws.clock.since(progress.since), expected);
        if !rest(site, wait).await {
            return Ended::Stopped;
        }
    }
}

/// Waits; gives whether the work goes on.
async fn rest(site: &Site<'_>, wait: Duration) -> bool {
    tokio::select! {
        () = site.cancel.draining() => false,
        () = site.aws.clock.sleep(wait) => true,
    }
}

/// Looks for everything of a step.
async fn look(site: &Site<'_>, step: &[Target], progress: &mut Progress) -> (Vec<Found>, Vec<(Target, ProviderError)>) {
    let looks = step
        .iter()
        .map(|target| async move { (*target, look_for(site, *target).await) });
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (target, looked) in futures::future::join_all(looks).await {
        match looked {
            Ok(some) => found.extend(some),
            Err(error) => failed.push((target, error)),
        }
    }
    let silent = |(target, _): &(Target, ProviderError)| matches!(target, Target::Objects(_));
    if failed.iter().any(silent) && !is_reachable(site).await {
        progress.silent += 1;
    } else {
        progress.silent = 0;
    }
    if progress.silent >= SILENT {
        // What only the cluster knows goes with the cluster; what it made outside is found in the account.
        failed.retain(|failure| !silent(failure));
        progress.last.retain(|(kind, _, _)| *kind != OBJECT);
    }
    (found, failed)
}

async fn is_reachable(site: &Site<'_>) -> bool {
    match site.kube {
        Some(kube) => kube.is_reachable().await,
        None => false,
    }
}

async fn look_for(site: &Site<'_>, target: Target) -> Result<Vec<Found>, ProviderError> {
    match target {
        Target::Entry(entry) if entry.is_data() && site.options.keep_data => Ok(Vec::new()),
        Target::Entry(entry) => {
            let things = entry.find(site.aws, site.marks).await?;
            let things = things
                .into_iter()
                .filter(|thing| !matches!(thing.standing, Standing::Scheduled(_)));
            Ok(things.map(|thing| Found::Thing(entry, thing)).collect())
        }
        Target::Objects(group) => {
            let Some(kube) = site.kube else { return Ok(Vec::new()) };
            let objects = Box::pin(group.find(kube)).await?;
            Ok(objects.into_iter().map(|object| Found::Object(group, object)).collect())
        }
    }
}

impl Progress {
    /// After how many looks without progress to give up.
    fn patience(&self, found: &[Found], failed: &[(Target, ProviderError)]) -> u32 {
        let denied = |found: &Found| self.denied.contains(&found.name());
        if found.iter().all(denied) && failed.iter().all(|(_, error)| error.class == Class::Denied) {
            FRUITLESS_DENIED
        } else if found.iter().all(|found| matches!(found, Found::Object(..)))
            && failed.iter().all(|(target, _)| matches!(target, Target::Objects(_)))
        {
            FRUITLESS_OBJECTS
        } else {
            FRUITLESS
        }
    }

    /// Compares a look with the one before: what is gone is counted, what is the same is a look without progress.
    fn note(&mut self, site: &Site<'_>, found: &[Found], removed: &mut Removed) {
        let now: BTreeSet<_> = found
            .iter()
            .map(|found| (found.kind(), found.name(), found.waits_for()))
            .collect();
        let names: BTreeSet<(&str, &str)> = now.iter().map(|(kind, name, _)| (*kind, name.as_str())).collect();
        for (kind, name, _) in &self.last {
            if !names.contains(&(*kind, name.as_str())) {
                *removed.entry(kind).or_default() += 1;
                site.events.emit(EventKind::Removed {
                    kind: (*kind).to_owned(),
                    name: name.clone(),
                });
            }
        }
        for (kind, name, waits_for) in now.difference(&self.last) {
            if let Some(what) = waits_for {
                site.events.emit(EventKind::Waiting {
                    id: ResourceId::new(kind, name),
                    what: what.clone(),
                });
            }
        }
        if now == self.last {
            self.fruitless += 1;
        } else {
            self.fruitless = 0;
            self.since = site.aws.clock.now();
        }
        self.last = now;
    }
}

/// Tells everything that is there to go.
async fn dismiss(site: &Site<'_>, found: &[Found], progress: &mut Progress) {
    let at_once = |found: &Found| match found {
        Found::Thing(..) => AT_ONCE,
        Found::Object(group, _) => group.at_once(),
    };
    let width = found.iter().map(at_once).min().unwrap_or(AT_ONCE);
    let strip = if site.options.strip_finalizers && progress.fruitless >= HELD {
        Strip::All
    } else {
        Strip::Orphans
    };
    let told = futures::stream::iter(found)
        .map(|found| async move { (found.name(), tell(site, found, strip).await) })
        .buffer_unordered(width)
        .collect::<Vec<_>>()
        .await;
    for (name, outcome) in told {
        match outcome {
            Ok(()) => {
                progress.reasons.remove(&name);
                progress.denied.remove(&name);
            }
            Err(error) => {
                if error.class == Class::Denied {
                    progress.denied.insert(name.clone());
                }
                let why = with_causes(&error);
                // What passes by itself is worth a word only when it does not.
                if !error.class.passes() && progress.reasons.get(&name) != Some(&why) {
                    site.events.note(format!("{name}: {why}"));
                }
                progress.reasons.insert(name, why);
            }
        }
    }
}

async fn tell(site: &Site<'_>, found: &Found, strip: Strip) -> Result<(), ProviderError> {
    match found {
        Found::Thing(entry, thing) if thing.standing == Standing::There => entry.remove(site.aws, &thing.id).await,
        Found::Thing(..) => Ok(()),
        Found::Object(_, object) => {
            let Some(kube) = site.kube else { return Ok(()) };
            if object.held_by.is_none() {
                return Box::pin(object.remove(kube)).await;
            }
            let taken = object.release(kube, strip).await?;
            if !taken.is_empty() {
                site.events
                    .note(format!("took {} off {}", taken.join(", "), object.name));
            }
            Ok(())
        }
    }
}

/// A phase that never had its turn.
fn not_tried(phase: Phase, over: &BTreeSet<Phase>) -> Blocked {
    let before = phase.after().iter().find(|before| !over.contains(before));
    let before = before.expect("a phase whose turn it was ran");
    Blocked {
        phase,
        kind: "phase".to_owned(),
        name: phase.name().to_owned(),
        why: format!("not tried: `{}` did not end", before.name()),
    }
}

fn stuck(phase: Phase, found: &[Found], failed: &[(Target, ProviderError)], progress: &Progress) -> Vec<Blocked> {
    let there = found.iter().map(|found| {
        let name = found.name();
        let why = progress.reasons.get(&name).cloned().or_else(|| found.waits_for());
        Blocked {
            phase,
            kind: found.kind().to_owned(),
            why: why.unwrap_or_else(|| "it was told to go and is still there".to_owned()),
            name,
        }
    });
    let unseen = failed.iter().map(|(target, error)| Blocked {
        phase,
        kind: match target {
            Target::Entry(entry) => entry.name().to_owned(),
            Target::Objects(group) => format!("{group:?}"),
        },
        name: "could not be looked for".to_owned(),
        why: with_causes(error),
    });
    there.chain(unseen).collect()
}
