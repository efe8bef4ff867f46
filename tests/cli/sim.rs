//! `tandem sim`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Ran;

/// A directory with `tandem` in it and nothing else.
struct Beside(tempfile::TempDir);

impl Beside {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let name = Path::new(env!("CARGO_BIN_EXE_tandem")).file_name().expect("a name");
        std::fs::hard_link(env!("CARGO_BIN_EXE_tandem"), dir.path().join(name)).expect("a link");
        Self(dir)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    fn sim(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program("tandem"));
        command.arg("sim").args(words).env("PATH", "");
        command
    }
}

#[test]
fn where_it_is_not_it_says_how_to_get_it() {
    let beside = Beside::new();
    insta::assert_snapshot!(Ran::of(&mut beside.sim(&["list"])).failed(127), @r"
    error: `tandem-sim` is neither beside this program nor on `PATH`
    help: in a checkout of Tandem build it with `cargo build --release -p tandem-sim`; elsewhere install it beside `tandem`
    ");
}

/// A shell stands in for the simulation: it prints what it is told, and ends as it is told.
#[cfg(unix)]
#[test]
fn words_and_exit_code_are_passed_on() {
    let script = [r#"printf '%s\n' "$@"; exit "$1""#, "tandem-sim"];
    let told = ["3", "--help", "-V", "--", "-q", "--seeds", "0..100"];
    let words: Vec<&str> = ["-c"].into_iter().chain(script).chain(told).collect();
    let beside = Beside::new();
    std::os::unix::fs::symlink("/bin/sh", beside.program("tandem-sim")).expect("a link");
    let ran = Ran::of(&mut beside.sim(&words));
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), told, "{ran:?}");
    assert_eq!(ran.failed(3), "");

    // The same where it is on the path only.
    let elsewhere = Beside::new();
    let ran = Ran::of(elsewhere.sim(&words).env("PATH", beside.0.path()));
    assert_eq!(ran.code, Some(3), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn its_help_is_the_help_of_the_simulation() {
    let beside = Beside::new();
    std::os::unix::fs::symlink("/bin/echo", beside.program("tandem-sim")).expect("a link");
    for words in [["--version", "run"], ["run", "--help"]] {
        let told = Ran::of(&mut beside.sim(&words)).done();
        assert_eq!(told, format!("{}\n", words.join(" ")));
    }
}
