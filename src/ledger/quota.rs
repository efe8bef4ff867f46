//! Escrow: how the slots of a product are shared out between the two servers, and which slots a lease takes.
//!
//! A *slot* is one seat of one server's quota. A server gives out seats only where its own free slots cover them; while
//! paired, the active server uses the slots of both, since each grant is on both disks. Nothing here knows frames or
//! timers: the pair says how far both disks are ([`Ledger::settle`]) and whether the other server counts ([`Reach`]).
//! Why this never gives one seat too many: docs/concepts/pair.md, "Escrow".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, EndReason, Entry, Lease, Ledger, Position, Record, Terms};
use crate::manifest::types::{Mode, Role};
use crate::measure::{Epoch, Moment, Seats, Share};
use crate::mutant;
use crate::name::{LeaseId, ProductName, ServerName};
use crate::seen;

/// Slots, by the server whose quota they are part of. A server with none has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slots(BTreeMap<ServerName, Seats>);

impl Slots {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slots of one server.
    #[must_use]
    pub fn of(&self, server: &ServerName) -> Seats {
        self.0.get(server).copied().unwrap_or_default()
    }

    /// The same with so many of one server.
    #[must_use]
    pub fn with(mut self, server: &ServerName, seats: Seats) -> Self {
        if seats.0 == 0 {
            self.0.remove(server);
        } else {
            self.0.insert(server.clone(), seats);
        }
        self
    }

    /// The slots of every server, together.
    #[must_use]
    pub fn total(&self) -> Seats {
        self.0.values().copied().sum()
    }

    /// Of each server the greater of the two numbers: who counts on more never gives too much.
    #[must_use]
    pub fn greater(mut self, other: &Self) -> Self {
        for (server, seats) in &other.0 {
            let seats = self.of(server).max(*seats);
            self = self.with(server, seats);
        }
        self
    }

    /// What matters of them (see `digest.rs`).
    pub(super) fn digest(&self, digest: &mut dyn Digest) {
        let Self(slots) = self;
        digest.word(slots.len() as u64);
        for (server, seats) in slots {
            digest.text(server.as_str());
            digest.word(u64::from(seats.0));
        }
    }

    /// Of each server at most so many.
    #[must_use]
    fn at_most(mut self, seats: Seats) -> Self {
        for slots in self.0.values_mut() {
            *slots = (*slots).min(seats);
        }
        self
    }
}

/// Why the slots of a server cannot be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Void {
    /// Its disk was lost: what it granted is unknown until one ttl has passed.
    Lost,
    /// An operator said that it is dead: one ttl later its slots are the other's.
    Fenced,
    /// It was fenced and that ttl has passed: the other server has all the slots until the two are paired again.
    Replaced,
}

/// How the slots of every product are shared out. Replaced as a whole, by a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// The position of the record that says so. Of two, the later one holds.
    at: Position,
    /// The quotas of each product.
    products: BTreeMap<ProductName, Slots>,
    /// The servers whose slots cannot be counted on, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    void: BTreeMap<ServerName, Void>,
}

impl Quotas {
    /// Whether nothing was ever shared out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a server's slots cannot be counted on; `None` where they can.
    #[must_use]
    pub fn void(&self, server: &ServerName) -> Option<Void> {
        self.void.get(server).copied()
    }

    /// Whether there are servers whose slots wait for a ttl to pass.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.void.values().any(|void| *void != Void::Replaced)
    }

    /// How a product's slots are shared out.
    #[must_use]
    pub fn slots(&self, product: &ProductName) -> Slots {
        self.products.get(product).cloned().unwrap_or_default()
    }

    /// The position of the record that says so.
    pub(super) const fn at(&self) -> Position {
        self.at
    }

    /// Whether both disks have that record, in an epoch of which they have everything up to `settled`.
    pub(super) fn are_settled(&self, epoch: Epoch, settled: u64) -> bool {
        self.at.epoch != epoch || self.at.seq <= settled
    }

    /// What matters of them (see `digest.rs`).
    pub(super) fn digest(&self, digest: &mut dyn Digest) {
        let Self { at, products, void } = self;
        digest.epoch(at.epoch);
        digest.step(at.epoch, at.seq);
        digest.word(products.len() as u64);
        for slots in products.values() {
            slots.digest(digest);
        }
        digest.word(void.len() as u64);
        for (server, void) in void {
            digest.text(server.as_str());
            digest.word(*void as u64);
        }
    }

    /// The later of the two.
    pub(super) fn later(self, other: Self) -> Self {
        if other.at > self.at { other } else { self }
    }

    /// Without the slots of a server that cannot be counted on. What the capacity was lowered by and nobody gave up yet
    /// is taken from the other one: the lost ones may all be held.
    fn voided(mut self, server: &ServerName, void: Void, terms: &Terms<'_>) -> Self {
        for (product, slots) in &mut self.products {
            let lowered = slots.total().less(terms.capacity(product));
            for own in slots.0.values_mut() {
                *own = own.less(lowered);
            }
            slots.0.retain(|_, own| own.0 > 0);
        }
        self = self.without(server);
        self.void.insert(server.clone(), void);
        self
    }

    /// Without the slots of a server.
    fn without(mut self, server: &ServerName) -> Self {
        for slots in self.products.values_mut() {
            *slots = std::mem::take(slots).with(server, Seats(0));
        }
        self
    }
}

/// Whose slots this server may use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Its own: the other server may be using the rest.
    #[default]
    Own,
    /// Those of both: whatever it does is on both disks before anybody hears of it.
    Both,
}

/// A lease as it is moved: its slots of either server, the seats that it needs, and the last record about it.
struct Row {
    id: LeaseId,
    p: Seats,
    s: Seats,
    seats: Seats,
    changed: u64,
}

impl Row {
    fn of(entry: &Entry, primary: &ServerName, secondary: &ServerName) -> Self {
        let lease = &entry.lease;
        Self {
            id: lease.id.clone(),
            p: lease.slots.of(primary),
            s: lease.slots.of(secondary),
            seats: lease.seats(),
            changed: entry.changed,
        }
    }
}

/// What is free of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Free {
    primary: Seats,
    secondary: Seats,
    total: Seats,
}

impl Terms<'_> {
    /// Whether seats are given by quota.
    #[must_use]
    pub fn is_escrow(&self) -> bool {
        self.config.redundancy.mode == Mode::Escrow
    }

    fn names(&self) -> [&ServerName; 2] {
        [Role::Primary, Role::Secondary].map(|role| &self.config.server_of(role).name)
    }

    /// How many slots each server should have: the secondary its share, rounded up, the primary the rest.
    fn targets(&self, product: &ProductName) -> [Seats; 2] {
        let capacity = self.capacity(product);
        let secondary = part(capacity, self.config.redundancy.escrow.secondary_share);
        [capacity.less(secondary), secondary]
    }
}

/// A share of seats, rounded up.
fn part(seats: Seats, share: Share) -> Seats {
    let part = (u64::from(seats.0) * u64::from(share.percent())).div_ceil(100);
    Seats(u32::try_from(part).unwrap_or(u32::MAX))
}

impl Ledger {
    /// How the slots are shared out, as far as this server knows.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Says whose slots may be used from now on.
    pub fn set_reach(&mut self, reach: Reach) {
        if self.reach != reach {
            self.reach = reach;
            self.stir_queue();
        }
    }

    /// The slots of a server's quota that leases take, parked ones included.
    #[must_use]
    pub fn taken(&self, product: &ProductName, server: &ServerName) -> Seats {
        self.taken.get(product).map(|taken| taken.of(server)).unwrap_or_default()
    }

    /// The seats of leases that ran out and keep their slots.
    #[must_use]
    pub fn parked(&self, product: &ProductName) -> Seats {
        self.parked.get(product).copied().unwrap_or_default()
    }

    /// Whether a lease ran out and keeps its slots.
    #[must_use]
    pub fn is_parked(&self, id: &LeaseId) -> bool {
        self.leases.get(id).is_some_and(|entry| entry.lease.parked)
    }

    /// Whether the two servers ever shared out the slots of a product.
    #[must_use]
    pub fn is_shared_out(&self, product: &ProductName) -> bool {
        self.quotas.products.contains_key(product)
    }

    /// The slots of a product that this server may use while it cannot count on the other. A lowered capacity takes
    /// the whole difference from each quota alone: the other may have heard of it or not.
    #[must_use]
    pub fn quota(&self, product: &ProductName, terms: &Terms<'_>) -> Seats {
        if mutant!(EscrowGrantsWhole) {
            return terms.capacity(product);
        }
        if self.has_replaced_peer(terms) {
            return terms.capacity(product);
        }
        let slots = self.quotas.slots(product);
        slots.of(terms.me).less(slots.total().less(terms.capacity(product)))
    }

    /// How many of its slots this server may have taken while it is alone. After the capacity was lowered below what was
    /// held, leases take more slots of the other server than its quota: what is given back here is not free before
    /// those have gone.
    fn allowance(&self, product: &ProductName, terms: &Terms<'_>) -> Seats {
        let taken = self.taken.get(product);
        let others = taken.map(|taken| taken.total().less(taken.of(terms.me))).unwrap_or_default();
        self.quota(product, terms).min(terms.capacity(product).less(others))
    }

    fn free(&self, product: &ProductName, terms: &Terms<'_>) -> Free {
        let names = terms.names();
        if self.reach == Reach::Own {
            let own = self.allowance(product, terms).less(self.taken(product, terms.me));
            let of = |name: &ServerName| if name == terms.me { own } else { Seats(0) };
            return Free { primary: of(names[0]), secondary: of(names[1]), total: own };
        }
        let slots = self.quotas.slots(product);
        let of = |name: &ServerName| slots.of(name).less(self.taken(product, name));
        let (primary, secondary) = (of(names[0]), of(names[1]));
        let held = self.live(product) + self.parked(product);
        let total = (primary + secondary).min(terms.capacity(product).less(held));
        Free { primary, secondary, total }
    }

    /// How many seats of a product a holder could have who has these slots already.
    pub(super) fn room(&self, product: &ProductName, slots: &Slots, terms: &Terms<'_>) -> Seats {
        self.free(product, terms).total + self.usable(slots, terms)
    }

    /// The part of the slots that may be counted on now.
    fn usable(&self, slots: &Slots, terms: &Terms<'_>) -> Seats {
        match self.reach {
            Reach::Own => slots.of(terms.me),
            Reach::Both => self.counted_on(terms).map(|name| slots.of(name)).sum(),
        }
    }

    /// The servers whose slots can be counted on, where those of both may be used.
    fn counted_on<'a>(&self, terms: &'a Terms<'_>) -> impl Iterator<Item = &'a ServerName> {
        terms.names().into_iter().filter(|name| self.quotas.void(name).is_none())
    }

    /// The slots with which this server covers so many seats of a lease that has some already; the primary's first, so
    /// that the secondary keeps its share free. `None` where too few are free.
    pub(super) fn cover(
        &self,
        product: &ProductName,
        slots: Slots,
        seats: Seats,
        terms: &Terms<'_>,
    ) -> Option<Slots> {
        let missing = seats.less(self.usable(&slots, terms));
        let free = self.free(product, terms);
        if missing > free.total {
            return None;
        }
        let [primary, secondary] = terms.names();
        let first = missing.min(free.primary);
        let second = missing.less(first);
        let (p, s) = (slots.of(primary) + first, slots.of(secondary) + second);
        Some(slots.with(primary, p).with(secondary, s))
    }

    /// Whether more is held than there are slots for, where a lease with these slots is concerned.
    pub(super) fn is_overdrawn(
        &self,
        product: &ProductName,
        slots: &Slots,
        terms: &Terms<'_>,
    ) -> bool {
        if self.reach == Reach::Own {
            return self.taken(product, terms.me) > self.allowance(product, terms);
        }
        let quotas = self.quotas.slots(product);
        let over =
            |name: &ServerName| slots.of(name).0 > 0 && self.taken(product, name) > quotas.of(name);
        self.counted_on(terms).any(over)
            || self.live(product) + self.parked(product) > terms.capacity(product)
    }

    /// The slots that a lease keeps when it needs only so many seats. Of the other server's, nothing is known while it
    /// does not count.
    pub(super) fn lessened(&self, slots: Slots, seats: Seats, terms: &Terms<'_>) -> Slots {
        match self.reach {
            Reach::Own => {
                let own = slots.of(terms.me).min(seats);
                slots.with(terms.me, own)
            }
            Reach::Both => slots.at_most(seats),
        }
    }

    /// Whether this server alone answers for every seat of the lease: then it may tell its holder so while it does not
    /// know what the other server has on its disk.
    #[must_use]
    pub fn covers(&self, id: &LeaseId, me: &ServerName) -> bool {
        let covered = |lease: &Lease| lease.slots.of(me) >= lease.seats();
        self.leases.get(id).is_some_and(|entry| covered(&entry.lease))
    }

    /// Whether a lease that runs out here has ended: not where its holder may have renewed it at the other server.
    pub(super) fn ends_by_time(&self, terms: &Terms<'_>) -> bool {
        if !terms.is_escrow() || mutant!(EscrowReusesExpired) {
            return true;
        }
        self.has_replaced_peer(terms)
    }

    /// Whether this server has all the slots: the other one was fenced, and its ttl has passed.
    fn has_replaced_peer(&self, terms: &Terms<'_>) -> bool {
        let peer = terms.config.peer_of(terms.me);
        peer.is_some_and(|peer| self.quotas.void(&peer.name) == Some(Void::Replaced))
    }

    /// The record by which a parked lease lives again: its holder came, and may have been at the other server.
    pub(super) fn revive(&mut self, id: &LeaseId, terms: &Terms<'_>) -> Option<Record> {
        let mut lease = self.leases.get(id)?.lease.clone();
        lease.parked = false;
        lease.heard = self.position.epoch;
        seen!(Revived);
        Some(self.emit_lease(lease, None, terms))
    }

    /// Takes away the slots of a server that cannot be counted on.
    pub fn make_void(&mut self, server: &ServerName, void: Void, terms: &Terms<'_>) -> Record {
        let quotas = self.quotas.clone().voided(server, void, terms);
        self.emit_quotas(quotas, terms)
    }

    /// One ttl has passed for those whose disks were lost: what they granted has run out or is known.
    pub fn count_on_all(&mut self, terms: &Terms<'_>) -> Record {
        let mut quotas = self.quotas.clone();
        quotas.void.clear();
        self.emit_quotas(quotas, terms)
    }

    /// One ttl has passed for a fenced server: every slot is this server's, and what had run out here has ended.
    pub fn replace(&mut self, fenced: &ServerName, terms: &Terms<'_>) -> Vec<Record> {
        seen!(Replaced);
        let mut records = Vec::new();
        let ids: Vec<LeaseId> = self.leases.keys().cloned().collect();
        for id in ids {
            let Some(entry) = self.leases.get(&id) else { continue };
            let (lease, until) = (&entry.lease, entry.renewed);
            if lease.parked {
                records.extend(self.end_parked(&id, terms));
                continue;
            }
            let slots = Slots::default().with(terms.me, lease.seats());
            if lease.slots != slots {
                let lease = Lease { slots, ..lease.clone() };
                records.push(self.emit_lease(lease, Some(until), terms));
            }
        }
        let mut quotas = Quotas::default();
        for product in terms.config.products.keys() {
            let slots = Slots::default().with(terms.me, terms.capacity(product));
            quotas.products.insert(product.clone(), slots);
        }
        quotas.void.insert(fenced.clone(), Void::Replaced);
        records.push(self.emit_quotas(quotas, terms));
        records
    }

    /// The quotas of a merged ledger whose own disk was lost: nothing is known of this server's own slots.
    pub fn lose_own_slots(&mut self, terms: &Terms<'_>) {
        self.quotas = std::mem::take(&mut self.quotas).voided(terms.me, Void::Lost, terms);
        self.quotas.at = self.position;
    }

    /// Another mode runs: quotas of this one mean nothing later.
    pub fn drop_quotas(&mut self, terms: &Terms<'_>) -> Option<Record> {
        (!self.quotas.products.is_empty()).then(|| self.emit_quotas(Quotas::default(), terms))
    }

    fn emit_quotas(&mut self, mut quotas: Quotas, terms: &Terms<'_>) -> Record {
        quotas.at = self.next_position();
        self.emit(Record::Quotas(quotas), None, terms)
    }

    /// The next records on the way to where the slots should be, while the two are paired. What both disks have up to
    /// record `settled` is what the next step may build on: each step alone is safe whichever part of it survives where.
    pub fn settle(&mut self, settled: u64, terms: &Terms<'_>) -> Vec<Record> {
        // First down to the targets, and both disks have it: what leases give up on one side is then not given twice.
        if let Some(lowered) = self.lower_quotas(terms) {
            return vec![lowered];
        }
        let is_void = !self.quotas.void.is_empty();
        if !self.quotas.are_settled(self.position.epoch, settled)
            || (is_void && !mutant!(CreditedAgainAfterFence))
        {
            return Vec::new();
        }
        let mut records = Vec::new();
        let parked: Vec<LeaseId> = self
            .leases
            .values()
            .filter(|entry| entry.lease.parked && entry.changed <= settled)
            .map(|entry| entry.lease.id.clone())
            .collect();
        for id in parked {
            seen!(FreedParked);
            records.extend(self.end_parked(&id, terms));
        }
        for product in terms.config.products.keys() {
            self.settle_leases(product, settled, terms, &mut records);
        }
        records.extend(self.raise_quotas(terms));
        records
    }

    fn end_parked(&mut self, id: &LeaseId, terms: &Terms<'_>) -> Option<Record> {
        let forced = self.leases.get(id).is_some_and(|entry| entry.lease.forced.is_some());
        let reason = if forced { EndReason::Revoked } else { EndReason::Expired };
        self.end_lease(id, reason, terms)
    }

    /// Moves leases of one product between the slots of the two servers, by way of taking slots of both.
    fn settle_leases(
        &mut self,
        product: &ProductName,
        settled: u64,
        terms: &Terms<'_>,
        records: &mut Vec<Record>,
    ) {
        let [primary, secondary] = terms.names();
        let [target_p, target_s] = terms.targets(product);
        let taken =
            |ledger: &Self| (ledger.taken(product, primary), ledger.taken(product, secondary));
        let of_product = self.leases.values().filter(|entry| entry.lease.product == *product);
        let rows: Vec<Row> = of_product.map(|entry| Row::of(entry, primary, secondary)).collect();
        let moving = rows.iter().any(|row| row.p + row.s > row.seats);
        for Row { id, p, s, seats, changed } in rows {
            let (taken_p, taken_s) = taken(self);
            let slots = if p + s > seats {
                // It gives up the slots of one side, where the other has room, once both disks know that it has both.
                let (at_p, at_s) = (p.min(seats), s.min(seats));
                if changed > settled {
                    continue;
                } else if taken_p.less(p) + at_p <= target_p {
                    (at_p, seats.less(at_p))
                } else if taken_s.less(s) + at_s <= target_s {
                    (seats.less(at_s), at_s)
                } else {
                    continue;
                }
            } else if p + s < seats {
                // One that has none, from another mode: it takes the primary's, whether they are there or not.
                (seats.less(s), s)
            } else if !moving && s.0 > 0 && taken_p + s <= target_p {
                seen!(Shifted);
                (seats, if mutant!(EscrowShiftsAtOnce) { Seats(0) } else { s })
            } else if !moving && p.0 > 0 && taken_p > target_p && taken_s + p <= target_s {
                seen!(Shifted);
                (p, seats)
            } else {
                continue;
            };
            records.extend(self.set_slots(&id, slots, terms));
        }
    }

    fn set_slots(
        &mut self,
        id: &LeaseId,
        (p, s): (Seats, Seats),
        terms: &Terms<'_>,
    ) -> Option<Record> {
        let [primary, secondary] = terms.names();
        let entry = self.leases.get(id)?;
        let slots = Slots::default().with(primary, p).with(secondary, s);
        if entry.lease.slots == slots {
            return None;
        }
        let until = entry.renewed;
        let lease = Lease { slots, ..entry.lease.clone() };
        Some(self.emit_lease(lease, Some(until), terms))
    }

    /// Lowers what is above its target; forgets products and servers that are gone.
    fn lower_quotas(&mut self, terms: &Terms<'_>) -> Option<Record> {
        let [primary, secondary] = terms.names();
        let mut next = self.quotas.clone();
        // A server of an earlier bundle: what it granted is not known.
        let servers = self.quotas.products.values().flat_map(|slots| slots.0.keys());
        for name in servers.filter(|name| *name != primary && *name != secondary) {
            next = next.without(name);
            next.void.insert(name.clone(), Void::Lost);
        }
        // Replaced is over once the two are paired again: everything that the other has is known.
        next.void.retain(|_, void| *void != Void::Replaced);
        // A fenced server that is there is not dead: the word holds no longer, whatever becomes of the two before a ttl
        // has passed. What it granted before is unknown until then.
        for void in next.void.values_mut().filter(|void| **void == Void::Fenced) {
            seen!(FenceLifted);
            *void = Void::Lost;
        }
        next.products.retain(|product, _| terms.config.products.contains_key(product));
        for (product, slots) in &mut next.products {
            let [mut p, mut s] = terms.targets(product);
            if slots.total().0 == 0 || !mutant!(CreditedBeforeDebitDurable) {
                (p, s) = (p.min(slots.of(primary)), s.min(slots.of(secondary)));
            }
            *slots = Slots::default().with(primary, p).with(secondary, s);
        }
        (next != self.quotas).then(|| self.emit_quotas(next, terms))
    }

    /// Raises what is below its target, as far as the other server's quota and its leases leave room.
    fn raise_quotas(&mut self, terms: &Terms<'_>) -> Option<Record> {
        let [primary, secondary] = terms.names();
        let mut next = self.quotas.clone();
        for product in terms.config.products.keys() {
            let [target_p, target_s] = terms.targets(product);
            let capacity = terms.capacity(product);
            let now = next.slots(product);
            let (p, s) = (now.of(primary), now.of(secondary));
            let (taken_p, taken_s) = (self.taken(product, primary), self.taken(product, secondary));
            let p = target_p.min(capacity.less(s.max(taken_s))).max(p);
            let s = target_s.min(capacity.less(p.max(taken_p))).max(s);
            let slots = Slots::default().with(primary, p).with(secondary, s);
            next.products.insert(product.clone(), slots);
        }
        if next == self.quotas {
            return None;
        }
        seen!(QuotasMoved);
        Some(self.emit_quotas(next, terms))
    }

    /// When a lease that begins to count again is over; parked ones have no end.
    pub(super) fn set_ending(&mut self, id: &LeaseId, until: Moment, parked: bool) {
        if parked {
            self.running_out.remove(&(until, id.clone()));
        } else {
            self.running_out.insert((until, id.clone()));
        }
    }

    /// Counts a lease's slots, and its seats where it is parked.
    pub(super) fn take_slots(&mut self, lease: &Lease) {
        if !lease.slots.is_empty() {
            let taken = self.taken.entry(lease.product.clone()).or_default();
            for (server, seats) in &lease.slots.0 {
                let seats = taken.of(server) + *seats;
                *taken = std::mem::take(taken).with(server, seats);
            }
        }
        if lease.parked {
            let parked = self.parked.entry(lease.product.clone()).or_default();
            *parked = *parked + lease.seats();
        }
    }

    /// Counts them no longer.
    pub(super) fn give_slots(&mut self, lease: &Lease) {
        if let Some(taken) = self.taken.get_mut(&lease.product) {
            for (server, seats) in &lease.slots.0 {
                let seats = taken.of(server).less(*seats);
                *taken = std::mem::take(taken).with(server, seats);
            }
        }
        if lease.parked
            && let Some(parked) = self.parked.get_mut(&lease.product)
        {
            *parked = parked.less(lease.seats());
        }
    }
}
