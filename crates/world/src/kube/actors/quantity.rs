//! Resource quantities (`100m`, `24Gi`) and sums of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The accelerator that an NVIDIA device plugin announces.
pub(crate) const GPU: &str = "nvidia.com/gpu";

/// Amounts by resource name, in thousandths of the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts(BTreeMap<String, i64>);

impl Amounts {
    /// Reads a map such as `{"cpu": "4", "memory": "16Gi"}`.
    pub(crate) fn of(map: &Value) -> Self {
        let pairs = map.as_object().into_iter().flatten();
        Self(pairs.map(|(name, value)| (name.clone(), milli(value))).collect())
    }

    /// The amount of one resource, in thousandths.
    pub(crate) fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds to one resource.
    pub(crate) fn add_one(&mut self, name: &str, amount: i64) {
        *self.0.entry(name.to_owned()).or_default() += amount;
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            match self.0.get_mut(name) {
                Some(sum) => *sum += amount,
                None => self.add_one(name, *amount),
            }
        }
    }

    /// Takes all of `other` away.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            self.add_one(name, -amount);
        }
    }

    /// For each resource the larger amount.
    pub(crate) fn at_least(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }

    /// The resources and their amounts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }
}

/// A quantity in thousandths of its unit; zero if it cannot be read.
pub(crate) fn milli(value: &Value) -> i64 {
    match value {
        Value::Number(number) => whole(number.as_f64().unwrap_or(0.0) * 1000.0),
        Value::String(text) => parse(text).unwrap_or(0),
        _ => 0,
    }
}

fn parse(text: &str) -> Option<i64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "Ki" => 1024e3,
        "Mi" => 1024.0 * 1024e3,
        "Gi" => 1024.0 * 1024.0 * 1024e3,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024e3,
        _ => return None,
    };
    Some(whole(number.parse::<f64>().ok()? * factor))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is too large saturates, which is what is wanted"
)]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            (json!("100m"), 100),
            (json!("4"), 4000),
            (json!(2), 2000),
            (json!("0.5"), 500),
            (json!("1Ki"), 1_024_000),
            (json!("24Gi"), 25_769_803_776_000),
            (json!("1M"), 1_000_000_000),
            (json!("nonsense"), 0),
        ] {
            assert_eq!(milli(&text), expected, "{text}");
        }
    }
}
