//! Karpenter's decisions: which nodes to add for pods that do not fit, and which to take away.
//!
//! [`plan`] is one round of provisioning over the pods of a [`Batch`], [`launch`] the choice of instance type, zone and
//! capacity that a fleet request makes, [`Disruption`] the loop that finds nodes to remove and waits before it removes
//! them. None of them creates or deletes anything: the caller carries the decisions out and feeds back what became
//! of them. Pods' affinity to each other, several nodes consolidated at once, drift and expiry are not modelled.

mod batch;
mod budget;
mod disruption;
mod launch;
mod requirement;
mod resources;
mod schedule;
mod spread;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

pub use batch::Batch;
pub use budget::Allowance;
pub use budget::BadSchedule;
pub use budget::Budget;
pub use budget::Cron;
pub use budget::Reason;
pub use budget::Window;
pub use disruption::Command;
pub use disruption::Disruption;
pub use launch::Launch;
pub use launch::Unavailable;
pub use launch::launch;
pub use requirement::Operator;
pub use requirement::Requirement;
pub use requirement::Requirements;
pub use resources::BadQuantity;
pub use resources::Resources;
pub use schedule::Plan;
pub use schedule::PlannedClaim;
pub use schedule::plan;

/// The label of a node's zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The label of a node's instance type.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// The label of a node's architecture.
pub const ARCH: &str = "kubernetes.io/arch";
/// The label of a node's operating system.
pub const OS: &str = "kubernetes.io/os";
/// The label of a node's own name.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// The label that says whether a node is Spot or On-Demand.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// The label of the pool a node belongs to.
pub const NODE_POOL: &str = "karpenter.sh/nodepool";

/// A pod as the planner looks at it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace and name.
    pub name: String,
    /// Its labels, which spread constraints select by.
    pub labels: BTreeMap<String, String>,
    /// What it requests; the place it takes (`pods`) is counted without being asked for.
    pub requests: Resources,
    /// `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The terms of its required node affinity; one of them must hold.
    pub affinity: Vec<Vec<Requirement>>,
    /// `tolerations`.
    pub tolerations: Vec<Toleration>,
    /// `topologySpreadConstraints`.
    pub spread: Vec<Spread>,
    /// When it was created: of pods alike the older is placed first.
    pub created: Timestamp,
}

/// One constraint of a pod on how its like are spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// `topologyKey`: the zone or the node's own name.
    pub key: String,
    /// `maxSkew`.
    pub max_skew: u32,
    /// Whether the constraint is `DoNotSchedule`; the other kind gives way.
    pub required: bool,
    /// The labels that the pods counted have.
    pub selector: BTreeMap<String, String>,
}

/// What a pod puts up with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// The taint's key; every one when there is none.
    pub key: Option<String>,
    /// The taint's value; any when there is none (`Exists`).
    pub value: Option<String>,
    /// The taint's effect; any when there is none.
    pub effect: Option<Effect>,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its effect.
    pub effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect {
    /// They are not placed there.
    NoSchedule,
    /// They are placed there when nothing else is left.
    PreferNoSchedule,
    /// They are not placed there, and those that are there are evicted.
    NoExecute,
}

/// A `NodePool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// `weight`: heavier pools are tried first.
    pub weight: u32,
    /// The requirements of its template.
    pub requirements: Vec<Requirement>,
    /// The labels of its template.
    pub labels: BTreeMap<String, String>,
    /// The taints of its template, without those that go away at start.
    pub taints: Vec<Taint>,
    /// `limits`; what is not named is not limited.
    pub limits: Resources,
    /// `disruption.consolidationPolicy`.
    pub policy: Policy,
    /// `disruption.consolidateAfter`; nothing for `Never`.
    pub consolidate_after: Option<SignedDuration>,
    /// `disruption.budgets`.
    pub budgets: Vec<Budget>,
}

impl Pool {
    /// A pool with Karpenter's defaults for everything but its name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            weight: 0,
            requirements: Vec::new(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            limits: Resources::default(),
            policy: Policy::WhenEmptyOrUnderutilized,
            consolidate_after: Some(SignedDuration::ZERO),
            budgets: vec![Budget::default()],
        }
    }
}

/// `consolidationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Only nodes without pods go.
    WhenEmpty,
    /// Nodes whose pods fit elsewhere or on something cheaper go too.
    WhenEmptyOrUnderutilized,
}

/// An instance type, as the cloud offers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceType {
    /// Its name.
    pub name: String,
    /// Its labels beside its name: architecture, family, size, GPUs and so on.
    pub labels: BTreeMap<String, String>,
    /// What the machine has: limits are charged with this.
    pub capacity: Resources,
    /// What is left of it for pods.
    pub allocatable: Resources,
    /// Where and how it can be had.
    pub offerings: Vec<Offering>,
}

/// One way to have an instance type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offering {
    /// The zone.
    pub zone: String,
    /// Spot or On-Demand.
    pub capacity_type: CapacityType,
    /// Dollars an hour.
    pub price: f64,
}

/// How a machine is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CapacityType {
    /// What AWS may take back.
    Spot,
    /// What it may not.
    OnDemand,
}

impl CapacityType {
    /// The value of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// A node, or a claim whose node has not registered yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The pool it belongs to; nothing for a node that Karpenter did not make.
    pub pool: Option<String>,
    /// Its labels, zone, type and capacity type among them.
    pub labels: BTreeMap<String, String>,
    /// Its taints, without those that go away at start.
    pub taints: Vec<Taint>,
    /// What the machine has.
    pub capacity: Resources,
    /// What its pods may request together.
    pub allocatable: Resources,
    /// Its pods that are not a daemon set's: they need a place if it goes.
    pub pods: Vec<Pod>,
    /// What its daemon sets request.
    pub daemons: Resources,
    /// When it was ready with all its resources; nothing before.
    pub initialized: Option<Timestamp>,
    /// When a pod last came to it or went.
    pub last_pod_event: Option<Timestamp>,
    /// Until when it is kept for pods that were promised it.
    pub nominated_until: Option<Timestamp>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// Whether it, or a pod on it, carries `karpenter.sh/do-not-disrupt`.
    pub protected: bool,
}

impl Node {
    fn free(&self) -> Resources {
        let mut free = self.allocatable.clone();
        free.subtract(&self.daemons);
        for pod in &self.pods {
            free.subtract(&pod.requests.with_place());
        }
        free
    }

    fn capacity_type(&self) -> Option<CapacityType> {
        let label = self.labels.get(CAPACITY_TYPE)?;
        [CapacityType::Spot, CapacityType::OnDemand]
            .into_iter()
            .find(|one| one.label() == label)
    }

    fn price(&self, types: &[InstanceType]) -> Option<f64> {
        let name = self.labels.get(INSTANCE_TYPE)?;
        let zone = self.labels.get(ZONE)?;
        let capacity_type = self.capacity_type()?;
        let instance_type = types.iter().find(|one| one.name == *name)?;
        let mut offerings = instance_type.offerings.iter();
        let offering = offerings.find(|one| one.zone == *zone && one.capacity_type == capacity_type)?;
        Some(offering.price)
    }
}

fn tolerated(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    let hard = taints.iter().filter(|taint| taint.effect != Effect::PreferNoSchedule);
    hard.into_iter().all(|taint| {
        tolerations.iter().any(|toleration| {
            toleration.key.as_ref().is_none_or(|key| *key == taint.key)
                && toleration.value.as_ref().is_none_or(|value| *value == taint.value)
                && toleration.effect.is_none_or(|effect| effect == taint.effect)
        })
    })
}

/// Every zone that the types are offered in.
fn zones(types: &[InstanceType]) -> BTreeSet<&str> {
    let offerings = types.iter().flat_map(|one| &one.offerings);
    offerings.map(|offering| offering.zone.as_str()).collect()
}
