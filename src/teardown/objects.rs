//! What goes inside the cluster before the cluster goes: only what somebody must still act on, in groups by who does.
//!
//! The cluster is ours, so everything in it goes, whoever installed it. A finalizer is waited for; it is taken off only
//! when its controller is provably gone, or when the user said so.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tubectl_chart::release::Record;

use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;

/// Objects that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// KEDA's scaled objects and jobs.
    Scalers,
    /// What KEDA's scalers log in with.
    TriggerAuthentications,
    /// Ingresses, and services with a load balancer.
    Exposed,
    /// Releases without a controller of somebody else's finalizers, and their records.
    Workloads,
    /// What runs and came with no release.
    LooseWorkloads,
    /// What binds pods to target groups.
    Bindings,
    /// Claims on volumes.
    Claims,
    /// Budgets that would hold up a drain.
    Budgets,
    /// Karpenter's pools.
    NodePools,
    /// Karpenter's nodes.
    NodeClaims,
    /// Karpenter's node classes.
    NodeClasses,
    /// Webhooks, whose services are about to die.
    Webhooks,
    /// Releases with a controller, but Karpenter.
    Controllers,
    /// Karpenter's release.
    Karpenter,
    /// Definitions of kinds.
    Definitions,
    /// Namespaces that do not come with a cluster.
    Namespaces,
}

/// An object that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighted {
    /// What it is called.
    pub name: ObjectName,
    /// The finalizers that hold it, once it was told to go.
    pub held_by: Option<Vec<String>>,
    object: Value,
}

/// A controller: the label of its Deployment, and how the finalizers begin that only it takes off.
struct Controller {
    name: &'static str,
    finalizers: &'static [&'static str],
}

const CONTROLLERS: [Controller; 4] = [
    Controller {
        name: "keda-operator",
        finalizers: &["finalizer.keda.sh"],
    },
    Controller {
        name: "aws-load-balancer-controller",
        finalizers: &[
            "ingress.k8s.aws/",
            "group.ingress.k8s.aws/",
            "service.k8s.aws/",
            "elbv2.k8s.aws/",
        ],
    },
    Controller {
        name: KARPENTER,
        finalizers: &["karpenter.sh/", "karpenter.k8s.aws/"],
    },
    Controller {
        name: "aws-ebs-csi-driver",
        finalizers: &["external-provisioner.volume.kubernetes.io/", "external-attacher/"],
    },
];

const KARPENTER: &str = "karpenter";

/// The label by which a controller's Deployment is known.
const NAME: &str = "app.kubernetes.io/name";

/// The annotation with which Helm marks what belongs to a release.
const RELEASE: &str = "meta.helm.sh/release-name";

/// Namespaces that every cluster has, and whose things are the cluster's own.
const GIVEN: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// The API groups of the charts' own kinds; EKS puts its own kinds back as long as there is a cluster.
const OURS: [&str; 5] = [
    "keda.sh",
    "eventing.keda.sh",
    "karpenter.sh",
    "karpenter.k8s.aws",
    "elbv2.k8s.aws",
];

/// Kinds of a release that have a turn of their own.
const LATER: [&str; 9] = [
    "NodePool",
    "EC2NodeClass",
    "NodeClaim",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "Namespace",
    "ScaledObject",
    "ScaledJob",
    "TriggerAuthentication",
];

/// How long a node that Karpenter drains may still take.
const DRAIN: Duration = Duration::from_secs(60);

impl Group {
    /// Every group.
    #[cfg(test)]
    pub const ALL: [Self; 16] = [
        Self::Scalers,
        Self::TriggerAuthentications,
        Self::Exposed,
        Self::Workloads,
        Self::LooseWorkloads,
        Self::Bindings,
        Self::Claims,
        Self::Budgets,
        Self::NodePools,
        Self::NodeClaims,
        Self::NodeClasses,
        Self::Webhooks,
        Self::Controllers,
        Self::Karpenter,
        Self::Definitions,
        Self::Namespaces,
    ];

    /// How many may go at once. Many scaled objects at once leave some of them terminating for half an hour.
    pub fn at_once(self) -> usize {
        match self {
            Self::Scalers | Self::TriggerAuthentications => 4,
            _ => 16,
        }
    }

    /// Whether such an object keeps something outside the cluster, which its controller may make anew as long as the object
    /// stays.
    pub fn makes_things_outside(self) -> bool {
        match self {
            Self::Exposed | Self::Bindings | Self::Claims | Self::NodePools | Self::NodeClaims | Self::NodeClasses => {
                true
            }
            Self::Scalers
            | Self::TriggerAuthentications
            | Self::Workloads
            | Self::LooseWorkloads
            | Self::Budgets
            | Self::Webhooks
            | Self::Controllers
            | Self::Karpenter
            | Self::Definitions
            | Self::Namespaces => false,
        }
    }

    /// How long it usually takes until such an object is gone.
    pub fn usually_takes(self) -> Duration {
        Duration::from_secs(match self {
            Self::NodeClaims => 60,
            Self::Exposed | Self::Claims | Self::Workloads => 20,
            Self::Namespaces => 10,
            _ => 2,
        })
    }

    /// What is there.
    pub async fn find(self, kube: &Kube) -> Result<Vec<Sighted>, ProviderError> {
        let of = async |kinds: &[(&str, &str)]| {
            let mut found = Vec::new();
            for (api_version, kind) in kinds {
                found.extend(kube.list(api_version, kind, "").await?);
            }
            Ok::<_, ProviderError>(found)
        };
        let objects = match self {
            Self::Scalers => of(&[("keda.sh/v1alpha1", "ScaledObject"), ("keda.sh/v1alpha1", "ScaledJob")]).await?,
            Self::TriggerAuthentications => {
                of(&[
                    ("keda.sh/v1alpha1", "TriggerAuthentication"),
                    ("keda.sh/v1alpha1", "ClusterTriggerAuthentication"),
                    ("eventing.keda.sh/v1alpha1", "CloudEventSource"),
                ])
                .await?
            }
            Self::Exposed => {
                let mut exposed = of(&[("networking.k8s.io/v1", "Ingress"), ("v1", "Service")]).await?;
                exposed.retain(|object| object["kind"] == "Ingress" || object["spec"]["type"] == "LoadBalancer");
                exposed
            }
            Self::Bindings => of(&[("elbv2.k8s.aws/v1beta1", "TargetGroupBinding")]).await?,
            Self::Claims => of(&[("v1", "PersistentVolumeClaim")]).await?,
            Self::Budgets => {
                let mut budgets = of(&[("policy/v1", "PodDisruptionBudget")]).await?;
                // The cluster's own come back, and hold up none of Karpenter's nodes for long.
                budgets.retain(|object| text(&object["metadata"]["namespace"]) != "kube-system");
                budgets
            }
            Self::NodePools => of(&[("karpenter.sh/v1", "NodePool")]).await?,
            Self::NodeClaims => of(&[("karpenter.sh/v1", "NodeClaim")]).await?,
            Self::NodeClasses => of(&[("karpenter.k8s.aws/v1", "EC2NodeClass")]).await?,
            Self::Webhooks => {
                let mut webhooks = of(&[
                    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
                    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
                ])
                .await?;
                // EKS puts its own back as long as there is a cluster.
                webhooks.retain(is_released);
                webhooks
            }
            Self::Definitions => {
                let mut definitions = of(&[("apiextensions.k8s.io/v1", "CustomResourceDefinition")]).await?;
                definitions.retain(|object| is_released(object) || OURS.contains(&text(&object["spec"]["group"])));
                definitions
            }
            Self::Namespaces => {
                let mut namespaces = of(&[("v1", "Namespace")]).await?;
                namespaces.retain(|object| !GIVEN.contains(&text(&object["metadata"]["name"])));
                namespaces
            }
            Self::LooseWorkloads => loose(kube).await?,
            Self::Workloads => released(kube, |controllers| controllers.is_empty()).await?,
            Self::Controllers => {
                released(kube, |controllers| {
                    !controllers.is_empty() && !controllers.contains(KARPENTER)
                })
                .await?
            }
            Self::Karpenter => released(kube, |controllers| controllers.contains(KARPENTER)).await?,
        };
        Ok(objects.into_iter().map(Sighted::of).collect())
    }
}

impl Sighted {
    fn of(object: Value) -> Self {
        let metadata = &object["metadata"];
        let leaving = !metadata["deletionTimestamp"].is_null();
        let held = strings(&metadata["finalizers"]).chain(remaining(&object)).collect();
        Self {
            name: ObjectName::of(&object),
            held_by: leaving.then_some(held),
            object,
        }
    }

    /// Tells it to go.
    pub async fn remove(&self, kube: &Kube) -> Result<(), ProviderError> {
        if self.name.kind == "NodeClaim" && self.object["spec"]["terminationGracePeriod"].is_null() {
            let until = kube.clock.now() + DRAIN;
            let key = "karpenter.sh/nodeclaim-termination-timestamp";
            // A claim without a bound would drain for ever.
            let bound = serde_json::json!({"metadata": {"annotations": {key: format!("{until:.0}")}}});
            if self.object["metadata"]["annotations"][key].is_null() {
                kube.merge(&self.name, &bound).await?;
            }
        }
        kube.delete(&self.name).await.map(drop)
    }

    /// Takes finalizers off: those whose controller is gone, or all of them. Gives those that it took.
    pub async fn release(&self, kube: &Kube, strip: Strip) -> Result<Vec<String>, ProviderError> {
        let finalizers: Vec<&str> = strings_of(&self.object["metadata"]["finalizers"]);
        let mut kept = Vec::new();
        let mut taken = Vec::new();
        for finalizer in finalizers {
            if strip == Strip::All || is_orphan(kube, finalizer).await? {
                taken.push(finalizer.to_owned());
            } else {
                kept.push(finalizer);
            }
        }
        if !taken.is_empty() {
            kube.merge(&self.name, &serde_json::json!({"metadata": {"finalizers": kept}}))
                .await?;
        }
        Ok(taken)
    }
}

/// Which finalizers may be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// Those whose controller has no Deployment any more.
    Orphans,
    /// All.
    All,
}

/// Whether the controller that should take a finalizer off is provably gone.
async fn is_orphan(kube: &Kube, finalizer: &str) -> Result<bool, ProviderError> {
    let begins = |controller: &&Controller| controller.finalizers.iter().any(|begin| finalizer.starts_with(begin));
    let Some(controller) = CONTROLLERS.iter().find(begins) else {
        return Ok(false);
    };
    let selector = format!("{NAME}={}", controller.name);
    Ok(kube.list("apps/v1", "Deployment", &selector).await?.is_empty())
}

/// What a namespace says is still in it.
fn remaining(object: &Value) -> impl Iterator<Item = String> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let blocking = conditions.filter(|condition| condition["status"] == "True" && object["kind"] == "Namespace");
    blocking.filter_map(|condition| condition["message"].as_str().map(str::to_owned))
}

/// What runs, came with no release, and is not the cluster's own.
async fn loose(kube: &Kube) -> Result<Vec<Value>, ProviderError> {
    let kinds = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("batch/v1", "CronJob"),
        ("batch/v1", "Job"),
    ];
    let mut found = Vec::new();
    for (api_version, kind) in kinds {
        found.extend(kube.list(api_version, kind, "").await?);
    }
    found.retain(|object| {
        let metadata = &object["metadata"];
        let owned = metadata["ownerReferences"]
            .as_array()
            .is_some_and(|owners| !owners.is_empty());
        let is_own = text(&metadata["namespace"]) == "kube-system";
        !is_own && !owned && !is_released(object) && controller_of(object).is_none()
    });
    Ok(found)
}

/// Whether Helm marked it as a release's.
fn is_released(object: &Value) -> bool {
    !object["metadata"]["annotations"][RELEASE].is_null()
}

/// The controller that an object is the Deployment of.
fn controller_of(object: &Value) -> Option<&'static str> {
    let name = text(&object["metadata"]["labels"][NAME]);
    let mut known = CONTROLLERS.iter().map(|controller| controller.name);
    known.find(|known| object["kind"] == "Deployment" && *known == name)
}

/// A release as its record has it.
#[derive(Default)]
struct Release {
    /// Its objects, by what they are called.
    objects: BTreeSet<ObjectName>,
    /// The controllers among them.
    controllers: BTreeSet<&'static str>,
    /// Its records.
    records: Vec<Value>,
}

/// The objects that are there of the releases whose controllers fit; when a release has none any more, its records.
async fn released(kube: &Kube, fits: impl Fn(&BTreeSet<&'static str>) -> bool) -> Result<Vec<Value>, ProviderError> {
    let records = kube.list("v1", "Secret", "owner=helm").await?;
    let releases = releases(records)?;
    let mut listed: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let mut found = Vec::new();
    for release in releases.into_values().filter(|release| fits(&release.controllers)) {
        let mut left = Vec::new();
        for name in &release.objects {
            let kind = (name.api_version.clone(), name.kind.clone());
            if !listed.contains_key(&kind) {
                let all = kube.list(&name.api_version, &name.kind, "").await?;
                listed.insert(kind.clone(), all);
            }
            left.extend(listed[&kind].iter().find(|object| is(object, name)).cloned());
        }
        found.extend(if left.is_empty() { release.records } else { left });
    }
    Ok(found)
}

fn is(object: &Value, name: &ObjectName) -> bool {
    let found = ObjectName::of(object);
    // A cluster-wide object is listed without a namespace, whatever its release says.
    found.name == name.name && (found.namespace.is_empty() || found.namespace == name.namespace)
}

/// Releases by namespace and name, from all their records: what any revision had goes.
fn releases(records: Vec<Value>) -> Result<BTreeMap<(String, String), Release>, ProviderError> {
    let mut releases: BTreeMap<(String, String), Release> = BTreeMap::new();
    for secret in records {
        if secret["type"] != "helm.sh/release.v1" {
            continue;
        }
        let what = || format!("reading release record {}", ObjectName::of(&secret));
        let record = Record::from_secret(&secret).map_err(|error| ProviderError::found(what(), error.to_string()))?;
        let objects = tubectl_yaml::parse_all(&record.manifest)
            .map_err(|error| ProviderError::found(what(), error.to_string()))?;
        let key = (record.namespace.clone(), record.name.clone());
        let release = releases.entry(key).or_default();
        for object in objects.into_iter().map(Value::from) {
            let mut name = ObjectName::of(&object);
            if name.name.is_empty() {
                continue;
            }
            release.controllers.extend(controller_of(&object));
            if LATER.contains(&name.kind.as_str()) {
                continue;
            }
            if name.namespace.is_empty() {
                name.namespace.clone_from(&record.namespace);
            }
            release.objects.insert(name);
        }
        release.records.push(secret);
    }
    Ok(releases)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn strings_of(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn strings(value: &Value) -> impl Iterator<Item = String> {
    strings_of(value).into_iter().map(str::to_owned)
}
