//! `tandem borrow`: a seat for a time of its own, kept until it is returned.

use crate::support::answers::{Answers, gives, lease, refuses};
use crate::support::{Dir, Ran, masked};

/// `tandem` with these words, as ana on ws-1, keeping its state in the directory.
fn run(dir: &Dir, words: &str) -> Ran {
    let mut command = dir.command(&format!("{words} --user ana --host ws-1"));
    command.env("XDG_STATE_HOME", dir.path("state")).env("XDG_CONFIG_HOME", dir.path("config"));
    Ran::of(&mut command)
}

#[test]
fn a_borrowed_seat_is_asked_for_with_its_time_and_its_token_is_kept() {
    let dir = Dir::new();
    let server = Answers::new(|asked| {
        if asked.method != "POST" {
            return gives(asked);
        }
        assert_eq!(asked.body["borrowMs"], 259_200_000);
        assert_eq!(asked.body.get("waitMs"), None);
        let mut body = lease(&asked.body);
        body["borrowedUntil"] = body["expiresAt"].clone();
        (201, body)
    });
    let ran = run(&dir, &format!("borrow designer --for 3d --server {}", server.server()));
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!(masked(&format!("{}{}", ran.stdout, ran.stderr)), @r"
    lease ID: 1 seat of `designer` for `ana` on `ws-1`, from `lic-a` until TIME
    borrowed: nothing needs to renew it; `tandem release ID` returns it early, else it ends at TIME
    ");
    server.log();
    let mut command = dir.command("release 0190a8f2-0000-7000-8000-000000000001");
    command.env("XDG_STATE_HOME", dir.path("state"));
    Ran::of(&mut command).done();
    assert_eq!(server.log(), ["DELETE /v1/leases/0190a8f2-0000-7000-8000-000000000001"]);
}

#[test]
fn what_may_not_be_borrowed_says_what_to_look_at() {
    let dir = Dir::new();
    let why = "`everyone` lends for 7d at most";
    let server = Answers::new(refuses(403, "borrow-not-allowed", why));
    let words = format!("borrow designer --for 30d --server {}", server.server());
    insta::assert_snapshot!(run(&dir, &words).failed(77), @r"
    error: `ana` gets no seat of `designer`
      caused by: `everyone` lends for 7d at most
    help: `borrow` of an entry of `assign` says who may borrow, how many seats and for how long
    ");
    assert_eq!(run(&dir, "borrow designer").code, Some(64));
    assert_eq!(run(&dir, "borrow designer --for 0s --server 1@127.0.0.1").code, Some(64));
}
