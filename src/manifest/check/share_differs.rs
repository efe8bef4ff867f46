//! Licenses of one product that disagree on what a seat is.
//!
//! `share` in a license says what makes two checkouts one seat: the same user and host, the user alone, and so on. It
//! must be the same for a product at both servers, else a failover would count the seats anew.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/per-user.primary.alf]}
//!   - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [licenses/per-host.secondary.alf]}
//! ```
//!
//! **What to do:** Ask the vendor for licenses of the product that agree.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, Held};
use super::report::Report;
use crate::license::SharePart;
use crate::manifest::finding::Code;

/// Licenses of one product that disagree on what a seat is.
pub static CODE: Code = Code::error("E0211", "share-differs");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let mut first_of: BTreeMap<_, &Held<'_>> = BTreeMap::new();
    for held in &facts.licenses {
        let product = &held.license.product;
        let first = *first_of.entry(product).or_insert(held);
        if parts(held) != parts(first) {
            let message = format!(
                "{} counts a seat of `{product}` by {}, but {} by {}",
                held.name(),
                words(held),
                first.name(),
                words(first)
            );
            let help =
                "ask the vendor for licenses of this product with the same `share`".to_owned();
            report.at(&CODE, &facts.license_path(held.at, held.file), message, help);
        }
    }
}

fn parts(held: &Held<'_>) -> BTreeSet<SharePart> {
    held.license.share.iter().copied().collect()
}

fn words(held: &Held<'_>) -> String {
    let words: Vec<&str> = parts(held).iter().map(|part| part.as_str()).collect();
    words.join(" and ")
}
