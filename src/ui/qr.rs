//! An address as a QR code of half blocks: dark on light whatever the terminal's colours are.

use std::fmt::Write as _;

use owo_colors::Style;
use owo_colors::XtermColors;
use qrcode::Color;
use qrcode::EcLevel;
use qrcode::QrCode;

/// The blank margin that a scanner needs to find the code, in modules.
const QUIET: usize = 4;

/// Whether colours can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Colours that no theme changes.
    Colour,
    /// Only characters: dark on light where the terminal is light on dark, as most are.
    Characters,
}

/// The code of an address in at most `width` columns; none where it does not fit.
pub fn rows(address: &str, width: usize, ink: Ink) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
    let side = code.width() + 2 * QUIET;
    if side > width {
        return None;
    }
    let modules = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.width());
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => modules[row * code.width() + column] == Color::Dark,
            _ => false,
        }
    };
    let drawn = (0..side).step_by(2).map(|row| {
        let mut line = String::new();
        for column in 0..side {
            let (upper, lower) = (is_dark(row, column), is_dark(row + 1, column));
            line.write_char(half(upper, lower, ink))
                .expect("writing to a string does not fail");
        }
        match ink {
            Ink::Colour => paper().style(line).to_string(),
            Ink::Characters => line,
        }
    });
    Some(drawn.collect())
}

/// Black on white of the colour cube, which themes leave alone.
fn paper() -> Style {
    Style::new()
        .color(XtermColors::from(16))
        .on_color(XtermColors::from(231))
}

/// Two modules above each other. With colours the character is what is dark; without, it is what is light.
fn half(upper: bool, lower: bool, ink: Ink) -> char {
    let is_drawn = |dark: bool| dark == (ink == Ink::Colour);
    match (is_drawn(upper), is_drawn(lower)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "http://k8s-default-gateway-0123456789.eu-west-1.elb.amazonaws.com/";

    /// The modules that a scanner sees, dark ones as true.
    fn seen(rows: &[String], ink: Ink) -> Vec<Vec<bool>> {
        let mut seen = Vec::new();
        for row in rows {
            let plain = anstream::adapter::strip_str(row).to_string();
            let (upper, lower) = plain
                .chars()
                .map(|character| {
                    let drawn = (matches!(character, '█' | '▀'), matches!(character, '█' | '▄'));
                    let dark = |drawn: bool| drawn == (ink == Ink::Colour);
                    (dark(drawn.0), dark(drawn.1))
                })
                .unzip();
            seen.push(upper);
            seen.push(lower);
        }
        seen
    }

    #[test]
    fn a_scanner_sees_every_module_and_the_quiet_zone() {
        let code = QrCode::with_error_correction_level(ADDRESS, EcLevel::L).unwrap();
        for ink in [Ink::Colour, Ink::Characters] {
            let seen = seen(&rows(ADDRESS, 80, ink).unwrap(), ink);
            for (row, modules) in seen.iter().enumerate() {
                for (column, dark) in modules.iter().enumerate() {
                    let at = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.width());
                    let expected = at(row)
                        .zip(at(column))
                        .is_some_and(|(row, column)| code[(column, row)] == Color::Dark);
                    assert_eq!(*dark, expected, "row {row}, column {column}, {ink:?}");
                }
            }
        }
    }

    #[test]
    fn the_address_of_a_load_balancer_fits_a_small_terminal_and_says_when_it_does_not() {
        let drawn = rows(ADDRESS, 80, Ink::Characters).unwrap();
        assert!(drawn.iter().all(|row| row.chars().count() <= 80));
        assert!(drawn.len() <= 24, "{} rows", drawn.len());
        assert_eq!(rows(ADDRESS, 30, Ink::Characters), None);
    }
}
