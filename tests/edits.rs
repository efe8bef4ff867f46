//! Ordinary edits of a manifest, each made on a pair of two processes whose seats are held.

#![expect(clippy::expect_used, reason = "a test says what must hold")]

#[expect(dead_code, reason = "shared with other tests")]
mod support;

use serde_json::Value;
use support::duo::Duo;

/// A pair that shows everybody who holds seats, with one seat held by ana and one by bo.
fn held() -> Duo {
    let duo = Duo::new();
    duo.edit("redundancy:\n", "visibility: open\nredundancy:\n");
    duo.edit("      - everyone: true", "      - user: ana\n      - user: bo\n      - host: ws-c*");
    duo.tandem("apply tandem.yaml --yes").done();
    duo.in_step();
    for user in ["ana", "bo"] {
        checkout(&duo, user, 0);
    }
    duo
}

#[track_caller]
fn checkout(duo: &Duo, user: &str, code: i32) {
    let servers = duo.servers();
    let words = format!("checkout designer --user {user} --host ws-{user} --server {servers}");
    let ran = duo.tandem(&words);
    assert_eq!(ran.code, Some(code), "{ran:?}");
}

/// The leases: whose, and whether they can be renewed.
fn leases(duo: &Duo) -> Vec<(String, bool)> {
    let list = duo.tandem(&format!("leases --server {} --format json", duo.servers())).json();
    let mut leases: Vec<(String, bool)> = list["leases"]
        .as_array()
        .expect("leases")
        .iter()
        .map(|lease| {
            let user = lease["user"].as_str().expect("a user").to_owned();
            (user, lease["revoked"] == Value::Null)
        })
        .collect();
    leases.sort();
    leases
}

fn of(users: &[(&str, bool)]) -> Vec<(String, bool)> {
    users.iter().map(|(user, lives)| ((*user).to_owned(), *lives)).collect()
}

#[track_caller]
fn apply(duo: &Duo, flags: &str) {
    duo.tandem(&format!("apply tandem.yaml --yes {flags}")).done();
    duo.in_step();
}

#[test]
fn removing_a_user_ends_their_lease_and_nobody_elses() {
    let duo = held();
    duo.edit("      - user: bo\n", "");
    duo.edit("  - name: bo\n", "");
    apply(&duo, "");
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", false)]));
    checkout(&duo, "bo", 77);
}

#[test]
fn a_lowered_capacity_takes_no_held_seat() {
    let duo = held();
    duo.tandem(
        "vendor issue --key keys/vendor --product designer --seats 1 --both licenses --force",
    )
    .done();
    let refused = duo.tandem("apply tandem.yaml --yes").failed(1);
    assert!(refused.contains("removes 18 of 20 seats"), "{refused}");
    apply(&duo, "--allow-large-change");
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
    checkout(&duo, "cy", 75);
}

#[test]
fn a_renewed_license_is_a_new_file_and_holders_notice_nothing() {
    let duo = held();
    duo.tandem(
        "vendor issue --key keys/vendor --product designer --seats 12 --both licenses --force",
    )
    .done();
    let plan = duo.tandem("plan tandem.yaml").done();
    assert!(plan.contains("license"), "{plan}");
    apply(&duo, "");
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
    let status = duo.status();
    assert_eq!(status["servers"][0]["status"]["products"][0]["capacity"], 12);
}

#[test]
fn an_operators_key_is_rotated_in_two_steps() {
    let duo = held();
    duo.dir.tandem("key generate --out keys/next --comment bo").done();
    let line = duo.dir.read("keys/next.pub");
    let (old, new) = (duo.dir.read("keys/operator.pub"), format!("    - \"{}\"\n", line.trim()));
    duo.edit("visibility: open\n", &format!("{new}visibility: open\n"));
    apply(&duo, "");
    duo.edit(&format!("    - \"{}\"\n", old.trim()), "");
    // A key cannot sign itself away: the new one signs.
    apply(&duo, "--key keys/next");
    let status = duo.status();
    assert_eq!(status["lastApply"]["generation"], 3);
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
}

#[test]
fn a_server_with_an_empty_disk_is_another_until_its_key_is_pinned() {
    let mut duo = held();
    for (index, name, role) in [(1, "lic-b", "secondary"), (0, "lic-a", "primary")] {
        duo.kill(index);
        std::fs::remove_dir_all(duo.dir.path(&format!("data/{name}"))).expect("removed");
        duo.start(index);
        let told = "peer-key-changed";
        duo.until(told, |status| status["drift"].to_string().contains(told));
        let status = duo.status();
        let key = status["servers"][index]["status"]["key"].as_str().expect("a key").to_owned();
        let line = format!("    role: {role}");
        duo.edit(&line, &format!("    key: \"{key}\"\n{line}"));
        apply(&duo, "");
        assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]), "{name}");
    }
    // Without the pins the keys are known all the same: not those of the disks that were lost.
    let pinned = duo.dir.read("tandem.yaml");
    let lines = pinned.lines().filter(|line| !line.starts_with("    key: \"ed25519:"));
    duo.dir.write("tandem.yaml", &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    assert_ne!(duo.dir.read("tandem.yaml"), pinned);
    apply(&duo, "");
    for index in [1, 0] {
        duo.kill(index);
        duo.start(index);
        duo.in_step();
    }
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
}

#[test]
fn a_server_does_not_start_on_the_disk_of_another() {
    let mut duo = Duo::new();
    duo.tandem("apply tandem.yaml --yes").done();
    duo.in_step();
    duo.kill(0);
    duo.kill(1);
    let serve = "serve --name lic-a --data data/lic-b --listen 127.0.0.1:0";
    insta::assert_snapshot!(duo.tandem(serve).failed(1), @r"
    error: `lic-a` cannot start with the data directory `data/lic-b`
      caused by: the data directory is `lic-b`'s: start it as `lic-b`, or give `lic-a` a directory of its own
    ");
    let renamed = "serve --name lic-c --data data/lic-b --listen 127.0.0.1:0";
    assert!(duo.tandem(renamed).failed(1).contains("start it as `lic-b`"));
    // Nothing was touched.
    duo.start(1);
    duo.start(0);
    duo.in_step();
}

#[test]
fn a_server_is_replaced_by_another() {
    let mut duo = held();
    duo.replace(1, "lic-c");
    duo.edit("name: lic-b", "name: lic-c");
    apply(&duo, "");
    assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
    let status = duo.status();
    assert_eq!(status["servers"][1]["status"]["name"], "lic-c");
    assert_eq!(status["servers"][1]["status"]["state"], "standby");
}

#[test]
fn swapped_roles_move_service_to_the_new_primary() {
    let duo = held();
    let text = duo.dir.read("tandem.yaml");
    let swapped = text
        .replace("role: primary", "role: PRIMARY")
        .replace("role: secondary", "role: primary")
        .replace("role: PRIMARY", "role: secondary")
        .replace("*.primary.alf", "*.PRIMARY.alf")
        .replace("*.secondary.alf", "*.primary.alf")
        .replace("*.PRIMARY.alf", "*.secondary.alf");
    duo.dir.write("tandem.yaml", &swapped);
    let told = |status: &Value| {
        let of = |name: &str| {
            let mut servers = status["servers"].as_array().expect("servers").iter();
            let server = servers.find(|server| server["server"] == name).expect("it is there");
            let text = |key: &str| server["status"][key].as_str().unwrap_or_default().to_owned();
            (text("role"), text("state"))
        };
        (of("lic-a"), of("lic-b"))
    };
    let as_is = |role: &str, state: &str| (role.to_owned(), state.to_owned());
    let (primary, secondary) = (as_is("primary", "active"), as_is("secondary", "standby"));
    for (text, generation) in [(&swapped, 2), (&text, 3)] {
        duo.dir.write("tandem.yaml", text);
        apply(&duo, "");
        let wanted = if generation == 2 {
            (secondary.clone(), primary.clone())
        } else {
            (primary.clone(), secondary.clone())
        };
        let status = duo.until("swapped", |status| told(status) == wanted);
        assert_eq!(status["inSync"], true);
        assert_eq!(duo.generations(), [generation, generation]);
        assert_eq!(leases(&duo), of(&[("ana", true), ("bo", true)]));
        assert!(status["servers"][0]["status"].get("nextRole").is_none(), "{status:#}");
    }
    checkout(&duo, "ana", 0);
}
