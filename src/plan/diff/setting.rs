//! Settings of the pair, its servers, and whose signatures it trusts.

use crate::manifest::types::{Limit, Manifest, OnOverGrant, Server, SshPublicKey, Visibility};
use crate::statement::OperatorKey;

use super::super::naming::Naming;
use super::super::{Change, Kind};
use super::{between, matched};

pub(super) fn diff(old: &Manifest, new: &Manifest, naming: &Naming, changes: &mut Vec<Change>) {
    for ((name, from), (_, to)) in settings(old).into_iter().zip(settings(new)) {
        changes.extend(between(Kind::Setting, name.to_owned(), Some(from), Some(to)));
    }
    for (from, to) in matched(&old.servers, &new.servers, |server| &server.name) {
        let Some(server) = to.or(from) else { continue };
        let (from, to) = (from.map(describe), to.map(describe));
        changes.extend(between(Kind::Server, server.name.to_string(), from, to));
    }
    for (from, to) in matched(&old.trust.vendors, &new.trust.vendors, |key| *key) {
        let Some(key) = to.or(from) else { continue };
        let text = |_| "trusted".to_owned();
        changes.extend(between(Kind::Vendor, Naming::key(key), from.map(text), to.map(text)));
    }
    for (from, to) in matched(&old.trust.operators, &new.trust.operators, key_of) {
        let Some(key) = to.or(from) else { continue };
        let text = |_| "may sign".to_owned();
        changes.extend(between(Kind::Operator, naming.ssh_key(key), from.map(text), to.map(text)));
    }
}

/// What makes two lines one key: its bytes, whatever the comment.
fn key_of(key: &SshPublicKey) -> Result<[u8; 32], &str> {
    OperatorKey::parse(&key.0).map(|key| *key.bytes()).map_err(|_| key.0.as_str())
}

fn describe(server: &Server) -> String {
    let Server { role, address, port, key, .. } = server;
    let key = key.as_ref().map_or_else(|| "not pinned".to_owned(), Naming::key);
    format!("{role}, port {port} at {address}, key {key}")
}

/// The settings by their paths, in the order of the manifest.
fn settings(manifest: &Manifest) -> [(&'static str, String); 11] {
    let Manifest { metadata, redundancy, leases, visibility, safety, .. } = manifest;
    let limit = |limit: &Limit| format!("{}, floor {}", limit.share, limit.floor);
    let on_over_grant = match redundancy.on_over_grant {
        OnOverGrant::Drain => "drain",
        OnOverGrant::Revoke => "revoke",
    };
    let visibility = match visibility {
        Visibility::Operators => "operators",
        Visibility::Open => "open",
    };
    [
        ("metadata.name", metadata.name.to_string()),
        ("redundancy.mode", redundancy.mode.to_string()),
        ("redundancy.heartbeat", redundancy.heartbeat.to_string()),
        ("redundancy.failoverAfter", redundancy.failover_after.to_string()),
        ("redundancy.onOverGrant", on_over_grant.to_owned()),
        ("redundancy.escrow.secondaryShare", redundancy.escrow.secondary_share.to_string()),
        ("leases.ttl", leases.ttl.to_string()),
        ("visibility", visibility.to_owned()),
        ("safety.maxRevoked", limit(&safety.max_revoked)),
        ("safety.maxRemoved", limit(&safety.max_removed)),
        ("safety.requireCommitted", safety.require_committed.to_string()),
    ]
}
