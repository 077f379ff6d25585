//! What is wrong with a formula before it has any values.

use std::collections::BTreeSet;
use std::fmt;

use crate::function;
use crate::function::Function;
use crate::lexer::Position;
use crate::tree::Binary;
use crate::tree::Expression;
use crate::tree::Node;
use crate::tree::Pointer;
use crate::tree::Unary;
use crate::value::Kind;

/// One reason why KEDA would refuse a formula, or fail on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the formula.
    pub at: Position,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a part of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A name that no trigger has.
    UnknownVariable {
        /// The name.
        name: String,
        /// The trigger whose name is most like it.
        closest: Option<String>,
    },
    /// A function that the language does not have.
    UnknownFunction {
        /// The name.
        name: String,
        /// The function whose name is most like it.
        closest: Option<String>,
    },
    /// An operator or function that cannot work on what it is given.
    Mismatch {
        /// What it is, and what it is given.
        what: String,
    },
    /// A result that is no float.
    NotFloat {
        /// What it is.
        found: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        let did_you_mean = |f: &mut fmt::Formatter<'_>, closest: &Option<String>| match closest {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        };
        match &self.kind {
            ProblemKind::UnknownVariable { name, closest } => {
                write!(f, "no trigger is named `{name}`")?;
                did_you_mean(f, closest)
            }
            ProblemKind::UnknownFunction { name, closest } => {
                write!(f, "there is no function `{name}`")?;
                did_you_mean(f, closest)
            }
            ProblemKind::Mismatch { what } => f.write_str(what),
            ProblemKind::NotFloat { found } => {
                write!(
                    f,
                    "this gives {found}, and KEDA takes nothing but a float; wrap it in `float(..)`"
                )
            }
        }
    }
}

pub(crate) fn variables(root: &Node) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    collect(root, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(node: &'a Node, locals: &mut Vec<&'a str>, found: &mut BTreeSet<&'a str>) {
    match &node.expression {
        Expression::Literal(_) | Expression::Pointer(_) => {}
        Expression::Name(name) => {
            if !locals.contains(&name.as_str()) {
                found.insert(name);
            }
        }
        Expression::Array(nodes) | Expression::Call(_, nodes) | Expression::UnknownCall(_, nodes) => {
            for node in nodes {
                collect(node, locals, found);
            }
        }
        Expression::Unary(_, operand) => collect(operand, locals, found),
        Expression::Index(left, right) | Expression::Binary(_, left, right) => {
            collect(left, locals, found);
            collect(right, locals, found);
        }
        Expression::Conditional(condition, yes, no) => {
            for node in [condition, yes, no] {
                collect(node, locals, found);
            }
        }
        Expression::Let(name, value, rest) => {
            collect(value, locals, found);
            locals.push(name);
            collect(rest, locals, found);
            locals.pop();
        }
    }
}

pub(crate) fn check(root: &Node, names: &BTreeSet<&str>) -> Vec<Problem> {
    let mut checker = Checker {
        names,
        locals: Vec::new(),
        problems: Vec::new(),
    };
    checker.result(root);
    checker.problems.sort_by_key(|problem| problem.at);
    checker.problems
}

struct Checker<'a> {
    names: &'a BTreeSet<&'a str>,
    locals: Vec<(String, Kind)>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    /// Checks what a formula can result in: each branch on its own, since each is what KEDA may get.
    fn result(&mut self, node: &Node) {
        match &node.expression {
            Expression::Conditional(condition, yes, no) => {
                self.condition(condition);
                self.result(yes);
                self.result(no);
            }
            Expression::Let(name, value, rest) => {
                let kind = self.kind(value);
                self.locals.push((name.clone(), kind));
                self.result(rest);
                self.locals.pop();
            }
            Expression::Binary(Binary::Coalesce, left, right) => {
                self.result(left);
                self.result(right);
            }
            _ => {
                let kind = self.kind(node);
                if !kind.may_be(Kind::Float) {
                    let found = kind.to_string();
                    self.report(node.at, ProblemKind::NotFloat { found });
                }
            }
        }
    }

    fn kind(&mut self, node: &Node) -> Kind {
        match &node.expression {
            Expression::Literal(value) => value.kind(),
            Expression::Name(name) => self.name(node.at, name),
            Expression::Pointer(Pointer::Index) => Kind::Integer,
            Expression::Pointer(Pointer::Element | Pointer::Accumulator) => Kind::Unknown,
            Expression::Array(nodes) => {
                for node in nodes {
                    self.kind(node);
                }
                Kind::Array
            }
            Expression::Index(array, index) => {
                self.expect(array, "`[`", Kind::Array);
                self.expect(index, "an index", Kind::Integer);
                Kind::Unknown
            }
            Expression::Unary(operator, operand) => self.unary(node.at, *operator, operand),
            Expression::Binary(operator, left, right) => self.binary(node.at, *operator, left, right),
            Expression::Conditional(condition, yes, no) => {
                self.condition(condition);
                either(self.kind(yes), self.kind(no))
            }
            Expression::Let(name, value, rest) => {
                let kind = self.kind(value);
                self.locals.push((name.clone(), kind));
                let kind = self.kind(rest);
                self.locals.pop();
                kind
            }
            Expression::Call(function, arguments) => self.call(node.at, *function, arguments),
            Expression::UnknownCall(name, arguments) => {
                for argument in arguments {
                    self.kind(argument);
                }
                let closest = closest(name, function::names());
                let name = name.clone();
                self.report(node.at, ProblemKind::UnknownFunction { name, closest });
                Kind::Unknown
            }
        }
    }

    fn name(&mut self, at: Position, name: &str) -> Kind {
        if let Some((_, kind)) = self.locals.iter().rev().find(|(known, _)| known == name) {
            return *kind;
        }
        if self.names.contains(name) {
            return Kind::Float;
        }
        let closest = closest(name, self.names.iter().copied());
        let name = name.to_owned();
        self.report(at, ProblemKind::UnknownVariable { name, closest });
        Kind::Unknown
    }

    fn unary(&mut self, at: Position, operator: Unary, operand: &Node) -> Kind {
        let kind = self.kind(operand);
        let (fits, result) = match operator {
            Unary::Not => (kind.may_be(Kind::Boolean), Kind::Boolean),
            Unary::Minus | Unary::Plus => (kind.is_number_or_unknown(), kind),
        };
        if !fits {
            self.mismatch(at, format!("`{}` does not work on {kind}", operator.symbol()));
        }
        if fits { result } else { Kind::Unknown }
    }

    fn binary(&mut self, at: Position, operator: Binary, left: &Node, right: &Node) -> Kind {
        // Only a name, or a value of unknown kind, can turn out to be nothing and make way for what stands behind `??`.
        let is_name = matches!(left.expression, Expression::Name(_));
        let (left, right) = (self.kind(left), self.kind(right));
        let numbers = left.is_number_or_unknown() && right.is_number_or_unknown();
        let (fits, result) = match operator {
            Binary::Or | Binary::And => (left.may_be(Kind::Boolean) && right.may_be(Kind::Boolean), Kind::Boolean),
            Binary::Equal | Binary::NotEqual => (true, Kind::Boolean),
            Binary::In => (right.may_be(Kind::Array), Kind::Boolean),
            Binary::Less | Binary::Greater | Binary::LessOrEqual | Binary::GreaterOrEqual => (numbers, Kind::Boolean),
            Binary::Coalesce if is_name || matches!(left, Kind::Nil | Kind::Unknown) => (true, either(left, right)),
            Binary::Coalesce => (true, left),
            Binary::Divide | Binary::Power => (numbers, Kind::Float),
            Binary::Add | Binary::Subtract | Binary::Multiply => (numbers, sum(left, right)),
            Binary::Range => (integers(left, right), Kind::Array),
            Binary::Modulo => (integers(left, right), Kind::Integer),
        };
        if fits {
            return result;
        }
        let hint = match operator {
            Binary::Modulo if numbers => "; cut the fractions off with `int(..)`",
            _ => "",
        };
        let symbol = operator.symbol();
        self.mismatch(at, format!("`{symbol}` does not work on {left} and {right}{hint}"));
        Kind::Unknown
    }

    fn call(&mut self, at: Position, function: Function, arguments: &[Node]) -> Kind {
        let kinds: Vec<Kind> = arguments.iter().map(|argument| self.kind(argument)).collect();
        let name = function.name();
        let wants_array = function.takes_predicate(1)
            || matches!(
                function,
                Function::Len | Function::First | Function::Last | Function::Sort | Function::Reverse
            );
        let wants_number = matches!(
            function,
            Function::Abs | Function::Ceil | Function::Floor | Function::Round | Function::Int | Function::Float
        );
        if let Some(first) = kinds.first().copied() {
            let fits = (!wants_array || first.may_be(Kind::Array)) && (!wants_number || first.is_number_or_unknown());
            if !fits {
                self.mismatch(at, format!("`{name}` does not work on {first}"));
            }
        }
        function.returns(&kinds)
    }

    fn condition(&mut self, node: &Node) {
        self.expect(node, "a condition", Kind::Boolean);
    }

    fn expect(&mut self, node: &Node, what: &str, expected: Kind) {
        let kind = self.kind(node);
        if !kind.may_be(expected) {
            self.mismatch(node.at, format!("{what} takes {expected}, not {kind}"));
        }
    }

    fn mismatch(&mut self, at: Position, what: String) {
        self.report(at, ProblemKind::Mismatch { what });
    }

    fn report(&mut self, at: Position, kind: ProblemKind) {
        let problem = Problem { at, kind };
        // `a < b < c` and `a ?: b` hold one part twice.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn either(left: Kind, right: Kind) -> Kind {
    if left == right { left } else { Kind::Unknown }
}

fn integers(left: Kind, right: Kind) -> bool {
    left.may_be(Kind::Integer) && right.may_be(Kind::Integer)
}

fn sum(left: Kind, right: Kind) -> Kind {
    match (left, right) {
        (Kind::Integer, Kind::Integer) => Kind::Integer,
        (Kind::Float, _) | (_, Kind::Float) => Kind::Float,
        _ => Kind::Unknown,
    }
}

/// The name most like `name`, if one is like it at all.
fn closest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    names
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// How many characters must be added, dropped or changed to make one word the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
