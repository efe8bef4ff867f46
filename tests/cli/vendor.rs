//! `tandem vendor`.

use crate::support::{Dir, masked};

const ISSUE: &str = "vendor issue --key v --product designer --seats 10";

fn vendor() -> Dir {
    let dir = Dir::new();
    dir.tandem("vendor keygen --out v").done();
    dir
}

#[test]
fn a_new_key_is_for_its_owner_and_prints_its_public_half() {
    let dir = Dir::new();
    let ran = dir.tandem("vendor keygen");
    insta::assert_snapshot!(masked(&ran.stderr), @"wrote `keys/vendor` and `keys/vendor.pub`: whoever buys from you adds the line above to `trust.vendors`");
    let key = ran.done();
    assert_eq!(masked(&key), "ed25519:KEY\n");
    assert_eq!(dir.read("keys/vendor.pub"), key);
    #[cfg(unix)]
    assert_eq!(dir.mode("keys/vendor"), 0o600);
    assert!(dir.tandem("vendor keygen").failed(1).contains("is there already"));
}

#[test]
fn a_license_says_what_was_ordered() {
    let dir = vendor();
    let issued = dir.tandem(&format!(
        "{ISSUE} --role secondary --out d.alf --id L-7 --not-before 2026-01-01 --expires 2027-01-01T12:00:00Z \
         --server ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= --pair P-1 --mode mirror --standalone 3d \
         --max-borrow 168h --share user,address --entitlement cam --entitlement pcb"
    ));
    insta::assert_snapshot!(issued.done(), @"issued secondary license for 10 seats of `designer`: d.alf");
    let shown = dir.tandem("license inspect d.alf --format json");
    insta::assert_snapshot!(masked(&shown.stdout), @r#"
    {
      "schema": 1,
      "ok": true,
      "files": [
        {
          "file": "d.alf",
          "licenses": [
            {
              "label": "secondary",
              "ok": true,
              "license": {
                "id": "L-7",
                "product": "designer",
                "seats": 10,
                "role": "secondary",
                "vendor": "ed25519:KEY",
                "issued": "TIME",
                "notBefore": "TIME",
                "expires": "TIME",
                "server": "ed25519:KEY",
                "pair": "P-1",
                "modes": [
                  "mirror"
                ],
                "standalone": "3d",
                "maxBorrow": "7d",
                "share": [
                  "user",
                  "address"
                ],
                "entitlements": [
                  "cam",
                  "pcb"
                ]
              }
            }
          ]
        }
      ]
    }
    "#);
    assert_eq!(shown.code, Some(0));
}

#[test]
fn both_files_of_a_purchase_are_twins() {
    let dir = vendor();
    let issued = dir.tandem(&format!("{ISSUE} --both licenses --id L-1"));
    insta::assert_snapshot!(issued.done(), @r"
    issued primary license for 10 seats of `designer`: licenses/designer.primary.alf
    issued secondary license for 10 seats of `designer`: licenses/designer.secondary.alf
    ");
    dir.tandem("license verify licenses/designer.primary.alf licenses/designer.secondary.alf --vendor v.pub").done();
    let of = |role: &str| {
        let shown = dir
            .tandem(&format!("license inspect licenses/designer.{role}.alf --format json"))
            .json();
        shown["files"][0]["licenses"][0]["license"].clone()
    };
    let (primary, secondary) = (of("primary"), of("secondary"));
    assert_eq!(primary["pair"], secondary["pair"]);
    assert_eq!(
        (&primary["id"], &secondary["id"]),
        (&"L-1-primary".into(), &"L-1-secondary".into())
    );
}

#[test]
fn a_license_file_is_replaced_only_by_force() {
    let dir = vendor();
    dir.write("lic/designer.secondary.alf", "precious");
    let stderr = dir.tandem(&format!("{ISSUE} --both lic")).failed(1);
    insta::assert_snapshot!(stderr, @r"
    error: `lic/designer.secondary.alf` is there already
    help: replace it with `--force`, or name another file
    ");
    assert!(!dir.has("lic/designer.primary.alf"), "one half alone is of no use");
    dir.tandem(&format!("{ISSUE} --both lic --force")).done();
    dir.tandem("license verify lic/designer.primary.alf lic/designer.secondary.alf").done();
}

#[test]
fn an_order_that_makes_no_sense_is_usage() {
    let dir = vendor();
    for words in [
        "--role primary",
        "--out x.alf",
        "--role tertiary --out x.alf",
        "--role primary --both lic",
        "--role primary --out x.alf --mode raid",
        "--role primary --out x.alf --standalone 1.5h",
        "--role primary --out x.alf --expires tomorrow",
        "--role primary --out x.alf --server ed25519:AAAA",
        "--role primary --out x.alf --primary-server ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        dir.tandem(&format!("{ISSUE} {words}")).failed(64);
    }
    dir.tandem("vendor issue --key v --product designer --seats 0 --role primary --out x.alf")
        .failed(64);
    assert!(!dir.has("x.alf"));
}

#[test]
fn what_every_server_would_refuse_is_not_issued() {
    let dir = vendor();
    for words in
        ["--not-before 2027-01-01 --expires 2026-01-01", "--share use,user", "--share host,host"]
    {
        let stderr = dir.tandem(&format!("{ISSUE} --role primary --out x.alf {words}")).failed(1);
        assert!(stderr.starts_with("error: the license would be refused: it "), "{stderr}");
        assert!(!dir.has("x.alf"));
    }
}

#[test]
fn a_public_key_cannot_sign() {
    let dir = vendor();
    let words = "vendor issue --key v.pub --product designer --seats 10 --role primary --out x.alf";
    insta::assert_snapshot!(dir.tandem(words).failed(1), @r"
    error: `v.pub` is not an OpenSSH private key
    help: name the secret key file, not the one that ends in `.pub`
    ");
}
