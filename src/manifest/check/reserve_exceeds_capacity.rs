//! More seats reserved than a server has.
//!
//! Reserves keep seats free for whom they are for. Together they must fit into the capacity of each server, since each
//! of the two may have to serve alone. All licenses that are named count, whatever their dates.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign: [{group: hardware, reserve: 8}, {group: campus, reserve: 8}]
//! ```
//!
//! **What to do:** Lower the reserves, or add licenses to the server that has too few seats.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::Code;
use crate::manifest::places::path;
use crate::measure::Seats;

/// More seats reserved than a server has.
pub static CODE: Code = Code::error("E0306", "reserve-exceeds-capacity");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    if !facts.all_licenses() {
        return;
    }
    let licensed = facts.licensed();
    let capacities: Vec<_> =
        (0..facts.manifest.servers.len()).map(|at| facts.capacity(at)).collect();
    for (seats, at) in facts.manifest.seats.iter().zip(0_usize..) {
        // That no license offers it is a finding of its own.
        if !licensed.contains_key(&seats.product) {
            continue;
        }
        let capacity = |of: usize| {
            capacities.get(of).and_then(|of| of.get(&seats.product)).copied().unwrap_or_default()
        };
        let least =
            facts.manifest.servers.iter().zip(0_usize..).min_by_key(|(_, of)| capacity(*of));
        let Some((server, of)) = least else { return };
        let reserved: Seats = seats.assign.iter().map(|entry| entry.reserve).sum();
        if reserved <= capacity(of) {
            continue;
        }
        // The entry with which it gets too much.
        let mut sum = Seats(0);
        let over = seats.assign.iter().position(|entry| {
            sum = sum + entry.reserve;
            sum > capacity(of)
        });
        let message = format!(
            "the reserves of `{}` come to {reserved} seats, but `{}`, the {}, has {}",
            seats.product,
            server.name,
            server.role,
            capacity(of)
        );
        let help = "lower the reserves, or add licenses to that server".to_owned();
        report.at(
            &CODE,
            path!["seats", at, "assign", over.unwrap_or_default(), "reserve"],
            message,
            help,
        );
    }
}
