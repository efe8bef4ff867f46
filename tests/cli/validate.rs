//! `tandem validate`: findings in one pass, at their places, and files that nobody should be able to read by it.

use std::process::Command;

use crate::support::{Dir, Ran};

/// A repository to start from, without the files that tell of a version.
fn repository() -> Dir {
    let dir = Dir::new();
    dir.tandem("init .").done();
    dir
}

/// Replaces a text that stands once in the manifest.
fn edit(dir: &Dir, from: &str, to: &str) {
    let text = dir.read("tandem.yaml");
    assert_eq!(text.matches(from).count(), 1, "{from} stands once in\n{text}");
    dir.write("tandem.yaml", &text.replace(from, to));
}

fn git(dir: &Dir, words: &str) {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=ana",
        "-c",
        "user.email=ana@example.com",
        "-c",
        "commit.gpgsign=false",
    ]);
    let output =
        command.args(words.split(' ')).current_dir(dir.path("")).output().expect("git runs");
    assert!(output.status.success(), "{output:?}");
}

/// The findings as `line:column code`.
fn places(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let findings = document["findings"].as_array().expect("findings");
    let place = |finding: &serde_json::Value| {
        let file = finding["file"].as_str().expect("a file").to_owned();
        let code = finding["code"].as_str().expect("a code");
        format!("{file}:{}:{} {code}", finding["line"], finding["column"])
    };
    findings.iter().map(place).collect()
}

#[test]
fn what_init_writes_is_valid() {
    let dir = repository();
    let ran = dir.tandem("validate tandem.yaml");
    insta::assert_snapshot!(ran.done(), @r"valid: `tandem.yaml` describes the pair `studio-west`: 1 product, 2 users, 2 license files");
}

#[test]
fn ten_faults_are_ten_findings_each_at_its_place() {
    let dir = Dir::new();
    dir.tandem("vendor keygen --out v").done();
    dir.tandem("vendor issue --key v --product designer --seats 10 --both .").done();
    let vendor = dir.read("v.pub");
    let vendor =
        vendor.split_whitespace().find(|word| word.starts_with("ed25519:")).expect("a key");
    let text = format!(
        "\
apiVersion: tandem/v1
kind: LicensePair
metadata: {{name: studio west}}
servers:
  - {{name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [designer.primary.alf]}}
  - {{name: lic-b, role: secondary, address: 127.0.0.1, port: 4820, licenses: [designer.primary.alf]}}
trust:
  vendors: [\"{vendor}\"]
  operators: []
redundancy:
  failover_after: 3s
leases: {{ttl: 1h30m}}
users:
  - {{name: ana}}
  - {{name: bo}}
groups:
  - {{name: hardware, members: [ana, bob]}}
seats:
  - product: designer
    assign:
      - {{group: hardwear, reserve: 5, max: 3}}
      - {{everyone: true, reserve: 9}}
"
    );
    dir.write("tandem.yaml", &text);
    let ran = dir.tandem("validate tandem.yaml --format json");
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(places(&ran).join("\n"), @r"
    tandem.yaml:3:18 E0021
    tandem.yaml:6:62 E0104
    tandem.yaml:6:79 E0103
    tandem.yaml:9:14 E0401
    tandem.yaml:11:3 E0018
    tandem.yaml:12:15 E0022
    tandem.yaml:17:37 E0302
    tandem.yaml:21:17 E0303
    tandem.yaml:21:36 E0030
    tandem.yaml:22:35 E0306
    ");
    let ran = dir.tandem("validate tandem.yaml");
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stdout.lines().filter(|l| l.starts_with("error") || l.starts_with("found")).collect::<Vec<_>>().join("\n"), @r"
    error E0021 invalid-name: `name` `studio west` must not contain ' ': letters, digits, `.`, `_` and `-`, beginning with a letter or digit
    error E0104 same-address: `lic-a` and `lic-b` have the same address, port 4820 of `127.0.0.1`
    error E0103 role-mismatch: designer.primary.alf is encoded for the primary server, but lic-b is the secondary: use the file saved from the secondary's activation
    error E0401 no-operator: there is no operator: nobody could sign the next change
    error E0018 unknown-field: unknown field `failover_after` in `redundancy`
    error E0022 invalid-duration: `ttl` is `1h30m`, but a duration is one integer and `ms`, `s`, `m`, `h` or `d`, for example `90s`
    error E0302 unknown-user: the user `bob` is not listed in `users`
    error E0303 unknown-group: the group `hardwear` is not listed in `groups`
    error E0030 reserve-above-max: `reserve` is 5, but `max` allows 3
    error E0306 reserve-exceeds-capacity: the reserves of `designer` come to 14 seats, but `lic-a`, the primary, has 10
    found 10 errors
    ");
}

#[test]
fn a_second_format_goes_to_a_file() {
    let dir = repository();
    edit(&dir, "role: secondary", "role: primary");
    let ran = dir
        .tandem("validate tandem.yaml --format github --also json=out.json --also human=out.txt");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.starts_with("::error file=tandem.yaml,line="), "{ran:?}");
    assert!(dir.read("out.json").contains("\"schema\": 1"));
    assert!(dir.read("out.txt").contains("found 1 error"), "{}", dir.read("out.txt"));
    dir.tandem("validate tandem.yaml --also sarif=x").failed(64);
    dir.tandem("validate").failed(64);
    dir.tandem("validate no-such.yaml").failed(1);
}

#[test]
fn an_ended_license_is_a_warning_where_it_runs() {
    let dir = repository();
    for half in ["primary", "secondary"] {
        dir.remove(&format!("licenses/designer.{half}.alf"));
    }
    let issue = "vendor issue --key keys/vendor --product designer --seats 10 --both licenses";
    dir.tandem(&format!("{issue} --not-before 2020-01-01 --expires 2021-01-01")).done();
    git(&dir, "init -q -b main");
    git(&dir, "add -A");
    git(&dir, "commit -qm one");
    edit(&dir, "- name: bo", "- name: bo\n  - name: cy");

    assert_eq!(dir.tandem("validate tandem.yaml").code, Some(1));
    let ran = dir.tandem("validate tandem.yaml --against HEAD");
    assert!(ran.stdout.contains("warning E0207 license-expired"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
    assert_eq!(dir.tandem("validate tandem.yaml --against tandem.yaml").code, Some(0));
    assert_eq!(dir.tandem("validate tandem.yaml --against no-such").code, Some(64));
    // A commit before the manifest was there runs nothing.
    git(&dir, "checkout -q --orphan other");
    git(&dir, "rm -q -f --cached tandem.yaml");
    git(&dir, "commit -qm two");
    assert_eq!(dir.tandem("validate tandem.yaml --against other").code, Some(1));
}

#[test]
fn a_license_that_ends_soon_is_an_error_by_a_flag() {
    let dir = repository();
    for half in ["primary", "secondary"] {
        dir.remove(&format!("licenses/designer.{half}.alf"));
    }
    let issue = "vendor issue --key keys/vendor --product designer --seats 10 --both licenses";
    dir.tandem(&format!("{issue} --expires 2999-01-01")).done();
    assert_eq!(dir.tandem("validate tandem.yaml").code, Some(0));
    assert_eq!(dir.tandem("validate tandem.yaml --expiring-within 30d").code, Some(0));
    let ran = dir.tandem("validate tandem.yaml --expiring-within 400000d");
    assert!(ran.stdout.contains("error W0209 license-ends-soon"), "{ran:?}");
    assert_eq!(ran.code, Some(1));
}

#[test]
fn a_secret_key_that_git_would_add_is_named_until_it_is_ignored() {
    let dir = repository();
    git(&dir, "init -q");
    dir.tandem("validate tandem.yaml").done();
    std::fs::copy(dir.path("keys/operator"), dir.path("groups.txt")).expect("copied");
    let ran = dir.tandem("validate tandem.yaml");
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stdout, @r"
    error E0403 secret-key-tracked: `groups.txt` holds a secret key, and git tracks it or would add it
     --> groups.txt
      = help: add it to `.gitignore`, take it out with `git rm --cached`, and make a new key if it was pushed

    found 1 error
    ");
    dir.write(".git/info/exclude", "groups.txt\n");
    dir.tandem("validate tandem.yaml").done();
    // What is tracked is, ignored or not.
    git(&dir, "add -f groups.txt");
    assert_eq!(dir.tandem("validate tandem.yaml").code, Some(1));
}

#[test]
fn an_old_schema_is_a_warning() {
    let dir = repository();
    dir.write("manifest.schema.json", "{}\n");
    let ran = dir.tandem("validate tandem.yaml");
    assert!(ran.stdout.contains("W0404 schema-old"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
}

#[cfg(unix)]
#[test]
fn files_outside_are_not_read_and_lists_are_not_quoted() {
    use std::os::unix::fs::symlink;

    let outer = Dir::new();
    outer.write("secret.txt", "SECRET=hunter2\n");
    outer.tandem("init in").done();
    outer.write("in/list.txt", "ana\nTOKEN=hunter2\nhunter2*\n");
    outer.write("in/users.yaml", "- name: cy\n- hunter2: x\n- name: [hunter2]\n");
    symlink("../secret.txt", outer.path("in/out.txt")).expect("linked");
    symlink("/proc/self/environ", outer.path("in/environ.yaml")).expect("linked");
    let status = Command::new("mkfifo").arg(outer.path("in/pipe.alf")).status();
    assert!(status.expect("mkfifo runs").success());
    let text = outer.read("in/tandem.yaml");
    let from = |users: &str, group: &str, license: &str| {
        let text = text.replace(
            "users:\n",
            &format!("usersFrom: {users}\ngroups: [{{name: g, membersFrom: {group}}}]\nusers:\n"),
        );
        let text = text.replacen("licenses: [", &format!("licenses: [{license}, "), 1);
        outer.write("in/tandem.yaml", &text);
        let mut command = outer.command("validate in/tandem.yaml --format json");
        let ran = Ran::of(command.env("JOB_TOKEN", "hunter2"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{ran:?}");
        places(&ran).join("\n")
    };
    insta::assert_snapshot!(from("environ.yaml", "out.txt", "pipe.alf"), @r"
    in/tandem.yaml:14:16 E0406
    in/tandem.yaml:32:12 E0406
    in/tandem.yaml:33:33 E0406
    ");
    insta::assert_snapshot!(from("users.yaml", "list.txt", "../secret.txt"), @r"
    in/tandem.yaml:14:16 E0029
    in/list.txt:3:1 E0407
    in/users.yaml:2:3 E0018
    in/users.yaml:2:3 E0019
    in/users.yaml:3:9 E0015
    ");
    insta::assert_snapshot!(from("/proc/self/environ", "none.txt", "none/*.alf"), @r"
    in/tandem.yaml:14:16 E0405
    in/tandem.yaml:32:12 E0029
    in/tandem.yaml:33:33 E0405
    ");
}
