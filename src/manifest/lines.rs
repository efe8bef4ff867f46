//! Lines and columns of byte offsets. A line ends with LF, CRLF or CR, as YAML has it; columns count characters.

use super::finding::Place;

/// A known position, so that a search never counts far: one at each line's start, more on long lines.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u32,
    line: u32,
    column: u32,
}

/// How many bytes of a line are counted at most to find a column.
const STRIDE: u32 = 4096;

/// A source line is cut after so many characters: what is quoted is for the eye.
const SOURCE_MAX: usize = 500;

/// An index of a text's lines.
#[derive(Debug)]
pub(super) struct Lines {
    marks: Vec<Mark>,
}

impl Lines {
    /// Indexes `text`, of at most `u32::MAX` bytes (what is beyond has the last line's number).
    pub(super) fn new(text: &str) -> Self {
        let (mut line, mut column) = (1, 1);
        let mut marks = vec![Mark { offset: 0, line, column }];
        let mut last = 0;
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let Ok(next) = u32::try_from(at + c.len_utf8()) else { break };
            let ends =
                c == '\n' || (c == '\r' && characters.peek().is_none_or(|&(_, c)| c != '\n'));
            (line, column) = if ends { (line + 1, 1) } else { (line, column + 1) };
            if ends || next - last >= STRIDE {
                marks.push(Mark { offset: next, line, column });
                last = next;
            }
        }
        Self { marks }
    }

    /// Line and column of a byte offset.
    fn position(&self, text: &str, offset: u32) -> (u32, u32) {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let Some(mark) = after.checked_sub(1).and_then(|i| self.marks.get(i)) else {
            return (1, 1);
        };
        let between = text.get(mark.offset as usize..offset as usize).unwrap_or_default();
        let count = u32::try_from(between.chars().count()).unwrap_or(u32::MAX);
        (mark.line, mark.column.saturating_add(count))
    }

    /// The place between two byte offsets.
    pub(super) fn place(&self, text: &str, start: u32, end: u32) -> Place {
        let (line, column) = self.position(text, start);
        let (end_line, end_column) = self.position(text, end.max(start));
        Place { line, column, end_line, end_column }
    }

    /// A line without its end, cut where it is very long.
    pub(super) fn source(&self, text: &str, line: u32) -> Option<String> {
        let first = self.marks.partition_point(|mark| mark.line < line);
        let mark = self.marks.get(first).filter(|mark| mark.line == line)?;
        let rest = text.get(mark.offset as usize..)?;
        Some(rest.chars().take_while(|c| !matches!(c, '\n' | '\r')).take(SOURCE_MAX).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, offset: u32) -> (u32, u32) {
        Lines::new(text).position(text, offset)
    }

    #[test]
    fn lines_and_columns_begin_at_one_and_columns_count_characters() {
        let text = "a: é\nü: b";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 5), (1, 5));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 8), (2, 2));
        assert_eq!(position(text, 11), (2, 5));
    }

    #[test]
    fn lf_crlf_and_cr_each_end_a_line() {
        let text = "a\nb\r\nc\rd\n\n\r\re\n";
        for (offset, line) in
            [(0, 1), (2, 2), (5, 3), (7, 4), (9, 5), (10, 6), (11, 7), (12, 8), (14, 9)]
        {
            assert_eq!(position(text, offset), (line, 1), "{offset}");
        }
        let lines = Lines::new(text);
        assert_eq!(lines.source(text, 2).as_deref(), Some("b"));
        assert_eq!(lines.source(text, 5).as_deref(), Some(""));
        assert_eq!(lines.source(text, 8).as_deref(), Some("e"));
        assert_eq!(lines.source(text, 9).as_deref(), Some(""));
        assert_eq!(lines.source(text, 10), None);
    }

    #[test]
    fn long_lines_are_counted_from_marks_and_cut_when_quoted() {
        let text = "é".repeat(10_000);
        assert_eq!(position(&text, 19_998), (1, 10_000));
        let source = Lines::new(&text).source(&text, 1).expect("a line");
        assert_eq!(source.chars().count(), SOURCE_MAX);
    }
}
