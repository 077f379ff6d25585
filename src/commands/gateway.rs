//! The program in the gateway's pod: the audience's app, built from the pod's environment, with an eye on its
//! `ConfigMap` and on what scales.
//!
//! What it is built from, an [`Environment`], and what it reaches the rest through, a [`Reach`], are separate: in the
//! local world a connector reaches everything, elsewhere sockets do. It writes nothing but what the audience said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::Authority;
use thiserror::Error;
use tokio::task::JoinSet;
use tubectl_clock::Clock;
use tubectl_gateway::Gateway;
use tubectl_gateway::Listing;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Settings;
use tubectl_gateway::Show;
use tubectl_gateway::Stats;
use tubectl_gateway::Storage;
use tubectl_gateway::StorageError;
use tubectl_gateway::Upstream;
use tubectl_gateway::key;
use tubectl_world::Request;
use tubectl_world::Response;
use tubectl_world::connect::Program;
use tubectl_world::connect::Start;
use tubectl_world::connect::Surroundings;

use crate::clients::Clients;
use crate::clients::cluster_of_pod;
use crate::provider::aws::s3_storage::BucketStorage;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::show::director::data;
use crate::show::figures;

/// How long to wait before the `ConfigMap` is tried again that could not be read.
const CONFIG_AGAIN: Duration = Duration::from_secs(1);

/// How often the figures are read; the page calls them old after fifteen seconds.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// What a pod's environment tells the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The port that it listens at.
    pub port: u16,
    /// Its namespace.
    pub namespace: String,
    /// The `ConfigMap` that it follows.
    pub config_map: String,
    /// The model server.
    pub upstream: Authority,
    /// The Deployment of the model server.
    pub deployment: String,
    /// The model's name.
    pub model: String,
    /// Where its AWS calls go.
    pub region: String,
    /// The bucket of questions; memory without one.
    pub questions: Option<String>,
    /// The bucket of everything else; memory without one.
    pub responses: Option<String>,
}

/// An environment that makes no gateway.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the environment variable {name} is `{value}`; set it to {wanted}")]
pub struct BadEnvironment {
    /// Which variable.
    pub name: &'static str,
    /// What it says.
    pub value: String,
    /// What it should say.
    pub wanted: &'static str,
}

impl Environment {
    /// Reads a pod's variables.
    pub fn read(variables: &BTreeMap<String, String>) -> Result<Self, BadEnvironment> {
        let text = |name: &str, default: &str| {
            let value = variables
                .get(name)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty());
            value.unwrap_or(default).to_owned()
        };
        let port = text("PORT", "8080");
        let endpoint = text("VLLM_ENDPOINT", "http://vllm:8000");
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let bucket = |name: &str| Some(text(name, "")).filter(|bucket| !bucket.is_empty());
        Ok(Self {
            port: port.parse().map_err(|_| BadEnvironment {
                name: "PORT",
                value: port,
                wanted: "a port, such as 8080",
            })?,
            namespace: text("POD_NAMESPACE", "default"),
            config_map: text("CONFIG_MAP", "gateway"),
            upstream: host.parse().map_err(|_| BadEnvironment {
                name: "VLLM_ENDPOINT",
                value: endpoint,
                wanted: "an address such as http://vllm:8000",
            })?,
            deployment: text("VLLM_DEPLOYMENT", "vllm"),
            model: text("MODEL", ""),
            region: text("AWS_REGION", "us-east-1"),
            questions: bucket("QUESTIONS_BUCKET"),
            responses: bucket("RESPONSES_BUCKET"),
        })
    }
}

/// How a gateway reaches everything else.
pub struct Reach {
    /// The account, for its buckets; the model server; time.
    pub clients: Clients,
    /// The cluster that it runs in.
    pub kube: Kube,
    /// What tells its ids from another replica's.
    pub seed: u64,
}

/// A gateway at work, with what it does beside answering; all of that ends with it.
pub struct Service {
    gateway: Gateway,
    // Dropped with the service, and with it the tasks.
    _beside: JoinSet<()>,
}

impl Service {
    /// Starts a gateway. Must be called within a runtime, which runs what it does beside answering.
    pub fn start(environment: &Environment, reach: Reach) -> Self {
        let Reach { clients, kube, seed } = reach;
        let (web, clock) = (clients.web(), clients.clock);
        let settings = Settings {
            show: Show::quiz(""),
            model: environment.model.clone(),
            upstream: environment.upstream.clone(),
        };
        let upstream = Upstream::new(move |request: http::Request<Bytes>| {
            let web = web.clone();
            async move { web.send(request).await }
        });
        let storage = Arc::new(Shelves::new(environment, &clients));
        let gateway = Gateway::new(settings, storage, upstream, clock, seed);
        let mut beside = JoinSet::new();
        beside.spawn(follow_config(gateway.clone(), kube.clone(), environment.clone(), clock));
        beside.spawn(follow_figures(gateway.clone(), kube, environment.clone(), clock));
        Self {
            gateway,
            _beside: beside,
        }
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

impl Program for Service {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let gateway = self.gateway.clone();
        Box::pin(async move { gateway.handle(request).await })
    }
}

/// How the local world starts the gateway in a pod.
pub fn start() -> Start {
    Arc::new(
        |surroundings: Surroundings| match Environment::read(&surroundings.environment) {
            Ok(environment) => Arc::new(in_pod(&environment, &surroundings)) as Arc<dyn Program>,
            Err(error) => Arc::new(Broken(error)),
        },
    )
}

fn in_pod(environment: &Environment, surroundings: &Surroundings) -> Service {
    let Surroundings {
        pod, connector, clock, ..
    } = surroundings;
    let client = cluster_of_pod(connector.clone(), &pod.cluster, &surroundings.token(), &pod.namespace);
    let reach = Reach {
        clients: Clients::local(connector.clone(), &environment.region, *clock),
        kube: Kube::new(client, *clock),
        seed: pod
            .uid
            .bytes()
            .fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
    };
    Service::start(environment, reach)
}

/// A gateway whose environment is wrong: it says so to whoever asks, its probe first.
struct Broken(BadEnvironment);

impl Program for Broken {
    fn handle(&self, _: Request) -> BoxFuture<'static, Response> {
        let mut response = Response::new(Bytes::from(format!("{}\n", self.0)));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        Box::pin(async { response })
    }
}

/// Does what the `ConfigMap` says, the moment it says it; what cannot be read changes nothing.
async fn follow_config(gateway: Gateway, kube: Kube, environment: Environment, clock: Clock) {
    let name = ObjectName {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: environment.namespace,
        name: environment.config_map,
    };
    let mut known = None;
    loop {
        match kube.changed(&name, known.as_ref()).await {
            Ok(found) => {
                if let Some(object) = &found {
                    match Show::from_config(&data(object)) {
                        Ok(show) if show != gateway.show() => gateway.configure(show),
                        Ok(_) => {}
                        Err(error) => tracing::warn!(%error, "{name} is not followed"),
                    }
                }
                known = found;
            }
            Err(error) => {
                tracing::warn!(error = crate::error::with_causes(&error), "{name} cannot be read");
                clock.sleep(CONFIG_AGAIN).await;
            }
        }
    }
}

async fn follow_figures(gateway: Gateway, kube: Kube, environment: Environment, clock: Clock) {
    loop {
        match figures::read(&kube, &environment.namespace, &environment.deployment).await {
            Ok(figures) => gateway.observe(Stats {
                queue: figures.waiting,
                running: figures.running,
                pods_desired: figures.desired,
                pods_ready: figures.ready,
                pods_max: figures.most,
            }),
            Err(error) => tracing::warn!(error = crate::error::with_causes(&error), "no figures"),
        }
        clock.sleep(FIGURES_EVERY).await;
    }
}

/// Two storages in one: questions in one bucket, everything else in another.
struct Shelves {
    questions: Arc<dyn Storage>,
    rest: Arc<dyn Storage>,
}

impl Shelves {
    fn new(environment: &Environment, clients: &Clients) -> Self {
        let shelf = |bucket: &Option<String>| -> Arc<dyn Storage> {
            match bucket {
                Some(bucket) => Arc::new(BucketStorage::new(&clients.aws, bucket)),
                None => Arc::new(MemoryStorage::default()),
            }
        };
        Self {
            questions: shelf(&environment.questions),
            rest: shelf(&environment.responses),
        }
    }

    fn of(&self, key: &str) -> &dyn Storage {
        if key.starts_with(key::QUESTIONS) {
            &*self.questions
        } else {
            &*self.rest
        }
    }
}

impl Storage for Shelves {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.of(key).get(key)
    }

    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(key).put(key, body)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(key).delete(key)
    }

    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>> {
        self.of(prefix).list(prefix, page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, BadEnvironment> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment::read(&variables.iter().map(owned).collect())
    }

    #[test]
    fn an_empty_environment_is_a_gateway_that_keeps_everything_in_memory() {
        let environment = read(&[]).unwrap();
        assert_eq!((environment.port, environment.upstream.as_str()), (8080, "vllm:8000"));
        assert_eq!((environment.questions, environment.responses), (None, None));
    }

    #[test]
    fn what_is_wrong_in_the_environment_says_what_to_set() {
        for (name, value, expected) in [
            (
                "PORT",
                "http",
                "the environment variable PORT is `http`; set it to a port, such as 8080",
            ),
            (
                "VLLM_ENDPOINT",
                "a b",
                "the environment variable VLLM_ENDPOINT is `a b`; set it to an address such as http://vllm:8000",
            ),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().to_string(), expected);
        }
    }
}
