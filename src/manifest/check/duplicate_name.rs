//! A name that stands twice in one list.
//!
//! Users, groups, products and the members of a group are told apart by name, without regard to case. Which of two
//! entries counts would be anybody's guess.
//!
//! ```yaml
//! users:
//!   - {name: ana}
//!   - {name: Ana}
//! ```
//!
//! **What to do:** Remove one of them, or merge the two.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::{Step, path};
use crate::manifest::types::Member;

/// A name that stands twice in one list.
pub static CODE: Code = Code::error("E0301", "duplicate-name");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let manifest = facts.manifest;
    for (user, at) in manifest.users.iter().zip(0_usize..) {
        if facts.users.get(&user.name).is_some_and(|first| *first != at) {
            say(report, path!["users", at, "name"], "user", user.name.as_str());
        }
    }
    for (group, at) in manifest.groups.iter().zip(0_usize..) {
        if facts.groups.get(&group.name).is_some_and(|first| *first != at) {
            say(report, path!["groups", at, "name"], "group", group.name.as_str());
        }
        // What a list adds may repeat the manifest's own members: another program writes it.
        let list =
            facts.lists().and_then(|lists| lists.members.iter().find(|list| list.group == at));
        let own = list.map_or(group.members.len(), |list| list.first);
        let (own, listed) = group.members.split_at_checked(own).unwrap_or((&group.members, &[]));
        members(report, at, own, 0);
        members(report, at, listed, own.len());
    }
    let mut products = BTreeMap::new();
    for (seats, at) in manifest.seats.iter().zip(0_usize..) {
        if *products.entry(&seats.product).or_insert(at) != at {
            say(report, path!["seats", at, "product"], "product", seats.product.as_str());
        }
    }
}

fn members(report: &mut Report<'_>, group: usize, members: &[Member], first: usize) {
    let mut sorted: Vec<(&Member, usize)> = members.iter().zip(first..).collect();
    sorted.sort();
    for pair in sorted.windows(2) {
        if let [(one, _), (two, at)] = pair
            && one == two
        {
            let name = match two {
                Member::User(name) => name.to_string(),
                Member::Host(pattern) => pattern.to_string(),
                Member::Address(range) => range.to_string(),
            };
            say(report, path!["groups", group, "members", *at], "member", &name);
        }
    }
}

fn say(report: &mut Report<'_>, path: &[Step], what: &str, name: &str) {
    let message = if report.is_listed(path) {
        format!("this {what} is listed twice")
    } else {
        format!("the {what} `{name}` is listed twice")
    };
    report.at(&CODE, path, message, "remove one of them".to_owned());
}
