//! The registries that a cluster and a chart client pull from: OCI distribution and HTTP chart repositories.
//!
//! The account's own registry reads and writes what ECR holds. The public ones serve the stand-in charts under their
//! publishers' names and nothing else; nobody can push to them.

pub(crate) mod image;
mod oci;
mod shelf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::header::CONTENT_TYPE;
use http::header::WWW_AUTHENTICATE;
use serde_json::json;

use crate::aws::Scene;
use crate::aws::json::ecr;
use crate::content::sha256;
use crate::core::Request;
use crate::core::Response;
use crate::core::plain;
use crate::registry::oci::Refusal;
use crate::registry::oci::Tags;
use crate::registry::oci::Target;
use crate::registry::shelf::Shelf;

/// One of the hosts that are registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The registry of an account in a region.
    Account {
        name: String,
        account: String,
        region: String,
    },
    /// A public registry.
    Public(&'static Public),
    /// An HTTP chart repository.
    Charts(String),
}

/// A public registry, and how it hands out the tokens that even anonymous readers need.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Public {
    name: &'static str,
    token_path: &'static str,
    reach: Reach,
}

/// What one token of a public registry opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    OneRepository,
}

const PUBLIC: &[Public] = &[
    Public {
        name: "public.ecr.aws",
        token_path: "/token/",
        reach: Reach::Everything,
    },
    Public {
        name: "ghcr.io",
        token_path: "/token",
        reach: Reach::OneRepository,
    },
];

/// The registry that answers for a host name, if one does.
pub(crate) fn serves(host: &str) -> Option<Host> {
    if let Some(public) = PUBLIC.iter().find(|public| public.name == host) {
        return Some(Host::Public(public));
    }
    if shelf::is_http_repository(host) {
        return Some(Host::Charts(host.to_owned()));
    }
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let region = rest.strip_suffix(".amazonaws.com")?;
    Some(Host::Account {
        name: host.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
    })
}

/// Answers one request to a registry.
pub(crate) fn handle(scene: &mut Scene<'_>, host: &Host, request: &Request) -> Response {
    match host {
        Host::Charts(name) => file(shelf::embedded(), name, request),
        Host::Public(public) => public.answer(shelf::embedded(), request),
        Host::Account { name, account, region } => {
            own(scene, name, account, region, request).unwrap_or_else(Refusal::response)
        }
    }
}

fn file(shelf: &Shelf, host: &str, request: &Request) -> Response {
    if !oci::reads(request) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "a chart repository is only read");
    }
    match shelf.file(host, request.uri().path()) {
        None => plain(StatusCode::NOT_FOUND, "404: Not Found"),
        Some((kind, bytes)) => {
            let mut response = Response::new(bytes);
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
    }
}

impl Public {
    fn answer(&self, images: &Shelf, request: &Request) -> Response {
        if request.uri().path() == self.token_path {
            return self.hand_out(request);
        }
        match self.pull(images, request) {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        }
    }

    fn pull(&self, repositories: &Shelf, request: &Request) -> Result<Response, Refusal> {
        let target = Target::of(request.uri().path())
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "NAME_INVALID", "no such path in a registry"))?;
        let scope = self.scope(&target);
        if bearer(request) != Some(&*self.token(&scope)) {
            return Ok(self.challenge(&scope));
        }
        let Target::In(name, item) = target else {
            return Ok(oci::pong());
        };
        if !oci::reads(request) {
            let message = format!("nobody can push to {} from the local world", self.name);
            return Err(Refusal::new(StatusCode::FORBIDDEN, "DENIED", message));
        }
        let images = repositories.images(self.name, &name).ok_or_else(|| {
            let message = format!("repository {name} not found: the local world's {} has none", self.name);
            Refusal::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
        })?;
        oci::read(images, &name, &item, request)
    }

    /// What a client must have a token for, to reach `target`.
    fn scope(&self, target: &Target) -> String {
        match (self.reach, target) {
            (Reach::Everything, _) => "aws".to_owned(),
            (Reach::OneRepository, Target::Ping) => "repository:user/image:pull".to_owned(),
            (Reach::OneRepository, Target::In(name, _)) => format!("repository:{name}:pull"),
        }
    }

    /// The token for a scope. It proves nothing but that the client asked for it, which is all that these registries ask.
    fn token(&self, scope: &str) -> String {
        sha256(format!("{} {scope}", self.name).as_bytes())
    }

    fn hand_out(&self, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope");
        let scope = match self.reach {
            Reach::Everything => "aws".into(),
            Reach::OneRepository => asked.map(|(_, scope)| scope).unwrap_or_default(),
        };
        let text = json!({"token": self.token(&scope)}).to_string();
        let mut response = Response::new(Bytes::from(text));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    fn challenge(&self, scope: &str) -> Response {
        let unauthorized = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
        let mut response = unauthorized.response();
        let realm = format!(
            "Bearer realm=\"https://{}{}\",service=\"{}\",scope=\"{scope}\"",
            self.name, self.token_path, self.name
        );
        if let Ok(realm) = HeaderValue::from_str(&realm) {
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// Answers for the account's own registry: whoever shows ECR's token may pull and push what has a repository.
fn own(scene: &mut Scene<'_>, host: &str, account: &str, region: &str, request: &Request) -> Result<Response, Refusal> {
    let target = Target::of(request.uri().path())
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "NAME_INVALID", "no such path in a registry"))?;
    let known = account == scene.account.id
        && password(request).is_some_and(|password| ecr::admits(account, region, &password, scene.now));
    if !known {
        return Ok(no_password(host));
    }
    let Target::In(name, item) = target else {
        return Ok(oci::pong());
    };
    let ecr = &mut scene.account.region(region).ecr;
    let repository = ecr.repositories.get_mut(&name).ok_or_else(|| {
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
        Refusal::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    })?;
    if oci::reads(request) {
        return oci::read(&repository.images, &name, &item, request);
    }
    let rule = match repository.mutability {
        ecr::Mutability::Mutable => Tags::Mutable,
        ecr::Mutability::Immutable => Tags::Immutable,
    };
    let chance = (scene.now, &mut *scene.random);
    oci::write(&mut repository.images, rule, &name, &item, request, chance)
}

fn no_password(host: &str) -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Not Authorized");
    let realm = format!("Basic realm=\"https://{host}/\",service=\"ecr.amazonaws.com\"");
    if let Ok(realm) = HeaderValue::from_str(&realm) {
        response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    }
    response
}

fn bearer(request: &Request) -> Option<&str> {
    request
        .headers()
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The password of basic credentials, whose user ECR wants to be `AWS`.
fn password(request: &Request) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.strip_prefix("AWS:").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHARTS: &[(&str, &[u8])] = &[
        (
            "otel/Chart.yaml",
            b"apiVersion: v2\nname: otel-add-on\nversion: 0.1.4\n",
        ),
        ("keda/Chart.yaml", b"apiVersion: v2\nname: keda\nversion: v2.20.1-6\n"),
        (
            "karpenter/Chart.yaml",
            b"apiVersion: v2\nname: karpenter\nversion: 1.14.1\n",
        ),
    ];

    fn public(host: &str) -> &'static Public {
        let Some(Host::Public(public)) = serves(host) else {
            panic!("{host} is no public registry");
        };
        public
    }

    fn get(shelf: &Shelf, host: &str, path: &str, token: Option<&str>) -> Response {
        let mut request = http::Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        public(host).answer(shelf, &request.body(Bytes::new()).unwrap())
    }

    /// Follows the challenge as a client does: the realm's path with service and scope gives the token.
    fn token_for(shelf: &Shelf, host: &str, path: &str) -> String {
        let challenge = get(shelf, host, path, None);
        assert_eq!(challenge.status(), 401);
        let header = challenge.headers()["www-authenticate"].to_str().unwrap();
        let part = |name: &str| {
            let start = format!("{name}=\"");
            let rest = header.split(&start).nth(1).unwrap();
            rest.split('"').next().unwrap()
        };
        let realm = part("realm").strip_prefix(&format!("https://{host}")).unwrap();
        let path = format!("{realm}?service={}&scope={}", part("service"), part("scope"));
        let answer = get(shelf, host, &path, None);
        let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    #[test]
    fn hosts_are_told_apart() {
        let check = |host: &str, expected: bool| assert_eq!(serves(host).is_some(), expected, "{host}");
        check("public.ecr.aws", true);
        check("ghcr.io", true);
        check("kedify.github.io", true);
        check("123456789012.dkr.ecr.eu-west-1.amazonaws.com", true);
        check("123456789012.dkr.ecr.eu-west-1.example.com", false);
        check("docker.io", false);
    }

    #[test]
    fn a_chart_is_pulled_with_a_token_that_anybody_gets() {
        let shelf = Shelf::new(CHARTS);
        for (host, path) in [
            ("ghcr.io", "/v2/kedify/charts/otel-add-on/manifests/0.1.4"),
            ("public.ecr.aws", "/v2/karpenter/karpenter/manifests/1.14.1"),
        ] {
            let token = token_for(&shelf, host, path);
            let manifest = get(&shelf, host, path, Some(&token));
            assert_eq!(manifest.status(), 200, "{path}");
            let manifest: serde_json::Value = serde_json::from_slice(manifest.body()).unwrap();
            let layer = manifest["layers"][0]["digest"].as_str().unwrap();
            let repository = path.split("/manifests/").next().unwrap();
            let blob = get(&shelf, host, &format!("{repository}/blobs/{layer}"), Some(&token));
            assert_eq!(format!("sha256:{}", sha256(blob.body())), layer);
        }
    }

    #[test]
    fn a_token_for_one_repository_does_not_open_another() {
        let shelf = Shelf::new(CHARTS);
        let token = token_for(&shelf, "ghcr.io", "/v2/kedify/charts/otel-add-on/manifests/0.1.4");
        let other = get(&shelf, "ghcr.io", "/v2/kedify/charts/keda/tags/list", Some(&token));
        assert_eq!(other.status(), 401);
    }

    #[test]
    fn nobody_pushes_to_a_public_registry() {
        let shelf = Shelf::new(CHARTS);
        let token = token_for(&shelf, "public.ecr.aws", "/v2/");
        let request = http::Request::post("/v2/karpenter/karpenter/blobs/uploads/")
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::new())
            .unwrap();
        let refused = public("public.ecr.aws").answer(&shelf, &request);
        assert_eq!(refused.status(), 403);
    }

    #[test]
    fn a_chart_repository_has_nothing_else() {
        let shelf = Shelf::new(CHARTS);
        let get = |path: &str| {
            file(
                &shelf,
                "kedify.github.io",
                &http::Request::get(path).body(Bytes::new()).unwrap(),
            )
        };
        assert_eq!(get("/charts/index.yaml").status(), 200);
        assert_eq!(
            get("/charts/keda-v2.20.1-6.tgz").headers()["content-type"],
            "application/gzip"
        );
        assert_eq!(get("/charts/keda-v9.tgz").status(), 404);
        assert_eq!(get("/index.yaml").status(), 404);
    }
}
