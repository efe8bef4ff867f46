//! Seeded randomness, and identities whose signatures are a keyed hash: they prove any key a manifest pins.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tandem::name::PublicKey;
use tandem::seam::entropy::{Entropy, Identity};

use crate::seed::Stream;

/// Random bytes of one host, all from the run's seed.
#[derive(Debug)]
pub struct SimEntropy(Mutex<Stream>);

impl SimEntropy {
    /// The bytes of one host, by the run's seed and its name.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        Self(Mutex::new(Stream::named(seed, name)))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}

/// An identity of the simulated world. Whoever is in the world can judge its signatures; no private key exists.
#[derive(Clone, Debug)]
pub struct SimIdentity(PublicKey);

impl SimIdentity {
    /// The identity that others know by this key.
    #[must_use]
    pub fn new(public: PublicKey) -> Self {
        Self(public)
    }

    /// An identity for a server whose key no manifest pins.
    #[must_use]
    pub fn unpinned(name: &str) -> Self {
        Self(PublicKey(Sha256::digest(format!("tandem-sim identity {name}")).into()))
    }
}

fn signature(key: &PublicKey, message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    for (half, part) in signature.chunks_mut(32).zip([0_u8, 1]) {
        let mut hasher = Sha256::new();
        hasher.update(b"tandem-sim signature");
        hasher.update([part]);
        hasher.update(key.0);
        hasher.update(message);
        half.copy_from_slice(&hasher.finalize());
    }
    signature
}

impl Identity for SimIdentity {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        signature(&self.0, message)
    }

    fn verify(&self, key: &PublicKey, message: &[u8], given: &[u8; 64]) -> bool {
        signature(key, message) == *given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_signature_holds_for_its_key_and_message_alone() {
        let (a, b) = (SimIdentity::unpinned("lic-a"), SimIdentity::unpinned("lic-b"));
        let signature = a.sign(b"x");
        assert!(b.verify(&a.public(), b"x", &signature));
        assert!(!b.verify(&b.public(), b"x", &signature));
        assert!(!b.verify(&a.public(), b"y", &signature));
    }

    #[test]
    fn hosts_draw_different_bytes_of_one_seed() {
        let draw = |seed, name| {
            let mut bytes = [0; 16];
            SimEntropy::new(seed, name).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(1, "lic-a"), draw(1, "lic-a"));
        assert_ne!(draw(1, "lic-a"), draw(1, "lic-b"));
        assert_ne!(draw(1, "lic-a"), draw(2, "lic-a"));
    }
}
