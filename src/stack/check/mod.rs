//! What is wrong with a stack that can be read: mistakes that a cluster would only show later, on stage.
//!
//! One file for each family of lints. A lint looks at the stack and at the objects that its charts and workloads
//! render to; it renders nothing and asks nobody. Where an object is at fault, the mistake is shown at its release.

mod formula;
mod hpa;
mod karpenter;
mod probe;
mod scaler;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::stack::Stack;
use crate::stack::file::Span;
use crate::stack::problem::Problem;

/// An object as a release renders it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The release.
    pub release: &'a str,
    /// The object.
    pub value: &'a Value,
}

/// Every mistake that a lint finds. Those that look at objects find none where none were rendered.
pub fn check(stack: &Stack, objects: &[Object<'_>]) -> Vec<Problem> {
    let view = View { stack, objects };
    let lints = [formula::lint, scaler::lint, hpa::lint, karpenter::lint, probe::lint];
    lints.iter().flat_map(|lint| lint(&view)).collect()
}

/// What a lint looks at.
struct View<'a> {
    stack: &'a Stack,
    objects: &'a [Object<'a>],
}

impl<'a> View<'a> {
    /// The objects of a kind.
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = Object<'a>> {
        self.objects
            .iter()
            .copied()
            .filter(move |object| object.value["kind"] == kind)
    }

    /// A mistake in an object.
    fn in_object(&self, object: Object<'_>, what: &str, next: impl Into<String>) -> Problem {
        let kind = object.value["kind"].as_str().unwrap_or("object");
        let message = format!("{kind} `{}` {what}", object.name());
        Problem::new(
            &self.stack.file,
            self.place_of(object.release),
            message,
            Some(next.into()),
        )
    }

    /// The namespace that an object is in: its own, or its release's.
    fn namespace(&self, object: Object<'a>) -> &'a str {
        let own = object.value["metadata"]["namespace"].as_str();
        let release = self
            .stack
            .releases
            .iter()
            .find(|release| release.name == object.release);
        own.or(release.map(|release| release.namespace.as_str()))
            .unwrap_or("default")
    }

    fn place_of(&self, release: &str) -> Span {
        let found = self.stack.releases.iter().find(|found| found.name == release);
        found.map_or(self.stack.file.beginning(), |release| release.at)
    }
}

impl<'a> Object<'a> {
    fn name(self) -> &'a str {
        self.value["metadata"]["name"].as_str().unwrap_or("?")
    }
}
