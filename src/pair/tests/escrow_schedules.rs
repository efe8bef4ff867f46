//! Random schedules of the mode `escrow`: kills, cuts, slow disks, fences and a lost disk, with both sides under full
//! demand. At no time are more seats believed in than there are, and who renews in time keeps the seat.

use super::*;
use crate::seen::{self, Mark, Marks};

const SEATS: u32 = 5;
const USERS: u64 = 9;

/// A program that uses a seat: what it asks with, and what it believes.
struct Client {
    user: String,
    use_id: String,
    held: Option<Held>,
    /// When it sent the last request that was answered well.
    sent: u64,
    /// The server that it asks: it moves when that does not answer, and now and then.
    home: usize,
}

/// One run: the script, the clients, and what is broken.
struct Run {
    seed: u64,
    random: u64,
    script: Script,
    clients: Vec<Client>,
    uses: u64,
    dead: Option<usize>,
    /// Who was fenced and has not been paired since: until then its peer stays up and within its reach.
    fenced: Option<usize>,
    /// Before when no disk may be lost: at most one loss in a ttl.
    may_lose_disk: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut script = Script::paired_as(SEATS, "escrow");
        script.run(HEARTBEAT);
        Self {
            seed,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            script,
            clients: Vec::new(),
            uses: 0,
            dead: None,
            fenced: None,
            may_lose_disk: 0,
        }
    }

    fn draw(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn draw_server(&mut self) -> usize {
        usize::try_from(self.draw(2)).expect("0 or 1")
    }

    fn up(&self, at: usize) -> bool {
        self.dead != Some(at)
    }

    fn break_something(&mut self) {
        let both_ready = || self.script.pair(A).is_ready() && self.script.pair(B).is_ready();
        if self.fenced.is_some() && self.dead.is_none() && both_ready() {
            self.fenced = None;
        }
        // Of every other run the cuts are long, and little else happens.
        let calm = self.seed % 2 == 1 && self.draw(8) > 0;
        match self.draw(40) {
            0 | 1 if !calm && self.dead.is_none() && self.fenced.is_none() => {
                let at = self.draw_server();
                self.script.kill(at);
                self.dead = Some(at);
                let settled = !self.script.cut && self.script.now > self.may_lose_disk;
                if settled && self.draw(4) == 0 {
                    self.script.machines[at].disk = Durable::default();
                    self.may_lose_disk = u64::MAX;
                }
            }
            2..=4 if self.fenced.is_none() || !self.script.cut => {
                if let Some(at) = self.dead.take() {
                    self.script.start(at);
                    if self.may_lose_disk == u64::MAX {
                        // Its peer stays within its reach until both count on each other, and one ttl more.
                        self.script.run(FAILOVER + 2_000);
                        self.may_lose_disk = self.script.now + 2 * TTL;
                    }
                }
            }
            5 | 6 if self.fenced.is_none() && self.may_lose_disk != u64::MAX => {
                self.script.cut = true;
            }
            7..=9 if !calm => {
                self.script.cut = false;
                self.script.hang_up();
            }
            10 if self.fenced.is_none() && self.may_lose_disk != u64::MAX => self.fence(),
            11 => self.script.disk_ms = [1 + self.draw(40), 1 + self.draw(40)],
            // A long time, in which most leases run out.
            12 if !calm && self.draw(3) == 0 => self.script.run(TTL),
            _ => {}
        }
    }

    fn fence(&mut self) {
        let Some(dead) = self.dead else { return };
        let alive = 1 - dead;
        let nonce = Nonce { nonce: self.script.now.to_string(), expires: self.script.time().wall };
        let server = ServerName::new(["lic-a", "lic-b"][dead]).expect("a name");
        let ticket = self.script.command(alive, Command::Fence { server, nonce });
        if self.script.answer(ticket, 100) == Some(Reply::Done) {
            self.fenced = Some(dead);
            self.script.cut = false;
            if self.draw(2) == 0 {
                self.script.run(TTL + 2_000);
            }
        }
    }

    /// Somebody new wants a seat, or one more window; or tries again with the same use.
    fn check_out(&mut self, at: usize) {
        let waiting = self.clients.iter().position(|client| client.held.is_none());
        let nth = match waiting {
            Some(nth) if self.draw(2) == 0 => nth,
            _ => {
                self.uses += 1;
                let user = format!("user-{}", self.draw(USERS));
                let use_id = format!("use-{}", self.uses);
                self.clients.push(Client { user, use_id, held: None, sent: 0, home: at });
                self.clients.len() - 1
            }
        };
        let (user, use_id) = (self.clients[nth].user.clone(), self.clients[nth].use_id.clone());
        let sent = self.script.now;
        let ticket = self.script.ask(at, &user, &use_id);
        match self.script.answer(ticket, 60) {
            Some(Reply::Lease(held)) => {
                self.clients[nth].held = Some(*held);
                self.clients[nth].sent = sent;
            }
            // An answer that is lost is asked for again; a refusal is final half of the time.
            None => {}
            Some(_) if self.draw(2) == 0 => {}
            Some(_) => {
                self.clients.remove(nth);
            }
        }
    }

    fn renew(&mut self, at: usize, nth: usize) {
        let Some(held) = self.clients[nth].held.clone() else { return };
        let sent = self.script.now;
        match self.script.renew(at, &held) {
            Ok(_) => self.clients[nth].sent = sent,
            Err(Refusal::UnknownLease) => {
                let age = self.script.now - self.clients[nth].sent;
                assert!(age >= TTL, "seed {}: a seat was lost after {age} ms: {held:?}", self.seed);
            }
            Err(_) => self.clients[nth].home = 1 - at,
        }
    }

    fn check(&mut self) {
        let now = self.script.now;
        self.clients.retain(|client| client.held.is_none() || now - client.sent < TTL);
        let held = self.clients.iter().filter_map(|client| client.held.as_ref());
        let leases: std::collections::BTreeSet<_> = held.map(|held| &held.lease.id).collect();
        let seed = self.seed;
        assert!(leases.len() <= SEATS as usize, "seed {seed}: {leases:?} are believed in at {now}");
    }

    fn step(&mut self) {
        let pause = self.draw(if self.seed % 2 == 1 { 1_500 } else { 400 });
        self.script.run(pause);
        self.break_something();
        for at in [A, B] {
            if !self.up(at) {
                continue;
            }
            for _ in 0..2 {
                self.check_out(at);
                self.check();
            }
            for nth in 0..self.clients.len() {
                if !self.up(self.clients[nth].home) || self.draw(40) == 0 {
                    self.clients[nth].home = at;
                }
                if self.clients[nth].home == at && self.draw(3) == 0 {
                    self.renew(at, nth);
                }
            }
            self.check();
        }
        if self.draw(3) == 0 && !self.clients.is_empty() {
            let count = u64::try_from(self.clients.len()).expect("few");
            let nth = usize::try_from(self.draw(count)).expect("few");
            let client = self.clients.remove(nth);
            let at = self.draw_server();
            if let Some(held) = client.held
                && self.up(at)
            {
                let token = self.script.token(&held);
                let ticket = self.script.command(at, Command::Release(token));
                self.script.answer(ticket, 60);
            }
        }
    }

    fn end(&mut self) {
        if let Some(at) = self.dead.take() {
            self.script.start(at);
        }
        self.script.disk_ms = [1, 1];
        self.script.cut = false;
        self.script.hang_up();
        self.script.run(FAILOVER + 2_000);
        let seed = self.seed;
        assert_eq!(self.script.states(), (State::Active, State::Standby), "seed {seed}");
        let contents = |at| {
            let contents = self.script.pair(at).ledger().contents();
            let leases = contents.leases.into_iter().map(|l| (l.id, l.uses, l.slots, l.parked));
            (leases.collect::<Vec<_>>(), contents.quotas)
        };
        assert_eq!(contents(A), contents(B), "seed {seed}");
        for nth in 0..self.clients.len() {
            self.renew(A, nth);
        }
        self.script.run(2 * TTL);
        let quotas = self.script.pair(A).ledger().quotas();
        let slots = quotas.slots(&ProductName::new("designer").expect("a name"));
        assert_eq!(slots.total(), Seats(SEATS), "seed {seed}: {quotas:?}");
    }
}

/// Plays these seeds to their ends; gives the marks that they came to.
fn play(seeds: std::ops::Range<u64>) -> Marks {
    let _ = seen::take();
    for seed in seeds {
        let mut run = Run::new(seed);
        for _ in 0..150 {
            run.step();
        }
        run.end();
    }
    seen::take()
}

#[test]
fn no_schedule_gives_out_a_seat_too_many_and_no_holder_loses_one() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (from, seeds) = (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(16));
    let seen = play(from..from + seeds);
    let wanted = [
        Mark::Parked,
        Mark::Revived,
        Mark::FreedParked,
        Mark::Shifted,
        Mark::QuotasMoved,
        Mark::Fenced,
        Mark::Replaced,
        Mark::RefusedUncovered,
        Mark::SlotsLost,
    ];
    let missing: Vec<_> =
        wanted.iter().filter(|mark| !seen.has(**mark)).map(|m| m.name()).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
