//! A machine with a server on it: what `server/driver.rs` and the HTTP handlers do, without sockets and tasks. It tells
//! the real `Pair` what happens and carries out what that orders.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::api::{Problem, ProblemCode};
use tandem::bundle::Config;
use tandem::failover::Timing;
use tandem::manifest::types::Role;
use tandem::measure::{Generation, Moment, Now, Seats};
use tandem::name::{BundleHash, LeaseId, QueueTicket};
use tandem::pair::{
    Checkout, Command, Commit, Effect, Held, Input, Nonce, Pair, Refusal, Reopening, Reply, State,
    Ticket, Token, Wait,
};
use tandem::statement::{SignedStatement, Signs as _};

use super::clock::Clock;
use super::connection::{Current, Dial, Item};
use super::disk::Disk;
use super::message::{Answer, Given, Party, Proof, Request, Said, Want};
use super::network::{CLIENTS, RECONCILER};
use super::queue::{MS, Micros};
use super::stage::Stage;
use super::{Event, Node, kind};
use crate::history::{self, Answered, Ask, Fault};
use crate::world::entropy::SimIdentity;

/// After how long whoever supervises a process starts it again when it could not start.
const SUPERVISED: Micros = 1_000 * MS;
/// The longest that a process takes to start.
const STARTS_WITHIN: Micros = 50 * MS;
/// The longest that a write takes on a disk where nothing is wrong.
const WRITES_WITHIN: Micros = 5 * MS;
/// Within how long what a dark machine did not take in is sent again.
const SENT_AGAIN_WITHIN: Micros = 1_000 * MS;
/// How often in a row a pair may be told of a deadline that stays due.
const IDLE_DEADLINES: u32 = 100;
/// Why a process begins anew whose disk did not take a write.
const WRITE_FAILED: &str = "a write failed";
/// How often in a row, each within a second of the last, a process may begin anew from its disk.
const REOPENED: u32 = 100;
/// How many inputs go before a deadline that has come.
const INPUTS_BEFORE_DEADLINE: usize = 64;

/// The machine of one server.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) is_powered: bool,
    /// It stands still: what arrives waits.
    pub(super) is_paused: bool,
    pub(super) stalled: VecDeque<Event>,
    /// Requests that came while it had no power.
    unheard: Vec<Request>,
    /// Requests that it had taken in when the power went off.
    broken: Vec<(u64, Party)>,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    /// Counts processes.
    pub(super) era: u32,
    pub(super) process: Option<Process>,
    /// Since when there is none.
    down_since: Micros,
    /// When it last began anew from its disk, and how often in a row.
    reopened: (Micros, u32),
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    /// Nothing while it opens its disk.
    pair: Option<Box<Pair>>,
    pub(super) link: Option<Current>,
    pub(super) dial: Dial,
    /// Counts changes of what others than the pair itself go by.
    pub(super) version: u64,
    view: View,
    pending: Vec<(Ticket, u64, Party)>,
    tickets: u64,
    alarm: Micros,
    /// For which of the pair's deadlines the alarm was set.
    armed: Moment,
    /// The pair's deadline, since it was told something last.
    deadline: Option<Moment>,
    /// How often in a row it was told of a deadline that stayed due.
    idle_deadlines: u32,
    staged: Option<Staged>,
    reopening: Reopening,
    /// How long it waits before it opens the disk again.
    pause: Micros,
    /// When it opens its disk, where that is settled.
    opens: Option<Micros>,
}

/// What others than the pair itself go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    role: Option<Role>,
    state: State,
    is_ready: bool,
    is_paired: bool,
    is_connected: bool,
    generation: Generation,
    bundle: Option<BundleHash>,
}

/// A bundle that a server holds until it is committed.
#[derive(Debug)]
struct Staged {
    config: Arc<Config>,
    statement: SignedStatement,
    generation: Generation,
    base: Generation,
}

impl Machine {
    pub(super) fn new(clock: Clock, is_real: bool) -> Self {
        Self {
            is_powered: true,
            is_paused: false,
            stalled: VecDeque::new(),
            unheard: Vec::new(),
            broken: Vec::new(),
            clock,
            disk: Disk::new(is_real),
            era: 0,
            process: None,
            down_since: 0,
            reopened: (0, 0),
        }
    }

    /// Whether a process runs and has opened its disk.
    pub(super) fn is_running(&self) -> bool {
        self.pair().is_some()
    }

    /// The pair, where a process runs and has opened its disk.
    pub(super) fn pair(&self) -> Option<&Pair> {
        self.process.as_ref().and_then(|process| process.pair.as_deref())
    }

    /// Its clock has changed: when its alarm comes must be reckoned anew.
    pub(super) fn forget_alarm(&mut self) {
        if let Some(process) = &mut self.process {
            process.alarm = Micros::MAX;
        }
    }

    /// What it is seen to be.
    pub(super) fn state(&self) -> Option<State> {
        self.pair().map(|pair| pair.standing().state)
    }
}

impl Process {
    fn new() -> Self {
        Self {
            pair: None,
            link: None,
            dial: Dial::default(),
            version: 1,
            view: View {
                role: None,
                state: State::Recovering,
                is_ready: false,
                is_paired: false,
                is_connected: false,
                generation: Generation(0),
                bundle: None,
            },
            pending: Vec::new(),
            tickets: 0,
            alarm: Micros::MAX,
            armed: Moment::from_ms(u64::MAX),
            deadline: None,
            idle_deadlines: 0,
            staged: None,
            reopening: Reopening::default(),
            pause: 0,
            opens: None,
        }
    }

    pub(super) fn config(&self) -> Option<&Arc<Config>> {
        self.pair.as_ref().and_then(|pair| pair.config())
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.view.role
    }

    /// Whether it knows its peer and has no connection to it.
    pub(super) fn wants_peer(&self) -> bool {
        self.link.is_none() && self.config().is_some()
    }
}

impl Stage<'_> {
    /// The process of a machine, once it has opened its disk.
    pub(super) fn process(&mut self, at: Node) -> Option<&mut Process> {
        self.machines[at].process.as_mut().filter(|process| process.pair.is_some())
    }

    /// Tells the pair, and everything that comes of it at once.
    pub(super) fn tell(&mut self, at: Node, input: Input) {
        let now = self.machines[at].clock.now(self.log.now);
        let mut effects = std::mem::take(&mut self.effects);
        let pair = self.machines[at].process.as_mut().and_then(|one| one.pair.as_mut());
        if let Some(pair) = pair {
            pair.handle(now, input, &mut effects);
        }
        let mut restart = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Restart { reason } => restart = Some(reason),
                other => self.carry_out(at, now, other),
            }
        }
        self.effects = effects;
        if let Some(reason) = restart {
            return self.reopen(at, reason);
        }
        self.publish(at);
        self.arm(at);
    }

    fn carry_out(&mut self, at: Node, now: Now, effect: Effect) {
        match effect {
            Effect::Persist(id, writes) => {
                let late = 1 + self.choices.choose("write", WRITES_WITHIN);
                let disk = &mut self.machines[at].disk;
                disk.queue.push_back((id, writes));
                disk.free_at = disk.free_at.max(self.log.now + late);
                let era = self.machines[at].era;
                self.queue.push(self.machines[at].disk.free_at, Event::Written { at, era });
            }
            Effect::Send(frame) => {
                let link = self.machines[at].process.as_ref().and_then(|process| process.link);
                if let Some(link) = link {
                    self.put(link.id, at, Item::Frame(frame));
                }
            }
            Effect::Disconnect => self.hang_up(at),
            Effect::Reply(ticket, reply) => self.reply(at, now, ticket, *reply),
            Effect::Event(event) => self.log.trace_text(event.kind),
            Effect::Restart { .. } => {}
        }
    }

    fn hang_up(&mut self, at: Node) {
        let link = self.machines[at].process.as_mut().and_then(|process| process.link.take());
        if let Some(link) = link {
            self.close(link.id, at);
        }
    }

    /// Shows what has changed to those who do not ask the pair.
    fn publish(&mut self, at: Node) {
        let Some(process) = self.machines[at].process.as_mut() else { return };
        let Some(pair) = process.pair.as_ref() else { return };
        let standing = pair.standing();
        let view = View {
            role: standing.role,
            state: standing.state,
            is_ready: pair.is_ready(),
            is_paired: pair.is_paired(),
            is_connected: process.link.is_some(),
            generation: pair.generation(),
            bundle: pair.committed().map(tandem::pair::Committed::hash),
        };
        if view == process.view {
            return;
        }
        let before = std::mem::replace(&mut process.view, view);
        process.version += 1;
        self.log.trace(kind::STATE, at as u64 ^ ((view.state as u64) << 8), view.generation.0);
        let said = |view: &View| (view.state, view.is_paired, view.generation);
        if said(&before) != said(&view) {
            self.say(at, &view);
        }
        self.see_states();
        if view.is_paired && !before.is_paired {
            self.let_near(at);
        }
        if before.generation != view.generation {
            self.learn_key(at);
        }
        self.consider_dialing(at);
    }

    /// Whoever watches the servers sees what one of them is now.
    fn say(&mut self, at: Node, view: &View) {
        let name = self.ground.servers[at].as_str();
        let ask = Ask::Other { what: "GET /v1/status".into() };
        let request = self.log.asked("observer", name, ask);
        let said = history::Said {
            state: view.state.as_str().to_owned(),
            generation: view.generation.0,
            bundle: view.bundle.map(|hash| hash.to_string()),
            paired: view.is_paired,
        };
        let (code, lease, server) = (None, None, Some(Box::new(said)));
        let answered = Answered { request, status: 200, code, lease, server };
        self.log.note("observer", history::Event::Answered(answered));
    }

    /// Keeps the key that the peer proved, where the manifest pins none.
    pub(super) fn learn_key(&mut self, at: Node) {
        let Some(process) = self.process(at).filter(|process| process.link.is_some()) else {
            return;
        };
        let Some(pair) = &process.pair else { return };
        let Some(peer) = pair.peer() else { return };
        if peer.key.is_some() || pair.facts().peer_key.is_some() {
            return;
        }
        let key =
            tandem::seam::entropy::Identity::public(&SimIdentity::unpinned(peer.name.as_str()));
        self.tell(at, Input::PeerKey(key));
    }

    /// Sees to it that the pair is told the time when it wants to be.
    pub(super) fn arm(&mut self, at: Node) {
        let now = self.log.now;
        let machine = &mut self.machines[at];
        let Some(process) = machine.process.as_mut() else { return };
        process.deadline = process.pair.as_ref().and_then(|pair| pair.deadline());
        let Some(deadline) = process.deadline else { return };
        // Most inputs do not bring it forward.
        if process.alarm != Micros::MAX && deadline >= process.armed {
            return;
        }
        let due = machine.clock.reaches(deadline, now);
        if due < process.alarm {
            process.alarm = due;
            process.armed = deadline;
            let era = machine.era;
            self.queue.push(due, Event::Alarm { at, era, due });
        }
    }

    /// An alarm that was set has come.
    pub(super) fn alarm(&mut self, at: Node, due: Micros) {
        let now = self.log.now;
        let machine = &mut self.machines[at];
        let moment = machine.clock.now(now).moment;
        let Some(process) = machine.process.as_mut() else { return };
        if process.alarm != due {
            return;
        }
        process.alarm = Micros::MAX;
        if process.deadline.is_some_and(|deadline| deadline <= moment) {
            self.log.trace(kind::DEADLINE, at as u64, moment.ms());
            self.tell(at, Input::Deadline);
            self.expect_progress(at, moment);
        } else {
            self.arm(at);
        }
    }

    /// A pair whose deadline stays due after it was told of it asks for the time for ever.
    fn expect_progress(&mut self, at: Node, told: Moment) {
        let Some(process) = self.machines[at].process.as_mut() else { return };
        if process.deadline.is_none_or(|deadline| deadline > told) {
            process.idle_deadlines = 0;
            return;
        }
        process.idle_deadlines += 1;
        if process.idle_deadlines > IDLE_DEADLINES {
            let name = &self.ground.servers[at];
            let reason =
                format!("{name} was told again and again of a deadline at {} ms", told.ms());
            self.failure.get_or_insert(reason);
        }
    }

    /// A write that was submitted is done.
    pub(super) fn written(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        if machine.disk.is_stalled {
            machine.disk.owed += 1;
            return;
        }
        let done = machine.disk.complete(&mut self.choices);
        let Some(process) = machine.process.as_mut() else { return };
        if process.pair.is_none() {
            let pause = process.pause;
            if machine.disk.queue.is_empty() && process.opens.is_none() {
                self.open_after(at, pause);
            }
            return;
        }
        match done {
            Some(Ok(id)) => {
                self.log.trace(kind::WRITTEN, at as u64, id.0);
                self.tell(at, Input::Persisted(id));
            }
            Some(Err(_)) => self.reopen(at, WRITE_FAILED),
            None => {}
        }
    }

    /// A stall ends: what was written meanwhile is reported.
    pub(super) fn unstall(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        machine.disk.is_stalled = false;
        let era = machine.era;
        for _ in 0..std::mem::take(&mut machine.disk.owed) {
            self.queue.push(self.log.now, Event::Written { at, era });
        }
    }

    /// A process starts.
    pub(super) fn start(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        machine.era += 1;
        machine.process = Some(Process::new());
        machine.disk.free_at = self.log.now;
        self.open_soon(at);
    }

    fn open_soon(&mut self, at: Node) {
        self.open_after(at, 0);
    }

    fn open_after(&mut self, at: Node, pause: Micros) {
        let late = pause + 1 + self.choices.choose("start", STARTS_WITHIN);
        self.open_at(at, self.log.now + late);
    }

    fn open_at(&mut self, at: Node, due: Micros) {
        let machine = &mut self.machines[at];
        if let Some(process) = machine.process.as_mut() {
            process.opens = Some(due);
        }
        self.queue.push(due, Event::Open { at, era: machine.era });
    }

    /// A process opens its disk and begins with what that holds.
    pub(super) fn open(&mut self, at: Node) {
        let now = self.machines[at].clock.now(self.log.now);
        let machine = &mut self.machines[at];
        let is_due = machine
            .process
            .as_mut()
            .is_some_and(|process| process.opens.take_if(|due| *due <= self.log.now).is_some());
        if !is_due || !machine.disk.queue.is_empty() {
            return;
        }
        let (name, trust) = (self.ground.servers[at].clone(), self.ground.trust.clone());
        let begun = machine.disk.open(&self.ground.configs).and_then(|durable| {
            Pair::new(now, name, trust, durable, false).map_err(|error| error.to_string())
        });
        let Some(process) = machine.process.as_mut() else { return };
        match begun {
            Ok(pair) => {
                self.log.trace(kind::OPENED, at as u64, pair.ledger().position().seq);
                process.pair = Some(Box::new(pair));
                self.publish(at);
                self.consider_dialing(at);
                self.arm(at);
            }
            Err(reason) => {
                self.log.trace_text(&reason);
                self.open_at(at, self.log.now + SUPERVISED);
            }
        }
    }

    /// The process drops everything and opens its disk again, once that has finished what was submitted; after a while,
    /// where the disk has failed it lately.
    fn reopen(&mut self, at: Node, why: &str) {
        self.refuse_pending(at);
        self.hang_up(at);
        let now = self.log.now;
        let machine = &mut self.machines[at];
        let (last, times) = machine.reopened;
        let times = if now - last < 1_000 * MS { times + 1 } else { 1 };
        machine.reopened = (now, times);
        if times > REOPENED {
            let name = &self.ground.servers[at];
            let reason = format!("{name} starts from its disk again and again: {why}");
            self.failure.get_or_insert(reason);
        }
        let Some(process) = machine.process.as_mut() else { return };
        process.pair = None;
        process.opens = None;
        process.deadline = None;
        process.alarm = Micros::MAX;
        process.version += 1;
        let moment = Moment::from_ms(now / MS);
        let pause = process.reopening.pause(moment, why == WRITE_FAILED).ms() * MS;
        process.pause = pause;
        self.see_states();
        if self.machines[at].disk.queue.is_empty() {
            self.open_after(at, pause);
        }
    }

    fn refuse_pending(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        let Some(process) = machine.process.as_mut() else { return };
        for (_, number, to) in std::mem::take(&mut process.pending) {
            let said = Said::Problem(Box::new(Refusal::Recovering.into()));
            self.answer(at, number, to, said);
        }
    }

    /// The power goes off.
    pub(super) fn lose_power(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        machine.is_powered = false;
        machine.is_paused = false;
        machine.down_since = self.log.now;
        machine.stalled.clear();
        let pending = machine.process.take().map(|process| process.pending).unwrap_or_default();
        machine.broken.extend(pending.into_iter().map(|(_, number, from)| (number, from)));
        machine.disk.lose_power(&mut self.choices);
        self.see_states();
    }

    /// The machine gets power, and the process starts.
    pub(super) fn restart(&mut self, at: Node, empty: bool) {
        let now = self.log.now;
        let machine = &mut self.machines[at];
        if machine.process.is_some() {
            return;
        }
        if !machine.is_powered {
            machine.is_powered = true;
            machine.clock.reboot(now);
        }
        // Whoever sent to the dark machine sends again: into a connection that is not known any more, or a new one.
        for request in std::mem::take(&mut self.machines[at].unheard) {
            let late = self.choices.choose("sent-again", SENT_AGAIN_WITHIN);
            if late.is_multiple_of(2) {
                self.answer(at, request.number, request.from, Said::Gone);
            } else {
                let event = Event::Request { to: at, request: Box::new(request) };
                self.queue.push(now + late, event);
            }
        }
        for (number, to) in std::mem::take(&mut self.machines[at].broken) {
            self.answer(at, number, to, Said::Gone);
        }
        let machine = &mut self.machines[at];
        if empty {
            machine.disk.replace();
        }
        self.start(at);
    }

    /// The process is gone at once; the machine says so to whoever it was connected to.
    pub(super) fn kill(&mut self, at: Node) {
        self.resume(at);
        self.hang_up(at);
        let pending = match self.machines[at].process.take() {
            Some(process) => process.pending,
            None => return,
        };
        for (_, number, to) in pending {
            self.answer(at, number, to, Said::Gone);
        }
        self.machines[at].down_since = self.log.now;
        self.machines[at].disk.lose_process(&mut self.choices);
        self.see_states();
    }

    /// The process is asked to stop, and does.
    pub(super) fn stop(&mut self, at: Node) {
        self.resume(at);
        self.tell(at, Input::Stop);
        self.refuse_pending(at);
        self.hang_up(at);
        let machine = &mut self.machines[at];
        machine.disk.drain(&mut self.choices);
        machine.process = None;
        machine.down_since = self.log.now;
        self.see_states();
    }

    /// The machine goes on: what arrived meanwhile is taken in, and then it sees how late it is.
    pub(super) fn resume(&mut self, at: Node) {
        let machine = &mut self.machines[at];
        if !std::mem::replace(&mut machine.is_paused, false) {
            return;
        }
        let stalled = std::mem::take(&mut machine.stalled);
        let server = self.name(at);
        self.note(Fault::Resume { server });
        let (alarms, inputs): (Vec<_>, Vec<_>) =
            stalled.into_iter().partition(|event| matches!(event, Event::Alarm { .. }));
        let mut inputs = inputs.into_iter();
        for event in inputs.by_ref().take(INPUTS_BEFORE_DEADLINE) {
            self.happen(event);
        }
        alarms.into_iter().chain(inputs).for_each(|event| self.happen(event));
    }

    /// A request has arrived.
    pub(super) fn take_in(&mut self, at: Node, request: Request) {
        let Request { number, from, want } = request;
        let machine = &mut self.machines[at];
        if !machine.is_powered {
            machine.unheard.push(Request { number, from, want });
            return;
        }
        self.log.trace(kind::REQUEST, at as u64, number);
        if machine.process.is_none() {
            return self.answer(at, number, from, Said::Gone);
        }
        if !machine.is_running() {
            let said = Said::Problem(Box::new(Refusal::Recovering.into()));
            return self.answer(at, number, from, said);
        }
        match want {
            Want::Checkout { person, use_id, wait, borrow, ticket } => {
                self.fresh += 1;
                let Some(person) = self.ground.people.get(person) else { return };
                let Ok(fresh) = LeaseId::new(&format!("lease-{}", self.fresh)) else { return };
                let checkout = Checkout {
                    product: person.product.clone(),
                    user: person.user.clone(),
                    host: person.host.clone(),
                    address: person.address,
                    use_id,
                    seats: Seats(1),
                    borrow,
                    fresh,
                };
                let queue_ticket = QueueTicket::new(&format!("ticket-{}", self.fresh));
                let command = match (wait, queue_ticket) {
                    (Some(hold), Ok(fresh)) => {
                        let request = checkout;
                        Command::Wait(Box::new(Wait { request, ticket, fresh, hold }))
                    }
                    _ => Command::Checkout(checkout),
                };
                self.command(at, number, from, command);
            }
            Want::Renew(proof) => self.with_proof(at, number, from, *proof, Command::Renew),
            Want::Release(proof) => self.with_proof(at, number, from, *proof, Command::Release),
            Want::Timing => {
                let config = self.process(at).and_then(|process| process.config().cloned());
                let said = match config {
                    Some(config) => {
                        let redundancy = &config.redundancy;
                        let (heartbeat, alone) = (redundancy.heartbeat, redundancy.alone_after());
                        Said::Timing(Timing::of_pair(heartbeat, alone))
                    }
                    None => Said::Problem(Box::new(Refusal::Unconfigured.into())),
                };
                self.answer(at, number, from, said);
            }
            Want::Status => {
                let pair = self.machines[at].pair();
                let said = pair.map(|pair| {
                    let hash = pair.committed().map(tandem::pair::Committed::hash);
                    Said::Status { generation: pair.generation(), bundle: hash }
                });
                self.answer(at, number, from, said.unwrap_or(Said::Gone));
            }
            Want::Stage { bundle, statement, generation, base } => {
                let said = self.stage_bundle(at, bundle, statement, generation, base);
                self.answer(at, number, from, said);
            }
            Want::Offer(forgery) => {
                let taken = self.ground.forged.get(&forgery).is_some_and(|one| one.is_taken);
                let refused = Problem::new(ProblemCode::Refused, "no server may take it");
                let said = if taken { Said::Staged } else { Said::Problem(Box::new(refused)) };
                self.answer(at, number, from, said);
            }
            Want::Commit { generation, bundle } => {
                self.commit(at, number, from, generation, bundle)
            }
        }
    }

    fn stage_bundle(
        &mut self,
        at: Node,
        bundle: usize,
        statement: SignedStatement,
        generation: Generation,
        base: Generation,
    ) -> Said {
        let ground = Arc::clone(&self.ground);
        let Some(applied) = ground.bundles.get(bundle) else { return Said::Gone };
        let config = Arc::clone(&applied.config);
        let Some(process) = self.process(at) else { return Said::Gone };
        let running = process.pair.as_ref().and_then(|pair| pair.committed());
        let operators = running.map_or(&[][..], |it| &it.config.bundle.manifest().trust.operators);
        if ground.trust.with_operators(operators).find(applied.signer.public()).is_none() {
            let what =
                "its statement is signed by somebody whom the bundle that runs does not trust";
            return Said::Problem(Box::new(Problem::new(ProblemCode::Refused, what)));
        }
        let own = process.view.generation;
        if own != base {
            return Said::Problem(Box::new(Refusal::GenerationConflict.into()));
        }
        process.staged = Some(Staged { config, statement, generation, base });
        Said::Staged
    }

    fn commit(
        &mut self,
        at: Node,
        number: u64,
        from: Party,
        generation: Generation,
        bundle: BundleHash,
    ) {
        let Some(process) = self.process(at) else { return };
        let runs = (process.view.generation, process.view.bundle) == (generation, Some(bundle));
        let staged = process.staged.take_if(|staged| {
            (staged.generation, staged.config.bundle.hash()) == (generation, bundle)
        });
        match staged {
            Some(Staged { config, statement, generation, base }) => {
                let commit = Commit { config, statements: vec![statement], generation, base };
                self.command(at, number, from, Command::Commit(Box::new(commit)));
            }
            None if runs => self.answer(at, number, from, Said::Committed),
            None => {
                let problem = Problem::new(ProblemCode::UnknownStage, "this stage is not known");
                self.answer(at, number, from, Said::Problem(Box::new(problem)));
            }
        }
    }

    /// A token proves a lease where its issuer's key is known here.
    fn with_proof(
        &mut self,
        at: Node,
        number: u64,
        from: Party,
        proof: Proof,
        command: fn(Token) -> Command,
    ) {
        let known = proof.issuer == at
            || self.machines[at].pair().is_some_and(|pair| {
                pair.facts().peer_key.is_some()
                    || pair.peer().is_some_and(|peer| peer.key.is_some())
            });
        if known {
            self.command(at, number, from, command(proof.token));
        } else {
            let problem = Problem::new(ProblemCode::Unauthenticated, "the token is not proved");
            self.answer(at, number, from, Said::Problem(Box::new(problem)));
        }
    }

    fn command(&mut self, at: Node, number: u64, from: Party, command: Command) {
        let Some(process) = self.process(at) else { return };
        process.tickets += 1;
        let ticket = Ticket(process.tickets);
        process.pending.push((ticket, number, from));
        self.tell(at, Input::Command(ticket, Box::new(command)));
    }

    /// Whoever sent a request has closed its connection.
    pub(super) fn hear_hang_up(&mut self, at: Node, number: u64) {
        let Some(process) = self.process(at) else { return };
        let Some(place) = process.pending.iter().position(|one| one.1 == number) else { return };
        let (ticket, ..) = process.pending.remove(place);
        self.tell(at, Input::HungUp(ticket));
    }

    /// An operator moves service: whoever serves is told. What it refuses has not happened.
    pub(super) fn hand_over(&mut self, to: &str) {
        let serves = |machine: &Machine| {
            machine.pair().is_some_and(|pair| pair.standing().state == State::Active)
        };
        let Some(at) = self.machines.iter().position(serves) else { return };
        let Ok(server) = to.parse() else { return };
        let now = self.machines[at].clock.now(self.log.now);
        let nonce = Nonce { nonce: format!("handover-at-{}", self.log.now), expires: now.wall };
        let Some(process) = self.process(at) else { return };
        process.tickets += 1;
        let ticket = Ticket(process.tickets);
        let command = Command::Handover { server, nonce };
        self.tell(at, Input::Command(ticket, Box::new(command)));
        if !serves(&self.machines[at]) {
            self.log.note(
                "world",
                history::Event::Fault(history::Fault::Handover { to: to.to_owned() }),
            );
        }
    }

    /// An operator tells a server that the other one is dead. Whether it takes the word.
    pub(super) fn say_fence(&mut self, at: Node) -> bool {
        let now = self.machines[at].clock.now(self.log.now);
        let nonce = Nonce { nonce: format!("fence-at-{}", self.log.now), expires: now.wall };
        let server = self.ground.servers[1 - at].clone();
        let Some(process) = self.process(at) else { return false };
        process.tickets += 1;
        let ticket = Ticket(process.tickets);
        process.pending.push((ticket, 0, Party::Operator));
        self.tell(at, Input::Command(ticket, Box::new(Command::Fence { server, nonce })));
        // What it refuses it refuses at once.
        let pending = self.machines[at].process.as_ref().map(|process| &process.pending);
        pending.is_some_and(|pending| pending.iter().any(|(one, ..)| *one == ticket))
    }

    /// For how long no process of a machine has run.
    pub(super) fn is_down_for(&self, at: Node) -> Option<Micros> {
        let machine = &self.machines[at];
        machine.process.is_none().then(|| self.log.now.saturating_sub(machine.down_since))
    }

    fn reply(&mut self, at: Node, now: Now, ticket: Ticket, reply: Reply) {
        let Some(process) = self.machines[at].process.as_mut() else { return };
        let place = process.pending.iter().position(|(one, ..)| *one == ticket);
        let Some((_, number, to)) = place.map(|place| process.pending.swap_remove(place)) else {
            return;
        };
        let role = process.view.role;
        let said = match reply {
            Reply::Lease(held) => self.given(at, now, role, *held),
            Reply::Queued(queued) => Said::Queued(queued),
            Reply::Released => Said::Released,
            Reply::Committed { .. } => Said::Committed,
            Reply::Done => Said::Released,
            Reply::Refused(refusal) => Said::Problem(Box::new(refusal.into())),
        };
        self.answer(at, number, to, said);
    }

    /// The lease as it is told, with its token.
    fn given(&self, at: Node, now: Now, role: Option<Role>, held: Held) -> Said {
        let config = self.machines[at].process.as_ref().and_then(Process::config);
        let product = config.and_then(|config| config.products.get(&held.lease.product));
        let licenses = match (product, role) {
            (Some(product), Some(role)) => {
                product.license_ids(role, now.wall).map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        Said::Lease(Box::new(Given { server: at, wall: now.wall, licenses, held }))
    }

    /// Sends an answer. The operator's wait for none.
    pub(super) fn answer(&mut self, at: Node, number: u64, to: Party, said: Said) {
        if to == Party::Operator {
            return;
        }
        self.log.trace(kind::ANSWER, at as u64 ^ (said.word() << 8), number);
        let node = if to == Party::Reconciler { RECONCILER } else { CLIENTS };
        let answer = Answer { number, from: at, to, said };
        self.post(at, node, Event::Answer(Box::new(answer)));
    }
}
