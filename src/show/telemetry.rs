//! Looking on: every few seconds one sample of what scales, of the machines, the load and the money.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tubectl_clock::Clock;

use crate::cost::estimate;
use crate::cost::estimate::Fixed;
use crate::cost::prices::Capacity;
use crate::event::EventKind;
use crate::event::Events;
use crate::event::Node;
use crate::event::Sample;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::show::figures;
use crate::show::load::Live;
use crate::show::report::Gateways;
use crate::stack::demo::Demo;

/// How often a sample is taken: as often as the collector scrapes the model servers.
const EVERY: Duration = Duration::from_secs(5);

/// What looks on.
pub struct Telemetry<'a> {
    /// The cluster.
    pub kube: &'a Kube,
    /// What to look at.
    pub demo: &'a Demo,
    /// The load beside it.
    pub live: &'a Live,
    /// Where machines are paid for.
    pub region: &'a str,
    /// What stands around the machines.
    pub fixed: Fixed,
    /// Time.
    pub clock: Clock,
    /// Who hears of the samples.
    pub events: &'a Events,
    /// When the show began.
    pub begun: Timestamp,
    /// What was seen so far.
    pub seen: Mutex<Seen>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every sample.
    pub samples: Vec<Sample>,
    /// What gateways counted, by the pod's uid: a pod that is gone keeps what it last said.
    pub gateways: BTreeMap<String, Gateways>,
    /// What those had counted that were there before the show.
    pub before: BTreeMap<String, Gateways>,
    pub(super) answered: u64,
    pub(super) blind: bool,
}

impl Telemetry<'_> {
    /// Notes what gateways counted before the show, which is not the show's. What cannot be read counts as nothing.
    pub async fn count_before(&self) {
        self.count_gateways().await.ok();
        let mut seen = self.lock();
        seen.before = seen.gateways.clone();
    }

    /// Looks on for as long as it is polled.
    pub async fn look_on(&self) {
        loop {
            self.look().await;
            self.clock.sleep(EVERY).await;
        }
    }

    /// Takes one sample. What cannot be read leaves a gap, which is told once.
    pub async fn look(&self) {
        match self.sample().await {
            Ok(sample) => {
                self.lock().samples.push(sample.clone());
                self.events.emit(EventKind::Sample(sample));
                self.lock().blind = false;
            }
            Err(error) => {
                let was_blind = std::mem::replace(&mut self.lock().blind, true);
                if !was_blind {
                    let why = crate::error::with_causes(&error);
                    self.events.note(format!("no sight of the cluster: {why}"));
                }
            }
        }
    }

    /// The last sample's number of wanted replicas; none while nothing was seen.
    pub fn desired(&self) -> Option<u32> {
        self.lock().samples.last().map(|sample| sample.desired)
    }

    async fn sample(&self) -> Result<Sample, ProviderError> {
        let watched = &self.demo.watch.deployment;
        let figures = figures::read(self.kube, &watched.namespace, &watched.name);
        let (figures, nodes) = futures::try_join!(figures, self.nodes())?;
        self.count_gateways().await?;
        let machines = nodes
            .iter()
            .map(|node| (node.instance_type.as_str(), Capacity::of_label(&node.capacity)));
        let hourly = estimate::per_hour(machines, self.region, self.fixed).hourly;
        let elapsed = self.clock.since(self.begun);
        let load = self.live.read();
        let mut seen = self.lock();
        let before = seen.samples.last();
        let passed = elapsed.saturating_sub(before.map_or(Duration::ZERO, |sample| sample.elapsed));
        let cost = before.map_or(0.0, |sample| {
            sample.cost + sample.hourly * passed.as_secs_f64() / 3600.0
        });
        let answered = load
            .answered
            .saturating_sub(std::mem::replace(&mut seen.answered, load.answered));
        #[expect(clippy::cast_precision_loss, reason = "a rate of fewer than 2^52 answers")]
        let rate = if passed.is_zero() {
            0.0
        } else {
            answered as f64 / passed.as_secs_f64()
        };
        Ok(Sample {
            elapsed,
            waiting: figures.waiting,
            running: figures.running,
            desired: figures.desired,
            scheduled: figures.scheduled,
            ready: figures.ready,
            nodes,
            hourly,
            cost,
            users: load.users,
            rate,
            p50: load.p50,
            p95: load.p95,
        })
    }

    async fn nodes(&self) -> Result<Vec<Node>, ProviderError> {
        let nodes = self.kube.list("v1", "Node", "").await?;
        let mut nodes: Vec<Node> = nodes.iter().map(node).collect();
        nodes.sort_by(|one, other| (&one.instance_type, &one.name).cmp(&(&other.instance_type, &other.name)));
        Ok(nodes)
    }

    /// Reads the counters of every gateway that lives.
    async fn count_gateways(&self) -> Result<(), ProviderError> {
        let page = &self.demo.page.config_map;
        let name = ObjectName {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: page.namespace.clone(),
            name: page.name.clone(),
        };
        let Some(deployment) = self.kube.get(&name).await? else {
            return Ok(());
        };
        let selector = figures::selector(&deployment["spec"]["selector"]["matchLabels"]);
        let pods = self.kube.list_in(&page.namespace, "v1", "Pod", &selector).await?;
        let asked = pods.iter().filter(|pod| figures::is_ready(pod)).map(async |pod| {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
            let metrics = self.kube.ask_pod(&page.namespace, &text("name"), "/metrics").await;
            Some((text("uid"), Gateways::read(&metrics.ok()?)))
        });
        let counted = join_all(asked).await;
        self.lock().gateways.extend(counted.into_iter().flatten());
        Ok(())
    }

    /// What was seen, when nobody looks on any more.
    pub fn into_seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn node(object: &Value) -> Node {
    let labels = &object["metadata"]["labels"];
    let label = |names: &[&str]| {
        let found = names.iter().find_map(|name| labels[*name].as_str());
        found.unwrap_or_default().to_ascii_lowercase().replace('_', "-")
    };
    Node {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        instance_type: label(&["node.kubernetes.io/instance-type"]),
        capacity: label(&["karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType"]),
        zone: label(&["topology.kubernetes.io/zone"]),
        ready: figures::is_ready(object),
    }
}
