//! Products, and who may hold their seats. The order of `assign` means something, that of `deny` does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::types::{Assignment, Manifest, ProductSeats, Who};
use crate::measure::{Seats, Span};
use crate::name::UserPattern;

use super::super::naming::Naming;
use super::super::{Action, Change, Kind};
use super::people::Renamed;
use super::{between, matched};

pub(super) fn diff(
    old: &Manifest,
    new: &Manifest,
    renamed: &Renamed<'_>,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) {
    for (from, to) in matched(&old.seats, &new.seats, |seats| &seats.product) {
        match (from, to) {
            (Some(from), Some(to)) => {
                let ttl = |seats: &ProductSeats, default: Span| {
                    Some(format!("ttl {}", seats.ttl.unwrap_or(default)))
                };
                // A change of the default is a change of the setting, not of each product.
                if from.ttl.is_some() || to.ttl.is_some() {
                    let name = from.product.to_string();
                    let (from, to) = (ttl(from, old.leases.ttl), ttl(to, new.leases.ttl));
                    changes.extend(between(Kind::Product, name, from, to));
                }
                assignments(from, to, renamed, naming, changes);
                denials(from, to, renamed, naming, changes);
            }
            _ => {
                let Some(seats) = to.or(from) else { continue };
                let mut text = |seats: &ProductSeats| describe(seats, naming);
                let (from, to) = (from.map(&mut text), to.map(&mut text));
                changes.extend(between(Kind::Product, seats.product.to_string(), from, to));
            }
        }
    }
}

/// A product that is new or gone, by its first assignments.
fn describe(seats: &ProductSeats, naming: &mut Naming) -> String {
    const SHOWN: usize = 3;
    let first = seats.assign.iter().take(SHOWN).map(|entry| {
        let limits = limits(entry);
        format!("{} ({limits})", naming.who(&entry.who))
    });
    let mut text = first.collect::<Vec<_>>().join(", ");
    match seats.assign.len() {
        0 => text.push_str("assigned to nobody"),
        many if many > SHOWN => text.push_str(&format!(" and {} more", many - SHOWN)),
        _ => {}
    }
    text
}

/// Whom an entry is about, and which of several such entries it is.
type EntryKey = (Who, usize);

/// The entries by what makes two of them one, in their order.
fn keyed<'a, T>(
    entries: &'a [T],
    who: impl Fn(&T) -> &Who,
    renamed: &Renamed<'_>,
) -> Vec<(EntryKey, &'a T)> {
    let mut seen: BTreeMap<Who, usize> = BTreeMap::new();
    let keyed = entries.iter().map(|entry| {
        let who = follow(who(entry), renamed);
        let count = seen.entry(who.clone()).or_default();
        *count += 1;
        ((who, *count), entry)
    });
    keyed.collect()
}

/// Whom an entry is about once users have their new names.
fn follow(who: &Who, renamed: &Renamed<'_>) -> Who {
    let new = match who {
        Who::User(pattern) => pattern.literal().and_then(|user| renamed.get(&user).copied()),
        _ => None,
    };
    match new.and_then(|user| UserPattern::new(user.as_str()).ok()) {
        Some(pattern) => Who::User(pattern),
        None => who.clone(),
    }
}

fn assignments(
    from: &ProductSeats,
    to: &ProductSeats,
    renamed: &Renamed<'_>,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) {
    let old = keyed(&from.assign, |entry: &Assignment| &entry.who, renamed);
    let new = keyed(&to.assign, |entry: &Assignment| &entry.who, &Renamed::new());
    let product = &to.product;
    for (from, to) in matched(&old, &new, |(key, _)| key) {
        let Some(((who, count), _)) = to.or(from) else { continue };
        let mut name = format!("{product}: {}", naming.who(who));
        if *count > 1 {
            name.push_str(&format!(" ({count})"));
        }
        let text = |(_, entry): &(EntryKey, &Assignment)| limits(entry);
        changes.extend(between(Kind::Assignment, name, from.map(text), to.map(text)));
    }
    let keys = |list: &[(EntryKey, &Assignment)], other: &[(EntryKey, &Assignment)]| {
        let known: BTreeSet<&EntryKey> = other.iter().map(|(key, _)| key).collect();
        let kept = list.iter().map(|(key, _)| key.clone()).filter(|key| known.contains(key));
        kept.collect::<Vec<EntryKey>>()
    };
    let (before, after) = (keys(&old, &new), keys(&new, &old));
    if before != after {
        let mut text = |keys: &[EntryKey]| {
            let names: Vec<String> = keys.iter().map(|(who, _)| naming.who(who)).collect();
            Some(names.join(", "))
        };
        changes.push(Change {
            kind: Kind::Assignment,
            name: format!("{product}: order"),
            action: Action::Move,
            from: text(&before),
            to: text(&after),
        });
    }
}

fn denials(
    from: &ProductSeats,
    to: &ProductSeats,
    renamed: &Renamed<'_>,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) {
    let old: Vec<Who> = from.deny.iter().map(|entry| follow(&entry.who, renamed)).collect();
    let new: Vec<Who> = to.deny.iter().map(|entry| entry.who.clone()).collect();
    let product = &to.product;
    for (from, to) in matched(&old, &new, |who| who) {
        let Some(who) = to.or(from) else { continue };
        let name = format!("{product}: {}", naming.who(who));
        let text = |_| "denied".to_owned();
        changes.extend(between(Kind::Denial, name, from.map(text), to.map(text)));
    }
}

/// What an assignment allows, in words.
fn limits(entry: &Assignment) -> String {
    let mut parts = Vec::new();
    if entry.reserve > Seats(0) {
        parts.push(format!("reserve {}", entry.reserve));
    }
    let limits = [
        ("max", entry.max),
        ("max per user", entry.max_per_user),
        ("max per address", entry.max_per_address),
    ];
    parts.extend(limits.iter().filter_map(|(name, max)| Some(format!("{name} {}", (*max)?))));
    if entry.priority != 0 {
        parts.push(format!("priority {}", entry.priority));
    }
    if let Some(borrow) = &entry.borrow {
        parts.push(format!("borrow {} for {} at the longest", borrow.max, borrow.longest));
    }
    if parts.is_empty() { "no limits".to_owned() } else { parts.join(", ") }
}
