//! How long things took: from the call that made each until it could be used.
//!
//! Nothing in the world acts on this; it is for whoever compares a run with what the run had to wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// When things were made and when they could be used, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arrivals(BTreeMap<String, Arrival>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Arrival {
    made: Timestamp,
    usable: Option<Timestamp>,
}

impl Arrivals {
    /// Something is made; what was there before under this name is forgotten.
    pub(crate) fn made(&mut self, name: impl Into<String>, at: Timestamp) {
        self.0.insert(name.into(), Arrival { made: at, usable: None });
    }

    /// Something can be used, now or at a time that is known before; only the first time counts.
    pub(crate) fn usable(&mut self, name: &str, at: Timestamp) {
        if let Some(arrival) = self.0.get_mut(name) {
            arrival.usable.get_or_insert(at);
        }
    }

    /// How long each took that can be used.
    pub(crate) fn durations(&self) -> BTreeMap<String, Duration> {
        let took = |arrival: &Arrival| Duration::try_from(arrival.usable?.duration_since(arrival.made)).ok();
        self.0
            .iter()
            .filter_map(|(name, arrival)| Some((name.clone(), took(arrival)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_after_the_last_making_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut arrivals = Arrivals::default();
        arrivals.usable("never-made", at(1));
        arrivals.made("gateway", at(1));
        arrivals.made("cluster", at(2));
        arrivals.usable("cluster", at(9));
        arrivals.made("cluster", at(10));
        arrivals.usable("cluster", at(15));
        arrivals.usable("cluster", at(99));
        let expected = BTreeMap::from([("cluster".to_owned(), Duration::from_secs(5))]);
        assert_eq!(arrivals.durations(), expected);
    }
}
