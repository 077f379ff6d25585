//! What templates can call: Go's built-in functions, sprig's, and Helm's own. One file per family.

mod builtin;
mod cast;
mod certificates;
mod dates;
mod defaults;
mod dicts;
mod encoding;
mod hashes;
mod lists;
mod math;
mod paths;
mod regular;
mod semantic;
mod strings;
mod templates;
mod types;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use encoding::base64;

use crate::eval::Engine;
use crate::eval::Fault;
use crate::value::Entries;
use crate::value::List;
use crate::value::Map;
use crate::value::Value;

/// A function that templates can call.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Param],
    /// The type of further arguments, if it takes any number of them.
    pub(crate) rest: Option<Param>,
    pub(crate) body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// What runs when a function is called. Arguments are checked before.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Pure(fn(&[Value]) -> Result<Value, String>),
    /// Needs the templates, the random stream or the cluster.
    Engine(fn(&mut Engine<'_>, &[Value]) -> Result<Value, Trouble>),
    /// `and` and `or` look at one argument after the other; the flag is the truth that decides.
    Logic(bool),
}

/// Why a function failed.
pub(crate) enum Trouble {
    Message(String),
    /// The chart itself refused.
    Refused(String),
    /// A template that the function ran failed.
    Nested {
        prefix: String,
        fault: Fault,
    },
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Trouble::Message(message)
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Any,
    String,
    Int,
    Float,
    Bool,
    List,
    Map,
}

impl Param {
    /// Go's name of the type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::String => "string",
            Param::Int => "int",
            Param::Float => "float64",
            Param::Bool => "bool",
            Param::List => "[]interface {}",
            Param::Map => "map[string]interface {}",
        }
    }

    pub(crate) fn takes_nil(self) -> bool {
        matches!(self, Param::Any | Param::List | Param::Map)
    }
}

impl Function {
    const fn pure(
        name: &'static str,
        parameters: &'static [Param],
        body: fn(&[Value]) -> Result<Value, String>,
    ) -> Self {
        Function {
            name,
            parameters,
            rest: None,
            body: Body::Pure(body),
        }
    }

    const fn engine(
        name: &'static str,
        parameters: &'static [Param],
        body: fn(&mut Engine<'_>, &[Value]) -> Result<Value, Trouble>,
    ) -> Self {
        Function {
            name,
            parameters,
            rest: None,
            body: Body::Engine(body),
        }
    }

    const fn and_more(mut self, rest: Param) -> Self {
        self.rest = Some(rest);
        self
    }

    pub(crate) fn parameter(&self, position: usize) -> Param {
        self.parameters
            .get(position)
            .copied()
            .or(self.rest)
            .unwrap_or(Param::Any)
    }
}

/// The functions by name.
pub(crate) struct Functions {
    table: BTreeMap<&'static str, &'static Function>,
}

static HELM: LazyLock<Functions> = LazyLock::new(|| {
    // Later families win, as Helm's map of functions does.
    let families: [&'static [Function]; 15] = [
        builtin::FUNCTIONS,
        certificates::FUNCTIONS,
        dates::FUNCTIONS,
        defaults::FUNCTIONS,
        dicts::FUNCTIONS,
        encoding::FUNCTIONS,
        hashes::FUNCTIONS,
        lists::FUNCTIONS,
        math::FUNCTIONS,
        paths::FUNCTIONS,
        regular::FUNCTIONS,
        semantic::FUNCTIONS,
        strings::FUNCTIONS,
        types::FUNCTIONS,
        templates::FUNCTIONS,
    ];
    let table = families
        .into_iter()
        .flatten()
        .map(|function| (function.name, function))
        .collect();
    Functions { table }
});

impl Functions {
    /// The functions that a chart can call.
    pub(crate) fn helm() -> &'static Functions {
        &HELM
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'static Function> {
        self.table.get(name).copied()
    }
}

/// Arguments, read as what their check has shown them to be.
trait Arguments {
    fn text(&self, position: usize) -> &str;
    fn bytes(&self, position: usize) -> &[u8];
    fn int(&self, position: usize) -> i64;
    fn truth(&self, position: usize) -> bool;
    fn float(&self, position: usize) -> f64;
    fn map(&self, position: usize) -> Map;
}

impl Arguments for [Value] {
    fn text(&self, position: usize) -> &str {
        self.get(position).and_then(Value::as_str).unwrap_or_default()
    }

    fn bytes(&self, position: usize) -> &[u8] {
        self.get(position).map(Value::string_bytes).unwrap_or_default()
    }

    fn int(&self, position: usize) -> i64 {
        match self.get(position) {
            Some(Value::Int(number) | Value::Int64(number)) => *number,
            _ => 0,
        }
    }

    fn truth(&self, position: usize) -> bool {
        self.get(position).is_some_and(Value::truth)
    }

    fn float(&self, position: usize) -> f64 {
        match self.get(position) {
            Some(Value::Float(number)) => *number,
            _ => 0.0,
        }
    }

    /// The map, or an empty one for a nil map.
    fn map(&self, position: usize) -> Map {
        match self.get(position) {
            Some(Value::Map(map)) => map.clone(),
            _ => Map::new(Entries::new()),
        }
    }
}

/// The items of anything that is a list.
fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::List(List { items, .. }) => Some(items.to_vec()),
        Value::Bytes(bytes) => Some(bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect()),
        Value::Object(object) => object
            .entries()
            .map(|entries| entries.into_iter().map(|(_, item)| item).collect()),
        _ => None,
    }
}

/// Whole numbers of Go that must index something of ours.
fn length(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Lengths of ours as Go's `int`.
fn count(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}
