//! `tandem plan`, with and without servers.

use crate::support::Dir;
use crate::support::duo::Duo;

#[test]
fn with_no_server_it_says_what_else_can_be_compared_with() {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let text = dir.read("tandem.yaml").replace("4820", "1").replace("4821", "2");
    dir.write("tandem.yaml", &text);
    let said = dir.tandem("plan tandem.yaml").failed(1);
    assert!(said.contains("no server of the pair could be reached"), "{said}");
    assert!(said.contains("--against REV"), "{said}");
}

#[test]
fn against_a_file_no_server_is_asked() {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let text = dir.read("tandem.yaml");
    dir.write("before.yaml", &text);
    dir.write("tandem.yaml", &text.replace("  - name: bo\n", "  - name: cy\n"));
    let plan = dir.tandem("plan tandem.yaml --against before.yaml").done();
    assert!(plan.starts_with("plan for the pair `studio-west`: 1 user"), "{plan}");
    let code = |words: &str| dir.tandem(&format!("plan tandem.yaml {words}")).code;
    assert_eq!(code("--against before.yaml --detailed-exitcode"), Some(2));
    assert_eq!(code("--against tandem.yaml --detailed-exitcode"), Some(0));
    assert_eq!(code("--against nothing"), Some(64));
    let json = dir.tandem("plan tandem.yaml --against before.yaml --format json").json();
    assert_eq!((&json["schema"], &json["against"]), (&1.into(), &"before.yaml".into()));
    let redacted =
        dir.tandem("plan tandem.yaml --against before.yaml --redact --format markdown").done();
    assert!(!redacted.contains("bo") || !redacted.contains("`bo`"), "{redacted}");
}

#[test]
fn against_a_revision_it_reads_that_commit() {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let git = |words: &str| {
        let mut command = std::process::Command::new("git");
        command.args(words.split(' ')).current_dir(dir.path(".")).output().expect("git runs")
    };
    git("init -q");
    git("add -A");
    git("-c user.name=ana -c user.email=ana@studio.example commit -q -m first");
    let same = dir.tandem("plan tandem.yaml --against HEAD").done();
    assert!(same.contains("no changes"), "{same}");
    let text = dir.read("tandem.yaml").replace("  - name: bo\n", "");
    dir.write("tandem.yaml", &text);
    let plan = dir.tandem("plan tandem.yaml --against HEAD").done();
    assert!(plan.contains("1 user removed"), "{plan}");
}

#[test]
fn a_broken_manifest_has_no_plan() {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let text = dir.read("tandem.yaml").replace("product: designer", "product: designr");
    dir.write("tandem.yaml", &text);
    let said = dir.tandem("plan tandem.yaml --against tandem.yaml").failed(1);
    assert!(said.contains("E0304"), "{said}");
    assert!(said.contains("`tandem.yaml` has 1 error"), "{said}");
}

#[test]
fn on_a_live_pair_it_says_who_loses_a_seat() {
    let duo = Duo::applied();
    let servers = duo.servers();
    duo.tandem(&format!("checkout designer --user bo --host ws-1 --server {servers}")).done();
    duo.edit("- everyone: true", "- user: ana");
    duo.edit("  - name: bo\n", "");
    let plan = duo.tandem("plan tandem.yaml").done();
    assert!(plan.contains("1 lease ends"), "{plan}");
    assert!(plan.contains("bo on ws-1") || plan.contains("bo@ws-1"), "{plan}");
    // Who is no operator is shown no names, and the plan says that it does not know.
    let mut command = duo.dir.command("plan tandem.yaml --format json");
    let blind = crate::support::Ran::of(command.env_remove("SSH_AUTH_SOCK"));
    assert_eq!(blind.json()["comparable"], false);
    assert_eq!(duo.generations(), [1, 1]);
}
