//! The typed building blocks of a stack: each file holds what one block takes and what it expands to.
//!
//! A block expands while planning, never later, and without asking anybody: names, ARNs and CIDRs are computed here;
//! what only AWS can know stands in a specification as a sentinel.

pub mod access;
pub mod addons;
pub mod buckets;
pub mod cidr;
pub mod cluster;
pub mod images;
pub mod karpenter;
pub mod key;
pub mod load_balancer;
pub mod logs;
pub mod network;
pub mod policy;
pub mod registry;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::resource::desired::Desired;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::unknown::Unknown;
use crate::stack::blocks::access::Access;
use crate::stack::blocks::addons::Addons;
use crate::stack::blocks::buckets::Buckets;
use crate::stack::blocks::cluster::Cluster;
use crate::stack::blocks::images::Image;
use crate::stack::blocks::karpenter::Karpenter;
use crate::stack::blocks::key::Key;
use crate::stack::blocks::load_balancer::LoadBalancer;
use crate::stack::blocks::logs::Logs;
use crate::stack::blocks::network::Network;
use crate::stack::blocks::registry::Registry;
use crate::stack::declare::declared;
use crate::stack::names::Site;

declared! {
    /// What exists in AWS: one of each block.
    pub struct Blocks {
        /// The VPC with its subnets, gateways and routes.
        pub network: Option<Network> = None,
        /// The key that encrypts the cluster's secrets.
        pub key: Option<Key> = None,
        /// The cluster's log group.
        pub logs: Option<Logs> = None,
        /// The cluster, its first nodes, and their roles and security groups.
        pub cluster: Option<Cluster> = None,
        /// The parts of the cluster that EKS manages.
        pub addons: Option<Addons> = None,
        /// Who may use the cluster.
        pub access: Option<Access> = None,
        /// What Karpenter needs in AWS.
        pub karpenter: Option<Karpenter> = None,
        /// What the AWS Load Balancer Controller needs in AWS.
        pub load_balancer: Option<LoadBalancer> = None,
        /// Repositories for images.
        pub registry: Option<Registry> = None,
        /// Images of tubectl's own programs, by the name of their repository.
        pub images: Option<BTreeMap<String, Image>> = None,
        /// Buckets, and whose pods may use them.
        pub buckets: Option<Buckets> = None,
    }
}

/// Which blocks each block cannot be without.
pub const REQUIRES: [(&str, &[&str]); 7] = [
    ("cluster", &["network"]),
    ("addons", &["cluster"]),
    ("access", &["cluster"]),
    ("karpenter", &["cluster"]),
    ("load_balancer", &["cluster"]),
    ("images", &["registry"]),
    ("buckets", &["cluster"]),
];

/// What a block gives to charts and workloads: a value, and the resource that must be there first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The value, or a sentinel for it.
    pub value: String,
    /// The resource it belongs to.
    pub resource: ResourceId,
}

/// What one block becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expansion {
    /// Its resources.
    pub resources: Vec<Desired>,
    /// What it gives to charts and workloads, by name.
    pub outputs: BTreeMap<String, Output>,
}

impl Expansion {
    fn resource(&mut self, kind: Kind, id: &str, name: String, spec: impl Serialize) -> &mut Desired {
        self.resources.push(Desired::new(kind, id, name, specification(spec)));
        self.resources
            .last_mut()
            .expect("a resource was pushed in the line above")
    }

    fn output(&mut self, name: &str, value: String, resource: ResourceId) {
        self.outputs.insert(name.to_owned(), Output { value, resource });
    }
}

impl Blocks {
    /// Every block of the stack with what it becomes, in the order in which they are read.
    pub fn expand(&self, site: &Site<'_>) -> BTreeMap<&'static str, Expansion> {
        let mut expansions = BTreeMap::new();
        let mut add = |name, expansion: Option<Expansion>| {
            if let Some(expansion) = expansion {
                expansions.insert(name, expansion);
            }
        };
        add("network", self.network.as_ref().map(|network| network.expand(site)));
        add("key", self.key.as_ref().map(|key| key.expand(site)));
        add("logs", self.logs.as_ref().map(|logs| logs.expand(site)));
        if let (Some(cluster), Some(network)) = (&self.cluster, &self.network) {
            add("cluster", Some(cluster.expand(site, network, self)));
        }
        add("addons", self.addons.as_ref().map(|addons| addons.expand(site)));
        add("access", self.access.as_ref().map(|access| access.expand(site)));
        add(
            "karpenter",
            self.karpenter.as_ref().map(|karpenter| karpenter.expand(site)),
        );
        add(
            "load_balancer",
            self.load_balancer.as_ref().map(|block| block.expand(site)),
        );
        add("registry", self.registry.as_ref().map(|registry| registry.expand(site)));
        add(
            "images",
            self.images.as_ref().map(|images| images::expand(images, site)),
        );
        add("buckets", self.buckets.as_ref().map(|buckets| buckets.expand(site)));
        expansions
    }

    /// What every chart and workload waits for: somebody who may reach the cluster, and somewhere for pods to run.
    ///
    /// An add-on that needs nodes itself is nothing that pods need to start: DNS comes up beside the first of them.
    pub fn cluster_is_usable(expansions: &BTreeMap<&'static str, Expansion>) -> BTreeSet<ResourceId> {
        let usable = ["access", "addons", "cluster"]
            .iter()
            .filter_map(|name| expansions.get(name));
        let usable = usable.flat_map(|expansion| &expansion.resources);
        let before_pods = |resource: &&Desired| match resource.kind {
            Kind::Addon => resource.spec["wait"] == false,
            kind => [Kind::AccessEntry, Kind::NodeGroup].contains(&kind),
        };
        usable.filter(before_pods).map(|resource| resource.id.clone()).collect()
    }
}

/// The names of what each block gives, as far as its kind alone decides them.
pub fn fixed_outputs(block: &str) -> &'static [&'static str] {
    match block {
        "network" => &["cidr", "vpc_id"],
        "key" => &["arn"],
        "logs" => &["name"],
        "cluster" => &["arn", "certificate_authority", "endpoint", "name", "version"],
        "karpenter" => &["controller_role", "node_role", "queue"],
        "load_balancer" => &["role"],
        _ => &[],
    }
}

/// The identity of a resource of that kind.
pub fn id(kind: Kind, name: &str) -> ResourceId {
    ResourceId::new(kind.name(), name)
}

/// The identity of the cluster.
pub fn cluster_id() -> ResourceId {
    id(Kind::Cluster, "main")
}

/// What stands for a resource's output until it is known.
fn later(kind: Kind, name: &str, output: &str) -> String {
    Unknown::sentinel(&id(kind, name), output)
}

fn specification(spec: impl Serialize) -> Value {
    serde_json::to_value(spec).expect("a specification is a struct of texts, numbers and maps with text keys")
}
