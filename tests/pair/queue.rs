//! Waiting for a seat and borrowing one, through the front door of a pair that lives and dies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use hyper::Method;
use serde_json::{Value, json};

use tandem::client::{CheckoutError, CheckoutRequest, Client};
use tandem::measure::Span;
use tandem::seam::World;

use crate::servers::{Answered, MANIFEST, TestPair, TestServer};

/// Three seats, of which one may be borrowed.
fn lending() -> String {
    let lends = "{everyone: true, borrow: {longest: 7d, max: 1}}";
    let manifest = MANIFEST.replace("{everyone: true}", lends);
    assert_ne!(manifest, MANIFEST);
    manifest
}

async fn ask(server: &TestServer, user: &str, use_id: &str, more: Value) -> Answered {
    let mut body = json!({"product": "designer", "user": user, "host": "ws-1", "use": use_id});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    server.post("/v1/leases", &body).await
}

async fn full(pair: &TestPair) -> Vec<Answered> {
    let mut held = Vec::new();
    for user in ["ana", "bo", "cy"] {
        held.push(pair.a.checkout(user, &format!("use-of-{user}")).await);
    }
    assert!(held.iter().all(|lease| lease.status == 201));
    held
}

#[tokio::test]
async fn a_place_is_told_with_its_ticket_and_served_in_its_order_after_a_failover() {
    let mut pair = TestPair::ready().await;
    let held = full(&pair).await;
    let di = ask(&pair.a, "di", "d", json!({"waitMs": 0})).await;
    assert_eq!((di.status, &di.body["position"]), (202, &json!(1)));
    let ed = ask(&pair.a, "ed", "e", json!({"waitMs": 100})).await;
    assert_eq!((ed.status, &ed.body["position"]), (202, &json!(2)));
    assert_ne!(di.body["ticket"], ed.body["ticket"]);
    assert_eq!(pair.a.get("/v1/products").await.body["products"][0]["waiting"], 2);
    pair.a.kill();
    pair.b.until("active", |status| status["state"] == "active").await;
    assert_eq!(pair.b.release(&held[0]).await.status, 204);
    assert_eq!(pair.b.checkout("fi", "f").await.code(), (409, "no-seat-free"));
    let ed = json!({"waitMs": 0, "ticket": ed.body["ticket"]});
    assert_eq!(ask(&pair.b, "ed", "e", ed).await.status, 202);
    // The ticket alone finds the place.
    let body = json!({"product": "designer", "user": "di", "host": "ws-1",
        "ticket": di.body["ticket"], "waitMs": 30_000});
    let served = pair.b.post("/v1/leases", &body).await;
    assert_eq!((served.status, &served.body["use"]), (201, &json!("d")));
}

#[tokio::test]
async fn a_client_waits_for_its_turn() {
    let pair = TestPair::ready().await;
    let held = full(&pair).await;
    let servers = vec![pair.a.endpoint(), pair.b.endpoint()];
    let client = Client::new(World::real(), servers).expect("on loopback");
    let (product, user) = ("designer".parse().expect("a name"), "di".parse().expect("a name"));
    let request = CheckoutRequest::new(product, user, "ws-9".parse().expect("a name"));
    let short = client.checkout(&request.clone().with_wait(Span::from_ms(300))).await;
    assert!(matches!(short, Err(CheckoutError::Waited { .. })), "{short:?}");
    let waiting =
        tokio::spawn(async move { client.checkout(&request.with_wait(Span::from_secs(60))).await });
    pair.a.until("somebody waits", |status| status["products"][0]["waiting"] == 2).await;
    // The one who gave up keeps a place for a minute, so two seats are freed.
    for lease in &held[..2] {
        assert_eq!(pair.a.release(lease).await.status, 204);
    }
    let lease = waiting.await.expect("no panic").expect("a seat");
    assert_eq!(lease.body.user.as_str(), "di");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_not_given_the_seat_that_it_waited_for() {
    let pair = TestPair::ready().await;
    let held = full(&pair).await;
    let body = json!({"product": "designer", "user": "di", "host": "ws-1", "use": "d",
        "waitMs": 30_000})
    .to_string();
    let mut stream = TcpStream::connect(pair.a.address).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    pair.a.until("somebody waits", |status| status["products"][0]["waiting"] == 1).await;
    stream.shutdown(Shutdown::Write).expect("hung up");
    // The server closes it too once it has noticed.
    let mut answer = Vec::new();
    tokio::task::block_in_place(|| stream.read_to_end(&mut answer)).expect("closed");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(pair.a.release(&held[0]).await.status, 204);
    let status = pair.a.status().await;
    let product = &status["products"][0];
    assert_eq!((&product["used"], &product["waiting"]), (&json!(2), &json!(1)), "{product}");
}

#[tokio::test]
async fn a_seat_is_borrowed_kept_and_returned_at_the_other_server() {
    let mut pair = TestPair::ready().await;
    assert_eq!(
        ask(&pair.a, "ana", "u", json!({"borrowMs": 60_000})).await.code(),
        (403, "borrow-not-allowed")
    );
    pair.apply(&lending()).await;
    for (more, code) in [
        (json!({"borrowMs": 0}), (400, "invalid-request")),
        (json!({"borrowMs": 1, "waitMs": 1}), (400, "invalid-request")),
        (json!({"borrowMs": 8 * 86_400_000_u64}), (403, "borrow-not-allowed")),
    ] {
        assert_eq!(ask(&pair.a, "ana", "u", more).await.code(), code);
    }
    let lent = ask(&pair.a, "ana", "u", json!({"borrowMs": 86_400_000})).await;
    assert_eq!((lent.status, &lent.body["ttlMs"]), (201, &json!(86_400_000)));
    assert_eq!(lent.body["borrowedUntil"], lent.body["expiresAt"]);
    let other = ask(&pair.a, "bo", "v", json!({"borrowMs": 60_000})).await;
    assert_eq!(other.code(), (403, "borrow-not-allowed"));
    assert_eq!(pair.a.get("/v1/products").await.body["products"][0]["borrowed"], 1);
    // A bundle that gives its holder nothing does not take it.
    pair.apply(&MANIFEST.replace("{everyone: true}", "{user: 'bo'}")).await;
    assert_eq!(pair.a.renew(&lent).await.status, 200);
    let listed = pair.a.get("/v1/leases").await;
    assert_eq!(listed.body["leases"][0]["borrowedUntil"], lent.body["borrowedUntil"]);
    pair.a.kill();
    pair.b.until("active", |status| status["state"] == "active").await;
    let again = pair.b.renew(&lent).await;
    assert_eq!(again.body["borrowedUntil"], lent.body["borrowedUntil"]);
    assert_eq!(pair.b.release(&again).await.status, 204);
    let alone = pair.b.send(Method::GET, "/v1/leases", &[], None).await;
    assert_eq!(alone.body["leases"], json!([]));
    pair.a.restart().await;
    pair.until_ready().await;
    assert_eq!(pair.a.renew(&lent).await.code(), (404, "unknown-lease"));
}
