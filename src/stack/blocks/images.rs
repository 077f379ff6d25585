//! Images of tubectl's own programs.

use std::collections::BTreeMap;

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::id;
use crate::stack::blocks::later;
use crate::stack::blocks::registry;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// The image changes with the program in it.
const TAG: &str = env!("CARGO_PKG_VERSION");

declared! {
    /// An image that holds tubectl and starts one of its programs.
    pub struct Image {
        /// What it starts.
        pub entrypoint: Vec<String>,
        /// What it runs on, such as `linux/arm64`.
        pub platforms: Vec<String>,
    }
}

/// What the images become.
pub(crate) fn expand(images: &BTreeMap<String, Image>, site: &Site<'_>) -> Expansion {
    let mut expansion = Expansion::default();
    for (name, image) in images {
        let mut platforms = image.platforms.clone();
        platforms.sort();
        let spec = spec::Image {
            repository: registry::uri(site, name),
            tag: TAG.to_owned(),
            entrypoint: image.entrypoint.clone(),
            platforms,
        };
        let called = format!("{}:{TAG}", registry::name(site, name));
        let resource = expansion.resource(Kind::Image, name, called, spec);
        resource.needs.insert(id(Kind::Repository, name));
        expansion.output(name, later(Kind::Image, name, "uri"), id(Kind::Image, name));
    }
    expansion
}
