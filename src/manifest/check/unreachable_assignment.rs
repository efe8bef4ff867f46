//! An assignment that never serves anybody.
//!
//! The first entry that matches and has room serves. An entry after one that matches everybody it matches, and that is
//! limited by the capacity alone, is never reached; nor is one that `deny` covers, or that allows no seats.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign: [{everyone: true}, {group: hardware, max: 8}]
//! ```
//!
//! **What to do:** Put the narrower entry first, or remove it. A `reserve` makes it reachable: seats kept for it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::types::{Assignment, Who};
use crate::measure::Seats;
use crate::name::{GroupName, UserName, UserPattern};

/// An assignment that never serves anybody.
pub static CODE: Code = Code::warning("W0308", "unreachable-assignment");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let members = Members { facts, places: OnceCell::new() };
    for (seats, product) in facts.manifest.seats.iter().zip(0_usize..) {
        let denied = Cover::of(seats.deny.iter().map(|deny| &deny.who).zip(0..), &members);
        let mut before = Cover::of([], &members);
        let mut same: BTreeMap<&Who, Vec<usize>> = BTreeMap::new();
        for (entry, at) in seats.assign.iter().zip(0_usize..) {
            let who = &entry.who;
            let same = same.entry(who).or_default();
            let twin = same.iter().find(|other| seats.assign.get(**other) == Some(entry));
            let (field, message, help) = if let Some(field) = shut(entry) {
                let message = format!("this entry never serves anybody: its `{field}` is 0");
                (field, message, "raise it, or use `deny`")
            } else if let Some(at) = denied.covering(who).next() {
                let denial = seats.deny.get(at).map(|deny| text(&deny.who)).unwrap_or_default();
                let message = format!("this entry never serves anybody: `deny` refuses {denial}");
                (field(who), message, "remove the entry, or narrow `deny`")
            } else if let Some(twin) = twin {
                let message = format!("this entry repeats entry {} of the same list", twin + 1);
                (field(who), message, "remove one of the two")
            } else if let Some((at, other)) = before
                .covering(who)
                .filter_map(|at| seats.assign.get(at).map(|other| (at, other)))
                .find(|(_, other)| serves_all_of(other, entry))
            {
                let message = format!(
                    "this entry is never reached: entry {} ({}) comes first, matches all that it matches, and has \
                     no limit of its own",
                    at + 1,
                    text(&other.who)
                );
                (field(who), message, "put this entry before that one, or remove it")
            } else {
                same.push(at);
                before.add(who, at);
                continue;
            };
            report.at(
                &CODE,
                path!["seats", product, "assign", at, field],
                message,
                help.to_owned(),
            );
        }
    }
}

/// The limit by which an entry allows no seats.
fn shut(entry: &Assignment) -> Option<&'static str> {
    let none = Some(Seats(0));
    match entry {
        _ if entry.max == none => Some("max"),
        _ if entry.max_per_user == none => Some("maxPerUser"),
        _ if entry.max_per_address == none => Some("maxPerAddress"),
        _ => None,
    }
}

/// Whether the entry `first` has room whenever `entry` has. A reserve that is not used is lent to nobody, so an entry
/// with one has room where the others have none.
fn serves_all_of(first: &Assignment, entry: &Assignment) -> bool {
    let limited =
        first.max.is_some() || first.max_per_user.is_some() || first.max_per_address.is_some();
    !limited
        && entry.reserve == Seats(0)
        && (entry.borrow.is_none() || entry.borrow == first.borrow)
}

/// Who is a member of which group. Gathered when it is asked first: most manifests never ask.
struct Members<'a> {
    facts: &'a Facts<'a>,
    places: OnceCell<BTreeMap<&'a GroupName, BTreeSet<usize>>>,
}

impl Members<'_> {
    fn has(&self, group: &GroupName, user: &UserName) -> bool {
        let places = self.places.get_or_init(|| {
            let groups = self.facts.groups.iter();
            groups.map(|(name, at)| (*name, self.of(*at))).collect()
        });
        let place = self.facts.users.get(user);
        places.get(group).zip(place).is_some_and(|(places, place)| places.contains(place))
    }

    fn of(&self, group: usize) -> BTreeSet<usize> {
        self.facts.members.get(group).into_iter().flatten().copied().flatten().collect()
    }
}

/// Entries of one list, asked which of them match everybody whom another entry matches, as far as names can tell.
struct Cover<'a> {
    members: &'a Members<'a>,
    everybody: Vec<usize>,
    same: BTreeMap<&'a Who, Vec<usize>>,
    patterns: Vec<(&'a UserPattern, usize)>,
    groups: Vec<(&'a GroupName, usize)>,
}

impl<'a> Cover<'a> {
    fn of(entries: impl IntoIterator<Item = (&'a Who, usize)>, members: &'a Members<'a>) -> Self {
        let mut cover = Self {
            members,
            everybody: Vec::new(),
            same: BTreeMap::new(),
            patterns: Vec::new(),
            groups: Vec::new(),
        };
        for (who, at) in entries {
            cover.add(who, at);
        }
        cover
    }

    fn add(&mut self, who: &'a Who, at: usize) {
        if is_everybody(who) {
            return self.everybody.push(at);
        }
        match who {
            Who::User(pattern) if pattern.literal().is_none() => self.patterns.push((pattern, at)),
            Who::Group(group) => self.groups.push((group, at)),
            _ => {}
        }
        self.same.entry(who).or_default().push(at);
    }

    fn covering<'s>(&'s self, who: &'s Who) -> impl Iterator<Item = usize> + 's {
        let user = match who {
            Who::User(pattern) => pattern.literal(),
            _ => None,
        };
        let (member, fits) = (user.clone(), user);
        let same = self.same.get(who).into_iter().flatten().copied();
        let patterns = self
            .patterns
            .iter()
            .filter(move |(pattern, _)| fits.as_ref().is_some_and(|user| pattern.matches(user)));
        let groups = self.groups.iter().filter(move |(group, _)| {
            member.as_ref().is_some_and(|user| self.members.has(group, user))
        });
        let everybody = self.everybody.iter().copied();
        everybody.chain(same).chain(patterns.map(|(_, at)| *at)).chain(groups.map(|(_, at)| *at))
    }
}

fn is_everybody(who: &Who) -> bool {
    match who {
        Who::User(pattern) => pattern.as_str() == "*",
        Who::Host(pattern) => pattern.as_str() == "*",
        Who::Everyone => true,
        Who::Group(_) | Who::Address(_) => false,
    }
}

fn field(who: &Who) -> &'static str {
    match who {
        Who::User(_) => "user",
        Who::Group(_) => "group",
        Who::Host(_) => "host",
        Who::Address(_) => "address",
        Who::Everyone => "everyone",
    }
}

fn text(who: &Who) -> String {
    match who {
        Who::User(pattern) => format!("user `{pattern}`"),
        Who::Group(group) => format!("group `{group}`"),
        Who::Host(pattern) => format!("host `{pattern}`"),
        Who::Address(range) => format!("address `{range}`"),
        Who::Everyone => "everyone".to_owned(),
    }
}
