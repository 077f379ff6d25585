//! What goes in which order. Not the reverse of creation: what a controller holds goes while the controller lives, what
//! nodes hold goes while there are nodes, and what waits long begins early.

use crate::teardown::inventory::Entry;
use crate::teardown::objects::Group;

/// A part of the teardown. Phases that do not wait for each other run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The autoscaler's objects, while it lives.
    Demand,
    /// Workloads, and what they were given from outside: load balancers, volumes.
    Workloads,
    /// Karpenter's nodes, while it lives.
    Capacity,
    /// The charts that are left, controllers last.
    Platform,
    /// The node groups, and what EKS keeps for them.
    Nodes,
    /// The cluster.
    Cluster,
    /// The way to the internet, as soon as no node needs it.
    Egress,
    /// What stands beside the cluster: queues, rules, images, buckets.
    Services,
    /// What the cluster used until its end: logs, roles, keys.
    Remains,
    /// The network.
    Network,
    /// Logs that were written after the end.
    Afterwards,
}

/// What a step takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Objects in the cluster.
    Objects(Group),
    /// Things in the account.
    Entry(Entry),
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 11] = [
        Self::Demand,
        Self::Workloads,
        Self::Capacity,
        Self::Platform,
        Self::Nodes,
        Self::Cluster,
        Self::Egress,
        Self::Services,
        Self::Remains,
        Self::Network,
        Self::Afterwards,
    ];

    /// What it does, in a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Demand => "stop scaling",
            Self::Workloads => "workloads and their load balancers",
            Self::Capacity => "nodes of Karpenter",
            Self::Platform => "charts",
            Self::Nodes => "node groups",
            Self::Cluster => "cluster",
            Self::Egress => "NAT gateways and addresses",
            Self::Services => "queues, rules, images and buckets",
            Self::Remains => "logs, roles and keys",
            Self::Network => "network",
            Self::Afterwards => "late logs",
        }
    }

    /// The phases that must be over before it begins.
    pub fn after(self) -> &'static [Self] {
        match self {
            Self::Demand => &[],
            Self::Workloads => &[Self::Demand],
            Self::Capacity => &[Self::Workloads],
            Self::Platform => &[Self::Capacity],
            Self::Nodes | Self::Services => &[Self::Platform],
            Self::Cluster | Self::Egress => &[Self::Nodes],
            Self::Remains => &[Self::Cluster, Self::Services],
            Self::Network => &[Self::Cluster, Self::Egress],
            Self::Afterwards => &[Self::Remains, Self::Network],
        }
    }

    /// What it takes away: step after step, all of a step at once.
    pub fn steps(self) -> &'static [&'static [Target]] {
        use Target::Entry as E;
        use Target::Objects as O;
        match self {
            Self::Demand => &[&[O(Group::Scalers)], &[O(Group::TriggerAuthentications)]],
            Self::Workloads => &[
                &[O(Group::Exposed), O(Group::Workloads), O(Group::LooseWorkloads)],
                &[O(Group::Bindings)],
                &[O(Group::Claims)],
                &[E(Entry::LoadBalancer)],
                &[E(Entry::TargetGroup)],
            ],
            Self::Capacity => &[
                &[O(Group::Budgets), O(Group::NodePools)],
                &[O(Group::NodeClaims)],
                &[E(Entry::KarpenterInstance)],
                &[O(Group::NodeClasses)],
            ],
            Self::Platform => &[
                &[O(Group::Webhooks)],
                &[O(Group::Controllers)],
                &[O(Group::Karpenter)],
                &[O(Group::Definitions)],
                &[O(Group::Namespaces)],
            ],
            Self::Nodes => &[
                &[E(Entry::NetworkPlugin)],
                &[
                    E(Entry::NodeGroup),
                    E(Entry::Addon),
                    E(Entry::PodIdentity),
                    E(Entry::AccessEntry),
                ],
                // Karpenter's once more: where its API could not be reached, it lived and launched until now.
                &[E(Entry::NodeInstance), E(Entry::KarpenterInstance)],
            ],
            Self::Cluster => &[&[E(Entry::Cluster)]],
            Self::Egress => &[&[E(Entry::NatGateway)], &[E(Entry::Address)]],
            Self::Services => &[&[
                E(Entry::Queue),
                E(Entry::Rule),
                E(Entry::Repository),
                E(Entry::Bucket),
                E(Entry::InstanceProfile),
            ]],
            Self::Remains => &[
                &[
                    E(Entry::LogGroup),
                    E(Entry::Role),
                    E(Entry::Key),
                    E(Entry::InstanceProfile),
                    E(Entry::LaunchTemplate),
                    E(Entry::Volume),
                ],
                &[E(Entry::Policy)],
            ],
            Self::Network => &[
                &[E(Entry::LoadBalancer), E(Entry::Endpoint)],
                &[E(Entry::TargetGroup)],
                &[E(Entry::Interface)],
                &[E(Entry::SecurityGroup), E(Entry::RouteTable), E(Entry::InternetGateway)],
                &[E(Entry::Subnet)],
                &[E(Entry::Vpc)],
            ],
            Self::Afterwards => &[&[E(Entry::LogGroup)]],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All phases that are over before this one begins.
    fn before(phase: Phase) -> BTreeSet<Phase> {
        let mut before = BTreeSet::new();
        let mut ahead = phase.after().to_vec();
        while let Some(next) = ahead.pop() {
            if before.insert(next) {
                ahead.extend(next.after());
            }
        }
        before
    }

    fn place(target: Target) -> (Phase, usize) {
        let mut places = Phase::ALL.into_iter().flat_map(|phase| {
            let steps = phase.steps().iter().enumerate();
            steps
                .filter(move |(_, step)| step.contains(&target))
                .map(move |(index, _)| (phase, index))
        });
        places.next().unwrap_or_else(|| panic!("{target:?} is in no phase"))
    }

    fn goes_before(first: Target, second: Target) -> bool {
        let (first, second) = (place(first), place(second));
        before(second.0).contains(&first.0) || (first.0 == second.0 && first.1 < second.1)
    }

    #[test]
    fn every_phase_has_its_turn_and_none_waits_for_itself() {
        for phase in Phase::ALL {
            assert!(!before(phase).contains(&phase), "{phase:?}");
        }
    }

    #[test]
    fn every_kind_of_the_inventory_and_every_group_of_objects_goes_in_some_phase() {
        for entry in Entry::ALL {
            place(Target::Entry(entry));
        }
        for group in Group::ALL {
            place(Target::Objects(group));
        }
    }

    #[test]
    fn what_is_held_goes_before_what_holds_it() {
        use Target::Entry as E;
        use Target::Objects as O;
        let cases = [
            (
                O(Group::Scalers),
                O(Group::Workloads),
                "a scaled object needs its workload",
            ),
            (
                O(Group::Scalers),
                O(Group::Controllers),
                "KEDA takes its finalizers off",
            ),
            (
                O(Group::Exposed),
                O(Group::Controllers),
                "the load balancer controller does",
            ),
            (O(Group::Claims), E(Entry::NodeGroup), "the volume driver runs on nodes"),
            (O(Group::Workloads), O(Group::Claims), "a mounted claim stays"),
            (E(Entry::LoadBalancer), O(Group::Controllers), "its controller made it"),
            (O(Group::NodePools), O(Group::NodeClaims), "a pool makes claims again"),
            (O(Group::NodeClaims), O(Group::Karpenter), "Karpenter ends its nodes"),
            (E(Entry::KarpenterInstance), O(Group::Karpenter), "all of them"),
            (O(Group::NodeClasses), O(Group::Karpenter), "Karpenter deletes profiles"),
            (O(Group::Controllers), O(Group::Karpenter), "Karpenter goes last"),
            (O(Group::Karpenter), O(Group::Definitions), "it watches them"),
            (O(Group::Karpenter), E(Entry::NodeGroup), "it runs there"),
            (O(Group::Karpenter), E(Entry::Queue), "it reads it"),
            (E(Entry::NetworkPlugin), E(Entry::NodeGroup), "it leaks interfaces"),
            (E(Entry::NodeGroup), E(Entry::Cluster), "EKS refuses otherwise"),
            (E(Entry::NodeGroup), E(Entry::NatGateway), "nodes drain through it"),
            (E(Entry::NodeGroup), E(Entry::LaunchTemplate), "the group uses it"),
            (E(Entry::NatGateway), E(Entry::Address), "it has the address"),
            (E(Entry::Address), E(Entry::InternetGateway), "mapped addresses hold it"),
            (E(Entry::Cluster), E(Entry::Role), "the cluster acts as it"),
            (E(Entry::Cluster), E(Entry::Key), "it encrypts with it"),
            (E(Entry::Cluster), E(Entry::LogGroup), "it writes to the end"),
            (E(Entry::Role), E(Entry::Policy), "an attached policy stays"),
            (E(Entry::Cluster), E(Entry::SecurityGroup), "its interfaces have it"),
            (E(Entry::Interface), E(Entry::SecurityGroup), "interfaces have groups"),
            (E(Entry::RouteTable), E(Entry::Subnet), "associations hold subnets"),
            (E(Entry::Subnet), E(Entry::Vpc), "a VPC goes empty"),
            (E(Entry::InternetGateway), E(Entry::Vpc), "and unattached"),
        ];
        for (first, second, why) in cases {
            assert!(goes_before(first, second), "{first:?} before {second:?}: {why}");
        }
    }

    #[test]
    fn what_waits_long_does_not_wait_for_each_other() {
        for (one, other) in [
            (Phase::Cluster, Phase::Egress),
            (Phase::Services, Phase::Nodes),
            (Phase::Network, Phase::Remains),
        ] {
            assert!(
                !before(one).contains(&other) && !before(other).contains(&one),
                "{one:?} {other:?}"
            );
        }
    }
}
