//! What EKS offers: Kubernetes versions, and add-ons with their versions.

use serde_json::Value;
use serde_json::json;

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::rest::eks::Input;

/// The Kubernetes versions that clusters can have, newest first, with their latest patch.
const VERSIONS: &[(&str, &str)] = &[("1.35", "1.35.1"), ("1.34", "1.34.4"), ("1.33", "1.33.8")];

/// The version of a cluster that asks for none.
pub(super) const DEFAULT_VERSION: &str = "1.34";

/// One add-on of the catalog.
pub(super) struct Offer {
    pub(super) name: &'static str,
    namespace: &'static str,
    kind: &'static str,
    /// Its versions, newest first; the first is the default.
    versions: &'static [&'static str],
    /// Whether its version begins with the cluster's own.
    follows_cluster: bool,
    /// Whether it needs a node to become healthy.
    pub(super) needs_nodes: bool,
    needs_role: bool,
}

#[rustfmt::skip]
const OFFERS: &[Offer] = &[
    Offer { name: "aws-ebs-csi-driver", namespace: "kube-system", kind: "storage", versions: &["v1.55.0-eksbuild.1", "v1.54.0-eksbuild.1"], follows_cluster: false, needs_nodes: true, needs_role: true },
    Offer { name: "coredns", namespace: "kube-system", kind: "networking", versions: &["v1.13.1-eksbuild.1", "v1.12.4-eksbuild.1"], follows_cluster: false, needs_nodes: true, needs_role: false },
    Offer { name: "eks-node-monitoring-agent", namespace: "kube-system", kind: "observability", versions: &["v1.5.1-eksbuild.1", "v1.4.3-eksbuild.1"], follows_cluster: false, needs_nodes: false, needs_role: false },
    Offer { name: "eks-pod-identity-agent", namespace: "kube-system", kind: "security", versions: &["v1.3.10-eksbuild.2", "v1.3.9-eksbuild.5"], follows_cluster: false, needs_nodes: false, needs_role: false },
    Offer { name: "kube-proxy", namespace: "kube-system", kind: "networking", versions: &["-eksbuild.2", "-eksbuild.1"], follows_cluster: true, needs_nodes: false, needs_role: false },
    Offer { name: "metrics-server", namespace: "kube-system", kind: "observability", versions: &["v0.8.1-eksbuild.1", "v0.8.0-eksbuild.6"], follows_cluster: false, needs_nodes: true, needs_role: false },
    Offer { name: "vpc-cni", namespace: "kube-system", kind: "networking", versions: &["v1.21.1-eksbuild.3", "v1.20.5-eksbuild.1"], follows_cluster: false, needs_nodes: false, needs_role: true },
];

impl Offer {
    /// Its versions for a Kubernetes version, newest first.
    pub(super) fn versions(&self, kubernetes: &str) -> Vec<String> {
        let patch = patch(kubernetes).unwrap_or(kubernetes);
        let versions = self.versions.iter();
        versions
            .map(|version| {
                if self.follows_cluster {
                    format!("v{patch}{version}")
                } else {
                    (*version).to_owned()
                }
            })
            .collect()
    }
}

/// The add-on of a name.
pub(super) fn offer(name: &str) -> Option<&'static Offer> {
    OFFERS.iter().find(|offer| offer.name == name)
}

/// The latest patch of a Kubernetes version; none if there is no such version.
pub(super) fn patch(version: &str) -> Option<&'static str> {
    VERSIONS
        .iter()
        .find(|(known, _)| *known == version)
        .map(|(_, patch)| *patch)
}

pub(super) fn cluster_versions(_: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let only_default = input.query("defaultOnly") == Some("true");
    let asked = input.query("clusterVersions");
    let wanted =
        |version: &str| (!only_default || version == DEFAULT_VERSION) && asked.is_none_or(|asked| asked == version);
    let versions = VERSIONS.iter().filter(|(version, _)| wanted(version));
    input.page(
        "clusterVersions",
        versions,
        |(version, _)| (*version).to_owned(),
        |(version, patch)| {
            json!({
                "clusterVersion": version,
                "clusterType": "eks",
                "defaultPlatformVersion": "eks.1",
                "defaultVersion": *version == DEFAULT_VERSION,
                "status": "standard-support",
                "versionStatus": "STANDARD_SUPPORT",
                "kubernetesPatchVersion": patch,
            })
        },
    )
}

pub(super) fn addon_versions(_: &mut Scene<'_>, input: &Input<'_>) -> Result<Value, Refusal> {
    let asked = input.query("addonName");
    if let Some(name) = asked.filter(|name| offer(name).is_none()) {
        return Err(super::not_found(format!("Addon {name} specified is not supported")));
    }
    let kubernetes = input.query("kubernetesVersion");
    let offers = OFFERS
        .iter()
        .filter(|offer| asked.is_none_or(|name| offer.name == name));
    input.page(
        "addons",
        offers,
        |offer| offer.name.to_owned(),
        |offer| {
            json!({
                "addonName": offer.name,
                "type": offer.kind,
                "publisher": "eks",
                "owner": "aws",
                "defaultNamespace": offer.namespace,
                "addonVersions": addon_version_list(offer, kubernetes),
            })
        },
    )
}

fn addon_version_list(offer: &Offer, kubernetes: Option<&str>) -> Vec<Value> {
    let clusters = VERSIONS.iter().map(|(version, _)| *version);
    let clusters: Vec<&str> = clusters
        .filter(|version| kubernetes.is_none_or(|asked| asked == *version))
        .collect();
    let mut list: Vec<(String, Vec<Value>)> = Vec::new();
    for cluster in clusters {
        for (index, version) in offer.versions(cluster).into_iter().enumerate() {
            let fits = json!({
                "clusterVersion": cluster,
                "platformVersions": ["*"],
                "defaultVersion": index == 0,
            });
            match list.iter_mut().find(|(known, _)| *known == version) {
                Some((_, clusters)) => clusters.push(fits),
                None => list.push((version, vec![fits])),
            }
        }
    }
    let version = |(version, compatibilities): (String, Vec<Value>)| {
        json!({
            "addonVersion": version,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2", "auto"],
            "compatibilities": compatibilities,
            "requiresConfiguration": false,
            "requiresIamPermissions": offer.needs_role,
        })
    };
    list.into_iter().map(version).collect()
}
