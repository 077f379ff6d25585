//! Who may use the cluster: those that the stack names, and nobody else.

use std::collections::BTreeSet;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::Place;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cluster_id;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// What stands for whoever runs tubectl.
const CALLER: &str = "caller";

declared! {
    /// Who may use the cluster.
    pub struct Access {
        /// ARNs of roles and users who may do everything; `caller` is whoever runs tubectl.
        pub admins: Vec<String>,
    }
}

impl Access {
    /// What the access becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        let everything = format!(
            "arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            site.place.partition()
        );
        let (mut principals, mut names) = (BTreeSet::new(), BTreeSet::new());
        for admin in &self.admins {
            let (name, principal) = match admin.as_str() {
                CALLER => (CALLER, principal(site.place)),
                arn => (arn.rsplit('/').next().unwrap_or(arn), arn.to_owned()),
            };
            // The caller may be named as well, and two accounts may have a role of one name.
            if !principals.insert(principal.clone()) {
                continue;
            }
            let name = if names.insert(name) {
                name.to_owned()
            } else {
                format!("{name}-{}", principals.len())
            };
            let spec = spec::AccessEntry {
                cluster: site.stack.to_owned(),
                principal: principal.clone(),
                entry_type: "STANDARD".to_owned(),
                policies: vec![everything.clone()],
            };
            let entry = expansion.resource(Kind::AccessEntry, &name, principal, spec);
            entry.needs.insert(cluster_id());
        }
        expansion
    }
}

/// The caller as IAM knows it: a session of a role is that role.
fn principal(place: &Place) -> String {
    let caller = &place.caller_arn;
    let session = caller
        .split_once(":assumed-role/")
        .filter(|(before, _)| before.contains(":sts:"));
    match session.and_then(|(_, role)| role.split('/').next()) {
        Some(role) => format!("arn:{}:iam::{}:role/{role}", place.partition(), place.account),
        None => caller.clone(),
    }
}
