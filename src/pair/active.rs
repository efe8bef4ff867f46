//! The server that serves: commands of clients, records, and the replies that wait until both disks have them
//! (rules 1, 2 and 4).

use serde_json::Map;

use super::borrow::is_borrowed;
use super::command::{Command, Held, Nonce, Refusal, Reply};
use super::frame::Frame;
use super::io::{Effect, Ticket, Write};
use super::phase::{Active, Begun, Peering, Phase, Waiting};
use super::{Pair, State, terms};
use crate::ledger::{Checkout, Granted, No, Position, Record, Token, Waiter};
use crate::manifest::types::Role;
use crate::measure::{Epoch, Span};
use crate::name::{LeaseId, ServerName, UseId};
use crate::{mutant, seen};

/// How long a reply waits to become durable before it is refused.
const REPLY_WAITS: Span = Span::from_secs(30);
/// How many holders a refusal names.
const HOLDERS_NAMED: usize = 20;

impl Pair {
    pub(super) fn on_command(&mut self, ticket: Ticket, command: Command, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Stuck) {
            return reply(ticket, Reply::Refused(Refusal::Recovering), out);
        }
        // A bundle is taken whatever this server does; everything else only while it serves.
        let command = match command {
            Command::Commit(commit) => return self.on_commit(Some(ticket), commit, out),
            other => other,
        };
        if let Err(refusal) = self.serving() {
            return reply(ticket, Reply::Refused(refusal), out);
        }
        match command {
            Command::Checkout(request) => self.checkout(ticket, &request, out),
            Command::Wait(wait) => self.wait(ticket, *wait, out),
            Command::Renew(token) => self.renew(ticket, &token, out),
            Command::Release(token) => self.release(ticket, &token, out),
            Command::ForceRelease { lease, reason, nonce } => {
                self.force_release(ticket, &lease, &reason, nonce, out);
            }
            Command::Fence { server, nonce } => self.fence(ticket, &server, nonce, out),
            Command::Handover { server, nonce } => self.handover(ticket, &server, nonce, out),
            Command::Commit(_) => {}
        }
    }

    fn serving(&self) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Active(_) => Ok(()),
            Phase::Unconfigured => Err(Refusal::Unconfigured),
            Phase::Standby(standby) if !standby.handing_over => {
                if mutant!(SecondaryIgnoresHeartbeats) { Ok(()) } else { Err(Refusal::Standby) }
            }
            _ => Err(Refusal::Recovering),
        }
    }

    /// Whether anything new may be granted now: not in grace, and not while it is undecided whether the peer counts.
    pub(super) fn granting(&self) -> Result<(), Refusal> {
        let Phase::Active(active) = &self.phase else { return Ok(()) };
        let now = self.now.moment;
        if let Some(until) = active.grace
            && until > now
            && !mutant!(NoGrace)
        {
            seen!(RefusedInGrace);
            return Err(Refusal::Grace { retry_after: until.since(now) });
        }
        match active.peering {
            Peering::Alone | Peering::Paired => Ok(()),
            _ if mutant!(AloneAtOnce) => Ok(()),
            _ => {
                let least = self.redundancy().heartbeat;
                Err(Refusal::Grace { retry_after: active.alone_at.since(now).max(least) })
            }
        }
    }

    pub(super) fn checkout(&mut self, ticket: Ticket, request: &Checkout, out: &mut Vec<Effect>) {
        let may = self.granting().and_then(|()| self.lending(request));
        if let Err(refusal) = may.and_then(|()| self.shared_out(&request.product)) {
            return reply(ticket, Reply::Refused(refusal), out);
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        match self.ledger.checkout(request, &terms) {
            Ok(granted) => self.give(ticket, &request.use_id, granted, None, out),
            Err(no) => {
                let refusal = self.refusal(no, request);
                self.tell_denial(request, &refusal, out);
                reply(ticket, Reply::Refused(refusal), out);
            }
        }
    }

    /// Makes a grant durable and answers it.
    pub(super) fn give(
        &mut self,
        ticket: Ticket,
        use_id: &UseId,
        granted: Granted,
        waiter: Option<Waiter>,
        out: &mut Vec<Effect>,
    ) {
        let recorded = granted.record.is_some();
        if let Some(record) = granted.record {
            self.record(record, out);
        }
        let id = granted.lease;
        let Some(held) = self.held(&id, use_id, granted.is_new) else { return };
        if !granted.is_new && mutant!(HeldFromMemory) {
            self.tell_given(&held, out);
            return reply(ticket, held, out);
        }
        let lends = recorded && is_borrowed(&held);
        let begun = (granted.is_new && recorded).then(|| Begun { lease: id.clone(), waiter });
        self.reply_when_durable(ticket, held, begun, out);
        if let Some(last) = self.waiting.back_mut().filter(|last| last.ticket == ticket) {
            last.lends = lends;
        }
        if granted.is_new {
            self.end_turn(&id, out);
        }
    }

    fn renew(&mut self, ticket: Ticket, token: &Token, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if matches!(&self.phase, Phase::Active(active) if active.is_in_grace())
            && mutant!(GraceRenewsNothing)
        {
            let retry_after = self.redundancy().heartbeat;
            return reply(ticket, Reply::Refused(Refusal::Grace { retry_after }), out);
        }
        match self.ledger.renew(token, &terms) {
            Ok((id, record)) => {
                self.renewed.insert(id.clone());
                let Some(held) = self.held(&id, &token.use_id, false) else { return };
                match record {
                    None => {
                        self.tell_given(&held, out);
                        reply(ticket, held, out);
                    }
                    Some(record) => {
                        self.record(record, out);
                        self.reply_when_durable(ticket, held, None, out);
                    }
                }
            }
            Err(Some(no)) => reply(ticket, Reply::Refused(self.refusal_of(no)), out),
            Err(None) => self.adopt(ticket, token, out),
        }
    }

    /// A token of ours for a lease that is not known here: its holder may have it from the peer (rule 3).
    fn adopt(&mut self, ticket: Ticket, token: &Token, out: &mut Vec<Effect>) {
        let Phase::Active(active) = &self.phase else {
            return reply(ticket, Reply::Refused(Refusal::UnknownLease), out);
        };
        if !matches!(active.peering, Peering::Alone | Peering::Paired) {
            let retry_after = self.redundancy().heartbeat;
            return reply(ticket, Reply::Refused(Refusal::Grace { retry_after }), out);
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let before = mutant!(AdoptedFromMemory).then(|| self.ledger.clone());
        match self.ledger.adopt(token, &terms) {
            Ok(adopted) => {
                seen!(Adopted);
                if let Some(before) = before {
                    let held = self.held(&adopted.lease, &token.use_id, false);
                    self.ledger = before;
                    return held.into_iter().for_each(|held| reply(ticket, held, out));
                }
                // Such a token proves that the ledger is incomplete: there may be more.
                if !self.is_escrow() && !adopted.is_known {
                    self.enter_grace(out);
                }
                for (position, record) in self.ledger.placed(adopted.records) {
                    self.record_at(position, record, out);
                }
                self.tell_lease("adopted", &adopted.lease, out);
                if let Some(held) = self.held(&adopted.lease, &token.use_id, false) {
                    self.reply_when_durable(ticket, held, None, out);
                }
            }
            Err(no) => reply(ticket, Reply::Refused(self.refusal_of(no)), out),
        }
    }

    fn release(&mut self, ticket: Ticket, token: &Token, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if let Some(record) = self.ledger.release(token, &terms) {
            if matches!(record, Record::Ended { .. }) {
                let mut details = Map::new();
                details.insert("lease".into(), token.lease.as_str().into());
                self.event("released", details, out);
            }
            self.record(record, out);
        }
        self.reply_when_durable(ticket, Reply::Released, None, out);
    }

    fn force_release(
        &mut self,
        ticket: Ticket,
        lease: &LeaseId,
        reason: &str,
        nonce: Nonce,
        out: &mut Vec<Effect>,
    ) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if self.ledger.nonce_taken(&nonce.nonce) {
            return reply(ticket, Reply::Refused(Refusal::NonceTaken), out);
        }
        let reason = format!("released by an operator: {reason}");
        match self.ledger.force(lease, &reason, &terms) {
            Ok(record) => {
                let forced = self.ledger.position();
                let taken = self.ledger.take_nonce(nonce.nonce, nonce.expires, &terms);
                self.record_at(forced, record, out);
                self.record(taken, out);
                self.tell_lease("revoked", lease, out);
                self.reply_when_durable(ticket, Reply::Done, None, out);
            }
            Err(no) => reply(ticket, Reply::Refused(self.refusal_of(no)), out),
        }
    }

    /// An operator's word that the peer is dead: nothing waits for it any longer (rule 4).
    fn fence(&mut self, ticket: Ticket, server: &ServerName, nonce: Nonce, out: &mut Vec<Effect>) {
        let refuse = |reason: String| Reply::Refused(Refusal::FenceRefused { reason });
        if self.peer().is_none_or(|peer| peer.name != *server) {
            let reason = format!("`{server}` is not the other server of this pair");
            return reply(ticket, refuse(reason), out);
        }
        if self.ledger.nonce_taken(&nonce.nonce) {
            return reply(ticket, Reply::Refused(Refusal::NonceTaken), out);
        }
        if self.link.is_some() {
            let reason = format!("`{server}` is heard: only a dead server can be fenced");
            return reply(ticket, refuse(reason), out);
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let taken = self.ledger.take_nonce(nonce.nonce, nonce.expires, &terms);
        self.record(taken, out);
        let undecided = match &mut self.phase {
            Phase::Active(active) => {
                active.grace = None;
                !matches!(active.peering, Peering::Alone | Peering::GoingAlone)
            }
            _ => false,
        };
        self.be_complete(out);
        if undecided {
            self.go_alone(out);
        }
        self.fence_slots(out);
        let mut details = Map::new();
        details.insert("fenced".into(), server.as_str().into());
        self.event("fenced", details, out);
        self.reply_when_durable(ticket, Reply::Done, None, out);
    }

    /// Makes the record just made durable here, and sends it to a peer that counts.
    pub(super) fn record(&mut self, record: Record, out: &mut Vec<Effect>) {
        self.record_at(self.ledger.position(), record, out);
    }

    pub(super) fn record_at(&mut self, position: Position, record: Record, out: &mut Vec<Effect>) {
        let write = self.persist(vec![Write::Record(position, record.clone())], out);
        self.recorded.push_back((write, position));
        let sends = matches!(&self.phase, Phase::Active(active) if matches!(
            active.peering, Peering::CatchingUp | Peering::Pairing | Peering::Paired
        ));
        if sends {
            self.send(Frame::Records { first: position, records: vec![record] }, out);
        }
    }

    /// Answers once everything so far is durable: here, and while paired at the peer too.
    pub(super) fn reply_when_durable(
        &mut self,
        ticket: Ticket,
        answer: Reply,
        begun: Option<Begun>,
        out: &mut Vec<Effect>,
    ) {
        if mutant!(AckBeforeSync) {
            self.tell_given(&answer, out);
            return reply(ticket, answer, out);
        }
        self.waiting.push_back(Waiting {
            ticket,
            reply: answer,
            write: self.written,
            seq: self.ledger.position().seq,
            give_up: self.now.moment + REPLY_WAITS,
            begun,
            lends: false,
        });
    }

    pub(super) fn release_waiting(&mut self, out: &mut Vec<Effect>) {
        let peer_counts = match &self.phase {
            Phase::Active(active) => match active.peering {
                Peering::Alone => false,
                Peering::Paired => !mutant!(AckBeforePeer),
                _ if mutant!(AloneAtOnce) => false,
                Peering::Lost if mutant!(AnswersAtPeerLost) => false,
                _ => return,
            },
            _ => return,
        };
        while let Some(first) = self.waiting.front() {
            let here = first.write <= self.durable;
            let there = !peer_counts || first.seq <= self.durable_at_peer;
            if !(here && there) {
                break;
            }
            if let Some(waiting) = self.waiting.pop_front() {
                self.tell_given(&waiting.reply, out);
                reply(waiting.ticket, waiting.reply, out);
            }
        }
    }

    /// Refuses what has waited too long.
    pub(super) fn give_up_waiting(&mut self, out: &mut Vec<Effect>) {
        let retry_after = self.redundancy().heartbeat;
        while self.waiting.front().is_some_and(|first| first.give_up <= self.now.moment) {
            if let Some(waiting) = self.waiting.pop_front() {
                self.take_back(&waiting, out);
                reply(waiting.ticket, Reply::Refused(Refusal::Grace { retry_after }), out);
            }
        }
    }

    /// Refuses everything that waits; gives the leases that had begun with it.
    pub(super) fn refuse_waiting(&mut self, why: &Refusal, out: &mut Vec<Effect>) -> Vec<Begun> {
        self.refuse_asking(why, out);
        let mut begun = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            begun.extend(waiting.begun);
            reply(waiting.ticket, Reply::Refused(why.clone()), out);
        }
        begun
    }

    /// Ends the leases whose time has run out.
    pub(super) fn expire(&mut self, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let records = self.ledger.expire(&terms);
        for (position, record) in self.ledger.placed(records) {
            match &record {
                Record::Ended { lease, .. } => self.tell_expired(lease, out),
                Record::Lease { lease, .. } => self.tell_lease("parked", &lease.id, out),
                _ => {}
            }
            self.record_at(position, record, out);
        }
    }

    pub(super) fn tell_expired(&self, lease: &LeaseId, out: &mut Vec<Effect>) {
        let mut details = Map::new();
        details.insert("lease".into(), lease.as_str().into());
        self.event("expired", details, out);
    }

    /// Grants nothing new for one ttl: by then an unknown holder has come, or its lease has run out.
    pub(super) fn enter_grace(&mut self, out: &mut Vec<Effect>) {
        let until = self.now.moment + self.grace_span();
        let ms = self.grace_span().ms();
        if let Phase::Active(active) = &mut self.phase {
            active.grace = Some(until);
            let mut details = Map::new();
            details.insert("graceMs".into(), ms.into());
            self.event("grace", details, out);
        }
    }

    /// No lease lives that this server does not know.
    pub(super) fn be_complete(&mut self, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.facts.complete, true) {
            self.persist(vec![Write::Facts(self.facts.clone())], out);
        }
    }

    /// Whether the ledger goes on in this epoch; a later one of the peer's may have been heard of since it began.
    fn is_of(&self, epoch: Epoch) -> bool {
        self.ledger.position().epoch == epoch
    }

    /// Begins to serve: the epoch is durable.
    pub(super) fn serve(&mut self, epoch: Epoch, grace: bool, alone: bool, out: &mut Vec<Effect>) {
        let expected = match &self.phase {
            Phase::TakingOver => true,
            Phase::Active(active) => active.peering == Peering::Merging,
            _ => false,
        };
        if !expected || !self.is_of(epoch) {
            return;
        }
        self.ledger.extend_all(self.now.moment);
        self.wait_for_void();
        self.recharge();
        let now = self.now.moment;
        let opens = now + self.redundancy().failover_after;
        self.queue_opens = self.ledger.has_waiters().then_some(opens);
        self.phase = Phase::Active(Active {
            grace: None,
            peering: if alone { Peering::Alone } else { Peering::Lost },
            alone_at: now + self.redundancy().alone_after(),
            turned_at: now,
            retry_at: now,
        });
        self.durable_at_peer = 0;
        if grace {
            self.enter_grace(out);
        }
        self.tell_state(out);
        self.beat(out);
        self.consider_peer(out);
    }

    /// Makes "alone" durable: the secondary may not take over without a grace any longer (rule 2).
    pub(super) fn go_alone(&mut self, out: &mut Vec<Effect>) {
        let epoch = self.next_epoch();
        let Phase::Active(active) = &mut self.phase else { return };
        active.peering = Peering::GoingAlone;
        self.refuse_uncovered(out);
        self.facts.epoch = epoch;
        self.facts.paired = false;
        self.facts.served = true;
        self.ledger.begin(epoch);
        let facts = Write::Facts(self.facts.clone());
        self.persist_then(vec![facts], super::phase::Next::Alone { epoch }, out);
    }

    pub(super) fn be_alone(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        if !self.is_of(epoch) {
            return;
        }
        if let Phase::Active(active) = &mut self.phase
            && active.peering == Peering::GoingAlone
        {
            active.peering = Peering::Alone;
            seen!(WentAlone);
            self.refuse_lending(out);
            self.tell_state(out);
        }
    }

    /// Charges every lease anew by the bundle that runs.
    pub(super) fn recharge(&mut self) {
        if let Some(config) = self.config.clone()
            && let Some(terms) = terms(&config, &self.me, &self.facts, self.now)
        {
            self.ledger.recharge(&terms);
        }
    }

    /// A lease as its holder sees it.
    fn held(&self, id: &LeaseId, use_id: &UseId, is_new: bool) -> Option<Reply> {
        let given = self.ledger.given(id, use_id, self.now.moment)?;
        Some(Reply::Lease(Box::new(Held {
            lease: given.lease.clone(),
            use_id: use_id.clone(),
            is_new,
            epoch: self.facts.epoch,
            ttl: given.ttl,
            expires_at: given.borrowed_until.unwrap_or(self.now.wall + given.ttl),
            borrowed_until: given.borrowed_until,
        })))
    }

    pub(super) fn refusal(&self, no: No, request: &Checkout) -> Refusal {
        let No::NoRoom { why } = no else { return self.refusal_of(no) };
        let mut holders = Vec::with_capacity(HOLDERS_NAMED);
        let mut soonest: Option<Span> = None;
        for view in self.ledger.leases(self.now.moment) {
            let lease = view.lease;
            if lease.product != request.product {
                continue;
            }
            soonest = Some(soonest.map_or(view.remaining, |soonest| soonest.min(view.remaining)));
            if holders.len() < HOLDERS_NAMED {
                holders.push((lease.user.clone(), lease.host.clone(), lease.seats()));
            }
        }
        let retry_after = soonest.unwrap_or_default().max(Span::from_secs(1));
        Refusal::NoSeatFree { why, holders, retry_after }
    }

    fn refusal_of(&self, no: No) -> Refusal {
        match no {
            No::UnknownProduct => Refusal::UnknownProduct,
            No::BorrowNotAllowed { why } => Refusal::BorrowNotAllowed { why },
            No::TooManyWaiting => Refusal::TooManyWaiting,
            No::UnknownLease => Refusal::UnknownLease,
            No::UseTaken => Refusal::UseTaken,
            No::Denied => Refusal::Denied,
            No::NotEntitled => Refusal::NotEntitled,
            No::Revoked { reason } => Refusal::Revoked { reason },
            No::NoRoom { why } => Refusal::NoSeatFree {
                why,
                holders: Vec::new(),
                retry_after: self.redundancy().heartbeat,
            },
        }
    }

    pub(super) fn tell_lease(&self, kind: &'static str, id: &LeaseId, out: &mut Vec<Effect>) {
        let Some(view) = self.ledger.lease(id, self.now.moment) else { return };
        let mut details = Map::new();
        details.insert("lease".into(), id.as_str().into());
        details.insert("product".into(), view.lease.product.as_str().into());
        details.insert("user".into(), view.lease.user.as_str().into());
        details.insert("host".into(), view.lease.host.as_str().into());
        details.insert("seats".into(), view.lease.seats().0.into());
        if let Some(reason) = view.revoked {
            details.insert("reason".into(), reason.into());
        }
        self.event(kind, details, out);
    }

    pub(super) fn tell_denial(&self, request: &Checkout, refusal: &Refusal, out: &mut Vec<Effect>) {
        let mut details = Map::new();
        details.insert("product".into(), request.product.as_str().into());
        details.insert("user".into(), request.user.as_str().into());
        details.insert("host".into(), request.host.as_str().into());
        details.insert("seats".into(), request.seats.0.into());
        details.insert("code".into(), refusal.code().into());
        self.event("denied", details, out);
    }

    /// What this server does, for frames.
    pub(super) fn state(&self) -> State {
        self.phase.state()
    }

    pub(super) fn is_primary(&self) -> bool {
        self.role() == Some(Role::Primary)
    }
}

pub(super) fn reply(ticket: Ticket, answer: Reply, out: &mut Vec<Effect>) {
    out.push(Effect::Reply(ticket, Box::new(answer)));
}
