//! Sums: what machines and what stands around them cost an hour, and what a time of it costs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::cost::fleet;
use crate::cost::fleet::Fleet;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// What a planned stack costs, before anything of it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The machines that it has at rest and at most.
    pub fleets: Vec<Fleet>,
    /// What stands around them.
    pub fixed: Fixed,
    /// What it costs at rest.
    pub rest: Estimate,
    /// What it costs while everything that scales is at its largest.
    pub most: Estimate,
}

/// What a planned stack costs: its node groups, the machines that its workloads bring, and what stands around them.
pub fn planned(desired: &[Desired], region: &str) -> Outlook {
    let mut fleets = Vec::new();
    for group in desired.iter().filter(|desired| desired.kind == Kind::NodeGroup) {
        // The first type that has capacity wins; usually that is the first.
        let instance_type = group.spec["types"][0].as_str().unwrap_or_default();
        let count = group.spec["count"].as_u64().and_then(|count| u32::try_from(count).ok());
        fleets.push(Fleet {
            purpose: group.id.to_string(),
            instance_type: instance_type.to_owned(),
            capacity: Capacity::of_label(group.spec["capacity"].as_str().unwrap_or_default()),
            least: count.unwrap_or(0),
            most: count.unwrap_or(0),
        });
    }
    let objects = desired.iter().filter(|desired| desired.kind == Kind::Object);
    let objects: Vec<_> = objects.map(|desired| &desired.spec).collect();
    fleets.extend(fleet::of_workloads(&objects, region));
    let fixed = Fixed::of(desired);
    let sum = |count: fn(&Fleet) -> u32| {
        let machines = fleets
            .iter()
            .flat_map(|fleet| (0..count(fleet)).map(move |_| (fleet.instance_type.as_str(), fleet.capacity)));
        per_hour(machines, region, fixed)
    };
    let (rest, most) = (sum(|fleet| fleet.least), sum(|fleet| fleet.most));
    Outlook {
        fleets,
        fixed,
        rest,
        most,
    }
}

impl Outlook {
    /// The outlook as programs read it; `show` is how long the stack's show is, if it has one.
    pub fn document(&self, show: Option<Duration>) -> Value {
        let machines = self.fleets.iter().map(|fleet| {
            json!({
                "for": fleet.purpose,
                "type": fleet.instance_type,
                "capacity": fleet.capacity.name(),
                "least": fleet.least,
                "most": fleet.most,
            })
        });
        json!({
            "hourly": cents(self.rest.hourly),
            "hourly_at_most": cents(self.most.hourly),
            "show": show.map(|length| json!({
                "minutes": length.as_secs() / 60,
                "at_most": cents(self.most.over(length)),
            })),
            "machines": machines.collect::<Vec<_>>(),
            "around": self.fixed,
            "estimated": self.most.estimated,
            "unpriced": self.most.unpriced,
            "prices": prices::DATE,
        })
    }

    /// The outlook as people read it.
    pub fn text(&self, show: Option<Duration>) -> String {
        let Self { rest, most, .. } = self;
        let mut text = format!("costs ${:.2} an hour", rest.hourly);
        if cents(rest.hourly) < cents(most.hourly) {
            text.push_str(&format!(" at rest and ${:.2} at most", most.hourly));
        }
        if let Some(length) = show {
            let (minutes, total) = (length.as_secs() / 60, most.over(length));
            text.push_str(&format!("; a show of {minutes} minutes ${total:.2} at most"));
        }
        for fleet in &self.fleets {
            let count = if fleet.least == fleet.most {
                fleet.most.to_string()
            } else {
                format!("{} to {}", fleet.least, fleet.most)
            };
            let (instance_type, capacity, purpose) = (&fleet.instance_type, fleet.capacity.name(), &fleet.purpose);
            text.push_str(&format!("\n  {count:<7} {instance_type} {capacity} for {purpose}"));
        }
        for (count, what) in [
            (self.fixed.control_planes, "EKS control plane"),
            (self.fixed.nat_gateways, "NAT gateway with its address"),
            (self.fixed.load_balancers, "load balancer"),
        ] {
            if count > 0 {
                text.push_str(&format!("\n  {count:<7} {what}"));
            }
        }
        for unpriced in &most.unpriced {
            text.push_str(&format!("\n  {unpriced} has no price here and is not in the sum"));
        }
        if most.estimated {
            text.push_str(&format!(
                "\n  estimated: prices of {} in {}, by factors for Spot and other regions;\n  \
                 one node a replica, of the cheapest type that its pool may launch",
                prices::DATE,
                prices::REGION
            ));
        }
        text.push('\n');
        text
    }
}

/// A sum as it is paid.
fn cents(dollars: f64) -> f64 {
    (dollars * 100.0).round() / 100.0
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

    #[test]
    fn a_plan_says_what_it_costs_at_rest_at_most_and_for_a_show() {
        let group = json!({"types": ["m5.large"], "capacity": "ON_DEMAND", "count": 2});
        let desired = [
            Desired::new(Kind::Cluster, "main", "tube", json!({})),
            Desired::new(Kind::NatGateway, "a", "tube", json!({})),
            Desired::new(Kind::NodeGroup, "main", "tube", group),
        ];
        let mut outlook = planned(&desired, "us-east-1");
        let half_an_hour = Some(Duration::from_mins(30));
        insta::assert_snapshot!(outlook.text(None), @r"
        costs $0.37 an hour
          2       m5.large on-demand for node-group/main
          1       EKS control plane
          1       NAT gateway with its address
          1       load balancer
        ");
        outlook.fleets.push(Fleet {
            purpose: "default/vllm".to_owned(),
            instance_type: "g5.2xlarge".to_owned(),
            capacity: Capacity::Spot,
            least: 1,
            most: 10,
        });
        outlook.most = per_hour(
            [("g5.2xlarge", Capacity::Spot), ("x9.huge", Capacity::Spot)],
            "us-east-1",
            CLUSTER,
        );
        insta::assert_snapshot!(outlook.text(half_an_hour), @r"
        costs $0.37 an hour at rest and $0.69 at most; a show of 30 minutes $0.35 at most
          2       m5.large on-demand for node-group/main
          1 to 10 g5.2xlarge spot for default/vllm
          1       EKS control plane
          1       NAT gateway with its address
          1       load balancer
          x9.huge has no price here and is not in the sum
          estimated: prices of 2026-07-20 in us-east-1, by factors for Spot and other regions;
          one node a replica, of the cheapest type that its pool may launch
        ");
        insta::assert_snapshot!(outlook.document(half_an_hour), @r#"{"around":{"control_planes":1,"load_balancers":1,"nat_gateways":1},"estimated":true,"hourly":0.37,"hourly_at_most":0.69,"machines":[{"capacity":"on-demand","for":"node-group/main","least":2,"most":2,"type":"m5.large"},{"capacity":"spot","for":"default/vllm","least":1,"most":10,"type":"g5.2xlarge"}],"prices":"2026-07-20","show":{"at_most":0.35,"minutes":30},"unpriced":["x9.huge"]}"#);
    }
}
