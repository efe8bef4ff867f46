//! The servers are not one primary and one secondary.
//!
//! A pair has exactly two servers. The primary serves whenever it can; the secondary stays silent until the primary
//! is no longer available.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
//!   - {name: lic-b, role: primary, address: 127.0.0.1, port: 4821}
//! ```
//!
//! **What to do:** List two servers, one with `role: primary` and one with `role: secondary`. To make the other
//! server the primary, swap both roles in one change: it is applied as a planned failover.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::types::Role;

/// The servers are not one primary and one secondary.
pub static CODE: Code = Code::error("E0101", "server-roles");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let mut extra = 0;
    for role in [Role::Primary, Role::Secondary] {
        let of_role =
            facts.manifest.servers.iter().zip(0..).filter(|(server, _)| server.role == role);
        for (server, at) in of_role.skip(1) {
            extra += 1;
            let message = format!(
                "`{}` is one more {role}: a pair has one primary and one secondary",
                server.name
            );
            let help = match facts.manifest.servers.len() {
                2 => format!("make one of the two `role: {}`", role.other()),
                _ => "remove the server, or change its role".to_owned(),
            };
            report.at(&CODE, path!["servers", at, "role"], message, help);
        }
    }
    // What could not be read may have been it, and a server too many is said already.
    if extra > 0 || !facts.is_whole(path!["servers"]) {
        return;
    }
    for role in [Role::Primary, Role::Secondary] {
        if !facts.manifest.servers.iter().any(|server| server.role == role) {
            let message =
                format!("no server is the {role}: a pair has one primary and one secondary");
            let help = format!("add the server with `role: {role}`");
            report.at(&CODE, path!["servers"], message, help);
        }
    }
}
