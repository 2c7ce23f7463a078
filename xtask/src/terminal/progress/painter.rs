//! The drawing end of the progress library: paints lines in place on a terminal that may change its size.
//!
//! The cursor rests where the lines begin, not where they end: whatever a terminal does to lines when its
//! window changes, it takes its cursor along. So the next painting begins at the right place and leaves
//! nothing behind. Must never be told more lines than the window has, for those would scroll.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use anstream::ColorChoice;
use anstream::adapter::strip_str;
use console::Term;
use indicatif::TermLike;

use super::layout::Size;

/// What is painted on stderr.
#[derive(Debug, Default)]
pub struct Painter {
    frame: Mutex<Frame>,
}

#[derive(Debug, Default)]
struct Frame {
    /// What the library has written since the last painting.
    next: String,
    /// The columns that it was told of.
    columns: usize,
    /// What is on the terminal, and the window in which it was painted.
    painted: Option<(Size, Vec<String>)>,
}

/// The size of the window now.
pub fn window() -> Size {
    let (lines, columns) = Term::stderr().size();
    Size {
        columns: usize::from(columns).max(20),
        lines: usize::from(lines).max(3),
    }
}

impl Painter {
    fn with_frame(&self, change: impl FnOnce(&mut Frame)) {
        change(&mut self.frame.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl TermLike for Painter {
    fn width(&self) -> u16 {
        let columns = window().columns;
        self.with_frame(|frame| frame.columns = columns);
        u16::try_from(columns).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(window().lines).unwrap_or(u16::MAX)
    }

    // The library always writes all of its lines: where the last ones are is known here.
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.with_frame(|frame| frame.next.push_str(text));
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.with_frame(|frame| {
            let rows = split_rows(&std::mem::take(&mut frame.next), frame.columns.max(1));
            let painting = Some((window(), rows));
            if painting != frame.painted {
                let rows = painting.iter().flat_map(|(_, rows)| rows);
                let _ = write_raw(&render_painting(rows.map(String::as_str)));
                frame.painted = painting;
            }
        });
        Ok(())
    }
}

/// Writes with the styles that stderr is to have, and with movements in any case.
fn write_raw(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// Without styles where the user wants none.
pub fn styled(text: &str) -> String {
    match anstream::AutoStream::choice(&io::stderr()) {
        ColorChoice::Never => strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

/// The rows of a text that wraps after so many columns; blanks at their ends are dropped.
fn split_rows(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let (mut column, mut in_style) = (0, false);
    for c in text.chars() {
        let last = rows.len() - 1;
        match c {
            '\n' => {
                rows.push(String::new());
                column = 0;
                continue;
            }
            '\r' => continue,
            '\x1b' => in_style = true,
            _ if in_style => in_style = c != 'm',
            _ if column == columns => {
                rows.push(c.to_string());
                column = 1;
                continue;
            }
            _ => column += 1,
        }
        rows[last].push(c);
    }
    while rows.last().is_some_and(|row| row.trim_end().is_empty()) {
        rows.pop();
    }
    rows.iter().map(|row| row.trim_end().to_owned()).collect()
}

/// What puts rows in the place of those that begin at the cursor, and the cursor back to their beginning.
fn render_painting<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    let rows: Vec<&str> = rows.collect();
    let mut painting = format!("\r\x1b[J{}", rows.join("\r\n"));
    if rows.len() > 1 {
        painting.push_str(&format!("\x1b[{}A", rows.len() - 1));
    }
    painting.push('\r');
    painting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_by_the_columns_that_they_fill() {
        assert_eq!(split_rows("ab  cd  ", 4), ["ab", "cd"]);
        assert_eq!(
            split_rows("\x1b[32mab\x1b[0m  c", 4),
            ["\x1b[32mab\x1b[0m", "c"]
        );
        assert_eq!(split_rows("a\nb", 4), ["a", "b"]);
        assert_eq!(split_rows("    ", 4), [""; 0]);
    }

    #[test]
    fn the_cursor_rests_where_the_lines_begin() {
        let rows = ["one", "two", "three"];
        assert_eq!(
            render_painting(rows.into_iter()),
            "\r\x1b[Jone\r\ntwo\r\nthree\x1b[2A\r"
        );
        assert_eq!(render_painting([].into_iter()), "\r\x1b[J\r");
    }
}
