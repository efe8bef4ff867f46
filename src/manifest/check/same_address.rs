//! Both servers have one address and port.
//!
//! Two processes cannot listen on one port of one machine; a client would reach the same server twice.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
//!   - {name: lic-b, role: secondary, address: localhost, port: 4820}
//! ```
//!
//! **What to do:** Give each server its own port, or its own machine: a pair on one machine survives no outage of it.

use std::net::IpAddr;

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// Both servers have one address and port.
pub static CODE: Code = Code::error("E0104", "same-address");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let servers = &facts.manifest.servers;
    for (server, at) in servers.iter().zip(0..) {
        let place = (same(&server.address), server.port);
        let other =
            servers.iter().take(at).find(|other| (same(&other.address), other.port) == place);
        if let Some(other) = other {
            let message = format!(
                "`{}` and `{}` have the same address, port {} of `{}`",
                other.name, server.name, server.port, server.address
            );
            let help = "give one of them another port or address".to_owned();
            report.at(&CODE, path!["servers", at, "port"], message, help);
        }
    }
}

/// One text for all ways to write an address.
fn same(address: &str) -> String {
    let name = address.trim_end_matches('.').to_lowercase();
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) if name == "localhost" => "127.0.0.1".to_owned(),
        Err(_) => name,
    }
}
