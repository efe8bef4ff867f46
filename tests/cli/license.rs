//! `tandem license`: every way a license file is refused, as its user reads it.

use crate::support::{Dir, Ran, masked};

const STRANGER: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER: &str = "ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A directory with a vendor's key `v` and the files `designer.primary.alf` and `designer.secondary.alf`.
fn twins(more: &str) -> Dir {
    let dir = Dir::new();
    dir.tandem("vendor keygen --out v").done();
    dir.tandem(&format!(
        "vendor issue --key v --product designer --seats 10 --id L-1 --pair P-1 --both . {more}"
    ))
    .done();
    dir
}

fn verify(dir: &Dir, words: &str) -> Ran {
    dir.tandem(&format!("license verify {words}"))
}

/// What is printed about a license that is refused.
#[track_caller]
fn refused(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stderr, "", "verdicts are results");
    masked(&ran.stdout)
}

#[test]
fn good_files_are_valid() {
    let dir = twins("");
    let ran =
        verify(&dir, "designer.primary.alf designer.secondary.alf --vendor v.pub --mode escrow");
    insta::assert_snapshot!(ran.done(), @"");
    verify(&dir, "designer.primary.alf --role primary").done();
}

#[test]
fn the_file_of_the_other_role_is_refused() {
    let ran = verify(&twins(""), "designer.primary.alf --role secondary");
    insta::assert_snapshot!(refused(&ran), @"");
}

#[test]
fn an_edited_label_is_refused() {
    let dir = twins("");
    let text = dir.read("designer.primary.alf");
    dir.write("e.alf", &text.replace("PRIMARY", "SECONDARY"));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
    dir.write("e.alf", &text.replacen("PRIMARY", "SECONDARY", 1));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
    dir.write("e.alf", &text.replace("TANDEM PRIMARY LICENSE", "CERTIFICATE"));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
}

#[test]
fn an_edited_or_lost_character_is_refused() {
    let dir = twins("");
    let text = dir.read("designer.primary.alf");
    // A character of the signature, in the second line.
    let at = text.find('\n').expect("lines") + 5;
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut edited = text.clone();
    edited.replace_range(at..=at, other);
    dir.write("e.alf", &edited);
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
    edited.replace_range(at..=at, "");
    dir.write("e.alf", &edited);
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
    dir.write("e.alf", &text[..text.len() / 2]);
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @"");
}

#[test]
fn an_unknown_vendor_is_refused() {
    let ran = verify(&twins(""), &format!("designer.primary.alf --vendor {STRANGER}"));
    insta::assert_snapshot!(refused(&ran), @"");
}

#[test]
fn an_expired_license_is_refused() {
    let dir = twins("--not-before 2024-01-01 --expires 2025-01-01");
    insta::assert_snapshot!(verify(&dir, "designer.primary.alf").stdout, @"");
}

#[test]
fn a_license_that_begins_later_is_valid_with_a_warning() {
    let ran = verify(&twins("--not-before 2199-01-01"), "designer.primary.alf");
    insta::assert_snapshot!(ran.stderr, @"warning: `designer.primary.alf` counts no seats before 2199-01-01T00:00:00.000Z");
    ran.done();
}

#[test]
fn a_license_of_another_server_is_refused() {
    let dir = twins(&format!("--primary-server {STRANGER}"));
    let ran = verify(&dir, &format!("designer.primary.alf --server {OTHER}"));
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stdout, @"");
    verify(&dir, &format!("designer.primary.alf --server {STRANGER}")).done();
    verify(&dir, "designer.primary.alf").done();
}

#[test]
fn a_mode_that_is_not_allowed_is_refused() {
    let dir = twins("--mode escrow");
    insta::assert_snapshot!(refused(&verify(&dir, "designer.primary.alf --mode mirror")), @"");
    verify(&dir, "designer.primary.alf --mode escrow").done();
}

#[test]
fn half_a_purchase_is_refused_beside_another() {
    let dir = twins("");
    let issue =
        "vendor issue --key v --product cam --seats 1 --pair P-2 --role secondary --out cam.alf";
    dir.tandem(issue).done();
    let ran = verify(&dir, "designer.primary.alf designer.secondary.alf cam.alf");
    insta::assert_snapshot!(refused(&ran), @"");
}

#[test]
fn a_file_that_is_none_is_refused_and_the_others_are_judged() {
    let dir = twins("");
    dir.write("empty.alf", "");
    let ran = verify(&dir, "empty.alf none.alf designer.primary.alf");
    insta::assert_snapshot!(refused(&ran), @"");
}

#[test]
fn several_licenses_of_a_file_are_told_apart() {
    let dir = twins("");
    let both = dir.read("designer.primary.alf") + "hello\n" + &dir.read("designer.secondary.alf");
    dir.write("both.alf", &both);
    insta::assert_snapshot!(refused(&verify(&dir, "both.alf --role primary")), @"");
}

#[test]
fn verdicts_are_one_document() {
    let dir = twins("");
    let ran = verify(&dir, "designer.primary.alf --role secondary --format json");
    insta::assert_snapshot!(refused(&ran), @"");
    let json = verify(&dir, "designer.primary.alf --format json").json();
    assert_eq!((&json["schema"], &json["ok"]), (&1.into(), &true.into()));
}

#[test]
fn inspect_shows_every_field() {
    let dir = twins(
        "--expires 2199-01-01 --standalone 3d --max-borrow 7d --mode mirror --entitlement cam",
    );
    insta::assert_snapshot!(masked(&dir.tandem("license inspect designer.primary.alf").done()), @"");
}

#[test]
fn inspect_says_when_nothing_can_be_believed() {
    let dir = twins("");
    let (primary, secondary) =
        (dir.read("designer.primary.alf"), dir.read("designer.secondary.alf"));
    // The signature of one over the payload of the other.
    let line = |text: &str, at| text.lines().nth(at).expect("a line").to_owned();
    dir.write("e.alf", &secondary.replace(&line(&secondary, 1), &line(&primary, 1)));
    let ran = dir.tandem("license inspect e.alf");
    insta::assert_snapshot!(refused(&ran), @"");
}
