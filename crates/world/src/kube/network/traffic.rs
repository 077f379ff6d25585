//! The model servers of one cluster, and what every pod that ever was one answered.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::core::PodName;
use crate::core::Reply;
use crate::core::Request;
use crate::core::Scene;
use crate::core::Ticket;
use crate::core::plain;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::itself;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::program;
use crate::kube::actors::kubelet::program::Program;
use crate::kube::actors::pod;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::network::routes::Backend;
use crate::kube::network::routes::Routes;
use crate::kube::network::vllm;
use crate::kube::network::vllm::Served;
use crate::kube::network::vllm::Server;
use crate::kube::store::Name;

/// Starts and stops the model servers with their containers.
pub(crate) const MODEL_SERVERS: Actor = Actor {
    name: "model-servers",
    watches: &[kinds::POD],
    work: Work::Each {
        concerns: itself,
        reconcile,
    },
};

/// What the network of one cluster knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Traffic {
    // Follows from the store.
    #[serde(skip)]
    pub(super) routes: Routes,
    // By namespace, then name of the pod.
    servers: BTreeMap<String, BTreeMap<String, Server>>,
    // What was answered by servers that are gone, by uid of the pod.
    past: BTreeMap<String, Past>,
    // Clients that went away since time last passed.
    abandoned: Vec<Ticket>,
}

/// A server that is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Past {
    namespace: String,
    name: String,
    served: Served,
}

impl Traffic {
    /// How many requests a pod is answering.
    pub(crate) fn in_flight(&self, pod: &Name) -> usize {
        self.server(pod).map_or(0, Server::in_flight)
    }

    /// When the next answer is due.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let servers = self.servers.values().flat_map(BTreeMap::values);
        servers.filter_map(Server::next_wake).min()
    }

    /// Notes that a client went away; its request is dropped when time next passes.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.abandoned.push(ticket);
    }

    /// What each pod that ever was a model server answered.
    pub(crate) fn served(&self, cluster: &str) -> BTreeMap<PodName, Served> {
        let pod = |namespace: &str, name: &str, uid: &str| PodName {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let mut all: BTreeMap<PodName, Served> = BTreeMap::new();
        for (uid, past) in &self.past {
            all.insert(pod(&past.namespace, &past.name, uid), past.served);
        }
        for (namespace, servers) in &self.servers {
            for (name, server) in servers {
                all.entry(pod(namespace, name, &server.identity.0))
                    .or_default()
                    .add(server.served);
            }
        }
        all
    }

    fn server(&self, pod: &Name) -> Option<&Server> {
        self.servers.get(&pod.namespace)?.get(&pod.name)
    }
}

impl Served {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.aborted += other.aborted;
    }
}

/// Gives the answers that are due, and drops what nobody waits for any more.
pub(crate) fn advance(scene: &mut Scene<'_>) {
    let traffic = &mut scene.cluster.actors.traffic;
    let abandoned = std::mem::take(&mut traffic.abandoned);
    let servers = traffic.servers.values_mut().flat_map(BTreeMap::values_mut);
    for server in servers {
        for ticket in &abandoned {
            server.abandon(*ticket, scene.now, scene.tickets);
        }
        if server.next_wake().is_some_and(|at| at <= scene.now) {
            server.advance(scene.now, scene.tickets);
        }
    }
}

/// Hands a request to a pod's model server.
pub(super) fn handle(scene: &mut Scene<'_>, backend: &Backend, request: &Request) -> Reply {
    let servers = &mut scene.cluster.actors.traffic.servers;
    let server = servers
        .get_mut(&backend.pod.namespace)
        .and_then(|servers| servers.get_mut(&backend.pod.name));
    match server {
        Some(server) => server.handle(request, scene.now, scene.tickets),
        None => Reply::Answer(plain(
            StatusCode::BAD_GATEWAY,
            "connection refused: the server does not run",
        )),
    }
}

/// The body of `/metrics` of a pod at a port; none if nothing answers there.
pub(crate) fn scrape(scene: &mut Scene<'_>, pod: &Name, port: u16) -> Option<String> {
    let object = scene.cluster.store.get(&kinds::POD, &pod.namespace, &pod.name)?;
    let listens = list(&object["spec"]["containers"])
        .iter()
        .any(|container| matches!(program::of(container), Program::Vllm(arguments) if vllm::port(&arguments) == port));
    let servers = scene.cluster.actors.traffic.servers.get_mut(&pod.namespace)?;
    let server = servers.get_mut(&pod.name).filter(|_| listens)?;
    let body = server.metrics(scene.now, scene.tickets).into_body();
    String::from_utf8(body.into()).ok()
}

fn reconcile(scene: &mut Scene<'_>, name: &Name) -> Option<Timestamp> {
    let wanted = scene
        .cluster
        .store
        .get(&kinds::POD, &name.namespace, &name.name)
        .and_then(|pod| running_server(pod).map(|arguments| (pod.clone(), arguments)));
    let identity = wanted.as_ref().map(|(pod, _)| identity(pod));
    let traffic = &mut scene.cluster.actors.traffic;
    let running = traffic.server(name).map(|server| server.identity.clone());
    if running == identity {
        return None;
    }
    if let Some(server) = traffic
        .servers
        .get_mut(&name.namespace)
        .and_then(|servers| servers.remove(&name.name))
    {
        let past = traffic.past.entry(server.identity.0.clone()).or_insert_with(|| Past {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            served: Served::default(),
        });
        past.served.add(server.stop(scene.tickets));
    }
    let (pod, arguments) = wanted?;
    let node = pod::node(&pod).and_then(|node| scene.cluster.store.get(&kinds::NODE, "", node));
    let settings = vllm::settings(&arguments, node.map_or("", |node| instance_type(node)))?;
    let server = Server::start(settings, self::identity(&pod), scene.now);
    let servers = &mut scene.cluster.actors.traffic.servers;
    servers
        .entry(name.namespace.clone())
        .or_default()
        .insert(name.name.clone(), server);
    None
}

/// The type of a node's machine.
pub(crate) fn instance_type(node: &Value) -> &str {
    selector::labels(node)["node.kubernetes.io/instance-type"]
        .as_str()
        .unwrap_or_default()
}

/// The arguments of a pod's model server, once its container has started.
fn running_server(pod: &Value) -> Option<Vec<String>> {
    for container in list(&pod["spec"]["containers"]) {
        if let Program::Vllm(arguments) = program::of(container) {
            let status = container_status(pod, container)?;
            let runs = status["state"]["running"].is_object() && status["ready"] == true;
            let ran = status["state"]["running"].is_object() && crate::kube::store::marked(pod);
            return (runs || ran).then_some(arguments);
        }
    }
    None
}

fn identity(pod: &Value) -> (String, u64) {
    let statuses = list(&pod["status"]["containerStatuses"]).iter();
    let restarts = statuses.filter_map(|status| status["restartCount"].as_u64()).sum();
    (pod::uid(pod).to_owned(), restarts)
}

fn container_status<'a>(pod: &'a Value, container: &Value) -> Option<&'a Value> {
    let mut statuses = list(&pod["status"]["containerStatuses"]).iter();
    statuses.find(|status| status["name"] == container["name"])
}
