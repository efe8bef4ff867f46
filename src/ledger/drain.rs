//! What a change of the bundle means for the leases that are held: each is charged anew, none is taken, and what is
//! over its limit drains (product.md, "Seats", on a reload).

use std::collections::BTreeMap;

use super::{Charge, Contents, Entry, Ledger, Terms};
use crate::entitlement;
use crate::measure::Seats;
use crate::name::{LeaseId, ProductName};

/// What each of two servers that served apart had given before their ledgers were merged: what is beyond it, and beyond
/// the capacity, is there because both gave (pair.md, rule 7).
#[derive(Clone, Debug)]
pub struct Given(BTreeMap<ProductName, Seats>);

impl Given {
    /// The more of the two, of each product.
    #[must_use]
    pub fn of(mine: &Ledger, theirs: &Contents, terms: &Terms<'_>) -> Self {
        let seats = |product: &ProductName| {
            let theirs = theirs.leases.iter().filter(|lease| lease.product == *product);
            let theirs: Seats = theirs.map(super::Lease::seats).sum();
            (product.clone(), mine.live(product).max(theirs))
        };
        Self(terms.config.products.keys().map(seats).collect())
    }
}

impl Ledger {
    /// Charges every lease anew, in the order of its grant: the first matching assignment with room, else the first
    /// that matches. One that nothing matches any more is revoked: it counts until its time has run out.
    pub fn recharge(&mut self, terms: &Terms<'_>) {
        self.usage.clear();
        self.revoked.clear();
        self.by_seat.clear();
        // Taken out, so that each can be charged where it stands.
        let mut leases = std::mem::take(&mut self.leases);
        let mut order: Vec<_> =
            leases.values().map(|entry| (entry.lease.granted, entry.lease.id.clone())).collect();
        order.sort();
        for (_, id) in order {
            let Some(entry) = leases.get(&id) else { continue };
            let charge = self.charge_anew(entry, terms);
            let seat = terms.seat_key(&entry.lease);
            if let Some(key) = &seat {
                self.take_seat(key, &id);
            }
            let Some(entry) = leases.get_mut(&id) else { continue };
            (entry.charge, entry.seat) = (charge, seat);
            if let Charge::Assignment(index) = entry.charge {
                entry.lease.assignment = u32::try_from(index).unwrap_or(u32::MAX);
            }
            self.charge(entry);
        }
        self.leases = leases;
        self.queue.rank_all(terms);
    }

    fn charge_anew(&self, entry: &Entry, terms: &Terms<'_>) -> Charge {
        let lease = &entry.lease;
        if let Some(reason) = &lease.forced {
            return Charge::Revoked(reason.clone());
        }
        let Some(product) = terms.config.products.get(&lease.product) else {
            return entry.without_assignment("the product is no longer served");
        };
        let who = lease.requester();
        let nothing = entitlement::Use::default();
        let used = self.usage.get(&lease.product).unwrap_or(&nothing);
        let revoked = self.revoked.get(&lease.product).copied().unwrap_or_default();
        let capacity = terms.capacity(&lease.product).less(revoked);
        match entitlement::recharge(&product.policy, used, &who, lease.seats(), capacity) {
            Some(index) => Charge::Assignment(index),
            None if product.policy.is_denied(&who) => {
                entry.without_assignment("a `deny` entry matches its holder now")
            }
            None => entry.without_assignment("no assignment matches its holder any more"),
        }
    }

    /// Revokes the newest leases of what is over the capacity because both servers gave: they are refused at their next
    /// renewal, and count until their time has run out. What a lowered capacity left over drains all the same.
    pub fn revoke_surplus(&mut self, given: &Given, terms: &Terms<'_>) -> Vec<LeaseId> {
        const REASON: &str =
            "more seats were given than there are while the two servers could not hear each other";
        let mut revoked = Vec::new();
        if terms.is_escrow() {
            // Nothing was given too much: what is over is leases that nobody was ever told of.
            return revoked;
        }
        for (product, given) in &given.0 {
            let allowed = terms.capacity(product).max(*given);
            let mut surplus = self.live(product).less(allowed);
            let mut newest: Vec<_> = self
                .leases
                .values()
                .filter(|entry| entry.lease.product == *product)
                .filter(|entry| matches!(entry.charge, Charge::Assignment(_)))
                .filter(|entry| entry.ends.is_empty())
                .map(|entry| (entry.lease.granted_at, entry.lease.granted, entry.lease.id.clone()))
                .collect();
            newest.sort();
            while let Some((_, _, id)) = newest.pop() {
                let Some(seats) = self.leases.get(&id).map(|entry| entry.lease.seats()) else {
                    continue;
                };
                if surplus == Seats(0) {
                    break;
                }
                surplus = surplus.less(seats);
                if self.force(&id, REASON, terms).is_ok() {
                    revoked.push(id);
                }
            }
        }
        revoked
    }

    /// How many seats of a product are held above this server's capacity.
    #[must_use]
    pub fn over_grant(&self, product: &ProductName, terms: &Terms<'_>) -> Seats {
        self.live(product).less(terms.capacity(product))
    }
}
