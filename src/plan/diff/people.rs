//! Users, groups and members. A renamed user and a moved member are one change each.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::types::{Group, Manifest, Member, User, Who};
use crate::name::{GroupName, UserName};

use super::super::naming::Naming;
use super::super::{Action, Change, Kind};
use super::{between, matched};

/// Users with another name than before: the old name to the new one.
pub(super) type Renamed<'a> = BTreeMap<&'a UserName, &'a UserName>;

pub(super) fn diff<'a>(
    old: &'a Manifest,
    new: &'a Manifest,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) -> Renamed<'a> {
    let renamed = renamed(old, new);
    users(old, new, &renamed, naming, changes);
    groups(old, new, naming, changes);
    members(old, new, &renamed, naming, changes);
    renamed
}

/// The users that are gone and have one new user each who has the same key, or, where that says nothing, alone
/// stands in exactly the same groups and entries.
fn renamed<'a>(old: &'a Manifest, new: &'a Manifest) -> Renamed<'a> {
    let (before, after) = (names(old), names(new));
    let gone: BTreeSet<&UserName> = before.difference(&after).copied().collect();
    let fresh: BTreeSet<&UserName> = after.difference(&before).copied().collect();
    let mut renamed = Renamed::new();
    if gone.is_empty() || fresh.is_empty() {
        return renamed;
    }
    for marks in [keys, places] {
        let left = |users: &BTreeSet<&'a UserName>, taken: &BTreeSet<&UserName>| {
            users.iter().copied().filter(|user| !taken.contains(user)).collect()
        };
        let gone: BTreeSet<&UserName> = left(&gone, &renamed.keys().copied().collect());
        let fresh: BTreeSet<&UserName> = left(&fresh, &renamed.values().copied().collect());
        let (gone, fresh) = (by_marks(marks(old, &gone)), by_marks(marks(new, &fresh)));
        for (mark, gone) in gone {
            if let ([gone], Some([fresh])) = (&gone[..], fresh.get(&mark).map(|users| &users[..])) {
                renamed.insert(gone, fresh);
            }
        }
    }
    renamed
}

fn names(manifest: &Manifest) -> BTreeSet<&UserName> {
    manifest.users.iter().map(|user| &user.name).collect()
}

/// What tells a user from others, besides the name.
type Marks<'a> = BTreeMap<&'a UserName, BTreeSet<String>>;

fn keys<'a>(manifest: &'a Manifest, users: &BTreeSet<&UserName>) -> Marks<'a> {
    let of = |user: &'a User| {
        let key = user.key.as_ref().filter(|_| users.contains(&user.name))?;
        Some((&user.name, BTreeSet::from([key.0.clone()])))
    };
    manifest.users.iter().filter_map(of).collect()
}

fn places<'a>(manifest: &'a Manifest, users: &BTreeSet<&UserName>) -> Marks<'a> {
    let mut marks = Marks::new();
    for group in &manifest.groups {
        for member in &group.members {
            if let Member::User(user) = member
                && users.contains(user)
            {
                marks.entry(user).or_default().insert(format!("member {}", group.name.folded()));
            }
        }
    }
    // Few entries name one user, so looking for each is cheap; the name itself must come from `users`.
    let known: BTreeMap<&UserName, &UserName> =
        manifest.users.iter().map(|user| (&user.name, &user.name)).collect();
    for seats in &manifest.seats {
        let assign = seats.assign.iter().map(|entry| (&entry.who, "assign"));
        let deny = seats.deny.iter().map(|entry| (&entry.who, "deny"));
        for (who, list) in assign.chain(deny) {
            if let Who::User(pattern) = who
                && let Some(user) = pattern.literal()
                && users.contains(&user)
                && let Some(user) = known.get(&user)
            {
                let mark = format!("{list} {}", seats.product.folded());
                marks.entry(user).or_default().insert(mark);
            }
        }
    }
    marks
}

fn by_marks(marks: Marks<'_>) -> BTreeMap<BTreeSet<String>, Vec<&UserName>> {
    let mut by_marks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (user, marks) in marks {
        by_marks.entry(marks).or_default().push(user);
    }
    by_marks
}

fn users(
    old: &Manifest,
    new: &Manifest,
    renamed: &Renamed<'_>,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) {
    let kept: BTreeMap<&UserName, &User> = new.users.iter().map(|u| (&u.name, u)).collect();
    let fresh_names: BTreeSet<&UserName> = renamed.values().copied().collect();
    let is_kept = |user: &&User| !renamed.contains_key(&user.name);
    let is_fresh = |user: &&User| !fresh_names.contains(&user.name);
    for user in old.users.iter().filter(|user| !is_kept(user)) {
        let to = renamed.get(&user.name).and_then(|name| kept.get(name));
        rename(Some(user), to.copied(), naming, changes);
    }
    let (old, new) = (old.users.iter().filter(is_kept), new.users.iter().filter(is_fresh));
    for (from, to) in matched(old, new, |user| &user.name) {
        match (from, to) {
            (Some(_), Some(_)) => rename(from, to, naming, changes),
            _ => {
                let Some(user) = to.or(from) else { continue };
                let name = naming.user(&user.name);
                let text = |user: &User| match &user.key {
                    Some(key) => format!("key {}", naming.ssh_key(key)),
                    None => name.clone(),
                };
                let (from, to) = (from.map(text), to.map(text));
                changes.extend(between(Kind::User, name.clone(), from, to));
            }
        }
    }
}

/// What changed of a user that is still there, perhaps with another name or spelling.
fn rename(from: Option<&User>, to: Option<&User>, naming: &mut Naming, changes: &mut Vec<Change>) {
    let (Some(from), Some(to)) = (from, to) else { return };
    let name = naming.user(&from.name);
    if from.name.as_str() != to.name.as_str() {
        changes.push(Change {
            kind: Kind::User,
            name: name.clone(),
            action: Action::Rename,
            from: Some(name.clone()),
            to: Some(naming.user(&to.name)),
        });
    }
    let (from, to) = (key(from, naming), key(to, naming));
    changes.extend(between(Kind::User, name, Some(from), Some(to)));
}

fn key(user: &User, naming: &Naming) -> String {
    match &user.key {
        Some(key) => format!("key {}", naming.ssh_key(key)),
        None => "no key".to_owned(),
    }
}

fn groups(old: &Manifest, new: &Manifest, naming: &mut Naming, changes: &mut Vec<Change>) {
    for (from, to) in matched(&old.groups, &new.groups, |group| &group.name) {
        match (from, to) {
            (Some(from), Some(to)) if from.name.as_str() == to.name.as_str() => {}
            (Some(from), Some(to)) => changes.push(Change {
                kind: Kind::Group,
                name: from.name.to_string(),
                action: Action::Rename,
                from: Some(from.name.to_string()),
                to: Some(to.name.to_string()),
            }),
            _ => {
                let Some(group) = to.or(from) else { continue };
                let mut text = |group: &Group| describe(group, naming);
                let (from, to) = (from.map(&mut text), to.map(&mut text));
                changes.extend(between(Kind::Group, group.name.to_string(), from, to));
            }
        }
    }
}

/// A group that is new or gone, by its first members.
fn describe(group: &Group, naming: &mut Naming) -> String {
    const SHOWN: usize = 5;
    let first = group.members.iter().take(SHOWN).map(|member| naming.member(member));
    let mut text = first.collect::<Vec<_>>().join(", ");
    match group.members.len() {
        0 => text.push_str("no members"),
        many if many > SHOWN => text.push_str(&format!(" and {} more", many - SHOWN)),
        _ => {}
    }
    text
}

/// What makes two entries one member.
type MemberKey<'a> = (u8, Cow<'a, str>);

fn member_key<'a>(member: &'a Member, renamed: &Renamed<'a>) -> MemberKey<'a> {
    match member {
        Member::User(user) => (0, renamed.get(user).copied().unwrap_or(user).folded().into()),
        Member::Host(host) => (1, host.folded().into()),
        Member::Address(range) => (2, range.to_string().into()),
    }
}

/// Where a member is gone and where it is new, each with whether that is worth saying: a group that is itself new or
/// gone was said already.
#[derive(Default)]
struct Traffic<'a> {
    member: Option<&'a Member>,
    gone: Vec<(&'a GroupName, bool)>,
    fresh: Vec<(&'a GroupName, bool)>,
}

fn members(
    old: &Manifest,
    new: &Manifest,
    renamed: &Renamed<'_>,
    naming: &mut Naming,
    changes: &mut Vec<Change>,
) {
    let mut traffic: BTreeMap<MemberKey<'_>, Traffic<'_>> = BTreeMap::new();
    for (from, to) in matched(&old.groups, &new.groups, |group| &group.name) {
        let is_kept = from.is_some() && to.is_some();
        let old = members_of(from).iter();
        let new = members_of(to).iter();
        let old: BTreeMap<_, _> = old.map(|member| (member_key(member, renamed), member)).collect();
        let new: BTreeMap<_, _> =
            new.map(|member| (member_key(member, &Renamed::new()), member)).collect();
        if let Some(group) = from {
            for (key, member) in old.iter().filter(|(key, _)| !new.contains_key(key)) {
                let one = traffic.entry(key.clone()).or_default();
                one.gone.push((&group.name, is_kept));
                one.member.get_or_insert(member);
            }
        }
        if let Some(group) = to {
            for (key, member) in new.iter().filter(|(key, _)| !old.contains_key(key)) {
                let one = traffic.entry(key.clone()).or_default();
                one.fresh.push((&group.name, is_kept));
                one.member = Some(member);
            }
        }
    }
    for Traffic { member, gone, fresh } in traffic.into_values() {
        let Some(member) = member else { continue };
        let name = naming.member(member);
        let change = |action, from: Option<&GroupName>, to: Option<&GroupName>| Change {
            kind: Kind::Member,
            name: name.clone(),
            action,
            from: from.map(ToString::to_string),
            to: to.map(ToString::to_string),
        };
        if let ([(from, is_from_kept)], [(to, is_to_kept)]) = (&gone[..], &fresh[..])
            && (*is_from_kept || *is_to_kept)
        {
            changes.push(change(Action::Move, Some(from), Some(to)));
            continue;
        }
        let gone = gone.into_iter().filter(|(_, is_kept)| *is_kept);
        changes.extend(gone.map(|(group, _)| change(Action::Remove, Some(group), None)));
        let fresh = fresh.into_iter().filter(|(_, is_kept)| *is_kept);
        changes.extend(fresh.map(|(group, _)| change(Action::Add, None, Some(group))));
    }
}

fn members_of(group: Option<&Group>) -> &[Member] {
    group.map(|group| group.members.as_slice()).unwrap_or_default()
}
