//! The parts of the cluster that EKS manages, with the role of the disk driver.

use std::collections::BTreeMap;

use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cluster_id;
use crate::stack::blocks::id;
use crate::stack::blocks::policy;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// The add-on that makes disks, and the service account that does it.
const DISKS: (&str, &str) = ("aws-ebs-csi-driver", "ebs-csi-controller-sa");
/// What stands for the newest version that fits.
const LATEST: &str = "latest";

declared! {
    /// Add-ons by name, each with a version or `latest`.
    pub struct Addons {
        /// Those that nodes need to become ready.
        pub before_nodes: BTreeMap<String, String> = BTreeMap::new(),
        /// Those that need nodes to run on.
        pub after_nodes: BTreeMap<String, String> = BTreeMap::new(),
    }
}

impl Addons {
    /// What the add-ons become.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        if self.before_nodes.contains_key(DISKS.0) || self.after_nodes.contains_key(DISKS.0) {
            let role = spec::Role {
                path: site.path(),
                description: format!("Disks of the cluster {}", site.stack),
                trust: policy::trust_pods(),
                policies: vec![site.managed_policy("service-role/AmazonEBSCSIDriverPolicy")],
                inline: BTreeMap::new(),
            };
            expansion.resource(Kind::Role, "ebs-csi", site.role("ebs-csi"), role);
        }
        for (name, version) in &self.before_nodes {
            addon(site, &mut expansion, name, version, None);
        }
        let before: Vec<ResourceId> = self.before_nodes.keys().map(|name| id(Kind::Addon, name)).collect();
        for (name, version) in &self.after_nodes {
            addon(site, &mut expansion, name, version, Some(&before));
        }
        expansion
    }
}

/// One add-on; with `before` it comes after the nodes and after those.
fn addon(site: &Site<'_>, expansion: &mut Expansion, name: &str, version: &str, before: Option<&[ResourceId]>) {
    let disks = name == DISKS.0;
    let identity = disks.then(|| (DISKS.1.to_owned(), site.role_arn("ebs-csi")));
    let spec = spec::Addon {
        cluster: site.stack.to_owned(),
        version: if version == LATEST {
            String::new()
        } else {
            version.to_owned()
        },
        wait: before.is_some(),
        pod_identities: identity.into_iter().collect(),
    };
    let addon = expansion.resource(Kind::Addon, name, name.to_owned(), spec);
    addon.needs.insert(cluster_id());
    if disks {
        addon.needs.insert(id(Kind::Role, "ebs-csi"));
    }
    if let Some(before) = before {
        addon.needs.insert(id(Kind::NodeGroup, "base"));
        addon.needs.extend(before.iter().cloned());
    }
}
