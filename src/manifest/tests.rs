//! What reading a manifest gives, and what it says about every trap of YAML.

use std::fmt::Write as _;

use super::places::path;
use super::*;

const HEAD: &str = "\
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}
";

/// The findings of a text, one a line: code, place and message.
fn findings(text: &[u8]) -> String {
    let (_, findings) = parse("tandem.yaml", text);
    let mut shown = String::new();
    for Finding { code, place, message, help, .. } in findings {
        let place = place.expect("a place in the text");
        let _ = writeln!(
            shown,
            "{}:{}-{}:{} {code}: {message} [{help}]",
            place.line, place.column, place.end_line, place.end_column
        );
    }
    shown
}

/// The findings of a manifest that ends with `tail`; lines are counted from its first.
fn check(tail: &str) -> String {
    let text = format!("{HEAD}seats: []\n{tail}");
    let before = u32::try_from(HEAD.lines().count() + 1).expect("a short text");
    let (_, found) = parse("tandem.yaml", text.as_bytes());
    let mut shown = String::new();
    for Finding { code, place, message, .. } in found {
        let place = place.expect("a place in the text");
        let line = place.line.saturating_sub(before);
        let _ = writeln!(shown, "{line}:{}-{} {code}: {message}", place.column, place.end_column);
    }
    shown
}

#[test]
fn the_documented_manifest_is_read_whole() {
    let text = include_str!("testdata/documented.yaml");
    assert_eq!(findings(text.as_bytes()), "");
    let (parsed, _) = parse("tandem.yaml", text.as_bytes());
    let Parsed { manifest, places } = parsed.expect("a manifest");
    let derived: Manifest = serde_yaml::from_str(text).expect("serde reads it");
    assert_eq!(manifest, derived);
    let port = places.at(path!["servers", 1, "port"]).expect("a place");
    assert_eq!((port.line, port.column, port.end_column), (15, 11, 15));
    assert!(places.is_whole(path![]));
}

#[test]
fn everything_that_is_wrong_is_said_in_one_pass() {
    insta::assert_snapshot!(check("lease: {ttl: 1h30m}\nusers: [{name: no}, {}]\nvisibility: opne\n"), @r"
    1:1-6 E0018 unknown-field: unknown field `lease` in the manifest
    2:16-18 E0016 needs-quotes: `name` is `no`, which YAML reads as a boolean
    2:21-23 E0019 missing-field: an entry of `users` lacks the field `name`
    3:13-17 E0020 unknown-value: `visibility` is `opne`, but must be `operators` or `open`
    ");
}

#[test]
fn an_entry_that_cannot_be_read_does_not_shift_the_others() {
    let text = format!("{HEAD}seats: []\nusers:\n- name: no\n- name: ana\n");
    let (parsed, _) = parse("tandem.yaml", text.as_bytes());
    let Parsed { manifest, places } = parsed.expect("a manifest");
    assert_eq!(manifest.users.len(), 1);
    assert_eq!(places.at(path!["users", 0, "name"]).map(|place| place.line), Some(10));
    assert!(!places.is_whole(path!["users"]));
    assert!(places.is_whole(path!["servers"]));
}
