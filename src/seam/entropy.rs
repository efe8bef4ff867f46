//! Random bytes, and what is made of them once: the identity key of a server.
//!
//! A simulation answers with seeded bytes, and with a signer that proves whatever identity a manifest pins.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::name::PublicKey;

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills the bytes at random.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// 16 random bytes.
    #[must_use]
    pub fn bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// 32 random bytes.
    #[must_use]
    pub fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(
        clippy::expect_used,
        clippy::disallowed_methods,
        reason = "the seam; a system with no randomness cannot make keys: stop at once"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A server's identity: signs with its own key, and judges what another identity signed.
pub trait Identity: Send + Sync {
    /// The key that others know this server by.
    fn public(&self) -> PublicKey;

    /// Signs bytes.
    fn sign(&self, message: &[u8]) -> [u8; 64];

    /// Whether `key` signed these bytes.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// An Ed25519 key in memory.
pub struct Ed25519Identity(SigningKey);

impl Ed25519Identity {
    /// The identity made of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
}

impl Identity for Ed25519Identity {
    fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&key.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}
