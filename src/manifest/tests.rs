//! What reading a manifest gives, and what it says about every trap of YAML.

use std::fmt::Write as _;

use super::finding::Place;
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

#[test]
fn what_is_not_utf8_is_named_where_it_is() {
    insta::assert_snapshot!(findings(b"apiVersion: tandem/v1\nkind: L\xe4nder\n"), @r"2:8-2:8 E0001 not-utf8: the byte 0xe4 is not UTF-8 [save the file as UTF-8]");
    insta::assert_snapshot!(findings("é: ü\u{fffd}".as_bytes().split_last().expect("bytes").1), @r"1:5-1:5 E0001 not-utf8: the byte 0xef is not UTF-8 [save the file as UTF-8]");
    let utf16: Vec<u8> = "\u{feff}kind: x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    insta::assert_snapshot!(findings(&utf16), @r"1:1-1:1 E0001 not-utf8: the file is UTF-16, not UTF-8 [save the file as UTF-8]");
}

#[test]
fn a_byte_order_mark_and_any_line_end_are_fine() {
    let text = include_str!("testdata/documented.yaml").replace('\r', "");
    for ends in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{}", text.replace('\n', ends));
            assert_eq!(findings(text.as_bytes()), "", "{ends:?} {mark:?}");
            let (parsed, _) = parse("tandem.yaml", text.as_bytes());
            let place = parsed.expect("a manifest").places.at(path!["users", 1, "name"]);
            let Place { line, column, .. } = place.expect("a place");
            assert_eq!((line, column), (33, 11), "{ends:?}");
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let text = vec![b'#'; (64 << 20) + 1];
    insta::assert_snapshot!(findings(&text), @r"1:1-1:1 E0002 too-large: the file has more than 64 MiB [keep long lists of people in several smaller groups]");
    assert!(findings(text.get(1..).expect("bytes")).contains("empty-manifest"));
}

#[test]
fn there_is_an_end_to_findings() {
    let text = format!("{HEAD}seats: []\nusers:\n{}", "- no\n".repeat(150_000));
    let (_, found) = parse("tandem.yaml", text.as_bytes());
    assert_eq!(found.len(), 100_001);
    assert!(found.iter().any(|finding| finding.code.name == "too-many-findings"));
}

#[test]
fn aliases_unfold_to_a_limit_and_no_further() {
    let group = |members: &str, times: usize| {
        let seats = format!("- {{product: p, deny: {members}}}\n").repeat(times);
        format!("{HEAD}a: &a {{user: x}}\nb: &b [{}]\nseats:\n{seats}", "*a, ".repeat(100))
    };
    let (_, found) = parse("tandem.yaml", group("*b", 989).as_bytes());
    assert!(!found.iter().any(|finding| finding.code.name == "exploding-anchors"));
    let (parsed, found) = parse("tandem.yaml", group("*b", 990).as_bytes());
    assert!(parsed.is_none());
    assert!(found.iter().any(|finding| finding.code.name == "exploding-anchors"));
}

#[test]
fn a_list_of_users_is_judged_and_never_quoted() {
    let text = b"- name: no\n- name: SECRET=*\n- key: SECRET\n- SECRET\n- {name: a, SECRET: 1, SECRET: 2}\n- {name: ana}\n";
    let (read, found) = parse_users("people.yaml", text);
    let (users, places) = read.expect("users");
    assert_eq!(users.len(), 2);
    assert_eq!(places.at(path![1, "name"]).map(|place| place.line), Some(6));
    let mut shown = String::new();
    for Finding { code, place, message, help, source, .. } in found {
        assert!(source.is_none());
        let _ = writeln!(shown, "{} {code}: {message} [{help}]", place.expect("a place").line);
    }
    assert!(!shown.contains("SECRET"), "{shown}");
    insta::assert_snapshot!(shown, @r"
    1 E0016 needs-quotes: `name` is a text, which YAML reads as a boolean [quote it]
    2 E0021 invalid-name: `name` cannot be read [a name has 1 to 256 characters, none of them a control character, `*` or `?`]
    3 E0019 missing-field: an entry of the list lacks the field `name` [add `name:`]
    3 E0025 invalid-key: this is no SSH public key of type `ssh-ed25519` [copy the whole line of the `.pub` file: `ssh-ed25519 AAAA… comment`]
    4 E0015 wrong-type: an entry of the list must be a mapping, but is a text [it has the fields `name` and `key`]
    5 E0018 unknown-field: unknown field in an entry of the list [the fields here are `name` and `key`]
    5 E0009 duplicate-key: a field is given twice: first on line 5 [keep one of the two]
    5 E0018 unknown-field: unknown field in an entry of the list [the fields here are `name` and `key`]
    ");
    let (read, found) = parse_users("/proc/self/environ", b"PATH=/bin\0SECRET=x\0");
    assert!(read.is_none());
    assert!(!format!("{found:?}").contains("SECRET"));
    let (read, found) = parse_users("people.yaml", b"SECRET=x: y");
    assert!(read.is_none() && !format!("{found:?}").contains("SECRET"));
}

#[test]
fn what_could_not_be_read_is_known_to_later_checks() {
    let whole = |tail: &str, path: &[places::Step]| {
        let (parsed, _) = parse("tandem.yaml", format!("{HEAD}{tail}").as_bytes());
        parsed.expect("a manifest").places.is_whole(path)
    };
    assert!(!whole("", path!["seats"]));
    assert!(whole("", path!["servers"]));
    assert!(whole("", path!["users"]));
    assert!(!whole("user: []\n", path!["users"]));
    assert!(!whole("seats: [{product: a, asign: []}]\n", path!["seats", 0]));
    assert!(whole("seats: [{product: a}, {}]\n", path!["seats", 0]));
    assert!(!whole("seats: [{product: a}, {}]\n", path!["seats"]));
    assert!(!whole("redundancy: {heartbeat: 5}\n", path!["redundancy", "heartbeat"]));
    assert!(whole("redundancy: {heartbeat: 5}\n", path!["redundancy", "mode"]));
}

#[test]
fn a_secret_key_in_a_manifest_is_not_printed() {
    let text = format!(
        "{HEAD}trust: {{operators: [\"-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNz\"], vendors: [\"-----BEGIN PRIVATE KEY----- b3BlbnNz\"]}}\nseats: []\n"
    );
    let (_, found) = parse("tandem.yaml", text.as_bytes());
    assert_eq!(found.len(), 2);
    assert!(!format!("{found:?}").contains("b3BlbnNz"));
}

#[test]
fn without_a_text_findings_have_no_place() {
    let (parsed, _) = parse("tandem.yaml", format!("{HEAD}seats: []\n").as_bytes());
    let mut manifest = parsed.expect("a manifest").manifest;
    manifest.servers.first_mut().expect("a server").port = 0;
    manifest.redundancy.heartbeat = crate::measure::Span::from_secs(1);
    let found = limits::check(&manifest, &Places::without_text("bundle"));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|finding| finding.place.is_none() && finding.file == "bundle"));
}

#[test]
fn there_is_an_end_to_anchors_and_to_equal_keys() {
    let (parsed, found) = parse("a.yaml", format!("[{}]", "&a a,".repeat(100_001)).as_bytes());
    assert!(parsed.is_none());
    assert!(found.iter().any(|finding| finding.code.name == "exploding-anchors"));
    let (_, found) = parse("a.yaml", format!("{{{}}}", "a: 1,".repeat(120_000)).as_bytes());
    let twice = found.iter().filter(|finding| finding.code.name == "duplicate-key").count();
    assert!((100_000..100_010).contains(&twice));
}
