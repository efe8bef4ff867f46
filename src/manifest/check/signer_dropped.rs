//! A manifest that drops the key with which it is applied.
//!
//! Whoever applies it could not apply the next one, nor take this one back. Another operator can apply it.
//!
//! ```yaml
//! trust: {operators: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8O0kUbGmhMAykHbmJc7OEBYLjMEmg8EcE9fCVBOTqc bo"]}
//! ```
//!
//! **What to do:** Keep your key in `trust.operators`, or have another operator apply the change.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// A manifest that drops the key with which it is applied.
pub static CODE: Code = Code::error("E0402", "signer-dropped");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let Some(signer) = facts.circumstances.signer else { return };
    let operators = &facts.manifest.trust.operators;
    // That there is none at all is a finding of its own.
    let kept =
        operators.is_empty() || operators.iter().any(|operator| key(&operator.0) == key(signer));
    if !kept && facts.is_whole(path!["trust", "operators"]) {
        let message =
            "the key that signs this change is not in `trust.operators`: it could sign no other"
                .to_owned();
        let help = "keep your key in `trust.operators`, or have another operator apply the change"
            .to_owned();
        report.at(&CODE, path!["trust", "operators"], message, help);
    }
}

/// Type and key, without the comment.
fn key(text: &str) -> (Option<&str>, Option<&str>) {
    let mut words = text.split_ascii_whitespace();
    (words.next(), words.next())
}
