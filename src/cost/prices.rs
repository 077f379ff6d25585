//! The table: dollars an hour, as they were on a day in a region, and the factors that lead to other regions.
//!
//! A price that stands in the table as it is, is known; one that a factor leads to is estimated, and says so.

/// The day of the On-Demand prices.
pub const DATE: &str = "2026-07-20";

/// The region whose prices the table holds.
pub const REGION: &str = "us-east-1";

/// An EKS control plane, an hour.
pub const CONTROL_PLANE: f64 = 0.10;

/// A NAT gateway, an hour, without the data that goes through it.
pub const NAT_GATEWAY: f64 = 0.045;

/// An application load balancer, an hour, with the one capacity unit that a small audience needs.
pub const LOAD_BALANCER: f64 = 0.0225 + 0.008;

/// A public IPv4 address, an hour.
pub const PUBLIC_ADDRESS: f64 = 0.005;

/// The share of the On-Demand price that Spot usually costs, where no family's own share is known.
const USUAL_SPOT: f64 = 0.5;

/// On-Demand, Linux, in [`REGION`].
const ON_DEMAND: &[(&str, f64)] = &[
    ("c5.large", 0.085),
    ("c5.xlarge", 0.170),
    ("c5.2xlarge", 0.340),
    ("c5.4xlarge", 0.680),
    ("c5.12xlarge", 2.040),
    ("c7g.large", 0.0725),
    ("c7g.xlarge", 0.145),
    ("c7g.2xlarge", 0.290),
    ("c7g.4xlarge", 0.580),
    ("c8g.large", 0.07976),
    ("c8g.xlarge", 0.15952),
    ("c8g.2xlarge", 0.31904),
    ("g4dn.xlarge", 0.526),
    ("g4dn.2xlarge", 0.752),
    ("g4dn.4xlarge", 1.204),
    ("g4dn.8xlarge", 2.176),
    ("g4dn.12xlarge", 3.912),
    ("g4dn.16xlarge", 4.352),
    ("g5.xlarge", 1.006),
    ("g5.2xlarge", 1.212),
    ("g5.4xlarge", 1.624),
    ("g5.8xlarge", 2.448),
    ("g5.12xlarge", 5.672),
    ("g5.16xlarge", 4.096),
    ("g5.24xlarge", 8.144),
    ("g5.48xlarge", 16.288),
    ("g5g.xlarge", 0.42),
    ("g6.xlarge", 0.8048),
    ("g6.2xlarge", 0.9776),
    ("g6.4xlarge", 1.3232),
    ("g6.8xlarge", 2.0144),
    ("g6.12xlarge", 4.6016),
    ("g6.16xlarge", 3.3968),
    ("g6.24xlarge", 6.6752),
    ("g6.48xlarge", 13.3504),
    ("g6e.xlarge", 1.861),
    ("g6e.2xlarge", 2.24208),
    ("g6e.4xlarge", 3.00424),
    ("g6e.8xlarge", 4.52856),
    ("gr6.4xlarge", 1.5392),
    ("m5.large", 0.096),
    ("m5.xlarge", 0.192),
    ("m5.2xlarge", 0.384),
    ("m5.4xlarge", 0.768),
    ("m7g.large", 0.0816),
    ("m7g.xlarge", 0.1632),
    ("m7g.2xlarge", 0.3264),
    ("m7g.4xlarge", 0.6528),
    ("m8g.large", 0.08976),
    ("m8g.xlarge", 0.17952),
    ("m8g.2xlarge", 0.35904),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3.2xlarge", 0.3328),
    ("t3a.large", 0.0752),
    ("t3a.xlarge", 0.1504),
    ("t3a.2xlarge", 0.3008),
    ("t4g.small", 0.0168),
    ("t4g.medium", 0.0336),
    ("t4g.large", 0.0672),
    ("t4g.xlarge", 0.1344),
    ("t4g.2xlarge", 0.2688),
];

/// How a family's prices in another region relate to those of [`REGION`]: one factor over all sizes.
const ELSEWHERE: &[(&str, &str, f64)] = &[
    ("eu-west-1", "g4dn", 1.1144),
    ("eu-west-1", "g5", 1.1163),
    ("eu-west-1", "m5", 1.115),
    ("eu-west-2", "g5", 1.2694),
    ("eu-west-2", "g6", 1.2694),
];

/// The factor of families that [`ELSEWHERE`] does not name: what those that it names have in common.
const USUAL_ELSEWHERE: &[(&str, f64)] = &[("eu-west-1", 1.115), ("eu-west-2", 1.2694)];

/// What Spot costs of the On-Demand price, by region and family: the middle over the zones of a crawl of 2026.
const SPOT: &[(&str, &str, f64)] = &[
    ("eu-west-1", "g4dn", 0.44),
    ("eu-west-1", "g5", 0.501),
    ("eu-west-2", "g5", 0.394),
    ("eu-west-2", "g6", 0.327),
    ("us-east-1", "g5", 0.422),
    ("us-east-1", "g6", 0.526),
];

/// What something costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Dollars an hour.
    pub hourly: f64,
    /// Whether a factor led to it, rather than the table.
    pub estimated: bool,
}

/// How an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capacity {
    /// Until it is given back.
    OnDemand,
    /// Until AWS wants it back.
    Spot,
}

impl Capacity {
    /// Reads what a node's label says: `spot`, `SPOT`, and everything else is On-Demand.
    pub fn of_label(label: &str) -> Self {
        if label.eq_ignore_ascii_case("spot") {
            Self::Spot
        } else {
            Self::OnDemand
        }
    }

    /// Its name, as Karpenter's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// Every type that has a price.
pub fn types() -> impl Iterator<Item = &'static str> {
    ON_DEMAND.iter().map(|(name, _)| *name)
}

/// What an instance costs; none for a type that the table does not have.
pub fn instance(instance_type: &str, capacity: Capacity, region: &str) -> Option<Price> {
    let listed = ON_DEMAND.iter().find(|(name, _)| *name == instance_type)?.1;
    let (family, _) = instance_type.split_once('.')?;
    let on_demand = listed * elsewhere(region, family);
    Some(match capacity {
        Capacity::OnDemand => Price {
            hourly: on_demand,
            estimated: region != REGION,
        },
        Capacity::Spot => Price {
            hourly: on_demand * factor(SPOT, region, family).unwrap_or(USUAL_SPOT),
            estimated: true,
        },
    })
}

fn elsewhere(region: &str, family: &str) -> f64 {
    let usual = || USUAL_ELSEWHERE.iter().find(|(name, _)| *name == region);
    factor(ELSEWHERE, region, family)
        .or_else(|| usual().map(|(_, factor)| *factor))
        .unwrap_or(1.0)
}

fn factor(table: &[(&str, &str, f64)], region: &str, family: &str) -> Option<f64> {
    let found = table.iter().find(|(at, of, _)| *at == region && *of == family);
    found.map(|(_, _, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(instance_type: &str, capacity: Capacity, region: &str, hourly: f64, estimated: bool) {
        let price = instance(instance_type, capacity, region).unwrap();
        assert!(
            (price.hourly - hourly).abs() < 0.0005,
            "{instance_type} in {region}: {price:?}"
        );
        assert_eq!(price.estimated, estimated, "{instance_type} in {region}");
    }

    #[test]
    fn what_the_table_holds_is_known_and_what_a_factor_leads_to_is_estimated() {
        check("g5.2xlarge", Capacity::OnDemand, "us-east-1", 1.212, false);
        check("g5.2xlarge", Capacity::OnDemand, "eu-west-1", 1.353, true);
        check("m5.large", Capacity::OnDemand, "eu-west-1", 0.107, true);
        check("g5.xlarge", Capacity::Spot, "eu-west-1", 0.5626, true);
        check("t4g.medium", Capacity::OnDemand, "eu-west-1", 0.0375, true);
    }

    #[test]
    fn a_type_that_is_not_in_the_table_has_no_price() {
        assert_eq!(instance("x9.huge", Capacity::Spot, "us-east-1"), None);
    }

    #[test]
    fn the_table_names_every_type_once() {
        let mut names: Vec<&str> = ON_DEMAND.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ON_DEMAND.len());
    }
}
