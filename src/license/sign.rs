//! The signature of a license: Ed25519 over a context, the role and the payload.
//!
//! The role is in what is signed, so a file of one role cannot be turned into the other's by editing label and
//! payload, not even by a vendor's own tool that signs texts it did not write.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{Block, License, Rejection};
use crate::mutant;
use crate::name::PublicKey;
use crate::role::Role;

const CONTEXT: &[u8] = b"tandem license v1\0";

/// Signs a license. Its `vendor` becomes the key that signs, whatever it was.
#[must_use]
pub fn sign(license: &License, key: &SigningKey) -> Block {
    let vendor = PublicKey(key.verifying_key().to_bytes());
    let license = License { vendor, ..license.clone() };
    #[expect(clippy::expect_used, reason = "names, numbers and texts always serialize")]
    let payload = serde_json::to_vec(&license).expect("a license serializes");
    let signature = key.sign(&message(license.role, &payload)).to_bytes();
    Block { role: license.role, signature, payload }
}

impl Block {
    /// What the license says, once its vendor's signature is found to be over this role and this payload.
    /// Whether that vendor is trusted is [`fits`](super::fits).
    ///
    /// # Errors
    /// As [`Block::license`], or the signature does not verify.
    pub fn verify(&self) -> Result<License, Rejection> {
        let license = self.license()?;
        let vendor = license.vendor;
        let key = VerifyingKey::from_bytes(&vendor.0)
            .map_err(|_| Rejection::InvalidVendorKey { vendor })?;
        key.verify_strict(
            &message(self.role, &self.payload),
            &Signature::from_bytes(&self.signature),
        )
        .map_err(|_| Rejection::BadSignature { vendor, role: self.role })?;
        Ok(license)
    }
}

/// What is signed.
fn message(role: Role, payload: &[u8]) -> Vec<u8> {
    let role = if mutant!(RoleNotInSignature) { "" } else { role.as_str() };
    [CONTEXT, role.as_bytes(), b"\0", payload].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::{SharePart, blocks};
    use super::*;
    use crate::measure::{Seats, Timestamp};
    use crate::name::{LicenseId, ProductName};

    pub(in crate::license) fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    pub(in crate::license) fn license(role: Role) -> License {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a valid time");
        License {
            id: LicenseId::new("L-1").expect("a valid id"),
            product: ProductName::new("designer").expect("a valid name"),
            seats: Seats(10),
            role,
            vendor: PublicKey(key(1).verifying_key().to_bytes()),
            issued: start,
            not_before: start,
            expires: None,
            server: None,
            pair: None,
            modes: None,
            standalone: None,
            max_borrow: None,
            share: SharePart::DEFAULT.to_vec(),
            entitlements: Vec::new(),
        }
    }

    /// Edited bytes are refused for any reason there is, but never accepted.
    fn check_refused(block: &Block) {
        let refused = block.verify().expect_err("an edited block is refused");
        assert!(!refused.to_string().is_empty() && !refused.help().is_empty());
    }

    #[test]
    fn a_signed_license_verifies_after_armor() {
        for role in [Role::Primary, Role::Secondary] {
            let block = sign(&license(role), &key(1));
            let read = blocks(block.armor().as_bytes()).expect("armor");
            let verified: Vec<_> = read.iter().map(Block::verify).collect();
            assert_eq!(verified, [Ok(license(role))]);
        }
    }

    #[test]
    fn a_relabeled_license_is_refused() {
        let block = Block { role: Role::Secondary, ..sign(&license(Role::Primary), &key(1)) };
        assert_eq!(
            block.verify(),
            Err(Rejection::RolesDisagree { label: Role::Secondary, payload: Role::Primary })
        );
    }

    #[test]
    fn a_license_edited_to_the_other_role_everywhere_is_refused() {
        let primary = sign(&license(Role::Primary), &key(1));
        let secondary = sign(&license(Role::Secondary), &key(1));
        let block = Block { signature: primary.signature, ..secondary };
        let vendor = license(Role::Primary).vendor;
        assert_eq!(block.verify(), Err(Rejection::BadSignature { vendor, role: Role::Secondary }));
    }

    #[test]
    fn a_signature_made_for_the_other_role_is_refused() {
        // A signer that takes the role from elsewhere than the payload it signs.
        let mut block = sign(&license(Role::Primary), &key(1));
        block.signature = key(1).sign(&message(Role::Secondary, &block.payload)).to_bytes();
        assert!(matches!(block.verify(), Err(Rejection::BadSignature { .. })));
    }

    #[test]
    fn another_key_cannot_sign_for_a_vendor() {
        let block = sign(&license(Role::Primary), &key(1));
        let forged = key(2).sign(&message(block.role, &block.payload)).to_bytes();
        assert!(matches!(
            Block { signature: forged, ..block }.verify(),
            Err(Rejection::BadSignature { .. })
        ));
    }

    #[test]
    fn a_vendor_key_that_verifies_anything_is_refused() {
        // The neutral element signs every message with the signature (neutral, 0) unless verification is strict.
        let mut weak = [0; 32];
        weak[0] = 1;
        let mut license = license(Role::Primary);
        license.vendor = PublicKey(weak);
        let payload = serde_json::to_vec(&license).expect("JSON");
        let mut signature = [0; 64];
        signature[0] = 1;
        check_refused(&Block { role: Role::Primary, signature, payload });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_edited_byte_is_refused(at: prop::sample::Index, change in 1_u8..) {
            let mut block = sign(&license(Role::Secondary), &key(1));
            let at = at.index(block.signature.len() + block.payload.len());
            match block.signature.get_mut(at) {
                Some(byte) => *byte ^= change,
                None => block.payload[at - block.signature.len()] ^= change,
            }
            check_refused(&block);
        }

        #[test]
        fn any_edited_character_of_the_armor_is_refused_or_changes_nothing(
            at: prop::sample::Index, byte: u8,
        ) {
            let block = sign(&license(Role::Primary), &key(1));
            let mut text = block.armor().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(read) = blocks(&text) {
                for other in read {
                    prop_assert!(other == block || other.verify().is_err());
                }
            }
        }
    }
}
