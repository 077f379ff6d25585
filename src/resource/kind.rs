//! The closed set of kinds that tubectl creates.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// What sort of thing a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A virtual private cloud.
    Vpc,
    /// A subnet of the VPC, in one zone.
    Subnet,
    /// The VPC's way to the internet.
    InternetGateway,
    /// A public address that is ours.
    ElasticIp,
    /// The way to the internet for private subnets.
    NatGateway,
    /// A table of routes, with the subnets that use it.
    RouteTable,
    /// A set of firewall rules, with its rules.
    SecurityGroup,
    /// An IAM role, with its policies.
    Role,
    /// A customer-managed IAM policy.
    Policy,
    /// An encryption key, with its alias.
    Key,
    /// A group of log streams.
    LogGroup,
    /// A queue.
    Queue,
    /// A rule that sends events to its target.
    Rule,
    /// A container image repository.
    Repository,
    /// A bucket.
    Bucket,
    /// An EKS cluster.
    Cluster,
    /// Who may use the cluster, and as what.
    AccessEntry,
    /// The role that a service account's pods act as.
    PodIdentity,
    /// A managed part of the cluster.
    Addon,
    /// How the nodes of a group are launched.
    LaunchTemplate,
    /// A managed group of nodes.
    NodeGroup,
    /// A container image.
    Image,
    /// The beginning of a chart release: its pending record.
    ReleaseBegin,
    /// A Kubernetes object.
    Object,
    /// The end of a chart release: what it no longer has is removed, its record is complete.
    ReleaseEnd,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 25] = [
        Self::Vpc,
        Self::Subnet,
        Self::InternetGateway,
        Self::ElasticIp,
        Self::NatGateway,
        Self::RouteTable,
        Self::SecurityGroup,
        Self::Role,
        Self::Policy,
        Self::Key,
        Self::LogGroup,
        Self::Queue,
        Self::Rule,
        Self::Repository,
        Self::Bucket,
        Self::Cluster,
        Self::AccessEntry,
        Self::PodIdentity,
        Self::Addon,
        Self::LaunchTemplate,
        Self::NodeGroup,
        Self::Image,
        Self::ReleaseBegin,
        Self::Object,
        Self::ReleaseEnd,
    ];

    /// The kind's name, as in the first part of a [`ResourceId`](crate::resource::id::ResourceId).
    pub fn name(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::InternetGateway => "internet-gateway",
            Self::ElasticIp => "elastic-ip",
            Self::NatGateway => "nat-gateway",
            Self::RouteTable => "route-table",
            Self::SecurityGroup => "security-group",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::Key => "key",
            Self::LogGroup => "log-group",
            Self::Queue => "queue",
            Self::Rule => "rule",
            Self::Repository => "repository",
            Self::Bucket => "bucket",
            Self::Cluster => "cluster",
            Self::AccessEntry => "access-entry",
            Self::PodIdentity => "pod-identity",
            Self::Addon => "addon",
            Self::LaunchTemplate => "launch-template",
            Self::NodeGroup => "node-group",
            Self::Image => "image",
            Self::ReleaseBegin => "release-begin",
            Self::Object => "object",
            Self::ReleaseEnd => "release-end",
        }
    }

    /// How long such a resource usually takes until it is usable, where no earlier run tells.
    ///
    /// From public logs of other tools' runs; a stack's own history replaces them.
    pub fn usual_duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Cluster => 510,
            Self::NodeGroup => 115,
            Self::NatGateway => 105,
            Self::Addon => 20,
            Self::Object => 5,
            Self::Image | Self::Queue => 4,
            Self::Role | Self::Vpc | Self::RouteTable | Self::SecurityGroup | Self::Bucket => 2,
            Self::Subnet
            | Self::InternetGateway
            | Self::ElasticIp
            | Self::Policy
            | Self::Key
            | Self::LogGroup
            | Self::Rule
            | Self::Repository
            | Self::AccessEntry
            | Self::PodIdentity
            | Self::LaunchTemplate
            | Self::ReleaseBegin
            | Self::ReleaseEnd => 1,
        })
    }

    /// The fields that no API changes on a resource that exists.
    pub fn immutable_fields(self) -> &'static [&'static str] {
        match self {
            Self::Vpc => &["cidr"],
            Self::Subnet => &["vpc", "cidr", "zone"],
            Self::NatGateway => &["subnet", "address"],
            Self::InternetGateway | Self::RouteTable => &["vpc"],
            Self::SecurityGroup => &["vpc", "description"],
            Self::Role | Self::Policy => &["path"],
            Self::Key => &["alias"],
            Self::Cluster => &["role", "subnets", "security_groups", "key"],
            Self::AccessEntry => &["cluster", "principal", "entry_type"],
            Self::PodIdentity => &["cluster", "namespace", "service_account"],
            Self::Addon => &["cluster"],
            Self::NodeGroup => &[
                "cluster",
                "role",
                "subnets",
                "types",
                "capacity",
                "ami_type",
                "launch_template",
            ],
            Self::ElasticIp
            | Self::LogGroup
            | Self::Queue
            | Self::Rule
            | Self::Repository
            | Self::Bucket
            | Self::LaunchTemplate
            | Self::Image
            | Self::ReleaseBegin
            | Self::Object
            | Self::ReleaseEnd => &[],
        }
    }

    /// The fields that no API gives back: they matter while the resource is made or taken away.
    pub fn unobserved_fields(self) -> &'static [&'static str] {
        match self {
            Self::Addon => &["wait", "pod_identities"],
            Self::Key
            | Self::Vpc
            | Self::Subnet
            | Self::InternetGateway
            | Self::ElasticIp
            | Self::NatGateway
            | Self::RouteTable
            | Self::SecurityGroup
            | Self::Role
            | Self::Policy
            | Self::LogGroup
            | Self::Queue
            | Self::Rule
            | Self::Repository
            | Self::Bucket
            | Self::Cluster
            | Self::AccessEntry
            | Self::PodIdentity
            | Self::LaunchTemplate
            | Self::NodeGroup
            | Self::Image
            | Self::ReleaseBegin
            | Self::Object
            | Self::ReleaseEnd => &[],
        }
    }

    /// The fields whose every entry is ours: one that the stack does not have is too many.
    pub fn exact_fields(self) -> &'static [&'static str] {
        match self {
            Self::RouteTable => &["routes"],
            Self::Role => &["inline"],
            Self::NodeGroup => &["labels"],
            Self::Vpc
            | Self::Subnet
            | Self::InternetGateway
            | Self::ElasticIp
            | Self::NatGateway
            | Self::SecurityGroup
            | Self::Policy
            | Self::Key
            | Self::LogGroup
            | Self::Queue
            | Self::Rule
            | Self::Repository
            | Self::Bucket
            | Self::Cluster
            | Self::AccessEntry
            | Self::PodIdentity
            | Self::Addon
            | Self::LaunchTemplate
            | Self::Image
            | Self::ReleaseBegin
            | Self::Object
            | Self::ReleaseEnd => &[],
        }
    }

    /// The outputs that a change of the resource changes.
    pub fn renewed_outputs(self) -> &'static [&'static str] {
        match self {
            Self::LaunchTemplate | Self::Addon => &["version"],
            Self::Vpc
            | Self::Subnet
            | Self::InternetGateway
            | Self::ElasticIp
            | Self::NatGateway
            | Self::RouteTable
            | Self::SecurityGroup
            | Self::Role
            | Self::Policy
            | Self::Key
            | Self::LogGroup
            | Self::Queue
            | Self::Rule
            | Self::Repository
            | Self::Bucket
            | Self::Cluster
            | Self::AccessEntry
            | Self::PodIdentity
            | Self::NodeGroup
            | Self::Image
            | Self::ReleaseBegin
            | Self::Object
            | Self::ReleaseEnd => &[],
        }
    }

    /// The fields whose order means nothing: an API may give them back in another one.
    pub fn unordered_fields(self) -> &'static [&'static str] {
        match self {
            Self::RouteTable | Self::NodeGroup => &["subnets"],
            Self::Role | Self::AccessEntry => &["policies"],
            Self::Cluster => &["subnets", "security_groups", "public_from", "log_types"],
            Self::LaunchTemplate => &["security_groups"],
            Self::Image => &["platforms"],
            Self::Vpc
            | Self::Subnet
            | Self::InternetGateway
            | Self::ElasticIp
            | Self::NatGateway
            | Self::SecurityGroup
            | Self::Policy
            | Self::Key
            | Self::LogGroup
            | Self::Queue
            | Self::Rule
            | Self::Repository
            | Self::Bucket
            | Self::PodIdentity
            | Self::Addon
            | Self::ReleaseBegin
            | Self::Object
            | Self::ReleaseEnd => &[],
        }
    }

    /// How long to wait before giving up on such a resource.
    pub fn deadline(self) -> Duration {
        Duration::from_secs(60).max(self.usual_duration() * 4).max(match self {
            Self::Object => Duration::from_secs(900),
            Self::Addon => Duration::from_secs(1200),
            _ => Duration::ZERO,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
