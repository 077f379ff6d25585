//! One round of provisioning: pods onto nodes there are, nodes planned in this round, and new ones.

use std::cmp::Ordering;
use std::cmp::Reverse;

use serde::Deserialize;
use serde::Serialize;

use super::InstanceType;
use super::NODE_POOL;
use super::Node;
use super::Pod;
use super::Pool;
use super::Requirements;
use super::Resources;
use super::Spread;
use super::Taint;
use super::ZONE;
use super::launch;
use super::launch::Unavailable;
use super::spread::Place;
use super::spread::Topology;
use super::tolerated;
use super::zones;

/// What a round decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Pods that fit on a node there is or that is on its way: the pod's name and the node's.
    pub nominations: Vec<(String, String)>,
    /// Nodes to make.
    pub claims: Vec<PlannedClaim>,
    /// Pods that fit nowhere: the pod's name and why.
    pub unschedulable: Vec<(String, String)>,
}

/// A node to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedClaim {
    /// Its pool.
    pub pool: String,
    /// The names of the pods it is for.
    pub pods: Vec<String>,
    /// What its labels must be.
    pub requirements: Requirements,
    /// What its pods request together.
    pub requests: Resources,
    /// The instance types that will do, cheapest first.
    pub types: Vec<String>,
    /// The taints it will have.
    pub taints: Vec<Taint>,
}

/// Places `pods`, which run nowhere yet. Nodes on their way are among `nodes`; those on their way out must not be.
pub fn plan(pods: &[Pod], nodes: &[Node], pools: &[Pool], types: &[InstanceType], unavailable: &Unavailable) -> Plan {
    let nodes: Vec<&Node> = nodes.iter().filter(|node| !node.deleting).collect();
    Round::new(&nodes, pools, types, unavailable).run(pods)
}

/// The most instance types a claim names.
const MOST_TYPES: usize = 600;

struct Round<'a> {
    nodes: Vec<Existing<'a>>,
    pools: Vec<Template<'a>>,
    claims: Vec<Open<'a>>,
    topology: Topology<'a>,
    unavailable: &'a Unavailable,
    plan: Plan,
}

struct Existing<'a> {
    node: &'a Node,
    free: Resources,
}

struct Template<'a> {
    pool: &'a Pool,
    requirements: Requirements,
    types: Vec<&'a InstanceType>,
    /// What the limits leave, for the resources that are limited.
    remaining: Resources,
}

/// A claim that may still take pods.
struct Open<'a> {
    name: String,
    pool: &'a Pool,
    requirements: Requirements,
    requests: Resources,
    types: Vec<&'a InstanceType>,
    pods: Vec<String>,
}

/// What a claim becomes when it takes a pod.
struct Narrowed<'a> {
    requirements: Requirements,
    requests: Resources,
    types: Vec<&'a InstanceType>,
    zone: Option<String>,
}

/// A pod with as much of its wishes as are kept.
struct Wish<'a> {
    pod: &'a Pod,
    requirements: Requirements,
    spreads: Vec<&'a Spread>,
}

impl<'a> Round<'a> {
    fn new(nodes: &[&'a Node], pools: &'a [Pool], types: &'a [InstanceType], unavailable: &'a Unavailable) -> Self {
        let mut existing: Vec<Existing> = nodes
            .iter()
            .map(|node| Existing {
                node,
                free: node.free(),
            })
            .collect();
        existing.sort_by_key(|one| (one.node.initialized.is_none(), &one.node.name));
        let mut templates: Vec<Template> = pools
            .iter()
            .map(|pool| template(pool, nodes, types, unavailable))
            .collect();
        templates.sort_by_key(|template| (Reverse(template.pool.weight), &template.pool.name));
        Self {
            nodes: existing,
            pools: templates,
            claims: Vec::new(),
            topology: Topology::new(zones(types), nodes),
            unavailable,
            plan: Plan::default(),
        }
    }

    fn run(mut self, pods: &[Pod]) -> Plan {
        let mut queue: Vec<&Pod> = pods.iter().collect();
        queue.sort_by(|left, right| by_size(left, right));
        // A pod that does not fit now may once others of the round are placed: go on while any is placed.
        loop {
            let waiting = queue.len();
            queue.retain(|pod| !self.place(pod));
            if queue.is_empty() || queue.len() == waiting {
                break;
            }
        }
        for pod in queue {
            let why = self.why(pod);
            self.plan.unschedulable.push((pod.name.clone(), why));
        }
        let unavailable = self.unavailable;
        self.plan.claims = self.claims.into_iter().map(|claim| claim.finish(unavailable)).collect();
        self.plan
    }

    /// Tries a pod with all its wishes, and then with ever fewer of those that are not required.
    fn place(&mut self, pod: &Pod) -> bool {
        wishes(pod)
            .iter()
            .any(|wish| self.on_node(wish) || self.on_claim(wish) || self.on_new_claim(wish))
    }

    fn on_node(&mut self, wish: &Wish) -> bool {
        let requests = wish.pod.requests.with_place();
        let topology = &self.topology;
        let fits = |one: &&mut Existing| {
            let zone = one.node.labels.get(ZONE).map(String::as_str);
            requests.fits(&one.free)
                && tolerated(&one.node.taints, &wish.pod.tolerations)
                && wish.requirements.met_by(&one.node.labels)
                && topology.allows(wish.pod, &wish.spreads, zone, &one.node.name)
        };
        let Some(found) = self.nodes.iter_mut().find(fits) else {
            return false;
        };
        found.free.subtract(&requests);
        let node = found.node;
        self.plan.nominations.push((wish.pod.name.clone(), node.name.clone()));
        self.topology
            .place(wish.pod, node.labels.get(ZONE).cloned(), &node.name);
        true
    }

    /// The claim with the fewest pods takes it, so that claims alike fill alike.
    fn on_claim(&mut self, wish: &Wish) -> bool {
        self.claims.sort_by_key(|claim| claim.pods.len());
        for index in 0..self.claims.len() {
            if let Some(narrowed) = self.claims[index].narrowed(wish, &self.topology, self.unavailable) {
                self.take(index, wish, narrowed);
                return true;
            }
        }
        false
    }

    fn on_new_claim(&mut self, wish: &Wish) -> bool {
        for index in 0..self.pools.len() {
            let template = &self.pools[index];
            let within = |one: &&&InstanceType| within_limits(one, &template.remaining);
            let claim = Open {
                name: format!("claim-{}", self.claims.len()),
                pool: template.pool,
                requirements: template.requirements.clone(),
                requests: Resources::default(),
                types: template.types.iter().filter(within).copied().collect(),
                pods: Vec::new(),
            };
            let Some(narrowed) = claim.narrowed(wish, &self.topology, self.unavailable) else {
                continue;
            };
            let charged = largest(&narrowed.types, &template.remaining);
            self.pools[index].remaining.subtract(&charged);
            self.claims.push(claim);
            self.take(self.claims.len() - 1, wish, narrowed);
            return true;
        }
        false
    }

    fn take(&mut self, index: usize, wish: &Wish, narrowed: Narrowed<'a>) {
        let claim = &mut self.claims[index];
        claim.pods.push(wish.pod.name.clone());
        claim.requirements = narrowed.requirements;
        claim.requests = narrowed.requests;
        claim.types = narrowed.types;
        self.topology.place(wish.pod, narrowed.zone, &claim.name);
    }

    /// The first thing that keeps a pod off the heaviest pool it tolerates.
    fn why(&self, pod: &Pod) -> String {
        if self.pools.is_empty() {
            return "there is no NodePool; apply one".to_owned();
        }
        let wishes = wishes(pod);
        let wish = wishes
            .last()
            .unwrap_or_else(|| unreachable!("a pod has at least one wish"));
        let mut reasons = Vec::new();
        for template in &self.pools {
            let pool = &template.pool.name;
            let requests = pod.requests.with_place();
            let roomy = |one: &&&InstanceType| requests.fits(&one.allocatable);
            reasons.push(if !tolerated(&template.pool.taints, &pod.tolerations) {
                format!("did not tolerate the taints of NodePool `{pool}`")
            } else if !template.requirements.may_meet(&wish.requirements) {
                format!("incompatible with the requirements of NodePool `{pool}`")
            } else if !template.types.iter().any(|one| within_limits(one, &template.remaining)) {
                format!("all available instance types exceed the limits of NodePool `{pool}`")
            } else if !template.types.iter().any(|one| roomy(&one)) {
                format!("no instance type of NodePool `{pool}` has the resources it requests")
            } else {
                format!(
                    "no instance type of NodePool `{pool}` satisfies its requests, requirements and spread together"
                )
            });
        }
        reasons.join("; ")
    }
}

impl<'a> Open<'a> {
    fn narrowed(&self, wish: &Wish, topology: &Topology, unavailable: &Unavailable) -> Option<Narrowed<'a>> {
        if !tolerated(&self.pool.taints, &wish.pod.tolerations) || !self.requirements.may_meet(&wish.requirements) {
            return None;
        }
        let mut requirements = self.requirements.clone();
        requirements.merge(&wish.requirements);
        let zone = match topology.zone(wish.pod, &wish.spreads, &requirements, &self.name)? {
            Place::Anywhere => None,
            Place::Zone(zone) => {
                requirements.require(ZONE, &zone);
                Some(zone)
            }
        };
        let mut requests = self.requests.clone();
        requests.add(&wish.pod.requests.with_place());
        let types = self.types.iter().copied().filter(|one| {
            requests.fits(&one.allocatable) && launch::cheapest(one, &requirements, unavailable).is_some()
        });
        let types: Vec<&InstanceType> = types
            .filter(|one| requirements.met_by_type(&one.name, &one.labels))
            .collect();
        (!types.is_empty()).then_some(Narrowed {
            requirements,
            requests,
            types,
            zone,
        })
    }

    fn finish(self, unavailable: &Unavailable) -> PlannedClaim {
        let price = |one: &&InstanceType| launch::cheapest(one, &self.requirements, unavailable).unwrap_or(f64::MAX);
        let mut types = self.types;
        types.sort_by(|left, right| {
            price(left)
                .total_cmp(&price(right))
                .then_with(|| left.name.cmp(&right.name))
        });
        PlannedClaim {
            pool: self.pool.name.clone(),
            pods: self.pods,
            types: types.into_iter().take(MOST_TYPES).map(|one| one.name.clone()).collect(),
            requirements: self.requirements,
            requests: self.requests,
            taints: self.pool.taints.clone(),
        }
    }
}

fn template<'a>(pool: &'a Pool, nodes: &[&Node], types: &'a [InstanceType], unavailable: &Unavailable) -> Template<'a> {
    let mut requirements = Requirements::new(&pool.requirements);
    requirements.merge(&Requirements::labels(&pool.labels));
    requirements.require(NODE_POOL, &pool.name);
    let offered = |one: &&InstanceType| {
        requirements.met_by_type(&one.name, &one.labels) && launch::cheapest(one, &requirements, unavailable).is_some()
    };
    let mut remaining = pool.limits.clone();
    for node in nodes.iter().filter(|node| node.pool.as_deref() == Some(&pool.name)) {
        let mut used = node.capacity.clone();
        used.0.retain(|resource, _| pool.limits.0.contains_key(resource));
        remaining.subtract(&used);
    }
    Template {
        pool,
        types: types.iter().filter(offered).collect(),
        requirements,
        remaining,
    }
}

fn within_limits(instance_type: &InstanceType, remaining: &Resources) -> bool {
    let limited = remaining.0.iter();
    limited
        .into_iter()
        .all(|(resource, left)| instance_type.capacity.get(resource) <= *left)
}

/// What a claim is charged with: the most that any type it may become has of each limited resource.
fn largest(types: &[&InstanceType], limited: &Resources) -> Resources {
    let most = |resource: &String| types.iter().map(|one| one.capacity.get(resource)).max().unwrap_or(0);
    Resources(
        limited
            .0
            .keys()
            .map(|resource| (resource.clone(), most(resource)))
            .collect(),
    )
}

fn by_size(left: &Pod, right: &Pod) -> Ordering {
    let size = |pod: &Pod| (pod.requests.get("cpu"), pod.requests.get("memory"));
    let age = |pod: &Pod| (pod.created, pod.name.clone());
    size(right).cmp(&size(left)).then_with(|| age(left).cmp(&age(right)))
}

/// A pod as it asks to be placed, and then with one wish less each time: the terms of its affinity in turn, and each
/// of them without the spreads that are not required.
fn wishes(pod: &Pod) -> Vec<Wish<'_>> {
    let terms: Vec<&[super::Requirement]> = match pod.affinity.as_slice() {
        [] => vec![&[]],
        terms => terms.iter().map(Vec::as_slice).collect(),
    };
    let mut wishes = Vec::new();
    for required_only in [false, true] {
        for term in &terms {
            let spreads: Vec<&Spread> = pod.spread.iter().filter(|one| one.required || !required_only).collect();
            if required_only && spreads.len() == pod.spread.len() {
                continue;
            }
            let mut requirements = Requirements::labels(&pod.node_selector);
            requirements.merge(&Requirements::new(*term));
            wishes.push(Wish {
                pod,
                requirements,
                spreads,
            });
        }
    }
    wishes
}
