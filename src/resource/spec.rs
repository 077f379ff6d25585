//! The fields of each AWS kind: what blocks write, what providers read and find.
//!
//! One struct a kind, in the words of the AWS API. A field that refers to another resource holds the value itself or,
//! while it is not known, a sentinel (see [`unknown`](crate::resource::unknown)). Ownership tags are not in here: the
//! provider stamps them on everything. Each struct says what the resource gives to others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// Tags beyond those of ownership.
pub type Tags = BTreeMap<String, String>;

/// [`Kind::Vpc`](crate::resource::kind::Kind::Vpc); gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Vpc {
    pub cidr: String,
    pub dns_support: bool,
    pub dns_hostnames: bool,
    pub tags: Tags,
}

/// [`Kind::Subnet`](crate::resource::kind::Kind::Subnet); gives `id`, `zone`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Subnet {
    pub vpc: String,
    pub cidr: String,
    pub zone: String,
    pub public_ip_on_launch: bool,
    pub tags: Tags,
}

/// [`Kind::InternetGateway`](crate::resource::kind::Kind::InternetGateway), attached to its VPC; gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct InternetGateway {
    pub vpc: String,
}

/// [`Kind::ElasticIp`](crate::resource::kind::Kind::ElasticIp); gives `id` (the allocation) and `ip`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticIp {}

/// [`Kind::NatGateway`](crate::resource::kind::Kind::NatGateway); gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct NatGateway {
    pub subnet: String,
    /// The allocation id of its elastic IP.
    pub address: String,
}

/// [`Kind::RouteTable`](crate::resource::kind::Kind::RouteTable); gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct RouteTable {
    pub vpc: String,
    /// Destination CIDR to gateway or NAT gateway id.
    pub routes: BTreeMap<String, String>,
    /// The subnets that use it, sorted.
    pub subnets: Vec<String>,
}

/// [`Kind::SecurityGroup`](crate::resource::kind::Kind::SecurityGroup), its ingress rules with it; egress is AWS's
/// default (everything); gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct SecurityGroup {
    pub vpc: String,
    pub description: String,
    /// Sorted.
    pub ingress: Vec<IngressRule>,
    pub tags: Tags,
}

/// One rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct IngressRule {
    /// `tcp`, `udp` or `-1`.
    pub protocol: String,
    pub from_port: i32,
    pub to_port: i32,
    /// A CIDR, the id of a security group or of a prefix list, or `self`.
    pub source: String,
    pub description: String,
}

/// [`Kind::Role`](crate::resource::kind::Kind::Role); gives `arn`, `name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Role {
    pub path: String,
    pub description: String,
    pub trust: Value,
    /// ARNs of attached policies, AWS's and ours, sorted.
    pub policies: Vec<String>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Value>,
}

/// [`Kind::Policy`](crate::resource::kind::Kind::Policy); gives `arn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Policy {
    pub path: String,
    pub document: Value,
}

/// [`Kind::Key`](crate::resource::kind::Kind::Key) with its alias; gives `arn`, `id`, `alias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Key {
    /// With `alias/` before it.
    pub alias: String,
    pub description: String,
    pub rotate: bool,
    /// How long AWS waits after the key was scheduled for deletion; a tag on it, so that whoever deletes it knows.
    pub delete_after_days: i32,
}

/// [`Kind::LogGroup`](crate::resource::kind::Kind::LogGroup); gives `arn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct LogGroup {
    pub retention_days: i32,
}

/// [`Kind::Queue`](crate::resource::kind::Kind::Queue); gives `arn`, `url`, `name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Queue {
    pub retention_seconds: u32,
    pub managed_encryption: bool,
    pub policy: Value,
}

/// [`Kind::Rule`](crate::resource::kind::Kind::Rule) with its one target; gives `arn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Rule {
    pub description: String,
    pub pattern: Value,
    /// ARN of the queue that events go to.
    pub target: String,
}

/// [`Kind::Repository`](crate::resource::kind::Kind::Repository); gives `arn`, `uri`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Repository {
    pub scan_on_push: bool,
    pub immutable_tags: bool,
}

/// [`Kind::Bucket`](crate::resource::kind::Kind::Bucket); gives `name`, `arn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Bucket {
    pub versioned: bool,
    /// Whether nothing in it can be opened to the public.
    pub closed: bool,
}

/// [`Kind::Cluster`](crate::resource::kind::Kind::Cluster); gives `name`, `arn`, `endpoint`, `certificate_authority`,
/// `security_group`, `issuer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Cluster {
    pub version: String,
    pub role: String,
    /// Sorted.
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub private_endpoint: bool,
    /// Who may reach the public endpoint; none when it is off.
    pub public_from: Vec<String>,
    /// `API_AND_CONFIG_MAP` or `API`.
    pub authentication_mode: String,
    /// ARN of the key that encrypts secrets; empty for none.
    pub key: String,
    /// Control-plane logs, sorted.
    pub log_types: Vec<String>,
    /// Tags on the security group that EKS makes for the cluster.
    pub security_group_tags: Tags,
}

/// [`Kind::AccessEntry`](crate::resource::kind::Kind::AccessEntry); named for its principal; gives `arn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct AccessEntry {
    pub cluster: String,
    pub principal: String,
    /// `STANDARD` or `EC2_LINUX`.
    pub entry_type: String,
    /// ARNs of access policies, for the whole cluster.
    pub policies: Vec<String>,
}

/// [`Kind::PodIdentity`](crate::resource::kind::Kind::PodIdentity); gives `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct PodIdentity {
    pub cluster: String,
    pub namespace: String,
    pub service_account: String,
    pub role: String,
}

/// [`Kind::Addon`](crate::resource::kind::Kind::Addon); named as EKS names it; gives `arn`, `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct Addon {
    pub cluster: String,
    /// A concrete version; empty for the newest that fits, which is resolved once and then kept.
    pub version: String,
    /// Whether others wait until it is active; before there are nodes some add-ons cannot be.
    pub wait: bool,
    /// Service account to role ARN, for the add-on's own pod identities.
    pub pod_identities: BTreeMap<String, String>,
}

/// [`Kind::LaunchTemplate`](crate::resource::kind::Kind::LaunchTemplate); gives `id`, `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct LaunchTemplate {
    pub imds_hop_limit: i32,
    pub security_groups: Vec<String>,
    /// Tags on the instances.
    pub instance_tags: Tags,
}

/// [`Kind::NodeGroup`](crate::resource::kind::Kind::NodeGroup); gives `name`, and `release`: its machine image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names of the AWS API")]
pub struct NodeGroup {
    pub cluster: String,
    pub role: String,
    /// Sorted.
    pub subnets: Vec<String>,
    /// In order of preference.
    pub types: Vec<String>,
    /// `ON_DEMAND` or `SPOT`.
    pub capacity: String,
    pub ami_type: String,
    pub count: i32,
    pub labels: BTreeMap<String, String>,
    pub launch_template: String,
    /// Nodes are launched from this version of it.
    pub launch_template_version: String,
}

/// [`Kind::Image`](crate::resource::kind::Kind::Image); gives `uri` (with digest), `digest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields have the names and meanings of an OCI image")]
pub struct Image {
    /// The repository's URI.
    pub repository: String,
    pub tag: String,
    pub entrypoint: Vec<String>,
    /// Such as `linux/arm64`, sorted.
    pub platforms: Vec<String>,
}
