//! `tandem init`.

use std::process::Command;

use tandem::manifest::types::{Manifest, Who};
use tandem::role::Role;

use crate::support::{Dir, Ran};

const LICENSES: [&str; 2] = ["licenses/designer.primary.alf", "licenses/designer.secondary.alf"];

fn repository() -> Dir {
    let dir = Dir::new();
    dir.tandem("init").done();
    dir
}

fn manifest(dir: &Dir) -> Manifest {
    serde_yaml::from_str(&dir.read("tandem.yaml")).expect("a manifest")
}

/// Both licenses verify as twins, from a vendor that the manifest trusts.
#[track_caller]
fn check_match(dir: &Dir) {
    let [primary, secondary] = LICENSES;
    dir.tandem(&format!("license verify {primary} {secondary}")).done();
    let trust = manifest(dir).trust;
    let vendors: Vec<_> = trust.vendors.iter().map(|key| format!("--vendor {key}")).collect();
    let vendors = vendors.join(" ");
    dir.tandem(&format!("license verify {primary} --role primary {vendors}")).done();
    dir.tandem(&format!("license verify {secondary} --role secondary {vendors}")).done();
    let operator = dir.read("keys/operator.pub");
    assert!(trust.operators.iter().any(|key| key.0 == operator.trim()));
}

fn git(dir: &Dir, words: &str) -> String {
    Ran::of(Command::new("git").args(words.split_whitespace()).current_dir(dir.path(""))).done()
}

#[test]
fn a_repository_to_start_from_is_written() {
    let dir = Dir::new();
    insta::assert_snapshot!(dir.tandem("init repo").done(), @r#"
    wrote `.gitignore`
    wrote `keys/operator`
    wrote `keys/operator.pub`
    wrote `keys/vendor`
    wrote `keys/vendor.pub`
    wrote `licenses/designer.primary.alf`
    wrote `licenses/designer.secondary.alf`
    wrote `manifest.schema.json`
    wrote `tandem.yaml`
    wrote `.github/workflows/tandem.yml`
    wrote `.pre-commit-config.yaml`
    wrote `README.md`

    Next:
      cd repo
      git init && git add . && git commit -m "A pair of license servers"
      tandem validate tandem.yaml
      tandem up tandem.yaml    # both servers on this machine; Ctrl-C stops them
    Keep `keys/operator` and `keys/vendor` to yourself: git ignores them.
    "#);
    assert!(dir.has("repo/tandem.yaml"));
}

#[test]
fn the_manifest_is_what_the_manual_promises() {
    let dir = repository();
    let first = "# yaml-language-server: $schema=manifest.schema.json\n";
    assert!(dir.read("tandem.yaml").starts_with(first));
    let manifest = manifest(&dir);
    let servers: Vec<_> =
        manifest.servers.iter().map(|at| (at.name.as_str(), at.role, at.port)).collect();
    assert_eq!(servers, [("lic-a", Role::Primary, 4820), ("lic-b", Role::Secondary, 4821)]);
    let users: Vec<_> = manifest.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(users, ["ana", "bo"]);
    let [seats] = &manifest.seats[..] else { panic!("one product: {:?}", manifest.seats) };
    assert_eq!(seats.product.as_str(), "designer");
    let [assignment] = &seats.assign[..] else { panic!("one assignment: {:?}", seats.assign) };
    assert_eq!((&assignment.who, assignment.reserve.0), (&Who::Everyone, 0));
    check_match(&dir);
}

#[test]
fn licenses_have_ten_seats() {
    let dir = repository();
    let shown = dir.tandem("license inspect licenses/designer.primary.alf --format json").json();
    assert_eq!(shown["files"][0]["licenses"][0]["license"]["seats"], 10);
}

#[test]
fn the_schema_describes_the_manifest() {
    let schema: serde_json::Value =
        serde_json::from_str(&repository().read("manifest.schema.json")).expect("JSON");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(schema["properties"]["servers"]["description"].is_string());
}

#[test]
fn git_takes_everything_but_secret_keys() {
    let dir = repository();
    git(&dir, "init -q");
    git(&dir, "add -A");
    insta::assert_snapshot!(git(&dir, "ls-files"), @r"
    .github/workflows/tandem.yml
    .gitignore
    .pre-commit-config.yaml
    README.md
    keys/operator.pub
    keys/vendor.pub
    licenses/designer.primary.alf
    licenses/designer.secondary.alf
    manifest.schema.json
    tandem.yaml
    ");
    #[cfg(unix)]
    assert_eq!((dir.mode("keys/operator"), dir.mode("keys/vendor")), (0o600, 0o600));
}

#[test]
fn a_second_time_nothing_is_written() {
    let dir = repository();
    let before = dir.read("tandem.yaml");
    let stdout = dir.tandem("init").done();
    assert!(stdout.lines().all(|line| line.starts_with("kept ")), "{stdout}");
    assert_eq!(dir.read("tandem.yaml"), before);
}

#[test]
fn a_file_that_is_there_is_left_as_it_is() {
    let dir = Dir::new();
    dir.write("README.md", "mine");
    dir.write(".gitignore", "/target\n");
    dir.tandem("init").done();
    assert_eq!(
        (dir.read("README.md"), dir.read(".gitignore")),
        ("mine".into(), "/target\n".into())
    );
    git(&dir, "init -q");
    git(&dir, "add -A");
    let files = git(&dir, "ls-files");
    assert!(files.contains("keys/vendor.pub\n") && files.contains("keys/.gitignore\n"), "{files}");
    assert!(!files.contains("keys/vendor\n") && !files.contains("keys/operator\n"), "{files}");
    check_match(&dir);
}

#[test]
fn what_is_missing_is_made_to_match_what_is_there() {
    for missing in [
        &["licenses/designer.secondary.alf"][..],
        &["licenses/designer.primary.alf"],
        &LICENSES,
        &["tandem.yaml"],
        &["tandem.yaml", "licenses/designer.primary.alf"],
        &["keys/operator.pub"],
        &["keys/vendor.pub"],
        &["keys/vendor", "keys/vendor.pub", "tandem.yaml"],
    ] {
        let dir = repository();
        missing.iter().for_each(|name| dir.remove(name));
        dir.tandem("init").done();
        check_match(&dir);
    }
}

#[test]
fn a_clone_gets_no_secret_keys_that_would_not_match() {
    let dir = repository();
    dir.remove("keys/operator");
    dir.remove("keys/vendor");
    dir.remove("README.md");
    let stdout = dir.tandem("init").done();
    assert!(dir.has("README.md") && !dir.has("keys/operator") && !dir.has("keys/vendor"));
    assert!(stdout.contains("left out `keys/operator`: a new one would not match"), "{stdout}");
    check_match(&dir);
}

#[test]
fn a_manifest_that_trusts_other_keys_gets_no_licenses() {
    let dir = repository();
    let text = dir.read("tandem.yaml");
    let other = repository();
    other.write("tandem.yaml", &text);
    LICENSES.iter().for_each(|name| other.remove(name));
    let stdout = other.tandem("init").done();
    assert!(stdout.contains("left out `licenses/designer.primary.alf`"), "{stdout}");
    assert!(!other.has(LICENSES[0]) && !other.has(LICENSES[1]));
}

#[test]
fn half_a_purchase_of_another_vendor_stops_it_before_anything_is_written() {
    let dir = repository();
    let half = dir.read(LICENSES[0]);
    let other = Dir::new();
    other.write(LICENSES[0], &half);
    let stderr = other.tandem("init").failed(1);
    insta::assert_snapshot!(crate::support::masked(&stderr), @r"
    error: `licenses/designer.secondary.alf` cannot be made to match `licenses/designer.primary.alf`
      caused by: the license that is there was issued by another vendor, ed25519:KEY
    help: put `licenses/designer.secondary.alf` there yourself, or move the other away
    ");
    assert!(!other.has("tandem.yaml") && !other.has("keys/vendor"));
}

#[test]
fn a_license_of_the_wrong_role_stops_it() {
    let dir = repository();
    let secondary = dir.read(LICENSES[1]);
    let other = Dir::new();
    other.write(LICENSES[0], &secondary);
    insta::assert_snapshot!(other.tandem("init").failed(1), @r"
    error: `licenses/designer.primary.alf` is encoded for the secondary server, not for the primary
    help: use the file saved from the primary's activation
    ");
}
