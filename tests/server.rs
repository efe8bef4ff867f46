//! One server's HTTP, through a real socket: what hostile and mistaken clients get.
#![expect(clippy::expect_used, reason = "tests")]

#[path = "support/servers.rs"]
#[expect(dead_code, reason = "this test needs one server of the pair's support")]
mod servers;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use hyper::Method;
use serde_json::{Value, json};

use servers::TestServer;

/// Sends bytes as they are and reads until the server closes or the answer is whole.
fn raw(server: &TestServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            length.is_some_and(|length| body.len() >= length)
        });
        if count == 0 || whole {
            return text.into_owned();
        }
    }
}

/// The same, away from the runtime's thread.
async fn ask(server: &TestServer, request: String) -> String {
    tokio::task::block_in_place(|| raw(server, &request))
}

fn code(answer: &str) -> (u16, String) {
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_host_is_refused() {
    let server = TestServer::start("lic-a").await;
    for host in ["127.0.0.1", "localhost:4820", "[::1]:99", "LIC-A"] {
        let answer = ask(&server, format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(code(&answer).0, 200, "{host}: {answer}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1"] {
        let answer = ask(&server, format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(code(&answer), (400, "invalid-request".to_owned()), "{host}: {answer}");
    }
    let answer = ask(&server, "GET /healthz HTTP/1.0\r\n\r\n".to_owned()).await;
    assert_eq!(code(&answer).0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_tells_nothing_of_the_machine_and_every_error_is_a_problem() {
    let server = TestServer::start("lic-a").await;
    let answer = ask(&server, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()).await;
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head.lines().map(str::to_lowercase).collect();
    lines.sort();
    let length = lines.iter().position(|line| line.starts_with("content-length"));
    lines.remove(length.expect("a length"));
    assert_eq!(
        lines,
        [
            "cache-control: no-store",
            "content-type: application/problem+json",
            "http/1.1 404 not found"
        ]
    );
    assert_eq!(
        server.send(Method::DELETE, "/v1/status", &[], None).await.code(),
        (405, "method-not-allowed")
    );
    assert_eq!(server.get("/v1/history").await.code(), (404, "not-found"));
    assert_eq!(server.get("/v1/peer").await.code(), (400, "invalid-request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_strict_json_of_a_known_shape() {
    let server = TestServer::start("lic-a").await;
    let good = json!({"product": "designer", "user": "ana", "host": "ws-1"});
    assert_eq!(server.post("/v1/leases", &good).await.code(), (503, "unconfigured"));
    for (key, value) in [
        ("waitMs", json!(-1)),
        ("borrowMs", json!("7d")),
        ("ticket", json!(7)),
        ("seats", json!(0)),
        ("seats", json!(-1)),
        ("seats", Value::Null),
        ("user", json!("a*")),
        ("user", json!("")),
        ("use", json!("a b")),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert_eq!(server.post("/v1/leases", &bad).await.code(), (400, "invalid-request"), "{bad}");
    }
    let post = async |kind: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        code(&ask(&server, request).await)
    };
    let invalid = (400, "invalid-request".to_owned());
    let twice = r#"{"product":"p","product":"p","user":"u","host":"h"}"#;
    assert_eq!(post("application/json", twice).await, invalid);
    assert_eq!(post("application/json", &"[".repeat(10_000)).await, invalid);
    assert_eq!(post("application/json; charset=utf-8", "nonsense").await, invalid);
    assert_eq!(post("text/plain", "{}").await, (415, "unsupported-media-type".to_owned()));
    let large = format!("\"{}\"", "x".repeat(70_000));
    assert_eq!(post("application/json", &large).await, (413, "too-large".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_touched_only_with_its_token() {
    let server = TestServer::start("lic-a").await;
    let put = async |headers: &[(&str, &str)]| {
        server.send(Method::PUT, "/v1/leases/x", headers, None).await.code().1.to_owned()
    };
    assert_eq!(put(&[]).await, "unauthenticated");
    assert_eq!(put(&[("Authorization", "Basic eDp5")]).await, "unauthenticated");
    assert_eq!(put(&[("Authorization", "Bearer a.b.c")]).await, "unauthenticated");
    let long = format!("Bearer {}", "a".repeat(20_000));
    assert_eq!(put(&[("Authorization", &long)]).await, "unauthenticated");
    let signed = [("Tandem-Signature", "nonsense")];
    let refused = server.send(Method::GET, "/v1/leases", &signed, None).await;
    assert_eq!(refused.code(), (403, "untrusted-operator"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_staged_where_it_is_not_even_a_statement() {
    let server = TestServer::start("lic-a").await;
    let stage = json!({"statement": "AAAA", "signature": "x", "bundle": "AAAA"});
    let refused = server.post("/v1/config/stage", &stage).await;
    assert_eq!(refused.code(), (403, "untrusted-operator"), "{refused:?}");
    let stage = json!({"statement": "A".repeat(400_000), "signature": "x", "bundle": ""});
    assert_eq!(server.post("/v1/config/stage", &stage).await.code(), (413, "too-large"));
    let hash = format!("sha256:{}", "0".repeat(64));
    let commit = json!({"stage": "x", "bundle": hash, "generation": 1});
    assert_eq!(server.post("/v1/config/commit", &commit).await.code(), (404, "unknown-stage"));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_peers_door_are_turned_away() {
    let server = TestServer::start("lic-a").await;
    for said in ["", "\0\0\0\u{4}null", "\u{7f}\u{7f}\u{7f}\u{7f}", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        let head = "GET /v1/peer HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: tandem-peer/1\r\n\r\n";
        stream.write_all(format!("{head}{said}").as_bytes()).expect("written");
        drop(stream);
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_stream_of_events() {
    let mut server = TestServer::start("lic-a").await;
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    let mut head = [0; 12];
    tokio::task::block_in_place(|| stream.read_exact(&mut head)).expect("a head");
    assert_eq!(&head, b"HTTP/1.1 200");
    server.stop().await;
    let mut rest = String::new();
    tokio::task::block_in_place(|| stream.read_to_string(&mut rest)).expect("an end");
    assert!(rest.contains("text/event-stream"), "{rest}");
}
