//! Which pods are behind each port of each service, and what listens there.
//!
//! It follows from the store and is made again when a pod or a service changed, so that a request costs no more than
//! two look-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::core::Container;
use crate::core::PodName;
use crate::kube::Cluster;
use crate::kube::actors::endpoints::SERVICE_NAME;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::environment;
use crate::kube::actors::kubelet::program;
use crate::kube::actors::kubelet::program::Program;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::network::vllm;
use crate::kube::store::Name;
use crate::kube::store::Store;

/// One pod's end of a route.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pod: Arc<PodName>,
    /// The port of the pod.
    pub(super) port: u16,
    pub(super) listener: Listener,
}

/// What listens at a port of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// A model server.
    Vllm,
    /// A program that may really run.
    Program,
    /// Nothing: a connection is refused.
    Nothing,
}

/// The ready pods behind each port of a service.
pub(super) type Ports = BTreeMap<u16, Vec<Backend>>;

/// The routes of one cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    seen: u64,
    // By namespace, then name.
    services: BTreeMap<String, BTreeMap<String, Ports>>,
    // Ready pods by address.
    addresses: BTreeMap<String, Name>,
}

impl Routes {
    /// Catches up with the store.
    pub(super) fn follow(&mut self, cluster: &str, store: &Store) {
        let kinds = [kinds::POD, kinds::SERVICE, kinds::ENDPOINT_SLICE];
        let latest = kinds.iter().map(|kind| store.revision_of(kind)).max().unwrap_or(0);
        if latest <= self.seen {
            return;
        }
        self.seen = latest;
        self.services.clear();
        self.addresses.clear();
        for slice in store.list(&kinds::ENDPOINT_SLICE) {
            self.add(cluster, store, slice);
        }
        for pod in store.list(&kinds::POD).filter(|pod| pod::ready(pod)) {
            if let Some(address) = pod["status"]["podIP"].as_str() {
                self.addresses.insert(address.to_owned(), Name::of(pod));
            }
        }
    }

    /// The ports of the service that a name means in a namespace.
    pub(super) fn resolve(&self, host: &str, namespace: &str) -> Option<&Ports> {
        let host = host.trim_end_matches('.');
        let host = host
            .strip_suffix(".svc.cluster.local")
            .or_else(|| host.strip_suffix(".svc"))
            .unwrap_or(host);
        let (name, namespace) = host.split_once('.').unwrap_or((host, namespace));
        self.services.get(namespace)?.get(name)
    }

    /// The ready pod that has an address.
    pub(super) fn pod_at(&self, address: &str) -> Option<&Name> {
        self.addresses.get(address)
    }

    fn add(&mut self, cluster: &str, store: &Store, slice: &Value) {
        let namespace = slice["metadata"]["namespace"].as_str().unwrap_or_default();
        let service = slice["metadata"]["labels"][SERVICE_NAME].as_str().unwrap_or_default();
        let Some(object) = store.get(&kinds::SERVICE, namespace, service) else {
            return;
        };
        let routes = self.services.entry(namespace.to_owned()).or_default();
        let routes = routes.entry(service.to_owned()).or_default();
        for port in list(&object["spec"]["ports"]) {
            let number = port_number(&port["port"]);
            let name = port["name"].as_str().unwrap_or_default();
            let targets = list(&slice["ports"]);
            let target = targets
                .iter()
                .find(|target| target["name"].as_str().unwrap_or_default() == name);
            let target = target.and_then(|target| port_number(&target["port"]));
            let (Some(number), Some(target)) = (number, target) else {
                continue;
            };
            let endpoints = list(&slice["endpoints"]).iter();
            let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
            let backends = ready.filter_map(|endpoint| backend(cluster, store, &endpoint["targetRef"], target));
            routes.entry(number).or_default().extend(backends);
        }
    }
}

fn port_number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok()
}

fn backend(cluster: &str, store: &Store, reference: &Value, port: u16) -> Option<Backend> {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    backend_of(cluster, store, &Name::new(text("namespace"), text("name")), port)
}

/// A port of a pod.
pub(super) fn backend_of(cluster: &str, store: &Store, pod: &Name, port: u16) -> Option<Backend> {
    let pod = store.get(&kinds::POD, &pod.namespace, &pod.name)?;
    Some(Backend {
        pod: Arc::new(pod_name(cluster, pod)),
        port,
        listener: listener(pod, port),
    })
}

/// What listens at a port of a pod.
pub(super) fn listener(pod: &Value, port: u16) -> Listener {
    for container in list(&pod["spec"]["containers"]) {
        let mut ports = list(&container["ports"]).iter();
        match program::of(container) {
            Program::Vllm(arguments) if vllm::port(&arguments) == port => return Listener::Vllm,
            Program::Serves if ports.any(|own| own["containerPort"] == port) => return Listener::Program,
            _ => {}
        }
    }
    Listener::Nothing
}

/// How a pod is named outside its cluster.
pub(super) fn pod_name(cluster: &str, pod: &Value) -> PodName {
    let name = Name::of(pod);
    PodName {
        cluster: cluster.to_owned(),
        namespace: name.namespace,
        name: name.name,
        uid: pod::uid(pod).to_owned(),
    }
}

/// The containers of started pods that have a command.
pub(super) fn running(cluster: &Cluster) -> impl Iterator<Item = (PodName, Container)> {
    let store = &cluster.store;
    let pods = store.list(&kinds::POD).filter(|pod| !pod::over(pod));
    pods.flat_map(move |pod| {
        let containers = list(&pod["spec"]["containers"]).iter();
        let with_command = containers.filter(|container| !list(&container["command"]).is_empty());
        let started = with_command.filter(|container| is_started(pod, container));
        started.map(|container| {
            let command = program::words(container);
            let environment = environment::of(store, pod, container);
            let service_account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
            let container = Container {
                command,
                environment,
                service_account: service_account.to_owned(),
            };
            (pod_name(&cluster.host, pod), container)
        })
    })
}

fn is_started(pod: &Value, container: &Value) -> bool {
    let mut statuses = list(&pod["status"]["containerStatuses"]).iter();
    statuses.any(|status| status["name"] == container["name"] && status["started"] == true)
}
