//! One AWS account: its services at the wire, one file a service, and the reference graph between their resources.
//!
//! Stricter than AWS: an unknown operation or parameter is refused. Services tell each other nothing; they read and
//! change the one [`Account`], so that "is this security group still used" has one answer.
//!
//! To add a service: a file in the folder of its protocol with its part of the account (a field of [`Region`] or
//! [`Account`]), its `inventory` and a `handle`; a line in [`SERVICES`] that says how its operation is read and how its
//! refusals are written; if time changes it, a line in [`advance`] and one in [`Account::next_wake`]. A call is counted,
//! throttled and struck by faults before its service sees it.

mod scope;

mod faults;
mod mutations;
mod throttle;

mod page;
mod tags;
mod xml;

pub(crate) mod ec2;
pub(crate) mod json;
pub(crate) mod query;
pub(crate) mod rest;

#[cfg(test)]
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

pub use crate::aws::faults::BadFault;
pub use crate::aws::faults::Fault;
pub use crate::aws::faults::Trouble;
pub use crate::aws::mutations::Mutation;
pub(crate) use crate::aws::scope::Scope;
pub(crate) use crate::aws::tags::Tags;

use crate::arrivals::Arrivals;
use crate::aws::faults::Faults;
use crate::aws::throttle::Buckets;
use crate::core::Request;
use crate::core::Response;
use crate::kube::Cluster;
use crate::random::Random;

/// Everything in the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Its twelve digits.
    pub(crate) id: String,
    pub(crate) iam: query::iam::Iam,
    pub(crate) s3: rest::s3::S3,
    /// What exists once for each region.
    pub(crate) regions: BTreeMap<String, Region>,
    /// Who holds an access key; a key that is not here is the operator's.
    pub(crate) keys: BTreeMap<String, Caller>,
    pub(crate) faults: Faults,
    // A diary for whoever looks on: the world does not depend on it, so it is not stored.
    #[serde(skip)]
    pub(crate) mutations: Vec<Mutation>,
    #[serde(default)]
    pub(crate) arrivals: Arrivals,
    buckets: Buckets,
    // How many calls came: each call's id is drawn from its number, so that reads do not disturb other chance.
    calls: u64,
}

/// What exists once for each region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Region {
    pub(crate) ec2: ec2::Ec2,
    pub(crate) ecr: json::ecr::Ecr,
    pub(crate) eks: rest::eks::Eks,
    pub(crate) elb: query::elb::Elb,
    pub(crate) events: json::events::Events,
    pub(crate) kms: json::kms::Kms,
    pub(crate) logs: json::logs::Logs,
    pub(crate) sqs: json::sqs::Sqs,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// Its ARN: a user's, or an assumed role's.
    pub(crate) arn: String,
    /// Its unique id.
    pub(crate) id: String,
}

/// One service: how its calls are read and its refusals written.
struct Service {
    /// Its name in the signature's scope.
    name: &'static str,
    operation: fn(&Request) -> Option<String>,
    handle: fn(&mut Scene<'_>, &Call<'_>) -> Result<Response, Refusal>,
    refuse: fn(&Refusal, &Call<'_>) -> Response,
}

/// The services that there are.
#[rustfmt::skip]
const SERVICES: &[Service] = &[
    Service { name: "ec2", operation: query::operation_of, handle: ec2::handle, refuse: ec2::refuse },
    Service { name: "ecr", operation: json::operation_of, handle: json::ecr::handle, refuse: json::refuse },
    Service { name: "eks", operation: |request| Some(rest::eks::operation_of(request)), handle: rest::eks::handle, refuse: rest::refuse_json },
    Service { name: "elasticloadbalancing", operation: query::operation_of, handle: query::elb::handle, refuse: query::refuse },
    Service { name: "events", operation: json::operation_of, handle: json::events::handle, refuse: json::refuse },
    Service { name: "iam", operation: query::operation_of, handle: query::iam::handle, refuse: query::refuse },
    Service { name: "kms", operation: json::operation_of, handle: json::kms::handle, refuse: json::refuse },
    Service { name: "logs", operation: json::operation_of, handle: json::logs::handle, refuse: json::refuse },
    Service { name: "s3", operation: |request| Some(rest::s3::operation_of(request)), handle: rest::s3::handle, refuse: rest::refuse_xml },
    Service { name: "sqs", operation: json::operation_of, handle: json::sqs::handle, refuse: json::sqs::refuse },
    Service { name: "sts", operation: query::operation_of, handle: query::sts::handle, refuse: query::refuse },
];

/// What a call may touch.
pub(crate) struct Scene<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut Random,
    pub(crate) account: &'a mut Account,
    pub(crate) clusters: &'a mut BTreeMap<String, Cluster>,
}

/// One region of the account at one moment: what an operation or an actor works on.
pub(crate) struct Site<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut Random,
    pub(crate) account: &'a mut Account,
    pub(crate) region: &'a str,
}

impl Scene<'_> {
    /// One region of the account.
    pub(crate) fn site<'a>(&'a mut self, region: &'a str) -> Site<'a> {
        Site {
            now: self.now,
            random: self.random,
            account: self.account,
            region,
        }
    }
}

impl Site<'_> {
    /// The region's part of EC2.
    pub(crate) fn ec2(&mut self) -> &mut ec2::Ec2 {
        &mut self.account.region(self.region).ec2
    }

    /// The region's part of load balancing.
    pub(crate) fn elb(&mut self) -> &mut query::elb::Elb {
        &mut self.account.region(self.region).elb
    }

    /// The ARN of a regional resource.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account.id)
    }

    /// When something that takes between `low` and `high` seconds is done.
    pub(crate) fn in_seconds(&mut self, low: f64, likely: f64, high: f64) -> Timestamp {
        later(self.now, self.random.seconds(low, likely, high))
    }
}

/// One call: who asks which service for what.
pub(crate) struct Call<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) request: &'a Request,
    /// The operation; empty if the request names none.
    pub(crate) operation: String,
    /// The request id of the answer.
    pub(crate) id: String,
}

/// A refusal, before it takes the form that the service's protocol gives it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// The caller's mistake, or a state that does not allow the call.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, message)
    }

    /// A refusal with a status of its own.
    pub(crate) fn with_status(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The service has no such operation here.
    pub(crate) fn unknown_operation(call: &Call<'_>) -> Self {
        let message = format!(
            "the local world's {} has no operation `{}`",
            call.scope.service, call.operation
        );
        Self::new("UnknownOperationException", message)
    }
}

impl Account {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            iam: query::iam::Iam::default(),
            s3: rest::s3::S3::default(),
            regions: BTreeMap::new(),
            keys: BTreeMap::new(),
            faults: Faults::default(),
            mutations: Vec::new(),
            arrivals: Arrivals::default(),
            buckets: Buckets::default(),
            calls: 0,
        }
    }

    /// Who holds an access key.
    pub(crate) fn caller(&self, key: &str) -> Caller {
        self.keys.get(key).cloned().unwrap_or_else(|| Caller {
            arn: format!("arn:aws:iam::{}:user/operator", self.id),
            id: "AIDAQ3EGOPERATOR0001X".to_owned(),
        })
    }

    /// The ids of everything in the account by kind.
    pub(crate) fn inventory(&self) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        self.iam.inventory(&mut found);
        self.s3.inventory(&mut found);
        for region in self.regions.values() {
            region.ec2.inventory(&mut found);
            region.ecr.inventory(&mut found);
            region.eks.inventory(&mut found);
            region.elb.inventory(&mut found);
            region.events.inventory(&mut found);
            region.kms.inventory(&mut found);
            region.logs.inventory(&mut found);
            region.sqs.inventory(&mut found);
        }
        found
    }

    /// The region's part of the account; a region that nobody used yet is empty.
    pub(crate) fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_default()
    }

    /// When EC2 next says that it wants a Spot instance back.
    fn next_interruption(&self) -> Option<Timestamp> {
        let since = self.faults.spot_interruption()?;
        let regions = self.regions.values();
        regions
            .filter_map(|region| ec2::instances::next_interruption(&region.ec2, since))
            .min()
    }

    /// When something of the account next changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let due = |region: &Region| {
            [
                region.ec2.next_wake(),
                region.elb.next_wake(),
                region.eks.next_wake(),
                region.logs.next_wake(),
            ]
        };
        let changes = self.regions.values().flat_map(due).flatten();
        changes.chain(self.next_interruption()).min()
    }
}

/// Answers one signed call.
pub(crate) fn handle(mut scene: Scene<'_>, scope: &Scope, request: &Request) -> Response {
    scene.account.calls += 1;
    let service = SERVICES.iter().find(|service| service.name == scope.service);
    let call = Call {
        scope,
        request,
        operation: service
            .and_then(|service| (service.operation)(request))
            .unwrap_or_default(),
        id: Random::new(scene.account.calls).uuid(),
    };
    let Some(service) = service else {
        let message = format!("the local world has no service `{}`", scope.service);
        let refusal = Refusal::new("UnknownOperationException", message);
        let asked_by_form = query::operation_of(request).is_some();
        let refuse = if asked_by_form { query::refuse } else { json::refuse };
        return refuse(&refusal, &call);
    };
    let outcome = attempt(&mut scene, service, &call);
    if mutations::mutates(&call.operation) {
        let mutation = Mutation {
            at: scene.now,
            region: scope.region.clone(),
            service: scope.service.clone(),
            operation: call.operation.clone(),
            refused: outcome.as_ref().err().map(|refusal| refusal.code.clone()),
        };
        mutations::remember(&mut scene.account.mutations, mutation);
    }
    let mut response = outcome.unwrap_or_else(|refusal| (service.refuse)(&refusal, &call));
    let id = http::HeaderValue::from_str(&call.id).expect("a UUID is ASCII");
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}

/// Whether a signed call only reads. Receiving a message hides it from others, and so does not.
pub(crate) fn reads(request: &Request) -> bool {
    let service = Scope::of(request).and_then(|scope| SERVICES.iter().find(|service| service.name == scope.service));
    let operation = service.and_then(|service| (service.operation)(request));
    operation.is_some_and(|operation| !mutations::mutates(&operation) && !operation.starts_with("Receive"))
}

/// Lets faults and buckets have their say, then the service.
fn attempt(scene: &mut Scene<'_>, service: &Service, call: &Call<'_>) -> Result<Response, Refusal> {
    let trouble = scene.account.faults.strike(service.name, &call.operation);
    if let Some(trouble) = trouble.filter(|trouble| *trouble != Trouble::Lost) {
        return Err(trouble.refusal(service.name));
    }
    if mutations::mutates(&call.operation) && !scene.account.buckets.take(scene.now, &call.scope.region, service.name) {
        return Err(faults::throttled(service.name));
    }
    let response = (service.handle)(scene, call)?;
    match trouble {
        Some(trouble) => Err(trouble.refusal(service.name)),
        None => Ok(response),
    }
}

/// Lets the account act on what is due.
pub(crate) fn advance(mut scene: Scene<'_>) {
    let regions: Vec<String> = scene.account.regions.keys().cloned().collect();
    for region in regions {
        ec2::advance(&mut scene.site(&region));
        query::elb::advance(&mut scene.site(&region));
        rest::eks::advance(&mut scene, &region);
        json::logs::advance(&mut scene, &region);
    }
}

/// A time as AWS's XML writes it.
pub(crate) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `at` plus `wait`.
pub(crate) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| at.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::World;

    #[test]
    fn a_service_that_is_not_here_says_so_in_the_callers_protocol() {
        let mut world = World::new();
        let form = world.form("cloudformation", "Action=DescribeStacks&Version=2010-05-15");
        form.has("no service `cloudformation`");
        form.refused(400, "UnknownOperationException");
        let json = world.json("dynamodb", "ListTables", "{}");
        json.refused_json(400, "UnknownOperationException")
            .has("no service `dynamodb`");
    }
}
