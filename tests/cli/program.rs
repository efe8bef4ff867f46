//! What every verb has in common: help, usage, streams.

use crate::support::{Dir, Ran};

#[test]
fn without_a_verb_it_prints_help() {
    let ran = Dir::new().tandem("");
    assert!(ran.stdout.contains("Usage: tandem"), "{ran:?}");
    assert_eq!(ran.done(), Dir::new().tandem("-h").done());
}

#[test]
fn the_version_is_a_result() {
    assert_eq!(
        Dir::new().tandem("--version").done(),
        format!("tandem {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_mistake_in_the_arguments_ends_with_64() {
    for words in
        ["nope", "--nope", "key", "key show", "key show a --format xml", "-q -v key show a"]
    {
        let ran = Dir::new().tandem(words);
        assert_eq!(ran.stdout, "", "{words}");
        assert!(!ran.failed(64).is_empty(), "{words}");
    }
}

#[test]
fn a_log_filter_that_is_none_is_usage() {
    let dir = Dir::new();
    let stderr = Ran::of(dir.command("key show a").env("TANDEM_LOG", "tandem=loud")).failed(64);
    assert!(stderr.contains("`TANDEM_LOG` is not a log filter"), "{stderr}");
}

#[test]
fn quiet_drops_notes_and_nothing_else() {
    let ran = Dir::new().tandem("-q key generate --out k");
    assert_eq!(ran.stderr, "");
    assert!(ran.done().starts_with("ssh-ed25519 "));
}

#[test]
fn a_reader_that_has_gone_ends_it_without_a_word() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let dir = Dir::new();
    let ran = Ran::of(dir.command("").stdout(writer));
    assert_eq!(ran.failed(141), "");
}

#[test]
fn foreign_text_cannot_move_the_cursor() {
    let dir = Dir::new();
    let ran = Ran::of(dir.command("key show").arg("a\u{1b}[2J\u{202e}b"));
    insta::assert_snapshot!(ran.failed(1), @r"
    error: `a\u{1b}[2J\u{202e}b` could not be read
      caused by: No such file or directory (os error 2)
    ");
}
