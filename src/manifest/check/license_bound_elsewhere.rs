//! A license that is bound to another server.
//!
//! A vendor may bind a license to the identity key of one server. It is then accepted at that server only, and only
//! where the manifest pins the server's key.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/bound.alf]}
//! ```
//!
//! **What to do:** Pin the server's key (`tandem serve` shows it). Where the server was replaced, activate the license
//! again for the new one.

use super::facts::Facts;
use super::report::Report;
use crate::license::Rejection;
use crate::manifest::finding::Code;

/// A license that is bound to another server.
pub static CODE: Code = Code::error("E0204", "license-bound-elsewhere");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for (held, why) in facts.misfits() {
        if let Rejection::OtherServer { .. } = why {
            let message = format!("{} {why}", held.name());
            report.at(&CODE, &facts.license_path(held.at, held.file), message, why.help());
        }
    }
}
