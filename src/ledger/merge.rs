//! Two ledgers become one: after each server served on its own, nothing that a holder was told is lost.
//!
//! What one side ended is matched against what the other still has (see [`End::holds_against`]); what is left of
//! both is united. Waiters of both stand in the order of their arrivals; a place that only one has has ended where the
//! other knew all that this one did. Seats over the capacity are counted, not taken: they drain (pair.md, rule 7).

use std::collections::{BTreeMap, BTreeSet};

use super::{Contents, End, Entry, Lease, Ledger, Position, Terms, borrow, ends_kept};
use crate::measure::{Epoch, Moment};
use crate::name::{LeaseId, UseId};
use crate::{mutant, seen};

impl Ledger {
    /// Merges the other server's ledger into this one. Every lease, also one known before, lives a full ttl from
    /// now, and is charged anew. `next` is the epoch in which this server goes on.
    pub fn merge(&mut self, theirs: Contents, next: Epoch, terms: &Terms<'_>) {
        let kept = ends_kept(terms.config);
        let mine = std::mem::take(self);
        let my_service = Service { position: mine.position, knew: mine.knew };
        let their_service = Service { position: theirs.position, knew: theirs.knew };
        self.position = mine.position;
        // A ledger that ends in records of its own server's covers that time of service; else `knew` says which.
        let of_other = |epoch: Epoch| !epoch.is_of_same_server(next);
        self.knew = [mine.knew, mine.position.epoch, theirs.knew, theirs.position.epoch]
            .into_iter()
            .filter(|epoch| of_other(*epoch))
            .max()
            .unwrap_or_default();
        self.nonces = mine.nonces;
        self.nonces.extend(theirs.nonces);
        self.quotas = mine.quotas.later(theirs.quotas);

        let my_ends: Vec<End> = mine.ends.into_values().map(|(end, _)| end).collect();
        // What is borrowed ends when the later of both copies does.
        let mut borrowed: BTreeMap<UseId, Moment> =
            mine.leases.values().flat_map(|entry| entry.ends.clone()).collect();
        for lease in &theirs.leases {
            for (use_id, end) in borrow::ends_of(lease, None, terms.now.moment) {
                let known = borrowed.entry(use_id).or_insert(end);
                *known = end.max(*known);
            }
        }
        let my_leases: Vec<Lease> = mine.leases.into_values().map(|entry| entry.lease).collect();
        let theirs_left = without_ended(theirs.leases, &my_ends);
        let mine_left = without_ended(my_leases, &theirs.ends);

        for end in my_ends.into_iter().chain(theirs.ends) {
            self.remember(end, terms.now, kept);
        }
        for lease in one_a_use(mine_left.into_iter().chain(theirs_left), !terms.is_escrow()) {
            // A use that lives on is not remembered as ended.
            for use_id in lease.uses.keys() {
                if let Some((_, moment)) = self.ends.remove(use_id) {
                    self.forgetting.remove(&(moment, use_id.clone()));
                }
            }
            let renewed = terms.now.moment + lease.ttl.with_drift();
            let uses = lease.uses.keys();
            let ends = uses.filter_map(|id| Some((id.clone(), *borrowed.get(id)?))).collect();
            self.insert(Entry::new(lease, renewed, ends), None);
        }
        // Who waits at either server waits on, unless the use has a lease or has ended at either. Nothing says that a place
        // has ended: it is not there any more.
        let (mine, theirs) = (mine.queue.into_waiters(), theirs.waiters);
        let returns = mutant!(EndedPlacesReturn);
        let (places, others) = if !returns && their_service.covers(my_service) {
            (theirs, mine)
        } else if !returns && my_service.covers(their_service) {
            (mine, theirs)
        } else {
            (mine.into_iter().chain(theirs).collect(), Vec::new())
        };
        let known: BTreeSet<&UseId> = places.iter().map(|waiter| &waiter.use_id).collect();
        let has_ended = |use_id: &UseId| !known.contains(use_id) && !self.knows_use(use_id);
        if others.iter().any(|waiter| has_ended(&waiter.use_id)) {
            seen!(PlaceEnded);
        }
        for waiter in places {
            if !self.knows_use(&waiter.use_id) {
                self.queue.unite(waiter, terms);
            }
        }
        self.recharge(terms);
    }
}

/// How much of what both servers did stands in a ledger: a version vector of two, as epochs of one server are odd and
/// those of the other even (Parker et al., "Detection of Mutual Inconsistency in Distributed Systems", 1983).
#[derive(Clone, Copy)]
struct Service {
    position: Position,
    /// The latest epoch of the server that did not make the last record.
    knew: Epoch,
}

impl Service {
    /// Whether this ledger has seen whatever the other one has.
    fn covers(self, other: Self) -> bool {
        let knows = |epoch: Epoch| {
            let is_own = epoch.is_of_same_server(self.position.epoch);
            epoch <= if is_own { self.position.epoch } else { self.knew }
        };
        let is_behind =
            self.position.epoch == other.position.epoch && self.position < other.position;
        knows(other.position.epoch) && knows(other.knew) && !is_behind
    }
}

/// The leases without the uses that the other side ended for good; one without any use left is gone.
fn without_ended(leases: Vec<Lease>, ends: &[End]) -> Vec<Lease> {
    let ends: BTreeMap<&UseId, &End> = ends.iter().map(|end| (&end.use_id, end)).collect();
    let mut left = Vec::with_capacity(leases.len());
    for mut lease in leases {
        let whole = lease.clone();
        lease
            .uses
            .retain(|use_id, _| !ends.get(use_id).is_some_and(|end| end.holds_against(&whole)));
        if !lease.uses.is_empty() {
            left.push(lease);
        }
    }
    left
}

/// The leases of both sides, each once, and each use in one of them alone: a checkout whose first answer was lost was
/// granted again by a server that knew nothing of it, and its client holds what it was told last.
///
/// Escrow counts both until one runs out: which was told last is a guess here, and a slot that is freed by guess is given
/// to somebody else.
fn one_a_use(leases: impl Iterator<Item = Lease>, guess: bool) -> Vec<Lease> {
    let mut by_id: BTreeMap<LeaseId, Lease> = BTreeMap::new();
    for lease in leases {
        let lease = match by_id.remove(&lease.id) {
            Some(known) => united(known, lease),
            None => lease,
        };
        by_id.insert(lease.id.clone(), lease);
    }
    if !guess {
        return by_id.into_values().collect();
    }
    let mut latest: BTreeMap<UseId, Position> = BTreeMap::new();
    for lease in by_id.values() {
        for use_id in lease.uses.keys() {
            let known = latest.entry(use_id.clone()).or_insert(lease.granted);
            *known = lease.granted.max(*known);
        }
    }
    let mut left: Vec<Lease> = by_id.into_values().collect();
    for lease in &mut left {
        let granted = lease.granted;
        lease.uses.retain(|use_id, _| latest.get(use_id) == Some(&granted));
    }
    left.retain(|lease| !lease.uses.is_empty());
    left
}

/// One lease of two copies: the uses of both, and the later word of the two.
fn united(mut one: Lease, other: Lease) -> Lease {
    one.uses.extend(other.uses);
    one.ttl = one.ttl.max(other.ttl);
    one.heard = one.heard.max(other.heard);
    one.granted = one.granted.min(other.granted);
    one.forced = one.forced.or(other.forced);
    // It lives where it lives on one side, and takes what it takes on either.
    let differ = one.parked != other.parked;
    one.parked = (one.parked && other.parked) || (differ && mutant!(EscrowFreesUnheard));
    one.slots = one.slots.greater(&other.slots);
    one
}
