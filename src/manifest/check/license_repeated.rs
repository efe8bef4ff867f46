//! One license twice at a server.
//!
//! A license counts once at a server, however many files hold it: a copy gives no more seats.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     licenses: [licenses/designer.primary.alf, licenses/copy-of-designer.primary.alf]
//! ```
//!
//! **What to do:** Remove the copy. For more seats buy another license, which has an id of its own.

use std::collections::BTreeMap;

use super::facts::{Facts, Held};
use super::report::Report;
use crate::manifest::finding::Code;

/// One license twice at a server.
pub static CODE: Code = Code::warning("W0210", "license-repeated");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let mut seen = BTreeMap::new();
    for held in &facts.licenses {
        let first: &mut &Held<'_> = seen.entry((held.at, &held.license.id)).or_insert(held);
        if std::ptr::eq(*first, held) {
            continue;
        }
        let message = format!(
            "`{}` has the license `{}`, which `{}` has already: it counts once",
            held.file, held.license.id, first.file
        );
        let help = "remove one of the two".to_owned();
        report.at(&CODE, &facts.license_path(held.at, held.file), message, help);
    }
}
