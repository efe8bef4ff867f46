//! A license that does not allow the redundancy mode.
//!
//! While the servers cannot hear each other, `mirror` may grant more seats than were bought. A vendor can forbid a mode
//! in the license.
//!
//! ```yaml
//! redundancy: {mode: mirror}
//! ```
//!
//! **What to do:** Take the mode that the license allows, or ask the vendor for another license.

use super::facts::Facts;
use super::report::Report;
use crate::license::Rejection;
use crate::manifest::finding::Code;

/// A license that does not allow the redundancy mode.
pub static CODE: Code = Code::error("E0205", "mode-not-allowed");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for (held, why) in facts.misfits() {
        if let Rejection::ModeNotAllowed { .. } = why {
            let message = format!("{} {why}", held.name());
            report.at(&CODE, &facts.license_path(held.at, held.file), message, why.help());
        }
    }
}
