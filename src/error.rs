//! What a failure is: a kind, which is the exit code; a cause; and the next step.

use std::error::Error;
use std::fmt;
use std::fmt::Write as _;

/// Whose failure it is, and so the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A check or a threshold failed.
    Check,
    /// The user's to fix: usage, stack, credentials.
    Yours,
    /// Partly done; the next run goes on.
    Partial,
    /// Everything was looked for, and something is left behind.
    LeftBehind,
    /// A bug of ours.
    Bug,
    /// Interrupted.
    Interrupted,
}

impl Kind {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Check => 1,
            Self::Yours => 2,
            Self::Partial => 3,
            Self::LeftBehind => 4,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// An error that knows the next step.
pub trait Hint: Error + Send + Sync + 'static {
    /// What to do next, one sentence each.
    fn hints(&self) -> Vec<String>;
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// Whose failure it is.
    pub kind: Kind,
    /// What happened, with its causes.
    pub cause: Box<dyn Error + Send + Sync>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of the given kind.
    pub fn new(kind: Kind, cause: impl Hint) -> Self {
        Self {
            kind,
            hints: cause.hints(),
            cause: Box::new(cause),
        }
    }

    /// A failure that is the user's to fix.
    pub fn yours(cause: impl Hint) -> Self {
        Self::new(Kind::Yours, cause)
    }

    /// A failure that is told in a sentence.
    pub fn said(kind: Kind, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            cause: what.into().into(),
            hints: vec![next.into()],
        }
    }

    /// The message with its causes, each on a line of its own.
    pub fn report(&self) -> String {
        let mut text = format!("error: {}", self.cause);
        let mut cause = self.cause.source();
        while let Some(next) = cause {
            write!(text, "\n  because: {next}").expect("writing to a string does not fail");
            cause = next.source();
        }
        for hint in &self.hints {
            write!(text, "\n  next: {hint}").expect("writing to a string does not fail");
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report())
    }
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

/// The candidate that `word` was probably meant to be: the nearest one, if it is near at all.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let within = word.chars().count().div_ceil(3);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= within)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many letters must be added, taken out or exchanged to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for column in 0..to.len() {
            let exchanged = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let words = ["network", "cluster", "karpenter"];
        assert_eq!(closest("netwrk", words.into_iter()).as_deref(), Some("network"));
        assert_eq!(closest("bucket", words.into_iter()), None);
    }

    #[test]
    fn a_report_names_the_causes_and_the_next_step() {
        let failure = Failure::said(Kind::Yours, "no stack `tub`", "did you mean `tube`?");
        assert_eq!(failure.report(), "error: no stack `tub`\n  next: did you mean `tube`?");
        assert_eq!(failure.kind.exit_code(), 2);
    }
}
