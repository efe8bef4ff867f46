//! A file that may not or cannot be read.
//!
//! Files that a manifest names are regular files inside of the git work tree (of the manifest's folder, where there is
//! none), also after symbolic links are followed. There are at most 1,000 of them, a license has at most 1 MiB, and all
//! together at most 64 MiB.
//!
//! ```yaml
//! usersFrom: link-to-etc-passwd.yaml
//! ```
//!
//! **What to do:** Move the file itself into the repository.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::sources::FileFault;

/// A file that may not or cannot be read.
pub static CODE: Code = Code::error("E0406", "file-not-readable");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for problem in facts.problems() {
        let help = match problem.fault {
            // Said already: a path of such a form is a matter of shape.
            FileFault::Path(_) | FileFault::Missing | FileFault::NoMatch => continue,
            FileFault::Outside(_) => "move the file itself into the repository",
            FileFault::NotRegular(_) => "name a regular file",
            FileFault::NotText => "write the list as UTF-8 text, a user name a line",
            FileFault::TooLarge(_) | FileFault::TotalTooLarge => {
                "check that it is the file that was meant"
            }
            FileFault::TooMany => "narrow the pattern",
            FileFault::Unreadable(_) => "check its permissions",
        };
        let message = format!("`{}` {}", problem.file, problem.fault);
        report.at(&CODE, &problem.entry.path(), message, help.to_owned());
    }
}
