//! The promises that are judged in every state of a search, and what has to be remembered for that.

use tandem::measure::Moment;
use tandem::pair::{Command, Effect, Input, Pair, Reply, Ticket};

use super::choice::At;
use super::client::{Client, Stage};
use super::setup::{FAILOVER, STRANGER, Setup};
use super::world::{Broken, Life, World};
use crate::oracle::Promise;

impl World {
    /// Follows whether the two are split from each other.
    pub(super) fn note_split(&mut self) {
        let both = self.machines.iter().all(|machine| !matches!(machine.life, Life::Dead));
        // The word of the one that serves, as it alone decides when the other one may count on it.
        let paired = [0, 1]
            .into_iter()
            .any(|at| self.serves(at) && self.machines[at].pair().is_some_and(Pair::is_paired));
        if !both || (!self.wire.cut && self.split && paired) {
            self.split = false;
        }
        if both && self.wire.cut {
            self.split = true;
        }
        if paired {
            self.fenced = [false, false];
        }
        if self.split {
            for client in &mut self.clients {
                client.note_split();
            }
        }
    }

    /// Whether a server has no older bundle than it had.
    fn keeps_bundle(&mut self, setup: &Setup, at: At) -> Result<(), Broken> {
        let machine = &self.machines[at];
        let runs = machine
            .pair()
            .map(Pair::generation)
            .or_else(|| machine.disk.committed.as_ref().map(|committed| committed.generation));
        let (Some(now), before) = (runs, self.ran[at]) else { return Ok(()) };
        if now < before {
            let name = &setup.names[at];
            let what = format!("`{name}` went back from bundle {} to {}", before.0, now.0);
            return Err(Broken::new(Promise::SameConfig, what));
        }
        self.ran[at] = now;
        Ok(())
    }

    /// Whether a server that has just stopped serving did so for a peer that can take its place: one whose disk has taken
    /// nothing since it started cannot.
    pub(super) fn judge_stop(&self, setup: &Setup, at: At) -> Result<(), Broken> {
        let (machine, peer) = (&self.machines[at], &self.machines[1 - at]);
        let stopped = machine.pair().is_some() && !machine.stuck && !self.serves(at);
        if stopped && peer.pair().is_some() && !peer.proved {
            let (name, other) = (&setup.names[at], &setup.names[1 - at]);
            let what = format!(
                "`{name}` stops serving for `{other}`, whose disk has taken nothing since it started"
            );
            return Err(Broken::new(Promise::Failback, what));
        }
        Ok(())
    }

    /// Whether a server has noticed that its disk hangs before its peer would take it for dead.
    fn judge_disk(&self, setup: &Setup, at: At) -> Result<(), Broken> {
        let machine = &self.machines[at];
        let hangs = machine.writing.front().is_some_and(|one| one.since + FAILOVER <= self.now);
        // One that stood still has a write that is as old, and has not looked yet.
        if hangs && machine.stuck && !machine.paused && self.serves(at) {
            let (name, ms) = (&setup.names[at], FAILOVER.ms());
            let what = format!("`{name}` serves although its disk has hung for {ms} ms");
            return Err(Broken::new(Promise::Failover, what));
        }
        Ok(())
    }

    /// Whether a primary that begins to serve leads from then on: it has found nobody who does.
    fn judge_lead(&self, setup: &Setup) -> Result<(), Broken> {
        let leads = |pair: &Pair| pair.leader() == Some(&setup.names[0]);
        if self.machines[0].pair().is_some_and(leads) {
            return Ok(());
        }
        let name = &setup.names[0];
        let what = format!("`{name}` takes the place of a dead leader and does not lead");
        Err(Broken::new(Promise::Failover, what))
    }

    /// Whether a server that would give a stranger a seat knows every lease that somebody believes in. Nothing is owed to one
    /// that was asked for while the two were split, but where a server begins to serve: then the other one has not given
    /// anything alone yet, or this one has to wait.
    fn knows_all(&self, setup: &Setup, at: At, begins: bool) -> Result<(), Broken> {
        let Some(pair) = self.machines[at].pair() else { return Ok(()) };
        let unknown = self.clients.iter().find(|client| match &client.stage {
            Stage::Holds { lease, until, split, .. } => {
                let owed = begins || !split;
                owed && *until > self.now && pair.ledger().lease(lease, self.now).is_none()
            }
            _ => false,
        });
        let Some(client) = unknown else { return Ok(()) };
        if !grants(setup, pair.clone(), self.now) {
            return Ok(());
        }
        let (who, name) = (client.who, &setup.names[at]);
        let peer_runs = self.machines[1 - at].pair().is_some();
        let promise = if peer_runs { Promise::Fencing } else { Promise::Durability };
        let what = format!("client {who} holds a seat, and `{name}` grants without knowing of it");
        Err(Broken::new(promise, what))
    }

    /// The promises that can be judged in any state; `served` says who served before.
    pub(super) fn judge(&mut self, setup: &Setup, served: [bool; 2]) -> Result<(), Broken> {
        if self.is_beyond_promise() {
            return Ok(());
        }
        for at in [0, 1] {
            let begins = !served[at] && self.serves(at);
            if !setup.is_escrow() {
                self.knows_all(setup, at, begins)?;
            }
            if at == 0 && begins {
                self.judge_lead(setup)?;
            }
            self.keeps_bundle(setup, at)?;
            self.judge_disk(setup, at)?;
        }
        let holders = || self.clients.iter().filter(|client| client.believes(self.now));
        let third = self.third.is_some_and(|until| until > self.now);
        let held = holders().count() + usize::from(third);
        let may_exceed = !setup.is_escrow() && holders().any(Client::split);
        if held > setup.seats && !may_exceed {
            let what = format!("{held} seats are held where there are {}", setup.seats);
            return Err(Broken::new(Promise::Capacity, what));
        }
        Ok(())
    }
}

/// Whether a server would give a stranger a seat.
fn grants(setup: &Setup, mut pair: Pair, now: Moment) -> bool {
    let mut effects = Vec::new();
    let request = setup.checkout(STRANGER, 0, 0);
    let command = Box::new(Command::Checkout(request));
    pair.handle(Setup::now(now), Input::Command(Ticket(u64::MAX), command), &mut effects);
    !effects.iter().any(|effect| match effect {
        Effect::Reply(Ticket(u64::MAX), reply) => matches!(**reply, Reply::Refused(_)),
        // It notices that it stood still, and answers nobody.
        Effect::Restart { .. } => true,
        _ => false,
    })
}
