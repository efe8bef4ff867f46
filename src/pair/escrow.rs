//! Escrow: when the pair moves slots, what it answers alone, and what a fence or a lost disk means for the quotas.
//!
//! The invariant, which every step keeps whatever messages, writes and servers are lost: each seat that a holder may
//! believe in can be counted to a server that has it on its disk in slots of its own, so that over both servers the sum
//! of max(quota, seats counted to it) is at most the capacity. A server alone gives out only what its own free slots
//! cover, frees a slot only when the holder said so, and parks what ran out; slots and leases move while paired, in
//! steps that only add or only take away, each on both disks before the next. So seat N+1 is never granted, no clock
//! decides it while the servers are apart, and a server needs no grace for its own slots (docs/concepts/pair.md,
//! "Escrow", has the argument by cases).

use serde_json::Map;

use super::command::{Refusal, Reply};
use super::io::Effect;
use super::phase::{Peering, Phase};
use super::{Pair, terms};
use crate::bundle::Config;
use crate::ledger::{Reach, Record, Void};
use crate::manifest::types::Mode;
use crate::measure::Moment;
use crate::name::{ProductName, ServerName};
use crate::{mutant, seen};

impl Pair {
    pub(super) fn is_escrow(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.redundancy.mode == Mode::Escrow)
    }

    /// Whether a bundle runs another mode than the one that runs.
    pub(super) fn changes_mode(&self, config: &Config) -> bool {
        let ours = self.config.as_ref();
        ours.is_some_and(|ours| ours.redundancy.mode != config.redundancy.mode)
    }

    /// Whose slots this server may use: those of both only while every grant is on both disks before it is answered.
    pub(super) fn reach(&self) -> Reach {
        match &self.phase {
            Phase::Active(active) if active.peering == Peering::Paired => Reach::Both,
            _ => Reach::Own,
        }
    }

    /// Whether the slots of a product are shared out: while paired this is a matter of a moment.
    pub(super) fn shared_out(&self, product: &ProductName) -> Result<(), Refusal> {
        let known =
            self.config.as_ref().is_some_and(|config| config.products.contains_key(product));
        let waits = self.is_escrow()
            && known
            && self.reach() == Reach::Both
            && !self.ledger.is_shared_out(product);
        if waits {
            return Err(Refusal::Grace { retry_after: self.redundancy().heartbeat });
        }
        Ok(())
    }

    /// Notes up to where this server's own disk has the records.
    pub(super) fn note_durable_here(&mut self) {
        while let Some((write, position)) = self.recorded.front().copied() {
            if write > self.durable {
                break;
            }
            self.durable_here = position;
            self.recorded.pop_front();
        }
    }

    /// Up to which record of this epoch both disks have everything.
    pub(super) fn settled(&self) -> u64 {
        let here = self.durable_here;
        let here = if here.epoch == self.ledger.position().epoch { here.seq } else { 0 };
        here.min(self.durable_at_peer)
    }

    /// Takes the next steps on the way to where the slots should be; at each heartbeat, and on when the last step is on
    /// both disks.
    pub(super) fn settle(&mut self, out: &mut Vec<Effect>) {
        if !self.is_escrow() && self.ledger.quotas().is_empty() {
            return;
        }
        let settled = self.settled();
        if self.reach() != Reach::Both || settled < self.settling || !self.peer_runs_the_same() {
            return;
        }
        if self.void_until.is_none() {
            self.wait_for_void();
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let records = if self.is_escrow() {
            self.ledger.settle(settled, &terms)
        } else {
            self.ledger.drop_quotas(&terms).into_iter().collect()
        };
        self.settling = if records.is_empty() { 0 } else { self.ledger.position().seq };
        self.record_all(records, out);
    }

    /// Goes on with steps that were begun, once both disks have them.
    pub(super) fn settle_on(&mut self, out: &mut Vec<Effect>) {
        if self.settling > 0 {
            self.settle(out);
        }
    }

    /// What was begun on a connection that is gone is void: it is begun anew, from the whole ledger, on the next.
    pub(super) fn stop_settling(&mut self) {
        if self.settling > self.durable_at_peer {
            seen!(TransferRepeated);
        }
        self.settling = 0;
    }

    /// Makes durable the records that the ledger has just made.
    fn record_all(&mut self, records: Vec<Record>, out: &mut Vec<Effect>) {
        for (position, record) in self.ledger.placed(records) {
            match &record {
                Record::Ended { lease, .. } => self.tell_expired(lease, out),
                Record::Quotas(_) => self.event("quotas", Map::new(), out),
                _ => {}
            }
            self.record_at(position, record, out);
        }
    }

    /// Whether the peer runs the bundle that runs here: another may give it another capacity, or another mode.
    fn peer_runs_the_same(&self) -> bool {
        let ours = self.committed.as_ref().map(|committed| committed.hash());
        let theirs = self.link.as_ref().and_then(|link| link.hello.as_ref());
        theirs.is_some_and(|hello| hello.generation == self.generation() && hello.bundle == ours)
    }

    /// Another mode than escrow begins: quotas mean nothing any more.
    pub(super) fn leave_escrow(&mut self, out: &mut Vec<Effect>) {
        if self.is_escrow() || !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        if self.ledger.quotas().is_waiting() {
            // What a lost disk or a fenced server gave is unknown still: no slots wait for that any more.
            self.enter_grace(out);
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if let Some(record) = self.ledger.drop_quotas(&terms) {
            self.record(record, out);
        }
    }

    /// This server goes on alone, or its peer has lost its disk: of what waits for the peer it answers what its own slots
    /// cover. The rest is refused; who asks again gets a slot of this server's, where one is free.
    pub(super) fn refuse_uncovered(&mut self, out: &mut Vec<Effect>) {
        if !self.is_escrow() || mutant!(EscrowAnswersUncovered) {
            return;
        }
        let retry_after = self.redundancy().heartbeat;
        for waiting in std::mem::take(&mut self.waiting) {
            let covered = match &waiting.reply {
                Reply::Lease(held) => self.ledger.covers(&held.lease.id, &self.me),
                _ => true,
            };
            if covered {
                self.waiting.push_back(waiting);
            } else {
                seen!(RefusedUncovered);
                let refused = Box::new(Reply::Refused(Refusal::Grace { retry_after }));
                out.push(Effect::Reply(waiting.ticket, refused));
            }
        }
    }

    /// The peer lost its disk: what it granted of its own slots is unknown for one ttl.
    pub(super) fn lose_peers_slots(&mut self, out: &mut Vec<Effect>) {
        if !self.is_escrow() {
            return;
        }
        let Some(peer) = self.peer().map(|peer| peer.name.clone()) else { return };
        let quotas = self.ledger.quotas();
        if !quotas.is_empty() && quotas.void(&peer) != Some(Void::Replaced) {
            seen!(SlotsLost);
            // It may have given these slots away before it heard of what waits for it here.
            self.refuse_uncovered(out);
            self.make_void(&peer, Void::Lost, out);
        }
        self.wait_for_void();
    }

    fn make_void(&mut self, server: &ServerName, void: Void, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let record = self.ledger.make_void(server, void, &terms);
        self.record(record, out);
    }

    /// An operator's word that the peer is dead: one ttl later its slots are this server's.
    pub(super) fn fence_slots(&mut self, out: &mut Vec<Effect>) {
        if !self.is_escrow() {
            return;
        }
        let Some(peer) = self.peer().map(|peer| peer.name.clone()) else { return };
        if self.ledger.quotas().void(&peer) == Some(Void::Replaced) {
            return;
        }
        seen!(Fenced);
        self.make_void(&peer, Void::Fenced, out);
        self.wait_for_void();
        if mutant!(FenceAtOnce) {
            self.void_until = Some(self.now.moment);
            self.end_void(out);
        }
    }

    /// Waits one ttl, from now, for what is unknown to come or to run out; anew in each time of service.
    pub(super) fn wait_for_void(&mut self) {
        let waits = self.ledger.quotas().is_waiting();
        self.void_until = waits.then(|| self.now.moment + self.grace_span());
    }

    /// At each heartbeat: whether that ttl has passed.
    pub(super) fn end_void(&mut self, out: &mut Vec<Effect>) {
        let due = |until: Moment| until <= self.now.moment;
        if !self.void_until.is_some_and(due) || !self.is_escrow() {
            return;
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let Phase::Active(active) = &self.phase else { return };
        let peer = self.peer().map(|peer| peer.name.clone());
        let fenced = peer.filter(|peer| self.ledger.quotas().void(peer) == Some(Void::Fenced));
        let records = match (active.peering, fenced) {
            (Peering::Paired, _) => vec![self.ledger.count_on_all(&terms)],
            (Peering::Alone, Some(fenced)) if self.link.is_none() => {
                self.event("fence-completed", Map::new(), out);
                self.ledger.replace(&fenced, &terms)
            }
            // A server that is alone needs to know nothing of the other's slots.
            _ => return,
        };
        self.void_until = None;
        self.record_all(records, out);
    }
}
