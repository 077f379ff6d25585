//! A cluster to try actors on: objects go straight into its store, and time passes when told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws;
use crate::core::Scene;
use crate::core::Tickets;
use crate::kube;
use crate::kube::Cluster;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::random::Random;

/// One cluster in an account of its own.
pub(crate) struct Stage {
    pub(crate) now: Timestamp,
    pub(crate) random: Random,
    pub(crate) aws: aws::Account,
    pub(crate) cluster: Cluster,
    pub(crate) tickets: Tickets,
}

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const HOST: &str = "A1B2.gr7.eu-west-1.eks.amazonaws.com";

impl Stage {
    pub(crate) fn new() -> Self {
        let mut stage = Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            random: Random::new(1),
            aws: aws::Account::new("123456789012"),
            cluster: Cluster::new("tube", REGION, HOST, "1.34"),
            tickets: Tickets::default(),
        };
        stage.advance(Duration::ZERO);
        stage
    }

    pub(crate) fn with_nodes(count: usize) -> Self {
        let mut stage = Self::new();
        for index in 0..count {
            stage.create(&kinds::NODE, node(&format!("node-{index}"), index));
        }
        stage
    }

    pub(crate) fn scene(&mut self) -> Scene<'_> {
        Scene {
            now: self.now,
            random: &mut self.random,
            aws: &mut self.aws,
            cluster: &mut self.cluster,
            tickets: &mut self.tickets,
        }
    }

    pub(crate) fn create(&mut self, kind: &GroupKind, mut object: Value) {
        object["kind"] = json!(kind.kind());
        let version = match kind.group() {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        };
        if object["apiVersion"].is_null() {
            object["apiVersion"] = json!(version);
        }
        let created = self.cluster.store.create(kind, object, self.now, &mut self.random);
        assert!(created.is_some(), "the name is taken");
    }

    /// Lets time pass, stopping wherever something is due.
    pub(crate) fn advance(&mut self, wait: Duration) {
        let end = aws::later(self.now, wait);
        kube::advance(&mut self.scene());
        while let Some(due) = self.cluster.next_wake().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            kube::advance(&mut self.scene());
        }
        self.now = end;
        kube::advance(&mut self.scene());
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn get(&self, kind: &GroupKind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.cluster.store.get(kind, namespace, name).cloned()
    }

    pub(crate) fn change(&mut self, kind: &GroupKind, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let changed = self.cluster.store.change(kind, namespace, name, change);
        assert!(changed.is_some(), "{kind} {name} is not there");
    }

    pub(crate) fn delete(&mut self, kind: &GroupKind, namespace: &str, name: &str) {
        if *kind == kinds::POD {
            pod::delete(&mut self.cluster.store, &Name::new(namespace, name), self.now);
        } else {
            self.cluster.store.delete(kind, namespace, name, self.now, 0);
        }
    }

    pub(crate) fn pods(&self, namespace: &str) -> Vec<Arc<Value>> {
        self.cluster.store.list_in(&kinds::POD, namespace).cloned().collect()
    }

    pub(crate) fn ready(&self, namespace: &str) -> usize {
        self.pods(namespace).iter().filter(|pod| pod::ready(pod)).count()
    }
}

/// A node with four cores.
pub(crate) fn node(name: &str, index: usize) -> Value {
    json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/zone": format!("eu-west-1{}", ["a", "b", "c"][index % 3]),
        }},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "4", "memory": "15Gi", "pods": "110"},
            "addresses": [{"type": "InternalIP", "address": format!("10.0.{index}.10")}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A Deployment whose one container runs `image`.
pub(crate) fn deployment(name: &str, replicas: usize, container: Value) -> Value {
    let mut container = container;
    container["name"] = json!(name);
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    })
}

/// A Service in front of pods labelled `app=<name>`.
pub(crate) fn service(name: &str, port: u16, target: impl Into<Value>) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "targetPort": target.into()}],
        },
    })
}
