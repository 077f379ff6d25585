//! The loop that finds nodes to take away, and waits before it does.
//!
//! Every ten seconds it looks for one command: the empty nodes that budgets let go, else one node whose pods fit
//! elsewhere, or on something cheaper. The command is looked at again after fifteen seconds, and carried out if it
//! still holds; meanwhile nothing else is considered.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::CAPACITY_TYPE;
use super::CapacityType;
use super::InstanceType;
use super::Node;
use super::PlannedClaim;
use super::Policy;
use super::Pool;
use super::budget;
use super::budget::Reason;
use super::launch;
use super::launch::Unavailable;
use super::schedule::plan;

const POLL: SignedDuration = SignedDuration::from_secs(10);
const VALIDATION: SignedDuration = SignedDuration::from_secs(15);

/// The state of the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disruption {
    next: Timestamp,
    considered: Option<Command>,
}

/// Nodes to take away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Why.
    pub reason: Reason,
    /// Their names.
    pub nodes: Vec<String>,
    /// What must be there before they go.
    pub replacement: Option<PlannedClaim>,
}

/// What the loop looks at.
struct View<'a> {
    pools: &'a [Pool],
    types: &'a [InstanceType],
    nodes: &'a [Node],
    unavailable: &'a Unavailable,
    now: Timestamp,
}

impl Disruption {
    /// A loop that first looks at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self {
            next: start,
            considered: None,
        }
    }

    /// When the loop acts next.
    pub fn next_wake(&self) -> Timestamp {
        self.next
    }

    /// Lets the loop act if it is time, and returns the command to carry out, if one is due. After a command the loop
    /// goes round at once: call again until [`Self::next_wake`] is later than `now`.
    pub fn advance(
        &mut self,
        pools: &[Pool],
        types: &[InstanceType],
        nodes: &[Node],
        unavailable: &Unavailable,
        now: Timestamp,
    ) -> Option<Command> {
        if now < self.next {
            return None;
        }
        let view = View {
            pools,
            types,
            nodes,
            unavailable,
            now,
        };
        if let Some(considered) = self.considered.take() {
            // The loop goes round at once after a command, and after one that does not hold any more.
            self.next = now;
            if let Some(command) = view.still_valid(&considered) {
                return Some(command);
            }
        }
        self.considered = view.command();
        self.next = now + if self.considered.is_some() { VALIDATION } else { POLL };
        None
    }
}

impl View<'_> {
    fn command(&self) -> Option<Command> {
        self.empty().or_else(|| self.underutilized())
    }

    fn still_valid(&self, considered: &Command) -> Option<Command> {
        match considered.reason {
            Reason::Empty => {
                let mut allowed = self.allowances(Reason::Empty);
                let mut candidates = self.candidates(Reason::Empty);
                candidates.retain(|node| considered.nodes.contains(&node.name) && spend(&mut allowed, node));
                emptied(&candidates)
            }
            Reason::Underutilized | Reason::Drifted => {
                let same = |node: &&Node| considered.nodes.contains(&node.name);
                let node = self.candidates(Reason::Underutilized).into_iter().find(same)?;
                let command = self.consolidated(node)?;
                (command.replacement.is_some() == considered.replacement.is_some()).then_some(command)
            }
        }
    }

    /// The empty nodes that may go, dearest first, as many as the budgets allow.
    fn empty(&self) -> Option<Command> {
        let mut allowed = self.allowances(Reason::Empty);
        let mut candidates = self.candidates(Reason::Empty);
        candidates.retain(|node| spend(&mut allowed, node));
        emptied(&candidates)
    }

    fn underutilized(&self) -> Option<Command> {
        let allowed = self.allowances(Reason::Underutilized);
        let candidates = self.candidates(Reason::Underutilized);
        let mut open = candidates.into_iter().filter(|node| {
            let pool = node.pool.as_deref().unwrap_or_default();
            allowed.get(pool).is_some_and(|left| *left > 0)
        });
        open.find_map(|node| self.consolidated(node))
    }

    /// Whether a node's pods fit on the others, or on one new node that is cheaper.
    fn consolidated(&self, node: &Node) -> Option<Command> {
        let others: Vec<Node> = self
            .nodes
            .iter()
            .filter(|other| other.name != node.name)
            .cloned()
            .collect();
        let simulated = plan(&node.pods, &others, self.pools, self.types, self.unavailable);
        let settled = |name: &String| {
            others
                .iter()
                .any(|other| other.name == *name && other.initialized.is_some())
        };
        if !simulated.unschedulable.is_empty() || !simulated.nominations.iter().all(|(_, node)| settled(node)) {
            return None;
        }
        let nodes = vec![node.name.clone()];
        let reason = Reason::Underutilized;
        match simulated.claims.as_slice() {
            [] => Some(Command {
                reason,
                nodes,
                replacement: None,
            }),
            [claim] => Some(Command {
                reason,
                nodes,
                replacement: Some(self.cheaper(claim, node)?),
            }),
            _ => None,
        }
    }

    /// The claim with only those types left that are sure to cost less. A Spot node is not replaced by another.
    fn cheaper(&self, claim: &PlannedClaim, node: &Node) -> Option<PlannedClaim> {
        let price = node.price(self.types)?;
        let may_be_spot = claim.requirements.allow(CAPACITY_TYPE, CapacityType::Spot.label());
        if may_be_spot && node.capacity_type() == Some(CapacityType::Spot) {
            return None;
        }
        let mut claim = claim.clone();
        claim.types.retain(|name| {
            let instance_type = self.types.iter().find(|one| one.name == *name);
            let dearest = instance_type.and_then(|one| launch::dearest(one, &claim.requirements, self.unavailable));
            dearest.is_some_and(|dearest| dearest < price)
        });
        if claim.types.is_empty() {
            return None;
        }
        // The price was compared as Spot's: On-Demand may be dearer than what there is.
        if may_be_spot && claim.requirements.allow(CAPACITY_TYPE, CapacityType::OnDemand.label()) {
            claim.requirements.require(CAPACITY_TYPE, CapacityType::Spot.label());
        }
        Some(claim)
    }

    fn candidates(&self, reason: Reason) -> Vec<&Node> {
        let mut candidates: Vec<&Node> = self
            .nodes
            .iter()
            .filter(|node| self.is_candidate(node, reason))
            .collect();
        // What saves most for each pod that must move comes first.
        candidates.sort_by(|left, right| {
            let ratio = |node: &Node| node.price(self.types).unwrap_or(0.0) / moved(node);
            ratio(right)
                .total_cmp(&ratio(left))
                .then_with(|| left.name.cmp(&right.name))
        });
        candidates
    }

    fn is_candidate(&self, node: &Node, reason: Reason) -> bool {
        let pool = self.pools.iter().find(|pool| Some(&pool.name) == node.pool.as_ref());
        let (Some(pool), Some(initialized)) = (pool, node.initialized) else {
            return false;
        };
        let Some(after) = pool.consolidate_after else {
            return false;
        };
        let quiet_since = node.last_pod_event.map_or(initialized, |event| event.max(initialized));
        let promised = node.nominated_until.is_some_and(|until| until > self.now);
        let idle = quiet_since + after <= self.now;
        let fits_reason = match reason {
            Reason::Empty => node.pods.is_empty(),
            Reason::Underutilized | Reason::Drifted => {
                !node.pods.is_empty() && pool.policy == Policy::WhenEmptyOrUnderutilized
            }
        };
        idle && fits_reason && !promised && !node.deleting && !node.protected
    }

    /// How many more nodes of each pool may go.
    fn allowances(&self, reason: Reason) -> BTreeMap<&str, usize> {
        let pools = self.pools.iter().map(|pool| {
            let of_pool = |node: &&Node| node.pool.as_deref() == Some(&pool.name) && node.initialized.is_some();
            let nodes: Vec<&Node> = self.nodes.iter().filter(of_pool).collect();
            let going = nodes.iter().filter(|node| node.deleting || !node.ready).count();
            let allowed = budget::allowed(&pool.budgets, nodes.len(), reason, self.now);
            (pool.name.as_str(), allowed.saturating_sub(going))
        });
        pools.collect()
    }
}

/// Takes one from a node's allowance, if there is one left.
fn spend(allowed: &mut BTreeMap<&str, usize>, node: &Node) -> bool {
    let left = node.pool.as_deref().and_then(|pool| allowed.get_mut(pool));
    match left {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

fn emptied(candidates: &[&Node]) -> Option<Command> {
    (!candidates.is_empty()).then(|| Command {
        reason: Reason::Empty,
        nodes: candidates.iter().map(|node| node.name.clone()).collect(),
        replacement: None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "no node has 2^52 pods")]
fn moved(node: &Node) -> f64 {
    1.0 + node.pods.len() as f64
}
