//! Runs templates: Go's evaluation rules over parsed trees, one output string per template.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;

use crate::format;
use crate::funcs::Body;
use crate::funcs::Function;
use crate::funcs::Functions;
use crate::funcs::Param;
use crate::funcs::Trouble;
use crate::parse::ast::Branch;
use crate::parse::ast::Command;
use crate::parse::ast::Invocation;
use crate::parse::ast::Kind;
use crate::parse::ast::Node;
use crate::parse::ast::Number;
use crate::parse::ast::Pipe;
use crate::parse::ast::Position;
use crate::parse::ast::Tree;
use crate::parse::ast::Word;
use crate::parse::parse;
use crate::random::Random;
use crate::render::Lookup;
use crate::value::Element;
use crate::value::Map;
use crate::value::Sort;
use crate::value::Value;

/// Templates nested deeper than this end with an error; Helm itself stops an `include` of the same name at 1000.
const DEPTH: usize = 3_000;

/// What Go prints for a value that is not there. Helm deletes it from every output.
pub(crate) const NO_VALUE: &str = "<no value>";

/// One place in the chain of templates that led to an error.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) file: Rc<str>,
    pub(crate) source: Rc<str>,
    pub(crate) line: usize,
    /// Counted in bytes from 0, as Go counts.
    pub(crate) column: usize,
    pub(crate) template: Rc<str>,
    /// The expression.
    pub(crate) at: String,
    /// What Go puts between this place and the next one, such as `error calling include: `.
    pub(crate) prefix: String,
}

/// Why a template stopped. The outermost frame comes first.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) frames: Vec<Frame>,
    pub(crate) message: String,
    /// Whether the chart itself refused, with `fail` or `required`.
    pub(crate) refused: bool,
}

/// What all templates of one rendering share.
pub(crate) struct Engine<'e> {
    pub(crate) functions: &'e Functions,
    /// The templates by name; later layers are the definitions made inside `tpl`.
    layers: Vec<BTreeMap<Rc<str>, Rc<Tree>>>,
    /// How often each name is being included right now.
    pub(crate) included: BTreeMap<Rc<str>, usize>,
    /// What `tpl` has parsed so far.
    texts: BTreeMap<Rc<str>, Rc<Vec<Rc<Tree>>>>,
    depth: usize,
    pub(crate) random: Random,
    pub(crate) now: jiff::Timestamp,
    pub(crate) lookup: &'e Lookup,
}

/// What the walk over a list of nodes ended with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'e> Engine<'e> {
    pub(crate) fn new(functions: &'e Functions, lookup: &'e Lookup, random: Random, now: jiff::Timestamp) -> Self {
        Engine {
            functions,
            layers: vec![BTreeMap::new()],
            included: BTreeMap::new(),
            texts: BTreeMap::new(),
            depth: 0,
            random,
            now,
            lookup,
        }
    }

    /// Adds a template. A body that is empty does not replace one that is not.
    pub(crate) fn define(&mut self, tree: Rc<Tree>) {
        let replaces = !tree.is_empty() || self.find(&tree.name).is_none_or(|known| known.is_empty());
        if replaces {
            let layer = self.layers.last_mut().expect("the first layer is never taken away");
            layer.insert(Rc::clone(&tree.name), tree);
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Rc<Tree>> {
        self.layers.iter().rev().find_map(|layer| layer.get(name))
    }

    /// Runs a template by name.
    pub(crate) fn execute(&mut self, name: &str, data: &Value, out: &mut String) -> Result<(), Trouble> {
        let Some(tree) = self.find(name).cloned() else {
            return Err(Trouble::Message(format!(
                "template: no template {name:?} associated with template \"gotpl\""
            )));
        };
        self.run(&tree, data, out).map_err(|fault| Trouble::Nested {
            prefix: String::new(),
            fault,
        })
    }

    /// Parses and runs a text whose definitions only it can see.
    pub(crate) fn text(&mut self, text: &Rc<str>, data: &Value, out: &mut String) -> Result<(), Trouble> {
        let trees = if let Some(trees) = self.texts.get(text) {
            Rc::clone(trees)
        } else {
            let trees = parse("gotpl", text, self.functions).map_err(|error| {
                let message = format!("template: {}:{}: {}", error.file, error.line, error.message);
                Trouble::Message(format!("cannot parse template {}: {message}", format::quote(text)))
            })?;
            let trees = Rc::new(trees.into_iter().map(Rc::new).collect::<Vec<_>>());
            self.texts.insert(Rc::clone(text), Rc::clone(&trees));
            trees
        };
        self.layers.push(BTreeMap::new());
        for tree in trees.iter().skip(1) {
            self.define(Rc::clone(tree));
        }
        let outcome = self.run(&trees[0], data, out);
        self.layers.pop();
        outcome.map_err(|fault| {
            let prefix = format!("error during tpl function execution for {}: ", format::quote(text));
            Trouble::Nested { prefix, fault }
        })
    }

    fn run(&mut self, tree: &Tree, data: &Value, out: &mut String) -> Result<(), Fault> {
        let mut execution = Execution {
            tree,
            variables: vec![("$".into(), data.clone())],
            at: At {
                position: 0,
                shown: None,
            },
            engine: self,
        };
        if execution.engine.depth > DEPTH {
            return Err(execution.fault("exceeded maximum template depth".to_owned()));
        }
        execution.engine.depth += 1;
        let outcome = execution.walk(data, &tree.root, out);
        self.depth -= 1;
        outcome.map(|_| ())
    }
}

/// The node that an error would be about.
#[derive(Clone, Copy)]
struct At<'t> {
    position: Position,
    shown: Option<&'t dyn Display>,
}

/// One template being run.
struct Execution<'a, 'e, 't> {
    engine: &'a mut Engine<'e>,
    tree: &'t Tree,
    variables: Vec<(Rc<str>, Value)>,
    at: At<'t>,
}

impl<'t> Execution<'_, '_, 't> {
    fn fault(&self, message: String) -> Fault {
        Fault {
            frames: vec![self.frame(String::new())],
            message,
            refused: false,
        }
    }

    fn frame(&self, prefix: String) -> Frame {
        let offset = usize::try_from(self.at.position)
            .unwrap_or(usize::MAX)
            .min(self.tree.source.len());
        let before = &self.tree.source[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Frame {
            file: Rc::clone(&self.tree.file),
            source: Rc::clone(&self.tree.source),
            line: 1 + before.matches('\n').count(),
            column: offset - line_start,
            template: Rc::clone(&self.tree.name),
            at: self.at.shown.map(ToString::to_string).unwrap_or_default(),
            prefix,
        }
    }

    /// An error that a function returned.
    fn trouble(&self, name: &str, trouble: Trouble) -> Fault {
        match trouble {
            Trouble::Message(message) => self.fault(format!("error calling {name}: {message}")),
            Trouble::Refused(message) => Fault {
                frames: vec![self.frame(format!("error calling {name}: "))],
                message,
                refused: true,
            },
            Trouble::Nested { prefix, mut fault } => {
                fault
                    .frames
                    .insert(0, self.frame(format!("error calling {name}: {prefix}")));
                fault
            }
        }
    }

    fn look_at(&mut self, position: Position, shown: &'t dyn Display) {
        self.at = At {
            position,
            shown: Some(shown),
        };
    }

    fn walk(&mut self, dot: &Value, nodes: &'t [Node], out: &mut String) -> Result<Flow, Fault> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.targets.is_empty() {
                        print(&value, out);
                    }
                }
                Node::If(branch) => {
                    let flow = self.branch(dot, branch, false, out)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                Node::With(branch) => {
                    let flow = self.branch(dot, branch, true, out)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => {
                    let flow = self.range(dot, branch, out)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                Node::Template {
                    position,
                    name,
                    argument,
                } => {
                    self.template(dot, *position, name, argument.as_ref(), out)?;
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, dot: &Value, branch: &'t Branch, rebinds: bool, out: &mut String) -> Result<Flow, Fault> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.truth() {
            self.walk(if rebinds { &value } else { dot }, &branch.body, out)?
        } else if let Some(otherwise) = &branch.otherwise {
            self.walk(dot, otherwise, out)?
        } else {
            Flow::Next
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch, out: &mut String) -> Result<Flow, Fault> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let entries = match &value {
            Value::Absent | Value::Nil => Vec::new(),
            Value::Int(count) | Value::Int64(count) => {
                if branch.pipe.targets.len() > 1 {
                    return Err(self.fault(format!("can't use {count} to iterate over more than one variable")));
                }
                let whole = matches!(value, Value::Int(_));
                let flow = self.count(*count, whole, branch, out)?;
                if *count > 0 {
                    self.variables.truncate(known);
                    return Ok(flow);
                }
                Vec::new()
            }
            Value::List(list) => {
                let mut position = 0;
                list.items
                    .iter()
                    .map(|item| {
                        position += 1;
                        (Value::Int(position - 1), item.clone())
                    })
                    .collect()
            }
            Value::Map(map) => map
                .snapshot()
                .into_iter()
                .map(|(key, item)| (Value::String(key), item))
                .collect(),
            Value::Object(object) => match object.entries() {
                Some(entries) => entries,
                None => return Err(self.fault(format!("range can't iterate over {}", object.show()))),
            },
            _ => return Err(self.fault(format!("range can't iterate over {}", format::text(&value)))),
        };
        let mut flow = Flow::Next;
        if let (true, Some(otherwise)) = (entries.is_empty(), &branch.otherwise) {
            flow = self.walk(dot, otherwise, out)?;
        }
        for (key, item) in entries {
            if self.iteration(branch, key, &item, out)? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(flow)
    }

    fn count(&mut self, count: i64, whole: bool, branch: &'t Branch, out: &mut String) -> Result<Flow, Fault> {
        for number in 0..count {
            let item = if whole {
                Value::Int(number)
            } else {
                Value::Int64(number)
            };
            if self.iteration(branch, Value::Absent, &item, out)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn iteration(&mut self, branch: &'t Branch, key: Value, item: &Value, out: &mut String) -> Result<Flow, Fault> {
        let known = self.variables.len();
        let targets = &branch.pipe.targets;
        match targets.as_slice() {
            [] => {}
            [one] if branch.pipe.assigns => self.assign(one, item.clone()),
            [first, second, ..] if branch.pipe.assigns => {
                self.assign(first, key);
                self.assign(second, item.clone());
            }
            [_] => self.variables[known - 1].1 = item.clone(),
            [..] => {
                self.variables[known - 2].1 = key;
                self.variables[known - 1].1 = item.clone();
            }
        }
        let flow = self.walk(item, &branch.body, out)?;
        self.variables.truncate(known);
        Ok(flow)
    }

    fn template(
        &mut self,
        dot: &Value,
        position: Position,
        name: &str,
        argument: Option<&'t Pipe>,
        out: &mut String,
    ) -> Result<(), Fault> {
        let invocation = Invocation { name, argument };
        let Some(tree) = self.engine.find(name).cloned() else {
            let mut frame = self.frame(String::new());
            let mut marked = At { position, shown: None };
            std::mem::swap(&mut self.at, &mut marked);
            let here = self.frame(String::new());
            (frame.line, frame.column, frame.at) = (here.line, here.column, invocation.to_string());
            let message = format!("template {name:?} not defined");
            return Err(Fault {
                frames: vec![frame],
                message,
                refused: false,
            });
        };
        let data = match argument {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Absent,
        };
        self.engine.run(&tree, &data, out)
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Result<Value, Fault> {
        self.look_at(pipe.position, pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(match self.command(dot, command, value)? {
                Value::Nil => Value::Absent,
                value => value,
            });
        }
        let value = value.unwrap_or(Value::Absent);
        for target in &pipe.targets {
            if pipe.assigns {
                self.assign(target, value.clone());
            } else {
                self.variables.push((Rc::clone(target), value.clone()));
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some(variable) = self.variables.iter_mut().rev().find(|variable| *variable.0 == *name) {
            variable.1 = value;
        }
    }

    fn variable(&self, name: &str) -> Value {
        let found = self.variables.iter().rev().find(|variable| *variable.0 == *name);
        found.map_or(Value::Absent, |variable| variable.1.clone())
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Result<Value, Fault> {
        let (first, arguments) = command.words.split_first().expect("a command has at least one word");
        match &first.kind {
            Kind::Field(_) | Kind::Variable { .. } | Kind::Chain { .. } => self.access(dot, first, arguments, last),
            Kind::Function(function) => {
                self.look_at(first.position, first);
                self.call(dot, function, (command.position, command), arguments, last)
            }
            Kind::Pipe(pipe) => {
                self.not_a_function(first, arguments, last.as_ref())?;
                self.pipeline(dot, pipe)
            }
            kind => {
                self.look_at(first.position, first);
                self.not_a_function(first, arguments, last.as_ref())?;
                match kind {
                    Kind::Dot => Ok(dot.clone()),
                    Kind::Bool(truth) => Ok(Value::Bool(*truth)),
                    Kind::Number { text, number } => self.constant(text, *number),
                    Kind::String { text, .. } => Ok(Value::String(Rc::clone(text))),
                    _ => Err(self.fault("nil is not a command".to_owned())),
                }
            }
        }
    }

    fn not_a_function(&self, first: &Word, arguments: &[Word], last: Option<&Value>) -> Result<(), Fault> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        let shown = match &first.kind {
            Kind::Pipe(pipe) => pipe.to_string(),
            _ => first.to_string(),
        };
        Err(self.fault(format!("can't give argument to non-function {shown}")))
    }

    /// A constant where no type is asked for.
    fn constant(&self, text: &str, number: Number) -> Result<Value, Fault> {
        match number {
            Number {
                fractional: true,
                float: Some(float),
                ..
            } => Ok(Value::Float(float)),
            Number { int: Some(int), .. } => Ok(Value::Int(int)),
            Number { uint: Some(_), .. } => Err(self.fault(format!("{text} overflows int"))),
            Number { float, .. } => Ok(Value::Float(float.unwrap_or_default())),
        }
    }

    /// Fields and variables, with the arguments that their last name may take as a method.
    fn access(
        &mut self,
        dot: &Value,
        word: &'t Word,
        arguments: &'t [Word],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        self.look_at(word.position, word);
        match &word.kind {
            Kind::Field(fields) => self.fields(dot, dot.clone(), word, fields, arguments, last),
            Kind::Variable { name, fields } => {
                let value = self.variable(name);
                if fields.is_empty() {
                    self.not_a_function(word, arguments, last.as_ref())?;
                    return Ok(value);
                }
                self.fields(dot, value, word, fields, arguments, last)
            }
            Kind::Chain { base, fields } => {
                if matches!(base.kind, Kind::Nil) {
                    return Err(self.fault(format!("indirection through explicit nil in {word}")));
                }
                let value = self.argument(dot, base, Param::Any)?;
                // An argument that is nil was unwrapped on its way here.
                let value = if value.is_nil() { Value::Absent } else { value };
                self.fields(dot, value, word, fields, arguments, last)
            }
            _ => Ok(Value::Absent),
        }
    }

    fn fields(
        &mut self,
        dot: &Value,
        mut receiver: Value,
        word: &'t Word,
        fields: &'t [Rc<str>],
        arguments: &'t [Word],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Some((end, path)) = fields.split_last() else {
            return Ok(receiver);
        };
        for name in path {
            receiver = self.field(dot, &receiver, word, name, &[], None)?;
        }
        self.field(dot, &receiver, word, end, arguments, last)
    }

    fn field(
        &mut self,
        dot: &Value,
        receiver: &Value,
        word: &'t Word,
        name: &str,
        arguments: &'t [Word],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let has_arguments = !arguments.is_empty() || last.is_some();
        match receiver {
            Value::Absent => Ok(Value::Absent),
            Value::Nil => Err(self.fault(format!("nil pointer evaluating interface {{}}.{name}"))),
            Value::Map(map) => {
                if map.sort() == Sort::Values
                    && let Some(count) = values_method(name)
                {
                    let arguments = self.method_arguments(dot, name, count, arguments, last)?;
                    return call_values(map, name, &arguments).map_err(|message| {
                        self.look_at(word.position, word);
                        self.fault(format!("error calling {name}: {message}"))
                    });
                }
                if has_arguments {
                    return Err(self.fault(format!("{name} is not a method but has arguments")));
                }
                Ok(map.get(name).unwrap_or_else(|| map.zero()))
            }
            Value::Object(object) => {
                if let Some(count) = object.method(name) {
                    let arguments = self.method_arguments(dot, name, count, arguments, last)?;
                    return object.call(name, &arguments).map_err(|message| {
                        self.look_at(word.position, word);
                        self.fault(format!("error calling {name}: {message}"))
                    });
                }
                match object.field(name) {
                    Some(_) if has_arguments => {
                        Err(self.fault(format!("{name} has arguments but cannot be invoked as function")))
                    }
                    Some(value) => Ok(value),
                    None => Err(self.fault(format!("can't evaluate field {name} in type {}", object.type_name()))),
                }
            }
            _ => Err(self.fault(format!("can't evaluate field {name} in type {}", receiver.type_name()))),
        }
    }

    /// The arguments of a method. All methods of Helm's objects take text.
    fn method_arguments(
        &mut self,
        dot: &Value,
        name: &str,
        count: usize,
        words: &'t [Word],
        last: Option<Value>,
    ) -> Result<Vec<Value>, Fault> {
        let given = words.len() + usize::from(last.is_some());
        if given != count {
            return Err(self.fault(format!("wrong number of args for {name}: want {count} got {given}")));
        }
        let mut values = Vec::with_capacity(given);
        for word in words {
            values.push(self.argument(dot, word, Param::String)?);
        }
        if let Some(last) = last {
            values.push(self.fit(last, Param::String)?);
        }
        Ok(values)
    }

    fn call(
        &mut self,
        dot: &Value,
        function: &'static Function,
        node: (Position, &'t dyn Display),
        words: &'t [Word],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let given = words.len() + usize::from(last.is_some());
        let fixed = function.parameters.len();
        if function.rest.is_some() && given < fixed {
            let shown = words.len();
            let message = format!(
                "wrong number of args for {}: want at least {fixed} got {shown}",
                function.name
            );
            return Err(self.fault(message));
        }
        if function.rest.is_none() && given != fixed {
            return Err(self.fault(format!(
                "wrong number of args for {}: want {fixed} got {given}",
                function.name
            )));
        }
        if let Body::Logic(decides) = function.body {
            return self.logic(dot, decides, words, last);
        }
        let mut arguments = Vec::with_capacity(given);
        for (position, word) in words.iter().enumerate() {
            let argument = self.argument(dot, word, function.parameter(position))?;
            arguments.push(argument);
        }
        if let Some(last) = last {
            let last = self.fit(last, function.parameter(words.len()))?;
            arguments.push(last);
        }
        let outcome = match function.body {
            Body::Pure(body) => body(&arguments).map_err(Trouble::Message),
            Body::Engine(body) => body(self.engine, &arguments),
            Body::Logic(_) => Ok(Value::Nil),
        };
        outcome.map_err(|trouble| {
            self.look_at(node.0, node.1);
            self.trouble(function.name, trouble)
        })
    }

    /// `and` and `or`: the operand that decides, or the last one.
    fn logic(&mut self, dot: &Value, decides: bool, words: &'t [Word], last: Option<Value>) -> Result<Value, Fault> {
        let mut value = Value::Nil;
        for word in words {
            value = self.argument(dot, word, Param::Any)?;
            if value.truth() == decides {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Value, word: &'t Word, param: Param) -> Result<Value, Fault> {
        self.look_at(word.position, word);
        let value = match &word.kind {
            Kind::Dot => dot.clone(),
            Kind::Nil => {
                if param.takes_nil() {
                    return Ok(Value::Nil);
                }
                return Err(self.fault(format!("cannot assign nil to {}", param.name())));
            }
            Kind::Field(_) | Kind::Variable { .. } | Kind::Chain { .. } => self.access(dot, word, &[], None)?,
            Kind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            Kind::Function(function) => self.call(dot, function, (word.position, word), &[], None)?,
            Kind::Bool(_) | Kind::Number { .. } | Kind::String { .. } => return self.literal(word, param),
        };
        self.fit(value, param)
    }

    /// A constant takes the type that is asked for, if it can.
    fn literal(&self, word: &Word, param: Param) -> Result<Value, Fault> {
        let value = match (&word.kind, param) {
            (Kind::String { text, .. }, Param::String | Param::Any) => Some(Value::String(Rc::clone(text))),
            (Kind::Bool(truth), Param::Bool | Param::Any) => Some(Value::Bool(*truth)),
            (Kind::Number { text, number }, Param::Any) => return self.constant(text, *number),
            (Kind::Number { number, .. }, Param::Int) => number.int.map(Value::Int),
            (Kind::Number { number, .. }, Param::Float) => number.float.map(Value::Float),
            _ => None,
        };
        value.ok_or_else(|| match param {
            Param::String => self.fault(format!("expected string; found {word}")),
            Param::Bool => self.fault(format!("expected bool; found {word}")),
            Param::Int => self.fault(format!("expected integer; found {word}")),
            Param::Float => self.fault(format!("expected float; found {word}")),
            _ => self.fault(format!("can't handle {word} for arg of type {}", param.name())),
        })
    }

    /// Checks a value against the type of a parameter.
    fn fit(&self, value: Value, param: Param) -> Result<Value, Fault> {
        let fits = match (param, &value) {
            (Param::Any, Value::Absent) => return Ok(Value::Nil),
            (Param::Any, _)
            | (Param::String, Value::String(_) | Value::Raw(_))
            | (Param::Int, Value::Int(_))
            | (Param::Bool, Value::Bool(_))
            | (Param::Float, Value::Float(_)) => true,
            (Param::Map, Value::Map(map)) => map.sort() != Sort::Strings,
            (Param::List, Value::List(list)) => list.element == Element::Any,
            (_, Value::Absent) if param.takes_nil() => return Ok(Value::Nil),
            (_, Value::Absent) => {
                return Err(self.fault(format!("invalid value; expected {}", param.name())));
            }
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let got = if value.is_nil() {
            "interface {}".to_owned()
        } else {
            value.type_name()
        };
        Err(self.fault(format!("wrong type for value; expected {}; got {got}", param.name())))
    }
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Absent | Value::Nil => out.push_str(NO_VALUE),
        _ => format::write(value, out),
    }
}

/// How many arguments a method of Helm's map of values takes.
fn values_method(name: &str) -> Option<usize> {
    match name {
        "AsMap" | "YAML" => Some(0),
        "Table" | "PathValue" => Some(1),
        _ => None,
    }
}

fn call_values(map: &Map, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match name {
        "AsMap" => Ok(Value::Map(map.retyped(Sort::Any))),
        "YAML" => Ok(Value::from(tubectl_yaml::emit(&crate::convert::to_yaml(&Value::Map(
            map.clone(),
        ))?))),
        _ => {
            let path = arguments.first().and_then(Value::as_str).unwrap_or_default();
            let mut value = Value::Map(map.clone());
            for key in path.split('.') {
                let next = value.as_map().and_then(|map| map.get(key));
                value = next
                    .ok_or_else(|| format!("{path:?} is not a {}", if name == "Table" { "table" } else { "value" }))?;
            }
            match (&value, name) {
                (Value::Map(table), "Table") => Ok(Value::Map(table.retyped(Sort::Values))),
                (_, "Table") => Err(format!("{path:?} is not a table")),
                (Value::Map(_), _) => Err(format!("{path:?} is not a value")),
                _ => Ok(value),
            }
        }
    }
}
