//! The redundancy mode `escrow` is not served by this version.
//!
//! `escrow` promises that never more than the capacity is granted, whatever the network does. A version that cannot
//! keep this promise refuses the manifest instead of serving it in another mode.
//!
//! ```yaml
//! redundancy: {mode: escrow}
//! ```
//!
//! **What to do:** Use `mode: mirror`, the default. While the servers cannot hear each other both may grant, each at
//! most its own capacity.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::types::Mode;

/// The redundancy mode `escrow` is not served by this version.
pub static CODE: Code = Code::error("E0107", "mode-not-served");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if facts.manifest.redundancy.mode == Mode::Escrow {
        let message =
            "the mode `escrow` is not served yet: this version runs `mirror` only".to_owned();
        let help = "use `mode: mirror`, or leave `mode` out".to_owned();
        report.at(&CODE, path!["redundancy", "mode"], message, help);
    }
}
