//! The log group of the cluster's control plane: owned, because one that EKS makes for itself outlives the cluster.

use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::id;
use crate::stack::declare::choice;
use crate::stack::declare::declared;
use crate::stack::names::Site;

declared! {
    /// The cluster's log group.
    pub struct Logs {
        /// What the control plane logs.
        pub types: Vec<LogType>,
        /// How many days logs are kept.
        pub retention_days: u32 = 7,
    }
}

choice! {
    /// A log of the control plane.
    pub enum LogType {
        /// Of the API server.
        Api = "api",
        /// Who asked for what.
        Audit = "audit",
        /// Who was let in.
        Authenticator = "authenticator",
        /// Of the controller manager.
        ControllerManager = "controllerManager",
        /// Of the scheduler.
        Scheduler = "scheduler",
    }
}

impl Logs {
    /// The logs as EKS calls them, sorted.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.types.iter().map(|log| log.word().to_owned()).collect();
        words.sort();
        words.dedup();
        words
    }

    /// What the logs become.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let mut expansion = Expansion::default();
        let name = format!("/aws/eks/{}/cluster", site.stack);
        let spec = spec::LogGroup {
            retention_days: i32::try_from(self.retention_days).unwrap_or(i32::MAX),
        };
        expansion.resource(Kind::LogGroup, "cluster", name.clone(), spec);
        expansion.output("name", name, id(Kind::LogGroup, "cluster"));
        expansion
    }
}
