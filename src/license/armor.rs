//! The armor of a license: PEM after RFC 7468, read strictly, written canonically (64 columns, LF).
//!
//! Text outside blocks is ignored; everything inside counts. What the bytes inside mean is `payload` and `sign`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Rejection;
use crate::role::Role;

/// The most bytes a license file may have.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The length of an Ed25519 signature in bytes.
const SIGNATURE_BYTES: usize = 64;
const COLUMNS: usize = 64;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One armored block of a license file: what its label, its signature and its payload say, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub(super) role: Role,
    pub(super) signature: [u8; SIGNATURE_BYTES],
    pub(super) payload: Vec<u8>,
}

impl Block {
    /// The role in the label.
    #[must_use]
    pub const fn label_role(&self) -> Role {
        self.role
    }

    /// The signed payload, a JSON text as its vendor wrote it.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The block as it stands in a bundle: 64 columns, LF at the end of each line.
    #[must_use]
    pub fn armor(&self) -> String {
        let mut bytes = self.signature.to_vec();
        bytes.extend_from_slice(&self.payload);
        let encoded = STANDARD.encode(bytes);
        let label = label(self.role);
        let mut text = format!("{BEGIN}{label}{DASHES}\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            // Base64 is ASCII, so every index is a boundary.
            let (line, after) = rest.split_at(rest.len().min(COLUMNS));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(END);
        text.push_str(label);
        text.push_str(DASHES);
        text.push('\n');
        text
    }
}

const fn label(role: Role) -> &'static str {
    match role {
        Role::Primary => "TANDEM PRIMARY LICENSE",
        Role::Secondary => "TANDEM SECONDARY LICENSE",
    }
}

fn label_role(text: &str) -> Option<Role> {
    [Role::Primary, Role::Secondary].into_iter().find(|role| label(*role) == text)
}

/// The blocks of a license file, in its order, at least one. None of them is verified yet.
///
/// # Errors
/// The file is too large, has no block, or one of its blocks is not strict armor: another label, a header, a body
/// that is not base64, no end.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, Rejection> {
    if text.len() > FILE_BYTES_MAX {
        return Err(Rejection::TooLarge { bytes: text.len(), max: FILE_BYTES_MAX });
    }
    // Some editors put a byte order mark before the first line.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        match (boundary(bytes, line)?, open.as_mut()) {
            (Boundary::Begin(label), None) => match label_role(label) {
                Some(role) => open = Some(Open { line, role, body: Vec::new() }),
                None => return Err(Rejection::WrongLabel { label: label.to_owned(), line }),
            },
            (Boundary::Begin(_), Some(open)) => {
                return Err(Rejection::NotEnded { line: open.line });
            }
            (Boundary::End(_), None) => return Err(Rejection::NotBegun { line }),
            (Boundary::End(label), Some(begun)) => {
                blocks.push(begun.close(label, line)?);
                open = None;
            }
            (Boundary::None, Some(open)) => open.add(bytes, line)?,
            (Boundary::None, None) => {}
        }
    }
    match open {
        Some(open) => Err(Rejection::NotEnded { line: open.line }),
        None if blocks.is_empty() => Err(Rejection::NoBlock),
        None => Ok(blocks),
    }
}

/// What a line says about the blocks around it.
enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
    None,
}

/// A line that only looks like a boundary is refused: as mere text it would hide a license without a word.
fn boundary(bytes: &[u8], line: usize) -> Result<Boundary<'_>, Rejection> {
    let trimmed = bytes.trim_ascii_start();
    if !trimmed.starts_with(BEGIN.trim_end().as_bytes())
        && !trimmed.starts_with(END.trim_end().as_bytes())
    {
        return Ok(Boundary::None);
    }
    let damaged = Rejection::DamagedBoundary { line };
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(damaged) };
    let between = |first: &str| text.strip_prefix(first)?.strip_suffix(DASHES);
    match (between(BEGIN), between(END)) {
        (Some(label), _) => Ok(Boundary::Begin(label)),
        (_, Some(label)) => Ok(Boundary::End(label)),
        _ => Err(damaged),
    }
}

/// A block that has begun.
struct Open {
    line: usize,
    role: Role,
    body: Vec<u8>,
}

impl Open {
    fn add(&mut self, bytes: &[u8], line: usize) -> Result<(), Rejection> {
        if bytes.contains(&b':') {
            return Err(Rejection::Header { line });
        }
        if bytes.is_empty() {
            return Err(Rejection::NotBase64 { line: self.line });
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, end: &str, line: usize) -> Result<Block, Rejection> {
        let begin = label(self.role);
        if end != begin {
            let (begin, end) = (begin.to_owned(), end.to_owned());
            return Err(Rejection::LabelsDiffer { begin, end, line });
        }
        // The engine wants canonical padding and no stray bits, so one text has one meaning and the other way round.
        let bytes =
            STANDARD.decode(&self.body).map_err(|_| Rejection::NotBase64 { line: self.line })?;
        match bytes.split_first_chunk::<SIGNATURE_BYTES>() {
            Some((signature, payload)) if !payload.is_empty() => {
                Ok(Block { role: self.role, signature: *signature, payload: payload.to_vec() })
            }
            _ => Err(Rejection::TooShort { line: self.line }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(role: Role, payload: &[u8]) -> Block {
        Block { role, signature: [7; 64], payload: payload.to_vec() }
    }

    fn refused(text: &str) -> Rejection {
        blocks(text.as_bytes()).expect_err("refused")
    }

    #[test]
    fn armor_has_64_columns_and_reads_back() {
        let block = block(Role::Primary, b"{}");
        insta::assert_snapshot!(block.armor(), @r"
        -----BEGIN TANDEM PRIMARY LICENSE-----
        BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH
        BwcHBwcHBwcHBwcHBwcHB3t9
        -----END TANDEM PRIMARY LICENSE-----
        ");
        assert_eq!(blocks(block.armor().as_bytes()), Ok(vec![block]));
    }

    #[test]
    fn text_around_blocks_and_line_ends_are_ignored() {
        let (one, two) = (block(Role::Primary, b"{}"), block(Role::Secondary, b"[1]"));
        let text = format!("Your licenses:\n\n{}\nand\n{}bye", one.armor(), two.armor());
        let dos = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(blocks(text.as_bytes()), Ok(vec![one.clone(), two.clone()]));
        assert_eq!(blocks(dos.as_bytes()), Ok(vec![one, two]));
    }

    #[test]
    fn a_file_without_a_block_is_refused() {
        assert_eq!(refused(""), Rejection::NoBlock);
        assert_eq!(refused("hello\n"), Rejection::NoBlock);
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let bytes = FILE_BYTES_MAX + 1;
        assert_eq!(
            blocks(&vec![b'\n'; bytes]),
            Err(Rejection::TooLarge { bytes, max: FILE_BYTES_MAX })
        );
    }

    #[test]
    fn another_label_is_refused() {
        let text = block(Role::Primary, b"{}").armor().replace("TANDEM PRIMARY LICENSE", "X");
        assert_eq!(refused(&text), Rejection::WrongLabel { label: "X".to_owned(), line: 1 });
    }

    #[test]
    fn a_block_that_ends_as_the_other_role_is_refused() {
        let text =
            block(Role::Primary, b"{}").armor().replace("END TANDEM PRI", "END TANDEM SECOND");
        assert!(matches!(refused(&text), Rejection::LabelsDiffer { line: 4, .. }));
    }

    #[test]
    fn a_block_that_is_cut_off_is_refused() {
        let text = block(Role::Primary, b"{}").armor();
        let (head, _) = text.split_once("-----END").expect("an end");
        assert_eq!(refused(head), Rejection::NotEnded { line: 1 });
        assert_eq!(refused(&format!("{head}{text}")), Rejection::NotEnded { line: 1 });
        assert_eq!(refused(&format!("\n{head}-----END")), Rejection::DamagedBoundary { line: 5 });
        let (_, tail) = text.split_once('\n').expect("lines");
        assert_eq!(refused(tail), Rejection::NotBegun { line: 3 });
    }

    #[test]
    fn almost_a_boundary_is_refused() {
        for text in [" -----BEGIN TANDEM PRIMARY LICENSE-----", "-----BEGIN TANDEM PRIMARY LICENSE"]
        {
            assert_eq!(refused(text), Rejection::DamagedBoundary { line: 1 }, "{text}");
        }
    }

    #[test]
    fn headers_blank_lines_and_loose_base64_are_refused() {
        let wrap = |body: &str| {
            format!(
                "-----BEGIN TANDEM PRIMARY LICENSE-----\n{body}\n-----END TANDEM PRIMARY LICENSE-----\n"
            )
        };
        let good = STANDARD.encode([b'a'; 67]);
        assert!(good.ends_with("YQ=="));
        let body = |end: &str| format!("{}{end}", good.trim_end_matches("YQ=="));
        assert!(blocks(wrap(&good).as_bytes()).is_ok());
        assert_eq!(
            refused(&wrap(&format!("Proc-Type: 4\n\n{good}"))),
            Rejection::Header { line: 2 }
        );
        for text in [
            body("YQ"),
            body("YR=="),
            body("YQ==\n"),
            body("YQ =="),
            body("Y-=="),
            body("YQ==YQ=="),
        ] {
            assert_eq!(refused(&wrap(&text)), Rejection::NotBase64 { line: 1 }, "{text}");
        }
        assert_eq!(refused(&wrap("YQ==")), Rejection::TooShort { line: 1 });
        assert_eq!(refused(&wrap(&STANDARD.encode([0; 64]))), Rejection::TooShort { line: 1 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = blocks(&bytes);
        }

        #[test]
        fn armor_and_blocks_are_inverse(payload in proptest::collection::vec(any::<u8>(), 1..300), primary: bool) {
            let role = if primary { Role::Primary } else { Role::Secondary };
            let block = block(role, &payload);
            prop_assert_eq!(blocks(block.armor().as_bytes()), Ok(vec![block]));
        }
    }
}
