//! `tandem key`.

use crate::support::{Dir, Ran, masked};

#[test]
fn a_new_key_is_for_its_owner_and_its_public_half_for_the_manifest() {
    let dir = Dir::new();
    let ran = dir.tandem("key generate");
    insta::assert_snapshot!(masked(&ran.stderr), @"wrote `keys/operator` and `keys/operator.pub`: add the line above to `trust.operators`");
    let line = ran.done();
    assert!(line.ends_with(" ana\n"), "{line}");
    assert_eq!(dir.read("keys/operator.pub"), line);
    let secret = ssh_key::PrivateKey::from_openssh(dir.read("keys/operator")).expect("OpenSSH");
    assert_eq!(secret.public_key().to_openssh().expect("a line").trim(), line.trim());
    #[cfg(unix)]
    assert_eq!((dir.mode("keys/operator"), dir.mode("keys/operator.pub")), (0o600, 0o644));
}

#[test]
fn a_key_is_never_overwritten() {
    let dir = Dir::new();
    for there in ["k", "k.pub"] {
        dir.write(there, "precious");
        let stderr = dir.tandem("key generate --out k").failed(1);
        assert!(stderr.starts_with(&format!("error: `{there}` is there already")), "{stderr}");
        assert_eq!(dir.read(there), "precious");
        dir.remove(there);
        assert!(!dir.has("k") && !dir.has("k.pub"));
    }
}

#[test]
fn a_comment_is_one_line() {
    let dir = Dir::new();
    let ran =
        Ran::of(dir.command("key generate --out k --comment").arg("ana\nssh-ed25519 AAAA eve"));
    assert!(ran.failed(64).contains("control characters"));
    assert!(!dir.has("k"));
    let ran = Ran::of(dir.command("key generate --out k --comment").arg("ana at home"));
    assert!(ran.done().ends_with(" ana at home\n"));
}

#[test]
fn both_halves_show_the_same_key() {
    let dir = Dir::new();
    dir.tandem("key generate --out k --comment ana").done();
    let shown = dir.tandem("key show k").done();
    assert_eq!(dir.tandem("key show k.pub").done(), shown);
    insta::assert_snapshot!(masked(&shown), @r"
    public key:  ssh-ed25519 BASE64 ana
    fingerprint: SHA256:HASH
    key:         ed25519:KEY
    ");
    let json = dir.tandem("key show k.pub --format json").done();
    insta::assert_snapshot!(masked(&json), @r#"
    {
      "schema": 1,
      "publicKey": "ssh-ed25519 BASE64 ana",
      "fingerprint": "SHA256:HASH",
      "key": "ed25519:KEY",
      "comment": "ana"
    }
    "#);
}

#[test]
fn what_is_no_key_is_refused() {
    let dir = Dir::new();
    dir.write("k", "hello\n");
    insta::assert_snapshot!(dir.tandem("key show k").failed(1), @"error: `k` is neither a secret nor a public key");
    insta::assert_snapshot!(dir.tandem("key show none").failed(1), @r"
    error: `none` could not be read
      caused by: No such file or directory (os error 2)
    ");
    dir.write("k", &"a".repeat(100_000));
    insta::assert_snapshot!(dir.tandem("key show k").failed(1), @"error: `k` is too large to be a key file");
}
