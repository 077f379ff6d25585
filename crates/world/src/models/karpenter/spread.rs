//! How many pods of a kind are in each zone or on each node.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::HOSTNAME;
use super::Node;
use super::Pod;
use super::Requirements;
use super::Spread;
use super::ZONE;

/// The counts that spread constraints look at.
pub(super) struct Topology<'a> {
    zones: BTreeSet<&'a str>,
    placed: Vec<Placed>,
}

struct Placed {
    labels: BTreeMap<String, String>,
    /// Nothing for a claim whose zone is open.
    zone: Option<String>,
    host: String,
}

/// Where spread constraints let a pod go.
pub(super) enum Place {
    /// They say nothing about zones.
    Anywhere,
    /// To one zone.
    Zone(String),
}

impl<'a> Topology<'a> {
    pub(super) fn new(zones: BTreeSet<&'a str>, nodes: &[&Node]) -> Self {
        let mut topology = Self {
            zones,
            placed: Vec::new(),
        };
        for node in nodes {
            for pod in &node.pods {
                topology.place(pod, node.labels.get(ZONE).cloned(), &node.name);
            }
        }
        topology
    }

    pub(super) fn place(&mut self, pod: &Pod, zone: Option<String>, host: &str) {
        self.placed.push(Placed {
            labels: pod.labels.clone(),
            zone,
            host: host.to_owned(),
        });
    }

    /// Whether a pod may go to a place that is known.
    pub(super) fn allows(&self, pod: &Pod, spreads: &[&Spread], zone: Option<&str>, host: &str) -> bool {
        spreads.iter().all(|spread| match spread.key.as_str() {
            ZONE => zone.is_some_and(|zone| self.skew(pod, spread, zone) <= spread.max_skew),
            HOSTNAME => self.on_host(spread, host) + own(pod, spread) <= spread.max_skew,
            _ => true,
        })
    }

    /// Where a pod must go, of the zones that are open to it: where the fewest of its kind are. Nothing when no zone
    /// will do.
    pub(super) fn zone(&self, pod: &Pod, spreads: &[&Spread], open: &Requirements, host: &str) -> Option<Place> {
        let on_host = |spread: &&&Spread| spread.key == HOSTNAME;
        for spread in spreads.iter().filter(on_host) {
            if self.on_host(spread, host) + own(pod, spread) > spread.max_skew {
                return None;
            }
        }
        let zonal: Vec<&&Spread> = spreads.iter().filter(|spread| spread.key == ZONE).collect();
        let Some(first) = zonal.first() else {
            return Some(Place::Anywhere);
        };
        let candidates = self.zones.iter().filter(|zone| open.allow(ZONE, zone));
        let allowed = candidates.filter(|zone| {
            zonal
                .iter()
                .all(|spread| self.skew(pod, spread, zone) <= spread.max_skew)
        });
        let emptiest = allowed.min_by_key(|zone| self.in_zone(first, zone))?;
        Some(Place::Zone((*emptiest).to_owned()))
    }

    /// How far a zone would be above the emptiest one with the pod in it.
    fn skew(&self, pod: &Pod, spread: &Spread, zone: &str) -> u32 {
        let fewest = self
            .zones
            .iter()
            .map(|zone| self.in_zone(spread, zone))
            .min()
            .unwrap_or(0);
        self.in_zone(spread, zone) + own(pod, spread) - fewest
    }

    fn in_zone(&self, spread: &Spread, zone: &str) -> u32 {
        self.count(spread, |placed| placed.zone.as_deref() == Some(zone))
    }

    fn on_host(&self, spread: &Spread, host: &str) -> u32 {
        self.count(spread, |placed| placed.host == host)
    }

    fn count(&self, spread: &Spread, there: impl Fn(&Placed) -> bool) -> u32 {
        let count = self
            .placed
            .iter()
            .filter(|placed| there(placed) && selects(spread, &placed.labels))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// A pod counts towards its own constraint only if that selects it.
fn own(pod: &Pod, spread: &Spread) -> u32 {
    u32::from(selects(spread, &pod.labels))
}

fn selects(spread: &Spread, labels: &BTreeMap<String, String>) -> bool {
    spread
        .selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
