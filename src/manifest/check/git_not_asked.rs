//! Git could not be asked.
//!
//! There is a secret key below the manifest's folder, and git could not say whether it tracks it. That was not checked;
//! everything else was.
//!
//! ```yaml
//! # git: detected dubious ownership in repository
//! ```
//!
//! **What to do:** Do what git says, for example `git config --global --add safe.directory FOLDER` in a container.

use super::Written;
use super::report::Report;
use crate::manifest::finding::Code;

/// Git could not be asked.
pub static CODE: Code = Code::warning("W0409", "git-not-asked");

pub(super) fn check(written: &Written<'_>, report: &mut Report<'_>) {
    if let Some(why) = written.unasked {
        let message = format!("whether git tracks a secret key was not checked: {why}");
        let help = "make git work in this folder, then validate again".to_owned();
        report.file(&CODE, written.file, message, help);
    }
}
