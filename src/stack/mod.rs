//! What the user declared: a stack's files read, checked and expanded into resources and releases.
//!
//! [`load`] finds the files, fills in variables, reports every mistake at once with its place, and expands blocks. It
//! asks nobody: what only AWS can know stays a sentinel. Charts and workloads leave here unrendered.

pub mod load;
pub mod reference;
pub mod release;

pub mod blocks;
pub mod demo;
pub mod names;
pub mod shipped;

pub mod check;
pub mod schema;

pub mod declare;
pub mod file;
pub mod problem;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::resource::desired::Desired;
use crate::stack::demo::Demo;
use crate::stack::file::File;
use crate::stack::file::Node;
use crate::stack::release::Release;

/// A stack in one place: everything it wants there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The region it stands in.
    pub region: String,
    /// Its variables and their values.
    pub variables: BTreeMap<String, String>,
    /// What it wants in AWS.
    pub resources: Vec<Desired>,
    /// What it wants in the cluster, in the order of their names.
    pub releases: Vec<Release>,
    /// What happens on it, if it is for a show.
    pub demo: Option<Demo>,
    /// The file it was read from, for what is found out about it later.
    pub file: File,
    /// What that file says, variables filled in.
    pub tree: Node,
}

/// Where a stack stands: what names and ARNs are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account's number.
    pub account: String,
    /// The region.
    pub region: String,
    /// What tells this stack from one of the same name that stood here before.
    pub instance: String,
    /// The region's zones by name, those that need no opt-in, in order.
    pub zones: Vec<String>,
    /// Whoever runs tubectl.
    pub caller_arn: String,
}

impl Place {
    /// A place for looks at a stack that concern no account: checks, graphs, renderings.
    pub fn nowhere(region: &str) -> Self {
        Self {
            account: "000000000000".to_owned(),
            region: region.to_owned(),
            instance: "00000000".to_owned(),
            zones: ["a", "b", "c"].map(|letter| format!("{region}{letter}")).to_vec(),
            caller_arn: "arn:aws:iam::000000000000:user/nobody".to_owned(),
        }
    }

    /// The part of AWS that the region is in, as ARNs name it.
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The domain of the region's services.
    pub fn domain(&self) -> &'static str {
        match self.partition() {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        }
    }
}
