//! The turmoil world: whole servers with their HTTP, whole clients and the reconciler on simulated TCP, one run from
//! one seed.
//!
//! It carries out a scenario's plan, mends everything at its end, waits until the pair has come to rest, and reads
//! the disks before each step, at each expectation and at the end. What the run proves is judged elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tandem::manifest::types::Role;
use tandem::measure::Span;
use tandem::reconcile::observe::Target;
use tandem::store::Store;
use tokio::sync::mpsc;

use crate::actor::client::{self, Worker};
use crate::actor::observer;
use crate::actor::reconciler::{self, Task};
use crate::actor::server::{Common, Machine};
use crate::history::{Answered, Entry, Event, Fault, Said};
use crate::population::{crowd, in_turn, people};
use crate::record::Recorder;
use crate::run::{Run, Unmet, World};
use crate::scenario::{Action, Expected};
use crate::seed::{Choices, Stream};
use crate::subject::Subject;
use crate::world::leak_net;
use crate::world::links::Links;
use crate::world::net::{FIRST_PORT, Wiring};
use crate::world::rest::{self, REST_MS};
use crate::world::setup::Setup;

/// The tick: never above the least latency, or the order within it is lost.
const TICK: Duration = Duration::from_millis(1);

/// Runs a seed. To be called on a thread of its own.
#[must_use]
pub fn run(setup: &Setup, seed: u64) -> Run {
    let inside = leak_net::enter(seed, setup.subject.start);
    let mut run = match Stage::set(setup, seed) {
        Ok(stage) => stage.play(),
        Err(reason) => Run { world: World::Turmoil, ..Run::failed(seed, reason) },
    };
    if run.failure.is_none() && cfg!(target_os = "linux") && leak_net::caught() == 0 {
        run.failure =
            Some("nothing that asks the system was caught: the leak net is not linked in".into());
    }
    drop(inside);
    let kept = if setup.keeps_history { run.entries.clone() } else { Vec::new() };
    let mut run = run.judged(&setup.plan);
    if setup.keeps_history {
        run.entries = kept;
    }
    run
}

/// A run that is going on.
struct Stage<'a> {
    setup: &'a Setup,
    seed: u64,
    choices: Choices,
    sim: turmoil::Sim<'a>,
    machines: BTreeMap<String, Machine>,
    /// Machines whose process does not run.
    down: BTreeSet<String>,
    links: Links,
    /// Links that were made slow.
    slow: BTreeSet<(String, String)>,
    /// The longest that a message takes on any other.
    latency: Span,
    common: Common,
    tasks: mpsc::UnboundedSender<Task>,
    reloads: std::slice::Iter<'a, Subject>,
    now: u64,
    /// How many of the plan's expectations were looked at.
    expected: usize,
    /// How late the latest step came.
    late: Span,
    unmet: Vec<Unmet>,
    equal_at: Vec<u64>,
}

impl<'a> Stage<'a> {
    fn set(setup: &'a Setup, seed: u64) -> Result<Self, String> {
        let subject = &setup.subject;
        let mut choices = Choices::from_seed(seed);
        let latency = choices.span("latency", Span::from_ms(2), Span::from_ms(20));
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(Stream::named(seed, "turmoil").draw())
            .epoch(
                UNIX_EPOCH + Duration::from_millis(u64::try_from(subject.start.ms()).unwrap_or(0)),
            )
            .simulation_duration(Duration::from_secs(10 * 365 * 86_400))
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(latency.to_std())
            .ephemeral_ports(FIRST_PORT..=u16::MAX)
            .tcp_capacity(4096)
            .enable_random_order();
        let mut sim = builder.build();
        let operator = Subject::operator(seed);
        let common = Common {
            seed,
            start: subject.start,
            trust: tandem::statement::Signs::public(&operator).clone(),
            wiring: Wiring::default(),
            recorder: Recorder::default(),
        };
        let mut machines = BTreeMap::new();
        for entry in &subject.config.servers {
            let machine = Machine::new(entry, &common);
            common.wiring.server(machine.name(), &entry.address, entry.port);
            let runs = machine.clone();
            sim.host(machine.name(), move || runs.clone().run());
            let seen = entry.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 76, 0, 1)));
            common.wiring.machine(machine.name(), sim.lookup(machine.name()), seen);
            machines.insert(machine.name().to_owned(), machine);
        }
        let targets: Result<Vec<_>, _> = subject.config.servers.iter().map(Target::new).collect();
        let targets = targets.map_err(|error| error.to_string())?;
        let Ok(pair) = <[Target; 2]>::try_from(targets) else {
            return Err("a pair has two servers".into());
        };
        let tasks = people_and_tools(&mut sim, setup, &common, pair)?;
        common.recorder.note("world", Event::Terms(Arc::new(subject.terms())));
        let apply = Task::Apply { subject: Box::new(subject.clone()), degraded: false };
        let _ = tasks.send(apply);
        Ok(Self {
            setup,
            seed,
            choices,
            sim,
            machines,
            down: BTreeSet::new(),
            links: Links::default(),
            slow: BTreeSet::new(),
            latency,
            common,
            tasks,
            reloads: setup.reloads.iter(),
            now: 0,
            expected: 0,
            late: Span::ZERO,
            unmet: Vec::new(),
            equal_at: Vec::new(),
        })
    }

    fn play(mut self) -> Run {
        let plan = &self.setup.plan;
        let late = self.setup.subject.config.redundancy.heartbeat;
        for (planned, action) in &plan.actions {
            let late = self.choices.span("late", Span::ZERO, late);
            if let Err(reason) = self.go_on_until(*planned, *planned + late) {
                return self.failed(reason);
            }
            self.late = late;
            self.look_at_disks();
            if let Err(reason) = self.act(action) {
                return self.failed(reason);
            }
        }
        let last = plan.expected.last().map_or(Span::ZERO, |one| one.at + self.late);
        if let Err(reason) = self.go_on_until(plan.mended_at, last.max(plan.mended_at)) {
            return self.failed(reason);
        }
        let unmet = std::mem::take(&mut self.unmet);
        let equal_at = std::mem::take(&mut self.equal_at);
        self.mend();
        let unsettled = match self.settle() {
            Ok(unsettled) => unsettled,
            Err(reason) => return self.failed(reason),
        };
        self.look_at_disks();
        let failure = self.common.recorder.failure().or_else(|| self.replay().err());
        let (entries, trace) = self.common.recorder.finish();
        let (seed, simulated_ms, world) = (self.seed, self.now, World::Turmoil);
        Run {
            seed,
            world,
            trace,
            entries,
            unmet,
            equal_at,
            unsettled,
            failure,
            simulated_ms,
            ..Run::default()
        }
    }

    /// Every server's core alone orders what it ordered in the whole server.
    fn replay(&self) -> Result<(), String> {
        for (name, machine) in &self.machines {
            machine.replay().map_err(|error| format!("replaying `{name}`: {error}"))?;
        }
        Ok(())
    }

    fn failed(self, reason: String) -> Run {
        let (entries, trace) = self.common.recorder.finish();
        let (seed, simulated_ms, world) = (self.seed, self.now, World::Turmoil);
        let failure = Some(reason);
        Run { seed, world, trace, entries, failure, simulated_ms, ..Run::default() }
    }

    /// Lets everything happen until a time, and looks at what the plan expects until the time that it stands for: what
    /// is expected after a step counts from when the step came.
    fn go_on_until(&mut self, planned: Span, end: Span) -> Result<(), String> {
        let plan = &self.setup.plan;
        while let Some(expected) = plan.expected.get(self.expected)
            && expected.at <= planned
        {
            self.expected += 1;
            self.happen_until(end.min(expected.at + self.late))?;
            self.look_at_disks();
            self.equal_at.extend(expected.equal.then_some(self.now));
            self.unmet.extend(self.is_unmet(expected));
        }
        self.happen_until(end)
    }

    fn happen_until(&mut self, end: Span) -> Result<(), String> {
        while self.now < end.ms() {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| error.to_string())?;
        self.now += 1;
        self.common.recorder.set_now(self.now);
        leak_net::set_elapsed(Duration::from_millis(self.now));
        match self.common.recorder.failure() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    fn note(&self, fault: Fault) {
        self.common.recorder.note("world", Event::Fault(fault));
    }

    fn others(&self, node: &str) -> Vec<String> {
        let tools = [client::NODE, reconciler::NODE, observer::NODE].map(str::to_owned);
        let servers = self.machines.keys().filter(|name| *name != node).cloned();
        servers.chain(tools).collect()
    }

    fn act(&mut self, action: &Action) -> Result<(), String> {
        let recorder = self.common.recorder.clone();
        match action {
            Action::Crash(server) => self.crash(server),
            Action::Kill(server) => self.kill(server),
            Action::Stop(server) => self.stop(server),
            Action::Restart { server, empty } => self.restart(server, *empty),
            Action::Cut(a, b) => {
                self.links.cut(&self.sim, a, b, &recorder);
                self.links.cut(&self.sim, b, a, &recorder);
            }
            Action::CutOneWay(from, to) => self.links.cut(&self.sim, from, to, &recorder),
            Action::Hold(a, b) => self.links.hold(&self.sim, a, b, &recorder),
            Action::Slow(a, b) => {
                let latency = self.setup.subject.config.redundancy.heartbeat.part(2);
                self.sim.set_link_latency(a.as_str(), b.as_str(), latency.to_std());
                self.slow.insert((a.clone(), b.clone()));
            }
            Action::Repair(a, b) | Action::Release(a, b) => {
                self.fast(a, b);
                self.links.mend(&self.sim, a, b, &recorder);
            }
            Action::Reload(reload) => {
                let next = self.reloads.next().ok_or("a reload without what it applies")?;
                recorder.note("world", Event::Terms(Arc::new(next.terms())));
                let (subject, degraded) = (Box::new(next.clone()), reload.degraded);
                let _ = self.tasks.send(Task::Apply { subject, degraded });
            }
            Action::Offer(forgery) => {
                let forged = self.setup.subject.forged(*forgery, self.seed);
                let forged = forged.map_err(|error| error.to_string())?;
                recorder.note("world", Event::Terms(Arc::new(forged.terms.clone())));
                let _ = self.tasks.send(Task::Offer(Box::new(forged)));
            }
            Action::FailSync(server) => {
                self.disk_fault(server, "the next sync fails", |disk| disk.fail_syncs(1))
            }
            Action::DiskFull { server, full: true } => {
                self.disk_fault(server, "full", |disk| disk.set_capacity(Some(0)));
            }
            Action::DiskFull { server, full: false } => {
                self.disk_fault(server, "well", |disk| disk.set_capacity(None));
            }
            Action::Handover(_)
            | Action::Fence(_)
            | Action::Apply { .. }
            | Action::Pause(_)
            | Action::Resume(_)
            | Action::Suspend { .. }
            | Action::Share { .. }
            | Action::Clog(..)
            | Action::Stall { .. }
            | Action::ClockRate { .. }
            | Action::ClockJump { .. } => {
                return Err(format!(
                    "turmoil cannot do `{}`",
                    action.core_only().unwrap_or("this")
                ));
            }
        }
        Ok(())
    }

    /// A link that was slow is as fast as the others at their slowest.
    fn fast(&mut self, a: &str, b: &str) {
        for link in [(a, b), (b, a)] {
            if self.slow.remove(&(link.0.to_owned(), link.1.to_owned())) {
                self.sim.set_link_latency(a, b, self.latency.to_std());
            }
        }
    }

    fn disk_fault(
        &self,
        server: &str,
        what: &str,
        change: impl FnOnce(&crate::world::disk::SimDisk),
    ) {
        if let Some(machine) = self.machines.get(server) {
            change(machine.disk());
            self.note(Fault::Disk { server: server.to_owned(), what: what.to_owned() });
        }
    }

    /// The power goes off: nothing more leaves the machine, and the disk keeps what it likes of the rest.
    fn crash(&mut self, server: &str) {
        let Some(machine) = self.machines.get(server).cloned() else { return };
        self.note(Fault::Crash { server: server.to_owned() });
        machine.disk().power_off();
        let others = self.others(server);
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        self.links.dark(&mut self.sim, server, &others, |sim| sim.crash(server));
        self.down.insert(server.to_owned());
    }

    /// The process is gone at once; the machine goes on and says so to whoever connects.
    fn kill(&mut self, server: &str) {
        let Some(machine) = self.machines.get(server).cloned() else { return };
        self.note(Fault::Kill { server: server.to_owned() });
        machine.disk().detach();
        self.sim.crash(server);
        self.common.wiring.set_dead(server, true);
        self.down.insert(server.to_owned());
    }

    fn stop(&mut self, server: &str) {
        let Some(machine) = self.machines.get(server) else { return };
        self.note(Fault::Stop { server: server.to_owned() });
        machine.ask_to_stop();
        self.down.insert(server.to_owned());
    }

    fn restart(&mut self, server: &str, empty: bool) {
        let Some(machine) = self.machines.get(server).cloned() else { return };
        if !self.down.remove(server) {
            return;
        }
        if machine.disk().is_off() {
            machine.disk().power_on(&mut self.choices);
            machine.boot();
        }
        machine.disk().detach();
        if empty {
            machine.disk().replace();
        }
        self.note(Fault::Start { server: server.to_owned(), empty });
        self.sim.bounce(server);
    }

    /// Everything that is broken is mended, and the rest must come to rest.
    fn mend(&mut self) {
        let recorder = self.common.recorder.clone();
        for (a, b) in self.slow.clone() {
            self.fast(&a, &b);
        }
        self.links.mend_all(&self.sim, &recorder);
        for machine in self.machines.values() {
            machine.disk().set_capacity(None);
            machine.disk().fail_syncs(0);
        }
        for server in self.down.clone() {
            self.restart(&server, false);
        }
    }

    /// Goes on until the pair is at rest for a while, or too long for that.
    fn settle(&mut self) -> Result<Option<String>, String> {
        let redundancy = &self.setup.subject.config.redundancy;
        let bound = rest::within(redundancy);
        let end = self.now + bound.ms() + REST_MS;
        let every = observer::interval(&self.setup.subject).ms();
        let mut since = None;
        while self.now < end {
            self.happen_until(Span::from_ms(self.now + every))?;
            let trouble = self.trouble();
            since = if trouble.is_some() { None } else { since.or(Some(self.now)) };
            if since.is_some_and(|since| self.now - since >= REST_MS) {
                return Ok(None);
            }
        }
        Ok(self.trouble().map(|what| format!("{what}, {bound} after everything was mended")))
    }

    /// What keeps the pair from being at rest.
    fn trouble(&self) -> Option<String> {
        let config = &self.setup.subject.config;
        let roles = [Role::Primary, Role::Secondary];
        rest::trouble(roles.map(|role| config.server_of(role).name.as_str()), |name| {
            self.said(name, self.now)
        })
    }

    /// What a server last said of itself before a time, unless that was too long ago.
    fn said(&self, server: &str, at: u64) -> Option<Said> {
        let patience = observer::interval(&self.setup.subject).ms() * 4;
        self.common.recorder.look(|entries| said(entries, server, at, patience))
    }

    fn is_unmet(&self, expected: &Expected) -> Option<Unmet> {
        let at = self.now;
        rest::unmet(expected, at, |name| self.said(name, at).map(|said| said.state))
    }

    /// Reads what each disk would hold if the power went off now. The servers go on with the disks that they have.
    fn look_at_disks(&mut self) {
        // Looking decides nothing: it must not shift the choices of the run.
        let mut choices = Choices::from_seed(self.seed ^ self.now);
        let Setup { subject, reloads, .. } = self.setup;
        let applied = std::iter::once(subject).chain(reloads);
        let known: Vec<_> = applied.map(|subject| Arc::clone(&subject.config)).collect();
        for (server, machine) in &self.machines {
            let disk = machine.disk().copy();
            disk.power_off();
            disk.power_on(&mut choices);
            match Store::open_knowing(&disk, &known) {
                Ok((_store, durable)) => {
                    let event = Event::on_disk(server, &durable);
                    self.common.recorder.note("world", event);
                }
                Err(error) => {
                    let reason = format!("the disk of `{server}` cannot be read: {error}");
                    self.common.recorder.broken(reason);
                }
            }
        }
    }
}

/// What a server last said of itself in the `patience` before a time.
fn said(entries: &[Entry], server: &str, at: u64, patience: u64) -> Option<Said> {
    let until = entries.partition_point(|entry| entry.at <= at);
    let entries = entries.get(..until)?;
    let mut answers = BTreeMap::new();
    for entry in entries.iter().rev().take_while(|entry| entry.at + patience >= at) {
        match &entry.event {
            Event::Answered(Answered { request, server: Some(said), .. }) => {
                answers.insert(*request, said);
            }
            Event::Asked { request, to, .. } if to == server => {
                if let Some(said) = answers.get(request) {
                    return Some(Said::clone(said));
                }
            }
            _ => {}
        }
    }
    None
}

/// Puts everybody who is no server on the network. Gives where the reconciler takes its tasks.
fn people_and_tools(
    sim: &mut turmoil::Sim<'_>,
    setup: &Setup,
    common: &Common,
    pair: [Target; 2],
) -> Result<mpsc::UnboundedSender<Task>, String> {
    let Setup { subject, plan, .. } = setup;
    let wanted = match plan.clients {
        Some(count) => in_turn(&plan.products, count),
        None => crowd(&subject.config, &plan.products, subject.start),
    };
    let people = people(&subject.manifest, &subject.config, &wanted);
    let workers: Result<Vec<_>, _> = (0..)
        .zip(people)
        .map(|(place, person)| Worker::new(person, place, subject, plan, common))
        .collect();
    let workers = workers?;
    sim.client(client::NODE, async move {
        for worker in workers {
            tokio::spawn(worker.work());
        }
        std::future::pending().await
    });
    let (tasks, taken) = mpsc::unbounded_channel();
    let (targets, own) = (pair.clone(), common.clone());
    sim.client(reconciler::NODE, async move {
        reconciler::work(targets, taken, own).await;
        Ok(())
    });
    let (every, own) = (observer::interval(subject), common.clone());
    sim.client(observer::NODE, async move {
        for target in pair {
            tokio::spawn(observer::watch(target, every, own.clone()));
        }
        std::future::pending().await
    });
    for node in [client::NODE, reconciler::NODE, observer::NODE] {
        common.wiring.machine(node, sim.lookup(node), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(tasks)
}
