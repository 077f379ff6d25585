//! AWS through its SDKs. Each kind is one file: it finds all that the stack owns of its kind in a few batched calls,
//! and makes or changes one so that it is as desired.
//!
//! `ensure` may run again after any failure: it finds what an earlier attempt made. Nothing here waits for a resource
//! to become usable but [`Aws::perform`].

pub mod codes;
pub mod leftovers;
pub mod s3_storage;
pub mod tags;

mod address;
mod bucket;
mod change;
mod ec2;
mod eks;
pub mod iam;
mod image;
mod instances;
mod key;
mod launch_template;
mod log_group;
mod network;
mod queue;
mod remove;
mod repository;
mod rule;
mod security_group;
mod vpc;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tubectl_clock::Clock;

use crate::apply::wait::Patience;
use crate::apply::wait::WaitError;
use crate::apply::wait::until_ready;
use crate::apply::walk::Ready;
use crate::plan::Action;
use crate::provider::aws::tags::Owner;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::desired::Desired;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;

/// How long to go on after errors that pass by themselves: what IAM and EC2 take to agree, generously.
const CONVERGES_WITHIN: Duration = Duration::from_secs(180);

/// For how long what was made just now may be missing from an answer: EC2 and IAM agree within two seconds or so.
pub const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// How many questions about the resources of one kind are under way at once: more would only be throttled.
const QUESTIONS: usize = 8;

/// How long to pause before asking again after such an error.
const CONVERGENCE_PAUSE: Duration = Duration::from_secs(2);

/// The account, as one stack instance works in it.
#[derive(Clone)]
pub struct Aws {
    /// The stack instance.
    pub owner: Owner,
    /// Where it stands.
    pub place: Place,
    pub(crate) clock: Clock,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(crate) events: aws_sdk_eventbridge::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

/// An account and a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account's twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// ARN of whoever calls.
    pub caller: String,
    /// The region's first zones that need no opt-in, in order of name.
    pub zones: Vec<String>,
}

/// Which resources of a kind are looked at, where each costs calls of its own.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// All of the owner's.
    All,
    /// The one with this name.
    Named(&'a str),
}

impl Scope<'_> {
    fn covers(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => named == name,
        }
    }
}

/// What a resource gives to others.
pub(crate) type Given = BTreeMap<String, String>;

impl Place {
    /// The part of AWS that the account is in, as ARNs name it.
    pub fn partition(&self) -> &str {
        self.caller.split(':').nth(1).unwrap_or("aws")
    }

    /// Asks who calls and which zones there are.
    pub async fn ask(config: &SdkConfig) -> Result<Self, ProviderError> {
        let identity = aws_sdk_sts::Client::new(config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| codes::error("sts GetCallerIdentity", error))?;
        let zones = aws_sdk_ec2::Client::new(config)
            .describe_availability_zones()
            .send()
            .await
            .map_err(|error| codes::error("ec2 DescribeAvailabilityZones", error))?;
        let mut zones: Vec<String> = zones
            .availability_zones()
            .iter()
            .filter(|zone| {
                zone.opt_in_status() == Some(&aws_sdk_ec2::types::AvailabilityZoneOptInStatus::OptInNotRequired)
            })
            .filter_map(|zone| zone.zone_name().map(str::to_owned))
            .collect();
        zones.sort();
        let region = config.region().map(ToString::to_string);
        let (Some(account), Some(caller), Some(region)) = (identity.account(), identity.arn(), region) else {
            let words = "an account, a caller or a region is missing, and names are made of them";
            return Err(ProviderError::found("asking where we are", words));
        };
        Ok(Self {
            account: account.to_owned(),
            region,
            caller: caller.to_owned(),
            zones,
        })
    }
}

impl Aws {
    /// The account through clients of this configuration.
    pub fn new(config: &SdkConfig, place: Place, owner: Owner, clock: Clock) -> Self {
        Self {
            owner,
            place,
            clock,
            ec2: aws_sdk_ec2::Client::new(config),
            ecr: aws_sdk_ecr::Client::new(config),
            eks: aws_sdk_eks::Client::new(config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(config),
            events: aws_sdk_eventbridge::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            kms: aws_sdk_kms::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            s3: aws_sdk_s3::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
        }
    }

    /// Everything that the stack instance owns, found by its tags.
    pub async fn observe(&self) -> Result<Vec<Observed>, ProviderError> {
        let found =
            futures::future::try_join_all(Kind::ALL.map(|kind| Box::pin(self.observe_kind(kind, Scope::All)))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Does one step and waits until the resource is usable; gives what it gives to others.
    pub async fn perform(&self, ready: &Ready, mut told: impl FnMut(&str)) -> Result<Given, ProviderError> {
        let desired = &ready.step.desired;
        match ready.step.action {
            Action::Create | Action::Replace { .. } => {
                self.clear(ready, &mut told).await?;
                self.converge(ready, None).await?;
            }
            Action::Update { .. } => {
                // EKS takes no changes of what it still makes.
                if matches!(desired.kind, Kind::Cluster | Kind::NodeGroup) {
                    self.wait(desired, true, &mut told).await?;
                }
                self.converge(ready, ready.known.get(&desired.id).cloned()).await?;
            }
            // It was asked for, and with everything that it should have.
            Action::Await | Action::Nothing => {}
        }
        // Before there are nodes, some add-ons cannot become active, and nobody needs to wait for them.
        let waits = ready.spec["wait"] != serde_json::Value::Bool(false);
        let given = self.wait(desired, waits, told).await?;
        if desired.kind == Kind::Cluster {
            eks::finish_cluster(self, ready, &given).await?;
        }
        Ok(given)
    }

    /// Takes away what stands in the place of a resource that is to be made: what failed, and what is going already.
    async fn clear(&self, ready: &Ready, mut told: impl FnMut(&str)) -> Result<(), ProviderError> {
        let desired = &ready.step.desired;
        if !ready.known.contains_key(&desired.id) {
            return Ok(());
        }
        for found in self.observe_kind(desired.kind, Scope::Named(&desired.name)).await? {
            let is_over = matches!(found.readiness, Readiness::Failed(_) | Readiness::Leaving);
            if found.id == desired.id && is_over {
                self.remove(&found, &mut told).await?;
            }
        }
        Ok(())
    }

    /// Makes or changes a resource, through errors that pass by themselves.
    async fn converge(&self, ready: &Ready, mut existing: Option<Given>) -> Result<(), ProviderError> {
        let begun = self.clock.now();
        loop {
            match Box::pin(self.ensure(ready, existing.as_ref())).await {
                Err(error) if error.class.passes() && self.clock.since(begun) < CONVERGES_WITHIN => {
                    existing = self.look_after(&error, &ready.step.desired).await?;
                }
                // Ours when an answer got lost: then it is seen by its tags, in a moment at the latest.
                Err(error) if error.class == Class::Exists && existing.is_none() => {
                    let must_be_seen = self.clock.since(begun) >= SEEN_WITHIN;
                    existing = self.look(&ready.step.desired).await?.map(|observed| observed.outputs);
                    if existing.is_none() && must_be_seen {
                        return Err(error);
                    }
                    self.clock.sleep(CONVERGENCE_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// What is there after an error. Where something may have been made, by a call without an answer or before one that
    /// did not see it yet, it is looked for until it must be in sight: to ask for it again before would make it twice.
    async fn look_after(&self, error: &ProviderError, desired: &Desired) -> Result<Option<Given>, ProviderError> {
        let begun = self.clock.now();
        loop {
            self.clock.sleep(CONVERGENCE_PAUSE).await;
            let may_come = matches!(error.class, Class::Unanswered | Class::NotFound);
            // When the question is asked counts: an answer may be long on its way.
            let may_come = may_come && self.clock.since(begun) < SEEN_WITHIN;
            let found = self.look(desired).await?.map(|observed| observed.outputs);
            if found.is_some() || !may_come {
                return Ok(found);
            }
        }
    }

    async fn wait(&self, desired: &Desired, waits: bool, told: impl FnMut(&str)) -> Result<Given, ProviderError> {
        let mut given = Given::new();
        let ask = async || {
            let Some(observed) = self.look(desired).await? else {
                return Ok::<_, ProviderError>(Readiness::Waiting("not visible yet".to_owned()));
            };
            given = observed.outputs;
            match observed.readiness {
                Readiness::Waiting(_) if !waits => Ok(Readiness::Ready),
                readiness => Ok(readiness),
            }
        };
        let patience = Patience {
            expected: desired.kind.usual_duration(),
            deadline: desired.kind.deadline(),
        };
        match until_ready(self.clock, patience, ask, told).await {
            Ok(()) => Ok(given),
            Err(WaitError::Asking(error)) => Err(error),
            Err(error) => Err(ProviderError::found(
                format!("waiting for `{}`", desired.id),
                error.to_string(),
            )),
        }
    }

    /// The fields of the step's resource as they are.
    async fn current<T: DeserializeOwned>(&self, ready: &Ready) -> Result<T, ProviderError> {
        let desired = &ready.step.desired;
        let what = || format!("looking at `{}`", desired.id);
        let found = self.look(desired).await?;
        let found = found.ok_or_else(|| ProviderError::found(what(), "it is gone"))?;
        serde_json::from_value(found.spec).map_err(|error| ProviderError::found(what(), error.to_string()))
    }

    /// One resource as it is; none when there is none.
    async fn look(&self, desired: &Desired) -> Result<Option<Observed>, ProviderError> {
        let found = Box::pin(self.observe_kind(desired.kind, Scope::Named(&desired.name))).await?;
        Ok(found
            .into_iter()
            .find(|observed| observed.id == desired.id && observed.readiness != Readiness::Leaving))
    }

    async fn observe_kind(&self, kind: Kind, scope: Scope<'_>) -> Result<Vec<Observed>, ProviderError> {
        match kind {
            Kind::Vpc => vpc::observe(self).await,
            Kind::Subnet => network::observe_subnets(self).await,
            Kind::InternetGateway => network::observe_internet_gateways(self).await,
            Kind::ElasticIp => address::observe(self).await,
            Kind::NatGateway => network::observe_nat_gateways(self).await,
            Kind::RouteTable => network::observe_route_tables(self).await,
            Kind::SecurityGroup => security_group::observe(self).await,
            Kind::LaunchTemplate => launch_template::observe(self).await,
            Kind::Key => key::observe(self).await,
            Kind::LogGroup => log_group::observe(self, scope).await,
            Kind::Queue => queue::observe(self, scope).await,
            Kind::Rule => rule::observe(self, scope).await,
            Kind::Repository => repository::observe(self, scope).await,
            Kind::Bucket => bucket::observe(self, scope).await,
            Kind::Role => iam::observe_roles(self, scope).await,
            Kind::Policy => iam::observe_policies(self, scope).await,
            Kind::Cluster => eks::observe_cluster(self).await,
            Kind::AccessEntry => eks::observe_access_entries(self).await,
            Kind::PodIdentity => eks::observe_pod_identities(self).await,
            Kind::Addon => eks::observe_addons(self, scope).await,
            Kind::NodeGroup => eks::observe_node_groups(self, scope).await,
            Kind::Image | Kind::ReleaseBegin | Kind::Object | Kind::ReleaseEnd => Ok(Vec::new()),
        }
    }

    async fn ensure(&self, ready: &Ready, existing: Option<&Given>) -> Result<(), ProviderError> {
        match ready.step.desired.kind {
            Kind::Vpc => vpc::ensure(self, ready, existing).await,
            Kind::Subnet => network::ensure_subnet(self, ready, existing).await,
            Kind::InternetGateway => network::ensure_internet_gateway(self, ready, existing).await,
            Kind::ElasticIp => address::ensure(self, ready, existing).await,
            Kind::NatGateway => network::ensure_nat_gateway(self, ready, existing).await,
            Kind::RouteTable => network::ensure_route_table(self, ready, existing).await,
            Kind::SecurityGroup => security_group::ensure(self, ready, existing).await,
            Kind::LaunchTemplate => launch_template::ensure(self, ready, existing).await,
            Kind::Key => key::ensure(self, ready, existing).await,
            Kind::LogGroup => log_group::ensure(self, ready, existing).await,
            Kind::Queue => queue::ensure(self, ready, existing).await,
            Kind::Rule => rule::ensure(self, ready, existing).await,
            Kind::Repository => repository::ensure(self, ready, existing).await,
            Kind::Bucket => bucket::ensure(self, ready, existing).await,
            Kind::Role => iam::ensure_role(self, ready, existing).await,
            Kind::Policy => iam::ensure_policy(self, ready, existing).await,
            Kind::Cluster => eks::ensure_cluster(self, ready, existing).await,
            Kind::AccessEntry => eks::ensure_access_entry(self, ready, existing).await,
            Kind::PodIdentity => eks::ensure_pod_identity(self, ready, existing).await,
            Kind::Addon => eks::ensure_addon(self, ready, existing).await,
            Kind::NodeGroup => eks::ensure_node_group(self, ready, existing).await,
            Kind::Image | Kind::ReleaseBegin | Kind::Object | Kind::ReleaseEnd => Err(ProviderError::found(
                format!("making `{}`", ready.step.desired.id),
                "not an AWS kind",
            )),
        }
    }
}

/// Whether the step changes what is there. A resource that is found after its making got no answer is as it should be.
fn is_change(ready: &Ready) -> bool {
    matches!(ready.step.action, Action::Update { .. })
}

/// Asks about each, several at once, and gives those that are ours, in the same order.
async fn asked<T, F>(each: impl IntoIterator<Item = T>, about: impl Fn(T) -> F) -> Result<Vec<Observed>, ProviderError>
where
    F: Future<Output = Result<Option<Observed>, ProviderError>>,
{
    let questions: Vec<F> = each.into_iter().map(about).collect();
    let answers: Vec<Option<Observed>> = stream::iter(questions).buffered(QUESTIONS).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// The fields of a step, in the kind's own form.
fn fields<T: DeserializeOwned>(ready: &Ready) -> Result<T, ProviderError> {
    serde_json::from_value(ready.spec.clone()).map_err(|error| {
        ProviderError::found(
            format!("reading the fields of `{}`", ready.step.desired.id),
            error.to_string(),
        )
    })
}

/// A resource as it was found.
fn found(id: ResourceId, kind: Kind, spec: &impl Serialize, outputs: Given, readiness: Readiness) -> Observed {
    let spec = serde_json::to_value(spec).expect("specifications are plain data");
    Observed {
        id,
        kind,
        spec,
        outputs,
        readiness,
    }
}
