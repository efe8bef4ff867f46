//! Signed HTTP requests: the header `Tandem-Signature: base64(JSON).base64(SSHSIG blob)`.
//!
//! A signature is for one request at one server at one time. Whether the key may do what is asked, and that the
//! nonce was not taken before, is the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::measure::{Span, Timestamp};
use crate::name::ServerName;

use super::operator::is_nonce;
use super::signed::{from_bytes, to_bytes};
use super::{Namespace, OperatorKey, SignError, Signs, StatementError, sshsig};

/// How far a request's time may be from the server's; a nonce is remembered until its `at` and this.
pub const REQUEST_AGE_MAX: Span = Span::from_secs(60);
/// The most characters the header's value may have.
const HEADER_MAX: usize = 16 * 1024;

/// The request that is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, for example `GET`.
    pub method: &'a str,
    /// The path with its query, as it stands in the request line.
    pub path: &'a str,
    /// The body's bytes; empty where there is none.
    pub body: &'a [u8],
    /// The server that is asked, by its name.
    pub server: &'a ServerName,
}

/// Who signed a request, proven but not yet trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// The key that signed; the caller looks it up among operators and users.
    pub key: OperatorKey,
    /// The nonce, to be taken once.
    pub nonce: String,
    /// When it was signed, by the client's clock.
    pub at: Timestamp,
}

/// Why a request's signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The header is not `base64(JSON).base64(SSHSIG blob)`.
    #[error("the header `Tandem-Signature` is not base64 of JSON, `.` and base64 of a signature")]
    Header,
    /// What is signed is not in the form of a request.
    #[error("the signed request is not in its form: {0}")]
    Form(StatementError),
    /// The signature is none over what the header says.
    #[error("the signature in `Tandem-Signature` does not verify")]
    BadSignature,
    /// Another request was signed.
    #[error("`Tandem-Signature` is for another {what}")]
    Other {
        /// What differs: `method`, `path`, `body` or `server`.
        what: &'static str,
    },
    /// It was signed at another time.
    #[error("the request was signed at {at}, and it is {now} here: check both clocks")]
    Time {
        /// When, by the client's clock.
        at: Timestamp,
        /// The time here.
        now: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
enum Type {
    #[serde(rename = "tandem-request/v1")]
    V1,
}

/// What is signed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    r#type: Type,
    method: String,
    path: String,
    body: String,
    server: ServerName,
    nonce: String,
    at: Timestamp,
}

/// The value of the header for a request. The nonce is 16 to 128 fresh random characters.
///
/// # Errors
/// The key did not sign.
pub fn sign_request(
    key: &dyn Signs,
    request: &Request<'_>,
    nonce: &str,
    at: Timestamp,
) -> Result<String, SignError> {
    let form = to_bytes(&Form {
        r#type: Type::V1,
        method: request.method.to_owned(),
        path: request.path.to_owned(),
        body: hash(request.body),
        server: request.server.clone(),
        nonce: nonce.to_owned(),
        at,
    });
    let armored = key.sign(Namespace::Request, &form)?;
    let blob = sshsig::blob(&armored).ok_or_else(|| SignError {
        fingerprint: key.public().fingerprint(),
        problem: "it gave no armored SSH signature".to_owned(),
    })?;
    Ok(format!("{}.{}", STANDARD.encode(form), STANDARD.encode(blob)))
}

/// Who signed a request, from the value of its header.
///
/// # Errors
/// The header is malformed, does not verify, is about another request, or more than [`REQUEST_AGE_MAX`] from `now`.
pub fn verify_request(
    header: &str,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<SignedRequest, RequestError> {
    if header.len() > HEADER_MAX {
        return Err(RequestError::Header);
    }
    let (form, blob) = header.split_once('.').ok_or(RequestError::Header)?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| RequestError::Header);
    let (message, blob) = (decode(form)?, decode(blob)?);
    let key = sshsig::verify(Namespace::Request, &message, &sshsig::armor(&blob))
        .ok_or(RequestError::BadSignature)?;
    let form: Form = from_bytes(&message).map_err(RequestError::Form)?;
    if !is_nonce(&form.nonce) {
        let problem = "`nonce` is not 16 to 128 printable characters";
        return Err(RequestError::Form(StatementError::Malformed { problem }));
    }
    let same = [
        ("method", form.method == request.method),
        ("path", form.path == request.path),
        ("body", form.body == hash(request.body)),
        ("server", form.server == *request.server),
    ];
    if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(RequestError::Other { what });
    }
    if form.at.since(now) > REQUEST_AGE_MAX || now.since(form.at) > REQUEST_AGE_MAX {
        return Err(RequestError::Time { at: form.at, now });
    }
    Ok(SignedRequest { key: OperatorKey::proven(key), nonce: form.nonce, at: form.at })
}

/// `sha256:` and the hex of a body's hash.
fn hash(body: &[u8]) -> String {
    crate::name::BundleHash::of(body).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::MemoryKey;
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    fn at() -> Timestamp {
        "2026-06-01T10:00:00Z".parse().expect("a valid time")
    }

    #[test]
    fn a_signature_is_for_one_request_at_one_server_at_one_time() {
        let key = MemoryKey::from_seed([1; 32], "ana");
        let (here, there) = (
            ServerName::new("lic-a").expect("a valid name"),
            ServerName::new("lic-b").expect("a valid name"),
        );
        let request =
            Request { method: "GET", path: "/v1/leases?user=ana", body: b"", server: &here };
        let header = sign_request(&key, &request, NONCE, at()).expect("signed");
        let verify = |request: &Request<'_>, now| verify_request(&header, request, now);
        let who = SignedRequest { key: key.public().clone(), nonce: NONCE.to_owned(), at: at() };
        assert_eq!(verify(&request, at() + REQUEST_AGE_MAX), Ok(who.clone()));
        assert_eq!(verify(&request, at() - REQUEST_AGE_MAX), Ok(who));

        let other = |request: Request<'_>| verify(&request, at()).expect_err("refused");
        let differs = |what| RequestError::Other { what };
        assert_eq!(other(Request { method: "DELETE", ..request }), differs("method"));
        assert_eq!(other(Request { path: "/v1/leases", ..request }), differs("path"));
        assert_eq!(other(Request { body: b"{}", ..request }), differs("body"));
        assert_eq!(other(Request { server: &there, ..request }), differs("server"));
        for now in [at() + Span::from_ms(60_001), at() - Span::from_ms(60_001)] {
            assert_eq!(verify(&request, now), Err(RequestError::Time { at: at(), now }));
        }
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        let server = ServerName::new("lic-a").expect("a valid name");
        let request = Request { method: "GET", path: "/", body: b"", server: &server };
        for header in ["", ".", "a.b", "e30=", "e30=.AAAA", "e30=.AAAA.AAAA"] {
            assert!(verify_request(header, &request, at()).is_err(), "{header}");
        }
        let long = "A".repeat(HEADER_MAX + 1);
        assert_eq!(verify_request(&long, &request, at()), Err(RequestError::Header));
    }
}
