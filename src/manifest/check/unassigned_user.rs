//! A user whom no assignment gives a seat.
//!
//! The user is listed, but no entry of any `assign` matches: neither by name or pattern nor by a group, host or address.
//!
//! ```yaml
//! users: [{name: ana}, {name: bo}]
//! seats: [{product: designer, assign: [{user: ana}]}]
//! ```
//!
//! **What to do:** Add the user to a group that has seats, or remove the user.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::types::Who;

/// A user whom no assignment gives a seat.
pub static CODE: Code = Code::warning("W0307", "unassigned-user");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.is_whole(path!["seats"]) || !facts.is_whole(path!["groups"]) {
        return;
    }
    let Some(assigned) = assigned(facts) else { return };
    for ((user, at), assigned) in facts.manifest.users.iter().zip(0_usize..).zip(assigned) {
        // The second of two entries of one name is a finding of its own.
        if assigned || facts.users.get(&user.name) != Some(&at) {
            continue;
        }
        let path = path!["users", at, "name"];
        let message = if report.is_listed(path) {
            "no assignment gives this user a seat".to_owned()
        } else {
            format!("no assignment gives `{}` a seat", user.name)
        };
        let help = "add the user to a group that has seats, or remove the user".to_owned();
        report.at(&CODE, path, message, help);
    }
}

/// For each of `users` whether an assignment matches. None where anybody can get a seat, for example at some host, and
/// where a name that is not known may have been meant for somebody.
fn assigned(facts: &Facts<'_>) -> Option<Vec<bool>> {
    // That products are assigned to nobody is a finding of its own.
    if facts.manifest.seats.iter().all(|seats| seats.assign.is_empty()) {
        return None;
    }
    let mut assigned = vec![false; facts.manifest.users.len()];
    let mut assign = |at: usize| {
        if let Some(assigned) = assigned.get_mut(at) {
            *assigned = true;
        }
    };
    let mut groups = BTreeSet::new();
    let mut patterns = Vec::new();
    for entry in facts.manifest.seats.iter().flat_map(|seats| &seats.assign) {
        match &entry.who {
            Who::User(pattern) => match pattern.literal() {
                Some(user) => assign(*facts.users.get(&user)?),
                None => patterns.push(pattern),
            },
            Who::Group(group) => {
                let members = facts.members_of(group)?;
                if groups.insert(group) {
                    for (_, known) in members {
                        assign(known?);
                    }
                }
            }
            Who::Host(_) | Who::Address(_) | Who::Everyone => return None,
        }
    }
    for (user, assigned) in facts.manifest.users.iter().zip(&mut assigned) {
        *assigned = *assigned || patterns.iter().any(|pattern| pattern.matches(&user.name));
    }
    Some(assigned)
}
