//! A statement's bytes with a signature over them: how they are written, read and verified.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError, Nulls};
use crate::measure::Generation;

use super::key::fingerprint;
use super::{
    ApplyStatement, Keyring, Namespace, OperatorKey, OperatorStatement, SignError, Signs, sshsig,
};

/// The most bytes a statement may have.
pub const STATEMENT_BYTES_MAX: usize = 256 * 1024;
/// The most bytes an armored signature may have.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// A statement's bytes with an operator's signature over them, not yet believed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The statement: RFC 8785 JSON, in base64 where it is written as JSON.
    #[serde(with = "base64_bytes")]
    pub statement: Vec<u8>,
    /// The signature: SSHSIG, armored.
    pub signature: String,
}

/// Why a signed statement is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The statement or its signature is too large.
    #[error("the statement has {bytes} bytes, and {max} are the most")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// The signature is none over this statement for this purpose.
    #[error("the signature is not one over this statement for `{namespace}`")]
    BadSignature {
        /// The purpose.
        namespace: Namespace,
    },
    /// Nobody is trusted to sign.
    #[error("this server trusts no operator yet: start it with `--trust KEY`")]
    NoTrust,
    /// Somebody signed whose signature is not accepted.
    #[error(
        "the statement is signed by {fingerprint}, which is not an operator of the bundle that runs: \
         sign with a key that is, or start the server with `--trust`"
    )]
    Untrusted {
        /// The fingerprint of the key that signed.
        fingerprint: String,
    },
    /// The statement is not the JSON of one.
    #[error("the statement {0}")]
    Json(#[from] JsonError),
    /// The statement says something that no statement says.
    #[error("the statement is not one of this version: {problem}")]
    Malformed {
        /// What.
        problem: &'static str,
    },
    /// The statement is written in another way than the canonical one.
    #[error("the statement is not in canonical form (RFC 8785)")]
    NotCanonical,
    /// The statement names another operator than the one who signed.
    #[error("the statement names {named} as its operator, but {signer} signed it")]
    OtherOperator {
        /// The fingerprint it names.
        named: String,
        /// The fingerprint of the key that signed.
        signer: String,
    },
}

impl SignedStatement {
    /// Signs a statement about a bundle. Its `operator` becomes the key that signs, whatever it was.
    ///
    /// # Errors
    /// The key did not sign.
    pub fn sign_apply(statement: ApplyStatement, key: &dyn Signs) -> Result<Self, SignError> {
        let statement = ApplyStatement { operator: key.public().fingerprint(), ..statement };
        Self::sign(Namespace::Apply, statement.to_bytes(), key)
    }

    /// Signs an operator's command.
    ///
    /// # Errors
    /// The key did not sign.
    pub fn sign_operator(
        statement: &OperatorStatement,
        key: &dyn Signs,
    ) -> Result<Self, SignError> {
        Self::sign(Namespace::Operator, statement.to_bytes(), key)
    }

    fn sign(namespace: Namespace, statement: Vec<u8>, key: &dyn Signs) -> Result<Self, SignError> {
        let signature = key.sign(namespace, &statement)?;
        Ok(Self { statement, signature })
    }

    /// What a statement about a bundle says, and which key of the keyring signed it.
    ///
    /// # Errors
    /// Size, signature and form are judged in this order; the first that is wrong.
    pub fn verify(
        &self,
        keyring: &Keyring,
    ) -> Result<(ApplyStatement, OperatorKey), StatementError> {
        let signer = self.signer(Namespace::Apply, keyring)?;
        let statement = ApplyStatement::from_bytes(&self.statement)?;
        if statement.operator != signer.fingerprint() {
            let (named, signer) = (statement.operator, signer.fingerprint());
            return Err(StatementError::OtherOperator { named, signer });
        }
        Ok((statement, signer))
    }

    /// What an operator's command says, and which key of the keyring signed it.
    ///
    /// # Errors
    /// As [`SignedStatement::verify`].
    pub fn verify_operator(
        &self,
        keyring: &Keyring,
    ) -> Result<(OperatorStatement, OperatorKey), StatementError> {
        let signer = self.signer(Namespace::Operator, keyring)?;
        Ok((OperatorStatement::from_bytes(&self.statement)?, signer))
    }

    /// What a statement about a bundle says, whoever signed it: for showing what was verified before.
    ///
    /// # Errors
    /// The bytes are no such statement.
    pub fn read(&self) -> Result<ApplyStatement, StatementError> {
        ApplyStatement::from_bytes(&self.statement)
    }

    /// The number that it gives its bundle, whoever signed it; nothing where there is none. No other word of it is
    /// looked at: for putting in order what was verified before.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        #[derive(Deserialize)]
        struct Numbered {
            generation: Generation,
        }
        serde_json::from_slice(&self.statement).ok().map(|Numbered { generation }| generation)
    }

    fn signer(
        &self,
        namespace: Namespace,
        keyring: &Keyring,
    ) -> Result<OperatorKey, StatementError> {
        check_size(self.statement.len(), STATEMENT_BYTES_MAX)?;
        check_size(self.signature.len(), SIGNATURE_BYTES_MAX)?;
        if keyring.is_empty() {
            return Err(StatementError::NoTrust);
        }
        let key = sshsig::verify(namespace, &self.statement, &self.signature)
            .ok_or(StatementError::BadSignature { namespace })?;
        let untrusted = || StatementError::Untrusted { fingerprint: fingerprint(key) };
        keyring.find(&OperatorKey::proven(key)).cloned().ok_or_else(untrusted)
    }
}

const fn check_size(bytes: usize, max: usize) -> Result<(), StatementError> {
    if bytes > max { Err(StatementError::TooLarge { bytes, max }) } else { Ok(()) }
}

/// The canonical bytes of a statement's form.
pub(super) fn to_bytes<F: Serialize>(form: &F) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "texts, integers and booleans always serialize")]
    serde_json_canonicalizer::to_vec(form).expect("a statement serializes")
}

/// The form of a statement's bytes, which are exactly its canonical ones.
pub(super) fn from_bytes<F: Serialize + DeserializeOwned>(
    bytes: &[u8],
) -> Result<F, StatementError> {
    let form: F = json::read(bytes, Nulls::Refused)?;
    if to_bytes(&form) == bytes { Ok(form) } else { Err(StatementError::NotCanonical) }
}

impl std::fmt::Debug for SignedStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let statement = String::from_utf8_lossy(&self.statement);
        f.debug_struct("SignedStatement").field("statement", &statement).finish_non_exhaustive()
    }
}

/// Bytes as base64 text.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::Deserialize as _;

    pub(super) fn serialize<S: serde::Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::apply::tests::statement;
    use super::super::{MemoryKey, Source};
    use super::*;

    fn key(seed: u8) -> MemoryKey {
        MemoryKey::from_seed([seed; 32], "ana")
    }

    fn ring(keys: &[&MemoryKey]) -> Keyring {
        let trust: Vec<_> = keys.iter().map(|key| key.public().clone()).collect();
        Keyring::new(&[], &trust)
    }

    fn signed() -> SignedStatement {
        SignedStatement::sign_apply(statement(), &key(1)).expect("signed")
    }

    #[test]
    fn a_signed_statement_is_believed_for_who_signed_it() {
        let (read, signer) = signed().verify(&ring(&[&key(2), &key(1)])).expect("believed");
        assert_eq!(signer, *key(1).public());
        assert_eq!(read, ApplyStatement { operator: signer.fingerprint(), ..statement() });
    }

    #[test]
    fn strangers_and_everybody_at_an_empty_server_are_refused() {
        let fingerprint = key(1).public().fingerprint();
        let refused = signed().verify(&ring(&[&key(2)]));
        assert_eq!(refused, Err(StatementError::Untrusted { fingerprint }));
        assert_eq!(signed().verify(&Keyring::default()), Err(StatementError::NoTrust));
    }

    #[test]
    fn a_command_is_no_statement_about_a_bundle() {
        let signed = SignedStatement {
            signature: key(1).sign(Namespace::Operator, &signed().statement).expect("signed"),
            ..signed()
        };
        let refused = StatementError::BadSignature { namespace: Namespace::Apply };
        assert_eq!(signed.verify(&ring(&[&key(1)])), Err(refused));
    }

    #[test]
    fn who_signs_is_who_the_statement_names() {
        let bytes = ApplyStatement { operator: key(2).public().fingerprint(), ..statement() };
        let signed = SignedStatement::sign(Namespace::Apply, bytes.to_bytes(), &key(1));
        assert!(matches!(
            signed.expect("signed").verify(&ring(&[&key(1), &key(2)])),
            Err(StatementError::OtherOperator { .. })
        ));
    }

    #[test]
    fn size_is_judged_before_anything_else() {
        let source = Source { path: "x".repeat(STATEMENT_BYTES_MAX), ..statement().source };
        let large = ApplyStatement { source, ..statement() };
        let large = SignedStatement::sign_apply(large, &key(1)).expect("signed");
        assert!(matches!(
            large.verify(&Keyring::default()),
            Err(StatementError::TooLarge { max: STATEMENT_BYTES_MAX, .. })
        ));
    }

    #[test]
    fn a_statement_in_another_form_is_refused_though_it_is_signed() {
        let text = String::from_utf8(signed().statement).expect("UTF-8");
        let check = |from: &str, to: &str| {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text, "{from} is there");
            let signed = SignedStatement::sign(Namespace::Apply, edited.into_bytes(), &key(1));
            signed.expect("signed").verify(&ring(&[&key(1)])).expect_err("refused")
        };
        assert_eq!(check("{", "{ "), StatementError::NotCanonical);
        assert_eq!(check(".000Z", "Z"), StatementError::NotCanonical);
        assert!(matches!(check("{", "{\"a\":1,"), StatementError::Json(JsonError::Shape { .. })));
        let twice = check("{", "{\"generation\":8,");
        assert!(matches!(twice, StatementError::Json(JsonError::DuplicateKey { .. })), "{twice}");
        assert!(matches!(check("apply/v1", "apply/v2"), StatementError::Json(_)));
        assert!(matches!(
            check("\"generation\":8", "\"generation\":9"),
            StatementError::Malformed { .. }
        ));
    }

    #[test]
    fn a_signed_statement_reads_as_it_is_written() {
        let text = serde_json::to_string(&signed()).expect("JSON");
        assert_eq!(serde_json::from_str::<SignedStatement>(&text).ok(), Some(signed()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_edited_byte_is_refused(at: prop::sample::Index, change in 1_u8..) {
            let mut signed = signed();
            let at = at.index(signed.statement.len());
            signed.statement[at] ^= change;
            prop_assert!(signed.verify(&ring(&[&key(1)])).is_err());
        }
    }
}
