//! A product with more seats at one server than at the other.
//!
//! Each server serves the seats of the licenses encoded for its role. Where they differ, a failover changes how many
//! seats there are: holders keep theirs, and nothing new is granted until enough are free.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/ten.primary.alf]}
//!   - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [licenses/five.secondary.alf]}
//! ```
//!
//! **What to do:** Add the license that is missing at one of them, or accept the difference.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;

/// A product with more seats at one server than at the other.
pub static CODE: Code = Code::warning("W0212", "capacities-differ");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let [a, b] = facts.manifest.servers.as_slice() else { return };
    if !facts.all_licenses() {
        return;
    }
    let (of_a, of_b) = (facts.capacity(0), facts.capacity(1));
    let products: BTreeSet<_> = of_a.keys().chain(of_b.keys()).collect();
    for product in products {
        let seats =
            |of: &std::collections::BTreeMap<_, _>| of.get(product).copied().unwrap_or_default();
        let (at_a, at_b) = (seats(&of_a), seats(&of_b));
        // Seats of a product that nobody may use are another finding.
        let at = facts.manifest.seats.iter().position(|seats| seats.product == **product);
        if let Some(at) = at.filter(|_| at_a != at_b) {
            let message =
                format!("`{product}` has {at_a} seats at `{}` and {at_b} at `{}`", a.name, b.name);
            let fewer = if at_a < at_b { &a.name } else { &b.name };
            let help = format!("add the license that is missing at `{fewer}`");
            report.at(&CODE, path!["seats", at, "product"], message, help);
        }
    }
}
