//! Half of a purchase.
//!
//! A purchase for a redundant pair has two license files, one for each role, with one `pair` id. Both servers get
//! theirs together: with one file alone a failover would find no seats.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/designer.primary.alf]}
//!   - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}
//! ```
//!
//! **What to do:** Add the file for the other role, from the same activation, to the other server.

use super::facts::Facts;
use super::report::Report;
use crate::license::has_twin;
use crate::manifest::finding::Code;

/// Half of a purchase.
pub static CODE: Code = Code::error("E0206", "twin-missing");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    // A twin that could not be read is said already.
    if !facts.all_licenses() {
        return;
    }
    for held in &facts.licenses {
        // At the wrong server its twin is, too: the role is what is wrong.
        if held.license.role != held.server.role {
            continue;
        }
        let others = facts.licenses.iter().filter(|other| other.at != held.at);
        if let Err(why) = has_twin(&held.license, others.map(|other| &other.license)) {
            let message = format!("{} {why}", held.name());
            report.at(&CODE, &facts.license_path(held.at, held.file), message, why.help());
        }
    }
}
