//! One server goes, by order or by a crash, and comes back.

use crate::servers::{MANIFEST, TestPair, commit_of, operator, until};

#[tokio::test]
async fn a_lease_lives_on_at_the_secondary_when_the_primary_dies_and_back_again() {
    let mut pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    assert_eq!(lease.status, 201);
    pair.a.kill();
    until("renewed at the secondary", async || pair.b.renew(&lease).await.status == 200).await;
    until("granted at the secondary", async || {
        pair.b.checkout("ana", "use-2").await.status / 100 == 2
    })
    .await;

    pair.a.restart().await;
    pair.until_ready().await;
    pair.a.until("active again", |status| status["state"] == "active").await;
    pair.b.until("standing by again", |status| status["state"] == "standby").await;
    assert_eq!(pair.a.renew(&lease).await.status, 200);
    let known = pair.a.checkout("ana", "use-2").await;
    assert_eq!(known.status, 200, "{known:?}");
    assert_eq!(pair.b.renew(&lease).await.code(), (503, "standby"));
}

#[tokio::test]
async fn a_graceful_stop_hands_over_without_a_grace() {
    let mut pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    assert_eq!(lease.status, 201, "{lease:?}");
    pair.a.stop().await;
    until("granted at the secondary", async || pair.b.checkout("ana", "u").await.status == 201)
        .await;
    assert_eq!(pair.b.renew(&lease).await.status, 200);
}

#[tokio::test]
async fn the_primary_goes_on_alone_when_the_secondary_dies() {
    let mut pair = TestPair::ready().await;
    pair.b.kill();
    until("granted alone", async || pair.a.checkout("bo", "u").await.status / 100 == 2).await;
    pair.b.restart().await;
    pair.until_ready().await;
    let paired = |status: &serde_json::Value| status["peer"]["paired"] == true;
    pair.a.until("paired again", paired).await;
}

#[tokio::test]
async fn leases_and_configuration_outlive_both_servers() {
    let mut pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    pair.a.kill();
    pair.b.kill();
    pair.a.restart().await;
    pair.b.restart().await;
    until("renewed after the outage", async || {
        pair.a.renew(&lease).await.status == 200 || pair.b.renew(&lease).await.status == 200
    })
    .await;
    pair.until_ready().await;
}

#[tokio::test]
async fn a_server_that_was_down_takes_the_bundle_from_its_peer() {
    let mut pair = TestPair::ready().await;
    pair.b.stop().await;
    let bundle = pair.bundle(&MANIFEST.replace("name: cy", "name: dee"));
    let request = TestPair::stage(&bundle, &[("lic-a", 1)], &operator());
    let staged = pair.a.post("/v1/config/stage", &request).await;
    assert_eq!(staged.status, 200, "{staged:?}");
    assert_eq!(pair.a.post("/v1/config/commit", &commit_of(&staged)).await.status, 200);
    pair.b.restart().await;
    pair.b.until("converged", |status| status["generation"] == 2).await;
    pair.until_ready().await;
}

#[tokio::test]
async fn another_key_at_the_peers_address_is_refused_until_the_manifest_pins_it() {
    let mut pair = TestPair::ready().await;
    pair.b.kill();
    pair.b.forget();
    pair.b.restart().await;
    let refused = |status: &serde_json::Value| status["peer"]["problem"] == "peer-key-changed";
    pair.a.until("refused", refused).await;
    let key = pair.b.running().key();
    let pinned = MANIFEST.replace("port: {B}", &format!("port: {{B}}, key: '{key}'"));
    let bundle = pair.bundle(&pinned);
    let request = TestPair::stage(&bundle, &[("lic-a", 1)], &operator());
    let staged = pair.a.post("/v1/config/stage", &request).await;
    assert_eq!(staged.status, 200, "{staged:?}");
    assert_eq!(pair.a.post("/v1/config/commit", &commit_of(&staged)).await.status, 200);
    pair.b.until("converged", |status| status["generation"] == 2).await;
    pair.until_ready().await;
}

#[tokio::test]
async fn a_server_whose_disk_fails_starts_again_from_it_and_loses_nothing() {
    let pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    pair.a.fail_a_sync();
    let failed = pair.a.checkout("ana", "use-2").await;
    assert_eq!(failed.code(), (503, "recovering"), "{failed:?}");
    pair.until_ready().await;
    pair.a.until("active again", |status| status["state"] == "active").await;
    assert_eq!(pair.a.renew(&lease).await.status, 200);
    assert_eq!(pair.a.checkout("ana", "use-2").await.status / 100, 2);
}
