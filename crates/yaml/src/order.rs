//! The order in which go-yaml writes keys.

use std::cmp::Ordering;

/// Compares two keys as go-yaml sorts them: runs of digits by their number, letters after everything else.
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let same = left
        .bytes()
        .zip(right.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let start = floor_boundary(left, same);
    let (Some(one), Some(other)) = (left[start..].chars().next(), right[start..].chars().next()) else {
        return left.len().cmp(&right.len());
    };
    match (one.is_alphabetic(), other.is_alphabetic()) {
        (true, true) => return one.cmp(&other),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let seed = i64::from((one == '0' || other == '0') && nonzero_digit_before(left, start));
    let (left_number, left_digits) = run_of_digits(&left[start..], seed);
    let (right_number, right_digits) = run_of_digits(&right[start..], seed);
    left_number
        .cmp(&right_number)
        .then(left_digits.cmp(&right_digits))
        .then(one.cmp(&other))
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A zero inside a number is a digit like any other; a zero at its start is padding.
fn nonzero_digit_before(text: &str, at: usize) -> bool {
    text.as_bytes()[..at]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .any(|byte| *byte != b'0')
}

fn run_of_digits(text: &str, seed: i64) -> (i64, usize) {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.fold((seed, 0), |(number, count), digit| {
        (number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')), count + 1)
    })
}
