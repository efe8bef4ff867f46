//! `tandem status`: how a pair stands.

use crate::support::duo::Duo;

#[test]
fn it_says_what_runs_and_that_it_is_what_is_on_disk() {
    let duo = Duo::applied();
    let status = duo.status();
    assert_eq!(
        (&status["schema"], &status["pair"], &status["inSync"]),
        (&1.into(), &"studio-west".into(), &true.into())
    );
    assert_eq!(status["drift"], serde_json::json!([]));
    assert_eq!(status["servers"][0]["server"], "lic-a");
    assert_eq!(status["servers"][0]["status"]["state"], "active");
    assert_eq!(status["servers"][1]["status"]["state"], "standby");
    assert_eq!(status["lastApply"]["generation"], 1);
    let text = duo.tandem("status tandem.yaml").done();
    assert!(text.starts_with("pair `studio-west` in sync: generation 1, sha256:"), "{text}");
    assert!(text.contains("last apply: generation 1 by ana (SHA256:"), "{text}");
    assert!(text.contains("manifest: `tandem.yaml` on disk is what runs"), "{text}");
    let asked = duo.tandem(&format!("status --server {}", duo.servers())).done();
    assert!(asked.starts_with("pair `studio-west` in sync"), "{asked}");
}

#[test]
fn it_says_why_what_is_on_disk_does_not_run() {
    let duo = Duo::applied();
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    let text = duo.tandem("status tandem.yaml").done();
    assert!(text.starts_with("pair `studio-west` not in sync"), "{text}");
    assert!(text.contains("not-applied: `tandem.yaml` on disk is not what runs"), "{text}");
    duo.edit("product: designer", "product: designr");
    let text = duo.tandem("status tandem.yaml").done();
    assert!(text.contains("broken: `tandem.yaml` on disk is broken: tandem.yaml:"), "{text}");
    assert!(text.contains("E0304 unknown-product"), "{text}");
    assert_eq!(duo.status()["manifest"]["ok"], false);
}

#[test]
fn a_server_that_is_down_is_named() {
    let mut duo = Duo::applied();
    duo.kill(1);
    let text = duo.tandem("status tandem.yaml").done();
    assert!(text.contains("unreachable: `lic-b`: cannot connect"), "{text}");
    duo.kill(0);
    duo.tandem("status tandem.yaml").failed(1);
}
