//! The two servers meet: who hands over, who is merged, who is caught up, until they count on each other again
//! (rules 2, 6 and 7).

use serde_json::Map;

use super::command::Refusal;
use super::frame::{Frame, Heartbeat, Hello, State};
use super::io::{Effect, Write};
use super::phase::{Begun, Link, Next, Peering, Phase};
use super::standby::parts;
use super::{Pair, conflict, terms};
use crate::ledger::{Contents, Given, Position};
use crate::manifest::types::{OnOverGrant, Role};
use crate::measure::{Epoch, Generation, Span};
use crate::{mutant, seen};

/// The epochs that the two servers of a first bundle make, each its own first.
const FIRST_EPOCHS: Epoch = Epoch(2);
/// How far apart the wall clocks of two servers may be before they say so.
const CLOCKS_APART: Span = Span::from_secs(60);

impl Pair {
    pub(super) fn on_connected(&mut self, out: &mut Vec<Effect>) {
        if !self.takes_link() {
            return out.push(Effect::Disconnect);
        }
        self.link_count += 1;
        self.link = Some(Link::new(self.now.moment));
        self.lose_peer(out);
        self.say_hello(out);
    }

    pub(super) fn on_disconnected(&mut self, out: &mut Vec<Effect>) {
        if self.link.take().is_some() {
            self.link_count += 1;
            self.lose_peer(out);
        }
    }

    /// The peer lives and does not know this server. One that was never in step with it leaves service to it: it has
    /// nothing that the peer lacks, and two servers that both live would serve as in a cut.
    pub(super) fn on_refused(&mut self) {
        if self.facts.met {
            return;
        }
        let now = self.now.moment;
        let patience = self.redundancy().failover_after;
        match &mut self.phase {
            Phase::Recovering { until } => *until = now + patience,
            Phase::Standby(standby) => standby.silent_since = now,
            _ => {}
        }
    }

    /// Whatever was under way with the peer is void; what waits for it stays until that is decided (rule 2).
    pub(super) fn lose_peer(&mut self, out: &mut Vec<Effect>) {
        let Phase::Active(active) = &mut self.phase else { return };
        let was = active.peering;
        match was {
            Peering::Paired | Peering::Pairing | Peering::CatchingUp | Peering::Asking => {
                active.peering = Peering::Lost;
                self.stop_settling();
                if was == Peering::Paired {
                    self.tell_state(out);
                }
            }
            Peering::Alone | Peering::GoingAlone | Peering::Lost | Peering::Merging => {}
        }
    }

    pub(super) fn say_hello(&mut self, out: &mut Vec<Effect>) {
        let hello = Hello {
            role: self.role(),
            state: self.state(),
            generation: self.generation(),
            bundle: self.committed.as_ref().map(|committed| committed.hash()),
            epoch: self.facts.epoch,
            position: self.ledger.position(),
            served: self.facts.served,
            met: self.facts.met,
            complete: Some(self.facts.complete),
            whole: self.knows_all(),
            chain: conflict::digest_of(self.statements()),
            lead: self.lead_told(),
            pending: self.roles_are_pending(),
            odd: self.facts.odd,
            wall: self.now.wall,
        };
        self.send(Frame::Hello(Box::new(hello)), out);
    }

    pub(super) fn on_frame(&mut self, frame: Frame, out: &mut Vec<Effect>) {
        let now = self.now.moment;
        let Some(link) = &mut self.link else { return };
        link.received += 1;
        link.heard = now;
        self.facts.heard = Some(self.now.wall);
        match &frame {
            Frame::Hello(hello) => link.state = hello.state,
            Frame::Heartbeat(beat) => link.state = beat.state,
            _ => {}
        }
        if matches!(self.phase, Phase::Starting { .. }) {
            // Judged once this server begins.
            if let Frame::Hello(hello) = frame {
                link.hello = Some(hello);
            }
            return;
        }
        if self.peer_is_active() && !mutant!(SecondaryIgnoresHeartbeats) {
            self.hear_active();
            self.tell_handed_over(out);
        }
        match frame {
            Frame::Hello(hello) => self.on_hello(hello, out),
            Frame::Heartbeat(beat) => self.on_heartbeat(&beat, out),
            Frame::Records { first, records } => self.on_records(first, records, out),
            Frame::Durable { position } => self.on_durable_at_peer(position, out),
            Frame::HandOver => self.hand_over(out),
            Frame::HandedOver { contents, more } => {
                if let Some(contents) = self.gather(*contents, more) {
                    self.on_handed_over(contents, out);
                }
            }
            Frame::CatchUp { contents, more } => {
                if let Some(contents) = self.gather(*contents, more) {
                    self.on_catch_up(contents, out);
                }
            }
            Frame::CaughtUp { position } => self.on_caught_up(position, out),
            Frame::Bundle { chain, bundle, insists } => {
                self.on_offer(chain, &bundle, insists, out);
            }
            Frame::Goodbye => self.on_goodbye(out),
        }
    }

    pub(super) fn on_hello(&mut self, hello: Box<Hello>, out: &mut Vec<Effect>) {
        let apart = self.now.wall.since(hello.wall).max(hello.wall.since(self.now.wall));
        if apart > CLOCKS_APART {
            let mut details = Map::new();
            details.insert("apartMs".into(), apart.ms().into());
            self.event("clocks-apart", details, out);
        }
        let pending = hello.pending || self.roles_are_pending();
        if hello.role.is_some() && hello.role == self.role() && !pending {
            let mut details = Map::new();
            details.insert("role".into(), hello.role.map_or("none", Role::as_str).into());
            self.event("same-role", details, out);
        }
        self.learn_epoch(hello.epoch);
        self.settle_parity(&hello, out);
        self.learn_lead(hello.lead.as_ref(), out);
        let active = hello.state == State::Active;
        if let Some(link) = &mut self.link {
            let runs = |hello: &Hello| (hello.generation, hello.bundle, hello.chain);
            if link.hello.as_ref().is_some_and(|before| runs(before) != runs(&hello)) {
                // What was offered may have met another bundle that was just being written.
                link.offered = Generation(0);
            }
            link.hello = Some(hello);
        }
        self.offer(out);
        self.consider_roles(out);
        if active && !self.is_leader() && matches!(self.phase, Phase::Active(_) | Phase::TakingOver)
        {
            self.stop_serving(out);
        }
        self.consider_peer(out);
    }

    fn on_heartbeat(&mut self, beat: &Heartbeat, out: &mut Vec<Effect>) {
        let ours = self.generation();
        if let Some(link) = &mut self.link {
            link.behind = if beat.generation < ours { link.behind.saturating_add(1) } else { 0 };
        }
        if self.link.as_ref().is_some_and(|link| link.behind >= 3) {
            self.offer(out);
        }
        if self.is_leader() {
            if let Some(link) = &mut self.link {
                link.acknowledge(beat.received);
            }
            self.consider_peer(out);
        } else if beat.state == State::Active {
            self.on_active_heartbeat(beat, out);
        } else if let Phase::Standby(standby) = &mut self.phase {
            standby.in_step = false;
        }
    }

    /// Collects the parts of a ledger; the whole once the last has come.
    fn gather(&mut self, part: Contents, more: bool) -> Option<Contents> {
        let link = self.link.as_mut()?;
        let whole = match link.incoming.take() {
            None => part,
            Some(whole) if mutant!(FirstPartOnly) => whole,
            Some(mut whole) => {
                whole.leases.extend(part.leases);
                whole.ends.extend(part.ends);
                whole.nonces.extend(part.nonces);
                whole.waiters.extend(part.waiters);
                whole
            }
        };
        if more {
            link.incoming = Some(whole);
            return None;
        }
        Some(whole)
    }

    /// The server that leads judges what the other one said: ask for its ledger, or catch it up.
    pub(super) fn consider_peer(&mut self, out: &mut Vec<Effect>) {
        // A peer that was not told yet who leads may believe that it does, and hears none of this.
        if !self.is_leader() || !self.has_told_lead() {
            return;
        }
        let undecided = match &self.phase {
            Phase::Recovering { .. } => true,
            Phase::Active(active) => {
                matches!(active.peering, Peering::Alone | Peering::Lost)
                    && active.retry_at <= self.now.moment
            }
            _ => false,
        };
        let Some(link) = &self.link else { return };
        let Some(hello) = &link.hello else { return };
        let is_other = hello.role.is_some() && hello.role != self.role();
        if !undecided || !is_other || self.is_silent() {
            return;
        }
        let position = self.ledger.position();
        let ahead = hello.position > position;
        let has_more = ahead || self.is_forgetful(hello);
        let must_hand_over = hello.served || link.state == State::Active || has_more;
        let (forgot, lacks) = (self.has_forgotten(hello), self.may_lack(hello));
        let same_epoch = hello.position.epoch == position.epoch;
        let recovers = matches!(self.phase, Phase::Recovering { .. });
        if must_hand_over && !link.merged && !mutant!(CatchUpOverwrites) {
            // One that serves and fell silent while it was waited for is asked anew: what it sent then was not taken.
            if !(recovers && link.asked) {
                self.ask(out);
            }
        } else if recovers {
            self.come_back(lacks, out);
        } else {
            if !lacks && let Phase::Active(active) = &mut self.phase {
                active.grace = None;
                self.facts.complete = true;
            }
            if forgot {
                self.lose_peers_slots(out);
            }
            if same_epoch && mutant!(EqualEpochs) {
                self.turn_to_peer(Peering::CatchingUp);
                return self.on_caught_up(position, out);
            }
            self.catch_up(out);
        }
    }

    /// Whether a peer has lost its disk: it was never in step, where this server was. What it granted is unknown.
    fn has_forgotten(&self, peer: &Hello) -> bool {
        self.facts.met && !peer.met
    }

    /// Whether this server has lost its disk: its peer was in step, and not with what this one knows. However far its own
    /// ledger is, by serving alone since, the peer knows what it does not.
    fn is_forgetful(&self, peer: &Hello) -> bool {
        peer.met && !self.facts.met && !self.facts.knows_peer
    }

    /// Whether leases may live that neither server knows, once both have told each other all: a disk was lost, and with it
    /// what its server gave (rule 4).
    fn may_lack(&self, peer: &Hello) -> bool {
        let complete = peer.complete.unwrap_or(!self.has_forgotten(peer));
        if peer.whole || (self.facts.complete && complete) {
            return false;
        }
        // The two servers of a first bundle have nothing to know, also where each began alone before they met: one whose
        // peer has lost its disk has heard of an epoch that it did not make.
        let know_of_none = peer.epoch == Epoch(0) || (self.facts.served && peer.served);
        let never_met = !self.facts.met && !peer.met;
        !(never_met && know_of_none && self.facts.epoch <= FIRST_EPOCHS)
    }

    fn ask(&mut self, out: &mut Vec<Effect>) {
        let until = self.now.moment + self.redundancy().failover_after;
        match &mut self.phase {
            Phase::Recovering { until: at } => *at = until,
            _ => self.turn_to_peer(Peering::Asking),
        }
        if let Some(link) = &mut self.link {
            link.asked = true;
        }
        self.send(Frame::HandOver, out);
    }

    /// An active server begins to count on its peer again; one that was alone waits for it only so long.
    fn turn_to_peer(&mut self, peering: Peering) {
        let now = self.now.moment;
        let alone_at = now + self.redundancy().alone_after();
        if let Phase::Active(active) = &mut self.phase {
            active.turned_at = now;
            if active.peering == Peering::Alone {
                active.alone_at = alone_at;
            }
            active.peering = peering;
        }
    }

    /// A server that leads and whose peer has nothing that it lacks serves again.
    fn come_back(&mut self, grace: bool, out: &mut Vec<Effect>) {
        seen!(FoundPeer);
        let epoch = self.next_epoch();
        self.facts.epoch = epoch;
        self.facts.served = true;
        self.facts.knows_peer = true;
        self.ledger.begin(epoch);
        self.phase = Phase::TakingOver;
        let grace = grace && !self.is_escrow();
        self.facts.complete |= !grace;
        let next = Next::Serve { epoch, grace, alone: false };
        self.persist_then(vec![Write::Facts(self.facts.clone())], next, out);
    }

    /// The other server's whole ledger has come: it is merged, and both count as one from here on (rules 6 and 7).
    fn on_handed_over(&mut self, mut theirs: Contents, out: &mut Vec<Effect>) {
        let asked = self.link.as_ref().is_some_and(|link| link.asked);
        let expected = match &self.phase {
            Phase::Recovering { .. } => true,
            Phase::Active(active) => active.peering == Peering::Asking,
            _ => false,
        };
        if !asked || !expected {
            return;
        }
        let hello = self.link.as_ref().and_then(|link| link.hello.as_deref());
        let lacks = hello.is_some_and(|hello| self.may_lack(hello)) && !self.is_escrow();
        let knew_nothing =
            self.ledger.quotas().is_empty() && hello.is_some_and(|hello| self.is_forgetful(hello));
        // What was not acknowledged is given up: the other side may have given the seat away.
        let begun = self.refuse_waiting(&Refusal::Recovering, out);
        self.learn_epoch(theirs.position.epoch);
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        for Begun { lease, waiter } in begun {
            // The records are part of the whole ledger that is written below.
            match waiter {
                // Its place is kept: where the other side has its lease, the merge ends the waiting.
                Some(waiter) => self.ledger.put_back(waiter, &terms),
                None => {
                    let _ = self.ledger.cancel(&lease, &terms);
                }
            }
        }
        seen!(Merged);
        if let Some(link) = &mut self.link {
            link.merged = true;
        }
        if mutant!(TakesOverNothing) {
            theirs.leases.clear();
        }
        let given = Given::of(&self.ledger, &theirs, &terms);
        let epoch = self.next_epoch();
        self.ledger.merge(theirs, epoch, &terms);
        self.facts.epoch = epoch;
        self.facts.served = true;
        self.facts.knows_peer = true;
        self.facts.paired = false;
        self.facts.complete |= !lacks;
        self.ledger.begin(epoch);
        if knew_nothing && terms.is_escrow() && !self.ledger.quotas().is_empty() {
            // What this server granted of its own slots went with its disk.
            seen!(SlotsLost);
            self.ledger.lose_own_slots(&terms);
        }
        self.tell_over_grants(out);
        if config.redundancy.on_over_grant == OnOverGrant::Revoke
            && !mutant!(DrainsInsteadOfRevoking)
        {
            for lease in self.ledger.revoke_surplus(&given, &terms) {
                seen!(SurplusRevoked);
                self.tell_lease("revoked", &lease, out);
            }
        }
        if let Phase::Active(active) = &mut self.phase {
            active.peering = Peering::Merging;
        } else {
            self.phase = Phase::TakingOver;
        }
        let contents = Box::new(self.ledger.contents_at(self.now.moment));
        let writes = vec![Write::Ledger(contents), Write::Facts(self.facts.clone())];
        self.persist_then(writes, Next::Serve { epoch, grace: lacks, alone: false }, out);
    }

    fn tell_over_grants(&self, out: &mut Vec<Effect>) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        for product in config.products.keys() {
            let over = self.ledger.over_grant(product, &terms);
            if over.0 > 0 {
                let mut details = Map::new();
                details.insert("product".into(), product.as_str().into());
                details.insert("seats".into(), over.0.into());
                self.event("over-grant", details, out);
            }
        }
    }

    /// Sends the whole ledger to the other server; records follow it from here on.
    fn catch_up(&mut self, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.facts.knows_peer, true) {
            self.persist(vec![Write::Facts(self.facts.clone())], out);
        }
        self.turn_to_peer(Peering::CatchingUp);
        self.durable_at_peer = 0;
        for (contents, more) in parts(self.ledger.contents_at(self.now.moment)) {
            self.send(Frame::CatchUp { contents: Box::new(contents), more }, out);
        }
    }

    /// The other server has it all on its disk: "paired" is made durable.
    fn on_caught_up(&mut self, position: Position, out: &mut Vec<Effect>) {
        let Phase::Active(active) = &mut self.phase else { return };
        if active.peering != Peering::CatchingUp || position.epoch != self.ledger.position().epoch {
            return;
        }
        active.peering = Peering::Pairing;
        if let Some(hello) = self.link.as_mut().and_then(|link| link.hello.as_mut()) {
            // What it said of itself came before: where this connection goes silent for a while, it has forgotten nothing.
            hello.met = true;
        }
        self.durable_at_peer = self.durable_at_peer.max(position.seq);
        self.facts.paired = true;
        self.facts.met = true;
        self.facts.served = false;
        let next = Next::Pair { link: self.link_count };
        self.persist_then(vec![Write::Facts(self.facts.clone())], next, out);
    }

    pub(super) fn be_paired(&mut self, link: u64, out: &mut Vec<Effect>) {
        let Phase::Active(active) = &mut self.phase else { return };
        if link != self.link_count || active.peering != Peering::Pairing {
            return;
        }
        active.peering = Peering::Paired;
        self.tell_state(out);
        self.beat(out);
        self.ledger.set_reach(self.reach());
        self.settle(out);
        self.consider_roles(out);
    }

    fn on_durable_at_peer(&mut self, position: Position, out: &mut Vec<Effect>) {
        if position.epoch == self.ledger.position().epoch {
            self.durable_at_peer = self.durable_at_peer.max(position.seq);
            self.settle_on(out);
        }
    }

    /// The peer stops on purpose: a server that leads need not wait for it (rule 2).
    fn on_goodbye(&mut self, out: &mut Vec<Effect>) {
        let waits = match &self.phase {
            Phase::Active(active) => {
                !matches!(active.peering, Peering::Alone | Peering::GoingAlone)
            }
            _ => false,
        };
        if waits && self.is_leader() {
            self.go_alone(out);
        }
        self.disconnect(out);
    }
}
