//! Scenes of two servers, played as scripts over a network and disks in memory: what each promise means.

mod borrow;
mod conflict;
mod escrow;
mod escrow_schedules;
mod frames;
mod half_dead;
mod handover;
mod lost_disk;
mod queue;
mod roles;
mod v1;

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::bundle::Bundle;
use crate::license::{self, License};
use crate::manifest::types::Manifest;
use crate::measure::{Seats, Timestamp};
use crate::name::{LeaseId, LicenseId, ProductName, PublicKey, UseId, UserName};
use crate::statement::{ApplyStatement, MemoryKey, Signs as _, Source};

const HEARTBEAT: u64 = 500;
const FAILOVER: u64 = 3_000;
const TTL: u64 = 20_000;
const A: usize = 0;
const B: usize = 1;
const NAMES: [&str; 2] = ["lic-a", "lic-b"];

/// Who dies, and who of them comes back.
const DEATHS: [(&[usize], &[usize]); 7] = [
    (&[A], &[A]),
    (&[B], &[B]),
    (&[A, B], &[A, B]),
    (&[A], &[]),
    (&[B], &[]),
    (&[A, B], &[A]),
    (&[A, B], &[B]),
];

/// A compiled bundle of a pair with that many seats of `designer` for everyone.
fn config(seats: u32) -> Config {
    config_with(seats, |_| {})
}

/// The same, with license files that are changed before they are signed.
fn config_with(seats: u32, change: impl Fn(&mut License)) -> Config {
    compile(seats, &serde_json::json!([{"everyone": true}]), &serde_json::json!({}), change)
}

/// The same, with those assignments.
fn config_of(seats: u32, assign: &serde_json::Value) -> Config {
    compile(seats, assign, &serde_json::json!({}), |_| {})
}

/// The same, in that mode.
fn config_as(seats: u32, mode: &str) -> Config {
    let everyone = serde_json::json!([{"everyone": true}]);
    compile(seats, &everyone, &serde_json::json!({"mode": mode}), |_| {})
}

fn compile(
    seats: u32,
    assign: &serde_json::Value,
    redundancy: &serde_json::Value,
    change: impl Fn(&mut License),
) -> Config {
    compile_for(NAMES, seats, assign, redundancy, change)
}

/// The same, of these servers: the primary and the secondary.
fn compile_for(
    [primary, secondary]: [&str; 2],
    seats: u32,
    assign: &serde_json::Value,
    redundancy: &serde_json::Value,
    change: impl Fn(&mut License),
) -> Config {
    let ports = if primary < secondary { [4820, 4821] } else { [4821, 4820] };
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let vendor = PublicKey(key.verifying_key().to_bytes());
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": "test"},
        "servers": [
            {"name": primary, "role": "primary", "address": "127.0.0.1", "port": ports[0]},
            {"name": secondary, "role": "secondary", "address": "127.0.0.1", "port": ports[1]},
        ],
        "trust": {"vendors": [vendor]}, "leases": {"ttl": "20s"}, "redundancy": redundancy,
        "seats": [{"product": "designer", "assign": assign}],
    }))
    .expect("a valid manifest");
    let file = |role: Role| {
        let mut license = License {
            id: LicenseId::new(&format!("l-{role}")).expect("an id"),
            product: ProductName::new("designer").expect("a name"),
            seats: Seats(seats),
            role,
            vendor,
            issued: Timestamp::from_ms(0),
            not_before: Timestamp::from_ms(0),
            expires: None,
            server: None,
            pair: None,
            modes: None,
            standalone: None,
            max_borrow: None,
            share: vec![license::SharePart::User, license::SharePart::Host],
            entitlements: Vec::new(),
        };
        change(&mut license);
        license::sign(&license, &key).armor().into_bytes()
    };
    let name = |text: &str| ServerName::new(text).expect("a name");
    let bundle = Bundle::build(
        &manifest,
        vec![
            (name(primary), "a.alf".to_owned(), file(Role::Primary)),
            (name(secondary), "b.alf".to_owned(), file(Role::Secondary)),
        ],
    )
    .expect("a bundle");
    Config::compile(&bundle).expect("it compiles")
}

fn operator() -> MemoryKey {
    MemoryKey::from_seed([9; 32], "operator")
}

/// One machine: what runs on it and what its disk holds.
struct Machine {
    pair: Option<Pair>,
    disk: Durable,
    writing: VecDeque<(u64, WriteId, Vec<Write>)>,
    inbox: VecDeque<(u64, Frame)>,
}

/// Two machines, a network and a clock.
struct Script {
    now: u64,
    machines: [Machine; 2],
    names: [&'static str; 2],
    connected: bool,
    cut: bool,
    /// How long a write takes.
    disk_ms: [u64; 2],
    /// Whether the disk takes no write at all.
    full: [bool; 2],
    tickets: u64,
    replies: BTreeMap<u64, Reply>,
    retry_at: u64,
    granted: u64,
    /// How wrong both wall clocks are, and each beside that.
    wall_shift: i64,
    wall_shift_of: [i64; 2],
    /// Whether the servers hear of each other only what version 1 of the frames says.
    speaks_v1: bool,
    record_frames: bool,
    frames: Vec<String>,
}

impl Script {
    /// Both servers run, with no bundle.
    fn begin() -> Self {
        let machine = || Machine {
            pair: None,
            disk: Durable::default(),
            writing: VecDeque::new(),
            inbox: VecDeque::new(),
        };
        let mut script = Self {
            now: 1_000,
            machines: [machine(), machine()],
            names: NAMES,
            connected: false,
            cut: false,
            disk_ms: [1, 1],
            full: [false, false],
            tickets: 0,
            replies: BTreeMap::new(),
            retry_at: 0,
            granted: 0,
            wall_shift: 0,
            wall_shift_of: [0; 2],
            speaks_v1: false,
            record_frames: false,
            frames: Vec::new(),
        };
        script.start(A);
        script.start(B);
        script
    }

    /// Both servers run the bundle and are paired.
    fn paired(seats: u32) -> Self {
        Self::paired_as(seats, "mirror")
    }

    fn paired_as(seats: u32, mode: &str) -> Self {
        let mut script = Self::begin();
        script.commit(A, config_as(seats, mode), 1);
        script.commit(B, config_as(seats, mode), 1);
        script.run(300);
        assert_eq!(script.states(), (State::Active, State::Standby));
        assert!(script.pair(A).is_ready() && script.pair(B).is_ready());
        script
    }

    fn time(&self) -> Now {
        let ms = 1_700_000_000_000 + i64::try_from(self.now).expect("small");
        Now { moment: Moment::from_ms(self.now), wall: Timestamp::from_ms(ms + self.wall_shift) }
    }

    /// The time as a machine sees it.
    fn time_at(&self, at: usize) -> Now {
        let Now { moment, wall } = self.time();
        Now { moment, wall: Timestamp::from_ms(wall.ms() + self.wall_shift_of[at]) }
    }

    fn pair(&self, at: usize) -> &Pair {
        self.machines[at].pair.as_ref().expect("the server runs")
    }

    /// Kills these servers and starts those that are to come back; within twice the time to fail over one serves.
    fn one_serves_after(&mut self, dead: &[usize], back: &[usize], scene: &str) -> usize {
        for at in dead {
            self.kill(*at);
        }
        self.run(FAILOVER / 10);
        for at in back {
            self.start(*at);
        }
        self.run(2 * FAILOVER + 600);
        let state = |at: &usize| self.machines[*at].pair.as_ref().map(|pair| pair.standing().state);
        let serving: Vec<usize> =
            [A, B].into_iter().filter(|at| state(at) == Some(State::Active)).collect();
        assert_eq!(serving.len(), 1, "{scene}: {serving:?} serve");
        serving[0]
    }

    /// Whether a process runs on each machine.
    fn both_run(&self) -> bool {
        self.machines.iter().all(|machine| machine.pair.is_some())
    }

    fn states(&self) -> (State, State) {
        (self.pair(A).standing().state, self.pair(B).standing().state)
    }

    fn start(&mut self, at: usize) {
        let name = ServerName::new(self.names[at]).expect("a name");
        let disk = self.machines[at].disk.clone();
        let trust = Keyring::new(&[], &[operator().public().clone()]);
        let pair = Pair::new(self.time_at(at), name, trust, disk, false);
        self.machines[at].pair = Some(pair.expect("the disk is good"));
    }

    /// A disk that hung takes everything that waits for it.
    fn finish_writes(&mut self, at: usize) {
        self.disk_ms[at] = 1;
        let now = self.now;
        self.machines[at].writing.iter_mut().for_each(|(due, ..)| *due = now);
    }

    /// The process dies; what was not written yet is lost.
    fn kill(&mut self, at: usize) {
        self.machines[at].pair = None;
        self.machines[at].writing.clear();
        self.hang_up();
    }

    fn hang_up(&mut self) {
        if self.connected {
            self.connected = false;
            self.retry_at = self.now + 50;
            for at in [A, B] {
                self.machines[at].inbox.clear();
                self.tell(at, Input::Disconnected);
            }
        }
    }

    fn tell(&mut self, at: usize, input: Input) {
        let now = self.time_at(at);
        let Some(pair) = &mut self.machines[at].pair else { return };
        let mut effects = Vec::new();
        pair.handle(now, input, &mut effects);
        let mut hang_up = false;
        for effect in effects {
            match effect {
                Effect::Persist(id, writes) => {
                    self.machines[at].writing.push_back((self.now + self.disk_ms[at], id, writes));
                }
                Effect::Send(frame) => {
                    let mut text = serde_json::to_string(&frame).expect("a frame is JSON");
                    if self.speaks_v1 {
                        text = v1::read(&text);
                    }
                    if self.record_frames {
                        self.frames.push(text.clone());
                    }
                    let frame: Frame = serde_json::from_str(&text).expect("and back");
                    if self.connected && !hang_up {
                        self.machines[1 - at].inbox.push_back((self.now + 1, frame));
                    }
                }
                Effect::Disconnect => hang_up = true,
                Effect::Reply(ticket, reply) => {
                    self.replies.insert(ticket.0, *reply);
                }
                Effect::Event(event) => {
                    if std::env::var_os("SHOW").is_some() {
                        eprintln!("{} {at} {event:?}", self.now);
                    }
                }
                Effect::Restart { .. } => {
                    for (_, _, writes) in std::mem::take(&mut self.machines[at].writing) {
                        for write in writes {
                            self.machines[at].disk.apply(&write);
                        }
                    }
                    self.start(at);
                    hang_up = true;
                }
            }
        }
        if hang_up {
            // The side that hangs up knows; the other is told.
            self.connected = false;
            self.retry_at = self.now + 50;
            for machine in &mut self.machines {
                machine.inbox.clear();
            }
            self.tell(1 - at, Input::Disconnected);
        }
    }

    /// When the next thing happens: between, time passes and nothing else.
    fn next_due(&self) -> u64 {
        let both = self.machines.iter().all(|machine| machine.pair.is_some());
        let connects = (both && !self.connected && !self.cut).then_some(self.retry_at);
        let of_machine = |machine: &Machine| {
            let deadline = machine.pair.as_ref().and_then(Pair::deadline).map(Moment::ms);
            let written = machine.writing.front().map(|(due, ..)| *due);
            let arrived = machine.inbox.front().map(|(due, _)| *due);
            [deadline, written, arrived].into_iter().flatten().min()
        };
        let of_machines = self.machines.iter().filter_map(of_machine);
        of_machines.chain(connects).min().unwrap_or(u64::MAX)
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now = self.next_due().clamp(self.now + 1, end);
            let both = self.machines.iter().all(|machine| machine.pair.is_some());
            if both && !self.connected && !self.cut && self.now >= self.retry_at {
                self.connected = true;
                self.tell(A, Input::Connected);
                self.tell(B, Input::Connected);
            }
            for at in [A, B] {
                while self.machines[at].writing.front().is_some_and(|(due, ..)| *due <= self.now) {
                    let (_, id, writes) =
                        self.machines[at].writing.pop_front().expect("there is one");
                    if self.full[at] {
                        self.machines[at].writing.clear();
                        self.hang_up();
                        self.start(at);
                        continue;
                    }
                    for write in &writes {
                        self.machines[at].disk.apply(write);
                    }
                    self.tell(at, Input::Persisted(id));
                }
                while !self.cut
                    && self.machines[at].inbox.front().is_some_and(|(due, _)| *due <= self.now)
                {
                    let (_, frame) = self.machines[at].inbox.pop_front().expect("there is one");
                    self.tell(at, Input::Frame(Box::new(frame)));
                }
                let now = Moment::from_ms(self.now);
                let due = |pair: &Pair| pair.deadline().is_some_and(|deadline| deadline <= now);
                if self.machines[at].pair.as_ref().is_some_and(due) {
                    self.tell(at, Input::Deadline);
                    // A deadline that is due and changes nothing would be told again for ever.
                    let deadline = self.machines[at].pair.as_ref().and_then(Pair::deadline);
                    let due = deadline.is_some_and(|deadline| deadline.ms() <= self.now);
                    assert!(!due, "server {at} asks for the time at {} again and again", self.now);
                }
            }
        }
    }

    fn command(&mut self, at: usize, command: Command) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.tell(at, Input::Command(Ticket(ticket), Box::new(command)));
        ticket
    }

    /// The answer, if it comes within the time.
    fn answer(&mut self, ticket: u64, within: u64) -> Option<Reply> {
        for _ in 0..within {
            if let Some(reply) = self.replies.get(&ticket) {
                return Some(reply.clone());
            }
            self.run(1);
        }
        self.replies.get(&ticket).cloned()
    }

    fn commit(&mut self, at: usize, config: Config, generation: u64) {
        let ticket = self.ask_commit(at, config, generation);
        let answer = self.answer(ticket, 20);
        assert!(matches!(answer, Some(Reply::Committed { .. })), "{answer:?}");
    }

    fn ask_commit(&mut self, at: usize, config: Config, generation: u64) -> u64 {
        let base = self.pair(at).generation();
        let name = ServerName::new(self.names[at]).expect("a name");
        let statement = ApplyStatement {
            generation: Generation(generation),
            ..ApplyStatement::new(
                config.pair.clone(),
                config.bundle.hash(),
                BTreeMap::from([(name, Generation(generation - 1))]),
                Vec::new(),
                self.time().wall,
                Source { repository: None, commit: None, path: "x".to_owned(), dirty: false },
            )
        };
        let statement = SignedStatement::sign_apply(statement, &operator()).expect("signed");
        let commit = Commit {
            config: Arc::new(config),
            statements: vec![statement],
            generation: Generation(generation),
            base,
        };
        self.command(at, Command::Commit(Box::new(commit)))
    }

    /// What somebody asks for who wants one seat.
    fn one_seat(&mut self, user: &str, use_id: &str) -> Checkout {
        self.granted += 1;
        Checkout {
            product: ProductName::new("designer").expect("a name"),
            user: UserName::new(user).expect("a name"),
            host: crate::name::HostName::new("ws").expect("a name"),
            address: "127.0.0.1".parse().expect("an address"),
            use_id: UseId::new(use_id).expect("a use"),
            seats: Seats(1),
            borrow: None,
            fresh: LeaseId::new(&format!("lease-{}", self.granted)).expect("an id"),
        }
    }

    fn ask(&mut self, at: usize, user: &str, use_id: &str) -> u64 {
        let request = self.one_seat(user, use_id);
        self.command(at, Command::Checkout(request))
    }

    fn checkout(&mut self, at: usize, user: &str, use_id: &str) -> Result<Held, Refusal> {
        let ticket = self.ask(at, user, use_id);
        match self.answer(ticket, 100).expect("an answer") {
            Reply::Lease(held) => Ok(*held),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to a checkout: {other:?}"),
        }
    }

    fn token(&self, held: &Held) -> Token {
        Token {
            lease: held.lease.id.clone(),
            use_id: held.use_id.clone(),
            product: held.lease.product.clone(),
            user: held.lease.user.clone(),
            host: held.lease.host.clone(),
            seats: Seats(1),
            issued: self.time().wall,
            address: held.lease.address,
        }
    }

    fn renew(&mut self, at: usize, held: &Held) -> Result<Held, Refusal> {
        let token = self.token(held);
        let ticket = self.command(at, Command::Renew(token));
        match self.answer(ticket, 100).expect("an answer") {
            Reply::Lease(held) => Ok(*held),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to a renewal: {other:?}"),
        }
    }

    fn leases(&self, at: usize) -> Vec<String> {
        let moment = Moment::from_ms(self.now);
        self.pair(at).ledger().leases(moment).map(|view| view.lease.id.to_string()).collect()
    }
}

#[test]
fn a_first_bundle_makes_a_pair_at_once() {
    let script = Script::paired(2);
    assert_eq!(script.pair(A).facts().epoch, Epoch(1));
    assert!(script.pair(A).facts().paired && script.pair(B).facts().met);
}

#[test]
fn a_bundle_that_is_being_committed_is_no_conflict_with_itself() {
    let mut script = Script::begin();
    let first = script.ask_commit(A, config(2), 1);
    let again = script.ask_commit(A, config(2), 1);
    let other = script.ask_commit(A, config(3), 1);
    for ticket in [first, again] {
        assert!(matches!(script.answer(ticket, 20), Some(Reply::Committed { .. })));
    }
    let conflict = Some(Reply::Refused(Refusal::GenerationConflict));
    assert_eq!(script.answer(other, 20), conflict);
}

#[test]
fn a_grant_is_durable_on_both_before_the_client_hears_of_it() {
    let mut script = Script::paired(2);
    script.disk_ms = [10, 10];
    let ticket = script.ask(A, "ana", "u1");
    script.run(10);
    assert_eq!(script.replies.get(&ticket), None);
    assert!(matches!(script.answer(ticket, 10), Some(Reply::Lease(_))));
    for at in [A, B] {
        assert_eq!(script.machines[at].disk.ledger.leases.len(), 1, "server {at}");
    }
}

#[test]
fn a_standby_refuses_while_it_hears_the_primary() {
    let mut script = Script::paired(2);
    script.run(10_000);
    assert_eq!(script.checkout(B, "ana", "u1"), Err(Refusal::Standby));
}

#[test]
fn the_secondary_takes_over_with_every_lease_and_grants_at_once() {
    let mut script = Script::paired(2);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(1_000);
    script.kill(A);
    script.run(FAILOVER - 100 - HEARTBEAT);
    assert_eq!(script.renew(B, &held), Err(Refusal::Standby));
    script.run(2 * HEARTBEAT);
    let renewed = script.renew(B, &held).expect("the same lease");
    assert_eq!(renewed.lease.id, held.lease.id);
    assert_eq!(renewed.epoch, Epoch(2));
    assert!(script.checkout(B, "bo", "u2").is_ok());
    assert!(matches!(script.checkout(B, "cy", "u3"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn the_primary_comes_back_with_what_was_granted_since() {
    let mut script = Script::paired(3);
    let first = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.run(FAILOVER + 100);
    let second = script.checkout(B, "bo", "u2").expect("a seat");
    script.start(A);
    script.run(500);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.pair(A).facts().paired);
    assert_eq!(script.leases(A), script.leases(B));
    for held in [first, second] {
        assert_eq!(script.renew(A, &held).map(|now| now.lease.id), Ok(held.lease.id));
    }
    assert!(script.checkout(A, "cy", "u3").is_ok());
    assert!(matches!(script.checkout(A, "di", "u4"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn a_lonely_primary_waits_before_it_grants_and_renews_throughout() {
    let mut script = Script::paired(3);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(B);
    assert!(matches!(script.checkout(A, "bo", "u2"), Err(Refusal::Grace { .. })));
    assert!(script.renew(A, &held).is_ok());
    script.run(2 * FAILOVER + 300);
    assert!(script.checkout(A, "bo", "u2").is_ok());
    assert_eq!(script.pair(A).facts().epoch, Epoch(3));
    // The secondary comes back and is caught up.
    script.start(B);
    script.run(500);
    assert_eq!(script.leases(A), script.leases(B));
    assert!(script.pair(B).is_ready());
}

#[test]
fn a_grant_under_way_when_the_secondary_dies_is_answered_once_the_primary_is_alone() {
    let mut script = Script::paired(3);
    let ticket = script.ask(A, "ana", "u1");
    script.kill(B);
    script.run(FAILOVER);
    assert_eq!(script.replies.get(&ticket), None);
    assert!(matches!(script.answer(ticket, FAILOVER + 300), Some(Reply::Lease(_))));
}

#[test]
fn a_secondary_that_says_goodbye_is_not_waited_for() {
    let mut script = Script::paired(3);
    script.tell(B, Input::Stop);
    script.run(10);
    script.kill(B);
    script.run(100);
    assert!(script.checkout(A, "ana", "u1").is_ok());
}

#[test]
fn both_start_again_with_their_leases_and_without_a_grace() {
    let mut script = Script::paired(3);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.kill(B);
    script.run(5_000);
    script.start(A);
    script.start(B);
    script.run(300);
    assert!(script.pair(A).is_ready() && script.pair(B).is_ready());
    assert!(script.renew(A, &held).is_ok());
    assert!(script.checkout(A, "bo", "u2").is_ok());
}

#[test]
fn a_primary_that_finds_nobody_serves_in_grace() {
    let mut script = Script::paired(3);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.kill(B);
    script.start(A);
    script.run(FAILOVER + 100);
    assert!(script.renew(A, &held).is_ok());
    assert!(matches!(script.checkout(A, "bo", "u2"), Err(Refusal::Grace { .. })));
    script.run(TTL + 1_000);
    assert!(script.checkout(A, "bo", "u3").is_ok());
}

#[test]
fn a_fence_ends_the_grace() {
    let mut script = Script::paired(3);
    script.kill(A);
    script.kill(B);
    script.start(A);
    script.run(FAILOVER + 100);
    let fence = |script: &mut Script, nonce: &str| {
        let nonce = Nonce { nonce: nonce.to_owned(), expires: script.time().wall };
        let server = ServerName::new("lic-b").expect("a name");
        let ticket = script.command(A, Command::Fence { server, nonce });
        script.answer(ticket, 100)
    };
    assert_eq!(fence(&mut script, "n1"), Some(Reply::Done));
    assert!(script.checkout(A, "bo", "u2").is_ok());
    assert_eq!(fence(&mut script, "n1"), Some(Reply::Refused(Refusal::NonceTaken)));
    script.start(B);
    script.run(500);
    assert!(matches!(fence(&mut script, "n2"), Some(Reply::Refused(Refusal::FenceRefused { .. }))));
}

#[test]
fn a_healed_split_keeps_every_holder_and_drains_the_surplus() {
    let mut script = Script::paired(2);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(600);
    script.cut = true;
    script.run(2 * FAILOVER + 1_000);
    assert_eq!(script.states(), (State::Active, State::Active));
    let bo = script.checkout(A, "bo", "u2").expect("a seat at the primary");
    let cy = script.checkout(B, "cy", "u3").expect("a seat at the secondary");
    script.run(FAILOVER);
    script.cut = false;
    script.hang_up();
    script.run(600);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.leases(A).len(), 3);
    assert_eq!(script.leases(A), script.leases(B));
    for held in [&ana, &bo, &cy] {
        assert!(script.renew(A, held).is_ok());
    }
    assert_eq!(script.pair(A).status(script.time()).products[0].over_grant, Seats(1));
    assert!(matches!(script.checkout(A, "di", "u4"), Err(Refusal::NoSeatFree { .. })));
    let token = script.token(&bo);
    let ticket = script.command(A, Command::Release(token));
    assert_eq!(script.answer(ticket, 100), Some(Reply::Released));
    assert_eq!(script.pair(A).status(script.time()).products[0].over_grant, Seats(0));
}

#[test]
fn a_lease_that_ran_out_does_not_come_back_after_a_takeover() {
    let mut script = Script::paired(2);
    script.checkout(A, "ana", "u1").expect("a seat");
    script.run(TTL + 1_000);
    assert_eq!((script.leases(A).len(), script.leases(B).len()), (0, 0));
    script.kill(A);
    script.run(FAILOVER + 100);
    assert_eq!(script.leases(B).len(), 0);
}

#[test]
fn an_unknown_lease_is_adopted_by_its_token_and_begins_a_grace() {
    let mut script = Script::paired(3);
    script.kill(B);
    script.run(2 * FAILOVER + 500);
    // Granted while the secondary was dead.
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.start(B);
    script.run(FAILOVER + 100);
    let adopted = script.renew(B, &held).expect("adopted");
    assert_eq!(adopted.lease.id, held.lease.id);
    assert!(matches!(script.checkout(B, "bo", "u2"), Err(Refusal::Grace { .. })));
}

#[test]
fn a_released_lease_is_not_adopted() {
    let mut script = Script::paired(3);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    let token = script.token(&held);
    let ticket = script.command(A, Command::Release(token));
    assert_eq!(script.answer(ticket, 100), Some(Reply::Released));
    script.kill(A);
    script.run(FAILOVER + 100);
    assert_eq!(script.renew(B, &held), Err(Refusal::UnknownLease));
}

#[test]
fn a_use_that_was_granted_at_both_servers_keeps_the_lease_that_was_answered() {
    let mut script = Script::paired(3);
    // The answer waits for the secondary, which hears of nothing any more.
    script.cut = true;
    script.ask(A, "ana", "u1");
    script.run(FAILOVER + HEARTBEAT);
    let held = script.checkout(B, "ana", "u1").expect("asked again, of the other");
    script.run(FAILOVER + HEARTBEAT);
    assert_eq!(script.states(), (State::Active, State::Active));
    script.renew(A, &held).expect("adopted, beside the lease that was never answered");
    script.cut = false;
    script.hang_up();
    script.run(1_000);
    script.renew(A, &held).expect("still there");
    let token = script.token(&held);
    let ticket = script.command(A, Command::Release(token));
    assert_eq!(script.answer(ticket, 100), Some(Reply::Released));
    assert!(!script.leases(A).contains(&held.lease.id.to_string()));
}

#[test]
fn a_repeated_checkout_returns_the_same_lease() {
    let mut script = Script::paired(1);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    let again = script.checkout(A, "ana", "u1").expect("the same");
    assert_eq!((again.lease.id, again.is_new), (held.lease.id.clone(), false));
    let joined = script.checkout(A, "ana", "u2").expect("one more window");
    assert_eq!((joined.lease.id, joined.lease.uses.len()), (held.lease.id, 2));
    assert_eq!(script.checkout(A, "bo", "u1"), Err(Refusal::UseTaken));
}

#[test]
fn a_bundle_committed_to_one_server_reaches_the_other() {
    let mut script = Script::paired(3);
    script.kill(B);
    script.commit(A, config(5), 2);
    script.start(B);
    script.run(1_000);
    assert_eq!(script.pair(B).generation(), Generation(2));
    assert!(script.pair(B).is_ready());
}

#[test]
fn a_lowered_capacity_takes_no_held_seat() {
    let mut script = Script::paired(3);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let bo = script.checkout(A, "bo", "u2").expect("a seat");
    script.commit(A, config(1), 2);
    script.commit(B, config(1), 2);
    assert!(script.renew(A, &ana).is_ok() && script.renew(A, &bo).is_ok());
    assert!(matches!(script.checkout(A, "cy", "u3"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn a_seat_that_nothing_gives_any_more_stays_refused_when_a_window_of_it_is_closed() {
    let mut script = Script::paired(3);
    let one = script.checkout(A, "ana", "u1").expect("a seat");
    let two = script.checkout(A, "ana", "u2").expect("one more window");
    for at in [A, B] {
        script.commit(at, config_of(3, &serde_json::json!([{"user": "bo*"}])), 2);
    }
    assert!(matches!(script.renew(A, &one), Err(Refusal::Revoked { .. })));
    let token = script.token(&one);
    script.command(A, Command::Release(token));
    assert!(matches!(script.renew(A, &two), Err(Refusal::Revoked { .. })));
}

#[test]
fn a_primary_that_was_paused_starts_anew() {
    let mut script = Script::paired(3);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(600);
    // Ten seconds pass for everybody but the primary, which does nothing in them.
    let paused = script.machines[A].pair.take().expect("it runs");
    script.cut = true;
    script.run(10_000);
    assert_eq!(script.pair(B).standing().state, State::Active);
    script.checkout(B, "bo", "u2").expect("a seat");
    script.machines[A].pair = Some(paused);
    script.tell(A, Input::Deadline);
    assert_eq!(script.pair(A).standing().state, State::Recovering);
    script.cut = false;
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.leases(A).len(), 2);
    assert!(script.renew(A, &held).is_ok());
}

#[test]
fn a_secondary_that_was_paused_while_it_took_over_starts_anew() {
    let mut script = Script::paired(1);
    script.kill(A);
    script.disk_ms[B] = FAILOVER / 4;
    script.run(FAILOVER + 10);
    assert_eq!(script.pair(B).standing().state, State::Recovering);
    // Its epoch is on the way to its disk when its machine stands still. The primary comes back, finds nobody, and sits
    // out its grace.
    let paused = script.machines[B].pair.take().expect("it runs");
    let writing = std::mem::take(&mut script.machines[B].writing);
    script.start(A);
    script.run(FAILOVER + TTL + 1_000);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    // On waking it hears of its own disk first.
    script.cut = true;
    script.machines[B].pair = Some(paused);
    script.machines[B].writing = writing;
    script.finish_writes(B);
    script.run(10);
    assert_eq!(script.pair(B).standing().state, State::Standby);
    assert_eq!(script.checkout(B, "bo", "u2"), Err(Refusal::Standby));
    script.cut = false;
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.renew(A, &held).is_ok());
}

#[test]
fn kills_of_either_server_lose_no_acknowledged_lease_and_exceed_no_capacity() {
    const SEATS: u32 = 4;
    for seed in 0..40_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = move |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let mut script = Script::paired(SEATS);
        script.disk_ms = [1 + draw(30); 2];
        // What clients hold, with when each last sent a request that was answered.
        let mut held: Vec<(Held, u64)> = Vec::new();
        let mut uses = 0;
        let mut dead: Option<usize> = None;
        for _ in 0..200 {
            script.run(draw(400));
            match draw(20) {
                0 if dead.is_none() => {
                    let at = usize::try_from(draw(2)).expect("0 or 1");
                    script.kill(at);
                    dead = Some(at);
                }
                1 | 2 => {
                    if let Some(at) = dead.take() {
                        script.start(at);
                    }
                }
                _ => {}
            }
            for at in [A, B] {
                if dead == Some(at) {
                    continue;
                }
                let sent = script.now;
                uses += 1;
                let ticket = script.ask(at, &format!("user-{uses}"), &format!("use-{uses}"));
                if let Some(Reply::Lease(lease)) = script.answer(ticket, 60) {
                    held.push((*lease, sent));
                }
                for (lease, last) in &mut held {
                    if draw(3) > 0 {
                        continue;
                    }
                    let sent = script.now;
                    match script.renew(at, lease) {
                        Ok(_) => *last = sent,
                        Err(Refusal::UnknownLease) => {
                            let age = script.now - *last;
                            assert!(
                                age >= TTL,
                                "seed {seed}: a live lease was lost after {age} ms"
                            );
                        }
                        Err(_) => {}
                    }
                }
            }
            held.retain(|(_, last)| script.now - last < TTL);
            assert!(held.len() <= SEATS as usize, "seed {seed}: {} seats are held", held.len());
            if draw(4) == 0 && !held.is_empty() {
                let (lease, _) = held.remove(0);
                let token = script.token(&lease);
                for at in [A, B] {
                    if dead != Some(at) {
                        let ticket = script.command(at, Command::Release(token.clone()));
                        script.answer(ticket, 60);
                    }
                }
            }
        }
        if let Some(at) = dead {
            script.start(at);
        }
        script.run(FAILOVER + 1_000);
        assert_eq!(script.states(), (State::Active, State::Standby), "seed {seed}");
        assert_eq!(script.leases(A), script.leases(B), "seed {seed}");
    }
}

#[test]
fn a_checkout_that_was_repeated_at_the_other_server_is_one_lease() {
    let mut script = Script::paired(2);
    // The grant is on the primary's disk alone when its machine dies, and nobody was told.
    script.cut = true;
    script.ask(A, "ana", "u1");
    script.run(2);
    script.kill(A);
    script.cut = false;
    script.run(FAILOVER + 100);
    let held = script.checkout(B, "ana", "u1").expect("a seat");
    script.start(A);
    script.run(500);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.leases(A), [held.lease.id.to_string()]);
    for _ in 0..4 {
        script.run(TTL / 3);
        assert_eq!(script.renew(A, &held).map(|now| now.lease.id), Ok(held.lease.id.clone()));
    }
}

#[test]
fn a_grant_that_is_given_up_does_not_end_what_the_same_client_got_elsewhere() {
    let mut script = Script::paired(2);
    script.cut = true;
    script.ask(A, "ana", "u1");
    script.run(FAILOVER + 500);
    // The primary has not decided yet whether its peer counts; the client turned to the secondary.
    let held = script.checkout(B, "ana", "u1").expect("a seat");
    script.cut = false;
    script.hang_up();
    script.run(600);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.renew(A, &held).is_ok());
}

#[test]
fn a_checkout_that_was_repeated_at_a_server_of_an_older_epoch_is_one_lease() {
    let mut script = Script::paired(1);
    script.kill(B);
    script.run(2 * FAILOVER + 1_000);
    // Granted in the epoch of a primary that is alone, and never told.
    script.ask(A, "ana", "u1");
    script.run(2);
    script.kill(A);
    // The secondary knows nothing of that epoch, and takes an older one.
    script.start(B);
    script.run(FAILOVER + TTL + TTL / 20);
    let held = script.checkout(B, "ana", "u1").expect("a seat");
    script.start(A);
    script.run(500);
    assert_eq!(script.states(), (State::Active, State::Standby));
    for _ in 0..4 {
        script.run(TTL / 3);
        assert_eq!(script.renew(A, &held).map(|now| now.lease.id), Ok(held.lease.id.clone()));
        assert_eq!(script.leases(A), [held.lease.id.to_string()]);
        script.run(10);
        assert_eq!(script.leases(B), [held.lease.id.to_string()]);
    }
}
