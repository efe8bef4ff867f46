//! A server that others reach over a network has no pinned key.
//!
//! The key proves to clients and to the other server that they talk to this one. It may be absent on a loopback
//! address only, which nobody else can answer.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: lic-a.example.com, port: 4820}
//! ```
//!
//! **What to do:** Start the server once, copy the key that `tandem serve` shows, and pin it: `key: "ed25519:…"`.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// A server that others reach over a network has no pinned key.
pub static CODE: Code = Code::error("E0105", "key-missing");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for (server, at) in facts.manifest.servers.iter().zip(0..) {
        if server.key.is_none()
            && !is_loopback(&server.address)
            && facts.is_whole(path!["servers", at])
        {
            let message = format!(
                "`{}` has no `key`, which may be absent on a loopback address only",
                server.name
            );
            let help = "pin the identity key that `tandem serve` shows when the server starts: \
                        key: \"ed25519:...\""
                .to_owned();
            report.at(&CODE, path!["servers", at, "address"], message, help);
        }
    }
}

/// Whether an address is one of the machine itself that nobody else can answer.
#[must_use]
pub(super) fn is_loopback(address: &str) -> bool {
    match address.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => address.eq_ignore_ascii_case("localhost"),
    }
}
