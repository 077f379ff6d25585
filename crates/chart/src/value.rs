//! The values of templates. Maps are shared and mutable, as in Go: `set` is seen by everybody who holds the map.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// What a template computes with.
#[derive(Clone, Default)]
pub(crate) enum Value {
    /// Nothing at all: what remains of a nil after it went through a pipeline. Fields of it are again nothing.
    Absent,
    /// A nil in a map, a list or an argument. Fields of it are an error.
    #[default]
    Nil,
    Bool(bool),
    /// Go's `int`: literals, lengths, `int`, `until`.
    Int(i64),
    /// Go's `int64`: arithmetic and `--set`.
    Int64(i64),
    /// Every number that came from YAML or JSON.
    Float(f64),
    String(Rc<str>),
    /// Text that is not UTF-8, such as a binary file of the chart: to Go it is a string like any other.
    Raw(Rc<Raw>),
    Bytes(Rc<[u8]>),
    List(List),
    Map(Map),
    /// One of Helm's own objects, such as `.Files`.
    Object(Rc<dyn Object>),
}

/// A string that is not UTF-8.
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
    /// What it prints as: every broken sequence is a replacement character.
    pub(crate) shown: String,
}

/// What the elements of a list are declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Any,
    String,
    Int,
}

/// An immutable list; functions that change one return a new one.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) element: Element,
    pub(crate) items: Rc<Vec<Value>>,
}

/// What a map is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `map[string]interface {}`
    Any,
    /// Helm's name for a map of values.
    Values,
    /// `map[string]string`
    Strings,
}

pub(crate) type Entries = BTreeMap<Rc<str>, Value>;

/// A shared, mutable map.
#[derive(Clone)]
pub(crate) struct Map {
    sort: Sort,
    entries: Rc<RefCell<Entries>>,
}

/// An object with fields and methods.
pub(crate) trait Object {
    /// The name of its type, as `typeOf` and errors print it.
    fn type_name(&self) -> &str;

    /// The value of a field; `None` if the type has no such field.
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    /// Tells how many arguments a method takes; `None` if the type has no such method.
    fn method(&self, _name: &str) -> Option<usize> {
        None
    }

    /// Calls a method that [`Object::method`] knows.
    fn call(&self, name: &str, _arguments: &[Value]) -> Result<Value, String> {
        Err(format!("{} has no method {name}", self.type_name()))
    }

    /// How it prints.
    fn show(&self) -> String;

    /// What it is as plain data, for `toYaml` and `toJson`.
    fn plain(&self) -> Value {
        Value::from(self.show())
    }

    /// What `range` walks over, if it can be walked.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// Go's name for the kind of type.
    fn kind(&self) -> &'static str {
        "struct"
    }

    /// Itself, for the functions that take this type.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl List {
    pub(crate) fn new(items: Vec<Value>) -> Self {
        List {
            element: Element::Any,
            items: Rc::new(items),
        }
    }

    pub(crate) fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(|item| Value::from(item.as_ref())).collect();
        List {
            element: Element::String,
            items: Rc::new(items),
        }
    }
}

impl Map {
    pub(crate) fn new(entries: Entries) -> Self {
        Map::of(Sort::Any, entries)
    }

    pub(crate) fn of(sort: Sort, entries: Entries) -> Self {
        Map {
            sort,
            entries: Rc::new(RefCell::new(entries)),
        }
    }

    /// The same map under another type.
    pub(crate) fn retyped(&self, sort: Sort) -> Self {
        Map {
            sort,
            entries: Rc::clone(&self.entries),
        }
    }

    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.entries.borrow().contains_key(key)
    }

    pub(crate) fn insert(&self, key: impl Into<Rc<str>>, value: Value) {
        self.entries.borrow_mut().insert(key.into(), value);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.entries.borrow_mut().remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// A copy of the entries as they are now; nested maps stay shared.
    pub(crate) fn snapshot(&self) -> Entries {
        self.entries.borrow().clone()
    }

    /// Reads the entries in place. `read` must not run templates.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Entries) -> T) -> T {
        read(&self.entries.borrow())
    }

    pub(crate) fn is(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }

    /// What a missing key yields.
    pub(crate) fn zero(&self) -> Value {
        match self.sort {
            Sort::Strings => Value::from(""),
            Sort::Any | Sort::Values => Value::Nil,
        }
    }
}

impl Value {
    /// Tells whether this is one of the two nils.
    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Value::Absent | Value::Nil)
    }

    /// Go's truth: zero values and empty collections are false.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Value::Absent | Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) | Value::Int64(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::String(text) => !text.is_empty(),
            Value::Raw(raw) => !raw.bytes.is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => map.len() > 0,
            Value::Object(object) => object.entries().is_none_or(|entries| !entries.is_empty()),
        }
    }

    /// The name of the type, as Go prints it.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Value::Absent | Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Float(_) => "float64",
            Value::String(_) | Value::Raw(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::List(list) => match list.element {
                Element::Any => "[]interface {}",
                Element::String => "[]string",
                Element::Int => "[]int",
            },
            Value::Map(map) => match map.sort() {
                Sort::Any => "map[string]interface {}",
                Sort::Values => "chartutil.Values",
                Sort::Strings => "map[string]string",
            },
            Value::Object(object) => return object.type_name().to_owned(),
        }
        .to_owned()
    }

    /// Go's name for the kind of the type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Absent | Value::Nil => "invalid",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Float(_) => "float64",
            Value::String(_) | Value::Raw(_) => "string",
            Value::Bytes(_) | Value::List(_) => "slice",
            Value::Map(_) => "map",
            Value::Object(object) => object.kind(),
        }
    }

    pub(crate) fn list(items: Vec<Value>) -> Self {
        Value::List(List::new(items))
    }

    pub(crate) fn map(entries: Entries) -> Self {
        Value::Map(Map::new(entries))
    }

    pub(crate) fn object(object: impl Object + 'static) -> Self {
        Value::Object(Rc::new(object))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Raw(raw) => Some(&raw.shown),
            _ => None,
        }
    }

    /// The exact bytes of a string.
    pub(crate) fn string_bytes(&self) -> &[u8] {
        match self {
            Value::String(text) => text.as_bytes(),
            Value::Raw(raw) => &raw.bytes,
            _ => &[],
        }
    }

    /// A string of any bytes.
    pub(crate) fn string(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Value::String(text.into()),
            Err(error) => {
                let bytes = error.into_bytes();
                let shown = String::from_utf8_lossy(&bytes).into_owned();
                Value::Raw(Rc::new(Raw { bytes, shown }))
            }
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.type_name(), crate::format::text(self))
    }
}
