//! A product that no license offers.
//!
//! `seats` assigns seats of a product that none of the license files of both servers licenses, so nobody would ever
//! get one.
//!
//! ```yaml
//! seats: [{product: desinger, assign: [{everyone: true}]}]
//! ```
//!
//! **What to do:** Write the product as its license does (`tandem license inspect FILE`), or add the license files.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::suggest::nearest;

/// A product that no license offers.
pub static CODE: Code = Code::error("E0304", "unknown-product");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.all_licenses() {
        return;
    }
    let licensed = facts.licensed();
    for (seats, at) in facts.manifest.seats.iter().zip(0_usize..) {
        if licensed.contains_key(&seats.product) {
            continue;
        }
        let message = format!("no license offers the product `{}`", seats.product);
        let known = licensed.keys().map(|product| product.as_str());
        let help = match nearest(seats.product.as_str(), known) {
            Some(meant) => {
                format!("did you mean `{meant}`? Otherwise add its license files to both servers")
            }
            None => "add its license files to both servers".to_owned(),
        };
        report.at(&CODE, path!["seats", at, "product"], message, help);
    }
}
