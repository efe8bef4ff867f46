//! The pair as real processes under random faults: killed, stopped, cut off from each other, slowed, out of disk, while
//! clients come and go. What clients saw and what broke is written down, and `tandem-sim check` judges it with the
//! oracles of the simulation; so are the event logs of the servers.
//!
//! `STORM_FAULTS` and `STORM_CLIENTS` make it longer: 100 and 50 take about five minutes. `STORM_SEED` draws others,
//! `STORM_KEEP` names a folder for what was written.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "tests")]

#[path = "support/http.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod http;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod support;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Answer, Connection};
use proxy::{Cable, Way};
use serde_json::{Value, json};
use support::Dir;
use tandem::measure::Moment;
use tandem::seam::World;

const NAMES: [&str; 2] = ["lic-a", "lic-b"];
const HEARTBEAT_MS: u64 = 100;
const FAILOVER_MS: u64 = 1_000;
const TTL_MS: u64 = 6_000;

fn number(name: &str, without: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(without)
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// What was seen, in the form of the simulation's histories.
struct History {
    begin: Moment,
    lines: Mutex<Vec<(u64, String)>>,
    requests: AtomicU64,
}

impl History {
    fn new() -> Self {
        Self { begin: now(), lines: Mutex::default(), requests: AtomicU64::new(0) }
    }

    fn note(&self, host: &str, mut event: Value) {
        // Under the lock, so that the order of the lines is that of their times.
        let mut lines = self.lines.lock().expect("nobody panicked");
        let at = now().since(self.begin).ms();
        event["at"] = at.into();
        event["host"] = host.into();
        lines.push((at, event.to_string()));
    }

    fn fault(&self, mut fault: Value) {
        fault["type"] = "fault".into();
        self.note("world", fault);
    }

    fn write(&self) -> String {
        let lines = self.lines.lock().expect("nobody panicked");
        lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }
}

fn now() -> Moment {
    World::real().clock.now().moment
}

/// Numbers that only look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least)
    }
}

/// Two servers with cables between them.
struct Storm {
    dir: Dir,
    ports: [u16; 2],
    /// Towards each server, and what it says back; `ways[0]` is from A to B, `ways[1]` from B to A.
    cables: [Cable; 2],
    ways: [Arc<Way>; 2],
    children: [Option<Child>; 2],
    history: Arc<History>,
}

impl Storm {
    fn begin() -> Self {
        let dir = Dir::new();
        dir.tandem("init d").done();
        let free = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let shown = [free(), free()];
        let text = dir
            .read("d/tandem.yaml")
            .replace("4820", &port(&shown[0]).to_string())
            .replace("4821", &port(&shown[1]).to_string())
            .replace("heartbeat: 500ms", &format!("heartbeat: {HEARTBEAT_MS}ms"))
            .replace("failoverAfter: 3s", &format!("failoverAfter: {FAILOVER_MS}ms"))
            .replace("ttl: 5m", &format!("ttl: {TTL_MS}ms"));
        dir.write("d/tandem.yaml", &text);
        let ports = [free(), free()].map(|listener| port(&listener));
        let history = Arc::new(History::new());
        let ways: [Arc<Way>; 2] = Default::default();
        let hears = |at: usize| -> Arc<dyn Fn(bool, bool) + Send + Sync> {
            let history = Arc::clone(&history);
            Arc::new(move |active, paired| {
                let heard = json!({"type": "heard", "from": NAMES[1 - at], "active": active, "paired": paired});
                history.note(NAMES[at], heard);
            })
        };
        let [to_a, to_b] = shown;
        let cables = [
            Cable::new(to_a, ports[0], [ways[1].clone(), ways[0].clone()], [hears(0), hears(1)]),
            Cable::new(to_b, ports[1], [ways[0].clone(), ways[1].clone()], [hears(1), hears(0)]),
        ];
        let children = [None, None];
        let mut storm = Self { dir, ports, cables, ways, children, history };
        storm.start(0);
        storm.start(1);
        storm.until("both listen", |storm| {
            [0, 1].iter().all(|&at| storm.get(at, "/healthz").status == 200)
        });
        storm.apply();
        storm.until("both are ready", Storm::is_paired);
        storm
    }

    fn apply(&self) {
        self.dir.tandem("apply d/tandem.yaml --yes --key d/keys/operator").done();
        let status = self.get(0, "/v1/status").body;
        for (request, server) in [(u64::MAX, NAMES[0]), (u64::MAX - 1, NAMES[1])] {
            let ask = json!({"ask": "commit", "bundle": status["bundle"], "generation": status["generation"]});
            let asked = json!({"type": "asked", "request": request, "to": server, "ask": ask});
            self.history.note("reconciler", asked);
            let answered = json!({"type": "answered", "request": request, "status": 200});
            self.history.note("reconciler", answered);
        }
    }

    /// A process that takes a write beyond its file size limit for a full disk.
    fn start(&mut self, at: usize) {
        let (name, port) = (NAMES[at], self.ports[at]);
        let words = format!(
            "serve --name {name} --data {name} --listen 127.0.0.1:{port} --trust d/keys/operator.pub \
             --event-log {name}.jsonl"
        );
        let plain = self.dir.command(&words);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(plain.get_program()).args(plain.get_args());
        command.current_dir(plain.get_current_dir().expect("the test's directory"));
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.children[at] = Some(command.spawn().expect("sh runs"));
    }

    fn signal(&self, at: usize, signal: &str) {
        self.run("kill", &[signal, &self.pid(at)]);
    }

    fn pid(&self, at: usize) -> String {
        self.children[at].as_ref().expect("it runs").id().to_string()
    }

    fn run(&self, program: &str, words: &[&str]) {
        let ran = Command::new(program).args(words).status().expect("the program runs");
        assert!(ran.success(), "{program} {words:?}");
    }

    fn kill(&mut self, at: usize) {
        self.history.fault(json!({"fault": "kill", "server": NAMES[at]}));
        let mut child = self.children[at].take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    fn restart(&mut self, at: usize) {
        self.start(at);
        self.history.fault(json!({"fault": "start", "server": NAMES[at], "empty": false}));
    }

    fn cut(&self, from: usize) {
        self.history.fault(json!({"fault": "cut", "from": NAMES[from], "to": NAMES[1 - from]}));
        self.ways[from].held.store(true, Ordering::Relaxed);
    }

    fn heal(&self, from: usize) {
        self.ways[from].held.store(false, Ordering::Relaxed);
        self.history.fault(json!({"fault": "heal", "from": NAMES[from], "to": NAMES[1 - from]}));
    }

    fn limit(&self, at: usize, bytes: &str) {
        self.run("prlimit", &["--pid", &self.pid(at), &format!("--fsize={bytes}:unlimited")]);
    }

    /// One thing breaks for a while.
    fn fault(&mut self, dice: &mut Dice) {
        let at = usize::try_from(dice.below(2)).expect("small");
        let a_while = |dice: &mut Dice| pause(dice.between(100, 3 * FAILOVER_MS));
        match dice.below(8) {
            0 | 1 => {
                self.kill(at);
                a_while(dice);
                self.restart(at);
            }
            2 => {
                self.kill(at);
                pause(dice.below(FAILOVER_MS));
                self.kill(1 - at);
                a_while(dice);
                self.restart(usize::try_from(dice.below(2)).expect("small"));
                let other = usize::from(self.children[0].is_some());
                pause(dice.below(FAILOVER_MS));
                self.restart(other);
            }
            3 => {
                self.history.fault(json!({"fault": "pause", "server": NAMES[at]}));
                self.signal(at, "-STOP");
                a_while(dice);
                self.signal(at, "-CONT");
                self.history.fault(json!({"fault": "resume", "server": NAMES[at]}));
            }
            4 => {
                self.cut(0);
                self.cut(1);
                a_while(dice);
                if dice.below(2) == 0 {
                    self.cables.iter().for_each(Cable::reset);
                }
                self.heal(0);
                self.heal(1);
            }
            5 => {
                self.cut(at);
                a_while(dice);
                self.heal(at);
            }
            6 => {
                for way in &self.ways {
                    way.delay_ms.store(dice.below(HEARTBEAT_MS), Ordering::Relaxed);
                }
                a_while(dice);
                self.cables.iter().for_each(Cable::reset);
                self.ways.iter().for_each(|way| way.delay_ms.store(0, Ordering::Relaxed));
            }
            _ => {
                self.history.fault(json!({"fault": "disk", "server": NAMES[at], "what": "full"}));
                self.limit(at, "4096");
                a_while(dice);
                self.limit(at, "unlimited");
                self.history.fault(json!({"fault": "disk", "server": NAMES[at], "what": "well"}));
            }
        }
    }

    fn get(&self, at: usize, path: &str) -> Answer {
        Connection::impatient(self.ports[at], Duration::from_secs(5)).send("GET", path, None, None)
    }

    fn is_paired(&self) -> bool {
        let state = |at| self.get(at, "/v1/status").body;
        self.get(0, "/readyz").status == 200
            && self.get(1, "/readyz").status == 200
            && state(0)["peer"]["paired"] == true
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = now();
        while !holds(self) {
            let shown = [0, 1].map(|at| self.get(at, "/v1/status").body.to_string());
            assert!(now().since(begun).ms() < 60_000, "never: {what}\n{shown:#?}");
            pause(10);
        }
    }

    /// What the servers hold in the end, read by processes that have just started from their disks.
    fn look_at_disks(&self) {
        for at in [0, 1] {
            let (status, held) = (self.get(at, "/v1/status").body, self.get(at, "/v1/leases").body);
            let leases = held["leases"].as_array().expect("a list").iter();
            let leases: Vec<&Value> = leases.map(|lease| &lease["id"]).collect();
            let on_disk = json!({
                "type": "on-disk", "server": NAMES[at], "generation": status["generation"],
                "bundle": status["bundle"], "leases": leases,
            });
            self.history.note("world", on_disk);
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        for child in self.children.iter_mut().filter_map(Option::as_mut) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Somebody who takes a seat, keeps it for a while and gives it back, over and over.
struct Person {
    name: String,
    ports: [u16; 2],
    at: usize,
    history: Arc<History>,
    dice: Dice,
}

impl Person {
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
        ask: Value,
    ) -> Answer {
        let request = self.history.requests.fetch_add(1, Ordering::Relaxed);
        let asked = json!({"type": "asked", "request": request, "to": NAMES[self.at], "ask": ask});
        self.history.note(&self.name, asked);
        let server = Connection::impatient(self.ports[self.at], Duration::from_millis(1_500));
        let answer = server.send(method, path, token, body);
        if answer.status == 0 {
            self.history.note(&self.name, json!({"type": "lost", "request": request}));
        } else {
            let mut answered =
                json!({"type": "answered", "request": request, "status": answer.status});
            if answer.body["code"].is_string() {
                answered["code"] = answer.body["code"].clone();
            }
            if answer.body["token"].is_string() {
                let of = |field: &str| answer.body[field].clone();
                answered["lease"] = json!({
                    "id": of("id"), "use": of("use"), "product": of("product"), "seats": of("seats"),
                    "server": of("server"), "epoch": of("epoch"), "ttlMs": of("ttlMs"), "licenses": [],
                });
            }
            self.history.note(&self.name, answered);
        }
        if !matches!(answer.status, 200 | 201 | 204) {
            self.at = 1 - self.at;
        }
        answer
    }

    fn work(&mut self, done: &AtomicBool) {
        let mut uses = 0;
        while !done.load(Ordering::Relaxed) {
            uses += 1;
            self.hold(&format!("{}-{uses}", self.name), done);
            pause(self.dice.below(400));
        }
    }

    /// One seat, until it is given back, refused or lost.
    fn hold(&mut self, use_id: &str, done: &AtomicBool) {
        let body = json!({"product": "designer", "user": self.name, "host": "ws", "use": use_id});
        let mut ask = body.clone();
        ask["ask"] = "checkout".into();
        ask["seats"] = 1.into();
        let given = loop {
            if done.load(Ordering::Relaxed) {
                return;
            }
            let sent = now();
            let answer = self.ask("POST", "/v1/leases", None, Some(&body), ask.clone());
            match answer.status {
                200 | 201 => break (sent, answer.body),
                0 | 409 | 503 => pause(self.dice.between(50, 250)),
                // It was granted, never told, and has run out meanwhile: the next use is a new one.
                404 => return,
                status => panic!("a checkout got {status}: {}", answer.body),
            }
        };
        let (mut sent, mut lease) = given;
        let id = lease["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/leases/{id}");
        let leaves = now() + tandem::measure::Span::from_ms(self.dice.between(200, 3 * TTL_MS));
        let mut renew_at = sent + tandem::measure::Span::from_ms(TTL_MS / 3);
        while now() < leaves {
            if now().since(sent).ms() >= TTL_MS {
                return;
            }
            if now() < renew_at {
                pause(20);
                continue;
            }
            let asked = now();
            let token = lease["token"].as_str().expect("a token").to_owned();
            let renew = json!({"ask": "renew", "lease": id, "use": use_id});
            let answer = self.ask("PUT", &path, Some(&token), None, renew);
            match answer.status {
                200 => {
                    (sent, lease) = (asked, answer.body);
                    renew_at = sent + tandem::measure::Span::from_ms(TTL_MS / 3);
                }
                0 | 503 => renew_at = now() + tandem::measure::Span::from_ms(HEARTBEAT_MS / 2),
                _ => return,
            }
        }
        let token = lease["token"].as_str().expect("a token").to_owned();
        let release = json!({"ask": "release", "lease": id, "use": use_id});
        for _ in 0..20 {
            if self.ask("DELETE", &path, Some(&token), None, release.clone()).status == 204 {
                return;
            }
            pause(HEARTBEAT_MS);
        }
    }
}

/// Runs `tandem-sim check`, which the same build has put beside the tests' program.
fn check(storm: &Storm, words: &[&str]) -> Value {
    let tandem = PathBuf::from(env!("CARGO_BIN_EXE_tandem"));
    let checker = tandem.with_file_name("tandem-sim");
    assert!(
        checker.is_file(),
        "no `tandem-sim` beside `tandem`: run `cargo build -p tandem-sim`, or all tests"
    );
    let mut command = Command::new(checker);
    command.current_dir(storm.dir.path(".")).args(["check", "--format", "json"]).args(words);
    let output = command.output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code() == Some(0), report["ok"] == true);
    report
}

#[test]
fn every_promise_holds_under_random_faults() {
    let (faults, clients) = (number("STORM_FAULTS", 12), number("STORM_CLIENTS", 16));
    let seed = number("STORM_SEED", 1);
    let mut storm = Storm::begin();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..clients {
            let mut person = Person {
                name: format!("user-{number}"),
                ports: storm.ports,
                at: usize::try_from(number % 2).expect("small"),
                history: Arc::clone(&storm.history),
                dice: Dice(seed * 1_000 + number),
            };
            let done = &done;
            scope.spawn(move || person.work(done));
        }
        let mut dice = Dice(seed);
        for _ in 0..faults {
            storm.fault(&mut dice);
            if dice.below(3) > 0 {
                storm.until("the pair is whole again", Storm::is_paired);
                pause(dice.below(3_000));
            }
        }
        storm.until("the pair is whole in the end", Storm::is_paired);
        done.store(true, Ordering::Relaxed);
    });
    storm.until("everybody has gone home", |storm| {
        [0, 1].iter().all(|&at| {
            storm.get(at, "/v1/leases").body["leases"].as_array().is_some_and(Vec::is_empty)
        })
    });
    storm.look_at_disks();
    storm.dir.write("seen.jsonl", &storm.history.write());
    if let Ok(kept) = std::env::var("STORM_KEEP") {
        storm.run("cp", &["-a", &storm.dir.path(".").display().to_string(), &kept]);
    }
    let seen = check(&storm, &["seen.jsonl", "--manifest", "d/tandem.yaml"]);
    assert!(seen["ok"] == true, "seen from outside: {seen:#}");
    let told = check(&storm, &["lic-a.jsonl", "lic-b.jsonl"]);
    assert!(told["ok"] == true, "told by the servers: {told:#}");
    assert!(told["complete"] == true, "nothing is missing in the servers' logs: {told:#}");

    // The same logs with a seat too many are seen through.
    let text = storm.dir.read("lic-a.jsonl");
    let granted = text.lines().find(|line| line.contains("\"granted\"")).expect("a grant");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("an event");
    let mut forged = text.clone();
    for number in 0..11 {
        let mut event: Value = serde_json::from_str(granted).expect("an event");
        event["at"] = last["at"].clone();
        event["seq"] = (last["seq"].as_u64().expect("a number") + 1 + number).into();
        event["lease"] = format!("forged-{number}").into();
        forged.push_str(&format!("{event}\n"));
    }
    storm.dir.write("forged.jsonl", &forged);
    let seen_through = check(&storm, &["forged.jsonl"]);
    assert_eq!(seen_through["failed"][0]["oracle"], "capacity", "{seen_through:#}");
}
