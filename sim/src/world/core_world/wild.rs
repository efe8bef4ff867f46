//! A run that nobody wrote down: which faults exist at all and how often is drawn first (swarm testing: a run with few
//! kinds of faults goes deeper into each), then what happens when.
//!
//! Both are choices of the run's one stream, so that shrinking it takes faults away. Choice 0 is always the tamer one.

use tandem::manifest::types::Mode;
use tandem::measure::Span;
use tandem::name::ServerName;

use crate::scenario::{Action, Mishap, Plan};
use crate::seed::Choices;
use crate::world::setup::{Setup, Timed};

/// The most faults of a run.
const FAULTS: u64 = 12;
/// Between when faults happen.
const FIRST: Span = Span::from_secs(2);
const LAST: Span = Span::from_secs(100);
/// When everything is mended.
const MENDED: Span = Span::from_secs(120);
/// The longest that a fault lasts.
const LASTS: Span = Span::from_secs(45);

/// The kinds of faults.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Crash,
    Kill,
    Stop,
    LostDisk,
    Cut,
    CutOneWay,
    Hold,
    Slow,
    CutOffClients,
    Pause,
    Suspend,
    Loss,
    Duplicate,
    Reorder,
    Clog,
    Stall,
    FailSync,
    FullDisk,
    Rate,
    Jump,
    Reload,
    Handover,
    Fence,
    Swap,
    Conflict,
}

impl Kind {
    const ALL: [Self; 25] = [
        Self::Crash,
        Self::Kill,
        Self::Stop,
        Self::LostDisk,
        Self::Cut,
        Self::CutOneWay,
        Self::Hold,
        Self::Slow,
        Self::CutOffClients,
        Self::Pause,
        Self::Suspend,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Clog,
        Self::Stall,
        Self::FailSync,
        Self::FullDisk,
        Self::Rate,
        Self::Jump,
        Self::Reload,
        Self::Handover,
        Self::Fence,
        Self::Swap,
        Self::Conflict,
    ];
}

/// The plan of a run.
pub(super) fn plan(choices: &mut Choices, setup: &Setup, servers: &[ServerName; 2]) -> Plan {
    // Some runs have people who wait for seats, some have people who borrow them.
    let [wait, borrow] = ["wait", "borrow"].map(|what| choices.choose(what, 2) == 1);
    let there: Vec<Kind> =
        Kind::ALL.into_iter().filter(|_| choices.choose("exists", 3) == 2).collect();
    let longest = setup.subject.config.ttl_max().with_drift();
    let is_escrow = setup.subject.config.redundancy.mode == Mode::Escrow;
    let mut draw = Draw {
        choices,
        servers,
        actions: Vec::new(),
        bundles: setup.timed.map_or(1 + setup.reloads.len(), |timed| timed.adds_operator) as u64,
        replaced: None,
        timed: setup.timed,
        dead_for: if is_escrow { Span::ZERO } else { longest },
        longest,
    };
    let count = if there.is_empty() { 0 } else { draw.choices.choose("faults", FAULTS + 1) };
    for _ in 0..count {
        let kind = draw.choices.choose("kind", there.len() as u64);
        let kind = usize::try_from(kind).ok().and_then(|place| there.get(place));
        if let Some(kind) = kind {
            draw.fault(*kind);
        }
    }
    let mut actions = draw.actions;
    actions.sort_by_key(|(at, _)| *at);
    // Whoever is fenced may be away for long.
    let last = actions.last().map_or(Span::ZERO, |(at, _)| *at);
    let wait = setup.plan.wait.filter(|_| wait);
    // Over a restart the end of a borrowed lease is known by wall time alone: a clock that is set ahead ends it.
    let jumps = actions.iter().any(|(_, action)| matches!(action, Action::ClockJump { .. }));
    let borrow = setup.plan.borrow.filter(|_| borrow && !jumps);
    Plan {
        actions,
        expected: Vec::new(),
        mended_at: MENDED.max(last),
        is_wild: false,
        wait,
        borrow,
        ..setup.plan.clone()
    }
}

struct Draw<'a> {
    choices: &'a mut Choices,
    servers: &'a [ServerName; 2],
    actions: Vec<(Span, Action)>,
    /// How many bundles there are to apply at any time, from the first.
    bundles: u64,
    /// The server whose disk is lost.
    replaced: Option<String>,
    timed: Option<Timed>,
    /// How long a server must be dead before an operator may say so.
    dead_for: Span,
    /// After how long no lease that nobody renewed is left.
    longest: Span,
}

impl Draw<'_> {
    fn server(&mut self) -> String {
        let place = self.choices.choose("server", 2);
        self.servers[usize::from(place == 1)].to_string()
    }

    /// Short times as often as long ones.
    fn lasts(&mut self) -> Span {
        let longest = LASTS.ms() >> self.choices.choose("shorter", 8);
        Span::from_ms(1 + self.choices.choose("lasts", longest.max(2)))
    }

    /// Something that happens, and what ends it after a while. When it begins, and when it ends.
    fn lasting(&mut self, begin: Action, end: Action) -> (Span, Span) {
        let at = self.choices.span("at", FIRST, LAST);
        let until = at + self.lasts();
        self.actions.push((at, begin));
        self.actions.push((until, end));
        (at, until)
    }

    /// Something that keeps the servers apart until it ends: then they meet again.
    fn apart(&mut self, begin: Action, end: Action) {
        let (_, until) = self.lasting(begin, end);
        self.interrupted("healed", until, 1_000);
    }

    /// A server that is down for a while.
    fn away(&mut self, death: fn(String) -> Action, server: String, empty: bool) {
        self.apart(death(server.clone()), Action::Restart { server, empty });
    }

    /// One in four of what both servers do together within so many milliseconds is cut off right then.
    fn interrupted(&mut self, what: &'static str, at: Span, within: u64) {
        if self.choices.choose(what, 4) == 3 {
            let [a, b] = self.servers.each_ref().map(ToString::to_string);
            let begin = at + Span::from_ms(self.choices.choose("after", within));
            let end = begin + self.lasts();
            self.actions.push((begin, Action::Cut(a.clone(), b.clone())));
            self.actions.push((end, Action::Repair(a, b)));
        }
    }

    fn fault(&mut self, kind: Kind) {
        let server = self.server();
        let [a, b] = self.servers.each_ref().map(ToString::to_string);
        match kind {
            Kind::Crash => self.away(Action::Crash, server, false),
            Kind::Kill => self.away(Action::Kill, server, false),
            Kind::Stop => self.away(Action::Stop, server, false),
            Kind::LostDisk => {
                // Of a pair that has lost both its disks nothing is promised.
                let server = self.replaced.get_or_insert(server).clone();
                self.away(Action::Crash, server, true);
            }
            Kind::Cut => {
                self.apart(Action::Cut(a.clone(), b.clone()), Action::Repair(a, b));
            }
            Kind::CutOneWay => {
                let (from, to) = if server == a { (a, b) } else { (b, a) };
                let end = Action::Repair(from.clone(), to.clone());
                self.apart(Action::CutOneWay(from, to), end);
            }
            Kind::Hold => {
                self.apart(Action::Hold(a.clone(), b.clone()), Action::Release(a, b));
            }
            Kind::Slow => {
                self.lasting(Action::Slow(a.clone(), b.clone()), Action::Repair(a, b));
            }
            Kind::CutOffClients => {
                let clients = "clients".to_owned();
                let end = Action::Repair(clients.clone(), server.clone());
                self.lasting(Action::Cut(clients, server), end);
            }
            Kind::Pause => {
                self.apart(Action::Pause(server.clone()), Action::Resume(server));
            }
            Kind::Suspend => {
                let at = self.choices.span("at", FIRST, LAST);
                let lasts = self.lasts();
                self.actions.push((at, Action::Suspend { percent: 50, lasts }));
            }
            Kind::Loss => self.share(Mishap::Loss, server),
            Kind::Duplicate => self.share(Mishap::Duplicate, server),
            Kind::Reorder => self.share(Mishap::Reorder, server),
            Kind::Clog => {
                let at = self.choices.span("at", FIRST, LAST);
                self.actions.push((at, Action::Clog(a, b)));
            }
            Kind::Stall => {
                let stall = |stalled| Action::Stall { server: server.clone(), stalled };
                self.lasting(stall(true), stall(false));
            }
            Kind::FailSync => {
                let at = self.choices.span("at", FIRST, LAST);
                self.actions.push((at, Action::FailSync(server)));
            }
            Kind::FullDisk => {
                let disk = |full| Action::DiskFull { server: server.clone(), full };
                self.lasting(disk(true), disk(false));
            }
            Kind::Rate => {
                let fast = self.choices.choose("fast", 20_001);
                let ppm = 10_000 - i64::try_from(fast).unwrap_or(0);
                let at = self.choices.span("at", FIRST, LAST);
                self.actions.push((at, Action::ClockRate { of: server, ppm }));
            }
            Kind::Jump => {
                let jump = self.choices.choose("jump", 7_200_001);
                let (half, back) = (jump.div_ceil(2), jump % 2 == 1);
                let ms = i64::try_from(half).unwrap_or(0) * if back { -1 } else { 1 };
                let at = self.choices.span("at", FIRST, LAST);
                self.actions.push((at, Action::ClockJump { server, ms }));
            }
            Kind::Reload => {
                let at = self.choices.span("at", FIRST, LAST);
                let degraded = self.choices.choose("degraded", 2) == 1;
                let bundle = self.bundle();
                self.actions.push((at, Action::Apply { bundle, degraded }));
            }
            Kind::Handover => {
                let other = if server == a { b } else { a };
                let (at, _) = self.lasting(Action::Handover(server), Action::Handover(other));
                self.interrupted("interrupted", at, 100);
            }
            Kind::Fence => {
                let at = self.choices.span("at", FIRST, LAST);
                let said = at + self.dead_for + self.lasts();
                let completes = self.choices.choose("completes", 2) == 1;
                let waits = if completes { self.longest } else { Span::ZERO };
                let back = said + waits + self.lasts();
                self.actions.push((at, Action::Crash(server.clone())));
                self.actions.push((said, Action::Fence(server.clone())));
                self.actions.push((back, Action::Restart { server, empty: false }));
            }
            Kind::Conflict => {
                let other = if server == a { b } else { a };
                self.conflict(server, other);
            }
            Kind::Swap => {
                if let Some(timed) = self.timed {
                    let apply = |bundle| Action::Apply { bundle, degraded: false };
                    let (at, _) = self.lasting(apply(timed.swapped), apply(0));
                    self.interrupted("interrupted", at, 100);
                }
            }
        }
    }

    fn bundle(&mut self) -> usize {
        usize::try_from(self.choices.choose("bundle", self.bundles)).unwrap_or(0)
    }

    /// One bundle at each side of a split; the later one may be signed by somebody whom the other side does not know.
    fn conflict(&mut self, first: String, second: String) {
        let reconciler = || "reconciler".to_owned();
        let apply = |bundle| Action::Apply { bundle, degraded: true };
        let at = self.choices.span("at", FIRST, LAST);
        let turns = at + self.lasts();
        let end = turns + self.lasts();
        let one = self.bundle();
        self.actions.push((at, Action::Cut(first.clone(), second.clone())));
        self.actions.push((at, Action::Cut(reconciler(), second.clone())));
        self.actions.push((at, apply(one)));
        self.actions.push((turns, Action::Repair(reconciler(), second.clone())));
        self.actions.push((turns, Action::Cut(reconciler(), first.clone())));
        match self.timed {
            Some(timed) if self.choices.choose("stranger", 2) == 1 => {
                self.actions.push((turns, apply(timed.adds_operator)));
                let later = turns + self.lasts();
                self.actions.push((later, apply(timed.by_added)));
            }
            _ => {
                let other = self.bundle();
                self.actions.push((turns, apply(other)));
            }
        }
        self.actions.push((end, Action::Repair(reconciler(), first.clone())));
        self.actions.push((end, Action::Repair(first, second)));
    }

    fn share(&mut self, mishap: Mishap, server: String) {
        let other = if self.choices.choose("with", 2) == 0 { "clients" } else { "" };
        let other = match other {
            "" => self.servers.iter().map(ToString::to_string).find(|name| *name != server),
            clients => Some(clients.to_owned()),
        };
        let between = [server, other.unwrap_or_default()];
        let percent = u8::try_from(1 + self.choices.choose("percent", 20)).unwrap_or(1);
        let end = Action::Share { mishap, between: between.clone(), percent: 0 };
        self.lasting(Action::Share { mishap, between, percent }, end);
    }
}
