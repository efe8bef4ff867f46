//! A licensed product that nobody may use.
//!
//! A license offers a product, but `seats` has no entry for it, or one that assigns it to nobody. Most manifests that
//! are half written show so.
//!
//! ```yaml
//! seats: [{product: designer}]
//! ```
//!
//! **What to do:** Assign its seats, for example with `assign: [{everyone: true}]`, or remove its license files.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::manifest::suggest::nearest;
use crate::name::ProductName;

/// A licensed product that nobody may use.
pub static CODE: Code = Code::error("E0305", "product-not-assigned");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let help = "assign its seats under `seats`, for example with `assign: [{everyone: true}]`";
    for (product, held) in facts.licensed() {
        let Some(at) = facts.manifest.seats.iter().position(|seats| seats.product == *product)
        else {
            if facts.is_whole(path!["seats"]) && !is_mistyped(facts, product) {
                let message = format!(
                    "{} licenses `{product}`, which `seats` assigns to nobody",
                    held.name()
                );
                report.at(&CODE, &facts.license_path(held.at, held.file), message, help.to_owned());
            }
            continue;
        };
        let empty = facts.manifest.seats.get(at).is_some_and(|seats| seats.assign.is_empty());
        if empty && facts.is_whole(path!["seats", at]) {
            let message = format!("`{product}` is assigned to nobody");
            report.at(&CODE, path!["seats", at, "product"], message, help.to_owned());
        }
    }
}

/// Whether `seats` has a product that no license offers and that looks like this one: said already.
fn is_mistyped(facts: &Facts<'_>, product: &ProductName) -> bool {
    let licensed = facts.licensed();
    let unknown =
        facts.manifest.seats.iter().filter(|seats| !licensed.contains_key(&seats.product));
    let names = || licensed.keys().map(|product| product.as_str());
    unknown
        .into_iter()
        .any(|seats| nearest(seats.product.as_str(), names()) == Some(product.as_str()))
}
