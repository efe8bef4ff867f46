//! A file that is not there.
//!
//! A path of `licenses`, `usersFrom` or `membersFrom` leads to no file, or a pattern fits none. Paths are relative to
//! the manifest's folder.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [license/*.primary.alf]}
//! ```
//!
//! **What to do:** Correct the path, or add the file (and to git: a file that git ignores is missing elsewhere).

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::sources::FileFault;

/// A file that is not there.
pub static CODE: Code = Code::error("E0405", "file-not-found");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for problem in facts.problems() {
        let help = match problem.fault {
            FileFault::Missing => {
                "correct the path, or add the file; paths begin at the manifest's folder"
            }
            FileFault::NoMatch => "correct the pattern, or add the files; `*` does not match a `/`",
            _ => continue,
        };
        let message = format!("`{}` {}", problem.file, problem.fault);
        report.at(&CODE, &problem.entry.path(), message, help.to_owned());
    }
}
