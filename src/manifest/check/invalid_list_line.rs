//! A line of a list that is no user name.
//!
//! A file of `membersFrom` has one user name a line; `#` begins a comment. A name has 1 to 256 characters, no control
//! characters and no wildcards: hosts, addresses and patterns stand in the manifest itself.
//!
//! ```yaml
//! groups: [{name: campus, membersFrom: groups/campus.txt}]
//! ```
//!
//! **What to do:** Correct the line in the list, or in the program that writes it.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::{Code, Finding};
use crate::name::NameError;

/// A line of a list that is no user name.
pub static CODE: Code = Code::error("E0407", "invalid-list-line");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for list in facts.lists().map_or(&[][..], |lists| &lists.members) {
        for (place, error) in &list.faults {
            // Nothing of the line is quoted: it may be of a file that its author should not see.
            let why = match error {
                NameError::Empty => "is empty",
                NameError::TooLong { .. } => "has more than 256 characters",
                NameError::Character { .. } => "has a wildcard or a control character",
            };
            let finding = crate::manifest::places::Places::without_text(&list.file).finding(
                &CODE,
                &[],
                format!("this line is no user name: it {why}"),
                "write one user name a line; `#` begins a comment".to_owned(),
            );
            report.add(Finding { place: Some(*place), ..finding });
        }
    }
}
