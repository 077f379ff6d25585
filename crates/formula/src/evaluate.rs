//! The value of a formula.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::function::Function;
use crate::function::array;
use crate::function::length;
use crate::lexer::Position;
use crate::tree::Binary;
use crate::tree::Expression;
use crate::tree::Node;
use crate::tree::Pointer;
use crate::tree::Unary;
use crate::value::Kind;
use crate::value::Value;

/// Why a formula has no value for the given values of its triggers.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// An operator between things it does not work on.
    #[error("{at}: `{operator}` does not work on {left} and {right}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Operands {
        at: Position,
        operator: &'static str,
        left: String,
        right: String,
    },
    /// An operator before something it does not work on.
    #[error("{at}: `{operator}` does not work on {operand}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Operand {
        at: Position,
        operator: &'static str,
        operand: String,
    },
    /// A function that cannot work on what it was given.
    #[error("{at}: `{function}` does not work on {argument}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Argument {
        at: Position,
        function: &'static str,
        argument: String,
    },
    /// A call of a function that does not exist.
    #[error("{at}: there is no function `{function}`")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    UnknownFunction { at: Position, function: String },
    /// A condition that is no boolean.
    #[error("{at}: a condition must be a boolean, not {found}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Condition { at: Position, found: String },
    /// An index beyond the array.
    #[error("{at}: there is no element {index}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Index { at: Position, index: i64 },
    /// `%` by zero.
    #[error("{at}: integer divide by zero")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    DivideByZero { at: Position },
    /// A range of more elements than expr's memory budget allows.
    #[error("{at}: this range has too many elements")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Range { at: Position },
    /// KEDA takes nothing but a float.
    #[error("the formula gives {found}, and KEDA takes nothing but a float; wrap it in `float(..)`")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    NotFloat { found: String },
    /// No number to scale by.
    #[error("the formula gives {value}, which is no number to scale by")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    NotFinite { value: f64 },
}

/// The largest range; expr's own budget is a million.
const LONGEST_RANGE: i64 = 1_000_000;

pub(crate) fn evaluate(root: &Node, values: &BTreeMap<String, f64>) -> Result<f64, EvaluationError> {
    let mut scope = Scope {
        values,
        names: Vec::new(),
        elements: Vec::new(),
    };
    match scope.value(root)? {
        Value::Float(value) if value.is_finite() => Ok(value),
        Value::Float(value) => Err(EvaluationError::NotFinite { value }),
        other => Err(EvaluationError::NotFloat {
            found: other.kind().to_string(),
        }),
    }
}

struct Scope<'a> {
    values: &'a BTreeMap<String, f64>,
    names: Vec<(String, Value)>,
    elements: Vec<Element>,
}

struct Element {
    value: Value,
    index: i64,
    accumulator: Value,
}

impl Scope<'_> {
    fn value(&mut self, node: &Node) -> Result<Value, EvaluationError> {
        match &node.expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Name(name) => Ok(self.name(name)),
            Expression::Pointer(pointer) => Ok(self.pointer(*pointer)),
            Expression::Array(nodes) => nodes
                .iter()
                .map(|node| self.value(node))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Expression::Index(array, index) => self.index(array, index),
            Expression::Unary(operator, operand) => {
                let operand = self.value(operand)?;
                unary(node.at, *operator, operand)
            }
            Expression::Binary(operator, left, right) => self.binary(node.at, *operator, left, right),
            Expression::Conditional(condition, yes, no) => {
                let branch = if self.condition(condition)? { yes } else { no };
                self.value(branch)
            }
            Expression::Let(name, value, rest) => {
                let value = self.value(value)?;
                self.names.push((name.clone(), value));
                let result = self.value(rest);
                self.names.pop();
                result
            }
            Expression::Call(function, arguments) => self.call(node.at, *function, arguments),
            Expression::UnknownCall(function, _) => Err(EvaluationError::UnknownFunction {
                at: node.at,
                function: function.clone(),
            }),
        }
    }

    /// A name without a value is nothing: that is what `??` is for.
    fn name(&self, name: &str) -> Value {
        let local = self.names.iter().rev().find(|(known, _)| known == name);
        match local {
            Some((_, value)) => value.clone(),
            None => self.values.get(name).copied().map_or(Value::Nil, Value::Float),
        }
    }

    fn pointer(&self, pointer: Pointer) -> Value {
        let element = self
            .elements
            .last()
            .expect("the parser refuses `#` outside of a predicate");
        match pointer {
            Pointer::Element => element.value.clone(),
            Pointer::Index => Value::Integer(element.index),
            Pointer::Accumulator => element.accumulator.clone(),
        }
    }

    fn index(&mut self, array: &Node, index: &Node) -> Result<Value, EvaluationError> {
        let at = index.at;
        let (elements, position) = (self.value(array)?, self.value(index)?);
        let (Value::Array(elements), Value::Integer(position)) = (&elements, &position) else {
            return Err(operands(at, "[", &elements, &position));
        };
        // A negative index counts from the end.
        let from_start = if *position < 0 {
            position + length(elements.len())
        } else {
            *position
        };
        usize::try_from(from_start)
            .ok()
            .and_then(|place| elements.get(place).cloned())
            .ok_or(EvaluationError::Index { at, index: *position })
    }

    fn condition(&mut self, node: &Node) -> Result<bool, EvaluationError> {
        match self.value(node)? {
            Value::Boolean(boolean) => Ok(boolean),
            other => Err(EvaluationError::Condition {
                at: node.at,
                found: other.kind().to_string(),
            }),
        }
    }

    fn binary(&mut self, at: Position, operator: Binary, left: &Node, right: &Node) -> Result<Value, EvaluationError> {
        match operator {
            Binary::Or => Ok(Value::Boolean(self.condition(left)? || self.condition(right)?)),
            Binary::And => Ok(Value::Boolean(self.condition(left)? && self.condition(right)?)),
            Binary::Coalesce => match self.value(left)? {
                Value::Nil => self.value(right),
                value => Ok(value),
            },
            _ => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                combine(at, operator, &left, &right)
            }
        }
    }

    fn call(&mut self, at: Position, function: Function, arguments: &[Node]) -> Result<Value, EvaluationError> {
        let refused = |kind: Kind| EvaluationError::Argument {
            at,
            function: function.name(),
            argument: kind.to_string(),
        };
        if !function.takes_predicate(1) {
            let values = arguments
                .iter()
                .map(|node| self.value(node))
                .collect::<Result<Vec<_>, _>>()?;
            return function.call(&values).map_err(|error| refused(error.0));
        }
        let elements = self.value(&arguments[0])?;
        let elements = array(&elements).map_err(|error| refused(error.0))?;
        match function {
            Function::Reduce => self.reduce(elements, arguments),
            Function::Sum => {
                let results = self.each(elements, arguments.get(1))?;
                results
                    .iter()
                    .try_fold(Value::Integer(0), |sum, value| combine(at, Binary::Add, &sum, value))
            }
            Function::Map => self.each(elements, arguments.get(1)).map(Value::Array),
            _ => self.decide(at, function, elements, arguments.get(1)),
        }
    }

    fn decide(
        &mut self,
        at: Position,
        function: Function,
        elements: &[Value],
        predicate: Option<&Node>,
    ) -> Result<Value, EvaluationError> {
        let mut holds = Vec::new();
        for result in self.each(elements, predicate)? {
            let Value::Boolean(result) = result else {
                let at = predicate.map_or(at, |predicate| predicate.at);
                let found = result.kind().to_string();
                return Err(EvaluationError::Condition { at, found });
            };
            holds.push(result);
        }
        let count = holds.iter().filter(|holds| **holds).count();
        let first = holds.iter().position(|holds| *holds);
        let last = holds.iter().rposition(|holds| *holds);
        let element = |place: Option<usize>| place.map_or(Value::Nil, |place| elements[place].clone());
        Ok(match function {
            Function::All => Value::Boolean(count == elements.len()),
            Function::Any => Value::Boolean(count > 0),
            Function::None => Value::Boolean(count == 0),
            Function::One => Value::Boolean(count == 1),
            Function::Count => Value::Integer(length(count)),
            Function::Find => element(first),
            Function::FindLast => element(last),
            Function::FindIndex => Value::Integer(first.map_or(-1, length)),
            _ => {
                let kept = elements.iter().zip(holds).filter(|(_, holds)| *holds);
                Value::Array(kept.map(|(element, _)| element.clone()).collect())
            }
        })
    }

    fn reduce(&mut self, elements: &[Value], arguments: &[Node]) -> Result<Value, EvaluationError> {
        let (mut accumulator, skipped) = match arguments.get(2) {
            Some(first) => (self.value(first)?, 0),
            None => (elements.first().cloned().unwrap_or(Value::Nil), 1),
        };
        for (index, element) in elements.iter().enumerate().skip(skipped) {
            accumulator = self.with_element(element, index, accumulator, &arguments[1])?;
        }
        Ok(accumulator)
    }

    fn each(&mut self, elements: &[Value], predicate: Option<&Node>) -> Result<Vec<Value>, EvaluationError> {
        let Some(predicate) = predicate else {
            return Ok(elements.to_vec());
        };
        let elements = elements.iter().enumerate();
        elements
            .map(|(index, element)| self.with_element(element, index, Value::Nil, predicate))
            .collect()
    }

    fn with_element(
        &mut self,
        element: &Value,
        index: usize,
        accumulator: Value,
        predicate: &Node,
    ) -> Result<Value, EvaluationError> {
        self.elements.push(Element {
            value: element.clone(),
            index: length(index),
            accumulator,
        });
        let result = self.value(predicate);
        self.elements.pop();
        result
    }
}

fn unary(at: Position, operator: Unary, operand: Value) -> Result<Value, EvaluationError> {
    match (operator, operand) {
        (Unary::Not, Value::Boolean(boolean)) => Ok(Value::Boolean(!boolean)),
        (Unary::Minus, Value::Integer(integer)) => Ok(Value::Integer(integer.wrapping_neg())),
        (Unary::Minus, Value::Float(float)) => Ok(Value::Float(-float)),
        (Unary::Plus, operand @ (Value::Integer(_) | Value::Float(_))) => Ok(operand),
        (operator, operand) => Err(EvaluationError::Operand {
            at,
            operator: operator.symbol(),
            operand: operand.kind().to_string(),
        }),
    }
}

fn combine(at: Position, operator: Binary, left: &Value, right: &Value) -> Result<Value, EvaluationError> {
    let refused = || operands(at, operator.symbol(), left, right);
    match operator {
        Binary::Equal => return Ok(Value::Boolean(left.equals(right))),
        Binary::NotEqual => return Ok(Value::Boolean(!left.equals(right))),
        Binary::In => {
            let elements = array(right).map_err(|_| refused())?;
            return Ok(Value::Boolean(elements.iter().any(|element| element.equals(left))));
        }
        _ => {}
    }
    if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
        return integers(at, operator, *left, *right);
    }
    let (Some(left), Some(right)) = (left.as_float(), right.as_float()) else {
        return Err(refused());
    };
    floats(operator, left, right).ok_or_else(refused)
}

fn integers(at: Position, operator: Binary, left: i64, right: i64) -> Result<Value, EvaluationError> {
    Ok(match operator {
        Binary::Add => Value::Integer(left.wrapping_add(right)),
        Binary::Subtract => Value::Integer(left.wrapping_sub(right)),
        Binary::Multiply => Value::Integer(left.wrapping_mul(right)),
        Binary::Modulo if right == 0 => return Err(EvaluationError::DivideByZero { at }),
        Binary::Modulo => Value::Integer(left.wrapping_rem(right)),
        Binary::Range if right.saturating_sub(left) > LONGEST_RANGE => return Err(EvaluationError::Range { at }),
        Binary::Range => Value::Array((left..=right).map(Value::Integer).collect()),
        Binary::Less => Value::Boolean(left < right),
        Binary::Greater => Value::Boolean(left > right),
        Binary::LessOrEqual => Value::Boolean(left <= right),
        Binary::GreaterOrEqual => Value::Boolean(left >= right),
        _ => {
            let (left, right) = (Value::Integer(left), Value::Integer(right));
            let (Some(left_float), Some(right_float)) = (left.as_float(), right.as_float()) else {
                return Err(operands(at, operator.symbol(), &left, &right));
            };
            return floats(operator, left_float, right_float)
                .ok_or_else(|| operands(at, operator.symbol(), &left, &right));
        }
    })
}

/// Division and powers are floats whatever their operands are; `%` and ranges take integers only.
fn floats(operator: Binary, left: f64, right: f64) -> Option<Value> {
    Some(match operator {
        Binary::Add => Value::Float(left + right),
        Binary::Subtract => Value::Float(left - right),
        Binary::Multiply => Value::Float(left * right),
        Binary::Divide => Value::Float(left / right),
        Binary::Power => Value::Float(left.powf(right)),
        Binary::Less => Value::Boolean(left < right),
        Binary::Greater => Value::Boolean(left > right),
        Binary::LessOrEqual => Value::Boolean(left <= right),
        Binary::GreaterOrEqual => Value::Boolean(left >= right),
        _ => return None,
    })
}

fn operands(at: Position, operator: &'static str, left: &Value, right: &Value) -> EvaluationError {
    EvaluationError::Operands {
        at,
        operator,
        left: left.kind().to_string(),
        right: right.kind().to_string(),
    }
}
