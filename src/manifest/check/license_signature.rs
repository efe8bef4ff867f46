//! A license that its vendor did not sign as it is.
//!
//! The vendor's signature is over the whole license and the role it is encoded for. A file that was edited, damaged, or
//! labeled for the other role does not verify, whatever else is in it.
//!
//! ```yaml
//! servers:
//!   - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [licenses/edited.alf]}
//! ```
//!
//! **What to do:** Restore the file as the vendor issued it. A license with more seats or of the other role is issued
//! by the vendor, never edited.

use super::facts::Facts;
use super::facts::is_signature;
use super::report::Report;
use crate::manifest::finding::Code;

/// A license that its vendor did not sign as it is.
pub static CODE: Code = Code::error("E0202", "license-signature");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for rejected in facts.rejected.iter().filter(|rejected| is_signature(&rejected.why)) {
        let message = format!("`{}` {}", rejected.file, rejected.why);
        let path = facts.license_path(rejected.at, rejected.file);
        report.at(&CODE, &path, message, rejected.why.help());
    }
}
