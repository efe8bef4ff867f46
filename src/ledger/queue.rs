//! The queue: who waits for seats of a product, in which order, and whose turn it is.
//!
//! A waiter is a record like a lease. Its place is its arrival's: the position of the record that queued it. A seat
//! that is free goes to the first whom the rules let have it. One who is not there at that moment has it kept until
//! it asks again or is dropped. Who asks, and for how long, is the pair's to know.

use std::collections::{BTreeMap, BTreeSet};

use super::checkout::Granted;
use super::{
    Checkout, Digest, Entry, Lease, Ledger, No, Position, Record, SeatKey, Slots, Terms, Waiter,
};
use crate::bundle::{Config, Product};
use crate::entitlement::{self, Chance, Requester, Use as Usage, Verdict};
use crate::measure::{Moment, Seats, Span};
use crate::name::{LeaseId, ProductName, QueueTicket, UseId};
use crate::{mutant, seen};

/// The most waiters of one product.
pub const WAITERS_MAX: usize = 10_000;
/// After how long a waiter is dropped whom nobody asks for.
const KEPT: Span = Span::from_secs(60);

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// This waiter's: it is there, and an assignment has room for it.
    Waiter(UseId, Room),
    /// The newcomer's: it passes nobody who could be served.
    Newcomer(Room),
    /// Nobody's who is there.
    Nobody,
}

/// The place in `assign` of an assignment that has room beside what is kept for others; none for a held seat.
pub type Room = Option<u32>;

/// Who waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    places: BTreeMap<UseId, Place>,
    by_ticket: BTreeMap<QueueTicket, UseId>,
    order: BTreeMap<ProductName, BTreeSet<(Position, UseId)>>,
    dropping: BTreeSet<(Moment, UseId)>,
    /// Those who were not there when their turn came: a free seat is kept for each until it asks.
    kept_for: BTreeSet<(Position, UseId)>,
    /// Whether something changed since the queue was last looked at.
    is_stirred: bool,
}

/// One waiter and what this server makes of it.
#[derive(Clone, Debug)]
struct Place {
    waiter: Waiter,
    /// The highest priority of the assignments that match; none where none does any more.
    priority: Option<i8>,
    /// What makes it one seat with another checkout, where anything does.
    seat: Option<SeatKey>,
    /// When it last asked.
    asked: Moment,
}

impl Queue {
    pub(super) fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.places.values().map(|place| &place.waiter)
    }

    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        self.places.into_values().map(|place| place.waiter).collect()
    }

    /// Something changed that may give somebody a seat.
    pub(super) fn stir(&mut self) {
        self.is_stirred = true;
    }

    /// Takes somebody in, or gives who is in it another place.
    pub(super) fn insert(&mut self, waiter: Waiter, now: Moment, terms: Option<&Terms<'_>>) {
        let asked = self.places.get(&waiter.use_id).map_or(now, |place| place.asked);
        self.remove(&waiter.use_id);
        let (use_id, arrived) = (waiter.use_id.clone(), waiter.arrived);
        self.by_ticket.insert(waiter.ticket.clone(), use_id.clone());
        self.order.entry(waiter.product.clone()).or_default().insert((arrived, use_id.clone()));
        self.dropping.insert((asked + KEPT, use_id.clone()));
        let mut place = Place { waiter, priority: None, seat: None, asked };
        if let Some(terms) = terms {
            place.rank(terms);
        }
        self.places.insert(use_id, place);
        self.stir();
    }

    /// The same of two copies keeps the earlier arrival, with the ticket that was given for it.
    pub(super) fn unite(&mut self, waiter: Waiter, terms: &Terms<'_>) {
        let known = self.places.get(&waiter.use_id).map(|place| place.waiter.arrived);
        if known.is_none_or(|known| waiter.arrived < known) {
            let waiter = if mutant!(MergeLosesOrder) {
                Waiter { arrived: Position::default(), ..waiter }
            } else {
                waiter
            };
            self.insert(waiter, terms.now.moment, Some(terms));
        }
    }

    pub(super) fn remove(&mut self, use_id: &UseId) -> Option<Waiter> {
        let place = self.places.remove(use_id)?;
        let Place { waiter, asked, .. } = place;
        if self.by_ticket.get(&waiter.ticket) == Some(use_id) {
            self.by_ticket.remove(&waiter.ticket);
        }
        if let Some(order) = self.order.get_mut(&waiter.product) {
            order.remove(&(waiter.arrived, use_id.clone()));
            if order.is_empty() {
                self.order.remove(&waiter.product);
            }
        }
        self.dropping.remove(&(asked + KEPT, use_id.clone()));
        self.kept_for.remove(&(waiter.arrived, use_id.clone()));
        self.stir();
        Some(waiter)
    }

    fn hear(&mut self, use_id: &UseId, now: Moment) {
        if let Some(place) = self.places.get_mut(use_id) {
            self.dropping.remove(&(place.asked + KEPT, use_id.clone()));
            place.asked = now;
            self.dropping.insert((now + KEPT, use_id.clone()));
        }
    }

    /// Nobody is dropped for not having asked a server that did not serve.
    pub(super) fn hear_all(&mut self, now: Moment) {
        let all: Vec<UseId> = self.places.keys().cloned().collect();
        for use_id in all {
            self.hear(&use_id, now);
        }
    }

    /// What matters of it: `times` says whether anybody is dropped here.
    pub(super) fn digest(&self, digest: &mut dyn Digest, times: bool) {
        let Self { places, by_ticket: _, order: _, dropping: _, kept_for, is_stirred } = self;
        digest.word(places.len() as u64);
        for Place { waiter, priority, seat: _, asked } in places.values() {
            waiter.digest(digest);
            digest.word(priority.map_or(u64::MAX, |priority| u64::from(priority.unsigned_abs())));
            if times {
                digest.moment(*asked);
            }
        }
        digest.word(kept_for.len() as u64);
        for (_, use_id) in kept_for {
            digest.use_id(use_id);
        }
        digest.word(u64::from(*is_stirred));
    }

    /// The bundle changed: priorities and who may wait.
    pub(super) fn rank_all(&mut self, terms: &Terms<'_>) {
        for place in self.places.values_mut() {
            place.rank(terms);
        }
        self.stir();
    }
}

impl Place {
    fn rank(&mut self, terms: &Terms<'_>) {
        let who = self.waiter.requester();
        let product = terms.config.products.get(&self.waiter.product);
        self.priority = product.and_then(|product| product.policy.priority(&who));
        self.seat = product.and_then(|product| SeatKey::new(product, &who));
    }
}

/// Why this requester may wait for no seat of a product; `None` where it may.
fn barred(config: &Config, product: &ProductName, who: &Requester<'_>) -> Option<No> {
    let Some(product) = config.products.get(product) else { return Some(No::UnknownProduct) };
    if product.policy.is_denied(who) {
        return Some(No::Denied);
    }
    product.policy.priority(who).is_none().then_some(No::NotEntitled)
}

impl Ledger {
    /// Whether anybody waits.
    #[must_use]
    pub fn has_waiters(&self) -> bool {
        !self.queue.places.is_empty()
    }

    /// How many wait for a product.
    #[must_use]
    pub fn waiting(&self, product: &ProductName) -> usize {
        self.queue.order.get(product).map_or(0, BTreeSet::len)
    }

    /// The waiter of this use, or of this ticket where the use has no place.
    #[must_use]
    pub fn waiter(&self, use_id: &UseId, ticket: Option<&QueueTicket>) -> Option<&Waiter> {
        let by_use = self.queue.places.get(use_id);
        let by_ticket = || self.queue.places.get(self.queue.by_ticket.get(ticket?)?);
        by_use.or_else(by_ticket).map(|place| &place.waiter)
    }

    /// Whether a waiter may still wait: an assignment matches it.
    #[must_use]
    pub fn may_wait(&self, use_id: &UseId) -> bool {
        self.queue.places.get(use_id).is_some_and(|place| place.priority.is_some())
    }

    /// A waiter's place, from 1: before it stand those of a higher priority, and of its own who came before.
    #[must_use]
    pub fn place_in_line(&self, use_id: &UseId) -> Option<u32> {
        let own = self.queue.places.get(use_id)?;
        let order = self.queue.order.get(&own.waiter.product)?;
        let before = order.iter().filter(|(arrived, other)| {
            let Some(place) = self.queue.places.get(other) else { return false };
            place.priority > own.priority
                || (place.priority == own.priority
                    && (*arrived, other) < (own.waiter.arrived, use_id))
        });
        Some(u32::try_from(before.count()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Takes somebody into the queue, at its end.
    ///
    /// # Errors
    /// It may not have a seat, or too many wait.
    pub fn enqueue(
        &mut self,
        request: &Checkout,
        ticket: QueueTicket,
        terms: &Terms<'_>,
    ) -> Result<Record, No> {
        if let Some(no) = barred(terms.config, &request.product, &request.requester()) {
            return Err(no);
        }
        let most = terms.capacity(&request.product);
        if request.seats > most && most > Seats(0) {
            let why = format!("{} seats were asked for, and there are {most}", request.seats);
            return Err(No::NoRoom { why });
        }
        if self.waiting(&request.product) >= WAITERS_MAX {
            return Err(No::TooManyWaiting);
        }
        let arrived = self.next_position();
        let waiter = Waiter {
            ticket,
            use_id: request.use_id.clone(),
            lease: request.fresh.clone(),
            product: request.product.clone(),
            user: request.user.clone(),
            host: request.host.clone(),
            address: request.address,
            seats: request.seats,
            arrived,
            since: terms.now.wall,
        };
        Ok(self.emit(Record::Waits { waiter: Box::new(waiter) }, None, terms))
    }

    /// A waiter asked, or its request was held until now.
    pub fn hear_waiter(&mut self, use_id: &UseId, now: Moment) {
        self.queue.hear(use_id, now);
    }

    /// Takes somebody out of the queue who gets nothing.
    pub fn leave(&mut self, use_id: &UseId, terms: &Terms<'_>) -> Option<Record> {
        self.queue.places.get(use_id)?;
        Some(self.emit(Record::Left { use_id: use_id.clone() }, None, terms))
    }

    /// When the next waiter is dropped unless somebody asks for it.
    #[must_use]
    pub fn next_drop(&self) -> Option<Moment> {
        self.queue.dropping.first().map(|(moment, _)| *moment)
    }

    /// The waiters that nobody has asked for in time.
    #[must_use]
    pub fn forsaken(&self, now: Moment) -> Vec<Waiter> {
        let due = self.queue.dropping.iter().take_while(|(moment, _)| *moment <= now);
        due.filter_map(|(_, use_id)| self.queue.places.get(use_id))
            .map(|place| place.waiter.clone())
            .collect()
    }

    /// Something changed that the queue must be looked at for: somebody asked, or time passed.
    pub fn stir_queue(&mut self) {
        self.queue.stir();
    }

    /// Keeps no seat for anybody who is not there.
    #[cfg(test)]
    pub(super) fn forget_kept(&mut self) {
        self.queue.kept_for.clear();
    }

    /// Whether a use has a lease, or had one and has ended.
    #[must_use]
    pub fn knows_use(&self, use_id: &UseId) -> bool {
        self.by_use.contains_key(use_id) || self.ends.contains_key(use_id)
    }

    /// Why a waiter that may not wait any more may not.
    #[must_use]
    pub fn why_not(&self, waiter: &Waiter, config: Option<&Config>) -> No {
        let Some(config) = config else { return No::UnknownProduct };
        barred(config, &waiter.product, &waiter.requester()).unwrap_or(No::NotEntitled)
    }

    /// Whether something changed, since this was last asked, that may give a waiter its seat.
    pub fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.queue.is_stirred)
    }

    /// The products that somebody waits for.
    #[must_use]
    pub fn products_waited_for(&self) -> Vec<ProductName> {
        self.queue.order.keys().cloned().collect()
    }

    /// Whose turn it is: the first waiter who is there and for whom an assignment has room, by (priority of that
    /// assignment, arrival); the newcomer comes last of its priority. Whoever could be served and is not there has
    /// its seats kept: for its holder, whichever place of its asks first.
    pub fn next_in_line(
        &mut self,
        product: &ProductName,
        is_here: &dyn Fn(&UseId) -> bool,
        newcomer: Option<&Checkout>,
        terms: &Terms<'_>,
    ) -> Line {
        let Some(known) = terms.config.products.get(product) else { return Line::Nobody };
        let nothing = Usage::default();
        let used = self.usage.get(product).unwrap_or(&nothing);
        let capacity = self.chargeable(product, used, &Slots::default(), terms);
        let usage = self.usage.remove(product).unwrap_or_default();
        let kept_for = std::mem::take(&mut self.queue.kept_for);
        let mut scan = Scan {
            ledger: self,
            product: known,
            usage,
            terms,
            capacity,
            most: terms.capacity(product),
            kept: Vec::new(),
            kept_for,
            done: BTreeSet::new(),
        };
        let mut line = scan.run(is_here, newcomer);
        if line == Line::Nobody {
            line = scan.keeps_for(is_here, newcomer);
            if line != Line::Nobody {
                seen!(KeptSeatTaken);
            }
        }
        let Scan { mut usage, kept, kept_for, .. } = scan;
        for (charge, Place { waiter, .. }) in kept {
            usage.discharge(charge, &waiter.user, waiter.address, waiter.seats);
        }
        self.queue.kept_for = kept_for;
        self.usage.insert(product.clone(), usage);
        line
    }

    /// Gives a waiter the seats whose turn it is: it waits no more.
    ///
    /// # Errors
    /// There is no room after all, or nobody waits by this use.
    pub fn serve_waiter(
        &mut self,
        use_id: &UseId,
        room: Room,
        terms: &Terms<'_>,
    ) -> Result<Granted, No> {
        let waiter = &self.queue.places.get(use_id).ok_or(No::UnknownLease)?.waiter;
        let request = waiter.request();
        self.take_seats(&request, room, terms)
    }

    /// A holder was given a seat: it has had its turn, and its other places stand behind whoever waits now. Or who left one
    /// would take each seat that it gives back before all who came after that place.
    pub fn end_turn(&mut self, lease: &LeaseId, terms: &Terms<'_>) -> Vec<Record> {
        let entry = self.leases.get(lease).map(|entry| &**entry);
        let Some(Entry { lease, seat: Some(seat), .. }) = entry else {
            return Vec::new();
        };
        if mutant!(TurnNeverEnds) {
            return Vec::new();
        }
        let arrived = lease.granted;
        let order = self.queue.order.get(&lease.product).into_iter().flatten();
        let moved: Vec<Waiter> = order
            .take_while(|(at, _)| *at < arrived)
            .filter_map(|(_, use_id)| self.queue.places.get(use_id))
            .filter(|place| place.seat.as_ref() == Some(seat))
            .map(|place| &place.waiter)
            .filter(|waiter| waiter.seats <= lease.seats())
            .map(|waiter| Waiter { arrived, ..waiter.clone() })
            .collect();
        if !moved.is_empty() {
            seen!(TurnEnded);
        }
        moved
            .into_iter()
            .map(|waiter| self.emit(Record::Waits { waiter: Box::new(waiter) }, None, terms))
            .collect()
    }

    /// Puts a waiter back whose lease was never acknowledged. The whole ledger is written after.
    pub(crate) fn put_back(&mut self, waiter: Waiter, terms: &Terms<'_>) {
        self.remove(&waiter.lease);
        self.queue.insert(waiter, terms.now.moment, Some(terms));
    }
}

/// One look at the queue of a product: seats that are kept for somebody count as used while it lasts.
struct Scan<'a> {
    ledger: &'a Ledger,
    product: &'a Product,
    terms: &'a Terms<'a>,
    usage: Usage,
    capacity: Seats,
    /// All that there are: who needs more waits for nothing that could be freed, and is passed.
    most: Seats,
    /// What is kept, and for whom: given back at the end.
    kept: Vec<(usize, &'a Place)>,
    kept_for: BTreeSet<(Position, UseId)>,
    /// Whose turn came in this look.
    done: BTreeSet<&'a UseId>,
}

impl<'a> Scan<'a> {
    fn run(&mut self, is_here: &dyn Fn(&UseId) -> bool, newcomer: Option<&Checkout>) -> Line {
        if newcomer.is_some() && mutant!(NewcomerPasses) {
            return Line::Newcomer(None);
        }
        // What is held needs no room, so nobody before it is passed.
        let joins = self.present(is_here).find(|(_, place)| self.joins(place));
        if let Some((use_id, _)) = joins {
            return Line::Waiter(use_id.clone(), None);
        }
        let queue: &'a Queue = &self.ledger.queue;
        // A seat that went to somebody stays with it, whoever comes meanwhile.
        for (_, use_id) in self.kept_for.clone() {
            if let Some(place) = queue.places.get(&use_id)
                && place.waiter.product == self.product.name
                && let Some(room) = self.keep_or_serve(place, is_here)
            {
                return Line::Waiter(use_id, Some(room));
            }
        }
        for priority in self.product.policy.priorities() {
            for (use_id, place) in self.in_order() {
                match self.chance(place, priority) {
                    Chance::Room => {
                        if let Some(room) = self.keep_or_serve(place, is_here) {
                            return Line::Waiter(use_id.clone(), Some(room));
                        }
                    }
                    Chance::Full => return Line::Nobody,
                    Chance::Passed => {}
                }
            }
            if let Some(newcomer) = newcomer {
                let who = newcomer.requester();
                match self.chance_of(&who, newcomer.seats, priority) {
                    Chance::Room => return Line::Newcomer(self.room(&who, newcomer.seats)),
                    Chance::Full => return Line::Nobody,
                    Chance::Passed => {}
                }
            }
        }
        Line::Nobody
    }

    /// Whose seat is kept for another place of its, which it may have left: it would wait behind it.
    fn keeps_for(&self, is_here: &dyn Fn(&UseId) -> bool, newcomer: Option<&Checkout>) -> Line {
        if self.kept.is_empty() {
            return Line::Nobody;
        }
        // With fewer seats than those that are kept the other place would have to come by the rest.
        let room = |seat: Option<&SeatKey>, seats: Seats| {
            let (assignment, _) = self.kept_for_holder(seat, |kept| kept == seats)?;
            u32::try_from(*assignment).ok()
        };
        for (use_id, place) in self.present(is_here) {
            let room = room(place.seat.as_ref(), place.waiter.seats);
            if room.is_some() {
                return Line::Waiter(use_id.clone(), room);
            }
        }
        let room = newcomer.and_then(|newcomer| {
            let seat = SeatKey::new(self.product, &newcomer.requester());
            room(seat.as_ref(), newcomer.seats)
        });
        if room.is_some() { Line::Newcomer(room) } else { Line::Nobody }
    }

    /// Those who wait for the product in the order of their arrivals.
    fn in_order(&self) -> impl Iterator<Item = (&'a UseId, &'a Place)> + use<'a> {
        let queue: &'a Queue = &self.ledger.queue;
        let order = queue.order.get(&self.product.name).into_iter().flatten();
        order.filter_map(|(_, use_id)| Some((use_id, queue.places.get(use_id)?)))
    }

    /// Those of them who are there and may have a seat.
    fn present<'f>(
        &self,
        is_here: &'f dyn Fn(&UseId) -> bool,
    ) -> impl Iterator<Item = (&'a UseId, &'a Place)> + use<'a, 'f> {
        self.in_order().filter(move |(use_id, place)| place.priority.is_some() && is_here(use_id))
    }

    /// The seats that are kept for a holder, as many as will do, with their assignment.
    fn kept_for_holder(
        &self,
        seat: Option<&SeatKey>,
        will_do: impl Fn(Seats) -> bool,
    ) -> Option<&(usize, &'a Place)> {
        let seat = seat?;
        self.kept
            .iter()
            .find(|(_, other)| will_do(other.waiter.seats) && other.seat.as_ref() == Some(seat))
    }

    fn chance(&self, place: &Place, priority: i8) -> Chance {
        let waiter = &place.waiter;
        let is_out = place.priority.is_none()
            || waiter.seats > self.most
            || self.done.contains(&waiter.use_id);
        if is_out || self.is_held(place) {
            return Chance::Passed;
        }
        self.chance_of(&waiter.requester(), waiter.seats, priority)
    }

    fn chance_of(&self, who: &Requester<'_>, seats: Seats, priority: i8) -> Chance {
        let policy = &self.product.policy;
        entitlement::chance(policy, &self.usage, who, seats, self.capacity, priority, |_| true)
    }

    /// The lease by which the waiter's seat is held already, where one more use of it needs no other.
    fn held(&self, place: &Place) -> Option<&'a Lease> {
        let entry = self.ledger.held(place.seat.as_ref()?)?;
        let will_do =
            self.usage.live() <= self.capacity && entry.lease.seats() >= place.waiter.seats;
        will_do.then_some(&entry.lease)
    }

    fn is_held(&self, place: &Place) -> bool {
        self.held(place).is_some()
    }

    /// Whether the waiter can be told of that lease now: one that cannot keeps nobody else waiting.
    fn joins(&self, place: &Place) -> bool {
        self.held(place).is_some_and(|lease| self.ledger.may_return(lease, self.terms))
    }

    /// The first assignment with room beside what is kept.
    fn room(&self, who: &Requester<'_>, seats: Seats) -> Room {
        let policy = &self.product.policy;
        match entitlement::judge(policy, &self.usage, who, seats, self.capacity) {
            Verdict::Charge(index) => Some(u32::try_from(index).unwrap_or(u32::MAX)),
            _ => None,
        }
    }

    /// The room for a waiter that is there and has its turn; else its seats are kept for the rest of this look.
    fn keep_or_serve(&mut self, place: &'a Place, is_here: &dyn Fn(&UseId) -> bool) -> Option<u32> {
        let waiter = &place.waiter;
        let kept_for = (waiter.arrived, waiter.use_id.clone());
        let room = self.room(&waiter.requester(), waiter.seats);
        let Some(room) = room.filter(|_| !self.is_held(place)) else {
            self.kept_for.remove(&kept_for);
            return None;
        };
        self.done.insert(&waiter.use_id);
        if is_here(&waiter.use_id) {
            return Some(room);
        }
        self.kept_for.insert(kept_for);
        // Several windows of one holder need one seat.
        let is_shared = self.kept_for_holder(place.seat.as_ref(), |kept| kept >= waiter.seats);
        if is_shared.is_none() {
            let charge = room as usize;
            self.usage.charge(charge, &waiter.user, waiter.address, waiter.seats);
            self.kept.push((charge, place));
        }
        None
    }
}

impl Waiter {
    /// Who is charged for its seats.
    pub(super) fn requester(&self) -> Requester<'_> {
        Requester { user: &self.user, host: &self.host, address: self.address }
    }

    /// The checkout that it waits to have answered.
    #[must_use]
    pub fn request(&self) -> Checkout {
        Checkout {
            product: self.product.clone(),
            user: self.user.clone(),
            host: self.host.clone(),
            address: self.address,
            use_id: self.use_id.clone(),
            seats: self.seats,
            borrow: None,
            fresh: self.lease.clone(),
        }
    }
}
