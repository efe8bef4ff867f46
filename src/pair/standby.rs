//! The server that stays silent: it keeps what the active server records, and takes over when that falls silent
//! (rule 3).

use super::command::Refusal;
use super::frame::{Frame, Heartbeat, State};
use super::io::{Effect, Write};
use super::phase::{Next, Phase, Standby};
use super::{Pair, terms};
use crate::ledger::{Contents, Ledger, Position, Record};
use crate::measure::Epoch;
use crate::{mutant, seen};

impl Pair {
    /// Something came from a peer that serves.
    pub(super) fn hear_active(&mut self) {
        let now = self.now.moment;
        if let Phase::Standby(standby) = &mut self.phase {
            standby.silent_since = now;
        }
    }

    /// The active server's heartbeat reached one that does not lead.
    pub(super) fn on_active_heartbeat(&mut self, beat: &Heartbeat, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Active(_) | Phase::TakingOver) {
            self.stop_serving(out);
        }
        let acked = self.link.as_mut().and_then(|link| link.acknowledge(beat.received));
        let caught_up = !self.facts.served;
        let Phase::Standby(standby) = &mut self.phase else { return };
        let was = standby.in_step;
        let may_be = caught_up && !standby.handing_over;
        if may_be && (beat.paired || mutant!(InStepByOwnView)) {
            standby.in_step = true;
            standby.of_grace = beat.grace;
            standby.acked = acked.map_or(standby.acked, |at| at.max(standby.acked));
        } else {
            standby.in_step = false;
        }
        let is = standby.in_step;
        if is && !standby.of_grace {
            self.be_complete(out);
        }
        for id in &beat.renewed {
            self.ledger.extend(id, self.now.moment);
        }
        if was != is {
            self.tell_state(out);
        }
    }

    /// A server that serves and does not lead meets the one that leads and serves: it stops at once, and hands over
    /// (rule 7).
    pub(super) fn stop_serving(&mut self, out: &mut Vec<Effect>) {
        self.refuse_waiting(&Refusal::Recovering, out);
        self.phase = Phase::Standby(Standby::handing_over(self.now.moment));
        self.tell_state(out);
    }

    /// The server that leads wants this one's ledger: from here on it grants and renews nothing.
    pub(super) fn hand_over(&mut self, out: &mut Vec<Effect>) {
        if self.is_leader() {
            return;
        }
        match &mut self.phase {
            Phase::Active(_) | Phase::TakingOver if mutant!(HandOverIgnored) => return,
            Phase::Active(_) | Phase::TakingOver => self.stop_serving(out),
            Phase::Standby(standby) => {
                standby.silent_since = self.now.moment;
                standby.in_step = false;
            }
            _ => return,
        }
        if let Some(link) = &mut self.link {
            link.handed_over = true;
        }
        for (contents, more) in parts(self.ledger.contents_at(self.now.moment)) {
            self.send(Frame::HandedOver { contents: Box::new(contents), more }, out);
        }
    }

    /// The active server's whole ledger replaces this one's.
    pub(super) fn on_catch_up(&mut self, contents: Contents, out: &mut Vec<Effect>) {
        let handed_over = self.link.as_ref().is_some_and(|link| link.handed_over);
        // One that has served since it was last in step is merged, never overwritten (rule 2).
        if self.facts.served && !handed_over && !mutant!(CatchUpOverwrites) {
            return self.disconnect(out);
        }
        let Some(config) = self.config.clone() else { return self.disconnect(out) };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if !matches!(self.phase, Phase::Standby(_)) {
            return self.disconnect(out);
        }
        seen!(CaughtUp);
        let position = contents.position;
        self.ledger = Ledger::load(contents.clone(), Some(&terms), self.now);
        self.facts.epoch = self.facts.epoch.max(position.epoch);
        self.facts.served = false;
        self.facts.met = true;
        let mut writes = vec![Write::Ledger(Box::new(contents)), Write::Facts(self.facts.clone())];
        if mutant!(CatchUpNotSaved) {
            writes.remove(0);
        }
        let next = Next::TellCaughtUp { link: self.link_count, position };
        self.persist_then(writes, next, out);
    }

    pub(super) fn tell_caught_up(&mut self, link: u64, position: Position, out: &mut Vec<Effect>) {
        if link != self.link_count {
            return;
        }
        if let Phase::Standby(standby) = &mut self.phase {
            standby.handing_over = false;
            self.tell_state(out);
            self.send(Frame::CaughtUp { position }, out);
        }
    }

    /// Records of the active server: each is the successor of the one before.
    pub(super) fn on_records(
        &mut self,
        first: Position,
        records: Vec<Record>,
        out: &mut Vec<Effect>,
    ) {
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        if !matches!(self.phase, Phase::Standby(_)) {
            return;
        }
        let mut position = first;
        let mut writes = Vec::with_capacity(records.len());
        for record in records {
            let known = self.ledger.position();
            if position.epoch != known.epoch || position.seq != known.seq + 1 {
                // Not what follows: only a whole ledger can help.
                return self.disconnect(out);
            }
            self.ledger.apply(position, record.clone(), &terms);
            writes.push(Write::Record(position, record));
            position.seq += 1;
        }
        let position = self.ledger.position();
        self.persist_then(writes, Next::TellDurable { link: self.link_count, position }, out);
    }

    /// Whether this server is certain to know every lease that either gave (rule 4).
    pub(super) fn knows_all(&self) -> bool {
        match &self.phase {
            Phase::Active(active) => !active.is_in_grace(),
            // Without the 3 % that the other server adds: it may not yet have gone on alone.
            Phase::Standby(standby) => {
                standby.in_step
                    && !standby.of_grace
                    && !standby.handing_over
                    && self.now.moment.since(standby.acked) < self.redundancy().alone_after_least()
            }
            _ => false,
        }
    }

    /// The active server has been silent for too long: its place is taken.
    pub(super) fn take_over(&mut self, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Standby(_)) {
            return;
        }
        let knows_all = self.knows_all() && !mutant!(GraceThoughInStep);
        if knows_all {
            seen!(TookOverInStep);
        } else {
            seen!(TookOverStale);
        }
        self.disconnect(out);
        let epoch = self.next_epoch();
        self.facts.epoch = epoch;
        self.facts.served = true;
        self.facts.paired = false;
        self.facts.complete |= knows_all;
        self.ledger.begin(epoch);
        // What was handed over stays so only as long as who serves lives (rule 8).
        if self.is_primary() && !mutant!(TakesOverWithoutLead) {
            self.lead(self.me.clone(), epoch, out);
        }
        self.fail_handover(out);
        self.phase = Phase::TakingOver;
        let next = Next::Serve { epoch, grace: !knows_all && !self.is_escrow(), alone: true };
        self.persist_then(vec![Write::Facts(self.facts.clone())], next, out);
    }

    /// Learns of an epoch that the peer made.
    pub(super) fn learn_epoch(&mut self, epoch: Epoch) {
        self.facts.epoch = self.facts.epoch.max(epoch);
    }

    /// Whether the peer said, last, that it serves.
    pub(super) fn peer_is_active(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.state == State::Active)
    }
}

/// How many leases and ends one frame carries.
const PART: usize = 2_000;

/// A ledger in parts that fit a frame, each with whether more follow. The first has the position, the nonces and the quotas.
pub(super) fn parts(mut contents: Contents) -> Vec<(Contents, bool)> {
    let head = Contents {
        position: contents.position,
        knew: contents.knew,
        nonces: std::mem::take(&mut contents.nonces),
        quotas: std::mem::take(&mut contents.quotas),
        ..Contents::default()
    };
    let part = Contents { position: contents.position, knew: contents.knew, ..Contents::default() };
    let mut parts = vec![head];
    for leases in contents.leases.chunks(PART) {
        parts.push(Contents { leases: leases.to_vec(), ..part.clone() });
    }
    for ends in contents.ends.chunks(PART) {
        parts.push(Contents { ends: ends.to_vec(), ..part.clone() });
    }
    for waiters in contents.waiters.chunks(PART) {
        parts.push(Contents { waiters: waiters.to_vec(), ..part.clone() });
    }
    let last = parts.len() - 1;
    parts.into_iter().enumerate().map(|(i, part)| (part, i < last)).collect()
}
