//! Two servers have one name, or one identity key.
//!
//! The servers of a pair tell each other apart by name (without regard to case) and prove who they are by their
//! keys. A copied data directory gives two servers one key.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
//!   - {name: LIC-A, role: secondary, address: 127.0.0.1, port: 4821}
//! ```
//!
//! **What to do:** Give each server a name of its own, and its own data directory, in which it makes its own key.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// Two servers have one name, or one identity key.
pub static CODE: Code = Code::error("E0102", "duplicate-server");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let servers = &facts.manifest.servers;
    for (server, at) in servers.iter().zip(0..) {
        let earlier = || servers.iter().take(at);
        if earlier().any(|other| other.name == server.name) {
            let message = format!("there are two servers with the name `{}`", server.name);
            let help = "give one of them another name".to_owned();
            report.at(&CODE, path!["servers", at, "name"], message, help);
        }
        if let Some(other) = earlier().find(|other| server.key.is_some() && other.key == server.key)
        {
            let message = format!("`{}` and `{}` have the same key", other.name, server.name);
            let help =
                "start one of them with a data directory of its own, and pin the key it shows"
                    .to_owned();
            report.at(&CODE, path!["servers", at, "key"], message, help);
        }
    }
}
