//! Ordinary edits of the manifest, each on a pair that goes on serving.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tandem::statement::{MemoryKey, Signs as _};

use crate::servers::{Answered, MANIFEST, TestPair, operator};

#[tokio::test]
async fn a_lowered_capacity_takes_no_held_seat_and_drains() {
    let pair = TestPair::ready().await;
    let (ana, bo) = (pair.a.checkout("ana", "u1").await, pair.a.checkout("bo", "u2").await);
    let fewer = pair.bundle_with(MANIFEST, "L-1", 1);
    let request = TestPair::stage(&fewer, &[("lic-a", 1), ("lic-b", 1)], &operator());
    assert_eq!(pair.a.post("/v1/config/stage", &request).await.status, 200);
    pair.apply_bundle(&fewer).await;
    for lease in [&ana, &bo] {
        assert_eq!(pair.a.renew(lease).await.status, 200);
    }
    let designer = &pair.a.get("/v1/products").await.body["products"][0];
    assert_eq!((&designer["capacity"], &designer["used"]), (&json!(1), &json!(2)));
    assert_eq!(designer["overGrant"], 1);
    assert_eq!(pair.a.checkout("cy", "u3").await.code(), (409, "no-seat-free"));
    assert_eq!(pair.a.release(&bo).await.status, 204);
    assert_eq!(pair.a.get("/v1/products").await.body["products"][0]["overGrant"], 0);
}

#[tokio::test]
async fn a_renewed_license_is_in_the_next_token() {
    let pair = TestPair::ready().await;
    let lease = pair.a.checkout("ana", "u1").await;
    assert_eq!(claims(&lease)["licenses"], json!(["L-1"]));
    pair.apply_bundle(&pair.bundle_with(MANIFEST, "L-2", 3)).await;
    let renewed = pair.a.renew(&lease).await;
    assert_eq!(claims(&renewed)["licenses"], json!(["L-2"]));
}

fn claims(lease: &Answered) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = lease.text("token");
    let part = token.split('.').nth(1).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn operators_change_while_a_server_is_down() {
    let mut pair = TestPair::ready().await;
    pair.b.stop().await;
    let bo = MemoryKey::from_seed([8; 32], "bo");
    let both = MANIFEST.replace("'{OPERATOR}'", &format!("'{{OPERATOR}}', '{}'", bo.public()));
    TestPair::apply_to(&pair.a, &pair.bundle(&both), &operator()).await;
    let only_bo = MANIFEST.replace("{OPERATOR}", &bo.public().to_string());
    TestPair::apply_to(&pair.a, &pair.bundle(&only_bo), &bo).await;
    pair.b.restart().await;
    pair.b.until("converged", |status| status["generation"] == 3).await;
    pair.until_ready().await;
    assert_eq!(pair.b.status().await["lastApply"]["operator"], bo.public().fingerprint());
}

#[tokio::test]
async fn names_are_shown_to_all_where_the_manifest_says_so() {
    let pair = TestPair::start().await;
    pair.apply(&format!("{MANIFEST}visibility: open\n")).await;
    pair.until_ready().await;
    assert_eq!(pair.a.checkout("bo", "u1").await.status, 201);
    let leases = pair.a.get("/v1/leases").await.body;
    assert_eq!(leases["leases"][0]["user"], "bo");
    assert!(leases["leases"][0].get("uses").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_happen_and_without_names() {
    let pair = TestPair::ready().await;
    let mut stream = TcpStream::connect(pair.a.address).expect("a connection");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("text"));
    let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
    assert_eq!(pair.a.checkout("bo", "u1").await.status, 201);
    let told: Vec<_> = tokio::task::block_in_place(|| {
        lines.by_ref().skip_while(|line| line != "event: granted").take(2).collect()
    });
    let data = told.last().and_then(|line| line.strip_prefix("data: ")).expect("data");
    let event: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((&event["type"], &event["product"]), (&json!("granted"), &json!("designer")));
    assert_eq!((&event["schema"], &event["server"]), (&json!(1), &json!("lic-a")));
    assert!(event.get("user").is_none() && event.get("host").is_none(), "{event}");
}
