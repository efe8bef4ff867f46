//! Two made-up servers, and what an apply does with each of their answers.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::client::Endpoint;
use crate::client::scripted::{Asked, Scripted, Told};
use crate::manifest::types::Manifest;
use crate::measure::Timestamp;
use crate::statement::MemoryKey;

const PORTS: [u16; 2] = [1, 2];
const NAMES: [&str; 2] = ["lic-a", "lic-b"];

/// A made-up server: what it runs, and what it does with the next stage and the next commits.
struct Server {
    generation: u64,
    bundle: Option<BundleHash>,
    stage: Act,
    commits: Vec<Act>,
}

#[derive(Clone)]
enum Act {
    Accept,
    /// Does it, and the answer is lost.
    AcceptAndCut,
    Cut,
    Refuse(u16, Value),
}

fn problem(status: u16, code: &str, detail: &str) -> Act {
    let uri = format!("urn:tandem:problem:{code}");
    let body = json!({
        "type": uri, "title": "no", "status": status, "detail": detail, "code": code
    });
    Act::Refuse(status, body)
}

impl Server {
    fn answer(&mut self, name: &str, asked: &Asked) -> Told {
        let bundle = asked.body["bundle"].clone();
        match asked.path.as_str() {
            "/v1/status" => Told::Answer(200, self.status(name)),
            "/v1/config/stage" => {
                let bytes = STANDARD.decode(bundle.as_str().unwrap_or_default()).unwrap();
                let hash = BundleHash::of(&bytes);
                let at = Timestamp::from_ms(0);
                let answer = json!({
                    "stage": name, "generation": self.generation + 1, "bundle": hash,
                    "expiresAt": at
                });
                match self.stage.clone() {
                    Act::Accept => Told::Answer(200, answer),
                    Act::Refuse(status, body) => Told::Answer(status, body),
                    Act::Cut | Act::AcceptAndCut => Told::Cut,
                }
            }
            "/v1/config/commit" => {
                let act =
                    if self.commits.is_empty() { Act::Accept } else { self.commits.remove(0) };
                let answer = json!({"bundle": bundle, "generation": asked.body["generation"]});
                if matches!(act, Act::Accept | Act::AcceptAndCut) {
                    self.bundle = serde_json::from_value(bundle).unwrap();
                    self.generation = asked.body["generation"].as_u64().unwrap();
                }
                match act {
                    Act::Accept => Told::Answer(200, answer),
                    Act::Refuse(status, body) => Told::Answer(status, body),
                    Act::Cut | Act::AcceptAndCut => Told::Cut,
                }
            }
            _ => Told::Answer(404, json!({})),
        }
    }

    fn status(&self, name: &str) -> Value {
        json!({
            "schema": 1, "name": name, "version": "0", "state": "active", "epoch": 1,
            "key": "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "generation": self.generation, "bundle": self.bundle, "products": [], "trust": []
        })
    }
}

/// A pair of made-up servers and an apply to them.
struct Script {
    net: Scripted,
    servers: Arc<Mutex<[Server; 2]>>,
    key: MemoryKey,
}

impl Script {
    fn new(change: impl FnOnce(&mut [Server; 2])) -> Self {
        let server = |_| Server {
            generation: 7,
            bundle: Some(BundleHash([7; 32])),
            stage: Act::Accept,
            commits: Vec::new(),
        };
        let mut servers = [0, 1].map(server);
        change(&mut servers);
        let (net, servers) = (Scripted::default(), Arc::new(Mutex::new(servers)));
        for (index, (port, name)) in PORTS.into_iter().zip(NAMES).enumerate() {
            let servers = Arc::clone(&servers);
            net.serve(port, move |asked| servers.lock().unwrap()[index].answer(name, &asked));
        }
        Self { net, servers, key: MemoryKey::from_seed([1; 32], "ana") }
    }

    fn bundle(&self) -> Bundle {
        let manifest: Manifest = serde_json::from_value(json!({
            "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": "studio"},
            "servers": [
                {"name": "lic-a", "role": "primary", "address": "127.0.0.1", "port": 1},
                {"name": "lic-b", "role": "secondary", "address": "127.0.0.1", "port": 2}
            ],
            "trust": {"operators": [self.key.public().to_string()]},
            "seats": [{"product": "designer", "assign": [{"everyone": true}]}]
        }))
        .expect("a manifest");
        Bundle::build(&manifest, Vec::new()).expect("a bundle")
    }

    /// Applies; the result and the events.
    async fn apply(&self) -> (Result<Applied, ApplyError>, Vec<String>) {
        let http = Http::new(self.net.world());
        let pair = [0, 1].map(|index| Target {
            name: NAMES[index].parse().expect("a name"),
            endpoint: Endpoint::new("127.0.0.1", PORTS[index], None).expect("an address"),
        });
        let views = observe::both(&http, &pair).await;
        let source =
            Source { repository: None, commit: None, path: "tandem.yaml".into(), dirty: true };
        let order =
            Order { bundle: self.bundle(), source, allow_large_change: false, degraded: false };
        let mut events = Vec::new();
        let mut tell = |event: Event| events.push(event.to_string());
        let result = apply(&http, &self.key, &views, None, &order, &mut tell).await;
        (result, events)
    }

    fn generations(&self) -> [u64; 2] {
        let servers = self.servers.lock().unwrap();
        [servers[0].generation, servers[1].generation]
    }
}

fn changed(result: Result<Applied, ApplyError>) -> Applied {
    result.expect("it was applied")
}

#[tokio::test(start_paused = true)]
async fn both_are_staged_before_either_is_committed() {
    let script = Script::new(|_| {});
    let (result, events) = script.apply().await;
    assert_eq!(
        changed(result),
        Applied { generation: Generation(8), changed: true, later: Vec::new() }
    );
    assert_eq!(script.generations(), [8, 8]);
    let log = script.net.log();
    let mut posts: Vec<&str> = log.lines().filter(|line| line.contains("POST")).collect();
    // Both are staged at the same time.
    posts[..2].sort_unstable();
    assert_eq!(
        posts,
        [
            "1 POST /v1/config/stage",
            "2 POST /v1/config/stage",
            "1 POST /v1/config/commit",
            "2 POST /v1/config/commit"
        ]
    );
    assert_eq!(events.len(), 5, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_changes_anywhere_when_either_refuses() {
    for index in [0, 1] {
        let script = Script::new(|servers| {
            servers[index].stage = problem(422, "refused", "`a.alf` is for the other server");
        });
        let (result, _) = script.apply().await;
        let error = result.expect_err("refused").to_string();
        let name = NAMES[index];
        assert_eq!(
            error,
            format!("nothing has changed: `{name}` refuses: `a.alf` is for the other server")
        );
        assert!(!script.net.log().contains("commit"));
        assert_eq!(script.generations(), [7, 7]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_changes_anywhere_when_one_does_not_answer_to_the_stage() {
    let script = Script::new(|servers| servers[1].stage = Act::Cut);
    let (result, _) = script.apply().await;
    let error = result.expect_err("no answer");
    assert!(error.is_passing());
    assert!(error.to_string().contains("`lic-b` gave no answer"), "{error}");
    assert_eq!(script.generations(), [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_rival_who_was_faster_is_named() {
    let script = Script::new(|servers| {
        servers[0].commits = vec![Act::Refuse(
            409,
            json!({
                "type": "urn:tandem:problem:generation-conflict", "title": "no", "status": 409,
                "detail": "another bundle runs", "code": "generation-conflict", "generation": 8,
                "operator": "SHA256:rival", "commit": "abc123", "at": "2026-01-31T10:02:00.000Z"
            }),
        )];
    });
    let (result, _) = script.apply().await;
    let error = result.expect_err("a conflict");
    insta::assert_snapshot!(error, @"nothing has changed: `lic-a` refuses: generation 8 was applied by SHA256:rival at 2026-01-31T10:02:00.000Z from commit abc123");
    assert_eq!(error.operators(), ["SHA256:rival"]);
    assert_eq!(
        error.help("tandem.yaml").as_deref(),
        Some("`tandem plan tandem.yaml` shows what would change now")
    );
    // The second server was not asked: nothing has changed there either.
    assert_eq!(script.generations(), [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_repeated() {
    let script = Script::new(|servers| {
        servers[0].commits = vec![Act::AcceptAndCut, Act::AcceptAndCut, Act::AcceptAndCut];
        servers[1].commits = vec![Act::Cut, Act::Cut];
    });
    let (result, _) = script.apply().await;
    assert_eq!(changed(result).later, []);
    assert_eq!(script.generations(), [8, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_half_committed_apply_says_who_takes_it_later() {
    let script = Script::new(|servers| servers[1].commits = vec![Act::Cut; 9]);
    let (result, events) = script.apply().await;
    let applied = changed(result);
    assert_eq!(applied.later.len(), 1);
    assert_eq!(script.generations(), [8, 7]);
    let last = events.last().expect("an event");
    assert!(last.starts_with("later at `lic-b`, from its peer:"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn when_no_commit_is_answered_it_is_not_called_undone() {
    let script = Script::new(|servers| {
        for server in servers {
            server.commits = vec![Act::Cut; 9];
        }
    });
    let (result, _) = script.apply().await;
    let error = result.expect_err("no answers");
    assert!(matches!(error, ApplyError::Unknown(_)), "{error:?}");
    assert_eq!(
        error.help("tandem.yaml").as_deref(),
        Some("`tandem status tandem.yaml` says what runs")
    );
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_drops_its_own_signer_is_not_sent() {
    let script = Script::new(|_| {});
    let other = Script { key: MemoryKey::from_seed([2; 32], "bo"), ..Script::new(|_| {}) };
    let http = Http::new(script.net.world());
    let pair = [0, 1].map(|index| Target {
        name: NAMES[index].parse().expect("a name"),
        endpoint: Endpoint::new("127.0.0.1", PORTS[index], None).expect("an address"),
    });
    let views = observe::both(&http, &pair).await;
    let source = Source { repository: None, commit: None, path: "x".into(), dirty: true };
    let order =
        Order { bundle: other.bundle(), source, allow_large_change: false, degraded: false };
    let result = apply(&http, &script.key, &views, None, &order, &mut |_| {}).await;
    assert!(matches!(result, Err(ApplyError::DropsSigner { .. })), "{result:?}");
    assert!(!script.net.log().contains("POST"));
}
