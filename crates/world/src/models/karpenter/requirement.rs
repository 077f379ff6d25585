//! What labels must be: sets of values, also of those that are not named.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use super::ARCH;
use super::CAPACITY_TYPE;
use super::HOSTNAME;
use super::INSTANCE_TYPE;
use super::NODE_POOL;
use super::OS;
use super::ZONE;

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it compares.
    pub operator: Operator,
    /// What with.
    pub values: Vec<String>,
}

/// How a label compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// It is one of the values.
    In,
    /// It is none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// It is a number above the value.
    Gt,
    /// It is a number below the value.
    Lt,
}

/// What each label may be. A label that is not named may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements(BTreeMap<String, Values>);

/// The values a label may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Values {
    /// Whether `named` are those it may not have.
    complement: bool,
    named: BTreeSet<String>,
    above: Option<i64>,
    below: Option<i64>,
}

impl Values {
    fn of(requirement: &Requirement) -> Self {
        let number = || requirement.values.first().and_then(|value| value.parse().ok());
        let named: BTreeSet<String> = requirement.values.iter().cloned().collect();
        let anything = Self {
            complement: true,
            named: BTreeSet::new(),
            above: None,
            below: None,
        };
        match requirement.operator {
            Operator::In => Self {
                complement: false,
                named,
                ..anything
            },
            Operator::NotIn => Self { named, ..anything },
            Operator::Exists => anything,
            Operator::DoesNotExist => Self {
                complement: false,
                ..anything
            },
            Operator::Gt => Self {
                above: number(),
                ..anything
            },
            Operator::Lt => Self {
                below: number(),
                ..anything
            },
        }
    }

    fn one(value: &str) -> Self {
        Self {
            complement: false,
            named: BTreeSet::from([value.to_owned()]),
            above: None,
            below: None,
        }
    }

    fn allows(&self, value: &str) -> bool {
        self.named.contains(value) != self.complement && self.within_bounds(value)
    }

    fn within_bounds(&self, value: &str) -> bool {
        if self.above.is_none() && self.below.is_none() {
            return true;
        }
        let Ok(number) = value.parse::<i64>() else { return false };
        self.above.is_none_or(|above| number > above) && self.below.is_none_or(|below| number < below)
    }

    /// Whether a label that is not there will do.
    fn allows_absence(&self) -> bool {
        let bounded = self.above.is_some() || self.below.is_some();
        if self.complement {
            !self.named.is_empty() && !bounded
        } else {
            self.named.is_empty()
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        let above = self.above.max(other.above);
        let below = match (self.below, other.below) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        let (complement, named) = match (self.complement, other.complement) {
            (true, true) => (true, self.named.union(&other.named).cloned().collect()),
            (true, false) => (false, other.named.difference(&self.named).cloned().collect()),
            (false, true) => (false, self.named.difference(&other.named).cloned().collect()),
            (false, false) => (false, self.named.intersection(&other.named).cloned().collect()),
        };
        let mut both = Self {
            complement,
            named,
            above,
            below,
        };
        if !complement {
            let bounds = both.clone();
            both.named.retain(|value| bounds.within_bounds(value));
            (both.above, both.below) = (None, None);
        }
        both
    }

    fn is_empty(&self) -> bool {
        let crossed = matches!((self.above, self.below), (Some(above), Some(below)) if above + 1 >= below);
        (!self.complement && self.named.is_empty()) || crossed
    }
}

impl Requirements {
    /// Requirements that must all hold.
    pub fn new<'a>(requirements: impl IntoIterator<Item = &'a Requirement>) -> Self {
        let mut all = Self::default();
        for requirement in requirements {
            all.put(&requirement.key, Values::of(requirement));
        }
        all
    }

    /// Requirements that only these labels meet.
    pub fn labels(labels: &BTreeMap<String, String>) -> Self {
        Self(
            labels
                .iter()
                .map(|(key, value)| (key.clone(), Values::one(value)))
                .collect(),
        )
    }

    /// Requires a label to have one value.
    pub fn require(&mut self, key: &str, value: &str) {
        self.put(key, Values::one(value));
    }

    /// Requires what others require too.
    pub fn merge(&mut self, others: &Self) {
        for (key, values) in &others.0 {
            self.put(key, values.clone());
        }
    }

    /// Whether a label may have a value.
    pub fn allow(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.allows(value))
    }

    /// Whether nodes with these requirements may meet a pod's. Labels that every node has are known later; what
    /// nobody defines cannot be met.
    pub(super) fn may_meet(&self, pod: &Self) -> bool {
        pod.0.iter().all(|(key, wanted)| match self.0.get(key) {
            Some(values) => {
                let both = values.intersection(wanted);
                !both.is_empty() || (values.allows_absence() && wanted.allows_absence())
            }
            None => is_well_known(key) || wanted.allows_absence(),
        })
    }

    /// Whether a node with these labels meets the requirements.
    pub(super) fn met_by(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, values)| match labels.get(key) {
            Some(value) => values.allows(value),
            None => values.allows_absence(),
        })
    }

    /// Whether an instance type with these labels may meet the requirements. What an offering decides is not looked
    /// at, nor are labels that only a pool gives.
    pub(super) fn met_by_type(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.0
            .iter()
            .all(|(key, values)| match (key.as_str(), labels.get(key)) {
                (INSTANCE_TYPE, _) => values.allows(name),
                (ZONE | CAPACITY_TYPE | HOSTNAME | NODE_POOL, _) => true,
                (_, Some(value)) => values.allows(value),
                (OS, None) => values.allows("linux"),
                (key, None) if is_well_known(key) => values.allows_absence(),
                (_, None) => true,
            })
    }

    fn put(&mut self, key: &str, values: Values) {
        let both = match self.0.get(key) {
            Some(before) => before.intersection(&values),
            None => values,
        };
        self.0.insert(key.to_owned(), both);
    }
}

fn is_well_known(key: &str) -> bool {
    matches!(
        key,
        ZONE | INSTANCE_TYPE | ARCH | OS | HOSTNAME | CAPACITY_TYPE | NODE_POOL
    ) || key == "topology.kubernetes.io/region"
        || key.starts_with("karpenter.k8s.aws/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirements(text: &str) -> Requirements {
        let parsed: Vec<Requirement> = text
            .split(" & ")
            .map(|one| {
                let mut words = one.split(' ');
                let key = words.next().expect("a key").to_owned();
                let operator = match words.next().expect("an operator") {
                    "in" => Operator::In,
                    "notin" => Operator::NotIn,
                    "exists" => Operator::Exists,
                    "absent" => Operator::DoesNotExist,
                    "gt" => Operator::Gt,
                    _ => Operator::Lt,
                };
                let values = words.map(str::to_owned).collect();
                Requirement { key, operator, values }
            })
            .collect();
        Requirements::new(&parsed)
    }

    #[test]
    fn a_node_meets_a_pod_when_some_value_is_left() {
        let check = |node: &str, pod: &str, expected: bool| {
            assert_eq!(
                requirements(node).may_meet(&requirements(pod)),
                expected,
                "{node} / {pod}"
            );
        };
        check("a in 1 2", "a in 2 3", true);
        check("a in 1 2", "a in 3", false);
        check("a in 1 2", "a notin 1", true);
        check("a in 1", "a notin 1", false);
        check("a in 1 9", "a gt 5", true);
        check("a in 1 9", "a gt 9", false);
        check("a gt 3", "a lt 4", false);
        check("a gt 3", "a lt 5", true);
        check("a in 1", "a exists", true);
        check("a in 1", "a absent", false);
        // Nobody will ever set this label, but every node has a zone.
        check("a in 1", "b in 1", false);
        check("a in 1", "b notin 1", true);
        check("a in 1", "topology.kubernetes.io/zone in x", true);
    }

    #[test]
    fn labels_meet_requirements_and_their_absence_meets_some() {
        let labels = BTreeMap::from([("a".to_owned(), "5".to_owned())]);
        let check = |text: &str, expected: bool| assert_eq!(requirements(text).met_by(&labels), expected, "{text}");
        check("a in 5 6 & a gt 4", true);
        check("a gt 5", false);
        check("b exists", false);
        check("b absent", true);
        check("b notin 1", true);
        check("b in 1", false);
    }
}
