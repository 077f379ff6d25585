//! Which dependencies are in, under which names, and what their parents import from them.

use std::collections::BTreeSet;

use tubectl_yaml::Value as Yaml;

use crate::load::Chart;
use crate::metadata::Dependency;
use crate::semver::Constraint;
use crate::semver::Version;
use crate::values::Table;
use crate::values::ValuesError;
use crate::values::coalesce::Nulls;
use crate::values::coalesce::coalesce;
use crate::values::coalesce::tables;

/// Resolves names, conditions, tags and imports of a chart and all charts below it.
pub(crate) fn process(chart: &mut Chart, given: &Table) -> Result<(), ValuesError> {
    enable(chart, given, "")?;
    import_all(chart)
}

/// The names of dependencies that `Chart.yaml` lists and `charts/` lacks.
pub(crate) fn missing(chart: &Chart) -> Vec<&str> {
    let names = chart
        .metadata
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str());
    names
        .filter(|name| !chart.dependencies.iter().any(|dependency| dependency.name() == *name))
        .collect()
}

fn enable(chart: &mut Chart, given: &Table, path: &str) -> Result<(), ValuesError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    rename(chart);
    let values = coalesce(chart, given, Nulls::Delete)?;
    let disabled: BTreeSet<String> = chart
        .metadata
        .dependencies
        .iter()
        .filter(|dependency| !is_enabled(dependency, &values, path))
        .map(|dependency| dependency.name.clone())
        .collect();
    chart
        .dependencies
        .retain(|dependency| !disabled.contains(dependency.name()));
    chart
        .metadata
        .dependencies
        .retain(|dependency| !disabled.contains(&dependency.name));
    for dependency in &mut chart.dependencies {
        let path = format!("{path}{}.", dependency.name());
        enable(dependency, &values, &path)?;
    }
    Ok(())
}

/// Gives every listed dependency a chart of its own under its alias; charts that are not listed stay.
fn rename(chart: &mut Chart) {
    let listed = &chart.metadata.dependencies;
    let mut charts: Vec<Chart> = chart
        .dependencies
        .iter()
        .filter(|known| !listed.iter().any(|entry| fits(entry, known)))
        .cloned()
        .collect();
    for entry in listed {
        if let Some(found) = chart.dependencies.iter().find(|known| fits(entry, known)) {
            let mut found = found.clone();
            if !entry.alias.is_empty() {
                found.metadata.name.clone_from(&entry.alias);
            }
            charts.push(found);
        }
    }
    for entry in &mut chart.metadata.dependencies {
        if !entry.alias.is_empty() {
            entry.name.clone_from(&entry.alias);
        }
    }
    chart.dependencies = charts;
}

fn fits(entry: &Dependency, chart: &Chart) -> bool {
    if entry.name != chart.name() {
        return false;
    }
    match (
        Constraint::parse(&entry.version),
        Version::parse(&chart.metadata.version),
    ) {
        (Ok(range), Ok(version)) => range.allows(&version),
        _ => false,
    }
}

/// Tags first, then the first condition that is a boolean.
fn is_enabled(dependency: &Dependency, values: &Table, path: &str) -> bool {
    let mut enabled = true;
    if let Some(Yaml::Map(tags)) = values.get("tags") {
        let known: Vec<bool> = dependency
            .tags
            .iter()
            .filter_map(|tag| match tags.get(tag) {
                Some(Yaml::Bool(truth)) => Some(*truth),
                _ => None,
            })
            .collect();
        enabled = known.is_empty() || known.contains(&true);
    }
    for condition in dependency
        .condition
        .trim()
        .split(',')
        .filter(|condition| !condition.is_empty())
    {
        if let Some(Yaml::Bool(truth)) = at(values, &format!("{path}{condition}")) {
            return *truth;
        }
    }
    enabled
}

fn at<'v>(values: &'v Table, path: &str) -> Option<&'v Yaml> {
    let mut keys = path.split('.');
    let first = values.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key))
}

fn import_all(chart: &mut Chart) -> Result<(), ValuesError> {
    for dependency in &mut chart.dependencies {
        import_all(dependency)?;
    }
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    // Imported values lose against the parent's own. Nulls stay: values are coalesced again later.
    let mut values = coalesce(chart, &Table::new(), Nulls::Keep)?;
    let mut imported = Table::new();
    for dependency in &chart.metadata.dependencies {
        for import in &dependency.imports {
            let path = format!("{}.{}", dependency.name, import.child);
            if let Some(Yaml::Map(found)) = at(&values, &path) {
                tables(&mut imported, under(&import.parent, found.clone()), Nulls::Keep);
            }
        }
    }
    tables(&mut values, imported, Nulls::Keep);
    chart.values = values;
    Ok(())
}

/// A table wrapped in the maps of a path.
fn under(path: &str, table: Table) -> Table {
    if path == "." {
        return table;
    }
    path.split('.')
        .rev()
        .fold(table, |inner, key| Table::from([(key.to_owned(), Yaml::Map(inner))]))
}
