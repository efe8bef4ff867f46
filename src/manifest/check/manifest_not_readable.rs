//! The manifest itself cannot be read.
//!
//! The file that was named is not there, is no regular file, is too large, or may not be read.
//!
//! ```yaml
//! # tandem validate no-such-file.yaml
//! ```
//!
//! **What to do:** Name the manifest: `tandem validate tandem.yaml`.

use super::Written;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::sources::FileFault;

/// The manifest itself cannot be read.
pub static CODE: Code = Code::error("E0408", "manifest-not-readable");

pub(super) fn check(written: &Written<'_>, report: &mut Report<'_>) {
    let Some(fault) = written.unread else { return };
    let message = format!("the manifest {fault}");
    let help = match fault {
        FileFault::Missing => "name the manifest; `tandem init` writes one to start from",
        FileFault::NotRegular(_) => "name the manifest's file itself",
        _ => "check its permissions and its size",
    };
    report.file(&CODE, written.file, message, help.to_owned());
}
