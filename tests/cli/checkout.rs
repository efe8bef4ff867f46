//! `tandem checkout`: a seat for a command or for a while, and how it ends.

use serde_json::json;

use crate::support::answers::{Answers, gives, lease, refuses};
use crate::support::{Dir, Ran, masked};

/// `tandem` with these words, as ana on ws-1, keeping its state in the directory.
fn command(dir: &Dir, words: &str) -> std::process::Command {
    let mut command = dir.command(words);
    command.env("XDG_STATE_HOME", dir.path("state")).env("XDG_CONFIG_HOME", dir.path("config"));
    command.env_remove("LOGNAME");
    command
}

fn run(dir: &Dir, words: &str) -> Ran {
    Ran::of(&mut command(dir, words))
}

#[test]
fn a_command_runs_while_its_seat_is_held_and_its_exit_code_is_passed_on() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let mut command =
            command(&dir, &format!("checkout designer --server {} -- sh -c", server.server()));
        let ran = Ran::of(command.arg(script));
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(code), "", ""));
        assert_eq!(
            server.log(),
            ["POST /v1/leases", "DELETE /v1/leases/0190a8f2-0000-7000-8000-000000000001",]
        );
    }
}

#[test]
fn a_command_that_cannot_be_run_says_so_as_shells_do_and_gives_its_seat_back() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let start = |name: &str| {
        run(&dir, &format!("checkout designer --server {} -- {name}", server.server()))
    };
    insta::assert_snapshot!(start("no-such-program").failed(127), @r"
    error: `no-such-program` cannot be run
      caused by: No such file or directory (os error 2)
    help: check its name and `PATH`
    ");
    assert_eq!(server.log().len(), 2);
    dir.write("file", "no program");
    insta::assert_snapshot!(start("./file").failed(126), @r"
    error: `./file` cannot be run
      caused by: Permission denied (os error 13)
    help: check its permissions
    ");
    assert_eq!(server.log().len(), 2);
}

#[cfg(unix)]
#[test]
fn signals_go_on_to_the_command() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let mut command =
        command(&dir, &format!("checkout designer --server {} -- sh -c", server.server()));
    // The command signals the program that holds its seat, and hears of it.
    command.arg("trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.02; done");
    assert_eq!(Ran::of(&mut command).code, Some(9));
    assert_eq!(server.log().len(), 2);
}

#[test]
fn without_a_command_the_lease_is_printed_and_kept_for_release() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let ran = run(&dir, &format!("checkout designer --host ws-1 --server {}", server.server()));
    insta::assert_snapshot!(masked(&ran.stderr), @"nothing renews it: `tandem release ID` gives it back, else it ends by itself in 5m");
    insta::assert_snapshot!(masked(&ran.done()), @"lease ID: 1 seat of `designer` for `ana` on `ws-1`, from `lic-a` until TIME");
    server.log();
    // The servers are remembered with the lease.
    let release = "release 0190a8f2-0000-7000-8000-000000000001";
    insta::assert_snapshot!(masked(&run(&dir, release).stderr), @"released `ID`");
    assert_eq!(server.log(), ["DELETE /v1/leases/0190a8f2-0000-7000-8000-000000000001"]);
    insta::assert_snapshot!(masked(&run(&dir, release).failed(1)), @r"
    error: no token of the lease `ID` is kept here
    help: release it as the user and on the computer that checked it out
    help: an operator ends any lease: `--force --reason TEXT`
    ");
}

#[test]
fn the_lease_as_json_is_what_the_server_gave() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let words = format!(
        "checkout designer --host ws-1 --seats 2 --format json --server {}",
        server.server()
    );
    let shown = run(&dir, &words).json();
    let mut expected = lease(&json!({
        "product": "designer", "user": "ana", "host": "ws-1", "seats": 2, "use": shown["use"],
    }));
    expected["schema"] = json!(1);
    assert_eq!(shown, expected);
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let words = format!("checkout designer --server {}", server.server());
    server.behaves(|asked| {
        let (status, mut body) =
            refuses(409, "no-seat-free", "assignment 0 (everyone) holds 10 of at most 10")(asked);
        body["holders"] = json!([{"user": "bo", "host": "ws-2", "seats": 9}, {"seats": 1}]);
        (status, body)
    });
    insta::assert_snapshot!(run(&dir, &words).failed(75), @r"
    error: no seat of `designer` is free for `ana`
      caused by: assignment 0 (everyone) holds 10 of at most 10
    help: ask `bo@ws-2` to give one back
    help: try again later; `tandem leases` shows which seats are held
    ");
    server.behaves(refuses(403, "not-entitled", "no assignment of `designer` matches `ana`"));
    insta::assert_snapshot!(run(&dir, &words).failed(77), @r"
    error: `ana` gets no seat of `designer`
      caused by: no assignment of `designer` matches `ana`
    help: let an entry of `assign` in the manifest match: change it in git, or name another `--user`
    ");
    server.behaves(refuses(404, "unknown-product", "no license offers `designer`"));
    assert_eq!(run(&dir, &words).code, Some(77));
    server.behaves(refuses(400, "invalid-request", "`seats` is not a number"));
    assert_eq!(run(&dir, &words).code, Some(1));
}

#[test]
fn a_server_that_is_not_there_or_not_here_is_told_apart() {
    let dir = Dir::new();
    // Nobody listens on the port of a tcpmux.
    insta::assert_snapshot!(run(&dir, "checkout designer --server 1@127.0.0.1").failed(69), @r"
    error: no server could be reached
      caused by: cannot connect to `1@127.0.0.1`: Connection refused (os error 111)
    help: check that the servers run and that `--server` or `TANDEM_SERVERS` names them
    ");
    insta::assert_snapshot!(run(&dir, "checkout designer --server 1@lic-a").failed(64), @"error: `1@lic-a` is not on this machine and its key is not pinned: write PORT@HOST#ed25519:BASE64 with the key that the server shows when it starts");
    insta::assert_snapshot!(
        run(&dir, "checkout designer").failed(64).replace(&dir.path("").display().to_string(), "DIR/"), @r"
    error: no server is named
    help: name the pair's servers with `--server 4820@HOST,4821@HOST`, in `TANDEM_SERVERS`, or as `servers` in `DIR/config/tandem/config.yaml`
    ");
}

#[test]
fn the_servers_come_from_the_flag_the_variable_or_the_configuration() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    let mut with_variable = command(&dir, "checkout designer");
    Ran::of(with_variable.env("TANDEM_SERVERS", server.server())).done();
    dir.write("config/tandem/config.yaml", &format!("servers: [\"{}\"]\n", server.server()));
    run(&dir, "checkout designer").done();
    dir.write("config/tandem/config.yaml", "server: 1@127.0.0.1\n");
    let said = run(&dir, "checkout designer").failed(64);
    assert!(said.contains("is not a client's configuration"), "{said}");
    run(&dir, &format!("checkout designer --server {}", server.server())).done();
}

#[test]
fn a_lease_that_cannot_be_kept_is_printed_all_the_same() {
    let (dir, server) = (Dir::new(), Answers::new(gives));
    dir.write("state", "a file in the way");
    let ran = run(&dir, &format!("checkout designer --format json --server {}", server.server()));
    assert!(ran.stderr.contains("`tandem release` will not find the lease"), "{ran:?}");
    assert_eq!((ran.code, &ran.json()["user"]), (Some(0), &json!("ana")));
}

#[test]
fn who_waits_in_vain_is_told_the_place_and_exits_75() {
    let dir = Dir::new();
    let server = Answers::new(|asked| {
        assert!(asked.body["waitMs"].as_u64().is_some_and(|ms| ms <= 1_000));
        (202, json!({"ticket": "T", "position": 3, "retryAfterMs": 100}))
    });
    let words = format!("checkout designer --wait 1s --server {}", server.server());
    insta::assert_snapshot!(run(&dir, &words).failed(75), @r"
    error: no seat of `designer` was given to `ana`
      caused by: no seat was given within 1s: 2 wait before this user
    help: wait longer with `--wait`; `tandem leases` shows which seats are held, `tandem status` whether new ones are given now
    ");
}
