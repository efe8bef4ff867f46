//! A user that is not listed.
//!
//! Members of groups, and entries of `assign` and `deny` without a wildcard, name users of `users` or `usersFrom`. A
//! mistyped name would otherwise leave somebody without a seat, or take a denial away.
//!
//! ```yaml
//! users: [{name: ana}]
//! groups: [{name: hardware, members: [anna]}]
//! ```
//!
//! **What to do:** Correct the name, or add the user to `users`. A pattern such as `guest-*` needs no listed user.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::{Step, path};
use crate::manifest::suggest::nearest;
use crate::manifest::types::{Member, Who};
use crate::name::UserName;

/// A user that is not listed.
pub static CODE: Code = Code::error("E0302", "unknown-user");

/// With how many names the unknown ones are compared: with many users it takes long.
const COMPARISONS_MAX: usize = 100_000;

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.all_users {
        return;
    }
    let mut left = COMPARISONS_MAX;
    let groups = facts.manifest.groups.iter().zip(&facts.members).zip(0_usize..);
    for ((group, known), at) in groups {
        for ((member, known), place) in group.members.iter().zip(known).zip(0_usize..) {
            if let (Member::User(user), None) = (member, known) {
                let path = path!["groups", at, "members", place];
                say(facts, report, user, path, &mut left);
            }
        }
    }
    for (seats, product) in facts.manifest.seats.iter().zip(0_usize..) {
        let assigned = seats.assign.iter().map(|entry| ("assign", &entry.who)).zip(0_usize..);
        let denied = seats.deny.iter().map(|entry| ("deny", &entry.who)).zip(0_usize..);
        for ((list, who), at) in assigned.chain(denied) {
            if let Who::User(pattern) = who
                && let Some(user) = pattern.literal()
                && !facts.users.contains_key(&user)
            {
                say(facts, report, &user, path!["seats", product, list, at, "user"], &mut left);
            }
        }
    }
}

fn say(
    facts: &Facts<'_>,
    report: &mut Report<'_>,
    user: &UserName,
    path: &[Step],
    left: &mut usize,
) {
    let meant = if *left > 0 {
        *left = left.saturating_sub(facts.users.len());
        nearest(user.as_str(), facts.users.keys().map(|user| user.as_str()))
    } else {
        None
    };
    let (message, meant) = if report.is_listed(path) {
        ("this line names a user that is not listed in `users`".to_owned(), None)
    } else {
        (format!("the user `{user}` is not listed in `users`"), meant)
    };
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`? Otherwise add the user to `users`"),
        None => "add the user to `users`, or remove the name here".to_owned(),
    };
    report.at(&CODE, path, message, help);
}
