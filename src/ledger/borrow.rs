//! Borrowed seats: lent for a time of their own, which no renewal is needed for and no later bundle shortens.
//!
//! A use is lent, not the lease: another window of the same holder comes and goes beside it. Whether a server may lend
//! at all (only while paired, pair.md, rule 5) is the pair's to judge.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Borrowed, Charge, Checkout, EndReason, Entry, Granted, Lease, Ledger, No, Reach, Record, Terms,
    Use,
};
use crate::bundle::Product;
use crate::manifest::types::Role;
use crate::measure::{Moment, Seats, Span, Timestamp};
use crate::name::{LeaseId, ProductName, UseId};
use crate::{mutant, seen};

/// A use as its holder is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUse<'a> {
    /// The lease.
    pub lease: &'a Lease,
    /// How long the holder may believe in it.
    pub ttl: Span,
    /// Until when it is borrowed, where it is.
    pub borrowed_until: Option<Timestamp>,
}

/// When each borrowed use of a lease ends: as known before, or from what is left of it.
pub(super) fn ends_of(
    lease: &Lease,
    before: Option<&Entry>,
    now: Moment,
) -> BTreeMap<UseId, Moment> {
    let end = |(use_id, one): (&UseId, &Use)| {
        let borrowed = one.borrowed?;
        let known = before.and_then(|entry| {
            let same = entry.lease.uses.get(use_id)?.borrowed?.until == borrowed.until;
            entry.ends.get(use_id).filter(|_| same).copied()
        });
        Some((use_id.clone(), known.unwrap_or_else(|| borrowed.ends(now))))
    };
    lease.uses.iter().filter_map(end).collect()
}

impl Entry {
    /// A lease as it is known from now on, charged to nothing yet.
    pub(super) fn new(lease: Lease, renewed: Moment, ends: BTreeMap<UseId, Moment>) -> Self {
        let charge = Charge::Revoked(String::new());
        let mut entry =
            Self { lease, renewed, ends, until: renewed, charge, changed: 0, seat: None };
        entry.until = entry.next_end();
        entry
    }

    fn is_only_borrowed(&self) -> bool {
        !self.ends.is_empty() && self.ends.len() >= self.lease.uses.len()
    }

    /// When the next of its uses ends.
    pub(super) fn next_end(&self) -> Moment {
        let renewed = (!self.is_only_borrowed()).then_some(self.renewed);
        self.ends.values().copied().chain(renewed).min().unwrap_or(self.renewed)
    }

    /// When the last of its uses ends.
    pub(super) fn last_end(&self) -> Moment {
        let renewed = (!self.is_only_borrowed()).then_some(self.renewed);
        self.ends.values().copied().chain(renewed).max().unwrap_or(self.renewed)
    }

    /// What a lease is charged to that no assignment matches any more.
    pub(super) fn without_assignment(&self, why: &str) -> Charge {
        if self.ends.is_empty() || mutant!(BorrowDropped) {
            Charge::Revoked(why.to_owned())
        } else {
            Charge::Kept
        }
    }

    /// Writes into a copy of the lease what is left of its borrowed uses now.
    pub(super) fn refresh(&self, lease: &mut Lease, now: Moment) {
        for (use_id, one) in &mut lease.uses {
            if let (Some(borrowed), Some(end)) = (&mut one.borrowed, self.ends.get(use_id)) {
                *borrowed = borrowed.at(now, *end);
            }
        }
    }
}

impl Ledger {
    /// The seats of a product that are borrowed.
    #[must_use]
    pub fn borrowed(&self, product: &ProductName) -> Seats {
        self.borrowed_of(product, |_| true)
    }

    fn borrowed_of(&self, product: &ProductName, of: impl Fn(&Entry) -> bool) -> Seats {
        let all = self
            .leases
            .values()
            .filter(|entry| !entry.ends.is_empty() && entry.lease.product == *product && of(entry));
        all.map(|entry| lent(&entry.lease)).sum()
    }

    /// A use of a live lease as its holder is told of it; `None` where it is not one of the lease's uses.
    #[must_use]
    pub fn given(&self, id: &LeaseId, use_id: &UseId, now: Moment) -> Option<HeldUse<'_>> {
        let entry = self.leases.get(id)?;
        let lease = &entry.lease;
        let borrowed = lease.uses.get(use_id)?.borrowed;
        let left = borrowed
            .and_then(|borrowed| Some(entry.ends.get(use_id)?.since(now).less(borrowed.slack())));
        Some(HeldUse {
            lease,
            ttl: left.unwrap_or(lease.ttl),
            borrowed_until: borrowed.map(|borrowed| borrowed.until),
        })
    }

    /// Whether a borrowed use has ended for its holder: it is kept a little longer, for a holder whose clock is slow.
    pub(super) fn is_over(&self, id: &LeaseId, use_id: &UseId, now: Moment) -> bool {
        let given = self.given(id, use_id, now);
        given.is_some_and(|given| given.borrowed_until.is_some() && given.ttl.is_zero())
    }

    /// Everything that is durable of it, with what is left now of what is borrowed: for another server, whose clock
    /// goes on from there.
    #[must_use]
    pub fn contents_at(&self, now: Moment) -> super::Contents {
        let mut contents = self.contents();
        for lease in &mut contents.leases {
            if let Some(entry) = self.leases.get(&lease.id) {
                entry.refresh(lease, now);
            }
        }
        contents
    }

    /// Lends seats: a new lease, or one more use of the lease that is held, with an end of its own.
    pub(super) fn lend(
        &mut self,
        request: &Checkout,
        span: Span,
        product: &Product,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        let who = request.requester();
        let held = self.held_seat(product, &who).cloned();
        let slots = held.as_ref().map(|entry| entry.lease.slots.clone()).unwrap_or_default();
        let own = held.as_ref().map(|entry| entry.lease.id.clone());
        let seats = held.as_ref().map_or(request.seats, |e| e.lease.seats().max(request.seats));
        // Who may not borrow at all is not told to wait for a seat.
        let lenders = self.lenders(request, own.as_ref(), span, product)?;
        self.refuse_passing(request, product, terms)?;
        self.refuse_over_grant(request, &slots, terms)?;
        let until = self.lent_until(product, request.seats, own.as_ref(), span, terms);
        let span = until.since(terms.now.wall);
        if span == Span::ZERO {
            return Err(No::BorrowNotAllowed { why: "the licenses end now".to_owned() });
        }
        let one = Use {
            borrowed: Some(Borrowed { until, span, left: span, over: Span::ZERO }),
            ..request.as_use()
        };
        if let Some(entry) = &held {
            self.discharge(entry);
        }
        let may = |assignment: usize| lenders.contains(&assignment);
        let judged = self.judge_among(&who, seats, &slots, product, terms, may);
        if let Some(entry) = &held {
            self.charge(entry);
        }
        let assignment = judged?;
        let Some(entry) = held else {
            return self.grant(request, one, Some(assignment), product, terms);
        };
        let mut lease = entry.lease;
        if terms.is_escrow() {
            lease.slots = self.covered(&product.name, slots, seats, terms)?;
            lease.parked = false;
        }
        lease.assignment = assignment;
        lease.uses.insert(request.use_id.clone(), one);
        lease.heard = self.position.epoch;
        let id = lease.id.clone();
        let record = self.emit_lease(lease, Some(entry.renewed), terms);
        Ok(Granted { lease: id, is_new: false, record: Some(record) })
    }

    /// The assignments that may lend so much for so long.
    fn lenders(
        &self,
        request: &Checkout,
        own: Option<&LeaseId>,
        span: Span,
        product: &Product,
    ) -> Result<BTreeSet<usize>, No> {
        let not = |why: String| No::BorrowNotAllowed { why };
        let (policy, who) = (&product.policy, request.requester());
        let matching: Vec<usize> = policy.matching(&who).collect();
        if matching.is_empty() {
            return Err(No::NotEntitled);
        }
        if let Some(max) = product.max_borrow.filter(|max| span > *max) {
            return Err(not(format!("the license allows to borrow for {max} at most")));
        }
        let mut why = None;
        let mut lenders = BTreeSet::new();
        for index in matching {
            let limits = policy.assignments().get(index);
            let Some(borrow) = limits.and_then(|limits| limits.borrow.as_ref()) else { continue };
            let label = policy.label(index);
            let lent = self.borrowed_of(&product.name, |entry| {
                entry.charge == Charge::Assignment(index) && Some(&entry.lease.id) != own
            });
            if span > borrow.longest {
                why = why.or(Some(format!("`{label}` lends for {} at most", borrow.longest)));
            } else if lent + request.seats > borrow.max {
                why = why.or(Some(format!(
                    "`{label}` lends {} at most, and {lent} are lent",
                    borrow.max
                )));
            } else {
                lenders.insert(index);
            }
        }
        if lenders.is_empty() {
            let none = || "no entry of `assign` that matches has a `borrow`".to_owned();
            return Err(not(why.unwrap_or_else(none)));
        }
        Ok(lenders)
    }

    /// How long so many seats can be lent: at either server the licenses must last for all that is lent by then.
    fn lent_until(
        &self,
        product: &Product,
        seats: Seats,
        own: Option<&LeaseId>,
        span: Span,
        terms: &Terms<'_>,
    ) -> Timestamp {
        let mut until = terms.now.wall + span;
        for role in [Role::Primary, Role::Secondary] {
            let ends = product.licenses_of(role).iter().filter_map(|license| license.expires);
            for end in ends.filter(|end| *end > terms.now.wall) {
                let others = self.borrowed_of(&product.name, |entry| {
                    Some(&entry.lease.id) != own
                        && entry.lease.borrowed_until().is_some_and(|until| until > end)
                });
                if end < until && others + seats > product.capacity(role, end) {
                    until = end;
                }
            }
        }
        until
    }

    /// Parks a lease that ran out. Where uses of it that are borrowed go on, the others do so too: their holders may have
    /// renewed them at the other server.
    pub(super) fn park(
        &mut self,
        id: &LeaseId,
        records: &mut Vec<Record>,
        terms: &Terms<'_>,
    ) -> bool {
        let now = terms.now.moment;
        let Some(entry) = self.leases.get(id) else { return false };
        if entry.last_end() > now {
            let waits = entry.renewed <= now && self.reach == Reach::Own;
            if waits {
                let heard = entry.lease.heard;
                self.give_time(id, now, heard, None);
            }
            return waits;
        }
        let lease = Lease { parked: true, ..entry.lease.clone() };
        seen!(Parked);
        records.push(self.emit_lease(lease, None, terms));
        true
    }

    /// Ends the uses of a lease whose time is over, where others of it go on.
    pub(super) fn end_some(&mut self, id: &LeaseId, terms: &Terms<'_>) -> Option<Record> {
        let entry = self.leases.get(id)?;
        let now = terms.now.moment;
        let is_over = |use_id: &UseId| *entry.ends.get(use_id).unwrap_or(&entry.renewed) <= now;
        let over: Vec<UseId> = entry.lease.uses.keys().filter(|id| is_over(id)).cloned().collect();
        if over.is_empty() || over.len() == entry.lease.uses.len() {
            return None;
        }
        let (mut lease, renewed) = (entry.lease.clone(), entry.renewed);
        let end = |use_id: &UseId| self.end(id, use_id, EndReason::Expired, terms);
        let ended = over.iter().map(end).collect();
        lease.uses.retain(|use_id, _| !over.contains(use_id));
        Some(self.emit_rest(lease, ended, renewed, terms))
    }

    /// Takes back what was lent and never acknowledged. Where the other server has it and its holder was heard there,
    /// it lives on when the two are merged.
    pub fn take_back(&mut self, id: &LeaseId, use_id: &UseId, terms: &Terms<'_>) -> Option<Record> {
        let entry = self.leases.get(id)?;
        entry.lease.uses.get(use_id)?.borrowed?;
        let (mut lease, renewed) = (entry.lease.clone(), entry.renewed);
        let ended = vec![self.end(id, use_id, EndReason::Expired, terms)];
        lease.uses.remove(use_id);
        Some(self.emit_rest(lease, ended, renewed, terms))
    }
}

/// The seats of a lease that are borrowed: the greatest of its borrowed uses.
fn lent(lease: &Lease) -> Seats {
    let lent = lease.uses.values().filter(|one| one.borrowed.is_some());
    lent.map(|one| one.seats).max().unwrap_or_default()
}
