//! Arithmetic: whole numbers in 64 bits, floats by way of decimals.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Float;
use super::Param::Int;
use super::Param::String as Text;
use super::Trouble;
use super::cast::float;
use super::cast::integer;
use crate::eval::Engine;
use crate::format;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("int", &[Any], |arguments| Ok(Value::Int(integer(&arguments[0])))),
    Function::pure("int64", &[Any], |arguments| Ok(Value::Int64(integer(&arguments[0])))),
    Function::pure("float64", &[Any], |arguments| Ok(Value::Float(float(&arguments[0])))),
    Function::pure("atoi", &[Text], |arguments| {
        let text = arguments.text(0);
        Ok(Value::Int(text.parse().unwrap_or(0)))
    }),
    Function::pure("toDecimal", &[Any], |arguments| {
        Ok(Value::Int64(
            i64::from_str_radix(&format::text(&arguments[0]), 8).unwrap_or(0),
        ))
    }),
    Function::pure("add", &[], |arguments| Ok(fold(0, arguments, i64::wrapping_add))).and_more(Any),
    Function::pure("add1", &[Any], |arguments| {
        Ok(Value::Int64(integer(&arguments[0]).wrapping_add(1)))
    }),
    Function::pure("sub", &[Any, Any], |arguments| {
        Ok(Value::Int64(
            integer(&arguments[0]).wrapping_sub(integer(&arguments[1])),
        ))
    }),
    Function::pure("mul", &[Any], |arguments| Ok(fold(1, arguments, i64::wrapping_mul))).and_more(Any),
    Function::pure("div", &[Any, Any], |arguments| divided(arguments, i64::checked_div)),
    Function::pure("mod", &[Any, Any], |arguments| divided(arguments, i64::checked_rem)),
    Function::pure("max", &[Any], |arguments| {
        Ok(fold(integer(&arguments[0]), arguments, i64::max))
    })
    .and_more(Any),
    Function::pure("biggest", &[Any], |arguments| {
        Ok(fold(integer(&arguments[0]), arguments, i64::max))
    })
    .and_more(Any),
    Function::pure("min", &[Any], |arguments| {
        Ok(fold(integer(&arguments[0]), arguments, i64::min))
    })
    .and_more(Any),
    Function::pure("maxf", &[Any], |arguments| {
        Ok(Value::Float(
            arguments.iter().map(float).fold(f64::NEG_INFINITY, f64::max),
        ))
    })
    .and_more(Any),
    Function::pure("minf", &[Any], |arguments| {
        Ok(Value::Float(arguments.iter().map(float).fold(f64::INFINITY, f64::min)))
    })
    .and_more(Any),
    Function::pure("ceil", &[Any], |arguments| {
        Ok(Value::Float(float(&arguments[0]).ceil()))
    }),
    Function::pure("floor", &[Any], |arguments| {
        Ok(Value::Float(float(&arguments[0]).floor()))
    }),
    Function::pure("round", &[Any, Int], |arguments| Ok(Value::Float(round(arguments)))).and_more(Float),
    Function::pure("add1f", &[Any], |arguments| {
        Ok(Value::Float(decimal(float(&arguments[0]), 1.0, Operation::Add)))
    }),
    Function::pure("addf", &[], |arguments| Ok(decimals(0.0, arguments, Operation::Add))).and_more(Any),
    Function::pure("subf", &[Any], |arguments| {
        Ok(decimals(float(&arguments[0]), &arguments[1..], Operation::Subtract))
    })
    .and_more(Any),
    Function::pure("mulf", &[Any], |arguments| {
        Ok(decimals(float(&arguments[0]), &arguments[1..], Operation::Multiply))
    })
    .and_more(Any),
    Function::pure("divf", &[Any], |arguments| {
        if arguments[1..].iter().any(|divisor| float(divisor) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        Ok(decimals(float(&arguments[0]), &arguments[1..], Operation::Divide))
    })
    .and_more(Any),
    Function::engine("randInt", &[Int, Int], random_integer),
];

fn fold(start: i64, arguments: &[Value], operation: fn(i64, i64) -> i64) -> Value {
    Value::Int64(arguments.iter().map(integer).fold(start, operation))
}

fn divided(arguments: &[Value], operation: fn(i64, i64) -> Option<i64>) -> Result<Value, String> {
    let (dividend, divisor) = (integer(&arguments[0]), integer(&arguments[1]));
    if divisor == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    Ok(Value::Int64(operation(dividend, divisor).unwrap_or(if divisor == -1 {
        dividend.wrapping_neg()
    } else {
        0
    })))
}

fn round(arguments: &[Value]) -> f64 {
    let limit = if arguments.len() > 2 { arguments.float(2) } else { 0.5 };
    let places = i32::try_from(arguments.int(1)).unwrap_or(0);
    let power = 10_f64.powi(places);
    let digits = power * float(&arguments[0]);
    let rounded = if digits.fract() >= limit {
        digits.ceil()
    } else {
        digits.floor()
    };
    rounded / power
}

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

fn decimals(start: f64, arguments: &[Value], operation: Operation) -> Value {
    Value::Float(
        arguments
            .iter()
            .map(float)
            .fold(start, |left, right| decimal(left, right, operation)),
    )
}

/// Computes with the decimal digits that the floats print, so that 0.1 + 0.2 is 0.3.
fn decimal(left: f64, right: f64, operation: Operation) -> f64 {
    let exact = digits(left)
        .zip(digits(right))
        .and_then(|(left, right)| calculate(left, right, operation));
    exact.unwrap_or(match operation {
        Operation::Add => left + right,
        Operation::Subtract => left - right,
        Operation::Multiply => left * right,
        Operation::Divide => left / right,
    })
}

/// A float as an integer times a power of ten.
fn digits(number: f64) -> Option<(i128, i32)> {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let whole = mantissa.replace('.', "").parse().ok()?;
    Some((whole, exponent.parse::<i32>().ok()? - i32::try_from(decimals).ok()?))
}

fn calculate(left: (i128, i32), right: (i128, i32), operation: Operation) -> Option<f64> {
    let scaled = |(digits, exponent): (i128, i32), to: i32| {
        digits.checked_mul(10_i128.checked_pow(u32::try_from(exponent - to).ok()?)?)
    };
    let (whole, exponent) = match operation {
        Operation::Add | Operation::Subtract => {
            let exponent = left.1.min(right.1);
            let (left, right) = (scaled(left, exponent)?, scaled(right, exponent)?);
            let sum = match operation {
                Operation::Add => left.checked_add(right)?,
                _ => left.checked_sub(right)?,
            };
            (sum, exponent)
        }
        Operation::Multiply => (left.0.checked_mul(right.0)?, left.1 + right.1),
        // Sixteen decimals, rounded half away from zero.
        Operation::Divide => {
            let shift = 16 + left.1 - right.1;
            let dividend = left.0.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
            let (quotient, remainder) = (dividend / right.0, dividend % right.0);
            let away = if (dividend < 0) == (right.0 < 0) { 1 } else { -1 };
            let rounds = remainder.checked_mul(2)?.unsigned_abs() >= right.0.unsigned_abs();
            (if rounds { quotient + away } else { quotient }, -16)
        }
    };
    format!("{whole}e{exponent}").parse().ok()
}

fn random_integer(engine: &mut Engine<'_>, arguments: &[Value]) -> Result<Value, Trouble> {
    let (low, high) = (arguments.int(0), arguments.int(1));
    let span = u64::try_from(high.wrapping_sub(low)).unwrap_or(0);
    if high <= low {
        return Err(Trouble::Message("invalid argument to Intn".to_owned()));
    }
    let offset = i64::try_from(engine.random.below(span)).unwrap_or(0);
    Ok(Value::Int(low.wrapping_add(offset)))
}
