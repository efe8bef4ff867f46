//! A group that is not listed.
//!
//! Entries of `assign` and `deny` name groups of `groups`.
//!
//! ```yaml
//! groups: [{name: hardware}]
//! seats: [{product: designer, assign: [{group: hardwear}]}]
//! ```
//!
//! **What to do:** Correct the name, or add the group to `groups`.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::suggest::nearest;
use crate::manifest::types::Who;

/// A group that is not listed.
pub static CODE: Code = Code::error("E0303", "unknown-group");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.is_whole(path!["groups"]) {
        return;
    }
    for (seats, product) in facts.manifest.seats.iter().zip(0_usize..) {
        let assigned = seats.assign.iter().map(|entry| ("assign", &entry.who)).zip(0_usize..);
        let denied = seats.deny.iter().map(|entry| ("deny", &entry.who)).zip(0_usize..);
        for ((list, who), at) in assigned.chain(denied) {
            let Who::Group(group) = who else { continue };
            if facts.groups.contains_key(group) {
                continue;
            }
            let message = format!("the group `{group}` is not listed in `groups`");
            let known = facts.groups.keys().map(|group| group.as_str());
            let help = match nearest(group.as_str(), known) {
                Some(meant) => {
                    format!("did you mean `{meant}`? Otherwise add the group to `groups`")
                }
                None => "add the group to `groups`, or remove the entry".to_owned(),
            };
            report.at(&CODE, path!["seats", product, list, at, "group"], message, help);
        }
    }
}
