//! What operators sign: statements, their signatures, and who may make them (formats.md, "Statement").
//!
//! A statement is bytes first: what is verified is exactly what is stored and forwarded. Private keys come in from
//! the shells; nothing here opens a file or asks the time.

use serde::{Deserialize, Serialize};

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
