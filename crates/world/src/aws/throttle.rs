//! How fast the account may call: a token bucket for each service's changes, as EC2 keeps them.
//!
//! Reads are never held back: nothing that a rehearsal does reads fast enough to meet AWS's limits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// Changes that may come at once: EC2's default for its non-mutating and most mutating calls lies between 50 and 200.
const BURST: f64 = 100.0;

/// Changes for each second after that; EC2's slowest common refill is 5.
const REFILL: f64 = 10.0;

/// The buckets, by region and service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Buckets(BTreeMap<String, Bucket>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

impl Buckets {
    /// Takes one token; false if there is none.
    pub(crate) fn take(&mut self, now: Timestamp, region: &str, service: &str) -> bool {
        let bucket = self.0.entry(format!("{region}/{service}")).or_insert(Bucket {
            tokens: BURST,
            filled: now,
        });
        let passed = now.duration_since(bucket.filled).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * REFILL).min(BURST);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_served_then_held_back_until_time_passes() {
        let mut buckets = Buckets::default();
        let start = Timestamp::UNIX_EPOCH;
        let served = (0..200).filter(|_| buckets.take(start, "eu-west-1", "ec2")).count();
        assert_eq!(served, 100);
        assert!(buckets.take(start, "us-east-1", "ec2"));
        let after = crate::aws::later(start, std::time::Duration::from_secs(1));
        assert!(buckets.take(after, "eu-west-1", "ec2"));
    }
}
