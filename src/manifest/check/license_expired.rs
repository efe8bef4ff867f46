//! A license that has ended.
//!
//! It gives no seats any more. Where the pair runs this license already, nothing is taken from anybody by saying so:
//! it is a warning then, and an error in a manifest that brings it anew.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/last-year.alf]}
//! ```
//!
//! **What to do:** Renew the license and replace the file, or remove it.

use super::facts::Facts;
use super::report::Report;
use crate::license::in_date;
use crate::manifest::finding::{Code, Severity};

/// A license that has ended.
pub static CODE: Code = Code::error("E0207", "license-expired");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for held in &facts.licenses {
        let Err(why) = in_date(&held.license, facts.circumstances.now) else { continue };
        let path = facts.license_path(held.at, held.file);
        let (severity, rest) = if facts.circumstances.running.has(&held.license.id) {
            (Severity::Warning, ": it gives no seats")
        } else {
            (Severity::Error, "")
        };
        let message = format!("{} {why}{rest}", held.name());
        report.grave(&CODE, severity, &path, message, why.help());
    }
}
