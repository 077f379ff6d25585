//! What Karpenter needs in AWS: its controller's role and six policies, the role of its nodes and their way into the
//! cluster, and the queue that tells it of interruptions.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cluster::node_role;
use crate::stack::blocks::cluster_id;
use crate::stack::blocks::id;
use crate::stack::blocks::policy;
use crate::stack::blocks::policy::allow;
use crate::stack::declare::ObjectName;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// Karpenter hears of an interruption two minutes ahead at most; older news help nobody.
const RETENTION_SECONDS: u32 = 300;

/// What `EventBridge` passes on to Karpenter: id, source and type of each event.
const EVENTS: [(&str, &str, &str); 5] = [
    ("health", "aws.health", "AWS Health Event"),
    ("spot-interruption", "aws.ec2", "EC2 Spot Instance Interruption Warning"),
    ("rebalance", "aws.ec2", "EC2 Instance Rebalance Recommendation"),
    ("state-change", "aws.ec2", "EC2 Instance State-change Notification"),
    (
        "capacity-reservation",
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
    ),
];

declared! {
    /// What Karpenter needs in AWS.
    pub struct Karpenter {
        /// Karpenter's version, such as "1.14.1".
        pub version: String,
        /// The controller's service account, as `namespace/name`.
        pub service_account: ObjectName,
    }
}

impl Karpenter {
    /// What Karpenter's part becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        let policies = policies(site);
        for (name, document) in &policies {
            let name = format!("karpenter-{name}");
            let spec = spec::Policy {
                path: site.path(),
                document: document.clone(),
            };
            expansion.resource(Kind::Policy, &name, site.policy(&name), spec);
        }
        self.controller(site, &mut expansion, policies.keys());
        nodes(site, &mut expansion);
        interruptions(site, &mut expansion);
        expansion.output("queue", site.queue(), id(Kind::Queue, "karpenter"));
        expansion.output(
            "node_role",
            site.role("karpenter-node"),
            id(Kind::Role, "karpenter-node"),
        );
        expansion.output(
            "controller_role",
            site.role_arn("karpenter"),
            id(Kind::Role, "karpenter"),
        );
        expansion
    }

    fn controller<'a>(
        &self,
        site: &Site<'_>,
        expansion: &mut Expansion,
        policies: impl Iterator<Item = &'a &'static str>,
    ) {
        let policies: Vec<String> = policies.map(|name| format!("karpenter-{name}")).collect();
        let mut arns: Vec<String> = policies.iter().map(|name| site.policy_arn(name)).collect();
        arns.sort();
        let role = spec::Role {
            path: site.path(),
            description: format!("Karpenter of the cluster {}", site.stack),
            trust: policy::trust_pods(),
            policies: arns,
            inline: BTreeMap::new(),
        };
        let role = expansion.resource(Kind::Role, "karpenter", site.role("karpenter"), role);
        role.needs.extend(policies.iter().map(|name| id(Kind::Policy, name)));
        let identity = spec::PodIdentity {
            cluster: site.stack.to_owned(),
            namespace: self.service_account.namespace.clone(),
            service_account: self.service_account.name.clone(),
            role: site.role_arn("karpenter"),
        };
        let name = self.service_account.to_string();
        let identity = expansion.resource(Kind::PodIdentity, "karpenter", name, identity);
        identity.needs.extend([cluster_id(), id(Kind::Role, "karpenter")]);
    }
}

fn nodes(site: &Site<'_>, expansion: &mut Expansion) {
    let role = node_role(site, "Karpenter's nodes");
    expansion.resource(Kind::Role, "karpenter-node", site.role("karpenter-node"), role);
    let principal = site.role_arn("karpenter-node");
    let entry = spec::AccessEntry {
        cluster: site.stack.to_owned(),
        principal: principal.clone(),
        entry_type: "EC2_LINUX".to_owned(),
        policies: Vec::new(),
    };
    let entry = expansion.resource(Kind::AccessEntry, "karpenter-node", principal, entry);
    entry.needs.extend([cluster_id(), id(Kind::Role, "karpenter-node")]);
}

fn interruptions(site: &Site<'_>, expansion: &mut Expansion) {
    let arn = site.arn("sqs", &site.queue());
    let senders = json!({"Service": ["events.amazonaws.com", "sqs.amazonaws.com"]});
    let send = json!({"Sid": "SendEvents", "Effect": "Allow", "Principal": senders,
        "Action": "sqs:SendMessage", "Resource": arn});
    let plain = json!({"Sid": "DenyPlainHttp", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    let queue = spec::Queue {
        retention_seconds: RETENTION_SECONDS,
        managed_encryption: true,
        policy: policy::document(vec![send, plain]),
    };
    expansion.resource(Kind::Queue, "karpenter", site.queue(), queue);
    for (name, source, event) in EVENTS {
        let name = format!("karpenter-{name}");
        let rule = spec::Rule {
            description: format!("{event}, for Karpenter of {}", site.stack),
            pattern: json!({"source": [source], "detail-type": [event]}),
            target: arn.clone(),
        };
        let rule = expansion.resource(Kind::Rule, &name, site.rule(&name), rule);
        rule.needs.insert(id(Kind::Queue, "karpenter"));
    }
}

/// The controller's six policies: one would be longer than AWS allows.
fn policies(site: &Site<'_>) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("node-lifecycle", policy::document(node_lifecycle(site))),
        ("iam-integration", policy::document(iam_integration(site))),
        ("eks-integration", policy::document(eks_integration(site))),
        ("interruption", policy::document(interruption(site))),
        ("zonal-shift", policy::document(zonal_shift(site))),
        ("resource-discovery", policy::document(resource_discovery(site))),
    ])
}

/// The tag keys and values by which Karpenter marks what is of this cluster.
struct Marks {
    owned: String,
    cluster: String,
}

impl Marks {
    fn of(site: &Site<'_>) -> Self {
        Self {
            owned: format!("kubernetes.io/cluster/{}", site.stack),
            cluster: site.stack.to_owned(),
        }
    }

    /// What is asked for carries the cluster's marks and belongs to a node pool.
    fn requested(&self) -> Value {
        json!({
            "StringEquals": {
                format!("aws:RequestTag/{}", self.owned): "owned",
                "aws:RequestTag/eks:eks-cluster-name": self.cluster,
            },
            "StringLike": {"aws:RequestTag/karpenter.sh/nodepool": "*"},
        })
    }

    /// What exists carries the cluster's mark and belongs to a node pool.
    fn existing(&self) -> Value {
        json!({
            "StringEquals": {format!("aws:ResourceTag/{}", self.owned): "owned"},
            "StringLike": {"aws:ResourceTag/karpenter.sh/nodepool": "*"},
        })
    }
}

/// The ARNs of everything of these types in the region, in whatever account.
fn ec2(site: &Site<'_>, types: &[&str]) -> Value {
    let arn = |of: &&str| format!("arn:{}:ec2:{}:*:{of}/*", site.place.partition(), site.place.region);
    types.iter().map(arn).collect()
}

fn node_lifecycle(site: &Site<'_>) -> Vec<Value> {
    let marks = Marks::of(site);
    let launch = ["ec2:RunInstances", "ec2:CreateFleet"];
    let create = ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"];
    let created = ec2(
        site,
        &[
            "fleet",
            "instance",
            "volume",
            "network-interface",
            "launch-template",
            "spot-instances-request",
        ],
    );
    let images = |of: &str| format!("arn:{}:ec2:{}::{of}/*", site.place.partition(), site.place.region);
    let mut read = vec![json!(images("image")), json!(images("snapshot"))];
    let groups = ["security-group", "subnet", "capacity-reservation", "placement-group"];
    read.extend(ec2(site, &groups).as_array().into_iter().flatten().cloned());
    let mut tagging = marks.requested();
    tagging["StringEquals"]["ec2:CreateAction"] = json!(["RunInstances", "CreateFleet", "CreateLaunchTemplate"]);
    let mut retagging = marks.existing();
    retagging["StringEqualsIfExists"] = json!({"aws:RequestTag/eks:eks-cluster-name": marks.cluster});
    retagging["ForAllValues:StringEquals"] =
        json!({"aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]});
    let delete = ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"];
    vec![
        allow("AllowScopedEC2InstanceAccessActions", &launch, json!(read), None),
        allow(
            "AllowScopedEC2LaunchTemplateAccessActions",
            &launch,
            ec2(site, &["launch-template"]),
            Some(marks.existing()),
        ),
        allow(
            "AllowScopedEC2InstanceActionsWithTags",
            &create,
            created.clone(),
            Some(marks.requested()),
        ),
        allow(
            "AllowScopedResourceCreationTagging",
            &["ec2:CreateTags"],
            created,
            Some(tagging),
        ),
        allow(
            "AllowScopedResourceTagging",
            &["ec2:CreateTags"],
            ec2(site, &["instance"]),
            Some(retagging),
        ),
        allow(
            "AllowScopedDeletion",
            &delete,
            ec2(site, &["instance", "launch-template"]),
            Some(marks.existing()),
        ),
    ]
}

fn iam_integration(site: &Site<'_>) -> Vec<Value> {
    let Marks { owned, cluster } = Marks::of(site);
    let region = &site.place.region;
    let profiles = json!(site.iam("instance-profile/*"));
    let requested = json!({
        format!("aws:RequestTag/{owned}"): "owned",
        "aws:RequestTag/eks:eks-cluster-name": cluster,
        "aws:RequestTag/topology.kubernetes.io/region": region,
    });
    let existing = json!({
        format!("aws:ResourceTag/{owned}"): "owned",
        "aws:ResourceTag/topology.kubernetes.io/region": region,
    });
    let create = json!({
        "StringEquals": requested,
        "StringLike": {"aws:RequestTag/karpenter.k8s.aws/ec2nodeclass": "*"},
    });
    let mut both = existing.clone();
    for (key, value) in requested.as_object().into_iter().flatten() {
        both[key] = value.clone();
    }
    let tag = json!({
        "StringEquals": both,
        "StringLike": {
            "aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass": "*",
            "aws:RequestTag/karpenter.k8s.aws/ec2nodeclass": "*",
        },
    });
    let change = json!({
        "StringEquals": existing,
        "StringLike": {"aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass": "*"},
    });
    let passed = json!({"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]}});
    let changes = [
        "iam:AddRoleToInstanceProfile",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:DeleteInstanceProfile",
    ];
    vec![
        allow(
            "AllowPassingInstanceRole",
            &["iam:PassRole"],
            json!(site.role_arn("karpenter-node")),
            Some(passed),
        ),
        allow(
            "AllowScopedInstanceProfileCreationActions",
            &["iam:CreateInstanceProfile"],
            profiles.clone(),
            Some(create),
        ),
        allow(
            "AllowScopedInstanceProfileTagActions",
            &["iam:TagInstanceProfile"],
            profiles.clone(),
            Some(tag),
        ),
        allow("AllowScopedInstanceProfileActions", &changes, profiles, Some(change)),
    ]
}

fn eks_integration(site: &Site<'_>) -> Vec<Value> {
    let cluster = json!(site.cluster_arn());
    vec![allow(
        "AllowAPIServerEndpointDiscovery",
        &["eks:DescribeCluster"],
        cluster,
        None,
    )]
}

fn interruption(site: &Site<'_>) -> Vec<Value> {
    let actions = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"];
    let queue = json!(site.arn("sqs", &site.queue()));
    vec![allow("AllowInterruptionQueueActions", &actions, queue, None)]
}

fn zonal_shift(site: &Site<'_>) -> Vec<Value> {
    let of_cluster = json!({"StringEquals": {"arc-zonal-shift:ResourceIdentifier": site.cluster_arn()}});
    let actions = ["arc-zonal-shift:GetManagedResource"];
    vec![allow(
        "AllowZonalShiftStatusReadOnly",
        &actions,
        json!("*"),
        Some(of_cluster),
    )]
}

fn resource_discovery(site: &Site<'_>) -> Vec<Value> {
    let region = &site.place.region;
    let here = json!({"StringEquals": {"aws:RequestedRegion": region}});
    let describe = [
        "ec2:DescribeCapacityReservations",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribePlacementGroups",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSpotPriceHistory",
        "ec2:DescribeSubnets",
    ];
    let parameters = format!("arn:{}:ssm:{region}::parameter/aws/service/*", site.place.partition());
    let profiles = json!(site.iam("instance-profile/*"));
    vec![
        allow("AllowRegionalReadActions", &describe, json!("*"), Some(here)),
        allow("AllowSSMReadActions", &["ssm:GetParameter"], json!(parameters), None),
        allow("AllowPricingReadActions", &["pricing:GetProducts"], json!("*"), None),
        allow(
            "AllowUnscopedInstanceProfileListAction",
            &["iam:ListInstanceProfiles"],
            json!("*"),
            None,
        ),
        allow(
            "AllowInstanceProfileReadActions",
            &["iam:GetInstanceProfile"],
            profiles,
            None,
        ),
    ]
}
