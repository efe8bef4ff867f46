//! Durable checkouts and releases a second on a pair, with 1, 8 and 64 clients, beside Redis in the same run.
//!
//! `cargo bench --bench checkout`. Two `tandem serve` processes on loopback; every client holds one connection and
//! checks a seat out and in, one after the other. Redis: a primary with a replica, both `appendfsync always`, each
//! step one EVAL followed by `WAIT 1`; left out where there is no `redis-server`. Figures are cycles a second.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops if it cannot run"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const CLIENTS: [usize; 3] = [1, 8, 64];
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    // Cargo passes `--bench`, and `--test` when it only wants to know that this builds and runs.
    let measured = if std::env::args().any(|arg| arg == "--test") {
        Duration::from_millis(200)
    } else {
        MEASURED
    };
    let folder = tempfile::tempdir().expect("a folder");
    let tandem = Tandem::start(folder.path());
    let redis = Redis::start(folder.path());
    println!("durable checkout and release, cycles a second, {} s each", measured.as_secs_f32());
    println!("{:>8} {:>12} {:>12} {:>12}", "clients", "tandem pair", "redis pair", "ratio");
    for clients in CLIENTS {
        let port = tandem.port;
        let ours = run(clients, measured, move |client| HttpClient::connect(port, client));
        let theirs = redis.as_ref().map(|redis| {
            let port = redis.port;
            run(clients, measured, move |client| RedisClient::connect(port, client))
        });
        let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |f| format!("{f:.0}"));
        let ratio = theirs.map_or("-".to_owned(), |theirs| format!("{:.2}", ours / theirs));
        println!("{clients:>8} {:>12} {:>12} {ratio:>12}", shown(Some(ours)), shown(theirs));
    }
}

/// One client's connection: takes a seat and gives it back.
trait Cycle {
    fn cycle(&mut self, number: u64);
}

/// Cycles a second of that many clients.
fn run<C: Cycle>(
    clients: usize,
    measured: Duration,
    connect: impl Fn(usize) -> C + Clone + Send + 'static,
) -> f64 {
    let (done, counted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let barrier = Arc::new(Barrier::new(clients + 1));
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let (done, counted, barrier) = (done.clone(), counted.clone(), barrier.clone());
            let connect = connect.clone();
            std::thread::spawn(move || {
                let mut connection = connect(client);
                barrier.wait();
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    connection.cycle(number);
                    number += 1;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    barrier.wait();
    std::thread::sleep(WARM_UP.min(measured));
    let (begin, before) = (now(), counted.load(Ordering::Relaxed));
    std::thread::sleep(measured);
    let (cycles, span) = (counted.load(Ordering::Relaxed) - before, begin.elapsed());
    done.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a client ended well");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let cycles = cycles as f64;
    cycles / span.as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Processes that end with the benchmark.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A pair of servers with 1,000 seats.
struct Tandem {
    port: u16,
    _running: Running,
}

impl Tandem {
    fn start(folder: &Path) -> Self {
        let repository = folder.join("repository");
        let tandem = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
            command.args(args).current_dir(folder).stdin(Stdio::null());
            command
        };
        let run = |args: &[&str]| {
            let output = tandem(args).output().expect("tandem runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "tandem {args:?}: {said}");
        };
        run(&["init", "repository"]);
        // More seats than clients, so that none is ever refused.
        for file in ["designer.primary.alf", "designer.secondary.alf"] {
            std::fs::remove_file(repository.join("licenses").join(file)).expect("init wrote it");
        }
        let key = "repository/keys/vendor";
        run(&[
            "vendor",
            "issue",
            "--key",
            key,
            "--product",
            "designer",
            "--seats",
            "1000",
            "--both",
            "repository/licenses",
        ]);
        let (a, b) = (free_port(), free_port());
        let manifest = repository.join("tandem.yaml");
        let text = std::fs::read_to_string(&manifest).expect("init wrote it");
        let text = text.replace("4820", &a.to_string()).replace("4821", &b.to_string());
        std::fs::write(&manifest, text).expect("a writable folder");
        let serve = |name: &str, port: u16| {
            let listen = format!("127.0.0.1:{port}");
            tandem(&["serve", "--name", name, "--data", name, "--listen", &listen, "--trust"])
                .arg("repository/keys/operator.pub")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("tandem runs")
        };
        let running = Running(vec![serve("lic-a", a), serve("lic-b", b)]);
        wait_for(a);
        wait_for(b);
        run(&["apply", "repository/tandem.yaml", "--yes", "--key", "repository/keys/operator"]);
        wait_until("the pair is ready", || ready(a) && ready(b));
        Self { port: a, _running: running }
    }
}

fn wait_for(port: u16) {
    wait_until("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it took too long until {what}");
}

fn ready(port: u16) -> bool {
    let mut client = HttpClient::connect(port, 0);
    client.send("GET", "/readyz", None, None).0 == 200
}

/// A keep-alive connection that speaks just enough HTTP/1.1.
struct HttpClient {
    stream: BufReader<TcpStream>,
    client: usize,
    /// Counts connections: a use is never used again.
    round: u64,
}

impl HttpClient {
    fn connect(port: u16, client: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP stream");
        static ROUNDS: AtomicU64 = AtomicU64::new(0);
        let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
        Self { stream: BufReader::new(stream), client, round }
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> (u16, Vec<u8>) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.stream.get_mut().write_all(head.as_bytes()).expect("the server reads");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        let status =
            line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a header");
            if line.trim().is_empty() {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole answer");
        (status, bytes)
    }
}

impl Cycle for HttpClient {
    fn cycle(&mut self, number: u64) {
        let client = self.client;
        let round = self.round;
        let body = format!(
            r#"{{"product":"designer","user":"user-{client}","host":"host","use":"{round}-{client}-{number}"}}"#
        );
        let (status, answer) = self.send("POST", "/v1/leases", None, Some(&body));
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
        let lease: serde_json::Value = serde_json::from_slice(&answer).expect("a lease");
        let (id, token) = (lease["id"].as_str(), lease["token"].as_str());
        let path = format!("/v1/leases/{}", id.expect("an id"));
        let (status, _) = self.send("DELETE", &path, Some(token.expect("a token")), None);
        assert_eq!(status, 204);
    }
}

/// A Redis primary with a replica, both syncing every write.
struct Redis {
    port: u16,
    _running: Running,
}

impl Redis {
    fn start(folder: &Path) -> Option<Self> {
        Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().ok()?;
        let (primary, replica) = (free_port(), free_port());
        let server = |port: u16, of: Option<u16>| {
            let data: PathBuf = folder.join(format!("redis-{port}"));
            std::fs::create_dir(&data).expect("a writable folder");
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(data);
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
            if let Some(of) = of {
                command.args(["--replicaof", "127.0.0.1", &of.to_string()]);
            }
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis runs")
        };
        let running = Running(vec![server(primary, None), server(replica, Some(primary))]);
        wait_for(primary);
        wait_for(replica);
        wait_until("the replica follows", || {
            let mut client = RedisClient::connect(primary, 0);
            client.send(&["SET", "x", "1"]);
            client.send(&["WAIT", "1", "1000"]) == ":1"
        });
        Some(Self { port: primary, _running: running })
    }
}

/// Takes a seat if fewer than the capacity are taken; gives it back.
const TAKE: &str = "if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end \
    redis.call('SADD', KEYS[1], ARGV[2]) return 1";
const GIVE: &str = "return redis.call('SREM', KEYS[1], ARGV[1])";

struct RedisClient {
    stream: BufReader<TcpStream>,
    client: usize,
}

impl RedisClient {
    fn connect(port: u16, client: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("redis listens");
        stream.set_nodelay(true).expect("a TCP stream");
        Self { stream: BufReader::new(stream), client }
    }

    fn write(&mut self, commands: &[&[&str]]) {
        let mut text = String::new();
        for words in commands {
            text.push_str(&format!("*{}\r\n", words.len()));
            for word in *words {
                text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
            }
        }
        self.stream.get_mut().write_all(text.as_bytes()).expect("redis reads");
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    fn send(&mut self, words: &[&str]) -> String {
        self.write(&[words]);
        self.read()
    }

    /// One step, durable here and at the replica, in one round trip.
    fn durable(&mut self, words: &[&str]) {
        self.write(&[words, &["WAIT", "1", "1000"]]);
        assert_eq!(self.read(), ":1");
        assert_eq!(self.read(), ":1");
    }
}

impl Cycle for RedisClient {
    fn cycle(&mut self, number: u64) {
        let holder = format!("{}-{number}", self.client);
        self.durable(&["EVAL", TAKE, "1", "seats", "1000", &holder]);
        self.durable(&["EVAL", GIVE, "1", "seats", &holder]);
    }
}
