//! What a claim becomes: the choice that a fleet request makes among the instance types it names.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::CAPACITY_TYPE;
use super::CapacityType;
use super::InstanceType;
use super::Offering;
use super::PlannedClaim;
use super::Requirements;
use super::ZONE;

/// The most instance types a fleet request names.
const MOST_TYPES: usize = 60;
/// How long an offering without capacity is not asked for again.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(3);

/// The machine a claim becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Spot or On-Demand.
    pub capacity_type: CapacityType,
    /// Dollars an hour.
    pub price: f64,
}

/// Offerings that had no capacity when they were last asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    until: BTreeMap<String, Timestamp>,
}

impl Unavailable {
    /// Notes that an offering has no capacity.
    pub fn note(&mut self, instance_type: &str, zone: &str, capacity_type: CapacityType, now: Timestamp) {
        self.until
            .insert(key(instance_type, zone, capacity_type), now + REMEMBERED);
    }

    /// Forgets what is long enough ago to be asked for again.
    pub fn forget(&mut self, now: Timestamp) {
        self.until.retain(|_, until| *until > now);
    }

    fn has(&self, instance_type: &str, offering: &Offering) -> bool {
        let key = key(instance_type, &offering.zone, offering.capacity_type);
        self.until.contains_key(&key)
    }
}

fn key(instance_type: &str, zone: &str, capacity_type: CapacityType) -> String {
    format!("{}:{instance_type}:{zone}", capacity_type.label())
}

/// Chooses a machine: Spot wherever it is allowed and to be had, then the lowest price, then the zone with the fewest
/// machines in `machines`. Nothing when nothing is to be had.
///
/// AWS chooses Spot by price and by what is least likely to be taken back, which nobody can predict; among equal
/// prices a spread over zones is what the latter comes to.
pub fn launch(
    claim: &PlannedClaim,
    types: &[InstanceType],
    unavailable: &Unavailable,
    machines: &BTreeMap<String, usize>,
) -> Option<Launch> {
    let named = claim.types.iter().take(MOST_TYPES);
    let known = named.filter_map(|name| types.iter().find(|one| one.name == *name));
    let offered: Vec<Launch> = known
        .flat_map(|one| open(one, &claim.requirements, unavailable).map(|offering| launched(one, offering)))
        .collect();
    let spot = offered.iter().any(|one| one.capacity_type == CapacityType::Spot);
    let wanted = if spot {
        CapacityType::Spot
    } else {
        CapacityType::OnDemand
    };
    let crowd = |launch: &Launch| machines.get(&launch.zone).copied().unwrap_or(0);
    offered
        .into_iter()
        .filter(|one| one.capacity_type == wanted)
        .min_by(|left, right| {
            let by_price = left.price.total_cmp(&right.price);
            by_price.then_with(|| {
                (crowd(left), &left.zone, &left.instance_type).cmp(&(crowd(right), &right.zone, &right.instance_type))
            })
        })
}

/// The lowest price at which an instance type meets the requirements.
pub(super) fn cheapest(
    instance_type: &InstanceType,
    requirements: &Requirements,
    unavailable: &Unavailable,
) -> Option<f64> {
    open(instance_type, requirements, unavailable)
        .map(|offering| offering.price)
        .min_by(f64::total_cmp)
}

/// The highest price a launch of the instance type may come to: of Spot where that is allowed, else of On-Demand.
pub(super) fn dearest(
    instance_type: &InstanceType,
    requirements: &Requirements,
    unavailable: &Unavailable,
) -> Option<f64> {
    [CapacityType::Spot, CapacityType::OnDemand]
        .into_iter()
        .find_map(|capacity_type| {
            open(instance_type, requirements, unavailable)
                .filter(|offering| offering.capacity_type == capacity_type)
                .map(|offering| offering.price)
                .max_by(f64::total_cmp)
        })
}

fn open<'a>(
    instance_type: &'a InstanceType,
    requirements: &'a Requirements,
    unavailable: &'a Unavailable,
) -> impl Iterator<Item = &'a Offering> {
    instance_type.offerings.iter().filter(|offering| {
        requirements.allow(ZONE, &offering.zone)
            && requirements.allow(CAPACITY_TYPE, offering.capacity_type.label())
            && !unavailable.has(&instance_type.name, offering)
    })
}

fn launched(instance_type: &InstanceType, offering: &Offering) -> Launch {
    Launch {
        instance_type: instance_type.name.clone(),
        zone: offering.zone.clone(),
        capacity_type: offering.capacity_type,
        price: offering.price,
    }
}
