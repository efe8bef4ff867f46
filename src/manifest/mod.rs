//! The manifest: the YAML that a person writes and git keeps. Read with positions, checked with findings.
//!
//! `tree` reads YAML into nodes with positions, `walk` and `parse` make types of them, `limits` judges values that
//! the types cannot, `shape/` has the page of each finding that these make. Files are handed in as bytes.

pub mod check;
pub mod codes;
mod fields;
pub mod finding;
mod forms;
pub mod limits;
mod lines;
mod parse;
pub mod places;
mod plain;
pub mod schema;
pub mod shape;
pub mod sources;
mod suggest;
mod tree;
pub mod types;
mod walk;

use finding::Finding;
use places::Places;
use types::{Manifest, User};

/// A manifest as it was read, and where each of its values stands.
#[derive(Debug)]
pub struct Parsed {
    /// What could be read. With an error among the findings it is for further checks alone: entries that could not
    /// be read are left out, and [`Places::is_whole`] says of what.
    pub manifest: Manifest,
    /// Where the values stand.
    pub places: Places,
}

/// Reads a manifest, and says everything that is wrong with its shape: syntax, fields, types, names and ranges.
///
/// `file` is the manifest as the user would name it. There is no manifest where the text is no YAML or nothing of it
/// can be judged further. The findings are in the order of the text.
#[must_use]
pub fn parse(file: &str, text: &[u8]) -> (Option<Parsed>, Vec<Finding>) {
    let (read, mut findings) = walk::read(file, text, true, parse::manifest);
    let parsed = read.map(|(manifest, places)| Parsed { manifest, places });
    if let Some(Parsed { manifest, places }) = &parsed {
        findings.append(&mut limits::check_together(manifest, places));
    }
    (parsed, walk::in_order(findings))
}

/// Reads a `usersFrom` file: a list of the same shape as `users`. A user stands at `path![index]`.
///
/// The findings quote nothing of the file, which may be one that its author should not see.
#[must_use]
pub fn parse_users(file: &str, text: &[u8]) -> (Option<(Vec<User>, Places)>, Vec<Finding>) {
    let (read, findings) = walk::read(file, text, false, parse::user_list);
    (read, walk::in_order(findings))
}

#[cfg(test)]
mod tests;
