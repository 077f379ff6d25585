//! The functions a formula over numbers can call.

use crate::value::Kind;
use crate::value::Value;

/// A function of the expr language that works on numbers or arrays of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    Int,
    Float,
    Max,
    Min,
    Mean,
    Median,
    Sum,
    Len,
    First,
    Last,
    Sort,
    Reverse,
    All,
    Any,
    None,
    One,
    Count,
    Filter,
    Map,
    Find,
    FindIndex,
    FindLast,
    Reduce,
}

/// Why a function has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Kind);

use Function::Abs;
use Function::All;
use Function::Any;
use Function::Ceil;
use Function::Count;
use Function::Filter;
use Function::Find;
use Function::FindIndex;
use Function::FindLast;
use Function::First;
use Function::Float;
use Function::Floor;
use Function::Int;
use Function::Last;
use Function::Len;
use Function::Map;
use Function::Max;
use Function::Mean;
use Function::Median;
use Function::Min;
use Function::One;
use Function::Reduce;
use Function::Reverse;
use Function::Round;
use Function::Sort;
use Function::Sum;

const NAMES: [(&str, Function); 27] = [
    ("abs", Abs),
    ("ceil", Ceil),
    ("floor", Floor),
    ("round", Round),
    ("int", Int),
    ("float", Float),
    ("max", Max),
    ("min", Min),
    ("mean", Mean),
    ("median", Median),
    ("sum", Sum),
    ("len", Len),
    ("first", First),
    ("last", Last),
    ("sort", Sort),
    ("reverse", Reverse),
    ("all", All),
    ("any", Any),
    ("none", Function::None),
    ("one", One),
    ("count", Count),
    ("filter", Filter),
    ("map", Map),
    ("find", Find),
    ("findIndex", FindIndex),
    ("findLast", FindLast),
    ("reduce", Reduce),
];

/// Every name a formula can call.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

impl Function {
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, function)| *function)
    }

    pub(crate) fn name(self) -> &'static str {
        let (name, _) = NAMES
            .iter()
            .find(|(_, function)| *function == self)
            .expect("every function has a row");
        name
    }

    /// Whether the argument at this place is evaluated for each element.
    pub(crate) fn takes_predicate(self, place: usize) -> bool {
        match self {
            Sum | All | Any | Function::None | One | Count | Filter | Map | Find | FindIndex | FindLast | Reduce => {
                place == 1
            }
            _ => false,
        }
    }

    pub(crate) fn accepts(self, arguments: usize) -> bool {
        match self {
            Max | Min | Mean | Median => arguments >= 1,
            Sum | Count => (1..=2).contains(&arguments),
            All | Any | Function::None | One | Filter | Map | Find | FindIndex | FindLast => arguments == 2,
            Reduce => (2..=3).contains(&arguments),
            _ => arguments == 1,
        }
    }

    pub(crate) fn takes(self) -> &'static str {
        match self {
            Max | Min | Mean | Median => "one or more arguments",
            Sum | Count => "an array, and at most one predicate",
            All | Any | Function::None | One | Filter | Map | Find | FindIndex | FindLast => "an array and a predicate",
            Reduce => "an array, a predicate, and at most a first value",
            _ => "one argument",
        }
    }

    /// The kind of what the function returns, given the kinds of its arguments.
    pub(crate) fn returns(self, arguments: &[Kind]) -> Kind {
        match self {
            Ceil | Floor | Round | Float | Mean | Median => Kind::Float,
            Int | Len | Count | FindIndex => Kind::Integer,
            All | Any | Function::None | One => Kind::Boolean,
            Sort | Reverse | Filter | Map => Kind::Array,
            Abs => arguments.first().copied().unwrap_or(Kind::Unknown),
            Max | Min => match arguments {
                [only, rest @ ..] if *only != Kind::Array && rest.iter().all(|kind| kind == only) => *only,
                _ => Kind::Unknown,
            },
            Sum | First | Last | Find | FindLast | Reduce => Kind::Unknown,
        }
    }

    /// Calls a function whose arguments are all evaluated before.
    pub(crate) fn call(self, arguments: &[Value]) -> Result<Value, Refused> {
        let first = arguments.first().ok_or(Refused(Kind::Nil))?;
        match self {
            Abs => match first {
                Value::Integer(integer) => Ok(Value::Integer(integer.wrapping_abs())),
                other => float(other).map(|float| Value::Float(float.abs())),
            },
            Ceil => float(first).map(|float| Value::Float(float.ceil())),
            Floor => float(first).map(|float| Value::Float(float.floor())),
            Round => float(first).map(|float| Value::Float(float.round())),
            Float => float(first).map(Value::Float),
            Int => integer(first).map(Value::Integer),
            Max => extreme(arguments, std::cmp::Ordering::Greater),
            Min => extreme(arguments, std::cmp::Ordering::Less),
            Mean => numbers(arguments).map(|all| Value::Float(mean(&all))),
            Median => numbers(arguments).map(|all| Value::Float(median(all))),
            Len => array(first).map(|array| Value::Integer(length(array.len()))),
            First => array(first).map(|array| array.first().cloned().unwrap_or(Value::Nil)),
            Last => array(first).map(|array| array.last().cloned().unwrap_or(Value::Nil)),
            Reverse => array(first).map(|array| Value::Array(array.iter().rev().cloned().collect())),
            Sort => sorted(array(first)?),
            Sum | All | Any | Function::None | One | Count | Filter | Map | Find | FindIndex | FindLast | Reduce => {
                Err(Refused(first.kind()))
            }
        }
    }
}

/// A length as the language's integer.
pub(crate) fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

pub(crate) fn array(value: &Value) -> Result<&[Value], Refused> {
    match value {
        Value::Array(array) => Ok(array),
        other => Err(Refused(other.kind())),
    }
}

fn float(value: &Value) -> Result<f64, Refused> {
    value.as_float().ok_or(Refused(value.kind()))
}

#[expect(clippy::cast_possible_truncation, reason = "`int` cuts the fraction off")]
fn integer(value: &Value) -> Result<i64, Refused> {
    match value {
        Value::Integer(integer) => Ok(*integer),
        other => float(other).map(|float| float as i64),
    }
}

fn flat(values: &[Value]) -> Vec<&Value> {
    values
        .iter()
        .flat_map(|value| match value {
            Value::Array(inner) => flat(inner),
            other => vec![other],
        })
        .collect()
}

fn numbers(values: &[Value]) -> Result<Vec<f64>, Refused> {
    flat(values).into_iter().map(float).collect()
}

fn extreme(values: &[Value], wanted: std::cmp::Ordering) -> Result<Value, Refused> {
    let mut best: Option<&Value> = None;
    for value in flat(values) {
        float(value)?;
        if best.is_none_or(|best| value.compare(best) == Some(wanted)) {
            best = Some(value);
        }
    }
    Ok(best.cloned().unwrap_or(Value::Nil))
}

#[expect(clippy::cast_precision_loss, reason = "no formula has 2^52 numbers")]
fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() {
        return 0.0;
    }
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.as_slice() {
        [] => 0.0,
        odd if odd.len() % 2 == 1 => odd[middle],
        even => f64::midpoint(even[middle - 1], even[middle]),
    }
}

fn sorted(array: &[Value]) -> Result<Value, Refused> {
    for value in array {
        float(value)?;
    }
    let mut sorted = array.to_vec();
    sorted.sort_by(|left, right| left.compare(right).unwrap_or(std::cmp::Ordering::Equal));
    Ok(Value::Array(sorted))
}
