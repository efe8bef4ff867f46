//! `tandem up`: both servers in one process.

use crate::support::Dir;
use crate::support::duo::Process;

/// A repository as `init` writes it, on ports that nobody listens on.
fn repository() -> Dir {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").port().to_string()
    };
    let text = dir.read("tandem.yaml").replace("4820", &free()).replace("4821", &free());
    dir.write("tandem.yaml", &text);
    dir
}

fn up(dir: &Dir) -> Process {
    Process::start(&mut dir.command("up --format jsonl"))
}

#[test]
fn both_servers_run_the_manifest_and_leases_outlive_a_restart() {
    let dir = repository();
    let mut first = up(&dir);
    assert_eq!(first.event("started")["server"], "lic-a");
    assert_eq!(first.event("in-sync")["generation"], 1);
    let status = dir.tandem("status tandem.yaml --format json").json();
    let server = status["servers"][0]["address"].as_str().expect("an address").to_owned();
    let checkout = format!("checkout designer --user ana --host ws-1 --server {server}");
    dir.tandem(&checkout).done();
    assert_eq!(first.end("-INT"), Some(130));
    assert_eq!(dir.read(".tandem/.gitignore"), "*\n");
    #[cfg(unix)]
    assert_eq!(dir.mode(".tandem/operator"), 0o600);

    let mut second = up(&dir);
    assert_eq!(second.event("in-sync")["generation"], 1);
    let leases = dir.tandem(&format!("leases --server {server} --format json")).json();
    assert_eq!(leases["leases"].as_array().map(Vec::len), Some(1));

    // The manifest is followed.
    let text = dir.read("tandem.yaml");
    dir.write("tandem.yaml", &text.replace("  - name: bo\n", "  - name: bo\n  - name: cy\n"));
    assert_eq!(second.event("in-sync")["generation"], 2);
    assert_eq!(second.end("-TERM"), Some(143));
}

#[test]
fn a_taken_port_is_named() {
    let dir = repository();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let text = dir.read("tandem.yaml");
    let line = text.lines().find(|line| line.contains("port:")).expect("a port").to_owned();
    dir.write("tandem.yaml", &text.replace(&line, &format!("    port: {port}")));
    let said = dir.tandem("up").failed(1);
    assert!(said.contains("`lic-a` cannot start"), "{said}");
    assert!(said.contains(&format!("something listens on port {port} already")), "{said}");
}

#[test]
fn a_broken_or_missing_manifest_starts_nothing() {
    let dir = repository();
    let text = dir.read("tandem.yaml").replace("product: designer", "product: designr");
    dir.write("tandem.yaml", &text);
    let said = dir.tandem("up").failed(1);
    assert!(said.contains("E0304") && said.contains("no server was started"), "{said}");
    assert!(!dir.has(".tandem"));
    let said = Dir::new().tandem("up").failed(1);
    assert!(said.contains("`tandem init` writes a manifest to start from"), "{said}");
}
