//! A license file that cannot be read.
//!
//! A license file is armored text as the vendor issued it: `-----BEGIN TANDEM PRIMARY LICENSE-----` (or `SECONDARY`),
//! strict base64, an end line. Text around the blocks is ignored; nothing inside may be changed.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [README.md]}
//! ```
//!
//! **What to do:** Restore the file from git or from the vendor, or narrow the pattern that names it.

use super::facts::Facts;
use super::facts::is_signature;
use super::report::Report;
use crate::manifest::finding::Code;

/// A license file that cannot be read.
pub static CODE: Code = Code::error("E0201", "license-damaged");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for rejected in facts.rejected.iter().filter(|rejected| !is_signature(&rejected.why)) {
        let message = format!("`{}` {}", rejected.file, rejected.why);
        let path = facts.license_path(rejected.at, rejected.file);
        report.at(&CODE, &path, message, rejected.why.help());
    }
}
