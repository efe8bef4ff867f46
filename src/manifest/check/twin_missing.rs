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

use super::facts::{Facts, Held};
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
        let others = || facts.licenses.iter().filter(|other| other.at != held.at);
        // Where a file of the purchase is at the wrong server, that is what is wrong, and said already.
        let misplaced = |held: &Held<'_>| held.license.role != held.server.role;
        let of_purchase = |other: &&Held<'_>| {
            other.license.pair == held.license.pair && other.license.product == held.license.product
        };
        if misplaced(held) || others().filter(of_purchase).any(misplaced) {
            continue;
        }
        if let Err(why) = has_twin(&held.license, others().map(|other| &other.license)) {
            let message = format!("{} {why}", held.name());
            report.at(&CODE, &facts.license_path(held.at, held.file), message, why.help());
        }
    }
}
