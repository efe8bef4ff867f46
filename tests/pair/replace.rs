//! A machine is replaced: an ordinary edit of the manifest, with the pair running on.

use crate::servers::{MANIFEST, TestPair, TestServer, commit_of, operator};

#[tokio::test]
async fn a_secondary_with_a_new_name_takes_the_place_of_the_old_one() {
    let mut pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    let c = TestServer::start("lic-c").await;
    let edited = MANIFEST.replace("lic-b", "lic-c").replace("{B}", &c.address.port().to_string());
    let bundle = pair.bundle(&edited);
    let request = TestPair::stage(&bundle, &[("lic-a", 1), ("lic-c", 0)], &operator());
    let staged = [
        pair.a.post("/v1/config/stage", &request).await,
        c.post("/v1/config/stage", &request).await,
    ];
    for (server, staged) in [&pair.a, &c].into_iter().zip(&staged) {
        assert_eq!(staged.status, 200, "{staged:?}");
        let committed = server.post("/v1/config/commit", &commit_of(staged)).await;
        assert_eq!(committed.status, 200, "{committed:?}");
    }
    c.until_ready().await;
    assert_eq!(pair.a.status().await["peer"]["name"], "lic-c");
    assert_eq!(pair.a.renew(&lease).await.status, 200);
    pair.b.kill();
    pair.a.kill();
    crate::servers::until("renewed at the new one", async || c.renew(&lease).await.status == 200)
        .await;
}

#[tokio::test]
async fn a_server_that_lost_its_disk_but_not_its_key_takes_everything_from_its_peer() {
    let mut pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    pair.b.kill();
    pair.b.forget_all_but_the_key();
    pair.b.restart().await;
    pair.b.until("converged", |status| status["generation"] == 1).await;
    pair.until_ready().await;
    pair.a.kill();
    crate::servers::until("renewed at the other", async || {
        pair.b.renew(&lease).await.status == 200
    })
    .await;
}
