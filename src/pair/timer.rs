//! Time: all the deadlines of the pair, and what is done when one has come.

use super::Pair;
use super::frame::{Frame, Heartbeat};
use super::io::{Effect, Write};
use super::phase::{Next, Peering, Phase};
use crate::measure::{Moment, Span};
use crate::mutant;
use crate::name::LeaseId;

/// How many renewals one heartbeat tells of.
const RENEWALS_TOLD: usize = 5_000;

/// How many timers run at most.
const TIMERS: usize = 8;

/// What the pair waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// When to say that this server is still there.
    Beat,
    /// When a write has taken so long that the disk hangs.
    Disk,
    /// When to stop looking for the peer and serve alone.
    LookForPeer,
    /// When to take the place of a silent peer.
    Silence,
    /// When to stop waiting for the peer and go on alone.
    Alone,
    /// When the grace is over.
    Grace,
    /// When a waiting reply is refused.
    Reply,
    /// When the next lease runs out.
    Lease,
    /// When somebody who waits is answered or dropped, or the queue opens.
    Queue,
}

impl Pair {
    /// When to call with [`Input::Deadline`](super::Input::Deadline), at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let mut first = None;
        self.timers(|_, at| first = Some(first.map_or(at, |first: Moment| first.min(at))));
        first
    }

    /// Every timer that runs, in the order in which those that are due are acted on.
    fn timers(&self, mut tell: impl FnMut(Timer, Moment)) {
        if matches!(self.phase, Phase::Stuck) {
            return;
        }
        let redundancy = self.redundancy();
        if !matches!(self.phase, Phase::Stopped) {
            tell(Timer::Beat, self.last_beat + redundancy.heartbeat);
        }
        if let Some(first) = self.waiting.front() {
            tell(Timer::Reply, first.give_up);
        }
        match &self.phase {
            // At once: nothing begins before the disk has taken a write.
            Phase::Starting { writing: false } => tell(Timer::Beat, self.last_beat),
            Phase::Recovering { until } => tell(Timer::LookForPeer, *until),
            Phase::Standby(standby) => {
                let patience = redundancy.failover_after;
                let patience = if mutant!(TakesOverEarly) { patience.part(4) } else { patience };
                tell(Timer::Silence, standby.silent_since + patience);
            }
            Phase::Active(active) => {
                let grace = active.grace.map(|at| (Timer::Grace, at));
                let lease = self.ledger.deadline().map(|at| (Timer::Lease, at));
                let waits = active.peering.waits_for_peer();
                let alone = waits.then_some((Timer::Alone, active.alone_at));
                [grace, lease, alone].into_iter().flatten().for_each(|(timer, at)| tell(timer, at));
            }
            Phase::Starting { .. }
            | Phase::Unconfigured
            | Phase::TakingOver
            | Phase::Stuck
            | Phase::Unlicensed
            | Phase::Stopped => {}
        }
        if let Some(at) = self.disk_hangs_at() {
            tell(Timer::Disk, at);
        }
        if matches!(self.phase, Phase::Active(_))
            && let Some(at) = self.queue_at()
        {
            tell(Timer::Queue, at);
        }
    }

    pub(super) fn on_deadline(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.moment;
        let mut due = [None; TIMERS];
        let mut places = due.iter_mut();
        self.timers(|timer, at| {
            if at <= now
                && let Some(place) = places.next()
            {
                *place = Some(timer);
            }
        });
        for timer in due.into_iter().flatten() {
            match timer {
                Timer::Beat => {
                    self.beat(out);
                    self.end_void(out);
                    self.settle(out);
                    self.keep_house(out);
                }
                // A server that has begun anew or fallen silent has no other business.
                _ if matches!(self.phase, Phase::Stopped | Phase::Stuck) => {}
                Timer::Disk => self.be_stuck(out),
                Timer::LookForPeer => self.serve_without_peer(out),
                Timer::Silence => self.take_over(out),
                Timer::Alone => self.stop_waiting_for_peer(out),
                Timer::Grace => self.end_grace(out),
                Timer::Reply => self.give_up_waiting(out),
                Timer::Lease => self.expire(out),
                Timer::Queue => self.tend_queue(out),
            }
        }
    }

    /// Says that this server is still there, and notices a peer that is not.
    pub(super) fn beat(&mut self, out: &mut Vec<Effect>) {
        self.last_beat = self.now.moment;
        self.judge_licenses(out);
        self.judge_standalone(out);
        let redundancy = self.redundancy();
        if self.is_silent() {
            self.lose_peer(out);
        }
        let silence = self.link.as_ref().map(|link| self.now.moment.since(link.heard));
        if silence.is_some_and(|silence| silence > redundancy.failover_after) {
            return self.disconnect(out);
        }
        if self.keeps_quiet() {
            return;
        }
        let Some(link) = &self.link else { return };
        let (received, heard) = (link.received, link.heard);
        let paired = match &mut self.phase {
            Phase::Active(active) if active.peering == Peering::Paired => {
                // From its last message on the secondary can count on this word (rule 2).
                active.alone_at = heard + redundancy.alone_after();
                true
            }
            _ => false,
        };
        let grace = matches!(&self.phase, Phase::Active(active) if active.is_in_grace());
        let renewed = if paired {
            self.renewals_to_tell()
        } else {
            self.renewed.clear();
            Vec::new()
        };
        let beat = Heartbeat {
            state: self.state(),
            paired,
            grace,
            received,
            generation: self.generation(),
            renewed,
        };
        self.send(Frame::Heartbeat(beat), out);
    }

    /// The leases that were renewed since the last heartbeat, as many as it tells of; the rest goes with the next.
    fn renewals_to_tell(&mut self) -> Vec<LeaseId> {
        let mut told = Vec::new();
        while told.len() < RENEWALS_TOLD
            && let Some(id) = self.renewed.pop_first()
        {
            told.push(id);
        }
        told
    }

    /// Whether the peer has missed its acknowledgements: a connection may stand that carries nothing.
    pub(super) fn is_silent(&self) -> bool {
        let redundancy = self.redundancy();
        let missed = redundancy.heartbeat.times(3).max(redundancy.failover_after.part(2));
        self.link.as_ref().is_some_and(|link| self.now.moment.since(link.heard) > missed)
    }

    /// Forgets what need not be remembered, and writes down how late it is.
    fn keep_house(&mut self, out: &mut Vec<Effect>) {
        const TIME_KEPT: Span = Span::from_secs(60);
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        let (uses, nonces) = self.ledger.forget(self.now);
        if !uses.is_empty() || !nonces.is_empty() {
            self.persist(vec![Write::Forget { uses, nonces }], out);
        }
        let written = self.time_written;
        let mut passed = self.now.wall.since(written.wall);
        if self.counts_silence() {
            // By the wall clock no time passes after it was set back.
            passed = passed.max(self.now.moment.since(written.moment));
        }
        if self.config.is_some() && passed >= TIME_KEPT {
            self.time_written = self.now;
            self.persist(vec![Write::Facts(self.facts.clone())], out);
        }
    }

    /// No peer was found in time: the primary serves alone, not knowing what its peer granted (rules 4 and 6).
    fn serve_without_peer(&mut self, out: &mut Vec<Effect>) {
        crate::seen!(FoundNoPeer);
        self.disconnect(out);
        let epoch = self.next_epoch();
        self.facts.epoch = epoch;
        self.facts.served = true;
        self.facts.paired = false;
        self.ledger.begin(epoch);
        self.phase = Phase::TakingOver;
        let next = Next::Serve { epoch, grace: !self.is_escrow(), alone: true };
        self.persist_then(vec![Write::Facts(self.facts.clone())], next, out);
    }

    fn stop_waiting_for_peer(&mut self, out: &mut Vec<Effect>) {
        // The peer may have been lost or found since this became due.
        if !matches!(&self.phase, Phase::Active(active) if active.peering.waits_for_peer()) {
            return;
        }
        // One that is there and does not get in step must not keep clients waiting again at once; one that has just come, or
        // is heard again after a silence, has had no time for it.
        let now = self.now.moment;
        let retry_at = now + self.redundancy().alone_after().times(5);
        let enough = self.redundancy().failover_after;
        if let Phase::Active(active) = &mut self.phase
            && active.peering != Peering::Lost
            && now.since(active.turned_at) > enough
        {
            active.retry_at = retry_at;
        }
        self.disconnect(out);
        self.go_alone(out);
    }

    fn end_grace(&mut self, out: &mut Vec<Effect>) {
        if let Phase::Active(active) = &mut self.phase {
            active.grace = None;
            self.event("grace-over", serde_json::Map::new(), out);
            self.be_complete(out);
        }
        self.consider_roles(out);
    }

    /// Whether this server has just woken: one that was active, or about to be, starts anew, a standby counts silence anew
    /// (rule 11).
    pub(super) fn notice_pause(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.config.is_none() || mutant!(WakesServing) {
            return false;
        }
        let redundancy = self.redundancy();
        let late = self.now.moment.since(self.last_beat);
        match &mut self.phase {
            // The write that it waits for may be the first that it hears of: it would serve at once.
            Phase::Active(_) | Phase::TakingOver => {
                let allowed = redundancy.failover_after.less(redundancy.heartbeat.times(2));
                if late > allowed {
                    crate::seen!(WokeLate);
                    self.restart("it was paused for longer than its peer waits", out);
                    return true;
                }
            }
            Phase::Standby(standby) if late > redundancy.heartbeat.times(2) => {
                standby.silent_since = self.now.moment;
                standby.in_step = false;
                self.last_beat = self.now.moment;
            }
            _ => {}
        }
        false
    }
}
