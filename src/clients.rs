//! Clients of a real account, or of the local world: the only place that knows both. Whoever holds one cannot tell.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_config::SdkConfig;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::SignableBody;
use aws_sigv4::http_request::SignableRequest;
use aws_sigv4::http_request::SignatureLocation;
use aws_sigv4::http_request::SigningSettings;
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::BodyExt;
use thiserror::Error;
use tubectl_clock::Clock;
use tubectl_world::connect::Connector;

use crate::error::Hint;

/// How long a token for a cluster is used before a new one is made; EKS takes one for fifteen minutes.
const TOKEN_LASTS: Duration = Duration::from_secs(10 * 60);

/// Where web pages are asked for.
#[derive(Clone)]
pub enum Web {
    /// On the internet, without encryption: the audience's load balancer speaks plain HTTP.
    Internet,
    /// In the local world.
    World(Connector),
}

/// A page that did not answer.
#[derive(Debug, Error)]
#[error("no answer from {host}")]
pub struct NoAnswer {
    /// Whom was asked.
    pub host: String,
    /// Why there is none.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Web {
    /// Sends one request for a page and gives the answer whole.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, NoAnswer> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = match self {
            Self::Internet => over_tcp(request).await,
            Self::World(connector) => match connector.send(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    Ok(http::Response::from_parts(head, body.whole().await))
                }
                Err(gone) => Err(gone.into()),
            },
        };
        answer.map_err(|source| NoAnswer { host, source })
    }
}

/// One request over a connection of its own.
async fn over_tcp(request: http::Request<Bytes>) -> Result<http::Response<Bytes>, tower::BoxError> {
    let authority = request.uri().authority().cloned().ok_or("the address names no host")?;
    let port = authority.port_u16().unwrap_or(80);
    let stream = tokio::net::TcpStream::connect((authority.host(), port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    let exchange = async move {
        let (mut head, body) = request.into_parts();
        head.headers
            .insert(http::header::HOST, http::HeaderValue::from_str(authority.as_str())?);
        if let Some(path) = head.uri.path_and_query() {
            head.uri = path.as_str().parse()?;
        }
        let request = http::Request::from_parts(head, http_body_util::Full::new(body));
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok::<_, tower::BoxError>(http::Response::from_parts(head, body.collect().await?.to_bytes()))
    };
    // The connection moves the bytes; the exchange ends first, or breaks with it.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        broken = connection => {
            broken?;
            exchange.await
        }
    }
}

/// Clients of one account and region.
#[derive(Clone)]
pub struct Clients {
    /// What every AWS client is made from.
    pub aws: SdkConfig,
    /// Time, as the world that they reach has it.
    pub clock: Clock,
    reach: Reach,
}

#[derive(Clone)]
enum Reach {
    Real,
    World(Connector),
}

/// Why there are no clients.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No source of credentials had any.
    #[error(
        "no AWS credentials: looked at the environment, the shared config and credentials files with SSO and \
         processes, web identity, the container's role, and the machine's metadata service"
    )]
    Credentials(#[source] aws_credential_types::provider::error::CredentialsError),
    /// The profile that was named has none.
    #[error("profile `{name}` gives no AWS credentials: looked at the shared config and credentials files")]
    Profile {
        /// Its name.
        name: String,
        /// Why.
        source: aws_credential_types::provider::error::CredentialsError,
    },
    /// A request could not be signed.
    #[error("cannot sign a request for the cluster's token")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cluster's address or certificate is not one.
    #[error("cannot connect to the cluster at {endpoint}")]
    Cluster {
        /// The address.
        endpoint: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Hint for ClientError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Credentials(_) => vec![
                "log in (`aws sso login`), set AWS_PROFILE or AWS_ACCESS_KEY_ID, or name a profile with --profile"
                    .to_owned(),
                "rehearse without any account: `tubectl rehearse tube`".to_owned(),
            ],
            Self::Profile { name, .. } => vec![format!(
                "log in (`aws sso login --profile {name}`), or name another; `aws configure list-profiles` lists them"
            )],
            Self::Sign(_) | Self::Cluster { .. } => vec!["run it again; `tubectl status` shows what exists".to_owned()],
        }
    }
}

impl Clients {
    /// Clients of the local world.
    pub fn local(connector: Connector, region: &str, clock: Clock) -> Self {
        let credentials = Credentials::new(
            "AKIALOCALWORLD000000",
            "the-local-world-judges-no-signature",
            None,
            None,
            "local",
        );
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(WorldHttp(connector.clone()))
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .retry_config(RetryConfig::standard().with_max_attempts(5))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            aws,
            clock,
            reach: Reach::World(connector),
        }
    }

    /// Clients of a real account: credentials of a profile, or by the SDK's own chain.
    ///
    /// The machine's metadata service is asked once and briefly: on a laptop it only makes a missing login hang.
    pub async fn real(profile: Option<&str>, region: &str) -> Result<Self, ClientError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_secs(30))
            .operation_timeout(Duration::from_secs(120))
            .build();
        let region = Region::new(region.to_owned());
        let credentials = match profile {
            Some(profile) => of_profile(profile, &region).await?,
            None => of_chain(&region).await?,
        };
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(5))
            .timeout_config(timeouts)
            .region(region)
            .credentials_provider(credentials)
            .load()
            .await;
        Ok(Self {
            aws,
            clock: Clock::real(),
            reach: Reach::Real,
        })
    }

    /// Sends one plain request, to a chart repository or a page: to the world, or nowhere yet when the account is real.
    pub fn transport(&self) -> Option<Connector> {
        match &self.reach {
            Reach::Real => None,
            Reach::World(connector) => Some(connector.clone()),
        }
    }

    /// The way to web pages.
    pub fn web(&self) -> Web {
        match &self.reach {
            Reach::Real => Web::Internet,
            Reach::World(connector) => Web::World(connector.clone()),
        }
    }

    /// A client of the cluster. Its tokens are presigned here and renewed before they expire.
    pub fn cluster(
        &self,
        name: &str,
        endpoint: &str,
        certificate_authority: &str,
    ) -> Result<kube::Client, ClientError> {
        match &self.reach {
            Reach::World(connector) => Ok(self.world_cluster(name, endpoint, connector.clone())),
            Reach::Real => self.real_cluster(name, endpoint, certificate_authority),
        }
    }

    fn world_cluster(&self, name: &str, endpoint: &str, connector: Connector) -> kube::Client {
        let tokens = Tokens::new(self.clone(), name);
        let host = endpoint.trim_start_matches("https://").to_owned();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (connector, host, tokens) = (connector.clone(), host.clone(), tokens.clone());
            async move {
                let token = tokens.current().await?;
                ask_cluster(&connector, &host, &token, request).await
            }
        });
        kube::Client::new(service, "default")
    }

    fn real_cluster(&self, name: &str, endpoint: &str, authority: &str) -> Result<kube::Client, ClientError> {
        let fail = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Cluster {
            endpoint: endpoint.to_owned(),
            source,
        };
        let mut config = kube::Config::new(endpoint.parse().map_err(|error| fail(Box::new(error)))?);
        let pem = base64::engine::general_purpose::STANDARD
            .decode(authority)
            .map_err(|error| fail(Box::new(error)))?;
        config.root_cert = Some(certificates(&pem));
        let tokens = Tokens::new(self.clone(), name);
        let layer = tower::filter::AsyncFilterLayer::new(move |mut request: http::Request<kube::client::Body>| {
            let tokens = tokens.clone();
            async move {
                let token = tokens.current().await?;
                let value = http::HeaderValue::from_str(&format!("Bearer {token}"))?;
                request.headers_mut().insert(http::header::AUTHORIZATION, value);
                Ok::<_, tower::BoxError>(request)
            }
        });
        let builder = kube::client::ClientBuilder::try_from(config).map_err(|error| fail(Box::new(error)))?;
        // The layers below cannot be cloned; a buffer in between can, and 64 waiting requests are more than a walk sends.
        Ok(builder
            .with_layer(&tower::buffer::BufferLayer::new(64))
            .with_layer(&layer)
            .build())
    }

    /// A token that EKS takes for the caller: a presigned request to say who the caller is.
    pub async fn token(&self, cluster: &str) -> Result<String, ClientError> {
        let provider = self
            .aws
            .credentials_provider()
            .expect("every way to make clients sets a provider");
        let credentials = provider.provide_credentials().await.map_err(ClientError::Credentials)?;
        let region = self.aws.region().expect("every way to make clients names a region");
        presigned(
            credentials,
            region.as_ref(),
            cluster,
            SystemTime::from(self.clock.now()),
        )
        .map_err(ClientError::Sign)
    }
}

/// The credentials of a profile that was named, and of nothing else: the environment's might be another account's.
async fn of_profile(name: &str, region: &Region) -> Result<SharedCredentialsProvider, ClientError> {
    let config = ProviderConfig::without_region().with_region(Some(region.clone()));
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&config)
        .profile_name(name)
        .build();
    provider
        .provide_credentials()
        .await
        .map_err(|source| ClientError::Profile {
            name: name.to_owned(),
            source,
        })?;
    Ok(SharedCredentialsProvider::new(provider))
}

/// Whatever the SDK's own chain finds first.
async fn of_chain(region: &Region) -> Result<SharedCredentialsProvider, ClientError> {
    let metadata = aws_config::imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(Duration::from_millis(300))
        .read_timeout(Duration::from_secs(1))
        .build();
    let chain = DefaultCredentialsChain::builder()
        .imds_client(metadata)
        .region(region.clone())
        .build()
        .await;
    chain.provide_credentials().await.map_err(ClientError::Credentials)?;
    Ok(SharedCredentialsProvider::new(chain))
}

/// A client of the cluster that a pod of the local world is in, by the pod's own token.
pub fn cluster_of_pod(connector: Connector, host: &str, token: &str, namespace: &str) -> kube::Client {
    let (host, token) = (host.to_owned(), token.to_owned());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (connector, host, token) = (connector.clone(), host.clone(), token.clone());
        async move { ask_cluster(&connector, &host, &token, request).await }
    });
    kube::Client::new(service, namespace)
}

async fn ask_cluster(
    connector: &Connector,
    host: &str,
    token: &str,
    request: http::Request<kube::client::Body>,
) -> Result<http::Response<tubectl_world::connect::Body>, tower::BoxError> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    head.headers
        .insert(http::header::HOST, http::HeaderValue::from_str(host)?);
    head.headers.insert(
        http::header::AUTHORIZATION,
        http::HeaderValue::from_str(&format!("Bearer {token}"))?,
    );
    Ok(connector.send(http::Request::from_parts(head, body)).await?)
}

fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    bodies
        .filter_map(|body| {
            let body: String = body.split("-----END").next()?.split_whitespace().collect();
            base64::engine::general_purpose::STANDARD.decode(body).ok()
        })
        .collect()
}

fn presigned(
    credentials: Credentials,
    region: &str,
    cluster: &str,
    time: SystemTime,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(time)
        .settings(settings)
        .build()?;
    let address = format!("https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = [("x-k8s-aws-id", cluster)];
    let request = SignableRequest::new("GET", &address, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = aws_sigv4::http_request::sign(request, &parameters.into())?.into_parts();
    let mut url = address;
    for (name, value) in instructions.params() {
        url.push('&');
        url.push_str(name);
        url.push('=');
        url.push_str(&percent(value));
    }
    Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)))
}

fn percent(text: &str) -> String {
    const PLAIN: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, &PLAIN).to_string()
}

/// The current token for a cluster.
#[derive(Clone)]
struct Tokens {
    clients: Clients,
    cluster: String,
    current: std::sync::Arc<tokio::sync::Mutex<Option<(jiff::Timestamp, String)>>>,
}

impl Tokens {
    fn new(clients: Clients, cluster: &str) -> Self {
        Self {
            clients,
            cluster: cluster.to_owned(),
            current: std::sync::Arc::default(),
        }
    }

    async fn current(&self) -> Result<String, ClientError> {
        let mut current = self.current.lock().await;
        if let Some((made, token)) = &*current
            && self.clients.clock.since(*made) < TOKEN_LASTS
        {
            return Ok(token.clone());
        }
        let token = self.clients.token(&self.cluster).await?;
        *current = Some((self.clients.clock.now(), token.clone()));
        Ok(token)
    }
}

/// The SDK's connector, with the world at its end.
#[derive(Clone)]
struct WorldHttp(Connector);

impl fmt::Debug for WorldHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldHttp")
    }
}

impl HttpClient for WorldHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for WorldHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body: Bytes = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let response = connector.send(http::Request::from_parts(head, body)).await;
            let response = response.map_err(|error| ConnectorError::io(error.into()))?;
            let (head, body) = response.into_parts();
            let body = SdkBody::from(body.whole().await);
            HttpResponse::try_from(http::Response::from_parts(head, body))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_presigned_question_for_the_callers_identity() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let token = presigned(credentials, "eu-west-1", "tube", SystemTime::UNIX_EPOCH).unwrap();
        let url = URL_SAFE_NO_PAD
            .decode(token.strip_prefix("k8s-aws-v1.").unwrap())
            .unwrap();
        let url = String::from_utf8(url).unwrap();
        assert!(url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&"));
        for part in [
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
            "X-Amz-Date=19700101T000000Z",
        ] {
            assert!(url.contains(part), "{part} is missing in {url}");
        }
        assert!(!url.contains("secret"));
    }
}
