//! A secret key in a file that git keeps.
//!
//! A file below the manifest's folder holds a secret key, and git tracks it or would add it. Everybody who can read the
//! repository could sign with it.
//!
//! ```yaml
//! trust: {operators: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8O0kUbGmhMAykHbmJc7OEBYLjMEmg8EcE9fCVBOTqc ana"]}
//! ```
//!
//! **What to do:** Add the file to `.gitignore` and take it out with `git rm --cached`. If it was ever pushed make a new
//! key and remove the old one from the manifest: history keeps it.

use super::Written;
use super::report::Report;
use crate::manifest::finding::Code;

/// A secret key in a file that git keeps.
pub static CODE: Code = Code::error("E0403", "secret-key-tracked");

pub(super) fn check(written: &Written<'_>, report: &mut Report<'_>) {
    for file in written.secrets {
        let message = format!("`{file}` holds a secret key, and git tracks it or would add it");
        let help = "add it to `.gitignore`, take it out with `git rm --cached`, and make a new key if it was pushed";
        report.file(&CODE, file, message, help.to_owned());
    }
}
