//! Amounts of resources, in thousandths.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// Amounts by the name of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(pub BTreeMap<String, i64>);

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` of `{resource}` is no quantity; write one such as `900m`, `4` or `24Gi`")]
pub struct BadQuantity {
    /// The resource.
    pub resource: String,
    /// The text.
    pub text: String,
}

const PODS: &str = "pods";

impl Resources {
    /// Reads quantities as Kubernetes writes them.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadQuantity> {
        let read = |(resource, text): (&str, &str)| {
            let bad = || BadQuantity {
                resource: resource.to_owned(),
                text: text.to_owned(),
            };
            let amount = quantity(text).ok_or_else(bad)?;
            Ok((resource.to_owned(), amount))
        };
        pairs.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn get(&self, resource: &str) -> i64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (resource, amount) in &other.0 {
            let sum = self.0.entry(resource.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (resource, amount) in &other.0 {
            let left = self.0.entry(resource.clone()).or_default();
            *left = left.saturating_sub(*amount);
        }
    }

    /// Whether this fits into what is there.
    pub(super) fn fits(&self, there: &Self) -> bool {
        self.0
            .iter()
            .all(|(resource, amount)| *amount <= 0 || *amount <= there.get(resource))
    }

    /// What a pod takes: what it requests, and its place.
    pub(super) fn with_place(&self) -> Self {
        let mut with_place = self.clone();
        with_place.0.entry(PODS.to_owned()).or_insert(1000);
        with_place
    }
}

/// Thousandths of a quantity.
fn quantity(text: &str) -> Option<i64> {
    const SUFFIXES: [(&str, i128); 14] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("Ei", 1 << 60),
        ("m", 0),
        ("", 1),
    ];
    let (digits, scale) = SUFFIXES.iter().find_map(|(suffix, scale)| {
        let digits = text.strip_suffix(suffix)?;
        digits
            .ends_with(|c: char| c.is_ascii_digit() || c == '.')
            .then_some((digits, *scale))
    })?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // A scale of zero is a thousandth: the amount is in thousandths already.
    let thousandths = if scale == 0 {
        number
    } else {
        number.checked_mul(scale)?.checked_mul(1000)?
    };
    i64::try_from(thousandths / places).ok()
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(quantity(text), expected, "{text}");
        check("4", Some(4000));
        check("900m", Some(900));
        check("1.5", Some(1500));
        check("24Gi", Some(24 * (1 << 30) * 1000));
        check("0.5Gi", Some((1 << 29) * 1000));
        check("10k", Some(10_000_000));
        check("Gi", None);
        check("", None);
        check("four", None);
        check("1..5", None);
    }
}
