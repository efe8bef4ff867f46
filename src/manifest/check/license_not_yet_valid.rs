//! A license that is not valid yet.
//!
//! Its seats count from its `notBefore` on, with no further change of the manifest. Until then it gives none.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/next-year.alf]}
//! ```
//!
//! **What to do:** Nothing, if it is the license to come; keep the one before in the manifest until then.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;

/// A license that is not valid yet.
pub static CODE: Code = Code::warning("W0208", "license-not-yet-valid");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for held in &facts.licenses {
        if !held.license.is_live_from(facts.circumstances.now) {
            let message =
                format!("{} gives no seats before {}", held.name(), held.license.not_before);
            let help = "keep the license that is valid until then".to_owned();
            report.at(&CODE, &facts.license_path(held.at, held.file), message, help);
        }
    }
}
