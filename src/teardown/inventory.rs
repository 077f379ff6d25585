//! Everything that a stack can leave in an account: one entry a kind. Each says how it is looked for in the world, finds
//! what is there, and takes one thing of it away.
//!
//! Ownership is matched exactly: a neighbour whose name begins with ours is never found.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::provider::aws::Aws;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Thing;
use crate::provider::aws::leftovers::balancers;
use crate::provider::aws::leftovers::compute;
use crate::provider::aws::leftovers::control;
use crate::provider::aws::leftovers::identity;
use crate::provider::aws::leftovers::network;
use crate::provider::aws::leftovers::regional;
use crate::provider::aws::tags;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;

/// A kind of thing that can be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each says what it is in `name` and in `looked_for`")]
pub enum Entry {
    KarpenterInstance,
    NodeInstance,
    LoadBalancer,
    TargetGroup,
    LaunchTemplate,
    InstanceProfile,
    Volume,
    NetworkPlugin,
    NodeGroup,
    Addon,
    PodIdentity,
    AccessEntry,
    Cluster,
    Queue,
    Rule,
    LogGroup,
    Role,
    Policy,
    Repository,
    Bucket,
    Key,
    NatGateway,
    Address,
    Endpoint,
    Interface,
    SecurityGroup,
    RouteTable,
    Subnet,
    InternetGateway,
    Vpc,
}

impl Entry {
    /// Every entry of the proof, in the order in which it lists them. The network plugin is an add-on.
    pub const ALL: [Self; 29] = [
        Self::KarpenterInstance,
        Self::NodeInstance,
        Self::LoadBalancer,
        Self::TargetGroup,
        Self::LaunchTemplate,
        Self::InstanceProfile,
        Self::Volume,
        Self::NodeGroup,
        Self::Addon,
        Self::PodIdentity,
        Self::AccessEntry,
        Self::Cluster,
        Self::Queue,
        Self::Rule,
        Self::LogGroup,
        Self::Role,
        Self::Policy,
        Self::Repository,
        Self::Bucket,
        Self::Key,
        Self::NatGateway,
        Self::Address,
        Self::Endpoint,
        Self::Interface,
        Self::SecurityGroup,
        Self::RouteTable,
        Self::Subnet,
        Self::InternetGateway,
        Self::Vpc,
    ];

    /// What such a thing is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::KarpenterInstance => "instance of Karpenter",
            Self::NodeInstance => "instance of a node group",
            Self::LoadBalancer => "load balancer",
            Self::TargetGroup => "target group",
            Self::LaunchTemplate => "launch template",
            Self::InstanceProfile => "instance profile",
            Self::Volume => "volume",
            Self::NetworkPlugin => "network plugin",
            Self::NodeGroup => "node group",
            Self::Addon => "add-on",
            Self::PodIdentity => "pod identity",
            Self::AccessEntry => "access entry",
            Self::Cluster => "cluster",
            Self::Queue => "queue",
            Self::Rule => "event rule",
            Self::LogGroup => "log group",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::Repository => "image repository",
            Self::Bucket => "bucket",
            Self::Key => "key",
            Self::NatGateway => "NAT gateway",
            Self::Address => "elastic IP",
            Self::Endpoint => "VPC endpoint",
            Self::Interface => "network interface",
            Self::SecurityGroup => "security group",
            Self::RouteTable => "route table",
            Self::Subnet => "subnet",
            Self::InternetGateway => "internet gateway",
            Self::Vpc => "VPC",
        }
    }

    /// How it is looked for, as the proof says it.
    pub fn looked_for(self, aws: &Aws) -> String {
        let (stack, region) = (&aws.owner.stack, &aws.place.region);
        let ours = format!("{}={stack}, {}={}", tags::STACK, tags::INSTANCE, aws.owner.instance);
        let owned = format!("kubernetes.io/cluster/{stack}=owned");
        match self {
            Self::KarpenterInstance => {
                format!("karpenter.sh/nodepool with {owned} or eks:eks-cluster-name={stack}; not terminated")
            }
            Self::NodeInstance => format!("eks:cluster-name={stack}, or {ours}; not terminated"),
            Self::LoadBalancer | Self::TargetGroup => {
                format!("elbv2.k8s.aws/cluster={stack}, or {ours}, or in our VPC")
            }
            Self::LaunchTemplate => {
                format!("karpenter.k8s.aws/ec2nodeclass with eks:eks-cluster-name={stack}, or {ours}")
            }
            Self::InstanceProfile => format!("path {}", identity::profile_path(region, stack)),
            Self::Volume => format!("kubernetes.io/created-for/pvc/name with {owned}, or {ours}"),
            Self::NetworkPlugin | Self::NodeGroup | Self::Addon | Self::PodIdentity | Self::AccessEntry => {
                format!("of cluster {stack}")
            }
            Self::Cluster => format!("name {stack}, {ours}"),
            Self::LogGroup => format!("name begins with {}", regional::log_prefixes(stack).join(" or ")),
            Self::Role | Self::Policy => {
                format!("path {}, {ours}", crate::provider::aws::iam::path(stack))
            }
            Self::Bucket | Self::Queue | Self::Rule | Self::Repository | Self::Vpc => ours,
            Self::Key => format!("{ours}; not scheduled for deletion"),
            Self::Address => format!("{ours}, or {owned}"),
            Self::Interface => {
                format!("cluster.k8s.amazonaws.com/name={stack}, or {owned}, or in our VPC")
            }
            Self::SecurityGroup => {
                format!("aws:eks:cluster-name={stack}, or elbv2.k8s.aws/cluster={stack}, or {ours}, or in our VPC")
            }
            Self::NatGateway | Self::Endpoint | Self::RouteTable | Self::Subnet | Self::InternetGateway => {
                format!("{ours}, or in our VPC")
            }
        }
    }

    /// What is there.
    pub fn find<'a>(self, aws: &'a Aws, marks: &'a Marks) -> BoxFuture<'a, Result<Vec<Thing>, ProviderError>> {
        // Boxed: an SDK's call takes tens of kilobytes, and all kinds are looked for at once.
        match self {
            Self::KarpenterInstance => compute::karpenter_instances(aws, marks).boxed(),
            Self::NodeInstance => compute::node_instances(aws, marks).boxed(),
            Self::LoadBalancer => balancers::load_balancers(aws, marks).boxed(),
            Self::TargetGroup => balancers::target_groups(aws, marks).boxed(),
            Self::LaunchTemplate => compute::launch_templates(aws, marks).boxed(),
            Self::InstanceProfile => identity::instance_profiles(aws, marks).boxed(),
            Self::Volume => compute::volumes(aws, marks).boxed(),
            Self::NetworkPlugin => control::network_plugin(aws, marks).boxed(),
            Self::NodeGroup => control::node_groups(aws, marks).boxed(),
            Self::Addon => control::addons(aws, marks).boxed(),
            Self::PodIdentity => control::pod_identities(aws, marks).boxed(),
            Self::AccessEntry => control::access_entries(aws, marks).boxed(),
            Self::Cluster => control::cluster(aws, marks).boxed(),
            Self::Queue => regional::queues(aws).boxed(),
            Self::Rule => regional::rules(aws).boxed(),
            Self::LogGroup => regional::log_groups(aws, marks).boxed(),
            Self::Role => identity::roles(aws).boxed(),
            Self::Policy => identity::policies(aws).boxed(),
            Self::Repository => regional::repositories(aws).boxed(),
            Self::Bucket => regional::buckets(aws).boxed(),
            Self::Key => regional::keys(aws).boxed(),
            Self::NatGateway => network::nat_gateways(aws, marks).boxed(),
            Self::Address => network::addresses(aws, marks).boxed(),
            Self::Endpoint => network::endpoints(aws, marks).boxed(),
            Self::Interface => compute::interfaces(aws, marks).boxed(),
            Self::SecurityGroup => network::security_groups(aws, marks).boxed(),
            Self::RouteTable => network::route_tables(aws, marks).boxed(),
            Self::Subnet => network::subnets(aws, marks).boxed(),
            Self::InternetGateway => network::internet_gateways(aws, marks).boxed(),
            Self::Vpc => network::vpcs(aws).boxed(),
        }
    }

    /// Takes one thing away, what hangs on it first. What is gone already is as good as taken away.
    pub async fn remove(self, aws: &Aws, id: &str) -> Result<(), ProviderError> {
        match self.delete(aws, id).await {
            Err(error) if error.class == Class::NotFound => Ok(()),
            other => other,
        }
    }

    fn delete<'a>(self, aws: &'a Aws, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        match self {
            Self::KarpenterInstance | Self::NodeInstance => compute::terminate(aws, id).boxed(),
            Self::LoadBalancer => balancers::delete_load_balancer(aws, id).boxed(),
            Self::TargetGroup => balancers::delete_target_group(aws, id).boxed(),
            Self::LaunchTemplate => compute::delete_launch_template(aws, id).boxed(),
            Self::InstanceProfile => identity::delete_instance_profile(aws, id).boxed(),
            Self::Volume => compute::delete_volume(aws, id).boxed(),
            Self::NetworkPlugin | Self::Addon => control::delete_addon(aws, id).boxed(),
            Self::NodeGroup => control::delete_node_group(aws, id).boxed(),
            Self::PodIdentity => control::delete_pod_identity(aws, id).boxed(),
            Self::AccessEntry => control::delete_access_entry(aws, id).boxed(),
            Self::Cluster => control::delete_cluster(aws, id).boxed(),
            Self::Queue => regional::delete_queue(aws, id).boxed(),
            Self::Rule => regional::delete_rule(aws, id).boxed(),
            Self::LogGroup => regional::delete_log_group(aws, id).boxed(),
            Self::Role => identity::delete_role(aws, id).boxed(),
            Self::Policy => identity::delete_policy(aws, id).boxed(),
            Self::Repository => regional::delete_repository(aws, id).boxed(),
            Self::Bucket => regional::delete_bucket(aws, id).boxed(),
            Self::Key => regional::delete_key(aws, id).boxed(),
            Self::NatGateway => network::delete_nat_gateway(aws, id).boxed(),
            Self::Address => network::release_address(aws, id).boxed(),
            Self::Endpoint => network::delete_endpoint(aws, id).boxed(),
            Self::Interface => compute::delete_interface(aws, id).boxed(),
            Self::SecurityGroup => network::delete_security_group(aws, id).boxed(),
            Self::RouteTable => network::delete_route_table(aws, id).boxed(),
            Self::Subnet => network::delete_subnet(aws, id).boxed(),
            Self::InternetGateway => network::delete_internet_gateway(aws, id).boxed(),
            Self::Vpc => network::delete_vpc(aws, id).boxed(),
        }
    }

    /// Whether it holds what people made, and stays when they ask for it.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Repository | Self::Bucket)
    }

    /// How long it usually takes until such a thing is gone.
    pub fn usually_takes(self) -> Duration {
        Duration::from_secs(match self {
            Self::Cluster => 180,
            Self::NodeGroup => 150,
            Self::NatGateway => 60,
            Self::KarpenterInstance | Self::NodeInstance => 45,
            Self::Interface | Self::SecurityGroup => 20,
            Self::Addon | Self::NetworkPlugin => 10,
            _ => 1,
        })
    }
}
