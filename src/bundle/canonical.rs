//! The canonical form of a manifest and of license files: what two texts that configure the same have in common.
//!
//! Order is by (kind, lower-cased text, text), keys by bytes. Defaults are left out by the types themselves.

use crate::license::{self, Block};
use crate::manifest::types::{Group, Manifest, Member, Server};
use crate::name::{LicenseId, ServerName};

use super::{BundleError, BundleLicense};

/// A text's place in a list whose order means nothing.
fn place(folded: &str, text: &str) -> (String, String) {
    (folded.to_owned(), text.to_owned())
}

/// The manifest with what only its own text needs removed and its lists sorted.
pub(super) fn manifest(manifest: &Manifest) -> Result<Manifest, BundleError> {
    if manifest.users_from.is_some() {
        return Err(BundleError::Unresolved { field: "usersFrom".to_owned() });
    }
    let mut manifest = manifest.clone();
    for server in &mut manifest.servers {
        server.licenses = Vec::new();
    }
    sort(&mut manifest.servers, server_place);
    sort(&mut manifest.trust.vendors, |key| *key);
    sort(&mut manifest.trust.operators, Clone::clone);
    sort(&mut manifest.users, |user| {
        (place(user.name.folded(), user.name.as_str()), user.key.clone())
    });
    for group in &mut manifest.groups {
        members(group)?;
    }
    // The rest of an entry decides between two of one name, which a valid manifest does not have.
    sort(&mut manifest.groups, |group| {
        (place(group.name.folded(), group.name.as_str()), json(group))
    });
    for seats in &mut manifest.seats {
        seats.ttl = seats.ttl.filter(|ttl| *ttl != manifest.leases.ttl);
    }
    sort(&mut manifest.seats, |seats| {
        (place(seats.product.folded(), seats.product.as_str()), json(seats))
    });
    Ok(manifest)
}

fn server_place(server: &Server) -> ((String, String), String) {
    (place(server.name.folded(), server.name.as_str()), json(server))
}

fn members(group: &mut Group) -> Result<(), BundleError> {
    if group.members_from.is_some() {
        let field = format!("membersFrom` of the group `{}", group.name);
        return Err(BundleError::Unresolved { field });
    }
    sort(&mut group.members, |member| match member {
        Member::User(name) => (0, place(name.folded(), name.as_str())),
        Member::Host(pattern) => (1, place(pattern.folded(), pattern.as_str())),
        Member::Address(range) => {
            let text = range.to_string();
            (2, (text.clone(), text))
        }
    });
    Ok(())
}

/// Sorts a list by a key that tells any two different items apart, and removes what is there twice.
fn sort<T, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    list.sort_by_cached_key(&key);
    list.dedup_by(|one, other| key(one) == key(other));
}

fn json<T: serde::Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "texts, integers and booleans always serialize")]
    serde_json::to_string(value).expect("a part of a manifest serializes")
}

/// The license files with their blocks armored anew, sorted by server and path.
pub(super) fn licenses(
    manifest: &Manifest,
    files: Vec<(ServerName, String, Vec<u8>)>,
) -> Result<Vec<BundleLicense>, BundleError> {
    let mut licenses = Vec::with_capacity(files.len());
    for (server, file, text) in files {
        // The name is written as the manifest writes it.
        let Some(known) = manifest.servers.iter().find(|known| known.name == server) else {
            return Err(BundleError::UnknownServer { server, file });
        };
        let server = known.name.clone();
        if !leads_downwards(&file) {
            return Err(BundleError::Path { server, file });
        }
        match pem(&text) {
            Ok(pem) => licenses.push(BundleLicense { server, file, pem }),
            Err(rejection) => {
                let rejection = Box::new(rejection);
                return Err(BundleError::License { server, file, rejection });
            }
        }
    }
    licenses.sort_by_cached_key(|one| {
        let server = place(one.server.folded(), one.server.as_str());
        (server, place(&one.file.to_lowercase(), &one.file), one.pem.clone())
    });
    licenses.dedup();
    let twice = licenses.windows(2).find_map(|pair| match pair {
        [one, other] if one.server == other.server && one.file == other.file => Some(other),
        _ => None,
    });
    match twice {
        Some(BundleLicense { server, file, .. }) => {
            Err(BundleError::FileTwice { server: server.clone(), file: file.clone() })
        }
        None => Ok(licenses),
    }
}

/// The blocks of a license file, armored anew and sorted by license id.
fn pem(text: &[u8]) -> Result<String, license::Rejection> {
    let mut blocks: Vec<(LicenseId, Block)> = Vec::new();
    for block in license::blocks(text)? {
        blocks.push((block.license()?.id, block));
    }
    blocks.sort_by_cached_key(|(id, block)| (place(id.folded(), id.as_str()), block.armor()));
    blocks.dedup();
    Ok(blocks.iter().map(|(_, block)| block.armor()).collect())
}

/// Whether a path is relative and stays below where it begins, on every system.
fn leads_downwards(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_plain = |c: char| c != '\\' && !c.is_control();
    let is_drive = path.chars().nth(1) == Some(':');
    path.len() <= 4096 && path.chars().all(is_plain) && path.split('/').all(is_part) && !is_drive
}
