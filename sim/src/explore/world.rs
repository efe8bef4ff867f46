//! One state of the search: two machines, the connection between them, two clients, the faults that may still come.
//!
//! The servers are real ones; machines, disks and the connection are the simplest that can do what real ones do.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::measure::{Moment, Span};
use tandem::pair::{
    Command, Durable, Effect, Frame, Input, Pair, Reply, StartError, State, Ticket, Write, WriteId,
};

use super::choice::{At, Choice, Who};
use super::client::{Client, Heard, Stage, What};
use super::setup::{HEARTBEAT, STRANGER, Setup};
use super::space::Faults;
use crate::oracle::Promise;

/// A promise that is broken in a state, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) promise: Promise,
    pub(super) what: String,
}

impl Broken {
    pub(super) fn new(promise: Promise, what: String) -> Self {
        Self { promise, what }
    }
}

/// One state.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Moment,
    pub(super) machines: [Arc<Machine>; 2],
    pub(super) wire: Wire,
    pub(super) clients: [Client; 2],
    /// The faults that may still come.
    pub(super) faults: Faults,
    /// Whether the two servers run and are split from each other, until they are paired again or one is down.
    pub(super) split: bool,
    /// When the secondary last heard its primary say that it serves.
    pub(super) heard_active: Option<Moment>,
    pub(super) tickets: u64,
}

/// One machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) life: Life,
    pub(super) disk: Durable,
    pub(super) writing: VecDeque<Writing>,
    /// Whether it stands still.
    pub(super) paused: bool,
    /// Whether its disk hangs.
    pub(super) stuck: bool,
}

/// What runs on a machine.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// A server.
    Runs(Box<Pair>),
    /// A server that has dropped its memory and opens its disk again.
    Reopens,
    /// Nothing.
    Dead,
}

/// A write that is under way.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    pub(super) id: WriteId,
    pub(super) writes: Arc<[Write]>,
    pub(super) since: Moment,
}

/// The connection between the two servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    /// Whether this side takes it for open.
    pub(super) open: [bool; 2],
    /// What is on its way to this side, with when it was sent.
    pub(super) towards: [VecDeque<(Moment, Parcel)>; 2],
    /// Whether nothing passes.
    pub(super) cut: bool,
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Frame(Arc<Frame>),
    /// The other side has closed the connection.
    End,
}

impl Machine {
    /// The server that runs on it.
    pub(super) fn pair(&self) -> Option<&Pair> {
        match &self.life {
            Life::Runs(pair) => Some(pair),
            Life::Reopens | Life::Dead => None,
        }
    }

    /// Whether a server runs on it that can do anything now.
    fn acts(&self) -> bool {
        !self.paused && self.pair().is_some()
    }
}

impl World {
    /// Two servers that start, with a bundle and nothing else.
    pub(super) fn begin(setup: &Setup, uses: [u8; 2]) -> Result<Self, StartError> {
        let machine = || {
            Arc::new(Machine {
                life: Life::Dead,
                disk: setup.disk(),
                writing: VecDeque::new(),
                paused: false,
                stuck: false,
            })
        };
        let mut world = Self {
            now: Moment::from_ms(1_000_000),
            machines: [machine(), machine()],
            wire: Wire::default(),
            clients: [Client::new(0, uses[0]), Client::new(1, uses[1])],
            faults: Faults::default(),
            split: false,
            heard_active: None,
            tickets: 0,
        };
        for at in [0, 1] {
            world.start(setup, at)?;
        }
        Ok(world)
    }

    /// Everything that may happen next.
    pub(super) fn choices(&self, space: &super::space::Space, out: &mut Vec<Choice>) {
        out.clear();
        // Nothing else depends on whether the answer arrives now.
        if let Some(client) = self.clients.iter().find(|client| client.granted.is_some()) {
            out.push(Choice::Hear(client.who));
            if self.faults.losses > 0 {
                out.push(Choice::Lose(client.who));
            }
            return;
        }
        self.inner(out);
        self.asks(out);
        if self.may_tick(space.late) {
            out.push(Choice::Tick);
        }
        self.faults(out);
    }

    /// What the servers, their disks and their connection do of themselves.
    pub(super) fn inner(&self, out: &mut Vec<Choice>) {
        if self.connects() {
            out.push(Choice::Connect);
        }
        for at in [0, 1] {
            let machine = &self.machines[at];
            if machine.paused {
                continue;
            }
            if self.delivers(at) {
                out.push(Choice::Deliver(at));
            }
            if !machine.writing.is_empty() && !machine.stuck {
                out.push(Choice::Write(at));
            }
            if self.reopens(at) {
                out.push(Choice::Reopen(at));
            }
            if self.is_due(at) && !self.has_arrived(at) {
                out.push(Choice::Deadline(at));
            }
        }
    }

    fn connects(&self) -> bool {
        !self.wire.cut
            && self.wire.open != [true, true]
            && self
                .machines
                .iter()
                .all(|machine| !machine.paused && machine.pair().is_some_and(Pair::takes_link))
    }

    fn delivers(&self, at: At) -> bool {
        self.machines[at].acts()
            && self.wire.open[at]
            && !self.wire.cut
            && !self.wire.towards[at].is_empty()
    }

    fn reopens(&self, at: At) -> bool {
        let machine = &self.machines[at];
        matches!(machine.life, Life::Reopens) && machine.writing.is_empty()
    }

    fn is_due(&self, at: At) -> bool {
        let deadline = self.machines[at].pair().and_then(Pair::deadline);
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    /// Whether something has certainly arrived: it is taken in before the deadline.
    fn has_arrived(&self, at: At) -> bool {
        let old = |(sent, _): &(Moment, Parcel)| *sent + HEARTBEAT < self.now;
        self.delivers(at) && self.wire.towards[at].front().is_some_and(old)
    }

    fn asks(&self, out: &mut Vec<Choice>) {
        // The clients are alike: the first that is taken notice of is the first.
        let first = self.clients[0].began || self.clients[0].waits.is_some();
        for client in &self.clients {
            if client.who == 1 && !first {
                continue;
            }
            // Who turns away while it waits loses an answer.
            if client.waits.is_some() && self.faults.losses == 0 {
                continue;
            }
            for at in [0, 1] {
                if !self.machines[at].acts() {
                    continue;
                }
                if client.may(What::Checkout, at, self.now) {
                    out.push(Choice::Ask(client.who, at));
                }
                if client.may(What::Renewal, at, self.now) {
                    out.push(Choice::Renew(client.who, at));
                }
                if client.may(What::Release, at, self.now) {
                    out.push(Choice::Release(client.who, at));
                }
            }
        }
    }

    /// Whether a heartbeat may pass: nothing that is under way is late by more than allowed.
    pub(super) fn may_tick(&self, late: Span) -> bool {
        let is_late = |since: Moment| since + late <= self.now;
        if self.connects() {
            return false;
        }
        [0, 1].into_iter().all(|at| {
            let machine = &self.machines[at];
            let frame = self.wire.towards[at].front();
            machine.paused
                || !((machine.pair().is_some() && self.is_due(at))
                    || (self.delivers(at) && frame.is_some_and(|(sent, _)| is_late(*sent)))
                    || (!machine.stuck
                        && machine.writing.front().is_some_and(|one| is_late(one.since)))
                    || self.reopens(at))
        })
    }

    fn faults(&self, out: &mut Vec<Choice>) {
        let faults = &self.faults;
        for at in [0, 1] {
            let machine = &self.machines[at];
            let runs = !matches!(machine.life, Life::Dead);
            if runs && faults.may_crash(at) && !machine.paused {
                let writes = u8::try_from(machine.writing.len()).unwrap_or(u8::MAX);
                for kept in 0..=writes {
                    out.push(Choice::Kill(at, kept));
                    if self.wire.open[at] {
                        out.push(Choice::Burn(at, kept));
                    }
                }
            }
            if matches!(machine.life, Life::Dead) {
                out.push(Choice::Start(at));
            }
            if machine.paused {
                out.push(Choice::Wake(at));
            } else if runs && faults.may_pause(at) {
                out.push(Choice::Pause(at));
            }
            if machine.stuck {
                out.push(Choice::Loosen(at));
            } else if runs && faults.may_stick(at) {
                out.push(Choice::Stick(at));
            }
        }
        if self.wire.cut {
            out.push(Choice::Heal);
        } else if faults.cuts > 0 {
            out.push(Choice::Cut);
        }
        if faults.resets > 0 && self.wire.open == [true, true] {
            out.push(Choice::Reset);
        }
    }

    /// Whether no fault is at work: everything runs and nothing is cut.
    pub(super) fn is_whole(&self) -> bool {
        !self.wire.cut
            && self.machines.iter().all(|machine| {
                !machine.paused && !machine.stuck && !matches!(machine.life, Life::Dead)
            })
    }

    /// Makes it happen. What cannot happen does nothing.
    pub(super) fn apply(&mut self, setup: &Setup, choice: Choice) -> Result<(), Broken> {
        match choice {
            Choice::Connect => self.connect(setup)?,
            Choice::Deliver(at) => self.deliver(setup, at)?,
            Choice::Write(at) => self.write(setup, at)?,
            Choice::Deadline(at) => self.tell(setup, at, Input::Deadline)?,
            Choice::Reopen(at) | Choice::Start(at) => {
                self.start(setup, at).map_err(|error| {
                    let what = format!("`{}` does not start: {error}", setup.names[at]);
                    Broken::new(Promise::Durability, what)
                })?;
            }
            Choice::Ask(who, at) => self.ask(setup, who, What::Checkout, at)?,
            Choice::Renew(who, at) => self.ask(setup, who, What::Renewal, at)?,
            Choice::Release(who, at) => self.ask(setup, who, What::Release, at)?,
            Choice::Hear(who) => self.clients[who].hear(self.now),
            Choice::Lose(who) => {
                self.faults.losses -= 1;
                self.clients[who].lose();
            }
            Choice::Tick => {
                self.now = self.now + HEARTBEAT;
                for client in &mut self.clients {
                    client.tick(self.now);
                }
            }
            Choice::Kill(at, kept) => self.crash(at, kept, false),
            Choice::Burn(at, kept) => self.crash(at, kept, true),
            Choice::Pause(at) => {
                self.faults.pause(at);
                self.machine(at).paused = true;
            }
            Choice::Wake(at) => self.machine(at).paused = false,
            Choice::Cut => {
                self.faults.cuts -= 1;
                self.wire.cut = true;
            }
            Choice::Heal => self.wire.cut = false,
            Choice::Stick(at) => {
                self.faults.stick(at);
                self.machine(at).stuck = true;
            }
            Choice::Loosen(at) => self.machine(at).stuck = false,
            Choice::Reset => {
                self.faults.resets -= 1;
                for at in [0, 1] {
                    self.wire.towards[at].clear();
                    self.wire.towards[at].push_back((self.now, Parcel::End));
                }
            }
        }
        self.note_split();
        self.judge(setup)
    }

    fn machine(&mut self, at: At) -> &mut Machine {
        Arc::make_mut(&mut self.machines[at])
    }

    fn start(&mut self, setup: &Setup, at: At) -> Result<(), StartError> {
        let (now, name) = (Setup::now(self.now), setup.names[at].clone());
        let machine = self.machine(at);
        let pair = Pair::new(now, name, Setup::trust(), machine.disk.clone(), false)?;
        machine.life = Life::Runs(Box::new(pair));
        Ok(())
    }

    fn connect(&mut self, setup: &Setup) -> Result<(), Broken> {
        for at in [0, 1] {
            if self.wire.open[at] {
                self.wire.open[at] = false;
                self.tell(setup, at, Input::Disconnected)?;
            }
        }
        self.wire.towards = [VecDeque::new(), VecDeque::new()];
        self.wire.open = [true, true];
        self.tell(setup, 0, Input::Connected)?;
        self.tell(setup, 1, Input::Connected)
    }

    fn deliver(&mut self, setup: &Setup, at: At) -> Result<(), Broken> {
        match self.wire.towards[at].pop_front() {
            Some((_, Parcel::Frame(frame))) => {
                if let (1, Frame::Heartbeat(beat)) = (at, &*frame)
                    && beat.state == State::Active
                {
                    self.heard_active = Some(self.now);
                }
                self.tell(setup, at, Input::Frame(Box::new((*frame).clone())))
            }
            Some((_, Parcel::End)) => {
                self.wire.open[at] = false;
                self.wire.towards[at].clear();
                self.tell(setup, at, Input::Disconnected)
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, setup: &Setup, at: At) -> Result<(), Broken> {
        let Some(done) = self.machine(at).writing.pop_front() else { return Ok(()) };
        let machine = self.machine(at);
        for write in &*done.writes {
            machine.disk.apply(write);
        }
        self.tell(setup, at, Input::Persisted(done.id))
    }

    fn ask(&mut self, setup: &Setup, who: Who, what: What, at: At) -> Result<(), Broken> {
        let Some(epoch) = self.machines[at].pair().map(|pair| pair.facts().epoch) else {
            return Ok(());
        };
        if self.clients[who].waits.is_some() {
            self.faults.losses = self.faults.losses.saturating_sub(1);
        }
        self.tickets += 1;
        let asked = (Ticket(self.tickets), self.now, self.split);
        let Some(command) = self.clients[who].ask(what, at, epoch, asked, setup) else {
            return Ok(());
        };
        self.tell(setup, at, Input::Command(asked.0, Box::new(command)))?;
        if self.clients[who].waits.is_some() {
            self.clients[who].began = true;
        }
        Ok(())
    }

    fn crash(&mut self, at: At, kept: u8, burns: bool) {
        self.faults.crash(at);
        let machine = self.machine(at);
        for done in machine.writing.drain(..).take(usize::from(kept)) {
            for write in &*done.writes {
                machine.disk.apply(write);
            }
        }
        machine.life = Life::Dead;
        machine.stuck = false;
        if self.wire.open[at] {
            if burns {
                // The other side goes on with a connection that carries nothing.
                self.wire.open[at] = false;
                self.wire.towards = [VecDeque::new(), VecDeque::new()];
            } else {
                self.close(at);
            }
        }
        for client in &mut self.clients {
            client.hang_up(at);
        }
        if at == 1 {
            self.heard_active = None;
        }
    }

    /// One side closes the connection: what it sent before arrives, and then the end of it.
    fn close(&mut self, at: At) {
        self.wire.open[at] = false;
        self.wire.towards[at].clear();
        self.wire.towards[1 - at].push_back((self.now, Parcel::End));
    }

    fn tell(&mut self, setup: &Setup, at: At, input: Input) -> Result<(), Broken> {
        let now = Setup::now(self.now);
        let Life::Runs(pair) = &mut self.machine(at).life else { return Ok(()) };
        let mut effects = Vec::new();
        pair.handle(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist(id, writes) => {
                    let since = self.now;
                    let writes = writes.into();
                    self.machine(at).writing.push_back(Writing { id, writes, since });
                }
                Effect::Send(frame) => {
                    if self.wire.open[at] && self.wire.open[1 - at] {
                        let parcel = Parcel::Frame(Arc::new(*frame));
                        self.wire.towards[1 - at].push_back((self.now, parcel));
                    }
                }
                Effect::Disconnect => {
                    if self.wire.open[at] {
                        self.close(at);
                    }
                }
                Effect::Reply(ticket, reply) => self.reply(setup, at, ticket, &reply)?,
                Effect::Event(_) => {}
                Effect::Restart { .. } => {
                    self.machine(at).life = Life::Reopens;
                    if self.wire.open[at] {
                        self.close(at);
                    }
                    for client in &mut self.clients {
                        client.hang_up(at);
                    }
                }
            }
        }
        self.knows_all(setup, at)
    }

    /// Whether a server that would give a stranger a seat knows every lease that somebody believes in.
    fn knows_all(&self, setup: &Setup, at: At) -> Result<(), Broken> {
        let Some(pair) = self.machines[at].pair() else { return Ok(()) };
        let unknown = self.clients.iter().find(|client| match &client.stage {
            Stage::Holds { lease, until, split } => {
                *until > self.now && !split && pair.ledger().lease(lease, self.now).is_none()
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

    fn reply(
        &mut self,
        setup: &Setup,
        at: At,
        ticket: Ticket,
        reply: &Reply,
    ) -> Result<(), Broken> {
        let now = self.now;
        if at == 1
            && matches!(reply, Reply::Lease(_))
            && let Some(heard) = self.heard_active
            && now.since(heard) < setup.config.redundancy.failover_after
        {
            let (name, ms) = (&setup.names[at], now.since(heard).ms());
            let what = format!("`{name}` answered {ms} ms after it heard its primary say `active`");
            return Err(Broken::new(Promise::OneVoice, what));
        }
        let waits = |client: &&mut Client| {
            client.waits.as_ref().is_some_and(|asked| asked.ticket == ticket)
        };
        let Some(client) = self.clients.iter_mut().find(waits) else { return Ok(()) };
        match client.answered(reply, now) {
            Heard::Well => Ok(()),
            Heard::Lost(refusal) => {
                let (who, name) = (client.who, &setup.names[at]);
                let what = format!(
                    "client {who} holds a seat and `{name}` refuses to renew it: `{}`",
                    refusal.code()
                );
                Err(Broken::new(Promise::Durability, what))
            }
        }
    }

    /// Follows whether the two are split from each other.
    fn note_split(&mut self) {
        let [a, b] = &self.machines;
        let both = [a, b].into_iter().all(|machine| !matches!(machine.life, Life::Dead));
        let paired = || {
            let ready = |machine: &Machine| machine.pair().is_some_and(Pair::is_ready);
            ready(a) && ready(b) && a.pair().is_some_and(|pair| pair.facts().paired)
        };
        if !both || (!self.wire.cut && self.split && paired()) {
            self.split = false;
        }
        if both && self.wire.cut {
            self.split = true;
        }
        if self.split {
            for client in &mut self.clients {
                client.note_split();
            }
        }
    }

    /// The promises that can be judged in any state.
    fn judge(&self, setup: &Setup) -> Result<(), Broken> {
        let holders = || self.clients.iter().filter(|client| client.believes(self.now));
        let held = holders().count();
        if held > setup.seats && !holders().any(Client::split) {
            let what = format!("{held} seats are held where there are {}", setup.seats);
            return Err(Broken::new(Promise::Capacity, what));
        }
        Ok(())
    }
}

/// Whether a server would give a stranger a seat.
fn grants(setup: &Setup, mut pair: Pair, now: Moment) -> bool {
    let mut effects = Vec::new();
    let request = setup.checkout(STRANGER, 0, pair.facts().epoch);
    let command = Box::new(Command::Checkout(request));
    pair.handle(Setup::now(now), Input::Command(Ticket(u64::MAX), command), &mut effects);
    !effects.iter().any(|effect| {
        matches!(effect, Effect::Reply(Ticket(u64::MAX), reply) if matches!(**reply, Reply::Refused(_)))
    })
}
