//! Values: what the user gives, what the charts default to, and how the two become one.

pub(crate) mod coalesce;
mod set;

use std::collections::BTreeMap;

use thiserror::Error;
use tubectl_yaml::Value as Yaml;

/// A map of values.
pub(crate) type Table = BTreeMap<String, Yaml>;

/// The values that a user gives. Later ones win; maps are merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    // Invariant: numbers from YAML are floats, as templates see them; only `set` makes integers.
    table: Table,
}

/// Why values could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ValuesError {
    /// The text is no YAML.
    #[error("failed to parse values: {0}")]
    Yaml(#[from] tubectl_yaml::Error),
    /// The text is YAML, but no map.
    #[error("values must be a map from names to values")]
    NoMap,
    /// A `name=value` is not well formed.
    #[error("failed parsing --set data {text:?}: {reason}")]
    Set {
        /// As given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A chart's name is the name of a value that is no map.
    #[error("type mismatch on {name}: a chart has this name, so its values must be a map")]
    Mismatch {
        /// The chart.
        name: String,
    },
}

impl Values {
    /// Takes a tree; null is no values.
    ///
    /// # Errors
    /// If the tree is no map.
    pub fn from_yaml(yaml: Yaml) -> Result<Self, ValuesError> {
        match with_floats(yaml) {
            Yaml::Null => Ok(Values::default()),
            Yaml::Map(table) => Ok(Values { table }),
            _ => Err(ValuesError::NoMap),
        }
    }

    /// Reads a values file.
    ///
    /// # Errors
    /// If the text is no YAML or no map.
    pub fn parse(text: &str) -> Result<Self, ValuesError> {
        Values::from_yaml(tubectl_yaml::parse(text)?)
    }

    /// Lays other values over these.
    pub fn merge(&mut self, other: Values) {
        merge(&mut self.table, other.table);
    }

    /// Sets values as Helm's `--set` does: `a.b=1,list[0]=x,other={p,q}`.
    ///
    /// # Errors
    /// If the text is not well formed.
    pub fn set(&mut self, text: &str) -> Result<(), ValuesError> {
        set::apply(&mut self.table, text, set::Typing::Typed)
    }

    /// Sets values that all are text, as Helm's `--set-string` does.
    ///
    /// # Errors
    /// If the text is not well formed.
    pub fn set_string(&mut self, text: &str) -> Result<(), ValuesError> {
        set::apply(&mut self.table, text, set::Typing::Text)
    }

    /// The values as a tree.
    pub fn to_yaml(&self) -> Yaml {
        Yaml::Map(self.table.clone())
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }
}

fn merge(target: &mut Table, source: Table) {
    for (key, value) in source {
        match (target.get_mut(&key), value) {
            (Some(Yaml::Map(known)), Yaml::Map(value)) => merge(known, value),
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

/// Numbers as Go's JSON reads them: all of them floats.
pub(crate) fn with_floats(yaml: Yaml) -> Yaml {
    match yaml {
        #[expect(clippy::cast_precision_loss, reason = "Go decodes every JSON number as a float64")]
        Yaml::Int(number) => Yaml::Float(number as f64),
        #[expect(clippy::cast_precision_loss, reason = "Go decodes every JSON number as a float64")]
        Yaml::Uint(number) => Yaml::Float(number as f64),
        Yaml::List(items) => Yaml::List(items.into_iter().map(with_floats).collect()),
        Yaml::Map(entries) => Yaml::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key, with_floats(value)))
                .collect(),
        ),
        other => other,
    }
}
