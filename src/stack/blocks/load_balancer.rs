//! What the AWS Load Balancer Controller needs in AWS: a role with the rights of its version 3.5.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cluster_id;
use crate::stack::blocks::id;
use crate::stack::blocks::policy;
use crate::stack::blocks::policy::allow;
use crate::stack::declare::ObjectName;
use crate::stack::declare::Placed;
use crate::stack::declare::declared;
use crate::stack::file::Span;
use crate::stack::names::Site;

/// The versions whose policy is the one below begin so.
const KNOWN: &str = "3.5.";

declared! {
    /// What the AWS Load Balancer Controller needs in AWS.
    pub struct LoadBalancer {
        /// The controller's version, such as "3.5.0".
        pub version: Placed<String>,
        /// The controller's service account, as `namespace/name`.
        pub service_account: ObjectName,
    }
}

impl LoadBalancer {
    /// What is wrong with it, with the place of the mistake and the next step.
    pub fn problem(&self) -> Option<(Span, String, String)> {
        let version = &self.version.value;
        let message = format!("no policy is known for version `{version}` of the load balancer controller");
        let next = format!("use a version that begins with {KNOWN}");
        (!version.starts_with(KNOWN)).then_some((self.version.at, message, next))
    }

    /// What the controller's part becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        let policy = spec::Policy {
            path: site.path(),
            document: policy::document(statements(site)),
        };
        expansion.resource(Kind::Policy, "load-balancer", site.policy("load-balancer"), policy);
        let role = spec::Role {
            path: site.path(),
            description: format!("Load balancer controller of the cluster {}", site.stack),
            trust: policy::trust_pods(),
            policies: vec![site.policy_arn("load-balancer")],
            inline: BTreeMap::new(),
        };
        let role = expansion.resource(Kind::Role, "load-balancer", site.role("load-balancer"), role);
        role.needs.insert(id(Kind::Policy, "load-balancer"));
        let identity = spec::PodIdentity {
            cluster: site.stack.to_owned(),
            namespace: self.service_account.namespace.clone(),
            service_account: self.service_account.name.clone(),
            role: site.role_arn("load-balancer"),
        };
        let name = self.service_account.to_string();
        let identity = expansion.resource(Kind::PodIdentity, "load-balancer", name, identity);
        identity.needs.extend([cluster_id(), id(Kind::Role, "load-balancer")]);
        expansion.output("role", site.role_arn("load-balancer"), id(Kind::Role, "load-balancer"));
        expansion
    }
}

const READ: [&str; 29] = [
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeCoipPools",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeIpamPools",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpcs",
    "ec2:GetCoipPoolUsage",
    "ec2:GetSecurityGroupsForVpc",
    "elasticloadbalancing:DescribeCapacityReservation",
    "elasticloadbalancing:DescribeListenerAttributes",
    "elasticloadbalancing:DescribeListenerCertificates",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeSSLPolicies",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DescribeTrustStores",
];

/// What annotations of an Ingress may ask for beside a load balancer: sign-in, certificates, firewalls.
const NEIGHBOURS: [&str; 17] = [
    "acm:DescribeCertificate",
    "acm:ListCertificates",
    "cognito-idp:DescribeUserPoolClient",
    "iam:GetServerCertificate",
    "iam:ListServerCertificates",
    "shield:CreateProtection",
    "shield:DeleteProtection",
    "shield:DescribeProtection",
    "shield:GetSubscriptionState",
    "waf-regional:AssociateWebACL",
    "waf-regional:DisassociateWebACL",
    "waf-regional:GetWebACL",
    "waf-regional:GetWebACLForResource",
    "wafv2:AssociateWebACL",
    "wafv2:DisassociateWebACL",
    "wafv2:GetWebACL",
    "wafv2:GetWebACLForResource",
];

const CHANGE: [&str; 11] = [
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:ModifyCapacityReservation",
    "elasticloadbalancing:ModifyIpPools",
    "elasticloadbalancing:ModifyListenerAttributes",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:ModifyTargetGroup",
    "elasticloadbalancing:ModifyTargetGroupAttributes",
    "elasticloadbalancing:SetIpAddressType",
    "elasticloadbalancing:SetSecurityGroups",
    "elasticloadbalancing:SetSubnets",
];

const LISTENERS: [&str; 6] = [
    "elasticloadbalancing:AddListenerCertificates",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyRule",
    "elasticloadbalancing:RemoveListenerCertificates",
    "elasticloadbalancing:SetRulePriorities",
    "elasticloadbalancing:SetWebAcl",
];

fn statements(site: &Site<'_>) -> Vec<Value> {
    let partition = site.place.partition();
    let anything = || json!("*");
    let groups = || json!(format!("arn:{partition}:ec2:*:*:security-group/*"));
    let balancing = |of: &[&str]| -> Value {
        of.iter()
            .map(|of| format!("arn:{partition}:elasticloadbalancing:*:*:{of}"))
            .collect()
    };
    let asked = "aws:RequestTag/elbv2.k8s.aws/cluster";
    let has = "aws:ResourceTag/elbv2.k8s.aws/cluster";
    // `Null` says whether a tag is missing: what is asked for must have it, what exists already must have had it.
    let asked_for = || json!({"Null": {asked: "false"}});
    let ours = || json!({"Null": {has: "false"}});
    let ours_again = || json!({"Null": {asked: "true", has: "false"}});
    let tag = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"];
    let ingress = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"];
    let carriers = ["targetgroup/*/*", "loadbalancer/net/*/*", "loadbalancer/app/*/*"];
    let parts = [
        "listener/net/*/*/*",
        "listener/app/*/*/*",
        "listener-rule/net/*/*/*",
        "listener-rule/app/*/*/*",
    ];
    let for_balancers = json!({"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}});
    let new_group = json!({"StringEquals": {"ec2:CreateAction": "CreateSecurityGroup"}, "Null": {asked: "false"}});
    let new_carrier = json!({
        "StringEquals": {"elasticloadbalancing:CreateAction": ["CreateTargetGroup", "CreateLoadBalancer"]},
        "Null": {asked: "false"},
    });
    vec![
        allow(
            "ServiceRole",
            &["iam:CreateServiceLinkedRole"],
            anything(),
            Some(for_balancers),
        ),
        allow("Read", &READ, anything(), None),
        allow("Neighbours", &NEIGHBOURS, anything(), None),
        allow("OpenGroups", &ingress, anything(), None),
        allow("CreateGroups", &["ec2:CreateSecurityGroup"], anything(), None),
        allow("TagNewGroups", &["ec2:CreateTags"], groups(), Some(new_group)),
        allow(
            "TagGroups",
            &["ec2:CreateTags", "ec2:DeleteTags"],
            groups(),
            Some(ours_again()),
        ),
        allow(
            "DeleteGroups",
            &["ec2:DeleteSecurityGroup", ingress[0], ingress[1]],
            anything(),
            Some(ours()),
        ),
        allow(
            "Create",
            &[
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateTargetGroup",
            ],
            anything(),
            Some(asked_for()),
        ),
        allow(
            "Parts",
            &[
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteRule",
            ],
            anything(),
            None,
        ),
        allow("Tag", &tag, balancing(&carriers), Some(ours_again())),
        allow("TagParts", &tag, balancing(&parts), None),
        allow(
            "TagNew",
            &["elasticloadbalancing:AddTags"],
            balancing(&carriers),
            Some(new_carrier),
        ),
        allow("Change", &CHANGE, anything(), Some(ours())),
        allow(
            "Targets",
            &[
                "elasticloadbalancing:RegisterTargets",
                "elasticloadbalancing:DeregisterTargets",
            ],
            balancing(&["targetgroup/*/*"]),
            None,
        ),
        allow("Listeners", &LISTENERS, anything(), None),
    ]
}
