//! Ctrl-C in the midst of long work, as a process sees it.
#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Runs the program until it has said that it is at work, then interrupts it: its exit code, and all that it printed.
fn interrupted(args: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem-sim"))
        .args(args)
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut text = String::new();
    while !text.contains(" seeds in ") {
        assert!(said.read_line(&mut text).expect("a line") > 0, "it ended by itself: {text}");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    said.read_to_string(&mut text).expect("the rest");
    let mut printed = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut printed).expect("a report");
    (child.wait().expect("an end").code(), printed, text)
}

#[test]
fn an_interrupted_run_tells_what_was_run_and_that_it_was_not_all() {
    let args = ["run", "failover", "--world", "core", "--jobs", "1", "--seeds", "0..1000000"];
    let (code, printed, said) = interrupted(&args);
    assert_eq!(code, Some(130), "{said}");
    assert!(printed.contains("failover"), "{printed}");
    assert!(said.contains("of 1000000 seeds were run"), "{said}");
}

#[test]
fn an_interrupted_fuzz_tells_what_was_run_and_that_it_was_not_all() {
    let (code, printed, said) = interrupted(&["fuzz", "--for", "1h", "--jobs", "1"]);
    assert_eq!(code, Some(130), "{said}");
    assert!(printed.contains("seeds"), "{printed}");
}
