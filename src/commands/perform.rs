//! Doing one step, whatever its kind: the one place where AWS, images, releases and objects meet.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::apply::wait::Patience;
use crate::apply::wait::WaitError;
use crate::apply::wait::until_ready;
use crate::apply::walk::Ready;
use crate::commands::context::Context;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::commands::session::connect;
use crate::commands::session::converging;
use crate::error::Hint;
use crate::event::EventKind;
use crate::image;
use crate::image::ImageError;
use crate::plan::Action;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::provider::kube::apply::Strangers;
use crate::provider::kube::observe;
use crate::provider::kube::ready::readiness;
use crate::provider::kube::release::INSTANCE;
use crate::release::expand::object_id;
use crate::release::render;
use crate::release::render::RenderError;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Readiness;
use crate::resource::spec;

/// Does steps.
pub(crate) struct Performer<'a> {
    context: &'a Context,
    session: &'a Session,
    look: &'a Look,
    kube: OnceCell<Kube>,
    // What releases rendered to once everything was known.
    objects: Mutex<BTreeMap<ResourceId, Value>>,
}

/// Why a step was not done.
#[derive(Debug, Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{0}")]
    Waiting(String),
    #[error("the cluster cannot be reached: {0}")]
    Cluster(String),
}

impl Hint for StepError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Provider(error) => error.hints(),
            Self::Render(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Waiting(_) | Self::Cluster(_) => vec!["see what it waits for: `tubectl status`".to_owned()],
        }
    }
}

type Given = BTreeMap<String, String>;

impl<'a> Performer<'a> {
    pub(crate) fn new(context: &'a Context, session: &'a Session, look: &'a Look) -> Self {
        let kube = look
            .kube
            .clone()
            .map_or_else(OnceCell::new, |kube| OnceCell::new_with(Some(kube)));
        Self {
            context,
            session,
            look,
            kube,
            objects: Mutex::default(),
        }
    }

    pub(crate) async fn perform(&self, ready: Ready) -> Result<Given, StepError> {
        match ready.step.desired.kind {
            Kind::Image => self.image(&ready).await,
            Kind::ReleaseBegin => self.begin(&ready).await,
            Kind::ReleaseEnd => self.end(&ready).await,
            Kind::Object => self.object(&ready).await,
            _ => Ok(self.session.aws.perform(&ready, |what| self.told(&ready, what)).await?),
        }
    }

    async fn image(&self, ready: &Ready) -> Result<Given, StepError> {
        let image: spec::Image = serde_json::from_value(ready.spec.clone())
            .map_err(|error| ProviderError::found(format!("reading `{}`", ready.step.desired.id), error.to_string()))?;
        if self.context.clients.transport().is_none() {
            return Err(StepError::Waiting(
                "images are pushed to the local world only".to_owned(),
            ));
        }
        let password = self.session.aws.registry_password().await?;
        let built = image::push(&self.context.clients.web(), &image, &password).await?;
        let found = self.session.aws.find_image(&image, &built.digest).await?;
        found.ok_or_else(|| {
            StepError::Waiting(format!(
                "{}:{} was pushed and is not there",
                image.repository, image.tag
            ))
        })
    }

    async fn begin(&self, ready: &Ready) -> Result<Given, StepError> {
        let name = &ready.step.desired.name;
        let planned = &self.look.renderings[name];
        let release = self.session.stack.releases.iter().find(|release| release.name == *name);
        let release = release.expect("every beginning is of a release of the stack");
        let chart = &self.look.charts[name];
        let mut rendering = render::again(release, chart, &self.look.setting, &ready.known, &planned.installed)?;
        {
            let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            objects.extend(
                rendering
                    .installed
                    .objects
                    .into_iter()
                    .map(|object| (object_id(name, &object), object)),
            );
        }
        let instance = self.session.aws.owner.instance.clone();
        rendering.record.labels.insert(INSTANCE.to_owned(), instance);
        let kube = self.kube(ready).await?;
        let record = converging(self.context, async || {
            kube.begin_release(rendering.record.clone()).await
        })
        .await?;
        Ok(Given::from([("revision".to_owned(), record.revision.to_string())]))
    }

    async fn end(&self, ready: &Ready) -> Result<Given, StepError> {
        let kube = self.kube(ready).await?;
        let namespace = ready.spec["namespace"].as_str().unwrap_or_default();
        kube.end_release(namespace, &ready.step.desired.name).await?;
        Ok(Given::new())
    }

    async fn object(&self, ready: &Ready) -> Result<Given, StepError> {
        let id = &ready.step.desired.id;
        let rendered = self
            .objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        let object = rendered.unwrap_or_else(|| ready.spec.clone());
        let kube = self.kube(ready).await?;
        // What differs was shown by the plan, whoever made it so; what nobody saw is not ours to overrule.
        let strangers = match ready.step.action {
            Action::Update { .. } => Strangers::Overrule,
            _ => Strangers::Respect,
        };
        let applied = converging(self.context, async || kube.apply(&object, strangers).await).await?;
        let name = ObjectName::of(&object);
        // Most kinds are usable once they are there; no need to ask again.
        if readiness(&applied) == Readiness::Ready && !name.kind.ends_with("WebhookConfiguration") {
            return Ok(observe::outputs(&applied));
        }
        let patience = Patience {
            expected: Kind::Object.usual_duration(),
            deadline: Kind::Object.deadline(),
        };
        let ask = async || kube.readiness(&name).await;
        match until_ready(self.context.clock, patience, ask, |what| self.told(ready, what)).await {
            Ok(()) => {}
            Err(WaitError::Asking(error)) => return Err(error.into()),
            Err(error) => return Err(StepError::Waiting(error.to_string())),
        }
        Ok(kube
            .get(&name)
            .await?
            .as_ref()
            .map(observe::outputs)
            .unwrap_or_default())
    }

    async fn kube(&self, ready: &Ready) -> Result<&Kube, StepError> {
        let connect = async || {
            let cluster = self.look.desired.iter().find(|desired| desired.kind == Kind::Cluster);
            let given = cluster.and_then(|cluster| ready.known.get(&cluster.id));
            let given = given.ok_or_else(|| StepError::Cluster("the stack has none".to_owned()))?;
            connect(self.context, given).map_err(|failure| StepError::Cluster(failure.cause.to_string()))
        };
        self.kube.get_or_try_init(connect).await
    }

    fn told(&self, ready: &Ready, what: &str) {
        let id = ready.step.desired.id.clone();
        self.context.events.emit(EventKind::Waiting {
            id,
            what: what.to_owned(),
        });
    }
}
