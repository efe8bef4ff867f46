//! The pair as an administrator runs it: two `tandem serve` processes, `kill -9`, and clients that hold seats through
//! it all. What is held against it is what the clients were told, never a server's own opinion.
#![expect(clippy::expect_used, reason = "tests")]

#[path = "support/http.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod http;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Answer, Connection};
use serde_json::{Value, json};
use support::Dir;
use tandem::measure::{Moment, Span};
use tandem::seam::World;

const TTL: Span = Span::from_secs(10);
const A: usize = 0;
const B: usize = 1;

fn now() -> Moment {
    World::real().clock.now().moment
}

/// Two server processes with what `tandem init` wrote, made quicker.
struct Processes {
    dir: Dir,
    ports: [u16; 2],
    children: [Mutex<Option<Child>>; 2],
}

impl Processes {
    /// Both serve the manifest and are in step.
    fn ready() -> Self {
        let dir = Dir::new();
        dir.tandem("init d").done();
        let listeners = [A, B].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = listeners.map(|l| l.local_addr().expect("an address").port());
        let text = dir
            .read("d/tandem.yaml")
            .replace("4820", &ports[A].to_string())
            .replace("4821", &ports[B].to_string())
            .replace("heartbeat: 500ms", "heartbeat: 100ms")
            .replace("failoverAfter: 3s", "failoverAfter: 1s")
            .replace("ttl: 5m", &format!("ttl: {TTL}"));
        dir.write("d/tandem.yaml", &text);
        let this = Self { dir, ports, children: Default::default() };
        this.start(A);
        this.start(B);
        this.until("both listen", || {
            [A, B].iter().all(|&at| this.get(at, "/healthz").status == 200)
        });
        this.dir.tandem("apply d/tandem.yaml --yes --key d/keys/operator").done();
        this.until("both are ready", || this.is_paired());
        this
    }

    fn start(&self, at: usize) {
        let (name, port) = (["lic-a", "lic-b"][at], self.ports[at]);
        let words = format!(
            "serve --name {name} --data {name} --listen 127.0.0.1:{port} --trust d/keys/operator.pub"
        );
        let mut command = self.dir.command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("tandem runs");
        *self.children[at].lock().expect("no test panicked") = Some(child);
    }

    /// `kill -9`.
    fn kill(&self, at: usize) {
        let child = self.children[at].lock().expect("no test panicked").take();
        let mut child = child.expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    fn get(&self, at: usize, path: &str) -> Answer {
        Connection::new(self.ports[at]).send("GET", path, None, None)
    }

    fn state(&self, at: usize) -> Value {
        self.get(at, "/v1/status").body
    }

    fn is_paired(&self) -> bool {
        self.get(A, "/readyz").status == 200
            && self.get(B, "/readyz").status == 200
            && self.state(A)["state"] == "active"
            && self.state(A)["peer"]["paired"] == true
            && self.state(B)["state"] == "standby"
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = now();
        while !holds() {
            let shown = [A, B].map(|at| self.state(at).to_string());
            assert!(now().since(begun) < Span::from_secs(60), "never: {what}\n{shown:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The ids of the leases that a server knows.
    fn leases(&self, at: usize) -> BTreeSet<String> {
        let leases = self.get(at, "/v1/leases").body;
        let leases = leases["leases"].as_array().expect("a list").clone();
        leases.iter().map(|lease| lease["id"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &self.children {
            if let Some(mut child) = child.lock().ok().and_then(|mut child| child.take()) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// A seat as its holder sees it.
struct Seat {
    id: String,
    token: String,
    /// When the last request that was granted was sent.
    sent: Moment,
}

impl Seat {
    fn is_believed(&self) -> bool {
        now().since(self.sent) < TTL
    }
}

/// A client of the pair: asks both servers in turn, as the client library does.
struct Client<'a> {
    processes: &'a Processes,
    at: usize,
}

impl Client<'_> {
    fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        Connection::new(self.processes.ports[self.at]).send(method, path, token, body)
    }

    fn other(&mut self) {
        self.at = 1 - self.at;
        std::thread::sleep(Duration::from_millis(50));
    }

    /// A seat, as soon as there is one.
    fn checkout(&mut self, user: &str, use_id: &str) -> Seat {
        let body = json!({"product": "designer", "user": user, "host": "ws", "use": use_id});
        loop {
            let sent = now();
            let answer = self.send("POST", "/v1/leases", None, Some(&body));
            match answer.status {
                200 | 201 => {
                    let text = |key: &str| answer.body[key].as_str().expect("a text").to_owned();
                    return Seat { id: text("id"), token: text("token"), sent };
                }
                0 | 409 | 503 => self.other(),
                status => panic!("a checkout got {status}: {}", answer.body),
            }
        }
    }

    /// One try to renew; the status.
    fn renew(&mut self, seat: &mut Seat) -> u16 {
        let sent = now();
        let path = format!("/v1/leases/{}", seat.id);
        let answer = self.send("PUT", &path, Some(&seat.token.clone()), None);
        match answer.status {
            200 => {
                assert_eq!(answer.body["id"], seat.id.as_str());
                seat.token = answer.body["token"].as_str().expect("a token").to_owned();
                seat.sent = sent;
            }
            0 | 503 => self.other(),
            404 if !seat.is_believed() => {}
            status => panic!("a renewal of {} got {status}: {}", seat.id, answer.body),
        }
        answer.status
    }

    fn release(&mut self, seat: &Seat) {
        let path = format!("/v1/leases/{}", seat.id);
        while self.send("DELETE", &path, Some(&seat.token), None).status != 204 {
            self.other();
        }
    }
}

#[test]
fn a_holder_keeps_its_lease_when_the_primary_is_killed_and_when_it_comes_back() {
    let processes = Processes::ready();
    let mut client = Client { processes: &processes, at: A };
    let mut seat = client.checkout("ana", "use-1");
    processes.kill(A);
    while client.renew(&mut seat) != 200 {}
    assert_eq!(client.at, B);
    let mut second = client.checkout("bo", "use-2");
    assert_eq!(client.at, B);

    processes.start(A);
    processes.until("the primary serves and the secondary is silent", || processes.is_paired());
    let refused = processes.get(B, "/readyz");
    assert_eq!(refused.status, 200);
    client.at = A;
    for seat in [&mut seat, &mut second] {
        assert_eq!(client.renew(seat), 200);
        assert_eq!(client.at, A);
    }
    assert_eq!(processes.leases(A).len(), 2);
    assert_eq!(processes.leases(A), processes.leases(B));
}

#[test]
fn service_moves_to_the_other_server_and_back_under_holders() {
    const CLIENTS: usize = 6;
    let processes = Processes::ready();
    let (killed, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (processes, killed, done) = (&processes, &killed, &done);
            scope.spawn(move || {
                let mut client = Client { processes, at: A };
                let mut seat = client.checkout(&format!("user-{number}"), &format!("use-{number}"));
                let mut renewed = 0;
                while !done.load(Ordering::Relaxed) || renewed < 3 {
                    let status = client.renew(&mut seat);
                    let answered = [200, 503].contains(&status);
                    assert!(answered || killed.load(Ordering::Relaxed), "a renewal got {status}");
                    assert!(seat.is_believed(), "{} ran out while it was renewed", seat.id);
                    renewed += usize::from(status == 200);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let [a, b] = processes.ports;
        let hand_over = |to: &str| {
            let words = format!(
                "handover {to} --yes --key d/keys/operator --server {a}@127.0.0.1,{b}@127.0.0.1"
            );
            processes.dir.tandem(&words).done();
        };
        processes.until("all hold a seat", || processes.leases(A).len() == CLIENTS);
        for (to, at) in [("lic-b", B), ("lic-a", A), ("lic-b", B)] {
            hand_over(to);
            assert_eq!(processes.state(at)["state"], "active", "told only once it serves");
            processes.until("both are in step", || {
                [A, B].iter().all(|&one| {
                    processes.get(one, "/readyz").status == 200
                        && processes.state(one)["leader"] == to
                        && processes.state(one)["leaderSince"].is_string()
                })
            });
            assert_eq!(processes.state(at)["graceEndsInMs"], Value::Null);
            assert_eq!(processes.leases(A), processes.leases(B));
            assert_eq!(processes.leases(at).len(), CLIENTS);
        }
        // What a person decided is no drift.
        let status = processes.dir.tandem("status d/tandem.yaml");
        assert!(status.stdout.contains("in sync"), "{status:?}");
        assert!(status.stdout.contains("`tandem handover lic-a` hands it back"), "{status:?}");
        // The server that leads dies: the primary takes its place, and keeps it.
        killed.store(true, Ordering::Relaxed);
        processes.kill(B);
        processes.until("the primary serves", || processes.state(A)["state"] == "active");
        processes.start(B);
        processes.until("the primary leads", || processes.is_paired());
        assert_eq!(processes.state(B)["leader"], "lic-a");
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn no_lease_is_lost_and_no_seat_given_twice_in_ten_kills() {
    const CLIENTS: usize = 20;
    const CHECKOUTS: usize = 200;
    const SEATS: usize = 10;
    let processes = Processes::ready();
    let (begun, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    // The seats whose holders believe in them: counted from before the release is sent to after the grant is known.
    let held: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (processes, begun, held, done) = (&processes, &begun, &held, &done);
            scope.spawn(move || {
                let mut client = Client { processes, at: number % 2 };
                loop {
                    let nth = begun.fetch_add(1, Ordering::Relaxed);
                    // Clients come and go until the last kill is over, and at least so often.
                    if nth >= CHECKOUTS && done.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut seat =
                        client.checkout(&format!("user-{number}"), &format!("use-{nth}"));
                    {
                        let mut held = held.lock().expect("no client panicked");
                        held.insert(seat.id.clone());
                        assert!(held.len() <= SEATS, "{} seats of {SEATS} are held", held.len());
                    }
                    for _ in 0..4 + number % 5 {
                        std::thread::sleep(Duration::from_millis(100));
                        while client.renew(&mut seat) != 200 {
                            assert!(seat.is_believed(), "{} ran out while it was renewed", seat.id);
                        }
                    }
                    held.lock().expect("no client panicked").remove(&seat.id);
                    client.release(&seat);
                }
            });
        }
        for kill in 0..10 {
            let victim = kill % 2;
            processes.kill(victim);
            processes
                .until("the other serves", || processes.state(1 - victim)["state"] == "active");
            processes.start(victim);
            processes.until("both are in step", || processes.is_paired());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(begun.load(Ordering::Relaxed) >= CHECKOUTS);
    processes.until("both ledgers are equal and empty", || {
        processes.leases(A).is_empty() && processes.leases(B).is_empty()
    });
}
