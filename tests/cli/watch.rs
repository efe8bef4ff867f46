//! `tandem watch` on two real servers.

use crate::support::duo::Duo;

#[test]
fn an_edit_reaches_both_servers_and_a_broken_one_stops_nothing() {
    let duo = Duo::new();
    let mut watch = duo.follow("watch tandem.yaml");
    assert_eq!(watch.event("in-sync")["generation"], 1);
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    assert_eq!(watch.event("in-sync")["generation"], 2);
    assert_eq!(duo.generations(), [2, 2]);

    duo.edit("product: designer", "product: designr");
    let broken = watch.event("broken");
    assert_eq!(broken["errors"], 1);
    let message = broken["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("E0304 unknown-product: no license offers"), "{message}");
    assert_eq!(duo.generations(), [2, 2]);

    duo.edit("product: designr", "product: designer");
    watch.event("in-sync");
    assert_eq!(duo.generations(), [2, 2]);
    assert_eq!(watch.end("-INT"), Some(130));
}

#[test]
fn a_license_file_replaced_by_renaming_is_seen() {
    let duo = Duo::applied();
    let watch = duo.follow("watch tandem.yaml");
    watch.event("in-sync");
    let text = duo.dir.read("licenses/designer.primary.alf");
    duo.dir.write("new", &text.replace('A', "B"));
    std::fs::rename(duo.dir.path("new"), duo.dir.path("licenses/designer.primary.alf"))
        .expect("renamed");
    watch.event("broken");
    duo.dir.write("new", &text);
    std::fs::rename(duo.dir.path("new"), duo.dir.path("licenses/designer.primary.alf"))
        .expect("renamed");
    watch.event("in-sync");
    assert_eq!(duo.generations(), [1, 1]);
}

#[test]
fn a_large_change_is_held_until_a_person_lets_it_through() {
    let duo = Duo::new();
    let users: String = (0..20).map(|number| format!("  - name: user-{number}\n")).collect();
    duo.edit("  - name: bo\n", &format!("  - name: bo\n{users}"));
    let watch = duo.follow("watch tandem.yaml");
    watch.event("in-sync");
    duo.edit(&users, "");
    let held = watch.event("held");
    assert_eq!(held["command"], "tandem apply --allow-large-change tandem.yaml");
    assert_eq!(duo.generations(), [1, 1]);
    let status = duo.tandem("status tandem.yaml").done();
    assert!(status.contains("held: `tandem.yaml` on disk is not what runs"), "{status}");
    assert!(status.contains("20 users removed"), "{status}");
    assert!(status.contains("tandem apply --allow-large-change tandem.yaml"), "{status}");
    duo.tandem("apply tandem.yaml --yes --allow-large-change").done();
    assert_eq!(watch.event("in-sync")["generation"], 2);
}

#[test]
fn drift_is_repaired_unless_it_is_only_to_be_told() {
    let duo = Duo::applied();
    let text = duo.dir.read("tandem.yaml");
    duo.dir.write("other.yaml", &text.replace("  - name: bo\n", "  - name: bo\n  - name: cy\n"));
    let watch = duo.follow("watch tandem.yaml --repair never --interval 200ms");
    watch.event("in-sync");
    duo.tandem("apply other.yaml --yes").done();
    assert_eq!(watch.event("drifted")["repair"], false);
    assert_eq!(duo.generations(), [2, 2]);
    drop(watch);

    let watch = duo.follow("watch tandem.yaml --interval 200ms");
    assert_eq!(watch.event("in-sync")["generation"], 3);
    duo.tandem("apply other.yaml --yes").done();
    assert_eq!(watch.event("drifted")["repair"], true);
    assert_eq!(watch.event("in-sync")["generation"], 5);
    assert_eq!(duo.generations(), [5, 5]);
}

#[test]
fn it_waits_for_a_server_that_is_down() {
    let mut duo = Duo::applied();
    let watch = duo.follow("watch tandem.yaml --interval 200ms");
    watch.event("in-sync");
    duo.kill(1);
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    watch.event("changed");
    assert_eq!(watch.event("waiting")["absent"], serde_json::json!(["lic-b"]));
    assert_eq!(duo.generations(), [1, u64::MAX]);
    duo.start(1);
    assert_eq!(watch.event("in-sync")["generation"], 2);
}

#[test]
fn once_brings_the_pair_to_what_is_on_disk_and_ends() {
    let mut duo = Duo::new();
    let said = duo.tandem("watch tandem.yaml --once").done();
    assert!(said.contains("in sync: both servers run generation 1"), "{said}");
    duo.kill(1);
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    let waiting = duo.tandem("watch tandem.yaml --once");
    assert_eq!(waiting.code, Some(1), "{waiting:?}");
    assert!(waiting.stdout.contains("waiting for `lic-b`"), "{waiting:?}");
}
