//! Licenses by what they say: never their bytes.

use std::collections::BTreeMap;

use crate::bundle::Bundle;
use crate::license::{self, License};
use crate::manifest::types::Role;
use crate::measure::Timestamp;
use crate::name::LicenseId;

use super::super::{Action, Change, Kind};
use super::between;

/// One license of a bundle.
struct Entry<'a> {
    file: &'a str,
    license: License,
    armor: String,
}

pub(super) fn diff(from: Option<&Bundle>, to: &Bundle, changes: &mut Vec<Change>) {
    let mut old = from.map(entries).unwrap_or_default();
    for (key, new) in entries(to) {
        let name = name(&key);
        let old = old.remove(&key);
        let (from, to) = (old.as_ref().map(describe), describe(&new));
        match old {
            Some(old) if from.as_ref() == Some(&to) => {
                if old.armor != new.armor {
                    let to = Some(format!("{to}, issued anew on {}", day(new.license.issued)));
                    let action = Action::Change;
                    changes.push(Change { kind: Kind::License, name, action, from, to });
                }
            }
            _ => changes.extend(between(Kind::License, name, from, Some(to))),
        }
    }
    for (key, old) in old {
        changes.extend(between(Kind::License, name(&key), Some(describe(&old)), None));
    }
}

type Key = (LicenseId, Role);

fn entries(bundle: &Bundle) -> BTreeMap<Key, Entry<'_>> {
    let mut entries = BTreeMap::new();
    for file in bundle.licenses() {
        for block in license::blocks(file.pem.as_bytes()).unwrap_or_default() {
            if let Ok(license) = block.license() {
                let key = (license.id.clone(), license.role);
                let entry = Entry { file: &file.file, license, armor: block.armor() };
                // The same id twice counts once.
                entries.entry(key).or_insert(entry);
            }
        }
    }
    entries
}

fn name((id, role): &Key) -> String {
    format!("{id} ({role})")
}

fn describe(entry: &Entry<'_>) -> String {
    let License { product, seats, not_before, expires, server, .. } = &entry.license;
    let mut text = format!("{seats} seats of {product} from {}", day(*not_before));
    if let Some(expires) = expires {
        text.push_str(&format!(" until {}", day(*expires)));
    }
    if server.is_some() {
        text.push_str(", bound to its server");
    }
    format!("{text}, in {}", entry.file)
}

/// The date of a time, or the whole of it where it is not midnight.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    match text.strip_suffix("T00:00:00.000Z") {
        Some(day) => day.to_owned(),
        None => text,
    }
}
