//! Buckets, and the role of the pods that use them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cluster_id;
use crate::stack::blocks::id;
use crate::stack::blocks::policy;
use crate::stack::declare::ObjectName;
use crate::stack::declare::declared;
use crate::stack::names::Site;

declared! {
    /// Buckets, and whose pods may use them.
    pub struct Buckets {
        /// What the stack calls them.
        pub names: Vec<String>,
        /// Whether older versions of objects are kept.
        pub versioned: bool = true,
        /// The pods that read and write them, as `namespace/service account`.
        pub used_by: ObjectName,
    }
}

impl Buckets {
    /// What the buckets become.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        for name in &self.names {
            let spec = spec::Bucket {
                versioned: self.versioned,
                closed: true,
            };
            expansion.resource(Kind::Bucket, name, site.bucket(name), spec);
            expansion.output(name, site.bucket(name), id(Kind::Bucket, name));
        }
        let role = spec::Role {
            path: site.path(),
            description: format!("Pods of {} that use buckets of {}", self.used_by, site.stack),
            trust: policy::trust_pods(),
            policies: Vec::new(),
            inline: BTreeMap::from([("buckets".to_owned(), self.document(site))]),
        };
        expansion.resource(Kind::Role, "buckets", site.role("buckets"), role);
        let identity = spec::PodIdentity {
            cluster: site.stack.to_owned(),
            namespace: self.used_by.namespace.clone(),
            service_account: self.used_by.name.clone(),
            role: site.role_arn("buckets"),
        };
        let identity = expansion.resource(Kind::PodIdentity, "buckets", self.used_by.to_string(), identity);
        identity.needs.extend([cluster_id(), id(Kind::Role, "buckets")]);
        expansion
    }

    fn document(&self, site: &Site<'_>) -> serde_json::Value {
        let arn = |name: &String| format!("arn:{}:s3:::{}", site.place.partition(), site.bucket(name));
        let buckets: Vec<String> = self.names.iter().map(arn).collect();
        let objects: Vec<String> = buckets.iter().map(|bucket| format!("{bucket}/*")).collect();
        let actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"];
        policy::document(vec![
            policy::allow("ListBuckets", &["s3:ListBucket"], json!(buckets), None),
            policy::allow("UseObjects", &actions, json!(objects), None),
        ])
    }
}
