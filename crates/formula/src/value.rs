//! What a part of a formula can be while it is evaluated, and what kind of thing that is.

use std::cmp::Ordering;
use std::fmt;

/// A value of the expr language, as far as formulas over numbers can make one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Array(Vec<Value>),
}

/// The kind of a value, as far as it is known before evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nil,
    Boolean,
    Integer,
    Float,
    Array,
    Unknown,
}

impl Kind {
    pub(crate) fn is_number_or_unknown(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Unknown)
    }

    /// Whether a value of this kind may turn out to be one of `other`.
    pub(crate) fn may_be(self, other: Self) -> bool {
        self == Self::Unknown || other == Self::Unknown || self == other
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "nothing",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::Array => "an array",
            Self::Unknown => "a value",
        })
    }
}

impl Value {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Nil,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Array(_) => Kind::Array,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the expr language converts its integers like this"
    )]
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Float(float) => Some(*float),
            Self::Nil | Self::Boolean(_) | Self::Array(_) => None,
        }
    }

    /// The order of two numbers; nothing for what has no order.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            _ => self.as_float()?.partial_cmp(&other.as_float()?),
        }
    }

    /// Equality as the expr language has it: numbers by value, whatever their kind.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(left), Self::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            (Self::Integer(_) | Self::Float(_), Self::Integer(_) | Self::Float(_)) => {
                self.compare(other) == Some(Ordering::Equal)
            }
            _ => self == other,
        }
    }
}
