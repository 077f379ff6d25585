//! Text in columns: rows of styled pieces that are cut to a width. Pure; colour is only ever an addition.

use std::time::Duration;

use owo_colors::Style;
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// One row of a drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pieces: Vec<(Style, String)>,
}

impl Row {
    /// A row of one piece.
    pub(crate) fn of(style: Style, text: impl AsRef<str>) -> Self {
        Self::default().and(style, text)
    }

    /// The row with another piece behind it. What is not text (a newline, a tab) becomes a space.
    pub(crate) fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().replace(char::is_control, " ");
        self.pieces.push((style, text));
        self
    }

    /// The row with blanks up to a column, and always one behind what there is.
    pub(crate) fn until_column(self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.width()).max(usize::from(self.width() > 0));
        self.and(Style::new(), " ".repeat(blanks))
    }

    /// The row with a piece at the right edge, left out where there is no room for it.
    pub(crate) fn and_right(self, style: Style, text: &str, width: usize) -> Self {
        match width.checked_sub(length(text)) {
            Some(column) if column > self.width() => self.until_column(column).and(style, text),
            _ => self,
        }
    }

    /// How many columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| length(text)).sum()
    }

    /// The row as it is written, cut to a width.
    pub(crate) fn cut(&self, width: usize) -> String {
        let mut left = width;
        let is_cut = self.width() > width;
        let mut written = String::new();
        for (style, text) in &self.pieces {
            let room = if is_cut && length(text) >= left {
                left
            } else {
                length(text)
            };
            let piece = if is_cut && room == left {
                cut(&format!("{text}  "), room)
            } else {
                text.clone()
            };
            left -= room;
            written.push_str(&style.style(piece).to_string());
            if is_cut && left == 0 {
                break;
            }
        }
        written
    }
}

/// A text that takes at most so many columns; what is cut off leaves a mark.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = width.saturating_sub(1);
    for letter in text.chars() {
        match room.checked_sub(letter.width().unwrap_or(0)) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(letter);
    }
    let mark = if width == 0 { "" } else { "…" };
    format!("{kept}{mark}")
}

/// How many columns a text takes; some letters take two, and some none.
pub(crate) fn length(text: &str) -> usize {
    text.width()
}

/// A number of things, such as `3 releases`.
pub(crate) fn several(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o']) => format!("{count} {stem}ies"),
        _ => format!("{count} {what}s"),
    }
}

/// A point in the run, such as `9:38`.
pub(crate) fn clock(elapsed: Duration) -> String {
    format!("{}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

/// A bar of which some is full: `part` of `whole`, in so many columns.
pub(crate) fn share(part: usize, whole: usize, width: usize) -> usize {
    (part * width).checked_div(whole).unwrap_or(0).min(width)
}

/// What something is that has been found good, or bad, or only said.
pub(crate) mod style {
    use owo_colors::Style;

    pub(crate) fn plain() -> Style {
        Style::new()
    }

    pub(crate) fn strong() -> Style {
        Style::new().bold()
    }

    pub(crate) fn faint() -> Style {
        Style::new().dimmed()
    }

    pub(crate) fn good() -> Style {
        Style::new().green()
    }

    pub(crate) fn bad() -> Style {
        Style::new().red().bold()
    }

    pub(crate) fn coming() -> Style {
        Style::new().cyan()
    }

    pub(crate) fn cue() -> Style {
        Style::new().yellow().bold()
    }
}

/// What people see of drawn rows: no styles, and nothing beyond the terminal.
#[cfg(test)]
pub(crate) fn seen_in(rows: &[String], width: usize, height: usize) -> String {
    assert!(rows.len() < height, "{} rows in {height}", rows.len());
    let rows: Vec<String> = rows
        .iter()
        .map(|row| anstream::adapter::strip_str(row).to_string())
        .inspect(|row| assert!(length(row) <= width, "`{row}` in {width}"))
        .map(|row| row.trim_end().to_owned())
        .collect();
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_cut_at_the_width_and_says_so() {
        let row = || {
            Row::of(style::strong(), "create")
                .until_column(8)
                .and(style::plain(), "cluster/main")
        };
        for (width, expected) in [
            (80, "create  cluster/main"),
            (20, "create  cluster/main"),
            (12, "create  clu…"),
            (8, "create …"),
            (3, "cr…"),
            (1, "…"),
            (0, ""),
        ] {
            let drawn = anstream::adapter::strip_str(&row().cut(width)).to_string();
            assert_eq!(drawn.trim_end(), expected.trim_end(), "in {width}");
            assert!(length(&drawn) <= width, "in {width}");
        }
    }

    #[test]
    fn letters_that_take_two_columns_are_cut_where_there_is_room_for_one() {
        for (width, expected) in [
            (9, "管 tube管"),
            (8, "管 tube…"),
            (7, "管 tub…"),
            (3, "管…"),
            (2, "…"),
            (1, "…"),
        ] {
            let drawn = Row::of(style::plain(), "管 tube管").cut(width);
            assert_eq!(drawn.trim_end(), expected, "in {width}");
            assert!(length(&drawn) <= width, "in {width}");
        }
    }

    #[test]
    fn what_is_not_text_does_not_move_the_cursor() {
        let row = Row::of(style::plain(), "a\nb\u{1b}[2Jc");
        assert_eq!(row.cut(80), "a b [2Jc");
    }

    #[test]
    fn a_piece_at_the_right_edge_gives_way() {
        let row = |width| {
            Row::of(style::plain(), "up tube")
                .and_right(style::plain(), "4m", width)
                .cut(width)
        };
        assert_eq!(row(14), "up tube     4m");
        assert_eq!(row(8), "up tube");
    }

    #[test]
    fn things_are_counted_in_words() {
        let counted =
            [(1, "policy"), (2, "policy"), (2, "key"), (3, "add-on")].map(|(count, what)| several(count, what));
        assert_eq!(counted, ["1 policy", "2 policies", "2 keys", "3 add-ons"]);
    }
}
