//! A license of a vendor that is not trusted.
//!
//! A license says who issued it, and its signature proves it. Only licenses of the vendors in `trust.vendors` are
//! accepted: anybody can sign a license with a key of their own.
//!
//! ```yaml
//! trust:
//!   vendors: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
//! ```
//!
//! **What to do:** If you buy from this vendor, add its key to `trust.vendors`: it is on the vendor's web page, and
//! `tandem license inspect` shows the one in the file.

use super::facts::Facts;
use super::report::Report;
use crate::license::Rejection;
use crate::manifest::finding::Code;

/// A license of a vendor that is not trusted.
pub static CODE: Code = Code::error("E0203", "vendor-not-trusted");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for (held, why) in facts.misfits() {
        if let Rejection::UnknownVendor { .. } = why {
            let message = format!("{} {why}", held.name());
            report.at(&CODE, &facts.license_path(held.at, held.file), message, why.help());
        }
    }
}
