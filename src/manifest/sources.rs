//! What a manifest names: license files by path or pattern, and lists of users and members.
//!
//! Pure: says which texts are paths, which paths a pattern fits, and what can go wrong with a file. Reading files
//! is the work of `repository`; nothing here knows where they come from.

use std::sync::Arc;

use super::finding::Place;
use super::limits::path_problem;
use super::places::{Places, Step, path};
use super::types::Member;
use crate::name::{NameError, ServerName, UserName, wildcard};

/// The most files that a manifest may name.
pub const FILES_MAX: usize = 1_000;
/// The most bytes of one license file.
pub const LICENSE_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of the manifest and everything it names together.
pub const TOTAL_BYTES_MAX: u64 = 64 << 20;

/// A license file that a server is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseFile {
    /// The server whose `licenses` name it.
    pub server: ServerName,
    /// Its path from the manifest's folder, `/`-separated.
    pub file: String,
    /// Its bytes, as they are on disk or in the bundle.
    pub text: Arc<[u8]>,
}

/// Where the users and members of a manifest come from that its own text does not have.
#[derive(Debug, Default)]
pub struct Lists {
    /// The users of `usersFrom`.
    pub users: Option<UserList>,
    /// The members of each `membersFrom`.
    pub members: Vec<MemberList>,
}

/// The users that a `usersFrom` file added to those of the manifest.
#[derive(Debug)]
pub struct UserList {
    /// The file, as the user would name it.
    pub file: String,
    /// The place in the manifest's `users` of the first of them.
    pub first: usize,
    /// Where they stand in the file; absent where the file could not be read.
    pub places: Option<Places>,
}

/// The members that a `membersFrom` file added to a group.
#[derive(Debug)]
pub struct MemberList {
    /// The file, as the user would name it.
    pub file: String,
    /// The group's place in `groups`.
    pub group: usize,
    /// The place in the group's `members` of the first of them.
    pub first: usize,
    /// Where each of them stands.
    pub places: Vec<Place>,
    /// Lines that are no user name, and why not.
    pub faults: Vec<(Place, NameError)>,
}

impl MemberList {
    /// Reads the text of a list and adds its names to `members`.
    pub fn read(file: String, group: usize, text: &str, members: &mut Vec<Member>) -> Self {
        let mut list =
            Self { file, group, first: members.len(), places: Vec::new(), faults: Vec::new() };
        for line in list_lines(text) {
            let length = u32::try_from(line.text.chars().count()).unwrap_or(u32::MAX);
            let place = Place {
                line: line.line,
                column: line.column,
                end_line: line.line,
                end_column: line.column.saturating_add(length),
            };
            match UserName::new(line.text) {
                Ok(name) => {
                    members.push(Member::User(name));
                    list.places.push(place);
                }
                Err(error) => list.faults.push((place, error)),
            }
        }
        list
    }
}

/// Which entry of the manifest names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// `servers[server].licenses[pattern]`.
    License {
        /// The server's place in `servers`.
        server: usize,
        /// The pattern's place in its `licenses`.
        pattern: usize,
    },
    /// `usersFrom`.
    UsersFrom,
    /// `groups[group].membersFrom`.
    MembersFrom {
        /// The group's place in `groups`.
        group: usize,
    },
}

impl Entry {
    /// The path of this entry in the manifest.
    #[must_use]
    pub fn path(self) -> Vec<Step> {
        match self {
            Self::License { server, pattern } => {
                path!["servers", server, "licenses", pattern].to_vec()
            }
            Self::UsersFrom => path!["usersFrom"].to_vec(),
            Self::MembersFrom { group } => path!["groups", group, "membersFrom"].to_vec(),
        }
    }
}

/// A file that a manifest names and that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// What names it.
    pub entry: Entry,
    /// The path, or the pattern where no file is meant.
    pub file: String,
    /// Why it could not be read.
    pub fault: FileFault,
}

/// Why a file that a manifest names could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// The text is not a path that a manifest may have.
    #[error("{0}")]
    Path(&'static str),
    /// No file fits the pattern.
    #[error("matches no file")]
    NoMatch,
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// A symbolic link leads out of where a manifest may read.
    #[error("leads out of {0}")]
    Outside(&'static str),
    /// A folder, a pipe, a device, a socket.
    #[error("is {0}, not a regular file")]
    NotRegular(&'static str),
    /// A list that is no text.
    #[error("is not UTF-8 text")]
    NotText,
    /// The file has more bytes than its kind may have.
    #[error("has more than {0} bytes")]
    TooLarge(u64),
    /// All files together have more bytes than a manifest may name.
    #[error(
        "goes over the {TOTAL_BYTES_MAX} bytes that a manifest and its files may have together"
    )]
    TotalTooLarge,
    /// There are more files than a manifest may name.
    #[error("goes over the {FILES_MAX} files that a manifest may name")]
    TooMany,
    /// The operating system or git did not give it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// A path or pattern of a manifest: relative, `/`-separated, without `.` components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    components: Vec<String>,
}

impl Pattern {
    /// Reads a path or a pattern: `*` is any text and `?` any one character within a component, `**` as a whole
    /// component any number of folders.
    ///
    /// # Errors
    /// The text is not a relative path that stays where it is.
    pub fn new(text: &str) -> Result<Self, FileFault> {
        if let Some(problem) = path_problem(text) {
            return Err(FileFault::Path(problem));
        }
        let parts = text.split('/').filter(|part| *part != ".");
        let components: Vec<String> = parts.map(str::to_owned).collect();
        if components.is_empty() {
            return Err(FileFault::NotRegular("a folder"));
        }
        Ok(Self { components })
    }

    /// The path, where it has no wildcard.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        let wild = |component: &String| component.contains(['*', '?']);
        (!self.components.iter().any(wild)).then(|| self.components.join("/"))
    }

    /// Its components, in order.
    #[must_use]
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Whether it fits this path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        // Whether the components up to here fit the first n names, for every n: no backtracking.
        let mut fits = vec![false; names.len() + 1];
        if let Some(first) = fits.first_mut() {
            *first = true;
        }
        for component in &self.components {
            let mut next = vec![false; names.len() + 1];
            if component == "**" {
                let mut seen = false;
                for (fit, next) in fits.iter().zip(&mut next) {
                    seen |= *fit;
                    *next = seen;
                }
            } else {
                for ((fit, name), next) in fits.iter().zip(&names).zip(next.iter_mut().skip(1)) {
                    *next = *fit && component_matches(component, name);
                }
            }
            fits = next;
        }
        fits.last().copied().unwrap_or(false)
    }
}

/// Whether a component of a pattern fits a name. As in shells a wildcard does not begin a hidden name.
#[must_use]
pub fn component_matches(component: &str, name: &str) -> bool {
    if !component.contains(['*', '?']) {
        return component == name;
    }
    (component.starts_with('.') || !name.starts_with('.')) && wildcard(component, name)
}

/// A line of a list of members that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLine<'a> {
    /// Its number, from 1.
    pub line: u32,
    /// The column of its first character, from 1.
    pub column: u32,
    /// Its text without comment and surrounding space.
    pub text: &'a str,
}

/// The lines of a list: one name a line; `#` at the start or after a space begins a comment.
pub fn list_lines(text: &str) -> impl Iterator<Item = ListLine<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter_map(|(index, raw)| {
        let comment = raw.char_indices().find(|&(at, c)| {
            c == '#' && raw[..at].chars().next_back().is_none_or(char::is_whitespace)
        });
        let line = comment.map_or(raw, |(at, _)| &raw[..at]);
        let text = line.trim();
        let column = line.chars().take_while(|c| c.is_whitespace()).count();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        (!text.is_empty()).then(|| ListLine { line: number(index), column: number(column), text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_where_the_manifest_is() {
        for text in ["", "/etc/passwd", "C:/keys", "a/../b", "a\\b", "a//b", "a\nb"] {
            assert!(matches!(Pattern::new(text), Err(FileFault::Path(_))), "{text}");
        }
        assert_eq!(Pattern::new("."), Err(FileFault::NotRegular("a folder")));
        let path = Pattern::new("./a/./b.alf").expect("a path");
        assert_eq!(path.literal().as_deref(), Some("a/b.alf"));
    }

    #[test]
    fn wildcards_stay_within_a_component_and_skip_hidden_names() {
        let fits = |pattern: &str, path: &str| Pattern::new(pattern).expect("valid").matches(path);
        assert!(fits("licenses/*.alf", "licenses/a.alf"));
        assert!(!fits("licenses/*.alf", "licenses/x/a.alf"));
        assert!(!fits("licenses/*.alf", "licenses/.alf"));
        assert!(fits("licenses/?.alf", "licenses/a.alf"));
        assert!(fits("**/*.alf", "a.alf"));
        assert!(fits("**/*.alf", "x/y/a.alf"));
        assert!(fits("x/**/a", "x/a"));
        assert!(!fits("licenses/*.alf", "licenses"));
        assert!(fits("a[1].alf", "a[1].alf"));
    }

    #[test]
    fn a_list_has_a_name_a_line_and_comments() {
        let lines: Vec<_> = list_lines("# who\nana\n  bo  # new\n\nws#1\r\n")
            .map(|l| (l.line, l.column, l.text))
            .collect();
        assert_eq!(lines, [(2, 1, "ana"), (3, 3, "bo"), (5, 1, "ws#1")]);
    }
}
