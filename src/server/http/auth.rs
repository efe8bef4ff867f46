//! Who asks: operators by the signature of their request, holders by the token of their lease.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Method, Uri, header};

use super::App;
use super::problem::invalid;
use crate::api::token::{self, TokenError};
use crate::api::{Problem, ProblemCode};
use crate::bundle::Config;
use crate::manifest::types::Visibility;
use crate::measure::{Span, Timestamp};
use crate::name::LeaseId;
use crate::pair::Token;
use crate::server::view::View;
use crate::statement::{Keyring, OperatorKey, REQUEST_AGE_MAX, Request, verify_request};

/// The header of a signed request.
const SIGNATURE: &str = "tandem-signature";
/// How many nonces are remembered.
const NONCES_MAX: usize = 100_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// An operator.
    Operator(OperatorKey),
    /// Anybody.
    Anybody,
}

impl Caller {
    /// Whether names of holders may be shown.
    pub(super) fn sees_names(&self, config: Option<&Config>) -> bool {
        matches!(self, Self::Operator(_))
            || config.is_some_and(|config| config.visibility == Visibility::Open)
    }

    /// Whether it is an operator.
    pub(super) const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator(_))
    }
}

/// The nonces of signed requests, each taken once.
#[derive(Default)]
pub(super) struct Nonces(Mutex<BTreeMap<String, Timestamp>>);

impl Nonces {
    /// Takes a nonce. False when it was taken before, or too many are remembered.
    fn take(&self, nonce: String, at: Timestamp, now: Timestamp) -> bool {
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= NONCES_MAX {
            nonces.retain(|_, until| *until >= now);
        }
        // Twice the age: a clock that is set back does not bring a nonce back.
        let until = at + REQUEST_AGE_MAX + REQUEST_AGE_MAX;
        match nonces.get(&nonce) {
            Some(_) => false,
            None if nonces.len() >= NONCES_MAX => false,
            None => nonces.insert(nonce, until).is_none(),
        }
    }
}

/// Whose signatures a server takes now.
pub(super) fn keyring(view: &View, trust: &[OperatorKey]) -> Keyring {
    let committed = view.committed.as_ref();
    let operators = committed.map(|config| &config.bundle.manifest().trust.operators);
    Keyring::new(operators.map_or(&[], Vec::as_slice), trust)
}

impl App {
    /// Who sent a request. One with no signature is anybody's; one with a wrong signature is refused.
    pub(super) fn caller(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Caller, Problem> {
        let Some(header) = headers.get(SIGNATURE) else { return Ok(Caller::Anybody) };
        let header = header.to_str().map_err(|_| invalid("`Tandem-Signature` is not text"))?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = Request { method: method.as_str(), path, body, server: &self.parts.name };
        let now = self.wall();
        let untrusted = |detail| Problem::new(ProblemCode::UntrustedOperator, detail);
        let signed =
            verify_request(header, &request, now).map_err(|error| untrusted(error.to_string()))?;
        let keyring = keyring(&*self.view()?, &self.parts.trust);
        let Some(operator) = keyring.find(&signed.key) else {
            let fingerprint = signed.key.fingerprint();
            return Err(untrusted(format!("{fingerprint} is not an operator's key here")));
        };
        if !self.nonces.take(signed.nonce, signed.at, now) {
            return Err(untrusted("this signed request was sent before: sign it anew".to_owned()));
        }
        Ok(Caller::Operator(operator.clone()))
    }

    /// The lease token of a request for this lease.
    pub(super) fn token(
        &self,
        headers: &HeaderMap,
        id: &LeaseId,
        from: IpAddr,
    ) -> Result<Token, Problem> {
        let unauthenticated = |detail: &str| Problem::new(ProblemCode::Unauthenticated, detail);
        let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
            unauthenticated("send the lease's token as `Authorization: Bearer TOKEN`")
        })?;
        let text = header.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let text = text.ok_or_else(|| unauthenticated("`Authorization` is not `Bearer TOKEN`"))?;
        let view = self.view()?;
        let own = self.parts.identity.public();
        let keys = [Some((self.kid.as_str(), &own))]
            .into_iter()
            .chain([view.peer_key.as_ref().map(|(kid, key)| (kid.as_str(), key))])
            .flatten();
        let identity = &self.parts.identity;
        let claims = token::verify(text, keys, |key, message, signature| {
            identity.verify(key, message, signature)
        })
        .map_err(|error: TokenError| unauthenticated(&error.to_string()))?;
        if claims.jti != *id {
            return Err(unauthenticated("the token is another lease's"));
        }
        Ok(Token {
            lease: claims.jti,
            use_id: claims.use_id,
            product: claims.aud,
            user: claims.sub,
            host: claims.host,
            seats: claims.seats,
            issued: Timestamp::from_ms(claims.iat.saturating_mul(1000)),
            address: from,
        })
    }
}

/// After how long an address that asked too often may ask again.
pub(super) const ASK_LESS: Span = Span::from_secs(1);
