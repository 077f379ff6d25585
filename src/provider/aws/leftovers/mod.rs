//! What a stack left in the account, whoever made it: found by exact ownership in the world, never from state and never
//! by a part of a name.
//!
//! Ours is what carries the stack's own tags; what lies in our VPC; and what a controller marked with the name of our
//! cluster, which no other cluster of the account and region has. Nothing here waits, and nothing decides an order.

pub(crate) mod balancers;
pub(crate) mod compute;
pub(crate) mod control;
pub(crate) mod identity;
pub(crate) mod network;
pub(crate) mod regional;

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use aws_sdk_ec2::types::Tag;

use crate::provider::aws::Aws;
use crate::provider::aws::codes;
use crate::provider::aws::ec2;
use crate::provider::aws::tags;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// What the API calls it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is to be done about it.
    pub standing: Standing,
}

/// What is to be done about a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there until somebody deletes it.
    There,
    /// It is going, or goes with something else; the text says what it waits for.
    Leaving(String),
    /// AWS deletes it on that day, and nothing can use it until then: it counts as gone.
    Scheduled(String),
}

/// By what a stack's things are known, captured while it can still be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The name of the stack's cluster, as controllers write it into tags; none when a cluster of that name stands and
    /// is somebody else's.
    pub cluster: Option<String>,
    /// Whether the cluster refuses to be deleted.
    pub protected: bool,
    /// The ids of the stack's VPCs.
    pub vpcs: Vec<String>,
}

impl Marks {
    /// Looks at what is there.
    pub async fn capture(aws: &Aws) -> Result<Self, ProviderError> {
        let name = &aws.owner.stack;
        let answer = aws.eks.describe_cluster().name(name).send().await;
        let answer = if_there(answer.map_err(|error| codes::error("eks DescribeCluster", error)))?;
        let cluster = answer.as_ref().and_then(|answer| answer.cluster());
        let ours = cluster.is_none_or(|cluster| {
            let tags = cluster.tags().into_iter().flatten();
            let tags = tags.map(|(key, value)| (key.clone(), value.clone())).collect();
            aws.owner.identify(&tags).is_some()
        });
        let mut pages = aws
            .ec2
            .describe_vpcs()
            .set_filters(Some(ec2::owned_by(&aws.owner)))
            .into_paginator()
            .items()
            .send();
        let mut vpcs = Vec::new();
        while let Some(vpc) = pages.next().await {
            let vpc = vpc.map_err(|error| codes::error("ec2 DescribeVpcs", error))?;
            vpcs.extend(vpc.vpc_id().map(str::to_owned));
        }
        Ok(Self {
            cluster: ours.then(|| name.clone()),
            protected: ours && cluster.and_then(|cluster| cluster.deletion_protection()) == Some(true),
            vpcs,
        })
    }

    /// A filter on the VPCs; none when there are none.
    fn in_vpcs(&self) -> Option<Vec<Filter>> {
        let filter = Filter::builder()
            .name("vpc-id")
            .set_values(Some(self.vpcs.clone()))
            .build();
        (!self.vpcs.is_empty()).then(|| vec![filter])
    }

    /// Filters on tags that name the cluster; none when the name is not ours.
    fn tagged(&self, tags: impl Fn(&str) -> Vec<Filter>) -> Option<Vec<Filter>> {
        self.cluster.as_deref().map(tags)
    }
}

/// The tag that says that a cluster owns a thing.
fn owned_by_cluster(cluster: &str) -> Filter {
    ec2::filter(&format!("tag:kubernetes.io/cluster/{cluster}"), "owned")
}

/// The stack's own tags, as the only condition.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands in lists beside conditions that may be missing"
)]
fn ours(aws: &Aws) -> Option<Vec<Filter>> {
    Some(ec2::owned_by(&aws.owner))
}

/// Things by id: what two questions both find is one thing.
#[derive(Default)]
struct Things(BTreeMap<String, Thing>);

impl Things {
    fn add(&mut self, id: Option<&str>, tags: &[Tag], standing: Standing) {
        let Some(id) = id else { return };
        let tags = ec2::from_sdk(tags);
        let called = tags.get(tags::ID).or_else(|| tags.get("Name"));
        let name = called.map_or_else(|| id.to_owned(), |called| format!("{id} ({called})"));
        let thing = Thing {
            id: id.to_owned(),
            name,
            standing,
        };
        self.0.insert(id.to_owned(), thing);
    }

    fn all(self) -> Vec<Thing> {
        self.0.into_values().collect()
    }
}

/// What is there; none when there is no such thing.
fn if_there<T>(answer: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.class == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
