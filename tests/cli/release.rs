//! `tandem release`: one's own lease by its token, anybody's by an operator's word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::Dir;
use crate::support::answers::{Answers, pair};

/// What an operator signed, from the body of `POST /v1/operator`.
pub(crate) fn ordered(body: &Value) -> Value {
    let statement = body["statement"].as_str().unwrap_or_default();
    serde_json::from_slice(&STANDARD.decode(statement).expect("base64")).expect("JSON")
}

#[test]
fn an_operator_ends_anybodys_lease_and_says_why() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, orders) = std::sync::mpsc::channel();
    let server = Answers::new(pair("lic-a", "active", seen));
    let mut command = dir.command("release L-1 --force --key keys/operator --server");
    command.arg(server.server()).args(["--reason", "ana left"]);
    let ran = crate::support::Ran::of(&mut command);
    insta::assert_snapshot!(ran.stderr, @"`L-1` is renewed no more: its seat is free when its time has run out, or its holder gives it back");
    assert_eq!(ran.code, Some(0));
    let order = ordered(&orders.recv().expect("an order"));
    assert_eq!(
        (&order["type"], &order["pair"], &order["lease"], &order["reason"]),
        (&json!("tandem-release/v1"), &json!("studio"), &json!("L-1"), &json!("ana left"))
    );
}

#[test]
fn a_reason_is_needed_to_end_somebodys_lease() {
    let dir = Dir::new();
    assert_eq!(dir.tandem("release L-1 --force").code, Some(64));
    assert_eq!(dir.tandem("release L-1 --reason x").code, Some(64));
}
