//! The keys that lease tokens are signed with, as any JWT library reads them (`GET /v1/keys`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::name::PublicKey;

/// The identity keys of both servers, as far as they are known (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// One Ed25519 key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwk {
    /// The key's family: always `OKP`.
    pub kty: String,
    /// The curve: always `Ed25519`.
    pub crv: String,
    /// The key, in base64url.
    pub x: String,
    /// The key's thumbprint (RFC 7638), by which a token's header names it.
    pub kid: String,
    /// What the key is for: always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The algorithm: always `EdDSA`.
    pub alg: String,
}

impl Jwk {
    /// The JSON form of a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.0),
            kid: thumbprint(key),
            usage: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }

    /// The key, where it is of the only kind there is here.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return None;
        }
        URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok().map(PublicKey)
    }
}

/// The thumbprint of a key: base64url of the SHA-256 of its canonical JSON (RFC 7638).
#[must_use]
pub fn thumbprint(key: &PublicKey) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.0);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(canonical))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = PublicKey(URL_SAFE_NO_PAD.decode(x).expect("base64").try_into().expect("32"));
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(Jwk::of(&key).key(), Some(key));
    }
}
