//! What goes wrong on purpose: named faults that a rehearsal or a test scripts.
//!
//! A fault decides nothing about resources; it refuses a call, loses an answer, or tells an actor what it finds.

use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;

/// One scripted fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Calls that fit go wrong, a number of times.
    Call {
        /// The service, as in the signature's scope; none is every service.
        service: Option<String>,
        /// The operation; none is every operation.
        operation: Option<String>,
        /// What goes wrong.
        trouble: Trouble,
        /// How often still; none is always.
        times: Option<u32>,
    },
    /// No capacity for instance types that begin with this.
    NoCapacity(String),
    /// What is made ends as failed, a number of times: a `node-group` or a `nat-gateway`.
    CreateFailed {
        /// What.
        kind: String,
        /// How often still; none is always.
        times: Option<u32>,
    },
    /// Objects whose keys begin with this are not deleted.
    ObjectLocked(String),
    /// A Spot instance is taken back this long after the first of them runs.
    SpotInterruption(Duration),
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The caller is told to slow down; nothing happened.
    Throttle,
    /// The caller has no right to it; nothing happened.
    Denied,
    /// The service fails; nothing happened.
    Error500,
    /// The call takes effect, and its answer is lost.
    Lost,
}

/// A fault's text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault: write `service/Operation:trouble*times` with the trouble `throttle`, `denied`, `error500` or \
     `lost` (`*:throttle*2` for every call), `no-capacity:g5`, `create-failed:node-group*1`, `create-failed:nat-gateway*1`, \
     `object-locked:prefix` or `spot-interruption@12m`"
)]
pub struct BadFault(String);

/// The faults that are set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// What happens to this call, counting it.
    pub(crate) fn strike(&mut self, called: &str, name: &str) -> Option<Trouble> {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.0.iter_mut().find_map(|fault| match fault {
            Fault::Call {
                service,
                operation,
                trouble,
                times,
            } if *times != Some(0) && fits(service, called) && fits(operation, name) => {
                if let Some(times) = times {
                    *times -= 1;
                }
                Some(*trouble)
            }
            _ => None,
        })
    }

    /// Whether there is none of this instance type to be had.
    pub(crate) fn no_capacity(&self, instance_type: &str) -> bool {
        let fits = |fault: &Fault| matches!(fault, Fault::NoCapacity(prefix) if instance_type.starts_with(prefix));
        self.0.iter().any(fits)
    }

    /// Whether the next thing of this kind that is made fails, counting it.
    pub(crate) fn fails(&mut self, made: &str) -> bool {
        self.0.iter_mut().any(|fault| match fault {
            Fault::CreateFailed { kind, times } if kind == made && *times != Some(0) => {
                if let Some(times) = times {
                    *times -= 1;
                }
                true
            }
            _ => false,
        })
    }

    /// How the keys begin of objects that are not deleted.
    pub(crate) fn locked(&self) -> Vec<String> {
        let prefix = |fault: &Fault| match fault {
            Fault::ObjectLocked(prefix) => Some(prefix.clone()),
            _ => None,
        };
        self.0.iter().filter_map(prefix).collect()
    }

    /// How long a Spot instance runs before the next Spot interruption hits it.
    pub(crate) fn spot_interruption(&self) -> Option<Duration> {
        let after = |fault: &Fault| match fault {
            Fault::SpotInterruption(after) => Some(*after),
            _ => None,
        };
        self.0.iter().filter_map(after).min()
    }

    /// Takes the Spot interruption that comes `after` a time: each hits one instance.
    pub(crate) fn take_spot_interruption(&mut self, after: Duration) {
        let wanted = |fault: &Fault| *fault == Fault::SpotInterruption(after);
        if let Some(index) = self.0.iter().position(wanted) {
            self.0.remove(index);
        }
    }
}

impl Trouble {
    /// The refusal that a caller sees.
    pub(crate) fn refusal(self, service: &str) -> Refusal {
        match self {
            Self::Throttle => throttled(service),
            Self::Denied => denied(service),
            Self::Error500 | Self::Lost => Refusal::with_status(
                StatusCode::INTERNAL_SERVER_ERROR,
                internal(service),
                "An internal error has occurred",
            ),
        }
    }
}

/// How a service says that the caller has no right.
fn denied(service: &str) -> Refusal {
    let code = match service {
        "ec2" => "UnauthorizedOperation",
        "iam" | "sts" | "elasticloadbalancing" | "s3" => "AccessDenied",
        _ => "AccessDeniedException",
    };
    let message = "You are not authorized to perform this operation.";
    Refusal::with_status(StatusCode::FORBIDDEN, code, message)
}

/// How a service says that it is asked too often.
pub(crate) fn throttled(service: &str) -> Refusal {
    match service {
        "ec2" => Refusal::with_status(
            StatusCode::SERVICE_UNAVAILABLE,
            "RequestLimitExceeded",
            "Request limit exceeded.",
        ),
        "s3" => Refusal::with_status(
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            "Please reduce your request rate.",
        ),
        "iam" | "sts" | "elasticloadbalancing" => Refusal::new("Throttling", "Rate exceeded"),
        _ => Refusal::new("ThrottlingException", "Rate exceeded"),
    }
}

fn internal(service: &str) -> &'static str {
    match service {
        "ec2" | "s3" => "InternalError",
        "eks" => "ServerException",
        _ => "InternalFailure",
    }
}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        read(text).ok_or_else(|| BadFault(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Fault> {
    if let Some(after) = text.strip_prefix("spot-interruption@") {
        return after
            .parse()
            .ok()
            .map(|after: jiff::SignedDuration| Fault::SpotInterruption(after.unsigned_abs()));
    }
    let (place, what) = text.split_once(':')?;
    if place == "no-capacity" {
        return (!what.is_empty()).then(|| Fault::NoCapacity(what.to_owned()));
    }
    if place == "object-locked" {
        return Some(Fault::ObjectLocked(what.to_owned()));
    }
    let (what, times) = match what.split_once('*') {
        Some((what, times)) => (what, Some(times.parse().ok()?)),
        None => (what, None),
    };
    if place == "create-failed" {
        let kind = ["node-group", "nat-gateway"].into_iter().find(|kind| *kind == what)?;
        return Some(Fault::CreateFailed {
            kind: kind.to_owned(),
            times,
        });
    }
    let trouble = match what {
        "throttle" => Trouble::Throttle,
        "denied" => Trouble::Denied,
        "error500" => Trouble::Error500,
        "lost" => Trouble::Lost,
        _ => return None,
    };
    let (service, operation) = place.split_once('/').unwrap_or((place, "*"));
    let any = |name: &str| (name != "*").then(|| name.to_owned());
    (!service.is_empty() && !operation.is_empty()).then(|| Fault::Call {
        service: any(service),
        operation: any(operation),
        trouble,
        times,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: impl Into<Option<Fault>>) {
        assert_eq!(text.parse::<Fault>().ok(), expected.into(), "{text}");
    }

    #[test]
    fn faults_are_read_from_text() {
        let call = |service: Option<&str>, operation: Option<&str>, trouble, times| {
            Some(Fault::Call {
                service: service.map(str::to_owned),
                operation: operation.map(str::to_owned),
                trouble,
                times,
            })
        };
        check(
            "eks/CreateCluster:throttle*3",
            call(Some("eks"), Some("CreateCluster"), Trouble::Throttle, Some(3)),
        );
        check("*:throttle*2", call(None, None, Trouble::Throttle, Some(2)));
        check("ec2/*:denied", call(Some("ec2"), None, Trouble::Denied, None));
        check("iam:error500*1", call(Some("iam"), None, Trouble::Error500, Some(1)));
        check("no-capacity:g5", Some(Fault::NoCapacity("g5".to_owned())));
        check(
            "spot-interruption@12m",
            Some(Fault::SpotInterruption(Duration::from_mins(12))),
        );
        check(
            "create-failed:node-group*1",
            Some(Fault::CreateFailed {
                kind: "node-group".to_owned(),
                times: Some(1),
            }),
        );
        check(
            "object-locked:questions/",
            Some(Fault::ObjectLocked("questions/".to_owned())),
        );
        for bad in [
            "",
            "create-failed:vpc",
            "eks",
            "eks/CreateCluster:explode",
            "x:throttle*many",
            "/x:denied",
            "no-capacity:",
            "spot-interruption@soon",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_counted_fault_ends() {
        let mut faults = Faults::default();
        faults.add("ec2/CreateVpc:throttle*2".parse().unwrap());
        let strikes: Vec<_> = (0..3).map(|_| faults.strike("ec2", "CreateVpc")).collect();
        assert_eq!(strikes, [Some(Trouble::Throttle), Some(Trouble::Throttle), None]);
        assert_eq!(faults.strike("ec2", "CreateSubnet"), None);
    }
}
