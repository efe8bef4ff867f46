//! `tandem apply` on two real servers.

use crate::support::Dir;
use crate::support::duo::Duo;

#[test]
fn both_servers_run_it_and_a_second_apply_does_nothing() {
    let duo = Duo::new();
    let said = duo.tandem("apply tandem.yaml --yes").done();
    assert!(said.contains("committed at `lic-a`: generation 1"), "{said}");
    assert!(said.contains("in sync: both servers run generation 1"), "{said}");
    duo.in_step();
    let again = duo.tandem("apply tandem.yaml --yes");
    assert!(again.stderr.contains("nothing to do"), "{again:?}");
    again.done();
    assert_eq!(duo.generations(), [1, 1]);
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let duo = Duo::new();
    let said = duo.tandem("apply tandem.yaml").failed(1);
    insta::assert_snapshot!(said, @r"
    error: there is no terminal to ask on
    help: to apply without being asked: `tandem apply --yes tandem.yaml`
    ");
    assert_eq!(duo.generations(), [0, 0]);
}

#[test]
fn events_are_lines_of_json_with_a_version() {
    let duo = Duo::new();
    let said = duo.tandem("apply tandem.yaml --yes --format jsonl").done();
    let lines = said.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<serde_json::Value> = lines.collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "observed",
            "observed",
            "planned",
            "staged",
            "staged",
            "committed",
            "committed",
            "in-sync"
        ]
    );
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!((&line["schema"], &line["seq"]), (&1.into(), &seq.into()));
    }
}

#[test]
fn nothing_is_sent_of_a_broken_manifest() {
    let duo = Duo::applied();
    duo.edit("licenses/*.secondary.alf", "licenses/*.primary.alf");
    let said = duo.tandem("apply tandem.yaml --yes").failed(1);
    assert!(said.contains("E0103"), "{said}");
    assert!(
        said.contains("is encoded for the primary server, but lic-b is the secondary"),
        "{said}"
    );
    assert!(said.contains("nothing was sent"), "{said}");
    assert_eq!(duo.generations(), [1, 1]);
}

#[test]
fn with_a_server_down_it_refuses_and_degraded_converges_later() {
    let mut duo = Duo::applied();
    duo.kill(1);
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    let refused = duo.tandem("apply tandem.yaml --yes").failed(1);
    assert!(
        refused.contains("`lic-b` cannot be reached: an apply needs both servers"),
        "{refused}"
    );
    assert!(refused.contains("tandem apply --degraded tandem.yaml"), "{refused}");
    assert_eq!(duo.generations(), [1, u64::MAX]);

    let later = duo.tandem("apply tandem.yaml --yes --degraded");
    assert!(later.stdout.contains("committed at `lic-a`: generation 2"), "{later:?}");
    let later = later.failed(1);
    assert!(later.contains("`lic-b` does not run generation 2 yet"), "{later}");

    duo.start(1);
    duo.in_step();
    assert_eq!(duo.generations(), [2, 2]);
}

#[test]
fn what_both_must_take_together_is_not_applied_degraded() {
    let mut duo = Duo::applied();
    duo.kill(0);
    duo.edit("ttl: 5m", "ttl: 1h");
    let said = duo.tandem("apply tandem.yaml --yes --degraded").failed(1);
    insta::assert_snapshot!(said.lines().filter(|line| !line.starts_with("plan")).collect::<Vec<_>>().join("\n"), @r"
    error: `lic-a` cannot be reached, and the change raises a ttl: both servers must take it together
    help: start it and apply again
    ");
}

#[test]
fn a_large_change_needs_to_be_meant() {
    let duo = Duo::new();
    let users: String = (0..20).map(|number| format!("  - name: user-{number}\n")).collect();
    duo.edit("  - name: bo\n", &format!("  - name: bo\n{users}"));
    duo.tandem("apply tandem.yaml --yes").done();
    duo.in_step();
    duo.edit(&users, "");
    let said = duo.tandem("apply tandem.yaml --yes").failed(1);
    assert!(said.contains("removes 20 of 22 users"), "{said}");
    assert!(said.contains("tandem apply --allow-large-change tandem.yaml"), "{said}");
    assert_eq!(duo.generations(), [1, 1]);
    duo.tandem("apply tandem.yaml --yes --allow-large-change").done();
    duo.in_step();
    assert_eq!(duo.generations(), [2, 2]);
}

#[test]
fn a_stranger_is_refused_and_changes_nothing() {
    let duo = Duo::applied();
    duo.dir.tandem("key generate --out stranger").done();
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    let key = duo.dir.read("stranger.pub");
    duo.edit("redundancy:\n", &format!("    - \"{}\"\nredundancy:\n", key.trim()));
    let said = duo.tandem("apply tandem.yaml --yes --key stranger").failed(1);
    assert!(said.contains("nothing has changed: `lic-a` refuses"), "{said}");
    assert!(said.contains("sign with an operator's key of the manifest that runs"), "{said}");
    assert_eq!(duo.generations(), [1, 1]);
}

#[test]
fn a_saved_plan_is_applied_as_it_was_or_not_at_all() {
    let duo = Duo::applied();
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    duo.tandem("plan tandem.yaml --out saved.json").done();
    duo.edit("  - name: cy\n", "  - name: dee\n");
    let other = duo.tandem("apply saved.json").failed(1);
    assert!(other.contains("the files are not those of the plan"), "{other}");
    duo.edit("  - name: dee\n", "  - name: cy\n");
    // Nobody is asked: the plan was looked at.
    duo.tandem("apply saved.json").done();
    duo.in_step();

    // Another plan, and a rival who is faster.
    duo.edit("  - name: cy\n", "");
    duo.tandem("plan tandem.yaml --out saved.json").done();
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: eve\n");
    duo.tandem("apply tandem.yaml --yes").done();
    duo.edit("  - name: eve\n", "");
    let stale = duo.tandem("apply saved.json").failed(1);
    assert!(stale.contains("plan is stale: generation 3 was applied by"), "{stale}");
    assert_eq!(duo.generations(), [3, 3]);
}

#[test]
fn without_a_key_it_says_where_one_may_come_from() {
    let dir = Dir::new();
    dir.tandem("init .").done();
    let mut command = dir.command("apply tandem.yaml --yes");
    let said = crate::support::Ran::of(command.env_remove("SSH_AUTH_SOCK")).failed(1);
    assert!(said.contains("`--key FILE` or `TANDEM_OPERATOR_KEY`"), "{said}");
}
