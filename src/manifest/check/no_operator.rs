//! Nobody may change the configuration.
//!
//! A server takes a bundle only if an operator of the bundle that it runs signed it. Without an operator the pair could
//! be changed by the keys of `tandem serve --trust` alone.
//!
//! ```yaml
//! trust: {operators: []}
//! ```
//!
//! **What to do:** Add your SSH public key to `trust.operators`: the one that signs your commits.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// Nobody may change the configuration.
pub static CODE: Code = Code::error("E0401", "no-operator");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if facts.manifest.trust.operators.is_empty() && facts.is_whole(path!["trust"]) {
        let message = "there is no operator: nobody could sign the next change".to_owned();
        let help = "add your SSH public key to `trust.operators`: operators: [\"ssh-ed25519 AAAA... you\"]".to_owned();
        report.at(&CODE, path!["trust", "operators"], message, help);
    }
}
