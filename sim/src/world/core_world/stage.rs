//! A run that is going on: its servers, people, network and clocks, and the one loop that lets the next thing happen.
//!
//! It carries out a scenario's plan, mends everything at its end, waits until the pair has come to rest, and reads the
//! disks before each step, at each expectation and at the end, as the turmoil world does.

use std::borrow::Cow;
use std::sync::Arc;

use tandem::manifest::types::{Mode, Role};
use tandem::measure::Span;
use tandem::mutant;
use tandem::name::ServerName;
use tandem::pair::Effect;

use super::clock::Clock;
use super::connection::Connection;
use super::ground::Ground;
use super::log::Log;
use super::machine::Machine;
use super::message::Party;
use super::network::{CLIENTS, NODES, Network, RECONCILER};
use super::person::Client;
use super::queue::{MS, Micros, Queue};
use super::reconciler::Reconciler;
use super::{Event, Node};
use crate::history::{self, Fault};
use crate::run::{Run, Unmet, World};
use crate::scenario::{Action, Expected, Mishap, Plan, Reload};
use crate::seed::Choices;
use crate::world::rest::{self, REST_MS};
use crate::world::setup::Setup;

/// The most that clocks differ where nothing is said of them, in millionths.
const PPM: u64 = 200;
/// How fast the clocks of servers run that drift further than is assumed, in millionths.
const FAR_PPM: i64 = 50_000;
/// The least that a message takes.
const LATENCY_LEAST: Micros = 200;
/// The most that the slowest message takes, in the slowest run.
const LATENCY_MOST: Micros = 20 * MS;
/// When the first bundle is applied: both servers have started by then.
const APPLIED_AT: Micros = 100 * MS;
/// The fewest microseconds between one look at the pair and the next, while it comes to rest.
const LOOK_EVERY: Micros = 200 * MS;
/// More than happens in a run that comes to an end: some ten thousand a minute.
const EVENTS_MAX: u64 = 5_000_000;

/// A run that is going on.
pub(super) struct Stage<'a> {
    pub(super) setup: &'a Setup,
    pub(super) plan: Cow<'a, Plan>,
    pub(super) ground: Arc<Ground>,
    pub(super) choices: Choices,
    pub(super) queue: Queue<Event>,
    pub(super) log: Log,
    pub(super) network: Network,
    pub(super) machines: [Machine; 2],
    pub(super) connections: Vec<Connection>,
    pub(super) clients: Vec<Client>,
    pub(super) reconciler: Reconciler,
    /// Reused by every step of a pair.
    pub(super) effects: Vec<Effect>,
    /// Counts what must be unique.
    pub(super) fresh: u64,
    /// The bundle that was to be applied last.
    latest: usize,
    /// How many expectations were looked at.
    expected: usize,
    /// How late the latest step came.
    late: Micros,
    unmet: Vec<Unmet>,
    equal_at: Vec<u64>,
    pub(super) failure: Option<String>,
    happened: u64,
    states: super::States,
}

impl<'a> Stage<'a> {
    pub(super) fn set(
        setup: &'a Setup,
        mut choices: Choices,
        is_real: bool,
    ) -> Result<Self, String> {
        let ground = setup.ground()?;
        let most = LATENCY_LEAST + choices.choose("slowest", LATENCY_MOST - LATENCY_LEAST);
        let heartbeat = setup.subject.config.redundancy.heartbeat.ms() * MS;
        let mut machine = || {
            let booted = choices.choose("phase", heartbeat);
            let mut ppm = rate(&mut choices, PPM);
            if mutant!(ClocksDriftFar) {
                ppm = FAR_PPM;
            }
            // A machine that booted before the run began: its clock is somewhere within a heartbeat.
            let mut clock = Clock::new(0, ppm, ground.start);
            clock.set_phase(booted);
            Machine::new(clock, is_real)
        };
        let machines = [machine(), machine()];
        let clients = (0..ground.people.len())
            .map(|place| Client::new(place, Clock::new(0, rate(&mut choices, PPM), ground.start)))
            .collect();
        let plan = if setup.plan.is_wild {
            Cow::Owned(super::wild::plan(&mut choices, setup, &ground.servers))
        } else {
            Cow::Borrowed(&setup.plan)
        };
        let mut stage = Self {
            setup,
            plan,
            ground,
            choices,
            queue: Queue::new(),
            log: Log::new(),
            network: Network::new(LATENCY_LEAST, most),
            machines,
            connections: Vec::new(),
            clients,
            reconciler: Reconciler::default(),
            effects: Vec::new(),
            fresh: 0,
            latest: 0,
            expected: 0,
            late: 0,
            unmet: Vec::new(),
            equal_at: Vec::new(),
            failure: None,
            happened: 0,
            states: super::States::default(),
        };
        let terms = stage.ground.bundles.first().map(|one| one.terms.clone());
        if let Some(terms) = terms {
            stage.log.note("world", history::Event::Terms(terms));
        }
        stage.start(0);
        stage.start(1);
        stage.people_come();
        stage.apply_first(APPLIED_AT);
        Ok(stage)
    }

    pub(super) fn play(mut self) -> (Run, Choices) {
        let plan = self.plan.clone();
        let late = self.setup.subject.config.redundancy.heartbeat.ms() * MS;
        for (planned, action) in &plan.actions {
            let late = self.choices.choose("late", late);
            self.go_on_until(*planned, planned.ms() * MS + late);
            self.late = late;
            self.look_at_disks();
            self.act(action);
        }
        let last = plan.expected.last().map_or(0, |one| one.at.ms() * MS + self.late);
        self.go_on_until(plan.mended_at, last.max(plan.mended_at.ms() * MS));
        let unmet = std::mem::take(&mut self.unmet);
        self.mend();
        let unsettled = self.settle();
        self.look_at_disks();
        let run = Run {
            seed: self.choices.seed(),
            trace: self.log.hash(),
            entries: std::mem::take(&mut self.log.entries),
            unmet,
            equal_at: std::mem::take(&mut self.equal_at),
            unsettled,
            failure: self.failure.take(),
            simulated_ms: self.log.now / MS,
            states: self.states,
            world: World::Core,
            ..Run::default()
        };
        (run, self.choices)
    }

    /// Lets everything happen until a time, and looks at what the plan expects until the time that it stands for: what
    /// is expected after a step counts from when the step came.
    fn go_on_until(&mut self, planned: Span, end: Micros) {
        while let Some(expected) = self.plan.expected.get(self.expected).cloned()
            && expected.at <= planned
        {
            self.expected += 1;
            self.happen_until(end.min(expected.at.ms() * MS + self.late));
            self.look_at_disks();
            let at = self.log.now / MS;
            self.equal_at.extend(expected.equal.then_some(at));
            self.unmet.extend(self.is_unmet(&expected, at));
        }
        self.happen_until(end);
    }

    /// Lets everything happen until a time.
    fn happen_until(&mut self, end: Micros) {
        while self.failure.is_none()
            && let Some((at, event)) = self.queue.pop_until(end)
        {
            self.log.now = at;
            self.happen(event);
            self.happened += 1;
            // It may be one that never lets the time go on.
            if self.happened > EVENTS_MAX {
                self.failure.get_or_insert_with(|| format!("{EVENTS_MAX} events and no end"));
            }
        }
        self.log.now = self.log.now.max(end);
    }

    /// Something happens.
    pub(super) fn happen(&mut self, event: Event) {
        if let Some(at) = event.machine()
            && self.machines[at].is_paused
        {
            self.machines[at].stalled.push_back(event);
            return;
        }
        match event {
            Event::Arrives { id, from, item } => self.arrives(id, from, item),
            Event::Request { to, request } => self.take_in(to, *request),
            Event::HangUp { to, number } => self.hear_hang_up(to, number),
            Event::Answer(answer) => match answer.to {
                Party::Person(person) => self.client_hears(person, *answer),
                Party::Reconciler => self.reconciler_hears(*answer),
                Party::Operator => {}
            },
            Event::Client { person, due } => self.client_wakes(person, due),
            Event::Reconciler { until } => self.reconciler_wakes(until),
            Event::Alarm { at, era, due } if self.machines[at].era == era => self.alarm(at, due),
            Event::Written { at, era } if self.machines[at].era == era => self.written(at),
            Event::Open { at, era } if self.machines[at].era == era => self.open(at),
            Event::Dialed { at, era, reached } if self.machines[at].era == era => {
                self.dialed(at, reached);
            }
            Event::Redial { at, era, wait } if self.machines[at].era == era => {
                self.redial(at, wait);
            }
            Event::Awake { person } => self.client_goes_on(person),
            Event::Unclogged { from, to } => self.unclogged(from, to),
            // Of a process that is gone.
            _ => {}
        }
    }

    fn node(&self, name: &str) -> Node {
        match name {
            "clients" => CLIENTS,
            "reconciler" => RECONCILER,
            _ => self.server(name),
        }
    }

    fn server(&self, name: &str) -> Node {
        usize::from(self.ground.servers[0].as_str() != name)
    }

    pub(super) fn name(&self, node: Node) -> String {
        match node {
            CLIENTS => "clients".to_owned(),
            RECONCILER => "reconciler".to_owned(),
            server => self.ground.servers[server.min(1)].to_string(),
        }
    }

    pub(super) fn note(&mut self, fault: Fault) {
        self.log.note("world", history::Event::Fault(fault));
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Crash(server) => {
                self.note(Fault::Crash { server: server.clone() });
                self.lose_power(self.server(server));
            }
            Action::Kill(server) => {
                self.note(Fault::Kill { server: server.clone() });
                self.kill(self.server(server));
            }
            Action::Stop(server) => {
                self.note(Fault::Stop { server: server.clone() });
                self.stop(self.server(server));
            }
            Action::Restart { server, empty } => {
                let at = self.server(server);
                if self.machines[at].process.is_none() {
                    self.note(Fault::Start { server: server.clone(), empty: *empty });
                    self.restart(at, *empty);
                }
            }
            Action::Cut(a, b) => {
                let (a, b) = (self.node(a), self.node(b));
                self.cut(a, b);
                self.cut(b, a);
            }
            Action::CutOneWay(from, to) => self.cut(self.node(from), self.node(to)),
            Action::Hold(a, b) => {
                let (a, b) = (self.node(a), self.node(b));
                self.hold(a, b);
                self.hold(b, a);
            }
            Action::Slow(a, b) => {
                let slow = self.setup.subject.config.redundancy.heartbeat.part(2).ms() * MS;
                let (a, b) = (self.node(a), self.node(b));
                self.change_links(a, b, |link| link.slow = slow);
            }
            Action::Repair(a, b) | Action::Release(a, b) => {
                let (a, b) = (self.node(a), self.node(b));
                self.heal(a, b);
                self.heal(b, a);
            }
            Action::Reload(Reload { degraded, .. }) => {
                self.apply_noted(self.latest + 1, *degraded);
            }
            Action::Apply { bundle, degraded } => self.apply_noted(*bundle, *degraded),
            Action::Offer(forgery) => {
                if let Some(terms) = self.ground.forged.get(forgery).map(|one| one.terms.clone()) {
                    self.log.note("world", history::Event::Terms(terms));
                    self.offer(*forgery);
                }
            }
            Action::FailSync(server) => {
                self.disk_fault(server, "the next sync fails");
                let at = self.server(server);
                self.machines[at].disk.fail_sync();
            }
            Action::Handover(to) => self.hand_over(to),
            Action::Fence(server) => self.fence(server),
            Action::Pause(server) => {
                let at = self.server(server);
                if self.machines[at].is_powered {
                    self.note(Fault::Pause { server: server.clone() });
                    self.machines[at].is_paused = true;
                }
            }
            Action::Resume(server) => {
                let at = self.server(server);
                self.resume(at);
            }
            Action::Suspend { percent, lasts } => self.suspend(*percent, *lasts),
            Action::Share { mishap, between: [a, b], percent } => {
                let permille = u64::from(*percent) * 10;
                let (a, b) = (self.node(a), self.node(b));
                self.change_links(a, b, |link| match mishap {
                    Mishap::Loss => link.loss = permille,
                    Mishap::Duplicate => link.duplicate = permille,
                    Mishap::Reorder => link.reorder = permille,
                });
            }
            Action::Clog(a, b) => {
                let longest = self.setup.subject.config.redundancy.failover_after.ms() * 2 * MS;
                let until = self.log.now + self.choices.choose("clogged", longest);
                let (a, b) = (self.node(a), self.node(b));
                self.clog(a, b, until);
                self.clog(b, a, until);
            }
            Action::Stall { server, stalled } => {
                self.disk_fault(server, if *stalled { "stalled" } else { "well" });
                let at = self.server(server);
                if *stalled {
                    self.machines[at].disk.is_stalled = true;
                } else {
                    self.unstall(at);
                }
            }
            Action::ClockRate { of, ppm } if of == "clients" => {
                let width = ppm.unsigned_abs();
                for client in &mut self.clients {
                    let ppm = rate(&mut self.choices, width);
                    client.clock.set_rate(ppm, self.log.now);
                }
            }
            Action::ClockRate { of, ppm } => {
                let at = self.server(of);
                let far = mutant!(ClocksDriftFar).then_some(FAR_PPM * ppm.signum());
                self.machines[at].clock.set_rate(far.unwrap_or(*ppm), self.log.now);
                self.machines[at].forget_alarm();
                self.arm(at);
            }
            Action::ClockJump { server, ms } => {
                let at = self.server(server);
                self.machines[at].clock.jump(*ms);
                self.note(Fault::Clock { server: server.clone(), ms: *ms });
            }
            Action::DiskFull { server, full } => {
                self.disk_fault(server, if *full { "full" } else { "well" });
                let at = self.server(server);
                self.machines[at].disk.set_full(*full);
            }
        }
    }

    fn apply_noted(&mut self, bundle: usize, degraded: bool) {
        if let Some(terms) = self.ground.bundles.get(bundle).map(|one| one.terms.clone()) {
            self.log.note("world", history::Event::Terms(terms));
            self.latest = bundle;
            self.apply(bundle, degraded);
        }
    }

    /// Some of the clients' computers sleep for a while.
    fn suspend(&mut self, percent: u8, lasts: Span) {
        for person in 0..self.clients.len() {
            if self.chance("sleeps", u64::from(percent) * 10) {
                self.clients[person].is_asleep = true;
                self.queue.push(self.log.now + lasts.ms() * MS, Event::Awake { person });
            }
        }
    }

    /// An operator says that a server is dead, where that is so; in the mode `escrow` they see to it that it stays so.
    fn fence(&mut self, server: &str) {
        let at = self.server(server);
        let config = self.machines[1 - at].process.as_ref().and_then(|process| process.config());
        let Some(config) = config.cloned() else {
            return self.not_fenced(server, "the other server has no configuration");
        };
        let is_escrow = config.redundancy.mode == Mode::Escrow;
        let longest = config.ttl_max().with_drift().ms() * MS;
        let least = if is_escrow { 0 } else { longest };
        if self.is_down_for(at).is_none_or(|down| down < least) {
            return self.not_fenced(server, "it may serve somebody");
        }
        if !self.say_fence(1 - at) {
            return self.not_fenced(server, "the other server does not take that word");
        }
        self.note(Fault::Fence { server: server.to_owned() });
        if is_escrow {
            self.block(CLIENTS, at, |link| link.is_shut = true);
        }
    }

    /// What a scenario says is done, or it fails; what is drawn may not fit.
    fn not_fenced(&mut self, server: &str, why: &str) {
        if !self.setup.plan.is_wild {
            let what = format!("`{server}` was not fenced: {why}");
            self.unmet.push(Unmet { at: self.log.now / MS, what });
        }
    }

    /// A fenced server has met its peer: clients may reach it again.
    pub(super) fn let_near(&mut self, at: Node) {
        let Some(link) = self.network.link_mut(CLIENTS, at) else { return };
        if !std::mem::replace(&mut link.is_shut, false) || !link.passes() {
            return;
        }
        self.note_heal(CLIENTS, at);
        self.let_go(CLIENTS, at, true);
    }

    fn disk_fault(&mut self, server: &str, what: &str) {
        self.note(Fault::Disk { server: server.to_owned(), what: what.to_owned() });
    }

    /// What one sends the other does not pass from now on: it is lost, or it waits.
    fn block(&mut self, from: Node, to: Node, how: impl FnOnce(&mut super::network::Link)) {
        let Some(link) = self.network.link_mut(from, to) else { return };
        let passed = link.passes();
        how(link);
        if passed {
            let (from, to) = (self.name(from), self.name(to));
            self.note(Fault::Cut { from, to });
        }
    }

    fn cut(&mut self, from: Node, to: Node) {
        self.block(from, to, |link| link.is_cut = true);
    }

    fn hold(&mut self, from: Node, to: Node) {
        self.block(from, to, |link| link.is_held = true);
    }

    /// What one sends the other waits. To both that is a split: nobody tells late from never.
    fn clog(&mut self, from: Node, to: Node, until: Micros) {
        self.block(from, to, |link| link.clogged_until = until);
        self.queue.push(until, Event::Unclogged { from, to });
    }

    fn unclogged(&mut self, from: Node, to: Node) {
        let link = self.network.link(from, to);
        if link.passes() && !link.is_clogged(self.log.now) {
            self.note_heal(from, to);
        }
    }

    fn note_heal(&mut self, from: Node, to: Node) {
        let (from, to) = (self.name(from), self.name(to));
        self.note(Fault::Heal { from, to });
    }

    /// What one sends the other passes again, and fast.
    fn heal(&mut self, from: Node, to: Node) {
        let now = self.log.now;
        let Some(link) = self.network.link_mut(from, to) else { return };
        let (passed, was_cut) = (link.passes() && !link.is_clogged(now), link.is_cut);
        (link.is_cut, link.is_held, link.slow, link.clogged_until) = (false, false, 0, 0);
        if !passed && link.passes() {
            self.note_heal(from, to);
            self.let_go(from, to, was_cut);
        }
        self.see_states();
    }

    fn change_links(&mut self, a: Node, b: Node, change: impl Fn(&mut super::network::Link)) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(link) = self.network.link_mut(from, to) {
                change(link);
            }
        }
    }

    /// Everything that is broken is mended, and the rest must come to rest.
    fn mend(&mut self) {
        for (from, to) in Network::pairs() {
            self.heal(from, to);
            self.change_links(from, to, |link| {
                *link = super::network::Link { is_shut: link.is_shut, ..Default::default() };
            });
        }
        for person in 0..self.clients.len() {
            self.client_goes_on(person);
        }
        for at in [0, 1] {
            self.machines[at].disk.mend();
            self.unstall(at);
            self.resume(at);
            if self.machines[at].process.is_none() {
                let server = self.name(at);
                self.note(Fault::Start { server, empty: false });
                self.restart(at, false);
            }
        }
        if self.setup.plan.is_wild {
            // Wherever it does not run, as `watch` does: a disk may be lost, or what one server took gave way to the other's.
            let last = if self.is_for_a_while(self.latest) { 0 } else { self.latest };
            self.apply(last, false);
        }
    }

    /// Whether no pair comes to rest on a bundle that was applied: a license of it ends, or it may be a stranger's.
    fn is_for_a_while(&self, bundle: usize) -> bool {
        let terms = self.ground.bundles.get(bundle).map(|one| &one.terms);
        let mut servers = terms.into_iter().flat_map(|terms| terms.servers.values());
        let ends = servers.any(|one| one.licenses.iter().any(|license| license.until.is_some()));
        ends || self.setup.timed.is_some_and(|timed| timed.by_added == bundle)
    }

    /// Goes on until the pair is at rest for a while, or too long for that.
    fn settle(&mut self) -> Option<String> {
        let redundancy = &self.setup.subject.config.redundancy;
        let bound = rest::within(redundancy);
        let end = self.log.now + (bound.ms() + REST_MS) * MS;
        let every = (redundancy.heartbeat.ms() * MS).max(LOOK_EVERY);
        let mut since = None;
        while self.log.now < end {
            self.happen_until(self.log.now + every);
            let trouble = self.trouble();
            since = if trouble.is_some() { None } else { since.or(Some(self.log.now)) };
            if since.is_some_and(|since| self.log.now - since >= REST_MS * MS) {
                return None;
            }
        }
        self.trouble().map(|what| format!("{what}, {bound} after everything was mended"))
    }

    /// What keeps the pair from being at rest. Where handovers are drawn, only the servers know who is to lead.
    fn trouble(&self) -> Option<String> {
        let config = &self.setup.subject.config;
        let mut leads = config.server_of(Role::Primary).name.as_str();
        if self.setup.plan.is_wild {
            let leader = |at: Node| self.machines[at].pair()?.leader();
            let (one, other) = (leader(0), leader(1));
            if one != other {
                return Some(format!("one server says that {one:?} leads, the other {other:?}"));
            }
            leads = one.map_or(leads, ServerName::as_str);
        }
        let names = self.ground.servers.each_ref().map(ServerName::as_str);
        let follows = names.into_iter().find(|name| *name != leads).unwrap_or_default();
        rest::trouble([leads, follows], |name| {
            let pair = self.machines[self.server(name)].pair()?;
            Some(history::Said {
                state: pair.standing().state.as_str().to_owned(),
                generation: pair.generation().0,
                bundle: pair.committed().map(|one| one.hash().to_string()),
                paired: pair.is_paired(),
            })
        })
    }

    fn is_unmet(&self, expected: &Expected, at: u64) -> Option<Unmet> {
        rest::unmet(expected, at, |name| {
            let state = self.machines[self.server(name)].state();
            state.map(|state| state.as_str().to_owned())
        })
    }

    /// Reads what each disk would hold if the power went off now.
    fn look_at_disks(&mut self) {
        let seed = self.choices.seed() ^ self.log.now;
        for at in [0, 1] {
            let server = self.name(at);
            let disk = &self.machines[at].disk;
            let known = &self.ground.configs;
            let seen = disk.look(seed, known, |durable| history::Event::on_disk(&server, durable));
            match seen {
                Ok(event) => self.log.note("world", event),
                Err(error) => {
                    let reason = format!("the disk of `{server}` cannot be read: {error}");
                    self.failure.get_or_insert(reason);
                }
            }
        }
    }

    /// Counts in which states the two are together.
    pub(super) fn see_states(&mut self) {
        let states = [0, 1].map(|at| self.machines[at].state());
        let cut = !(self.network.link(0, 1).passes() && self.network.link(1, 0).passes());
        let up = [0, 1].map(|at| {
            self.machines[at].process.as_ref().is_some_and(|process| process.link.is_some())
        });
        self.states.see(states, up == [true, true], cut);
    }
}

/// How much faster than true time a clock runs, and at most, in millionths.
fn rate(choices: &mut Choices, most: u64) -> i64 {
    let drawn = choices.choose("rate", 2 * most + 1);
    i64::try_from(drawn).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
}

const _: () = assert!(NODES == 4, "`name` names every node");
