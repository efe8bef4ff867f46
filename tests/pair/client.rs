//! The client library, and the program that stands on it, on a pair that lives and dies.

use std::time::Duration;

use tandem::client::{CheckoutError, CheckoutRequest, Client, Seat, Standing, WhyLost};
use tandem::measure::{Seats, Span, Timestamp};
use tandem::name::LeaseId;
use tandem::seam::World;
use tandem::statement::Order;

use crate::servers::{MANIFEST, TestPair, operator, until};

/// How long a lease of the pair lives.
const TTL: Span = Span::from_secs(3);

fn client(pair: &TestPair) -> Client {
    Client::new(World::real(), vec![pair.a.endpoint(), pair.b.endpoint()]).expect("on loopback")
}

fn request(user: &str) -> CheckoutRequest {
    let name = "designer".parse().expect("a name");
    CheckoutRequest::new(name, user.parse().expect("a name"), "ws-1".parse().expect("a name"))
}

/// How it stands with a seat after its next change, and the port of the server that answered.
async fn next(seat: &mut Seat) -> (Standing, Option<u16>) {
    let changed = tokio::time::timeout(Duration::from_secs(20), seat.changed());
    let standing = changed.await.expect("a change");
    let port = match &standing {
        Standing::Held(lease) => Some(lease.answered_by.port()),
        Standing::Lost(_) => None,
    };
    (standing, port)
}

/// Follows a seat that must not be lost until this server renews it.
async fn renewed_by(seat: &mut Seat, port: u16) {
    loop {
        let (standing, by) = next(seat).await;
        assert!(by.is_some(), "lost: {standing:?}");
        if by == Some(port) {
            return;
        }
    }
}

#[tokio::test]
async fn a_seat_outlives_the_primary_and_goes_back_to_it() {
    let mut pair = TestPair::ready().await;
    let mut seat = client(&pair).hold(&request("bo")).await.expect("a seat");
    let id = match seat.standing() {
        Standing::Held(lease) => lease.body.id,
        Standing::Lost(why) => panic!("{why}"),
    };
    renewed_by(&mut seat, pair.a.address.port()).await;
    pair.a.kill();
    renewed_by(&mut seat, pair.b.address.port()).await;
    pair.a.restart().await;
    renewed_by(&mut seat, pair.a.address.port()).await;
    match seat.standing() {
        Standing::Held(lease) => assert_eq!(lease.body.id, id, "it is the same lease"),
        Standing::Lost(why) => panic!("{why}"),
    }
    assert_eq!(seat.release().await, Ok(()));
    assert_eq!(pair.a.get("/v1/leases").await.body["leases"], serde_json::json!([]));
}

#[tokio::test]
async fn a_new_checkout_waits_for_the_secondary_to_take_over() {
    let mut pair = TestPair::ready().await;
    pair.a.kill();
    let lease = client(&pair).checkout(&request("bo")).await.expect("a seat at the secondary");
    assert_eq!(lease.answered_by, pair.b.endpoint());
}

#[tokio::test]
async fn a_seat_is_lost_when_both_are_gone_for_longer_than_its_time_and_regained() {
    let mut pair = TestPair::ready().await;
    let mut seat = client(&pair).hold(&request("bo")).await.expect("a seat");
    pair.a.kill();
    pair.b.kill();
    let lost = loop {
        match next(&mut seat).await.0 {
            Standing::Held(_) => {}
            Standing::Lost(why) => break why,
        }
    };
    assert!(matches!(lost, WhyLost::Expired(_)), "{lost}");
    assert!(!seat.is_held());
    pair.a.restart().await;
    pair.b.restart().await;
    assert!(next(&mut seat).await.1.is_some());
    assert_eq!(seat.release().await, Ok(()));
}

#[tokio::test]
async fn what_an_operator_ends_is_lost_with_the_reason() {
    let pair = TestPair::ready().await;
    let client = client(&pair);
    let mut seat = client.hold(&request("bo")).await.expect("a seat");
    let serving = client.serving().await.expect("a server");
    let key = operator();
    let list = client.leases(&serving, Some(&key)).await.expect("the leases");
    let entry = list.leases.first().expect("a lease");
    assert_eq!(entry.user.as_ref().map(ToString::to_string).as_deref(), Some("bo"));
    let order = Order::Release { lease: entry.id.clone(), reason: "bo left".to_owned() };
    assert_eq!(client.order(&serving, order, &key).await, Ok(()));
    loop {
        match next(&mut seat).await.0 {
            Standing::Held(_) => {}
            Standing::Lost(WhyLost::Refused(problem)) => {
                assert!(problem.to_string().contains("bo left"), "{problem}");
                break;
            }
            Standing::Lost(why) => panic!("{why}"),
        }
    }
    let none = Order::Release { lease: LeaseId::new("L-0").expect("an id"), reason: String::new() };
    assert!(client.order(&serving, none, &key).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_heard_is_not_fenced_and_a_dead_one_is() {
    let mut pair = TestPair::ready().await;
    let (client, key) = (client(&pair), operator());
    let dead = pair.a.name.parse().expect("a name");
    let survivor = client.survivor(&dead).await.expect("the other server");
    assert_eq!(survivor.status.name.as_str(), "lic-b");
    assert!(client.order(&survivor, fence_of("lic-a"), &key).await.is_err());
    pair.a.kill();
    until("fenced", async || client.order(&survivor, fence_of("lic-a"), &key).await.is_ok()).await;
}

fn fence_of(name: &str) -> Order {
    Order::Fence { server: name.parse().expect("a name") }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let pair = TestPair::ready().await;
    let client = client(&pair);
    let refused = async |user: &str, seats: u32| {
        client.checkout(&request(user).with_seats(Seats(seats))).await.expect_err("a refusal")
    };
    assert!(matches!(refused("guest-1", 1).await, CheckoutError::NotEntitled(_)));
    assert!(matches!(refused("bo", 3).await, CheckoutError::NoSeat(_)));
}

/// `tandem` with these words, asking the pair.
fn tandem(pair: &TestPair, state: &std::path::Path, words: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
    let servers = format!("{},{}", pair.a.endpoint(), pair.b.endpoint());
    command.args(words).env("TANDEM_SERVERS", servers).env("XDG_STATE_HOME", state);
    command.stdin(std::process::Stdio::null());
    command
}

#[tokio::test]
async fn a_command_keeps_its_seat_while_the_primary_dies() {
    let mut pair = TestPair::ready().await;
    let state = tempfile::tempdir().expect("a directory");
    let go_on = state.path().join("go-on");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; exit 5", go_on.display());
    let words = ["checkout", "designer", "--user", "bo", "--", "sh", "-c", &script];
    let command = tandem(&pair, state.path(), &words).output();
    let command = tokio::spawn(command);
    let is_held = async |server: &crate::servers::TestServer| {
        let leases = server.get("/v1/leases").await.body;
        leases["leases"].as_array().is_some_and(|leases| leases.len() == 1)
    };
    until("held", async || is_held(&pair.a).await).await;
    pair.a.kill();
    pair.b.until("active", |status| status["state"] == "active").await;
    // By itself the lease would end before this: it is renewed at the secondary.
    let ends = async || -> Option<Timestamp> {
        let leases = pair.b.get("/v1/leases").await.body;
        leases["leases"][0]["expiresAt"].as_str()?.parse().ok()
    };
    let first = ends().await.expect("the lease");
    until("renewed", async || ends().await.is_some_and(|end| end > first + TTL + TTL)).await;
    std::fs::write(&go_on, "").expect("written");
    let output = command.await.expect("it ran").expect("it ended");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(5), ""));
    until("given back", async || !is_held(&pair.b).await).await;
}

#[tokio::test]
async fn a_lease_that_was_printed_is_released_by_its_id() {
    let pair = TestPair::ready().await;
    let state = tempfile::tempdir().expect("a directory");
    let words = ["checkout", "designer", "--user", "bo", "--format", "json"];
    let output = tandem(&pair, state.path(), &words).output().await.expect("it ran");
    let lease: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let id = lease["id"].as_str().expect("an id").to_owned();
    let output = tandem(&pair, state.path(), &["release", &id]).output().await.expect("it ran");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(pair.a.get("/v1/leases").await.body["leases"], serde_json::json!([]));

    pair.apply(&MANIFEST.replace("{everyone: true}", "{user: bo}")).await;
    let words = ["checkout", "designer", "--user", "dee"];
    let output = tandem(&pair, state.path(), &words).output().await.expect("it ran");
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
}
