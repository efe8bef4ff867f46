//! The ledger: who holds which seats, as a state machine. It knows leases, entitlements and time; of the pair it
//! knows only that records have a position.
//!
//! Every change is a [`Record`]: made here, applied here, and given out to be made durable and sent to the other
//! server, which applies the same. Times are this server's own: a lease read from a disk or taken from the other
//! server lives a full ttl from now, so that none ends before its holder stops believing in it.

mod borrow;
mod checkout;
mod digest;
mod drain;
mod lease;
mod merge;
mod queue;
mod quota;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use borrow::HeldUse;
pub use checkout::{Adopted, Granted};
pub use digest::{Digest, maybe};
pub use drain::Given;
pub use lease::{Borrowed, Contents, End, EndReason, Lease, Position, Record, Use, Waiter};
pub use queue::{Line, Room, WAITERS_MAX};
pub use quota::{Quotas, Reach, Slots, Void};
pub use request::{Checkout, No, Token};

use queue::Queue;

use crate::bundle::{Config, Product};
use crate::entitlement::{Requester, Use as Usage};
use crate::license::SharePart;
use crate::manifest::types::Role;
use crate::measure::{Epoch, Moment, Now, Seats, Span, Timestamp};
use crate::mutant;
use crate::name::{HostName, LeaseId, ProductName, ServerName, UseId, UserName};

/// Under what the ledger decides: the bundle that runs, who this server is, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The compiled bundle.
    pub config: &'a Config,
    /// This server's name.
    pub me: &'a ServerName,
    /// This server's role: only licenses encoded for it count.
    pub role: Role,
    /// How long this server, a secondary, has not heard its primary. Nothing for a primary.
    pub unheard: Span,
    /// The time.
    pub now: Now,
}

impl Terms<'_> {
    /// The seats of a product that this server's valid licenses offer now; escrow: the lesser of what the two servers'
    /// licenses offer, which their quotas share. None once a secondary has been without its primary for as long as their
    /// vendor allows: what is held then drains.
    #[must_use]
    pub fn capacity(&self, product: &ProductName) -> Seats {
        if self.standalone_left(product) == Some(Span::ZERO) {
            return Seats(0);
        }
        let own = self.config.capacity(product, self.role, self.now.wall);
        if self.is_escrow() {
            return own.min(self.config.capacity(product, self.role.other(), self.now.wall));
        }
        own
    }
}

/// Who holds which seats.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    position: Position,
    knew: Epoch,
    // In a box: maps move what they hold.
    leases: BTreeMap<LeaseId, Box<Entry>>,
    by_use: BTreeMap<UseId, LeaseId>,
    // More than one where a revoked one stands beside a newer, or two servers that were apart gave one each.
    by_seat: BTreeMap<SeatKey, BTreeSet<LeaseId>>,
    usage: BTreeMap<ProductName, Usage>,
    // Seats of leases that no assignment matches any more: they count until their time has run out.
    revoked: BTreeMap<ProductName, Seats>,
    running_out: BTreeSet<(Moment, LeaseId)>,
    ends: BTreeMap<UseId, (End, Moment)>,
    forgetting: BTreeSet<(Moment, UseId)>,
    nonces: BTreeMap<String, Timestamp>,
    queue: Queue,
    quotas: Quotas,
    reach: Reach,
    // Counted from the leases: the slots that they take, and the seats of those that ran out and keep theirs.
    taken: BTreeMap<ProductName, Slots>,
    parked: BTreeMap<ProductName, Seats>,
}

/// A live lease and what this server makes of it.
#[derive(Clone, Debug)]
struct Entry {
    lease: Lease,
    /// When its uses that are not borrowed run out, unless they are renewed.
    renewed: Moment,
    /// When its borrowed uses end here.
    ends: BTreeMap<UseId, Moment>,
    /// When the next of its uses ends.
    until: Moment,
    charge: Charge,
    /// The number of the last record about it in this epoch; 0 where it was known before.
    changed: u64,
    /// What makes it one seat with another checkout, by the bundle that it was last charged by.
    seat: Option<SeatKey>,
}

/// What a lease is charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Charge {
    /// The assignment at this place in `assign`.
    Assignment(usize),
    /// None any more, and why: the lease may not be renewed.
    Revoked(String),
    /// None any more, but it is borrowed: it stays until its own end.
    Kept,
}

/// What makes two checkouts one seat: the parts that the license's `share` names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SeatKey {
    product: ProductName,
    user: Option<UserName>,
    host: Option<HostName>,
    address: Option<IpAddr>,
}

/// A live lease as the pair shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView<'a> {
    /// The lease.
    pub lease: &'a Lease,
    /// How long it still lives here without renewal.
    pub remaining: Span,
    /// Why it will not be renewed, where it will not.
    pub revoked: Option<&'a str>,
}

impl Terms<'_> {
    /// For how long this server, a secondary, may still serve a product without hearing its primary; `None` where that
    /// is not limited.
    #[must_use]
    pub fn standalone_left(&self, product: &ProductName) -> Option<Span> {
        let limit = self.config.products.get(product)?.standalone?;
        let counts = self.role == Role::Secondary && !mutant!(StandsAloneForever);
        counts.then(|| limit.less(self.unheard))
    }
}

impl Ledger {
    /// The ledger with these contents. Each lease lives a full ttl from now.
    #[must_use]
    pub fn load(contents: Contents, terms: Option<&Terms<'_>>, now: Now) -> Self {
        let mut ledger = Self {
            position: contents.position,
            knew: contents.knew,
            quotas: contents.quotas,
            ..Self::default()
        };
        let kept = terms.map_or(Span::ZERO, |terms| ends_kept(terms.config));
        for end in contents.ends {
            ledger.remember(end, now, kept);
        }
        ledger.nonces.extend(contents.nonces);
        for lease in contents.leases {
            let renewed = now.moment + lease.ttl.with_drift();
            let ends = borrow::ends_of(&lease, None, now.moment);
            ledger.insert(Entry::new(lease, renewed, ends), None);
        }
        for waiter in contents.waiters {
            ledger.queue.insert(waiter, now.moment, terms);
        }
        if let Some(terms) = terms {
            ledger.recharge(terms);
        }
        ledger
    }

    /// Everything that is durable of it.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents {
            position: self.position,
            knew: self.knew,
            leases: self.leases.values().map(|entry| entry.lease.clone()).collect(),
            ends: self.ends.values().map(|(end, _)| end.clone()).collect(),
            nonces: self.nonces.iter().map(|(nonce, at)| (nonce.clone(), *at)).collect(),
            waiters: self.queue.waiters().cloned().collect(),
            quotas: self.quotas.clone(),
        }
    }

    /// The last record it contains.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Begins a time of service: records are numbered anew, and what is known of the other server stands still.
    pub fn begin(&mut self, epoch: Epoch) {
        self.knew = self.position.knew_in(epoch, self.knew);
        self.position = Position { epoch, seq: 0 };
        for entry in self.leases.values_mut() {
            entry.changed = 0;
        }
    }

    /// Takes everything in it for this server's own of this epoch, knowing nothing of the other server's service.
    pub fn renumber(&mut self, epoch: Epoch) {
        self.position.epoch = epoch;
        self.knew = Epoch(0);
        self.leases.values_mut().for_each(|entry| entry.lease.heard = epoch);
        for (end, _) in self.ends.values_mut() {
            end.epoch = epoch;
            end.knew = Epoch(0);
        }
    }

    /// The live leases, by id; without those that are parked.
    pub fn leases(&self, now: Moment) -> impl Iterator<Item = LeaseView<'_>> {
        self.leases.values().filter(|entry| !entry.lease.parked).map(move |entry| entry.view(now))
    }

    /// A live lease.
    #[must_use]
    pub fn lease(&self, id: &LeaseId, now: Moment) -> Option<LeaseView<'_>> {
        self.leases.get(id).map(|entry| entry.view(now))
    }

    /// The seats of a product that are held, those of revoked leases included.
    #[must_use]
    pub fn live(&self, product: &ProductName) -> Seats {
        let charged = self.usage.get(product).map(Usage::live).unwrap_or_default();
        charged + self.revoked.get(product).copied().unwrap_or_default()
    }

    /// What is used of a product's assignments.
    #[must_use]
    pub fn usage(&self, product: &ProductName) -> Option<&Usage> {
        self.usage.get(product)
    }

    /// When the next lease runs out.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.running_out.first().map(|(moment, _)| *moment)
    }

    /// Whether an operator's nonce was taken before.
    #[must_use]
    pub fn nonce_taken(&self, nonce: &str) -> bool {
        self.nonces.contains_key(nonce)
    }

    /// Takes an operator's nonce.
    pub fn take_nonce(&mut self, nonce: String, expires: Timestamp, terms: &Terms<'_>) -> Record {
        self.emit(Record::Nonce { nonce, expires }, None, terms)
    }

    /// Applies a record that the active server made. Its leases live a full ttl from now.
    pub fn apply(&mut self, position: Position, record: Record, terms: &Terms<'_>) {
        self.position = position;
        self.change(record, None, terms);
    }

    /// Extends a lease whose holder the active server heard.
    pub fn extend(&mut self, id: &LeaseId, now: Moment) {
        let heard = self.position.epoch;
        self.give_time(id, now, heard, None);
    }

    /// Gives every lease a full ttl from now: none ends before its holder stops believing in it.
    pub fn extend_all(&mut self, now: Moment) {
        self.running_out.clear();
        for (id, entry) in &mut self.leases {
            if entry.lease.parked {
                continue;
            }
            let time =
                if mutant!(NoTimeAtStart) { Span::ZERO } else { entry.lease.ttl.with_drift() };
            entry.renewed = now + time;
            entry.until = entry.next_end();
            self.running_out.insert((entry.until, id.clone()));
        }
        self.queue.hear_all(now);
    }

    /// What need not be remembered any longer: ended uses past their time, nonces of expired statements.
    pub fn forget(&mut self, now: Now) -> (Vec<UseId>, Vec<String>) {
        let mut uses = Vec::new();
        while let Some((moment, use_id)) = self.forgetting.first().cloned() {
            if moment > now.moment {
                break;
            }
            self.forgetting.remove(&(moment, use_id.clone()));
            self.ends.remove(&use_id);
            uses.push(use_id);
        }
        if self.nonces.is_empty() {
            return (uses, Vec::new());
        }
        let old = |expires: &Timestamp| now.wall.since(*expires) > NONCE_KEPT;
        let nonces: Vec<String> =
            self.nonces.iter().filter(|(_, at)| old(at)).map(|(nonce, _)| nonce.clone()).collect();
        self.nonces.retain(|_, expires| !old(expires));
        (uses, nonces)
    }

    /// How many ended uses and nonces are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.ends.len() + self.nonces.len()
    }

    /// Gives a lease a full ttl from now, by the clock rules of the pair.
    fn give_time(&mut self, id: &LeaseId, now: Moment, heard: Epoch, ttl: Option<Span>) {
        if let Some(entry) = self.leases.get_mut(id)
            && !entry.lease.parked
        {
            self.running_out.remove(&(entry.until, id.clone()));
            entry.lease.ttl = ttl.unwrap_or(entry.lease.ttl);
            entry.lease.heard = entry.lease.heard.max(heard);
            entry.renewed = now + entry.lease.ttl.with_drift();
            entry.until = entry.next_end();
            self.running_out.insert((entry.until, id.clone()));
        }
    }

    /// The lease that one more use by this requester would join, where there is one that is charged: the oldest.
    fn held_seat(&self, product: &Product, who: &Requester<'_>) -> Option<&Entry> {
        self.held(&SeatKey::new(product, who)?)
    }

    fn held(&self, seat: &SeatKey) -> Option<&Entry> {
        let ids = self.by_seat.get(seat)?;
        let charged = ids
            .iter()
            .filter_map(|id| self.leases.get(id).map(|entry| &**entry))
            .filter(|entry| matches!(entry.charge, Charge::Assignment(_)));
        charged.min_by_key(|entry| entry.lease.granted)
    }

    fn take_seat(&mut self, key: &SeatKey, id: &LeaseId) {
        self.by_seat.entry(key.clone()).or_default().insert(id.clone());
    }

    /// The position of the next record.
    fn next_position(&self) -> Position {
        Position { seq: self.position.seq + 1, ..self.position }
    }

    /// The records that were just made, each with its position: the last is the ledger's own.
    pub fn placed(&self, records: Vec<Record>) -> impl Iterator<Item = (Position, Record)> + use<> {
        let Position { epoch, seq } = self.position;
        let first = seq + 1 - records.len() as u64;
        (first..).map(move |seq| Position { epoch, seq }).zip(records)
    }

    /// Makes the next record: a lease as it is now, which lives until the moment given, or a full ttl from now.
    fn emit_lease(&mut self, lease: Lease, until: Option<Moment>, terms: &Terms<'_>) -> Record {
        self.emit(Record::Lease { lease: Box::new(lease), ended: Vec::new() }, until, terms)
    }

    /// Makes the next record: what is left of a lease some of whose uses have ended, if anything is.
    fn emit_rest(
        &mut self,
        lease: Lease,
        ended: Vec<End>,
        until: Moment,
        terms: &Terms<'_>,
    ) -> Record {
        let record = if lease.uses.is_empty() {
            Record::Ended { lease: lease.id, ended }
        } else {
            Record::Lease { lease: Box::new(lease), ended }
        };
        self.emit(record, Some(until), terms)
    }

    /// Makes the next record: numbers it and applies it.
    fn emit(&mut self, mut record: Record, until: Option<Moment>, terms: &Terms<'_>) -> Record {
        self.position.seq += 1;
        if let Record::Lease { lease, .. } = &mut record
            && let Some(entry) = self.leases.get(&lease.id)
        {
            entry.refresh(lease, terms.now.moment);
        }
        self.change(record.clone(), until, terms);
        record
    }

    /// Applies a record; the lease in it lives until the moment given, or a full ttl from now.
    fn change(&mut self, record: Record, until: Option<Moment>, terms: &Terms<'_>) {
        let kept = ends_kept(terms.config);
        match record {
            Record::Lease { lease, ended } => {
                let until = until.unwrap_or(terms.now.moment + lease.ttl.with_drift());
                for end in ended {
                    self.remember(end, terms.now, kept);
                }
                for use_id in lease.uses.keys() {
                    self.queue.remove(use_id);
                }
                let before = self.remove(&lease.id);
                let taken = before.as_ref().map(|entry| &entry.charge);
                let charge = match (&lease.forced, taken) {
                    (Some(reason), _) => Charge::Revoked(reason.clone()),
                    // Only a bundle gives back what a bundle took.
                    (None, Some(taken @ (Charge::Revoked(_) | Charge::Kept))) => taken.clone(),
                    (None, _) => Charge::Assignment(lease.assignment as usize),
                };
                let ends = borrow::ends_of(&lease, before.as_deref(), terms.now.moment);
                let changed = self.position.seq;
                let entry = Entry { charge, changed, ..Entry::new(*lease, until, ends) };
                self.insert(entry, Some(terms));
            }
            Record::Ended { ended, .. }
                if ended.iter().any(|end| end.reason == EndReason::Expired)
                    && until.is_none()
                    && terms.role == Role::Secondary
                    && mutant!(GhostReturns) => {}
            Record::Ended { lease, ended } => {
                self.remove(&lease);
                for end in ended {
                    self.remember(end, terms.now, kept);
                }
            }
            Record::Waits { waiter } => self.queue.insert(*waiter, terms.now.moment, Some(terms)),
            Record::Left { use_id } => {
                self.queue.remove(&use_id);
            }
            Record::Nonce { nonce, expires } => {
                self.nonces.insert(nonce, expires);
            }
            Record::Quotas(quotas) => {
                self.quotas = quotas;
                self.queue.stir();
            }
        }
    }

    /// Remembers an end for so long, and that of a borrowed use as long as a copy of it could live.
    fn remember(&mut self, end: End, now: Now, kept: Span) {
        let borrowed = end.borrowed.map(|until| until.since(now.wall).with_drift());
        let forget = now.moment + kept.max(borrowed.unwrap_or_default());
        self.queue.remove(&end.use_id);
        let use_id = end.use_id.clone();
        // A use that stood in two leases: that its holder released one of them is not forgotten for the other.
        let released = |(known, _): &(End, Moment)| {
            known.lease != end.lease && known.reason == EndReason::Released
        };
        if self.ends.get(&use_id).is_some_and(released) {
            return;
        }
        if let Some((_, before)) = self.ends.insert(use_id.clone(), (end, forget)) {
            self.forgetting.remove(&(before, use_id.clone()));
        }
        self.forgetting.insert((forget, use_id));
    }

    fn insert(&mut self, mut entry: Entry, terms: Option<&Terms<'_>>) {
        let lease = &entry.lease;
        for use_id in lease.uses.keys() {
            self.by_use.insert(use_id.clone(), lease.id.clone());
        }
        self.set_ending(&lease.id, entry.until, lease.parked);
        self.take_slots(lease);
        if let Some(terms) = terms {
            entry.seat = terms.seat_key(lease);
            if let Some(key) = &entry.seat {
                self.take_seat(key, &lease.id);
            }
            let known = terms.config.products.get(&lease.product);
            let assignments = known.map_or(0, |product| product.policy.assignments().len());
            if matches!(entry.charge, Charge::Assignment(index) if index >= assignments) {
                // A record of another bundle than ours: it is charged anew when ours changes.
                let why = "its assignment is not in this bundle";
                entry.charge = entry.without_assignment(why);
            }
            self.charge(&entry);
        }
        self.leases.insert(entry.lease.id.clone(), Box::new(entry));
    }

    fn remove(&mut self, id: &LeaseId) -> Option<Box<Entry>> {
        let entry = self.leases.remove(id)?;
        for use_id in entry.lease.uses.keys() {
            if self.by_use.get(use_id) == Some(id) {
                self.by_use.remove(use_id);
            }
        }
        self.running_out.remove(&(entry.until, id.clone()));
        self.give_slots(&entry.lease);
        if let Some(key) = &entry.seat
            && let Some(ids) = self.by_seat.get_mut(key)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_seat.remove(key);
            }
        }
        self.discharge(&entry);
        Some(entry)
    }

    fn charge(&mut self, entry: &Entry) {
        self.queue.stir();
        let lease = &entry.lease;
        match entry.charge {
            _ if lease.parked => {}
            Charge::Assignment(index) => {
                let usage = self.usage.entry(lease.product.clone()).or_default();
                usage.charge(index, &lease.user, lease.address, lease.seats());
            }
            Charge::Revoked(_) | Charge::Kept => {
                let seats = self.revoked.entry(lease.product.clone()).or_default();
                *seats = *seats + lease.seats();
            }
        }
    }

    fn discharge(&mut self, entry: &Entry) {
        self.queue.stir();
        let lease = &entry.lease;
        match entry.charge {
            _ if lease.parked => {}
            Charge::Assignment(index) => {
                if let Some(usage) = self.usage.get_mut(&lease.product) {
                    usage.discharge(index, &lease.user, lease.address, lease.seats());
                }
            }
            Charge::Revoked(_) | Charge::Kept => {
                if let Some(seats) = self.revoked.get_mut(&lease.product) {
                    *seats = seats.less(lease.seats());
                }
            }
        }
    }
}

/// How long a nonce is kept after its statement expired: longer than clocks differ.
const NONCE_KEPT: Span = Span::from_secs(3600);

/// How long the ends of leases are remembered: twice the longest ttl (pair.md, rule 3).
fn ends_kept(config: &Config) -> Span {
    config.ttl_max().times(2).with_drift()
}

impl Entry {
    fn view(&self, now: Moment) -> LeaseView<'_> {
        LeaseView {
            lease: &self.lease,
            remaining: self.last_end().since(now),
            revoked: match &self.charge {
                Charge::Revoked(reason) => Some(reason),
                Charge::Assignment(_) | Charge::Kept => None,
            },
        }
    }
}

impl Lease {
    /// Who is charged for it.
    fn requester(&self) -> Requester<'_> {
        Requester { user: &self.user, host: &self.host, address: self.address }
    }
}

impl Terms<'_> {
    /// What makes a lease one seat with another checkout, where anything does.
    fn seat_key(&self, lease: &Lease) -> Option<SeatKey> {
        SeatKey::new(self.config.products.get(&lease.product)?, &lease.requester())
    }
}

impl SeatKey {
    fn new(product: &Product, who: &Requester<'_>) -> Option<Self> {
        let share = &product.share;
        if share.contains(&SharePart::Use) {
            return None;
        }
        Some(Self {
            product: product.name.clone(),
            user: share.contains(&SharePart::User).then(|| who.user.clone()),
            host: share.contains(&SharePart::Host).then(|| who.host.clone()),
            address: share.contains(&SharePart::Address).then_some(who.address),
        })
    }
}
