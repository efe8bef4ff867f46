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
    insta::assert_snapshot!(ran.done(), @r"
    valid: `designer.primary.alf` is the primary license for 10 seats of `designer`
    valid: `designer.secondary.alf` is the secondary license for 10 seats of `designer`
    ");
    verify(&dir, "designer.primary.alf --role primary").done();
}

#[test]
fn the_file_of_the_other_role_is_refused() {
    let ran = verify(&twins(""), "designer.primary.alf --role secondary");
    insta::assert_snapshot!(refused(&ran), @r"
    refused: `designer.primary.alf` is encoded for the primary server, not for the secondary
      help: use the file saved from the secondary's activation
    ");
}

#[test]
fn an_edited_label_is_refused() {
    let dir = twins("");
    let text = dir.read("designer.primary.alf");
    dir.write("e.alf", &text.replace("PRIMARY", "SECONDARY"));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` is labeled for the secondary server, but its payload is for the primary
      help: restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
    dir.write("e.alf", &text.replacen("PRIMARY", "SECONDARY", 1));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` has a block that begins as `TANDEM SECONDARY LICENSE` and ends at line 8 as `TANDEM PRIMARY LICENSE`
      help: restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
    dir.write("e.alf", &text.replace("TANDEM PRIMARY LICENSE", "CERTIFICATE"));
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` has a block labeled `CERTIFICATE` at line 1, which is neither `TANDEM PRIMARY LICENSE` nor `TANDEM SECONDARY LICENSE`
      help: name a license file (.alf) as the vendor issued it
    ");
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
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` has a signature that is not its vendor's (ed25519:KEY) for a primary license: it was edited or damaged
      help: restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
    edited.replace_range(at..=at, "");
    dir.write("e.alf", &edited);
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` is damaged: the block that begins at line 1 is not strict base64
      help: restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
    dir.write("e.alf", &text[..text.len() / 2]);
    insta::assert_snapshot!(refused(&verify(&dir, "e.alf")), @r"
    refused: `e.alf` is cut off: the block that begins at line 1 has no `-----END` line
      help: restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
}

#[test]
fn an_unknown_vendor_is_refused() {
    let ran = verify(&twins(""), &format!("designer.primary.alf --vendor {STRANGER}"));
    insta::assert_snapshot!(refused(&ran), @r#"
    refused: `designer.primary.alf` is signed by the vendor ed25519:KEY, which is not trusted
      help: if you buy from this vendor, add "ed25519:KEY" to `trust.vendors`
    "#);
}

#[test]
fn an_expired_license_is_refused() {
    let dir = twins("--not-before 2024-01-01 --expires 2025-01-01");
    insta::assert_snapshot!(verify(&dir, "designer.primary.alf").stdout, @r"
    refused: `designer.primary.alf` ended at 2025-01-01T00:00:00.000Z
      help: renew the license and replace the file
    ");
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
    insta::assert_snapshot!(ran.stdout, @r"
    refused: `designer.primary.alf` is bound to the server with the key ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, not to the one with ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
      help: have the license activated again for the server with the key ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
    ");
    verify(&dir, &format!("designer.primary.alf --server {STRANGER}")).done();
    verify(&dir, "designer.primary.alf").done();
}

#[test]
fn a_mode_that_is_not_allowed_is_refused() {
    let dir = twins("--mode escrow");
    insta::assert_snapshot!(refused(&verify(&dir, "designer.primary.alf --mode mirror")), @r"
    refused: `designer.primary.alf` does not allow the redundancy mode `mirror`, only `escrow`
      help: change `redundancy.mode`, or ask the vendor for a license that allows it
    ");
    verify(&dir, "designer.primary.alf --mode escrow").done();
}

#[test]
fn half_a_purchase_is_refused_beside_another() {
    let dir = twins("");
    let issue =
        "vendor issue --key v --product cam --seats 1 --pair P-2 --role secondary --out cam.alf";
    dir.tandem(issue).done();
    let ran = verify(&dir, "designer.primary.alf designer.secondary.alf cam.alf");
    insta::assert_snapshot!(refused(&ran), @r"
    valid: `designer.primary.alf` is the primary license for 10 seats of `designer`
    valid: `designer.secondary.alf` is the secondary license for 10 seats of `designer`
    refused: `cam.alf` is half of the purchase `P-2`, whose primary license is not at the other server
      help: add the primary file of the same purchase to the primary server
    ");
}

#[test]
fn a_file_that_is_none_is_refused_and_the_others_are_judged() {
    let dir = twins("");
    dir.write("empty.alf", "");
    let ran = verify(&dir, "empty.alf none.alf designer.primary.alf");
    insta::assert_snapshot!(refused(&ran), @r"
    refused: `empty.alf` has no license: nothing in it begins with `-----BEGIN TANDEM PRIMARY LICENSE-----`
      help: name a license file (.alf) as the vendor issued it
    refused: `none.alf` could not be read: No such file or directory (os error 2)
      help: check the path and who may read it
    valid: `designer.primary.alf` is the primary license for 10 seats of `designer`
    ");
}

#[test]
fn several_licenses_of_a_file_are_told_apart() {
    let dir = twins("");
    let both = dir.read("designer.primary.alf") + "hello\n" + &dir.read("designer.secondary.alf");
    dir.write("both.alf", &both);
    insta::assert_snapshot!(refused(&verify(&dir, "both.alf --role primary")), @r"
    valid: license 1 of `both.alf` is the primary license for 10 seats of `designer`
    refused: license 2 of `both.alf` is encoded for the secondary server, not for the primary
      help: use the file saved from the primary's activation
    ");
}

#[test]
fn verdicts_are_one_document() {
    let dir = twins("");
    let ran = verify(&dir, "designer.primary.alf --role secondary --format json");
    insta::assert_snapshot!(refused(&ran), @r#"
    {
      "schema": 1,
      "ok": false,
      "files": [
        {
          "file": "designer.primary.alf",
          "licenses": [
            {
              "label": "primary",
              "ok": false,
              "problem": {
                "code": "wrong-role",
                "message": "is encoded for the primary server, not for the secondary",
                "help": "use the file saved from the secondary's activation"
              },
              "license": {
                "id": "L-1-primary",
                "product": "designer",
                "seats": 10,
                "role": "primary",
                "vendor": "ed25519:KEY",
                "issued": "TIME",
                "notBefore": "TIME",
                "pair": "P-1"
              }
            }
          ]
        }
      ]
    }
    "#);
    let json = verify(&dir, "designer.primary.alf --format json").json();
    assert_eq!((&json["schema"], &json["ok"]), (&1.into(), &true.into()));
}

#[test]
fn inspect_shows_every_field() {
    let dir = twins(
        "--expires 2199-01-01 --standalone 3d --max-borrow 7d --mode mirror --entitlement cam",
    );
    insta::assert_snapshot!(masked(&dir.tandem("license inspect designer.primary.alf").done()), @r"
    file `designer.primary.alf`: primary license for 10 seats of `designer`
      signature     holds
      id            L-1-primary
      vendor        ed25519:KEY
      issued        TIME
      valid         from TIME until TIME
      one seat is   one user and host
      purchase      P-1
      modes         mirror
      standalone    at most 3d
      borrowing     at most 7d
      entitlements  cam
    ");
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
    insta::assert_snapshot!(refused(&ran), @r"
    file `e.alf`: secondary license for 10 seats of `designer`
      signature     DOES NOT HOLD, believe nothing below: it has a signature that is not its vendor's (ed25519:KEY) for a secondary license: it was edited or damaged
      id            L-1-secondary
      vendor        ed25519:KEY
      issued        TIME
      valid         from TIME without end
      one seat is   one user and host
      purchase      P-1
    ");
}
