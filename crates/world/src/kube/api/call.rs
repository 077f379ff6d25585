//! A request, read: who asks for which resource, how, and in which form.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use http::Method;

use crate::core::Request;
use crate::core::Scene;
use crate::kube::api::identity;
use crate::kube::api::identity::Action;
use crate::kube::api::identity::User;
use crate::kube::api::resources::Resource;
use crate::kube::api::resources::Scope;
use crate::kube::api::status::Failure;
use crate::kube::api::view::Form;
use crate::kube::store::Store;

/// One request for a resource.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) user: User,
    pub(crate) resource: Arc<Resource>,
    /// Empty for resources of the whole cluster, and for lists over all namespaces.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    pub(crate) subresource: Option<String>,
    pub(crate) form: Form,
    query: BTreeMap<String, String>,
    /// What the client should know although it worked.
    pub(crate) warnings: RefCell<Vec<String>>,
}

/// What a path is about.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// A resource that is served here.
    Call(Box<Call<'a>>),
    /// Nothing that is served here; why, if nobody else serves it either.
    NotOurs(Failure),
}

/// How unknown fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// A header as text; empty if there is none.
pub(crate) fn header<'a>(request: &'a Request, name: &HeaderName) -> &'a str {
    let value = request.headers().get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl<'a> Call<'a> {
    /// Reads a request for a resource.
    pub(crate) fn read(scene: &Scene<'_>, request: &'a Request) -> Result<Read<'a>, Failure> {
        let decoded = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8_lossy();
        let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Ok(Read::NotOurs(Failure::no_such_path())),
        };
        let customs = &scene.cluster.api.customs;
        let served = customs
            .every()
            .any(|resource| resource.group == group && resource.version == version);
        if !served {
            return Ok(Read::NotOurs(Failure::no_such_path()));
        }
        let (namespace, rest) = match rest {
            // The namespace itself, its status and its end have paths that look like a resource inside.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let [plural, rest @ ..] = rest else {
            return Ok(Read::NotOurs(Failure::no_such_path()));
        };
        let Some(resource) = customs.find(group, version, plural) else {
            return Ok(Read::NotOurs(Failure::no_such_resource()));
        };
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let accept = header(request, &http::header::ACCEPT);
        let include = query.get("includeObject").map_or("", String::as_str);
        Ok(Read::Call(Box::new(Self {
            user: identity::of(scene, request)?,
            form: Form::of(accept, include),
            namespace: namespace.to_owned(),
            name: rest.first().copied().unwrap_or_default().to_owned(),
            subresource: rest.get(1).map(|part| (*part).to_owned()),
            request,
            resource,
            query,
            warnings: RefCell::default(),
        })))
    }

    /// A parameter of the query; empty if it is not given.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether a parameter of the query is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1" | "True" | "t")
    }

    /// Whether nothing shall be stored.
    pub(crate) fn dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// Whether this opens a watch.
    pub(crate) fn is_watch(&self) -> bool {
        self.request.method() == Method::GET && self.subresource.is_none() && self.flag("watch")
    }

    /// How unknown fields are taken.
    pub(crate) fn field_validation(&self) -> Result<FieldValidation, Failure> {
        match self.parameter("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(Failure::bad_request(format!(
                "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }

    /// Who is named as the owner of the fields that this call sets.
    pub(crate) fn manager(&self) -> String {
        let given = self.parameter("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = header(self.request, &http::header::USER_AGENT);
        let name = agent.split('/').next().unwrap_or_default();
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(128).collect();
        if name.is_empty() { "unknown".to_owned() } else { name }
    }

    /// The media type of the body, without its parameters.
    pub(crate) fn content_type(&self) -> &str {
        let header = header(self.request, &http::header::CONTENT_TYPE);
        header.split(';').next().unwrap_or_default().trim()
    }

    /// What Kubernetes calls this.
    pub(crate) fn verb(&self) -> &'static str {
        let method = self.request.method();
        let one = !self.name.is_empty();
        match () {
            () if self.is_watch() => "watch",
            () if method == Method::GET && one => "get",
            () if method == Method::GET => "list",
            () if method == Method::POST => "create",
            () if method == Method::PUT => "update",
            () if method == Method::PATCH => "patch",
            () if method == Method::DELETE && one => "delete",
            () if method == Method::DELETE => "deletecollection",
            () => "",
        }
    }

    /// Refuses what the resource does not have and what the caller may not do.
    pub(crate) fn check_allowed(&self, store: &Store) -> Result<(), Failure> {
        let verbs = match &self.subresource {
            None => &self.resource.verbs,
            Some(name) => {
                let found = self.resource.subresource(name);
                &found.ok_or_else(Failure::no_such_resource)?.verbs
            }
        };
        let verb = self.verb();
        if !verbs.iter().any(|known| known == verb) {
            return Err(Failure::method_not_allowed());
        }
        let namespaced = self.resource.scope == Scope::Namespaced;
        if namespaced && self.namespace.is_empty() && !matches!(verb, "list" | "watch") {
            return Err(Failure::no_such_resource());
        }
        if !namespaced && !self.namespace.is_empty() {
            return Err(Failure::no_such_resource());
        }
        self.authorize(store, verb)
    }

    fn authorize(&self, store: &Store, verb: &str) -> Result<(), Failure> {
        let resource = match &self.subresource {
            Some(part) => format!("{}/{part}", self.resource.plural),
            None => self.resource.plural.clone(),
        };
        let action = Action {
            verb,
            group: &self.resource.group,
            resource: &resource,
            namespace: &self.namespace,
            name: self.only_name(),
        };
        if identity::allows(store, &self.user, &action) {
            return Ok(());
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        let why = format!(
            "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}",
            self.user.name, self.resource.group
        );
        Err(Failure::forbidden(&self.resource, &self.name, &why))
    }

    /// The one name that this call is about: its path says it, or its field selector leaves no other.
    fn only_name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        let mut terms = self.parameter("fieldSelector").split(',');
        terms
            .find_map(|term| term.trim().strip_prefix("metadata.name="))
            .map_or("", |name| name.trim_start_matches('='))
    }

    /// Notes something that the client should know.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.warnings.borrow_mut().push(text.into());
    }
}
