//! The stacks and templates that come with tubectl, as part of the binary.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Path within the folder, and content; sorted by path.
type Table = &'static [(&'static str, &'static [u8])];

const STACKS: Table = include!(concat!(env!("OUT_DIR"), "/stacks.rs"));
const TEMPLATES: Table = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The names of the shipped stacks.
pub fn stacks() -> BTreeSet<&'static str> {
    names(STACKS)
}

/// The names of the shipped templates.
pub fn templates() -> BTreeSet<&'static str> {
    names(TEMPLATES)
}

/// One file of a shipped stack.
pub fn stack_file(stack: &str, file: &str) -> Option<&'static [u8]> {
    let path = format!("{stack}/{file}");
    STACKS.iter().find(|(found, _)| *found == path).map(|(_, bytes)| *bytes)
}

/// The files of a shipped template by their path within the chart; none where there is no such template.
pub fn template(name: &str) -> BTreeMap<&'static str, &'static [u8]> {
    let of_template = |(path, bytes): &(&'static str, &'static [u8])| {
        let (folder, rest) = path.split_once('/')?;
        (folder == name).then_some((rest, *bytes))
    };
    TEMPLATES.iter().filter_map(of_template).collect()
}

fn names(table: Table) -> BTreeSet<&'static str> {
    table
        .iter()
        .filter_map(|(path, _)| path.split_once('/'))
        .map(|(name, _)| name)
        .collect()
}
