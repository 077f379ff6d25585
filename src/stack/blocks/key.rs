//! The key that encrypts the cluster's secrets.

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::id;
use crate::stack::blocks::later;
use crate::stack::declare::Placed;
use crate::stack::declare::declared;
use crate::stack::names::Site;

declared! {
    /// A key of your own, with an alias.
    pub struct Key {
        /// Whether AWS gives it new material every year.
        pub rotate: bool = true,
        /// How many days AWS waits before it deletes the key: 7 to 30.
        pub delete_after_days: Placed<u32>,
    }
}

impl Key {
    /// What the key becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        let alias = format!("alias/eks/{}", site.stack);
        let spec = spec::Key {
            alias: alias.clone(),
            description: format!("Secrets of the cluster {}", site.stack),
            rotate: self.rotate,
            delete_after_days: i32::try_from(self.delete_after_days.value).unwrap_or(i32::MAX),
        };
        expansion.resource(Kind::Key, "main", alias, spec);
        expansion.output("arn", later(Kind::Key, "main", "arn"), id(Kind::Key, "main"));
        expansion
    }
}
