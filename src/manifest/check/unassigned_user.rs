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
use crate::manifest::types::{Member, Who};
use crate::name::{UserName, UserPattern};

/// A user whom no assignment gives a seat.
pub static CODE: Code = Code::warning("W0307", "unassigned-user");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.is_whole(path!["seats"]) || !facts.is_whole(path!["groups"]) {
        return;
    }
    let Some(Assigned { users, patterns }) = assigned(facts) else { return };
    for (user, at) in facts.manifest.users.iter().zip(0_usize..) {
        if users.contains(&user.name) || patterns.iter().any(|pattern| pattern.matches(&user.name))
        {
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

/// Who is assigned seats by name.
#[derive(Default)]
struct Assigned<'a> {
    users: BTreeSet<UserName>,
    patterns: Vec<&'a UserPattern>,
}

/// None where anybody can get a seat, for example at some host, and where a name that is not known may have been meant
/// for somebody.
fn assigned<'a>(facts: &Facts<'a>) -> Option<Assigned<'a>> {
    let mut assigned = Assigned::default();
    let mut groups = BTreeSet::new();
    // That products are assigned to nobody is a finding of its own.
    if facts.manifest.seats.iter().all(|seats| seats.assign.is_empty()) {
        return None;
    }
    for entry in facts.manifest.seats.iter().flat_map(|seats| &seats.assign) {
        match &entry.who {
            Who::User(pattern) => match pattern.literal() {
                Some(user) if facts.users.contains_key(&user) => drop(assigned.users.insert(user)),
                Some(_) => return None,
                None => assigned.patterns.push(pattern),
            },
            Who::Group(group) => {
                if !facts.groups.contains_key(group) {
                    return None;
                }
                if !groups.insert(group) {
                    continue;
                }
                for member in facts.members(group) {
                    match member {
                        Member::User(user) if facts.users.contains_key(user) => {
                            assigned.users.insert(user.clone());
                        }
                        Member::User(_) | Member::Host(_) | Member::Address(_) => return None,
                    }
                }
            }
            Who::Host(_) | Who::Address(_) | Who::Everyone => return None,
        }
    }
    Some(assigned)
}
