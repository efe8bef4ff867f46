//! `tandem leases`: which seats are held.

use serde_json::{Value, json};

use crate::support::Dir;
use crate::support::answers::{Answers, Asked, refuses};

fn status(state: &str) -> Value {
    json!({
        "schema": 1, "name": "lic-a", "key": format!("ed25519:{}=", "A".repeat(43)),
        "version": "0.1.0", "role": "primary", "state": state, "epoch": 1, "generation": 1,
        "products": [], "trust": [],
    })
}

fn leases() -> Value {
    json!({"leases": [
        {"id": "L-1", "product": "designer", "user": "ana", "host": "ws-1\u{202e}", "seats": 1,
         "assignment": 0, "server": "lic-a", "grantedAt": "2026-01-01T00:00:00.000Z",
         "expiresAt": "2026-01-01T00:05:00.000Z", "ttlMs": 300_000},
        {"id": "L-2", "product": "router", "seats": 12, "assignment": 1, "server": "lic-b",
         "grantedAt": "2026-01-01T00:00:00.000Z", "expiresAt": "2026-01-01T00:05:00.000Z",
         "ttlMs": 300_000},
    ]})
}

fn serves(state: &'static str) -> impl Fn(&Asked) -> (u16, Value) + Send + 'static {
    move |asked| match asked.path.as_str() {
        "/v1/status" => (200, status(state)),
        "/v1/leases" => (200, leases()),
        _ => refuses(404, "not-found", "there is nothing here")(asked),
    }
}

#[test]
fn leases_are_shown_as_far_as_one_may_see_them() {
    let (dir, server) = (Dir::new(), Answers::new(serves("active")));
    let ran = dir.tandem(&format!("leases --server {}", server.server()));
    assert_eq!(ran.stderr, "names are shown to operators only: name your key with `--key FILE`\n");
    insta::assert_snapshot!(ran.done(), @r"
    LEASE  PRODUCT   SEATS  USER  HOST          SERVER  UNTIL
    L-1    designer  1      ana   ws-1\u{202e}  lic-a   2026-01-01T00:05:00.000Z
    L-2    router    12     -     -             lic-b   2026-01-01T00:05:00.000Z
    ");
    let ran = dir.tandem(&format!("leases router --format json --server {}", server.server()));
    assert_eq!(ran.json()["leases"].as_array().map(Vec::len), Some(1));
    assert_eq!(ran.json()["schema"], 1);
}

#[test]
fn the_server_that_serves_is_asked_and_another_only_where_none_does() {
    let (dir, active) = (Dir::new(), Answers::new(serves("active")));
    let standby = Answers::new(serves("standby"));
    let both = format!("leases --server {},{}", standby.server(), active.server());
    dir.tandem(&both).done();
    assert_eq!(standby.log(), ["GET /v1/status"]);
    assert_eq!(active.log(), ["GET /v1/status", "GET /v1/leases"]);
    active.behaves(refuses(503, "recovering", "`lic-a` is recovering"));
    let ran = dir.tandem(&both);
    assert!(ran.stderr.contains("no server serves"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
    assert_eq!(dir.tandem("leases --server 1@127.0.0.1").code, Some(69));
}
