//! Asking before something that cannot be taken back, or that costs money.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;

use crate::error::Failure;
use crate::error::Kind;
use crate::ui::output::Output;

/// Whether the user agreed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// With `--yes`.
    Given,
    /// Not yet.
    Open,
}

impl From<bool> for Consent {
    fn from(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Open }
    }
}

/// Asks, unless the user agreed already. Nobody there to answer is the user's to fix, and `no` an interruption.
pub fn confirm(output: Output, consent: Consent, question: &str) -> Result<(), Failure> {
    if consent == Consent::Given {
        return Ok(());
    }
    let input = io::stdin();
    if !input.is_terminal() {
        let what = format!("nobody is there to answer: {question}");
        return Err(Failure::said(Kind::Yours, what, "agree beforehand with --yes"));
    }
    output.ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    input.lock().read_line(&mut answer).ok();
    if is_yes(&answer) {
        return Ok(());
    }
    Err(Failure::said(
        Kind::Interrupted,
        "nothing was done",
        "run it again when you agree",
    ))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in [
            ("y\n", true),
            (" YES ", true),
            ("\n", false),
            ("no", false),
            ("yeah", false),
            ("", false),
        ] {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
