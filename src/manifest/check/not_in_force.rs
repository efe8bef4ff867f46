//! A setting is accepted, but this version does not act on it yet.
//!
//! The manifest's format is complete before the program is. Rather than to ignore a setting in silence, `validate`
//! names each one that has no effect.
//!
//! ```yaml
//! users: [{name: bo, key: "ssh-ed25519 AAAA..."}]
//! ```
//!
//! **What to do:** Leave the setting out, or keep it for the version that acts on it and do not rely on it now.

use super::facts::Facts;
use super::key_missing::is_loopback;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::{Step, path};
use crate::manifest::types::Manifest;

/// A setting is accepted, but this version does not act on it yet.
pub static CODE: Code = Code::warning("W0106", "not-in-force");

/// A setting without effect: where a manifest uses it, and what that means.
struct Setting {
    used: fn(&Manifest) -> Vec<Vec<Step>>,
    message: &'static str,
    help: &'static str,
}

/// One entry a setting; what comes into force leaves the table.
const SETTINGS: &[Setting] = &[
    Setting {
        used: |manifest| {
            let keyed = manifest.users.iter().zip(0_usize..).filter(|(user, _)| user.key.is_some());
            keyed.map(|(_, at)| path!["users", at, "key"].to_vec()).collect()
        },
        message: "a user's `key` protects nothing yet: requests as that user are taken without a signature, \
                  from anybody on the network",
        help: "do not rely on it; whoever can reach the servers can take that user's seats",
    },
    Setting {
        used: |manifest| {
            let remote = manifest
                .servers
                .iter()
                .zip(0_usize..)
                .filter(|(server, _)| !is_loopback(&server.address));
            remote.map(|(_, at)| path!["servers", at, "address"].to_vec()).collect()
        },
        message: "the address cannot be served yet: this version has no TLS, and `tandem serve` listens on \
                  loopback addresses only",
        help: "use 127.0.0.1, and let a tunnel that authenticates both ends carry the connection",
    },
];

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for setting in SETTINGS {
        let paths = (setting.used)(facts.manifest);
        // One finding a setting: a list of users may have a thousand keys.
        let Some(first) = paths.first() else { continue };
        let more = match paths.len() {
            1 => String::new(),
            count => format!(" (here and at {} more places)", count - 1),
        };
        report.at(&CODE, first, format!("{}{more}", setting.message), setting.help.to_owned());
    }
}
