//! The clusters: a store of objects, the API in front of it, the actors behind it and the network between its pods.

pub(crate) mod actors;
pub(crate) mod api;
pub(crate) mod network;
pub(crate) mod store;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::core::Scene;
use crate::core::Ticket;
use crate::kube::store::Store;

/// One cluster, from the moment its control plane is active.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Its name in EKS.
    pub(crate) name: String,
    /// Its region.
    pub(crate) region: String,
    /// Host name of its API endpoint.
    pub(crate) host: String,
    /// Kubernetes version, such as `1.34`.
    pub(crate) version: String,
    /// Its objects.
    pub(crate) store: Store,
    /// What its actors remember between two reconciliations.
    pub(crate) actors: actors::Memory,
    /// The token that makes its bearer an administrator, in clusters that were made without EKS.
    #[serde(default)]
    pub(crate) admin_token: Option<String>,
    /// Who acts on the objects.
    #[serde(default)]
    pub(crate) plane: ControlPlane,
    /// What the API server keeps in memory.
    #[serde(skip)]
    pub(crate) api: api::Memory,
}

/// How much of a control plane a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlPlane {
    /// API server, controllers, scheduler, kubelets.
    #[default]
    Whole,
    /// The API server alone: nothing happens but what clients do.
    ApiServerOnly,
}

impl Cluster {
    /// A cluster whose control plane has just come up, with nothing in it.
    pub(crate) fn new(name: &str, region: &str, host: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            region: region.to_owned(),
            host: host.to_owned(),
            version: version.to_owned(),
            store: Store::default(),
            actors: actors::Memory::default(),
            admin_token: None,
            plane: ControlPlane::Whole,
            api: api::Memory::default(),
        }
    }

    /// When something in the cluster next happens by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.actors.next_wake().into_iter().chain(self.api.next_wake()).min()
    }

    /// Forgets a ticket whose client went away.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.api.abandon(ticket);
        self.actors.abandon(ticket);
    }
}

/// Lets actors and API server act until nothing changes, then tells the watches what changed.
pub(crate) fn advance(scene: &mut Scene<'_>) {
    loop {
        if scene.cluster.plane == ControlPlane::Whole {
            actors::advance(scene);
        }
        if !api::keep_up(scene) {
            break;
        }
    }
    api::feed_watches(scene);
}
