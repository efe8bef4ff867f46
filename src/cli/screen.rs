//! A part of the terminal that is drawn again and again in place: what `up` shows.

use super::error::Failure;
use super::output::Output;
use crate::seam::terminal;

/// Lines at the end of the terminal that replace each other.
pub(crate) struct Screen {
    output: Output,
    drawn: usize,
}

impl Screen {
    /// Nothing drawn yet.
    pub(crate) const fn new(output: Output) -> Self {
        Self { output, drawn: 0 }
    }

    /// Whether results go to a terminal.
    pub(crate) fn is_there() -> bool {
        std::io::IsTerminal::is_terminal(&std::io::stdout())
    }

    /// Draws these lines in place of the last ones, cut to the size of the terminal.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn draw(&mut self, text: &str) -> Result<(), Failure> {
        let (columns, rows) = terminal::size().unwrap_or((100, 40));
        let rows = usize::from(rows).saturating_sub(1);
        let mut drawing = self.back();
        let mut drawn = 0;
        for line in text.lines().take(rows) {
            drawing.push_str(&cut(line, usize::from(columns)));
            drawing.push('\n');
            drawn += 1;
        }
        self.drawn = drawn;
        self.output.text(&drawing)
    }

    /// What moves the cursor to the first of the lines that are drawn and clears from there.
    fn back(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
        }
    }
}

/// The first columns of a line. What only changes the color takes none, and is kept.
fn cut(line: &str, columns: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let (mut taken, mut is_code) = (0, false);
    for character in line.chars() {
        if character == '\u{1b}' {
            is_code = true;
        }
        if is_code {
            kept.push(character);
            is_code = !character.is_ascii_alphabetic();
        } else if taken < columns {
            kept.push(character);
            taken += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_it_shows() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("\u{1b}[1mabc\u{1b}[0mdef", 4), "\u{1b}[1mabc\u{1b}[0md");
    }
}
