//! One state of the search: two machines, the connection between them, two clients, the faults that may still come.
//!
//! The servers are real ones; machines, disks and the connection are the simplest that can do what real ones do.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::measure::{Generation, Moment};
use tandem::name::{ServerName, UseId};
use tandem::pair::{
    Command, Durable, Effect, Frame, Hello, Input, Pair, Reply, StartError, State, Ticket, Write,
    WriteId,
};

use super::canon::Canon;
use super::choice::{At, Choice, Who};
use super::client::{Client, Heard, Stage, What};
use super::setup::{HEARTBEAT, Setup, THIRD, TTL};
use super::space::{Faults, Space};
use crate::oracle::Promise;

/// Who waits for what operators ordered: nobody.
const OPERATOR: Ticket = Ticket(u64::MAX - 1);
/// The second bundle of a search.
const SECOND: Generation = Generation(2);
/// How often a server may be told in one moment that something is due.
const DEADLINES: usize = 8;

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
    /// Whether it is decided which faults may come.
    pub(super) planned: bool,
    /// Whether the two servers run and are split from each other, until they are paired again or one is down.
    pub(super) split: bool,
    /// When the secondary last heard its primary say that it serves.
    pub(super) heard_active: Option<Moment>,
    pub(super) tickets: u64,
    /// Whether time has just passed, or a machine has just died: only then what stands still goes on.
    pub(super) fresh: bool,
    /// Which server was fenced and has not been paired since.
    pub(super) fenced: [bool; 2],
    /// The bundle that each server had last.
    pub(super) ran: [Generation; 2],
    /// Until when a third client, who asks nothing more, believes that it has a seat.
    pub(super) third: Option<Moment>,
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
    /// Whether its disk has taken a write since its server started.
    pub(super) proved: bool,
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
    /// A frame, and which clients held a seat when a heartbeat that says *paired* was sent.
    Frame(Arc<Frame>, [bool; 2]),
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
                proved: false,
            })
        };
        let mut world = Self {
            now: Moment::from_ms(1_000_000),
            machines: [machine(), machine()],
            wire: Wire::default(),
            clients: [Client::new(0, uses[0]), Client::new(1, uses[1])],
            faults: Faults::default(),
            planned: true,
            split: false,
            heard_active: None,
            tickets: 0,
            fresh: false,
            fenced: [false, false],
            ran: [Generation(0); 2],
            third: None,
        };
        for at in [0, 1] {
            world.start(setup, at)?;
        }
        Ok(world)
    }

    /// Everything that may happen next; where the space is reduced, enough of it that nothing else could end otherwise.
    pub(super) fn choices(&self, space: &Space, out: &mut Vec<Choice>) {
        out.clear();
        // Nothing else depends on whether the answer arrives now.
        if let Some(client) = self.clients.iter().find(|client| client.granted.is_some()) {
            out.push(Choice::Hear(client.who));
            if self.faults.losses > 0 {
                out.push(Choice::Lose(client.who));
            }
            return;
        }
        if !self.planned {
            let plans = u8::try_from(space.plans.len()).unwrap_or(u8::MAX);
            return out.extend((0..plans).map(Choice::Plan));
        }
        if self.is_beyond_promise() {
            return;
        }
        if !space.slow
            && let Some(at) = self.writes_at_once()
        {
            return out.push(Choice::Write(at));
        }
        self.inner(out);
        self.asks(space, out);
        self.orders(out);
        if self.may_tick() {
            out.push(Choice::Tick);
        }
        self.faults(out);
        if space.reduce
            && let Some(at) = self.first_alone()
        {
            out.retain(|choice| choice.owner() == Some(at));
        }
    }

    /// The faults that may still come, without those that cannot: a fence is said only of a server that is down.
    pub(super) fn faults_left(&self) -> Faults {
        let mut faults = self.faults;
        for at in [0, 1] {
            let is_dead = matches!(self.machines[1 - at].life, Life::Dead);
            if !is_dead && faults.crashes[1 - at] == 0 {
                faults.fences[at] = 0;
            }
        }
        faults
    }

    /// A machine that cannot fail any more and has something to write.
    fn writes_at_once(&self) -> Option<At> {
        [0, 1].into_iter().find(|&at| {
            let machine = &self.machines[at];
            !machine.paused
                && !machine.stuck
                && !machine.writing.is_empty()
                && self.faults.are_over(at)
        })
    }

    /// A server whose next steps may come before everything else that is possible: a persistent set
    /// (docs/concepts/search.md).
    ///
    /// Something waits to arrive at it, so that whatever the other server sends meanwhile only stands behind that, and
    /// nothing can take away what waits; nor does its own death take away what waits at the other. What it does is then
    /// the business of this server, its disk and those clients who ask it: nobody, where it answers nobody; everybody,
    /// where the other one cannot answer.
    fn first_alone(&self) -> Option<At> {
        if self.faults.cuts > 0 || self.faults.losses > 0 || (self.fresh && self.stands_still()) {
            return None;
        }
        let state = |at: At| self.machines[at].pair().map(|pair| pair.standing().state);
        let is_silent = |at: At| matches!(state(at), Some(State::Standby | State::Recovering));
        let serves_alone = |at: At| {
            state(at) == Some(State::Active)
                && (state(1 - at) == Some(State::Standby) || self.machines[1 - at].pair().is_none())
        };
        let asks_nobody_else = |at: At| {
            self.clients.iter().all(|client| match &client.waits {
                Some(asked) => asked.at == at,
                None => client.stage == Stage::Done,
            })
        };
        [0, 1].into_iter().find(|&at| {
            self.delivers(at)
                && !self.is_due(at)
                && !self.faults.may_burn(1 - at)
                && (!self.faults.may_burn(at) || !self.carries_to(1 - at))
                && (is_silent(at) || serves_alone(at) || asks_nobody_else(at))
        })
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
        }
    }

    /// Whether the two connect: what the connection before still carries has arrived.
    fn connects(&self) -> bool {
        let is_drained = |at: &At| !self.wire.open[*at] || self.wire.towards[*at].is_empty();
        !self.wire.cut
            && self.wire.open != [true, true]
            && [0, 1].iter().all(is_drained)
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

    /// Whether something is on its way to this server.
    fn carries_to(&self, at: At) -> bool {
        self.wire.open[at] && !self.wire.towards[at].is_empty()
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

    fn asks(&self, space: &Space, out: &mut Vec<Choice>) {
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
                if !space.renews {
                    continue;
                }
                if client.may(What::Renewal, at, self.now) {
                    out.push(Choice::Renew(client.who, at));
                }
                if self.serves(at) && client.may(What::Release, at, self.now) {
                    out.push(Choice::Release(client.who, at));
                }
            }
        }
    }

    /// What operators may order.
    fn orders(&self, out: &mut Vec<Choice>) {
        for at in [0, 1] {
            let machine = &self.machines[at];
            let Some(pair) = machine.pair().filter(|_| !machine.paused) else { continue };
            let serves = pair.standing().state == State::Active;
            if self.faults.handovers[at] > 0 && serves && pair.is_paired() {
                out.push(Choice::HandOver(at));
            }
            if self.faults.commits[at] > 0 && pair.generation() < SECOND {
                out.push(Choice::Commit(at));
            }
            if self.may_fence(at) {
                out.push(Choice::Fence(at));
            }
        }
    }

    /// Whether an operator may say to this server that the other one is dead.
    pub(super) fn may_fence(&self, at: At) -> bool {
        let is_dead = matches!(self.machines[1 - at].life, Life::Dead);
        let may_hear = self.machines[at].acts() && self.serves(at);
        self.faults.fences[at] > 0 && may_hear && is_dead && !self.wire.open[at]
    }

    /// Whether a server that was fenced serves before it has met the other one: the operator's word was wrong then.
    pub(super) fn is_beyond_promise(&self) -> bool {
        [0, 1].into_iter().any(|at| self.fenced[at] && self.serves(at))
    }

    pub(super) fn serves(&self, at: At) -> bool {
        let pair = self.machines[at].pair();
        pair.is_some_and(|pair| pair.standing().state == State::Active)
    }

    /// Whether a heartbeat may pass: nothing is under way.
    pub(super) fn may_tick(&self) -> bool {
        !self.connects()
            && [0, 1].into_iter().all(|at| {
                let machine = &self.machines[at];
                let writes = !machine.stuck && !machine.writing.is_empty();
                let is_at_something = writes || self.delivers(at) || self.reopens(at);
                machine.paused || !is_at_something
            })
    }

    /// Whether something stands still that could go on.
    pub(super) fn stands_still(&self) -> bool {
        !self.is_whole()
    }

    /// Faults, and their ends.
    ///
    /// What stands still goes on only when time has just passed: until it does something nobody sees the difference. For
    /// the same reason a disk begins to hang only with a write, and a cut only with something that is on its way.
    fn faults(&self, out: &mut Vec<Choice>) {
        let faults = &self.faults;
        for at in [0, 1] {
            let machine = &self.machines[at];
            let runs = !matches!(machine.life, Life::Dead);
            if runs && faults.crashes[at] > 0 && !machine.paused {
                let writes = u8::try_from(machine.writing.len()).unwrap_or(u8::MAX);
                for kept in 0..=writes {
                    out.push(Choice::Kill(at, kept));
                    if self.wire.open[at] {
                        out.push(Choice::Burn(at, kept));
                    }
                }
            }
            if !runs && self.fresh {
                out.push(Choice::Start(at));
            }
            if machine.paused && self.fresh {
                out.push(Choice::Wake(at));
            } else if runs && !machine.paused && faults.pauses[at] > 0 {
                out.push(Choice::Pause(at));
            }
            if machine.stuck && self.fresh {
                out.push(Choice::Loosen(at));
            } else if runs && !machine.stuck && faults.sticks[at] > 0 && !machine.writing.is_empty()
            {
                out.push(Choice::Stick(at));
            }
        }
        let carries = || (0..2).any(|at| self.carries_to(at));
        if self.wire.cut && self.fresh {
            out.push(Choice::Heal);
        } else if !self.wire.cut && faults.cuts > 0 && carries() {
            out.push(Choice::Cut);
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
        self.fresh = choice.keeps_fresh() && self.fresh || choice.makes_fresh();
        let served = [self.serves(0), self.serves(1)];
        let connected = self.wire.open == [true, true];
        match choice {
            Choice::Plan(plan) => {
                self.faults = setup.plans[usize::from(plan)];
                self.planned = true;
            }
            Choice::Connect => self.connect(setup)?,
            Choice::Deliver(at) => self.deliver(setup, at)?,
            Choice::Write(at) => self.write(setup, at)?,
            Choice::Reopen(at) | Choice::Start(at) => {
                self.start(setup, at).map_err(|error| {
                    let what = format!("`{}` does not start: {error}", setup.names[at]);
                    Broken::new(Promise::Durability, what)
                })?;
            }
            Choice::Ask(who, at) => self.ask(setup, who, What::Checkout, at)?,
            Choice::Renew(who, at) => self.ask(setup, who, What::Renewal, at)?,
            Choice::Release(who, at) => self.ask(setup, who, What::Release, at)?,
            Choice::HandOver(at) => {
                self.faults.handovers[at] -= 1;
                let (server, nonce) = (setup.names[1 - at].clone(), Setup::nonce("handover"));
                self.order(setup, at, Command::Handover { server, nonce })?;
            }
            Choice::Commit(at) => {
                self.faults.commits[at] -= 1;
                if let Some(second) = setup.second() {
                    let commit = Box::new(second.clone());
                    self.order(setup, at, Command::Commit(commit))?;
                }
            }
            Choice::Fence(at) => {
                self.faults.fences[at] -= 1;
                self.fenced[1 - at] = true;
                let (server, nonce) = (setup.names[1 - at].clone(), Setup::nonce("fence"));
                self.order(setup, at, Command::Fence { server, nonce })?;
            }
            Choice::Hear(who) => self.clients[who].hear(self.now),
            Choice::Lose(who) => {
                self.faults.losses -= 1;
                self.clients[who].lose();
            }
            Choice::Tick => {
                self.now = self.now + HEARTBEAT;
                self.keep_ends();
                for client in &mut self.clients {
                    client.tick(self.now);
                }
            }
            Choice::Kill(at, kept) => self.crash(at, kept, false),
            Choice::Burn(at, kept) => self.crash(at, kept, true),
            Choice::Pause(at) => {
                self.faults.pauses[at] -= 1;
                self.machine(at).paused = true;
            }
            Choice::Wake(at) => self.machine(at).paused = false,
            Choice::Cut => {
                self.faults.cuts -= 1;
                self.wire.cut = true;
            }
            Choice::Heal => self.wire.cut = false,
            Choice::Stick(at) => {
                self.faults.sticks[at] -= 1;
                self.machine(at).stuck = true;
            }
            Choice::Loosen(at) => self.machine(at).stuck = false,
        }
        self.meet_deadlines(setup)?;
        self.note_split();
        if let Choice::Deliver(at) = choice
            && connected
            && served[at]
        {
            self.judge_stop(setup, at)?;
        }
        self.judge(setup, served)
    }

    /// What is due is done before anything else, but for what has arrived while a machine stood still.
    fn meet_deadlines(&mut self, setup: &Setup) -> Result<(), Broken> {
        for at in [0, 1] {
            for _ in 0..DEADLINES {
                if !self.machines[at].acts() || !self.is_due(at) || self.has_arrived(at) {
                    break;
                }
                self.tell(setup, at, Input::Deadline)?;
            }
        }
        Ok(())
    }

    /// What a client may still ask about stays remembered: nobody asks about what ended two ttl ago.
    fn keep_ends(&mut self) {
        let until = self.now + TTL.times(2);
        for at in [0, 1] {
            let remembers = |pair: &Pair| pair.ledger().ended().next().is_some();
            if self.machines[at].pair().is_some_and(remembers)
                && let Life::Runs(pair) = &mut self.machine(at).life
            {
                pair.keep_ends(until);
            }
        }
    }

    /// Drops what is said of ended uses of which nothing is left anywhere: when exactly a server forgets them, and that it
    /// writes so, makes no difference to anybody. Who leaves a seat that no server has any more has left.
    pub(super) fn forget(&mut self, canon: &Canon) {
        for client in &mut self.clients {
            if canon.has_left(client.who) {
                client.stage = Stage::Done;
            }
        }
        for at in [0, 1] {
            let is_done = |use_id: &&UseId| canon.is_done_with(use_id);
            let machine = &self.machines[at];
            let in_memory = machine.pair().into_iter().flat_map(|pair| pair.ledger().ended());
            let on_disk = machine.disk.ledger.ends.iter().map(|end| &end.use_id);
            let done: Vec<UseId> = in_memory.chain(on_disk).filter(is_done).cloned().collect();
            if done.is_empty() {
                continue;
            }
            let machine = self.machine(at);
            machine.disk.ledger.ends.retain(|end| !done.contains(&end.use_id));
            if let Life::Runs(pair) = &mut machine.life {
                done.iter().for_each(|use_id| pair.forget_use(use_id));
            }
        }
    }

    fn machine(&mut self, at: At) -> &mut Machine {
        Arc::make_mut(&mut self.machines[at])
    }

    fn start(&mut self, setup: &Setup, at: At) -> Result<(), StartError> {
        let (now, name) = (Setup::now(self.now), setup.names[at].clone());
        let machine = self.machine(at);
        let pair = Pair::new(now, name, setup.trust(), machine.disk.clone(), false)?;
        machine.life = Life::Runs(Box::new(pair));
        machine.proved = false;
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
            Some((sent, Parcel::Frame(frame, holders))) => {
                // One that waited while the server stood still says nothing of now.
                for client in self.clients.iter_mut().filter(|_| sent == self.now) {
                    if holders[client.who] {
                        client.note_paired(at);
                    }
                }
                match &*frame {
                    Frame::Heartbeat(beat) if at == 1 && beat.state == State::Active => {
                        self.heard_active = Some(self.now);
                    }
                    // The primary has handed over to it (rule 8).
                    Frame::Hello(hello) if at == 1 && hands_over(hello, &setup.names[1]) => {
                        self.heard_active = None;
                    }
                    _ => {}
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
        machine.proved = true;
        self.tell(setup, at, Input::Persisted(done.id))
    }

    fn ask(&mut self, setup: &Setup, who: Who, what: What, at: At) -> Result<(), Broken> {
        if self.machines[at].pair().is_none() {
            return Ok(());
        }
        if self.clients[who].waits.is_some() {
            self.faults.losses = self.faults.losses.saturating_sub(1);
        }
        self.tickets += 1;
        let asked = (Ticket(self.tickets), self.now, self.split);
        let Some(command) = self.clients[who].ask(what, at, asked, setup) else {
            return Ok(());
        };
        self.tell(setup, at, Input::Command(asked.0, Box::new(command)))?;
        if self.clients[who].waits.is_some() {
            self.clients[who].began = true;
        }
        Ok(())
    }

    /// A machine that is dead gets a new disk: nothing is left of what its server knew.
    pub(super) fn lose_disk(&mut self, at: At) {
        self.machine(at).disk = Durable::default();
        self.ran[at] = Generation(0);
        for client in &mut self.clients {
            client.note_forgotten(at);
        }
    }

    /// A third client, who asks nothing more, gets a seat at this server.
    pub(super) fn seat_third(&mut self, setup: &Setup, at: At) -> Result<(), Broken> {
        self.tickets += 1;
        let command = Command::Checkout(setup.checkout(THIRD, 0, self.tickets));
        self.order(setup, at, command)?;
        self.third = Some(self.now + TTL);
        Ok(())
    }

    fn order(&mut self, setup: &Setup, at: At, command: Command) -> Result<(), Broken> {
        self.tell(setup, at, Input::Command(OPERATOR, Box::new(command)))
    }

    fn crash(&mut self, at: At, kept: u8, burns: bool) {
        self.faults.crashes[at] = self.faults.crashes[at].saturating_sub(1);
        let machine = self.machine(at);
        for done in machine.writing.drain(..).take(usize::from(kept)) {
            for write in &*done.writes {
                machine.disk.apply(write);
            }
        }
        machine.life = Life::Dead;
        machine.stuck = false;
        machine.proved = false;
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
                        let says_paired = matches!(&*frame, Frame::Heartbeat(beat)
                            if beat.state == State::Active && beat.paired);
                        let holds = |client: &Client| says_paired && client.believes(self.now);
                        let holders = self.clients.each_ref().map(holds);
                        let parcel = Parcel::Frame(Arc::new(*frame), holders);
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
                    let machine = self.machine(at);
                    machine.life = Life::Reopens;
                    machine.proved = false;
                    if self.wire.open[at] {
                        self.close(at);
                    }
                    for client in &mut self.clients {
                        client.hang_up(at);
                    }
                }
            }
        }
        Ok(())
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
            Heard::PutOff(lease) => {
                let (who, name) = (client.who, &setup.names[at]);
                let pair = self.machines[at].pair();
                let knows = pair.is_some_and(|pair| pair.ledger().lease(&lease, now).is_some());
                if knows && self.serves(at) && !setup.is_escrow() {
                    let what = format!(
                        "`{name}` serves and knows the lease of client {who}, and does not renew it"
                    );
                    return Err(Broken::new(Promise::Outage, what));
                }
                Ok(())
            }
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
}

/// Whether this says that a server leads, and that whoever says so does not serve.
fn hands_over(hello: &Hello, to: &ServerName) -> bool {
    hello.state != State::Active && hello.lead.as_ref().is_some_and(|lead| lead.server == *to)
}
