//! Chance, seeded: the same seed draws the same durations, names and choices, also after a restart.

use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// A seeded source of chance that is cloned and stored with the world.
#[derive(Clone, Debug)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A whole number below `end`; zero when `end` is zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.usize(..end) }
    }

    /// A number between zero and one.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// A duration in seconds with the given lowest, most likely and highest value (triangular distribution).
    pub(crate) fn seconds(&mut self, low: f64, likely: f64, high: f64) -> Duration {
        let u = self.0.f64();
        let split = if high > low { (likely - low) / (high - low) } else { 0.0 };
        let seconds = if u < split {
            low + (u * (high - low) * (likely - low)).sqrt()
        } else {
            high - ((1.0 - u) * (high - low) * (high - likely)).sqrt()
        };
        Duration::try_from_secs_f64((seconds * 1000.0).round() / 1000.0).unwrap_or_default()
    }

    /// `length` lower-case hexadecimal digits, as in `vpc-0a1b...`.
    pub(crate) fn hex(&mut self, length: usize) -> String {
        self.letters(b"0123456789abcdef", length)
    }

    /// `length` characters as Kubernetes appends them to generated names.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        self.letters(b"bcdfghjklmnpqrstvwxz2456789", length)
    }

    /// A random (version 4) UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let mut digits = self.hex(32);
        digits.replace_range(12..13, "4");
        digits.replace_range(16..17, ["8", "9", "a", "b"][self.below(4)]);
        format!(
            "{}-{}-{}-{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..]
        )
    }

    fn letters(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| char::from(alphabet[self.0.usize(..alphabet.len())]))
            .collect()
    }
}

impl Serialize for Random {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.get_seed().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Random {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_source_goes_on_where_it_was() {
        let mut first = Random::new(7);
        first.hex(5);
        let stored = serde_json::to_string(&first).unwrap();
        let mut second: Random = serde_json::from_str(&stored).unwrap();
        assert_eq!(first.uuid(), second.uuid());
    }

    #[test]
    fn durations_stay_between_the_lowest_and_the_highest() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            let seconds = random.seconds(420.0, 510.0, 840.0).as_secs_f64();
            assert!((420.0..=840.0).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn a_uuid_says_that_it_is_random() {
        let uuid = Random::new(3).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
    }
}
