//! The life of a lease on a healthy pair, and of the pair's configuration.

use serde_json::json;
use tandem::statement::Order;

use crate::servers::{MANIFEST, TestPair, commit_of, operator};

#[tokio::test]
async fn a_seat_is_checked_out_renewed_and_released() {
    let pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    assert_eq!(lease.status, 201, "{lease:?}");
    assert_eq!(lease.body["assignment"], 1);
    assert_eq!(lease.body["server"], "lic-a");
    assert_eq!(lease.body["ttlMs"], 3000);

    let again = pair.a.checkout("bo", "use-1").await;
    assert_eq!((again.status, again.text("id")), (200, lease.text("id")));
    let window = pair.a.checkout("BO", "use-2").await;
    assert_eq!((window.status, window.text("id")), (200, lease.text("id")));
    assert_eq!(window.body["uses"], json!(["use-1", "use-2"]));
    let renewed = pair.a.renew(&lease).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");

    let products = pair.a.get("/v1/products").await.body;
    assert_eq!(products["products"][0]["used"], 1);
    assert_eq!(pair.a.release(&lease).await.status, 204);
    assert_eq!(pair.a.release(&lease).await.status, 204);
    assert_eq!(pair.a.renew(&lease).await.code(), (404, "unknown-lease"));
    assert_eq!(pair.a.renew(&window).await.status, 200);
    assert_eq!(pair.a.release(&window).await.status, 204);
    let leases = pair.a.get("/v1/leases").await.body;
    assert_eq!(leases, json!({"leases": []}));
    assert_eq!(pair.a.checkout("bo", "use-1").await.code(), (404, "unknown-lease"));
}

#[tokio::test]
async fn a_refusal_says_why() {
    let pair = TestPair::ready().await;
    let denied = pair.a.checkout("guest-1", "u").await;
    assert_eq!(denied.code(), (403, "denied"));
    insta::assert_snapshot!(denied.text("detail"), @"the entry `user guest-*` of `deny` matches: ask who keeps the manifest");
    let request = json!({"product": "viewer", "user": "bo", "host": "ws-1"});
    assert_eq!(pair.a.post("/v1/leases", &request).await.code(), (404, "unknown-product"));
    for user in ["bo", "cy"] {
        assert_eq!(pair.a.checkout(user, user).await.status, 201);
    }
    // One of the three seats is kept free for ana.
    let full = pair.a.checkout("dee", "u").await;
    assert_eq!(full.code(), (409, "no-seat-free"), "{full:?}");
    assert_eq!(full.body["holders"], json!([{"seats": 1}, {"seats": 1}]));
    assert_eq!(pair.a.checkout("ana", "u").await.status, 201);

    let standby = pair.b.checkout("ana", "u").await;
    assert_eq!(standby.code(), (503, "standby"));
    assert_eq!(standby.body["primary"]["name"], "lic-a");
    assert_eq!(standby.body["primary"]["port"], pair.a.address.port());
}

#[tokio::test]
async fn names_are_for_operators() {
    let pair = TestPair::ready().await;
    assert_eq!(pair.a.checkout("bo", "use-1").await.status, 201);
    let anybody = pair.a.get("/v1/leases").await.body;
    assert!(anybody["leases"][0].get("user").is_none());
    let signed = pair.a.get_signed("/v1/leases", "0123456789abcdef-1").await;
    assert_eq!(signed.body["leases"][0]["user"], "bo");
    assert_eq!(signed.body["leases"][0]["uses"], json!(["use-1"]));
    let replayed = pair.a.get_signed("/v1/leases", "0123456789abcdef-1").await;
    assert_eq!(replayed.code(), (403, "untrusted-operator"));

    let config = pair.a.get("/v1/config").await.body.to_string();
    assert!(!config.contains("TANDEM") && !config.contains("\"cy\""), "{config}");
    let config = pair.b.get_signed("/v1/config", "0123456789abcdef-2").await;
    assert_eq!(config.body["manifest"]["users"][2]["name"], "cy");
}

#[tokio::test]
async fn a_token_is_read_with_the_servers_published_keys() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
    let pair = TestPair::ready().await;
    let lease = pair.a.checkout("ana", "use-1").await;
    let keys: JwkSet =
        serde_json::from_value(pair.b.get("/v1/keys").await.body).expect("a JWK set");
    let token = lease.text("token");
    let kid = decode_header(&token).expect("a header").kid.expect("a key id");
    let jwk = keys.find(&kid).expect("the standby publishes the active server's key too");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["designer"]);
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let claims = decode::<serde_json::Value>(&token, &key, &validation).expect("a token").claims;
    assert_eq!(claims["licenses"], json!(["L-1"]));
    assert_eq!(claims["entitlements"], json!(["export"]));
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("ana"), &json!("lic-a")));
}

#[tokio::test]
async fn an_operator_ends_a_lease_and_cannot_fence_a_server_that_lives() {
    let pair = TestPair::ready().await;
    let lease = pair.a.checkout("bo", "use-1").await;
    let release = Order::Release {
        lease: lease.text("id").parse().expect("an id"),
        reason: "left the company".to_owned(),
    };
    assert_eq!(pair.a.order(release.clone(), "0123456789abcdef-1").await.status, 204);
    let again = pair.a.order(release, "0123456789abcdef-1").await;
    assert_eq!(again.code(), (400, "invalid-request"));
    let renewed = pair.a.renew(&lease).await;
    assert_eq!(renewed.code(), (409, "revoked"), "{renewed:?}");
    assert!(renewed.text("reason").contains("left the company"));
    let fence = Order::Fence { server: "lic-b".parse().expect("a name") };
    assert_eq!(pair.a.order(fence, "0123456789abcdef-2").await.code(), (422, "refused"));
}

#[tokio::test]
async fn a_bundle_is_taken_only_on_what_runs_and_from_who_is_trusted() {
    let pair = TestPair::start().await;
    assert_eq!(pair.a.checkout("bo", "u").await.code(), (503, "unconfigured"));
    assert_eq!(pair.a.get("/readyz").await.code(), (503, "unconfigured"));
    assert_eq!(pair.a.get("/healthz").await.status, 200);
    let bundle = pair.bundle(MANIFEST);
    let base = [("lic-a", 0), ("lic-b", 0)];
    let stranger = tandem::statement::MemoryKey::from_seed([9; 32], "eve");
    let request = TestPair::stage(&bundle, &base, &stranger);
    let refused = pair.a.post("/v1/config/stage", &request).await;
    assert_eq!(refused.code(), (403, "untrusted-operator"));

    let request = TestPair::stage(&bundle, &base, &operator());
    let first = pair.a.post("/v1/config/stage", &request).await;
    let second = pair.a.post("/v1/config/stage", &request).await;
    assert_eq!((first.status, second.status), (200, 200));
    let replaced = pair.a.post("/v1/config/commit", &commit_of(&first)).await;
    assert_eq!(replaced.code(), (404, "unknown-stage"));
    assert_eq!(pair.a.status().await["staged"]["generation"], 1);
    let commit = commit_of(&second);
    assert_eq!(pair.a.post("/v1/config/commit", &commit).await.status, 200);
    assert_eq!(pair.a.post("/v1/config/commit", &commit).await.status, 200);
    assert!(pair.a.status().await.get("staged").is_none());

    let late = pair.a.post("/v1/config/stage", &request).await;
    assert_eq!(late.code(), (409, "generation-conflict"), "{late:?}");
    assert_eq!(late.body["generation"], 1);
    assert_eq!(late.body["commit"], "0123456789abcdef0123456789abcdef01234567");
    let foreign = MANIFEST.replace("studio-west", "studio-east");
    let request = TestPair::stage(&pair.bundle(&foreign), &[("lic-a", 1)], &operator());
    assert_eq!(pair.a.post("/v1/config/stage", &request).await.code(), (409, "wrong-pair"));
    // The other server takes the bundle from its peer.
    pair.b.until("converged", |status| status["generation"] == 1).await;
    pair.until_ready().await;
}

#[tokio::test]
async fn a_bundle_that_means_nonsense_is_refused_with_findings() {
    let pair = TestPair::ready().await;
    let base = [("lic-a", 1), ("lic-b", 1)];
    for (from, to, code) in
        [("reserve: 1", "reserve: 9", "reserve"), ("user: ana,", "user: nobody,", "unknown")]
    {
        let bundle = pair.bundle(&MANIFEST.replace(from, to));
        let request = TestPair::stage(&bundle, &base, &operator());
        let refused = pair.a.post("/v1/config/stage", &request).await;
        assert_eq!(refused.code(), (422, "refused"), "{refused:?}");
        let name = refused.body["findings"][0]["name"].as_str().unwrap_or_default();
        assert!(name.contains(code), "{refused:?}");
    }
    // A role is swapped with the server that has the other one, not taken beside a new one.
    let (from, to) = ("lic-b, role: secondary", "lic-c, role: secondary");
    let promoted =
        MANIFEST.replace(from, to).replace("lic-a, role: primary", "lic-b, role: primary");
    let request = TestPair::stage(&pair.bundle(&promoted), &[("lic-b", 1)], &operator());
    let refused = pair.b.post("/v1/config/stage", &request).await;
    assert_eq!(refused.code(), (422, "refused"), "{refused:?}");
    insta::assert_snapshot!(refused.text("detail"), @"`lic-b` is the secondary and would become the primary beside `lic-c`, which is new: keep its role in this apply, and swap the roles in the next");
    assert_eq!(TestPair::generation(&pair.a).await, 1);
}

#[tokio::test]
async fn holders_keep_their_leases_across_a_reload() {
    let pair = TestPair::ready().await;
    let kept = pair.a.checkout("ana", "use-1").await;
    let lost = pair.a.checkout("cy", "use-2").await;
    pair.apply(&MANIFEST.replace("{everyone: true}", "{user: bo}")).await;
    assert_eq!(pair.a.renew(&kept).await.status, 200);
    assert_eq!(pair.a.renew(&lost).await.code(), (409, "revoked"));
    let refused = pair.a.checkout("cy", "use-3").await;
    assert_eq!(refused.code(), (403, "not-entitled"));
    insta::assert_snapshot!(refused.text("detail"), @"none of the entries of `assign` (2) matches `cy` on `ws-1`: ask who keeps the manifest");
    pair.until_ready().await;
    assert_eq!(TestPair::generation(&pair.b).await, 2);
}

#[tokio::test]
async fn a_change_that_takes_away_too_much_needs_the_operators_word() {
    let pair = TestPair::start().await;
    let strict = format!(
        "{MANIFEST}safety: {{maxRemoved: {{share: 0%, floor: 0}}, requireCommitted: true}}\n"
    );
    pair.apply(&strict).await;
    let fewer = pair.bundle(&strict.replace(", {name: cy}", ""));
    let base = [("lic-a", 1), ("lic-b", 1)];
    let refused =
        pair.a.post("/v1/config/stage", &TestPair::stage(&fewer, &base, &operator())).await;
    assert_eq!(refused.code(), (409, "large-change"), "{refused:?}");
    let allowed = TestPair::stage_with(&fewer, &base, &operator(), |statement| {
        statement.allow_large_change = true;
    });
    assert_eq!(pair.a.post("/v1/config/stage", &allowed).await.status, 200);
    let dirty = TestPair::stage_with(&fewer, &base, &operator(), |statement| {
        statement.allow_large_change = true;
        statement.source.dirty = true;
    });
    assert_eq!(pair.a.post("/v1/config/stage", &dirty).await.code(), (422, "refused"));
}
