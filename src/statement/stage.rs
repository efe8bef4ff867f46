//! What a server asks of a statement before it looks at what the statement is about.
//!
//! In this order: size, signature, pair and generation, then the bundle (formats.md, "Hostile input"), so that a
//! stranger costs a server one signature and no more.

use crate::bundle::Bundle;
use crate::measure::{Generation, Span, Timestamp};
use crate::name::{BundleHash, PairName, ServerName};

use super::{
    ApplyStatement, Keyring, OperatorKey, OperatorStatement, SignedStatement, StatementError,
};

/// How far an operator's clock may be ahead of a server's.
const AHEAD_MAX: Span = Span::from_secs(600);

/// A statement that was found good for this server now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it says.
    pub statement: ApplyStatement,
    /// Who signed it.
    pub operator: OperatorKey,
    /// The generation of this server that it stands on.
    pub base: Generation,
}

/// Why a statement, or the bundle with it, is refused. Each has a problem code of formats.md.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// It is not believed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It is for another pair.
    #[error("the statement is for the pair `{named}`, but this server belongs to `{own}`")]
    WrongPair {
        /// The pair it names.
        named: PairName,
        /// The pair of this server.
        own: PairName,
    },
    /// It does not stand on what this server runs.
    #[error("the statement {}: plan and apply again", stands_on(server, *named, *own))]
    GenerationConflict {
        /// This server.
        server: ServerName,
        /// The generation that the statement names for this server; none where it leaves it out.
        named: Option<Generation>,
        /// What this server runs.
        own: Generation,
    },
    /// Its time is over.
    #[error(
        "the statement expired at {expires}, and it is {now} here: apply again, and check both clocks"
    )]
    Expired {
        /// When it expired.
        expires: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// It is from the future.
    #[error("the statement was signed at {at}, and it is {now} here: check both clocks")]
    TooEarly {
        /// When it was signed, by the operator's clock.
        at: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The bundle is not the one that was signed.
    #[error("the statement is about the bundle {signed}, but {given} came with it")]
    OtherBundle {
        /// The bundle it is about.
        signed: BundleHash,
        /// The bundle that came.
        given: BundleHash,
    },
    /// The bundle says otherwise than the statement.
    #[error("the statement and its bundle differ in {what}")]
    Differs {
        /// In what.
        what: &'static str,
    },
    /// The bundle does not have this server.
    #[error("the bundle has no server `{server}`: it is not for this one")]
    NotHere {
        /// This server.
        server: ServerName,
    },
}

fn stands_on(server: &ServerName, named: Option<Generation>, own: Generation) -> String {
    match named {
        Some(named) => {
            format!("stands on generation {named} of `{server}`, which runs generation {own}")
        }
        None => format!("leaves out `{server}`, which runs generation {own}"),
    }
}

impl StageError {
    /// The problem code (formats.md, "HTTP"). A statement that is late or early, or whose bundle is another, is
    /// `refused`: who signed it is trusted, and signing anew mends it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Statement(StatementError::TooLarge { .. }) => "too-large",
            Self::Statement(StatementError::NoTrust) => "no-trust",
            Self::Statement(
                StatementError::BadSignature { .. }
                | StatementError::Untrusted { .. }
                | StatementError::OtherOperator { .. },
            ) => "untrusted-operator",
            Self::Statement(
                StatementError::Json(_)
                | StatementError::Malformed { .. }
                | StatementError::NotCanonical,
            ) => "invalid-request",
            Self::WrongPair { .. } => "wrong-pair",
            Self::GenerationConflict { .. } => "generation-conflict",
            Self::Expired { .. }
            | Self::TooEarly { .. }
            | Self::OtherBundle { .. }
            | Self::Differs { .. }
            | Self::NotHere { .. } => "refused",
        }
    }
}

/// Judges a statement about a bundle at the server `server`, which belongs to `pair` and runs `own`.
///
/// # Errors
/// The first that is wrong, in the order of the module's description.
pub fn judge_apply(
    signed: &SignedStatement,
    keyring: &Keyring,
    pair: Option<&PairName>,
    server: &ServerName,
    own: Generation,
    now: Timestamp,
) -> Result<Accepted, StageError> {
    let (statement, operator) = signed.verify(keyring)?;
    check_pair(&statement.pair, pair)?;
    let named = statement.base.get(server).copied();
    if named != Some(own) {
        return Err(StageError::GenerationConflict { server: server.clone(), named, own });
    }
    check_time(statement.at, statement.expires, now)?;
    Ok(Accepted { statement, operator, base: own })
}

/// Judges an operator's command at a server that belongs to `pair`. Its nonce is the caller's to take once.
///
/// # Errors
/// The first that is wrong: size, signature, pair, time.
pub fn judge_operator(
    signed: &SignedStatement,
    keyring: &Keyring,
    pair: &PairName,
    now: Timestamp,
) -> Result<(OperatorStatement, OperatorKey), StageError> {
    let (statement, operator) = signed.verify_operator(keyring)?;
    check_pair(&statement.pair, Some(pair))?;
    check_time(statement.at, statement.expires, now)?;
    Ok((statement, operator))
}

fn check_pair(named: &PairName, own: Option<&PairName>) -> Result<(), StageError> {
    match own {
        Some(own) if own != named => {
            Err(StageError::WrongPair { named: named.clone(), own: own.clone() })
        }
        _ => Ok(()),
    }
}

fn check_time(at: Timestamp, expires: Timestamp, now: Timestamp) -> Result<(), StageError> {
    if now >= expires {
        Err(StageError::Expired { expires, now })
    } else if at > now + AHEAD_MAX {
        Err(StageError::TooEarly { at, now })
    } else {
        Ok(())
    }
}

impl Accepted {
    /// Whether a bundle is the one that was signed, for this server.
    ///
    /// # Errors
    /// It has another hash, pair or operators than the statement says, or no server of this name.
    pub fn check_bundle(&self, bundle: &Bundle, server: &ServerName) -> Result<(), StageError> {
        check_bundle(&self.statement, bundle)?;
        if bundle.manifest().servers.iter().any(|known| known.name == *server) {
            Ok(())
        } else {
            Err(StageError::NotHere { server: server.clone() })
        }
    }
}

impl ApplyStatement {
    /// Whether a bundle is the one that the statement is about.
    ///
    /// # Errors
    /// It has another hash, pair or operators than the statement says.
    pub fn check_bundle(&self, bundle: &Bundle) -> Result<(), StageError> {
        check_bundle(self, bundle)
    }
}

fn check_bundle(statement: &ApplyStatement, bundle: &Bundle) -> Result<(), StageError> {
    let (signed, given) = (statement.bundle, bundle.hash());
    if signed != given {
        return Err(StageError::OtherBundle { signed, given });
    }
    let manifest = bundle.manifest();
    if statement.pair != manifest.metadata.name {
        return Err(StageError::Differs { what: "the pair's name" });
    }
    if statement.operators != manifest.trust.operators {
        return Err(StageError::Differs { what: "the operators" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::statement;
    use super::super::{MemoryKey, Order, Signs as _};
    use super::*;
    use crate::bundle::fixture;

    fn key() -> MemoryKey {
        MemoryKey::from_seed([1; 32], "ana")
    }

    fn ring() -> Keyring {
        Keyring::new(&[], &[key().public().clone()])
    }

    fn signed() -> SignedStatement {
        SignedStatement::sign_apply(statement(), &key()).expect("signed")
    }

    fn judge(
        pair: Option<&str>,
        server: &str,
        own: u64,
        now: Timestamp,
    ) -> Result<Accepted, StageError> {
        let pair = pair.map(|pair| PairName::new(pair).expect("a valid name"));
        let server = ServerName::new(server).expect("a valid name");
        judge_apply(&signed(), &ring(), pair.as_ref(), &server, Generation(own), now)
    }

    #[test]
    fn each_server_compares_its_own_entry() {
        let at = statement().at;
        assert!(judge(Some("Studio-West"), "lic-a", 7, at).is_ok());
        assert!(judge(None, "lic-b", 6, at).is_ok());
        let conflict = |server: &str, named: Option<u64>, own| {
            let server = ServerName::new(server).expect("a valid name");
            let named = named.map(Generation);
            Err(StageError::GenerationConflict { server, named, own: Generation(own) })
        };
        assert_eq!(judge(None, "lic-a", 8, at), conflict("lic-a", Some(7), 8));
        assert_eq!(judge(None, "lic-c", 0, at), conflict("lic-c", None, 0));
        insta::assert_snapshot!(judge(None, "lic-c", 0, at).expect_err("refused"), @"the statement leaves out `lic-c`, which runs generation 0: plan and apply again");
    }

    #[test]
    fn a_statement_for_another_pair_is_refused_before_its_generation_is_looked_at() {
        let refused = judge(Some("studio-east"), "lic-a", 1, statement().at).expect_err("refused");
        assert_eq!(refused.code(), "wrong-pair");
    }

    #[test]
    fn a_statement_has_its_time() {
        let (at, expires) = (statement().at, statement().expires);
        assert!(judge(None, "lic-a", 7, at - AHEAD_MAX).is_ok());
        assert!(judge(None, "lic-a", 7, expires - Span::from_ms(1)).is_ok());
        let late = judge(None, "lic-a", 7, expires);
        assert_eq!(late, Err(StageError::Expired { expires, now: expires }));
        let now = at - AHEAD_MAX - Span::from_ms(1);
        assert_eq!(judge(None, "lic-a", 7, now), Err(StageError::TooEarly { at, now }));
    }

    #[test]
    fn the_bundle_is_the_one_that_was_signed() {
        let (bundle, other) = (
            fixture::bundle(fixture::MANIFEST),
            fixture::bundle(&fixture::MANIFEST.replace("ttl: 5m", "ttl: 6m")),
        );
        let here = ServerName::new("lic-a").expect("a valid name");
        let accepted = |statement| Accepted {
            statement,
            operator: key().public().clone(),
            base: Generation(7),
        };
        let good = ApplyStatement { bundle: bundle.hash(), operators: Vec::new(), ..statement() };
        assert_eq!(accepted(good.clone()).check_bundle(&bundle, &here), Ok(()));
        let (signed, given) = (bundle.hash(), other.hash());
        assert_eq!(
            accepted(good.clone()).check_bundle(&other, &here),
            Err(StageError::OtherBundle { signed, given })
        );
        let operators = ApplyStatement { operators: statement().operators, ..good.clone() };
        assert_eq!(
            accepted(operators).check_bundle(&bundle, &here),
            Err(StageError::Differs { what: "the operators" })
        );
        let server = ServerName::new("lic-z").expect("a valid name");
        assert_eq!(
            accepted(good).check_bundle(&bundle, &server),
            Err(StageError::NotHere { server: server.clone() })
        );
    }

    #[test]
    fn a_command_is_for_one_pair_and_has_its_time() {
        let pair = statement().pair;
        let order = Order::Fence { server: ServerName::new("lic-a").expect("a valid name") };
        let nonce = "0123456789abcdef".to_owned();
        let command = OperatorStatement::new(pair.clone(), nonce, statement().at, order);
        let signed = SignedStatement::sign_operator(&command, &key()).expect("signed");
        let judge = |pair: &PairName, now| judge_operator(&signed, &ring(), pair, now);
        assert_eq!(judge(&pair, command.at), Ok((command.clone(), key().public().clone())));
        let other = PairName::new("studio-east").expect("a valid name");
        assert!(matches!(judge(&other, command.at), Err(StageError::WrongPair { .. })));
        assert!(matches!(judge(&pair, command.expires), Err(StageError::Expired { .. })));
    }
}
