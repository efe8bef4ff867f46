//! Those who wait for seats: their requests are held, their places kept durable, their turns given (product.md,
//! "Seats"). Whose turn it is, the ledger says.

use serde_json::Map;

use super::active::reply;
use super::command::{Queued, Refusal, Reply, Wait};
use super::io::{Effect, Ticket};
use super::phase::{Peering, Phase};
use super::{Pair, terms};
use crate::ledger::{Line, No, Room, Waiter};
use crate::measure::{Moment, Span};
use crate::name::{LeaseId, UseId};
use crate::seen;

/// How long a request is held at most.
const HELD_MAX: Span = Span::from_secs(30);

/// A request of somebody who waits, held until its turn comes or its time is over.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) ticket: Ticket,
    pub(super) until: Moment,
}

impl Pair {
    /// A client wants seats and waits for them. One that has a place asks for its turn.
    pub(super) fn wait(&mut self, ticket: Ticket, mut wait: Wait, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let known = self.ledger.waiter(&wait.request.use_id, wait.ticket.as_ref());
        if let Some(waiter) = known {
            let asked = &wait.request;
            let is_same = waiter.product == asked.product
                && waiter.user == asked.user
                && waiter.host == asked.host;
            if !is_same {
                return reply(ticket, Reply::Refused(Refusal::UseTaken), out);
            }
            wait.request.use_id = waiter.use_id.clone();
            return self.hold(ticket, &wait, out);
        }
        if self.granting().is_ok() {
            match self.ledger.checkout(&wait.request, &terms) {
                Err(No::NoRoom { .. }) => {}
                Ok(granted) => return self.give(ticket, &wait.request.use_id, granted, None, out),
                Err(no) => return self.refuse(ticket, no, &wait, out),
            }
        } else if !self.is_decided() || !self.may_queue_in_grace(&wait) {
            return self.checkout(ticket, &wait.request, out);
        }
        match self.ledger.enqueue(&wait.request, wait.fresh.clone(), &terms) {
            Ok(record) => {
                self.record(record, out);
                self.tell_waiter("queued", &wait.request.use_id, out);
                self.hold(ticket, &wait, out);
            }
            Err(no) => self.refuse(ticket, no, &wait, out),
        }
    }

    /// Whether a request that comes in grace is a newcomer's: what is held already is not queued for.
    fn may_queue_in_grace(&self, wait: &Wait) -> bool {
        !self.ledger.knows_use(&wait.request.use_id)
    }

    fn refuse(&mut self, ticket: Ticket, no: No, wait: &Wait, out: &mut Vec<Effect>) {
        let refusal = self.refusal(no, &wait.request);
        self.tell_denial(&wait.request, &refusal, out);
        reply(ticket, Reply::Refused(refusal), out);
    }

    /// Whether it is decided if the peer counts.
    fn is_decided(&self) -> bool {
        matches!(&self.phase, Phase::Active(active)
            if matches!(active.peering, Peering::Alone | Peering::Paired))
    }

    /// Holds the request of somebody who has a place. An earlier one of the same place is answered: who asks twice has
    /// lost the first answer.
    fn hold(&mut self, ticket: Ticket, wait: &Wait, out: &mut Vec<Effect>) {
        let use_id = wait.request.use_id.clone();
        let until = self.now.moment + wait.hold.min(HELD_MAX);
        self.ledger.hear_waiter(&use_id, self.now.moment);
        self.ledger.stir_queue();
        if let Some(before) = self.asking.insert(use_id.clone(), Asking { ticket, until }) {
            self.tell_place(&use_id, before.ticket, out);
        }
        if wait.hold == Span::ZERO {
            // Its turn may have come while it was away.
            self.serve_queue(out);
            self.tend_queue(out);
        }
    }

    /// Who has gone is not given a seat: its place is kept, as for everybody who does not ask just now.
    pub(super) fn on_hung_up(&mut self, ticket: Ticket) {
        let before = self.asking.len();
        self.asking.retain(|_, asking| asking.ticket != ticket);
        if self.asking.len() < before {
            seen!(WaiterHungUp);
            self.ledger.stir_queue();
        }
    }

    /// Answers with the place, which is durable where it must be by then.
    fn tell_place(&mut self, use_id: &UseId, ticket: Ticket, out: &mut Vec<Effect>) {
        let Some(waiter) = self.ledger.waiter(use_id, None) else {
            return reply(ticket, Reply::Refused(Refusal::Recovering), out);
        };
        let queued = Queued {
            product: waiter.product.clone(),
            ticket: waiter.ticket.clone(),
            position: self.ledger.place_in_line(use_id).unwrap_or(1),
            retry_after: self.redundancy().heartbeat,
        };
        self.reply_when_durable(ticket, Reply::Queued(Box::new(queued)), None, out);
    }

    /// When the queue wants to be tended next.
    pub(super) fn queue_at(&self) -> Option<Moment> {
        if !self.ledger.has_waiters() {
            return None;
        }
        let held = self.asking.values().map(|asking| asking.until).min();
        [held, self.queue_opens, self.ledger.next_drop()].into_iter().flatten().min()
    }

    /// Answers the requests that were held long enough, and drops whom nobody asks for.
    pub(super) fn tend_queue(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.moment;
        if self.queue_opens.is_some_and(|opens| opens <= now) {
            self.queue_opens = None;
        }
        let due = |asking: &Asking| asking.until <= now;
        let due: Vec<UseId> = self
            .asking
            .iter()
            .filter(|(_, asking)| due(asking))
            .map(|(use_id, _)| use_id.clone())
            .collect();
        for use_id in due {
            self.ledger.hear_waiter(&use_id, now);
            if let Some(asking) = self.asking.remove(&use_id) {
                self.tell_place(&use_id, asking.ticket, out);
            }
        }
        for waiter in self.ledger.forsaken(now) {
            seen!(WaiterDropped);
            self.leave_queue(&waiter, out);
        }
        self.ledger.stir_queue();
    }

    fn leave_queue(&mut self, waiter: &Waiter, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        self.tell_waiter("dropped", &waiter.use_id, out);
        if let Some(record) = self.ledger.leave(&waiter.use_id, &terms) {
            self.record(record, out);
        }
    }

    /// Gives their turns to those who wait, as far as seats are free; those who do not ask now have theirs kept.
    pub(super) fn serve_queue(&mut self, out: &mut Vec<Effect>) {
        let is_active = matches!(self.phase, Phase::Active(_));
        if !is_active || !self.ledger.has_waiters() || self.granting().is_err() {
            return;
        }
        if !self.ledger.take_stirred() {
            return;
        }
        let is_open = self.queue_opens.is_none_or(|opens| opens <= self.now.moment);
        let (me, facts) = (self.me.clone(), self.facts.clone());
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &me, &facts, self.now) else { return };
        self.refuse_unentitled(out);
        for product in self.ledger.products_waited_for() {
            // Each turn takes one out of the queue, so this ends.
            loop {
                let asking = &self.asking;
                let is_here = |use_id: &UseId| is_open && asking.contains_key(use_id);
                let line = self.ledger.next_in_line(&product, &is_here, None, &terms);
                let Line::Waiter(use_id, room) = line else { break };
                if !self.give_turn(&use_id, room, out) {
                    break;
                }
            }
        }
    }

    /// Who is not entitled any more leaves the queue, told so.
    fn refuse_unentitled(&mut self, out: &mut Vec<Effect>) {
        let gone: Vec<UseId> =
            self.asking.keys().filter(|id| !self.ledger.may_wait(id)).cloned().collect();
        for use_id in gone {
            let Some(asking) = self.asking.remove(&use_id) else { continue };
            let refusal = match self.ledger.waiter(&use_id, None).cloned() {
                Some(waiter) => {
                    seen!(WaiterUnentitled);
                    self.leave_queue(&waiter, out);
                    let no = self.ledger.why_not(&waiter, self.config.as_deref());
                    self.refusal(no, &waiter.request())
                }
                None => Refusal::Recovering,
            };
            reply(asking.ticket, Reply::Refused(refusal), out);
        }
    }

    fn give_turn(&mut self, use_id: &UseId, room: Room, out: &mut Vec<Effect>) -> bool {
        let Some(config) = self.config.clone() else { return false };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return false };
        let waiter = self.ledger.waiter(use_id, None).cloned();
        let Ok(granted) = self.ledger.serve_waiter(use_id, room, &terms) else { return false };
        let Some(asking) = self.asking.remove(use_id) else { return false };
        seen!(WaiterServed);
        self.give(asking.ticket, use_id, granted, waiter, out);
        true
    }

    /// A holder was given a seat: its turn has ended.
    pub(super) fn end_turn(&mut self, lease: &LeaseId, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let moved = self.ledger.end_turn(lease, &terms);
        for (position, record) in self.ledger.placed(moved) {
            self.record_at(position, record, out);
        }
    }

    /// Answers everybody who waits that this server does not go on: they keep their places and ask again.
    pub(super) fn refuse_asking(&mut self, why: &Refusal, out: &mut Vec<Effect>) {
        for (_, asking) in std::mem::take(&mut self.asking) {
            reply(asking.ticket, Reply::Refused(why.clone()), out);
        }
    }

    fn tell_waiter(&self, kind: &'static str, use_id: &UseId, out: &mut Vec<Effect>) {
        let Some(waiter) = self.ledger.waiter(use_id, None) else { return };
        let mut details = Map::new();
        details.insert("product".into(), waiter.product.as_str().into());
        details.insert("user".into(), waiter.user.as_str().into());
        details.insert("host".into(), waiter.host.as_str().into());
        details.insert("seats".into(), waiter.seats.0.into());
        if let Some(place) = self.ledger.place_in_line(use_id) {
            details.insert("position".into(), place.into());
        }
        self.event(kind, details, out);
    }
}
