//! One stack in one world, opened: what it wants, what is there, and what was done before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tubectl_chart::Chart;
use tubectl_chart::repository::Cache;

use crate::commands::check;
use crate::commands::context::Context;
use crate::commands::offline;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::event;
use crate::event::EventKind;
use crate::graph::Graph;
use crate::image;
use crate::plan::Plan;
use crate::plan::plan;
use crate::provider::aws::Aws;
use crate::provider::aws::Place;
use crate::provider::aws::SEEN_WITHIN;
use crate::provider::aws::tags::Owner;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::release::expand::expand;
use crate::release::render;
use crate::release::render::Rendering;
use crate::release::render::Setting;
use crate::resource::desired::Desired;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::spec;
use crate::resource::unknown;
use crate::resource::unknown::Outputs;
use crate::stack;
use crate::stack::Stack;
use crate::stack::load::Files;
use crate::stack::load::LoadError;
use crate::stack::load::Settings;
use crate::state::journal::Journal;

/// How long the id of a stack instance is: short enough to read out, and one in a billion to meet twice.
const INSTANCE_LENGTH: usize = 6;

/// How long to go on after errors of the cluster that pass by themselves.
const CONVERGES_WITHIN: Duration = Duration::from_secs(180);

/// How long to pause before trying again.
const CONVERGENCE_PAUSE: Duration = Duration::from_secs(2);

/// The commands that make things or take them away, and must not miss any that is there.
const CHANGING: [&str; 2] = ["up", "down"];

/// One stack in one world.
pub struct Session {
    /// The stack.
    pub stack: Stack,
    /// The account, as this stack instance works in it.
    pub aws: Aws,
    /// What was done before.
    pub journal: Journal,
}

/// What a look at a session found.
pub struct Look {
    /// What should be, all of it.
    pub desired: Vec<Desired>,
    /// What is.
    pub observed: Vec<Observed>,
    /// Who waits for whom.
    pub graph: Graph,
    /// What is to be done.
    pub plan: Plan,
    /// The charts of the releases.
    pub charts: BTreeMap<String, Chart>,
    /// The releases as they were planned.
    pub renderings: BTreeMap<String, Rendering>,
    /// What they were rendered with.
    pub setting: Setting,
    /// The cluster, if there is one.
    pub kube: Option<Kube>,
}

impl Session {
    /// Opens the stack of these files: asks where it stands, and whether it stands there already.
    pub async fn open(context: &Context, command: &str, files: &Files, settings: &Settings) -> Result<Self, Failure> {
        let place = Place::ask(&context.clients.aws).await.map_err(Failure::yours)?;
        let name = name(files, settings, &place)?;
        let store = context
            .home
            .journal(context.world, &place.account, &place.region, &name);
        let journal = Journal::open(store).map_err(Failure::yours)?;
        let journal = journal.fenced(context.fence.clone());
        let state = journal.state();
        let may_lag = state.instance.is_empty() || !state.open.is_empty();
        if may_lag && CHANGING.contains(&command) {
            // A run may have ended a moment ago between a call and its line: what it made is in sight after this.
            context.clock.sleep(SEEN_WITHIN).await;
        }
        let mut instance = state.instance;
        if instance.is_empty() {
            instance = match Aws::instances(&context.clients.aws, &name)
                .await
                .map_err(failed)?
                .as_slice()
            {
                [] => new_instance(),
                [found] => {
                    let text = format!("found instance {found} of `{name}` by its tags, and go on with it");
                    context.events.note(text);
                    found.clone()
                }
                several => {
                    let several = several.join(", ");
                    let what = format!("`{name}` stands here more than once: instances {several}");
                    let next = "take one down from the home that made it, or delete what carries its id in the tag \
                                tubectl:instance";
                    return Err(Failure::said(FailureKind::Yours, what, next));
                }
            };
        }
        let stack = stack::load::load(files, settings, &site(&place, &instance)).map_err(Failure::yours)?;
        context.events.emit(EventKind::Begun {
            command: command.to_owned(),
            stack: stack.name.clone(),
            world: context.world.name().to_owned(),
            account: place.account.clone(),
            region: place.region.clone(),
            format: event::FORMAT,
        });
        let owner = Owner {
            stack: stack.name.clone(),
            instance,
            region: place.region.clone(),
        };
        let aws = Aws::new(&context.clients.aws, place, owner, context.clock);
        Ok(Self { stack, aws, journal })
    }

    /// Looks at what is, and plans what is to be done; a stack with mistakes is not planned.
    pub async fn look_and_check(&self, context: &Context) -> Result<Look, Failure> {
        let look = self.look(context).await?;
        match check::lint(&self.stack, look.renderings.values()) {
            None => Ok(look),
            Some(problems) => Err(Failure::yours(LoadError::Problems(problems))),
        }
    }

    /// Looks at what is, and plans what is to be done.
    pub async fn look(&self, context: &Context) -> Result<Look, Failure> {
        let charts = self.charts(context).await?;
        let mut observed = self.aws.observe().await.map_err(failed)?;
        observed.extend(self.observe_images(&observed).await.map_err(failed)?);
        let known: Outputs = observed
            .iter()
            .map(|found| (found.id.clone(), found.outputs.clone()))
            .collect();
        let setting = Setting {
            kubernetes: self.kubernetes(),
            seed: seed(&self.aws.owner.instance),
        };
        let renderings = render::render(&self.stack.releases, &charts, &setting, &known).map_err(Failure::yours)?;
        let installed: Vec<_> = renderings.iter().map(|rendering| rendering.installed.clone()).collect();
        let mut desired = self.stack.resources.clone();
        desired.extend(expand(&installed));
        let graph = Graph::new(&desired).map_err(Failure::yours)?;
        let kube = self.kube(context, &observed)?;
        if let Some(kube) = &kube {
            let instance = &self.aws.owner.instance;
            let found = converging(context, async || kube.observe(&desired, instance, render::about).await);
            observed.extend(found.await.map_err(failed)?);
        }
        let plan = plan(&graph, &desired, &observed).map_err(Failure::yours)?;
        let renderings = renderings
            .into_iter()
            .map(|rendering| (rendering.installed.name.clone(), rendering))
            .collect();
        Ok(Look {
            desired,
            observed,
            graph,
            plan,
            charts,
            renderings,
            setting,
            kube,
        })
    }

    /// The cluster, if it can be asked.
    pub fn kube(&self, context: &Context, observed: &[Observed]) -> Result<Option<Kube>, Failure> {
        let cluster = observed
            .iter()
            .find(|found| found.kind == Kind::Cluster && found.readiness == Readiness::Ready);
        let allows = |found: &Observed| found.spec["policies"].as_array().is_some_and(|some| !some.is_empty());
        let access = observed
            .iter()
            .any(|found| found.kind == Kind::AccessEntry && allows(found));
        match cluster {
            Some(cluster) if access => connect(context, &cluster.outputs).map(Some),
            _ => Ok(None),
        }
    }

    async fn charts(&self, context: &Context) -> Result<BTreeMap<String, Chart>, Failure> {
        let Some(connector) = context.clients.transport() else {
            // Nothing is made in a real account yet, and a look may do with the stand-ins if it says so.
            let found = offline::charts(&self.stack.releases, &context.home).await;
            let (charts, origins) = found.map_err(Failure::yours)?;
            if let Some(told) = origins.told() {
                context
                    .events
                    .note(format!("{told}; the real ones may hold other objects"));
            }
            return Ok(charts);
        };
        let cache = Cache::new(context.home.charts(context.world).as_std_path());
        let send = |request| offline::from(connector.clone(), request);
        let charts = render::collect(&self.stack.releases, &cache, &send).await;
        charts.map_err(Failure::yours)
    }

    async fn observe_images(&self, observed: &[Observed]) -> Result<Vec<Observed>, ProviderError> {
        let mut images = Vec::new();
        for desired in self
            .stack
            .resources
            .iter()
            .filter(|desired| desired.kind == Kind::Image)
        {
            let known = observed
                .iter()
                .map(|found| (found.id.clone(), found.outputs.clone()))
                .collect();
            let resolved = unknown::resolve(&desired.spec, &known);
            let Ok(image) = serde_json::from_value::<spec::Image>(resolved) else {
                continue;
            };
            if let Some(outputs) = self.aws.find_image(&image, &image::build(&image).digest).await? {
                images.push(Observed {
                    id: desired.id.clone(),
                    kind: Kind::Image,
                    spec: serde_json::to_value(&image).expect("an image is plain data"),
                    outputs,
                    readiness: Readiness::Ready,
                });
            }
        }
        Ok(images)
    }

    fn kubernetes(&self) -> String {
        let cluster = self
            .stack
            .resources
            .iter()
            .find(|desired| desired.kind == Kind::Cluster);
        let version = cluster.and_then(|cluster| cluster.spec["version"].as_str());
        version.unwrap_or("1.34").to_owned()
    }
}

/// Connects to a cluster by what it gave.
pub fn connect(context: &Context, given: &BTreeMap<String, String>) -> Result<Kube, Failure> {
    let text = |name: &str| given.get(name).map_or("", String::as_str);
    let client = context
        .clients
        .cluster(text("name"), text("endpoint"), text("certificate_authority"));
    Ok(Kube::new(client.map_err(Failure::yours)?, context.clock))
}

/// The stack's name. It decides where its journal and its lease lie, so it does not depend on the instance.
pub fn name(files: &Files, settings: &Settings, place: &Place) -> Result<String, Failure> {
    let stack = stack::load::load(files, settings, &site(place, "000000")).map_err(Failure::yours)?;
    Ok(stack.name)
}

/// Tries again while what is wrong passes by itself: a kind that is not served yet, a webhook without endpoints, an
/// access entry that is not known everywhere.
pub(crate) async fn converging<T>(
    context: &Context,
    attempt: impl AsyncFn() -> Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let begun = context.clock.now();
    loop {
        match attempt().await {
            Err(error) if error.class.passes() && context.clock.since(begun) < CONVERGES_WITHIN => {
                context.clock.sleep(CONVERGENCE_PAUSE).await;
            }
            other => return other,
        }
    }
}

/// A provider's refusal while looking: nothing was done yet.
pub fn failed(error: ProviderError) -> Failure {
    Failure::new(FailureKind::Yours, error)
}

fn site(place: &Place, instance: &str) -> stack::Place {
    stack::Place {
        account: place.account.clone(),
        region: place.region.clone(),
        instance: instance.to_owned(),
        zones: place.zones.clone(),
        caller_arn: place.caller.clone(),
    }
}

fn new_instance() -> String {
    std::iter::repeat_with(|| fastrand::char('a'..='z'))
        .take(INSTANCE_LENGTH)
        .collect()
}

fn seed(instance: &str) -> u64 {
    instance
        .bytes()
        .fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// A value as a text that people read: what is not known yet says after what it will be.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => unknown::describe(text),
        value => unknown::describe(&value.to_string()),
    }
}
