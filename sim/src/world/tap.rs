//! Reads along on a client's HTTP connection: which requests went out and which answers came in.
//!
//! It sees bytes alone, so the history is what passed the wire and not what the client library made of it. It knows
//! the routes of `/v1`; anything else is noted by method and path.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::history::{Ask, Lease, Said};
use crate::trace::digest;

/// What is read along on one connection.
#[derive(Debug, Default)]
pub struct Tap {
    sent: Vec<u8>,
    received: Vec<u8>,
    /// Bodies without a known length, or another protocol: nothing to read any more.
    done: bool,
}

/// An answer as it came in.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The problem's code.
    pub code: Option<String>,
    /// The lease.
    pub lease: Option<Lease>,
    /// What the server said of itself.
    pub server: Option<Said>,
}

/// One message: its first line, its bearer token, its body.
struct Message {
    first: String,
    bearer: Option<String>,
    body: Vec<u8>,
}

impl Tap {
    /// Takes bytes that the client sent; gives the requests that are complete now.
    pub fn sent(&mut self, bytes: &[u8]) -> Vec<Ask> {
        if self.done {
            return Vec::new();
        }
        self.sent.extend_from_slice(bytes);
        let mut asks = Vec::new();
        while let Some(message) = self.take(false) {
            asks.push(ask(&message));
        }
        asks
    }

    /// Takes bytes that the client received; gives the answers that are complete now.
    pub fn received(&mut self, bytes: &[u8]) -> Vec<Answer> {
        if self.done {
            return Vec::new();
        }
        self.received.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while let Some(message) = self.take(true) {
            answers.push(answer(&message));
        }
        answers
    }

    fn take(&mut self, answer: bool) -> Option<Message> {
        let buffer = if answer { &mut self.received } else { &mut self.sent };
        let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next()?.to_owned();
        let (mut length, mut bearer, mut chunked) = (0, None, false);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => bearer = value.strip_prefix("Bearer ").map(str::to_owned),
                "transfer-encoding" => chunked = true,
                _ => {}
            }
        }
        if chunked || (answer && first.contains(" 101 ")) {
            self.done = true;
            return answer.then_some(Message { first, bearer, body: Vec::new() });
        }
        let body = buffer.get(end..end + length)?.to_vec();
        buffer.drain(..end + length);
        Some(Message { first, bearer, body })
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// The claims of a token, unverified: a client's history is about what it holds.
fn claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn ask(message: &Message) -> Ask {
    let mut words = message.first.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let body: Value = serde_json::from_slice(&message.body).unwrap_or(Value::Null);
    let usage =
        || message.bearer.as_deref().and_then(claims).and_then(|claims| text(&claims, "use"));
    let lease = path.strip_prefix("/v1/leases/").map(|rest| rest.split('?').next().unwrap_or(rest));
    match (method, lease) {
        ("POST", None) if path == "/v1/leases" => Ask::Checkout {
            product: text(&body, "product").unwrap_or_default(),
            user: text(&body, "user").unwrap_or_default(),
            host: text(&body, "host").unwrap_or_default(),
            usage: text(&body, "use"),
            seats: number(&body, "seats").and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            wait_ms: number(&body, "waitMs"),
            borrow: number(&body, "borrowMs").is_some(),
        },
        ("PUT", Some(lease)) => Ask::Renew { lease: lease.to_owned(), usage: usage() },
        ("DELETE", Some(lease)) => Ask::Release { lease: lease.to_owned(), usage: usage() },
        ("POST", None) if path == "/v1/config/stage" => {
            let bundle = text(&body, "bundle").and_then(|text| STANDARD.decode(text).ok());
            Ask::Stage { bundle: digest(&bundle.unwrap_or_default()) }
        }
        ("POST", None) if path == "/v1/config/commit" => Ask::Commit {
            bundle: text(&body, "bundle").unwrap_or_default(),
            generation: number(&body, "generation").unwrap_or(0),
        },
        _ => Ask::Other { what: format!("{method} {path}") },
    }
}

fn answer(message: &Message) -> Answer {
    let status = message.first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body: Value = serde_json::from_slice(&message.body).unwrap_or(Value::Null);
    Answer { status, code: text(&body, "code"), lease: lease(&body), server: said(&body) }
}

fn lease(body: &Value) -> Option<Lease> {
    let claims = claims(&text(body, "token")?)?;
    let licenses = claims.get("licenses").and_then(Value::as_array);
    let licenses = licenses.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Some(Lease {
        id: text(body, "id")?,
        usage: text(body, "use").or_else(|| text(&claims, "use"))?,
        product: text(body, "product")?,
        seats: number(body, "seats").and_then(|n| u32::try_from(n).ok())?,
        server: text(body, "server")?,
        epoch: number(body, "epoch")?,
        ttl_ms: number(body, "ttlMs")?,
        licenses: licenses.collect(),
        borrowed: text(body, "borrowedUntil").is_some(),
    })
}

fn said(body: &Value) -> Option<Said> {
    Some(Said {
        state: text(body, "state")?,
        generation: number(body, "generation")?,
        bundle: text(body, "bundle"),
        paired: body.pointer("/peer/paired").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_read_whatever_the_pieces() {
        let body = r#"{"product":"designer","user":"ana","host":"ws-1","use":"u1"}"#;
        let request = format!(
            "POST /v1/leases HTTP/1.1\r\nhost: lic-a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let two = request.repeat(2);
        for piece in [1, 7, 1000] {
            let mut tap = Tap::default();
            let asks: Vec<_> =
                two.as_bytes().chunks(piece).flat_map(|bytes| tap.sent(bytes)).collect();
            let ask = Ask::Checkout {
                product: "designer".into(),
                user: "ana".into(),
                host: "ws-1".into(),
                usage: Some("u1".into()),
                seats: 1,
                wait_ms: None,
                borrow: false,
            };
            assert_eq!(asks, [ask.clone(), ask]);
        }
    }

    #[test]
    fn a_lease_says_what_its_token_says() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"use":"u1","licenses":["L1"]}"#);
        let body = format!(
            r#"{{"id":"x","use":"u1","product":"designer","seats":1,"server":"lic-a","epoch":1,"ttlMs":300000,"token":"e30.{claims}.c2ln"}}"#
        );
        let mut tap = Tap::default();
        let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len());
        assert_eq!(tap.received(head.as_bytes()), []);
        let answers = tap.received(body.as_bytes());
        let lease = answers.first().and_then(|answer| answer.lease.clone()).expect("a lease");
        assert_eq!((answers[0].status, lease.licenses), (201, vec!["L1".to_owned()]));

        let renew =
            format!("PUT /v1/leases/x HTTP/1.1\r\nauthorization: Bearer e30.{claims}.c2ln\r\n\r\n");
        let asks = tap.sent(renew.as_bytes());
        assert_eq!(asks, [Ask::Renew { lease: "x".into(), usage: Some("u1".into()) }]);
    }

    #[test]
    fn a_refusal_says_its_code() {
        let body = r#"{"type":"urn:tandem:problem:standby","status":503,"code":"standby"}"#;
        let text = format!("HTTP/1.1 503 S\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answers = Tap::default().received(text.as_bytes());
        assert_eq!(answers[0].status, 503);
        assert_eq!(answers[0].code.as_deref(), Some("standby"));
    }
}
