//! `tandem handover`: who is told to move service, and what is said where it does not move.

use serde_json::json;

use super::release::ordered;
use crate::support::Dir;
use crate::support::answers::{Answers, pair, refuses};

#[test]
fn the_server_that_serves_is_told_to_hand_over() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, orders) = std::sync::mpsc::channel();
    let server = Answers::new(pair("lic-a", "active", seen));
    let words =
        format!("handover lic-b --key keys/operator --server 1@127.0.0.1,{}", server.server());
    insta::assert_snapshot!(dir.tandem(&words).failed(1), @r"
    error: there is no terminal to ask on
    help: to hand over without being asked: `tandem handover --yes lic-b`
    ");
    let ran = dir.tandem(&format!("{words} --yes --format json"));
    assert_eq!(ran.json(), json!({"schema": 1, "from": "lic-a", "to": "lic-b"}));
    let told = "`lic-b` serves in the place of `lic-a`; `tandem handover lic-a` hands back\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), told));
    let order = ordered(&orders.recv().expect("an order"));
    let wanted = (&json!("tandem-handover/v1"), &json!("lic-b"));
    assert_eq!((&order["type"], &order["server"]), wanted);
}

#[test]
fn a_refusal_is_told_with_what_to_do_and_nobody_is_asked_where_nobody_serves() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, _orders) = std::sync::mpsc::channel();
    let serve = pair("lic-a", "active", seen);
    let server = Answers::new(move |asked| match asked.method.as_str() {
        "POST" => refuses(422, "refused", "`lic-b` is not in step yet: wait")(asked),
        _ => serve(asked),
    });
    let words = |server: &str| {
        format!("handover lic-b --yes --key keys/operator --server 1@127.0.0.1,{server}")
    };
    insta::assert_snapshot!(dir.tandem(&words(&server.server())).failed(1), @r"
    error: service was not handed over to `lic-b`
      caused by: `lic-b` is not in step yet: wait
    ");
    let (seen, _orders) = std::sync::mpsc::channel();
    let standby = Answers::new(pair("lic-b", "standby", seen));
    insta::assert_snapshot!(dir.tandem(&words(&standby.server())).failed(1), @r"
    error: no server that could be reached serves now
    help: `tandem status` shows what each of them does; ask again in a moment
    ");
}

#[test]
fn where_the_server_that_was_told_dies_the_other_one_says_who_serves() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, _orders) = std::sync::mpsc::channel();
    let serve = pair("lic-a", "active", seen.clone());
    let dies = Answers::new(move |asked| match asked.method.as_str() {
        "POST" => (0, json!(null)),
        _ => serve(asked),
    });
    let other = Answers::new(pair("lic-b", "standby", seen.clone()));
    let words = format!(
        "handover lic-b --yes --key keys/operator --server {},{}",
        dies.server(),
        other.server()
    );
    let said = dir.tandem(&words).failed(69).replace(&dies.server(), "PORT@HOST");
    insta::assert_snapshot!(said, @r"
    error: it is not known whether `lic-b` serves
      caused by: the connection to `PORT@HOST` broke: connection closed before message completed
    help: `tandem status` shows who serves; where it is not this one, ask again
    ");
    // By then it serves.
    let standby = pair("lic-b", "standby", seen.clone());
    let active = pair("lic-b", "active", seen);
    let asked_before = std::sync::atomic::AtomicBool::new(false);
    other.behaves(move |asked| {
        if asked_before.swap(true, std::sync::atomic::Ordering::SeqCst) {
            active(asked)
        } else {
            standby(asked)
        }
    });
    let ran = dir.tandem(&words);
    assert!(ran.stderr.contains("`lic-b` serves in the place of `lic-a`"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
}
