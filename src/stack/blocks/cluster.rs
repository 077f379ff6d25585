//! The cluster and the nodes that carry its controllers, with their roles and security groups.
//!
//! The cluster waits for subnets, role, log group and key, and for nothing else: neither gateways nor routes, which
//! take longer, are its business. Nodes wait for the routes, because they fetch images.

use std::collections::BTreeMap;

use serde_json::json;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::resource::spec::IngressRule;
use crate::resource::unknown::Unknown;
use crate::stack::blocks::Blocks;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cidr::Cidr;
use crate::stack::blocks::cluster_id;
use crate::stack::blocks::id;
use crate::stack::blocks::later;
use crate::stack::blocks::logs::Logs;
use crate::stack::blocks::network::Network;
use crate::stack::blocks::policy;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// What a node may do: join, pull images, give pods addresses, be reached by Session Manager.
pub(crate) const NODE_POLICIES: [&str; 4] = [
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
];

/// The ports at which the control plane calls nodes: kubelet, and the webhooks and APIs that charts serve.
const FROM_CONTROL_PLANE: [(i32, &str); 6] = [
    (443, "APIs and webhooks behind services"),
    (4443, "metrics-server"),
    (6443, "KEDA's metrics API"),
    (8443, "Karpenter's webhooks"),
    (9443, "webhooks of controllers"),
    (10250, "kubelet"),
];

declared! {
    /// An EKS cluster and its first nodes.
    pub struct Cluster {
        /// Kubernetes version, such as "1.34".
        pub version: String,
        /// Who reaches the API server.
        pub endpoint: Endpoint = Endpoint { private: true, public_from: Vec::new() },
        /// The managed group of nodes that carries the controllers.
        pub nodes: Nodes,
    }
}

declared! {
    /// Who reaches the API server.
    pub struct Endpoint {
        /// Whether the network reaches it without leaving.
        pub private: bool = true,
        /// The addresses that reach its public endpoint; none turns that off.
        pub public_from: Vec<Cidr> = Vec::new(),
    }
}

declared! {
    /// A managed group of nodes.
    pub struct Nodes {
        /// Instance types, in order of preference.
        pub types: Vec<String>,
        /// How many nodes.
        pub count: u32,
        /// Labels of the nodes.
        pub labels: BTreeMap<String, String> = BTreeMap::new(),
    }
}

impl Cluster {
    /// What the cluster becomes.
    pub fn expand(&self, site: &Site<'_>, network: &Network, blocks: &Blocks) -> Expansion {
        let mut expansion = Expansion::default();
        roles(site, blocks, &mut expansion);
        security_groups(site, network, &mut expansion);
        self.control_plane(site, network, blocks, &mut expansion);
        self.node_group(site, network, &mut expansion);
        expansion.output("name", site.stack.to_owned(), cluster_id());
        expansion.output("version", self.version.clone(), cluster_id());
        expansion.output("arn", site.cluster_arn(), cluster_id());
        for output in ["endpoint", "certificate_authority"] {
            expansion.output(output, later(Kind::Cluster, "main", output), cluster_id());
        }
        expansion
    }

    fn control_plane(&self, site: &Site<'_>, network: &Network, blocks: &Blocks, expansion: &mut Expansion) {
        let key = blocks.key.as_ref().map(|_| later(Kind::Key, "main", "arn"));
        let spec = spec::Cluster {
            version: self.version.clone(),
            role: site.role_arn("cluster"),
            subnets: subnets(site, network),
            security_groups: vec![later(Kind::SecurityGroup, "cluster", "id")],
            private_endpoint: self.endpoint.private,
            public_from: self.endpoint.public_from.iter().map(Cidr::to_string).collect(),
            authentication_mode: "API_AND_CONFIG_MAP".to_owned(),
            key: key.unwrap_or_default(),
            log_types: blocks.logs.as_ref().map(Logs::words).unwrap_or_default(),
            // Nodes carry a group of ours; a second one with the cluster's tag would confuse the load balancers.
            security_group_tags: spec::Tags::new(),
        };
        let cluster = expansion.resource(Kind::Cluster, "main", site.stack.to_owned(), spec);
        cluster.needs.insert(id(Kind::Role, "cluster"));
        if blocks.logs.is_some() {
            cluster.needs.insert(id(Kind::LogGroup, "cluster"));
        }
    }

    fn node_group(&self, site: &Site<'_>, network: &Network, expansion: &mut Expansion) {
        let template = spec::LaunchTemplate {
            imds_hop_limit: 1,
            security_groups: vec![later(Kind::SecurityGroup, "nodes", "id")],
            instance_tags: spec::Tags::from([("Name".to_owned(), site.name("base"))]),
        };
        expansion.resource(Kind::LaunchTemplate, "base", site.name("base"), template);
        let group = spec::NodeGroup {
            cluster: site.stack.to_owned(),
            role: site.role_arn("nodes"),
            subnets: subnets(site, network),
            types: self.nodes.types.clone(),
            capacity: "ON_DEMAND".to_owned(),
            ami_type: "AL2023_x86_64_STANDARD".to_owned(),
            count: i32::try_from(self.nodes.count).unwrap_or(i32::MAX),
            labels: self.nodes.labels.clone(),
            launch_template: later(Kind::LaunchTemplate, "base", "id"),
            launch_template_version: later(Kind::LaunchTemplate, "base", "version"),
        };
        let group = expansion.resource(Kind::NodeGroup, "base", "base".to_owned(), group);
        group.needs.extend([cluster_id(), id(Kind::Role, "nodes")]);
        group.needs.extend(network.routes(site.place));
    }
}

/// The roles of the control plane and of the nodes.
fn roles(site: &Site<'_>, blocks: &Blocks, expansion: &mut Expansion) {
    let encrypt = |_| {
        let actions = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"];
        let key = json!(later(Kind::Key, "main", "arn"));
        policy::document(vec![policy::allow("EncryptSecrets", &actions, key, None)])
    };
    let inline = blocks
        .key
        .as_ref()
        .map(encrypt)
        .map(|document| ("encryption".to_owned(), document));
    let cluster = spec::Role {
        path: site.path(),
        description: format!("Control plane of the cluster {}", site.stack),
        trust: policy::trust_service("eks.amazonaws.com"),
        policies: vec![site.managed_policy("AmazonEKSClusterPolicy")],
        inline: inline.into_iter().collect(),
    };
    expansion.resource(Kind::Role, "cluster", site.role("cluster"), cluster);
    expansion.resource(Kind::Role, "nodes", site.role("nodes"), node_role(site, "Base nodes"));
}

/// A role for nodes.
pub(crate) fn node_role(site: &Site<'_>, what: &str) -> spec::Role {
    spec::Role {
        path: site.path(),
        description: format!("{what} of the cluster {}", site.stack),
        trust: policy::trust_service("ec2.amazonaws.com"),
        policies: NODE_POLICIES.map(|name| site.managed_policy(name)).to_vec(),
        inline: BTreeMap::new(),
    }
}

/// The control plane is called from the private subnets, where the nodes are; naming the nodes' group as well would
/// make the two groups wait for each other.
fn security_groups(site: &Site<'_>, network: &Network, expansion: &mut Expansion) {
    let tcp = |port, source: String, description: &str| rule("tcp", (port, port), source, description);
    let ranges = network.private_ranges(site.place);
    let mut ingress: Vec<IngressRule> = ranges
        .iter()
        .map(|range| tcp(443, range.to_string(), "nodes to the API server"))
        .collect();
    ingress.sort();
    let cluster = spec::SecurityGroup {
        vpc: later(Kind::Vpc, "main", "id"),
        description: "What reaches the control plane".to_owned(),
        ingress,
        tags: spec::Tags::new(),
    };
    expansion.resource(Kind::SecurityGroup, "cluster", site.name("cluster"), cluster);

    let control_plane = later(Kind::SecurityGroup, "cluster", "id");
    let mut ingress: Vec<IngressRule> = FROM_CONTROL_PLANE
        .iter()
        .map(|(port, description)| tcp(*port, control_plane.clone(), description))
        .collect();
    let itself = || "self".to_owned();
    ingress.push(rule("tcp", (53, 53), itself(), "DNS between nodes"));
    ingress.push(rule("udp", (53, 53), itself(), "DNS between nodes"));
    ingress.push(rule("tcp", (1025, 65535), itself(), "pods to pods"));
    ingress.sort();
    let nodes = spec::SecurityGroup {
        vpc: later(Kind::Vpc, "main", "id"),
        description: "What reaches the nodes".to_owned(),
        ingress,
        tags: spec::Tags::from([
            ("karpenter.sh/discovery".to_owned(), site.stack.to_owned()),
            (format!("kubernetes.io/cluster/{}", site.stack), "owned".to_owned()),
        ]),
    };
    expansion.resource(Kind::SecurityGroup, "nodes", site.name("nodes"), nodes);
}

fn rule(protocol: &str, (from_port, to_port): (i32, i32), source: String, description: &str) -> IngressRule {
    IngressRule {
        protocol: protocol.to_owned(),
        from_port,
        to_port,
        source,
        description: description.to_owned(),
    }
}

fn subnets(site: &Site<'_>, network: &Network) -> Vec<String> {
    let subnets = network.private_subnets(site.place);
    subnets.iter().map(|subnet| Unknown::sentinel(subnet, "id")).collect()
}
