//! What is different between two bundles: a list of changes by kind.
//!
//! Both are in canonical form, so lists whose order means nothing cannot differ in it. A rename or a move is one
//! change.

mod license;
mod people;
mod seats;
mod setting;

use crate::bundle::Bundle;
use crate::manifest::types::{Leases, Manifest, Redundancy, Safety, Trust, Visibility};

use super::naming::Naming;
use super::{Action, Change, Kind};

/// What is different in `to`, compared with `from`; with nothing where there is none.
pub(super) fn diff(from: Option<&Bundle>, to: &Bundle, naming: &mut Naming) -> Vec<Change> {
    if from.is_some_and(|from| from.hash() == to.hash()) {
        return Vec::new();
    }
    let empty = empty(to.manifest());
    let old = from.map_or(&empty, Bundle::manifest);
    let new = to.manifest();
    let mut changes = Vec::new();
    setting::diff(old, new, naming, &mut changes);
    license::diff(from, to, &mut changes);
    let renamed = people::diff(old, new, naming, &mut changes);
    seats::diff(old, new, &renamed, naming, &mut changes);
    // Stable: within a kind and name, in the order in which they were found.
    changes.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    changes
}

/// The manifest of this pair with nothing in it.
fn empty(of: &Manifest) -> Manifest {
    Manifest {
        api_version: of.api_version,
        kind: of.kind,
        metadata: of.metadata.clone(),
        servers: Vec::new(),
        trust: Trust::default(),
        redundancy: Redundancy::default(),
        leases: Leases::default(),
        visibility: Visibility::default(),
        safety: Safety::default(),
        users: Vec::new(),
        users_from: None,
        groups: Vec::new(),
        seats: Vec::new(),
    }
}

/// The change from one text to another, where they differ.
fn between(kind: Kind, name: String, from: Option<String>, to: Option<String>) -> Option<Change> {
    let action = match (&from, &to) {
        (None, None) => return None,
        (Some(from), Some(to)) if from == to => return None,
        (None, Some(_)) => Action::Add,
        (Some(_), None) => Action::Remove,
        (Some(_), Some(_)) => Action::Change,
    };
    Some(Change { kind, name, action, from, to })
}

/// Items of two lists that belong together by a key, in the order of their keys.
fn matched<'a, T, K: Ord>(
    old: impl IntoIterator<Item = &'a T>,
    new: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut both: std::collections::BTreeMap<K, (Option<&T>, Option<&T>)> =
        std::collections::BTreeMap::new();
    for one in old {
        both.entry(key(one)).or_default().0 = Some(one);
    }
    for one in new {
        both.entry(key(one)).or_default().1 = Some(one);
    }
    both.into_values().collect()
}
