//! `tandem serve`: one server process, its data directory, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{Dir, masked};

/// A server that is killed when the test ends.
struct Server {
    child: Child,
    address: String,
    said: String,
}

impl Server {
    fn start(dir: &Dir, more: &str) -> Self {
        let words = format!("serve --name lic-a --data data --listen 127.0.0.1:0 {more}");
        let mut child =
            dir.command(&words).stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let said = format!("{}\n{}\n", line(), line());
        let address = said.split_whitespace().nth(2).expect("an address").to_owned();
        Self { child, address, said }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_says_where_it_listens_and_who_it_is() {
    let dir = Dir::new();
    let mut server = Server::start(&dir, "");
    let said = server.said.replace(&server.address, "ADDRESS");
    insta::assert_snapshot!(masked(&said), @r"
    listening on ADDRESS as `lic-a`
    identity ed25519:KEY
    ");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/v1/status").contains(r#""state":"unconfigured""#));
    assert_eq!(server.end("-TERM"), Some(143));
    #[cfg(unix)]
    assert_eq!(dir.mode("data/identity.key"), 0o600);

    let identity = |said: &str| said.lines().last().unwrap_or_default().to_owned();
    let mut again = Server::start(&dir, "");
    assert_eq!(identity(&again.said), identity(&server.said));
    assert_eq!(again.end("-INT"), Some(130));
}

#[test]
fn two_processes_cannot_share_a_data_directory() {
    let dir = Dir::new();
    let _server = Server::start(&dir, "");
    let second = dir.tandem("serve --name lic-a --data data --listen 127.0.0.1:0").failed(1);
    insta::assert_snapshot!(second, @r"
    error: `lic-a` cannot start with the data directory `data`
      caused by: another process uses this data directory: stop it, or let this server have another one
    ");
}

#[test]
#[cfg(unix)]
fn a_key_that_others_can_read_is_told_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Dir::new();
    let server = Server::start(&dir, "");
    drop(server);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(dir.path("data/identity.key"), open).expect("changed");
    let _server = Server::start(&dir, "");
    let second = dir.tandem("serve --name lic-a --data data --listen 127.0.0.1:0").failed(1);
    let told = "can be read by others on this machine: `chmod 600 data/identity.key`";
    assert!(second.contains(told), "{second}");
}

#[test]
fn plain_http_never_leaves_loopback() {
    let dir = Dir::new();
    let refused = dir.tandem("serve --name lic-a --data data --listen 0.0.0.0:0").failed(64);
    insta::assert_snapshot!(refused, @"error: `0.0.0.0:0` is not a loopback address, and this version serves without TLS: listen on 127.0.0.1 or [::1]");
}

#[test]
fn a_key_to_trust_is_a_key_or_a_file_of_keys() {
    let dir = Dir::new();
    dir.tandem("key generate --out operator").done();
    let server = Server::start(&dir, "--trust operator.pub");
    assert!(server.get("/v1/status").contains(r#""trust":["SHA256:"#));
    drop(server);
    let refused = dir.tandem("serve --name a --data d --listen 127.0.0.1:0 --trust nothing");
    assert!(refused.failed(1).contains("`nothing`, given with `--trust`, cannot be read"));
    dir.write("empty", "# nobody\n");
    let refused = dir.tandem("serve --name a --data d --listen 127.0.0.1:0 --trust empty");
    assert!(refused.failed(1).contains("has no key"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_cannot_be_written_holds_up_nothing() {
    let dir = Dir::new();
    let mut server = Server::start(&dir, "--event-log /dev/full");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert_eq!(server.end("-TERM"), Some(143));
}

#[test]
fn events_go_to_a_file_too() {
    let dir = Dir::new();
    // A process that was killed left half of a line.
    dir.write("events.jsonl", "{\"schema\":1,\"seq\":7,\"at");
    let mut server = Server::start(&dir, "--event-log events.jsonl");
    server.end("-TERM");
    let log = dir.read("events.jsonl");
    let first: serde_json::Value =
        serde_json::from_str(log.lines().nth(1).expect("a line")).expect("JSON");
    assert_eq!((&first["seq"], &first["type"]), (&1.into(), &"started".into()));
    let last = log.lines().last().expect("a line");
    let event: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(
        (&event["schema"], &event["type"], &event["server"]),
        (&1.into(), &"stopped".into(), &"lic-a".into())
    );
}
