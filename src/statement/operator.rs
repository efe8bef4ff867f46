//! Commands of operators: signed, for one pair, taken once.

use serde::{Deserialize, Serialize};

use crate::measure::{Span, Timestamp};
use crate::name::{LeaseId, PairName, ServerName};

use super::StatementError;
use super::signed::{from_bytes, to_bytes};

/// How long a command may be taken after it was signed; its nonce is remembered as long.
const LIFETIME: Span = Span::from_secs(600);

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorStatement {
    /// The pair that is to do it.
    pub pair: PairName,
    /// Fresh random text: a command is taken once.
    pub nonce: String,
    /// When it was signed, by the operator's clock.
    pub at: Timestamp,
    /// Until when it may be taken.
    pub expires: Timestamp,
    /// What is to be done.
    pub order: Order,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A server is dead, by the operator's word: what waits for it goes on.
    Fence {
        /// The dead server.
        server: ServerName,
    },
    /// Service moves to a server.
    Handover {
        /// The server that is to serve.
        server: ServerName,
    },
    /// A lease ends, whoever holds it.
    Release {
        /// The lease.
        lease: LeaseId,
        /// Why, for its holder and the history.
        reason: String,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Type {
    #[serde(rename = "tandem-fence/v1")]
    Fence,
    #[serde(rename = "tandem-handover/v1")]
    Handover,
    #[serde(rename = "tandem-release/v1")]
    Release,
}

/// The command as it is written: which of the last three fields there are depends on its type.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    r#type: Type,
    pair: PairName,
    nonce: String,
    at: Timestamp,
    expires: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl OperatorStatement {
    /// A command signed at `at`.
    #[must_use]
    pub fn new(pair: PairName, nonce: String, at: Timestamp, order: Order) -> Self {
        Self { pair, nonce, at, expires: at + LIFETIME, order }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (r#type, server, lease, reason) = match self.order.clone() {
            Order::Fence { server } => (Type::Fence, Some(server), None, None),
            Order::Handover { server } => (Type::Handover, Some(server), None, None),
            Order::Release { lease, reason } => (Type::Release, None, Some(lease), Some(reason)),
        };
        to_bytes(&Form {
            r#type,
            pair: self.pair.clone(),
            nonce: self.nonce.clone(),
            at: self.at,
            expires: self.expires,
            server,
            lease,
            reason,
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        let form: Form = from_bytes(bytes)?;
        let malformed = |problem| Err(StatementError::Malformed { problem });
        if !is_nonce(&form.nonce) {
            return malformed("`nonce` is not 16 to 128 printable characters");
        }
        if form.expires <= form.at || form.expires.since(form.at) > LIFETIME {
            return malformed("`expires` is not within 10 minutes after `at`");
        }
        let order = match (form.r#type, form.server, form.lease, form.reason) {
            (Type::Fence, Some(server), None, None) => Order::Fence { server },
            (Type::Handover, Some(server), None, None) => Order::Handover { server },
            (Type::Release, None, Some(lease), Some(reason)) => Order::Release { lease, reason },
            _ => return malformed("its fields are not those of its type"),
        };
        let Form { pair, nonce, at, expires, .. } = form;
        Ok(Self { pair, nonce, at, expires, order })
    }
}

/// Whether a text can be a nonce: long enough to be random, short enough to be remembered.
pub(super) fn is_nonce(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(order: Order) -> OperatorStatement {
        let pair = PairName::new("studio-west").expect("a valid name");
        let at = "2026-06-01T10:00:00Z".parse().expect("a valid time");
        OperatorStatement::new(pair, "0123456789abcdef".to_owned(), at, order)
    }

    fn fence() -> OperatorStatement {
        statement(Order::Fence { server: ServerName::new("lic-a").expect("a valid name") })
    }

    #[test]
    fn commands_are_canonical_json() {
        let lease = LeaseId::new("0190b5f6-1").expect("a valid id");
        let release = statement(Order::Release { lease, reason: "ana left".to_owned() });
        for command in [fence(), release.clone()] {
            assert_eq!(OperatorStatement::from_bytes(&command.to_bytes()), Ok(command));
        }
        let text = |command: OperatorStatement| String::from_utf8(command.to_bytes());
        insta::assert_snapshot!(text(fence()).expect("UTF-8"), @r#"{"at":"2026-06-01T10:00:00.000Z","expires":"2026-06-01T10:10:00.000Z","nonce":"0123456789abcdef","pair":"studio-west","server":"lic-a","type":"tandem-fence/v1"}"#);
        insta::assert_snapshot!(text(release).expect("UTF-8"), @r#"{"at":"2026-06-01T10:00:00.000Z","expires":"2026-06-01T10:10:00.000Z","lease":"0190b5f6-1","nonce":"0123456789abcdef","pair":"studio-west","reason":"ana left","type":"tandem-release/v1"}"#);
    }

    #[test]
    fn fields_of_another_type_and_short_nonces_are_refused() {
        let text = String::from_utf8(fence().to_bytes()).expect("UTF-8");
        for (from, to) in [("tandem-fence", "tandem-release"), ("0123456789abcdef", "0123")] {
            let edited = text.replace(from, to);
            assert_ne!(edited, text);
            assert!(matches!(
                OperatorStatement::from_bytes(edited.as_bytes()),
                Err(StatementError::Malformed { .. })
            ));
        }
        let unknown = text.replace("tandem-fence", "tandem-pause");
        assert!(OperatorStatement::from_bytes(unknown.as_bytes()).is_err());
    }
}
