//! Repositories for images.

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::id;
use crate::stack::declare::declared;
use crate::stack::names::Site;

declared! {
    /// Repositories for images.
    pub struct Registry {
        /// Their names; in AWS the stack's name stands before each.
        pub repositories: Vec<String>,
        /// Whether images are scanned when they are pushed.
        pub scan_on_push: bool = false,
        /// Whether a tag stays with its first image.
        pub immutable_tags: bool = false,
    }
}

impl Registry {
    /// What the registry becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        for repository in &self.repositories {
            let spec = spec::Repository {
                scan_on_push: self.scan_on_push,
                immutable_tags: self.immutable_tags,
            };
            expansion.resource(Kind::Repository, repository, name(site, repository), spec);
            expansion.output(repository, uri(site, repository), id(Kind::Repository, repository));
        }
        expansion
    }
}

/// What a repository is called in AWS.
pub(crate) fn name(site: &Site<'_>, repository: &str) -> String {
    format!("{}/{repository}", site.stack)
}

/// Where a repository is.
pub(crate) fn uri(site: &Site<'_>, repository: &str) -> String {
    let host = format!(
        "{}.dkr.ecr.{}.{}",
        site.place.account,
        site.place.region,
        site.place.domain()
    );
    format!("{host}/{}", name(site, repository))
}
