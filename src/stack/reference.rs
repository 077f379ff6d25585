//! References: `${var.x}` anywhere, `${block.output}` in the values of charts and workloads, nothing more.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::closest;
use crate::resource::id::ResourceId;
use crate::stack::blocks::Output;
use crate::stack::blocks::fixed_outputs;
use crate::stack::declare::Reader;
use crate::stack::declare::listed;
use crate::stack::file::Content;
use crate::stack::file::Key;
use crate::stack::file::Node;

const OPEN: &str = "${";

/// Before an opening: that one is text.
const ESCAPE: char = '$';

/// What references of a file can mean.
#[derive(Clone, Debug)]
pub struct Scope {
    variables: BTreeMap<String, String>,
    /// What each block of the file gives.
    outputs: BTreeMap<String, BTreeSet<String>>,
}

/// Where a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// In the values of a chart or workload.
    Values,
    /// Anywhere else.
    Elsewhere,
}

impl Scope {
    /// The scope of a file with these variables.
    pub fn of(tree: &Node, variables: BTreeMap<String, String>) -> Self {
        let blocks = tree.get("blocks").map(Node::entries).unwrap_or_default();
        let outputs = blocks
            .iter()
            .map(|(key, block)| (key.text.clone(), outputs(&key.text, block)));
        Self {
            variables,
            outputs: outputs.collect(),
        }
    }

    /// Fills in every variable, and reports every reference to nothing. Outputs of blocks stay.
    pub fn fill(&self, reader: &Reader<'_>, tree: &mut Node) {
        for (key, node) in entries_mut(tree) {
            match key.text.as_str() {
                "variables" | "stack" => refuse(reader, node),
                "charts" | "workloads" => entries_mut(node).for_each(|(_, release)| self.fill_release(reader, release)),
                _ => self.fill_node(reader, node, Position::Elsewhere),
            }
        }
    }

    fn fill_release(&self, reader: &Reader<'_>, release: &mut Node) {
        for (key, node) in entries_mut(release) {
            let position = match key.text.as_str() {
                "values" => Position::Values,
                _ => Position::Elsewhere,
            };
            self.fill_node(reader, node, position);
        }
    }

    fn fill_node(&self, reader: &Reader<'_>, node: &mut Node, position: Position) {
        let at = node.at;
        match &mut node.content {
            Content::List(items) => items.iter_mut().for_each(|item| self.fill_node(reader, item, position)),
            Content::Map(entries) => entries
                .iter_mut()
                .for_each(|(_, value)| self.fill_node(reader, value, position)),
            Content::Text(text) if text.contains(OPEN) => match self.fill_text(text, position) {
                Ok(filled) => {
                    *text = filled;
                    node.referred = true;
                }
                Err(mistakes) => {
                    for (message, hint) in mistakes {
                        reader.report(at, message, Some(hint));
                    }
                    node.content = Content::Broken;
                }
            },
            _ => {}
        }
    }

    /// The text with its variables filled in, or what is wrong with each reference and what to do.
    fn fill_text(&self, text: &str, position: Position) -> Result<String, Vec<(String, String)>> {
        let mut filled = String::new();
        let mut mistakes = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(OPEN) {
            let (before, inner) = (&rest[..open], &rest[open + OPEN.len()..]);
            if let Some(before) = before.strip_suffix(ESCAPE) {
                filled.push_str(before);
                filled.push_str(OPEN);
                rest = inner;
                continue;
            }
            filled.push_str(before);
            let Some(close) = inner.find('}') else {
                mistakes.push((
                    "this reference does not end".to_owned(),
                    "close it with `}`; `$${` stands for the two characters themselves".to_owned(),
                ));
                return Err(mistakes);
            };
            match self.meaning(&inner[..close], position) {
                Ok(value) => filled.push_str(&value),
                Err(mistake) => mistakes.push(mistake),
            }
            rest = &inner[close + 1..];
        }
        filled.push_str(rest);
        if mistakes.is_empty() { Ok(filled) } else { Err(mistakes) }
    }

    fn meaning(&self, reference: &str, position: Position) -> Result<String, (String, String)> {
        let Some((of, name)) = reference.split_once('.') else {
            let message = format!("`${{{reference}}}` is no reference");
            return Err((message, "write `${var.name}` or `${block.output}`".to_owned()));
        };
        if of == "var" {
            let near = || did_you_mean(name, self.variables.keys(), "declare it under `variables`");
            let value = self.variables.get(name);
            return value
                .cloned()
                .ok_or_else(|| (format!("there is no variable `{name}`"), near()));
        }
        let Some(outputs) = self.outputs.get(of) else {
            let near = did_you_mean(
                of,
                self.outputs.keys(),
                "references are `${var.name}` and `${block.output}`",
            );
            return Err((format!("this stack has no block `{of}`"), near));
        };
        if position == Position::Elsewhere {
            let message = format!("`${{{reference}}}` cannot stand here");
            let hint = "only values of charts and workloads refer to blocks; blocks find each other by themselves";
            return Err((message, hint.to_owned()));
        }
        if !outputs.contains(name) {
            let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
            let all = match names.as_slice() {
                [] => "it gives nothing".to_owned(),
                names => format!("it gives {}", listed(names)),
            };
            return Err((
                format!("`{of}` does not give `{name}`"),
                did_you_mean(name, outputs, &all),
            ));
        }
        Ok(format!("{OPEN}{reference}}}"))
    }
}

/// Values with every output filled in, and the resources that must be there first.
pub fn resolve(value: &Value, outputs: &BTreeMap<String, Output>) -> (Value, BTreeSet<ResourceId>) {
    let mut needs = BTreeSet::new();
    let value = resolve_into(value, outputs, &mut needs);
    (value, needs)
}

fn resolve_into(value: &Value, outputs: &BTreeMap<String, Output>, needs: &mut BTreeSet<ResourceId>) -> Value {
    match value {
        Value::String(text) => {
            let mut resolved = text.clone();
            for (reference, output) in outputs {
                let reference = format!("{OPEN}{reference}}}");
                if resolved.contains(&reference) {
                    resolved = resolved.replace(&reference, &output.value);
                    needs.insert(output.resource.clone());
                }
            }
            Value::String(resolved)
        }
        Value::Array(items) => items.iter().map(|item| resolve_into(item, outputs, needs)).collect(),
        Value::Object(fields) => {
            let mut resolve = |(name, value): (&String, &Value)| (name.clone(), resolve_into(value, outputs, needs));
            Value::Object(fields.iter().map(&mut resolve).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A variable cannot refer to another, and the name is what everything else derives from.
fn refuse(reader: &Reader<'_>, node: &mut Node) {
    match &mut node.content {
        Content::Map(entries) => entries.iter_mut().for_each(|(_, value)| refuse(reader, value)),
        Content::Text(text) if text.contains(OPEN) => {
            let hint = "write the value itself".to_owned();
            reader.report(node.at, "nothing can be referred to here", Some(hint));
            node.content = Content::Broken;
        }
        _ => {}
    }
}

/// What a block gives, by its kind and by what it names itself.
fn outputs(block: &str, node: &Node) -> BTreeSet<String> {
    let texts = |key: &str| -> BTreeSet<String> {
        match node.get(key).map(|node| &node.content) {
            Some(Content::List(items)) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        }
    };
    match block {
        "buckets" => texts("names"),
        "registry" => texts("repositories"),
        "images" => node.entries().iter().map(|(key, _)| key.text.clone()).collect(),
        _ => fixed_outputs(block).iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn entries_mut(node: &mut Node) -> impl Iterator<Item = &mut (Key, Node)> {
    let entries = match &mut node.content {
        Content::Map(entries) => entries.as_mut_slice(),
        _ => &mut [],
    };
    entries.iter_mut()
}

fn did_you_mean<'a>(word: &str, words: impl IntoIterator<Item = &'a String>, otherwise: &str) -> String {
    match closest(word, words.into_iter().map(String::as_str)) {
        Some(closest) => format!("did you mean `{closest}`?"),
        None => otherwise.to_owned(),
    }
}
