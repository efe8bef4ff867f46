//! What clients do with leases: check out, renew, release, adopt; and what time does: leases run out.
//!
//! The caller has judged whether this server may grant at all (pair.md, rules 2 to 4); here only seats decide.

use std::collections::BTreeMap;

use super::{
    Charge, Checkout, End, EndReason, Entry, Lease, Ledger, Line, No, Record, Room, Slots, Terms,
    Token, Use,
};
use crate::bundle::Product;
use crate::entitlement::{self, Requester, Verdict};
use crate::measure::{Epoch, Seats};
use crate::mutant;
use crate::name::{LeaseId, ProductName, UseId};

/// What a checkout or a renewal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The lease.
    pub lease: LeaseId,
    /// Whether it began now.
    pub is_new: bool,
    /// The record to make durable; none where nothing changed.
    pub record: Option<Record>,
}

/// What an adoption came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The lease.
    pub lease: LeaseId,
    /// Whether its seat was known, under another lease of the same use.
    pub is_known: bool,
    /// The records to make durable, the last ones that were made.
    pub records: Vec<Record>,
}

/// A renewed lease, and the record of it where there is one.
pub(crate) type Renewed = (LeaseId, Option<Record>);

impl Ledger {
    /// Gives seats: the lease that is held already, or a new one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn checkout(&mut self, request: &Checkout, terms: &Terms<'_>) -> Result<Granted, No> {
        let product = terms.config.products.get(&request.product).ok_or(No::UnknownProduct)?;
        if let Some(id) = self.by_use.get(&request.use_id).cloned() {
            return self.repeat(&id, request, terms);
        }
        if self.ends.contains_key(&request.use_id) {
            return Err(No::UnknownLease);
        }
        if product.policy.is_denied(&request.requester()) {
            return Err(No::Denied);
        }
        if let Some(span) = request.borrow {
            return self.lend(request, span, product, terms);
        }
        let room = self.refuse_passing(request, product, terms)?;
        self.take_seats(request, room, terms)
    }

    /// Gives seats to whose turn it is, by the assignment that has room beside what is kept for others.
    pub(super) fn take_seats(
        &mut self,
        request: &Checkout,
        room: Room,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        let product = terms.config.products.get(&request.product).ok_or(No::UnknownProduct)?;
        match self.held_seat(product, &request.requester()).cloned() {
            Some(entry) => self.join(entry, request, room, product, terms),
            None => self.grant(request, request.as_use(), room, product, terms),
        }
    }

    /// The same checkout again: the lease as it is, with its time.
    fn repeat(
        &mut self,
        id: &LeaseId,
        request: &Checkout,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        let entry = self.leases.get(id).ok_or(No::UnknownLease)?;
        let known = entry.lease.uses.get(&request.use_id).ok_or(No::UnknownLease)?;
        if entry.lease.product != request.product
            || known.user != request.user
            || known.host != request.host
        {
            return Err(No::UseTaken);
        }
        let lease = entry.lease.clone();
        self.refuse_revoked(id, &request.use_id)?;
        if self.is_over(id, &request.use_id, terms.now.moment) {
            return Err(No::UnknownLease);
        }
        self.refuse_over_grant(request, &lease.slots, terms)?;
        let record = if terms.is_escrow() { self.return_covered(lease, terms)? } else { None };
        self.renew_now(id, terms);
        Ok(Granted { lease: id.clone(), is_new: false, record })
    }

    /// A held lease is returned only by a server that answers for all of its seats: the other may have given them to
    /// somebody else, where it was released there.
    fn return_covered(&mut self, lease: Lease, terms: &Terms<'_>) -> Result<Option<Record>, No> {
        let slots = self.covered(&lease.product, lease.slots.clone(), lease.seats(), terms)?;
        if slots == lease.slots && !lease.parked {
            return Ok(None);
        }
        let lease = Lease { slots, parked: false, heard: self.position.epoch, ..lease };
        Ok(Some(self.emit_lease(lease, None, terms)))
    }

    /// Whether this server answers for a held lease now.
    pub(super) fn may_return(&self, lease: &Lease, terms: &Terms<'_>) -> bool {
        !terms.is_escrow()
            || (!self.is_overdrawn(&lease.product, &lease.slots, terms)
                && self.covered(&lease.product, lease.slots.clone(), lease.seats(), terms).is_ok())
    }

    pub(super) fn covered(
        &self,
        product: &ProductName,
        slots: Slots,
        seats: Seats,
        terms: &Terms<'_>,
    ) -> Result<Slots, No> {
        if mutant!(EscrowReturnsUncovered) && !slots.is_empty() {
            return Ok(slots);
        }
        self.cover(product, slots, seats, terms).ok_or_else(|| {
            let quota = self.quota(product, terms);
            let why = format!(
                "no slot of this server's quota of {quota} is free, and the other server cannot be counted on"
            );
            No::NoRoom { why }
        })
    }

    /// One more use of a held lease: needs room only for more seats than the lease has.
    fn join(
        &mut self,
        entry: Entry,
        request: &Checkout,
        room: Room,
        product: &Product,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        self.refuse_over_grant(request, &entry.lease.slots, terms)?;
        let mut lease = entry.lease.clone();
        if request.seats > lease.seats() {
            // The whole lease is charged where there is room for all of it; else everything stays as it was.
            self.discharge(&entry);
            let judged =
                self.judge(&lease.requester(), request.seats, &lease.slots, product, terms);
            self.charge(&entry);
            lease.assignment = room.map_or(judged, Ok)?;
        }
        if terms.is_escrow() {
            let seats = request.seats.max(lease.seats());
            lease.slots = self.covered(&product.name, lease.slots, seats, terms)?;
            lease.parked = false;
        }
        lease.uses.insert(request.use_id.clone(), request.as_use());
        lease.ttl = product.ttl;
        lease.heard = self.position.epoch;
        let id = lease.id.clone();
        let record = self.emit_lease(lease, None, terms);
        Ok(Granted { lease: id, is_new: false, record: Some(record) })
    }

    pub(super) fn grant(
        &mut self,
        request: &Checkout,
        one: Use,
        room: Room,
        product: &Product,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        let none = Slots::default();
        let assignment = match room {
            Some(assignment) => assignment,
            None => self.judge(&request.requester(), request.seats, &none, product, terms)?,
        };
        let slots = if terms.is_escrow() {
            self.covered(&product.name, none, request.seats, terms)?
        } else {
            none
        };
        let granted = self.next_position();
        let lease = Lease {
            id: request.fresh.clone(),
            product: product.name.clone(),
            user: request.user.clone(),
            host: request.host.clone(),
            address: request.address,
            uses: BTreeMap::from([(request.use_id.clone(), one)]),
            assignment,
            server: terms.me.clone(),
            granted_at: terms.now.wall,
            granted,
            heard: self.position.epoch,
            ttl: product.ttl,
            forced: None,
            slots,
            parked: false,
        };
        let record = self.emit_lease(lease, None, terms);
        Ok(Granted { lease: request.fresh.clone(), is_new: true, record: Some(record) })
    }

    /// The assignment that is charged for seats, by the rules of product.md, "Seats".
    fn judge(
        &self,
        who: &Requester<'_>,
        seats: Seats,
        slots: &Slots,
        product: &Product,
        terms: &Terms<'_>,
    ) -> Result<u32, No> {
        self.judge_among(who, seats, slots, product, terms, |_| true)
    }

    /// The same, where only some assignments come into question.
    pub(super) fn judge_among(
        &self,
        who: &Requester<'_>,
        seats: Seats,
        slots: &Slots,
        product: &Product,
        terms: &Terms<'_>,
        may: impl Fn(usize) -> bool,
    ) -> Result<u32, No> {
        let nothing = entitlement::Use::default();
        let used = self.usage.get(&product.name).unwrap_or(&nothing);
        let capacity = self.chargeable(&product.name, used, slots, terms);
        match entitlement::judge_among(&product.policy, used, who, seats, capacity, may) {
            Verdict::Charge(index) => Ok(u32::try_from(index).unwrap_or(u32::MAX)),
            Verdict::NotEntitled => Err(No::NotEntitled),
            Verdict::Denied => Err(No::Denied),
            Verdict::NoRoom(obstacles) => {
                let why = entitlement::describe_obstacles(&product.policy, seats, &obstacles);
                Err(No::NoRoom { why })
            }
        }
    }

    /// A newcomer passes no waiter that could be served. One who holds the seat already takes nobody's.
    pub(super) fn refuse_passing(
        &mut self,
        request: &Checkout,
        product: &Product,
        terms: &Terms<'_>,
    ) -> Result<Room, No> {
        let waiting = self.waiting(&request.product);
        let who = request.requester();
        if waiting == 0 || product.policy.priority(&who).is_none() {
            return Ok(None);
        }
        let joins = |entry: &Entry| entry.lease.seats() >= request.seats;
        if self.held_seat(product, &who).is_some_and(joins) {
            return Ok(None);
        }
        match self.next_in_line(&request.product, &|_| false, Some(request), terms) {
            Line::Newcomer(room) => Ok(room),
            _ => {
                // Where no seat is free that says more than who else wants one.
                self.judge(&who, request.seats, &Slots::default(), product, terms)?;
                let who = if waiting == 1 { "one waits" } else { "others wait" };
                Err(No::NoRoom { why: format!("{who} for the seats that are free") })
            }
        }
    }

    /// What the assignments of a product share: every seat but those of revoked leases. Escrow: what is charged, and what
    /// this server's quota has room for, for a holder who has these slots already.
    pub(super) fn chargeable(
        &self,
        product: &ProductName,
        used: &entitlement::Use,
        slots: &Slots,
        terms: &Terms<'_>,
    ) -> Seats {
        if terms.is_escrow() {
            return used.live() + self.room(product, slots, terms);
        }
        let revoked = self.revoked.get(product).copied().unwrap_or_default();
        terms.capacity(product).less(revoked)
    }

    pub(super) fn refuse_over_grant(
        &self,
        request: &Checkout,
        slots: &Slots,
        terms: &Terms<'_>,
    ) -> Result<(), No> {
        if terms.is_escrow() {
            if self.is_overdrawn(&request.product, slots, terms) {
                let why = "more seats are held than there are slots for: none is given until the \
                           surplus has drained";
                return Err(No::NoRoom { why: why.to_owned() });
            }
            return Ok(());
        }
        let (live, capacity) = (self.live(&request.product), terms.capacity(&request.product));
        if live > capacity {
            let why = format!(
                "{live} seats are held where this server's licenses offer {capacity}: none is given \
                 until the surplus has drained"
            );
            return Err(No::NoRoom { why });
        }
        Ok(())
    }

    fn refuse_revoked(&self, id: &LeaseId, use_id: &UseId) -> Result<(), No> {
        let Some(entry) = self.leases.get(id) else { return Ok(()) };
        match &entry.charge {
            Charge::Revoked(_) if mutant!(RenewsUnentitled) => Ok(()),
            Charge::Revoked(reason) => Err(No::Revoked { reason: reason.clone() }),
            // What is borrowed stays; a window that is not goes.
            Charge::Kept if !entry.ends.contains_key(use_id) => {
                let reason = "no assignment matches its holder any more".to_owned();
                Err(No::Revoked { reason })
            }
            Charge::Kept | Charge::Assignment(_) => Ok(()),
        }
    }

    /// Keeps a lease for one more ttl. Nothing durable changes, but where it was parked: then there is a record.
    ///
    /// # Errors
    /// Why not; `None` where the lease, or this use of it, is not known and has not ended: it may be adopted.
    pub fn renew(&mut self, token: &Token, terms: &Terms<'_>) -> Result<Renewed, Option<No>> {
        if !self.is_live(&token.lease, &token.use_id) {
            return Err(self.has_ended(token).then_some(No::UnknownLease));
        }
        let id = token.lease.clone();
        self.refuse_revoked(&id, &token.use_id).map_err(Some)?;
        if self.is_over(&id, &token.use_id, terms.now.moment) {
            return Err(Some(No::UnknownLease));
        }
        if self.is_parked(&id) {
            return self.revive(&id, terms).map(|record| (id, Some(record))).ok_or(None);
        }
        self.renew_now(&id, terms);
        Ok((id, None))
    }

    /// Whether a lease has this use now. One use can stand in two leases: it was granted here and never answered, and
    /// asked for again at the other server; the holder has the lease that its token names.
    fn is_live(&self, lease: &LeaseId, use_id: &UseId) -> bool {
        self.leases.get(lease).is_some_and(|entry| entry.lease.uses.contains_key(use_id))
    }

    fn has_ended(&self, token: &Token) -> bool {
        self.ends.get(&token.use_id).is_some_and(|(end, _)| end.lease == token.lease)
    }

    fn renew_now(&mut self, id: &LeaseId, terms: &Terms<'_>) {
        let product =
            self.leases.get(id).and_then(|entry| terms.config.products.get(&entry.lease.product));
        let ttl = product.map(|product| product.ttl);
        self.give_time(id, terms.now.moment, self.position.epoch, ttl);
    }

    /// Takes over a lease that this server did not know: its holder has shown a token that a server of the pair
    /// signed less than a ttl ago, and nothing tells that it has ended (pair.md, rule 3).
    ///
    /// Where the use stands in another lease, which it was granted and never told, it moves: it is one seat all the time.
    ///
    /// # Errors
    /// The lease is unknown by now, nothing matches it any more, or there is no room for it.
    pub fn adopt(&mut self, token: &Token, terms: &Terms<'_>) -> Result<Adopted, No> {
        let product = terms.config.products.get(&token.product).ok_or(No::UnknownLease)?;
        if terms.now.wall.since(token.issued) >= product.ttl || self.has_ended(token) {
            return Err(No::UnknownLease);
        }
        let this = Use {
            seats: token.seats,
            user: token.user.clone(),
            host: token.host.clone(),
            borrowed: None,
        };
        let known = self.leases.get(&token.lease).cloned();
        if known.is_some() {
            self.refuse_revoked(&token.lease, &token.use_id)?;
        }
        let before = known.as_ref().map(|entry| entry.lease.seats()).unwrap_or_default();
        let moves = self.untold(token, terms).cloned();
        let moved = moves.as_ref().map(Lease::seats).unwrap_or_default();
        let live = self.live(&token.product).less(before).less(moved);
        let (seats, capacity) = (before.max(token.seats), terms.capacity(&token.product));
        // Escrow: the lease takes slots of the other server, which knows it; this one only renews it.
        if !terms.is_escrow() && live + seats > capacity {
            let why = format!("{live} of {capacity} seats are held by others");
            return Err(No::NoRoom { why });
        }
        let granted = self.next_position();
        let mut lease = known.map_or_else(
            || Lease {
                id: token.lease.clone(),
                product: token.product.clone(),
                user: token.user.clone(),
                host: token.host.clone(),
                address: token.address,
                uses: BTreeMap::new(),
                assignment: 0,
                server: terms.me.clone(),
                granted_at: terms.now.wall,
                granted,
                heard: self.position.epoch,
                ttl: product.ttl,
                forced: None,
                slots: Slots::default(),
                parked: false,
            },
            |entry| entry.lease,
        );
        if terms.is_escrow()
            && lease.slots.is_empty()
            && let Some(peer) = terms.config.peer_of(terms.me)
        {
            lease.slots = Slots::default().with(&peer.name, seats);
        }
        lease.parked = false;
        lease.uses.insert(token.use_id.clone(), this);
        lease.heard = self.position.epoch;
        // A seat that is held is not taken back for want of room in its assignment: it drains.
        let room = self.judge(&lease.requester(), seats, &lease.slots, product, terms);
        lease.assignment = match room {
            Ok(assignment) => assignment,
            Err(No::NoRoom { .. }) => {
                let first = product.policy.matching(&lease.requester()).next();
                u32::try_from(first.ok_or(No::NotEntitled)?).unwrap_or(u32::MAX)
            }
            Err(no) => return Err(no),
        };
        let id = lease.id.clone();
        // First the lease that is held: of the two records the first may survive alone.
        let mut records = vec![self.emit_lease(lease, None, terms)];
        let is_known = moves.is_some();
        if let Some(untold) = moves {
            let record = Record::Ended { lease: untold.id, ended: Vec::new() };
            records.push(self.emit(record, None, terms));
        }
        Ok(Adopted { lease: id, is_known, records })
    }

    /// The lease of the token's use alone under another name: granted, and never told. Escrow counts both until one runs
    /// out, since their slots may be different ones.
    fn untold(&self, token: &Token, terms: &Terms<'_>) -> Option<&Lease> {
        let id = self.by_use.get(&token.use_id).filter(|id| **id != token.lease)?;
        let lease = &self.leases.get(id)?.lease;
        let same = lease.product == token.product && lease.user == token.user;
        let alone = lease.uses.len() == 1 && lease.host == token.host && lease.forced.is_none();
        (same && alone && !terms.is_escrow()).then_some(lease)
    }

    /// Ends a use of a lease, and the lease with its last use. Nothing where it has ended before.
    pub fn release(&mut self, token: &Token, terms: &Terms<'_>) -> Option<Record> {
        if !self.is_live(&token.lease, &token.use_id) && self.has_ended(token) {
            return None;
        }
        let end = self.end(&token.lease, &token.use_id, EndReason::Released, terms);
        let ended = vec![end];
        let Some(entry) = self.leases.get(&token.lease) else {
            // One that is not known: its end is remembered, so that nobody adopts it later.
            let record = Record::Ended { lease: token.lease.clone(), ended };
            return Some(self.emit(record, None, terms));
        };
        // The lease goes on for its other uses, with the time that it has.
        let (until, mut lease) = (entry.renewed, entry.lease.clone());
        lease.uses.remove(&token.use_id);
        if terms.is_escrow() {
            lease.slots = self.lessened(lease.slots.clone(), lease.seats(), terms);
        }
        Some(self.emit_rest(lease, ended, until, terms))
    }

    /// Ends a lease by an operator's word: it counts until its time has run out or its holder releases it.
    ///
    /// # Errors
    /// The lease is not known.
    pub fn force(&mut self, id: &LeaseId, reason: &str, terms: &Terms<'_>) -> Result<Record, No> {
        let entry = self.leases.get(id).ok_or(No::UnknownLease)?;
        let (mut lease, until) = (entry.lease.clone(), entry.renewed);
        lease.forced = Some(reason.to_owned());
        Ok(self.emit_lease(lease, Some(until), terms))
    }

    /// Ends the leases whose time has run out; escrow: parks them.
    pub fn expire(&mut self, terms: &Terms<'_>) -> Vec<Record> {
        let ends = self.ends_by_time(terms);
        let mut records = Vec::new();
        while let Some((moment, id)) = self.running_out.first().cloned() {
            if moment > terms.now.moment {
                break;
            }
            if !ends && self.park(&id, &mut records, terms) {
                continue;
            }
            if let Some(record) = self.end_some(&id, terms) {
                records.push(record);
                continue;
            }
            let revoked =
                self.leases.get(&id).is_some_and(|e| matches!(e.charge, Charge::Revoked(_)));
            let reason = if revoked { EndReason::Revoked } else { EndReason::Expired };
            match self.end_lease(&id, reason, terms) {
                Some(record) => records.push(record),
                None => {
                    self.running_out.remove(&(moment, id));
                }
            }
        }
        records
    }

    /// Ends a lease that was never acknowledged.
    pub fn cancel(&mut self, id: &LeaseId, terms: &Terms<'_>) -> Option<Record> {
        self.end_lease(id, EndReason::Cancelled, terms)
    }

    pub(super) fn end_lease(
        &mut self,
        id: &LeaseId,
        reason: EndReason,
        terms: &Terms<'_>,
    ) -> Option<Record> {
        let lease = &self.leases.get(id)?.lease;
        let ended = lease.uses.keys().map(|use_id| self.end(id, use_id, reason, terms)).collect();
        Some(self.emit(Record::Ended { lease: id.clone(), ended }, None, terms))
    }

    pub(super) fn end(
        &self,
        lease: &LeaseId,
        use_id: &UseId,
        reason: EndReason,
        terms: &Terms<'_>,
    ) -> End {
        let (epoch, knew): (Epoch, Epoch) = (self.position.epoch, self.knew);
        End {
            lease: lease.clone(),
            use_id: use_id.clone(),
            reason,
            epoch,
            knew,
            at: terms.now.wall,
            borrowed: self
                .leases
                .get(lease)
                .and_then(|entry| entry.lease.uses.get(use_id)?.borrowed)
                .map(|borrowed| borrowed.until),
        }
    }
}

impl Checkout {
    pub(super) fn requester(&self) -> Requester<'_> {
        Requester { user: &self.user, host: &self.host, address: self.address }
    }

    pub(super) fn as_use(&self) -> Use {
        Use { seats: self.seats, user: self.user.clone(), host: self.host.clone(), borrowed: None }
    }
}
