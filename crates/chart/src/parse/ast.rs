//! The tree of a template. Every expression prints as Go prints it, because error messages quote it.

use std::fmt;
use std::rc::Rc;

use crate::funcs::Function;

/// A byte offset into the source.
pub(crate) type Position = u32;

/// One template: a file's body, or one `define`.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The name it is included by.
    pub(crate) name: Rc<str>,
    /// The file it stands in, and that file's text: what positions refer to.
    pub(crate) file: Rc<str>,
    pub(crate) source: Rc<str>,
    pub(crate) root: Vec<Node>,
}

impl Tree {
    /// Tells whether the body consists of nothing but white space.
    pub(crate) fn is_empty(&self) -> bool {
        self.root
            .iter()
            .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Text(Box<str>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        position: Position,
        name: Rc<str>,
        argument: Option<Pipe>,
    },
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Option<Vec<Node>>,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) position: Position,
    /// The variables on the left of `:=` or `=`.
    pub(crate) targets: Vec<Rc<str>>,
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) position: Position,
    /// Never empty.
    pub(crate) words: Vec<Word>,
}

#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) position: Position,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Dot,
    Nil,
    Bool(bool),
    Number { text: Box<str>, number: Number },
    String { quoted: Box<str>, text: Rc<str> },
    Field(Vec<Rc<str>>),
    Variable { name: Rc<str>, fields: Vec<Rc<str>> },
    Function(&'static Function),
    Chain { base: Box<Word>, fields: Vec<Rc<str>> },
    Pipe(Pipe),
}

/// A numeric constant, with every type it can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    /// Written with a point or an exponent.
    pub(crate) fractional: bool,
}

impl fmt::Display for Pipe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.targets.is_empty() {
            write!(
                out,
                "{} {} ",
                self.targets.join(", "),
                if self.assigns { "=" } else { ":=" }
            )?;
        }
        separated(out, &self.commands, " | ")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, word) in self.words.iter().enumerate() {
            if position > 0 {
                out.write_str(" ")?;
            }
            match &word.kind {
                Kind::Pipe(pipe) => write!(out, "({pipe})")?,
                _ => write!(out, "{word}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dot => out.write_str("."),
            Kind::Nil => out.write_str("nil"),
            Kind::Bool(truth) => write!(out, "{truth}"),
            Kind::Number { text, .. } => out.write_str(text),
            Kind::String { quoted, .. } => out.write_str(quoted),
            Kind::Field(fields) => dotted(out, fields),
            Kind::Variable { name, fields } => {
                out.write_str(name)?;
                dotted(out, fields)
            }
            Kind::Function(function) => out.write_str(function.name),
            Kind::Chain { base, fields } => {
                match &base.kind {
                    Kind::Pipe(pipe) => write!(out, "({pipe})")?,
                    _ => write!(out, "{base}")?,
                }
                dotted(out, fields)
            }
            Kind::Pipe(pipe) => write!(out, "{pipe}"),
        }
    }
}

/// A template call, as errors about it quote it.
pub(crate) struct Invocation<'a> {
    pub(crate) name: &'a str,
    pub(crate) argument: Option<&'a Pipe>,
}

impl fmt::Display for Invocation<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{{{{template {:?}", self.name)?;
        if let Some(argument) = self.argument {
            write!(out, " {argument}")?;
        }
        out.write_str("}}")
    }
}

fn dotted(out: &mut fmt::Formatter<'_>, fields: &[Rc<str>]) -> fmt::Result {
    for field in fields {
        write!(out, ".{field}")?;
    }
    Ok(())
}

fn separated(out: &mut fmt::Formatter<'_>, parts: &[Command], separator: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            out.write_str(separator)?;
        }
        write!(out, "{part}")?;
    }
    Ok(())
}
