//! The rows at the bottom of a terminal that are drawn again and again; what is over scrolls away above them.

use std::io::IsTerminal as _;
use std::io::Write as _;
use std::io::stderr;

use anstream::ColorChoice;
use crossterm::QueueableCommand as _;
use crossterm::cursor::Hide;
use crossterm::cursor::MoveToColumn;
use crossterm::cursor::MoveUp;
use crossterm::cursor::Show;
use crossterm::terminal;
use crossterm::terminal::BeginSynchronizedUpdate;
use crossterm::terminal::Clear;
use crossterm::terminal::ClearType;
use crossterm::terminal::EndSynchronizedUpdate;

use crate::ui::text::length;

/// How large a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The terminal that narration goes to, when there is one.
pub fn size() -> Option<Size> {
    if !stderr().is_terminal() {
        return None;
    }
    // Some that are none say that they have no columns.
    let (width, height) = terminal::size()
        .ok()
        .filter(|(width, height)| *width > 0 && *height > 0)?;
    Some(Size {
        width: width.into(),
        height: height.into(),
    })
}

/// Whether colours are wanted on it.
pub fn has_colours() -> bool {
    anstream::AutoStream::choice(&stderr()) != ColorChoice::Never
}

/// What is drawn now.
#[derive(Debug, Default)]
pub struct Screen {
    rows: Vec<String>,
    // How many columns each row of the drawing takes: a terminal made narrower wraps them.
    drawn: Vec<usize>,
    width: usize,
    hidden: bool,
}

impl Screen {
    /// Draws rows in place of those before, and lines above them that stay. A terminal that went away is no reason to
    /// stop.
    pub fn draw(&mut self, above: &[String], rows: &[String], width: usize) {
        if above.is_empty() && rows == self.rows && width == self.width {
            return;
        }
        rows.clone_into(&mut self.rows);
        self.width = width;
        self.write(above, rows, width).ok();
    }

    fn write(&mut self, above: &[String], rows: &[String], width: usize) -> std::io::Result<()> {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.queue(BeginSynchronizedUpdate)?;
        if !self.hidden && !rows.is_empty() {
            bytes.queue(Hide)?;
            self.hidden = true;
        }
        let taken: usize = self
            .drawn
            .iter()
            .map(|columns| columns.div_ceil(width.max(1)).max(1))
            .sum();
        if taken > 0 {
            bytes.queue(MoveUp(u16::try_from(taken).unwrap_or(u16::MAX)))?;
            bytes.queue(MoveToColumn(0))?;
        }
        if !above.is_empty() {
            // They may be longer than a row.
            bytes.queue(Clear(ClearType::FromCursorDown))?;
        }
        let colours = has_colours();
        self.drawn.clear();
        for (line, is_drawing) in above
            .iter()
            .map(|line| (line, false))
            .chain(rows.iter().map(|row| (row, true)))
        {
            let plain = anstream::adapter::strip_str(line).to_string();
            if is_drawing {
                self.drawn.push(length(&plain));
            }
            let written = if colours { line } else { &plain };
            // Row by row: a terminal that shows what is half done never shows nothing. And before the row: behind one
            // that is as wide as the terminal, clearing would take its last letter.
            bytes.queue(Clear(ClearType::CurrentLine))?;
            bytes.extend_from_slice(written.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.queue(Clear(ClearType::FromCursorDown))?;
        if self.hidden && rows.is_empty() {
            bytes.queue(Show)?;
            self.hidden = false;
        }
        bytes.queue(EndSynchronizedUpdate)?;
        let mut stream = stderr().lock();
        stream.write_all(&bytes)?;
        stream.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.hidden {
            let mut bytes: Vec<u8> = Vec::new();
            if bytes.queue(Show).is_ok() {
                stderr().write_all(&bytes).ok();
            }
        }
    }
}
