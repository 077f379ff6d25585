//! Taking one thing away: by kind, what hangs on it first. What is gone already is as good as removed.

use crate::apply::wait::Patience;
use crate::apply::wait::until_ready;
use crate::provider::aws::Aws;
use crate::provider::aws::CONVERGENCE_PAUSE;
use crate::provider::aws::CONVERGES_WITHIN;
use crate::provider::aws::Scope;
use crate::provider::aws::address;
use crate::provider::aws::bucket;
use crate::provider::aws::eks;
use crate::provider::aws::iam;
use crate::provider::aws::key;
use crate::provider::aws::launch_template;
use crate::provider::aws::leftovers;
use crate::provider::aws::log_group;
use crate::provider::aws::network;
use crate::provider::aws::queue;
use crate::provider::aws::repository;
use crate::provider::aws::rule;
use crate::provider::aws::security_group;
use crate::provider::aws::vpc;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;

impl Aws {
    /// Takes away one resource, with all that hangs on it, and waits until it is gone.
    pub async fn remove(&self, observed: &Observed, told: impl FnMut(&str)) -> Result<(), ProviderError> {
        let begun = self.clock.now();
        while self.is_there(observed).await? {
            match Box::pin(self.delete(observed)).await {
                Ok(()) => break,
                Err(error) if error.class.passes() && self.clock.since(begun) < CONVERGES_WITHIN => {
                    self.clock.sleep(CONVERGENCE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        let ask = async || {
            Ok::<_, ProviderError>(if self.is_there(observed).await? {
                Readiness::Leaving
            } else {
                Readiness::Ready
            })
        };
        let patience = Patience {
            expected: observed.kind.usual_duration(),
            deadline: observed.kind.deadline(),
        };
        until_ready(self.clock, patience, ask, told)
            .await
            .map_err(|error| ProviderError::found(format!("waiting for `{}` to go", observed.id), error.to_string()))
    }

    /// Whether this very resource is still there: another one may have its place by now.
    async fn is_there(&self, observed: &Observed) -> Result<bool, ProviderError> {
        let found = Box::pin(self.observe_kind(observed.kind, Scope::All)).await?;
        Ok(found
            .iter()
            .any(|found| found.id == observed.id && found.outputs.get("id") == observed.outputs.get("id")))
    }

    async fn delete(&self, observed: &Observed) -> Result<(), ProviderError> {
        let given = |output: &str| {
            let value = observed.outputs.get(output).map(String::as_str);
            value.ok_or_else(|| {
                ProviderError::found(format!("removing `{}`", observed.id), format!("it has no `{output}`"))
            })
        };
        // What is known by its name only has it at the end of its ARN.
        let named = |part: &str| {
            let arn = given("arn")?;
            Ok::<_, ProviderError>(arn.split_once(part).map_or(arn, |(_, name)| name))
        };
        let deleted = match observed.kind {
            Kind::Vpc => vpc::delete(self, given("id")?).await,
            Kind::Subnet => network::delete_subnet(self, given("id")?).await,
            Kind::InternetGateway => network::delete_internet_gateway(self, given("id")?).await,
            Kind::ElasticIp => address::delete(self, given("id")?).await,
            Kind::NatGateway => network::delete_nat_gateway(self, given("id")?).await,
            Kind::RouteTable => leftovers::network::delete_route_table(self, given("id")?).await,
            Kind::SecurityGroup => security_group::delete(self, given("id")?).await,
            Kind::LaunchTemplate => launch_template::delete(self, given("id")?).await,
            Kind::Key => key::delete(self, given("id")?).await,
            Kind::LogGroup => log_group::delete(self, named(":log-group:")?).await,
            Kind::Queue => queue::delete(self, given("url")?).await,
            Kind::Rule => rule::delete(self, named("rule/")?).await,
            Kind::Repository => repository::delete(self, named("repository/")?).await,
            Kind::Bucket => bucket::delete(self, given("name")?).await,
            Kind::Role => iam::delete_role(self, given("name")?).await,
            Kind::Policy => iam::delete_policy(self, given("arn")?).await,
            Kind::Cluster => eks::delete_cluster(self, given("name")?).await,
            Kind::AccessEntry => {
                let principal = observed.spec["principal"].as_str().unwrap_or_default();
                leftovers::control::delete_access_entry(self, principal).await
            }
            Kind::PodIdentity => leftovers::control::delete_pod_identity(self, given("id")?).await,
            Kind::Addon => eks::delete_addon(self, named_addon(given("arn")?)).await,
            Kind::NodeGroup => eks::delete_node_group(self, given("name")?).await,
            Kind::Image | Kind::ReleaseBegin | Kind::Object | Kind::ReleaseEnd => Err(ProviderError::found(
                format!("removing `{}`", observed.id),
                "not an AWS kind",
            )),
        };
        match deleted {
            Err(error) if error.class == Class::NotFound && !self.is_there(observed).await? => Ok(()),
            other => other,
        }
    }
}

/// The add-on of an ARN such as `arn:aws:eks:eu-west-1:123456789012:addon/tube/vpc-cni/1ab2`.
fn named_addon(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}
