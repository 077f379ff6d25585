//! How given values and the defaults of a chart and its dependencies become one tree, nulls and globals included.

use super::Table;
use super::ValuesError;
use crate::load::Chart;
use tubectl_yaml::Value as Yaml;

/// The key whose values every chart sees.
const GLOBAL: &str = "global";

/// What happens to nulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// A given null deletes the default.
    Delete,
    /// They stay, because values are coalesced again later.
    Keep,
}

/// Lays given values over the defaults of a chart and all charts below it.
pub(crate) fn coalesce(chart: &Chart, given: &Table, nulls: Nulls) -> Result<Table, ValuesError> {
    let mut table = given.clone();
    descend(chart, &mut table, nulls)?;
    Ok(table)
}

fn descend(chart: &Chart, table: &mut Table, nulls: Nulls) -> Result<(), ValuesError> {
    defaults(chart, table, nulls);
    for dependency in &chart.dependencies {
        let name = dependency.name();
        let mut inner = match table.remove(name) {
            None => Table::new(),
            Some(Yaml::Map(inner)) => inner,
            Some(_) => return Err(ValuesError::Mismatch { name: name.to_owned() }),
        };
        globals(&mut inner, table);
        descend(dependency, &mut inner, nulls)?;
        table.insert(name.to_owned(), Yaml::Map(inner));
    }
    Ok(())
}

/// Copies the parent's globals down; the parent's win.
fn globals(inner: &mut Table, outer: &Table) {
    let mut target = match inner.get(GLOBAL) {
        None => Table::new(),
        Some(Yaml::Map(known)) => known.clone(),
        Some(_) => return,
    };
    let empty = Table::new();
    let source = match outer.get(GLOBAL) {
        None => &empty,
        Some(Yaml::Map(source)) => source,
        Some(_) => return,
    };
    for (key, value) in source {
        match (target.get(key), value) {
            (Some(Yaml::Map(known)), Yaml::Map(value)) => {
                let mut merged = value.clone();
                tables(&mut merged, known.clone(), Nulls::Keep);
                target.insert(key.clone(), Yaml::Map(merged));
            }
            (Some(Yaml::Map(_)), _) | (Some(_), Yaml::Map(_)) => {}
            (_, value) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
    inner.insert(GLOBAL.to_owned(), Yaml::Map(target));
}

fn defaults(chart: &Chart, table: &mut Table, nulls: Nulls) {
    for (key, default) in &chart.values {
        match table.get_mut(key) {
            None => {
                table.insert(key.clone(), default.clone());
            }
            Some(Yaml::Null) if nulls == Nulls::Delete => {
                table.remove(key);
            }
            Some(Yaml::Map(given)) => {
                if let Yaml::Map(default) = default {
                    // Nulls meant for a dependency must reach it.
                    let dependency = chart.dependencies.iter().any(|dependency| dependency.name() == key);
                    tables(given, default.clone(), if dependency { Nulls::Keep } else { nulls });
                }
            }
            Some(_) => {}
        }
    }
}

/// Fills `target` with what only `source` has.
pub(crate) fn tables(target: &mut Table, source: Table, nulls: Nulls) {
    for (key, default) in source {
        match target.get_mut(&key) {
            None => {
                target.insert(key, default);
            }
            Some(Yaml::Null) => {
                if nulls == Nulls::Delete && !default.is_null() {
                    target.remove(&key);
                }
            }
            Some(Yaml::Map(given)) => {
                if let Yaml::Map(default) = default {
                    tables(given, default, nulls);
                }
            }
            Some(_) => {}
        }
    }
}
