//! The lease token: a JWT signed by a server's identity key (formats.md, "Lease token").
//!
//! Written in one way and read strictly: one algorithm, canonical base64url, no unknown claims, bounded size.
//! Keys and signatures come from the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

pub use super::keys::thumbprint;
use crate::measure::{Epoch, Seats};
use crate::name::{
    HostName, LeaseId, LicenseId, ProductName, PublicKey, ServerName, UseId, UserName,
};

/// The longest token that is read, in bytes.
pub const TOKEN_LEN_MAX: usize = 8 * 1024;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The server that signed it.
    pub iss: ServerName,
    /// The user who holds the lease.
    pub sub: UserName,
    /// The product.
    pub aud: ProductName,
    /// The lease.
    pub jti: LeaseId,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// When the lease ends unless it is renewed, in seconds since 1970. For applications: the server goes by its
    /// ledger.
    pub exp: i64,
    /// The epoch of the server that signed it.
    pub epoch: Epoch,
    /// The computer.
    pub host: HostName,
    /// The seats of the use.
    pub seats: Seats,
    /// The use that it was given for.
    #[serde(rename = "use")]
    pub use_id: UseId,
    /// The licenses that the product's seats come from.
    pub licenses: Vec<LicenseId>,
    /// What the licenses entitle to.
    pub entitlements: Vec<String>,
}

/// A token's header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
}

/// Why a text is no token that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is longer than [`TOKEN_LEN_MAX`].
    #[error("the token is longer than {TOKEN_LEN_MAX} bytes")]
    TooLong,
    /// The text is not three parts of base64url with JSON inside.
    #[error("the token is not a JSON web token")]
    Malformed,
    /// It is signed in another way than `EdDSA`.
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// It is signed by a key that is not known.
    #[error("the token was signed by a key that is not known here")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// The claims are not those of a lease token.
    #[error("the token is not a lease token")]
    Claims,
}

/// Writes a token.
///
/// `kid` is the [`thumbprint`] of the key that `sign` signs with.
#[must_use]
pub fn encode(claims: &Claims, kid: &str, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> String {
    // Texts and numbers alone: serializing them cannot fail.
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = String::with_capacity(256 + claims.len() * 4 / 3);
    URL_SAFE_NO_PAD.encode_string(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// Reads a token that one of `keys` signed, each with its [`thumbprint`]. Its times are not judged.
///
/// # Errors
/// The text is no token, or none of the keys signed it.
pub fn verify<'a>(
    token: &str,
    keys: impl IntoIterator<Item = (&'a str, &'a PublicKey)>,
    verify: impl FnOnce(&PublicKey, &[u8], &[u8; 64]) -> bool,
) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_LEN_MAX {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header =
        serde_json::from_slice(&part(header)?).map_err(|_| TokenError::Malformed)?;
    if header.alg != "EdDSA" {
        return Err(TokenError::Algorithm);
    }
    let (_, key) =
        keys.into_iter().find(|(kid, _)| *kid == header.kid).ok_or(TokenError::UnknownKey)?;
    let signature = part(signature)?.try_into().map_err(|_| TokenError::Malformed)?;
    if !verify(key, signed.as_bytes(), &signature) {
        return Err(TokenError::Signature);
    }
    serde_json::from_slice(&part(claims)?).map_err(|_| TokenError::Claims)
}

fn part(text: &str) -> Result<Vec<u8>, TokenError> {
    // The engine refuses padding, other alphabets and trailing bits: one token has one spelling.
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

    use super::*;

    fn signer() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn public(key: &SigningKey) -> PublicKey {
        PublicKey(key.verifying_key().to_bytes())
    }

    fn claims() -> Claims {
        Claims {
            iss: "lic-a".parse().expect("a name"),
            sub: "ana".parse().expect("a name"),
            aud: "designer".parse().expect("a name"),
            jti: "0190-1".parse().expect("an id"),
            iat: 1_800_000_000,
            exp: 1_800_000_300,
            epoch: Epoch(3),
            host: "ws-1".parse().expect("a name"),
            seats: Seats(2),
            use_id: "u1".parse().expect("a use"),
            licenses: vec!["L1".parse().expect("an id")],
            entitlements: vec!["export".to_owned()],
        }
    }

    fn token() -> String {
        let key = signer();
        encode(&claims(), &thumbprint(&public(&key)), |bytes| key.sign(bytes).to_bytes())
    }

    fn read(token: &str) -> Result<Claims, TokenError> {
        let key = public(&signer());
        let kid = thumbprint(&key);
        verify(token, [(kid.as_str(), &key)], |key, bytes, signature| {
            VerifyingKey::from_bytes(&key.0).is_ok_and(|key| {
                key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
            })
        })
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&token()), Ok(claims()));
    }

    #[test]
    fn an_edited_token_is_refused() {
        let token = token();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let edited = String::from_utf8(bytes).expect("ASCII");
            assert!(read(&edited).is_err(), "byte {at}");
        }
    }

    #[test]
    fn other_algorithms_and_keys_are_refused() {
        let parts: Vec<_> = token().split('.').map(str::to_owned).collect();
        let header = |text: &str| {
            read(&format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(text), parts[1], parts[2]))
        };
        let kid = thumbprint(&public(&signer()));
        assert_eq!(
            header(&format!(r#"{{"alg":"none","kid":"{kid}"}}"#)),
            Err(TokenError::Algorithm)
        );
        assert_eq!(header(r#"{"alg":"EdDSA","kid":"x"}"#), Err(TokenError::UnknownKey));
        assert_eq!(
            header(&format!(r#"{{"alg":"EdDSA","kid":"{kid}","crit":["x"]}}"#)),
            Err(TokenError::Malformed)
        );
        assert_eq!(read(&"a".repeat(TOKEN_LEN_MAX + 1)), Err(TokenError::TooLong));
        assert_eq!(read("a.b"), Err(TokenError::Malformed));
        assert_eq!(read(""), Err(TokenError::Malformed));
    }

    #[test]
    fn other_libraries_read_the_token() {
        use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
        let token = token();
        let jwk = super::super::Jwk::of(&public(&signer()));
        let header = decode_header(&token).expect("a header");
        assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::EdDSA, Some(jwk.kid.as_str())));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["designer"]);
        validation.set_issuer(&["lic-a"]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        let jwk: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(serde_json::to_value(&jwk).expect("JSON")).expect("a JWK");
        let key = DecodingKey::from_jwk(&jwk).expect("a key");
        let read = decode::<Claims>(&token, &key, &validation).expect("a valid token");
        assert_eq!(read.claims, claims());
    }
}
