//! Sums: what machines and what stands around them cost an hour, and what a time of it costs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::cost::prices;
use crate::cost::prices::Capacity;
use crate::resource::desired::Desired;
use crate::resource::kind::Kind;

/// What something costs an hour, and how sure that is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Dollars an hour.
    pub hourly: f64,
    /// Whether a price in it was derived rather than looked up.
    pub estimated: bool,
    /// Instance types that the table does not have; they are not in the sum.
    pub unpriced: BTreeSet<String>,
}

/// What stands around the machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Control planes of EKS.
    pub control_planes: u32,
    /// NAT gateways.
    pub nat_gateways: u32,
    /// Load balancers.
    pub load_balancers: u32,
}

impl Fixed {
    /// What planned resources contain of it, and one load balancer for the audience if there is a cluster.
    pub fn of(desired: &[Desired]) -> Self {
        let count = |kind: Kind| {
            let found = desired.iter().filter(|desired| desired.kind == kind).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let control_planes = count(Kind::Cluster);
        Self {
            control_planes,
            nat_gateways: count(Kind::NatGateway),
            load_balancers: control_planes.min(1),
        }
    }

    fn hourly(self) -> f64 {
        f64::from(self.control_planes) * prices::CONTROL_PLANE
            + f64::from(self.nat_gateways) * (prices::NAT_GATEWAY + prices::PUBLIC_ADDRESS)
            + f64::from(self.load_balancers) * prices::LOAD_BALANCER
    }
}

impl Estimate {
    /// What a time of it costs.
    pub fn over(&self, time: Duration) -> f64 {
        self.hourly * time.as_secs_f64() / 3600.0
    }
}

/// What machines, by type and capacity, cost an hour in a region, with what stands around them.
pub fn per_hour<'a>(machines: impl IntoIterator<Item = (&'a str, Capacity)>, region: &str, fixed: Fixed) -> Estimate {
    let mut estimate = Estimate {
        hourly: fixed.hourly(),
        estimated: region != prices::REGION,
        unpriced: BTreeSet::new(),
    };
    for (instance_type, capacity) in machines {
        match prices::instance(instance_type, capacity, region) {
            Some(price) => {
                estimate.hourly += price.hourly;
                estimate.estimated |= price.estimated;
            }
            None => {
                estimate.unpriced.insert(instance_type.to_owned());
            }
        }
    }
    estimate
}

/// What a planned stack costs an hour before anything scales: its node groups and what stands around them.
pub fn planned(desired: &[Desired], region: &str) -> Estimate {
    let mut machines = Vec::new();
    for group in desired.iter().filter(|desired| desired.kind == Kind::NodeGroup) {
        // The first type that has capacity wins; usually that is the first.
        let instance_type = group.spec["types"][0].as_str().unwrap_or_default();
        let capacity = Capacity::of_label(group.spec["capacity"].as_str().unwrap_or_default());
        let count = group.spec["count"].as_u64().unwrap_or(0);
        machines.extend((0..count).map(|_| (instance_type, capacity)));
    }
    per_hour(machines, region, Fixed::of(desired))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Fixed = Fixed {
        control_planes: 1,
        nat_gateways: 1,
        load_balancers: 1,
    };

    #[test]
    fn half_an_hour_with_ten_gpus_costs_what_the_table_adds_up_to() {
        let machines = [("m5.large", Capacity::OnDemand); 2]
            .into_iter()
            .chain([("g5.xlarge", Capacity::Spot); 10]);
        let estimate = per_hour(machines, "us-east-1", CLUSTER);
        assert!(
            (estimate.hourly - (0.1 + 0.05 + 0.0305 + 0.192 + 4.245)).abs() < 0.01,
            "{estimate:?}"
        );
        assert!(estimate.estimated && estimate.unpriced.is_empty());
        assert!((estimate.over(Duration::from_mins(30)) - estimate.hourly / 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_type_without_a_price_is_named_and_not_guessed() {
        let estimate = per_hour([("x9.huge", Capacity::Spot)], "us-east-1", Fixed::default());
        assert_eq!(estimate.unpriced, BTreeSet::from(["x9.huge".to_owned()]));
        assert!(estimate.hourly.abs() < f64::EPSILON);
    }
}
