//! The world itself: what came in, what time it is, what goes out.
//!
//! [`Core::handle`] takes one request at a point in time; [`Core::advance`] lets time pass and gives what became due;
//! [`Core::next_wake`] says when to come back. Nothing here waits, and nothing reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws;
use crate::kube;
use crate::kube::Cluster;
use crate::kube::network;
use crate::kube::store::GroupKind;
use crate::random::Random;
use crate::registry;

/// How often the account and its clusters may wake each other at one moment; an add-on that heals when its node is there
/// is a round or two.
const ROUNDS: usize = 100;

/// A request as it arrives, its body whole.
pub type Request = http::Request<Bytes>;

/// An answer, its body whole.
pub type Response = http::Response<Bytes>;

/// The number of an answer that is still owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(u64);

/// What a request gets.
#[derive(Debug)]
pub enum Reply {
    /// The answer, now.
    Answer(Response),
    /// The answer comes out of a later [`Core::advance`].
    Later(Ticket),
    /// A head and a first piece of body now; more comes out of later [`Core::advance`]s until the stream ends.
    Stream(Response, Ticket),
    /// A program that really runs in a pod answers this one.
    Program(ProgramCall),
}

/// What became due.
#[derive(Debug)]
pub enum Output {
    /// The answer that was promised with [`Reply::Later`].
    Answer(Ticket, Response),
    /// More of a [`Reply::Stream`].
    Chunk(Ticket, Bytes),
    /// The end of a [`Reply::Stream`].
    End(Ticket),
}

/// Where a request comes from: it decides which names resolve and whose credentials count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A client on the user's machine, or a browser.
    Outside,
    /// A program in a pod.
    Pod(PodName),
}

/// A pod of one of the clusters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodName {
    /// Host name of the cluster's API endpoint.
    pub cluster: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid: a pod that comes back under the same name is another one.
    pub uid: String,
}

/// A request for a program, with what is needed to start the program if it does not run yet.
#[derive(Debug)]
pub struct ProgramCall {
    /// Where the program runs.
    pub pod: PodName,
    /// The request, its path and query as the client sent them.
    pub request: Request,
}

/// The container of a pod whose program may really run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its command and arguments, the entrypoint first.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The service account that its pod runs as.
    pub service_account: String,
}

/// What a new world is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The seed of all chance.
    pub seed: u64,
    /// The twelve digits of the account.
    pub account: String,
    /// The point in time at which the world begins.
    pub begins: Timestamp,
}

/// The whole world: one account, its clusters, the registries that they pull from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Core {
    now: Timestamp,
    random: Random,
    aws: aws::Account,
    // By host name of the API endpoint.
    clusters: BTreeMap<String, Cluster>,
    tickets: Tickets,
    // When the world next changes by itself, if that is known: it rests until then, or until somebody touches it. The end
    // of time when nothing is due.
    #[serde(skip)]
    rests_until: Option<Timestamp>,
}

/// Hands out ticket numbers and collects what is owed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tickets {
    last: u64,
    // Nobody waits for these after a restart: the clients' connections ended with the process.
    #[serde(skip)]
    due: Due,
}

/// What is due and not yet collected; a copy of the world owes nobody anything.
#[derive(Debug, Default)]
struct Due(Vec<Output>);

impl Clone for Due {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What a request handler or an actor may touch: one cluster, the account around it, time and chance.
pub(crate) struct Scene<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut Random,
    pub(crate) aws: &'a mut aws::Account,
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) tickets: &'a mut Tickets,
}

impl Tickets {
    /// A new ticket: somebody will be owed an answer.
    pub(crate) fn issue(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    /// Takes what is due.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.due.0)
    }

    /// Hands over an output; it leaves with the next [`Core::advance`].
    pub(crate) fn emit(&mut self, output: Output) {
        self.due.0.push(output);
    }
}

impl Core {
    /// An empty account at the beginning of its time.
    pub fn new(settings: &Settings) -> Self {
        Self {
            now: settings.begins,
            random: Random::new(settings.seed),
            aws: aws::Account::new(&settings.account),
            clusters: BTreeMap::new(),
            tickets: Tickets::default(),
            rests_until: None,
        }
    }

    /// A world whose account is empty but for one cluster, made without EKS: for whoever only wants a Kubernetes API.
    ///
    /// Its API answers at `https://{name}.kubernetes.test` to the bearer token `admin`; `version` is such as `1.34`.
    pub fn with_cluster(settings: &Settings, name: &str, version: &str, plane: kube::ControlPlane) -> Self {
        let mut core = Self::new(settings);
        let host = format!("{name}.kubernetes.test");
        let mut cluster = Cluster::new(name, "eu-west-1", &host, version);
        cluster.admin_token = Some("admin".to_owned());
        cluster.plane = plane;
        core.clusters.insert(host, cluster);
        core.settle(settings.begins);
        core
    }

    /// The time that the world last saw.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Answers one request, or says how it will be answered.
    pub fn handle(&mut self, now: Timestamp, origin: &Origin, request: Request) -> Reply {
        self.settle(now);
        // Reading leaves chance where it was: a world that is read goes on like one that is not.
        let chance = reads(&request).then(|| self.random.clone());
        let reply = self.route(origin, request);
        if let Some(chance) = chance {
            self.random = chance;
        }
        self.settle(now);
        reply
    }

    /// Lets time pass until `now` and gives everything that became due.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Output> {
        self.settle(now);
        self.tickets.take()
    }

    /// The state of chance.
    pub(crate) fn chance(&self) -> Random {
        self.random.clone()
    }

    /// Lets happen again what was written down; nobody waits for the answer.
    pub(crate) fn replay(&mut self, at: Timestamp, chance: Random, call: Option<(&Origin, Request)>) {
        self.settle(at);
        self.random = chance;
        if let Some((origin, request)) = call {
            self.handle(at, origin, request);
        }
        self.tickets.due.0.clear();
    }

    /// The hosts that clients may want a port of their own for, because they know only an address.
    pub fn doors(&self) -> std::collections::BTreeSet<String> {
        let balancers = network::front::names(&self.aws);
        self.clusters.keys().cloned().chain(balancers).collect()
    }

    /// The names of the clusters, by the host of their API.
    pub fn cluster_names(&self) -> BTreeMap<String, String> {
        let clusters = self.clusters.iter();
        clusters
            .map(|(host, cluster)| (host.clone(), cluster.name.clone()))
            .collect()
    }

    /// A token with which whoever runs the world may ask a cluster; none if no cluster answers at this host.
    pub fn operators_token(&self, host: &str) -> Option<String> {
        let cluster = self.clusters.get(host)?;
        let made = || kube::api::identity::operators_token(&cluster.region);
        Some(cluster.admin_token.clone().unwrap_or_else(made))
    }

    /// When the world next changes by itself, if nobody calls before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        if let Some(known) = self.rests_until {
            return Some(known).filter(|known| *known < Timestamp::MAX);
        }
        let clusters = self.clusters.values().filter_map(Cluster::next_wake);
        clusters.chain(self.aws.next_wake()).min()
    }

    /// Sets a fault.
    pub fn fault(&mut self, fault: aws::Fault) {
        self.rests_until = None;
        self.aws.faults.add(fault);
    }

    /// Whether a request only reads, so that the world is the same without it.
    pub fn reads(request: &Request) -> bool {
        reads(request)
    }

    /// Every AWS call so far that may have changed something, in order.
    pub fn mutations(&self) -> &[aws::Mutation] {
        &self.aws.mutations
    }

    /// How long each thing took from the call that made it until it could be used: resources of EC2 by their id, others
    /// by names such as `eks/addon/tube/coredns` and `tube/Deployment/default/vllm`.
    pub fn arrivals(&self) -> BTreeMap<String, Duration> {
        self.aws.arrivals.durations()
    }

    /// Everything that exists in the account: ids by kind.
    pub fn inventory(&self) -> BTreeMap<String, Vec<String>> {
        self.aws.inventory()
    }

    /// Forgets a ticket whose client went away.
    pub fn abandon(&mut self, ticket: Ticket) {
        self.rests_until = None;
        for cluster in self.clusters.values_mut() {
            cluster.abandon(ticket);
        }
    }

    /// What each pod that ever was a model server answered; together it is what was sent to them.
    pub fn served(&self) -> BTreeMap<PodName, network::Served> {
        let clusters = self.clusters.values();
        clusters
            .flat_map(|cluster| cluster.actors.traffic.served(&cluster.host))
            .collect()
    }

    /// The number of each cluster's latest change of a pod: while it stays, [`Core::programs`] stays.
    pub(crate) fn pods_changed(&self) -> BTreeMap<String, u64> {
        const POD: GroupKind = GroupKind::of("Pod");
        let latest = |(host, cluster): (&String, &Cluster)| (host.clone(), cluster.store.revision_of(&POD));
        self.clusters.iter().map(latest).collect()
    }

    /// The containers that run now and whose command is known; the driver keeps a program for each that it knows.
    pub fn programs(&self) -> BTreeMap<PodName, Container> {
        self.clusters.values().flat_map(network::running_containers).collect()
    }

    fn route(&mut self, origin: &Origin, request: Request) -> Reply {
        if let Some(scope) = aws::Scope::of(&request) {
            return Reply::Answer(aws::handle(self.aws_scene(), &scope, &request));
        }
        let host = host_of(&request);
        if let Some(mut scene) = self.scene(&host) {
            return kube::api::handle(&mut scene, &request);
        }
        if let Some(found) = registry::serves(&host) {
            return Reply::Answer(registry::handle(&mut self.aws_scene(), &found, &request));
        }
        if let Some(cluster) = network::cluster_for(&self.clusters, &self.aws, origin, &host)
            && let Some(mut scene) = self.scene(&cluster)
        {
            return network::handle(&mut scene, origin, &host, request);
        }
        Reply::Answer(plain(
            StatusCode::BAD_GATEWAY,
            &format!("no such host in the local world: `{host}`"),
        ))
    }

    /// The account, for tests that arrange what no client could.
    #[cfg(test)]
    pub(crate) fn account(&mut self) -> &mut aws::Account {
        self.rests_until = None;
        &mut self.aws
    }

    /// The clusters, for tests that arrange what no client could.
    #[cfg(test)]
    pub(crate) fn clusters(&mut self) -> &mut BTreeMap<String, Cluster> {
        self.rests_until = None;
        &mut self.clusters
    }

    /// Runs everything that is due, earliest first, until the world rests at `now`.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        loop {
            if self.rests_until.is_none() {
                self.step();
                self.rests_until = Some(self.next_wake().unwrap_or(Timestamp::MAX));
            }
            let Some(due) = self.next_wake().filter(|due| *due <= now) else {
                break;
            };
            self.now = self.now.max(due);
            self.rests_until = None;
        }
        self.now = self.now.max(now);
    }

    /// Lets the account and then each cluster act on what is due or changed at this moment, until they rest: what
    /// happens in a cluster may be what something in the account waits for.
    fn step(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.revisions();
            aws::advance(self.aws_scene());
            let hosts: Vec<String> = self.clusters.keys().cloned().collect();
            for host in hosts {
                if let Some(mut scene) = self.scene(&host) {
                    kube::advance(&mut scene);
                }
            }
            if self.revisions() == before {
                return;
            }
        }
        tracing::error!("the account and its clusters undo each other's work");
    }

    /// How often objects changed, in all clusters together.
    fn revisions(&self) -> u64 {
        self.clusters.values().map(|cluster| cluster.store.revision()).sum()
    }

    /// Whoever works on the account may wake it.
    pub(crate) fn aws_scene(&mut self) -> aws::Scene<'_> {
        self.rests_until = None;
        aws::Scene {
            now: self.now,
            random: &mut self.random,
            account: &mut self.aws,
            clusters: &mut self.clusters,
        }
    }

    /// Whoever works on a cluster may wake it.
    fn scene(&mut self, host: &str) -> Option<Scene<'_>> {
        let cluster = self.clusters.get_mut(host)?;
        self.rests_until = None;
        Some(Scene {
            now: self.now,
            random: &mut self.random,
            aws: &mut self.aws,
            cluster,
            tickets: &mut self.tickets,
        })
    }
}

/// Whether a request only reads, so that the world is the same without it.
pub(crate) fn reads(request: &Request) -> bool {
    matches!(*request.method(), http::Method::GET | http::Method::HEAD) || aws::reads(request)
}

/// The host that a request is for, without its port.
pub(crate) fn host_of(request: &Request) -> String {
    let header = || request.headers().get(http::header::HOST)?.to_str().ok();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let authority = authority.or_else(header).unwrap_or_default();
    authority.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

/// A short text answer.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Bytes::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
