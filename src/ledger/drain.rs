//! What a change of the bundle means for the leases that are held: each is charged anew, none is taken, and what is
//! over its limit drains (product.md, "Seats", on a reload).

use super::{Charge, Entry, Ledger, Terms};
use crate::entitlement;
use crate::measure::Seats;
use crate::name::{LeaseId, ProductName};

impl Ledger {
    /// Charges every lease anew, in the order of its grant: the first matching assignment with room, else the first
    /// that matches. One that nothing matches any more is revoked: it counts until its time has run out.
    pub fn recharge(&mut self, terms: &Terms<'_>) {
        self.usage.clear();
        self.revoked.clear();
        self.by_seat.clear();
        let mut order: Vec<LeaseId> = self.leases.keys().cloned().collect();
        order.sort_by(|a, b| self.granted_before(a, b));
        for id in order {
            let Some(mut entry) = self.leases.remove(&id) else { continue };
            entry.charge = self.charge_anew(&entry, terms);
            if let Charge::Assignment(index) = entry.charge {
                entry.lease.assignment = u32::try_from(index).unwrap_or(u32::MAX);
            }
            if let Some(key) = terms.seat_key(&entry.lease) {
                let standing = self.by_seat.entry(key).or_insert_with(|| id.clone());
                if matches!(entry.charge, Charge::Assignment(_)) && *standing != id {
                    let revoked = |id: &LeaseId| {
                        self.leases.get(id).is_some_and(|e| matches!(e.charge, Charge::Revoked(_)))
                    };
                    if revoked(standing) {
                        *standing = id.clone();
                    }
                }
            }
            self.charge(&entry);
            self.leases.insert(id, entry);
        }
        self.queue.rank_all(terms);
    }

    fn granted_before(&self, a: &LeaseId, b: &LeaseId) -> std::cmp::Ordering {
        let granted = |id: &LeaseId| self.leases.get(id).map(|entry| entry.lease.granted);
        granted(a).cmp(&granted(b)).then_with(|| a.cmp(b))
    }

    fn charge_anew(&self, entry: &Entry, terms: &Terms<'_>) -> Charge {
        let lease = &entry.lease;
        if let Some(reason) = &lease.forced {
            return Charge::Revoked(reason.clone());
        }
        let Some(product) = terms.config.products.get(&lease.product) else {
            return Charge::Revoked("the product is no longer served".to_owned());
        };
        let who = lease.requester();
        let nothing = entitlement::Use::default();
        let used = self.usage.get(&lease.product).unwrap_or(&nothing);
        let revoked = self.revoked.get(&lease.product).copied().unwrap_or_default();
        let capacity = terms.capacity(&lease.product).less(revoked);
        match entitlement::recharge(&product.policy, used, &who, lease.seats(), capacity) {
            Some(index) => Charge::Assignment(index),
            None if product.policy.is_denied(&who) => {
                Charge::Revoked("a `deny` entry matches its holder now".to_owned())
            }
            None => Charge::Revoked("no assignment matches its holder any more".to_owned()),
        }
    }

    /// How many seats of a product are held above this server's capacity.
    #[must_use]
    pub fn over_grant(&self, product: &ProductName, terms: &Terms<'_>) -> Seats {
        self.live(product).less(terms.capacity(product))
    }
}
