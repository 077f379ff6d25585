//! KEDA's scaling formulas: parse, check, evaluate.
//!
//! A `ScaledObject` may combine its triggers with a formula such as `running + waiting * 10`. KEDA compiles it with
//! the expr language and reads the result as a float. [`Formula`] reads the numeric part of that language: numbers,
//! booleans, arrays, every operator on them with expr's precedence, and expr's numeric functions. It finds before a
//! cluster does what KEDA would refuse or fail on: a name no trigger has, a function that is not there, a result that
//! is no float.
//!
//! It never reads anything but its arguments: no environment, no clock. Text, maps and dates of the expr language have
//! no use in a formula over numbers and are refused by name.

mod check;
mod evaluate;
mod function;
mod lexer;
mod parser;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub use check::Problem;
pub use check::ProblemKind;
pub use evaluate::EvaluationError;
pub use lexer::Position;
pub use parser::SyntaxError;

use tree::Node;

/// A formula that parses.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    source: String,
    root: Node,
}

impl Formula {
    /// Reads a formula, or says where it stops making sense.
    pub fn parse(source: &str) -> Result<Self, SyntaxError> {
        Ok(Self {
            source: source.to_owned(),
            root: parser::parse(source)?,
        })
    }

    /// The text the formula was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names the formula takes values from.
    pub fn variables(&self) -> BTreeSet<&str> {
        check::variables(&self.root)
    }

    /// Every reason why KEDA would refuse the formula, or fail on it, when its triggers have these names.
    pub fn check<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
        check::check(&self.root, &names.into_iter().collect())
    }

    /// The formula's value for these values of its triggers.
    pub fn evaluate(&self, values: &BTreeMap<String, f64>) -> Result<f64, EvaluationError> {
        evaluate::evaluate(&self.root, values)
    }
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
