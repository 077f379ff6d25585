//! The two streams.

use std::io::Write;

use crate::ui::lines::Detail;

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one document, or one line for each event.
    Json,
}

/// Where output goes, and how much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Whether narration is left out.
    pub quiet: bool,
    /// How much narration tells.
    pub detail: Detail,
}

impl Output {
    /// Writes data to stdout. A reader that went away is no reason to stop.
    pub fn data(self, text: &str) {
        write_to(anstream::stdout().lock(), text);
    }

    /// Writes narration to stderr.
    pub fn narrate(self, text: &str) {
        if !self.quiet {
            write_to(anstream::stderr().lock(), text);
        }
    }

    /// Writes a question to stderr, quiet or not; the answer goes on the same line.
    pub fn ask(self, question: &str) {
        let mut stream = anstream::stderr().lock();
        write!(stream, "{question}").and_then(|()| stream.flush()).ok();
    }

    /// Writes an error to stderr, quiet or not.
    pub fn error(self, text: &str) {
        write_to(anstream::stderr().lock(), text);
    }
}

fn write_to(mut stream: impl Write, text: &str) {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    write!(stream, "{text}{newline}").and_then(|()| stream.flush()).ok();
}
